"""From PyTorch checkpoints to hoijax modules: strict, by name.

Modules carry PyTorch's attribute names, so the path of a parameter here is its key there, up to the leaf (`kernel` for
`weight`, ...). A conversion is then a walk over the module's layers that asks the state dict for each layer's keys in
PyTorch's layout. Every missing, unexpected and mis-shaped key is reported at once.
"""

import dataclasses
import fnmatch
import importlib
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.errors import InputError

StateDict = Mapping[str, np.ndarray]

# Layer type -> leaf here -> (leaf in PyTorch, axes that bring PyTorch's layout to ours).
_LAYOUTS: dict[type, dict[str, tuple[str, tuple[int, ...] | None]]] = {
    nnx.Linear: {"kernel": ("weight", (1, 0)), "bias": ("bias", None)},
    nnx.Conv: {"kernel": ("weight", None), "bias": ("bias", None)},
    nnx.ConvTranspose: {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", None)},
    nnx.LayerNorm: {"scale": ("weight", None), "bias": ("bias", None)},
    nnx.BatchNorm: {
        "scale": ("weight", None),
        "bias": ("bias", None),
        "mean": ("running_mean", None),
        "var": ("running_var", None),
    },
    nnx.Embed: {"embedding": ("weight", None)},
}

# Packages that publish a table CHECKPOINTS of their checkpoints by name.
_PACKAGES = ("hoijax.nets.scorehoi",)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint, or the part of one that a module takes."""

    make: Callable[[nnx.Rngs], nnx.Module]
    """Makes the module at the published size."""
    ignore: tuple[str, ...] = ()
    """Glob patterns of keys that the checkpoint holds for nothing."""


ALWAYS_IGNORED = ("*num_batches_tracked",)


def _conv_axes(ndim: int) -> tuple[int, ...]:
    """PyTorch's (O, I, spatial...) to (spatial..., I, O)."""
    return (*range(2, ndim), 1, 0)


def torch_entries(module: nnx.Module) -> dict[str, tuple[nnx.Variable, tuple[int, ...] | None]]:
    """PyTorch key of every variable of a module, with the axes that bring PyTorch's array into our layout."""
    entries = {}
    for path, layer in nnx.iter_graph(module):  # the oldest Flax has no iter_modules
        if not isinstance(layer, nnx.Module):
            continue
        layout = _LAYOUTS.get(type(layer), {})
        for name, leaf in vars(layer).items():
            if not isinstance(leaf, nnx.Param | nnx.BatchStat):
                continue
            torch_name, axes = layout.get(name, (name, None))
            if isinstance(layer, nnx.Conv) and name == "kernel":
                axes = _conv_axes(leaf.ndim)
            entries[".".join(map(str, (*path, torch_name)))] = (leaf, axes)
    return entries


def load_state_dict(module: nnx.Module, state_dict: StateDict, *, ignore: Sequence[str] = ()) -> None:
    """Fills a module in place from a PyTorch state dict.

    Args:
      module: its attribute paths are the state dict's keys.
      state_dict: arrays by key; a common `module.` prefix (DataParallel) is dropped.
      ignore: glob patterns of keys that the state dict may hold for nothing.

    Raises:
      InputError: keys are missing, unexpected or of another shape; all of them are named.
    """
    if state_dict and all(key.startswith("module.") for key in state_dict):
        state_dict = {key.removeprefix("module."): value for key, value in state_dict.items()}
    entries = torch_entries(module)
    problems = [f"missing: {key}" for key in entries if key not in state_dict]
    patterns = (*ALWAYS_IGNORED, *ignore)
    problems += [
        f"unexpected: {key} {tuple(np.shape(value))}"
        for key, value in state_dict.items()
        if key not in entries and not any(fnmatch.fnmatchcase(key, p) for p in patterns)
    ]
    found = {}
    for key, (leaf, axes) in entries.items():
        if key in state_dict:
            array = np.asarray(state_dict[key])
            inverse = None if axes is None else tuple(np.argsort(axes))
            want = leaf[...].shape if inverse is None else tuple(leaf[...].shape[i] for i in inverse)
            if array.shape != want:
                problems.append(f"shape: {key} is {array.shape}, wanted {want}")
            else:
                found[key] = array if axes is None else array.transpose(axes)
    if problems:
        shown = "\n  ".join(problems[:40]) + ("" if len(problems) <= 40 else f"\n  and {len(problems) - 40} more")
        raise InputError(f"the checkpoint does not fit {type(module).__name__}; {len(problems)} problems:\n  {shown}")
    for key, (leaf, _) in entries.items():
        leaf[...] = jnp.asarray(found[key], leaf[...].dtype)


def abstract(make: Callable[[nnx.Rngs], nnx.Module]) -> nnx.Module:
    """A module from `make(rngs)` whose arrays are zeros: to be filled, without drawing random numbers."""
    graph, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state))


def checkpoints() -> dict[str, Checkpoint]:
    """Every checkpoint that `from_torch` knows, by name."""
    return {name: c for package in _PACKAGES for name, c in importlib.import_module(package).CHECKPOINTS.items()}


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of a name.

    Raises:
      InputError: the name is unknown.
    """
    known = checkpoints()
    if name not in known:
        raise InputError(f"no checkpoint is called {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def from_torch(name: str, state_dict: StateDict) -> nnx.Module:
    """The module of a published checkpoint, filled and in evaluation mode.

    Args:
      name: one of `checkpoints()`.
      state_dict: PyTorch's parameters by key, as arrays.

    Returns:
      The module.

    Raises:
      InputError: the name is unknown, or keys are missing, unexpected or of another shape.
    """
    checkpoint = find_checkpoint(name)
    module = abstract(checkpoint.make)
    load_state_dict(module, state_dict, ignore=checkpoint.ignore)
    module.eval()
    return module


def to_flat(module: nnx.Module) -> dict[str, np.ndarray]:
    """Every parameter and statistic by dotted path, in our layout."""
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(module))}


def from_flat(name: str, arrays: StateDict) -> nnx.Module:
    """The module of a published checkpoint from the arrays that `to_flat` gave, in evaluation mode.

    Args:
      name: one of `checkpoints()`.
      arrays: by dotted path; a file that `hoijax convert` wrote, say.

    Raises:
      InputError: the name is unknown, or paths or shapes differ.
    """
    module = abstract(find_checkpoint(name).make)
    leaves = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(module))}
    wrong = sorted(leaves.keys() ^ arrays.keys())
    wrong += sorted(k for k in leaves.keys() & arrays.keys() if leaves[k][...].shape != np.shape(arrays[k]))
    if wrong:
        raise InputError(f"the arrays do not fit {name}: {len(wrong)} paths differ, such as {', '.join(wrong[:5])}")
    nnx.update(module, nnx.from_flat_state([
        (path, leaf.replace(jnp.asarray(arrays[".".join(map(str, path))], leaf[...].dtype)))
        for path, leaf in nnx.to_flat_state(nnx.state(module))
    ]))  # fmt: skip
    module.eval()
    return module
