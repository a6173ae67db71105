"""Exact closest points of a mesh on the host, in NumPy: for metrics, tables and distance grids."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from hoijax.geometry.face_tree import FaceTree, build_face_tree, children, host_triangles
from hoijax.geometry.mesh import Mesh
from hoijax.geometry.safe import ArrayLike
from hoijax.geometry.triangles import ClosestPoint, closest_coordinates

LEAF = 3  # faces in a leaf of the tree
GUESSES = (2000, 20000)  # fewest and most points of the surface among which the first guess is sought
CHUNK = 8192  # queries searched together, so that their pairs stay in the cache
MAX_PAIRS = 1 << 21  # (query, node) pairs at which a search is split in two


def closest_on_mesh_host(queries: Float[ArrayLike, "Q 3"], mesh: Mesh) -> ClosestPoint:
    """Closest point of one mesh for each query: the answer of `closest_on_mesh`, as NumPy arrays, in float64 inside.

    A k-d tree over points of the surface gives each query a face to start with; a tree of boxes then finds every face
    that could be nearer. Exact for any mesh: open, with long or degenerate faces, or of millions of faces.

    Args:
      queries: metres.
      mesh: one mesh.

    Returns:
      The closest points, in the dtype of the queries. Where an edge or a corner is nearest any of its faces may be
      named.

    Raises:
      ValueError: the mesh has no faces or broken ones, or a query is not finite.
    """
    queries = np.asarray(queries)
    dtype, queries = queries.dtype, queries.astype(np.float64)
    if not np.isfinite(queries).all():
        raise ValueError(f"{int((~np.isfinite(queries).all(axis=1)).sum())} of {len(queries)} queries are not finite")
    triangles = host_triangles(mesh.vertices, mesh.faces)
    face = search_faces(build_face_tree(triangles, LEAF), triangles, queries, guess_faces(triangles, queries))
    s, t, square = _coordinates(triangles, queries, face)
    bary = np.stack([np.maximum(1.0 - s - t, 0.0), s, t], axis=-1)
    return ClosestPoint(
        point=np.einsum("nk,nki->ni", bary, triangles[face]).astype(dtype),
        distance=np.sqrt(square).astype(dtype),
        face=face.astype(np.int32),
        bary=bary.astype(dtype),
    )


def distance_to_faces(triangles: np.ndarray, queries: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Distance of query i to the triangle `face[i]`, `(Q,)`."""
    return np.sqrt(_coordinates(triangles, queries, face)[2])


