"""Bodies given by their surface: SAM 3D Body's own sample, meshes of other methods, and SAM 3D Objects beside them."""

import pathlib

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyModel, free_body
from hoijax.body_models.host import host_joints, host_vertices
from hoijax.body_models.keypoints import standard_landmarks
from hoijax.body_models.mhr import from_mhr, mhr_faces, mhr_keypoints
from hoijax.body_models.registration import BodyPoints, register
from hoijax.errors import InputError
from hoijax.io import read_parameters
from hoijax.io.sources import read_estimate
from hoijax.jobs.bodies import start_of
from hoijax.jobs.estimates import inspect_file, settle
from hoijax.jobs.surfaces import align_object, check_projection
from hoijax.optim.fitting.layouts import MHR_70

SAMPLE = pathlib.Path(__file__).parent / "sam_3d_body.npz"


@pytest.fixture(scope="module")
def sample():
    return read_estimate(SAMPLE)


@pytest.fixture(autouse=True)
def one_fit_of_the_sample(monkeypatch, cache={}):  # noqa: B006 - shared on purpose
    """The free body is fitted to the sample once for the module."""
    from hoijax.jobs import surfaces

    fit = surfaces.fit_surface

    def remember(model, estimate):
        key = model.kind, estimate.path
        if key not in cache or key[0] != "free":
            cache[key] = fit(model, estimate)
        return cache[key]

    monkeypatch.setattr(surfaces, "fit_surface", remember)


def load():
    with np.load(SAMPLE) as data:
        return dict(data)


def posed(model, file, row=0):
    params = start_of(model, file.item(row), "test").params
    return host_vertices(model, *(np.asarray(x, float) for x in (params.rotations, params.betas, params.translation)))


# SAM 3D Body


def test_the_sample_falls_on_its_own_pixels(sample):
    camera = check_projection(sample)
    assert camera.error < 0.01
    np.testing.assert_allclose(camera.intrinsics[0, 0], 2535.27, atol=0.01)
    np.testing.assert_allclose(camera.intrinsics[:2, 2], [960, 445], atol=0.01)
    assert any("focal length 2535.3 px" in line for line in inspect_file(SAMPLE))


def test_the_published_maps_bring_the_landmarks_of_smpl_and_smplx_to_their_keypoints(sample):
    for kind, count in (("smpl", 6890), ("smplx", 10475)):
        surface = from_mhr(kind, sample.vertices[0])
        assert surface.shape == (count, 3)
        for name, vertex in standard_landmarks(kind, count):
            near = 0.035 if "heel" in name else 0.015
            assert np.linalg.norm(surface[vertex] - sample.keypoints[0, MHR_70.index(name)]) < near, (kind, name)
        np.testing.assert_allclose(mhr_keypoints(kind, surface), sample.keypoints[0], atol=0.008)
    np.testing.assert_allclose(mhr_keypoints("mhr", sample.vertices[0]), sample.keypoints[0], atol=0.008)
    with pytest.raises(InputError, match="none to mano"):
        from_mhr("mano", sample.vertices[0])


def test_the_free_body_follows_the_surface():
    model = free_body("test")
    settled = settle(model, read_parameters(SAMPLE))
    body, surface = posed(model, settled), read_estimate(SAMPLE).vertices[0]
    assert cKDTree(surface).query(body)[0].mean() < 0.015
    assert any("64 keypoints of MHR's surface" in note for note in settled.notes)
    # The way the chest faces, and left from right, which a cloud of points alone would not tell.
    hips = sample_points("left_hip", "right_hip")
    params = start_of(model, settled.item(0), "test").params
    joints = host_joints(model, np.asarray(params.rotations, float), np.asarray(params.betas, float))[0]
    mine = joints + np.asarray(params.translation, float)
    across, wanted = mine[1] - mine[2], hips[0] - hips[1]
    assert across @ wanted / np.linalg.norm(across) / np.linalg.norm(wanted) > 0.95


