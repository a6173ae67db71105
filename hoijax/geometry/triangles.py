"""Exact distance from points to triangles and to meshes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry.mesh import Mesh, face_corners
from hoijax.geometry.safe import ArrayLike, safe_norm
from hoijax.geometry.tiled import tiled_argmin


@struct.dataclass
class ClosestPoint:
    """For each query the closest point of a mesh; point = sum_k bary_k * corner_k of the face."""

    point: Float[ArrayLike, "Q 3"] | Any
    """Metres."""
    distance: Float[ArrayLike, "Q"] | Any
    """Metres."""
    face: Int[ArrayLike, "Q"] | Any
    """Which face it lies on."""
    bary: Float[ArrayLike, "Q 3"] | Any
    """Barycentric coordinates; non-negative, they sum to one."""


def closest_on_triangle(
    points: Float[ArrayLike, "*B 3"], triangles: Float[ArrayLike, "*B 3 3"]
) -> tuple[Float[jax.Array, "*B 3"], Float[jax.Array, "*B 3"]]:
    """Closest point of a triangle and its barycentric coordinates, for pairs of points and triangles.

    A triangle of no area is the union of its edges, one of no extent a point: both give the right answer.

    Returns:
      The closest points and their coordinates, differentiable in points and triangles wherever the closest point is.
    """
    points, triangles = jnp.asarray(points), jnp.asarray(triangles)
    s, t, _ = closest_coordinates(jnp.moveaxis(points, -1, 0), jnp.moveaxis(triangles, (-2, -1), (0, 1)))
    first = 1.0 - s - t
    bary = jnp.stack([jnp.where(first < 0, 0.0, first), s, t], axis=-1)  # by a rounding error, on the edge opposite
    return jnp.sum(bary[..., None] * triangles, axis=-2), bary


def point_triangle_distance(
    points: Float[ArrayLike, "*B 3"], triangles: Float[ArrayLike, "*B 3 3"]
) -> Float[jax.Array, "*B"]:
    """Distance from each point to its triangle, metres; the derivative is zero for points on the triangle."""
    points = jnp.asarray(points)
    return safe_norm(points - closest_on_triangle(points, triangles)[0])


def closest_on_mesh(queries: Float[ArrayLike, "Q 3"], mesh: Mesh, *, tile: int = 256) -> ClosestPoint:
    """Closest point of one mesh for each query, by exhaustive comparison in tiles of faces (`vmap` for more).

    The face carries no derivative; point, distance and coordinates do, in queries and vertices. On a CPU host, for
    more than a few hundred queries, `closest_on_mesh_host` gives the same answer much sooner.

    Args:
      queries: metres.
      mesh: one mesh; degenerate faces count as the segments or points they are.
      tile: faces compared at a time; any size gives the same answer.

    Returns:
      The closest points; among equally near faces the lowest index.

    Raises:
      ValueError: the mesh has no faces.
    """
    queries = jnp.asarray(queries)
    triangles = face_corners(mesh.vertices, mesh.faces)
    count = triangles.shape[0]
    if count == 0:
        raise ValueError("closest_on_mesh needs a mesh with faces, got 0")
    if tile < 1:
        raise ValueError(f"tile must be at least 1, got {tile}")
    index = tiled_argmin(_squared_distance, queries, triangles.reshape(count, 9), jnp.ones(count, bool), tile)
    face = jnp.maximum(index, 0)  # -1 is the answer to a query that is not finite; so is the distance
    point, bary = closest_on_triangle(queries, triangles[face])
    return ClosestPoint(point=point, distance=safe_norm(queries - point), face=face, bary=bary)


def _squared_distance(q, t):
    return closest_coordinates(q, (t[:3], t[3:6], t[6:]))[2]


def closest_coordinates(p, triangle, xnp=jnp):
    """Closest point a + s (b - a) + t (c - a): returns s, t and the squared distance.

    `p[i]` and `triangle[k][i]` are coordinate i of the points and of corner k, any shapes that broadcast, JAX or NumPy
    (`xnp`). Candidates are the closest points of the three edges and, if it lies inside, the projection onto the
    plane. All of them are points of the triangle and all distances come from coordinate differences, so rounding can
    at worst choose a candidate that is a rounding error farther. Coordinates are kept apart so that a (Q, tile)
    comparison fuses into one pass without any (Q, tile, 3) array.
    """
    a, b, c = ([corner[i] for i in range(3)] for corner in triangle)
    ab, ac, bc, ap = _minus(b, a), _minus(c, a), _minus(c, b), _minus(p, a)
    aa, bb, cc = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d1, d2, d3 = _dot(ap, ab), _dot(ap, ac), _dot(_minus(p, b), bc)
    det = aa * cc - bb * bb
    flat = det <= 0
    inverse = xnp.where(flat, 0.0, 1.0 / xnp.where(flat, 1.0, det))
    s, t = (cc * d1 - bb * d2) * inverse, (aa * d2 - bb * d1) * inverse
    inside = (s > 0) & (t > 0) & (s + t < 1) & ~flat
    u, v, w = (_clamped_ratio(x, y, xnp) for x, y in ((d1, aa), (d2, cc), (d3, _dot(bc, bc))))
    zero = xnp.zeros_like(u)
    s, t = xnp.where(inside, s, u), xnp.where(inside, t, zero)
    square = _square_at(ap, ab, ac, s, t)
    for s_edge, t_edge in ((zero, v), (1.0 - w, w)):
        square_edge = _square_at(ap, ab, ac, s_edge, t_edge)
        closer = square_edge < square
        s, t = xnp.where(closer, s_edge, s), xnp.where(closer, t_edge, t)
        square = xnp.where(closer, square_edge, square)
    return s, t, square


def _square_at(ap, ab, ac, s, t):
    offset = [p - s * x - t * y for p, x, y in zip(ap, ab, ac)]
    return _dot(offset, offset)


def _minus(a, b):
    return [x - y for x, y in zip(a, b)]


def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _clamped_ratio(x, y, xnp):
    """x / y in [0, 1]; zero for an edge of no length. Not `clip`: its derivative at the bound itself is one half."""
    ratio = x * xnp.where(y == 0, 0.0, 1.0 / xnp.where(y == 0, 1.0, y))
    return xnp.where(ratio < 0, 0.0, xnp.where(ratio > 1, 1.0, ratio))
