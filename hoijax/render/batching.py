"""Batches for kernels that loop: `vmap` merges its axis into the kernel's own batch axis.

A `while_loop` under plain `vmap` runs every sample for as many trips as the busiest one and blends the carries; a
kernel that takes a batch as one longer list of work has no such waste. The platform only decides how much work one trip
holds.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.custom_batching import custom_vmap

CPU_CHUNK = 4096  # keeps the temporaries of one trip in the second-level cache
ACCELERATOR_CHUNK = 131072  # few trips: each costs some kernel launches


def fold_vmap(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Makes `vmap` of a kernel over leading batch axes one call with a longer batch axis.

    Args:
      kernel: function of arrays (or pytrees of them) that all have a leading batch axis of one length, to a pytree of
        arrays with that leading axis.
    """
    folded = custom_vmap(kernel)

    @folded.def_vmap
    def _(axis_size, in_batched, *args):
        def merge(x, batched):
            if not batched:
                x = jax.numpy.broadcast_to(x[None], (axis_size, *x.shape))
            return x.reshape((-1, *x.shape[2:]))

        out = folded(*jax.tree.map(merge, args, tuple(in_batched)))
        out = jax.tree.map(lambda y: y.reshape((axis_size, -1, *y.shape[1:])), out)
        return out, jax.tree.map(lambda _: True, out)

    return folded


def with_chunk(
    kernel: Callable[..., Any],
    chunk: int | None,
    *args: Any,
    cpu: int = CPU_CHUNK,
    accelerator: int = ACCELERATOR_CHUNK,
) -> Any:
    """Calls `kernel(chunk, *args)`; `None` takes the platform's number, `cpu` or `accelerator`, at lowering time."""
    if chunk is not None:
        return kernel(chunk, *args)
    if jax.default_backend() == "cpu":  # no other platform here: tracing the kernel for both would double that time
        return kernel(cpu, *args)
    return jax.lax.platform_dependent(*args, cpu=lambda *a: kernel(cpu, *a), default=lambda *a: kernel(accelerator, *a))