def test_an_smpl_model_takes_all_its_vertices_from_mhr(sample):
    surface = from_mhr("smpl", sample.vertices[0])
    middle = surface.mean(0)
    model = smpl_like().replace(v_template=surface - middle, pose_basis=None, shape_dirs=np.zeros((6890, 3, 10)))
    settled = settle(model, read_parameters(SAMPLE))
    assert any("6,890 vertices of MHR's surface" in note for note in settled.notes)
    assert settled.values["body_pose"].shape == (1, 69)
    np.testing.assert_allclose(posed(model, settled), surface, atol=1e-4)
    np.testing.assert_allclose(settled.values["transl"][0], middle, atol=1e-4)


def sample_points(*names):
    data = load()
    return data["pred_keypoints_3d"][[MHR_70.index(name) for name in names]] + data["pred_cam_t"]


@pytest.mark.parametrize(
    ("signs", "told"), [((1, -1, -1), "OpenGL"), ((-1, -1, 1), "PyTorch3D"), ((1, -1, 1), "with y negated")]
)
def test_a_flip_is_named(tmp_path, signs, told):
    data = load()
    for key in ("pred_vertices", "pred_keypoints_3d", "pred_cam_t"):
        data[key] = data[key] * np.array(signs, np.float32)
    np.savez(tmp_path / "a.npz", **data)
    with pytest.raises(InputError, match=f"do not fall on their pixels.*{told}"):
        inspect_file(tmp_path / "a.npz")


def test_a_surface_in_millimetres_or_of_no_body_is_named(tmp_path):
    data = load()
    np.savez(tmp_path / "a.npz", **data | {"pred_vertices": 1000 * data["pred_vertices"]})
    with pytest.raises(InputError, match="millimetres"):
        read_estimate(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **data | {"pred_vertices": 10 * data["pred_vertices"]})
    with pytest.raises(InputError, match="m across, wanted that of a person"):
        read_estimate(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **data | {"pred_vertices": data["pred_vertices"][:100]})
    with pytest.raises(InputError, match=r"wanted the vertices of a body: 6890 \(SMPL\)"):
        read_estimate(tmp_path / "c.npz")


# Meshes


def smpl_like(count=6890):
    """A made-up body with SMPL's joints and number of vertices: clouds about the middles of its bones."""
    rng = np.random.default_rng(0)
    free, parents = free_body("test"), PARENTS["smpl"]
    joints = np.concatenate([free.joint_template[:22], free.joint_template[20:22] + [[0.08, 0, 0], [-0.08, 0, 0]]])
    owner = rng.integers(0, 24, count)
    weights = 0.9 * np.eye(24)[owner] + 0.1 * np.eye(24)[np.maximum(np.array(parents)[owner], 0)]
    return BodyModel(
        v_template=joints[owner] + rng.normal(0, 0.04, (count, 3)),
        shape_dirs=rng.normal(0, 0.003, (count, 3, 10)) + rng.normal(0, 0.01, (24, 3, 10))[owner],
        pose_basis=rng.normal(0, 1e-3, (207, 3, count)),
        joint_template=joints.astype(float),
        joint_shape_dirs=rng.normal(0, 0.004, (24, 3, 10)),
        skin_weights=weights / weights.sum(1, keepdims=True),
        faces=rng.integers(0, count, (20, 3)).astype(np.int32),
        parents=parents,
        joint_names=JOINT_NAMES["smpl"],
        kind="smpl",
    )


