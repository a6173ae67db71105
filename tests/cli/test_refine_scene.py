"""`hoijax refine --scene` on a small room: every kind of file, both priors, and what it refuses."""

import json

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.jobs.scene_inputs import read_scene

LIFT = 0.06


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A floor at y = 0 as mesh, cloud and depth map, and two people that float above it."""
    folder = tmp_path_factory.mktemp("scene")
    corners = np.array([[-2, 0, -2], [2, 0, -2], [2, 0, 2], [-2, 0, 2]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]])
    trimesh.Trimesh(corners, faces, process=False).export(folder / "floor.obj")
    rng = np.random.default_rng(0)
    cloud = np.concatenate([rng.uniform(-2, 2, (20_000, 1)), np.zeros((20_000, 1)), rng.uniform(-2, 2, (20_000, 1))], 1)
    np.savez(folder / "cloud.npz", points=np.concatenate([cloud, np.full((7, 3), np.nan)]))
    trimesh.PointCloud(cloud).export(folder / "cloud.ply")
    model = free_body("test")
    pose = {k: np.stack([v, v]) for k, v in named_pose("stand").items()} | {"betas": np.zeros((2, 10), np.float32)}
    lowest = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **pose)).vertices)[0, :, 1].min()
    pose["transl"] = pose["transl"] + np.array([[-0.5, LIFT - lowest, 0], [0.5, LIFT - lowest, 0]], np.float32)
    np.savez(folder / "people.npz", **pose)
    np.savez(folder / "far.npz", **(pose | {"transl": pose["transl"] + np.float32([[0], [50]])}))
    np.savez(folder / "lost.npz", **(pose | {"transl": pose["transl"] + np.float32(50)}))
    return folder


def refine(folder, out, scene, *options, body="people.npz"):
    return main([
        "refine", f"--scene={folder / scene}", f"--body={folder / body}", f"--out={out}", "--lod=test",
        *(options or ("--pictures=0",)),
    ])  # fmt: skip


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def result(folder):
    """People on a mesh, by gradients."""
    assert refine(folder, folder / "out", "floor.obj", "--prior=gradient", "--pictures=1") == 0
    return folder / "out"


@pytest.mark.slow
def test_people_come_down_to_the_floor(folder, result):
    metrics = json.loads((result / "metrics.json").read_text())["people"]
    assert len(metrics) == 2
    for person in metrics.values():
        assert person["before"]["nearest"] > 0.9 * LIFT and person["before"]["touching"] == 0
        assert person["after"]["nearest"] < 0.02 and person["after"]["touching"] > 0
        assert person["after"]["deepest"] < 0.03
        assert 0.5 * LIFT < person["moved"] < 2 * LIFT
    before, after = load(folder / "people.npz"), load(result / "refined.npz")
    assert before.keys() <= after.keys()
    np.testing.assert_allclose(after["transl"][:, [0, 2]], before["transl"][:, [0, 2]], atol=0.04)
    drop = before["transl"][:, 1] - after["transl"][:, 1]
    assert np.all((drop > 0.5 * LIFT) & (drop < 1.6 * LIFT))


@pytest.mark.slow
def test_scene_page_and_parameters_describe_one_result(result):
    """The bodies of the GLB are those of the parameter file."""
    model = free_body("test")
    params = load(result / "refined.npz")
    bodies = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **params)).vertices)
    scene = trimesh.load(result / "scene.glb", process=False)
    for row in range(2):
        found = np.asarray(scene.geometry[f"person_{row}"].vertices)
        np.testing.assert_allclose(found, bodies[row], atol=2e-4)
    assert "scene" in scene.geometry
    page = (result / "report.html").read_text()
    assert "person 1: deepest point" in page and (result / "before_after.png").stat().st_size > 10_000


@pytest.mark.slow
def test_an_untrained_graft_changes_nothing(folder):
    from flax import nnx

    from hoijax.nets.graft import Graft, GraftConfig, save_graft

    config = GraftConfig(
        width=16, layers=1, heads=2, feedforward=16, fourier=8, probe_hidden=8, probe_features=8, head_hidden=8,
        visual=False,
    )  # fmt: skip
    save_graft(folder / "zero.safetensors", Graft(config, nnx.Rngs(0)), {"body": "free"})
    options = ("--prior=graft", f"--weights={folder / 'zero.safetensors'}", "--pictures=0")
    assert refine(folder, folder / "same", "cloud.npz", *options) == 0
    before, after = load(folder / "people.npz"), load(folder / "same" / "refined.npz")
    # Into the frame of a camera three metres away, and back.
    for name in ("transl", "betas", "body_pose", "global_orient"):
        np.testing.assert_allclose(after[name], before[name], atol=2e-4, err_msg=name)
    notes = json.loads((folder / "same" / "metrics.json").read_text())["notes"]
    assert any("7 of 20,007 points are not finite" in note for note in notes)


@pytest.mark.slow
def test_the_shipped_graft_brings_people_to_the_floor(folder, capsys):
    # Of the free body, whose weights are shipped, the prior that nobody named is GRAFT's network.
    assert refine(folder, folder / "shipped", "floor.obj", "--pictures=0", "--freeze=hands") == 0
    assert "prior: graft" in capsys.readouterr().out
    before, after = load(folder / "people.npz"), load(folder / "shipped" / "refined.npz")
    np.testing.assert_allclose(after["left_hand_pose"], before["left_hand_pose"], atol=1e-5)
    record = json.loads((folder / "shipped" / "metrics.json").read_text())
    assert record["weights"]["file"].endswith("graft.safetensors") and record["weights"]["steps"] == 600
    assert (record["prior"], record["steps"], record["aligned"]) == ("graft", 3, {})
    for person in record["people"].values():
        assert person["before"]["touching"] == 0 and person["after"]["touching"] > 0.02
        assert person["after"]["nearest"] < 0.02 and person["after"]["deepest"] < 0.05
        assert person["moved"] < 0.25


@pytest.fixture(scope="module")
def seen(folder):
    """A wall before a camera, a person before the wall, features of the image, and a full network of random weights."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from hoijax.nets.graft import Graft, GraftConfig, save_graft

    intrinsics = np.array([[30, 0, 16], [0, 30, 12], [0, 0, 1]], np.float32)
    np.savez(folder / "wall.npz", depth=np.full((24, 32), 3.0, np.float32), intrinsics=intrinsics)
    pose = named_pose("stand") | {"betas": np.zeros(10, np.float32), "global_orient": np.float32([np.pi, 0, 0])}
    np.savez(folder / "person.npz", **{k: v[None] for k, v in (pose | {"transl": np.float32([0, 0, 2.8])}).items()})
    config = GraftConfig(
        width=16, layers=1, heads=2, feedforward=16, fourier=8, probe_hidden=8, probe_features=8, head_hidden=8,
        feature_widths=(6, 4), level_width=8,
    )  # fmt: skip
    graph, state = nnx.split(nnx.eval_shape(lambda: Graft(config, nnx.Rngs(0))))
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda x: jnp.asarray(0.1 * rng.normal(size=x.shape), x.dtype), state)
    save_graft(folder / "full.safetensors", nnx.merge(graph, state), {"body": "free"})
    levels = {f"features_{k}": rng.normal(size=(2, 4, 5, n)) for k, n in enumerate(config.feature_widths)}
    np.savez(folder / "features.npz", **levels, intrinsics=2 * intrinsics)
    np.savez(folder / "other.npz", **{k: -v for k, v in levels.items()}, intrinsics=2 * intrinsics)


