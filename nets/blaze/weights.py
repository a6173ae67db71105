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
import numpy as np

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.weights import Entry, open_tensors

NETWORKS = ("detector", "landmarks", "hand", "chair", "cup")
"""The networks that come with hoijax."""

_VALUES, _BITS = ":values", ":bits"


def _entry(title: str, name: str, sha256: str) -> Entry:
    return Entry(
        f"MediaPipe's {title}, a flat mapping of arrays", None, shipped=f"blaze/{name}.safetensors", sha256=sha256
    )


WEIGHTS = {
    "blaze_chair": _entry(
        "boxes of chairs", "chair", "b49c6d9933da997fb1a9d2133fe421c0d7decfe99e86b22302aa16e5689e084e"
    ),
    "blaze_cup": _entry("boxes of cups", "cup", "b5fd8e7ed43b306e83775a9254f2b7e29b01382723bb87ea76acb48b58a80041"),
    "blaze_detector": _entry(
        "detector of persons", "detector", "4f0fcc4f74a909e3dace2cc7ef0889ed1d5d5e2e6d9fde06dd3dd4e6f7f7960a"
    ),
    "blaze_hand": _entry("hand network", "hand", "a399ce6b72c7cb9d38b0e2985f44d1f3856f18011631817bd988ca4d86b5ac59"),
    "blaze_landmarks": _entry(
        "landmarks of a person", "landmarks", "e423e865956a0bbe38553275a38cfe19200d34262b7d512bb391d36611d0fe32"
    ),
}


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
    # Converted by NumPy: on the device every shape would be one more program to compile.
    return jax.device_put({key: value.astype(np.float32) for key, value in read_weights(asset_file(name)).items()})


def read_weights(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of a file as they were before `encode`.

    Raises:
      InputError: no such file, or not a file of these weights.
    """
    tensors = open_tensors(path)
    try:
        return decode(tensors, tensors.notes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold weights of these networks: {error}") from error


def encode(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and notes of a safetensors file; `decode` undoes it."""
    stored, shapes = {}, {}
    for name, array in arrays.items():
        nonzero = array != 0
        if nonzero.sum() * array.itemsize + array.size / 8 < 0.9 * array.nbytes:
            stored[name + _VALUES], stored[name + _BITS] = array[nonzero], np.packbits(nonzero)
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
            nonzero = np.unpackbits(arrays[name + _BITS], count=int(np.prod(shapes[name]))).astype(bool)
            dense = np.zeros(nonzero.size, array.dtype)
            dense[nonzero] = array
            full[name] = dense.reshape(shapes[name])
        elif not name.endswith(_BITS):
            full[name] = array
    return full
