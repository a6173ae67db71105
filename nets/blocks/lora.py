"""Low-rank adaptation (Hu et al. 2022): a linear layer with a small trainable product beside its frozen matrix."""

import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray


class LoRALinear(nnx.Module):
    """base(x) + (alpha / rank) dropout(x) A B; B starts at zero, so that nothing changes at first.

    A and B are `nnx.LoRAParam`s: `nnx.state(network, nnx.LoRAParam)` is what is trained. Attribute names are those of
    the PEFT library less its adapter's name, `lora_A` and `lora_B` with PyTorch's layout.

    Args:
      base: the layer that is adapted.
      rank: columns of A.
      alpha: the product counts alpha / rank.
      rngs: where A, and dropout's masks, come from.
      dropout: share of the inputs that the product does not see, in training.
    """

    def __init__(self, base: nnx.Linear, rank: int, alpha: float, rngs: nnx.Rngs, *, dropout: float = 0.0):
        inputs, outputs = base.in_features, base.out_features
        self.base, self.scale = base, alpha / rank
        bound = inputs**-0.5  # PEFT's start: Kaiming's uniform with a = sqrt(5)
        copies = base.kernel.shape[:-2]  # the layers of a `Stack`
        first = jax.random.uniform(rngs.params(), (*copies, rank, inputs), jnp.float32, -bound, bound)
        self.lora_A = nnx.LoRAParam(first)
        self.lora_B = nnx.LoRAParam(jnp.zeros((*copies, outputs, rank), jnp.float32))
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None

    def __call__(self, x: Float[ArrayLike, "*B I"]) -> Float[jax.Array, "*B O"]:
        """The adapted layer's outputs."""
        y = self.base(x)
        x = jnp.asarray(x) if self.dropout is None else self.dropout(jnp.asarray(x))
        a, b = (p[...].astype(y.dtype) for p in (self.lora_A, self.lora_B))
        return y + self.scale * ((x.astype(y.dtype) @ a.T) @ b.T)

    def merge(self) -> nnx.Linear:
        """The base layer with the product added to its matrix."""
        kernel = self.base.kernel
        product = jnp.matmul(self.lora_B[...], self.lora_A[...], precision="highest").swapaxes(-1, -2)
        kernel[...] = (kernel[...].astype(jnp.float32) + self.scale * product).astype(kernel.dtype)
        return self.base


def _places(module: nnx.Module, kind: type) -> Iterator[tuple[str, nnx.Module, str]]:
    """Path, parent and attribute of every layer of a kind."""
    places = []
    for path, parent in nnx.iter_graph(module):
        if isinstance(parent, nnx.Module):
            for name, layer in vars(parent).items():
                if isinstance(layer, kind):
                    places.append((".".join(map(str, (*path, name))), parent, name))
    return iter(places)


def add_lora(
    module: nnx.Module, where: str, *, rank: int, alpha: float, rngs: nnx.Rngs, dropout: float = 0.0
) -> list[str]:
    """Adapts linear layers of a network in place.

    Args:
      module: the network.
      where: regular expression that the whole dotted path of a layer fits: r".*\\.(query|value)".
      rank: of each product.
      alpha: the products count alpha / rank.
      rngs: where the initial factors come from.
      dropout: see `LoRALinear`.

    Returns:
      Paths of the layers that were adapted.

    Raises:
      ValueError: no layer fits.
    """
    adapted = []
    for path, parent, name in _places(module, nnx.Linear):
        if re.fullmatch(where, path):
            setattr(parent, name, LoRALinear(getattr(parent, name), rank, alpha, rngs, dropout=dropout))
            adapted.append(path)
    if not adapted:
        raise ValueError(f"no linear layer fits {where!r}")
    return adapted


def merge_lora(module: nnx.Module) -> list[str]:
    """Puts plain layers, with the products in their matrices, in the adapted ones' place; returns their paths."""
    merged = []
    for path, parent, name in _places(module, LoRALinear):
        setattr(parent, name, getattr(parent, name).merge())
        merged.append(path)
    return merged
