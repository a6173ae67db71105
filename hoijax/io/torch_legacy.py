"""PyTorch's format from before version 1.6: five pickles one after the other, then the numbers of each storage.

`torch.storage._load_from_bytes`, by which a tensor inside an ordinary pickle is kept to this day, has it as its
argument. The third pickle holds the objects and names storages that come after it, so it is read twice: once to learn
which there are, once with their numbers.
"""

import io
import pickle
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.inert import Budget, InertUnpickler
from hoijax.io.tensors import StorageType, TensorUnpickler

_MAGIC = 0x1950A86A20F9469CFC6C
_START = pickle.dumps(_MAGIC, 2)
_MOST_STORAGES = 100_000


def is_legacy(start: bytes) -> bool:
    """Whether a file starts so; 64 bytes will do."""
    return start.startswith(_START)


class _LegacyUnpickler(TensorUnpickler):
    """Reads the objects; storages are arrays of `numbers`, or empty ones of the right type in the first pass."""

    def __init__(self, file: io.BytesIO, budget: Budget, numbers: dict[str, np.ndarray] | None):
        super().__init__(file, encoding="utf-8", budget=budget)
        self.declared: dict[str, tuple[np.dtype, int]] = {}
        self._numbers = numbers

    def persistent_load(self, pid: Any) -> np.ndarray:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise InputError("it refers to something else than a storage")
        _, storage, key, _, count, *view = pid
        if not isinstance(storage, StorageType) or not isinstance(key, str | int) or not isinstance(count, int):
            raise InputError("it refers to something else than a storage of a known type")
        if count < 0 or any(part is not None for part in view):
            raise InputError("it refers to a part of a storage, which is not read; save it again with a newer PyTorch")
        key = str(key)
        if self.declared.setdefault(key, (storage.dtype, count)) != (storage.dtype, count):
            raise InputError(f"it gives storage {key:.40} two types or lengths")
        if len(self.declared) > _MOST_STORAGES:
            raise InputError("it names more storages than any file of this field")
        if self._numbers is None:
            return np.zeros(0, storage.dtype)
        if key not in self._numbers:
            raise InputError(f"storage {key:.40} is missing")
        return self._numbers[key]

    def rebuild_tensor(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> np.ndarray:
        if self._numbers is None:
            return np.zeros(0, getattr(storage, "dtype", np.float32))
        return super().rebuild_tensor(storage, offset, size, stride)


def loads(data: bytes, budget: Budget) -> Any:
    """The objects of such a file; tensors and storages as arrays, the rest as `InertUnpickler` leaves it.

    Args:
      data: the file.
      budget: of what is made.

    Raises:
      InputError: it asks for more than arrays and containers, or its parts disagree.
    """
    file = io.BytesIO(data)
    magic, _, system = (InertUnpickler(file, encoding="utf-8", budget=budget).load() for _ in range(3))
    if magic != _MAGIC:
        raise InputError("it is not in PyTorch's format from before version 1.6")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise InputError("it was written on a big-endian machine; save it again on another")
    begin = file.tell()
    first = _LegacyUnpickler(file, budget, None)
    first.load()
    keys = InertUnpickler(file, encoding="utf-8", budget=budget).load()
    if not isinstance(keys, list):
        raise InputError("its list of storages is none")
    numbers = {str(key): _storage(file, first.declared.get(str(key)), budget) for key in keys}
    file.seek(begin)
    return _LegacyUnpickler(file, budget, numbers).load()


def _storage(file: io.BytesIO, declared: tuple[np.dtype, int] | None, budget: Budget) -> np.ndarray:
    """The numbers that come next, eight bytes of their count first."""
    if declared is None:
        raise InputError("it lists a storage that nothing uses")
    dtype, count = declared
    if int.from_bytes(file.read(8), "little") != count:
        raise InputError("the length of a storage is not what its tensors say")
    size = count * dtype.itemsize
    left = len(file.getbuffer()) - file.tell()
    if size > left:
        raise InputError(f"it is cut short: a storage has {size:,} bytes, {left:,} are left")
    budget.spend(size)
    return np.frombuffer(file.read(size), dtype)
