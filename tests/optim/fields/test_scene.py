"""Scenes as GRAFT takes them: normals of point maps and the rim of a cloud."""

import numpy as np

from hoijax.systems.graft import normals_of_point_map, on_rim


def test_normals_face_the_camera_and_edges_are_dropped():
    y, x = np.mgrid[0:20, 0:30].astype(np.float32)
    depth = np.where(x < 15, 2.0, 3.0)
    points = np.stack([(x - 15) / 30 * depth, (y - 10) / 30 * depth, depth], axis=-1)
    points[3, 3] = np.nan
    normals, kept = normals_of_point_map(points)
    np.testing.assert_allclose(normals[10, 5], [0, 0, -1], atol=1e-6)
    assert not kept[10, 14] and not kept[10, 15] and not kept[3, 3] and not kept[0, 5] and kept[10, 20]
    assert not normals[~kept].any()


def test_normals_of_a_fine_noisy_map_are_averaged_on_each_side_of_an_edge():
    """A wall 2.4 m away before a floor 0.8 m below the camera, 640 pixels wide, noise of 0.3 % of the depth."""
    y, x = np.mgrid[0:480, 0:640] + 0.5
    rays = np.stack([(x - 320) / 554, (y - 240) / 554, np.ones_like(x)], axis=-1)
    with np.errstate(divide="ignore"):
        depth = np.minimum(2.4, np.where(rays[..., 1] > 0, 0.8 / rays[..., 1], np.inf))
    depth[:, :100] = 1.5  # a pillar before both
    exact = (depth[..., None] * rays).astype(np.float32)
    noise = 1 + 0.003 * np.random.default_rng(0).normal(size=depth.shape)
    noisy = (exact * noise[..., None]).astype(np.float32)
    wall = (slice(20, 200), slice(120, 620))

    def turned(normals, kept):
        return np.degrees(np.arccos(np.clip(-normals[wall][..., 2][kept[wall]], -1, 1)))

    assert np.median(turned(*normals_of_point_map(noisy, reach=0))) > 35
    normals, kept = normals_of_point_map(noisy)
    assert np.median(turned(normals, kept)) < 12 and np.percentile(turned(normals, kept), 99) < 30
    normals, kept = normals_of_point_map(exact)
    assert turned(normals, kept).max() < 0.1  # the pillar's edge is no part of the wall
    floor = normals[470, 320:330]
    np.testing.assert_allclose(floor, np.broadcast_to([0, -1, 0], floor.shape), atol=1e-3)
    assert not kept[100, 99] and not kept[100, 100] and kept[100, 102]
    # Pixels that are coarser than the window are left as they are.
    coarse = exact[::8, ::8]
    for a, b in zip(normals_of_point_map(coarse), normals_of_point_map(coarse, reach=0)):
        np.testing.assert_array_equal(a, b)


def test_the_rim_of_a_cloud_is_found_and_the_edge_of_a_box_is_none():
    rng = np.random.default_rng(0)
    top = np.concatenate([rng.uniform(-1, 1, (8000, 2)), np.zeros((8000, 1))], axis=1)
    up = np.tile([0.0, 0.0, 1.0], (8000, 1))
    side = np.concatenate([np.ones((8000, 1)), rng.uniform([-1, -2], [1, 0], (8000, 2))], axis=1)
    out = np.tile([1.0, 0.0, 0.0], (8000, 1))
    inner = np.flatnonzero(np.abs(top[:, :2]).max(axis=1) < 0.8)
    front = np.flatnonzero((top[:, 0] > 0.99) & (np.abs(top[:, 1]) < 0.8))
    noise = 0.003 * rng.normal(size=(16000, 3))
    assert on_rim(top + noise[:8000], up, front).mean() > 0.9
    assert on_rim(top + noise[:8000], up, inner).mean() < 0.01
    box = np.concatenate([top, side]) + noise
    assert on_rim(box, np.concatenate([up, out]), front).mean() < 0.3
    assert on_rim(top, up, front[:0]).shape == (0,)
