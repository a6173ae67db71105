"""Framing cameras: everything in view, centred, at one scale."""

import numpy as np
import pytest

from hoijax.camera import project
from hoijax.render.framing import frame_points, turntable
from hoijax.render.shading import camera_center

CORNERS = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])


@pytest.mark.parametrize("image_size", [(64, 64), (40, 96), (96, 40)])
@pytest.mark.parametrize("extent", [(1.0, 1.0, 1.0), (0.3, 1.8, 0.5), (2.0, 0.01, 1.0)])
def test_framed_boxes_fit_and_fill(image_size, extent):
    """All corners are inside the margin in every view, and in some view two opposite ones touch it."""
    lower = np.array([1.0, -2.0, 0.5])
    azimuth, elevation = np.linspace(0, 5, 7), np.linspace(-1.2, 1.2, 7)
    corners = CORNERS * np.array(extent)[None] + lower[None]
    rig = frame_points(corners, azimuth=azimuth, elevation=elevation, image_size=image_size, margin=0.1)
    height, width = image_size
    fills = []
    for i in range(7):
        pixels, depth = project(rig.camera(i), corners)
        assert np.all(np.asarray(depth) > 0)
        reach = np.asarray(pixels) / (0.5 * np.array([width, height])) - 1
        assert np.abs(reach).max() <= 0.9 + 1e-6
        np.testing.assert_allclose(reach.max(0), -reach.min(0), atol=1e-6)  # centred
        fills.append(np.abs(reach).max())
    np.testing.assert_allclose(max(fills), 0.9, atol=1e-6)


def test_azimuth_turns_from_z_to_x():
    rig = turntable(2 * CORNERS - 1, 4, elevation=0.0)
    eyes = np.stack([camera_center(rig.camera(i)) for i in range(4)])
    distance = np.linalg.norm(eyes[0])
    np.testing.assert_allclose(eyes / distance, [[0, 0, 1], [1, 0, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(rig.lights, eyes, atol=1e-12)
    pixels, _ = project(rig.camera(0), np.array([[0.5, 0.5, 0.0]]))
    assert pixels[0, 0] > 256 > pixels[0, 1]
