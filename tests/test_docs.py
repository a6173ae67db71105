"""What README and docs show is what hoijax does.

Every fenced block of every page is either run (`RUNS`, in one process of its own, `run_pages.py`, with JAX as users
have it), or it stands in `NOT_RUN` with the reason; what is not run is still parsed: commands by the verb's or the
script's own parser, calls of hoijax against their signatures, targets of make, extras of pip.
"""

import ast
import fnmatch
import functools
import importlib
import inspect
import json
import os
import pathlib
import re
import runpy
import shlex
import string
import subprocess
import sys
import tomllib

import pytest
import tyro

from hoijax import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(ROOT.glob(".github/**/*.md")), *(ROOT / name / "README.md" for name in ("examples", "tools")),
    *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("hoijax/assets/*/README.md")),
]  # fmt: skip

ESTIMATE = (
    "shutil.copy(demo / 'sit_chair.npz', 'estimate.npz'); import trimesh\n"
    "up = trimesh.transformations.translation_matrix((0, 0.325, 0))\n"
    "trimesh.creation.box((0.5, 0.65, 0.5), up).export('chair.obj')\n"
)
RESULT = (
    "from run_pages import command\n"
    "command(['refine', '--body', str(demo / 'sit_chair.npz'), '--object', str(demo / 'sit_chair.glb'), '--out', "
    "'out', *'--contact buttocks,back --floor 0 --steps 2 --lod test --pictures 0'.split()], '')\n"
)
RUNS = {
    "README.md": "import os; os.mkdir('hoijax'); os.symlink(demo.parent, 'hoijax/assets')",
    "docs/architecture.md": (
        "import jax, numpy as np; from hoijax.body_models import BodyParams, free_body\n"
        "from hoijax.systems.graft import GraftState\n"
        "points = np.random.default_rng(0).uniform(-1, 1, (4096, 3)).astype('f4') + np.float32([0, 0, 3])\n"
        "person = BodyParams.from_axis_angle(free_body(), body_pose=np.zeros(63), betas=np.zeros(10))\n"
        "person = person.replace(translation=np.float32([0, 0, 3]))\n"
        "people = GraftState.of(jax.tree.map(lambda x: np.asarray(x, 'f4')[None], person))"
    ),
    "docs/blaze.md": "from PIL import Image; Image.new('RGB', (160, 120), (90, 120, 60)).save('photo.jpg')",
    "docs/body_models.md": "",
    "docs/command.md": ESTIMATE,
    "docs/data.md": "",
    "docs/diffusion.md": "",
    "docs/export.md": RESULT,
    "docs/geometry.md": "",
    "docs/interaction.md": "",
    "docs/interactanything.md": "",
    "docs/interactvlm.md": "",
    "docs/index.md": "",
    "docs/pictures.md": (
        RESULT + "shutil.copy('out/interaction.glb', 'SCENE.glb'); pathlib.Path('SCENES').mkdir()\n"
        "shutil.copy('SCENE.glb', 'SCENES/a.glb'); import trimesh\n"
        "chair = trimesh.creation.box(); vertices, faces, colors = chair.vertices, chair.faces, None\n"
        "moved = vertices + 1\n"
        "from functools import partial; from hoijax import viz; from hoijax.render import Studio\n"
        "for name in ('write_views', 'write_comparison', 'write_turntable'):\n"
        "    setattr(viz, name, partial(getattr(viz, name), size=32, studio=Studio(samples=1)))\n"
        "viz.write_turntable = partial(viz.write_turntable, frames=2)\n"
    ),
    "docs/refine.md": (
        ESTIMATE + "pathlib.Path('table.csv').write_text('body,object\\nestimate.npz,chair.obj\\n')\n"
        "pathlib.Path('chair.txt').write_text('left armrest: box(-1 -1 -1 1 1 1)\\n')\n"
    ),
    "docs/render.md": "",
    "docs/start.md": "",
    "docs/training.md": "source = [{'x': __import__('numpy').ones(1, 'f4')}] * 64",
    "docs/weights.md": "path = demo.parent / 'scorehoi' / 'denoiser.safetensors'",
}
"""Pages whose blocks are run one after the other, and the Python that makes the files they speak of."""
SMALL = {
    "refine": "--steps 2 --lod test --pictures 0 --contact buttocks,back --floor 0",
    "render": "--size 32 --frames 2 --samples 1",
}
"""What makes a verb's run a matter of seconds."""
LEFT_OUT = {
    "refine": "--body estimate.npz --object chair.obj --out regions",
    "reconstruct": "--image i.jpg --object o.obj --out o",
}
"""What a page's `...` stands for."""

