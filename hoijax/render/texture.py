"""Bilinear texture lookup, differentiable in the texture and in the coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

ArrayLike = jax.Array | np.ndarray

__all__ = ["sample_texture"]


def sample_texture(
    texture: Float[ArrayLike, "H W C"],
    uv: Float[ArrayLike, "*B 2"],
    *,
    wrap: str = "repeat",
    size: tuple[Float[ArrayLike, "*B"], Float[ArrayLike, "*B"]] | None = None,
    first_row: Int[ArrayLike, "*B"] | None = None,
) -> Float[jax.Array, "*B C"]:
    """Reads a texture at continuous coordinates.

    `u` runs right and `v` up, as in OBJ files and in trimesh: (0, 0) is the lower left corner of the image, whose row
    0 is on top (glTF files have `v` downward: pass `1 - v`). Texel (row i, column j) has its centre at
    `u = (j + 0.5) / W`, `v = 1 - (i + 0.5) / H`. There are no mip levels: shrink a texture much finer than the
    picture, or supersample.

    Args:
      texture: the image, row 0 on top.
      uv: coordinates; per pixel ones come from `interpolate(fragments, uv_faces, uv)`.
      wrap: outside [0, 1]: "repeat" tiles the texture, "clamp" continues its edge.
      size: height and width, per sample, of the part of `texture` in use, which is at its left edge; default: all.
      first_row: top row of that part, per sample, for several images stacked in one; default: 0.

    Returns:
      Interpolated values. The derivative by `uv` is that of the bilinear patch, one-sided at texel centres.

    Raises:
      ValueError: `wrap` is neither of the two.
    """
    if wrap not in ("repeat", "clamp"):
        raise ValueError(f"wrap must be 'repeat' or 'clamp', got '{wrap}'")
    texture, uv = jnp.asarray(texture), jnp.asarray(uv)
    dtype = uv.dtype
    if size is None:
        height = jnp.full(uv.shape[:-1], texture.shape[0], dtype)
        width = jnp.full(uv.shape[:-1], texture.shape[1], dtype)
    else:
        height, width = (jnp.asarray(s).astype(dtype) for s in size)
    x = uv[..., 0] * width - 0.5
    y = (1.0 - uv[..., 1]) * height - 0.5
    left, top = jnp.floor(x), jnp.floor(y)
    fx, fy = x - jax.lax.stop_gradient(left), y - jax.lax.stop_gradient(top)

    def index(position: Float[jax.Array, "*B"], count: Float[jax.Array, "*B"]) -> jax.Array:
        """Texel index of an integral position under the wrap rule."""
        if wrap == "repeat":
            position = position - count * jnp.floor(position / count)
        return jnp.clip(jax.lax.stop_gradient(position), 0.0, count - 1.0).astype(jnp.int32)

    columns = (index(left, width), index(left + 1.0, width))
    rows = (index(top, height), index(top + 1.0, height))
    flat = texture.reshape(-1, texture.shape[2])
    weights = (1.0 - fx, fx), (1.0 - fy, fy)
    value = jnp.zeros((*uv.shape[:-1], texture.shape[2]), jnp.result_type(texture, uv))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            weight = (weights[0][j] * weights[1][i])[..., None].astype(texture.dtype)
            above = row if first_row is None else row + jnp.asarray(first_row).astype(row.dtype)
            value = value + weight * flat[above * texture.shape[1] + column]
    return value
