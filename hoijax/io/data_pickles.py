"""Pickles that estimators write: also joblib's, compressed or not, and tensors of PyTorch inside any of them.

joblib writes an array as a small object followed by its raw bytes, so the unpickler reads them from the file at the
moment the object gets its state. Around it may lie zlib, gzip, bz2, lzma or xz. Everything is bounded and nothing
executed, as in `hoijax.io.pickles`.
"""

import bz2
import io
import lzma
import math
import os
import pathlib
import pickle
import zlib
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import torch_legacy
from hoijax.io.inert import Budget, Ignored, Inert, InertUnpickler
from hoijax.io.pickles import LIMIT, dtype_of, plain, shape_of
from hoijax.io.reading import PathLike, existing_file, reading, refuse_substitute, shown
from hoijax.io.tensors import rebuild_parameter, rebuild_tensor

_CODECS: dict[bytes, str] = {
    b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x5d\x00": "lzma", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4",
    b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip
_ZLIB_SECOND = b"\x01\x5e\x9c\xda"
_OLD = ("NDArrayWrapper", "ZNDArrayWrapper")


class _Wrapper(Inert):
    """Stands for joblib's `NumpyArrayWrapper`; keeps its state until the array is read."""


class _DataUnpickler(InertUnpickler):
    """`InertUnpickler` with joblib's arrays and PyTorch's tensors."""

    dispatch = InertUnpickler.dispatch.copy()

    def __init__(self, file: io.BytesIO, budget: Budget):
        super().__init__(file, encoding="latin1", budget=budget)
        self._file = file
        self._makers |= {
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild,
            ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
            ("torch.storage", "_load_from_bytes"): self._storage,
            ("torch", "Size"): lambda values=(): tuple(self._make_list(values)),
            ("torch", "device"): Ignored("torch.device"),
            ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Wrapper,
        }

    def find_class(self, module: str, name: str) -> Any:
        if module == "joblib.numpy_pickle_compat" or (module.startswith("joblib") and name in _OLD):
            raise InputError("it was written by a joblib older than 0.10; load it and dump it again with a newer one")
        return super().find_class(module, name)

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], _Wrapper):
            self.stack[-1] = self._array(self.stack[-1].state)

    dispatch[pickle.BUILD[0]] = load_build

    def _array(self, state: Any) -> Any:
        """The array whose bytes come next in the file."""
        if not isinstance(state, dict) or state.get("order") not in ("C", "F"):
            raise InputError("it holds an array of joblib without a type or an order")
        dtype, shape = dtype_of(state.get("dtype")), shape_of(state.get("shape"))
        if min(shape, default=0) < 0:
            raise InputError(f"it holds an array of the impossible shape {shape}")
        if dtype.hasobject:
            return _DataUnpickler(self._file, self.budget).load()
        if state.get("numpy_array_alignment_bytes") is not None:
            padding = self._file.read(1)
            self._file.read(padding[0] if padding else 0)
        size = math.prod(shape) * dtype.itemsize
        left = len(self._file.getbuffer()) - self._file.tell()
        if size > left:
            raise InputError(f"it is cut short: an array has {size:,} bytes, {left:,} are left")
        if dtype.itemsize == 0 and math.prod(shape) > 1_000_000:
            raise InputError(f"it holds an array of the impossible shape {shape} of {dtype}")
        self.budget.spend(size)
        return np.frombuffer(bytearray(self._file.read(size)), dtype).reshape(shape, order=state["order"])

    def _storage(self, data: Any) -> np.ndarray:
        if not isinstance(data, bytes) or not torch_legacy.is_legacy(data[:64]):
            raise InputError("it holds a tensor whose numbers are not in a form that is read")
        found = torch_legacy.loads(data, self.budget)
        if not isinstance(found, np.ndarray):
            raise InputError("it holds a tensor without numbers")
        return found

    def _rebuild(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> np.ndarray:
        return rebuild_tensor(storage, offset, size, stride, self.budget)


def loads_data(data: bytes, *, limit: int = LIMIT) -> Any:
    """The contents of such a pickle, not compressed; arrays and tensors as NumPy arrays.

    Args:
      data: the pickle.
      limit: most bytes that its contents may take.

    Raises:
      InputError: it asks for anything beyond arrays and containers, or is too large. A damaged one raises anything.
    """
    return plain(_DataUnpickler(io.BytesIO(data), Budget(limit)).load(), limit=limit)


def read_data_pickle(path: PathLike, *, limit: int = LIMIT) -> Any:
    """The contents of a pickle file, see the module.

    Args:
      path: the file; `pickle.dump` or `joblib.dump` wrote it.
      limit: most bytes to unfold, and most that the contents may take.

    Raises:
      InputError: the file is missing, damaged, too large, or asks for anything beyond arrays and containers.
    """
    path = pathlib.Path(path)
    with reading(path, "a pickle"):
        with open(existing_file(path, "pickle"), "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise InputError(f"it is larger than the {limit >> 20:,} MiB that are read of a pickle")
            data = file.read()
        refuse_substitute(data[:64], path)
        try:
            if torch_legacy.is_legacy(data[:64]):
                return plain(torch_legacy.loads(data, Budget(limit)), limit=limit)
            return loads_data(decompress(data, limit), limit=limit)
        except InputError as error:
            raise InputError(f"{shown(path)}: {str(error).removeprefix(f'{shown(path)}: ')}") from error


def decompress(data: bytes, limit: int) -> bytes:
    """What lies inside a compressed file, or the file itself.

    Args:
      data: the file.
      limit: most bytes that come out.

    Raises:
      InputError: more come out, it is cut short, or a codec that is not read.
    """
    codec = next((name for start, name in _CODECS.items() if data.startswith(start)), None)
    if codec is None and data[:1] == b"\x78" and data[1:2] in tuple(bytes([b]) for b in _ZLIB_SECOND):
        codec = "zlib"
    if codec is None:
        return data
    if codec in ("lz4", "zstd"):
        raise InputError(f"it is compressed with {codec}, which is not read; dump it again with compress='zlib'")
    machine: Any = {
        "zlib": zlib.decompressobj, "gzip": lambda: zlib.decompressobj(31), "bz2": bz2.BZ2Decompressor,
        "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=1 << 30),
        "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 30),
    }[codec]()  # fmt: skip
    out = machine.decompress(data, limit + 1)
    if len(out) > limit:
        raise InputError(f"it unfolds to more than {limit >> 20:,} MiB; leave out what is not asked for, or split it")
    if not machine.eof:
        raise InputError("it is cut short: its compressed data have no end")
    return out
