"""Reading pickles without executing them.

A pickle is a program: it may name any importable function and have it called. This reader looks every name up in a
short table of inert stand-ins and refuses the file at the first name that is not in it. It understands what the body
models and datasets of the field contain: NumPy arrays and scalars, SciPy's sparse matrices, chumpy's arrays, and plain
containers, written by Python 2 or 3. chumpy is not needed.

NumPy's own functions are not called either: NumPy trusts the state that a pickle gives a dtype or an array, and a false
one makes it follow pointers out of the file. The stand-ins keep what the pickle says, and arrays are built from it
afterwards, every size checked.
"""

import collections
import io
import math
import os
import pickle
import re
import zipfile
import zlib
from typing import Any

import numpy as np
import scipy.sparse

from hoijax.errors import InputError

PathLike = str | os.PathLike[str]

# A sparse matrix with more entries than this, as a dense array, is refused: 2 GiB of float64.
_MAX_ENTRIES = 1 << 28


class _Fixed(type):
    """Metaclass of the stand-ins. A pickle may set attributes of whatever it names; these take none."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise InputError(f"it tries to change {cls.__name__}; the file is damaged or hostile")


class _Marker(metaclass=_Fixed):
    """A class that a pickle names only to hand it to other stand-ins."""

    def __new__(cls, *args: Any) -> "_Marker":
        raise InputError("it makes an object of a kind that the files of this field do not hold")


class _NDArray(_Marker):
    """Stands for numpy.ndarray."""


class _Object(_Marker):
    """Stands for object."""


class _Stateful(metaclass=_Fixed):
    """Keeps the arguments and the state that a pickle gives an object, and does nothing else."""

    kind = ""

    def __new__(cls, *args: Any) -> "_Stateful":
        new = super().__new__(cls)
        new.args, new.state = args, None
        return new

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Foreign(_Stateful):
    """Stands for the classes of chumpy and scipy.sparse; `kind` says which."""


class _Dtype(_Stateful):
    """Stands for numpy.dtype."""


class _Array(_Stateful):
    """Stands for an array: numpy's `_reconstruct(ndarray, shape, code)`, then its state."""


class _Buffer(_Stateful):
    """Stands for an array: numpy's `_frombuffer(bytes, dtype, shape, order)`."""


class _Scalar(_Stateful):
    """Stands for numpy's `scalar(dtype, bytes)`."""


class _Encode(metaclass=_Fixed):
    """Stands for `_codecs.encode`: how the old protocols write bytes."""

    def __new__(cls, text: str, encoding: str = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "ascii", "utf-8", "utf8"):
            raise InputError(f"bytes written as {encoding!r} are not read")
        return text.encode(encoding)


class _Bytes(metaclass=_Fixed):
    """Stands for `bytes()`: how the old protocols write no bytes at all."""

    def __new__(cls) -> bytes:
        return b""


class _DefaultDict(metaclass=_Fixed):
    """Stands for `collections.defaultdict`; the default is dropped."""

    def __new__(cls, *args: Any) -> dict:
        return {}


class _Reconstructor(metaclass=_Fixed):
    """Stands for `copyreg._reconstructor`: how Python 2 wrote objects."""

    def __new__(cls, made: Any, base: Any, state: Any) -> _Foreign:
        if not (isinstance(made, type) and issubclass(made, _Foreign)):
            raise InputError("it makes an object of a kind that the files of this field do not hold")
        return made()


_SPARSE = {"csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"}
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): _DefaultDict,
    ("_codecs", "encode"): _Encode,
    ("copyreg", "_reconstructor"): _Reconstructor,
    ("builtins", "bytes"): _Bytes,
    ("builtins", "object"): _Object,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("numpy", "ndarray"): _NDArray,
    ("numpy", "dtype"): _Dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}


class InertUnpickler(pickle.Unpickler):
    """An unpickler that knows the stand-ins only; its result still holds them, see `loads`."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; refuses every other name."""
        module = {"copy_reg": "copyreg", "__builtin__": "builtins"}.get(module, module)
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return _Fixed("_Foreign", (_Foreign,), {"kind": f"chumpy.{name}"})
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _Fixed("_Foreign", (_Foreign,), {"kind": f"sparse.{name}"})
        if (module, name) not in _KNOWN:
            raise InputError(
                f"the pickle asks for {module}.{name}, which is refused: reading a file never runs what is in it. "
                "Convert the file to .npz where you trust it"
            )
        return _KNOWN[module, name]


def loads(data: bytes, name: str = "the pickle") -> Any:
    """Unpickles inert data; chumpy and sparse objects become dense arrays.

    Args:
      data: the pickle.
      name: what error messages call it.

    Raises:
      InputError: it asks for anything beyond arrays and containers, or it is damaged.
    """
    try:
        return _plain(InertUnpickler(io.BytesIO(data), encoding="latin1").load())
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except MemoryError:
        raise InputError(f"{name}: asks for more memory than there is; the file is damaged") from None
    except Exception as error:
        raise InputError(f"{name}: damaged or no pickle ({type(error).__name__}: {error})") from error


