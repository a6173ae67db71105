"""Files of the learned affordance's weights."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.interactanything.model import Config, Model
from hoijax.nets.weights import Entry, fill, open_tensors, save_network, shipped_file

NAME = "interactanything"
WEIGHTS = {
    NAME: Entry(
        "InteractAnything's learned affordance",
        lambda facts, rngs: Model(Config(**facts["config"]), rngs),
        shipped="interactanything/affordance.safetensors",
        sha256="c795cc5cf35b546b7f79633b9658b80dc85564b4fccb4754c2879202b182ac44",
    ),
}


def save(path: PathLike, model: Model, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a network's weights, whole or not at all.

    Args:
      path: the `.safetensors` file.
      model: the network.
      facts: what else to keep, in JSON's types.
    """
    save_network(pathlib.Path(path), model, {**(facts or {}), "config": dataclasses.asdict(model.config)})


def load(path: PathLike | None = None) -> Model:
    """The network of a file, or the shipped one.

    Raises:
      InputError: no such file, or not the learned affordance's weights.
    """
    path = shipped_file(NAME) if path is None else path
    tensors = open_tensors(path, what="weights of the learned affordance")
    facts = tensors.facts()
    if not isinstance(facts.get("config"), dict):
        raise InputError(f"{path} holds no weights of the learned affordance: it does not say its config")
    return fill(lambda rngs: WEIGHTS[NAME].make(rngs, facts), tensors, where=path)
