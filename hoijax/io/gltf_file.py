"""The container of glTF 2.0: header, buffers and accessors, each checked against the file before anything is made.

References: the Khronos glTF 2.0 specification, sections 3.6 (accessors, sparse ones included) and 4.4 (GLB);
KHR_draco_mesh_compression; EXT_meshopt_compression, section on fallback buffers.
"""

import base64
import binascii
import functools
import json
import math
import pathlib
import struct
import unicodedata
import urllib.parse
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import refuse_substitute, shown

_COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression", "MESHOPT_compression")
_MOST_ENTRIES = 1_000_000
_ROOM = 16 << 20
_LARGEST = 2 << 30

UNPACK = "npx @gltf-transform/cli copy {0} plain.glb"
"""The command that undoes compression which hoijax does not."""


class GltfFile:
    """A glTF file, GLB or JSON with its buffers beside it; every error names it.

    Attributes:
      tree: the JSON header.
      notes: what a person should know.
    """

    def __init__(self, path: pathlib.Path, data: bytes):
        self.path, self.notes = path, []
        self._lists: dict[str, list[dict[str, Any]]] = {}  # those that were checked
        refuse_substitute(data[:64], path)
        text, chunk = self._chunks(data)
        self.tree = self._header(text)
        self._size = len(data)
        self._buffers = [self._buffer(i, entry, chunk) for i, entry in enumerate(self.entries("buffers"))]
        self._known: dict[int, np.ndarray] = {}

    def entries(self, name: str, tree: dict | None = None) -> list[dict[str, Any]]:
        """A list of objects of the header; empty where there is none.

        Raises:
          InputError: it is something else.
        """
        if tree is None and name in self._lists:
            return self._lists[name]
        value = (self.tree if tree is None else tree).get(name, [])
        if not isinstance(value, list) or len(value) > _MOST_ENTRIES or not all(isinstance(v, dict) for v in value):
            raise self.damage(f"'{name}' is no list of objects")
        if tree is None:
            self._lists[name] = value
        return value

    def entry(self, name: str, index: Any) -> dict[str, Any]:
        """One object of a list of the header.

        Raises:
          InputError: there is none of that number.
        """
        entries = self.entries(name)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(entries):
            raise self.damage(f"it names {name}[{index!r:.20}], of which there are {len(entries)}")
        return entries[index]

    def damage(self, what: str) -> InputError:
        """An error about this file."""
        return InputError(f"{shown(self.path)} cannot be read as glTF, it is damaged: {shown(what)}")

    def number(self, entry: dict[str, Any], key: str, default: int | None = None) -> int:
        """A whole number from 0 on.

        Raises:
          InputError: it is none.
        """
        value = entry.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
            raise self.damage(f"'{key}' is {value!r:.40}, wanted a whole number")
        return value

    def numbers(self, entry: dict[str, Any], key: str) -> list[int]:
        """A list of whole numbers; empty where there is none.

        Raises:
          InputError: it is something else.
        """
        values = entry.get(key, [])
        if not isinstance(values, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            raise self.damage(f"'{key}' is no list of numbers")
        return values

    def extension(self, entry: dict[str, Any], name: str) -> dict[str, Any] | None:
        """An extension's object, or None."""
        extensions = entry.get("extensions")
        found = extensions.get(name) if isinstance(extensions, dict) else None
        return found if isinstance(found, dict) else None

    def view(self, index: int) -> tuple[bytes | memoryview, int | None]:
        """The bytes of a buffer view, and its stride.

        Raises:
          InputError: it reaches beyond its buffer, or is compressed with meshoptimizer.
        """
        entry = self.entry("bufferViews", index)
        number = self.number(entry, "buffer")
        packed = any(self.extension(entry, name) for name in _MESHOPT)
        there = self._buffers[number] if number < len(self._buffers) else None
        if there is None and packed:
            raise InputError(
                f"{shown(self.path)} is compressed with meshoptimizer (EXT_meshopt_compression), which is not read; "
                f"undo it with: {UNPACK.format(self.path.name)}"
            )
        if there is None:
            raise self.damage(f"a buffer view lies in buffer {number}, which has no bytes")
        start, length = self.number(entry, "byteOffset", 0), self.number(entry, "byteLength")
        if start + length > len(there):
            raise self.damage(f"a buffer view ends at byte {start + length} of a buffer of {len(there)}")
        stride = self.number(entry, "byteStride") if "byteStride" in entry else None
        return memoryview(there)[start : start + length], stride

    def accessor(self, index: int) -> np.ndarray:
        """An accessor's numbers `(count, width)` in the type that they are stored in.

        Raises:
          InputError: an impossible one, or one that is larger than what it is read from.
        """
        if index in self._known:
            return self._known[index]
        entry = self.entry("accessors", index)
        kind, width = _COMPONENTS.get(entry.get("componentType")), _WIDTHS.get(str(entry.get("type")))
        if kind is None or width is None:
            raise self.damage(f"accessor {index} is of an unknown type ({entry.get('type')!r:.40})")
        dtype, count = np.dtype(kind).newbyteorder("<"), self.number(entry, "count")
        if "bufferView" in entry:
            data, stride = self.view(entry["bufferView"])
            found = self._rows(data, dtype, self.number(entry, "byteOffset", 0), count, width, stride, index)
        else:
            if count * width * dtype.itemsize > self._size + _ROOM:
                raise self.damage(f"accessor {index} has {count:,} entries without bytes, more than the file is long")
            found = np.zeros((count, width), dtype)
        if isinstance(entry.get("sparse"), dict):
            found = self._sparse(found, entry["sparse"], dtype, count, width, index)
        self._known[index] = found
        return found

    def attribute(self, index: int) -> np.ndarray:
        """An accessor's numbers `(count, width)` as float32: integers that stand for fractions are divided.

        KHR_mesh_quantization: a normalized integer c of n bits is c / (2^n - 1), a signed one at least -1 and
        c / (2^(n-1) - 1).
        """
        found, entry = self.accessor(index), self.entry("accessors", index)
        if found.dtype.kind == "f" or not entry.get("normalized"):
            return found.astype(np.float32)
        top = np.iinfo(found.dtype).max
        return np.maximum(found.astype(np.float32) / np.float32(top), np.float32(-1))

    def replace(self, index: int, values: np.ndarray) -> None:
        """Gives an accessor the numbers that a decoder made."""
        self._known[index] = values

    def resource(self, uri: Any) -> bytes:
        """What a URI names: data in the URI itself, or a file in this one's folder, percent-encoded or not.

        Raises:
          InputError: it leads out of the folder or to a server, or the file cannot be read.
        """
        if not isinstance(uri, str) or not uri:
            raise self.damage("a URI is no text")
        if uri.startswith("data:"):
            head, _, text = uri.partition(",")
            try:
                if head.endswith(";base64"):
                    return base64.b64decode(urllib.parse.unquote(text))
                return urllib.parse.unquote_to_bytes(text)
            except (binascii.Error, ValueError) as error:
                raise self.damage(f"a data URI is no base64 ({error})") from error
        file = sibling(self.path, uri)
        if file is None:
            raise InputError(f"{shown(self.path)} needs the file '{shown(uri)}', which is not in its folder")
        if file.stat().st_size > _LARGEST:
            raise InputError(f"{shown(file)} is larger than {_LARGEST >> 30} GiB")
        return file.read_bytes()

    def _chunks(self, data: bytes) -> tuple[bytes, bytes | None]:
        """JSON and binary chunk; a file without the GLB's magic is JSON, whatever its name says."""
        if data[:4] != b"glTF":
            return data, None
        if len(data) < 20:
            raise self.damage(f"it has {len(data)} bytes")
        version, total = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise InputError(
                f"{shown(self.path)} cannot be read as GLB: it is glTF {version}, wanted glTF 2; convert it in a mesh "
                "program"
            )
        if total > len(data):
            raise self.damage(f"it says that it has {total:,} bytes, and has {len(data):,}")
        chunks, at = [], 12
        while at + 8 <= total:
            length, kind = struct.unpack_from("<I4s", data, at)
            if at + 8 + length > len(data):
                raise self.damage(f"a chunk of {length:,} bytes ends after the file")
            chunks.append((kind, data[at + 8 : at + 8 + length]))
            at += 8 + length
        if not chunks or chunks[0][0] != b"JSON":
            raise self.damage("its first chunk is not JSON")
        return chunks[0][1], next((chunk for kind, chunk in chunks[1:] if kind == b"BIN\0"), None)

    def _header(self, text: bytes) -> dict[str, Any]:
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.damage(f"its header is no JSON ({type(error).__name__})") from error
        asset = tree.get("asset") if isinstance(tree, dict) else None
        if not isinstance(asset, dict):
            raise self.damage("its header is no glTF header")
        version = str(asset.get("version", "2.0"))
        if not version.startswith("2"):
            raise InputError(
                f"{shown(self.path)} is glTF {shown(version)}, wanted glTF 2; convert it in a mesh program"
            )
        return tree

    def _buffer(self, index: int, entry: dict[str, Any], chunk: bytes | None) -> bytes | None:
        if any(self.extension(entry, name) for name in _MESHOPT) and "uri" not in entry and not (chunk and index == 0):
            return None  # a place-holder for what the views' extensions unfold to
        if "uri" in entry:
            found = self.resource(entry["uri"])
        elif index == 0 and chunk is not None:
            found = chunk
        else:
            return None
        length = self.number(entry, "byteLength", len(found))
        if length > len(found):
            raise self.damage(f"buffer {index} has {len(found):,} bytes, wanted {length:,}")
        return found[:length]

    def _rows(
        self, data: Any, dtype: np.dtype, start: int, count: int, width: int, stride: int | None, index: int
    ) -> np.ndarray:
        row = width * dtype.itemsize
        stride = stride or row
        if stride < row or (start + (count - 1) * stride + row > len(data) and count):
            raise self.damage(
                f"accessor {index} has {count:,} entries of {row} bytes, its buffer view {len(data):,} bytes"
            )
        if not count:
            return np.zeros((0, width), dtype)
        flat = np.frombuffer(data, np.uint8, (count - 1) * stride + row, start)
        return np.lib.stride_tricks.as_strided(flat, (count, row), (stride, 1)).copy().view(dtype)

    def _sparse(
        self, base: np.ndarray, sparse: dict[str, Any], dtype: np.dtype, count: int, width: int, index: int
    ) -> np.ndarray:
        number, parts = self.number(sparse, "count"), {}
        for name, kind, columns in (("indices", None, 1), ("values", dtype, width)):
            entry = sparse.get(name)
            if not isinstance(entry, dict):
                raise self.damage(f"accessor {index} is sparse without {name}")
            kind = _COMPONENTS.get(entry.get("componentType")) if kind is None else kind
            if kind is None:
                raise self.damage(f"accessor {index} has sparse indices of an unknown type")
            data, _ = self.view(self.number(entry, "bufferView"))
            start = self.number(entry, "byteOffset", 0)
            parts[name] = self._rows(data, np.dtype(kind), start, number, columns, None, index)
        places, out = parts["indices"].reshape(-1).astype(np.int64), base.copy()
        if number and (places.min() < 0 or places.max() >= count):
            raise self.damage(f"accessor {index} has sparse indices beyond its {count:,} entries")
        out[places] = parts["values"]
        return out


def sibling(path: pathlib.Path, name: str) -> pathlib.Path | None:
    """The file that another file names, if it lies in that file's folder or below.

    Its name is taken as written, or percent-decoded, without a query after it, and at last with other capitals or
    accents composed otherwise, which the file systems that it came from take for the same.

    Args:
      path: the file that names it.
      name: a relative URI or path, with slashes of either kind.

    Returns:
      An existing regular file, or None.
    """
    folder = path.absolute().parent.resolve()
    name = name.strip()
    bare = name.partition("?")[0]
    texts = dict.fromkeys((name, urllib.parse.unquote(name), bare, urllib.parse.unquote(bare)))
    forms = [
        form for text in texts for form in (text, text.replace("\\", "/"), text.replace("\\", "/").rpartition("/")[2])
    ]
    for spell in (lambda form: form, functools.partial(_find_spelling, folder)):
        for form in dict.fromkeys(forms):
            try:
                file = (folder / spell(form)).resolve()
                if form and file.is_relative_to(folder) and file.is_file():
                    return file
            except (OSError, ValueError):
                continue
    return None


def _find_spelling(folder: pathlib.Path, name: str) -> str:
    """A name with its last part as the folder spells it."""
    place = (folder / name).resolve()
    if not place.parent.is_relative_to(folder):
        return name
    plain = _plain(place.name)
    found = next((entry.name for entry in place.parent.iterdir() if _plain(entry.name) == plain), place.name)
    return str(place.parent / found)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def finite_numbers(values: Any, count: int) -> np.ndarray | None:
    """`count` finite numbers, or None."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values):
        return None
    return np.asarray(values, np.float64)
