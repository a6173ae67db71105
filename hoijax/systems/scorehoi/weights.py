"""Weights of a trained network with what they are of, in one safetensors file."""

import importlib.resources
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hoijax.errors import InputError
from hoijax.io import write_bytes
from hoijax.nets.convert import abstract, to_flat


def weights_file(name: str) -> pathlib.Path:
    """A file that is shipped: "regressor", "denoiser" or "prior"."""
    return pathlib.Path(str(importlib.resources.files("hoijax.assets") / f"scorehoi/{name}.safetensors"))


def save_network(path: pathlib.Path, network: nnx.Module, facts: Mapping[str, Any]) -> None:
    """Writes parameters and statistics, whole or not at all, and `facts` in JSON's types."""
    write_bytes(path, save(to_flat(network), metadata={"facts": json.dumps(dict(facts))}))


def read_facts(path: pathlib.Path) -> dict[str, Any]:
    """What was kept beside the weights.

    Raises:
      InputError: no such file, or none of `save_network`.
    """
    return _read(path)[1]


def load_network(path: pathlib.Path, build: Callable[[nnx.Rngs], nnx.Module]) -> nnx.Module:
    """A network with a file's weights, in evaluation mode.

    Args:
      path: of `save_network`.
      build: makes the network that the weights are of.

    Raises:
      InputError: no such file, or the weights are of another network.
    """
    arrays, _ = _read(path)
    network = abstract(build)
    leaves = nnx.to_flat_state(nnx.state(network))
    wanted = {".".join(map(str, key)): leaf[...].shape for key, leaf in leaves}
    found = {name: array.shape for name, array in arrays.items()}
    if wanted != found:
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise InputError(f"{path} is not of this network: {len(wrong)} arrays differ, such as {', '.join(wrong[:3])}")
    for key, leaf in leaves:
        leaf[...] = jnp.asarray(arrays[".".join(map(str, key))], leaf[...].dtype)  # float16 on disk, maybe
    network.eval()
    return network


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, facts
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"cannot read weights of ScoreHOI's training from {path}: {error}") from error
