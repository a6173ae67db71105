"""Every method's file read back to 1e-4 m: a scene is made by SciPy's rotations and written as the method writes it."""

import contextlib
import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyModel
from hoijax.body_models.host import host_vertices
from hoijax.errors import InputError
from hoijax.io import read_parameters
from hoijax.io.sources import SOURCES, read_estimate
from hoijax.io.sources.contacts import read_contacts
from hoijax.io.sources.records import frames_of_times
from hoijax.jobs.bodies import start_of
from hoijax.jobs.directions import AXES
from hoijax.jobs.estimates import PELVIS, Reading, inspect_file, settle, up_of
from hoijax.jobs.folders import are_numbered
from hoijax.jobs.plans import plan_files, read_files
from hoijax.jobs.requests import _leave_misplaced
from hoijax.optim.gradient import RefineConfig

_spec = importlib.util.spec_from_file_location(
    "source_writers", pathlib.Path(__file__).parents[1] / "io" / "sources" / "writers.py"
)
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

# Fingers and, of SMPL, its hands, face: what a method does not estimate is at rest in its scene.
NO_HANDS = ("gvhmr", "pixie", "named/4x4", "hoijax/R, t")


def make_model(kind):
    """A made-up body of forty vertices with the joints of its kind, in float64."""
    rng = np.random.default_rng(3)
    joints = len(JOINT_NAMES[kind])
    weights = rng.uniform(size=(40, joints)) ** 8
    return BodyModel(
        v_template=rng.normal(0, 0.4, (40, 3)),
        shape_dirs=rng.normal(0, 0.02, (40, 3, 10)),
        pose_basis=rng.normal(0, 0.003, (9 * (joints - 1), 3, 40)),
        joint_template=rng.normal(0, 0.3, (joints, 3)),
        joint_shape_dirs=rng.normal(0, 0.01, (joints, 3, 10)),
        skin_weights=weights / weights.sum(1, keepdims=True),
        faces=np.array([[0, 1, 2]], np.int32),
        parents=PARENTS[kind],
        joint_names=JOINT_NAMES[kind],
        kind=kind,
    )


MODELS = {kind: make_model(kind) for kind in ("smpl", "smplh", "smplx")}


def textbook(model, angles, betas, transl):
    """Vertices and joints of one body by homogeneous matrices, one joint at a time."""
    rest = model.joint_template + model.joint_shape_dirs @ betas
    turns = Rotation.from_rotvec(angles).as_matrix()
    world = []
    for j, parent in enumerate(model.parents):
        local = np.eye(4)
        local[:3, :3] = turns[j]
        local[:3, 3] = rest[j] if parent < 0 else rest[j] - rest[parent]
        world.append(local if parent < 0 else world[parent] @ local)
    shaped = model.v_template + model.shape_dirs @ betas
    shaped = shaped + np.einsum("p,pcv->vc", (turns[1:] - np.eye(3)).ravel(), model.pose_basis)
    out = np.zeros_like(shaped)
    for j, matrix in enumerate(world):
        bind = np.eye(4)
        bind[:3, 3] = -rest[j]
        out += model.skin_weights[:, j, None] * (np.c_[shaped, np.ones(len(shaped))] @ (matrix @ bind).T)[:, :3]
    return out + transl, np.stack(world)[:, :3, 3] + transl


