"""What README and docs show is what hoijax does.

Commands parse. Python that needs nothing but hoijax runs; in the rest, which needs a reader's own files or servers,
every import of hoijax exists and every call of an imported name fits its signature.
"""

import ast
import importlib
import inspect
import pathlib
import re
import shlex
import shutil
from importlib.resources import files

import pytest
import tyro

from hoijax import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUN = {
    "README.md": "",
    "blaze.md": "from PIL import Image; Image.new('RGB', (160, 120), (90, 120, 60)).save('photo.jpg')",
    "diffusion.md": "",
    "geometry.md": "",
    "interactanything.md": "",
    "interaction.md": "",
    "refine.md": "shutil.copy(demo / 'sit_chair.npz', 'estimate.npz'); "
    "import trimesh; trimesh.load_mesh(demo / 'sit_chair.glb').export('chair.obj')",
    "render.md": "",
    "start.md": "",
}
"""Pages whose blocks run one after the other, and what is run before them."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: pathlib.Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: pathlib.Path) -> list[list[str]]:
    """The words of each `hoijax ...` of a page's shell blocks."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for separator in ("&&", "|", ">"):
                words = words[: words.index(separator)] if separator in words else words
            if words[:1] == ["hoijax"] and words[1:2] != ["VERB"] and words[1] != "--completion":
                found.append(words[1:])
    return found


LEFT_OUT = {"refine": "--body b.npz --object o.obj --out out", "reconstruct": "--image i.jpg --object o.obj --out out"}
"""What a page's `...` stands for."""
SHOWN = [("--help", [name, *shlex.split(verb.example)]) for name, verb in cli.VERBS.items() if verb.example]
SHOWN += [(page.name, words) for page in PAGES for words in commands(page)]


def test_there_are_commands_to_look_at():
    assert len(SHOWN) > 50
    assert {words[0] for _, words in SHOWN} >= set(cli.VERBS) - {"demo"}


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{page}:{' '.join(words)[:60]}" for page, words in SHOWN])
def test_a_command_that_is_shown_has_options_that_exist(page, words, capsys):
    module = importlib.import_module(cli.VERBS[words[0]].module)
    rest = [word for word in words[1:] if word not in (cli.NO_CACHE, "--json", "...")]
    rest += LEFT_OUT[words[0]].split() if "..." in words else []
    try:
        tyro.cli(module.Options, args=rest, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        assert stop.code == 0, f"{page}: hoijax {' '.join(words)}\n{capsys.readouterr().err}"


PYTHON = [(page, number, block) for page in PAGES for number, block in enumerate(blocks(page, "python"))]


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


@pytest.mark.parametrize(
    ("page", "number", "block"), PYTHON, ids=[f"{page.name}:{number}" for page, number, _ in PYTHON]
)
def test_python_that_is_shown_calls_what_exists(page, number, block):
    for call, function in shown_calls(block):
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            continue
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        try:
            inspect.signature(function).bind_partial(*call.args, **keywords)
        except TypeError as error:
            pytest.fail(f"{page.name}, block {number}: {ast.unparse(call)}: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_python_that_needs_nothing_but_hoijax_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = next(page for page in PAGES if page.name == name)
    names = {"shutil": shutil, "demo": files("hoijax.assets") / "demo"}
    exec(RUN[name], names)
    for block in blocks(page, "python"):
        exec(compile(block, f"{name}", "exec"), names)
