"""Opening the mesh files that people have: checked against their own length, decoded, and read by `trimesh`.

What a header promises is compared with the file before anything is made; what libraries warn about becomes a note.
"""

import collections
import contextlib
import dataclasses
import gzip
import io
import logging
import pathlib
import re
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.gltf import plain_glb
from hoijax.io.gltf_file import sibling
from hoijax.io.off import parse_off
from hoijax.io.reading import PathLike, existing_file, reading, reason, refuse_substitute, shown
from hoijax.io.threemf import parse_3mf

FORMATS: tuple[str, ...] = ("obj", "ply", "stl", "off", "glb", "gltf", "dae", "3mf")
"""Suffixes of the mesh files that are read; each may be followed by `.gz`, but for glTF in several files."""

_LARGEST = 4 << 30
_LARGEST_XML = 256 << 20
_SMALL = 256 << 20
_PLY_SIZES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2, "float16": 2,
    "int": 4, "uint": 4, "float": 4, "int32": 4, "uint32": 4, "float32": 4, "double": 8, "float64": 8, "int64": 8,
    "uint64": 8,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OpenedScene:
    """A mesh file as `trimesh` read it."""

    scene: Any
    """`trimesh.Scene`."""
    kind: str
    """The format that the file is of, whatever it is called: one of `FORMATS`."""
    notes: tuple[str, ...]
    """What a person should know."""
    metres_per_unit: float | None
    """What the file says about its unit; None: nothing."""


def format_of(path: PathLike) -> str:
    """The format that a name says, in lower case, `.gz` left away."""
    name = pathlib.PurePath(path).name.lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


def read_contents(path: PathLike, what: str = "mesh file") -> bytes:
    """A mesh file's bytes, unpacked where the name ends in `.gz` or the file is packed without saying so.

    Raises:
      InputError: nothing there, empty, a pointer of Git LFS or a web page, or larger than a mesh can be.
    """
    path = existing_file(path, what)
    with reading(path, "a mesh"):
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{shown(path)} has more than {_LARGEST >> 30} GiB; decimate it in a mesh program")
        if path.stat().st_size == 0:
            raise InputError(f"{shown(path)} is empty (0 bytes)")
        with open(path, "rb") as file:
            packed = file.read(3) == b"\x1f\x8b\x08"
        if packed or path.suffix.lower() == ".gz":
            data = _unpack(path, min(_LARGEST, max(_SMALL, 60 * path.stat().st_size)))
        else:
            data = path.read_bytes()
    refuse_substitute(data[:64], path)
    if not data:
        raise InputError(f"{shown(path)} is empty (0 bytes)")
    return data


def _unpack(path: pathlib.Path, limit: int) -> bytes:
    """What a gzip file holds, read piece by piece: meshes pack to a tenth, a thousandth is zeros."""
    pieces, size = [], 0
    with gzip.open(path) as file:
        while piece := file.read(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise InputError(f"{shown(path)} unfolds to more than {limit >> 20:,} MiB")
    return b"".join(pieces)


def open_scene(path: PathLike, *, materials: bool) -> OpenedScene:
    """Reads a mesh file, vertices in the file's order.

    Args:
      path: the file, of one of `FORMATS`.
      materials: whether textures and materials are wanted.

    Raises:
      InputError: nothing there, another format, cut short, damaged, or made to fill the memory.
    """
    path = pathlib.Path(path)
    kind, data = format_of(path), read_contents(path)
    if kind not in FORMATS:
        raise InputError(f"{shown(path)}: '.{kind}' is no mesh format hoijax reads; wanted {', '.join(FORMATS)}")
    if kind in ("glb", "gltf") or data[:4] == b"glTF":
        kind = "gltf"
    notes: list[str] = []
    try:
        with _library_notes(notes):
            scene, unit = _parse(path, kind, data, notes, materials)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{shown(path)} asks for more memory than there is; it is damaged, or too large") from error
    except Exception as error:  # parsers of damaged files raise anything
        raise InputError(
            f"{shown(path)} cannot be read as {kind.upper()} ({reason(error)}); is it damaged or misnamed?"
        ) from error
    return OpenedScene(scene, kind, tuple(dict.fromkeys(notes)), unit)


def _parse(path: pathlib.Path, kind: str, data: bytes, notes: list[str], materials: bool) -> tuple[Any, float | None]:
    import trimesh  # a second, which only those who read such files should wait

    name, options, unit = str(path), {}, None
    if kind == "gltf":
        plain = plain_glb(path, data, materials=materials)
        notes += plain.notes
        data, kind, options = plain.data, "glb", {"skip_materials": not materials}
    elif kind == "off":
        vertices, faces = parse_off(data, name)
        return trimesh.Scene(trimesh.Trimesh(vertices, faces, process=False)), None
    elif kind == "3mf":
        parts, unit = parse_3mf(data, name)
        scene = trimesh.Scene()
        counts = collections.Counter(part for part, *_ in parts)
        for i, (part, vertices, faces) in enumerate(parts):
            part = part if counts[part] == 1 else f"{part} {i + 1}"
            scene.add_geometry(trimesh.Trimesh(vertices, faces, process=False), geom_name=part, node_name=part)
        return scene, unit
    elif kind == "stl":
        data = _whole_stl(path, data, notes)
    elif kind == "ply":
        _check_ply(path, data)
        options = {} if materials else {"fix_texture": False}
    elif kind == "dae":
        unit = _check_dae(path, data, notes)
    resolver = _Folder(path)
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=resolver, process=False, **options)
    notes += resolver.notes
    return scene, unit


