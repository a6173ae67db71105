"""Equal layers one after the other as one program that runs them in turn: forty compile like one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hoijax.nets.blocks.streams import rngs_like

Carry, Step = Any, Callable[[Any, Any, Any], tuple[Any, Any]]


class Stack(nnx.Module):
    """`count` layers of one kind whose variables have the layer as their first axis.

    In a file of weights the variables are called `<name>.block. ...`; a published checkpoint's keys `<name>.0. ...`,
    `<name>.1. ...` are stacked where it is converted.

    Args:
      make: makes one layer.
      count: how many.
      rngs: where the initial weights come from.
    """

    def __init__(self, make: Callable[[nnx.Rngs], nnx.Module], count: int, rngs: nnx.Rngs):
        self.count = count
        keys = jax.random.split(rngs.params(), count)
        graph, _, rest = nnx.split(make(rngs_like(rngs, keys[0])), nnx.Param, ...)
        params = jax.vmap(lambda key: nnx.state(make(rngs_like(rngs, key)), nnx.Param))(keys)
        self.block = nnx.merge(graph, params, rest)

    def scan(self, step: Step, carry: Carry, per_layer: Any = None, *, remat: bool = False) -> tuple[Carry, Any]:
        """Carries something through the layers.

        Args:
          step: `(layer, carry, x) -> (carry, y)`, of one layer.
          carry: what the first layer takes.
          per_layer: arrays whose first axis counts layers; each layer gets its part as x.
          remat: whether gradients find the insides of a layer again instead of keeping them.

        Returns:
          What the last layer gives, and every layer's y with the layer as first axis.
        """
        graph, params, rest = nnx.split(self.block, nnx.Param, ...)

        def body(state, item):
            carry, rest = state
            layer = nnx.merge(graph, item[0], rest)
            carry, y = step(layer, carry, item[1])
            # Streams of random numbers (dropout) go on from layer to layer.
            return (carry, nnx.state(layer, nnx.Not(nnx.Param))), y

        (carry, rest), ys = jax.lax.scan(
            jax.checkpoint(body) if remat else body, (carry, rest), (params, per_layer), length=self.count
        )
        if jax.tree.leaves(rest):
            nnx.update(self.block, rest)
        return carry, ys

    def apart(self) -> "Row":
        """The same layers, each with variables of its own."""
        graph, state = nnx.split(self.block)
        params, rest = nnx.split_state(state, nnx.Param, ...)
        return Row([nnx.merge(graph, jax.tree.map(lambda x, i=i: x[i], params), rest) for i in range(self.count)])


class Row(nnx.Module):
    """Layers that run in turn like a `Stack`'s, as programs of their own: to write word by word on a CPU.

    A stack's program copies each layer's matrices before it multiplies one vector by them, half of the time that it
    takes; a row's does not, and takes longer to compile.

    Args:
      layers: of one kind.
    """

    def __init__(self, layers: Sequence[nnx.Module]):
        self.layers = nnx.List(list(layers))

    def scan(self, step: Step, carry: Carry, per_layer: Any = None, *, remat: bool = False) -> tuple[Carry, Any]:
        """As `Stack.scan`."""
        ys = []
        for i, layer in enumerate(self.layers):
            item = jax.tree.map(lambda x, i=i: x[i], per_layer)
            carry, y = (jax.checkpoint(step) if remat else step)(layer, carry, item)
            ys.append(y)
        return carry, jax.tree.map(lambda *parts: jnp.stack(parts), *ys)
