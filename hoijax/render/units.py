"""Work units: the (primitive, tile) pairs of a batch of pictures, walked in chunks of fixed size.

The number of pairs depends on the scene, shapes may not. So the pairs are never listed: each primitive says how many
tiles its pixel box touches, a running sum turns a unit's number into its primitive and tile, and a `while_loop` runs as
many chunks as there are. No capacity, hence nothing to overflow but the int32 that counts, and that is reported.

Primitives are walked from the last to the first; `rasterize` builds its tie rule on that.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from hoijax.render.clip import PixelBox

MAX_UNITS = 2.0e9  # below 2^31 by more than float32's rounding of the sum


class Grid(NamedTuple):
    """Pictures cut into tiles: `batch` pictures of `image_size`, tiles of `tile` (height, width) pixels."""

    batch: int
    image_size: tuple[int, int]
    tile: tuple[int, int]

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles in one picture."""
        return -(-self.image_size[0] // self.tile[0]), -(-self.image_size[1] // self.tile[1])

    @property
    def rows(self) -> int:
        """Number of tiles in the batch."""
        return self.batch * self.tiles[0] * self.tiles[1]

    @property
    def lanes(self) -> int:
        """Pixels in a tile."""
        return self.tile[0] * self.tile[1]

    def buffer(self, value: Any, dtype: Any) -> jax.Array:
        """A tile-major picture (rows + 1, lanes) filled with one value; the last row takes what nobody wants."""
        return jnp.full((self.rows + 1, self.lanes), value, dtype)

    def to_picture(self, buffer: jax.Array) -> jax.Array:
        """Tile-major (rows + 1, lanes) to (batch, H, W)."""
        (ty, tx), (th, tw), (height, width) = self.tiles, self.tile, self.image_size
        picture = buffer[:-1].reshape(self.batch, ty, tx, th, tw).transpose(0, 1, 3, 2, 4)
        return picture.reshape(self.batch, ty * th, tx * tw)[:, :height, :width]

    def to_tiles(self, picture: jax.Array) -> jax.Array:
        """(batch, H, W) to tile-major (rows + 1, lanes), zero outside the picture."""
        (ty, tx), (th, tw), (height, width) = self.tiles, self.tile, self.image_size
        padded = jnp.pad(picture, ((0, 0), (0, ty * th - height), (0, tx * tw - width)))
        buffer = padded.reshape(self.batch, ty, th, tx, tw).transpose(0, 1, 3, 2, 4).reshape(self.rows, self.lanes)
        return jnp.pad(buffer, ((0, 1), (0, 0)))

    def centres(self, tile_column: jax.Array, tile_row: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Pixel centres (C, lanes) of tiles, x and y from the picture's centre."""
        (th, tw), (height, width) = self.tile, self.image_size
        lane = lax.iota(jnp.int32, self.lanes)
        x = (lane % tw).astype(dtype) + (0.5 - width / 2)
        y = (lane // tw).astype(dtype) + (0.5 - height / 2)
        return (tile_column * tw).astype(dtype)[:, None] + x[None], (tile_row * th).astype(dtype)[:, None] + y[None]


def count_begins(begins: jax.Array) -> jax.Array:
    """For each lane of a chunk, how many of the ascending numbers `begins` (chunk,) are at or before it, int32.

    A running sum as two small products with triangles of ones: XLA's CPU scan takes several times as long.
    """
    chunk = begins.shape[0]
    side = 1 << ((chunk - 1).bit_length() + 1) // 2
    rows = -(-chunk // side)
    counts = jnp.zeros(rows * side, jnp.float32).at[jnp.clip(begins, 0, rows * side)].add(1, mode="drop")

    def ones(size, strict):
        row, column = (lax.broadcasted_iota(jnp.int32, (size, size), k) for k in range(2))
        return (row < column if strict else row <= column).astype(jnp.float32)

    product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)  # exact: sums stay below 2^24
    within = product(counts.reshape(rows, side), ones(side, strict=False))
    before = product(within[:, -1], ones(rows, strict=True))
    return (within + before[:, None]).reshape(-1)[:chunk].astype(jnp.int32)


class Units(NamedTuple):
    """The units of a batch; made by `pack_units`, walked by `for_each_chunk`."""

    start: jax.Array  # (N + chunk,) number of the first unit of each live primitive, last primitive first
    end: jax.Array  # (N + chunk,) one past its last unit
    table: jax.Array  # (N + chunk, 4) first tile column, first tile row, tile columns, primitive
    total: jax.Array  # () number of units
    overflow: jax.Array  # () True if there were too many to count; `total` is then zero


class Chunk(NamedTuple):
    """One trip's units: arrays (chunk,)."""

    owner: jax.Array  # primitive, a row of the flat (batch * primitives) list
    column: jax.Array  # tile column
    row: jax.Array  # tile row
    buffer_row: jax.Array  # row of a tile-major buffer; its last row for lanes beyond the end


def pack_units(box: PixelBox, grid: Grid, chunk: int) -> Units:
    """Lists the primitives that touch a pixel, last first, and numbers their units.

    Args:
      box: pixel boxes of the flat (batch * primitives) list.
      grid: the pictures.
      chunk: units per trip.
    """
    count = box.valid.shape[0]
    th, tw = grid.tile
    column, row = box.column_min // tw, box.row_min // th
    columns, rows = box.column_max // tw - column + 1, box.row_max // th - row + 1
    units = jnp.where(box.valid, columns * rows, 0)
    overflow = jnp.sum(units.astype(jnp.float32)) > MAX_UNITS
    live = box.valid & ~overflow
    # Slot of each live primitive when counted from the end.
    slot = lax.cumsum(live.astype(jnp.int32), reverse=True) - 1
    source = jnp.full(count + chunk, count, jnp.int32)
    source = source.at[jnp.where(live, slot, count + chunk)].set(lax.iota(jnp.int32, count), mode="drop")
    packed = jnp.stack([column, row, columns, units], axis=1)
    packed = packed.at[source].get(mode="fill", fill_value=0)
    end = lax.cumsum(packed[:, 3])
    table = jnp.concatenate([packed[:, :3], jnp.minimum(source, count - 1)[:, None]], axis=1)
    return Units(end - packed[:, 3], end, table, end[-1], overflow)


def for_each_chunk(units: Units, grid: Grid, chunk: int, body: Callable[[Chunk, Any], Any], state: Any) -> Any:
    """Runs `state = body(chunk of units, state)` over all units; no reverse mode."""
    primitives = units.start.shape[0] - chunk
    per_picture = max(primitives // grid.batch, 1)
    tile_rows, tile_columns = grid.tiles
    lane = lax.iota(jnp.int32, chunk)

    def trip(carry):
        index, slot, inner = carry
        first = index * chunk
        # `slot` owns unit `first`. Live slots have a unit each, so the owners of this chunk are among the next `chunk`
        # slots: a lane's owner is the last that begins at or before it.
        slots = slot + count_begins(lax.dynamic_slice(units.start, (slot,), (chunk,)) - first) - 1
        entry = units.table.at[slots].get(mode="promise_in_bounds")
        begin = units.start.at[slots].get(mode="promise_in_bounds")
        local = first + lane - begin
        down = lax.div(local, jnp.maximum(entry[:, 2], 1))
        column = entry[:, 0] + local - down * entry[:, 2]
        row = entry[:, 1] + down
        picture = lax.div(entry[:, 3], jnp.int32(per_picture))
        buffer_row = (picture * tile_rows + row) * tile_columns + column
        buffer_row = jnp.where(first + lane < units.total, buffer_row, grid.rows)
        inner = body(Chunk(entry[:, 3], column, row, buffer_row), inner)
        last = slots[-1]
        following = last + (units.end[last] <= first + chunk).astype(jnp.int32)
        return index + 1, following, inner

    trips = units.total // chunk + (units.total % chunk > 0).astype(jnp.int32)
    start = (jnp.int32(0), jnp.int32(0), state)
    return lax.while_loop(lambda carry: carry[0] < trips, trip, start)[2]
