"""Shading against closed forms and plain loops."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from hoijax.camera import Camera, look_at
from hoijax.render.shading import (
    Lights,
    Material,
    camera_center,
    depth_image,
    id_colors,
    id_image,
    mask_image,
    nocs_colors,
    normal_colors,
    over_background,
    phong,
)

RNG = np.random.default_rng(0)


def uniform(*shape):
    return RNG.uniform(-1, 1, shape)


def phong_loop(points, normals, colors, eye, lights, material, visibility):
    """Phong's formula, one point and one light at a time."""
    out = np.zeros_like(points)
    for i, (p, n, c) in enumerate(zip(points, normals, colors)):
        n = n / np.linalg.norm(n)
        up = (n[1] + 1) / 2
        total = c * (up * lights.above + (1 - up) * lights.below)
        view = (eye - p) / np.linalg.norm(eye - p)
        for light, (position, color) in enumerate(zip(lights.position, lights.color)):
            towards = (position - p) / np.linalg.norm(position - p)
            cosine = n @ towards
            if cosine <= 0:
                continue
            mirrored = 2 * cosine * n - towards
            share = visibility[i, light] * color
            total = total + c * share * material.diffuse * cosine
            total = total + material.specular * share * max(mirrored @ view, 0.0) ** material.shininess
        out[i] = total
    return out


@pytest.fixture
def surface():
    lights = Lights(3 * uniform(3, 3), np.abs(uniform(3, 3)), np.array([0.2, 0.3, 0.4]), np.array([0.1, 0.0, 0.2]))
    return uniform(40, 3), 2 * uniform(40, 3), np.abs(uniform(40, 3)), 3 * uniform(3), lights


def test_phong_is_the_textbook_formula(surface):
    *arrays, lights = surface
    material, visibility = Material(0.8, 0.4, 7.0), RNG.uniform(0, 1, (40, 3))
    want = phong_loop(*arrays, lights, material, visibility)
    for fn in (phong, jax.jit(phong)):
        np.testing.assert_allclose(fn(*arrays, lights, material, visibility), want, atol=1e-12)
    # Any leading axes.
    grid = [a.reshape(5, 8, 3) for a in arrays[:3]]
    got = phong(*grid, arrays[3], lights, material, visibility.reshape(5, 8, 3))
    np.testing.assert_allclose(got.reshape(40, 3), want, atol=1e-12)


def test_lambert_on_a_sphere():
    """A white sphere lit from far along +z is as bright as its normal's z, and dark behind."""
    normals = uniform(200, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    lights = Lights(np.array([[0, 0, 1e9]]), np.ones((1, 3)), np.zeros(3), np.zeros(3))
    image = phong(normals, normals, np.ones((200, 3)), np.array([0.0, 0.0, 5.0]), lights)
    np.testing.assert_allclose(image, np.maximum(normals[:, 2:], 0) * np.ones(3), atol=1e-8)


def test_phong_gradients(surface):
    points, normals, colors, eye, lights = surface
    material = Material(0.8, 0.4, 7.0)

    def shade(points, normals, colors, position):
        return phong(points, normals, colors, eye, lights.replace(position=position), material)

    check_grads(shade, (points[:6], normals[:6], colors[:6], lights.position), 1, ("fwd", "rev"), atol=1e-5, rtol=1e-5)


def test_phong_is_finite_where_it_has_no_direction():
    """A zero normal, a light at the point and an eye at the point give zero derivatives, never NaN."""
    lights = Lights(np.zeros((1, 3)), np.ones((1, 3)), np.ones(3), np.ones(3))

    def total(points, normals):
        return phong(points, normals, np.ones((2, 3)), np.zeros(3), lights, Material(1.0, 1.0, 8.0)).sum()

    normals = jnp.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    gradients = jax.grad(total, (0, 1))(jnp.zeros((2, 3)), normals)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_array_equal(gradients[1][0], 0.0)


def test_phong_keeps_float32():
    image = phong(*(np.ones((4, 3), np.float32),) * 3, np.zeros(3, np.float32), Lights.single(np.ones(3, np.float32)))
    assert image.dtype == jnp.float32


def test_masks_labels_and_depth():
    face_id = np.array([[-1, 0], [2, 1]])
    np.testing.assert_array_equal(mask_image(face_id), [[False, True], [True, True]])
    np.testing.assert_array_equal(id_image(face_id, np.array([7, 8, 9])), [[-1, 7], [9, 8]])
    depth = jnp.array([[np.inf, 2.0], [1.0, 3.0]])
    np.testing.assert_array_equal(depth_image(depth), [[0, 2], [1, 3]])
    np.testing.assert_array_equal(jax.grad(lambda d: depth_image(d).sum())(depth), [[0, 1], [1, 1]])
    image = over_background(np.zeros((2, 2, 3)), np.asarray(face_id >= 0), np.array([1.0, 0.5, 0.0]))
    np.testing.assert_array_equal(image[0, 0], [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(image[1], 0.0)


def test_label_colors_are_the_hsv_wheel():
    ids = np.arange(-1, 40)
    colors = np.asarray(id_colors(ids))
    np.testing.assert_array_equal(colors[0], 0.0)
    for i in range(40):
        saturation, value = 0.75 - 0.3 * (i // 3 % 3) / 2, 0.95 - 0.2 * (i % 3) / 2
        np.testing.assert_allclose(colors[i + 1], colorsys.hsv_to_rgb(i * 0.618034 % 1, saturation, value), atol=2e-5)
    distance = np.linalg.norm(colors[1:, None] - colors[None, 1:], axis=-1) + np.eye(40)
    assert distance.min() > 0.04


def test_normal_colors():
    rotation = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    normals = uniform(5, 3)
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    np.testing.assert_allclose(normal_colors(normals), (unit + 1) / 2, atol=1e-12)
    np.testing.assert_allclose(normal_colors(normals, rotation), (unit @ rotation.T + 1) / 2, atol=1e-12)
    np.testing.assert_array_equal(normal_colors(np.zeros((1, 3))), 0.5)


def test_nocs_colors_fill_their_range():
    points = uniform(100, 3) * np.array([1.0, 5.0, 0.2]) + 3
    colors = np.asarray(nocs_colors(points))
    np.testing.assert_allclose(colors.min(0), 0.1, atol=1e-12)
    np.testing.assert_allclose(colors.max(0), 0.9, atol=1e-12)
    want = 0.1 + 0.8 * (points - points.min(0)) / np.ptp(points, axis=0)
    np.testing.assert_allclose(colors, want, atol=1e-12)
    whole = nocs_colors(points, low=0.0, high=1.0, bounds=(points.min(0) - 1, points.max(0) + 1))
    np.testing.assert_allclose(whole, (points - points.min(0) + 1) / (np.ptp(points, axis=0) + 2), atol=1e-12)


def test_nocs_colors_of_a_flat_cloud_are_finite():
    flat = jnp.asarray(uniform(10, 3)).at[:, 1].set(2.0)
    np.testing.assert_array_equal(nocs_colors(flat)[:, 1], 0.5)
    assert np.isfinite(jax.grad(lambda p: nocs_colors(p).sum())(flat)).all()


def test_camera_center():
    eye = np.array([0.3, -2.0, 1.0])
    camera = Camera(np.eye(3), look_at(eye, np.zeros(3)), (4, 4))
    np.testing.assert_allclose(camera_center(camera), eye, atol=1e-12)