def make_scene(kind, count, rest=(), seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    model = MODELS[kind]
    angles = rng.normal(0, 0.4, (count, len(model.parents), 3))
    angles[:, 0] = (Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec(angles[:, 0])).as_rotvec()
    for joints in rest:
        angles[:, joints] = 0
    betas, transl = rng.normal(0, 1, 10), np.array([0.2, 0.3, 4.0]) + rng.normal(0, 0.1, (count, 3))
    posed = [textbook(model, a, betas, t) for a, t in zip(angles, transl)]
    return writers.Scene(
        angles, betas, transl, np.stack([p[0] for p in posed]), np.stack([p[1] for p in posed]),
        Rotation.from_rotvec(rng.normal(0, 1, (count, 3))).as_matrix(),
        np.array([0.1, 0.5, 3.5]) + rng.normal(0, 0.1, (count, 3)), scale,
    )  # fmt: skip


def at_rest(name, kind):
    if kind != "smplx":
        return ()
    eyes, hands, jaw = slice(23, 25), slice(25, 55), slice(22, 23)
    if name == "pico":
        return (eyes, jaw)
    if name in NO_HANDS:
        return (eyes, hands, jaw)
    return () if name in ("hoijax/smpler-x", "hoijax/amass", "prompthmr", "prompthmr-video") else (eyes,)


def vertices_of(model, file):
    out = []
    for row in range(file.count):
        params = start_of(model, file.item(row), "test").params
        parts = (np.asarray(x, np.float64) for x in (params.rotations, params.betas, params.translation))
        out.append(host_vertices(model, *parts))
    return np.stack(out)


@pytest.mark.parametrize("name", writers.BODIES)
def test_bodies_are_read_back(tmp_path, name):
    kind, count, write, person = writers.BODIES[name]
    if write in (writers.gvhmr, writers.tram, writers.prompthmr, writers.cari4d):
        pytest.importorskip("torch")
    model, scene = MODELS[kind], make_scene(kind, count, at_rest(name, kind), seed=len(name))
    if name == "pixie":  # 200 coefficients
        extra = np.zeros((40, 3, 190)), np.zeros((len(model.parents), 3, 190))
        model = model.replace(
            shape_dirs=np.concatenate([model.shape_dirs, extra[0]], -1),
            joint_shape_dirs=np.concatenate([model.joint_shape_dirs, extra[1]], -1),
        )
    path = write(tmp_path, scene)
    row = name.split("/")[0]
    given = row if row in ("wham-world", "gvhmr-world") else None
    if person is not None:
        with pytest.raises(InputError, match="choose one with --person"):
            read_parameters(path)
    file = read_parameters(path, source=given, person=person)
    assert (file.estimate.source.name if file.estimate else "hoijax") == row
    assert file.count == count
    kinds = {None, kind} if row in ("hoijax", "named") else {kind}
    assert (file.estimate.body if file.estimate else None) in kinds
    settled = settle(model, file)
    np.testing.assert_allclose(vertices_of(model, settled), scene.vertices[:count], atol=1e-4)
    if "obj_rot" in settled.values:
        got = Rotation.from_rotvec(settled.values["obj_rot"]).as_matrix()
        np.testing.assert_allclose(got, scene.obj_rot, atol=1e-6)
        np.testing.assert_allclose(settled.values["obj_trans"], scene.obj_trans, atol=1e-6)
    assert ("obj_rot" in settled.values) == (name in ("cari4d", "named/4x4", "hoijax/R, t"))


@pytest.mark.parametrize("name", writers.OBJECTS)
def test_objects_are_read_back_beside_a_body_of_another_file(tmp_path, name):
    write, count = writers.OBJECTS[name]
    if write is writers.sam3d_objects:
        pytest.importorskip("torch")
    scene = make_scene("smplx", count, (slice(22, 55),), seed=len(name), scale=1.3)
    path = write(tmp_path, scene)
    object = read_estimate(path)
    assert object.source.name == name.split("/")[0] and object.has_object and not object.has_body
    with pytest.raises(InputError, match="--object-pose" if path.is_file() else "is a folder"):
        read_parameters(path)
    np.savez(tmp_path / "body.npz", body_pose=scene.flat(1, 22), global_orient=scene.flat(0, 1), transl=scene.transl)
    settled = settle(MODELS["smplx"], read_parameters(tmp_path / "body.npz"), object=object)
    points = np.random.default_rng(1).normal(0, 0.3, (20, 3))
    scale = settled.values.get("obj_scale", np.ones((count, 1)))
    turns = Rotation.from_rotvec(settled.values["obj_rot"]).as_matrix()
    got = scale[:, None] * np.einsum("tij,pj->tpi", turns, points) + settled.values["obj_trans"][:, None]
    size = scene.obj_scale if name == "sam-3d-objects" else 1.0
    want = size * np.einsum("tij,pj->tpi", scene.obj_rot, points) + scene.obj_trans[:, None]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_every_row_of_the_table_is_tried_here():
    tried = {name.split("/")[0] for name in (*writers.BODIES, *writers.OBJECTS)}
    elsewhere = {"gvhmr-world", "prompthmr-video-world", "sam-3d-body", "mesh", "mesh-cv", "mesh-opengl", "object"}
    assert {row.name for row in SOURCES} == (tried - {"hoijax"}) | elsewhere


@pytest.mark.parametrize("row", ["gvhmr-world", "prompthmr-video-world"])
def test_the_world_is_taken_where_it_is_named(tmp_path, row):
    pytest.importorskip("torch")
    scene = make_scene("smplx", 3)
    write = {"gvhmr-world": writers.gvhmr, "prompthmr-video-world": writers.prompthmr_video}[row]
    file = read_parameters(write(tmp_path, scene), source=row)
    moved = {"gvhmr-world": 7, "prompthmr-video-world": 2}[row]
    np.testing.assert_allclose(file.values["transl"], scene.transl + moved)
    camera = read_estimate(writers.one_matrix(tmp_path, scene))
    with pytest.raises(InputError, match="one is in the camera, the other in the world"):
        settle(MODELS["smplx"], file, object=camera)


def test_several_people_are_one_each(tmp_path):
    scene = make_scene("smpl", 3)
    path = writers.wham(tmp_path, scene, people=2)
    with pytest.raises(InputError, match=r"has 2 people: 0 \(3 frames\), 1 \(3 frames\)"):
        read_parameters(path)
    assert read_parameters(path, person="1").count == 3
    with pytest.raises(InputError, match="no person '7'"):
        read_parameters(path, person="7")


def test_a_licensed_body_on_the_free_body(tmp_path):
    from hoijax.body_models import free_body

    model, scene = free_body("test"), make_scene("smpl", 2)
    file = read_parameters(writers.wham(tmp_path, scene))
    settled = settle(model, file)
    assert any("betas are SMPL's" in note for note in settled.notes)
    assert any("where the free body stands is approximate" in note for note in settled.notes)
    assert (settled.values["betas"] == 0).all() and settled.values["betas"].shape == (2, 10)
    rest = np.asarray(model.joint_template)[0]
    np.testing.assert_allclose(settled.values["transl"] + rest, scene.transl + PELVIS["smpl"], atol=1e-6)
    kept = settle(model, file, Reading(betas="keep"))
    np.testing.assert_allclose(kept.values["betas"], scene.shapes())
    # In hoijax's own keys the file does not say whose they are: taken, and told.
    np.savez(tmp_path / "a.npz", body_pose=np.zeros(63), betas=np.r_[3.0, np.zeros(9)])
    own = settle(model, read_parameters(tmp_path / "a.npz"))
    assert own.values["betas"][0, 0] == 3 and any("betas are taken as the free body's" in note for note in own.notes)
    mean = settle(model, read_parameters(tmp_path / "a.npz"), Reading(betas="mean"))
    assert (mean.values["betas"] == 0).all()


def test_the_head_of_the_free_body_is_where_a_head_centred_file_has_it(tmp_path):
    from hoijax.body_models import free_body
    from hoijax.body_models.host import host_joints

    model, scene = free_body("test"), make_scene("smplx", 1)
    settled = settle(model, read_parameters(writers.human3r(tmp_path, scene), person="9"))
    params = start_of(model, settled.item(0), "test").params
    joints = host_joints(model, np.asarray(params.rotations, float), np.asarray(params.betas, float))[0]
    np.testing.assert_allclose(joints[15] + settled.values["transl"][0], scene.joints[0, 15], atol=1e-5)
    assert any("stands is approximate" in note for note in settled.notes)


def test_the_camera_of_a_picture_is_not_shared_out_among_three_people(tmp_path):
    matrix = np.array([[700.0, 0, 320], [0, 710, 240], [0, 0, 1]])
    path = writers.npz(
        tmp_path / "a.npz", shape=np.zeros((3, 10)), rotvec=np.zeros((3, 53, 3)), smpl_id=np.arange(3),
        transl=np.array([[0.0, 0, 3], [1, 0, 3], [0, 0, 4]]), intrinsics=matrix,
    )  # fmt: skip
    found = read_estimate(path, person="1")
    np.testing.assert_array_equal(found.intrinsics, matrix)
    np.testing.assert_array_equal(found.anchors, [[1, 0, 3]])


@pytest.mark.parametrize("deep", [70, 600])
def test_lists_in_lists_in_lists_are_no_numbers(tmp_path, deep):
    (tmp_path / "a.json").write_text(f'{{"pose": {"[" * deep}1{"]" * deep}, "transl": [0, 0, 3]}}')
    with pytest.raises(InputError, match="of no method that is known"):
        read_estimate(tmp_path / "a.json")
    with pytest.raises(InputError, match="says nothing of contact"):
        read_contacts(tmp_path / "a.json")


def test_people_without_names_are_counted_by_picture_and_row(tmp_path):
    pose, place = np.zeros((2, 72)), np.array([[0, 0, 3.0], [1, 0, 4.0]])
    value = {"pose": [pose, pose[:1]], "trans": [place, place[1:]], "joints3d": [np.ones((2, 24, 3))] * 2}
    path = writers.pkl(tmp_path / "nlf.pkl", value)
    with pytest.raises(InputError, match="has 3 people: 0.0 .1 frame., 0.1 .1 frame., 1.0"):
        read_parameters(path)
    np.testing.assert_array_equal(read_parameters(path, person="0.1").values["transl"], place[1:])
    np.testing.assert_array_equal(read_parameters(path, person="1.0").values["transl"], place[1:])


KNOWN = {  # what was dropped without a word, or refused: 4D-Humans 100, smplify-x 16
    "R and t": (dict(betas=np.r_[3, np.zeros(9)], obj_R=np.eye(3), obj_t=np.ones(3)), {"obj_trans": [1, 1, 1]}),
    "4 x 4": (dict(obj_pose=np.block([[np.eye(3), np.ones((3, 1))], [np.zeros((1, 3)), 1]])),
              {"obj_trans": [1, 1, 1], "obj_rot": [0, 0, 0]}),
    "PIXIE": (dict(body_pose=np.tile(np.eye(3), (1, 21, 1, 1)), global_pose=np.diag([1.0, -1, -1])[None, None],
                   shape=np.ones((1, 200)), cam_t=[[0, 0, 20.0]], global_orient=None),
              {"transl": [0, 0, 20], "global_orient": [np.pi, 0, 0], "betas": np.ones(200)}),
    "HMR2": (dict(body_pose=np.tile(np.eye(3), (1, 23, 1, 1)), global_orient=np.eye(3)[None, None],
                  betas=np.ones((1, 10)), pred_cam_t_full=[[0.1, 0.2, 5.0]]), {"transl": [0.1, 0.2, 5]}),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_poses_that_were_dropped_are_read(tmp_path, name):
    more, want = KNOWN[name]
    arrays = {"body_pose": np.zeros(63), "global_orient": np.zeros(3)} | more
    np.savez(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    found = read_parameters(tmp_path / "a.npz")
    for key, value in want.items():
        np.testing.assert_allclose(found.values[key][0], value, atol=1e-7)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((24, 55, 3), "smplx"),
        ((52, 72), "smpl"),
        ((55, 52, 3, 3), "smplh"),
        ((24, 22, 3), None),
        ((55, 24, 3, 3), "smpl"),
    ],
)
def test_the_body_is_told_by_its_joints_and_not_by_the_number_of_frames(tmp_path, shape, kind):
    poses = np.broadcast_to(np.eye(3), shape) if len(shape) == 4 else np.zeros(shape)
    file = read_parameters(save(tmp_path / "a.npz", poses=poses, cam_t=np.ones((shape[0], 3))))
    assert (file.count, file.estimate.body) == (shape[0], kind)
    file = read_parameters(save(tmp_path / "b.npz", body_pose=np.zeros((23, 63)), cam_t=np.ones((23, 3))))
    assert file.count == 23 and file.estimate.body is None


JUNK = [
    {}, [], "x", 3.5, None, {"poses": 1}, {"poses": [[1, 2], [3]]}, {"body_pose": None, "poses": {}},
    {0: {"pose": 1, "trans": 2, "pose_world": 3}}, {"a": {"smpl": [1], "camera": [2], "tid": [3]}},
    {"a": {"smpl": [{"body_pose": np.eye(3)}], "camera": [np.zeros(3)], "tid": [3]}},
    {"rotvec": np.zeros((2, 53, 3)), "transl": np.zeros((3, 3))}, {"rotvec": np.zeros((2, 9)), "transl": np.zeros(3)},
    {"rotation": np.zeros(4), "translation": np.zeros(3), "scale": np.ones(1)},
    {"pred_vertices": np.zeros((18439, 3)), "pred_cam_t": np.zeros(3)}, [{"TWO": 3}], [{"TWO": [[0, 0, 0, 1]]}],
    {"pose": [np.zeros((1, 72))], "trans": [np.zeros((2, 3))], "joints3d": [np.zeros((1, 2, 3))]},
    {"body_pose": np.zeros((3, 63)), "cam_t": np.zeros((2, 3))}, {"body_pose": np.zeros(63), "obj_pose": np.eye(2)},
    {"body_pose": np.zeros(63), "intrinsics": np.zeros((3, 3))}, {"people": {1: {"smplx_cam": {}}}},
    {"smpl_params_incam": {"body_pose": "x"}}, {"angles": np.zeros(3), "trans": np.zeros(4)},
    {"body_pose": np.zeros(63), "obj_quat_wxyz": np.zeros(4)}, {"body_pose": np.zeros((0, 63)), "cam_t": np.ones(3)},
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(JUNK)))
def test_junk_under_known_keys_is_named(tmp_path, place):
    path = writers.pkl(tmp_path / "junk.pkl", JUNK[place])
    with pytest.raises(InputError, match=r"junk\.pkl"):
        settle(MODELS["smpl"], read_parameters(path))
    with contextlib.suppress(InputError):  # what there is may still be told
        inspect_file(path)


