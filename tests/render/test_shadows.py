"""Shadow maps against the closed form of a plate above a floor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.render.shadows import light_reaching, shadow_map

PLATE = np.array([[-0.5, 1, -0.5], [0.5, 1, -0.5], [0.5, 1, 0.5], [-0.5, 1, 0.5]], np.float32)
FACES = np.array([[0, 2, 1], [0, 3, 2]], np.int32)


@pytest.fixture(scope="module")
def make():
    """A map of the plate, compiled once."""
    return jax.jit(lambda d: shadow_map(PLATE, FACES, d, np.array([0, 1, 0], np.float32), 0.75, 128))


@pytest.mark.parametrize("direction", [(0.0, 1.0, 0.0), (0.6, 0.8, 0.0), (-0.48, 0.8, 0.36), (0.0, 0.96, -0.28)])
@pytest.mark.parametrize("smooth", [True, False])
def test_the_plate_shades_its_projection(make, direction, smooth):
    direction = np.array(direction, np.float32)
    floor = np.random.default_rng(0).uniform(-2, 2, (4000, 3)).astype(np.float32)
    floor[:, 1] = 0
    up = np.broadcast_to(np.array([0, 1, 0], np.float32), floor.shape)
    light = np.asarray(light_reaching(make(direction), floor, up, smooth=smooth))
    hit = floor + direction / direction[1]  # where the ray to the light passes the plate's height
    outside = np.maximum(np.abs(hit[:, 0]), np.abs(hit[:, 2])) - 0.5
    # A far light spreads its shadow by its distance of 30 radii, the map has texels of 1.2 cm: look away from the edge.
    np.testing.assert_array_equal(light[outside > 0.08], 1.0)
    np.testing.assert_array_equal(light[outside < -0.08], 0.0)
    assert np.all((light >= 0) & (light <= 1))


def test_lit_surfaces_do_not_shade_themselves(make):
    direction = np.array([0.6, 0.8, 0.0], np.float32)
    points = np.random.default_rng(1).uniform(-0.45, 0.45, (2000, 3)).astype(np.float32)
    points[:, 1] = 1
    up = np.broadcast_to(np.array([0, 1, 0], np.float32), points.shape)
    shadow = make(direction)
    np.testing.assert_array_equal(light_reaching(shadow, points, up), 1.0)
    np.testing.assert_array_equal(light_reaching(shadow, points, -up), 0.0)  # the side away from the light


def test_any_leading_axes_and_dtype(make):
    shadow = make(np.array([0.0, 1.0, 0.0], np.float32))
    points = np.zeros((2, 3, 3), np.float32)
    light = light_reaching(shadow, points, np.ones_like(points))
    assert light.shape == (2, 3)
    assert light.dtype == jnp.float32
