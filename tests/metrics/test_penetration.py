import jax
import numpy as np
import pytest
import trimesh

from hoijax.geometry import Mesh, contains
from hoijax.interaction import signed_distance
from hoijax.metrics import (
    floor_distance,
    interpenetration_host,
    penetration_depth,
    penetration_volume_host,
    signed_distance_host,
    six_ray_winding,
)


def as_mesh(shape):
    return Mesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int32))


def box(extents, centre=(0.0, 0.0, 0.0)):
    return as_mesh(trimesh.creation.box(extents=extents, transform=trimesh.transformations.translation_matrix(centre)))


def ball(radius, centre=(0.0, 0.0, 0.0), subdivisions=4):
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    shape.apply_translation(centre)
    return as_mesh(shape)


def test_depths_from_signed_distances():
    sdf = np.array([[0.1, -0.02, -0.04, 0.3], [0.1, 0.2, 0.3, 0.0]])
    got = jax.jit(penetration_depth)(sdf)
    np.testing.assert_allclose(got.max, [0.04, 0])
    np.testing.assert_allclose(got.mean, [0.03, 0])
    np.testing.assert_allclose(got.fraction, [0.5, 0])
    masked = penetration_depth(sdf, mask=np.array([[1, 1, 0, 1], [0, 0, 0, 0]]))
    np.testing.assert_allclose(masked.max, [0.02, 0])
    np.testing.assert_allclose(masked.fraction, [1 / 3, 0])


def test_host_signed_distance_matches_the_jitted_one_and_trimesh():
    mesh = ball(0.3, (0.1, 0, 0), 2)
    queries = np.random.default_rng(0).uniform(-0.5, 0.5, (80, 3))
    got = signed_distance_host(queries, mesh)
    np.testing.assert_allclose(got, jax.jit(signed_distance)(queries, mesh), atol=1e-12)
    want = -trimesh.proximity.signed_distance(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), queries)
    np.testing.assert_allclose(got, want, atol=1e-10)


def test_boxes_overlapping_by_a_known_amount():
    """A 10 cm slab 3 cm inside a cube: depths 3 cm both ways, volume 20 x 20 x 3 cm."""
    body, object = box((0.4, 0.4, 0.4)), box((0.2, 0.2, 0.1), (0, 0, 0.22))
    got = interpenetration_host(body, object)
    np.testing.assert_allclose(got.object_in_body.max, 0.03, atol=1e-12)
    np.testing.assert_allclose(got.body_in_object.max, 0.0)  # the cube's vertices are outside the slab
    np.testing.assert_allclose(got.volume, 0.2 * 0.2 * 0.03, rtol=0.03)
    assert 0 < got.object_in_body.mean < 0.03
    few = interpenetration_host(body, object, samples=5)  # fewer than the slab's eight vertices
    assert 0 < few.object_in_body.max <= 0.03 + 1e-12
    apart = interpenetration_host(body, box((0.2, 0.2, 0.1), (0, 0, 0.26)))
    assert apart.object_in_body.max == 0 and apart.volume == 0


def test_volume_of_two_balls_is_the_lens():
    r, d = 0.3, 0.4
    lens = np.pi * (4 * r + d) * (2 * r - d) ** 2 / 12
    got = penetration_volume_host(ball(r), ball(r, (d, 0, 0)))
    np.testing.assert_allclose(got, lens, rtol=0.02)  # the icosphere itself is 0.3 % smaller than the sphere


def test_volume_of_a_part_within_is_its_own():
    shape = trimesh.creation.torus(0.2, 0.07)
    np.testing.assert_allclose(penetration_volume_host(as_mesh(shape), ball(0.5)), shape.volume, rtol=0.01)
    np.testing.assert_allclose(penetration_volume_host(ball(0.5), as_mesh(shape)), shape.volume, rtol=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_voxels_agree_with_the_generalised_winding_number(turn):
    """Closed meshes: torus, and two overlapping boxes as one mesh; aligned with the grid and not."""
    shape = trimesh.util.concatenate(
        [
            trimesh.creation.torus(0.2, 0.07, major_sections=16, minor_sections=8),
            trimesh.creation.box((0.2, 0.2, 0.2)),
            trimesh.creation.box((0.2, 0.1, 0.1), transform=trimesh.transformations.translation_matrix((0.1, 0, 0))),
        ]
    )
    shape.apply_transform(trimesh.transformations.rotation_matrix(turn, (1, 2, 3)))
    mesh = as_mesh(shape)
    origin, spacing, size = np.full(3, -0.3), 0.0407, (15, 16, 17)
    got = six_ray_winding(mesh, origin, spacing, size)
    points = np.stack(np.meshgrid(*(origin[k] + spacing * np.arange(size[k]) for k in range(3)), indexing="ij"), -1)
    want = np.asarray(jax.jit(contains)(points.reshape(-1, 3), mesh)).reshape(size)
    assert 100 < want.sum() < 0.5 * want.size
    np.testing.assert_array_equal(got > 0.5, want)
    np.testing.assert_allclose(got, np.round(got), atol=1e-6)  # closed: a whole number from every direction
    assert got.max() == 2  # inside both boxes


def test_voxels_of_an_open_box_and_of_unused_or_degenerate_parts():
    mesh = box((0.4, 0.4, 0.4))
    normals = np.cross(*(mesh.vertices[mesh.faces[:, k]] - mesh.vertices[mesh.faces[:, 0]] for k in (1, 2)))
    lidless = Mesh(mesh.vertices, mesh.faces[normals[:, 2] <= 0])
    origin = np.full(3, -0.19)
    inside = six_ray_winding(lidless, origin, 0.05, (8, 8, 8))
    np.testing.assert_allclose(inside, 5 / 6, atol=1e-6)
    messy = Mesh(
        np.concatenate([mesh.vertices, np.full((1, 3), 9.0)]), np.concatenate([mesh.faces, [[0, 0, 1], [2, 2, 2]]])
    )
    np.testing.assert_allclose(six_ray_winding(messy, origin, 0.05, (8, 8, 8)), 1.0)
    np.testing.assert_allclose(penetration_volume_host(messy, ball(0.15)), 4 / 3 * np.pi * 0.15**3, rtol=0.02)


def test_vertices_on_grid_lines_do_not_leak():
    """Faces, edges and vertices exactly on the grid lines of two axes."""
    shape = trimesh.creation.box((0.4, 0.4, 0.4))
    mesh = as_mesh(shape.subdivide())  # vertices at -0.2, 0, 0.2
    grid = six_ray_winding(mesh, np.array([-0.3, -0.3, -0.3]), 0.1, (7, 7, 7))
    np.testing.assert_allclose(grid[2:5, 2:5, 2:5], 1.0)
    np.testing.assert_allclose(grid[[0, -1]], 0.0)


def test_floor_distance():
    points = np.array([[0.0, 0.3, 0], [1, 0.1, 2], [0, -5, 0]])
    valid = np.array([True, True, False])
    got = floor_distance(points, gravity=(0.0, -1.0, 0.0), floor=0.02, valid=valid)
    np.testing.assert_allclose(got, 0.08)
    np.testing.assert_allclose(floor_distance(points, gravity=(0.0, -2.0, 0.0), floor=0.02), -5.02)
