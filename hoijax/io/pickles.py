"""Reading pickles without executing them.

A pickle is a program: it may name any importable function and have it called. This reader looks every name up in a
short table of inert stand-ins and refuses the file at the first name that is not in it (`hoijax.io.inert`). It
understands what the body models and datasets of the field contain: NumPy arrays and scalars, SciPy's sparse matrices,
chumpy's arrays, and plain containers, written by Python 2 or 3. chumpy is not needed.

NumPy's own functions are not called either: NumPy trusts the state that a pickle gives a dtype or an array, and a false
one makes it follow pointers out of the file. The stand-ins keep what the pickle says, and arrays are built from it
afterwards, every size checked. What the same object is in two places is built once; a result that would be larger than
the limit if every place had its own copy is refused, since whoever walks through it or stacks it makes those copies.
"""

import io
import math
import os
import re
import zipfile
from typing import Any

import numpy as np
import scipy.sparse

from hoijax.errors import InputError
from hoijax.io.archives import open_npz
from hoijax.io.inert import Array, Budget, Buffer, DType, Foreign, Inert, InertUnpickler, NDArray, Scalar
from hoijax.io.reading import existing_file, reading, reason, refuse_substitute, shown

PathLike = str | os.PathLike[str]

LIMIT = 1 << 30
"""Bytes that a pickle's contents may take."""

_DEEPEST = 60
_LARGEST_FILE = 4 << 30


def loads(data: bytes, name: str = "the pickle", *, limit: int = LIMIT) -> Any:
    """Unpickles inert data; chumpy and sparse objects become dense arrays.

    Args:
      data: the pickle.
      name: what error messages call it.
      limit: most bytes that its contents may take, shared ones counted in each place.

    Raises:
      InputError: it asks for anything beyond arrays and containers, is too large, or is damaged.
    """
    try:
        budget = Budget(limit)
        return plain(InertUnpickler(io.BytesIO(data), encoding="latin1", budget=budget).load(), limit=limit)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except MemoryError:
        raise InputError(f"{name}: asks for more memory than there is; the file is damaged") from None
    except Exception as error:  # a damaged program fails anywhere
        raise InputError(f"{name}: damaged or no pickle ({reason(error)})") from error


def read_pickle(path: PathLike, *, limit: int = LIMIT) -> Any:
    """The contents of a pickle file, see `loads`.

    Raises:
      InputError: the file is missing, damaged, or asks for anything beyond arrays and containers.
    """
    name = os.path.basename(path)
    try:
        with open(existing_file(path, "pickle"), "rb") as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_FILE:
                raise InputError(f"{shown(path)} is larger than {_LARGEST_FILE >> 30} GiB, which no pickle here is")
            data = file.read()
    except InputError as error:
        raise InputError(f"cannot read {shown(name)}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {shown(path)}: {error.strerror}") from error
    refuse_substitute(data[:64], path)
    return loads(data, shown(name), limit=limit)


def read_object_npz(path: PathLike, keys: tuple[str, ...] | None = None, *, limit: int = LIMIT) -> dict[str, Any]:
    """The arrays of an `.npz` that may hold Python objects: these are unpickled as `read_pickle` does.

    Args:
      path: the file.
      keys: read only those that are among these; None reads all.
      limit: most bytes to read.

    Raises:
      InputError: the file is missing, damaged, or asks for anything beyond arrays and containers.
    """
    name, out = shown(os.path.basename(path)), {}
    try:
        file = existing_file(path, "file")
    except InputError as error:
        raise InputError(f"cannot read {name}: {error}") from error
    if not zipfile.is_zipfile(file):
        refuse_substitute(file.open("rb").read(64), path)
        raise InputError(f"{name}: damaged or no .npz (no zip archive)")
    with open_npz(file, limit=limit) as archive:
        for key, entry in archive.members.items():
            if keys is not None and key not in keys:
                continue
            header = archive.header(key)
            if header.dtype.kind == "V":
                raise InputError(f"{name}: '{key}' has dtype {header.dtype}, wanted numbers or text")
            if not header.dtype.hasobject:
                out[key] = archive.array(key, kinds=header.dtype.kind)
                continue
            with reading(path, "an array of objects"):
                out[key] = np.asarray(
                    loads(archive.contents(entry.filename)[header.size :], f"{name}/{key}", limit=limit), dtype=object
                )
    return out


