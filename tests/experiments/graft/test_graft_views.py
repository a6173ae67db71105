"""One camera's view of a made-up room: rays against surfaces, and what remains of the room's points."""

import dataclasses

import numpy as np
import pytest

from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import pictures_of, sample_points
from hoijax.experiments.graft.views import DROPOUT, NOISE, WARP, Flat, Side, cast
from hoijax.geometry import nearest_host
from hoijax.systems.graft import body_spec


def test_rays_meet_the_first_surface():
    """A wall behind a round table before the camera, worked out by hand."""
    wall = Flat(np.array([-5.0, -5, 4]), np.array([10.0, 0, 0]), np.array([0, 10.0, 0]))
    table = Flat(np.array([-1.0, -1, 1]), np.array([2.0, 0, 0]), np.array([0, 2.0, 0]), ellipse=True)
    rays = np.array([[0, 0, 1], [0.9, 0.9, 1], [0.5, 0, 1], [0, 0, -1], [2, 0, 1], [0, 0, 2]], np.float32)
    found = cast([wall, table], np.zeros(3), rays)
    # The corner of the square is outside its ellipse; the last ray is twice as long.
    np.testing.assert_allclose(found, [1, 4, 1, np.inf, np.inf, 0.5], rtol=1e-6)


def test_rays_meet_the_near_side_of_a_column():
    column = Side(np.array([0.0, -1, 5]), np.array([1.0, 2.0, 2.0]))
    rays = np.array([[0, 0, 1], [0.2, 0, 1], [0, 0.5, 1], [0, 0.3, 1], [0, -0.3, 1], [1, 0, 1]], np.float32)
    found = cast([column], np.zeros(3), rays)
    # The second ray's t solves (0.2 t)^2 + ((t - 5) / 2)^2 = 1; the next are 1.5, 0.9 and -0.9 high at the near side.
    side = np.roots([0.04 + 0.25, -2.5, 6.25 - 1]).min()
    np.testing.assert_allclose(found, [3, side, np.inf, 3, 3, np.inf], rtol=1e-5)
    inside = cast([column], np.array([0.0, 0, 5]), np.array([[0, 0, 1], [1, 0, 0]], np.float32))
    np.testing.assert_allclose(inside, [2, 1], rtol=1e-6)


@pytest.mark.parametrize("furniture", ["boxes", "other"])
def test_a_view_holds_visible_points_of_the_same_room(model, furniture):
    rooms = Rooms(model, body_spec(model), count=8, points=2048, seed=5, furniture=furniture)
    views = dataclasses.replace(rooms, views=1.0)
    whole, seen = rooms[6], views[6]
    np.testing.assert_array_equal(whole.truth.rotations, seen.truth.rotations)
    np.testing.assert_array_equal(whole.truth.translation, seen.truth.translation)
    every, normals = sample_points(whole)
    points, facing = sample_points(seen)
    real = np.abs(points).max(axis=1) < 100
    points, facing = points[real], facing[real]
    assert 500 < len(points) <= 2048
    found = nearest_host(points, every)
    index = np.asarray(found.index)
    away = np.abs(np.sum((points - every[index]) * normals[index], axis=1))
    # On the room's surfaces, but for noise; all normals face the camera.
    assert np.median(away) < 0.03 and np.max(np.sum(points * facing, axis=1)) <= 1e-4
    assert np.mean(np.sum(facing * normals[index], axis=1) > 0.8) > 0.7
    # Most of the room is not in the picture, behind something, or turned away.
    hidden = np.asarray(nearest_host(every, points).distance) > 0.2
    assert hidden.mean() > 0.1


def test_a_share_of_the_rooms_is_seen_by_a_camera(model):
    spec = body_spec(model)
    whole = Rooms(model, spec, count=12, points=512, seed=2)
    mixed = dataclasses.replace(whole, views=0.5)
    same = [np.array_equal(whole[i].scene.normals, mixed[i].scene.normals) for i in range(12)]
    assert 2 < sum(same) < 10
    assert 0 < NOISE < WARP < DROPOUT < 1


def test_pictures_show_the_person_in_the_second_one_alone():
    image = np.full((64, 64, 3), (40, 160, 80), np.uint8)
    mask = np.zeros((64, 64, 1), bool)
    mask[20:50, 24:40] = True
    image[mask[..., 0]] = (250, 20, 20)
    intrinsics = np.array([[70.0, 0, 32], [0, 70, 32], [0, 0, 1]], np.float32)
    made = pictures_of({"image": image, "human_mask": mask, "intrinsics": intrinsics}, 32)
    assert made.pair.shape == (2, 32, 32, 3) and made.pair.dtype == np.uint8
    np.testing.assert_allclose(made.pair[0], np.broadcast_to([40, 160, 80], (32, 32, 3)), atol=2)
    np.testing.assert_array_equal(made.pair[1, 16, 16], [250, 20, 20])
    np.testing.assert_array_equal(made.intrinsics, [[35, 0, 16], [0, 35, 16], [0, 0, 1]])
