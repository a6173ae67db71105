import jax
import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from hoijax.geometry import Mesh
from hoijax.metrics import (
    chamfer_cm,
    chamfer_cm_host,
    chamfer_floor_cm,
    procrustes_align_combined,
    surface_chamfer_cm,
    surface_chamfer_cm_host,
    surface_f_score,
)


def similarity(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    q[:, 0] *= np.linalg.det(q)
    return 1.3, q, rng.normal(size=3)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)), rng.normal(size=(25, 3)) * 0.3


def test_alignment_removes_a_similarity(pair):
    body, object = pair
    s, q, t = similarity(np.random.default_rng(1))
    got = procrustes_align_combined(s * body @ q.T + t, s * object @ q.T + t, body, object)
    np.testing.assert_allclose(got.body, body, atol=1e-12)
    np.testing.assert_allclose(got.object, object, atol=1e-12)
    np.testing.assert_allclose(got.alignment.scale, 1 / s)


def test_alignment_matches_a_numpy_umeyama_on_noisy_vertices(pair):
    body, object = pair
    rng = np.random.default_rng(2)
    noisy_body, noisy_object = body + rng.normal(size=body.shape) * 0.3, object + rng.normal(size=object.shape)
    source, target = np.concatenate([noisy_body, noisy_object]), np.concatenate([body, object])
    x, y = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(y.T @ x)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = u @ flip @ vt, np.sum(d * np.diag(flip)) / np.sum(x * x)
    want = scale * x @ rotation.T + target.mean(0)
    got = procrustes_align_combined(noisy_body, noisy_object, body, object)
    np.testing.assert_allclose(np.concatenate([got.body, got.object]), want, atol=1e-10)
    padded = [np.concatenate([x, np.full((7, 3), 5.0)]) for x in (noisy_object, object)]
    masked = procrustes_align_combined(noisy_body, padded[0], body, padded[1], object_mask=np.arange(32) < 25)
    np.testing.assert_allclose(np.concatenate([masked.body, masked.object[:25]]), want, atol=1e-10)
    rigid = procrustes_align_combined(noisy_body, noisy_object, body, object, with_scale=False)
    np.testing.assert_allclose(rigid.alignment.scale, 1.0)


def test_alignment_never_reflects(pair):
    body, object = pair
    mirror = np.array([-1.0, 1, 1])
    got = procrustes_align_combined(body * mirror, object * mirror, body, object)
    np.testing.assert_allclose(np.linalg.det(got.alignment.rotation), 1.0)


def test_alignment_batches_over_leading_axes(pair):
    body, object = pair
    bodies, objects = np.stack([body, 2 * body, body + 1]), np.stack([object, 2 * object, object + 1])
    many = procrustes_align_combined(bodies, objects, np.stack([body] * 3), np.stack([object] * 3))
    for i in range(3):
        one = procrustes_align_combined(bodies[i], objects[i], body, object)
        np.testing.assert_allclose(many.body[i], one.body, atol=1e-12)


def test_two_points_at_distance_d_score_twice_d():
    a, b = np.zeros((1, 3)), np.array([[0.0, 0.03, 0.04]])
    np.testing.assert_allclose(chamfer_cm(a, b), 10.0)
    np.testing.assert_allclose(chamfer_cm_host(a, b), 10.0)


def test_a_dense_plane_moved_by_one_centimetre_scores_two():
    x, y = np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 50))
    plane = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    np.testing.assert_allclose(chamfer_cm_host(plane, plane + np.array([0, 0, 0.01])), 2.0)


def test_clouds_of_6000_agree_with_a_tree():
    rng = np.random.default_rng(0)
    a, b = rng.random((6000, 3)), rng.random((6000, 3))
    want = 100 * (cKDTree(b).query(a)[0].mean() + cKDTree(a).query(b)[0].mean())
    np.testing.assert_allclose(chamfer_cm_host(a, b), want, rtol=1e-12)
    got = jax.jit(chamfer_cm)(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_allclose(got, want, atol=1e-4)  # 1e-6 m


@pytest.fixture(scope="module")
def ball():
    shape = trimesh.creation.icosphere(subdivisions=3, radius=0.389)  # 1.9 square metres, as a person
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces, np.int32)), float(shape.area)


def test_identical_surfaces_score_the_sampling_floor(ball):
    mesh, area = ball
    got = surface_chamfer_cm_host(mesh, mesh)
    floor = float(chamfer_floor_cm(area))
    np.testing.assert_allclose(floor, 100 * np.sqrt(area / 6000))
    assert 1.7 < floor < 1.85
    np.testing.assert_allclose(got, floor, rtol=0.03)
    np.testing.assert_allclose(surface_chamfer_cm_host(mesh, mesh, count=1500), 2 * floor, rtol=0.05)
    assert surface_chamfer_cm_host(mesh, mesh) == got  # fixed seed
    assert surface_chamfer_cm_host(mesh, mesh, seed=1) != got


def test_a_similarity_of_the_truth_scores_as_the_truth(ball):
    mesh, _ = ball
    other = mesh.vertices[::3] * 0.3 + np.array([0.4, 0, 0])  # an object beside it
    s, q, t = similarity(np.random.default_rng(1))
    aligned = procrustes_align_combined(s * mesh.vertices @ q.T + t, s * other @ q.T + t, mesh.vertices, other)
    got = surface_chamfer_cm_host(Mesh(np.asarray(aligned.body), mesh.faces), mesh)
    np.testing.assert_allclose(got, surface_chamfer_cm_host(mesh, mesh), rtol=1e-6)


def test_host_and_device_samplers_agree(ball):
    mesh, _ = ball
    other = Mesh(mesh.vertices * 1.1, mesh.faces)
    device = jax.jit(surface_chamfer_cm, static_argnames="count")(jax.random.key(3), mesh, other, count=500)
    np.testing.assert_allclose(surface_chamfer_cm_host(mesh, other, count=500, seed=3), device, rtol=1e-9)


def test_f_score():
    rng = np.random.default_rng(0)
    a, b = rng.random((200, 3)) * 0.1, rng.random((300, 3)) * 0.1
    p = np.mean(cKDTree(b).query(a)[0] < 0.01)
    r = np.mean(cKDTree(a).query(b)[0] < 0.01)
    np.testing.assert_allclose(surface_f_score(a, b), 200 * p * r / (p + r), rtol=1e-12)
    assert surface_f_score(a, a) == 100
    assert surface_f_score(a, b + 1.0) == 0
