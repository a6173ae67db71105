"""Exact nearest neighbours in a fixed cloud asked many times: points in equal blocks, boxes around them.

The host halves the cloud along its longer side again and again, as a balanced k-d tree does, until blocks of a few
hundred points are left, all of one size: no cell overflows, whatever the density. A query compares itself with all
boxes, looks into the block whose box is nearest, and goes on until no box that is left could hold a nearer point.
That is dense arithmetic on arrays of fixed shape, as fast compilers like it, and the answer is exact always: the work
grows for hard queries, the correctness does not suffer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry.nearest import Nearest
from hoijax.geometry.safe import ArrayLike, safe_norm


@struct.dataclass
class PointBlocks:
    """A cloud in M blocks of K points; made by `point_blocks`. Coordinates come first: (3, M, K)."""

    points: Float[ArrayLike, "3 M K"] | Any
    """Metres."""
    lower: Float[ArrayLike, "3 M"] | Any
    """The smallest coordinates in each block."""
    upper: Float[ArrayLike, "3 M"] | Any
    """The largest."""
    index: Int[ArrayLike, "M K"] | Any
    """Which point of the cloud."""


def point_blocks(
    points: Float[ArrayLike, "P 3"], *, block: int | None = None, capacity: int | None = None
) -> PointBlocks:
    """Sorts a cloud into blocks, on the host, in NumPy.

    Places that are left over are filled with points of the cloud again, which changes no distance.

    Args:
      points: the cloud, metres; finite.
      block: the largest number of points in a block; None: twice the square root of their number, about where the
        work on boxes and the work inside blocks are equal.
      capacity: build as for a cloud of this many points, so that clouds of different sizes have equal shapes and
        share one compiled program. At least P; None: P.

    Raises:
      ValueError: no points, points that are not finite, or more than `capacity`.
    """
    points = np.asarray(points)
    count = points.shape[0]
    capacity = count if capacity is None else capacity
    if count == 0:
        raise ValueError("point_blocks needs at least one point, got 0")
    if count > capacity:
        raise ValueError(f"{count} points do not fit a capacity of {capacity}")
    if not np.isfinite(points).all():
        broken = int((~np.isfinite(points).all(axis=1)).sum())
        raise ValueError(f"{broken} of {count} points are not finite; leave them out")
    block = max(1, round(2 * capacity**0.5)) if block is None else block
    levels = max(0, int(np.ceil(np.log2(capacity / block))))
    size = -(-capacity // 2**levels)
    order = np.resize(np.arange(count, dtype=np.int32), (1, size * 2**levels))
    for _ in range(levels):
        segment = points[order]
        axis = np.argmax(segment.max(axis=1) - segment.min(axis=1), axis=1)
        key = np.take_along_axis(segment, axis[:, None, None], axis=2)[..., 0]
        middle = key.shape[1] // 2
        order = np.take_along_axis(order, np.argpartition(key, middle - 1, axis=1), axis=1)
        order = order.reshape(-1, middle)
    sorted_points = np.ascontiguousarray(points[order].transpose(2, 0, 1))
    return PointBlocks(sorted_points, sorted_points.min(axis=2), sorted_points.max(axis=2), order)


def nearest_in_blocks(blocks: PointBlocks, queries: Float[ArrayLike, "Q 3"]) -> Nearest:
    """Closest point of the cloud for each query; exact. `vmap` for more queries, or for stacked clouds.

    A rounded difference never grows when its point moves nearer, so that the distance to a box as computed is never
    above that of a point in it as computed: the search stops at the answer of the exhaustive comparison, up to points
    of equal distance. The index carries no derivative; the distance does.

    Args:
      blocks: from `point_blocks`.
      queries: metres; finite, else their distances are NaN.

    Returns:
      Distances and indices into the cloud; among equally near points any.
    """
    queries = jnp.asarray(queries)
    table, lower, upper = (jnp.asarray(x) for x in (blocks.points, blocks.lower, blocks.upper))
    slot = _search(table, lower, upper, jax.lax.stop_gradient(queries))
    nearest = table.reshape(3, -1)[:, slot].T
    return Nearest(distance=safe_norm(queries - nearest), index=jnp.asarray(blocks.index).reshape(-1)[slot])


def _search(table: jax.Array, lower: jax.Array, upper: jax.Array, queries: jax.Array) -> jax.Array:
    """Place of the nearest point of each query, (Q) int, among the M * K places.

    Every round looks into one block for each query, the one whose box is nearest of those left. Sorting the boxes
    instead, or taking several at a time with `top_k`, costs more on a CPU than all the rounds together.
    """
    count, size, columns = queries.shape[0], table.shape[2], queries.T
    below, above = lower[:, None] - columns[:, :, None], columns[:, :, None] - upper[:, None]
    bound = _square(jnp.maximum(jnp.maximum(below, above), 0))
    numbers = jnp.arange(table.shape[1], dtype=jnp.int32)[None, :]

    def look(state):
        left, best, slot = state
        chosen = jnp.argmin(left, axis=1).astype(jnp.int32)
        distance = _square(table[:, chosen] - columns[:, :, None])
        place = jnp.argmin(distance, axis=1).astype(jnp.int32)
        smallest = jnp.min(distance, axis=1)
        left = jnp.where(numbers == chosen[:, None], jnp.inf, left)
        closer = smallest < best
        return left, jnp.where(closer, smallest, best), jnp.where(closer, chosen * size + place, slot)

    def is_unfinished(state):
        left, best, _ = state
        return jnp.any(jnp.min(left, axis=1) < best)

    start = bound, jnp.full(count, jnp.inf, queries.dtype), jnp.zeros(count, jnp.int32)
    return jax.lax.while_loop(is_unfinished, look, look(start))[2]


def _square(difference: jax.Array) -> jax.Array:
    x, y, z = difference
    return x * x + y * y + z * z