SERVER = "asks a server, which tests/language and tests/nets answer for"
WEIGHTS = "reads the authors' published weights, which nobody may ship; made-up ones of the same keys: "
DATA = "reads a licensed dataset; a made-up recording in its layout: "
MINUTES = "takes minutes; small: "
OWN = "needs a reader's own arrays; small: "
NOT_RUN = (
    ("*", "make ", "the commands that run these tests, or that tests/cli/test_demo.py runs with its work taken out"),
    ("*", "pip install", "makes an environment; docs/walks.md says what came of it"),
    ("*", "python3 -m venv", "makes an environment; docs/walks.md says what came of it"),
    ("*", "hoijax view", "a server that does not end; clicked in tests/viz/test_view_page.py"),
    ("*", "hoijax convert", WEIGHTS + "tests/cli/test_convert.py"),
    ("*", "python examples/", "run small by tests/test_examples.py"),
    ("*", "python -m hoijax.experiments.", "minutes to days, or a dataset; small: tests/experiments"),
    ("docs/index.md", "hoijax demo", MINUTES + "tests/cli/test_demo.py"),
    ("docs/body_models.md", "SMPLH_MALE.pkl", "licensed body models; made-up ones: tests/body_models/test_loading.py"),
    ("docs/data.md", "DATASETS", DATA + "tests/data/real/test_behave.py"),
    ("docs/data.md", "tfds_builder", DATA + "tests/data/real/test_builder.py"),
    ("docs/data.md", "aug.augment", OWN + "tests/data/test_augmentation.py"),
    ("*.md", "hoijax data build synth_hoi", MINUTES + "examples/11_dataset.py"),
    ("docs/*.md", "hoijax data", DATA + "tests/cli/test_data.py"),
    ("docs/synth_hoi.md", "build(SynthConfig", MINUTES + "examples/11_dataset.py"),
    ("docs/evaluate.md", "evaluat", DATA + "tests/cli/test_evaluate.py"),
    ("docs/fitting.md", "fit_people", OWN + "tests/optim/fitting/test_people.py"),
    ("docs/fitting.md", "fit_object_compiled", OWN + "tests/optim/fitting/test_objects.py"),
    ("docs/generative.md", "FeatureCache", OWN + "tests/nets/generative/test_sampling.py"),
    ("docs/graft.md", "hoijax refine --scene", "a reader's room; examples/08_room.py makes one and runs the same"),
    ("docs/hoi3dgen.md", "--backend sana", MINUTES + "tests/cli/test_generate_sana.py"),
    ("docs/hoi3dgen.md", "hoijax generate", MINUTES + "tests/cli/test_generate.py"),
    ("docs/hoi3dgen.md", "hoijax annotate", DATA + "tests/jobs/test_annotation.py"),
    ("docs/hoi3dgen.md", "registration.register", "reads a run of `generate`; tests/systems/hoi3dgen"),
    ("docs/interactanything.md", "hoijax synthesize", MINUTES + "tests/cli/test_synthesize.py"),
    ("docs/interactanything.md", "distil(", OWN + "tests/systems/interactanything"),
    ("docs/interactvlm.md", "system.run(network", WEIGHTS + "tests/systems/interactvlm"),
    ("docs/interactvlm.md", "network.write", WEIGHTS + "tests/nets/interactvlm/test_model.py"),
    ("docs/interactvlm.md", "pairs.pair_contact", OWN + "tests/jobs/test_contact_network.py"),
    ("docs/interactvlm.md", "hoijax contact", "a reader's photograph; tests/jobs/test_contacts.py"),
    ("docs/interactvlm.md", "hoijax fit", "a reader's photograph; tests/jobs/test_joint_fits.py"),
    ("docs/data.md", "LoaderConfig", "batches without end; tests/data/test_loading.py"),
    ("docs/jobs.md", "run_job", OWN + "tests/jobs/test_engine.py"),
    ("docs/weights.md", "hoijax reconstruct", WEIGHTS + "tests/systems/scorehoi/test_converted.py"),
    ("docs/jobs.md", "--runner", "a cluster, or two processes; Beam's local runner: tests/cli/test_refine_beam.py"),
    ("docs/language.md", "ServerModel", SERVER),
    ("docs/pictures.md", "turn.gif --frames", "48 frames; two of them: tests/cli/test_render.py"),
    ("docs/reconstruct.md", "hoijax reconstruct", "a reader's photograph; examples/06_photograph.py draws one"),
    ("docs/refine.md", "--image photo.jpg", "a reader's photograph; tests/jobs/test_photo_refine.py"),
    ("docs/scorehoi.md", "refine_guided", MINUTES + "tests/systems/scorehoi"),
    ("docs/scorehoi.md", "--prior scorehoi", MINUTES + "tests/cli/test_refine_prior.py"),
    ("docs/sequences.md", "hoijax refine", "another method's files; tests/io/sources, and examples/07_sequence.py"),
    ("docs/sources.md", "hoijax", "another method's files, which tests/io/sources write"),
)  # fmt: skip
"""What is not run: pages, a piece of the block or of the command, and why; tests and examples that are named exist."""
OUTPUT = ("docs/architecture.md", "docs/examples.md", "docs/results/photo_failures.md")
"""Pages with blocks of plain text: a tree of folders, and what tools.gallery and tools.photo_failures wrote."""


