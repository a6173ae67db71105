import warnings

import jax
import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from hoijax.errors import InputError
from hoijax.geometry import Mesh, query_sdf
from hoijax.interaction import Contacts, Interaction, bps_points, make_template, surface_points


def arrays(shape):
    return np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int32)


@pytest.fixture(scope="module")
def table():
    """A table top with four thin legs, faces wildly uneven in size."""
    top = trimesh.creation.box((1.0, 0.04, 0.6), transform=trimesh.transformations.translation_matrix((0, 0.7, 0)))
    legs = [
        trimesh.creation.cylinder(0.02, segment=[(x, 0, z), (x, 0.68, z)], sections=24)
        for x in (-0.45, 0.45)
        for z in (-0.25, 0.25)
    ]
    return trimesh.util.concatenate([top, *legs])


@pytest.fixture(scope="module")
def points(table):
    return surface_points(*arrays(table), 64)


def test_points_lie_on_the_surface_and_reach_its_extremities(table, points):
    assert points.shape == (64, 3) and points.dtype == np.float32
    distance = np.abs(trimesh.proximity.closest_point(table, points)[1])
    assert distance.max() < 1e-6
    for x in (-0.45, 0.45):
        for z in (-0.25, 0.25):  # a point at the foot of every leg
            assert np.linalg.norm(points - [x, 0, z], axis=1).min() < 0.08


def test_points_are_spread_evenly(table, points):
    """No part of the surface is farther from a point than the points are from each other, up to the sampling."""
    gaps = cKDTree(points).query(points, k=2)[0][:, 1]
    dense = trimesh.sample.sample_surface(table, 20_000, seed=1)[0]
    covering = cKDTree(points).query(dense)[0].max()
    assert gaps.min() > 0.05
    assert covering < 1.2 * gaps.min()


def test_points_depend_on_the_surface_and_not_on_its_mesh(table, points):
    vertices, faces = arrays(table)
    dense = trimesh.sample.sample_surface(table, 20_000, seed=1)[0]

    def covering(v, f):
        return cKDTree(surface_points(v, f, 64)).query(dense)[0].max()

    want = cKDTree(points).query(dense)[0].max()
    np.testing.assert_array_equal(surface_points(vertices, faces, 64), points)  # deterministic
    fine = trimesh.remesh.subdivide(vertices, faces, np.flatnonzero(table.triangles_center[:, 0] > 0))
    fine = trimesh.remesh.subdivide(*fine)
    assert covering(fine[0], fine[1]) < 1.1 * want
    # Repeated faces, faces turned round, degenerate faces and unused vertices change nothing at all.
    messy = np.concatenate([faces, faces[:20], faces[5:9, ::-1], [[0, 0, 1], [3, 3, 3]]])
    np.testing.assert_array_equal(surface_points(np.concatenate([vertices, [[9.0, 9, 9]]]), messy, 64), points)


def test_open_and_tiny_meshes_have_templates():
    triangle = np.array([[0.0, 0, 0], [1e-3, 0, 0], [0, 1e-3, 0]]), np.array([[0, 1, 2]], np.int32)
    got = surface_points(*triangle, 64)
    assert len(np.unique(got, axis=0)) == 64
    assert np.all(got >= 0) and np.all(got[:, 0] + got[:, 1] <= 1e-3 + 1e-9) and np.all(got[:, 2] == 0)


def test_bps_points_match_the_definition(table):
    """Section 3.9 of specs/scorehoi.md: nearest vertex per basis point, no normalisation, repeats possible."""
    vertices = arrays(table)[0]
    got = bps_points(vertices, 64)
    random = np.random.RandomState(13)
    directions = random.normal(size=(64, 3))
    radii = random.uniform(size=(64, 1)) ** (1 / 3)
    basis = radii * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(basis, axis=1).max() <= 1
    np.testing.assert_array_equal(got, vertices[cKDTree(vertices).query(basis)[1]])
    # The first numbers of the generator that bps_torch seeds: the basis cannot drift.
    np.testing.assert_allclose(directions[0], [-0.71239066, 0.75376638, -0.04450308], atol=1e-8)


