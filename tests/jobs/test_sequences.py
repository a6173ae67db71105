"""Sequences as a job: what is a sequence, what is written, how it goes on; the refiner itself is taken out."""

import json

import jax
import numpy as np
import pytest
import trimesh

from hoijax.cli import main
from hoijax.io import read_parameters
from hoijax.io.sources import read_estimate
from hoijax.jobs import interactions, objects, sequences
from hoijax.jobs.estimates import Reading
from hoijax.jobs.plans import read_files
from hoijax.optim.gradient import RefineMetrics
from hoijax.optim.sequence import RefinedTrack

COUNT = 7
FRAMES = np.array([10, 11, 12, 13, 17, 18, 19])
MOVE = np.array([0.0, 0.01, 0.0], np.float32)


def arrays(count=COUNT, **extra):
    rng = np.random.default_rng(0)
    return {
        "global_orient": 0.01 * rng.normal(size=(count, 3)), "body_pose": 0.05 * rng.normal(size=(count, 63)),
        "left_hand_pose": np.zeros((count, 45)), "right_hand_pose": np.zeros((count, 45)),
        "transl": np.array([0, 0.9, 0]) + 0.01 * rng.normal(size=(count, 3)), "betas": np.zeros(10),
        "obj_rot": np.zeros((count, 3)), "obj_trans": np.array([0.4, 0.8, 0.1]) + np.zeros((count, 3)),
    } | extra  # fmt: skip


def measures(value, count, parts):
    one = np.full(count, value, np.float32)
    return RefineMetrics(np.full((count, parts), value, np.float32), one, one, 0 * one)


@pytest.fixture
def calls(monkeypatch):
    """Tracks that the refiner was given; it moves body and object up by a centimetre and tells a window as finished."""
    seen = []

    def refine(model, tracks, config, *, body=None, size=None, kept=None, progress=None):
        seen.append((tracks, config, len(kept.known)))
        out = []
        for track in tracks:
            count, parts = len(track.frames), track.contacts or ("right_hand",)
            asked = np.ones((count, len(parts)), np.float32)
            out.append(RefinedTrack(
                params=track.params.replace(translation=track.params.translation + MOVE),
                pose=track.pose.replace(translation=track.pose.translation + MOVE),
                before=measures(0.05, count, len(parts)), after=measures(0.002, count, len(parts)),
                asked=asked, parts=parts, still=((0, count),), noise={"body": 0.02, "object": 0.01, "turns": 0.05},
            ))  # fmt: skip
        if kept.finished is not None:
            states = [sequences.State.of(track.params, track.pose) for track in tracks]
            kept.finished(len(kept.known), jax.tree.map(lambda *x: np.stack(x), *states))
        return out

    monkeypatch.setattr(sequences, "refine_tracks", refine)
    return seen


@pytest.fixture
def refine(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 16)
    trimesh.creation.box((0.3, 0.3, 0.3)).export(tmp_path / "box.obj")

    def run(values, *options, out="out"):
        np.savez(tmp_path / "body.npz", **values)
        fixed = [
            "--object",
            str(tmp_path / "box.obj"),
            "--out",
            str(tmp_path / out),
            "--lod",
            "test",
            "--pictures",
            "0",
        ]
        return main(["refine", "--body", str(tmp_path / "body.npz"), *fixed, "--contact", "right_hand", *options])

    return run


def record(tmp_path):
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_a_file_that_numbers_its_frames_is_a_sequence(tmp_path, refine, calls):
    assert refine(arrays(frames=FRAMES, fps=25.0, note=np.array([1, 2]))) == 0
    (((track,), config, _),) = calls
    np.testing.assert_array_equal(track.frames, FRAMES)
    assert (track.fps, track.contacts, track.gravity) == (25.0, ("right_hand",), None)
    assert "betas" in config.frame.freeze
    found = read_parameters(tmp_path / "out" / "refined.npz")
    np.testing.assert_allclose(found.values["transl"], arrays()["transl"] + MOVE, atol=1e-6)
    np.testing.assert_allclose(found.values["obj_trans"], arrays()["obj_trans"] + MOVE, atol=1e-6)
    np.testing.assert_array_equal(found.frames, FRAMES)
    assert found.fps == 25.0
    assert "note.npy" in found.extras
    own = record(tmp_path)
    assert own["sequence"]["frames"] == COUNT
    assert own["sequence"]["still"] == [[10, 19]]
    assert own["verdict"] == ["reached in 7 of 7 frames"]
    assert own["after"]["contact"] == {"right_hand": pytest.approx(0.002)}
    assert any("3 frames of 10 to 19 are missing" in note for note in own["notes"])
    assert not (tmp_path / "out" / "windows").exists()


