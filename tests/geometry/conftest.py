"""Small meshes that every test of the geometry can afford, and one check of derivatives for all of them."""

import functools

import jax
import numpy as np
import pytest
import trimesh

from hoijax.geometry import Mesh


@functools.cache
def _compiled(function):
    return jax.jit(function), jax.jit(jax.jacfwd(function)), jax.jit(jax.jacrev(function))


@pytest.fixture(scope="session")
def check_jacobians():
    """Asserts that forward, reverse and central differences agree; compiles once per function and shape."""

    def check(function, x, atol=1e-7, step=1e-6):
        x = np.asarray(x)
        value, forward, reverse = _compiled(function)
        columns = []
        for i in np.ndindex(x.shape):
            shift = np.zeros_like(x)
            shift[i] = step
            columns.append((np.asarray(value(x + shift)) - np.asarray(value(x - shift))) / (2 * step))
        numeric = np.stack(columns, axis=-1).reshape(*np.shape(columns[0]), *x.shape)
        np.testing.assert_allclose(forward(x), numeric, atol=atol, rtol=1e-6)
        np.testing.assert_allclose(reverse(x), forward(x), atol=1e-12, rtol=1e-9)

    return check


def _capsule(start, end, radius):
    start, end = np.array(start, float), np.array(end, float)
    length = np.linalg.norm(end - start)
    capsule = trimesh.creation.capsule(height=length, radius=radius, count=[10, 10])
    capsule.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], (end - start) / length))
    capsule.apply_translation(start)
    return capsule


@pytest.fixture(scope="session")
def figure():
    """A person of seven closed capsules that overlap, 1.6 m tall, as (vertices, faces)."""
    parts = [_capsule((0, 0.9, 0), (0, 1.35, 0), 0.16), _capsule((0, 1.5, 0), (0, 1.6, 0), 0.1)]
    for side in (-1, 1):
        parts.append(_capsule((side * 0.1, 0.1, 0), (side * 0.1, 0.9, 0), 0.08))
        parts.append(_capsule((side * 0.15, 1.38, 0), (side * 0.75, 1.38, 0), 0.05))
    mesh = trimesh.util.concatenate(parts)
    return Mesh(np.array(mesh.vertices), np.array(mesh.faces, np.int32))


@pytest.fixture(scope="session")
def sphere():
    """A closed ball of radius 1 with 320 faces."""
    mesh = trimesh.creation.icosphere(subdivisions=2)
    return Mesh(np.array(mesh.vertices), np.array(mesh.faces, np.int32))


@pytest.fixture(scope="session")
def bowl():
    """The lower half of a sphere of radius 1: open, its rim in the plane z = 0."""
    rows, columns = 9, 48
    polar = np.linspace(np.pi / 2, np.pi, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    grid = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], axis=-1
    )
    faces = []
    for i in range(rows - 1):
        for j in range(columns):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            faces += [[a, a + columns, b], [b, a + columns, b + columns]]
    return Mesh(grid.reshape(-1, 3), np.array(faces, np.int32))


@pytest.fixture(scope="session")
def ragged():
    """What people have on disk: a large floor of two faces, a small open box on it, degenerate and duplicate faces."""
    floor = np.array([[-5, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]], float)
    box = trimesh.creation.box(extents=(0.4, 0.3, 0.2)).subdivide().subdivide()
    box_vertices, box_faces = np.array(box.vertices) + [0.3, 0.2, 0.15], np.array(box.faces)[3:]
    vertices = np.concatenate([floor, box_vertices, [[0, 0, 1.0], [0.1, 0, 1], [0.3, 0, 1], [9, 9, 9]]])
    n = len(vertices) - 4
    odd = [[n, n, n], [n, n + 1, n + 2], [n, n + 2, n + 2], *(box_faces[:5] + 4)]  # a point, a segment, copies
    faces = np.concatenate([[[0, 1, 2], [0, 2, 3]], box_faces + 4, odd])
    return Mesh(vertices, faces.astype(np.int32))  # the last vertex belongs to no face
