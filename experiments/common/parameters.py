"""A network's parameters in training: which of them learn, and their running mean.

Works on any pytree, such as `nnx.split`'s states. A parameter's name is its path with dots, as in files of weights:
`layers.0.attention.query.kernel`.
"""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Int

from hoijax.errors import InputError

LORA = r"(^|\.)lora_[aAbB]$"
"""Pattern of the low-rank factors of `flax.nnx.LoRA` and of `hoijax.nets.blocks`, which are named as PEFT's."""


@dataclasses.dataclass(frozen=True)
class Trainable:
    """Which parameters learn: those that `only` finds and `freeze` does not.

    `Trainable(only=(LORA,))` trains adapters alone. The others have no gradient, optimiser state or running mean.
    """

    only: tuple[str, ...] = ()
    """Regular expressions searched for in names; none: all."""
    freeze: tuple[str, ...] = ()
    """The same for parameters that stay as they are."""

    def __post_init__(self):
        for pattern in (*self.only, *self.freeze):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"{pattern!r} is no regular expression for names of parameters: {error}") from error

    def learns(self, name: str) -> bool:
        """Whether the parameter of a name learns."""
        chosen = not self.only or any(re.search(p, name) for p in self.only)
        return chosen and not any(re.search(p, name) for p in self.freeze)

    def split(self, parameters: Any) -> tuple[Any, Any]:
        """The parameters that learn and the frozen ones, each a tree with None in the others' places.

        Raises:
          InputError: nothing would learn, or a pattern finds nothing.
        """
        if not self.only and not self.freeze:
            return parameters, jax.tree.map(lambda _: None, parameters)
        names = [name for name, _ in named_leaves(parameters)]
        for pattern in (*self.only, *self.freeze):
            if not any(re.search(pattern, name) for name in names):
                raise InputError(
                    f"no parameter is called like {pattern!r}; they are called like {', '.join(names[:3])}"
                )
        mask = [self.learns(name) for name in names]
        if not any(mask):
            raise InputError(f"of {len(names)} parameters none would learn; mend the patterns of what learns")
        leaves, structure = jax.tree.flatten(parameters)
        return (
            structure.unflatten([x if m else None for x, m in zip(leaves, mask)]),
            structure.unflatten([None if m else x for x, m in zip(leaves, mask)]),
        )


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Every array of a tree with its name, in the order of `jax.tree.leaves`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(_name(path), leaf) for path, leaf in leaves]


def _name(path: tuple[Any, ...]) -> str:
    """Dotted; an NNX variable's own `value` is no part of the name."""
    text = jax.tree_util.keystr(path, simple=True, separator=".")
    return text.removesuffix(".value").removesuffix(".raw_value")


def merge(first: Any, second: Any) -> Any:
    """The tree of which `Trainable.split` made two."""
    return jax.tree.map(lambda a, b: b if a is None else a, first, second, is_leaf=lambda x: x is None)


def running_mean(average: Any, parameters: Any, step: Int[jax.Array, ""], decay: float) -> Any:
    """The mean of parameters after one more step; that of the first steps must not remember the random start.

    Args:
      average: before, a tree.
      parameters: after the step, the same tree.
      step: how many were taken before.
      decay: share of the mean that is kept, less at first.
    """
    seen = step.astype(jnp.float32)
    kept = jnp.minimum(decay, (1.0 + seen) / (10.0 + seen))
    return jax.tree.map(lambda a, w: kept * a + (1.0 - kept) * w, average, parameters)
