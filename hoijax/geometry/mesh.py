"""Triangle meshes and the quantities of their faces and vertices.

Vertices may have any leading axes; faces are shared by them. A face of no area (coincident or collinear corners) has
a zero normal and zero derivatives, never NaN. Faces wind counter-clockwise seen from outside.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry.safe import ArrayLike, cross, dot, safe_divide, safe_norm, safe_normalize


@struct.dataclass
class Mesh:
    """A triangle mesh; not necessarily closed, connected or free of degenerate faces."""

    vertices: Float[ArrayLike, "*B V 3"] | Any
    """Metres."""
    faces: Int[ArrayLike, "F 3"] | Any
    """Indices into V, counter-clockwise seen from outside."""


def face_corners(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B F 3 3"]:
    """The triangles: corner k of face f is `[..., f, k, :]`."""
    return jnp.take(jnp.asarray(vertices), jnp.asarray(faces), axis=-2)


def face_normals(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B F 3"]:
    """Unit normals, pointing out of a mesh wound counter-clockwise; zero for faces of no area."""
    return safe_normalize(_double_area_vectors(vertices, faces))


def face_areas(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B F"]:
    """Areas in square metres."""
    return 0.5 * safe_norm(_double_area_vectors(vertices, faces))


def vertex_normals(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B V 3"]:
    """Unit normals at the vertices: face normals averaged by area; zero for vertices without faces."""
    vectors = _double_area_vectors(vertices, faces)
    corners = jnp.broadcast_to(vectors[..., None, :], (*vectors.shape[:-1], 3, 3))
    return safe_normalize(_sum_at_vertices(corners, faces, jnp.shape(vertices)[-2]))


def voronoi_areas(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B V"]:
    """Mixed Voronoi area of each vertex, square metres; they sum to the area of the mesh.

    Meyer et al. 2003 ("Discrete Differential-Geometry Operators for Triangulated 2-Manifolds"), section 3.3 and fig.
    4: the circumcentric region inside non-obtuse triangles; in obtuse ones half of the triangle goes to the obtuse
    corner and a quarter to each of the others.
    """
    corners = face_corners(vertices, faces)
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    double_area = safe_norm(cross(b - a, c - a))
    cosines = jnp.stack([dot(b - a, c - a), dot(c - b, a - b), dot(a - c, b - c)], axis=-1)  # times two edge lengths
    opposite = jnp.stack([dot(c - b, c - b), dot(a - c, a - c), dot(b - a, b - a)], axis=-1)
    cotangents = safe_divide(cosines, jnp.broadcast_to(double_area[..., None], cosines.shape))
    weighted = opposite * cotangents / 8.0  # what the edge opposite of corner k gives to each of its ends
    voronoi = jnp.sum(weighted, axis=-1, keepdims=True) - weighted
    obtuse = cosines < 0
    area = 0.5 * jnp.broadcast_to(double_area[..., None], cosines.shape)
    mixed = jnp.where(jnp.any(obtuse, axis=-1, keepdims=True), jnp.where(obtuse, area / 2.0, area / 4.0), voronoi)
    return _sum_at_vertices(mixed[..., None], faces, jnp.shape(vertices)[-2])[..., 0]


def mesh_volume(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B"]:
    """Signed volume in cubic metres: the tetrahedra between the faces and the mean vertex.

    Meaningful for closed meshes only: positive if they wind outwards, counting overlapping parts twice. For an open
    mesh it is the volume after closing each hole by a cone to the mean vertex: independent of the mesh's place, but
    not a property of the shape.
    """
    vertices = jnp.asarray(vertices)
    corners = face_corners(vertices - jnp.mean(vertices, axis=-2, keepdims=True), faces)
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    return jnp.sum(dot(a, cross(b, c)), axis=-1) / 6.0


def surface_centroid(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "*B 3"]:
    """Centre of mass of the surface (not of the volume): face centres averaged by area; mean vertex if all is flat."""
    vertices = jnp.asarray(vertices)
    areas = face_areas(vertices, faces)
    total = jnp.sum(areas, axis=-1, keepdims=True)
    weights = safe_divide(areas, jnp.broadcast_to(total, areas.shape))
    origin = jnp.mean(vertices, axis=-2, keepdims=True)  # sums stay small, so float32 keeps its digits
    centres = jnp.mean(face_corners(vertices - origin, faces), axis=-2)
    return origin[..., 0, :] + jnp.sum(weights[..., None] * centres, axis=-2)


def _double_area_vectors(vertices: Float[ArrayLike, "*B V 3"], faces: Int[ArrayLike, "F 3"]) -> jax.Array:
    corners = face_corners(vertices, faces)
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    return cross(b - a, c - a)


def _sum_at_vertices(corners: Float[jax.Array, "*B F 3 C"], faces: Int[ArrayLike, "F 3"], count: int) -> jax.Array:
    """Sum of what each face gives to each of its corners, `(*B, V, C)`."""
    rows = jnp.moveaxis(corners.reshape((*corners.shape[:-3], -1, corners.shape[-1])), -2, 0)
    summed = jax.ops.segment_sum(rows, jnp.asarray(faces).reshape(-1), num_segments=count)
    return jnp.moveaxis(summed, 0, -2)