def test_the_scene_moves_at_the_times_of_the_frames(tmp_path, refine):
    refine(arrays(frames=FRAMES, fps=25.0))
    data = (tmp_path / "out" / "interaction.glb").read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    (animation,) = tree["animations"]
    times = tree["accessors"][animation["samplers"][0]["input"]]
    assert times["min"] == [0.0]
    assert times["max"] == [pytest.approx(9 / 25)]
    assert {node["name"] for node in tree["nodes"]} >= {"body", "object", "pelvis"}


def test_finished_sequences_are_skipped_and_other_frames_are_another_sequence(tmp_path, refine, calls):
    assert refine(arrays(frames=FRAMES)) == 0
    assert refine(arrays(frames=FRAMES)) == 0
    assert len(calls) == 1
    assert refine(arrays(frames=FRAMES + 1)) == 0
    assert refine(arrays(frames=FRAMES), "--fps", "20") == 0
    assert len(calls) == 3
    assert calls[-1][0][0].fps != 25


def test_windows_of_a_stopped_run_are_taken_up(tmp_path, refine, calls, monkeypatch):
    stopped = sequences.refine_tracks

    def stop(*args, kept=None, **options):
        stopped(*args, kept=kept, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(sequences, "refine_tracks", stop)
    assert refine(arrays(frames=FRAMES)) == 130
    assert len(list((tmp_path / "out" / "windows").glob("*.npz"))) == 1
    monkeypatch.setattr(sequences, "refine_tracks", stopped)
    assert refine(arrays(frames=FRAMES)) == 0
    assert [known for *_, known in calls] == [0, 1]
    assert not (tmp_path / "out" / "windows").exists()


def test_an_object_of_another_frame_is_told(tmp_path, refine):
    assert refine(arrays(frames=FRAMES)) == 0
    assert not any("away from the body" in note for note in record(tmp_path)["notes"])
    assert refine(arrays(frames=FRAMES, obj_trans=np.array([4.0, 0.8, 0.1]) + np.zeros((COUNT, 3)))) == 0
    assert any("m away from the body in most frames" in note for note in record(tmp_path)["notes"])


def test_rows_that_nobody_calls_frames_are_refined_together_on_request_alone(tmp_path, refine, calls):
    assert refine(arrays(), "--sequence") == 0
    np.testing.assert_array_equal(calls[0][0][0].frames, np.arange(COUNT))
    assert any("does not say how many frames a second" in note for note in record(tmp_path)["notes"])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (arrays(2), ["--sequence"], "the longest file has 2 usable rows"),
        (arrays(frames=FRAMES[::-1]), [], "numbers of frames do not rise"),
        (arrays(), ["--sequence", "--each-frame"], "contradict each other"),
        (arrays(), ["--sequence", "--fps", "0"], "wanted 0.1 to 1000"),
        (arrays(), ["--fps", "30"], "--fps goes with a sequence; no file says that its rows are frames"),
        (arrays(3, frames=FRAMES[:3]), ["--fps", "30"], "no file has 4 usable frames or more"),
        (arrays(frames=FRAMES), ["--prior", "scorehoi", "--fps", "30"], "--prior scorehoi refines single frames"),
        (arrays(), ["--sequence", "--prior", "scorehoi"], "single frames"),
    ],
)
def test_what_is_no_sequence_is_named_before_any_work(tmp_path, refine, calls, capsys, values, options, message):
    assert refine(values, *options) == 2
    assert message in capsys.readouterr().err
    assert not calls
    assert not (tmp_path / "out").exists()


def test_a_row_that_is_broken_is_a_gap(tmp_path, refine, calls):
    values = arrays(frames=np.arange(COUNT), fps=30.0)
    values["transl"][3] = np.nan
    assert refine(values) == 1
    np.testing.assert_array_equal(calls[0][0][0].frames, [0, 1, 2, 4, 5, 6])
    found = read_parameters(tmp_path / "out" / "refined.npz", keep_broken=True)
    assert np.isnan(found.values["transl"][3]).all()
    np.testing.assert_allclose(found.values["transl"][4], values["transl"][4] + MOVE, atol=1e-6)


