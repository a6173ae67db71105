"""Signed distance grids: looked up and differentiated anywhere. `sdf_build` makes them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.box import Box, clamp_to_box
from hoijax.geometry.safe import ArrayLike, safe_norm


@struct.dataclass
class SDFGrid:
    """Signed distance at the points origin + spacing * (i, j, k): positive outside, metres."""

    values: Float[ArrayLike, "X Y Z"] | Any
    """Metres."""
    origin: Float[ArrayLike, "3"] | Any
    """Where values[0, 0, 0] sits, metres."""
    spacing: Float[ArrayLike, ""] | Any
    """Metres between neighbouring samples, the same along each axis."""

    @property
    def box(self) -> Box:
        """The box between the first and the last sample."""
        steps = jnp.asarray(self.values.shape[-3:], self.origin.dtype) - 1
        return Box(lower=self.origin, upper=self.origin + self.spacing[..., None] * steps)


def query_sdf(grid: SDFGrid, points: Float[ArrayLike, "*B N 3"]) -> Float[jax.Array, "*B N"]:
    """Signed distance at points of any leading axes, metres, trilinear between samples; positive outside.

    Outside the grid's box: the value at the nearest point of the box plus the distance to it, which is never less
    than the true distance. Differentiable in points and grid; the derivative is the exact one of the interpolant, so
    it jumps across cell faces.
    """
    points = jnp.asarray(points)
    values = jnp.asarray(grid.values)
    origin, spacing = jnp.asarray(grid.origin), jnp.asarray(grid.spacing)
    size = values.shape
    flat = points.reshape(-1, 3)
    nearest = clamp_to_box(flat, SDFGrid(values, origin, spacing).box)
    cell = (nearest - jnp.broadcast_to(origin, nearest.shape)) / spacing
    last = jnp.asarray([n - 2 for n in size], jnp.int32)
    corner = jnp.clip(jax.lax.stop_gradient(cell).astype(jnp.int32), 0, jnp.broadcast_to(last, cell.shape))
    x, y, z = jnp.moveaxis(cell - corner.astype(cell.dtype), -1, 0)
    base = (corner[:, 0] * size[1] + corner[:, 1]) * size[2] + corner[:, 2]
    table = values.reshape(-1)
    steps = [(i * size[1] + j) * size[2] + k for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    v = [table[base + step] for step in steps]
    along_z = [v[2 * m] + z * (v[2 * m + 1] - v[2 * m]) for m in range(4)]
    along_y = [along_z[2 * m] + y * (along_z[2 * m + 1] - along_z[2 * m]) for m in range(2)]
    inside = along_y[0] + x * (along_y[1] - along_y[0])
    return (inside + safe_norm(flat - nearest)).reshape(points.shape[:-1])
