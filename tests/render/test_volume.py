"""Volume rendering against what it must come to."""

import jax
import numpy as np

from hoijax.camera import Camera, intrinsics_from_fov, look_at, project
from hoijax.render.volume import camera_rays, composite, sample_depths


def test_rays_pass_through_the_middles_of_their_pixels():
    size = (6, 9)
    eye = np.array([[0.4, 1.0, 3.0], [-2.0, 0.3, -1.0]])
    camera = Camera(intrinsics_from_fov(np.full(2, 0.8), size), look_at(eye, np.zeros((2, 3))), size)
    rays = camera_rays(camera)
    assert rays.origins.shape == rays.directions.shape == (2, 6, 9, 3)
    np.testing.assert_allclose(rays.origins[1], np.broadcast_to(eye[1], (6, 9, 3)), atol=1e-6)
    for depth in (0.7, 2.5):
        points = np.asarray(rays.origins + depth * rays.directions).reshape(2, -1, 3)
        pixels, z = project(camera, points)
        rows, columns = np.divmod(np.arange(54), 9)
        np.testing.assert_allclose(pixels, np.broadcast_to(np.stack([columns, rows], 1) + 0.5, (2, 54, 2)), atol=1e-4)
        np.testing.assert_allclose(z, depth, atol=1e-5)


def test_a_uniform_slab_hides_exponentially_however_it_is_cut():
    for count in (4, 64):
        depth = sample_depths(1.0, 3.0, count, (2,))
        np.testing.assert_allclose(depth[0], 1.0 + 2.0 * (np.arange(count) + 0.5) / count, rtol=1e-6)
        out = composite(
            np.full((2, count), 0.8, np.float32), np.full((2, count, 3), 0.25, np.float32), depth,
            np.full((2, count), 2.0 / count, np.float32),
        )  # fmt: skip
        want = 1 - np.exp(-0.8 * 2.0)
        np.testing.assert_allclose(out.opacity, want, rtol=1e-5)
        np.testing.assert_allclose(out.color, 0.25 * want, rtol=1e-5)


def test_near_samples_hide_far_ones_and_unseen_ones_nothing():
    density, length = np.array([0.5, 2.0, 1.0]), np.array([1.0, 0.5, 2.0])
    color, depth = np.eye(3), np.array([1.0, 1.75, 3.0])
    share = 1 - np.exp(-density * length)
    want = share * np.cumprod([1.0, 1 - share[0], 1 - share[1]])
    out = composite(density, color, depth, length)
    np.testing.assert_allclose(out.weights, want, rtol=1e-6)
    np.testing.assert_allclose(out.color, want, rtol=1e-6)
    np.testing.assert_allclose(out.depth, want @ depth, rtol=1e-6)
    hidden = composite(density, color, depth, length, np.array([True, False, True]))
    np.testing.assert_allclose(hidden.weights, [share[0], 0.0, (1 - share[0]) * share[2]], rtol=1e-6)


def test_drawn_samples_stay_in_their_steps_and_dense_fields_have_finite_derivatives():
    depth = np.asarray(sample_depths(2.0, 4.0, 5, (40,), jax.random.key(0)))
    edges = 2.0 + 0.4 * np.arange(6)
    assert np.all((depth >= edges[:-1]) & (depth <= edges[1:])) and np.ptp(depth[:, 0]) > 0.2
    slope = jax.grad(
        lambda d: composite(d, np.ones((5, 3), np.float32), depth[0], np.full(5, 0.4, np.float32)).opacity
    )(np.full(5, 500.0, np.float32))
    assert np.isfinite(slope).all()
