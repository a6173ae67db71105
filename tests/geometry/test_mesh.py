"""Mesh quantities against trimesh and textbook loops, with broken faces among the good."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.geometry import (
    Mesh,
    face_areas,
    face_normals,
    mesh_volume,
    surface_centroid,
    vertex_normals,
    voronoi_areas,
)

FUNCTIONS = [face_areas, face_normals, mesh_volume, surface_centroid, vertex_normals, voronoi_areas]
# A good triangle, one with two equal corners, one whose corners are on a line, a point, and a vertex without faces.
BROKEN = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 2], [0, 0, 4], [7, 7, 7]], float),
    np.array([[0, 1, 2], [0, 1, 1], [3, 4, 5], [2, 2, 2]]),
)


def test_quantities_agree_with_trimesh(figure):
    want = trimesh.Trimesh(figure.vertices, figure.faces, process=False)
    args = figure.vertices, figure.faces
    np.testing.assert_allclose(face_areas(*args), want.area_faces, rtol=1e-12)
    np.testing.assert_allclose(face_normals(*args), want.face_normals, atol=1e-9)
    np.testing.assert_allclose(mesh_volume(*args), want.volume, rtol=1e-12)
    np.testing.assert_allclose(surface_centroid(*args), want.centroid, atol=1e-12)


def test_vertex_normals_are_face_normals_averaged_by_area(figure):
    total = np.zeros_like(figure.vertices)
    for a, b, c in figure.faces:
        normal = np.cross(figure.vertices[b] - figure.vertices[a], figure.vertices[c] - figure.vertices[a])
        for v in (a, b, c):
            total[v] += normal
    want = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(vertex_normals(figure.vertices, figure.faces), want, atol=1e-12)


def polygon_area(points):
    rolled = np.roll(points, -1, axis=0)
    return abs(np.sum(points[:, 0] * rolled[:, 1] - points[:, 1] * rolled[:, 0])) / 2


@pytest.mark.parametrize("seed", range(5))
def test_voronoi_areas_of_an_acute_triangle_are_those_of_its_cells(seed):
    rng = np.random.default_rng(seed)
    while True:
        corners = rng.normal(size=(3, 2))
        a, b, c = corners
        if all(np.dot(q - p, r - p) > 0 for p, q, r in ((a, b, c), (b, c, a), (c, a, b))):
            break
    # Circumcentre from the two bisectors; the cell of a corner runs from it over two edge midpoints to the centre.
    centre = np.linalg.solve(2 * np.array([b - a, c - a]), [b @ b - a @ a, c @ c - a @ a])
    want = [
        polygon_area(np.array([p, (p + q) / 2, centre, (p + r) / 2])) for p, q, r in ((a, b, c), (b, c, a), (c, a, b))
    ]
    vertices = np.concatenate([corners, np.full((3, 1), 0.3)], axis=1)
    np.testing.assert_allclose(voronoi_areas(vertices, np.array([[0, 1, 2]])), want, rtol=1e-9)


def test_voronoi_areas_of_an_obtuse_triangle_are_a_half_and_two_quarters():
    vertices = np.array([[0, 0, 0], [-3.0, 1, 0], [4, 1, 0]])
    np.testing.assert_allclose(voronoi_areas(vertices, np.array([[0, 1, 2]])), 3.5 * np.array([0.5, 0.25, 0.25]))


@pytest.mark.parametrize("name", ["figure", "sphere", "bowl", "ragged"])
def test_voronoi_areas_sum_to_the_area_of_the_mesh(name, request):
    mesh = request.getfixturevalue(name)
    areas = voronoi_areas(mesh.vertices, mesh.faces)
    assert np.min(areas) >= 0
    np.testing.assert_allclose(np.sum(areas), np.sum(face_areas(mesh.vertices, mesh.faces)), rtol=1e-12)


def test_volume_of_an_open_mesh_does_not_depend_on_where_it_stands(bowl):
    near, far = mesh_volume(bowl.vertices, bowl.faces), mesh_volume(bowl.vertices + 10.0, bowl.faces)
    np.testing.assert_allclose(near, far, rtol=1e-10)


def test_an_inside_out_mesh_has_a_negative_volume(sphere):
    np.testing.assert_allclose(
        mesh_volume(sphere.vertices, sphere.faces[:, ::-1]), -mesh_volume(sphere.vertices, sphere.faces), rtol=1e-12
    )


def test_faces_of_no_area_have_zero_normals_and_a_zero_share():
    args = BROKEN.vertices, BROKEN.faces
    np.testing.assert_array_equal(face_normals(*args), [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(face_areas(*args), [0.5, 0, 0, 0])
    np.testing.assert_array_equal(vertex_normals(*args)[3:], 0)
    np.testing.assert_allclose(voronoi_areas(*args), [0.25, 0.125, 0.125, 0, 0, 0, 0])
    np.testing.assert_allclose(surface_centroid(*args), [1 / 3, 1 / 3, 0], atol=1e-15)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradients_are_finite_on_broken_faces_and_right_on_good_ones(check_jacobians, function):
    jacobian = jax.jit(jax.jacrev(lambda v: function(v, BROKEN.faces)))(BROKEN.vertices)
    chex.assert_tree_all_finite(jacobian)
    if function is face_normals:
        np.testing.assert_array_equal(jacobian[1:], 0)
    tetrahedron = np.array([[0, 0, 0], [1, 0.1, 0], [0.2, 1, 0], [0.3, 0.2, 0.9]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3]])  # open, all acute or clearly obtuse
    check_jacobians(lambda v: function(v, faces), tetrahedron)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_eager_jit_and_vmap_agree_and_keep_the_dtype(function, sphere):
    batch = sphere.vertices * np.random.default_rng(0).uniform(0.5, 2.0, size=(2, 3, 1, 3))
    compiled = jax.jit(function)
    mapped = jax.jit(jax.vmap(jax.vmap(function, (0, None)), (0, None)))
    eager = function(batch, sphere.faces)
    chex.assert_trees_all_close(eager, compiled(batch, sphere.faces), mapped(batch, sphere.faces), atol=1e-12)
    single = compiled(batch.astype(np.float32), sphere.faces)
    chex.assert_type(single, jnp.float32)
    np.testing.assert_allclose(single, eager, atol=1e-5)


def test_a_mesh_maps_over_its_vertices_alone(sphere):
    batch = Mesh(np.stack([sphere.vertices, 2 * sphere.vertices]), sphere.faces)
    volumes = jax.vmap(lambda m: mesh_volume(m.vertices, m.faces), in_axes=(Mesh(0, None),))(batch)
    np.testing.assert_allclose(volumes[1], 8 * volumes[0], rtol=1e-12)
