"""A balanced tree of boxes over the faces of a mesh, built and searched on the host in float64.

The tree is perfect: level k has 2^k nodes, node i has the children 2i and 2i + 1, and every leaf holds the same number
of faces. Searches walk it level by level with whole arrays of (query, node) pairs, so that NumPy does the work.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

SHORT = 16
"""Rows up to this length are reduced by halving."""


@dataclasses.dataclass(frozen=True)
class FaceTree:
    """Faces in tree order and the boxes above them."""

    faces: Int[np.ndarray, "N L"]
    """Face ids in each of N leaves; a few are repeated to fill the leaves."""
    triangles: Float[np.ndarray, "N L 3 3"]
    """Their corners, metres; those of repeated faces shrunk to a point."""
    lower: tuple[Float[np.ndarray, "_ 3"], ...]
    """Smallest coordinates in the 2^k boxes of level k, metres."""
    upper: tuple[Float[np.ndarray, "_ 3"], ...]
    """The largest."""

    @property
    def depth(self) -> int:
        """The level of the leaves."""
        return len(self.lower) - 1


def balanced_order(points: np.ndarray, leaf: int) -> tuple[np.ndarray, np.ndarray]:
    """Groups points by halving along the longest axis, again and again, until at most `leaf` are left together.

    Args:
      points: (N, 3), at least one.
      leaf: largest size of a group.

    Returns:
      Indices, `(2^k, L)` with L at most `leaf`, and a mask of the same shape that is False for the few repeated to
      fill the groups.
    """
    count = len(points)
    depth = max(0, int(np.ceil(np.log2(count / leaf))))
    size = -(-count // (1 << depth))
    order = np.arange(size << depth)
    # One axis after the other, along which NumPy compares several numbers at once.
    columns = np.ascontiguousarray(points.T)
    for level in range(depth):
        groups = order.reshape(1 << level, -1)
        inside = columns.take(np.minimum(groups, count - 1), axis=1)
        axis = np.argmax(_largest(inside) - _smallest(inside), axis=0)
        keys = inside[axis, np.arange(len(groups))]
        order = np.take_along_axis(groups, np.argpartition(keys, groups.shape[1] // 2, axis=1), axis=1)
    order = order.reshape(1 << depth, size)
    return np.minimum(order, count - 1), order < count


def _smallest(values: np.ndarray) -> np.ndarray:
    return _reduced(np.minimum, values)


def _largest(values: np.ndarray) -> np.ndarray:
    return _reduced(np.maximum, values)


def _reduced(function: np.ufunc, values: np.ndarray) -> np.ndarray:
    """`function.reduce` of the last axis, halved while it is short: NumPy reduces many short rows ten times slower."""
    while 1 < values.shape[-1] <= SHORT:
        half = values.shape[-1] // 2
        # Of an odd number the middle one is compared with itself.
        values = function(values[..., : values.shape[-1] - half], values[..., half:])
    return values[..., 0] if values.shape[-1] == 1 else function.reduce(values, axis=-1)


def build_face_tree(triangles: np.ndarray, leaf: int = 4) -> FaceTree:
    """The tree of triangles `(F, 3, 3)`, at least one, with at most `leaf` together."""
    ids, real = balanced_order(triangles.mean(axis=1), leaf)
    triangles = triangles[ids]
    triangles[~real] = triangles[~real][:, :1]
    corners = np.moveaxis(triangles.reshape(len(ids), -1, 3), 1, 2)
    lower, upper = [_smallest(corners)], [_largest(corners)]
    while len(lower[-1]) > 1:
        lower.append(np.minimum(lower[-1][::2], lower[-1][1::2]))
        upper.append(np.maximum(upper[-1][::2], upper[-1][1::2]))
    return FaceTree(faces=ids, triangles=triangles, lower=tuple(lower[::-1]), upper=tuple(upper[::-1]))


def children(query: np.ndarray, node: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replaces each pair (query, node) by two, with the node's children; the queries stay in order."""
    query, node = np.repeat(query, 2), np.repeat(2 * node, 2)
    node[1::2] += 1
    return query, node


def host_triangles(vertices, faces) -> np.ndarray:
    """Corners `(F, 3, 3)` in float64 of a mesh given as any arrays.

    Raises:
      ValueError: no faces, an index without a vertex, or a corner that is not finite.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    if len(faces) == 0:
        raise ValueError(f"a mesh with faces is needed, got one of {len(vertices)} vertices and 0 faces")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"faces index vertices {faces.min()} to {faces.max()}, the mesh has {len(vertices)}")
    triangles = vertices[faces]
    if not np.isfinite(triangles).all():
        broken = int((~np.isfinite(triangles).all(axis=(1, 2))).sum())
        raise ValueError(f"{broken} of {len(faces)} faces have corners that are NaN or infinite")
    return triangles
