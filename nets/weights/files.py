"""The one door to files of weights: safetensors, read array by array and written whole or not at all.

Nothing is read before it is asked for, and no array stays: a checkpoint of 26 GB passes through the memory that its
largest array takes. A checkpoint may be one file or several with an index, as larger ones are published.
"""

import dataclasses
import json
import math
import os
import pathlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from hoijax.errors import InputError
from hoijax.io.files import PathLike, atomic_file
from hoijax.io.reading import existing_file, read_json, refuse_substitute

DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64), "F32": np.dtype(np.float32), "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16), "I64": np.dtype(np.int64), "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16), "I8": np.dtype(np.int8), "U64": np.dtype(np.uint64), "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16), "U8": np.dtype(np.uint8), "BOOL": np.dtype(np.bool_),
}  # fmt: skip
"""What the file format calls the types that are read and written here."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
INDEX = ".index.json"
"""End of the name of a file that says in which of several files each array lies."""
MAX_INDEX = 64 << 20
"""Bytes of an index that is read at all; that of a 70 B network has a hundredth."""


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """What an array is, without its numbers."""

    shape: tuple[int, ...]
    """Its sizes."""
    dtype: np.dtype
    """Its type when it is read."""

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Tensors(Mapping[str, np.ndarray]):
    """Arrays by name, each read or computed when it is asked for and not kept.

    Args:
      table: what there is.
      read: the array of a name, as the table describes it.
      notes: texts kept beside the arrays.
      where: what messages call it.
      pieces: the array of a name as parts of its first axis one after the other, where that takes less memory.
    """

    def __init__(
        self,
        table: Mapping[str, TensorInfo],
        read: Callable[[str], np.ndarray],
        notes: Mapping[str, str] | None = None,
        where: str = "the weights",
        pieces: Callable[[str], Iterable[np.ndarray]] | None = None,
    ):
        self.table, self.notes, self.where = dict(table), dict(notes or {}), where
        self._read, self._pieces = read, pieces

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.table:
            raise KeyError(name)
        return self._read(name)

    def pieces(self, name: str) -> Iterable[np.ndarray]:
        """An array as parts of its first axis, one after the other; as a whole where that is all there is."""
        return [self[name]] if self._pieces is None else self._pieces(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def facts(self) -> dict[str, Any]:
        """What the weights are of: the note "facts", and every other note that is JSON under its own name.

        Raises:
          InputError: a note "facts" that is no JSON object.
        """
        facts = {}
        for name, text in self.notes.items():
            value = _json(text)
            if name == "facts" and not isinstance(value, dict):
                raise InputError(f'{self.where}: its note "facts" is {_kind(value)}, wanted a JSON object')
            facts |= value if name == "facts" else {name: text if value is None else value}
        return facts

    def select(self, names: Mapping[str, str]) -> "Tensors":
        """Some of the arrays under new names: new name -> name here."""
        return Tensors({new: self.table[old] for new, old in names.items()}, lambda new: self[names[new]], self.notes,
                       self.where, lambda new: self.pieces(names[new]))  # fmt: skip


def table_of(arrays: Mapping[str, Any]) -> dict[str, TensorInfo]:
    """What there is among arrays by name; of `Tensors` without reading them."""
    if isinstance(arrays, Tensors):
        return arrays.table
    return {name: TensorInfo(tuple(np.shape(a)), np.asarray(a).dtype) for name, a in arrays.items()}


def open_tensors(path: PathLike, *, dtype: Any = None, what: str = "weights") -> Tensors:
    """The arrays of a safetensors file, or of several with an index.

    Args:
      path: a `.safetensors` file, an index (`.index.json`), or a folder that holds one of either.
      dtype: type that arrays of floating-point numbers are turned into as they are read; None leaves them.
      what: what messages call the contents.

    Raises:
      InputError: nothing there, damaged, or of types that hoijax does not read.
    """
    path = _inside(pathlib.Path(path), what)
    if path.name.endswith(INDEX):
        files = indexed_files(path)
        heads = {file: _head(file, what) for file in dict.fromkeys(files.values())}
        for name, file in files.items():
            if name not in heads[file][0]:
                raise InputError(
                    f"cannot read {what} from {path}: it says that {name} is in {file.name}, which lacks it"
                )
        table, notes = {name: heads[file][0][name] for name, file in files.items()}, {}
    else:
        table, notes = _head(path, what)
        files = dict.fromkeys(table, path)
    dtypes = {name: info.dtype if dtype is None or not _is_floating(info.dtype) else np.dtype(dtype)
              for name, info in table.items()}  # fmt: skip
    cast = {name: TensorInfo(info.shape, dtypes[name]) for name, info in table.items()}
    return Tensors(cast, lambda name: _array(files[name], name, dtypes[name], what), notes, str(path))


def _is_floating(dtype: np.dtype) -> bool:
    return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


def _inside(path: pathlib.Path, what: str) -> pathlib.Path:
    """The file that a folder holds weights in; a file itself."""
    if not path.is_dir():
        return path
    indices = sorted(path.glob(f"*.safetensors{INDEX}"))
    files = indices or sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        shown = ", ".join(file.name for file in files[:5]) or "none"
        raise InputError(
            f"cannot read {what} from the folder {path}: wanted one .safetensors or one index, found {shown}"
        )
    return files[0]


def indexed_files(path: pathlib.Path, suffix: str = ".safetensors") -> dict[str, pathlib.Path]:
    """Array's name -> file, of the index of a checkpoint in several files.

    Raises:
      InputError: no index, or files that do not lie beside it.
    """
    content = read_json(path, limit=MAX_INDEX)
    names = content.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise InputError(f'cannot read {path}: no table "weight_map" of names and files')
    for file in set(names.values()):
        if pathlib.PurePath(file).name != file or not file.endswith(suffix):
            raise InputError(f"cannot read {path}: it names {file!r}, wanted {suffix} files beside it")
    return {name: path.parent / file for name, file in names.items()}


def _head(path: pathlib.Path, what: str) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """What a file holds, and its notes; the library checks that the header is sound and the file complete."""
    try:
        with open(existing_file(path, "file of weights"), "rb") as file:
            refuse_substitute(file.read(64), path)
    except InputError as error:
        raise InputError(f"cannot read {what}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {what} from {path}: {error.strerror or error}") from error
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            entries = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
            notes = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {what} from {path}: {error}") from error
    odd = {name: dtype for name, (_, dtype) in entries.items() if dtype not in DTYPES}
    if odd:
        name, dtype = next(iter(odd.items()))
        raise InputError(f"cannot read {what} from {path}: {len(odd)} arrays, such as {name}, are of the type {dtype}; "
                         f"save them as one of {', '.join(DTYPES)}")  # fmt: skip
    return {name: TensorInfo(shape, DTYPES[dtype]) for name, (shape, dtype) in sorted(entries.items())}, dict(notes)


def _array(path: pathlib.Path, name: str, dtype: np.dtype, what: str) -> np.ndarray:
    try:
        # Opened anew each time: a map that is kept would hold the pages of all that was read.
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name).astype(dtype, copy=False)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {what} from {path}: {error}") from error


def write_tensors(path: PathLike, arrays: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file, whole or not at all; of `Tensors` one array, or one of its pieces, at a time.

    The bytes are those that the safetensors library writes: arrays of the widest type first, then by name.

    Args:
      path: the file.
      arrays: by name.
      notes: texts to keep beside them.

    Raises:
      InputError: the folder does not take files, or a type that the format does not know.
    """
    table = table_of(arrays)
    odd = [name for name, info in table.items() if info.dtype not in _NAMES]
    if odd:
        raise InputError(f"cannot write {path}: {odd[0]} is of the type {table[odd[0]].dtype}")
    order = sorted(table, key=lambda name: (-_rank(table[name].dtype), name))
    head: dict[str, Any] = {"__metadata__": dict(notes)} if notes else {}
    end = 0
    for name in order:
        begin, end = end, end + table[name].size
        info = table[name]
        head[name] = {"dtype": _NAMES[info.dtype], "shape": list(info.shape), "data_offsets": [begin, end]}
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_file(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            shape, dtype = table[name].shape, table[name].dtype
            rows, parts = 0, arrays.pieces(name) if isinstance(arrays, Tensors) else [arrays[name]]
            for array in map(np.asarray, parts):
                if array.shape[1:] != shape[1:] or array.ndim != len(shape) or array.dtype != dtype:
                    raise ValueError(f"{name} is {array.dtype}{array.shape}, announced as {table[name]}")
                rows += len(array) if shape else 0
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            if rows != (shape[0] if shape else 0):
                raise ValueError(f"{name} has {rows} rows, announced as {table[name]}")


def _rank(dtype: np.dtype) -> int:
    """Place of a type in the library's order, which goes by alignment."""
    order = ("BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "F64", "I64", "U64")
    return order.index(_NAMES[dtype])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _kind(value: Any) -> str:
    return "no JSON" if value is None else f"a {type(value).__name__}"


def notes_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """The notes that `Tensors.facts` reads back: facts in JSON's types."""
    return {"facts": json.dumps(dict(facts))}


def same_file(a: PathLike, b: PathLike) -> bool:
    """Whether two paths are of one file that exists: a converter must not write over what it reads."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
