"""What the networks are given of an object and a picture, against formulas written out."""

import numpy as np
from scipy.spatial import cKDTree

from hoijax.systems.scorehoi.inputs import crop, crop_box, geometry_feature


def test_the_geometry_feature_is_the_distance_from_fixed_points_of_the_unit_ball():
    """A point far along an axis tells a basis point's coordinate; the basis then answers for any cloud."""
    far = 1e4
    basis = np.stack([far - geometry_feature(far * axis[None], 256).astype(np.float64) for axis in np.eye(3)], axis=1)
    length = geometry_feature(np.zeros((1, 3)), 256).astype(np.float64)
    # float32 of 10,000 ends at a millimetre.
    np.testing.assert_allclose(np.linalg.norm(basis, axis=1), length, atol=2e-3)
    # Uniform in the ball: the cube of the length is uniform, and there is no preferred direction.
    assert 0.97 < length.max() <= 1 and abs(np.mean(length**3) - 0.5) < 0.05
    assert np.abs(basis.mean(axis=0)).max() < 0.1
    cloud = np.random.default_rng(0).normal(0, 0.4, (64, 3))
    np.testing.assert_allclose(geometry_feature(cloud, 256), cKDTree(cloud).query(basis)[0], atol=2e-3)


def test_the_geometry_feature_stays_what_the_shipped_weights_were_trained_on():
    """Of the corners of a cube of half a metre: figures of the version that trained them."""
    corners = np.stack(np.meshgrid(*[[-0.25, 0.25]] * 3), axis=-1).reshape(-1, 3)
    got = geometry_feature(corners, 256)
    np.testing.assert_allclose(got[:6], [0.521123, 0.325982, 0.566586, 0.108934, 0.334998, 0.578861], atol=1e-5)
    np.testing.assert_allclose(got.sum(), 115.98813, rtol=1e-5)


def test_a_crop_shows_each_place_where_its_fraction_says():
    """A ramp along either axis: at the middle of a cell the crop holds the value of the picture there."""
    column, row = np.meshgrid(np.arange(60), np.arange(40))
    seen = (column > 10) & (column < 30) & (row > 8) & (row < 33)
    low, side = crop_box(seen, np.zeros((1, 2)))
    np.testing.assert_allclose([*low, side], [20.5 - 0.65 * 24, 21.0 - 0.65 * 24, 1.3 * 24])  # 24 rows are the longer
    size = 16
    for layer, axis in ((4 * column, 0), (6 * row, 1)):
        small = 255 * crop(layer.astype(np.uint8), low, side, size)
        middle = low[axis] + (np.arange(size) + 0.5) * side / size - 0.5  # pixel centres are at one half
        line = small[size // 2] if axis == 0 else small[:, size // 2]
        np.testing.assert_allclose(line, (4, 6)[axis] * middle, atol=1.0)
