"""From PyTorch checkpoints to hoijax modules: strict, by name.

Modules carry PyTorch's attribute names, so the path of a parameter here is its key there, up to the leaf (`kernel` for
`weight`, ...); where names differ, `Rule`s say how, and which arrays are stacked there and apart here or the other way
round. What is one array over all layers here (`hoijax.nets.blocks.Stack`) is one for each layer there. A conversion is
then a walk over the module's layers that asks the state dict for each layer's keys in PyTorch's layout. Every missing,
unexpected and mis-shaped key is reported at once, before any number is read.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.blocks.stack import Stack
from hoijax.nets.blocks.streams import describe
from hoijax.nets.weights.files import TensorInfo, Tensors, table_of
from hoijax.nets.weights.modules import name_of

StateDict = Mapping[str, Any]
Axes = tuple[int, ...] | None

# Layer type -> leaf here -> (leaf in PyTorch, axes that bring PyTorch's layout to ours).
_LAYOUTS: dict[type, dict[str, tuple[str, Axes]]] = {
    nnx.Linear: {"kernel": ("weight", (1, 0)), "bias": ("bias", None)},
    nnx.Conv: {"kernel": ("weight", None), "bias": ("bias", None)},
    nnx.ConvTranspose: {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", None)},
    nnx.LayerNorm: {"scale": ("weight", None), "bias": ("bias", None)},
    nnx.GroupNorm: {"scale": ("weight", None), "bias": ("bias", None)},
    nnx.RMSNorm: {"scale": ("weight", None)},
    nnx.BatchNorm: {
        "scale": ("weight", None),
        "bias": ("bias", None),
        "mean": ("running_mean", None),
        "var": ("running_var", None),
    },
    nnx.Embed: {"embedding": ("weight", None)},
}

ALWAYS_IGNORED = ("*num_batches_tracked",)


@dataclasses.dataclass(frozen=True)
class Rule:
    """How some of our keys are called in a checkpoint; regular expressions, the first rule that fits a key counts."""

    ours: str
    """What the whole of our key looks like, in PyTorch's manner: "blocks.0.attention.query.weight"."""
    theirs: str | tuple[str, ...]
    r"""The checkpoint's key, with \1 for the first group; of several the arrays are stacked, rows on rows, to make
    ours."""
    among: tuple[str, ...] = ()
    r"""Where the checkpoint's array is a stack of several of ours: those, in its order, ours among them."""


QKV = ("query", "key", "value")


def fused_rule(theirs: str, *, parts: Sequence[str] = QKV, under: str = r".*") -> Rule:
    """The rule of a checkpoint that stacks what is apart here: `<under>.query`, `.key`, `.value` in one `<theirs>`."""
    names = "|".join(map(re.escape, parts))
    return Rule(rf"({under}\.)({names})\.(weight|bias)", rf"\g<1>{theirs}.\g<3>",
                tuple(rf"\g<1>{part}.\g<3>" for part in parts))  # fmt: skip


def stacked_rule(ours: str, *, parts: Sequence[str], under: str = r".*") -> Rule:
    """The rule of a checkpoint that keeps apart what is stacked here."""
    return Rule(rf"({under}\.){re.escape(ours)}\.(weight|bias)", tuple(rf"\g<1>{part}.\g<2>" for part in parts))


@dataclasses.dataclass(frozen=True)
class TensorSource:
    """Where one of our variables lies in a checkpoint."""

    keys: tuple[str, ...]
    """The arrays that are stacked to it; one, as a rule."""
    rows: tuple[int, int] | None
    """Which rows of the (one) array are ours; None: all."""
    total: int
    """How many rows the array has, 0 for a number alone."""
    axes: Axes
    """Axes that bring PyTorch's layout into ours."""


def _conv_axes(ndim: int) -> tuple[int, ...]:
    """PyTorch's (O, I, spatial...) to (spatial..., I, O)."""
    return (*range(2, ndim), 1, 0)


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A variable of a module."""

    keys: tuple[str, ...]
    """Its key in PyTorch's manner; of a `Stack` one for each layer."""
    variable: nnx.Variable
    """Itself."""
    axes: Axes
    """Axes that bring PyTorch's layout of one layer's array into ours."""
    stacked: bool
    """Whether its first axis counts layers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array of one key, in PyTorch's layout."""
        shape = tuple(self.variable.shape)[self.stacked :]
        return shape if self.axes is None else tuple(shape[i] for i in np.argsort(self.axes))