def plain(value: Any, *, limit: int) -> Any:
    """What an unpickler made, with the stand-ins as arrays, inside containers too.

    Args:
      value: containers, stand-ins, arrays.
      limit: most bytes that it may take, shared parts counted in each place.

    Raises:
      InputError: it is larger, nested deeper than any file of this field, holds itself, or an array is damaged.
    """
    return _Converter(limit).convert(value, 0)[0]


class _Converter:
    """Converts each object once and knows how large it would be if every place had its own copy."""

    def __init__(self, limit: int):
        self._budget, self._limit = Budget(limit), limit
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def convert(self, value: Any, depth: int) -> tuple[Any, int]:
        """The converted value and its size, bytes."""
        if isinstance(value, str | bytes | bytearray):
            return value, 8 + len(value)
        if value is None or isinstance(value, bool | int | float | complex):
            return value, 8
        key = id(value)
        if key in self._done:
            return self._done[key]
        if depth > _DEEPEST or key in self._open:
            raise InputError(
                "it is nested deeper than any file of this field, or holds itself; it is damaged or hostile"
            )
        self._open.add(key)
        made, size = self._make(value, depth + 1)
        if size > self._limit:
            raise InputError(f"it unfolds to more than {self._limit >> 20:,} MiB; it is damaged or hostile")
        self._open.remove(key)
        self._done[key] = made, size
        return made, size

    def _make(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, dict):
            keys, first = self._all(value.keys(), depth)
            values, second = self._all(value.values(), depth)
            return dict(zip(keys, values)), first + second
        if isinstance(value, list | tuple | set | frozenset):
            items, size = self._all(value, depth)
            return items if type(value) is list else type(value)(items), size
        if isinstance(value, Inert):
            value = self._unfold(value, depth)
        return value, 100 + (value.nbytes if isinstance(value, np.ndarray) else 0)

    def _all(self, values: Any, depth: int) -> tuple[list, int]:
        items, size = [], 60
        for value in values:
            item, more = self.convert(value, depth)
            items.append(item)
            size += 8 + more
            if size > self._limit:
                break  # `convert` refuses it
        return items, size

    def _unfold(self, value: Inert, depth: int) -> Any:
        if isinstance(value, Array | Buffer):
            return self._array(value, depth)
        if isinstance(value, Scalar):
            dtype, content = value.args
            return self._from_bytes(content, dtype_of(dtype), (1,), "C")[0]
        if isinstance(value, DType):
            return dtype_of(value)
        if isinstance(value, Foreign):
            return self._dense(value, depth)
        return value

    def _array(self, value: Array | Buffer, depth: int) -> np.ndarray:
        if isinstance(value, Buffer):
            content, dtype, shape, order = value.args
            return self._from_bytes(content, dtype_of(dtype), shape_of(shape), order)
        if value.state is None or value.args[0] is not NDArray:
            raise InputError("it holds an array of an unknown class, or without contents")
        shape, dtype, fortran, content = value.state[-4:]
        shape, dtype, order = shape_of(shape), dtype_of(dtype), "F" if fortran else "C"
        if dtype.kind != "O":
            return self._from_bytes(content, dtype, shape, order)
        if not isinstance(content, list) or len(content) != math.prod(shape):
            raise InputError("it holds an array of objects whose contents and shape disagree")
        items, size = self._all(content, depth)
        self._budget.spend(size)
        out = np.empty(len(content), object)
        for i, item in enumerate(items):
            out[i] = item
        return out.reshape(shape, order=order)

    def _from_bytes(self, content: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
        """An array that owns its memory; as many bytes as type and shape say."""
        if isinstance(content, str):  # Python 2's bytes
            self._budget.spend(len(content))
            content = content.encode("latin1")
        if dtype.hasobject or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
            raise InputError("it holds an array of objects where bytes are expected")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content):
            raise InputError(f"it holds an array of {len(content)} bytes for the shape {shape} of {dtype}")
        if dtype.itemsize == 0:
            if math.prod(shape) > 1_000_000:
                raise InputError(f"it holds an array of the impossible shape {shape} of {dtype}")
            return np.zeros(shape, dtype)
        self._budget.spend(len(content))
        return np.array(np.frombuffer(content, dtype).reshape(shape, order=order), order="K")

    def _dense(self, value: Foreign, depth: int) -> np.ndarray:
        state = value.state
        if isinstance(state, tuple):  # (dictionary, slots)
            state = {k: v for part in state if isinstance(part, dict) for k, v in part.items()}
        state = state if isinstance(state, dict) else {}
        state = {k: self.convert(v, depth)[0] for k, v in state.items()}
        family, name = value.kind.split(".")
        if family == "sparse":
            return self._dense_matrix(name, state)
        if "x" in state:  # chumpy.ch.Ch: the array itself
            return _numbers(state["x"])
        if {"a", "idxs"} <= state.keys():  # chumpy.reordering.Select: entries of another array
            source, index = _numbers(state["a"]).ravel(), _numbers(state["idxs"])
            self._budget.spend(index.size * source.itemsize)
            picked, shape = source[index], state.get("preferred_shape")
            return picked if shape is None else picked.reshape(shape_of(shape))
        raise InputError(
            f"the pickle holds a {value.kind} whose value cannot be read; convert the file with chumpy once"
        )

    def _dense_matrix(self, name: str, state: dict[str, Any]) -> np.ndarray:
        shape = shape_of(state.get("_shape", state.get("shape")))
        data = _numbers(state["data"])
        if math.prod(shape) * data.itemsize > self._budget.left:
            raise InputError(f"it holds a sparse matrix of {shape}, too large for a dense array")
        self._budget.spend(math.prod(shape) * data.itemsize)
        if name.startswith("coo"):
            row, column = state.get("coords", (state.get("row"), state.get("col")))
            return scipy.sparse.coo_matrix((data, (_numbers(row), _numbers(column))), shape=shape).toarray()
        make = scipy.sparse.csc_matrix if name.startswith("csc") else scipy.sparse.csr_matrix
        matrix = make((data, _numbers(state["indices"]), _numbers(state["indptr"])), shape=shape)
        matrix.check_format(full_check=True)  # indices out of range would be followed out of memory
        return matrix.toarray()


