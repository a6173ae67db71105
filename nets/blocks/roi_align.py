"""RoIAlign (He et al. 2017) as two matrix products: bilinear weights factor into rows and columns.

The rules are torchvision's `roi_align(aligned=False)`: no half-pixel shift, sides of at least one pixel, samples
outside the image by more than one pixel are zero, samples nearer than that take the border's value.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray


def _weights(low: jax.Array, high: jax.Array, cells: int, size: int, samples: int | None, most: int) -> jax.Array:
    """Weights (*B, cells, size) that average bilinear samples of one axis over each of `cells` equal bins."""
    dtype = low.dtype
    step = jnp.maximum(high - low, 1.0) / cells
    if samples is None:
        count = jnp.clip(jnp.ceil(step), 1.0, float(most))
        slots = most
    else:
        count, slots = jnp.full_like(step, float(samples)), samples
    grid = (*low.shape, cells, slots)

    def spread(x):
        return jnp.broadcast_to(x[..., None, None], grid)

    cell = jax.lax.broadcasted_iota(dtype, grid, len(grid) - 2)
    slot = jax.lax.broadcasted_iota(dtype, grid, len(grid) - 1)
    at = spread(low) + (cell + (slot + 0.5) / spread(count)) * spread(step)
    used = (slot < spread(count)) & (at >= -1.0) & (at <= float(size))
    at = jnp.clip(at, 0.0, float(size - 1))
    pixel = jax.lax.broadcasted_iota(dtype, (*grid, size), len(grid))
    hat = jnp.maximum(1.0 - jnp.abs(jnp.broadcast_to(at[..., None], pixel.shape) - pixel), 0.0)
    share = jnp.where(used, 1.0 / spread(count), 0.0)
    return jnp.sum(hat * jnp.broadcast_to(share[..., None], hat.shape), axis=-2)


def roi_align(
    image: Float[ArrayLike, "B H W C"],
    boxes: Float[ArrayLike, "B R 4"],
    size: tuple[int, int],
    *,
    samples: int | None = None,
    most: int = 4,
) -> Float[jax.Array, "B R h w C"]:
    """Crops of boxes, resized by averaging bilinear samples; no gradient reaches the boxes, as in torchvision.

    Args:
      image: channels last.
      boxes: (x0, y0, x1, y1) in pixels, pixel centres at integers.
      size: (h, w) of each crop.
      samples: samples per bin and axis; None: as many as pixels in the bin, rounded up (torchvision's default).
      most: bound on that number; boxes of more than `most` pixels per bin are sampled more sparsely.

    Returns:
      R crops of each image.
    """
    image = jnp.asarray(image)
    x0, y0, x1, y1 = jnp.moveaxis(jax.lax.stop_gradient(jnp.asarray(boxes, image.dtype)), -1, 0)
    rows = _weights(y0, y1, size[0], image.shape[1], samples, most)
    columns = _weights(x0, x1, size[1], image.shape[2], samples, most)
    exact = jax.lax.Precision.HIGHEST
    tall = jnp.einsum("brph,bhwc->brpwc", rows, image, precision=exact)
    return jnp.einsum("brqw,brpwc->brpqc", columns, tall, precision=exact)
