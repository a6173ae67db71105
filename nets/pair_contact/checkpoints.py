"""Weights of the light contact network: sizes, words and provenance beside them in one file."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.pair_contact.config import Config
from hoijax.nets.pair_contact.model import Model
from hoijax.nets.weights import Entry, fill, open_tensors, save_network, shipped_file


def config_of(facts: Mapping[str, Any]) -> Config:
    """The sizes that a file's facts say."""
    return Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts["config"].items()})


WEIGHTS = {
    "pair_contact": Entry(
        "light contact network",
        lambda facts, rngs: Model(config_of(facts), rngs),
        shipped="pair_contact/light.safetensors",
        sha256="1bd8548330954e2ae70f76eb2a12bb9aa3556c5d1aa56bb3e6394d043a7e06a2",
    ),
}


def save_pair_contact(path: PathLike, model: Model, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a network's weights in float16, whole or not at all.

    Args:
      path: the `.safetensors` file.
      model: the network.
      facts: what else to keep, in JSON's types: `threshold`, seed, versions.
    """
    graph, state = nnx.split(model)
    half = nnx.merge(graph, state.map(lambda _, v: v.replace(v[...].astype(jnp.float16))))
    save_network(pathlib.Path(path), half, {**(facts or {}), "config": dataclasses.asdict(model.config)})


def load_pair_contact(path: PathLike | None = None) -> tuple[Model, dict[str, Any]]:
    """A network in float32 and the facts kept with its weights.

    Args:
      path: a file of `save_pair_contact`; None: the shipped one.

    Raises:
      InputError: no such file, or weights of another network.
    """
    path = shipped_file("pair_contact") if path is None else path
    tensors = open_tensors(path, what="weights of the light contact network")
    facts = tensors.facts()
    if not isinstance(facts.get("config"), dict) or "words" not in facts["config"]:
        raise InputError(f"{path} holds no light contact network: it does not say its sizes and words")
    entry = WEIGHTS["pair_contact"]
    network = fill(lambda rngs: entry.make(rngs, facts), tensors, where=path)
    return network, {name: value for name, value in facts.items() if name != "config"}


def load(path: PathLike | None = None) -> Model:
    """The network of a file, or the shipped one.

    Raises:
      InputError: no such file, or weights of another network.
    """
    return load_pair_contact(path)[0]
