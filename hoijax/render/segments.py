"""Per-pixel work on covered pixels alone: pictures cut into row segments, walked in chunks.

Most of a picture is background, and at a megapixel a gather per pixel costs more than rasterizing. Segments of one row
need no reordering of memory, which tiles would.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from hoijax.render.batching import with_chunk

LANES = 32  # pixels in a segment
CPU_CHUNK = 256  # segments per trip
ACCELERATOR_CHUNK = 8192


class Strip(NamedTuple):
    """The segments of one trip."""

    rows: jax.Array  # (C,) segment numbers; out of range for lanes beyond the end
    x: jax.Array  # (C, LANES) int32, twice the pixel centres' distance from the picture's centre: 2 column + 1 - W
    y: jax.Array  # (C, LANES) likewise: 2 row + 1 - H
    picture: jax.Array  # (C, LANES) which picture of the batch

    def centres(self, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Pixel centres (C, LANES), x and y from the picture's centre."""
        return self.x.astype(dtype) * 0.5, self.y.astype(dtype) * 0.5


def to_segments(picture: jax.Array, fill: Any) -> jax.Array:
    """(B, H, W, ...) to (segments, LANES, ...), the right rim padded with `fill`."""
    batch, height, width, *rest = picture.shape
    padding = -width % LANES
    if padding:
        picture = jnp.pad(picture, [(0, 0), (0, 0), (0, padding)] + [(0, 0)] * len(rest), constant_values=fill)
    return picture.reshape(batch * height * ((width + padding) // LANES), LANES, *rest)


def from_segments(segments: jax.Array, batch: int, image_size: tuple[int, int]) -> jax.Array:
    """(segments, LANES, ...) to (B, H, W, ...)."""
    height, width = image_size
    padded = width + -width % LANES
    return segments.reshape(batch, height, padded, *segments.shape[2:])[:, :, :width]


def for_active_segments(
    active: jax.Array, image_size: tuple[int, int], chunk: int, body: Callable[[Strip, Any], Any], state: Any
) -> Any:
    """Runs `state = body(strip, state)` over the segments marked in `active`; no reverse mode.

    Args:
      active: (segments,) bool.
      image_size: height and width of the pictures, before padding.
      chunk: segments per trip.
      body: one trip; `strip.rows` is to be read with mode "clip" and written with mode "drop".
      state: pytree of arrays.
    """
    height, width = image_size
    across = -(-width // LANES)
    count = active.shape[0]
    slot = lax.cumsum(active.astype(jnp.int32)) - 1
    total = slot[-1] + 1
    listed = jnp.full(count + chunk, count, jnp.int32)
    listed = listed.at[jnp.where(active, slot, count + chunk)].set(lax.iota(jnp.int32, count), mode="drop")
    lane = lax.iota(jnp.int32, LANES)

    def trip(carry):
        index, inner = carry
        rows = lax.dynamic_slice(listed, (index * chunk,), (chunk,))
        line = lax.div(rows, jnp.int32(across))
        picture = lax.div(line, jnp.int32(height))
        column = ((rows - line * across) * LANES)[:, None] + lane[None]
        x = 2 * column + (1 - width)
        y = 2 * (line - picture * height) + (1 - height)
        shape = (chunk, LANES)
        strip = Strip(rows, x, jnp.broadcast_to(y[:, None], shape), jnp.broadcast_to(picture[:, None], shape))
        return index + 1, body(strip, inner)

    return lax.while_loop(lambda carry: carry[0] * chunk < total, trip, (jnp.int32(0), state))[1]


def with_segment_chunk(kernel: Callable[..., Any], *args: Any) -> Any:
    """Calls `kernel(chunk, *args)` with the platform's number of segments per trip."""
    return with_chunk(kernel, None, *args, cpu=CPU_CHUNK, accelerator=ACCELERATOR_CHUNK)
