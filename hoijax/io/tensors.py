"""PyTorch's tensors as NumPy arrays: its storages, a tensor from a storage, an offset and strides, and its pickles."""

import dataclasses
import math
from typing import Any

import ml_dtypes
import numpy as np

from hoijax.errors import InputError
from hoijax.io.inert import Budget, Ignored, InertUnpickler

STORAGES = {
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
"""Name of a class of `torch` to the type of its numbers."""


@dataclasses.dataclass(frozen=True)
class StorageType:
    """Stands for a storage's class."""

    dtype: np.dtype
    """Of its numbers."""


class TensorUnpickler(InertUnpickler):
    """Reads PyTorch's pickles of either format, which differ in where the numbers of a storage lie."""

    def find_class(self, module: str, name: str) -> Any:
        """Stand-ins for tensors and storages; what nothing here knows is ignored."""
        if module == "torch" and name in STORAGES:
            return StorageType(STORAGES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return rebuild_parameter
        try:
            return super().find_class(module, name)
        except InputError:
            # Checkpoints carry settings and optimiser states of many classes. A stand-in that does nothing serves them
            # all; a tensor that depends on one is refused when it is asked for.
            return Ignored(f"{module}.{name}")

    def set_state(self, made: Any, state: Any) -> None:
        """The state of what is known."""
        if not isinstance(made, Ignored):
            super().set_state(made, state)

    def rebuild_tensor(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> np.ndarray:
        """A tensor of its own memory."""
        return rebuild_tensor(storage, offset, size, stride, self.budget)


def rebuild_parameter(data: Any, *rest: Any) -> Any:
    """Stands for `torch._utils._rebuild_parameter`: the tensor alone."""
    return data


def rebuild_tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], budget: Budget | None
) -> np.ndarray:
    """A tensor as PyTorch describes it.

    Args:
      storage: its numbers, one axis.
      offset: where it starts, numbers.
      size: its shape.
      stride: numbers from one entry to the next along each axis; zeros make it larger than its storage.
      budget: pays for a copy; None: a view is returned.

    Raises:
      InputError: impossible sizes, or it reaches beyond its storage.
    """
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    if (
        not isinstance(storage, np.ndarray)
        or storage.ndim != 1
        or not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in numbers)
        or not len(size) == len(stride) <= 16
    ):
        raise InputError("it describes a tensor with impossible sizes")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if 0 not in size and last >= len(storage):
        raise InputError(f"it describes a tensor of {size} beyond the end of its storage")
    if 0 in size:
        return np.zeros(size, storage.dtype)
    strides = tuple(s * storage.itemsize for s in stride)
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)
    if budget is None:
        return view
    budget.spend(math.prod(size) * storage.itemsize)
    return view.copy()
