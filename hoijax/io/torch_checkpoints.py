"""Reading PyTorch checkpoints (`.pth`, `.pt`, `.bin`, `.ckpt`, `.tar`) without PyTorch and without executing them.

Since version 1.6 such a file is a zip archive: `data.pkl` describes tensors by storage key, offset, size and stride,
and `data/<key>` holds each storage's bytes. The pickle is read with stand-ins (see `hoijax.io.pickles`). Older files
are read by `hoijax.io.torch_legacy`.
"""

import io
import os
import pathlib
import zipfile
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import torch_legacy
from hoijax.io.archives import Archive
from hoijax.io.inert import Budget
from hoijax.io.pickles import plain
from hoijax.io.reading import existing_file, reading, reason, refuse_substitute, shown
from hoijax.io.tensors import StorageType, TensorUnpickler, rebuild_tensor

# Entries under which training scripts keep the parameters, looked for in this order.
STATE_DICT_KEYS = ("model_state_dict", "state_dict", "network", "model", "module", "ema")

_ROOM = 64 << 20


class _TorchUnpickler(TensorUnpickler):
    def __init__(self, data: bytes, archive: Archive, folder: str, budget: Budget, mapped: bool = False):
        super().__init__(io.BytesIO(data), encoding="utf-8", budget=budget)
        self._archive, self._folder, self._mapped = archive, folder, mapped
        self._storages: dict[str, np.ndarray] = {}

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, count = pid
        if kind != "storage" or not isinstance(storage, StorageType) or not isinstance(key, str):
            raise InputError("it refers to something else than a storage of a known type")
        if key not in self._storages:
            name = f"{self._folder}/data/{key}"
            content = self._archive.memory_map(name) if self._mapped else self._archive.contents(name)
            if len(content) != count * storage.dtype.itemsize:
                raise InputError(f"storage {shown(key)} has {len(content)} bytes, wanted {count} of {storage.dtype}")
            self._storages[key] = np.frombuffer(content, storage.dtype)
        return self._storages[key]

    def rebuild_tensor(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> np.ndarray:
        """A tensor of its own memory, or a view of the file."""
        return rebuild_tensor(storage, offset, size, stride, None if self._mapped else self.budget)


def read_torch(path: str | os.PathLike[str], *, mapped: bool = False) -> Any:
    """The contents of a checkpoint: tensors as NumPy arrays, other objects as inert stand-ins.

    Args:
      path: a checkpoint in the zip format (PyTorch 1.6 and later).
      mapped: whether tensors are views of the file, whose pages are read when they are used: for checkpoints larger
        than the memory. They are then not compared with their checksums.

    Raises:
      InputError: the file is missing or damaged.
    """
    try:
        path = existing_file(path, "checkpoint")
    except InputError as error:
        raise InputError(f"cannot read the checkpoint: {error}") from error
    name = shown(path.name)
    # PyTorch stores tensors as they are: a file that unfolds to much more is no checkpoint. Tied weights come twice.
    limit = 2 * path.stat().st_size + _ROOM
    try:
        with zipfile.ZipFile(path) as file:
            archive = Archive(path, file, limit)
            pickles = [m for m in archive.others if pathlib.PurePosixPath(m).name == "data.pkl"]
            if len(pickles) != 1:
                raise InputError(f"{name}: a zip archive, but no PyTorch checkpoint (no data.pkl in it)")
            folder = pickles[0].removesuffix("/data.pkl")
            order = f"{folder}/byteorder"
            if order in archive.others and archive.contents(order) != b"little":
                raise InputError(f"{name}: written on a big-endian machine; save it again on another")
            loaded = _TorchUnpickler(archive.contents(pickles[0]), archive, folder, Budget(limit), mapped).load()
            return plain(loaded, limit=2 * limit)
    except InputError as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None
    except zipfile.BadZipFile:
        return _read_old(path, name, limit)
    except OSError as error:
        raise InputError(f"cannot read {shown(path)}: {error.strerror or reason(error)}") from error
    except Exception as error:
        raise InputError(f"{name}: damaged ({reason(error)})") from error


def _read_old(path: pathlib.Path, name: str, limit: int) -> Any:
    """The contents of a file in the format from before version 1.6."""
    with open(path, "rb") as file:
        start = file.read(64)
        refuse_substitute(start, path)
        if not torch_legacy.is_legacy(start):
            raise InputError(f"{name}: no PyTorch checkpoint (neither a zip archive nor the format before PyTorch 1.6)")
        data = start + file.read()
    with reading(path, "a PyTorch checkpoint"):
        return plain(torch_legacy.loads(data, Budget(limit)), limit=2 * limit)


def read_state_dict(
    path: str | os.PathLike[str], *, key: str | None = None, mapped: bool = False
) -> dict[str, np.ndarray]:
    """The parameters of a checkpoint by name.

    Args:
      path: the checkpoint.
      key: entry that holds the parameters; None: the first of `STATE_DICT_KEYS` that is there, else the whole.
      mapped: see `read_torch`.

    Raises:
      InputError: the file cannot be read, or holds no table of tensors there.
    """
    name, content = shown(os.path.basename(path)), read_torch(path, mapped=mapped)
    if isinstance(content, dict):
        key = key or next((k for k in STATE_DICT_KEYS if isinstance(content.get(k), dict)), None)
        if key is not None and key not in content:
            raise InputError(f"{name}: no entry {key!r}; there are {_names(content)}")
        content = content if key is None else content[key]
    if not isinstance(content, dict) or not all(isinstance(v, np.ndarray) for v in content.values()):
        there = _names(content) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{name}: no table of tensors, but {there}; name the entry that holds the parameters")
    return dict(content)


def _names(table: dict) -> str:
    """The first keys of a table."""
    names = [shown(str(key)) for key in list(table)[:20]]
    return ", ".join(names) + (", ..." if len(table) > 20 else "")