@pytest.mark.slow
def test_features_of_the_image_reach_the_network(folder, seen):
    def told(name, features):
        options = ("--prior=graft", f"--weights={folder / 'full.safetensors'}", "--pictures=0", features)
        assert refine(folder, folder / name, "wall.npz", *options, body="person.npz") == 0
        return load(folder / name / "refined.npz")["transl"]

    first, other = (told(name, f"--features={folder / name}.npz") for name in ("features", "other"))
    assert np.abs(first - other).max() > 1e-4
    record = json.loads((folder / "features" / "metrics.json").read_text())
    assert record["weights"]["features"]["file"].endswith("features.npz")


def test_features_that_nothing_can_be_done_with_are_refused(folder, seen, capsys):
    features = f"--features={folder / 'features.npz'}"

    def told(scene, *options):
        assert refine(folder, folder / "unseen", scene, features, *options, body="person.npz") == 2
        assert not (folder / "unseen").exists()
        return capsys.readouterr().err

    full = f"--weights={folder / 'full.safetensors'}"
    assert "which network" in told("wall.npz", "--prior=gradient", full)
    assert "give --prior graft" in told("wall.npz")
    assert "where that is" in told("cloud.ply", "--prior=graft", full)
    assert "without image features" in told("wall.npz", "--prior=graft")


