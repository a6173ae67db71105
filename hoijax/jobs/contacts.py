"""What `--contact` asks for: parts of the body, each anywhere on the object or within a region of it.

    --contact auto                              parts are proposed from proximity
    --contact "buttocks, left hand: armrest"    the left hand on what is called so
    --contact "right hand: box(-0.3 0.6 -0.2 -0.2 0.7 0.2)"
    --contact "back: vertices(back.txt)"        or, if nothing else is called so, "back: back.txt"

A region is a box along the axes of the mesh's file (its lower corner, then its upper one, metres), the vertices that
a file lists, a group, object, node or material of the mesh, or a name of the file of `--regions`, which says what it is
in the same words: `armrest: box(...)`, one a line, or as a JSON object.
"""

import dataclasses
import difflib
import json
import pathlib
import re
from collections.abc import Iterable, Mapping

import numpy as np

from hoijax.body_models import BodyModel, contact_regions
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import ObjectRegion, region_of_box, region_of_triangles, region_of_vertices
from hoijax.io import LoadedMesh, mesh_groups, read_json
from hoijax.io.reading import existing_file, is_file

LARGEST = 16 << 20
"""Bytes of a file of regions or vertices."""
_CALL = re.compile(r"(box|vertices)\s*\((.*)\)", re.DOTALL)
_ORDERED = ("obj", "ply", "off", "glb", "gltf")
"""Formats whose vertices keep the file's order and number, of several parts one after the other."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of an interaction."""

    parts: tuple[str, ...] | None
    """Parts that must touch; None: proposed."""
    regions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Part to what its region was called, for the parts that have one."""


def parse_contact(contact: str, model: BodyModel) -> Asked:
    """What a command line's `--contact` asks for.

    Raises:
      InputError: a part that the model does not have, one that is asked twice, or nothing.
    """
    if contact.strip() in ("auto", "none"):
        return Asked(None if contact.strip() == "auto" else ())
    known = contact_regions(model)
    parts: list[str] = []
    wrong: list[str] = []
    regions: dict[str, str] = {}
    for entry in _entries(contact):
        name, colon, region = (text.strip() for text in entry.partition(":"))
        part = re.sub(r"[\s-]+", "_", name.lower())
        if part not in known:
            wrong.append(name)
            continue
        if colon and not region:
            raise InputError(f"--contact {contact}: '{name}:' names no region; leave the colon out for anywhere")
        if part in parts and (region or part in regions):
            raise InputError(f"--contact {contact}: {part} is asked twice; give it one region")
        parts += [part] * (part not in parts)
        if region:
            regions[part] = region
    if wrong or not parts:
        raise InputError(
            f"--contact {contact}: {', '.join(map(repr, wrong)) or 'nothing'} is no part of the body"
            f"{did_you_mean(wrong, known)}; wanted 'auto', 'none' or any of {', '.join(known)}"
        )
    return Asked(tuple(parts), regions)


def find_regions(
    asked: Asked,
    mesh: LoadedMesh,
    path: pathlib.Path,
    file: pathlib.Path | None = None,
    folder: pathlib.Path = pathlib.Path(),
) -> dict[str, ObjectRegion]:
    """The regions that are asked for, in the frame of the mesh's file, metres.

    Args:
      asked: of one interaction.
      mesh: as read, not turned.
      path: its file, whose groups may be named.
      file: of `--regions`; names of vertex files in it start from its folder.
      folder: where names of vertex files in what is asked start.

    Raises:
      InputError: a name that neither the mesh nor the file knows, or a region without a surface.
    """
    if not asked.regions:
        return {}
    named = {} if file is None else read_regions(file)
    groups: dict[str, np.ndarray] | None = None
    shape = Mesh(vertices=mesh.vertices, faces=mesh.faces)
    found = {}
    for part, text in asked.regions.items():
        start, meaning = folder, text
        if (name := find_spelling(text, named)) is not None:
            start, meaning = file.absolute().parent, named[name]
        groups = mesh_groups(path) if groups is None and _CALL.fullmatch(meaning) is None else groups
        group = find_spelling(meaning, groups or ())
        if group is None and _CALL.fullmatch(meaning) is None and is_file(start / meaning):
            meaning = f"vertices({meaning})"
        call = _CALL.fullmatch(meaning)
        if call is not None and call[1] == "box":
            lower, upper = _box(text, call[2])
            found[part] = region_of_box(_short(text), shape, lower, upper)
        elif call is not None:
            _check_order(text, path)
            found[part] = region_of_vertices(_short(text), shape, _vertices(text, call[2], start))
        elif group is None:
            raise _unknown(part, meaning, named, groups, path)
        else:
            found[part] = region_of_triangles(_short(text), groups[group] * mesh.report.metres_per_unit)
    return found


def read_regions(path: pathlib.Path) -> dict[str, str]:
    """Names of regions and what they mean, from JSON or from lines `name: meaning`.

    In JSON a meaning is a text as on the command line, or `{"box": [[x, y, z], [x, y, z]]}`, `{"vertices": [ids]}`,
    `{"vertices": "file"}`, `{"group": "name"}`.

    Raises:
      InputError: no such file, or something else in it.
    """
    if path.suffix.lower() == ".json":
        tree = read_json(path, limit=LARGEST)
        return {name: _meaning(path, name, value) for name, value in tree.items()}
    found = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, colon, meaning = (text.strip() for text in line.partition(":"))
        if not (name and colon and meaning):
            raise InputError(f"{path}: line {number} is '{line[:60]}'; wanted a name, a colon and what it is: {_FORMS}")
        found[name] = meaning
    return found


_FORMS = "box(x y z x y z), vertices(FILE) or a group of the mesh"


def find_spelling(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant: the same, or the only one that differs in capitals, spaces and underscores."""
    known = list(known)
    if name in known:
        return name
    alike = [one for one in known if _plain(one) == _plain(name)]
    return alike[0] if len(alike) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.lower())


