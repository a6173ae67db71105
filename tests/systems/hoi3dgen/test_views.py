"""Cameras around a surface, their files, and the hull of their silhouettes."""

import json
import math

import numpy as np
import pytest
import trimesh

from hoijax.camera import Camera, project
from hoijax.errors import InputError
from hoijax.systems.hoi3dgen import hull, views
from hoijax.viz.scene import NamedMesh

SIZE = 96


@pytest.fixture(scope="module")
def seen():
    """A tall box with a differently coloured top half, off its origin, and eight views of it."""
    box = trimesh.creation.box(extents=(0.6, 2.0, 0.4)).subdivide().subdivide()
    vertices = np.asarray(box.vertices) + [3.0, 1.0, -2.0]
    colors = np.where(vertices[:, 1:2] > 1.0, [[0.8, 0.2, 0.2]], [[0.2, 0.3, 0.8]])
    surface = NamedMesh("surface", vertices, box.faces, colors)
    return surface, views.render_surface(surface, size=SIZE)


def test_the_ring_looks_at_the_middle_from_all_sides(seen):
    _, ring = seen
    pose = np.asarray(ring.cameras.T_camera_world)
    eyes = -np.einsum("nji,nj->ni", pose[:, :3, :3], pose[:, :3, 3])
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), 2.0, atol=1e-5)
    np.testing.assert_allclose(eyes[0], [0, 0, 2], atol=1e-5)
    np.testing.assert_allclose(eyes[2], [2, 0, 0], atol=1e-5)
    place, depth = project(ring.cameras, np.zeros((8, 1, 3), np.float32))
    np.testing.assert_allclose(place, SIZE / 2, atol=1e-3)
    np.testing.assert_allclose(depth, 2.0, atol=1e-5)
    full = views.ring_cameras(8, 512)
    np.testing.assert_allclose(full.intrinsics[0, 0, 0], 703.4, atol=0.05)


def test_depth_and_colours_are_those_of_the_box(seen):
    surface, ring = seen
    np.testing.assert_allclose(ring.frame.center, [3, 1, -2])
    assert ring.frame.scale == pytest.approx(0.5)
    middle = SIZE // 2
    assert ring.depth[0, middle, middle] == pytest.approx(2 - 0.1, abs=1e-3)
    assert ring.depth[2, middle, middle] == pytest.approx(2 - 0.15, abs=1e-3)
    assert np.isinf(ring.depth[0, 0, 0]) and (ring.images[0, 0, 0] == 255).all()
    red, blue = ring.images[0, middle - 20, middle], ring.images[0, middle + 20, middle]
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0]
    points = np.concatenate([views.unproject_view(ring, i, np.ones((SIZE, SIZE), bool)) for i in range(8)])
    away = np.abs(np.abs(points) - np.array([0.15, 0.5, 0.1])).min(axis=1)
    assert away.max() < 2e-3
    np.testing.assert_allclose(ring.frame.undo(ring.frame.apply(surface.vertices)), surface.vertices, atol=1e-6)


