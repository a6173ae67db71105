"""Face ids, depths and barycentrics against the brute-force float64 rasterizer of conftest."""

import jax
import numpy as np
import pytest

from hoijax.render import rasterize

SIZE = (60, 83)


def random_soup(rng, count, size, centre=3.0):
    corners = rng.normal(size=(count, 1, 3)) * [1.0, 0.7, 0.8] + [0, 0, centre] + size * rng.normal(size=(count, 3, 3))
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def slivers(rng, count):
    start = rng.normal(size=(count, 3)) * 0.6 + [0, 0, 3]
    along = rng.normal(size=(count, 3))
    across = rng.normal(size=(count, 3)) * 10.0 ** rng.uniform(-6, -2, size=(count, 1))
    corners = np.stack([start, start + along, start + rng.uniform(size=(count, 1)) * along + across], axis=1)
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def assert_matches(reference, vertices, faces, camera, allowed_doubt=0.01, **options):
    ids, depth, bary, slope, doubtful = reference(vertices, faces, camera, **options)
    got = rasterize(vertices, faces, camera, **options)
    certain = ~doubtful
    assert doubtful.mean() < allowed_doubt, f"{doubtful.mean():.2%} of the pixels cannot be judged"
    np.testing.assert_array_equal(np.asarray(got.face_id)[certain], ids[certain])
    hit = certain & (ids >= 0)
    assert hit.any()
    # 1e-5 relative, or the change of depth over the 1e-4 px by which edges are allowed to be off: faces seen edge-on.
    error = np.abs(np.asarray(got.depth)[hit] - depth[hit])
    assert (error <= 1e-5 * depth[hit] + 1e-4 * slope[hit]).all(), (error / depth[hit]).max()
    assert np.isposinf(np.asarray(got.depth)[np.asarray(got.face_id) < 0]).all()
    got_bary = np.asarray(got.bary)
    assert (got_bary >= 0).all()
    np.testing.assert_allclose(got_bary.sum(-1), np.asarray(got.mask), atol=1e-6)
    # The coordinates of a thin face are ill-determined, the point they name is not.
    local = np.asarray(vertices, np.float64) @ np.asarray(camera.T_camera_world, np.float64)[:3, :3].T
    point = (got_bary[..., None] * local[faces[np.asarray(got.face_id)]]).sum(-2)[hit]
    want = (bary[..., None] * local[faces[ids]]).sum(-2)[hit]
    np.testing.assert_allclose(point, want, atol=2e-5 * np.abs(local).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_closed_mesh(reference, make_blob, make_camera, dtype):
    vertices, faces = make_blob(3, dtype=dtype)
    assert_matches(reference, vertices, faces, make_camera(SIZE, dtype=dtype))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0.02, 0.3, 3.0])
def test_soup(reference, make_camera, seed, size):
    vertices, faces = random_soup(np.random.default_rng(seed), 200, size)
    assert_matches(reference, vertices, faces, make_camera(SIZE))


def test_slivers(reference, make_camera):
    vertices, faces = slivers(np.random.default_rng(0), 200)
    assert_matches(reference, vertices, faces, make_camera(SIZE), allowed_doubt=0.1)


@pytest.mark.parametrize("cull", ["back", "front"])
def test_culling_of_a_soup(reference, make_camera, cull):
    vertices, faces = random_soup(np.random.default_rng(7), 200, 0.3)
    assert_matches(reference, vertices, faces, make_camera(SIZE), cull=cull)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("near", [0.01, 0.5])
def test_faces_through_the_near_plane(reference, make_camera, seed, near):
    vertices, faces = random_soup(np.random.default_rng(seed), 200, 1.0, centre=0.3)
    assert ((vertices[:, 2] > near)[faces].any(1) & (vertices[:, 2] <= near)[faces].any(1)).sum() > 50
    assert_matches(reference, vertices, faces, make_camera(SIZE), near=near, allowed_doubt=0.02)


def test_a_floor_under_the_camera(reference, make_camera):
    """Two large triangles from behind the camera to the horizon."""
    vertices = np.array([[-50, 1.2, -50], [50, 1.2, -50], [50, 1.2, 50], [-50, 1.2, 50]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    assert_matches(reference, vertices, faces, make_camera(SIZE))


def test_nothing_behind_the_camera_shows(make_blob, make_camera):
    vertices, faces = make_blob(2, centre=(0, 0, -3.0))
    assert not np.asarray(rasterize(vertices, faces, make_camera(SIZE)).mask).any()


def test_inside_a_mesh_every_pixel_is_covered(make_blob, make_camera):
    """The camera in the middle: faces in front, behind and across the near plane."""
    vertices, faces = make_blob(3, centre=(0, 0, 0))
    got = rasterize(vertices, faces, make_camera(SIZE), cull="front")
    assert np.asarray(got.mask).all()


def test_screen_filling_faces_over_a_mesh(reference, make_blob, make_camera):
    """A capacity fixed by the number of faces would overflow here."""
    vertices, faces = make_blob(2)
    wall = np.array([[-30, -30, 2.9], [30, -30, 3.1], [0, 60, 3]], np.float32)
    vertices = np.concatenate([vertices, wall, wall + np.float32([0, 0, 0.3])])
    first = len(vertices) - 6
    faces = np.concatenate([faces, [[first, first + 1, first + 2], [first + 3, first + 4, first + 5]]]).astype(np.int32)
    assert_matches(reference, vertices, faces, make_camera(SIZE))


@pytest.mark.slow
@pytest.mark.parametrize("yaw", [0.4, 1.97])
def test_a_whole_body(reference, make_camera, yaw):
    body_models = pytest.importorskip("hoijax.body_models")
    if not hasattr(body_models, "free_body"):
        pytest.skip("hoijax.body_models.free_body is not there")
    model = body_models.free_body("default")
    vertices, faces = np.asarray(model.v_template, np.float32), np.asarray(model.faces, np.int32)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, -1, 0], [np.sin(yaw), 0, -np.cos(yaw)]])
    local = ((vertices - middle) @ turn.T + [0, 0, 2.5]).astype(np.float32)
    assert_matches(reference, local, faces, make_camera((512, 512), focal=600))


def test_eager_and_jit_agree(make_blob, make_camera):
    vertices, faces = make_blob(2)
    camera = make_camera(SIZE)
    eager = rasterize(vertices, faces, camera)
    jitted = jax.jit(rasterize)(vertices, faces, camera)
    jax.tree.map(np.testing.assert_array_equal, eager, jitted)
