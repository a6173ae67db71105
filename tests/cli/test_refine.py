"""`hoijax refine` around the optimisation: what goes in, what is refused, what comes out, what a stopped run leaves."""

import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.cli import main
from hoijax.cli import refine as cli_refine

BOX = trimesh.creation.box((0.3, 0.3, 0.3))


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def tree(folder):
    """Every file below a folder with its contents."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# One interaction


def test_one_interaction_writes_its_results(refine, estimate, save, tmp_path):
    arrays = estimate(note=np.array("kept"), transl=np.array([0, 0.9, 0]))  # float64 beside float32
    code, out, err, calls = refine(save("a.npz", arrays), "--contact", "left_hand,right_hand", "--floor", "0.02")
    assert (code, err) == (0, "")
    assert "a" in out and "left_hand" in str(calls[0]["contacts"])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"interaction.glb", "refined.npz", "metrics.json"}
    got = load(tmp_path / "out" / "refined.npz")
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        assert got[name].shape == array.shape and got[name].dtype == array.dtype, name
    np.testing.assert_allclose(got["transl"], arrays["transl"] + [0, 0.01, 0], atol=1e-6)
    np.testing.assert_allclose(got["obj_rot"], [0, 0, 0.05], atol=1e-6)
    pose = arrays["body_pose"].reshape(21, 3).copy()
    want = Rotation.from_rotvec(pose[17]) * Rotation.from_rotvec([0, 0, 0.05])
    np.testing.assert_allclose(got["body_pose"].reshape(21, 3)[17], want.as_rotvec(), atol=1e-6)
    still = np.arange(21) != 17
    np.testing.assert_array_equal(got["body_pose"].reshape(21, 3)[still], pose[still])
    for name in ("betas", "left_hand_pose", "right_hand_pose", "global_orient", "obj_scale", "note"):
        assert got[name].tobytes() == arrays[name].tobytes(), name


def test_the_scene_is_two_named_parts_where_the_parameters_put_them(refine, estimate, save, tmp_path):
    from hoijax.body_models import free_body
    from hoijax.io import read_parameters
    from hoijax.jobs.bodies import start_of
    from hoijax.jobs.refinement import posed_vertices

    assert refine(save("a.npz", estimate()))[0] == 0
    scene = trimesh.load_scene(tmp_path / "out" / "interaction.glb", process=False)
    assert set(scene.graph.nodes_geometry) == {"body", "object"}
    refined = read_parameters(tmp_path / "out" / "refined.npz").item(0)
    model = free_body("test")
    body = posed_vertices(model, start_of(model, refined, "").params)
    np.testing.assert_allclose(scene.geometry["body"].vertices, body, atol=1e-5)
    np.testing.assert_array_equal(scene.geometry["body"].faces, model.faces)
    turned = Rotation.from_rotvec(refined["obj_rot"]).apply(BOX.vertices) + refined["obj_trans"]
    np.testing.assert_allclose(scene.geometry["object"].vertices, turned, atol=1e-5)


def test_metrics_before_and_after(refine, estimate, save, tmp_path):
    refine(save("a.npz", estimate()), "--contact", "left_hand", "--floor", "auto")
    got = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for state, value in (("before", 0.05), ("after", 0.002)):
        assert got[state].keys() == {"contact", "max_penetration", "mean_penetration", "floor_distance"}
        np.testing.assert_allclose(got[state]["contact"]["left_hand"], value, rtol=1e-6)
        np.testing.assert_allclose(got[state]["floor_distance"], value, rtol=1e-6)
    np.testing.assert_allclose(got["moved"]["object"], 0.01, rtol=1e-4)
    np.testing.assert_allclose(got["moved"]["object_turn"], np.degrees(0.05), rtol=1e-4)
    assert got["options"]["contact"] == "left_hand" and got["steps"] == 7 and got["converged"] is True
    assert got["versions"].keys() == {"hoijax", "jax", "numpy"}


def test_the_verdict_is_told_and_strict_ends_with_one(refine, fake, estimate, save, tmp_path, monkeypatch):
    body = save("a.npz", estimate())
    code, out, err, _ = refine(body, "--contact", "left_hand", "--strict")
    got = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert code == 0 and got["verdict"] == ["reached"] and got["good"] is True
    assert "  reached\n" in out and "1 of 1 good" in out
    monkeypatch.setattr(fake, "AFTER", [0.03])
    for options, wanted in (([], 0), (["--strict"], 1)):
        code, out, err, _ = refine(body, "--contact", "left_hand", "--redo", *options, pictures=1)
        got = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert code == wanted and got["verdict"] == ["missed: left_hand", "penetrates"] and got["good"] is False
        assert "missed: left_hand; penetrates" in out and "0 of 1 good" in out
        assert ("missed: left_hand; penetrates" in err) == bool(options)
    page = (tmp_path / "out" / "report.html").read_text()
    # Better than the estimate's 50 mm, and still worse than what is good.
    assert '<td>left hand to object (mm)</td><td>50</td><td class="worse">30</td>' in page
    assert "Missed: left_hand; penetrates." in page


def test_strict_goes_with_an_object(save, estimate, tmp_path, capsys):
    body, scene = save("a.npz", estimate()), save("scene.npz", {"points": np.zeros((4, 3))})
    assert main(["refine", "--body", str(body), "--scene", str(scene), "--out", str(tmp_path / "o"), "--strict"]) == 2
    assert "--strict goes with --object" in capsys.readouterr().err


def test_what_the_file_lacks_is_added_and_told(refine, estimate, save, tmp_path):
    arrays = {k: v for k, v in estimate().items() if not k.startswith(("obj", "left_hand", "right_hand"))}
    assert refine(save("a.npz", arrays))[0] == 0
    got = load(tmp_path / "out" / "refined.npz")
    assert set(got) - set(arrays) == {"obj_rot", "obj_trans"}
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["keys_added"] == ["obj_rot", "obj_trans"]
    assert any("no left_hand_pose" in note for note in told["notes"])


def test_a_body_far_from_its_object_is_doubted(refine, estimate, save, tmp_path):
    code, out, _, _ = refine(save("a.npz", estimate(obj_trans=np.array([4.0, 0.75, 0.1]))))
    assert code == 0 and " m away from the body: are obj_rot and obj_trans in" in out
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"]
    assert "m away from the body" in told[0]


def test_options_reach_the_refiner(refine, estimate, save):
    options = ["--contact", "none", "--floor", "-0.5", "--up=-y", "--freeze", "object,betas", "--steps", "30"]
    (call,) = refine(save("a.npz", estimate()), *options)[3]
    assert [list(parts) for parts in call["contacts"]] == [[]]
    np.testing.assert_allclose(call["floor"].gravity, [[0, 1, 0]])
    np.testing.assert_allclose(call["floor"].level, [-0.5])
    assert call["config"].steps == 30 and set(call["config"].freeze) == {"object_scale", "object", "betas"}
    (call,) = refine(save("a.npz", estimate()), "--fit-scale")[3]
    assert call["contacts"] is None and call["floor"] is None and call["config"].freeze == ()
    (call,) = refine(save("a.npz", estimate()), "--no-upright")[3]
    assert not call["config"].upright
    for prior in ("gradient", "scorehoi"):
        for upright in (True, False):
            options = cli_refine.Options(out=pathlib.Path("out"), prior=prior, upright=upright)
            assert cli_refine.refine_config(options).upright == upright


def test_the_automatic_floor_is_under_the_feet(refine, estimate, save):
    for up, row in (("+y", 1), ("+z", 2)):
        turn = Rotation.align_vectors([np.eye(3)[row]], [[0, 1, 0]])[0]
        arrays = estimate(global_orient=turn.as_rotvec().astype(np.float32))
        (call,) = refine(save("a.npz", arrays), "--floor", "auto", f"--up={up}")[3]
        # The soles of the mean free body are 0.905 m below its pelvis, which the translation lifts along y.
        np.testing.assert_allclose(call["floor"].level, -0.905 + (0.9 if row == 1 else 0.0), atol=0.02)


def test_pages_and_pictures(refine, estimate, save, tmp_path, monkeypatch):
    import hoijax.viz

    drawn = []

    def draw(path, before, after, **options):
        drawn.append((before, after, options))
        path.write_bytes(b"\x89PNG\r\n\x1a\n")

    monkeypatch.setattr(hoijax.viz, "write_comparison", draw)
    assert refine(save("a.npz", estimate()), "--up=-y", "--floor", "-0.3", pictures=2)[0] == 0
    (((body, thing), after, options),) = drawn
    assert (body.name, thing.name, options["floor"]) == ("body", "object", -0.3)
    np.testing.assert_allclose(thing.vertices.mean(0)[1], -0.75, atol=0.05)  # upside down, as asked
    np.testing.assert_allclose(after[1].vertices.mean(0)[1] - thing.vertices.mean(0)[1], -0.01, atol=1e-5)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "max penetration" in page and "body above floor" in page
    # Pictures, and what is told of the result, are of another vertical now; the old picture goes with the old result.
    assert (tmp_path / "out" / "before_after.png").is_file()
    for up, calls in (("-y", 1), ("-y", 0), ("z", 1)):
        assert len(refine(tmp_path / "a.npz", f"--up={up}", out="plain", pictures=calls)[3]) == calls
    assert refine(tmp_path / "a.npz", "--up=-y", "--floor", "-0.2")[0] == 0
    assert not (tmp_path / "out" / "before_after.png").exists()


def test_a_mesh_with_flaws_is_used_and_they_are_told(refine, estimate, save, tmp_path):
    faces = np.concatenate([BOX.faces, [[0, 0, 1]], BOX.faces[:2]])
    lines = [f"v {x * 100} {y * 100} {z * 100}" for x, y, z in BOX.vertices] + [
        f"f {a} {b} {c}" for a, b, c in faces + 1
    ]
    mesh = tmp_path / "flawed.obj"
    mesh.write_text("\n".join(lines))
    code, out, _, _ = refine(save("a.npz", estimate()), "--units", "cm", mesh=mesh)
    assert code == 0
    for note in ("1 degenerate faces were removed", "2 duplicate faces were removed", "multiplied with 0.01"):
        assert f"flawed.obj: {note}" in out or note in out
        assert any(note in told for told in json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"])
    scene = trimesh.load_scene(tmp_path / "out" / "interaction.glb", process=False)
    np.testing.assert_allclose(scene.geometry["object"].extents.max(), 0.3, rtol=0.1)


def test_a_large_mesh_is_decimated_for_the_distance_field_only(refine, estimate, save, tmp_path, monkeypatch):
    from hoijax.jobs import objects

    monkeypatch.setattr(objects, "MAX_FACES", 300)
    trimesh.creation.icosphere(subdivisions=4, radius=0.2).export(tmp_path / "ball.ply")
    code, out, _, (call,) = refine(save("a.npz", estimate()), mesh=tmp_path / "ball.ply")
    assert code == 0 and "ball.ply: 5,120 faces were decimated to 3" in out
    assert len(call["template"].mesh.faces) <= 300
    scene = trimesh.load_scene(tmp_path / "out" / "interaction.glb", process=False)
    assert len(scene.geometry["object"].faces) == 5120
    refine(save("two.npz", estimate((2,))), mesh=tmp_path / "ball.ply")
    scene = trimesh.load_scene(tmp_path / "out" / "000001" / "interaction.glb", process=False)
    assert len(scene.geometry["object"].faces) <= 300


# What is refused


class Payload:
    """Unpickling this would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def mano_like():
    """The keys of a MANO file: a left hand, fingers along +x, whose joints are its first vertices."""
    joints, vertices = 16, 778
    roots = np.array([[0.09, 0, 0.03], [0.09, 0, 0.01], [0.08, 0, -0.03], [0.08, 0, -0.01], [0.03, 0, 0.04]])
    chain = roots[:, None] + np.arange(3)[:, None] * np.array([0.03, 0, 0])
    parents = [2**32 - 1, *np.array([[0, k, k + 1] for k in range(1, 16, 3)]).ravel()]
    return {
        "v_template": np.concatenate([np.zeros((1, 3)), chain.reshape(15, 3), np.full((vertices - 16, 3), 0.05)]),
        "shapedirs": np.zeros((vertices, 3, 10)),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1))),
        "J_regressor": np.eye(joints, vertices),
        "weights": np.full((vertices, joints), 1 / joints),
        "kintree_table": np.array([parents, range(16)], np.int64),
        "f": np.array([[0, 1, 2]]),
        "hands_mean": np.zeros(45),
        "hands_components": np.eye(45),
    }


