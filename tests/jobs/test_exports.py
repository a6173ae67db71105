"""Exports read back by readers of their own: skin, joints, object, other methods' keys, distances."""

import dataclasses
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyModel, free_body, save
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.io import read_parameters
from hoijax.io.motion import running_angles, running_quaternions
from hoijax.io.skinned_glb import strongest
from hoijax.jobs.bodies import start_of
from hoijax.jobs.contact_report import nearest_to_object
from hoijax.jobs.estimates import settle
from hoijax.jobs.export_result import ExportRequest, read_result
from hoijax.jobs.exports import LAYOUTS, export
from hoijax.viz.contact_paint import contact_colors

_spec = importlib.util.spec_from_file_location(
    "motion_readers", pathlib.Path(__file__).parents[1] / "io" / "motion_readers.py"
)
readers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(readers)

MODEL = free_body("test")
T = 4


def textbook(model, rotations, betas, transl, correctives=True):
    """One body by homogeneous matrices, one joint at a time: vertices and joints."""
    rest = model.joint_template + np.asarray(model.joint_shape_dirs, np.float64) @ betas
    surface = model.v_template + np.asarray(model.shape_dirs, np.float64) @ betas
    if correctives and model.pose_basis is not None:
        surface = surface + np.einsum("p,pcv->vc", (rotations[1:] - np.eye(3)).ravel(), model.pose_basis)
    worlds, out = [], np.zeros_like(surface, dtype=np.float64)
    for j, parent in enumerate(model.parents):
        local, bind = np.eye(4), np.eye(4)
        local[:3, :3], local[:3, 3] = rotations[j], rest[j] - (rest[parent] if parent >= 0 else 0)
        bind[:3, 3] = -rest[j]
        worlds.append(local if parent < 0 else worlds[parent] @ local)
        moved = np.c_[surface, np.ones(len(surface))] @ (worlds[j] @ bind).T
        out += np.asarray(model.skin_weights, np.float64)[:, j, None] * moved[:, :3]
    return out + transl, np.stack(worlds)[:, :3, 3] + transl


def sequence(count=T, joints=21, seed=0, **extra):
    rng = np.random.default_rng(seed)
    path = np.linspace(0, 1, count)[:, None]
    values = {
        "global_orient": rng.normal(0, 1, 3) + 2.5 * path * rng.normal(0, 1, 3),
        "body_pose": rng.normal(0, 0.4, 3 * joints) + path * rng.normal(0, 0.6, 3 * joints),
        "betas": np.tile(rng.normal(0, 1, 10), (count, 1)),
        "transl": rng.normal(0, 0.5, 3) + path * rng.normal(0, 0.5, 3),
        "obj_rot": rng.normal(0, 1, 3) + 3 * path * rng.normal(0, 1, 3),
        "obj_trans": rng.normal(0, 0.3, 3) + path * rng.normal(0, 0.3, 3),
        "obj_scale": 1.0 + 0.3 * path[:, 0],
    }
    if joints == 21:
        values |= {f"{side}_hand_pose": rng.normal(0, 0.3, (count, 45)) for side in ("left", "right")}
    return values | extra


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("mesh") / "box.obj"
    trimesh.creation.box((0.3, 0.2, 0.4)).export(path)
    return path


@pytest.fixture
def result(tmp_path):
    np.savez(tmp_path / "refined.npz", **sequence())
    return tmp_path / "refined.npz"


def request(result, name, **options):
    kind = {".glb": "glb", ".bvh": "bvh", ".npz": "npz", ".txt": "report"}[pathlib.Path(name).suffix]
    return ExportRequest(**{"result": result, "out": result.parent / name, "format": kind, "lod": "test"} | options)


def posed(model, values, **options):
    """Textbook vertices and joints of all frames of a file."""
    frames = []
    for t in range(len(values["transl"])):
        row = {name: np.atleast_1d(value[t]) for name, value in values.items()}
        rotations = np.asarray(start_of(model, row, "test").params.rotations, np.float64)
        frames.append(textbook(model, rotations, values["betas"][t], values["transl"][t], **options))
    return np.stack([f[0] for f in frames]), np.stack([f[1] for f in frames])