def test_a_mesh_that_is_no_body_is_named(tmp_path):
    import trimesh

    trimesh.creation.box().export(tmp_path / "a.obj")
    with pytest.raises(InputError, match=r"6,890 \(SMPL\).*this mesh has 8; an object goes to --object"):
        read_parameters(tmp_path / "a.obj")


def test_what_is_read_is_written_in_hoijaxs_keys_frame_by_frame(tmp_path):
    from hoijax.io import write_parameters
    from hoijax.io.params import in_own_keys

    scene = make_scene("smpl", 3)
    file = settle(MODELS["smpl"], read_parameters(writers.phalp(tmp_path, scene), person="3"))
    write_parameters(tmp_path / "out.npz", file, {"transl": file.values["transl"] + [[0.0], [0.1], [0.2]]})
    again = read_parameters(tmp_path / "out.npz")
    assert again.estimate is None and again.count == 3
    np.testing.assert_allclose(again.values["body_pose"], scene.flat(1, 24), atol=1e-6)
    np.testing.assert_allclose(again.values["transl"], scene.transl + [[0.0], [0.1], [0.2]], atol=1e-6)
    save(tmp_path / "a.npz", body_pose=np.zeros((2, 63)), transl=np.ones(3))
    one = read_parameters(tmp_path / "a.npz")
    assert one.shared == {"transl"}
    two = in_own_keys(one, {"transl": np.array([[1.0, 2, 3], [4, 5, 6]])})
    write_parameters(tmp_path / "b.npz", two, {})
    np.testing.assert_array_equal(read_parameters(tmp_path / "b.npz").values["transl"], two.values["transl"])


