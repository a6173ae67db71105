"""The shipped weights: safetensors files, decoded to a flat mapping of float arrays.

A file keeps each array in one of two forms, whichever is smaller: as it is in float16, or, where most entries are
zero, as `name:values` (those that are not zero, row by row) and `name:bits` (a bit per entry, first entry in the
highest bit), with the shape in the file's notes. Both are exact.
"""

import importlib.resources
import json
import pathlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from hoijax.errors import InputError
from hoijax.io.files import PathLike

#: The networks that come with hoijax.
NETWORKS = ("detector", "landmarks", "hand", "chair", "cup")

_VALUES, _BITS = ":values", ":bits"


def asset_file(name: str) -> pathlib.Path:
    """The shipped file of a network.

    Raises:
      InputError: no such network.
    """
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; known are {', '.join(NETWORKS)}")
    return pathlib.Path(str(importlib.resources.files("hoijax.assets") / "blaze" / f"{name}.safetensors"))


def load(name: str) -> dict[str, jax.Array]:
    """Weights of a shipped network in float32, on the default device.

    Raises:
      InputError: no such network.
    """
    return {key: jnp.asarray(value, jnp.float32) for key, value in read_weights(asset_file(name)).items()}


def read_weights(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of a file as they were before `encode`.

    Raises:
      InputError: no such file, or not a file of these weights.
    """
    arrays, notes = _read(path)
    try:
        return decode(arrays, notes)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} does not hold weights of these networks: {error}") from error


def encode(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and notes of a safetensors file; `decode` undoes it."""
    stored, shapes = {}, {}
    for name, array in arrays.items():
        there = array != 0
        if there.sum() * array.itemsize + array.size / 8 < 0.9 * array.nbytes:
            stored[name + _VALUES], stored[name + _BITS] = array[there], np.packbits(there)
            shapes[name] = array.shape
        else:
            stored[name] = np.ascontiguousarray(array)
    return stored, {"shapes": json.dumps(shapes)}


def decode(arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Undoes `encode`.

    Raises:
      KeyError, ValueError: parts are missing or do not fit each other.
    """
    shapes = json.loads(notes["shapes"])
    full = {}
    for name, array in arrays.items():
        if name.endswith(_VALUES):
            name = name.removesuffix(_VALUES)
            there = np.unpackbits(arrays[name + _BITS], count=int(np.prod(shapes[name]))).astype(bool)
            dense = np.zeros(there.size, array.dtype)
            dense[there] = array
            full[name] = dense.reshape(shapes[name])
        elif not name.endswith(_BITS):
            full[name] = array
    return full


def _read(path: PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {path}: {error}") from error
