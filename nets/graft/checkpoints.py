"""GRAFT's weights as a safetensors file that says what they are: sizes, probe vertices and provenance beside them."""

import dataclasses
import importlib.resources
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hoijax.errors import InputError
from hoijax.io.files import PathLike, write_bytes
from hoijax.nets.graft.config import GraftConfig
from hoijax.nets.graft.encoder import ImageEncoder
from hoijax.nets.graft.model import Graft


def save_graft(path: PathLike, model: Graft, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a network's weights, whole or not at all.

    Args:
      path: the `.safetensors` file.
      model: the network.
      facts: what else to keep, in JSON's types: the probe vertices of the bodies it was trained with, training data,
        seed, versions.
    """
    arrays = {_name(key): np.asarray(leaf[...]) for key, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    notes = {"config": json.dumps(dataclasses.asdict(model.config)), "facts": json.dumps(dict(facts or {}))}
    write_bytes(path, save(arrays, metadata=notes))


def load_graft(path: PathLike, **changes: Any) -> tuple[Graft, dict[str, Any]]:
    """A network with the weights of a file, and the facts kept with them.

    Args:
      path: a file of `save_graft`.
      **changes: fields of `GraftConfig` that do not change the weights, such as `dtype`.

    Raises:
      InputError: no such file, or not GRAFT's weights.
    """
    arrays, notes = _read(path)
    if "config" not in notes:
        raise InputError(f"{path} holds no GRAFT weights of hoijax: it does not say its sizes")
    sizes = json.loads(notes["config"])
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()}
    model = nnx.eval_shape(lambda: Graft(GraftConfig(**(sizes | changes)), nnx.Rngs(0)))
    return _filled(path, model, arrays), json.loads(notes["facts"])


def save_encoder(path: PathLike, encoder: ImageEncoder) -> None:
    """Writes the weights of hoijax's own image encoder, whole or not at all; see `save_graft`."""
    arrays = {_name(key): np.asarray(leaf[...]) for key, leaf in nnx.to_flat_state(nnx.state(encoder, nnx.Param))}
    write_bytes(path, save(arrays, metadata={"widths": json.dumps(encoder.widths)}))


def load_encoder(path: PathLike) -> ImageEncoder:
    """The encoder of a file of `save_encoder`.

    Raises:
      InputError: no such file, or not an encoder's weights.
    """
    arrays, notes = _read(path)
    if "widths" not in notes:
        raise InputError(f"{path} holds no image encoder of hoijax: it does not say its widths")
    widths = tuple(json.loads(notes["widths"]))
    return _filled(path, nnx.eval_shape(lambda: ImageEncoder(widths, nnx.Rngs(0))), arrays)


def _read(path: PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return arrays, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read GRAFT's weights from {path}: {error}") from error


def _filled(path: PathLike, model: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A module of shapes with the arrays of a file."""
    graph, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    wanted = {_name(key): leaf.shape for key, leaf in flat.items()}
    got = {name: array.shape for name, array in arrays.items()}
    if wanted != got:
        wrong = sorted(k for k in wanted.keys() | got.keys() if wanted.get(k) != got.get(k))
        raise InputError(f"{path}: {len(wrong)} weights are missing, left over or of another shape, first {wrong[:3]}")
    filled = {key: leaf.replace(arrays[_name(key)]) for key, leaf in flat.items()}
    return nnx.merge(graph, nnx.from_flat_state(filled))


def shipped_graft() -> pathlib.Path:
    """The file of the network that comes with hoijax (docs/graft.md)."""
    return pathlib.Path(str(importlib.resources.files("hoijax.assets") / "graft" / "graft.safetensors"))


def _name(key: tuple[Any, ...]) -> str:
    return ".".join(map(str, key))