# What is refused


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


REFUSED = {
    "behind": (dict(transl=np.array([0, 0, -4.0])), "behind the camera"),
    "far": (dict(transl=np.array([0, 0, 2500.0])), "millimetres"),
    "degrees": (dict(global_orient=np.array([[[90.0, 0, 0]]])), "degrees"),
    "disagree": (dict(transl=np.array([0, 0, 4.0]), pred_trans=np.array([0, 0, 5.0])), "disagree; leave one out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_named(tmp_path, name):
    more, message = REFUSED[name]
    base = {"hps_body_pose": np.zeros(63), "hps_global_orient": np.zeros(3), "hps_betas": np.zeros(10)}
    if "global_orient" in more:
        base.pop("hps_global_orient")
        base["smplx_root_pose"] = more["global_orient"][0, 0]
        base["hps_global_orient"] = base["smplx_root_pose"]
        more = {}
    path = save(tmp_path / "a.npz", **base, **more)
    with pytest.raises(InputError, match=message):
        settle(MODELS["smplx"], read_parameters(path))


POSES = {
    "transposed": (np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.1, 0.2, 3, 1]]), "looks transposed"),
    "mirrored": (np.diag([1.0, 1, -1, 1]), "mirrors"),
    "nothing": (np.diag([0.0, 0, 0, 1]), "has no size"),
    "not finite": (np.full((4, 4), np.nan), "not finite"),
    "sheared": (np.array([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "no rotation matrix"),
    "millimetres": (np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 900], [0, 0, 0, 1]]), "millimetres"),
}