def _keys(path: tuple[Any, ...], stacks: Mapping[tuple[Any, ...], int]) -> tuple[tuple[str, ...], bool]:
    """The keys of a path, and whether it lies in a stack: its name for the layers becomes each layer's number."""
    for depth in range(len(path)):
        if path[:depth] in stacks:
            start, rest = path[:depth], path[depth + 1 :]
            return tuple(name_of((*start, i, *rest)) for i in range(stacks[path[:depth]])), True
    return (name_of(path),), False


def _leaves(module: nnx.Module) -> dict[str, _Leaf]:
    """Every variable by its name here."""
    layers = [(path, layer) for path, layer in nnx.iter_graph(module) if isinstance(layer, nnx.Module)]
    stacks = {path: layer.count for path, layer in layers if isinstance(layer, Stack)}
    leaves = {}
    for path, layer in layers:  # the oldest Flax has no iter_modules
        layout = _LAYOUTS.get(type(layer), {})
        for name, leaf in vars(layer).items():
            if not isinstance(leaf, nnx.Param | nnx.BatchStat):
                continue
            torch_name, axes = layout.get(name, (name, None))
            keys, stacked = _keys((*path, torch_name), stacks)
            if isinstance(layer, nnx.Conv) and name == "kernel":
                axes = _conv_axes(leaf.ndim - stacked)
            leaves[name_of((*path, name))] = _Leaf(keys, leaf, axes, stacked)
    return leaves


def torch_entries(module: nnx.Module) -> dict[str, tuple[nnx.Variable, Axes]]:
    """PyTorch key of every variable of a module without stacks, with the axes that bring PyTorch's array into ours."""
    return {leaf.keys[0]: (leaf.variable, leaf.axes) for leaf in _leaves(module).values()}


