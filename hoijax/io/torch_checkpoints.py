"""Reading PyTorch checkpoints (`.pth`, `.pt`, `.bin`, `.ckpt`, `.tar`) without PyTorch and without executing them.

Since version 1.6 such a file is a zip archive: `data.pkl` describes tensors by storage key, offset, size and stride,
and `data/<key>` holds each storage's bytes. The pickle is read with stand-ins (see `hoijax.io.pickles`).
"""

import dataclasses
import io
import os
import pathlib
import zipfile
from typing import Any

import ml_dtypes
import numpy as np

from hoijax.errors import InputError
from hoijax.io.pickles import InertUnpickler

_STORAGES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}

# Entries under which training scripts keep the parameters, looked for in this order.
STATE_DICT_KEYS = ("model_state_dict", "state_dict", "network", "model", "module", "ema")


@dataclasses.dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class _Ignored:
    """An object that says nothing about the parameters: optimisers, devices, configurations."""

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> "_Ignored":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Takes what a pickle puts into a list of its own class."""

    def extend(self, values: Any) -> None:
        """Takes what a pickle puts into a list of its own class."""


class _TorchUnpickler(InertUnpickler):
    def __init__(self, data: bytes, archive: zipfile.ZipFile, folder: str):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._archive, self._folder = archive, folder
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        try:
            return super().find_class(module, name)
        except InputError:
            # Checkpoints carry settings and optimiser states of many classes. A stand-in that does nothing serves them
            # all; a tensor that depends on one is refused when it is asked for.
            return _Ignored(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, count = pid
        if kind != "storage" or not isinstance(storage, _StorageType):
            raise InputError(f"it refers to {kind!r}, wanted a storage of a known type")
        if key not in self._storages:
            content = self._archive.read(f"{self._folder}/data/{key}")
            if len(content) != count * storage.dtype.itemsize:
                raise InputError(f"storage {key} has {len(content)} bytes, wanted {count} of {storage.dtype}")
            self._storages[key] = np.frombuffer(content, storage.dtype)
        return self._storages[key]


def _rebuild_tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any):
    if not isinstance(storage, np.ndarray) or len(size) != len(stride) or min((*size, *stride, offset, 0)) < 0:
        raise InputError("it describes a tensor with impossible sizes")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if 0 not in size and last >= len(storage):
        raise InputError(f"it describes a tensor of {size} beyond the end of its storage")
    if 0 in size:
        return np.zeros(size, storage.dtype)
    strides = tuple(s * storage.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def _rebuild_parameter(data: Any, *rest: Any) -> Any:
    return data


def read_torch(path: str | os.PathLike[str]) -> Any:
    """The contents of a checkpoint: tensors as NumPy arrays, other objects as inert stand-ins.

    Args:
      path: a checkpoint in the zip format (PyTorch 1.6 and later).

    Raises:
      InputError: the file is missing, damaged, or in the older format.
    """
    name = os.path.basename(path)
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [m for m in archive.namelist() if pathlib.PurePosixPath(m).name == "data.pkl"]
            if len(pickles) != 1:
                raise InputError(f"{name}: a zip archive, but no PyTorch checkpoint (no data.pkl in it)")
            folder = pickles[0].removesuffix("/data.pkl")
            order = f"{folder}/byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise InputError(f"{name}: written on a big-endian machine; save it again on another")
            return _TorchUnpickler(archive.read(pickles[0]), archive, folder).load()
    except InputError as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None
    except FileNotFoundError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    except zipfile.BadZipFile:
        raise InputError(
            f"{name}: no zip archive. Checkpoints from before PyTorch 1.6 must be saved again with "
            "torch.save(torch.load(...)) where PyTorch is at hand"
        ) from None
    except Exception as error:
        raise InputError(f"{name}: damaged ({type(error).__name__}: {error})") from error


def read_state_dict(path: str | os.PathLike[str], *, key: str | None = None) -> dict[str, np.ndarray]:
    """The parameters of a checkpoint by name.

    Args:
      path: the checkpoint.
      key: entry that holds the parameters; None: the first of `STATE_DICT_KEYS` that is there, else the whole.

    Raises:
      InputError: the file cannot be read, or holds no table of tensors there.
    """
    name, content = os.path.basename(path), read_torch(path)
    if isinstance(content, dict):
        key = key or next((k for k in STATE_DICT_KEYS if isinstance(content.get(k), dict)), None)
        if key is not None and key not in content:
            raise InputError(f"{name}: no entry {key!r}; there are {', '.join(map(str, content))}")
        content = content if key is None else content[key]
    if not isinstance(content, dict) or not all(isinstance(v, np.ndarray) for v in content.values()):
        shown = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{name}: no table of tensors, but {shown}; name the entry that holds the parameters")
    return dict(content)
