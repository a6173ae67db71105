"""Between networks and arrays by name: the one function that fills a network, and the way back."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.blocks.streams import describe
from hoijax.nets.weights.files import Tensors, notes_of, open_tensors, table_of, write_tensors

Build = Callable[[nnx.Rngs], nnx.Module]


def abstract(build: Build) -> nnx.Module:
    """A module of `build(rngs)` whose arrays are zeros: to be filled, without drawing random numbers."""
    graph, state = nnx.split(describe(build))
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state))


def name_of(path: tuple[Any, ...]) -> str:
    """The name of a variable in a file: its path with dots."""
    return ".".join(map(str, path))


def to_flat(module: nnx.Module) -> dict[str, np.ndarray]:
    """Every parameter and statistic by dotted path, in our layout."""
    return {name_of(path): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(module))}


def fill(
    build: Build,
    arrays: Mapping[str, Any],
    *,
    where: Any = "the file",
    dtype: Any = None,
    place: Callable[[str, np.ndarray], jax.Array] | None = None,
) -> nnx.Module:
    """A network of `build(rngs)` with the given arrays, in evaluation mode.

    Each array is read, turned into its variable's type and put where it belongs before the next one.

    Args:
      build: makes the network that the arrays are of.
      arrays: by dotted path, in our layout (`to_flat`).
      where: what messages call the arrays.
      dtype: type of the variables of floating-point numbers instead of the network's own.
      place: `(name, array) -> array on devices`, to shard a network that no one device holds; by default all of it
        goes to JAX's default device.

    Raises:
      InputError: arrays are missing, left over or of another shape.
    """
    graph, state = nnx.split(describe(build))
    flat = {name_of(path): (path, leaf) for path, leaf in nnx.to_flat_state(state)}
    wanted = {name: tuple(leaf.shape) for name, (_, leaf) in flat.items()}
    given = {name: info.shape for name, info in table_of(arrays).items()}
    if wanted != given:
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise InputError(
            f"{where} is not of this network: {len(wrong)} arrays are missing, left over or of another shape, such as "
            + ", ".join(wrong[:3])
        )
    filled = []
    for name, (path, leaf) in flat.items():
        kind = np.dtype(leaf.dtype)
        if dtype is not None and jnp.issubdtype(kind, jnp.floating):
            kind = np.dtype(dtype)
        array = np.asarray(arrays[name]).astype(kind, copy=False)
        filled.append((path, leaf.replace(jnp.asarray(array) if place is None else place(name, array))))
    module = nnx.merge(graph, nnx.from_flat_state(filled))
    module.eval()
    return module


def save_network(path: pathlib.Path, network: nnx.Module, facts: Mapping[str, Any]) -> None:
    """Writes parameters and statistics, whole or not at all, and `facts` in JSON's types."""
    write_tensors(path, to_flat(network), notes_of(facts))


def load_network(path: pathlib.Path, build: Build, **how: Any) -> nnx.Module:
    """A network with a file's weights, in evaluation mode.

    Args:
      path: of `save_network`, or of `hoijax convert`.
      build: makes the network that the weights are of.
      **how: `dtype` and `place` of `fill`.

    Raises:
      InputError: no such file, or the weights are of another network.
    """
    return fill(build, own_arrays(open_tensors(path)), where=path, **how)


def read_facts(path: pathlib.Path) -> dict[str, Any]:
    """What was kept beside the weights.

    Raises:
      InputError: no such file, or a file without facts.
    """
    tensors = open_tensors(path)
    if "facts" not in tensors.notes:
        raise InputError(
            f"cannot read weights from {path}: it does not say what they are of. Weights of hoijax do; a published "
            "checkpoint becomes one by `hoijax convert`"
        )
    return tensors.facts()


COMPANION = "/"
"""Between the name of a companion and that of its array: "pointnext/encoder..."."""


def own_arrays(tensors: Tensors) -> Tensors:
    """The arrays of the network itself, without those of its companions."""
    return tensors.select({name: name for name in tensors if COMPANION not in name})


def companion(tensors: Tensors, name: str) -> Tensors:
    """The arrays of a companion: what a network needs beside itself, in the same file."""
    start = name + COMPANION
    return tensors.select({key.removeprefix(start): key for key in tensors if key.startswith(start)})