def sources(module: nnx.Module, rules: Sequence[Rule] = ()) -> dict[str, tuple[TensorSource, ...]]:
    """Name of every variable of a module -> where it lies in a checkpoint, layer by layer where it is of a `Stack`."""
    leaves = _leaves(module)
    rows = {key: (leaf.shape or (0,))[0] for leaf in leaves.values() for key in leaf.keys}

    def source(key: str, axes: Axes) -> TensorSource:
        rule = next((rule for rule in rules if re.fullmatch(rule.ours, key)), None)
        keys, start, total = (key,), None, rows[key]
        if rule is not None:
            fit = re.fullmatch(rule.ours, key)
            theirs = (rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs
            keys = tuple(fit.expand(text) for text in theirs)
            if rule.among:
                order = [fit.expand(text) for text in rule.among]
                start = sum(rows[other] for other in order[: order.index(key)])
                total = sum(rows[other] for other in order)
        return TensorSource(keys, None if start is None else (start, start + rows[key]), total, axes)

    return {name: tuple(source(key, leaf.axes) for key in leaf.keys) for name, leaf in leaves.items()}


def published_keys(module: nnx.Module, rules: Sequence[Rule] = ()) -> dict[str, tuple[int, ...] | None]:
    """The checkpoint's keys and their shapes; None where only the sum of several arrays' rows is known."""
    leaves, table = _leaves(module), {}
    for name, places in sources(module, rules).items():
        shape = leaves[name].shape
        for source in places:
            if len(source.keys) > 1:
                table |= dict.fromkeys(source.keys)
            else:
                table[source.keys[0]] = (source.total, *shape[1:]) if shape else ()
    return table


def convert_state_dict(
    module: nnx.Module,
    state_dict: StateDict,
    *,
    ignore: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    dtype: Any = None,
) -> Tensors:
    """A checkpoint's arrays under our names and in our layout, each made when it is asked for.

    Args:
      module: whose variables are wanted; shapes are enough (`nnx.eval_shape`).
      state_dict: arrays by key, `Tensors` too; a common `module.` prefix (DataParallel) is dropped.
      ignore: glob patterns of keys that the state dict may hold for nothing.
      rules: where names differ.
      dtype: type of the arrays of floating-point numbers; None: that of the module's variables.

    Raises:
      InputError: keys are missing, unexpected or of another shape; all of them are named.
    """
    table = {key: info.shape for key, info in table_of(state_dict).items()}
    start = "module." if table and all(key.startswith("module.") for key in table) else ""
    table = {key.removeprefix(start): shape for key, shape in table.items()}
    leaves, places = _leaves(module), sources(module, rules)
    flat = [(source, leaves[name].shape) for name, parts in places.items() for source in parts]
    needed = dict.fromkeys(key for source, _ in flat for key in source.keys)
    problems = [f"missing: {key}" for key in needed if key not in table]
    patterns = (*ALWAYS_IGNORED, *ignore)
    problems += [
        f"unexpected: {key} {shape}"
        for key, shape in table.items()
        if key not in needed and not any(fnmatch.fnmatchcase(key, p) for p in patterns)
    ]
    said = set()
    for source, want in flat:
        if source.keys in said or not all(key in table for key in source.keys):
            continue
        got = [table[key] for key in source.keys]
        want = (source.total, *want[1:]) if want else want
        rows = sum(shape[0] for shape in got if shape)
        if any(shape[1:] != want[1:] or len(shape) != len(want) for shape in got) or (want and rows != want[0]):
            said.add(source.keys)
            shown = got[0] if len(got) == 1 else " and ".join(map(str, got))
            problems.append(f"shape: {' and '.join(source.keys)} is {shown}, wanted {want}")
    if problems:
        shown = "\n  ".join(problems[:40]) + ("" if len(problems) <= 40 else f"\n  and {len(problems) - 40} more")
        raise InputError(f"the checkpoint does not fit {type(module).__name__}; {len(problems)} problems:\n  {shown}")

    def kind(leaf: nnx.Variable) -> np.dtype:
        return np.dtype(dtype if dtype is not None and jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)

    def part(source: TensorSource) -> np.ndarray:
        parts = [np.asarray(state_dict[start + key]) for key in source.keys]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        array = array if source.rows is None else array[slice(*source.rows)]
        return array if source.axes is None else array.transpose(source.axes)

    def pieces(name: str) -> Iterator[np.ndarray]:
        """Of a stack one layer at a time."""
        for source in places[name]:
            array = part(source).astype(kind(leaves[name].variable), copy=False)
            yield array[None] if leaves[name].stacked else array

    def read(name: str) -> np.ndarray:
        if not leaves[name].stacked:
            return next(pieces(name))
        whole = np.empty(leaves[name].variable.shape, kind(leaves[name].variable))
        for i, array in enumerate(pieces(name)):
            whole[i] = array[0]
        return whole

    infos = {name: TensorInfo(tuple(leaf.variable.shape), kind(leaf.variable)) for name, leaf in leaves.items()}
    return Tensors(infos, read, where="the checkpoint", pieces=pieces)


def load_state_dict(
    module: nnx.Module, state_dict: StateDict, *, ignore: Sequence[str] = (), rules: Sequence[Rule] = ()
) -> None:
    """Fills a module in place from a PyTorch state dict; arguments and errors as for `convert_state_dict`."""
    arrays = convert_state_dict(module, state_dict, ignore=ignore, rules=rules)
    for name, leaf in _leaves(module).items():
        leaf.variable[...] = jnp.asarray(arrays[name])


def renamed(state_dict: StateDict, names: Mapping[str, str]) -> Tensors:
    """Some of a state dict's arrays under new names, none of them read: new name -> name there."""
    table = table_of(state_dict)
    return Tensors({new: table[old] for new, old in names.items()}, lambda new: state_dict[names[new]],
                   where="the checkpoint")  # fmt: skip


def shapes_of(make: Callable[[nnx.Rngs], nnx.Module]) -> nnx.Module:
    """A module of `make(rngs)` without numbers."""
    return describe(make)


def state_dict_of(module: nnx.Module, rules: Sequence[Rule] = ()) -> dict[str, np.ndarray]:
    """The way back: a module's arrays as a checkpoint keeps them.

    Raises:
      ValueError: a rule stacks several of the checkpoint's arrays, whose single sizes nobody knows.
    """
    leaves, out = _leaves(module), {}
    parts: dict[str, list[tuple[int, np.ndarray]]] = {}
    for name, places in sources(module, rules).items():
        whole = np.asarray(leaves[name].variable[...])
        for source, array in zip(places, whole if leaves[name].stacked else whole[None]):
            if len(source.keys) > 1:
                raise ValueError(f"{name} is made of {', '.join(source.keys)}, of unknown sizes")
            array = array if source.axes is None else array.transpose(np.argsort(source.axes))
            parts.setdefault(source.keys[0], []).append((source.rows[0] if source.rows else 0, array))
    for key, pieces in parts.items():
        out[key] = (
            np.concatenate([a for _, a in sorted(pieces, key=lambda p: p[0])]) if len(pieces) > 1 else pieces[0][1]
        )
    return out