def placed(values, vertices):
    turns = Rotation.from_rotvec(values["obj_rot"]).as_matrix()
    return np.stack([s * vertices @ r.T + p for s, r, p in zip(values["obj_scale"], turns, values["obj_trans"])])


def test_a_viewer_sees_the_body_and_the_object_of_every_frame(result, box):
    lines = export(request(result, "a.glb", object=box, fps=25.0, influences=8))
    glb, values = readers.Glb(result.parent / "a.glb"), sequence()
    mesh = trimesh.load(box, process=False)
    vertices, joints = posed(MODEL, values)
    order = [glb.node(name) for name in MODEL.joint_names]
    for t in (None, *range(T)):
        frame = t or 0  # without the animation everything stands as in the first frame
        assert np.abs(glb.body(t) - vertices[frame]).max() < 1e-5
        assert np.abs(glb.object(t) - placed(values, mesh.vertices)[frame]).max() < 1e-5
        assert np.abs(np.stack(glb.worlds(t))[order, :3, 3] - joints[frame]).max() < 1e-5
    assert np.allclose(glb.times(), np.arange(T) / 25)
    (accessor,) = {s["input"] for s in glb.tree["animations"][0]["samplers"]}
    assert np.allclose([glb.tree["accessors"][accessor][end][0] for end in ("min", "max")], [0, (T - 1) / 25])
    assert "4 frames at 25 a second" in lines[0] and not any(line.startswith("lost") for line in lines)
    turns = [c for c in glb.tree["animations"][0]["channels"] if c["target"]["path"] == "rotation"]
    for channel in turns:  # the short way round from frame to frame
        q = glb.array(glb.tree["animations"][0]["samplers"][channel["sampler"]]["output"])
        assert np.allclose(np.linalg.norm(q, axis=1), 1, atol=1e-6) and ((q[1:] * q[:-1]).sum(1) >= 0).all()


@pytest.mark.parametrize("influences", [4, None])
def test_what_four_joints_lose_is_told(result, box, influences):
    lines = export(request(result, "a.glb", object=box, influences=influences))
    glb = readers.Glb(result.parent / "a.glb")
    gap = np.linalg.norm(np.stack([glb.body(t) for t in range(T)]) - posed(MODEL, sequence())[0], axis=2)
    facts = glb.tree["scenes"][0]["extras"]["hoijax"]
    assert np.isclose(facts["skin_error_max"], gap.max(), atol=1e-5)
    assert np.isclose(facts["skin_error_mean"], gap.mean(), atol=1e-6)
    names = glb.tree["meshes"][0]["primitives"][0]["attributes"]
    if influences == 4:
        assert gap.max() > 1e-3 and "JOINTS_1" not in names and any("the 4 strongest are written" in x for x in lines)
        assert any(f"at most {1000 * gap.max():.3g} mm" in line for line in lines)
    else:
        assert facts["influences"] == 8 and "JOINTS_1" in names and gap.max() < 1e-5
    for k in range(2 if influences is None else 1):
        ids, weights = glb.attribute(f"JOINTS_{k}", 0), glb.attribute(f"WEIGHTS_{k}", 0)
        assert (ids[weights == 0] == 0).all() and (weights[:, :-1] >= weights[:, 1:]).all()


def test_strongest_weights_by_hand():
    weights = np.array([[0.05, 0.1, 0.4, 0.25, 0.2], [0, 0, 1, 0, 0]])
    joints, kept = strongest(weights, 4)
    assert joints.tolist() == [[2, 3, 4, 1], [2, 0, 0, 0]]
    assert np.allclose(kept, [np.array([0.4, 0.25, 0.2, 0.1]) / 0.95, [1, 0, 0, 0]])
    assert strongest(weights[:, :3], 4)[0].shape == (2, 4)


