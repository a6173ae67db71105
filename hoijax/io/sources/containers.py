"""Whatever file an estimator wrote as one tree of dictionaries, lists, arrays and texts; nothing in it is executed."""

import math
import pathlib
import zipfile
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.archives import PLAIN, open_npz
from hoijax.io.data_pickles import loads_data, read_data_pickle
from hoijax.io.meshes import MESH_FORMATS, mesh_as_written
from hoijax.io.reading import PathLike, existing_file, read_json, reading, refuse_substitute, shown
from hoijax.io.scenes import format_of
from hoijax.io.torch_checkpoints import read_torch

SUFFIXES: tuple[str, ...] = (
    "npz", "npy", "pkl", "pickle", "pt", "pth", "tar", "ckpt", "joblib", "json", "txt", *MESH_FORMATS,
)  # fmt: skip
"""Of files that may hold an estimate."""

MESH = "(mesh)"
"""Key of the vertices of a mesh file; `(faces)` is beside it."""
MATRIX = "(matrix)"
"""Key of the numbers of a text file."""

_MOST_TEXT = 64 << 10
_MOST_TREE = 512 << 20


def read_tree(path: PathLike) -> Any:
    """The contents of a file: by its first bytes, and for meshes, JSON and text by its name.

    Args:
      path: `.npz`, `.npy`, pickles (joblib's too), PyTorch's files, JSON, a 4 x 4 matrix as text, or a mesh.

    Returns:
      Dictionaries, lists, NumPy arrays, numbers, texts. A mesh is `{MESH: (V, 3), "(faces)": (F, 3)}`, a text
      `{MATRIX: (N, M)}`.

    Raises:
      InputError: nothing there, another format, damaged, too large, or it asks for code to be run.
    """
    path = existing_file(path, "file of an estimate")
    kind = format_of(path)
    with open(path, "rb") as file:
        start = file.read(64)
    refuse_substitute(start, path)
    if start.startswith(b"PK\x03\x04"):
        return _zip(path)
    if start.startswith(b"\x93NUMPY"):
        return _npy(path)
    if kind in MESH_FORMATS:
        vertices, faces = mesh_as_written(path)
        return {MESH: vertices, "(faces)": faces}
    if kind == "json":
        return read_json(path, kind=(dict, list))
    if kind in ("txt", "csv", "mat"):
        return {MATRIX: _text(path)}
    if kind in SUFFIXES:
        return read_data_pickle(path, limit=_MOST_TREE)
    raise InputError(f"{shown(path)}: '.{kind}' is none of the files that are read: {', '.join(SUFFIXES)}")


def _zip(path: pathlib.Path) -> Any:
    with reading(path, "an archive"), zipfile.ZipFile(path) as archive:
        torch = any(pathlib.PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
    if torch:
        return read_torch(path)
    tree: dict[str, Any] = {}
    with open_npz(path, limit=_MOST_TREE, what="file of an estimate") as archive:
        headers = {key: archive.header(key) for key in archive.members}
        archive.check_total(list(headers))
        for key, header in headers.items():
            if not header.dtype.hasobject:
                tree[key] = archive.array(key, kinds=PLAIN + "V")
                continue
            with reading(f"{path}: '{key}'", "an array of objects"):
                content = archive.contents(archive.members[key].filename)[header.size :]
                tree[key] = _object(loads_data(content, limit=_MOST_TREE))
    return tree


def _npy(path: pathlib.Path) -> Any:
    with reading(path, "an array"), open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        begin = file.tell()
        size = path.stat().st_size - begin
        if size > _MOST_TREE:
            raise InputError(f"{shown(path)} has more than the {_MOST_TREE >> 20} MiB that are read")
        if dtype.hasobject:
            return _object(loads_data(file.read(), limit=_MOST_TREE))
        if math.prod(shape) * dtype.itemsize != size or dtype.itemsize == 0:
            raise InputError(f"{shown(path)} has {size:,} bytes, its header says {shape} of {dtype}; it is damaged")
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran else "C")


def _object(value: Any) -> Any:
    """What an array of objects holds, alone if it is one."""
    array = isinstance(value, np.ndarray) and value.dtype.hasobject
    if array and value.ndim == 0:
        return value.item()
    return value.tolist() if array else value


def _text(path: pathlib.Path) -> np.ndarray:
    """The numbers of a small text file, one row a line."""
    with reading(path, "a matrix as text"):
        if path.stat().st_size > _MOST_TEXT:
            raise InputError(f"{shown(path)} is larger than a text file with one pose")
        text = path.read_text("utf-8").replace(",", " ").replace("[", " ").replace("]", " ")
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
        if not rows or len({len(row) for row in rows}) != 1:
            raise InputError(f"{shown(path)} is no matrix: its lines have different lengths; wanted four rows of four")
        return np.asarray(rows)