@pytest.mark.parametrize(
    ("row", "turn", "place", "suffix"),
    [
        ("mesh-opengl", np.diag([1.0, -1, -1]), [0.3, 0.2, 6.0], ".obj"),
        ("mesh-cv", np.eye(3), [0.3, 0.2, 6.0], ".ply"),
        ("mesh", np.eye(3), [0.0, 0.0, 0.0], ".obj"),
    ],
)
def test_vertices_of_other_methods_become_parameters(tmp_path, row, turn, place, suffix):
    import trimesh

    model, rng = smpl_like(), np.random.default_rng(len(row))
    angles = rng.normal(0, 0.4, (24, 3))
    angles[0] = (Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec(angles[0])).as_rotvec()
    want = host_vertices(model, Rotation.from_rotvec(angles).as_matrix(), rng.normal(size=10), np.array(place))
    path = tmp_path / f"person_0{suffix}"
    trimesh.Trimesh(want @ turn, model.faces, process=False).export(path)
    file = read_parameters(path)
    assert file.estimate.source.name == row
    got = posed(model, settle(model, file))
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_registration_finds_what_the_vertices_were_made_with(seed):
    model, rng = free_body("test"), np.random.default_rng(seed)
    turns = Rotation.from_rotvec(rng.normal(0, 0.4, (52, 3))).as_matrix()
    turns[0] = Rotation.random(random_state=seed).as_matrix()
    betas, move = rng.normal(size=10), rng.normal(size=3)
    want = host_vertices(model, turns, betas, move)
    found = register(model, BodyPoints.of_vertices(model), want, stay=1e-12, shape=1e-12)
    np.testing.assert_allclose(found.points, want, atol=1e-5)
    np.testing.assert_allclose(found.betas, betas, atol=1e-3)
    np.testing.assert_allclose(found.translation, move, atol=1e-3)
    with pytest.raises(InputError, match="wanted"):
        register(model, BodyPoints.of_vertices(model), want[:-1])


def test_joints_that_are_held_stay_at_rest():
    model = free_body("test")
    points, known = BodyPoints.of_names(model, MHR_70)
    free = np.array(["hand" not in name and name.rstrip("123").split("_")[-1] not in
                     ("index", "middle", "pinky", "ring", "thumb") for name in model.joint_names])  # fmt: skip
    targets = mhr_keypoints("mhr", read_estimate(SAMPLE).vertices[0])[known]
    found = register(model, points, targets, stay=1e-5, shape=1e-5, free=free)
    held = np.broadcast_to(np.eye(3), ((~free).sum(), 3, 3))
    np.testing.assert_allclose(found.rotations[~free], held, atol=1e-12)
    assert found.error < 0.05


# SAM 3D Objects


def scene_of(sample, ratio, focal, size=(223, 480)):
    """The point map that a camera of another focal length and scale has of the body, as SAM 3D Objects returns it.

    Each pixel near a vertex shows the nearest one; everything else shows a wall 12 m away.
    """
    camera = check_projection(sample).intrinsics.copy()
    camera[:2] *= size[1] / 1920
    vertices = sample.vertices[0]
    pixels = (vertices @ camera.T)[:, :2] / vertices[:, 2:]
    depth = np.full(size, 12.0)
    for (u, v), z in zip(np.floor(pixels).astype(int), vertices[:, 2]):
        for dv in (-1, 0, 1):
            for du in (-1, 0, 1):
                if 0 <= v + dv < size[0] and 0 <= u + du < size[1]:
                    depth[v + dv, u + du] = min(depth[v + dv, u + du], z)
    depth = depth / ratio
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    map_focal = focal * camera[0, 0]
    points = np.stack([(u - camera[0, 2]) / map_focal * depth, (v - camera[1, 2]) / map_focal * depth, depth], -1)
    return points, camera, map_focal


