"""A body as refiners see it: its tables, and the order in which its vertices stand for its surface."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel, JointLimits, joint_limits
from hoijax.geometry import face_areas, farthest_points, vertex_normals

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class BodyField:
    """A body's tables and the order in which its vertices stand for its surface."""

    model: BodyModel
    normals: Float[ArrayLike, "V 3"] | Any
    """Outward unit normals of the rest pose, (V, 3)."""
    rank: Int[ArrayLike, "V"] | Any
    """Position of each vertex in the farthest-point order of the rest pose, (V,) int32: vertices of rank below K are
    spread evenly over the body, and those of them in a region are spread evenly over the region."""
    order: Int[ArrayLike, "V"] | Any
    """Vertices by rank, (V,) int32."""
    area: Float[ArrayLike, ""] | Any
    """Of the surface in the rest pose, square metres, ()."""
    limits: JointLimits


def body_field(model: BodyModel, dtype: Any = jnp.float32) -> BodyField:
    """Prepares a body. Host function, a second for 7,000 vertices; keep the result.

    Args:
      model: any body.
      dtype: of every floating array of the result.
    """
    model = jax.tree.map(lambda x: cast_floating(x, dtype), model)
    order, rank, normals, area = _spread_vertices(model.v_template, model.faces)
    limits = jax.tree.map(jnp.asarray, joint_limits(model))
    return BodyField(model=model, normals=normals, rank=rank, order=order, area=area, limits=limits)


@jax.jit
def _spread_vertices(vertices: Any, faces: Any) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Farthest-point order of a rest pose, the rank of each vertex in it, normals, area: one program for all."""
    order = farthest_points(vertices, vertices.shape[0])
    rank = jnp.zeros_like(order).at[order].set(jnp.arange(len(order), dtype=order.dtype))
    return order, rank, vertex_normals(vertices, faces), jnp.sum(face_areas(vertices, faces))


def cast_floating(x: Any, dtype: Any) -> jax.Array:
    """Floating arrays in `dtype`, integers as they are."""
    if isinstance(x, np.ndarray):  # put there as it is to be, or each shape would be a program that converts it
        return jax.device_put(x.astype(dtype) if np.issubdtype(x.dtype, np.floating) else x)
    x = jnp.asarray(x)
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x