@pytest.mark.parametrize("name", POSES)
def test_poses_that_are_none_are_named(tmp_path, name):
    pose, message = POSES[name]
    np.savetxt(tmp_path / "a.txt", pose)
    np.savez(tmp_path / "b.npz", body_pose=np.zeros(63))
    with pytest.raises(InputError, match=message):
        settle(MODELS["smplx"], read_parameters(tmp_path / "b.npz"), object=read_estimate(tmp_path / "a.txt"))


def test_a_pose_with_a_scale(tmp_path):
    np.savetxt(tmp_path / "a.txt", np.diag([0.5, 0.5, 0.5, 1.0]))
    np.savez(tmp_path / "b.npz", body_pose=np.zeros((2, 63)))
    file = settle(MODELS["smplx"], read_parameters(tmp_path / "b.npz"), object=read_estimate(tmp_path / "a.txt"))
    np.testing.assert_allclose(file.values["obj_scale"], [[0.5], [0.5]])
    np.savez(tmp_path / "c.npz", body_pose=np.zeros((2, 63)), obj_trans=np.ones(3))
    with pytest.raises(InputError, match="has the object's obj_trans itself"):
        settle(MODELS["smplx"], read_parameters(tmp_path / "c.npz"), object=read_estimate(tmp_path / "a.txt"))
    np.save(tmp_path / "three.npy", np.tile(np.eye(4), (3, 1, 1)))
    with pytest.raises(InputError, match="3 poses of the object and .* 2 of the body"):
        settle(MODELS["smplx"], read_parameters(tmp_path / "b.npz"), object=read_estimate(tmp_path / "three.npy"))


def test_a_pose_of_a_track_that_is_not_understood_is_named(tmp_path):
    scene = make_scene("smpl", 2)
    one = {
        "pose": scene.flat(0, 24),
        "trans": scene.transl,
        "pose_world": scene.flat(0, 24),
        "head_rotation": np.eye(3),
    }
    path = writers.pkl(tmp_path / "a.pkl", {0: one})
    with pytest.raises(InputError, match=r"'head_rotation' \(3, 3\) look like a pose"):
        read_parameters(path)
    assert read_parameters(path, ignore=["head_rotation"]).count == 2


def test_a_mesh_that_nothing_places_is_refused_before_any_work(tmp_path, capsys):
    import trimesh

    from hoijax.cli import main

    path = writers.wham(tmp_path, make_scene("smpl", 2))
    box = trimesh.creation.box((0.3, 0.3, 0.3))
    box.export(tmp_path / "box.obj")
    options = ["refine", "--body", str(path), "--object", str(tmp_path / "box.obj"), "--out", str(tmp_path / "out")]
    assert main([*options, "--lod", "test"]) == 2
    assert "m from the body in its own coordinates; give its pose with --object-pose" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_mesh_is_near_if_it_is_once_it_is_turned(tmp_path):
    import trimesh

    from hoijax.body_models import free_body
    from hoijax.io import read_mesh
    from hoijax.jobs.bodies import BodyChoice
    from hoijax.jobs.requests import RefineRequest, _plans

    file = read_parameters(writers.wham(tmp_path, make_scene("smpl", 1)))
    trimesh.creation.box((0.3, 0.3, 0.3)).apply_translation((0, -4, 0)).export(tmp_path / "box.obj")
    request = RefineRequest(tmp_path, BodyChoice(), RefineConfig(), object=tmp_path / "box.obj", up=(0.0, -1.0, 0.0))
    mesh, model = read_mesh(request.object), free_body("test")
    with pytest.raises(InputError, match="the mesh lies"):
        _plans(request, {"": file}, mesh, model, {})
    request = dataclasses.replace(request, object_up=(0.0, 0.0, -1.0))  # takes -z to -y, and -y to z
    assert len(_plans(request, {"": file}, mesh, model, {})) == 1


# A second look, as a new user has it


def person(**more):
    """Someone who stands in a camera, as GVHMR has them."""
    one = {"body_pose": np.zeros((5, 63)), "global_orient": np.tile([np.pi, 0, 0], (5, 1)), "betas": np.zeros((5, 10))}
    return {"smpl_params_incam": one | more}