@pytest.fixture(scope="module")
def heads(folder, seen):
    """The depth of a picture with a person 2.4 m away; estimates of that person 8 % too far, and of one beside it."""
    model = free_body("test")
    true = load(folder / "person.npz") | {"transl": np.float32([[0.1, 0, 2.4]])}
    posed = pose_body(model, BodyParams.from_axis_angle(model, **{k: v[0] for k, v in true.items()}))
    corners = np.asarray(posed.vertices)[np.asarray(model.faces)]
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 150).astype(np.float32)
    points = np.einsum("sk,fkc->sfc", shares, corners).reshape(-1, 3)
    intrinsics = np.array([[480, 0, 256], [0, 480, 240], [0, 0, 1]], np.float32)
    column, row = (points @ intrinsics.T / points[:, 2:])[:, :2].astype(int).T
    inside = (column >= 0) & (column < 512) & (row >= 0) & (row < 480)
    depth = np.full((480, 512), 3.0, np.float32)
    np.minimum.at(depth, (row[inside], column[inside]), points[inside, 2])
    np.savez(folder / "heads.npz", depth=depth, intrinsics=intrinsics)
    np.savez(folder / "bare.npz", point_map=depth[..., None] * np.ones(3, np.float32))
    # Along the ray of the head, which appears where it is.
    off = true["transl"][0] + 0.08 * np.asarray(posed.joints)[model.joint_names.index("head")]
    two = {k: np.concatenate([v, v]) for k, v in true.items()}
    np.savez(folder / "off.npz", **(two | {"transl": np.stack([off, off + [5, 0, 0]]).astype(np.float32)}))
    return model, np.asarray(posed.joints)


def test_heads_are_brought_to_where_a_map_sees_them(folder, heads, capsys):
    model, joints = heads
    head, out = model.joint_names.index("head"), folder / "aligned"
    options = (f"--align-heads={folder / 'heads.npz'}", "--prior=gradient", "--steps=0", "--pictures=0")
    # The second one stands outside of the picture: named, and left as read.
    assert refine(folder, out, "wall.npz", *options, body="off.npz") == 1
    said = capsys.readouterr().out
    assert "not used: person 1: --align-heads" in said and "outside the image" in said
    before, after = load(folder / "off.npz"), load(out / "refined.npz")
    np.testing.assert_allclose(after["transl"][1], before["transl"][1], atol=1e-5)
    one = {k: v[0] for k, v in after.items()}
    found = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **one)).joints)
    # 18 cm too deep before; what is left is how rough skin is that vertices stand for.
    assert abs(found[head, 2] - joints[head, 2]) < 0.015
    record = json.loads((out / "metrics.json").read_text())
    assert list(record["aligned"]) == ["person 0"] and list(record["failed"]) == ["person 1"]
    assert record["aligned"]["person 0"] == pytest.approx(1 / 1.08, abs=0.01)
    # Scaled about the camera: the same picture, as nearly as shapes can say a size.
    first = {k: v[0] for k, v in before.items()}
    start = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **first)).joints)
    np.testing.assert_allclose((found / found[:, 2:])[:22], (start / start[:, 2:])[:22], atol=6e-3)


def test_heads_that_nothing_can_be_done_with_are_refused(folder, heads, capsys):
    def told(scene, name, body="off.npz"):
        out = folder / "unaligned"
        assert refine(folder, out, scene, f"--align-heads={folder / name}", "--pictures=0", body=body) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert "where that is" in told("cloud.ply", "heads.npz", "people.npz")
    assert "not a cloud" in told("wall.npz", "cloud.npz")
    np.savez(folder / "pixels.npz", depth=np.full((24, 32), 3.0, np.float32), intrinsics=np.eye(3, dtype=np.float32))
    assert "outside the image" in told("wall.npz", "pixels.npz")
    code = main(["refine", f"--body={folder / 'off.npz'}", f"--object={folder / 'floor.obj'}",
                 f"--align-heads={folder / 'heads.npz'}", f"--out={folder / 'unaligned'}"])  # fmt: skip
    assert code == 2 and "goes with --scene" in capsys.readouterr().err


def test_one_person_far_away_is_named_and_the_other_refined(folder, capsys):
    assert refine(folder, folder / "far", "cloud.ply", body="far.npz") == 1
    record = json.loads((folder / "far" / "metrics.json").read_text())
    assert list(record["people"]) == ["person 0"] and "person 1 is" in record["failed"]["person 1"]
    assert "must share a frame" in capsys.readouterr().out
    before, after = load(folder / "far.npz"), load(folder / "far" / "refined.npz")
    np.testing.assert_allclose(after["transl"][1], before["transl"][1], atol=1e-5)


def test_refusals_name_the_trouble_and_write_nothing(folder, capsys):
    out = folder / "nothing"

    def told(*args, **kwargs):
        assert refine(folder, out, *args, **kwargs) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert "m away from the nearest scene point" in told("cloud.ply", body="lost.npz")
    assert "there is no scene file" in told("missing.ply")
    assert "cannot read GRAFT's weights" in told("cloud.ply", "--prior=graft", f"--weights={folder / 'people.npz'}")
    np.savez(folder / "nan.npz", points=np.full((9, 3), np.nan))
    assert "none of the 9 points" in told("nan.npz")
    np.savez(folder / "empty.npz", points=np.zeros((0, 3)))
    assert "empty" in told("empty.npz")
    np.savez(folder / "mm.npz", points=1000 * np.random.default_rng(0).uniform(-2, 2, (500, 3)))
    assert "looks like millimetres: give --units mm" in told("mm.npz")
    assert "--floor goes with --object" in told("cloud.ply", "--floor=auto")
    assert "--no-upright goes with --object" in told("cloud.ply", "--no-upright")
    assert "of a person in a scene there are orient, pose" in told("cloud.ply", "--freeze=object")
    people = load(folder / "people.npz")
    np.savez(folder / "broken.npz", **(people | {"transl": people["transl"] * np.nan}))
    assert "not finite" in told("cloud.ply", body="broken.npz")
    code = main(["refine", f"--body={folder / 'people.npz'}", f"--out={out}"])
    assert code == 2 and "neither was given" in capsys.readouterr().err


