"""Recipes: they are what was run, say what was measured, read as commands, and run."""

import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import sys

import jax
import pytest
import tyro

from hoijax.cli.data import _settings
from hoijax.data.synth import SynthConfig, build, building, solver
from hoijax.errors import InputError
from hoijax.experiments.common.recipes import (
    Part,
    Recipe,
    SynthBuild,
    change_settings,
    command_of,
    elsewhere,
    place_under,
    run_recipe,
    trial,
)
from hoijax.experiments.graft.recipes import TRAININGS
from hoijax.experiments.graft.train import Config as GraftConfig
from hoijax.experiments.recipes import RECIPES, Config, run
from hoijax.experiments.scorehoi.recipes import TINY_SYNTH
from hoijax.nets.weights import read_facts, shipped_file

ROOT = pathlib.Path(__file__).resolve().parents[3]
ASSETS = ROOT / "hoijax" / "assets"
PARTS = [(name, part) for name, recipe in RECIPES.items() for part in recipe.parts]


def test_every_trained_weight_that_is_shipped_has_its_recipe():
    shipped = {
        str(path.relative_to(ASSETS))
        for s in ("graft", "hoi3dgen", "interactanything", "scorehoi")
        for path in (ASSETS / s).glob("*.safetensors")
    }
    assert shipped == {recipe.ships for recipe in RECIPES.values()}
    assert {recipe.weights.name for recipe in RECIPES.values()} == {
        "graft.safetensors", "interactanything.safetensors", "weights.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("number", range(len(TRAININGS)))
def test_grafts_trainings_are_those_that_were_recorded_when_they_ran(number):
    stages = json.loads((ASSETS / "graft" / "graft.json").read_text())["stages"]
    recorded = stages[number]
    assert len(stages) == len(TRAININGS)
    ours = json.loads(json.dumps(dataclasses.asdict(TRAININGS[number]), default=str))
    for name, value in recorded.items():
        if name not in ("out", "synth", "start", "save_every", "queries", "weights"):
            assert ours[name] == value, name
    for group in ("queries", "weights"):
        assert ours[group] | recorded[group] == ours[group], group
    assert (recorded.get("synth") is None) == (TRAININGS[number].synth is None)
    if number:
        assert TRAININGS[number].start == TRAININGS[number - 1].out / "graft.safetensors"


@pytest.mark.parametrize("name", ["prior", "regressor", "denoiser"])
def test_scorehois_trainings_are_those_that_the_weights_tell(name):
    facts, config = read_facts(shipped_file(f"scorehoi_{name}")), RECIPES[f"scorehoi_{name}"].parts[-1].config
    sizes = facts.pop("network", {})
    compared = [field.name for field in dataclasses.fields(config) if field.name in facts]
    assert len(compared) >= 6
    for key in compared:
        assert getattr(config, key) == facts[key], key
    assert all(getattr(config, key) == value for key, value in sizes.items())
    if name == "prior":
        solved = RECIPES["scorehoi_prior"].parts[0].config.synth.train
        assert (config.scripted, solved) == (facts["states"]["scripted"], facts["states"]["solved"])


@pytest.mark.parametrize("name", RECIPES)
def test_what_to_expect_is_what_was_measured(name):
    for expected in RECIPES[name].expected:
        found = json.loads((ROOT / "docs" / "results" / expected.page).read_text())
        for key in expected.path:
            found = found[key]
        digits = len(str(expected.value).partition(".")[2])
        assert expected.value == round(found, digits), expected.what
    assert RECIPES[name].expected and RECIPES[name].hours > 0.04


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[f"{name} {part.name}" for name, part in PARTS])
def test_commands_read_back_as_the_same_settings(name, part):
    """Through the parsers that users' command lines go through."""
    words = shlex.split(command_of(part))
    if isinstance(part.config, SynthBuild):
        assert words[:5] == ["hoijax", "data", "build", "synth_hoi", "--root"] and words[5] == str(part.config.root)
        assert _settings(SynthConfig(), words[7:]) == part.config.synth
        return
    assert words[:2] == ["python", "-m"] and words[2] == part.module.split()[0]
    words = words[3:]
    if words[0] == "--stage":
        words = words[2:]
    assert tyro.cli(type(part.config), args=words) == part.config
    assert trial(part, 2).steps == 2 if hasattr(part.config, "steps") else True


@pytest.mark.parametrize("name", RECIPES)
def test_every_part_finds_what_it_reads_made_before_it(name):
    made = []
    for part in RECIPES[name].parts:
        for path in (getattr(part.config, key, None) for key in ("start", "synth", "reviews", "views")):
            for one in path if isinstance(path, tuple) else (path,):
                if isinstance(one, pathlib.Path):
                    assert any(one in (file, *file.parents) for file in made), (part.name, one)
        made.append(part.made)


def test_paths_of_a_recipe_lie_in_its_folder(tmp_path):
    config = TRAININGS[2]
    there = place_under(config, tmp_path)
    assert there.out == tmp_path / config.out and there.start == tmp_path / config.start
    assert there.synth == tmp_path / config.synth and there.root is None
    assert dataclasses.replace(there, out=config.out, start=config.start, synth=config.synth) == config
    views = place_under(RECIPES["scorehoi_regressor"].parts[-1].config, tmp_path).views
    assert views == (tmp_path / "views/scripted", tmp_path / "views/solved")
    absolute = pathlib.Path("/data/synth")
    assert place_under(GraftConfig(out=absolute), tmp_path).out == absolute


