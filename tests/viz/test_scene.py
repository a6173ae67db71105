"""Named meshes: what is refused, default colours, sharp and smooth normals."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.viz.scene import BODY_COLOR, OBJECT_COLOR, NamedMesh, corner_normals, scene_bounds, vertex_colors

TRIANGLE = np.eye(3)
FACE = np.array([[0, 1, 2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.zeros((3, 2))}, r"vertices of shape \(V, 3\), got \(3, 2\)"),
        ({"vertices": np.full((3, 3), np.nan)}, "finite vertices"),
        ({"faces": np.array([[0, 1]])}, r"triangles of shape \(F, 3\), got \(1, 2\)"),
        ({"faces": np.array([[0, 1, 3]])}, "faces name vertices 0 to 3, but it has 3"),
        ({"colors": np.zeros((2, 3))}, r"one per vertex \(3, 3\), got \(2, 3\)"),
        ({"texture": np.zeros((2, 2, 3))}, "go together"),
        ({"texture": np.zeros((2, 2, 3)), "uv": np.zeros((2, 2))}, r"coordinates \(3, 2\)"),
    ],
)
def test_bad_meshes_are_named(change, message):
    with pytest.raises(InputError, match=message) as error:
        NamedMesh(**({"name": "lamp", "vertices": TRIANGLE, "faces": FACE} | change))
    assert "lamp" in str(error.value)


def test_default_colors_go_by_name():
    names = ["body", "object", "floor", "lamp", "human_1"]
    colors = vertex_colors([NamedMesh(name, TRIANGLE, FACE) for name in names])
    np.testing.assert_allclose(colors[0], np.tile(BODY_COLOR, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(colors[1], np.tile(OBJECT_COLOR, (3, 1)), atol=1e-6)
    assert not np.allclose(colors[2], colors[3])
    np.testing.assert_array_equal(colors[4], colors[0])


def test_given_colors_and_baked_textures():
    texture = np.zeros((2, 2, 3))
    texture[0, 1] = (1.0, 0.5, 0.0)  # upper right
    uv = np.array([[0.9, 0.9], [0.1, 0.1], [1.9, -0.1]])  # the last one wraps around to the first
    mesh = NamedMesh("lamp", TRIANGLE, FACE, (0.5, 1.0, 1.0), texture, uv)
    np.testing.assert_allclose(vertex_colors([mesh])[0], np.tile([0.5, 1, 1], (3, 1)))
    np.testing.assert_allclose(vertex_colors([mesh], bake=True)[0], [[0.5, 0.5, 0], [0, 0, 0], [0.5, 0.5, 0]])


def test_bounds():
    lower, upper = scene_bounds([NamedMesh("a", TRIANGLE, FACE)], [NamedMesh("b", TRIANGLE + 2, FACE)])
    np.testing.assert_array_equal([lower, upper], [[0, 0, 0], [3, 3, 3]])
    with pytest.raises(InputError, match="no vertices"):
        scene_bounds([])


def corner_normals_loop(vertices, faces, crease):
    """Every corner against every face at the same position."""
    area = np.cross(*(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2)))
    unit = area / np.linalg.norm(area, axis=1, keepdims=True)
    out = np.zeros((len(faces), 3, 3))
    for f in range(len(faces)):
        for k in range(3):
            here = (np.abs(vertices[faces] - vertices[faces[f, k]]).max(-1) == 0).any(1)
            near = here & (unit @ unit[f] > np.cos(np.radians(crease)))
            out[f, k] = area[near].sum(0)
    return out / np.linalg.norm(out, axis=-1, keepdims=True)


@pytest.mark.parametrize("crease", [10.0, 60.0, 179.0])
def test_corner_normals(crease):
    """Welded and unwelded, smooth and sharp."""
    mesh = trimesh.creation.cylinder(radius=0.3, height=1.0, sections=7)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    want = corner_normals_loop(vertices, faces, crease)
    np.testing.assert_allclose(corner_normals(vertices, faces, crease), want, atol=1e-6)
    soup, rows = vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)
    np.testing.assert_allclose(corner_normals(soup, rows, crease), want, atol=1e-6)


def test_corner_normals_of_faces_without_area():
    normals = corner_normals(TRIANGLE, np.array([[0, 1, 2], [0, 0, 1]]))
    assert np.isfinite(normals).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
    assert corner_normals(TRIANGLE, np.zeros((0, 3), int)).shape == (0, 3, 3)
