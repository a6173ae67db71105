"""Every network whose weights hoijax knows, by name: how it is built, what is published, what is shipped."""

import dataclasses
import importlib
import importlib.resources
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.io.reading import reason
from hoijax.nets.weights.convert import Rule, StateDict, convert_state_dict, published_keys, shapes_of
from hoijax.nets.weights.files import Tensors, notes_of, open_tensors, table_of
from hoijax.nets.weights.modules import fill, own_arrays

TABLES = (
    "hoijax.nets.scorehoi.checkpoints", "hoijax.nets.graft.checkpoints", "hoijax.nets.blaze.weights",
    "hoijax.nets.clip.checkpoints", "hoijax.nets.sam.checkpoints", "hoijax.nets.sana.checkpoints",
    "hoijax.nets.llama.checkpoints", "hoijax.nets.stable_diffusion.checkpoints",
    "hoijax.nets.interactvlm.checkpoints", "hoijax.nets.interactanything.checkpoints",
    "hoijax.nets.pair_contact.checkpoints", "hoijax.nets.vposer.checkpoints",
)  # fmt: skip
"""Modules with a table WEIGHTS of their networks by name."""

Companions = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Facts and arrays that a network needs beside its own, found in files of its authors."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the registry."""

    title: str
    """What it is, in a few words."""
    build: Callable[[Mapping[str, Any], nnx.Rngs], nnx.Module] | None
    """Makes it from the facts that a file of weights keeps (`read_facts`); None: no module, but functions of arrays."""
    published: Mapping[str, Any] | None = None
    """Facts of the authors' checkpoint, which `hoijax convert` writes beside the weights; None: nothing to convert."""
    ignore: tuple[str, ...] = ()
    """Glob patterns of keys that the checkpoint holds for nothing."""
    rules: tuple[Rule, ...] = ()
    """Where the checkpoint's names differ from ours."""
    prepare: Callable[[StateDict], StateDict] | None = None
    """Brings other forms in which the checkpoint is published to the one that the rules speak of."""
    describe: Callable[[Mapping[str, tuple[int, ...]], Mapping[str, Any] | None], dict[str, Any]] | None = None
    """Of checkpoints of several sizes: facts of one, from its arrays' shapes by key and the `config.json` beside it,
    where there is one."""
    shipped: str | None = None
    """The file below `hoijax/assets`; None: none comes with hoijax."""
    sha256: str | None = None
    """Digest of the shipped file."""
    companions: Callable[..., Companions] | None = None
    """`(base_data=, pointnext=)`, paths or None, to what the authors keep in other files."""

    def make(self, rngs: nnx.Rngs, facts: Mapping[str, Any] | None = None) -> nnx.Module:
        """The network with random weights, at the published size without `facts`.

        Raises:
          InputError: the facts do not describe such a network, or it is no module.
        """
        if self.build is None:
            raise InputError(f"{self.title}, is no module; its package reads it")
        facts = self.published if facts is None else facts
        try:
            return self.build({} if facts is None else facts, rngs)
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"the facts beside the weights do not say how to build the {self.title} ({reason(error)})"
            ) from error

    @property
    def path(self) -> pathlib.Path | None:
        """The shipped file."""
        return (
            None
            if self.shipped is None
            else pathlib.Path(str(importlib.resources.files("hoijax.assets"))) / self.shipped
        )


def entries() -> dict[str, Entry]:
    """The registry."""
    return {name: entry for table in TABLES for name, entry in importlib.import_module(table).WEIGHTS.items()}


def find(name: str) -> Entry:
    """The entry of a name.

    Raises:
      InputError: the name is unknown.
    """
    known = entries()
    if name not in known:
        raise InputError(f"no weights are called {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def checkpoints() -> dict[str, Entry]:
    """Every entry that a published checkpoint fills."""
    return {name: entry for name, entry in entries().items() if entry.published is not None}


def find_checkpoint(name: str) -> Entry:
    """The entry of a published checkpoint.

    Raises:
      InputError: the name is unknown.
    """
    known = checkpoints()
    if name not in known:
        raise InputError(f"no checkpoint is called {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def shipped_file(name: str) -> pathlib.Path:
    """The file of weights that comes with hoijax.

    Raises:
      InputError: none does.
    """
    path = find(name).path
    if path is None:
        raise InputError(f"no weights of {name} come with hoijax")
    return path


def load(name: str, path: pathlib.Path | None = None, **how: Any) -> tuple[nnx.Module, dict[str, Any]]:
    """A network and the facts kept with its weights.

    Args:
      name: of the registry.
      path: a file of its weights; None: the shipped one.
      **how: `dtype` and `place` of `fill`.

    Raises:
      InputError: an unknown name, no such file, or weights of another network.
    """
    entry = find(name)
    path = shipped_file(name) if path is None else path
    tensors = open_tensors(path)
    facts = tensors.facts()
    return fill(lambda rngs: entry.make(rngs, facts), own_arrays(tensors), where=path, **how), facts


def convert_published(
    name: str, state_dict: StateDict, *, dtype: Any = None, config: Mapping[str, Any] | None = None
) -> Tensors:
    """A published checkpoint's arrays under our names, each made when it is asked for; notes say what they are of.

    Args:
      name: one of `checkpoints()`.
      state_dict: PyTorch's parameters by key, as arrays.
      dtype: type of the arrays of floating-point numbers; None: float32.
      config: what the `config.json` beside the checkpoint says, where there is one.

    Raises:
      InputError: the name is unknown, keys are missing, unexpected or of another shape, or the sizes cannot be told.
    """
    entry = find_checkpoint(name)
    if entry.prepare is not None:
        state_dict = entry.prepare(state_dict)
    facts = entry.published or {}
    if entry.describe is not None:
        shapes = {key: info.shape for key, info in table_of(state_dict).items()}
        try:
            facts = entry.describe(shapes, config)
        except InputError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InputError(
                f"arrays and config.json do not say how to build the {entry.title} ({reason(error)})"
            ) from error
    empty = shapes_of(lambda rngs: entry.make(rngs, facts))
    arrays = convert_state_dict(empty, state_dict, ignore=entry.ignore, rules=entry.rules, dtype=dtype)
    return Tensors(arrays.table, arrays.__getitem__, notes_of({"name": name, **facts}), arrays.where,
                   arrays.pieces)  # fmt: skip


def from_torch(name: str, state_dict: StateDict) -> nnx.Module:
    """The module of a published checkpoint, filled and in evaluation mode.

    Args:
      name: one of `checkpoints()`.
      state_dict: PyTorch's parameters by key, as arrays.

    Raises:
      InputError: the name is unknown, or keys are missing, unexpected or of another shape.
    """
    arrays = convert_published(name, state_dict)
    facts = arrays.facts()
    return fill(lambda rngs: find_checkpoint(name).make(rngs, facts), arrays, where="the checkpoint")


def key_table(name: str) -> dict[str, tuple[int, ...] | None]:
    """Keys and shapes of a published checkpoint, without those that mean nothing.

    Raises:
      InputError: the name is unknown.
    """
    entry = find_checkpoint(name)
    return published_keys(shapes_of(entry.make), entry.rules)


def markdown() -> str:
    """The registry as a table, for docs/weights.md."""
    rows = ["| name | network | `hoijax convert` | comes with hoijax |", "|---|---|---|---|"]
    for name, entry in sorted(entries().items()):
        rows.append(
            f"| `{name}` | {entry.title} | {'yes' if entry.published is not None else ''} | {entry.shipped or ''} |"
        )
    return "\n".join(rows) + "\n"
