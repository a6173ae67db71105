"""`hoijax generate` end to end on a small body, and what it refuses."""

import json

import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_npz
from hoijax.jobs import generation
from hoijax.systems.hoi3dgen.annotation.contact import measure_contact
from hoijax.systems.hoi3dgen.layout import RunFolder, read_labels, read_picture, read_prompts, read_surface
from hoijax.viz import read_scene

PROMPT = "A woman in a red jacket sits on a blue stool"


def run(*args):
    return main(["generate", *map(str, args)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "result"
    options = ("--count", 2, "--lod", "test", "--no-physics", "--size", 64)
    assert run(PROMPT, "--out", out, *options) == 0
    return out


def test_a_prompt_becomes_a_scene_whose_contact_is_measured(made):
    record = json.loads((made / "metrics.json").read_text())
    assert record["asked"] == "others" and record["prompt"] == PROMPT
    best = record["candidates"][0]
    assert record["good"] == (best["measured"] == "others" and best["depth_m"] < 0.01)
    assert record["verdict"].startswith("contact as asked" if best["measured"] == "others" else "contact is")
    assert "jacket" in record["materials"]["human"] and record["shape"] == "procedural stool 0"
    # Measured again on what is in the files.
    arrays = read_npz(made / "interaction.npz")
    model = free_body("test")
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    body = np.asarray(
        pose_body_compiled(model, BodyParams.from_axis_angle(model, **{k: arrays[k] for k in keys})).vertices
    )
    labels = read_labels(made / "run/seg/0000/labels.npz")
    np.testing.assert_allclose(labels["vertices"][labels["labels"] == 0], body, atol=1e-5)
    first = (labels["labels"] == 0).sum()
    faces = labels["faces"]
    thing = Mesh(labels["vertices"][first:], faces[faces.min(axis=1) >= first] - first)
    assert measure_contact(body, model, thing).config.replace("_", " ") == best["measured"]
    stool = np.asarray(thing.vertices)
    np.testing.assert_allclose(stool[:, 1].min(), 0.0, atol=0.02)
    np.testing.assert_allclose((stool.min(axis=0) + stool.max(axis=0)) / 2, arrays["obj_trans"], atol=5e-3)


def test_the_files_of_the_run_are_there_and_agree(made):
    folder = RunFolder(made / "run")
    assert folder.indices("images") == (0, 1, 2) and folder.indices("mesh") == folder.indices("smpl") == (0,)
    (row,) = read_prompts(made / "run/prompts.csv")
    assert (row.text, row.object, row.contact) == (PROMPT, "stool", "others")
    picture = read_picture(folder.path("images", 0))
    assert picture.shape == (64, 64, 3) and picture[0, 0].min() > 240
    red = (picture[..., 0].astype(int) - picture[..., 1:].max(axis=-1)) > 40
    assert red.sum() > 15  # the jacket
    posed = read_surface(folder.path("mesh", 0))
    labels = read_labels(made / "run/seg/0000/labels.npz")
    np.testing.assert_allclose(posed.vertices.min(axis=0), labels["vertices"].min(axis=0), atol=1e-4)
    np.testing.assert_allclose(posed.vertices.max(axis=0), labels["vertices"].max(axis=0), atol=1e-4)
    blue = posed.colors[:, 2] > posed.colors[:, 0] + 0.3
    assert blue.any() and np.ptp(posed.vertices[blue], axis=0).max() < 0.8
    names = {m.name.partition("_")[0] for m in read_scene(made / "interaction.glb")}
    assert names == {"human", "object"}
    for name in ("report.html", "relations.json", "candidates/00.npz", "run/seg/0000/segmented.glb"):
        assert (made / name).stat().st_size > 200, name


def test_the_same_command_has_nothing_to_do(made, capsys):
    before = (made / "interaction.glb").stat().st_mtime_ns
    assert run(PROMPT, "--out", made, "--count", 2, "--lod", "test", "--no-physics", "--size", 64) == 0
    assert "finished already" in capsys.readouterr().out and (made / "interaction.glb").stat().st_mtime_ns == before


@pytest.mark.parametrize("prompt, options, said", [
    (" ", (), "empty"),
    ("A man and a woman carry a box", (), "second person"),
    ("A woman holds a gizmo", (), "no shape ships for 'gizmo'"),
    ("Una mujer lleva una caja azul", (), "no English"),
    (PROMPT, ("--count", "0"), "--count 0"),
    (PROMPT, ("--seed", "-1"), "--seed -1"),
    (PROMPT, ("--size", "3"), "--size 3"),
    (PROMPT, ("--backend", "dreams"), "there is no backend 'dreams'; there are compose"),
])  # fmt: skip
def test_bad_prompts_and_options_are_told_before_anything_is_written(prompt, options, said, tmp_path, capsys):
    assert run(prompt, "--out", tmp_path / "out", *options) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert run(PROMPT, "--out", tmp_path / "out") == 2
    assert "out" in capsys.readouterr().err


def test_unknown_garments_are_told_and_their_colour_goes_to_the_shirt(tmp_path, monkeypatch, capsys):
    def begun(setting, *_):
        (garment,) = setting.prompt.person.garments
        raise InputError(f"made with {garment.name} {garment.known}")

    monkeypatch.setattr(generation, "compose", begun)
    assert run("A man in a red sarong holds a ball", "--out", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert "nobody here knows how a sarong is cut; its colour goes to the shirt. Known: " in told.out
    assert "made with sarong False" in told.err