def licensed(kind, tmp_path):
    """A made-up body of a licensed kind, forty vertices, with correctives."""
    rng = np.random.default_rng(3)
    joints = len(JOINT_NAMES[kind])
    weights = rng.uniform(size=(40, joints)) ** 8
    weights[:, 4:] = np.where(np.sort(weights[:, 4:], axis=1)[:, -3:-2] <= weights[:, 4:], weights[:, 4:], 0)
    weights[:, :4] = 0
    model = BodyModel(
        v_template=rng.normal(0, 0.4, (40, 3)), shape_dirs=rng.normal(0, 0.02, (40, 3, 10)),
        pose_basis=rng.normal(0, 0.003, (9 * (joints - 1), 3, 40)), joint_template=rng.normal(0, 0.3, (joints, 3)),
        joint_shape_dirs=rng.normal(0, 0.01, (joints, 3, 10)), skin_weights=weights / weights.sum(1, keepdims=True),
        faces=np.array([[0, 1, 2], [3, 4, 5]], np.int32), parents=PARENTS[kind], joint_names=JOINT_NAMES[kind],
        kind=kind, hand_mean=rng.normal(0, 0.2, (2, 45)) if kind != "smpl" else None,
    ).astype(np.float32)  # fmt: skip
    save(tmp_path / f"{kind}.npz", model)
    return model, tmp_path / f"{kind}.npz"


def test_correctives_are_lost_and_the_loss_is_told(tmp_path, box):
    model, file = licensed("smpl", tmp_path)
    values = sequence(joints=23)
    np.savez(tmp_path / "a.npz", **values)
    lines = export(request(tmp_path / "a.npz", "a.glb", body_model=file, object=box))
    glb = readers.Glb(tmp_path / "a.glb")
    bare, full = posed(model, values, correctives=False)[0], posed(model, values)[0]
    skin = np.stack([glb.body(t) for t in range(T)])
    assert np.abs(skin - bare).max() < 1e-5
    worst = np.linalg.norm(skin - full, axis=2).max()
    assert worst > 1e-3 and np.isclose(glb.tree["scenes"][0]["extras"]["hoijax"]["skin_error_max"], worst, atol=1e-5)
    assert any("correctives" in line for line in lines)


def test_a_shape_that_changes_is_averaged_and_told(tmp_path, box):
    values = sequence()
    values["betas"] = values["betas"] + np.linspace(-1, 1, T)[:, None]
    np.savez(tmp_path / "a.npz", **values)
    lines = export(request(tmp_path / "a.npz", "a.glb", object=box, influences=8))
    assert any("the mean one is written" in line for line in lines)
    body = readers.Glb(tmp_path / "a.glb").attribute("POSITION", 0)
    assert np.allclose(body, MODEL.v_template + MODEL.shape_dirs @ values["betas"].mean(0), atol=1e-5)


@pytest.mark.parametrize(("length", "scale"), [("cm", 100.0), ("m", 1.0)])
def test_a_bvh_has_the_joints_of_every_frame(result, length, scale):
    lines = export(request(result, "a.bvh", length=length, fps=60.0))
    names, parents, places, seconds, rows, ends = readers.read_bvh(result.parent / "a.bvh")
    _, joints = posed(MODEL, sequence())
    order = [MODEL.joint_names.index(name) for name in names]
    assert sorted(order) == list(range(MODEL.num_joints)) and np.isclose(seconds, 1 / 60)
    assert np.abs(places / scale - joints[:, order]).max() < 1e-4
    own = [-1 if p < 0 else order[p] for p in parents]
    assert [MODEL.parents[j] for j in order] == own
    assert set(ends) == set(range(len(names))) - set(parents)
    assert f"lengths in {length}" in lines[0] and any("no object" in line for line in lines)
    angles = rows[:, 3:]
    assert np.abs(np.diff(angles, axis=0)).max() < 180  # no jump by a turn between frames


