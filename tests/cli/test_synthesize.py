"""`hoijax synthesize` end to end, and what it refuses."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import trimesh

from hoijax.cli import main
from hoijax.io import read_npz
from hoijax.jobs import synthesis_files
from hoijax.jobs.synthesis import SynthesisRequest, ask_once, prepare_job, prepare_synthesis
from hoijax.systems.interactanything import SynthesisConfig
from hoijax.viz import read_scene

SIT = "A person sits on the stool"


def run(*args):
    return main(["synthesize", *map(str, args)])


@pytest.fixture(scope="module")
def stool(tmp_path_factory):
    path = tmp_path_factory.mktemp("mesh") / "stool.ply"
    trimesh.creation.box((42, 45, 40)).export(path)  # its file is in centimetres and does not say so
    return path


@pytest.fixture(scope="module")
def made(stool, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "result"
    assert run(SIT, "--object", stool, "--out", out, "--count", 2, "--lod", "test", "--no-physics", "--strict") == 0
    return out


def test_everything_is_written_and_agrees(made):
    record = json.loads((made / "metrics.json").read_text())
    assert record["sentence"] == SIT and len(record["candidates"]) == 2 and record["good"] >= 1
    scores = [c["score"] for c in record["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert record["candidates"][0]["contact"]["seat"] < 0.02 and record["candidates"][0]["physics"] is None
    for name in ("report.html", "candidates.png", "relations.json", "candidates/01.glb", "candidates/01.png"):
        assert (made / name).stat().st_size > 200, name
    assert "candidate 2" in (made / "report.html").read_text()
    best, second = (read_npz(made / f) for f in ("interaction.npz", "candidates/01.npz"))
    assert best["body_pose"].shape == (63,) and not np.array_equal(best["body_pose"], second["body_pose"])
    np.testing.assert_allclose(best["obj_scale"], 0.01, rtol=0.5)
    thing, body = sorted(read_scene(made / "interaction.glb"), key=lambda m: m.name == "body")
    assert (body.name, thing.name) == ("body", "object")
    size = np.ptp(thing.vertices, axis=0)
    np.testing.assert_allclose(size[1], 45 * best["obj_scale"], rtol=0.02)
    assert abs(thing.vertices[:, 1].min()) < 0.02 and body.vertices[:, 1].min() > -0.02
    parts = {m.name: m for m in read_scene(made / "affordance.glb")}
    assert set(parts) == {"all", "seat"}
    colors, top = np.asarray(parts["seat"].colors), parts["seat"].vertices[:, 1] > 0
    assert colors[top, 1].mean() < colors[~top, 1].mean()  # redder


def test_relations_of_a_file_are_said_and_older_candidates_go(made, stool, tmp_path, capsys):
    candidates = made / "candidates"
    (tmp_path / "candidates").mkdir()
    for name in ("02.glb", "17.png", "notes.txt"):
        (tmp_path / "candidates" / name).write_text("earlier")
    synthesis_files._clear_candidates(tmp_path / "candidates")
    assert [p.name for p in (tmp_path / "candidates").iterdir()] == ["notes.txt"] and (candidates / "01.glb").is_file()
    request = SynthesisRequest(
        "A person lifts the stool", stool, tmp_path / "out", SynthesisConfig(count=1), lod="test", physics=False,
        relations=made / "relations.json",
    )  # fmt: skip
    assert any(SIT in note for note in prepare_synthesis(request)[1])
    assert not any(SIT in note for note in prepare_synthesis(dataclasses.replace(request, sentence=f" {SIT}"))[1])
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    assert run(SIT, "--object", stool, "--out", tmp_path / "out", "--relations", deep) == 2
    assert "damaged" in capsys.readouterr().err


class Mumbler:
    """A model that says nothing that can be read, and counts how often it is asked."""

    name = "mumbler"

    def __init__(self):
        self.asked = 0

    def reply(self, messages, *, temperature=0.0, seed=0):
        self.asked += 1
        return "?"


def test_a_language_model_is_asked_once_for_all_machines(stool, tmp_path):
    request = SynthesisRequest(
        SIT, stool, tmp_path / "out", SynthesisConfig(count=1), lod="test", physics=False, model=Mumbler()
    )
    settled = ask_once(request)
    asked = request.model.asked
    assert asked > 10 and settled.model is None and settled.relations.reasoner == "mumbler"
    first, second = (prepare_job(pickle.loads(pickle.dumps(settled))) for _ in range(2))
    assert first.items[0].key == second.items[0].key and request.model.asked == asked
    assert ask_once(dataclasses.replace(request, model=None)).relations is None


def test_the_same_command_has_nothing_to_do(made, stool, capsys):
    before = (made / "interaction.npz").stat().st_mtime_ns
    assert run(SIT, "--object", stool, "--out", made, "--count", 2, "--lod", "test", "--no-physics") == 0
    assert "finished already" in capsys.readouterr().out
    assert (made / "interaction.npz").stat().st_mtime_ns == before


@pytest.mark.parametrize("sentence, options, said", [
    (" ", (), "the sentence is empty"),
    ("Eine Person sitzt auf dem Hocker", (), "language"),
    (SIT, ("--count", "0"), "--count 0"),
    (SIT, ("--seed", "-1"), "--seed -1"),
    (SIT, ("--votes", "3"), "--llm"),
    (SIT, ("--pose-init", "handstand"), "handstand"),
    (SIT, ("--pose-init", "nobody.npz"), "nobody.npz"),
    (SIT, ("--pose-init", "sds"), "MVDream"),
    (SIT, ("--pose-init", "nobody.safetensors"), "nobody.safetensors"),
    (SIT, ("--relations", "none.json"), "none.json"),
    (SIT, ("--affordance", "nobody.safetensors"), "nobody.safetensors"),
    ("the stool stands in the corner", (), "names no person"),
])  # fmt: skip
def test_bad_options_are_told_before_anything_is_written(sentence, options, said, stool, tmp_path, capsys):
    assert run(sentence, "--object", stool, "--out", tmp_path / "out", *options) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_room_and_a_cloud_of_points_are_no_objects(tmp_path, capsys):
    room, cloud = tmp_path / "room.ply", tmp_path / "cloud.ply"
    trimesh.creation.box((14.0, 3.0, 11.0)).export(room)
    trimesh.PointCloud(np.random.default_rng(0).random((50, 3))).export(cloud)
    assert run("A person looks at the gizmo", "--object", room, "--out", tmp_path / "out") == 2
    assert "room or a building" in capsys.readouterr().err
    assert run(SIT, "--object", cloud, "--out", tmp_path / "out") == 2
    assert "face" in capsys.readouterr().err
    assert run(SIT, "--object", tmp_path / "none.glb", "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
