"""Regions: what is cut out is where it should be, and points come back to where they were."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from hoijax.nets.blaze.names import HAND_NAMES, LANDMARK_NAMES, MIRRORED_LANDMARKS
from hoijax.nets.blaze.regions import Region, axis_region, box_region, crop, paste, picture_region, to_crop, to_picture


def region(centre=(41.0, 29.0), size=37.0, angle=0.6):
    return Region(centre=jnp.asarray(centre), size=jnp.asarray(size), angle=jnp.asarray(angle))


def ramps(height, width):
    """A picture whose two channels are the x and y of each pixel's centre."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return jnp.asarray(np.stack([x, y], -1))


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2, -2.5])
def test_a_crop_reads_the_picture_at_its_own_pixel_centres(angle):
    square, side = region(angle=angle), 16
    got = crop(ramps(64, 80), square, side, "edge")
    cosine, sine = np.cos(angle), np.sin(angle)
    for row, column in [(0, 0), (3, 11), (15, 15)]:
        u, v = (column + 0.5) / side - 0.5, (row + 0.5) / side - 0.5
        want = [41 + 37 * (cosine * u - sine * v), 29 + 37 * (sine * u + cosine * v)]
        np.testing.assert_allclose(got[row, column], want, atol=1e-9)


def test_a_region_of_the_picture_itself_is_the_picture():
    picture = np.random.default_rng(0).random((24, 24, 3))
    got = crop(picture, jax.tree.map(jnp.float64, picture_region(24, 24)), 24, "black")
    np.testing.assert_allclose(got, picture, atol=1e-12)


@pytest.mark.parametrize(("outside", "mode"), [("black", "constant"), ("edge", "nearest")])
def test_beyond_the_edge(outside, mode):
    picture = np.random.default_rng(1).random((12, 15, 1))
    square = region((2.0, 3.0), 20.0, 0.3)
    got = crop(picture, square, 9, outside)[..., 0]
    centres = (np.arange(9) + 0.5) / 9
    grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
    x, y = np.asarray(to_picture(grid, square)).T - 0.5
    if mode == "constant":  # SciPy's "constant" does not blend with the border; a padded picture does
        padded = np.pad(picture[..., 0], 30)
        want = map_coordinates(padded, [y + 30, x + 30], order=1)
    else:
        want = map_coordinates(picture[..., 0], [y, x], order=1, mode=mode)
    np.testing.assert_allclose(got.ravel(), want, atol=1e-12)


def test_points_come_back():
    square = region()
    points = np.random.default_rng(2).random((7, 2))
    np.testing.assert_allclose(to_crop(to_picture(points, square), square), points, atol=1e-12)


def test_an_axis_region_holds_its_top_straight_above():
    centre, top = jnp.asarray([10.0, 20.0]), jnp.asarray([13.0, 16.0])
    square = axis_region(centre, top, 2.5)
    np.testing.assert_allclose(square.size, 12.5)
    np.testing.assert_allclose(to_crop(top[None], square)[0], [0.5, 0.5 - 1 / 2.5], atol=1e-12)


def test_a_box_region_is_its_longer_side_times_the_margin():
    square = box_region(jnp.asarray([10.0, 20.0, 30.0, 60.0]), 1.5)
    np.testing.assert_allclose([*square.centre, square.size, square.angle], [20, 40, 60, 0])


def test_a_pasted_crop_is_where_it_was_cut():
    disc = ((ramps(90, 90) - 45) ** 2).sum(-1) < 20**2
    square = region((47.0, 44.0), 60.0, 0.8)
    back = paste(crop(disc[..., None].astype(float), square, 64, "black")[..., 0], square, 90, 90)
    np.testing.assert_array_equal(back[20:70, 20:70] > 0.5, disc[20:70, 20:70])


def test_names_mirror_each_other():
    assert len(LANDMARK_NAMES) == 33 and len(HAND_NAMES) == 21
    assert all(MIRRORED_LANDMARKS[MIRRORED_LANDMARKS[i]] == i for i in range(33))
    assert LANDMARK_NAMES[MIRRORED_LANDMARKS[LANDMARK_NAMES.index("left_wrist")]] == "right_wrist"
    assert MIRRORED_LANDMARKS[LANDMARK_NAMES.index("mouth_left")] == LANDMARK_NAMES.index("mouth_right")