def test_a_bvh_of_a_body_whose_pelvis_is_off_the_origin_and_whose_shape_changes(tmp_path):
    model, file = licensed("smpl", tmp_path)
    values = sequence(joints=23)
    np.savez(tmp_path / "a.npz", **values)
    export(request(tmp_path / "a.npz", "a.bvh", body_model=file))
    names, _, places, *_ = readers.read_bvh(tmp_path / "a.bvh")
    order = [model.joint_names.index(name) for name in names]
    assert np.abs(places / 100 - posed(model, values)[1][:, order]).max() < 1e-4
    values["betas"] = values["betas"] + np.linspace(-1, 1, T)[:, None]
    np.savez(tmp_path / "a.npz", **values)
    export(request(tmp_path / "a.npz", "a.bvh", body_model=file))
    root = readers.read_bvh(tmp_path / "a.bvh")[2][:, 0] / 100
    assert np.abs(root - posed(model, values)[1][:, 0]).max() < 1e-4  # where each frame's own shape has it


def test_angles_and_quaternions_run_on():
    steps = np.linspace(0, 9, 60)
    turns = Rotation.from_euler("ZXY", np.stack([40 * steps, 30 * np.sin(steps) * 3.2, 77 * steps], 1), degrees=True)
    angles = running_angles(turns.as_matrix()[:, None])[:, 0]
    assert np.abs(np.diff(angles, axis=0)).max() < 45
    back = Rotation.from_euler("ZXY", angles, degrees=True)
    assert (back.inv() * turns).magnitude().max() < 1e-6
    quaternions = running_quaternions(turns.as_matrix()[:, None])[:, 0]
    assert ((quaternions[1:] * quaternions[:-1]).sum(1) > 0).all()
    assert (Rotation.from_quat(quaternions).inv() * turns).magnitude().max() < 1e-6
    locked = Rotation.from_euler("ZXY", [[20, 90, 30], [20, -90, 30]], degrees=True)
    again = Rotation.from_euler("ZXY", running_angles(locked.as_matrix()[:, None])[:, 0], degrees=True)
    assert (again.inv() * locked).magnitude().max() < 1e-6


def test_what_is_up_becomes_y(tmp_path, box):
    turn = Rotation.from_rotvec([np.pi / 2, 0, 0])  # y to z
    upright, values = sequence(), sequence()
    values["obj_trans"] = turn.apply(upright["obj_trans"])
    values["obj_rot"] = (turn * Rotation.from_rotvec(upright["obj_rot"])).as_rotvec()
    values["global_orient"] = (turn * Rotation.from_rotvec(upright["global_orient"])).as_rotvec()
    pelvis = MODEL.joint_template[0] + MODEL.joint_shape_dirs[0] @ values["betas"][0]
    values["transl"] = turn.apply(upright["transl"] + pelvis) - pelvis
    np.savez(tmp_path / "a.npz", **values)
    lines = export(request(tmp_path / "a.npz", "a.glb", object=box, up="+z", influences=8))
    assert any("+z was up" in line for line in lines)
    vertices, joints = posed(MODEL, upright)
    glb = readers.Glb(tmp_path / "a.glb")
    assert np.abs(glb.body(2) - vertices[2]).max() < 1e-5
    assert np.abs(glb.object(2) - placed(upright, trimesh.load(box, process=False).vertices)[2]).max() < 1e-5
    assert glb.tree["scenes"][0]["extras"]["hoijax"]["skin_error_max"] < 1e-5
    export(request(tmp_path / "a.npz", "a.bvh", up="+z"))
    names, _, places, *_ = readers.read_bvh(tmp_path / "a.bvh")
    order = [MODEL.joint_names.index(name) for name in names]
    assert np.abs(places / 100 - joints[:, order]).max() < 1e-4


