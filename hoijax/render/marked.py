"""Work on a few marked places of a large array: found without a capacity, walked in chunks of fixed size."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from hoijax.render.batching import with_chunk
from hoijax.render.units import count_begins

LANES = 32  # neighbouring places counted together
CPU_CHUNK = 2048  # places per trip
ACCELERATOR_CHUNK = 65536


def for_marked(marks: jax.Array, chunk: int, body: Callable[[jax.Array, jax.Array, Any], Any], state: Any) -> Any:
    """Runs `state = body(index, live, state)` over the indices where `marks` is True; no reverse mode.

    Args:
      marks: (M,) bool.
      chunk: indices per trip.
      body: one trip; `index` (chunk,) int32 is valid also where `live` (chunk,) is False.
      state: pytree of arrays.
    """
    padded = jnp.pad(marks, (0, -marks.shape[0] % LANES)).reshape(-1, LANES)
    groups = padded.shape[0]
    count = jnp.sum(padded, axis=1, dtype=jnp.int32)
    # Groups with a mark, in order; each has a place at least, so a chunk's groups are among the next `chunk` of them.
    slot = lax.cumsum((count > 0).astype(jnp.int32)) - 1
    listed = jnp.full(groups + chunk, groups, jnp.int32)
    listed = listed.at[jnp.where(count > 0, slot, groups + chunk)].set(lax.iota(jnp.int32, groups), mode="drop")
    counts = count.at[listed].get(mode="fill", fill_value=0)
    end = lax.cumsum(counts)
    start, total = end - counts, end[-1]
    lane = lax.iota(jnp.int32, chunk)
    upper = jnp.triu(jnp.ones((LANES, LANES), jnp.float32))

    def trip(carry):
        number, first_slot, inner = carry
        first = number * chunk
        slots = first_slot + count_begins(lax.dynamic_slice(start, (first_slot,), (chunk,)) - first) - 1
        group = jnp.minimum(listed.at[slots].get(mode="promise_in_bounds"), groups - 1)
        rank = first + lane - start.at[slots].get(mode="promise_in_bounds")
        # The place in its group whose number of marks up to and including itself first exceeds the rank.
        row = padded.at[group].get(mode="promise_in_bounds").astype(jnp.float32)
        place = jnp.sum((row @ upper) <= rank.astype(jnp.float32)[:, None], axis=1, dtype=jnp.int32)
        live = first + lane < total
        index = jnp.where(live, group * LANES + place, 0)
        last = slots[-1]
        following = last + (end[last] <= first + chunk).astype(jnp.int32)
        return number + 1, following, body(index, live, inner)

    carry = (jnp.int32(0), jnp.int32(0), state)
    return lax.while_loop(lambda c: c[0] * chunk < total, trip, carry)[2]


def with_marked_chunk(kernel: Callable[..., Any], *args: Any) -> Any:
    """Calls `kernel(chunk, *args)` with the platform's number of places per trip."""
    return with_chunk(kernel, None, *args, cpu=CPU_CHUNK, accelerator=ACCELERATOR_CHUNK)
