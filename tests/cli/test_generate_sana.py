"""`hoijax generate --backend sana` from nothing with the small networks, stage by stage, and what it refuses."""

import json

import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_npz
from hoijax.jobs import generation, sana_generation
from hoijax.nets.sana import VIEWS, view_text
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen import chain
from hoijax.systems.hoi3dgen.annotation.contact import measure_contact
from hoijax.systems.hoi3dgen.layout import RunFolder, read_labels, read_masks, read_picture, read_prompts, write_masks
from hoijax.systems.hoi3dgen.text_to_image import load_text_to_image
from hoijax.viz import read_scene

PROMPT = "A woman in a red jacket carries a blue box with both hands."
OPTIONS = ("--backend", "sana", "--lod", "test", "--size", 64, "--seed", 1)


def run(*args):
    return main(["generate", *map(str, args)])


@pytest.fixture(scope="module", autouse=True)
def short_fit():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sana_generation, "FIT", SurfaceFitConfig(yaws=2, lying=False, kept=(1, 1), steps=(2, 2)))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "result"
    assert run(PROMPT, "--out", out, *OPTIONS) == 0
    return out


def test_the_small_networks_draw_and_every_stage_lies_in_the_run(made):
    folder = RunFolder(made / "run")
    drawn = load_text_to_image().draw([view_text(PROMPT, view) for view in VIEWS], seed=1)
    for i, picture in enumerate(drawn):
        np.testing.assert_array_equal(read_picture(folder.path("images", i)), picture)
    assert folder.indices("white_bg") == (0, 1, 2)
    assert folder.indices("mesh") == folder.indices("render") == folder.indices("masks") == (0,)
    assert read_masks(folder.path("masks", 0), 8, (64, 64))[1].all()
    assert [row.text for row in read_prompts(made / "run/prompts.csv")] == [PROMPT]


def test_the_contact_of_what_is_written_is_measured_in_the_bodys_metres(made):
    record = json.loads((made / "metrics.json").read_text())
    assert (record["prompt"], record["asked"]) == (PROMPT, "both hands") and record["options"]["backend"] == "sana"
    scene = {part.name.partition("_")[0]: part for part in read_scene(made / "interaction.glb")}
    assert set(scene) == {"human", "object"}
    arrays, model = read_npz(made / "interaction.npz"), free_body("test")
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    params = BodyParams.from_axis_angle(model, **{key: arrays[key] for key in keys})
    body = np.asarray(pose_body_compiled(model, params).vertices)
    thing = Mesh(np.asarray(scene["object"].vertices) / float(arrays["scale"]), scene["object"].faces)
    assert measure_contact(body, model, thing).config.replace("_", " ") == record["measured"]
    assert record["good"] == (record["measured"] == "both hands")
    labels = read_labels(made / "run/seg/0000/labels.npz")["labels"]
    assert record["object_share"] == pytest.approx(labels.mean())
    size = float(np.ptp(scene["human"].vertices[:, 1])) / float(arrays["scale"])
    assert 1.0 < size < 2.2  # metres


def test_the_same_command_has_nothing_to_do(made, capsys):
    before = (made / "interaction.glb").stat().st_mtime_ns
    assert run(PROMPT, "--out", made, *OPTIONS) == 0
    told = capsys.readouterr().out
    assert "finished already" in told and (made / "interaction.glb").stat().st_mtime_ns == before


def test_masks_of_another_program_are_taken_and_nothing_before_them_is_made_again(made, capsys, monkeypatch):
    folder = RunFolder(made / "run")
    masks, _ = read_masks(folder.path("masks", 0), 8, (64, 64))
    before = read_labels(folder.file("seg", 0, "labels.npz"))["labels"]
    write_masks(folder.path("masks", 0), masks[::-1])
    monkeypatch.setattr(sana_generation, "load_text_to_image", None)
    monkeypatch.setattr(chain, "render_surface", None)
    try:
        assert run(PROMPT, "--out", made, *OPTIONS, "--redo") == 0
        told = capsys.readouterr().out
        assert "taken as they are there: run/images, run/white_bg, run/mesh, run/render, run/masks;" in told
        after = read_labels(folder.file("seg", 0, "labels.npz"))["labels"]
        assert np.mean(after == before) < 0.2
    finally:
        write_masks(folder.path("masks", 0), masks)


@pytest.mark.parametrize("prompt, options, said", [
    ("A woman in a red jacket carries a blue lamp.", (), "the text encoder does not know 'lamp'"),
    ("A woman in a red jacket carries a box.", (), "colour of the object"),
    ("A woman in a red jacket carries a red box.", (), "colour of the object that no garment has"),
    (PROMPT, ("--weights", "nowhere"), "there are no weights at nowhere"),
    (PROMPT, ("--mesh-server", "localhost"), "wanted such as http://"),
    (PROMPT, ("--weights", __file__), "test_generate_sana.py"),
    (PROMPT, ("--backend", "compose", "--mesh-server", "http://localhost"), "are of --backend sana"),
])  # fmt: skip
def test_what_cannot_be_made_is_told_before_anything_is_written(prompt, options, said, tmp_path, capsys):
    assert run(prompt, "--out", tmp_path / "out", *OPTIONS, *options) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_other_prompts_and_views_are_refused(made, capsys):
    assert run("A man in a green shirt kicks a yellow ball.", "--out", made, *OPTIONS) == 2
    assert f"holds the stages of {PROMPT!r}" in capsys.readouterr().err
    for views, said in ((("back",), "views are front, left diagonal, right diagonal, got back"), ((), "got none"),
                        (("front",), "the backend sana draws the views front, left")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            generation.prepare_generation(generation.GenerationRequest(PROMPT, made, "sana", views=views))


def test_a_contact_that_is_not_understood_is_measured_all_the_same(made):
    request = generation.GenerationRequest("A dragon.", made)
    assert sana_generation.asked_contact(request) is None
    assert sana_generation.asked_contact(generation.GenerationRequest(PROMPT, made)) == "both hands"
