"""Masks with the gradient of their outline against the areas of finer pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from hoijax.camera import Camera
from hoijax.render import blur_images, edge_neighbours, outline_mask, rasterize

SIZE = (48, 56)
FINE = 12


def smooth_weights(size):
    """What comes after a mask: a random image without detail."""
    rows, columns = np.meshgrid(np.arange(size[0]) / 9, np.arange(size[1]) / 9, indexing="ij")
    return np.sin(rows + 0.4) * np.cos(1.3 * columns) + 0.5 * np.sin(columns - rows)


@pytest.fixture(scope="module")
def differentiated():
    """Weighted mask and its gradient with respect to vertices, compiled once; faces and camera are arguments."""

    def function(vertices, faces, neighbours, camera, weights):
        return jnp.sum(weights * outline_mask(rasterize(vertices, faces, camera), neighbours))

    compiled = jax.jit(jax.value_and_grad(function))
    return lambda v, f, c, w: compiled(v, f, edge_neighbours(f), c, w)


@pytest.fixture(scope="module")
def areas():
    """The weighted mask from pictures twelve times finer, without `outline_mask`."""

    @jax.jit
    def function(vertices, faces, camera, weights):
        scale = jnp.diag(jnp.asarray([FINE, FINE, 1.0], jnp.float32))
        fine = Camera(scale @ camera.intrinsics, camera.T_camera_world, tuple(FINE * s for s in camera.image_size))
        mask = (rasterize(vertices, faces, fine).face_id >= 0).astype(jnp.float32)
        size = camera.image_size
        return jnp.sum(weights * mask.reshape(size[0], FINE, size[1], FINE).mean(axis=(1, 3)))

    return areas_of(function)


def areas_of(function):
    return lambda *args: float(function(*args))


MOTIONS = {
    "right": lambda v: np.broadcast_to([1.0, 0, 0], v.shape),
    "down": lambda v: np.broadcast_to([0, 1.0, 0], v.shape),
    "away": lambda v: np.broadcast_to([0, 0, 1.0], v.shape),
    "larger": lambda v: v - v.mean(0),
    "turned": lambda v: np.cross([0.3, 0.8, -0.4], v - v.mean(0)),
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_gradients_are_those_of_areas(make_blob, make_camera, differentiated, areas, motion):
    vertices, faces = make_blob(2)
    vertices = 0.7 * (vertices - vertices.mean(0)) + np.float32([0.05, -0.1, 3.0])
    camera, weights = make_camera(SIZE), jnp.asarray(smooth_weights(SIZE), jnp.float32)
    _, gradient = differentiated(vertices, faces, camera, weights)
    direction = MOTIONS[motion](vertices).astype(np.float32)
    h = 0.06  # about half a pixel, six of the finer ones
    ends = [areas(vertices + s * h * direction, faces, camera, weights) for s in (-1, 1)]
    want = (ends[1] - ends[0]) / (2 * h)
    scale = float(np.abs(np.asarray(gradient)).sum() * np.abs(direction).mean())
    assert abs(want) > 0.02 * scale  # else the motion says nothing
    np.testing.assert_allclose(float(np.sum(np.asarray(gradient) * direction)), want, atol=0.03 * scale, rtol=0.08)


def test_a_square_moves_with_its_edges(make_pixel_camera):
    """In closed form: each edge of an upright square gathers the weights along it."""
    corners = np.array([[10, 12, 1], [30, 12, 1], [30, 28, 1], [10, 28, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    weights = jnp.asarray(np.arange(48)[:, None] + 2.0 * np.arange(56)[None], jnp.float32)
    camera = make_pixel_camera((48, 56))
    mask, pull = jax.vjp(
        lambda v: outline_mask(rasterize(v, faces, camera), edge_neighbours(faces)), jnp.asarray(corners)
    )
    want = np.zeros((48, 56))
    want[12:28, 10:30] = 1
    np.testing.assert_array_equal(mask, want)
    (gradient,) = pull(weights)
    rows, columns = np.arange(12, 28), np.arange(10, 30)
    right, left = (np.sum(rows + 2 * (x - 0.5)) for x in (30, 10))
    bottom, top = (np.sum(2 * columns + (y - 0.5)) for y in (28, 12))
    np.testing.assert_allclose(np.sum(gradient, axis=0)[:2], [right - left, bottom - top], rtol=1e-5)
    # Farther away is smaller: every edge moves towards the principal point by its place over its depth.
    outwards = 30 * right - 10 * left + 28 * bottom - 12 * top
    np.testing.assert_allclose(np.sum(gradient[:, 2]), -outwards, rtol=1e-5)


def test_what_has_no_outline_has_no_gradient(make_blob, make_camera, differentiated):
    vertices, faces = make_blob(2)
    camera, weights = make_camera(SIZE), jnp.asarray(smooth_weights(SIZE), jnp.float32)
    value, gradient = differentiated(vertices + np.float32([50, 0, 0]), faces, camera, weights)
    assert value == 0 and not np.asarray(gradient).any()
    close = 3 * (vertices - vertices.mean(0)) + np.float32([0, 0, 5.0])  # covers the picture and its rim
    value, gradient = differentiated(close, faces, camera, weights)
    np.testing.assert_allclose(value, float(jnp.sum(weights)), rtol=1e-5)
    assert not np.asarray(gradient).any()
    bad = vertices.copy()
    bad[7] = np.nan
    _, gradient = differentiated(bad, faces, camera, weights)
    assert np.isfinite(np.asarray(gradient)).all() and np.asarray(gradient).any()


def test_batches_agree_with_single_calls(make_blob, make_camera, differentiated):
    vertices, faces = make_blob(2)
    camera, weights = make_camera(SIZE), jnp.asarray(smooth_weights(SIZE), jnp.float32)
    scenes = jnp.stack([vertices, 0.8 * vertices, vertices + np.float32([0.4, 0.1, 0.5])])

    def total(v, w):
        masks = jax.vmap(lambda x: outline_mask(rasterize(x, faces, camera), edge_neighbours(faces)))(v)
        return jnp.sum(masks * w)

    weighted = jnp.stack([weights, -weights, 2 * weights])
    value, gradient = jax.jit(jax.value_and_grad(total))(scenes, weighted)
    singles = [differentiated(v, faces, camera, w) for v, w in zip(scenes, weighted)]
    np.testing.assert_allclose(value, sum(float(s[0]) for s in singles), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.stack([s[1] for s in singles]), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("blur", [0.05, 0.8, 3.0])
def test_blur_is_a_gaussian_over_each_pixel(blur):
    image = np.random.default_rng(0).normal(size=(2, 20, 33))
    got = np.asarray(jax.jit(blur_images)(jnp.asarray(image, jnp.float32), blur))

    def share(i, j):
        return 0.5 * np.diff(scipy.special.erf((np.array([j, j + 1.0]) - i - 0.5) / (blur * np.sqrt(2))))[0]

    rows = np.array([[share(i, j) for j in range(20)] for i in range(20)])
    columns = np.array([[share(i, j) for j in range(33)] for i in range(33)])
    np.testing.assert_allclose(got, np.einsum("ij,bjk,lk->bil", rows, image, columns), atol=2e-5)
    if blur == 0.05:
        np.testing.assert_allclose(got, image, atol=1e-5)