def closest_on_faces(triangles: np.ndarray, queries: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The point of the triangle `face[i]` that is closest to query i, `(Q, 3)`."""
    s, t, _ = _coordinates(triangles, queries, face)
    bary = np.stack([np.maximum(1.0 - s - t, 0.0), s, t], axis=-1)
    return np.einsum("nk,nki->ni", bary, triangles[face])


def guess_faces(triangles: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """A face near each query, often the nearest: that of the nearest of some points spread over the surface.

    Half of the points go to the faces by area and half by number, so that neither a large floor nor a detailed object
    on it is left without. For few queries there are few: a tree of many would take longer than what it saves.
    """
    edges = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)
    weight = area / max(area.sum(), np.finfo(np.float64).tiny) + 1.0 / len(triangles)
    weight = np.cumsum(weight) / weight.sum()
    count = min(max(4 * len(queries), GUESSES[0]), GUESSES[1])
    number = np.arange(count)
    face = np.minimum(np.searchsorted(weight, (number + 0.5) / count), len(triangles) - 1)
    # The additive recurrence of the plastic number: evenly spread in the unit square, folded into the triangle.
    u, v = (0.5 + number * 0.7548776662466927) % 1.0, (0.5 + number * 0.5698402909980532) % 1.0
    folded = u + v > 1
    u, v = np.where(folded, 1 - u, u)[:, None], np.where(folded, 1 - v, v)[:, None]
    points = triangles[face, 0] + u * edges[face, 0] + v * edges[face, 1]
    return face[cKDTree(points).query(queries, workers=-1)[1]]


def search_faces(tree: FaceTree, triangles: np.ndarray, queries: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The nearest face to each query, given one to start with: the nearer, the faster."""
    chunks = [slice(i, i + CHUNK) for i in range(0, len(queries), CHUNK)]
    chunk_faces = [_search(tree, triangles, queries[chunk], guess[chunk]) for chunk in chunks]
    return np.concatenate([guess[:0], *chunk_faces])


def _search(tree: FaceTree, triangles: np.ndarray, queries: np.ndarray, guess: np.ndarray) -> np.ndarray:
    best = _coordinates(triangles, queries, guess)[2]
    every = np.arange(len(queries))
    guess, best = _take_leaves(tree, queries, every, _descend(tree, queries), guess, best)
    limit = best * (1 + 1e-9)
    query, node = every, np.zeros(len(queries), np.int64)
    for level in range(1, tree.depth + 1):
        if len(query) > MAX_PAIRS and len(queries) > 1:  # as at the centre of a sphere, where no face can be ruled out
            half = len(queries) // 2
            parts = [_search(tree, triangles, queries[k], guess[k]) for k in (slice(None, half), slice(half, None))]
            return np.concatenate(parts)
        query, node = children(query, node)
        near = _box_gap(tree, level, node, queries[query]) <= limit[query]
        query, node = query[near], node[near]
    return _take_leaves(tree, queries, query, node, guess, best)[0]


def _descend(tree: FaceTree, queries: np.ndarray) -> np.ndarray:
    """The leaf reached by always taking the nearer child: on meshes of many small faces a much nearer guess."""
    node = np.zeros(len(queries), np.int64)
    for level in range(1, tree.depth + 1):
        left, right = _box_gap(tree, level, 2 * node, queries), _box_gap(tree, level, 2 * node + 1, queries)
        node = 2 * node + (right < left)
    return node


def _box_gap(tree: FaceTree, level: int, node: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Squared distance of each point to the box of its node."""
    gap = np.maximum(np.maximum(tree.lower[level][node] - points, points - tree.upper[level][node]), 0)
    return np.einsum("ni,ni->n", gap, gap)


def _take_leaves(tree, queries, query, node, face, best) -> tuple[np.ndarray, np.ndarray]:
    """Face and squared distance of each query after comparing it with its leaves; among equals the lowest face."""
    if len(query) == 0:
        return face, best
    corners = np.moveaxis(tree.triangles[node], 0, -1)  # (L, 3, 3, pairs)
    square = closest_coordinates(queries[query].T[:, None], np.moveaxis(corners, 0, 2), np)[2].T
    starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]])
    smallest = np.minimum.reduceat(square.min(axis=1), starts)
    of_pair = np.repeat(smallest, np.diff(np.r_[starts, len(query)]))
    ids = np.where(square == of_pair[:, None], tree.faces[node], np.iinfo(np.int64).max).min(axis=1)
    ids = np.minimum.reduceat(ids, starts)
    owner = query[starts]
    nearer = (smallest < best[owner]) | ((smallest == best[owner]) & (ids < face[owner]))
    face, best = face.copy(), best.copy()
    face[owner[nearer]], best[owner[nearer]] = ids[nearer], smallest[nearer]
    return face, best


def _coordinates(triangles: np.ndarray, queries: np.ndarray, face: np.ndarray):
    """s, t and squared distance of `closest_coordinates`, a cache-sized piece at a time."""
    pieces = []
    for i in range(0, len(queries), CHUNK) if len(queries) else [0]:
        corners = np.moveaxis(triangles[face[i : i + CHUNK]], 0, -1)
        pieces.append(closest_coordinates(queries[i : i + CHUNK].T, corners, np))
    return tuple(np.concatenate(piece) for piece in zip(*pieces))