def test_changes_go_to_the_settings_that_they_name():
    config = change_settings(TRAININGS[0], {"rate": 1.0, "queries.clean": 0.5, "queries.truth.pose": 3.0})
    assert (config.rate, config.queries.clean, config.queries.truth.pose) == (1.0, 0.5, 3.0)
    assert config.queries.truth.orient == TRAININGS[0].queries.truth.orient and TRAININGS[0].rate == 1e-3
    with pytest.raises(InputError, match="QueryConfig has no setting 'claen'"):
        change_settings(config, {"queries.claen": 1})


@dataclasses.dataclass(frozen=True)
class Copy:
    """A part of a made-up recipe: writes what it read, one letter more."""

    root: pathlib.Path
    before: pathlib.Path | None = None
    steps: int = 5


def chain():
    ran = []

    def copy(config):
        ran.append((config.root.name, config.steps))
        text = (config.before / "text").read_text() if config.before else ""
        config.root.mkdir()
        (config.root / "text").write_text(text + config.root.name)

    parts = tuple(
        Part(
            name, "x", copy, Copy(pathlib.Path(name), before and pathlib.Path(before)), pathlib.Path(name) / "text", {}
        )
        for name, before in (("a", None), ("b", "a"), ("c", "b"))
    )
    return Recipe("chain", "", parts[-1].made, "", parts, ()), ran


def test_parts_run_in_order_once_each_and_find_what_came_before(tmp_path):
    recipe, ran = chain()
    assert run_recipe(recipe, tmp_path / "out").read_text() == "abc"
    assert ran == [("a", 5), ("b", 5), ("c", 5)]
    (tmp_path / "out/b/text").unlink()
    (tmp_path / "out/b").rmdir()
    run_recipe(recipe, tmp_path / "out")
    assert ran[3:] == [("b", 5)]
    # A trial is no recipe: neither is taken for the other.
    with pytest.raises(InputError, match="holds a 'a' with another steps"):
        run_recipe(recipe, tmp_path / "out", steps=2)
    run_recipe(recipe, tmp_path / "trial", steps=2)
    assert ran[4:] == [("a", 2), ("b", 2), ("c", 2)]


def test_views_that_lie_elsewhere_are_used(tmp_path):
    """A part without a root is found by where it writes."""
    recipe, config = RECIPES["graft"], TRAININGS[7]
    assert config.reviews == pathlib.Path("views_450")
    moved = elsewhere(recipe, config, {"views_450": tmp_path, "synth_200": tmp_path / "other"})
    assert moved == dataclasses.replace(config, reviews=tmp_path.resolve())


def test_what_lies_elsewhere_is_used_and_not_made(tmp_path):
    recipe, ran = chain()
    other = tmp_path / "other"
    other.mkdir()
    (other / "text").write_text("z")
    assert run_recipe(recipe, tmp_path / "out", have={"a": other}).read_text() == "zbc"
    assert [name for name, _ in ran] == ["b", "c"]
    with pytest.raises(InputError, match="recipe chain has no part d; its parts are a, b, c"):
        run_recipe(recipe, tmp_path / "out", have={"d": other})


def test_recipes_are_told(capsys):
    run(Config())
    told = capsys.readouterr().out
    assert all(f"{name}: {recipe.ships}" in told for name, recipe in RECIPES.items())
    assert "V2S after three steps, mm: 60.7 (graft.json)" in told and "4.5 hours" in told
    run(Config("graft", show=True))
    commands = [line for line in capsys.readouterr().out.splitlines() if "experiments.graft.train" in line]
    assert len(commands) == 9 and "--start 1/graft.safetensors" in commands[1] and "--no-fold" in commands[0]
    for settings, message in (
        ({"name": "nothing"}, "no recipe 'nothing'; there are scorehoi_prior"),
        ({"name": "graft", "steps": 0}, "steps must be at least 1"),
        ({"name": "graft", "have": ("synth",)}, "wants NAME=FOLDER"),
    ):
        with pytest.raises(InputError, match=message):
            Config(**settings)


@pytest.fixture(scope="module")
def synth(tmp_path_factory):
    """Two interactions and a few scenes of a real build, and the folder of the trials."""
    config = change_settings(SynthBuild(pathlib.Path(), SynthConfig()), TINY_SYNTH | {"synth.scenes": 5}).synth
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(False):
        patch.setattr(solver, "BATCH", 6)
        patch.setattr(solver, "RESOLUTION", 24)
        patch.setattr(building, "SHARD", 5)
        root = tmp_path_factory.mktemp("synth")
        build(config, root, progress=False)
    return root, tmp_path_factory.mktemp("trials")


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_two_steps_of_every_recipe(name, synth):
    """The command as a user runs it, all parts of the chain; what was made before is not made again."""
    root, out = synth
    have = [f"{part.name}={root}" for part in RECIPES[name].parts if isinstance(part.config, SynthBuild)]
    environment = os.environ | {
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false", "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }  # fmt: skip
    words = [sys.executable, "-m", "hoijax.experiments.recipes", name, f"--out={out}", "--steps=2", "--have", *have]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = out / RECIPES[name].weights
    assert done.stdout.splitlines()[-1] == str(weights) and weights.stat().st_size > 1000
    for part in RECIPES[name].parts:
        if (out / part.made).parent.joinpath("metrics.jsonl").exists():
            rows = (out / part.made).parent.joinpath("metrics.jsonl").read_text().splitlines()
            assert [json.loads(row)["step"] for row in rows] == [1, 2]