def _numbers(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise InputError(f"it holds {array.dtype} where numbers are expected")
    return array


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape that a pickle gives an array; refuses what is none."""
    if not isinstance(value, tuple | list) or len(value) > 32:
        raise InputError("it holds an array without a shape")
    if not all(isinstance(n, int | np.integer) and abs(n) < 1 << 48 for n in value):
        raise InputError("it holds an array with an impossible shape")
    return tuple(int(n) for n in value)


def dtype_of(value: Any, depth: int = 0) -> np.dtype:
    """The type that a pickle gives an array: plain numbers, strings or objects, or records of the former two."""
    if not isinstance(value, DType) or not value.args or depth > 3:
        raise InputError("it holds an array without a type")
    code, order, names, fields, size = value.args[0], "|", None, None, -1
    if value.state is not None:
        _, order, base, names, fields, size = value.state[:6]
        if base is not None:
            code = None
    if not (isinstance(code, str) and re.fullmatch(r"[<>|=]?[biufcSUVO]\d{0,8}", code) and isinstance(size, int)):
        raise InputError(f"it holds an array of the type {code!r:.40}, which is not read")
    if names is not None:
        if not isinstance(names, tuple) or len(names) > 256 or not isinstance(fields, dict):
            raise InputError("it holds records without names")
        parts = [(dtype_of(fields[n][0], depth + 1), fields[n][1]) for n in names]
        if any(part.hasobject for part, _ in parts):
            raise InputError("it holds records of objects, which are not read")
        formats, offsets = [part for part, _ in parts], [offset for _, offset in parts]
        return np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size})
    kind = code.lstrip("<>|=")[0]
    if kind in "SUV" and size >= 0:
        code = f"{kind}{size // 4 if kind == 'U' else size}"
    dtype = np.dtype("O" if kind == "O" else code)
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype
