"""Camera rigs against PyTorch3D's camera formulas, written out, and normalisations."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.camera import project
from hoijax.render.rigs import (
    interactvlm_body_rig,
    interactvlm_object_rig,
    interactvlm_rig,
    unit_extent,
    unit_sphere,
    vitruvian_rotations,
)
from hoijax.render.shading import camera_center

RNG = np.random.default_rng(0)


def pytorch3d_pixels(points, parameters, size):
    """Pixel centres at integers, from distance, elevation, azimuth and shift, in PyTorch3D's row-vector convention."""
    distance, elevation, azimuth, shift_x, shift_y = parameters
    el, az = math.radians(elevation), math.radians(azimuth)
    center = distance * np.array([math.cos(el) * math.sin(az), math.sin(el), math.cos(el) * math.cos(az)])
    z = -center / np.linalg.norm(center)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    local = points @ rotation - center @ rotation + np.array([shift_x, shift_y, 0.0])
    scale = 1 / math.tan(math.radians(60) / 2)
    ndc = scale * local[:, :2] / local[:, 2:]
    return np.stack([(1 - ndc[:, 0]) * size / 2 - 0.5, (1 - ndc[:, 1]) * size / 2 - 0.5], axis=1), local[:, 2]


@pytest.mark.parametrize("make", [interactvlm_body_rig, interactvlm_object_rig])
def test_interactvlm_views_match_pytorch3d(make):
    rig = make(1024, dtype=jnp.float64)
    points = RNG.uniform(-0.5, 0.5, (50, 3))
    for i, name in enumerate(rig.names):
        pixels, depth = project(rig.camera(name), points)
        want_pixels, want_depth = pytorch3d_pixels(points, np.asarray(rig.parameters[i]), 1024)
        np.testing.assert_allclose(pixels - 0.5, want_pixels, atol=1e-9)
        np.testing.assert_allclose(depth, want_depth, atol=1e-12)


def test_published_parameters_and_network_vector():
    body, objects = interactvlm_body_rig(dtype=jnp.float64), interactvlm_object_rig(dtype=jnp.float64)
    assert body.names == ("topfront", "bottomfront", "topback", "bottomback")
    assert objects.names == ("frontleft", "frontright", "backleft", "backright")
    np.testing.assert_allclose(body.network_vector()[0], [0.2, 0.125, 0.875, 0.5, 0.5])
    np.testing.assert_allclose(body.network_vector()[1], [0.2, 0.875, 0.875, 0.5, 0.65])
    np.testing.assert_array_equal(objects.parameters[:, 0], 1.5)
    np.testing.assert_array_equal(interactvlm_object_rig(distance=2.0).parameters[:, 0], 2.0)
    np.testing.assert_array_equal(body.lights[:, 2], [3, 3, -3, -3])
    assert interactvlm_body_rig().cameras.T_camera_world.dtype == jnp.float32


def test_right_is_right_and_up_is_up():
    """From +z, a point at +x is in the right half and one at +y in the upper half of the image."""
    rig = interactvlm_rig(np.array([[2.0, 0.0, 0.0, 0.0, 0.0]]), ["front"], np.zeros((1, 3)), 100)
    pixels, _ = project(rig.camera(0), np.array([[0.3, 0.0, 0.0], [0.0, 0.3, 0.0]]))
    np.testing.assert_allclose(pixels[0, 1], 50, atol=1e-9)
    assert pixels[0, 0] > 50
    np.testing.assert_allclose(pixels[1, 0], 50, atol=1e-9)
    assert pixels[1, 1] < 50


def test_bottom_views_move_the_body_up():
    """The shift moves a point at depth z by s * 0.3 / z in NDC, that is by half the size times it in pixels."""
    rig = interactvlm_body_rig(1024, dtype=jnp.float64)
    still = interactvlm_rig(np.asarray(rig.parameters) * np.array([1, 1, 1, 1, 0.0])[None], rig.names, rig.lights, 1024)
    points = RNG.uniform(-0.5, 0.5, (10, 3))
    moved, depth = project(rig.camera("bottomfront"), points)
    pixels, _ = project(still.camera("bottomfront"), points)
    np.testing.assert_allclose(moved[:, 0], pixels[:, 0], atol=1e-9)
    np.testing.assert_allclose(pixels[:, 1] - moved[:, 1], 512 * math.sqrt(3) * 0.3 / depth, atol=1e-9)


def test_top_views_look_down():
    rig = interactvlm_body_rig()
    heights = [float(camera_center(rig.camera(name))[1]) for name in ("topfront", "topback")]
    np.testing.assert_allclose(heights, 2 * math.sin(math.pi / 4), atol=1e-6)


def test_normalisations():
    points = RNG.normal(size=(30, 3)) * 4 + 1
    mesh, cloud = np.asarray(unit_extent(points)), np.asarray(unit_sphere(points))
    np.testing.assert_allclose(mesh.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.ptp(mesh, axis=0).max(), 1)
    np.testing.assert_allclose(cloud.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(cloud, axis=1).max(), 1)


def test_vitruvian_legs_are_spread():
    """A left leg hanging down turns outward, to the body's left (+x); the right one mirrors it."""
    rotations = np.asarray(vitruvian_rotations(22, jnp.float64))
    down = np.array([0.0, -1.0, 0.0])
    np.testing.assert_allclose(rotations[1] @ down, [0.5, -math.sqrt(3) / 2, 0], atol=1e-12)
    np.testing.assert_allclose(rotations[2] @ down, [-0.5, -math.sqrt(3) / 2, 0], atol=1e-12)
    np.testing.assert_array_equal(rotations[3:], np.broadcast_to(np.eye(3), (19, 3, 3)))


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="no view 'side'"):
        interactvlm_body_rig().camera("side")
    with pytest.raises(ValueError, match="2 views, but 1 names"):
        interactvlm_rig(np.ones((2, 5)), ["a"], np.zeros((2, 3)))