@pytest.mark.parametrize("body", ["own", "free"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda row: row.name)
def test_other_methods_keys_are_read_back(tmp_path, layout, body):
    kind = "free" if body == "free" or layout.body is None else layout.body
    model, file = (MODEL, None) if kind == "free" else licensed(kind, tmp_path)
    values = sequence(joints=23 if kind == "smpl" else 21)
    if layout.holds == "object":
        values["obj_scale"] = np.ones(T)
    if layout.body is not None:
        values["transl"][:, 2] += 4.0
    if kind == "smplx":
        rng = np.random.default_rng(5)
        values |= {name: rng.normal(0, 0.2, (T, 3)) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    np.savez(tmp_path / "a.npz", **values)
    lines = export(request(tmp_path / "a.npz", "b.npz", body_model=file, method=layout.name))
    source = layout.source or layout.name
    if layout.holds == "object":
        from hoijax.io.sources import read_estimate

        found = read_estimate(tmp_path / "b.npz")
        assert found.source.name == source
        assert np.abs(found.arrays["obj_trans"] - values["obj_trans"]).max() < 1e-4
        same_turns(found.arrays["obj_rot"], values["obj_rot"])
        return
    read = read_parameters(tmp_path / "b.npz")
    assert (read.estimate.source.name if read.estimate else "hoijax") == source and read.count == T
    read = settle(model, read)
    lost = {"amass": {"obj_rot", "obj_trans", "obj_scale"}, "hoijax": set()}.get(
        layout.name, {"obj_rot", "obj_trans", "obj_scale"})  # fmt: skip
    lost |= {"leye_pose", "reye_pose"} if layout.name in ("smplest-x", "open3dhoi") else set()
    lost |= {"left_hand_pose", "right_hand_pose"} if layout.body == "smpl" else set()
    for name, value in values.items():
        if name in lost:
            continue
        back = read.values[name]
        if name.endswith(("pose", "orient", "rot")):
            same_turns(back[:, : value.shape[1]], value)
        elif name == "betas" and body == "free" and layout.body:
            assert (back == 0).all() and any("its mean shape is written" in line for line in lines)
        else:
            assert np.abs(back.reshape(value.shape) - value).max() < 1e-4, name
    assert any(line == "lost: the object" for line in lines) == ("obj_rot" in lost)
    assert any("fingers" in line for line in lines) == (layout.body == "smpl" and body == "free")


def same_turns(back, value):
    one, two = (Rotation.from_rotvec(np.asarray(x).reshape(-1, 3)) for x in (back, value))
    assert (one.inv() * two).magnitude().max() < 1e-4


def test_another_methods_file_is_a_result_too(tmp_path):
    values = sequence() | {"betas": np.zeros((T, 10))}
    values["transl"][:, 2] += 4.0
    np.savez(tmp_path / "a.npz", **values)
    export(request(tmp_path / "a.npz", "b.npz", method="hmr2"))
    lines = export(request(tmp_path / "b.npz", "c.npz"))
    assert np.abs(np.load(tmp_path / "c.npz")["transl"] - values["transl"]).max() < 1e-5  # the pelvis' way and back
    assert any("mean another shape on the free body" in line for line in lines)
    assert read_result(request(tmp_path / "b.npz", "c.glb")).up == (0.0, -1.0, 0.0)
    (tmp_path / "refined.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    (tmp_path / "metrics.json").write_text("{}")
    assert not any("betas" in line for line in export(request(tmp_path, "a.bvh")))


def test_hands_relative_to_a_mean_hand_stay_so(tmp_path):
    _, file = licensed("smplx", tmp_path)
    values = sequence()
    np.savez(tmp_path / "a.npz", **values)
    export(request(tmp_path / "a.npz", "b.npz", body_model=file, hands="mean", method="amass"))
    poses = np.load(tmp_path / "b.npz")["poses"]
    assert poses.shape == (T, 165) and np.abs(poses[:, 75:120] - values["left_hand_pose"]).max() < 1e-4


def test_distances_of_parts_and_colours_against_a_plane(tmp_path, box):
    """A box below the feet, whose top is a plane: distances are heights."""
    joints = np.zeros((2, 63))
    feet = MODEL.v_template[:, 1].min()
    top = feet + np.array([-0.004, 0.012])  # 4 mm of air, then 12 mm deep
    file = tmp_path / "refined.npz"
    trimesh.creation.box((4, 0.2, 4)).export(tmp_path / "floor.obj")
    np.savez(
        file, body_pose=joints, transl=np.zeros((2, 3)), betas=np.zeros((2, 10)), obj_rot=np.zeros((2, 3)),
        obj_trans=np.stack([np.zeros(2), top - 0.1, np.zeros(2)], 1), left_hand_pose=np.zeros((2, 45)),
        right_hand_pose=np.zeros((2, 45)),
    )  # fmt: skip
    record = {
        "name": "x\x1b[2J", "options": {"object": str(tmp_path / "floor.obj"), "lod": "test", "body_model": 7},
        "after": {"contact": {"left_sole": 0.0, "palms": 1.0}}, "verdict": ["missed: palms"],
    }  # fmt: skip
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    export(request(file, "a.txt", lod=None))
    text = (tmp_path / "a.txt").read_text()
    assert "\x1b" not in text and "missed: palms" in text
    rows = {line[:15].strip(): line.split() for line in text.splitlines() if "apart" in line or "touches" in line[40:]}
    rows |= {line[:15].strip(): line.split() for line in text.splitlines() if line.startswith(("palms", "left sole"))}
    from hoijax.body_models import contact_regions

    low = {name: MODEL.v_template[ids, 1].min() for name, ids in contact_regions(MODEL).items()}
    hand = 1000 * (low["left_hand"] - top)
    number = lambda row, k: float(rows[row][len(row.split()) + k])  # noqa: E731
    assert np.isclose(number("left hand", 0), hand.min(), atol=0.11)
    assert np.isclose(number("left hand", 1), hand.mean(), atol=0.11)
    assert np.isclose(number("left hand", 2), 0) and rows["left hand"][-1] == "apart"
    sole = 1000 * (low["left_sole"] - top)
    assert np.isclose(number("left sole*", 2), -sole.min(), atol=0.11) and number("left sole*", 0) == 0
    assert np.isclose(number("left sole*", 1), sole[0] / 2, atol=0.11)
    assert rows["left sole*"][-2:] == ["touches,", "penetrates"] and rows["palms*"][-1] == "missed"
    assert "deepest: 12.0 mm" in text and "frame 1" in text
    export(request(file, "a.txt", row=0))
    text = (tmp_path / "a.txt").read_text()
    assert "1 frame" in text and "deepest: 0.0" in text
    export(request(file, "a.glb"))
    glb = readers.Glb(tmp_path / "a.glb")
    linear = glb.attribute("COLOR_0", 0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    height = MODEL.v_template[:, 1] - top.max()
    at = [-0.01, 0.0, 0.005, 0.02, 0.1]
    want = [(0.45, 0.1, 0.6), (0.85, 0.1, 0.1), (0.9, 0.3, 0.1), (0.95, 0.8, 0.25), (0.72, 0.72, 0.72)]
    for k in range(3):
        assert np.abs(srgb[:, k] - np.interp(height, at, [w[k] for w in want])).max() < 2e-3
    assert np.allclose(contact_colors(np.array([0.2, -1.0])), [want[-1], want[0]])


def test_a_thin_object_is_found_between_vertices(tmp_path):
    """A needle through a face of the torso: no vertex of the body is inside it, but its points are inside the body."""
    normals = np.cross(*(MODEL.v_template[MODEL.faces][:, k] - MODEL.v_template[MODEL.faces][:, 0] for k in (1, 2)))
    centres = MODEL.v_template[MODEL.faces].mean(1)
    front = centres[(normals[:, 2] > 0.9 * np.linalg.norm(normals, axis=1)) & (np.abs(centres[:, 0]) < 0.1)]
    spot = front[np.abs(front[:, 1] - 0.2).argmin()]
    needle = trimesh.creation.box((0.004, 0.004, 0.2))  # at half its size
    needle.export(tmp_path / "needle.obj")
    np.savez(tmp_path / "a.npz", body_pose=np.zeros(63), obj_trans=spot + [0, 0, 0.02], obj_scale=0.5)
    export(request(tmp_path / "a.npz", "a.txt", object=tmp_path / "needle.obj"))
    torso = next(line for line in (tmp_path / "a.txt").read_text().splitlines() if line.startswith("torso"))
    _, distance, depth, *words = torso.split()
    assert float(distance) == 0 and 20 < float(depth) < 35 and "penetrates" in words


def test_folders_of_a_batch_are_frames_in_order(tmp_path, box):
    values = sequence()
    for t in (2, 0, 3, 1):
        folder = tmp_path / "out" / f"frame_{t}"
        folder.mkdir(parents=True)
        np.savez(folder / "refined.npz", **{name: value[t] for name, value in values.items()})
        (folder / "metrics.json").write_text(
            json.dumps({"name": f"frame_{t}", "options": {"object": str(box), "up": "+y"}, "verdict": [f"word{t}"]})
        )
    joined = read_result(request(tmp_path / "out", "../a.glb"))
    assert joined.count == T and np.abs(joined.translations - values["transl"]).max() < 1e-6
    assert [r["verdict"] for r in joined.records] == [[f"word{t}"] for t in range(T)] and joined.mesh is not None
    assert np.abs(joined.track.scales - values["obj_scale"]).max() < 1e-6
    one = read_result(request(tmp_path / "out", "../a.glb", row=2))
    assert one.count == 1 and one.records[0]["verdict"] == ["word2"]
    assert np.abs(one.translations - values["transl"][2]).max() < 1e-6
    np.savez(tmp_path / "out" / "frame_3" / "refined.npz", body_pose=np.zeros(63))
    with pytest.raises(InputError, match="no frames of one sequence"):
        read_result(request(tmp_path / "out", "../a.glb"))


def test_a_row_of_a_joint_file_has_its_own_record(tmp_path):
    np.savez(tmp_path / "refined.npz", **sequence())
    for t in (0, 2):
        (tmp_path / f"{t:06d}").mkdir()
        np.savez(tmp_path / f"{t:06d}" / "refined.npz", body_pose=np.zeros(63))
        (tmp_path / f"{t:06d}" / "metrics.json").write_text(json.dumps({"verdict": [f"word{t}"]}))
    assert read_result(request(tmp_path, "a.bvh", row=2)).records == ({"verdict": ["word2"]},)
    assert read_result(request(tmp_path, "a.bvh", row=1)).records == ({},)


def test_the_body_alone_one_frame_has_no_animation(tmp_path):
    np.savez(tmp_path / "a.npz", body_pose=np.full(63, 0.1))
    lines = export(request(tmp_path / "a.npz", "a.glb"))
    glb = readers.Glb(tmp_path / "a.glb")
    assert "animations" not in glb.tree and len(glb.tree["meshes"]) == 1 and any("--object" in line for line in lines)
    assert np.abs(glb.body(None)).max() < 2


def test_an_object_out_of_reach_leaves_the_body_grey_and_the_parts_apart(tmp_path, box):
    np.savez(tmp_path / "a.npz", body_pose=np.zeros(63), obj_trans=[50.0, 0, 0])
    export(request(tmp_path / "a.npz", "a.glb", object=box))
    assert np.ptp(readers.Glb(tmp_path / "a.glb").attribute("COLOR_0", 0)) < 1e-6
    export(request(tmp_path / "a.npz", "a.txt", object=box))
    assert (tmp_path / "a.txt").read_text().count("apart") == 15


def test_frames_beyond_one_batch_are_measured_too(tmp_path, box, monkeypatch):
    """One frame of three batches touches, by an object at half its size: distances are metres."""
    monkeypatch.setattr("hoijax.jobs.contact_report.TOGETHER", 2)
    top = MODEL.v_template[:, 1].max()
    gaps = np.array([3.0, 2.0, 0.5, 0.007, 1.0])
    places = np.stack([np.zeros(5), top + gaps + 0.05, np.zeros(5)], 1)  # half of a box of 20 cm, halved
    np.savez(
        tmp_path / "a.npz", body_pose=np.zeros((5, 63)), transl=np.zeros((5, 3)), obj_trans=places,
        obj_scale=np.full(5, 0.5),
    )  # fmt: skip
    export(request(tmp_path / "a.npz", "a.txt", object=box))
    head = next(x for x in (tmp_path / "a.txt").read_text().splitlines() if x.startswith("head")).split()
    assert np.allclose([float(x) for x in head[1:4]], [7, 1000 * gaps.mean(), 0], atol=0.3)
    assert head[4:] == ["1", "touches", "in", "1", "of", "5"]
    result = read_result(request(tmp_path / "a.npz", "a.glb", object=box))
    nearest = nearest_to_object(result.vertices, result.count, result.track, result.mesh)
    assert np.isclose(nearest.min(), 0.007, atol=3e-4) and nearest.argmin() == MODEL.v_template[:, 1].argmax()


WRONG = {
    "fps 0": ({"fps": 0.0}, "a.glb", "--fps 0"),
    "fps nan": ({"fps": float("nan")}, "a.glb", "--fps nan"),
    "suffix": ({"format": "bvh"}, "a.glb", "ends in .bvh"),
    "as": ({"method": "sam"}, "b.npz", "wanted one of hoijax"),
    "as glb": ({"method": "hmr2"}, "a.glb", "goes with --format npz"),
    "row": ({"row": 4}, "a.glb", "rows 0 to 3"),
    "row -1": ({"row": -1}, "a.glb", "rows 0 to 3"),
    "up": ({"up": "w"}, "a.glb", "--up w"),
    "mesh": ({"object": pathlib.Path("/nowhere.obj")}, "a.glb", "--object MESH"),
    "no mesh": ({}, "a.txt", "which mesh"),
    "body": ({"body_model": pathlib.Path("/nowhere.npz")}, "a.bvh", "nowhere"),
    "scale": ({"method": "interact-object"}, "b.npz", "scale is 1.3"),
    "itself": ({}, "refined.npz", "the result itself"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests_are_named_and_write_nothing(result, name):
    options, out, words = WRONG[name]
    before = {path.name: path.read_bytes() for path in result.parent.iterdir()}
    with pytest.raises(InputError) as error:
        export(request(result, out, **options))
    assert words in str(error.value)
    assert {path.name: path.read_bytes() for path in result.parent.iterdir()} == before


def test_wrong_results_are_named(tmp_path, box):
    with pytest.raises(InputError, match=r"no refined\.npz"):
        export(request(tmp_path, "a.glb"))
    values = sequence()
    values["transl"][2, 1] = np.nan
    np.savez(tmp_path / "refined.npz", **values)
    with pytest.raises(InputError, match="transl"):
        export(request(tmp_path, "a.glb", object=box))
    np.savez(tmp_path / "refined.npz", **sequence())
    (tmp_path / "metrics.json").write_text(json.dumps({"options": {"scene": "room.ply", "up": "-y"}}))
    with pytest.raises(InputError, match="people of one scene"):
        export(request(tmp_path, "a.glb"))
    assert read_result(request(tmp_path, "a.glb", row=1)).mesh is None
    assert read_result(request(tmp_path, "a.glb", row=1)).up == (0.0, -1.0, 0.0)
    _, file = licensed("smplx", tmp_path)
    values = sequence()
    values["transl"][3, 2] = -0.5
    np.savez(tmp_path / "b.npz", **values)
    with pytest.raises(InputError, match=r"z = -0\.50 m"):
        export(request(tmp_path / "b.npz", "c.npz", method="hmr2"))
    with pytest.raises(InputError, match="parameters of SMPL, .* those of SMPL-X"):
        export(request(tmp_path, "d.npz", row=1, method="hmr2", body_model=file))


def test_the_command_writes_by_the_name_of_the_file(result, box, capsys):
    out = result.parent / "a.bvh"
    assert main(["export", str(result), "--out", str(out), "--lod", "test", "--fps", "50"]) == 0
    assert "4 frames at 50 a second" in capsys.readouterr().out and out.read_text().startswith("HIERARCHY")
    npz = result.parent / "b.npz"
    assert main(["export", str(result), "--out", str(npz), "--as", "amass", "--lod", "test"]) == 0
    assert np.load(npz)["poses"].shape == (T, 156)
    assert main(["export", str(result), "--out", str(result.parent / "a.fbx")]) == 2
    assert ".glb, .bvh, .npz, .txt" in capsys.readouterr().err


def test_every_option_reaches_the_request():
    from hoijax.cli.export import Options

    fields = {field.name for field in dataclasses.fields(ExportRequest)}
    assert {field.name for field in dataclasses.fields(Options)} == fields