def test_a_place_under_a_name_that_nobody_knows_is_named(tmp_path):
    for key in ("location", "Trans", "root_position", "tvec", "root_orientation", "thetas", "world_transform"):
        path = writers.pkl(tmp_path / "a.pkl", person(transl=np.ones((5, 3)), **{key: np.ones((5, 3))}))
        with pytest.raises(InputError, match=f"'{key}' .5, 3. look like a pose"):
            read_parameters(path)
        assert read_parameters(path, ignore=[key]).count == 5
    path = writers.pkl(tmp_path / "b.pkl", person(transl=np.ones((5, 3)), positive=np.ones(3), rate=np.ones(3)))
    assert read_parameters(path).count == 5


def test_a_body_that_nothing_places_in_its_camera_is_not_put_beside_an_object(tmp_path):
    path = writers.pkl(tmp_path / "a.pkl", person())
    file = read_parameters(path)
    np.testing.assert_array_equal(file.frames, np.arange(5))  # counted without places
    told = "no key says where the body is in the camera"
    assert any(told in note for note in settle(MODELS["smplx"], file).notes)
    np.savetxt(tmp_path / "pose.txt", np.diag([1.0, 1, 1, 1]))
    with pytest.raises(InputError, match=told):
        settle(MODELS["smplx"], file, object=read_estimate(tmp_path / "pose.txt"))
    scene = make_scene("smplx", 1)
    for placed in (writers.multi_hmr(tmp_path, scene), writers.smplest_x(tmp_path, scene)):
        assert not any(told in note for note in settle(MODELS["smplx"], read_parameters(placed)).notes)


def test_what_is_up_is_doubted_by_how_the_person_stands(tmp_path):
    def doubts(turn, frame=AXES["+y"], **more):
        path = save(tmp_path / "a.npz", body_pose=np.zeros((3, 63)), global_orient=np.tile(turn, (3, 1)), **more)
        file = settle(MODELS["smplx"], read_parameters(path, keep_broken=True))
        plans = plan_files({"": file}, tmp_path, MODELS["smplx"], RefineConfig(), (), None, {}, up=frame)
        notes = next(iter(plans[0].starts.values())).notes
        return [note for note in notes if "is taken to be up" in note]

    half, quarter = np.pi, np.pi / 2
    assert doubts([0, 0, 0]) == doubts([half, 0, 0], AXES["-y"]) == doubts([0.6, 0, 0]) == doubts([0, half, 0]) == []
    assert "stand on" in doubts([half, 0, 0])[0].replace("stands", "stand") and "--up=-y" in doubts([half, 0, 0])[0]
    assert "lies along +z" in doubts([quarter, 0, 0])[0] and "--up=+z" in doubts([quarter, 0, 0])[0]
    assert doubts([0, 0, quarter]) == []  # who lies along x lies
    (tmp_path / "a.npz").unlink()
    np.savez(tmp_path / "b.npz", body_pose=np.zeros(63), global_orient=np.array([half, 0, 0]))
    assert any("doubt" in line and "--up=-y" in line for line in inspect_file(tmp_path / "b.npz"))


def test_what_is_up_is_what_the_object_says_where_the_body_does_not(tmp_path):
    scene = make_scene("smplx", 2)
    body = save(tmp_path / "a.npz", body_pose=np.zeros(63))
    assert up_of(body) is None
    assert up_of(body, Reading(object_pose=writers.one_matrix(tmp_path, scene))) == "-y"
    assert up_of(body, Reading(object_pose=writers.interact_object(tmp_path, scene))) == "+y"
    world = writers.wham_world(tmp_path, make_scene("smpl", 2))
    reading = Reading(source="wham-world", object_pose=writers.behave_object(tmp_path, scene))
    assert up_of(world, reading) == "+y"


def test_times_of_behave_are_frames(tmp_path):
    times = np.array(["t0003.000", "t0003.033", "t0003.067", "t0003.200"])
    path = save(tmp_path / "a.npz", poses=np.zeros((4, 156)), trans=np.zeros((4, 3)), frame_times=times)
    file = read_parameters(path)
    np.testing.assert_array_equal(file.frames, [90, 91, 92, 96])
    assert file.fps == 30 and "frame_times.npy" in file.extras
    assert frames_of_times(np.array([3.0, 4.0, 6.0]))[0].tolist() == [3, 4, 6]
    for wrong in (["t0003.000"], ["t4.0", "t3.0"], ["a", "b"], ["nan", "inf"], None, [[1, 2], [3, -4]]):
        assert frames_of_times(wrong) is None
    seconds = np.array(["t0003.000", "t0004.000", "t0005.000", "t0006.000"])
    slow = save(tmp_path / "b.npz", poses=np.zeros((4, 156)), trans=np.zeros((4, 3)), frame_times=seconds)
    assert read_parameters(slow).frames is None
    scene = make_scene("smplh", 7)
    object = read_estimate(writers.behave_object(tmp_path, scene))
    np.testing.assert_array_equal(object.frames, np.arange(90, 97))
    settled = settle(MODELS["smplh"], file, object=object)
    np.testing.assert_allclose(settled.values["obj_trans"], scene.obj_trans[[0, 1, 2, 6]], atol=1e-6)