def fences(page: pathlib.Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    found = re.findall(r"^( *)```([^\n]*)\n(.*?)^\1```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, text) for _, language, text in found]


def lines(block: str) -> list[str]:
    """The commands of a shell block, with the variables that it sets put in."""
    variables, found = {}, []
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s&&\s", line):
            words = shlex.split(part, comments=True)
            if len(words) == 1 and re.fullmatch(r"[A-Z]\w*=\S+", words[0]):
                name, _, value = words[0].partition("=")
                variables[name] = value
            elif words and words[0] != ".":
                found.append(string.Template(part).safe_substitute(variables).strip())
    return found


def words_of(line: str) -> list[str]:
    """The words of a command, without what follows a pipe or an arrow."""
    words = shlex.split(line, comments=True)
    return words[: next((i for i, word in enumerate(words) if word in ("|", ">")), len(words))]


def shown() -> list[tuple[str, str, str]]:
    """(page, kind, text) of everything that a page asks a reader to run, in its order."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for language, text in fences(page):
            if language == "python":
                found.append((name, "python", text))
            elif language == "sh":
                found += [(name, "sh", line) for line in lines(text)]
    return found


SHOWN = shown()
LABELS = [f"{page}:{' '.join(text.split())[:60]}" for page, _, text in SHOWN]


def reasons(page: str, kind: str, text: str) -> list[int]:
    """Rows of NOT_RUN that speak of a block or command; those of every page are of commands."""
    rows = [i for i, (pages, _, _) in enumerate(NOT_RUN) if fnmatch.fnmatch(page, pages)]
    return [i for i in rows if NOT_RUN[i][1] in text and (kind == "sh" or NOT_RUN[i][0] != "*")]


def runs(page: str, kind: str, text: str) -> bool:
    """Whether it is run here."""
    return page in RUNS and not reasons(page, kind, text)


def test_every_block_is_python_a_command_or_what_a_named_script_wrote():
    for page in PAGES:
        kinds = {language for language, _ in fences(page)}
        assert kinds <= {"python", "sh", *(["text"] if str(page.relative_to(ROOT)) in OUTPUT else [])}, page
        assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0, f"{page}: a fence without its end"
    assert {str(p.relative_to(ROOT)) for p in PAGES} >= {*OUTPUT, *RUNS}
    assert len(SHOWN) > 120


@pytest.mark.parametrize(("page", "kind", "text"), SHOWN, ids=LABELS)
def test_what_is_shown_is_run_or_stands_in_the_list_with_its_reason(page, kind, text):
    assert page in RUNS or reasons(page, kind, text), f"{page}: neither run nor in NOT_RUN: {text}"


def test_the_list_of_what_is_not_run_says_nothing_of_what_is_not_there():
    used = {i for row in SHOWN for i in reasons(*row)}
    assert used == set(range(len(NOT_RUN))), [NOT_RUN[i] for i in set(range(len(NOT_RUN))) - used]
    for _, piece, why in NOT_RUN:
        named = re.findall(r"(?:tests|examples|docs)/[\w/]+(?:\.\w+)?", why)
        assert len(why) > 15 and all((ROOT / name).exists() for name in named), (piece, why)
        assert named or "server" in why


def test_every_page_that_is_run_has_something_to_run():
    for page in RUNS:
        assert any(runs(*row) for row in SHOWN if row[0] == page), page


COMMANDS = [(page, words_of(text)) for page, kind, text in SHOWN if kind == "sh"]
VERBS = [("--help", [name, *shlex.split(verb.example)]) for name, verb in cli.VERBS.items() if verb.example]
VERBS += [(page, words[1:]) for page, words in COMMANDS if words[0] == "hoijax" and words[1] in cli.VERBS]


def test_every_verb_but_the_demo_is_shown():
    assert {words[0] for page, words in VERBS if page != "--help"} >= set(cli.VERBS) - {"demo"}


def whole(words: list[str]) -> list[str]:
    """A verb's options with those that a page's `...` stands for, without those of every verb."""
    rest = [word for word in words[1:] if word not in (cli.NO_CACHE, "--json", "...")]
    return rest + (LEFT_OUT[words[0]].split() if "..." in words else [])


@pytest.mark.parametrize(("page", "words"), VERBS, ids=[f"{page}:{' '.join(words)[:60]}" for page, words in VERBS])
def test_a_command_that_is_shown_has_options_that_exist(page, words, capsys):
    module = importlib.import_module(cli.VERBS[words[0]].module)
    try:
        tyro.cli(module.Options, args=whole(words), config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        assert stop.code == 0, f"{page}: hoijax {' '.join(words)}\n{capsys.readouterr().err}"


ANOTHERS = {"--enable_tex"}
"""Options of other programs than hoijax's."""


def test_options_that_are_named_in_the_text_exist(capsys):
    """Of a verb, or a field or argument of a script of experiments, examples or tools."""
    for name in cli.VERBS:
        cli.main([name, "--help"])
    known = (
        set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
        | {"--quiet", "--verbose", "--version", "--completion"}
        | ANOTHERS
    )
    fields = set()
    for path in (path for folder in ("experiments", "examples", "tools") for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        fields |= {*re.findall(r"^\s*(\w+):", text, re.M), *re.findall(r"[(,]\s*(\w+): ", text)}
        fields |= {name.replace("-", "_") for name in re.findall(r'"--([\w-]+)"', text)}
    count = 0
    for page in (page for page in PAGES if page.name != "CHANGELOG.md"):  # which tells of options that went
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for code in re.findall(r"`([^`]+)`", text):
            for option in re.findall(r"(?<![\w-])--[a-z][\w.-]*", code):
                last = option.rpartition(".")[2].removeprefix("--").replace("-", "_")
                count += 1
                assert option in known or {last, last.removeprefix("no_")} & fields, f"{page}: {code}: {option}"
    assert count > 200


OTHERS = [(page, words) for page, words in COMMANDS if words[0] != "hoijax" or words[1] not in cli.VERBS]


class Parsed(Exception):
    """Ends a script when its options have been read."""


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")  # scripts that are imported too
@pytest.mark.parametrize(("page", "words"), OTHERS, ids=[f"{page}:{' '.join(words)[:60]}" for page, words in OTHERS])
def test_another_command_that_is_shown_names_what_exists(page, words, monkeypatch, capsys):
    match words:
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
        case ["pip", "install", what]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            asked = re.fullmatch(r"(?:\.|hoijax)(?:\[(\w+)\])?", what)
            assert asked and (asked[1] is None or asked[1] in extras)
        case ["python3", "-m", "venv", ".venv"]:
            pass
        case ["hoijax", "--completion", "bash" | "zsh"] | ["hoijax", "VERB", "--help"]:
            pass
        case ["python", *rest]:
            parse = tyro.cli

            def stop(what, **rest):
                if not inspect.isclass(what):  # tyro would call it
                    call = what

                    @functools.wraps(call)
                    def what(*args, **kwargs):
                        return None

                parse(what, **rest)
                raise Parsed

            monkeypatch.setattr(tyro, "cli", stop)
            script = rest[1] if rest[0] == "-m" else str(ROOT / rest[0])
            monkeypatch.setattr(sys, "argv", [script, *rest[2 if rest[0] == "-m" else 1 :]])
            try:
                with pytest.raises(Parsed):
                    (runpy.run_module if rest[0] == "-m" else runpy.run_path)(script, run_name="__main__")
            except SystemExit:
                pytest.fail(f"{page}: {' '.join(words)}\n{capsys.readouterr().err}")
        case _:
            pytest.fail(f"{page}: a command that this test does not know: {' '.join(words)}")


PYTHON = [(page, text) for page, kind, text in SHOWN if kind == "python"]


def shown_calls(block: str):
    """Each call of a name, or of an attribute of a module, that the block imports from hoijax."""
    tree, names = ast.parse(block), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hoijax":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")  # a module that its package does not import
                names[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in names:
            yield node, names[node.func.id]
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner = names.get(node.func.value.id)
            if inspect.ismodule(owner):
                yield node, getattr(owner, node.func.attr)


PYTHON_LABELS = [label for label, row in zip(LABELS, SHOWN) if row[1] == "python"]


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=PYTHON_LABELS)
def test_python_that_is_shown_calls_what_exists(page, block):
    for call, function in shown_calls(block):
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            continue
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        try:
            inspect.signature(function).bind_partial(*call.args, **keywords)
        except TypeError as error:
            pytest.fail(f"{page}: {ast.unparse(call)}: {error}")


def plan() -> list[dict]:
    """What `run_pages.py` runs."""
    pages = []
    for page, setup in RUNS.items():
        steps = []
        for name, kind, text in SHOWN:
            if name != page or not runs(page, kind, text):
                continue
            if kind == "python":
                steps.append(["python", text])
            else:
                words = words_of(text)[1:]
                words = ["refine", "--help"] if words[0] == "VERB" else words
                asked = [word for word in words if word != "..."]
                small = SMALL.get(words[0], "").split() if "--help" not in words else []
                small = small[: small.index("--contact")] if "--contact" in asked else small
                small += LEFT_OUT[words[0]].split() if "..." in words else []
                path = re.search(r"\| jq (\S+)", text)
                steps.append(["hoijax", json.dumps([[*asked, *small], path[1] if path else ""])])
        pages.append({"name": page, "setup": setup, "steps": steps})
    return pages


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, dict[str, str]]:
    """The tracebacks of each page."""
    out = tmp_path_factory.mktemp("pages")
    (out / "plan.json").write_text(json.dumps(plan()))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_ENABLE")}
    subprocess.run(
        [sys.executable, ROOT / "tests/run_pages.py", out / "plan.json", out],
        env=plain | {"PYTHONPATH": str(ROOT), "HOIJAX_CACHE": str(out / "cache")}, check=True,
    )  # fmt: skip
    return json.loads((out / "said.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNS)
def test_what_a_page_shows_runs(page, said):
    assert said[page] == {}, "\n".join(f"{step}\n{trace}" for step, trace in said[page].items())