def read_pickle(path: PathLike) -> Any:
    """The contents of a pickle file, see `loads`.

    Raises:
      InputError: the file is missing, damaged, or asks for anything beyond arrays and containers.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    return loads(data, os.path.basename(path))


def read_object_npz(path: PathLike, keys: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The arrays of an `.npz` that may hold Python objects: these are unpickled as `read_pickle` does.

    Args:
      path: the file.
      keys: read only those that are among these; None reads all.

    Raises:
      InputError: the file is missing, damaged, or asks for anything beyond arrays and containers.
    """
    name = os.path.basename(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.removesuffix(".npy"): m for m in archive.namelist() if m.endswith(".npy")}
            wanted = [key for key in members if keys is None or key in keys]
            return {key: _read_npy(archive.read(members[key]), f"{name}/{key}") for key in wanted}
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: damaged or no .npz ({error})") from error


def _read_npy(data: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(stream)
    if not dtype.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)
    return np.asarray(loads(data[stream.tell() :], name), dtype=object)


def _plain(value: Any) -> Any:
    """Stand-ins to arrays, inside containers too."""
    if isinstance(value, _Array | _Buffer):
        return _array(value)
    if isinstance(value, _Scalar):
        dtype, content = value.args
        return _from_bytes(content, _dtype(dtype), (1,), "C")[0]
    if isinstance(value, _Dtype):
        return _dtype(value)
    if isinstance(value, _Foreign):
        return _dense(value)
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(v) for v in value)
    return value


def _dtype(value: Any) -> np.dtype:
    """A type of plain numbers, strings or objects, or of records of the former two."""
    if not isinstance(value, _Dtype) or not value.args:
        raise InputError("it holds an array without a type")
    code, order, names, fields, size = value.args[0], "|", None, None, -1
    if value.state is not None:
        _, order, base, names, fields, size = value.state[:6]
        if base is not None:
            code = None
    if not (isinstance(code, str) and re.fullmatch(r"[<>|=]?[biufcSUVO]\d{0,8}", code) and isinstance(size, int)):
        raise InputError(f"it holds an array of the type {code!r}, which is not read")
    if names is not None:
        parts = [(_dtype(fields[n][0]), fields[n][1]) for n in names]
        if any(part.hasobject for part, _ in parts):
            raise InputError("it holds records of objects, which are not read")
        formats, offsets = [part for part, _ in parts], [offset for _, offset in parts]
        return np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size})
    kind = code.lstrip("<>|=")[0]
    if kind in "SUV" and size >= 0:
        code = f"{kind}{size // 4 if kind == 'U' else size}"
    dtype = np.dtype("O" if kind == "O" else code)
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype


def _array(value: _Array | _Buffer) -> np.ndarray:
    if isinstance(value, _Buffer):
        content, dtype, shape, order = value.args
        return _from_bytes(content, _dtype(dtype), shape, order)
    if value.state is None or value.args[0] is not _NDArray:
        raise InputError("it holds an array of an unknown class, or without contents")
    shape, dtype, fortran, content = value.state[-4:]
    dtype = _dtype(dtype)
    if dtype.kind != "O":
        return _from_bytes(content, dtype, shape, "F" if fortran else "C")
    if not isinstance(content, list) or len(content) != math.prod(shape):
        raise InputError("it holds an array of objects whose contents and shape disagree")
    out = np.empty(len(content), object)
    for i, item in enumerate(content):
        out[i] = _plain(item)
    return out.reshape(shape, order="F" if fortran else "C")


def _from_bytes(content: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """An array that owns its memory; numpy checks that the bytes are as many as type and shape say."""
    if isinstance(content, str):  # Python 2's bytes
        content = content.encode("latin1")
    if dtype.hasobject or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
        raise InputError("it holds an array of objects where bytes are expected")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(content):
        raise InputError(f"it holds an array of {len(content)} bytes for the shape {tuple(shape)} of {dtype}")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    return np.array(np.frombuffer(content, dtype).reshape(shape, order=order), order="K")


def _dense(value: _Foreign) -> np.ndarray:
    state = value.state
    if isinstance(state, tuple):  # (dictionary, slots)
        state = {k: v for part in state if isinstance(part, dict) for k, v in part.items()}
    state = {k: _plain(v) for k, v in (state if isinstance(state, dict) else {}).items()}
    family, name = value.kind.split(".")
    if family == "sparse":
        return _dense_matrix(name, state)
    if "x" in state:  # chumpy.ch.Ch: the array itself
        return np.asarray(state["x"])
    if {"a", "idxs"} <= state.keys():  # chumpy.reordering.Select: entries of another array
        picked = np.asarray(state["a"]).ravel()[np.asarray(state["idxs"])]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(shape)
    raise InputError(f"the pickle holds a {value.kind} whose value cannot be read; convert the file with chumpy once")


def _dense_matrix(name: str, state: dict[str, Any]) -> np.ndarray:
    shape = tuple(int(n) for n in state.get("_shape", state.get("shape")))
    if math.prod(shape) > _MAX_ENTRIES:
        raise InputError(f"it holds a sparse matrix of {shape}, too large for a dense array")
    if name.startswith("coo"):
        index = state.get("coords", (state.get("row"), state.get("col")))
        return scipy.sparse.coo_matrix((state["data"], tuple(index)), shape=shape).toarray()
    make = scipy.sparse.csc_matrix if name.startswith("csc") else scipy.sparse.csr_matrix
    matrix = make((state["data"], state["indices"], state["indptr"]), shape=shape)
    matrix.check_format(full_check=True)  # indices out of range would be followed out of memory
    return matrix.toarray()
