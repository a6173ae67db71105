"""One camera's view of a made-up room: rays against surfaces, and what remains of the room's points."""

import dataclasses

import numpy as np
import pytest
import trimesh

from hoijax.data.objects.real import shipped
from hoijax.experiments.graft.furniture import Solid, carrying_height, furnish, sample_mesh
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import pictures_of, sample_points
from hoijax.experiments.graft.views import DROPOUT, NOISE, WARP, Flat, Side, cast
from hoijax.geometry import Mesh, closest_on_mesh_host, nearest_host
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


@pytest.mark.parametrize("furniture", ["boxes", "other", "meshes"])
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


def test_rays_meet_meshes_where_trimesh_says():
    mesh = shipped("train", "chair")[0].mesh
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    rng, eye = np.random.default_rng(0), np.array([0.3, 1.5, 3.0])
    rays = vertices[rng.integers(0, len(vertices), 400)] + 0.1 * rng.normal(size=(400, 3)) - eye
    found = cast([Solid(vertices, faces)], eye, rays)
    places, index, _ = trimesh.Trimesh(vertices, faces, process=False).ray.intersects_location(
        np.repeat(eye[None], 400, axis=0), rays, multiple_hits=True
    )
    wanted = np.full(400, np.inf)
    np.minimum.at(wanted, index, np.linalg.norm(places - eye, axis=1) / np.linalg.norm(rays[index], axis=1))
    assert 0.1 < np.isfinite(wanted).mean() < 0.9
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_seat_is_as_high_as_the_box_it_stands_for_and_holds_nobody_inside():
    rng, nobody = np.random.default_rng(0), np.zeros((10, 3), np.float32)
    corner, size = np.array([1.0, -0.5, 2.0]), np.array([0.6, 0.45, 0.7])
    heights = {shape.name: carrying_height(shape.mesh) for shape in shipped("train") if shape.kind == "chair"}
    assert all(0.4 < height < 0.55 for height in heights.values())  # seats, not backrests
    for _ in range(6):
        solid = furnish(rng, "sit", "train", corner, size, nobody)
        if solid is None:
            continue
        moved = Mesh(solid.vertices, solid.faces)
        assert abs(carrying_height(moved) - 0.45) < 0.02 and abs(solid.vertices[:, 1].min() + 0.5) < 1e-4
        middle = (solid.vertices.min(axis=0) + solid.vertices.max(axis=0))[[0, 2]] / 2
        np.testing.assert_allclose(middle, [1.3, 2.35], atol=1e-3)
        points, normals = sample_mesh(rng, solid, 300)
        assert closest_on_mesh_host(points, moved).distance.max() < 1e-4
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    # A block of points inside a cabinet's box is a body that stands in it.
    inside = rng.uniform([1.2, -0.3, 2.25], [1.4, 0.1, 2.45], (500, 3)).astype(np.float32)
    tall = np.array([0.6, 0.88, 0.7])
    assert furnish(np.random.default_rng(2), "lean", "train", corner, tall, nobody + 9) is not None
    assert [furnish(np.random.default_rng(k), "lean", "train", corner, tall, inside) for k in range(3)].count(None)


def test_meshes_stand_in_rooms_that_want_them(model):
    spec = body_spec(model)
    plain = Rooms(model, spec, count=4, points=512, seed=2)
    meshes = dataclasses.replace(plain, furniture="meshes")
    for index in range(3):
        a, b = plain[index], meshes[index]
        np.testing.assert_allclose(a.truth.rotations[1:], b.truth.rotations[1:])
        assert len(sample_points(a)[0]) == len(sample_points(b)[0])
        assert not np.array_equal(sample_points(a)[0], sample_points(b)[0])
