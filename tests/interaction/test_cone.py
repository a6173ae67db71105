"""The conical field by its definition, and where it pushes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.interaction.cone import cone_field, cone_intensity, cone_penetration, cones_of

TRIANGLE = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]])
"""On the unit circle about the origin, its normal along z."""


def test_cones_stand_on_the_circle_through_the_corners():
    rng = np.random.default_rng(0)
    triangles = np.concatenate([TRIANGLE, rng.normal(size=(6, 3, 3))])
    cones = cones_of(triangles)
    np.testing.assert_allclose(cones.apex[0], 0, atol=1e-12)
    np.testing.assert_allclose(cones.axis[0], [0, 0, 1], atol=1e-12)
    for k in range(3):
        np.testing.assert_allclose(np.linalg.norm(cones.apex - triangles[:, k], axis=1), cones.radius, rtol=1e-9)
    np.testing.assert_allclose(np.sum((cones.apex - triangles[:, 0]) * cones.axis, axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(cones.centroid, triangles.mean(axis=1), atol=1e-12)


@pytest.mark.parametrize("height", [0.5, 0.1, 1e-4])
def test_the_intensity_is_continuous_at_both_ends(height):
    step = 1e-9 * height
    at = np.array([-height - step, -height + step, height - step, height + step, -height - 0.3, 3 * height])
    np.testing.assert_allclose(cone_intensity(at, height), [1, 1, 0, 0, 1.3, 0], atol=1e-7)
    np.testing.assert_allclose(cone_intensity(np.zeros(1), height), (3 - 2 * height) / 4)


def test_the_field_is_its_formula():
    cones = cones_of(TRIANGLE)
    for x, aside, height in ((0.1, 0.2, 0.5), (-0.2, 0.9, 0.5), (-0.7, 0.3, 0.5), (-0.02, 0.1, 0.1)):
        wide = -x / height + 1
        want = ((1 - aside / wide) * float(cone_intensity(np.array([x]), height)[0])) ** 2
        np.testing.assert_allclose(cone_field(np.array([[0.0, -aside, x]]), cones, height)[0], want, rtol=1e-9)
    outside = np.array([[0.0, 0.9, 0.1], [0.0, 0.0, 0.51], [3.0, 0.0, -0.1]])
    assert not np.any(cone_field(outside, cones))


def test_a_sphere_pushes_a_point_outward_and_what_is_far_or_does_not_collide_is_let_be():
    ball = trimesh.creation.icosphere(2, 0.3)
    cones = cones_of(np.asarray(ball.triangles, float))
    within = np.array([[0.17, 0.19, 0.1]])
    slope = jax.grad(lambda p: cone_penetration(p, cones, height=0.05))(jnp.asarray(within))
    outward = within[0] / np.linalg.norm(within)
    assert -np.dot(slope[0], outward) > 0.9 * np.linalg.norm(slope) > 0
    deeper = cone_penetration(0.9 * within, cones, height=0.05)
    assert deeper > cone_penetration(within, cones, height=0.05) > 0
    assert cone_penetration(2.5 * within, cones, height=0.05) == 0
    both = np.concatenate([within, 0.9 * within])
    np.testing.assert_allclose(cone_penetration(both, cones, np.array([0.0, 1.0]), height=0.05), deeper / 2, rtol=1e-9)
    # Of all triangles none beyond the nearest eight is asked.
    some = cone_penetration(within, cones, height=0.05, pairs=1)
    assert 0 < some < cone_penetration(within, cones, height=0.05)


def test_the_slope_is_that_of_differences():
    cones = cones_of(np.asarray(trimesh.creation.icosphere(1, 0.3).triangles, float))
    point, step = np.array([[0.12, -0.2, 0.1]]), 1e-6
    slope = jax.grad(lambda p: cone_penetration(p, cones))(jnp.asarray(point))[0]
    for k in range(3):
        ends = [float(cone_penetration(point + s * step * np.eye(3)[k], cones)) for s in (1, -1)]
        np.testing.assert_allclose(slope[k], (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=1e-7)
