"""Regions of an object: where their points lie, how evenly, and what is refused."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import region_of_box, region_of_triangles, region_of_vertices
from hoijax.interaction.regions import POINTS


def cube(subdivisions=0):
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    for _ in range(subdivisions):
        mesh = mesh.subdivide()
    return Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))


def test_a_box_cuts_through_large_faces():
    """Of a cube of twelve triangles the strip of its top within x 0.1 to 0.3."""
    got = region_of_box("strip", cube(), (0.1, 0.4, -2), (0.3, 0.6, 2))
    top = got.points[got.points[:, 1] > 0.4999]
    assert len(got.points) == POINTS and len(top) > 0.6 * POINTS
    assert (abs(got.points[:, 0] - 0.2) < 0.1002).all() and (got.points[:, 1] > 0.3998).all()
    np.testing.assert_allclose(got.normals[got.points[:, 1] > 0.4999], np.tile([0, 1, 0], (len(top), 1)), atol=1e-6)
    np.testing.assert_allclose([top[:, 2].min(), top[:, 2].max()], [-0.5, 0.5], atol=0.01)
    # Its area is 0.2 + 2 x 0.2 x 0.1: on a square grid of as many points the mean distance is 0.38 of their distance.
    np.testing.assert_allclose(got.spacing, 0.38 * np.sqrt(0.24 / POINTS), rtol=0.25)


def test_a_small_box_on_a_large_object_is_found():
    got = region_of_box("corner", cube(), (0.4995, 0.4995, 0.4995), (0.51, 0.51, 0.51))
    assert (got.points > 0.4994).all()


def test_the_points_are_spread_over_all_of_it():
    rng = np.random.default_rng(0)
    corners = np.array([[[0, 0, 0], [0.6, 0, 0], [0, 0, 0.6]], [[2, 0, 0], [2.1, 0, 0], [2, 0, 0.1]]])
    got = region_of_triangles("two", corners)
    probes = rng.dirichlet(np.ones(3), 2000) @ corners[0]
    far = np.linalg.norm(probes[:, None] - got.points[None], axis=2).min(axis=1)
    np.testing.assert_allclose(far.mean(), got.spacing, rtol=0.2)
    assert far.max() < 3 * got.spacing
    assert 4 <= (got.points[:, 0] > 1).sum() <= 60  # a share by area, 2.7 %, and its rim


def test_vertices_mark_the_faces_between_them():
    mesh = cube(3)
    ids = np.flatnonzero(mesh.vertices[:, 1] > 0.4999)
    got = region_of_vertices("top", mesh, np.concatenate([ids, ids]))
    assert (got.points[:, 1] > 0.4999).all()
    np.testing.assert_allclose(np.ptp(got.points, axis=0), [1, 0, 1], atol=0.02)


def test_lone_vertices_mark_what_is_right_at_them():
    mesh = cube(3)
    corner = int(np.argmax(mesh.vertices.sum(axis=1)))
    got = region_of_vertices("corner", mesh, np.array([corner]))
    assert np.linalg.norm(got.points - 0.5, axis=1).max() < 0.1 * np.sqrt(2) / 8 + 1e-4


def test_a_region_turns_with_its_object():
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    region = region_of_box("top", cube(), (-0.4, 0.4, -0.4), (0.4, 0.6, 0.4))
    got = region.rotate(turn)
    np.testing.assert_allclose(got.points, region.points[:, [0, 2, 1]] * [1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(got.normals, np.tile([0, 0, 1], (POINTS, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: region_of_box("a", cube(), (0, 0, 0), (0, 1, 1)), r"to \(0, 1, 1\); wanted a lower"),
        (lambda: region_of_box("a", cube(), (0, 0, np.nan), (1, 1, 1)), "wanted a lower corner"),
        (lambda: region_of_box("a", cube(), (2, 2, 2), (3, 3, 3)), r"none of the.*\(-0.5, -0.5, -0.5\)"),
        (lambda: region_of_box("a", cube(), (-0.1, -0.1, -0.1), (0.1, 0.1, 0.1)), "none of the object's surface"),
        (lambda: region_of_vertices("a", cube(), np.array([3, 8])), r"vertex 8, the mesh has 8 \(0 to 7\)"),
        (lambda: region_of_vertices("a", cube(), np.array([-1, 2])), "vertex -1"),
        (lambda: region_of_vertices("a", cube(), np.zeros(0, int)), "names no vertices"),
        (lambda: region_of_triangles("a", np.zeros((2, 3, 3))), "'a' has no surface"),
    ],
)  # fmt: skip
def test_what_has_no_surface_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
