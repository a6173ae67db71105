"""The surface where a sampled field is zero, by marching tetrahedra; on the host, in NumPy.

Every cube of the grid is cut into six tetrahedra along its diagonal (Kuhn 1960), the same way in all cubes, so that
neighbours agree on the faces between them. In a tetrahedron the surface is a triangle or two (Doi and Koide 1991), and
which vertices they join is decided by signs alone: the result is a closed manifold wherever the field is positive on
the grid's border. Marching cubes would need a table against ambiguous faces and is in no package that hoijax has.
"""

import itertools

import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.geometry.mesh import Mesh
from hoijax.geometry.sdf import SDFGrid

_NEAREST_NODE = 0.05
"""Vertices keep this share of an edge away from its ends: faces without area are dropped by readers and leave holes."""
_ORDERS = np.array(list(itertools.permutations(range(3))))
_ODD = np.array([round(np.linalg.det(np.eye(3)[order])) < 0 for order in _ORDERS])
_STEPS = np.concatenate([np.zeros((6, 1, 3), int), np.cumsum(np.eye(3, dtype=int)[_ORDERS], axis=1)], axis=1)
"""Corners of the six tetrahedra of a unit cube, (6, 4, 3)."""


def isosurface(grid: SDFGrid, level: float = 0.0) -> Mesh:
    """The surface between samples below and above a level, facing those above.

    What reaches the grid's border is closed there, as if outside of it all were above.

    Args:
      grid: of any field that is negative inside.
      level: of the surface.

    Returns:
      A closed mesh, vertices float32 in the grid's frame; every edge joins two faces.

    Raises:
      InputError: all samples are on one side, or one is not finite.
    """
    values = np.asarray(grid.values, np.float64) - level
    if not np.isfinite(values).all():
        raise InputError(f"{(~np.isfinite(values)).sum()} of {values.size} samples are not finite")
    inside = values < 0
    if inside.all() or not inside.any():
        side = "below" if inside.all() else "above"
        raise InputError(f"no surface: all {values.size} samples are {side} the level {level:g}")
    spacing = float(np.asarray(grid.spacing))
    values = np.pad(values, 1, constant_values=0.5 * spacing)
    shape = values.shape
    inside = values < 0
    corner = sum(
        inside[tuple(slice(d, n - 1 + d) for d, n in zip(offset, shape))].astype(np.int8)
        for offset in itertools.product((0, 1), repeat=3)
    )
    cubes = np.argwhere((corner > 0) & (corner < 8))
    nodes = np.ravel_multi_index(np.moveaxis(cubes[:, None, None] + _STEPS, -1, 0), shape)  # (C, 6, 4)
    flat = values.reshape(-1)
    triangles = _triangles(nodes.reshape(-1, 4), (flat < 0)[nodes].reshape(-1, 4), np.tile(_ODD, len(cubes)))
    # A vertex is the edge it lies on, named by its two nodes.
    edges, faces = np.unique(np.sort(triangles, axis=-1).reshape(-1, 2), axis=0, return_inverse=True)
    start, end = (np.stack(np.unravel_index(edges[:, k], shape), axis=1) for k in (0, 1))
    share = flat[edges[:, 0]] / (flat[edges[:, 0]] - flat[edges[:, 1]])
    share = np.clip(share, _NEAREST_NODE, 1 - _NEAREST_NODE)[:, None]
    vertices = np.asarray(grid.origin, np.float64) + spacing * (start + share * (end - start) - 1)
    return Mesh(vertices=vertices.astype(np.float32), faces=faces.reshape(-1, 3).astype(np.int32))


def _triangles(nodes: np.ndarray, inside: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Triangles as the three edges, each of two nodes, that their corners lie on: (F, 3, 2).

    The orders below are even permutations, so that a positively oriented tetrahedron stays one.
    """
    found = []
    count = inside.sum(axis=1)
    for order in ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)):
        a, b, c, d = order
        for alone, turned in ((count == 1) & inside[:, a], False), ((count == 3) & ~inside[:, a], True):
            found.append(_faces(nodes, alone, odd ^ turned, ((a, b), (a, c), (a, d))))
    for a, b, c, d in ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 2, 0), (2, 3, 0, 1)):
        pair = (count == 2) & inside[:, a] & inside[:, b]
        found.append(_faces(nodes, pair, odd, ((a, c), (a, d), (b, d))))
        found.append(_faces(nodes, pair, odd, ((a, c), (b, d), (b, c))))
    return np.concatenate(found)


def _faces(nodes: np.ndarray, chosen: np.ndarray, turned: np.ndarray, edges: tuple) -> np.ndarray:
    faces = nodes[chosen][:, np.array(edges)]
    return np.where(turned[chosen][:, None, None], faces[:, ::-1], faces)


def union_grid(fields: list[Float[np.ndarray, "X Y Z"]], origin: np.ndarray, spacing: float) -> SDFGrid:
    """The grid of what is inside any of several fields sampled at the same places: the least of their values."""
    return SDFGrid(
        values=np.minimum.reduce(fields).astype(np.float32),
        origin=np.asarray(origin, np.float32),
        spacing=np.float32(spacing),
    )