@pytest.mark.parametrize(("ratio", "focal"), [(1.0, 1.0), (1.37, 1.0), (0.6, 0.8)])
def test_the_object_comes_into_the_bodys_camera(sample, tmp_path, ratio, focal):
    pointmap, camera, map_focal = scene_of(sample, ratio, focal)
    want, size = np.array([-1.5, 0.9, 7.4]), 0.45
    pixel = camera @ (want / want[2])
    there = (
        want[2] / ratio * np.array([(pixel[0] - camera[0, 2]) / map_focal, (pixel[1] - camera[1, 2]) / map_focal, 1])
    )
    turn = Rotation.from_rotvec([0.3, 1.0, -0.4]).as_matrix()
    flip, up = np.diag([-1.0, -1, 1]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    x, y, z, w = Rotation.from_matrix((flip @ turn @ up.T).T).as_quat()
    small = size / ratio * camera[0, 0] / map_focal
    np.savez(tmp_path / "object.npz", rotation=[[w, x, y, z]], translation=(flip @ there)[None],
             scale=np.full((1, 3), small), pointmap=pointmap * [-1, -1, 1])  # fmt: skip
    object = read_estimate(tmp_path / "object.npz")
    model = free_body("test")
    settled = settle(model, read_parameters(SAMPLE), object=object)
    # The map shows a vertex up to a pixel beside it, which is 1 cm of depth on a slope.
    np.testing.assert_allclose(settled.values["obj_trans"][0], want, atol=0.02)
    np.testing.assert_allclose(settled.values["obj_scale"][0, 0], size, rtol=0.005)
    np.testing.assert_allclose(Rotation.from_rotvec(settled.values["obj_rot"][0]).as_matrix(), turn, atol=1e-5)
    note = next(note for note in settled.notes if "depth ratio" in note)
    assert "spread is large" not in note and float(note.split("depth ratio ")[1].split()[0]) == pytest.approx(
        ratio, rel=5e-3
    )


def test_what_hides_the_person_is_borne_and_a_mask_helps(sample):
    pointmap, camera, _ = scene_of(sample, 1.2, 1.0)
    object = read_estimate_of(pointmap)
    clean = align_object(object, sample.vertices[0], mhr_faces(), camera)
    columns = np.flatnonzero((pointmap[..., 2] < 9).any(0))
    hidden = pointmap.copy()
    third = columns[: len(columns) // 3]
    hidden[:, third] = hidden[:, third] / hidden[:, third, 2:] * 3.0
    borne = align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera)
    np.testing.assert_allclose(borne.ratio, clean.ratio, rtol=0.01)
    most = columns[: 2 * len(columns) // 3]
    hidden[:, most] = hidden[:, most] / hidden[:, most, 2:] * 3.0
    assert abs(align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera).ratio - 1.2) > 0.1
    mask = np.ones(pointmap.shape[:2])
    mask[:, most] = 0
    helped = align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera, mask)
    np.testing.assert_allclose(helped.ratio, 1.2, rtol=0.01)
    rows = np.flatnonzero((pointmap[..., 2] < 9).any(1))
    mask[rows[: len(rows) // 3]] = 0
    fewer = align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera, mask)
    fine = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    again = align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera, fine)
    assert again.ratio == fewer.ratio and again.cells == fewer.cells < helped.cells
    with pytest.raises(InputError, match="the person's mask"):
        align_object(read_estimate_of(hidden), sample.vertices[0], mhr_faces(), camera, mask[:, ::2])
    with pytest.raises(InputError, match="are both of one picture"):
        align_object(object, sample.vertices[0] + [50.0, 0, 0], mhr_faces(), camera)


def read_estimate_of(pointmap):
    import dataclasses

    from hoijax.io.sources import SourceEstimate, source_by_name

    empty = SourceEstimate(pathlib.Path("object.pt"), source_by_name("sam-3d-objects"), "", ("",), {}, None, (), {})
    arrays = {"obj_trans": np.array([0.0, 0, 5.0]), "obj_scale": np.asarray(1.0), "obj_rot": np.eye(3)[None]}
    return dataclasses.replace(empty, arrays=arrays, pointmap=pointmap)


def test_without_a_point_map_it_is_said(sample, tmp_path):
    np.savez(tmp_path / "object.npz", rotation=[[1.0, 0, 0, 0]], translation=[[0, 0, 4.0]], scale=np.ones((1, 3)))
    settled = settle(free_body("test"), read_parameters(SAMPLE), object=read_estimate(tmp_path / "object.npz"))
    assert any("keeps MoGe's scale" in note and "no pointmap" in note for note in settled.notes)
    np.savez(tmp_path / "bad.npz", rotation=[[1.0, 0, 0, 0]], translation=[[0, 0, 4.0]], scale=[[1.0, 2.0, 1.0]])
    with pytest.raises(InputError, match="wanted one scale for all axes"):
        read_estimate(tmp_path / "bad.npz")


def test_a_scene_takes_no_surface_for_the_rest_pose():
    from hoijax.systems.graft.estimates import read_people

    with pytest.raises(InputError, match="has no parameters of the free body"):
        read_people(SAMPLE, free_body("test"))
