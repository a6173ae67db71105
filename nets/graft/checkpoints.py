"""GRAFT's weights: sizes, probe vertices and provenance beside them in one file."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.graft.config import GraftConfig
from hoijax.nets.graft.encoder import ImageEncoder
from hoijax.nets.graft.model import Graft
from hoijax.nets.weights import Entry, fill, open_tensors, save_network, shipped_file


def config_of(facts: Mapping[str, Any]) -> GraftConfig:
    """The sizes that a file's facts say."""
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["config"].items()}
    return GraftConfig(**sizes)


WEIGHTS = {
    "graft": Entry(
        "GRAFT's network",
        lambda facts, rngs: Graft(config_of(facts), rngs),
        shipped="graft/graft.safetensors",
        sha256="a5705d611afc5e52e30e78e8f8e2d4e6661b50e5336e5d3cff7781bd1b8b21fd",
    ),
    "graft_encoder": Entry(
        "hoijax's image encoder for GRAFT", lambda facts, rngs: ImageEncoder(tuple(facts["widths"]), rngs)
    ),
}

LABELS = {"graft": "GRAFT weights of hoijax", "graft_encoder": "image encoder of hoijax"}
"""What messages call the networks."""


def save_graft(path: PathLike, model: Graft, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a network's weights, whole or not at all.

    Args:
      path: the `.safetensors` file.
      model: the network.
      facts: what else to keep, in JSON's types: the probe vertices of the bodies it was trained with, training data,
        seed, versions.
    """
    save_network(pathlib.Path(path), model, {**(facts or {}), "config": dataclasses.asdict(model.config)})


def load_graft(path: PathLike, **changes: Any) -> tuple[Graft, dict[str, Any]]:
    """A network with the weights of a file, and the facts kept with them.

    Args:
      path: a file of `save_graft`.
      **changes: fields of `GraftConfig` that do not change the weights, such as `dtype`.

    Raises:
      InputError: no such file, or not GRAFT's weights.
    """
    network, facts = _load("graft", path, "config", lambda sizes: {**sizes, **changes})
    return network, {name: value for name, value in facts.items() if name != "config"}


def load(path: PathLike | None = None) -> Graft:
    """The network of a file, or the shipped one.

    Raises:
      InputError: no such file, or not GRAFT's weights.
    """
    return load_graft(shipped_graft() if path is None else path)[0]


def save_encoder(path: PathLike, encoder: ImageEncoder) -> None:
    """Writes the weights of hoijax's own image encoder, whole or not at all; see `save_graft`."""
    save_network(pathlib.Path(path), encoder, {"widths": encoder.widths})


def load_encoder(path: PathLike) -> ImageEncoder:
    """The encoder of a file of `save_encoder`.

    Raises:
      InputError: no such file, or not an encoder's weights.
    """
    return _load("graft_encoder", path, "widths", lambda widths: widths)[0]


def _load(name: str, path: PathLike, sizes: str, change: Any) -> tuple[nnx.Module, dict[str, Any]]:
    tensors = open_tensors(path, what="GRAFT's weights")
    facts, entry = tensors.facts(), WEIGHTS[name]
    if not isinstance(facts.get(sizes), dict | list):
        raise InputError(f"{path} holds no {LABELS[name]}: it does not say its {sizes}")
    try:
        network = fill(lambda rngs: entry.make(rngs, facts | {sizes: change(facts[sizes])}), tensors, where=path)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    return network, facts


def graft_facts(path: PathLike) -> dict[str, Any]:
    """The facts of a file of `save_graft`, without its network.

    Raises:
      InputError: no such file, or not a file of weights.
    """
    return open_tensors(path, what="GRAFT's weights").facts()


def shipped_graft() -> pathlib.Path:
    """The file of the network that comes with hoijax (docs/graft.md)."""
    return shipped_file("graft")
