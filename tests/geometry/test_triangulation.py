"""Triangulation against points that are known."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from hoijax.camera import Camera, intrinsics_from_fov, look_at, project
from hoijax.geometry.triangulation import reprojection, triangulate, triangulate_host, triangulate_robustly

SIZE = (240, 320)


@pytest.fixture(scope="module")
def views():
    """Five cameras around, and six points as they see them."""
    rng = np.random.default_rng(3)
    angle = np.radians([0.0, 70.0, 150.0, 210.0, 300.0])
    eye = np.stack([3 * np.sin(angle), rng.uniform(0, 1.5, 5), 3 * np.cos(angle)], axis=1)
    pose = np.asarray(look_at(eye, np.zeros_like(eye)))
    lens = np.asarray(intrinsics_from_fov(np.full(5, 0.9), SIZE))
    points = rng.uniform(-0.6, 0.6, (6, 3))
    pixels = np.asarray(project(Camera(lens, pose, SIZE), np.broadcast_to(points, (5, 6, 3)))[0])
    return points, pixels, lens @ pose[:, :3]


def test_exact_pixels_give_the_points_back(views):
    points, pixels, projections = views
    np.testing.assert_allclose(triangulate(pixels, np.ones((5, 6)), projections), points, atol=1e-5)
    np.testing.assert_allclose(reprojection(points, projections), pixels, rtol=1e-6)
    for j, point in enumerate(points):
        np.testing.assert_allclose(triangulate_host(pixels[:, j], np.ones(5), projections), point, atol=1e-9)


def test_a_view_without_confidence_does_not_count_and_one_with_little_counts_little(views):
    points, pixels, projections = views
    wrong = pixels.copy()
    wrong[2] += 40.0
    confidence = np.ones((5, 6))
    confidence[2] = 0.0
    np.testing.assert_allclose(triangulate(wrong, confidence, projections), points, atol=1e-5)
    off = []
    for share in (0.1, 1.0):
        confidence[2] = share
        off.append(np.abs(np.asarray(triangulate(wrong, confidence, projections)) - points).max())
    assert 1e-4 < off[0] < 0.2 * off[1]


def test_wrong_views_are_left_out(views):
    points, pixels, projections = views
    wrong = pixels.copy()
    wrong[0, 0] += [60.0, -30.0]
    wrong[3, 0] += [-50.0, 45.0]
    wrong[1, 2] -= 80.0
    got, found = triangulate_robustly(wrong, np.ones((5, 6)), projections, threshold=3.0)
    assert found.all()
    np.testing.assert_allclose(got, points, atol=1e-8)


def test_what_two_views_do_not_agree_on_is_not_found(views):
    _, pixels, projections = views
    confidence = np.ones((5, 6))
    confidence[1:, 4] = 0.1
    confidence[2:, 5] = 0.0
    got, found = triangulate_robustly(pixels, confidence, projections, threshold=3.0)
    assert not found[4] and np.isnan(got[4]).all() and found[[0, 1, 2, 3, 5]].all()
    apart = pixels.copy()
    apart[1, 5] += [0.0, 150.0]  # above where the other's ray passes: the two lines do not meet
    assert not triangulate_robustly(apart, confidence, projections, threshold=3.0)[1][5]


def test_noisy_views_are_refined_to_least_pixels(views):
    points, pixels, projections = views
    rng = np.random.default_rng(0)
    noisy = pixels + rng.normal(0, 1.0, pixels.shape)
    confidence = rng.uniform(0.5, 1.0, (5, 6))
    got, found = triangulate_robustly(noisy, confidence, projections, threshold=20.0, steps=8)
    assert found.all() and np.abs(got - points).max() < 0.03
    for j in range(6):

        def off(p: np.ndarray, j: int = j) -> np.ndarray:
            seen = np.asarray([(P[:2, :3] @ p + P[:2, 3]) / (P[2, :3] @ p + P[2, 3]) for P in projections])
            return (confidence[:, j, None] * (seen - noisy[:, j])).ravel()

        np.testing.assert_allclose(got[j], least_squares(off, points[j], xtol=1e-12, ftol=1e-12).x, atol=1e-5)
