"""Random points on surfaces, and subsets of points spread as evenly as possible."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int, Key

from hoijax.geometry.mesh import Mesh, face_areas
from hoijax.geometry.safe import ArrayLike


@struct.dataclass
class SurfaceSamples:
    """Points on a mesh and where they sit: points = sum_k bary_k * corner_k of the face."""

    points: Float[ArrayLike, "N 3"] | Any
    """Metres."""
    face_ids: Int[ArrayLike, "N"] | Any
    """The face that each lies on."""
    bary: Float[ArrayLike, "N 3"] | Any
    """Barycentric coordinates; they sum to one."""


def sample_surface(key: Key[jax.Array, ""], mesh: Mesh, count: int) -> SurfaceSamples:
    """Points distributed uniformly over the area of one mesh (`vmap` for more).

    Faces are drawn with probability proportional to area; degenerate faces are never drawn unless all are. The
    points are differentiable in the vertices at fixed faces and barycentric coordinates.
    """
    vertices, faces = jnp.asarray(mesh.vertices), jnp.asarray(mesh.faces)
    face_key, bary_key = jax.random.split(key)
    cumulative = jnp.cumsum(jax.lax.stop_gradient(face_areas(vertices, faces)))
    threshold = jax.random.uniform(face_key, (count,), vertices.dtype) * cumulative[-1]
    face_ids = jnp.minimum(jnp.searchsorted(cumulative, threshold, side="right"), faces.shape[0] - 1)
    u, v = jnp.moveaxis(jax.random.uniform(bary_key, (count, 2), vertices.dtype), -1, 0)
    root = jnp.sqrt(u)  # Osada et al. 2002, eq. 1: uniform over the triangle
    bary = jnp.stack([1.0 - root, root * (1.0 - v), root * v], axis=-1)
    points = jnp.sum(bary[..., None] * vertices[faces[face_ids]], axis=-2)
    return SurfaceSamples(points=points, face_ids=face_ids, bary=bary)


def stratified_samples(
    triangles: Float[np.ndarray, "F 3 3"], number: int
) -> tuple[Float[np.ndarray, "number 3"], Int[np.ndarray, "number"]]:
    """Points on triangles without a random number, and the triangle of each. Host function, float64.

    Equal steps of cumulative area choose the face, and the plastic-number sequence (Roberts 2018) the place in it.
    """
    a, b, c = np.moveaxis(np.asarray(triangles, np.float64), 1, 0)
    cumulative = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=-1))
    step = (np.arange(number) + 0.5) / number * cumulative[-1]
    face = np.minimum(np.searchsorted(cumulative, step, side="right"), len(a) - 1)
    g = 1.324717957244746
    u, v = ((np.arange(number)[:, None] * np.array([1 / g, 1 / g**2]) + 0.5) % 1.0).T
    root = np.sqrt(u)[:, None]
    v = v[:, None]
    return (1 - root) * a[face] + root * (1 - v) * b[face] + root * v * c[face], face


def farthest_points(points: Float[ArrayLike, "N 3"], count: int, start: int = 0) -> Int[jax.Array, "count"]:
    """Indices of `count` points, each the farthest from those before it; ties go to the lowest index.

    Farthest point sampling (Gonzalez 1985), one cloud; `count` passes over the cloud.

    Args:
      points: the cloud.
      count: how many; at most N.
      start: index of the first one.

    Raises:
      ValueError: `count` or `start` does not fit the cloud.
    """
    size = points.shape[0]
    if not 1 <= count <= size:
        raise ValueError(f"farthest_points can choose 1 to {size} of {size} points, asked for {count}")
    if not 0 <= start < size:
        raise ValueError(f"start must index one of the {size} points, got {start}")
    return _farthest(jax.lax.stop_gradient(jnp.asarray(points)), count, jnp.asarray(start, jnp.int32))


@functools.partial(jax.jit, static_argnums=1)  # called eagerly, the scan would be compiled at every call
def _farthest(points: jax.Array, count: int, start: jax.Array) -> jax.Array:
    def step(carry, _):
        distance, last = carry
        offset = points - points[last][None]
        distance = jnp.minimum(distance, jnp.sum(offset * offset, axis=-1))
        return (distance, jnp.argmax(distance).astype(jnp.int32)), last

    first = (jnp.full((points.shape[0],), jnp.inf, points.dtype), start)
    return jax.lax.scan(step, first, None, length=count)[1]
