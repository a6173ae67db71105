import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from hoijax.metrics import (
    contact_set_weights,
    d2s_deg,
    scene_contact,
    scene_contact_host,
    scene_displacement,
    scene_displacement_host,
    v2s_mm,
)


@pytest.fixture(scope="module")
def floor():
    """Half-centimetre grid of an infinite plane at y = 0, as far as the tests reach."""
    x, z = np.meshgrid(np.arange(-0.3, 0.3, 0.005), np.arange(-0.3, 0.3, 0.005))
    return np.stack([x, 0 * x, z], -1).reshape(-1, 3)


@pytest.fixture(scope="module")
def feet():
    """Vertices straight above grid points, 1 to 6 cm high."""
    rng = np.random.default_rng(0)
    return np.stack(
        [rng.integers(-20, 20, 30) * 0.005, rng.uniform(0.01, 0.06, 30), rng.integers(-20, 20, 30) * 0.005], -1
    )


def test_displacements_match_a_tree(floor, feet):
    points = feet + np.array([0.0013, 0, 0.0011])
    want = floor[cKDTree(floor).query(points)[1]] - points
    np.testing.assert_allclose(scene_displacement(points, floor, tile=1000), want, atol=1e-14)
    np.testing.assert_allclose(scene_displacement_host(points, floor), want, atol=1e-14)


def test_body_above_a_plane(floor, feet):
    """specs/graft.md 17.11: a shift along the normal is V2S; D2S is 0 on the same side and 180 beyond the plane."""
    weights = np.linspace(1, 2, 30)
    true = scene_displacement(feet, floor)
    np.testing.assert_allclose(v2s_mm(true, true, weights), 0)
    assert d2s_deg(true, true, weights).degrees == 0
    for delta in (0.05, -0.008):
        moved = scene_displacement(feet + np.array([0, delta, 0]), floor)
        np.testing.assert_allclose(v2s_mm(moved, true, weights), 1000 * abs(delta), rtol=1e-9)
        np.testing.assert_allclose(d2s_deg(moved, true, weights).degrees, 0, atol=1e-9)
    through = scene_displacement(feet - np.array([0, 0.04, 0]), floor)
    flipped, usable = feet[:, 1] < 0.04, np.abs(feet[:, 1] - 0.04) >= 1e-3
    got = d2s_deg(through, true, weights)
    np.testing.assert_allclose(got.degrees, 180 * weights[flipped & usable].sum() / weights[usable].sum(), rtol=1e-9)
    np.testing.assert_allclose(got.dropped, weights[~usable].sum() / weights.sum(), atol=1e-12)


def test_direction_error_matches_arccos_and_drops_short_vectors():
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(2, 40, 3)), rng.normal(size=(2, 40, 3)), rng.random(40)
    a[0, :5] *= 1e-6
    got = d2s_deg(a, b, w)
    angle = np.degrees(np.arccos(np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)))
    np.testing.assert_allclose(got.degrees[1], np.sum(w * angle[1]) / w.sum(), rtol=1e-9)
    np.testing.assert_allclose(got.degrees[0], np.sum(w[5:] * angle[0, 5:]) / w[5:].sum(), rtol=1e-9)
    np.testing.assert_allclose(got.dropped, [w[:5].sum() / w.sum(), 0], atol=1e-12)
    nothing = d2s_deg(a * 0, b, w)
    np.testing.assert_array_equal(nothing.degrees, 0)
    np.testing.assert_allclose(nothing.dropped, 1)


def test_v2s_matches_a_loop():
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(2, 9, 3)), rng.normal(size=(2, 9, 3)), rng.random(9)
    want = [1000 * sum(w[k] * np.linalg.norm(a[i, k] - b[i, k]) for k in range(9)) / w.sum() for i in range(2)]
    np.testing.assert_allclose(v2s_mm(a, b, w), want)


def test_voronoi_weights_make_v2s_independent_of_the_triangulation():
    """specs/graft.md 17.13: subdividing one side of the body barely moves the weighted mean, the plain mean a lot."""
    coarse = trimesh.creation.icosphere(subdivisions=3)
    top = np.flatnonzero(coarse.triangles_center[:, 2] > 0)
    fine_vertices, fine_faces = trimesh.remesh.subdivide(coarse.vertices, coarse.faces, top)
    weighted, plain = [], []
    for vertices, faces in [(coarse.vertices, coarse.faces), (fine_vertices, fine_faces)]:
        vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int32)
        weights = contact_set_weights(vertices, faces, np.arange(len(vertices)))
        np.testing.assert_allclose(np.sum(weights), trimesh.Trimesh(vertices, faces, process=False).area, rtol=1e-9)
        error = np.maximum(vertices[:, 2:], 0) * np.array([[0.0, 0.0, 0.1]])  # the top is wrong, the bottom right
        weighted.append(float(v2s_mm(error, np.zeros_like(error), weights)))
        plain.append(float(v2s_mm(error, np.zeros_like(error), np.ones(len(vertices)))))
    assert abs(weighted[1] / weighted[0] - 1) < 0.01
    assert abs(plain[1] / plain[0] - 1) > 0.3


def test_contact_near_or_behind(floor):
    normals = np.tile([0.0, 1, 0], (len(floor), 1))
    heights = np.array([0.019, 0.021, -0.019, -0.1, -0.149, -0.151])
    vertices = np.stack([0 * heights, heights, 0 * heights], -1)
    want = [True, False, True, True, True, False]
    np.testing.assert_array_equal(scene_contact(vertices, floor, normals), want)
    np.testing.assert_array_equal(scene_contact_host(vertices, floor, normals), want)
    np.testing.assert_array_equal(scene_contact(vertices, floor, normals, threshold=0.05), [True, True, *want[2:]])