def test_frames_of_phalp_count_by_their_names_however_they_are_sorted(tmp_path):
    one = {"global_orient": np.diag([1.0, -1, -1])[None], "body_pose": np.tile(np.eye(3), (23, 1, 1))}
    frame = lambda t: {"smpl": [one], "camera": [np.array([0, 0, 2.0 + t])], "tid": [1]}  # noqa: E731
    tree = {f"clip2/{t:06d}.jpg": frame(t) for t in (9, 10, 4, 12)}
    file = read_parameters(writers.pkl(tmp_path / "a.pkl", tree))
    np.testing.assert_array_equal(file.frames, [4, 9, 10, 12])
    np.testing.assert_array_equal(file.values["transl"][:, 2] - 2, file.frames)


def test_the_origin_of_a_licensed_body_is_told_in_own_keys(tmp_path):
    from hoijax.body_models import free_body

    model, told = free_body("test"), "--source named moves the body"
    arrays = {"poses": np.zeros(156), "trans": np.array([0, 0, 3.0])}
    for more in ({"gender": np.array("male")}, {"mocap_framerate": np.array(30.0)}, {"expression": np.zeros(10)}):
        path = save(tmp_path / "a.npz", **arrays | more)
        file = settle(model, read_parameters(path))
        assert any(told in note for note in file.notes)
        np.testing.assert_array_equal(file.values["transl"], [[0, 0, 3]])
        assert not any(told in note for note in settle(MODELS["smplh"], read_parameters(path)).notes)
    assert not any(told in n for n in settle(model, read_parameters(save(tmp_path / "b.npz", **arrays))).notes)
    moved = settle(model, read_parameters(save(tmp_path / "c.npz", **arrays), source="named"))
    rest = np.asarray(model.joint_template, float)[0]
    np.testing.assert_allclose(moved.values["transl"][0], arrays["trans"] + PELVIS["smplh"] - rest, atol=1e-6)


# Folders of frames


def save_frames(folder, names, **more):
    folder.mkdir(exist_ok=True)
    for name in names:
        t = float(name.split("_")[0][-3:])
        arrays = {
            "body_pose": np.full((1, 63), t / 100),
            "global_orient": np.zeros((1, 3)),
            "transl": np.ones((1, 3)) * t,
        }
        np.savez(folder / f"{name}.npz", **arrays | more)
    return folder


def test_a_folder_of_frames_is_one_sequence_where_it_is_asked_for(tmp_path):
    folder = save_frames(tmp_path / "smplx", ["9_0", "10_0", "12_0", "2_0"])
    files, failures = read_files(folder, as_frames=True)
    file = files[""]
    assert list(files) == [""] and not failures and file.count == 4 and file.leading
    np.testing.assert_array_equal(file.frames, [2, 9, 10, 12])
    np.testing.assert_array_equal(file.values["transl"][:, 0], file.frames)
    np.testing.assert_allclose(file.raw["body_pose"][:, 0], file.frames / 100)
    assert list(file.extras) == ["frames.npy"]
    assert len(read_files(folder)[0]) == 4 and are_numbered(list(read_files(folder)[0]))
    (folder / "11_0.npz").write_bytes(b"broken")
    files, failures = read_files(folder, as_frames=True)
    assert files[""].count == 4 and failures.keys() == {"11_0"}
    assert "5 files of bodies" in inspect_file(folder)[0] and "--sequence" in inspect_file(folder)[0]


def test_frames_of_another_method_are_joined_with_what_places_them(tmp_path):
    folder = tmp_path / "smpl"
    folder.mkdir()
    scene = make_scene("smplx", 4, (slice(23, 25),))
    for t in range(4):
        part = {key: getattr(scene, key)[t : t + 1] for key in ("angles", "transl", "vertices", "joints")}
        path = writers.human3r(folder, dataclasses.replace(scene, **part))
        path.rename(folder / f"{3 * t + 1:06d}.npz")
    reading = Reading(person="9")
    file = read_files(folder, reading, as_frames=True)[0][""]
    np.testing.assert_array_equal(file.frames, [1, 4, 7, 10])
    np.testing.assert_allclose(vertices_of(MODELS["smplx"], settle(MODELS["smplx"], file)), scene.vertices, atol=1e-4)


def test_a_folder_that_is_no_sequence_is_named(tmp_path):
    for k, names in enumerate((["001_0", "002_1", "003_0"], ["a001", "b002"], ["001", "1"])):
        with pytest.raises(InputError, match="differ in more than the number of a frame"):
            read_files(save_frames(tmp_path / str(k), names), as_frames=True)
        assert not are_numbered(names)
    folder = save_frames(tmp_path / "keys", ["001", "002"])
    save_frames(folder, ["003"], left_hand_pose=np.zeros((1, 45)))
    with pytest.raises(InputError, match="003 has other keys"):
        read_files(folder, as_frames=True)
    longer = save_frames(tmp_path / "long", ["001", "002"])
    np.savez(longer / "003.npz", body_pose=np.zeros((5, 63)))
    assert len(read_files(longer, as_frames=True)[0]) == 3  # files of several rows are sequences of their own


