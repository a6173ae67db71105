"""`reconstruct` around the networks: batches of pictures, resuming, Ctrl-C, answers that cannot be used."""

import dataclasses
import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.jobs import objects, pictures, reconstruction
from hoijax.jobs.pictures import ReconstructRequest, reconstruct_pictures
from hoijax.jobs.reconstruction import Reconstructed, ReconstructionStage, Reconstructor
from hoijax.systems.scorehoi import GuidedBody, GuidedConfig

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def answer():
    """What the networks say of every picture: a standing body five metres before the camera, a box beside it."""
    model = free_body("test")
    pose = named_pose("stand") | {"betas": np.zeros(10, np.float32)}
    params = BodyParams.from_axis_angle(model, **(pose | {"transl": np.float32([0, 0, 5])}))
    params = BodyParams(*(np.asarray(x) for x in (params.rotations, params.betas, params.translation)))
    place = RigidPose(np.eye(3, dtype=np.float32), np.float32([0.5, 0, 5]), np.float32(1))
    stage = ReconstructionStage(np.asarray(pose_body(model, params).vertices), place, params)
    stages = {"estimate": stage, "guided": stage, "refined": dataclasses.replace(stage, params=None)}
    zero = np.zeros(3, np.float32)
    return model, stages, {"body": zero, "object": zero, "floor": zero}, {"contact": [0.0]}


@pytest.fixture
def job(answer, tmp_path, monkeypatch):
    """Runs it with the networks taken out; returns failures and the pictures of each batch."""
    model, stages, contacts, losses = answer
    seen, bad = [], set()
    (tmp_path / "images").mkdir()
    for place in ("images", "humans", "objects"):
        (tmp_path / place).mkdir(exist_ok=True)
        for i, name in enumerate(NAMES):
            pixels = np.full((40, 40), 40 * i, np.uint8)
            if place != "images":
                pixels = np.zeros((40, 40), np.uint8)
                pixels[5:35, 10:20] = 255
            Image.fromarray(pixels).save(tmp_path / place / f"{name}.png")
    trimesh.creation.box((0.4, 0.3, 0.3)).export(tmp_path / "box.obj")

    def answers(reconstructor, template, batch):
        seen.append([p.name for p in batch])
        found = []
        for photograph in batch:
            chosen = stages
            if photograph.name in bad:
                hurt = stages["guided"].vertices.copy()
                hurt[7, 1] = np.nan
                chosen = stages | {"guided": dataclasses.replace(stages["guided"], vertices=hurt)}
            found.append(Reconstructed(photograph, chosen, contacts, losses))
        return found

    facts = {"regressor": "r", "denoiser": "d"}
    made = Reconstructor(model, object.__new__(GuidedBody), 64, np.ravel, 2500.0, lambda *inputs: None, facts)
    monkeypatch.setattr(reconstruction, "make_reconstructor", lambda *args: made)
    monkeypatch.setattr(pictures, "reconstruct_batch", answers)
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 12)

    def run(*, redo=False, unusable=(), **changes):
        seen.clear()
        bad.clear()
        bad.update(unusable)
        usual = {
            "image": tmp_path / "images", "human_mask": tmp_path / "humans", "object_mask": tmp_path / "objects",
            "batch_size": 2,
        }  # fmt: skip
        request = ReconstructRequest(
            object=tmp_path / "box.obj", out=tmp_path / "out", config=GuidedConfig(), **(usual | changes)
        )
        return reconstruct_pictures(request, pictures=0, redo=redo), list(seen)

    return run


def test_pictures_are_done_in_batches_and_found_again(job, tmp_path, capsys):
    assert job() == ({}, [["a", "b"], ["c", "c"]])
    told = capsys.readouterr().out
    assert "3 pictures, 3 to reconstruct" in told and "overlap with the masks" in told
    for name in NAMES:
        record = json.loads((tmp_path / "out" / name / "metrics.json").read_text())
        assert record["name"] == name and record["shown"] == "guided" and record["key"] and record["versions"]
        assert (tmp_path / "out" / name / "overlay.png").is_file()
    assert job() == ({}, []) and "0 to reconstruct" in capsys.readouterr().out
    assert job(show="estimate")[1] == [["a", "b"], ["c", "c"]]
    pixels = np.full((40, 40), 7, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "b.png")
    assert job(show="estimate")[1] == [["b"]]
    pixels = np.zeros((40, 40), np.uint8)
    pixels[6:35, 10:20] = 255
    for place in ("humans", "objects"):
        Image.fromarray(pixels).save(tmp_path / place / "c.png")
        assert job(show="estimate")[1] == [["c"]]
    assert len(job(show="estimate", redo=True)[1]) == 2


def test_one_picture_has_the_folder_to_itself(job, tmp_path):
    files = {
        name: tmp_path / folder / "b.png"
        for name, folder in (("image", "images"), ("human_mask", "humans"), ("object_mask", "objects"))
    }
    assert job(**files) == ({}, [["b"]])
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["name"] == "b"
    assert (tmp_path / "out" / "overlay.png").is_file() and not (tmp_path / "out" / "b").exists()


def test_an_answer_that_is_not_finite_is_named_and_the_rest_is_done(job, tmp_path):
    failures, _ = job(unusable={"b"})
    assert list(failures) == ["b"] and "not finite" in failures["b"] and not (tmp_path / "out" / "b").exists()
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(summary["items"]) == ["a", "c"] and summary["failed"] == failures
    assert job()[1] == [["b"]]


def test_nothing_is_written_where_nothing_can_be_used(job, tmp_path):
    with pytest.raises(InputError, match="not finite"):
        job(unusable=set(NAMES))
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_batches_that_are_done(job, monkeypatch, capsys):
    good = pictures.reconstruct_batch
    calls = []

    def second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return good(*args)

    monkeypatch.setattr(pictures, "reconstruct_batch", second)
    with pytest.raises(KeyboardInterrupt):
        job()
    assert "2 of 3 pictures are finished and written" in capsys.readouterr().out
    monkeypatch.setattr(pictures, "reconstruct_batch", good)
    assert job() == ({}, [["c"]])