def test_views_come_back_from_their_files(seen, tmp_path):
    _, ring = seen
    views.write_views(tmp_path, ring)
    back = views.read_views(tmp_path)
    np.testing.assert_array_equal(back.images, ring.images)
    shown = np.isfinite(ring.depth)
    np.testing.assert_array_equal(np.isfinite(back.depth), shown)
    np.testing.assert_allclose(back.depth[shown], ring.depth[shown], atol=2e-5)
    np.testing.assert_allclose(back.cameras.T_camera_world, ring.cameras.T_camera_world, atol=1e-5)
    np.testing.assert_allclose(back.cameras.intrinsics, ring.cameras.intrinsics, rtol=1e-5)
    np.testing.assert_allclose(back.frame.center, ring.frame.center, atol=1e-9)
    record = json.loads((tmp_path / "transforms.json").read_text())
    # The release's world has z up: the first camera stands at -y, its own z points away from what it looks at.
    np.testing.assert_allclose(np.array(record["frames"][0]["transform_matrix"])[:3, 3], [0, -2, 0], atol=1e-5)
    np.testing.assert_allclose(np.array(record["frames"][0]["transform_matrix"])[:3, 2], [0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(record["offset"], [3, 2, 1])
    assert math.degrees(record["camera_angle_x"]) == pytest.approx(40)
    del record["frames"][0]["transform_matrix"]
    (tmp_path / "transforms.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="transform_matrix"):
        views.read_views(tmp_path)


def test_the_front_view_follows_the_body():
    for k in range(8):
        for off in (-0.3, 0.0, 0.3):
            angle = math.radians(45 * k) + off
            assert views.front_view(np.array([math.sin(angle), 0.4, math.cos(angle)])) == k
    with pytest.raises(InputError, match="no front view"):
        views.front_view(np.array([0.0, 1.0, 0.0]))


def test_surfaces_of_no_extent_are_refused():
    with pytest.raises(InputError, match="longest side"):
        views.unit_frame(np.zeros((3, 3)))


def test_the_hull_of_a_box_is_a_little_larger_than_the_box_and_has_its_colours(seen):
    _, ring = seen
    masks = np.isfinite(ring.depth)
    carved = hull.visual_hull(masks, ring.cameras, ring.images, resolution=40)
    whole = trimesh.Trimesh(carved.vertices, carved.faces, process=False)
    assert whole.is_watertight
    np.testing.assert_allclose(whole.extents, [0.3, 1.0, 0.2], atol=0.08)
    assert 0.95 * 0.06 < whole.volume < 1.35 * 0.06
    # Each picture's silhouette is filled: no corner of the box lies outside of the hull by more than a sample.
    corners = np.array([[x, y, z] for x in (-0.15, 0.15) for y in (-0.5, 0.5) for z in (-0.1, 0.1)])
    assert np.linalg.norm(carved.vertices[:, None] - corners[None], axis=-1).min(axis=0).max() < 0.05
    high, low = carved.vertices[:, 1] > 0.2, carved.vertices[:, 1] < -0.2
    assert (carved.colors[high, 0] > carved.colors[high, 2]).mean() > 0.98
    assert (carved.colors[low, 2] > carved.colors[low, 0]).mean() > 0.98
    # A silhouette that is not the thing's takes away what it does not show.
    half = masks.copy()
    half[0, :, : SIZE // 2] = False
    less = hull.visual_hull(half, ring.cameras, resolution=40)
    assert less.vertices[:, 0].min() > -0.05 and less.vertices[:, 0].max() > 0.1
    # From one side depth is open unless a limit is asked for.
    front = Camera(ring.cameras.intrinsics[:1], ring.cameras.T_camera_world[:1], ring.cameras.image_size)
    deep = hull.visual_hull(masks[:1], front, resolution=40)
    flat = hull.visual_hull(masks[:1], front, resolution=40, thickness=1.0)
    assert np.ptp(deep.vertices[:, 2]) > 1.0 > 0.6 > np.ptp(flat.vertices[:, 2]) > 0.1


def test_silhouettes_that_leave_nothing_are_refused(seen):
    _, ring = seen
    masks = np.isfinite(ring.depth)
    empty = masks.copy()
    empty[3] = False
    with pytest.raises(InputError, match="picture 3 is empty"):
        hull.visual_hull(empty, ring.cameras)
    with pytest.raises(InputError, match="do not fit"):
        hull.visual_hull(masks[:5], ring.cameras)
    apart = np.zeros_like(masks)
    apart[:, 2:6, 2:6] = True
    apart[::2, :, :] = np.roll(apart[::2], (SIZE - 10, SIZE - 10), axis=(1, 2))
    with pytest.raises(InputError, match="nothing in common"):
        hull.visual_hull(apart, ring.cameras, resolution=40)
