"""Consistency of views: outlines of one solid agree, others lose what the rest does not allow."""

import numpy as np
import pytest

from hoijax.metrics.views import view_consistency
from hoijax.render.framing import frame_points

SIZE = 64


@pytest.fixture(scope="module")
def cameras():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    azimuth = np.radians(np.array([0.0, -45.0, 45.0], np.float32))
    rig = frame_points(corners, azimuth=azimuth, elevation=0 * azimuth, image_size=(SIZE, SIZE))
    return [rig.camera(k) for k in range(3)]


def disc(camera, centre, radius):
    """Outline of a sphere: pixels whose ray passes it, found by the ray's distance alone."""
    row, column = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5, indexing="ij")
    k, t = np.asarray(camera.intrinsics, float), np.asarray(camera.T_camera_world, float)
    ray = np.stack([(column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones_like(row)], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    middle = t[:3, :3] @ centre + t[:3, 3]
    return np.linalg.norm(np.cross(ray, middle), axis=-1) < radius


BOX = (np.full(3, -1.0), np.full(3, 1.0))


def test_outlines_of_one_solid_agree(cameras):
    masks = [disc(c, np.array([0.1, 0.2, -0.1]), 0.5) for c in cameras]
    assert view_consistency(masks, cameras, BOX).min() > 0.97


def test_what_one_view_has_alone_is_lost(cameras):
    small = [disc(c, np.zeros(3), 0.3) for c in cameras]
    mixed = [disc(cameras[0], np.zeros(3), 0.6), *small[1:]]
    shares = view_consistency(mixed, cameras, BOX)
    # The others hold only heights up to 0.3: of the larger disc no more than the band within them is allowed.
    row = np.flatnonzero(small[1].any(axis=1))
    band = mixed[0][row.min() : row.max() + 1].sum() / mixed[0].sum()
    assert shares[0] < band + 0.05 and shares[0] < 0.75 and shares[1:].min() > 0.9
    moved = [small[0], small[1], disc(cameras[2], np.array([0.0, 0.8, 0.0]), 0.15)]
    assert view_consistency(moved, cameras, BOX).max() == 0
    with pytest.raises(ValueError, match="two views or more"):
        view_consistency(small[:1], cameras[:1], BOX)
    away = np.asarray(cameras[1].intrinsics) + np.array([[0, 0, 1000.0], [0, 0, 0], [0, 0, 0]], np.float32)
    blind = cameras[1].replace(intrinsics=away)  # sees nothing of the box
    everything = np.ones((SIZE, SIZE), bool)
    assert view_consistency([small[0], everything], [cameras[0], blind], BOX)[0] == 0
    empty = view_consistency([np.zeros((SIZE, SIZE), bool), *small[1:]], cameras, BOX)
    assert np.isnan(empty[0]) and empty[1] == 0