def did_you_mean(wrong: Iterable[str], known: Iterable[str]) -> str:
    """A hint at the nearest known spelling of the first wrong name that has one; "" without."""
    plain = {_plain(name): name for name in known}
    for name in wrong:
        close = difflib.get_close_matches(_plain(name), plain, 1, 0.6)
        if close:
            return f" (did you mean {plain[close[0]]}?)"
    return ""


def _entries(text: str) -> list[str]:
    """A list cut at its commas, those within parentheses apart."""
    depth, entries = 0, [""]
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            entries.append("")
        else:
            entries[-1] += letter
    if depth:
        raise InputError(f"--contact {text}: a parenthesis is not closed")
    return [entry for entry in entries if entry.strip()]


def _meaning(path: pathlib.Path, name: str, value: object) -> str:
    """A JSON value as the text of a command line."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, what),) = value.items()
        if kind == "group" and isinstance(what, str):
            return what
        if kind in ("box", "vertices"):
            return f"{kind}({what if isinstance(what, str) else json.dumps(what)})"
    raise InputError(f"{path}: the region '{name}' is {json.dumps(value)[:80]}; wanted {_FORMS}")


def _numbers(text: str) -> list[float] | None:
    """The numbers of a text, brackets and commas aside; None if there is anything else."""
    try:
        return [float(word) for word in re.sub(r"[\[\](),;]", " ", text).split()]
    except ValueError:
        return None


def _box(name: str, text: str) -> tuple[list[float], list[float]]:
    numbers = _numbers(text)
    if numbers is None or len(numbers) != 6:
        raise InputError(
            f"the region '{name}' is box({text.strip()}); wanted six numbers: the lower corner x y z, then the upper "
            "one, metres"
        )
    return numbers[:3], numbers[3:]


def _vertices(name: str, text: str, folder: pathlib.Path) -> np.ndarray:
    """Numbers of vertices that are listed, or those in a file: text, JSON or `.npy`."""
    numbers, source = _numbers(text), f"vertices({text.strip()})"
    if numbers is None:
        path = existing_file(folder / text.strip().strip("\"'"), f"list of vertices for the region '{name}',")
        source = str(path)
        if path.suffix.lower() == ".npy":
            try:
                numbers = np.load(path, allow_pickle=False, mmap_mode="r").reshape(-1).tolist()
            except (OSError, ValueError, EOFError) as error:
                raise InputError(f"{path} cannot be read as an .npy array: {error}") from error
        else:
            numbers = _numbers(_text(path))
    if not numbers or not all(np.isfinite(number) and number == int(number) for number in numbers):
        raise InputError(
            f"the region '{name}': {source} holds no list of vertex numbers; wanted whole numbers from 0 on"
        )
    return np.asarray(numbers, np.int64)


def _text(path: pathlib.Path) -> str:
    path = existing_file(path, "file")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} has more than the {LARGEST:,} bytes that are read of such a file")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text") from error


def _check_order(name: str, path: pathlib.Path) -> None:
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in _ORDERED:
        raise InputError(
            f"the region '{name}' lists vertices, but {path.name} keeps no order of them; give the mesh as "
            f"{', '.join(_ORDERED)}, or the region as a box or a group"
        )


def _unknown(
    part: str, name: str, named: Mapping[str, str], groups: Mapping[str, np.ndarray], path: pathlib.Path
) -> InputError:
    known = [*named, *groups]
    shown = ", ".join(repr(one) for one in known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    there = f"there are {shown}" if known else f"{path.name} names no groups and there is no --regions file"
    return InputError(
        f"--contact {part}: {name}: there is no region of that name{did_you_mean([name], known)}; {there}; "
        "or give box(x y z x y z)"
    )


def _short(text: str) -> str:
    """What a region is called in tables."""
    return text if len(text) <= 40 else text[:37] + "..."