@pytest.fixture
def folder(tmp_path, refine, calls, monkeypatch):
    """A folder of two sequences and a single frame; the refiner refuses tracks of 12 frames a second."""
    made = sequences.refine_tracks

    def picky(model, tracks, *args, **options):
        if any(track.fps == 12 for track in tracks):
            raise sequences.InputError("twelve")
        return made(model, tracks, *args, **options)

    monkeypatch.setattr(sequences, "refine_tracks", picky)
    (tmp_path / "bodies").mkdir()
    for name, fps in (("a", 12.0), ("b", 25.0)):
        np.savez(tmp_path / "bodies" / f"{name}.npz", **arrays(frames=FRAMES, fps=fps))

    def run(*options):
        trimesh.creation.box((0.3, 0.3, 0.3)).export(tmp_path / "box.obj")
        return main([
            "refine", "--body", str(tmp_path / "bodies"), "--object", str(tmp_path / "box.obj"), "--out",
            str(tmp_path / "out"), "--lod", "test", "--pictures", "0", "--contact", "right_hand", *options,
        ])  # fmt: skip

    return run


def test_a_track_that_cannot_be_used_takes_no_other_along(tmp_path, folder, capsys):
    assert folder("--batch-size", "32") == 1
    assert "not used: a: twelve" in capsys.readouterr().err
    assert not (tmp_path / "out" / "a").exists()
    assert (tmp_path / "out" / "b" / "metrics.json").is_file()


def test_what_is_no_sequence_is_refined_though_no_sequence_can_be(tmp_path, folder, monkeypatch, capsys):
    (tmp_path / "bodies" / "b.npz").unlink()
    np.savez(tmp_path / "bodies" / "c.npz", **arrays(1))
    done = []

    def plans(model, plans, job, out, failures, **options):
        done.append(([plan.name for plan in plans], dict(failures)))

    monkeypatch.setattr(interactions, "run_plans", plans)
    assert folder() == 1
    assert done == [(["c"], {"a": "twelve"})]


def phalp(tmp_path):
    """Two people of a video of six frames, of which one is not seen in frames 2 and 3."""
    import pickle

    rng = np.random.default_rng(0)
    turns = {"global_orient": np.eye(3)[None], "body_pose": np.tile(np.eye(3), (23, 1, 1))}
    tree = {
        f"demo/{k:06d}.jpg": {
            "smpl": [turns | {"betas": rng.normal(size=10)} for _ in ids],
            "camera": [np.array([0.0, 0.1, 4.0 + k]) for _ in ids], "tid": ids,
        }
        for k, ids in ((4, [1, 2]), (5, [1, 2]), (6, [2]), (7, [2]), (8, [1, 2]), (9, [2, 1]))
    }  # fmt: skip
    path = tmp_path / "demo.pkl"
    path.write_bytes(pickle.dumps(tree))
    return path


def test_tracks_keep_the_numbers_of_their_frames(tmp_path):
    path = phalp(tmp_path)
    one = read_estimate(path, person="1")
    np.testing.assert_array_equal(one.frames, [4, 5, 8, 9])
    np.testing.assert_allclose(one.arrays["transl"][:, 2], [8, 9, 12, 13])
    np.testing.assert_array_equal(read_estimate(path, person="2").frames, np.arange(4, 10))
    files, failures = read_files(path, Reading(person="all"))
    assert list(files) == ["person_1", "person_2"]
    assert not failures
    np.testing.assert_array_equal(files["person_1"].frames, [4, 5, 8, 9])


def test_poses_of_the_object_are_taken_by_the_numbers_of_the_frames(tmp_path):
    from hoijax.io.params import with_object

    folder = tmp_path / "ob_in_cam"
    folder.mkdir()
    for k in range(4, 12):
        pose = np.eye(4)
        pose[0, 3] = k
        np.savetxt(folder / f"{k}.txt", pose)
    body = read_parameters(phalp(tmp_path), person="1")
    both = with_object(body, read_estimate(folder))
    np.testing.assert_allclose(both.values["obj_trans"][:, 0], [4, 5, 8, 9])
    assert "numbers of the body's 4 frames" in both.notes[-1]
    for k in (4, 5, 6, 7):
        (folder / f"{k}.txt").unlink()  # as many as the body has, of others
    assert (
        "in their order, though their frames are 8 to 11 and the body's 4 to 9"
        in with_object(body, read_estimate(folder)).notes[-1]
    )
