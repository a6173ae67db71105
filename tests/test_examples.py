"""Each example does what its first line says, at its small setting.

All run in one process of their own, with JAX as users have it: the other tests compute in float64, are strict about
promotion, and keep what they have made.
"""

import ast
import json
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples"
NOTEBOOKS = sorted((FOLDER / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.slow
DRIVER = """
import contextlib, json, os, pathlib, pickle, runpy, sys, traceback

out = pathlib.Path(sys.argv[1])
for path in map(pathlib.Path, sys.argv[2:]):
    folder = out / path.stem
    folder.mkdir(parents=True)
    try:
        with contextlib.chdir(folder):
            if path.suffix == ".py":
                said = runpy.run_path(str(path))["main"](out=folder / "out", small=True)
            else:
                said, names = {}, {}
                for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
                    if cell["cell_type"] == "code":
                        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    except BaseException:
        said = traceback.format_exc()
    (folder / "said.pkl").write_bytes(pickle.dumps(said))
"""
"""Runs them one after the other and keeps what each `main` returns, or the traceback."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> pathlib.Path:
    """Where all have run."""
    out = tmp_path_factory.mktemp("examples")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_ENABLE")}
    files = [*sorted(FOLDER.glob("[0-9]*.py")), *NOTEBOOKS]
    subprocess.run([sys.executable, "-c", DRIVER, out, *files], env=plain | {"PYTHONPATH": str(ROOT)}, check=True)
    return out


def run(name: str, finished: pathlib.Path) -> tuple[dict, pathlib.Path]:
    """What `main` of an example returned, and its folder."""
    folder = next(finished.glob(f"{name}_*"))
    said = pickle.loads((folder / "said.pkl").read_bytes())
    assert isinstance(said, dict), said
    return said, folder / "out"


def test_01_a_body_is_as_tall_as_people_and_the_first_beta_makes_it_taller(finished):
    said, out = run("01", finished)
    assert 1.6 < said["height"] < 1.85 and said["slope"].shape == (10,) and said["slope"][0] > 0.01
    assert (out / "sitting.png").stat().st_size > 1000


def test_02_a_few_steps_bring_the_man_nearer_to_his_chair(finished):
    said, _out = run("02", finished)
    assert np.mean(said["after"]["contact"]) < 0.5 * np.mean(said["before"]["contact"])


def test_03_an_estimate_is_refined_and_exported(finished):
    said, out = run("03", finished)
    assert said["code"] == 0 and {"refined.npz", "interaction.glb", "metrics.json"} <= set(said["files"])
    assert (out / "carry.bvh").read_text().startswith("HIERARCHY")


def test_04_outlines_pull_the_chair_back(finished):
    said, _out = run("04", finished)
    assert said["degrees"] < 19 and said["mm"] < 98


def test_05_a_centimetre_deep_is_measured_as_one(finished):
    said, _out = run("05", finished)
    assert 0.004 < said["depth"] < 0.02 and 0 < said["inside"] < said["touching"]


def test_06_a_drawn_picture_gives_body_and_object(finished):
    said, out = run("06", finished)
    assert said["code"] == 0 and (out / "result" / "interaction.glb").exists()


def test_07_frames_become_a_file_that_plays(finished):
    said, _out = run("07", finished)
    assert said["code"] == 0 and said["glb"] > 10_000


def test_08_the_person_comes_down_to_the_bench(finished):
    said, out = run("08", finished)
    assert said["code"] == 0
    before, after = (np.load(out / name)["transl"][0, 1] for name in ("people.npz", "fitted/refined.npz"))
    assert before - 0.16 < after < before - 0.03


def test_09_guided_samples_end_on_the_line_and_free_ones_fill_both_modes(finished):
    said, _out = run("09", finished)
    assert abs(said["free"]) < 0.1 and 0.3 < said["guided"] < 0.7
    assert 0.35 < np.mean(said["modes"] > 0) < 0.65


def test_10_the_sentence_asks_for_the_seat(finished):
    said, _out = run("10", finished)
    assert said["contacts"] == ["seat"] and said["contact"]["seat"] < 0.1


def test_11_a_sample_is_built_and_read(finished):
    said, _out = run("11", finished)
    assert said["count"] == 1 and {"image", "object_mask", "body_contact"} <= set(said["keys"])


def test_12_hands_come_to_the_cup(finished):
    said, _out = run("12", finished)
    assert said["distances"].shape == (4,) and said["distances"].max() < 0.1


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_an_example_has_at_most_forty_lines_beside_imports_and_words(path):
    source = path.read_text(encoding="utf-8")
    beside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if words or isinstance(node, ast.Import | ast.ImportFrom):
            beside.update(range(node.lineno, node.end_lineno + 1))
    lines = [line for number, line in enumerate(source.splitlines(), 1) if number not in beside]
    assert sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines) <= 40


def test_no_example_is_forgotten():
    tested = {name[5:7] for name in globals() if name.startswith("test_") and name[5:7].isdigit()}
    assert tested == {path.name[:2] for path in FOLDER.glob("[0-9]*.py")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_is_committed_without_output(path, finished):
    said = pickle.loads((finished / path.stem / "said.pkl").read_bytes())
    assert said == {}, said
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 3 and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
