"""Many bodies with many objects in one run: a table of pairs, or a folder of files with the same stem.

A table is CSV (commas, semicolons or tabs) with the columns `body` and `object` and any of `COLUMNS`; an empty cell
means what the command line says. Files are sought from the table's folder on. A folder holds `chair7.npz` beside
`chair7.glb`.
"""

import collections
import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping

from hoijax.errors import InputError
from hoijax.io import MESH_FORMATS
from hoijax.io.reading import existing_file
from hoijax.io.scenes import format_of
from hoijax.io.sources import SUFFIXES
from hoijax.jobs.contacts import did_you_mean

COLUMNS = ("name", "contact", "regions", "floor", "up", "object_up", "units")
"""Columns of a table beside `body` and `object`; `name` is that of the folder of results."""
BODIES = tuple(sorted({*SUFFIXES} - {*MESH_FORMATS, "txt", "json"}))
"""Formats of bodies in a folder; `.npz` goes before others."""
LARGEST, MOST = 64 << 20, 1_000_000
"""Bytes and rows of a table."""
_SAME = {"out": "name", "out_name": "name"}


@dataclasses.dataclass(frozen=True)
class Pair:
    """One body with one object."""

    name: str
    """Of its folder of results."""
    body: pathlib.Path
    """Parameters."""
    object: pathlib.Path
    """Mesh."""
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Column to text, of `COLUMNS` without `name`, where the table says something."""
    folder: pathlib.Path = pathlib.Path()
    """Where files that the options name are sought from."""


def read_pairs(path: pathlib.Path) -> tuple[list[Pair], dict[str, str]]:
    """The pairs of a table or of a folder, and name to message of those that cannot be used.

    Raises:
      InputError: neither, a column that is not known or not there, or no pairs.
    """
    pairs, failures = _of_folder(path) if path.is_dir() else _of_table(path)
    if not pairs:
        text = next(iter(failures.values()), "it holds none; wanted rows, or body.npz beside body.obj, .glb, ...")
        raise InputError(f"--pairs {path}: {text}")
    return pairs, failures


def _of_folder(folder: pathlib.Path) -> tuple[list[Pair], dict[str, str]]:
    bodies: dict[str, pathlib.Path] = {}
    meshes: dict[str, list[pathlib.Path]] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        stem = path.name.removesuffix(".gz").rpartition(".")[0]
        if format_of(path) in MESH_FORMATS:
            meshes.setdefault(stem, []).append(path)
        elif format_of(path) == "npz" or (format_of(path) in BODIES and stem not in bodies):
            bodies[stem] = path
    pairs, failures = [], {}
    for stem in sorted({*bodies, *meshes}):
        beside = meshes.get(stem, [])
        if stem not in bodies:
            failures[stem] = f"{beside[0].name} has no body {stem}.npz beside it"
        elif not beside:
            failures[stem] = f"{bodies[stem].name} has no mesh of the same name beside it"
        elif len(beside) > 1:
            failures[stem] = f"{bodies[stem].name} has several meshes beside it: {', '.join(p.name for p in beside)}"
        else:
            pairs.append(Pair(stem, bodies[stem], beside[0], {}, folder))
    return pairs, failures


def _of_table(path: pathlib.Path) -> tuple[list[Pair], dict[str, str]]:
    path = existing_file(path, "table or folder of pairs")
    if path.stat().st_size > LARGEST:
        raise InputError(f"--pairs {path}: more than the {LARGEST >> 20} MiB that are read of a table")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"--pairs {path} is no text; wanted a CSV table") from error
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")]
    if not lines:
        raise InputError(f"--pairs {path} is empty")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"--pairs {path} is no CSV table: {error}") from error
    if len(rows) > MOST:
        raise InputError(f"--pairs {path}: more than {MOST:,} rows")
    columns = _columns(path, rows[0])
    entries = [{c: cell.strip() for c, cell in zip(columns, row)} | {"": len(row)} for row in rows[1:]]
    stems = collections.Counter(pathlib.PurePath(entry.get("body", "")).stem for entry in entries)
    pairs, failures, taken = [], {}, set()
    for number, entry in enumerate(entries, 2):
        name = entry.get("name") or _default_name(entry, stems, number)
        try:
            if entry[""] > len(columns):
                raise InputError(f"row {number} of {path.name} has {entry['']} cells, the table {len(columns)} columns")
            for column in ("body", "object"):
                if not entry.get(column):
                    raise InputError(f"row {number} of {path.name} names no {column}")
            _check_name(name, taken, number, path)
        except InputError as error:
            failures[name if name not in taken and name not in failures else f"row {number}"] = str(error)
            continue
        taken.add(name)
        folder = path.absolute().parent
        options = {c: entry[c] for c in COLUMNS[1:] if entry.get(c)}
        pairs.append(Pair(name, folder / entry["body"], folder / entry["object"], options, folder))
    return pairs, failures


def _columns(path: pathlib.Path, header: list[str]) -> list[str]:
    """Names of the columns, checked."""
    known = ("body", "object", *COLUMNS)
    columns = ["_".join(cell.strip().lower().replace("-", " ").split()) for cell in header]
    columns = [_SAME.get(column, column) for column in columns]
    for column in columns:
        if column not in known:
            raise InputError(
                f"--pairs {path}: there is no column '{column}'{did_you_mean([column], known)}; the columns are "
                f"{', '.join(known)}"
            )
    twice = [column for column, count in collections.Counter(columns).items() if count > 1]
    absent = [column for column in ("body", "object") if column not in columns]
    if twice or absent:
        what = f"column '{twice[0]}' is there twice" if twice else f"the column '{absent[0]}' is missing"
        raise InputError(f"--pairs {path}: {what}; the first line names the columns")
    return columns


def _default_name(entry: Mapping[str, str], stems: Mapping[str, int], number: int) -> str:
    """The body's stem, with the object's where several rows have that body."""
    body, object = (pathlib.PurePath(entry.get(column, "")).stem for column in ("body", "object"))
    if not body:
        return f"row {number}"
    return body if stems[body] == 1 else f"{body}-{object}"


def _check_name(name: str, taken: set[str], number: int, path: pathlib.Path) -> None:
    """Refuses a name that is no single folder, or of another row."""
    if name in taken:
        raise InputError(f"row {number} of {path.name}: another row has the name '{name}' too; give each its own")
    if name in (".", "..") or any(letter in name for letter in "/\\\0") or not name.isprintable() or len(name) > 200:
        raise InputError(f"row {number} of {path.name}: '{name[:80]}' is no name of a folder")