# inspect


def test_inspect_tells_rows_that_refine_leaves_as_they_are(tmp_path):
    scene = make_scene("smpl", 5)
    scene.transl[2] = np.nan
    lines = inspect_file(writers.wham(tmp_path, scene))
    assert any("rows without usable numbers" in line and "1 of 5" in line and "nan" in line for line in lines)
    assert inspect_file(writers.wham(tmp_path, make_scene("smpl", 3)))[-1].endswith("refined one by one, fewer than 4")


def test_inspect_says_what_is_used_and_what_not(tmp_path):
    scene = make_scene("smpl", 4)
    lines = inspect_file(writers.wham(tmp_path, scene))
    assert lines[0] == (
        "wham_output.pkl: WHAM, in the camera: 4 frames, SMPL, metres, camera (x right, y down, z forward)"
    )
    assert lines[1] == "used: pose, trans, betas, frame_ids"
    assert lines[-1] == "frames 0 to 3 of one person: refined as a sequence (--each-frame: one by one)"
    assert any("pose_world, trans_world" in line and "--source wham-world" in line for line in lines)
    lines = inspect_file(writers.foundation_pose(tmp_path, scene))
    assert "4 x 4 pose" in lines[0] and "4 frames, an object's pose" in lines[0]
    np.savez(tmp_path / "own.npz", body_pose=np.zeros(63), gender=np.array("male"))
    lines = inspect_file(tmp_path / "own.npz")
    assert "hoijax's own keys: 1 frame" in lines[0] and "kept as they are: gender" in lines
    np.savez(tmp_path / "d.npz", **{"hps_body_pose": np.zeros(63), "hps_global_orient": np.zeros(3)})
    assert any(
        "stand on their head" in line or "stands on their head" in line for line in inspect_file(tmp_path / "d.npz")
    )


def test_inspect_by_the_command_line(tmp_path, capsys):
    from hoijax.cli import main

    path = writers.wham(tmp_path, make_scene("smpl", 2), people=2)
    assert main(["inspect", str(path)]) == 0
    assert "several in one file: 0 (2 frames), 1 (2 frames); choose one with --person" in capsys.readouterr().out
    assert main(["inspect", str(path), "--person", "1"]) == 0
    assert "one of 2" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "nothing.pkl")]) == 2


def test_the_page_has_every_row():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    for row in SOURCES:
        assert f"`{row.name}`" in page, row.name


def test_up_is_what_the_frame_of_the_first_readable_body_says(tmp_path):
    """Of a folder, among the files that are refined: not of what lies beside them, nor of one that is broken."""
    scene = make_scene("smplx", 1, (slice(23, 25),))
    body = writers.smplest_x(tmp_path, scene)
    assert up_of(body) == "-y" and up_of(writers.open3dhoi(tmp_path, scene)) == "-y"
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "0.npz").write_bytes(b"broken")
    (folder / "a.json").write_bytes((tmp_path / "smplx_parameters.json").read_bytes())  # there are .npz files
    np.savez(folder / "b.npz", **np.load(body))
    np.savez(folder / "c.npz", body_pose=np.zeros(63), global_orient=np.zeros(3))
    assert up_of(folder) == "-y"
    (folder / "b.npz").unlink()
    assert up_of(folder) is None
    (folder / "c.npz").unlink()
    (folder / "0.npz").unlink()
    assert up_of(folder) == "-y"


def test_one_body_far_from_a_mesh_that_nothing_places_takes_no_other_along(tmp_path):
    scene = make_scene("smplx", 1, (slice(23, 25),))
    files = {}
    for name, place in (("near", [0, 0, 4.0]), ("far", [0, 0, 9.0])):
        path = writers.smplest_x(tmp_path, dataclasses.replace(scene, transl=np.array([place])))
        files[name] = settle(MODELS["smplx"], read_parameters(path))
    failures = {}
    plans = plan_files(files, tmp_path, MODELS["smplx"], RefineConfig(), (), None, failures)
    kept = _leave_misplaced(plans, np.array([[-1, -1, 3.0], [1, 1, 5.0]]), failures)
    assert [plan.name for plan in kept] == ["near"] and failures.keys() == {"far"}
    assert "places no object, and the mesh lies 4.0 m" in failures["far"]
    with pytest.raises(InputError, match="the mesh lies 3.0 m"):
        _leave_misplaced(plans, np.array([[-1, -1, 0], [1, 1, 1.0]]), {})


def test_a_file_that_does_not_fit_is_told_by_its_own_fault(tmp_path):
    np.savez(tmp_path / "a.npz", body_pose=np.zeros((2, 63)), global_orient=np.zeros((2, 3)), betas=np.zeros((2, 90)))
    files = {"a": read_parameters(tmp_path / "a.npz")}
    failures = {"other": "another file's fault"}
    with pytest.raises(InputError, match="betas has 90 numbers"):
        plan_files(files, tmp_path, MODELS["smplx"], RefineConfig(), (), None, failures)
    assert failures.keys() == {"other", "a/000000", "a/000001"}
