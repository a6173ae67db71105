import chex
import jax
import numpy as np
import pytest

from hoijax.geometry import Box, bounding_box, box_corners, box_distance, clamp_to_box

UNIT = Box(lower=np.zeros(3), upper=np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_bounding_boxes_hold_the_points_tightly(batch):
    points = np.random.default_rng(0).normal(size=(*batch, 9, 3))
    box = bounding_box(points)
    np.testing.assert_array_equal(box.lower, points.min(axis=-2))
    np.testing.assert_array_equal(box.upper, points.max(axis=-2))
    corners = box_corners(box)
    chex.assert_shape(corners, (*batch, 8, 3))
    again = bounding_box(corners)
    chex.assert_trees_all_equal(again, box)
    assert len(np.unique(np.asarray(corners).reshape(-1, 8, 3)[0], axis=0)) == 8
    np.testing.assert_array_equal(box_distance(points, box), 0)


def test_distance_and_clamped_point_are_right_inside_at_faces_edges_and_corners():
    points = np.array([[0.5, 1, 1], [-2, 1, 1], [0.5, 5, 7], [4, 6, 3], [2, 4, 5]], float)
    np.testing.assert_allclose(box_distance(points, UNIT), [0, 2, 5, 5, 3], atol=1e-15)
    np.testing.assert_array_equal(clamp_to_box(points, UNIT), np.clip(points, UNIT.lower, UNIT.upper))


def test_gradient_points_away_from_the_box_and_is_zero_inside_and_on_it(check_jacobians):
    gradient = jax.grad(lambda p: box_distance(p[None], UNIT)[0])
    np.testing.assert_array_equal(gradient(np.array([0.5, 1.0, 1.0])), 0)
    np.testing.assert_array_equal(gradient(np.array([1.0, 1.0, 1.0])), 0)
    np.testing.assert_allclose(gradient(np.array([3.0, 1.0, 1.0])), [1, 0, 0], atol=1e-15)
    check_jacobians(lambda p: box_distance(p[None], UNIT)[0], np.array([3.0, -1.0, 5.0]))


def test_no_points_have_no_box():
    with pytest.raises(ValueError, match="got 0"):
        bounding_box(np.zeros((0, 3)))