def test_template_is_a_pytree_of_the_mesh_its_points_and_its_distance(table):
    vertices, faces = arrays(table)
    template = make_template(Mesh(vertices, faces), resolution=12)
    assert template.points.shape == (64, 3)
    assert {np.asarray(leaf).dtype for leaf in jax.tree.leaves(template)} == {np.dtype("float32"), np.dtype("int32")}
    np.testing.assert_array_equal(template.mesh.faces, faces)
    far = np.array([[0.0, 3.0, 0.0]], np.float32)
    np.testing.assert_allclose(query_sdf(template.sdf, far), 2.28, atol=0.1)
    stacked = jax.tree.map(lambda *x: np.stack(x), template, template)
    assert jax.vmap(lambda t: t.points.mean())(stacked).shape == (2,)
    few = make_template(Mesh(vertices, faces), count=7, method="bps", resolution=4)
    assert few.points.shape == (7, 3)


def test_unused_vertices_do_not_stretch_the_template():
    shape = trimesh.creation.box((0.2, 0.2, 0.2))
    vertices, faces = arrays(shape)
    stray = np.concatenate([vertices, [[50.0, 0, 0], [np.nan, 0, 0]]])
    template = make_template(Mesh(stray, faces), resolution=6)
    assert float(template.sdf.spacing) < 0.1
    assert np.abs(make_template(Mesh(stray, faces), method="bps", resolution=4).points).max() <= 0.1001


def test_dense_meshes_are_decimated_for_the_grid_only():
    shape = trimesh.creation.icosphere(subdivisions=4, radius=0.2)  # 5120 faces
    mesh = Mesh(*arrays(shape))
    with pytest.warns(UserWarning, match=r"5120 faces; its distance grid .* decimated to"):
        template = make_template(mesh, resolution=12, max_sdf_faces=500)
    assert len(template.mesh.faces) == 5120
    inside = query_sdf(template.sdf, np.array([[0.1, 0, 0]], np.float32))
    np.testing.assert_allclose(inside, -0.1, atol=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_template(mesh, resolution=4, max_sdf_faces=5120)


def test_inside_out_and_two_sided_meshes_are_solid():
    vertices, faces = arrays(trimesh.creation.box((0.2, 0.2, 0.2)))
    centre = np.zeros((1, 3), np.float32)
    with pytest.warns(UserWarning, match="inside out"):
        turned = make_template(Mesh(vertices, faces[:, ::-1]), resolution=9)
    np.testing.assert_array_equal(turned.mesh.faces, faces)
    both = make_template(Mesh(vertices, np.concatenate([faces, faces[:, ::-1]])), resolution=9)
    for template in (turned, both):
        np.testing.assert_allclose(query_sdf(template.sdf, centre), -0.1, atol=1e-6)
    sheet = make_template(Mesh(vertices, faces[:1, ::-1]), resolution=5)  # no inside to turn out
    assert float(np.min(sheet.sdf.values)) >= 0


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((4, 3)), np.zeros((0, 3), np.int32), r"mesh with faces, .* got shape \(0, 3\)"),
        (np.zeros((4, 2)), np.zeros((1, 3), np.int32), r"shape \(V, 3\), got \(4, 2\)"),
        (np.zeros((4, 3)), np.array([[0, 1, 4]], np.int32), r"vertices 0 to 4 of a mesh with 4"),
        (np.zeros((4, 3)), np.array([[0, 1, -1]], np.int32), r"vertices -1 to 1"),
        (np.full((4, 3), np.nan), np.array([[0, 1, 2]], np.int32), r"not finite"),
        (np.zeros((4, 3)), np.array([[0, 1, 2]], np.int32), r"no surface area: all of its 1 faces"),
    ],
)
def test_meshes_that_cannot_have_a_template_are_named(vertices, faces, message):
    with pytest.raises(InputError, match=message):
        make_template(Mesh(vertices, faces))


def test_contacts_and_interactions_travel_through_transformations():
    contacts = Contacts(np.array([0.2, 0.5, 0.9]), np.array([1.0]), np.array([0.0]))
    masks = contacts.masks()
    np.testing.assert_array_equal(masks.body, [False, False, True])
    np.testing.assert_array_equal(contacts.masks(0.1).body, [True, True, True])
    assert jax.tree.map(np.shape, contacts).body == (3,)
    got = jax.vmap(lambda c: c.body + c.object[0], in_axes=(Contacts(0, None, None),))(contacts)
    np.testing.assert_allclose(got, [1.2, 1.5, 1.9])
    interaction = Interaction(body=contacts, object=None)
    assert len(jax.tree.leaves(interaction)) == 3