def bad_cases(folder, estimate):
    """Name, arguments that replace the good ones, and what the message must say."""
    nan = estimate()
    nan["body_pose"][5] = np.nan
    np.savez(folder / "nan.npz", **nan)
    np.savez(folder / "keys.npz", pos=np.zeros(3), rot=np.zeros(3))
    np.savez(folder / "shape.npz", **estimate(transl=np.zeros(2)))
    np.savez(folder / "betas.npz", **estimate(betas=np.zeros(16)))
    np.savez(folder / "hands.npz", **estimate(left_hand_pose=np.zeros(12)))
    np.savez(folder / "model.npz", **mano_like())
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "a.npz").write_bytes(b"PK")
    BOX.copy().apply_scale(1000).export(folder / "mm.stl")
    trimesh.PointCloud(BOX.vertices).export(folder / "points.ply")
    (folder / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nf 1 1 2\n")
    (folder / "noise.glb").write_bytes(b"glTF" + bytes(40))
    with open(folder / "payload.pkl", "wb") as file:
        pickle.dump({"v_template": Payload(folder / "executed")}, file)
    (folder / "executed").unlink(missing_ok=True)
    (folder / "file").write_text("")
    yield "no body file", ["--body", folder / "gone.npz"], "there is no parameter file"
    yield "no mesh file", ["--object", folder / "gone.obj"], "there is no mesh file"
    yield "no model file", ["--body-model", folder / "gone.npz"], "gone.npz"
    yield "wrong keys", ["--body", folder / "keys.npz"], "has no body pose: wanted 'body_pose'"
    yield "NaN pose", ["--body", folder / "nan.npz"], "'body_pose'[5] is nan"
    yield "wrong shape", ["--body", folder / "shape.npz"], "'transl' has shape (2,), wanted (3,)"
    yield "betas of another body", ["--body", folder / "betas.npz"], "betas has 16 numbers, the free model has 10"
    yield "hand components", ["--body", folder / "hands.npz"], "left_hand_pose has 12 numbers"
    yield "a model as body", ["--body", folder / "model.npz"], "is a body model"
    yield "an empty folder", ["--body", folder / "empty"], "holds no .npz files"
    yield "a folder of broken files", ["--body", folder / "broken"], "none of the 1 .npz files"
    yield (
        "millimetres",
        ["--object", folder / "mm.stl"],
        "looks like millimetres (0.3 m) or centimetres (3 m); say --units mm",
    )
    yield "no faces", ["--object", folder / "points.ply"], "8 vertices but no faces"
    yield "only degenerate faces", ["--object", folder / "flat.obj"], "faces are degenerate"
    yield "a damaged mesh", ["--object", folder / "noise.glb"], "noise.glb cannot be read as GLB"
    yield "a mesh of a strange kind", ["--object", folder / "nan.npz"], "'.npz' is no mesh format"
    yield "a payload", ["--body-model", folder / "payload.pkl"], "payload.pkl"
    yield "a hand as model", ["--body-model", folder / "model.npz"], "wanted a whole body"
    yield "parameters as model", ["--body-model", folder / "nan.npz"], "nan.npz"
    yield "no such part", ["--contact", "left_hand,tail"], "'tail' is no part of the body; wanted 'auto'"
    yield "no part", ["--contact", ","], "nothing is no part of the body"
    yield "no such floor", ["--floor", "low"], "--floor low: wanted a height in metres"
    yield "no finite floor", ["--floor", "nan"], "--floor nan: wanted a height"
    yield "no such group", ["--freeze", "nose"], "--freeze: unknown group 'nose'"
    yield "negative steps", ["--steps", "-1"], "--steps -1: wanted 0 or more"
    yield "no batch", ["--batch-size", "0"], "--batch-size 0: wanted 1 or more"
    yield "negative pictures", ["--pictures", "-1"], "--pictures -1"
    yield "a file in the way", ["--out", folder / "file"], "file is a file"


def test_bad_input_is_refused_with_one_message_and_nothing_is_written(
    fake, monkeypatch, estimate, box, tmp_path, capsys
):
    fake.patch(monkeypatch.setattr)
    fake.CALLS.clear()
    np.savez(tmp_path / "good.npz", **estimate())
    for name, change, message in bad_cases(tmp_path, estimate):
        options = {"--body": tmp_path / "good.npz", "--object": box, "--out": tmp_path / "out", "--lod": "test"}
        options |= {change[0]: change[1]}
        before = tree(tmp_path)
        code = main(["refine", *(f"{key}={value}" for key, value in options.items())])
        err = capsys.readouterr().err.strip()
        assert code == 2, (name, err)
        assert message in err, name
        assert err.startswith("hoijax refine: ") and len(err.splitlines()) == 1, (name, err)
        assert tree(tmp_path) == before and not (tmp_path / "out").exists(), name
    assert not fake.CALLS
    assert not (tmp_path / "executed").exists()


# Many interactions


def folder_of(save, estimate, count, **changes):
    for i in range(count):
        save(f"many/{i}.npz", estimate(seed=i))
    return save("many/0.npz", estimate(seed=0)).parent


def test_a_folder_gives_a_folder_per_file(refine, estimate, save, tmp_path):
    code, _, err, calls = refine(folder_of(save, estimate, 3), "--batch-size", "2")
    assert (code, err) == (0, "")
    assert [call["batch"] for call in calls] == [2, 2]  # the last one is filled up
    for i in range(3):
        assert {p.name for p in (tmp_path / "out" / str(i)).iterdir()} == {
            "interaction.glb", "refined.npz", "metrics.json"}  # fmt: skip
        got = load(tmp_path / "out" / str(i) / "refined.npz")
        np.testing.assert_allclose(got["obj_trans"], estimate(seed=i)["obj_trans"] + [0, 0.01, 0], atol=1e-6)
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert summary["finished"] == 3 and summary["items"].keys() == {"0", "1", "2"} and summary["failed"] == {}
    np.testing.assert_allclose(summary["mean"]["after"]["contact"], 0.002, rtol=1e-6)


def test_a_leading_axis_gives_one_joint_file_too(refine, estimate, save, tmp_path):
    arrays = estimate((3,), gender=np.array("male"))
    code, *_ = refine(save("a.npz", arrays), "--batch-size", "8")
    assert code == 0
    got = load(tmp_path / "out" / "refined.npz")
    assert got.keys() == arrays.keys() and str(got["gender"]) == "male"
    for name, array in arrays.items():
        assert got[name].shape == array.shape and got[name].dtype == array.dtype
    np.testing.assert_allclose(got["transl"], arrays["transl"] + [0, 0.01, 0], atol=1e-6)
    for row in range(3):
        one = load(tmp_path / "out" / f"{row:06d}" / "refined.npz")
        for name in one:
            np.testing.assert_array_equal(one[name], got[name][row])


def test_amass_sequences(refine, estimate, save, tmp_path):
    """One vector for all joints, sixteen shared betas (which the free body does not have), no object."""
    arrays = {"poses": np.zeros((3, 156)), "trans": np.zeros((3, 3)), "betas": np.zeros(10), "gender": np.array("male")}
    code, _, _, calls = refine(save("a.npz", arrays))
    assert code == 0 and "betas" in calls[0]["config"].freeze
    got = load(tmp_path / "out" / "refined.npz")
    assert got["betas"].shape == (10,) and got["poses"].shape == (3, 156) and got["obj_trans"].shape == (3, 3)
    np.testing.assert_allclose(got["poses"][:, 54:57], [[0, 0, 0.05]] * 3, atol=1e-6)


def test_a_bad_item_is_named_and_the_rest_is_done(refine, estimate, save, tmp_path):
    nan = estimate((3,))
    nan["body_pose"][1] = np.nan
    folder = folder_of(save, estimate, 2)
    save("many/bad.npz", {"x": np.zeros(3)})
    save("many/nan.npz", nan)
    save("many/wide.npz", estimate(betas=np.zeros(12)))
    code, _, err, _ = refine(folder)
    assert code == 1
    lines = err.strip().splitlines()
    assert [line.split(": ")[1] for line in lines] == ["bad", "nan/000001", "wide"]
    assert "has no body pose" in lines[0] and "'body_pose'[1, 0] is nan" in lines[1] and "betas has 12" in lines[2]
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert summary["failed"].keys() == {"bad", "nan/000001", "wide"}
    assert summary["items"].keys() == {"0", "1", "nan/000000", "nan/000002"}
    got = load(tmp_path / "out" / "nan" / "refined.npz")
    assert np.isnan(got["body_pose"][1]).all() and np.isfinite(got["body_pose"][[0, 2]]).all()
    np.testing.assert_array_equal(got["transl"][1], nan["transl"][1])


def test_files_of_different_layouts_share_a_batch(refine, estimate, save, tmp_path):
    folder = folder_of(save, estimate, 1)
    save("many/smpl.npz", {"pose": np.zeros(72), "betas": np.zeros(10), "trans": np.zeros(3)})
    save("many/smplx.npz", {"poses": np.zeros(165), "trans": np.zeros(3)})
    code, _, _, calls = refine(folder)
    assert code == 0 and [call["batch"] for call in calls] == [3]
    got = load(tmp_path / "out" / "smpl" / "refined.npz")
    np.testing.assert_allclose(got["pose"].reshape(24, 3)[18], [0, 0, 0.05], atol=1e-6)
    assert load(tmp_path / "out" / "smplx" / "refined.npz")["poses"].shape == (165,)
    notes = json.loads((tmp_path / "out" / "smplx" / "metrics.json").read_text())["notes"]
    assert any("has no jaw_pose, leye_pose, reye_pose" in note for note in notes)


# Going on after a stop


def test_what_is_finished_is_skipped_until_something_changes(refine, estimate, save, tmp_path):
    folder = folder_of(save, estimate, 3)
    assert sum(call["batch"] for call in refine(folder)[3]) == 3
    first = tree(tmp_path / "out")
    code, out, _, calls = refine(folder)
    assert code == 0 and calls == [] and "3 of 3 are finished already" in out
    assert tree(tmp_path / "out") == first
    assert len(refine(folder, "--redo")[3]) == 1
    assert refine(folder, "--steps", "20")[3][0]["batch"] == 3  # other options
    assert refine(folder, "--steps", "20")[3] == []
    save("many/1.npz", estimate(seed=9))
    assert refine(folder, "--steps", "20")[3][0]["batch"] == 1  # other input
    (tmp_path / "out" / "2" / "metrics.json").write_text("{")
    (tmp_path / "out" / "0" / "interaction.glb").unlink()
    assert refine(folder, "--steps", "20")[3][0]["batch"] == 2  # damaged results
    other = tmp_path / "other.obj"
    BOX.copy().apply_scale(0.9).export(other)
    assert refine(folder, "--steps", "20", mesh=other)[3][0]["batch"] == 3  # another object


def test_ctrl_c_loses_only_the_batch_in_work(refine, fake, estimate, save, tmp_path, monkeypatch):
    from hoijax.jobs import refinement

    folder = folder_of(save, estimate, 5)
    good = fake.refine_batch

    def stop_in_second(*args, **options):
        if len(fake.CALLS) == 1:
            raise KeyboardInterrupt
        return good(*args, **options)

    monkeypatch.setattr(refinement, "refine_batch", stop_in_second)
    code, out, _, _ = refine(folder, "--batch-size", "2")
    assert code == 130 and "2 of 5 interactions are finished and written; the same command goes on" in out
    kept = tree(tmp_path / "out")
    assert {name.split("/")[0] for name in kept} == {"0", "1"} and not any(".part" in name for name in kept)
    monkeypatch.setattr(refinement, "refine_batch", good)
    code, out, _, calls = refine(folder, "--batch-size", "2")
    assert code == 0 and [call["batch"] for call in calls] == [2, 2] and "2 of 5 are finished already" in out
    after = tree(tmp_path / "out")
    assert {name: after[name] for name in kept} == kept
    assert json.loads(after["metrics.json"])["finished"] == 5


def test_ctrl_c_while_writing_leaves_nothing_half_written(refine, estimate, save, tmp_path, monkeypatch):
    from hoijax.jobs import refinement_files

    folder = folder_of(save, estimate, 2)
    good = refinement_files.write_parameters

    def stop(path, *rest):
        if path.parent.name == "1":
            raise KeyboardInterrupt
        return good(path, *rest)

    monkeypatch.setattr(refinement_files, "write_parameters", stop)
    assert refine(folder)[0] == 130
    assert not (tmp_path / "out" / "1" / "metrics.json").exists()
    monkeypatch.setattr(refinement_files, "write_parameters", good)
    assert refine(folder)[3][0]["batch"] == 1


def test_leftovers_of_a_killed_run_are_removed(refine, estimate, save, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".interaction.glb.x.part").write_bytes(b"half")
    assert refine(save("a.npz", estimate()))[0] == 0
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_real_interrupt(fake, estimate, save, box, tmp_path):
    folder = folder_of(save, estimate, 4)
    command = [sys.executable, fake.__file__, "refine", f"--body={folder}", f"--object={box}", "--lod=test",
               f"--out={tmp_path / 'out'}", "--pictures=0", "--batch-size=1"]  # fmt: skip
    process = subprocess.Popen(
        command, env=os.environ | {"FAKE_SECONDS": "1.5"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "0" / "metrics.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on from there" in out and "Traceback" not in err
    kept = tree(tmp_path / "out")
    done = {pathlib.PurePath(name).parts[0] for name in kept if name.endswith("metrics.json")}
    assert "0" in done and len(done) < 4 and not any(".part" in name for name in kept)
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0 and f"{len(done)} of 4 are finished already" in finished.stdout
    after = tree(tmp_path / "out")
    assert all(after[name] == data for name, data in kept.items() if name.split("/")[0] in done)
    assert {name.split("/")[0] for name in after if "/" in name} == {"0", "1", "2", "3"}