def test_depth_maps_and_units_become_metres(folder):
    """A wall 3 m before the camera, with a hole."""
    depth = np.full((24, 32), 3000.0, np.float32)
    depth[10, 10] = 0
    intrinsics = np.array([[30, 0, 16], [0, 30, 12], [0, 0, 1]], np.float32)
    np.savez(folder / "depth.npz", depth=depth, intrinsics=intrinsics)
    with pytest.raises(InputError, match="millimetres"):
        read_scene(folder / "depth.npz")
    found = read_scene(folder / "depth.npz", units="mm")
    assert found.from_camera and "1 pixels hold no point" in found.notes[0]
    np.testing.assert_allclose(found.points[:, 2], 3, atol=1e-5)
    np.testing.assert_allclose(found.normals, np.broadcast_to([0, 0, -1], found.normals.shape), atol=1e-5)


@pytest.mark.slow
def test_a_scan_of_a_million_noisy_points_with_holes_and_another_up(folder, tmp_path):
    """A seat and a floor as a scanner gives them: no normals, 4 mm of noise, holes, strays, and z up."""
    model, rng = free_body("test"), np.random.default_rng(0)
    upright = named_pose("sit") | {"betas": np.zeros(10, np.float32)}
    posed = pose_body(model, BodyParams.from_axis_angle(model, **upright))
    body, pelvis = np.asarray(posed.vertices), np.asarray(posed.joints)[0]
    under = body[np.linalg.norm(body[:, [0, 2]] - pelvis[[0, 2]], axis=1) < 0.2][:, 1].min()

    def flat(count, low, high, y):
        u = rng.random((count, 2)) * np.subtract(high, low) + low
        return np.stack([pelvis[0] + u[:, 0], np.full(count, y), pelvis[2] + u[:, 1]], axis=1)

    seat = flat(120_000, (-0.3, -0.35), (0.3, 0.25), under - LIFT)
    seat = seat[np.linalg.norm(seat[:, [0, 2]] - pelvis[[0, 2]] - [0.2, -0.2], axis=1) > 0.06]
    floor = flat(900_000, (-2.5, -2.5), (2.5, 2.5), body[:, 1].min() - LIFT)
    strays = pelvis + rng.normal(size=(500, 3)) * 2
    points = np.concatenate([seat, floor]) + 0.004 * rng.normal(size=(len(seat) + len(floor), 3))
    points = np.concatenate([points, strays[np.linalg.norm(strays - pelvis, axis=1) > 1.2]])
    assert len(points) > 1_000_000
    # x, y, z become y, z, x: what was up is now the third axis.
    turn = np.float32([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    trimesh.PointCloud((points @ turn.T).astype(np.float32)).export(tmp_path / "scan.ply")
    params = BodyParams.from_axis_angle(model, **upright)
    rotated = Rotation.from_matrix(turn @ np.asarray(params.rotations[0])).as_rotvec()
    place = turn @ pelvis - (pelvis - upright["transl"])
    people = upright | {"global_orient": rotated.astype(np.float32), "transl": place.astype(np.float32)}
    np.savez(tmp_path / "person.npz", **{name: value[None] for name, value in people.items()})
    options = ("--up=+z", "--prior=gradient", "--pictures=0")
    code = refine(tmp_path, tmp_path / "out", "scan.ply", *options, body="person.npz")
    assert code == 0
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert any("points were thinned to 400,000" in note for note in record["notes"])
    person = record["people"]["person 0"]
    assert person["before"]["touching"] < 0.01 and person["before"]["deepest"] < 0.01
    assert person["after"]["touching"] > 0.08 and person["after"]["deepest"] < 0.03
    assert 0.03 < person["moved"] < 0.15


def test_a_room_that_faces_inward_keeps_facing_inward(tmp_path):
    box = trimesh.creation.box((4, 3, 5))
    box.invert()
    box.export(tmp_path / "room.obj")
    found = read_scene(tmp_path / "room.obj")
    assert np.all(np.sum(found.points * found.normals, axis=1) < 0)
    assert found.points[:, 2].max() == pytest.approx(2.5, abs=1e-4)
