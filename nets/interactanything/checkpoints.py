"""Files of weights: the learned affordance's and the prior's of poses."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.interactanything.model import Config, Model
from hoijax.nets.interactanything.pose_prior import PosePrior, PriorConfig
from hoijax.nets.weights import Entry, fill, open_tensors, save_network, shipped_file
from hoijax.nets.weights.files import notes_of, write_tensors
from hoijax.nets.weights.modules import to_flat


def _prior(facts: Mapping[str, Any], rngs: nnx.Rngs) -> PosePrior:
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["config"].items()}
    return PosePrior(PriorConfig(**sizes), rngs)


NAME, PRIOR = "interactanything", "interactanything_prior"
WEIGHTS = {
    NAME: Entry(
        "InteractAnything's learned affordance",
        lambda facts, rngs: Model(Config(**facts["config"]), rngs),
        shipped="interactanything/affordance.safetensors",
        sha256="c795cc5cf35b546b7f79633b9658b80dc85564b4fccb4754c2879202b182ac44",
    ),
    PRIOR: Entry(
        "InteractAnything's prior of poses",
        _prior,
        shipped="interactanything/pose_prior.safetensors",
        sha256="f759fbb14aaa70539f12e68b5c425f33671eb09a4979f03f9d44a382a4b12fa4",
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
    return _read(NAME, "the learned affordance", path)


def save_prior(path: PathLike, prior: PosePrior, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a prior's weights in half precision, whole or not at all; arguments as of `save`."""
    arrays = {name: array.astype(np.float16) for name, array in to_flat(prior).items()}
    write_tensors(pathlib.Path(path), arrays, notes_of({**(facts or {}), "config": dataclasses.asdict(prior.config)}))


def load_prior(path: PathLike | None = None) -> PosePrior:
    """The prior of a file, or the shipped one.

    Raises:
      InputError: no such file, or not the prior's weights.
    """
    return _read(PRIOR, "the prior of poses", path)


def _read(name: str, what: str, path: PathLike | None) -> nnx.Module:
    path = shipped_file(name) if path is None else path
    tensors = open_tensors(path, what=f"weights of {what}")
    facts = tensors.facts()
    if not isinstance(facts.get("config"), dict):
        raise InputError(f"{path} holds no weights of {what}: it does not say its config")
    return fill(lambda rngs: WEIGHTS[name].make(rngs, facts), tensors, where=path)
