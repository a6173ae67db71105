"""Random numbers of networks that are only described, not made."""

from collections.abc import Callable

import jax
from flax import nnx


class StillStream(nnx.RngStream):
    """A stream that gives one key again and again.

    Where a network is described without being made (`describe`), numbers do not matter, and Flax would look through all
    that was described before for every count that it adds: twice the layers take four times as long.
    """

    def __call__(self) -> jax.Array:
        """The key."""
        return self.key[...]


def rngs_like(rngs: nnx.Rngs, key: jax.Array | int) -> nnx.Rngs:
    """Streams of a key, still where the given ones are."""
    new = nnx.Rngs(key)
    if isinstance(vars(rngs).get("default"), StillStream):
        new.default.__class__ = StillStream
    return new


def describe(build: Callable[[nnx.Rngs], nnx.Module]) -> nnx.Module:
    """A module of `build(rngs)` with shapes and types in place of numbers."""

    def make() -> nnx.Module:
        rngs = nnx.Rngs(0)
        rngs.default.__class__ = StillStream
        module = build(rngs)
        for _, node in nnx.iter_graph(module):
            if type(node) is StillStream:
                node.__class__ = nnx.RngStream
        return module

    return nnx.eval_shape(make)
