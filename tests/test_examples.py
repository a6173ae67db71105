"""Each example does what its first line says, at its small setting."""

import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.slow
USERS = {"jax_enable_x64": False, "jax_numpy_rank_promotion": "allow", "jax_numpy_dtype_promotion": "standard"}


@pytest.fixture(autouse=True)
def jax_as_users_have_it():
    """The other tests compute in float64 and are strict about promotion."""
    before = {name: getattr(jax.config, name) for name in USERS}
    for name, value in USERS.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def run(name: str, tmp_path: pathlib.Path) -> dict:
    """What `main` of an example returns."""
    path = next(FOLDER.glob(f"{name}_*.py"))
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(out=tmp_path / "out", small=True)


def test_01_a_body_is_as_tall_as_people_and_the_first_beta_makes_it_taller(tmp_path):
    said = run("01", tmp_path)
    assert 1.6 < said["height"] < 1.85 and said["slope"].shape == (10,) and said["slope"][0] > 0.01
    assert (tmp_path / "out" / "sitting.png").stat().st_size > 1000


def test_02_a_few_steps_bring_the_man_nearer_to_his_chair(tmp_path):
    said = run("02", tmp_path)
    assert np.mean(said["after"]["contact"]) < 0.5 * np.mean(said["before"]["contact"])


def test_03_an_estimate_is_refined_and_exported(tmp_path):
    said = run("03", tmp_path)
    assert said["code"] == 0 and {"refined.npz", "interaction.glb", "metrics.json"} <= set(said["files"])
    assert (tmp_path / "out" / "carry.bvh").read_text().startswith("HIERARCHY")


def test_04_outlines_pull_the_chair_back(tmp_path):
    said = run("04", tmp_path)
    assert said["degrees"] < 19 and said["mm"] < 98


def test_05_a_centimetre_deep_is_measured_as_one(tmp_path):
    said = run("05", tmp_path)
    assert 0.004 < said["depth"] < 0.02 and 0 < said["inside"] < said["touching"]


def test_06_a_drawn_picture_gives_body_and_object(tmp_path):
    said = run("06", tmp_path)
    assert said["code"] == 0 and (tmp_path / "out" / "result" / "interaction.glb").exists()


def test_07_frames_become_a_file_that_plays(tmp_path):
    said = run("07", tmp_path)
    assert said["code"] == 0 and said["glb"] > 10_000


def test_08_the_person_comes_down_to_the_bench(tmp_path):
    assert run("08", tmp_path)["code"] == 0
    before, after = (np.load(tmp_path / "out" / name)["transl"][0, 1] for name in ("people.npz", "fitted/refined.npz"))
    assert before - 0.16 < after < before - 0.03


def test_09_guided_samples_end_on_the_line_and_free_ones_fill_both_modes(tmp_path):
    said = run("09", tmp_path)
    assert abs(said["free"]) < 0.1 and 0.3 < said["guided"] < 0.7
    assert 0.35 < np.mean(said["modes"] > 0) < 0.65


def test_10_the_sentence_asks_for_the_seat(tmp_path):
    said = run("10", tmp_path)
    assert said["contacts"] == ["seat"] and said["contact"]["seat"] < 0.1


def test_11_a_sample_is_built_and_read(tmp_path):
    said = run("11", tmp_path)
    assert said["count"] == 1 and {"image", "object_mask", "body_contact"} <= set(said["keys"])


def test_12_hands_come_to_the_cup(tmp_path):
    said = run("12", tmp_path)
    assert said["distances"].shape == (4,) and said["distances"].max() < 0.1


def test_no_example_is_forgotten():
    tested = {name[5:7] for name in globals() if name.startswith("test_") and name[5:7].isdigit()}
    assert tested == {path.name[:2] for path in FOLDER.glob("[0-9]*.py")}


@pytest.mark.parametrize("path", sorted((FOLDER / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_is_committed_without_output(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 3
    for number, cell in enumerate(cells):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