class _Folder:
    """Files beside a mesh file, as materials name them: slashes of either kind, options of MTL before the name."""

    def __init__(self, path: pathlib.Path):
        self.path, self.file_name, self.notes = path, path.name, []

    def get(self, name: str) -> bytes:
        """A file's bytes; one that is not in the folder is noted."""
        file = sibling(self.path, _without_options(name)) or sibling(self.path, name)
        if file is None:
            self.notes.append(f"'{shown(name)}' is not in its folder and was left out")
            raise FileNotFoundError(name)
        return file.read_bytes()

    __getitem__ = get

    def keys(self) -> list[str]:
        """Names of the files in the folder."""
        return [entry.name for entry in self.path.absolute().parent.iterdir() if entry.is_file()]

    def __contains__(self, name: str) -> bool:
        return sibling(self.path, name) is not None

    def namespaced(self, name: str) -> "_Folder":
        """Files of a folder below."""
        return _Folder(self.path.parent / name / self.path.name)


def _without_options(name: str) -> str:
    """A texture's name without the options that MTL puts before it: `-s 2 2 2 -clamp on wood.png`."""
    number = r"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
    option = rf"\s*-(?:(?:s|o|t)(?:\s+{number}){{1,3}}|mm\s+{number}\s+{number}|[a-zA-Z]+\s+\S+)\s+"
    while (match := re.match(option, name)) is not None:
        name = name[match.end() :]
    return name.strip().strip('"')


def _whole_stl(path: pathlib.Path, data: bytes, notes: list[str]) -> bytes:
    """A binary STL without what follows its last face; a text one as it is."""
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= 84 else 0
    end = 84 + 50 * count
    # The eighty bytes before the faces of a binary file may say anything; text has no zeros.
    text = data[:512].lstrip().lower().startswith(b"solid") and b"facet" in data[:4096].lower()
    text &= b"\0" not in data[80:1024]
    if text and len(data) != end:
        if b"endsolid" not in data[-4096:].lower():
            raise InputError(f"{shown(path)} is cut short: its text does not end with 'endsolid'; export it again")
        return data
    if len(data) < 84:
        raise InputError(f"{shown(path)} is cut short: {len(data)} bytes are no STL file")
    if len(data) < end:
        raise InputError(
            f"{shown(path)} is cut short: it says {count:,} faces and holds {(len(data) - 84) // 50:,}; export it again"
        )
    if len(data) > end:
        notes.append(f"{len(data) - end:,} bytes after the last face were left out")
    return data[:end]


def _check_ply(path: pathlib.Path, data: bytes) -> None:
    """Compares what a PLY's header promises with the file's length."""
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0 or end > 1 << 20:
        raise InputError(f"{shown(path)} cannot be read as PLY: it has no header of one; is it damaged or misnamed?")
    text, least, count, ascii_form = data[:end].decode("latin-1"), 0, 0, False
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            ascii_form = words[1:2] == ["ascii"]
        elif words[:1] == ["element"]:
            if len(words) < 3 or not words[2].isdecimal() or len(words[2]) > 12:
                raise InputError(f"{shown(path)} is damaged: its header has the line '{shown(line)}'")
            count = int(words[2])
        elif words[:1] == ["property"]:
            size = _PLY_SIZES.get(words[2] if words[1:2] == ["list"] and len(words) > 2 else words[1], 1)
            least += count * (2 if ascii_form else size)
    there = len(data) - end - len(b"end_header") + 8
    if least > there:
        raise InputError(
            f"{shown(path)} is cut short or damaged: its header promises {least:,} bytes or more, {there:,} follow"
        )


def _check_dae(path: pathlib.Path, data: bytes, notes: list[str]) -> float | None:
    """Refuses COLLADA that would unfold; its unit."""
    if len(data) > _LARGEST_XML:
        raise InputError(f"{shown(path)} has more than {_LARGEST_XML >> 20} MiB; decimate it in a mesh program")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise InputError(f"{shown(path)} has a document type of its own, which may unfold without end; remove it")
    if data.count(b"<instance_node") > 64:
        raise InputError(f"{shown(path)} repeats parts more than 64 times; join them in a mesh program")
    try:
        import collada  # noqa: F401 - trimesh reads COLLADA through it
    except ImportError as error:
        raise InputError(f"{shown(path)}: COLLADA needs pycollada: pip install pycollada") from error
    up = re.search(rb"<up_axis>\s*([XYZ])_UP", data)
    if up is not None and up[1] != b"Y":
        notes.append(f"the file says that {up[1].decode().lower()} is up; its coordinates were left as they are")
    unit = re.search(rb"<unit\b[^>]*\bmeter\s*=\s*[\"']\s*([0-9.eE+-]+)", data)
    try:
        factor = float(unit[1]) if unit is not None else 1.0
    except ValueError:
        factor = 1.0
    if not 1e-6 <= factor <= 1e4:
        raise InputError(f"{shown(path)}: its unit is {factor:g} metres, which no object is modelled in")
    return factor


@contextlib.contextmanager
def _library_notes(notes: list[str]) -> Iterator[None]:
    """What libraries warn about inside the block, as notes of one line each."""

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(shown(record.getMessage().strip().splitlines()[0][:160]))

    handler, log = Keep(logging.WARNING), logging.getLogger("trimesh")
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as found, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            yield
        for warning in found:
            if not issubclass(warning.category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning):
                notes.append(shown(str(warning.message).strip().splitlines()[0][:160]))
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
