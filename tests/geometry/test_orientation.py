import numpy as np
import pytest
import trimesh

from hoijax.geometry import face_outward, wind_consistently


def joined(*meshes):
    mesh = trimesh.util.concatenate(meshes)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def box(place=(0, 0, 0), size=(0.4, 0.3, 0.2)):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(place)
    return mesh


def inverted(mesh):
    mesh = mesh.copy()
    mesh.invert()
    return mesh


def volume(vertices, faces):
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6


@pytest.mark.parametrize("share", [0.2, 0.45])
def test_mixed_winding_is_mended_to_that_of_the_larger_area(share):
    ball = trimesh.creation.icosphere(2, 0.3)
    faces = np.array(ball.faces)
    wrong = np.random.default_rng(0).uniform(size=len(faces)) < share
    faces[wrong] = faces[wrong, ::-1]
    got = wind_consistently(np.asarray(ball.vertices), faces)
    np.testing.assert_array_equal(got.turned, wrong)
    np.testing.assert_allclose(volume(ball.vertices, got.faces), ball.volume, rtol=1e-9)
    assert got.closed.tolist() == [True]


def test_boxes_that_touch_along_edges_are_closed_patches_of_their_own():
    vertices, faces = joined(box(), box((0.4, 0.3, 0)), box((0.4, -0.3, 0), (0.4, 0.3, 0.1)))
    got = wind_consistently(vertices, faces)
    assert got.closed.all()
    assert not got.turned.any()


def test_a_box_without_a_lid_is_open():
    mesh = box()
    got = wind_consistently(np.asarray(mesh.vertices), np.asarray(mesh.faces)[:-2])
    assert got.closed.tolist() == [False]


def test_a_strip_with_one_side_stays_as_it_is():
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    middle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    across = np.stack([np.cos(angle / 2) * np.cos(angle), np.cos(angle / 2) * np.sin(angle), np.sin(angle / 2)], 1)
    vertices = np.concatenate([middle - 0.2 * across, middle + 0.2 * across])
    quads = [(i, i + 1, i + 21, i + 20) for i in range(19)] + [(19, 20, 0, 39)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    got = wind_consistently(vertices, faces)
    np.testing.assert_array_equal(got.faces, faces)
    assert not got.closed.any()


def test_inward_boxes_are_to_be_turned_and_the_wall_of_a_cavity_is_not():
    vertices, faces = joined(box(), inverted(box((0.8, 0, 0))), inverted(box(size=(0.1, 0.1, 0.1))))
    patches = wind_consistently(vertices, faces)
    flip = face_outward(vertices, patches)[patches.patch]
    assert flip.tolist() == [False] * 12 + [True] * 12 + [False] * 12


def test_an_inward_box_beside_one_whose_box_of_bounds_holds_it_is_turned():
    # Within the bounds of the torus, but in its hole.
    ring = trimesh.creation.torus(1.0, 0.2)
    vertices, faces = joined(ring, inverted(box(size=(0.2, 0.2, 0.2))))
    patches = wind_consistently(vertices, faces)
    assert face_outward(vertices, patches)[patches.patch[-1]]
