"""Files that say what touches: probabilities for the vertices of a body or an object, or pairs of parts in words.

* InteractVLM's `*_hcontact_vertices.npz` and `*_oafford_vertices.npz`: `pred_contact_3d`, of the body if its length is
  a body's, else of the object.
* DECO, BSTRO, LEMON, a user's own: `contact`, `contact_label`, ... with (V,) probabilities, zeros and ones, or numbers
  of vertices; a bare array or list too.
* DAMON: `contact_label_objectwise`, or JSON `{object: [numbers of vertices]}`.
* PICO's `contact_vertices_{stem}.pkl`: (N,) of the object's vertices; a dictionary with `human` and `object`.
* LEMON's affordance as text: rows of x y z and one probability.
* A text file: lines `right hand: handle`, the words of `--contact`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import PathLike, existing_file, reading, shown
from hoijax.io.scenes import format_of
from hoijax.io.sources.containers import MATRIX, read_tree
from hoijax.io.sources.records import numbers
from hoijax.io.sources.table import VERTICES

BODY_KEYS = (
    "pred_contact_3d", "contact", "contacts", "contact_label", "contact_labels", "contact_prob", "cont", "hcontact",
    "human_contact", "human", "body", "pred_contact", "contact_label_smplx",
)  # fmt: skip
OBJECT_KEYS = ("object_contact", "object", "oafford", "object_affordance", "affordance", "pred_contact_3d")
_OBJECTWISE = ("contact_label_objectwise", "contact_label_objectwise_smplx")
_LARGEST_TEXT = 16 << 20
_MOST_VERTICES = 5_000_000


@dataclasses.dataclass(frozen=True)
class ContactFile:
    """What a file says of contact."""

    path: pathlib.Path
    """The file."""
    body: np.ndarray | None = None
    """`(V,)` probabilities of a body's vertices; V tells the body."""
    object: np.ndarray | None = None
    """`(N,)` probabilities of the object's vertices, in the order of its file, or of `points`."""
    points: np.ndarray | None = None
    """`(N, 3)` in the frame of the mesh's file; None: its vertices."""
    words: str = ""
    """Pairs of parts in the words of `--contact`."""


def read_contacts(path: PathLike, name: str | None = None, body: str | None = None) -> ContactFile:
    """Reads a file of contacts; nothing in it is executed.

    Args:
      path: see the module's table.
      name: which object, of a file with labels for several.
      body: "smpl" or "smplx", whose vertices a bare list numbers.

    Raises:
      InputError: nothing there, damaged, several objects and none named, a bare list of vertices of nobody knows which
        body, or numbers that are no probabilities.
    """
    path = existing_file(path, "file of contacts")
    if format_of(path) in ("txt", "csv"):
        return _text(path, body)
    tree = read_tree(path)
    if isinstance(tree, list) and tree and all(isinstance(item, Mapping) for item in tree):
        if len(tree) > 1:
            raise InputError(f"{shown(path)} has labels of {len(tree)} pictures, wanted those of one; save its entry")
        tree = tree[0]
    bare = numbers(tree)
    if bare is not None:
        return _of_one(path, "its array", bare, bare=body or "?")
    if not isinstance(tree, Mapping):
        raise InputError(f"{shown(path)} holds a {type(tree).__name__}, wanted probabilities of contact")
    objectwise_key = next((key for key in _OBJECTWISE if key in tree), "")
    objectwise = tree.get(objectwise_key)
    if objectwise is None and tree and all(_is_list(value) for value in tree.values()):
        known = {*BODY_KEYS, *OBJECT_KEYS}
        objectwise = None if known & {str(key) for key in tree} else tree
    if objectwise is not None:
        return _of_object(path, objectwise, name, _vertex_count(objectwise_key))
    found = ContactFile(path)
    for key in BODY_KEYS:
        if found.body is None and (value := numbers(tree.get(key))) is not None:
            found = _merge(found, _of_one(path, repr(key), value, keep=key != "pred_contact_3d"))
    for key in OBJECT_KEYS:
        if found.object is None and key != "pred_contact_3d" and (value := numbers(tree.get(key))) is not None:
            found = dataclasses.replace(found, object=_probabilities(path, repr(key), value, None))
    points = numbers(tree.get("points", tree.get("object_points")))
    if points is not None and points.ndim == 2 and points.shape[1] == 3:
        found = dataclasses.replace(found, points=_points(path, "its points", points))
    if found.body is None and found.object is None:
        keys = ", ".join(shown(str(key)) for key in list(tree)[:12])
        raise InputError(f"{shown(path)} says nothing of contact: it has {keys}; wanted one of {', '.join(BODY_KEYS)}")
    return found


def _is_list(value: Any) -> bool:
    """Whether it is a list of numbers of vertices."""
    array = numbers(value)
    return (isinstance(value, list) and not value) or (
        array is not None and array.ndim == 1 and array.dtype.kind in "iu"
    )


def _merge(one: ContactFile, two: ContactFile) -> ContactFile:
    body = one.body if one.body is not None else two.body
    return dataclasses.replace(one, body=body, object=one.object if one.object is not None else two.object)


def _of_one(
    path: pathlib.Path, key: str, value: np.ndarray, *, keep: bool = False, bare: str = "smpl"
) -> ContactFile:  # fmt: skip
    """Of a body if its length is a body's, or its entries name vertices of one; otherwise of an object."""
    value = value.reshape(value.shape[1:]) if value.ndim > 1 and value.shape[0] == 1 else value
    value = value[..., 0] if value.ndim == 2 and value.shape[1] == 1 else value
    if value.ndim == 2 and value.shape[1] in VERTICES:
        raise InputError(f"{shown(path)}: {key} has labels of {len(value)} pictures, wanted those of one; save its row")
    if value.ndim == 2 and value.shape[1] == 4:
        return ContactFile(
            path, object=_probabilities(path, key, value[:, 3], None), points=_points(path, key, value[:, :3])
        )
    if value.ndim != 1:
        raise InputError(f"{shown(path)}: {key} has the shape {value.shape}, wanted (V,) probabilities")
    if len(value) in VERTICES or keep or _names_vertices(value):
        listed = _names_vertices(value)
        if listed and bare == "?" and value.min() >= 0 and value.max() < 6890:
            raise InputError(
                f"{shown(path)}: {key} lists numbers of vertices and no key says of which body; say it with "
                "--contacts-body smpl or smplx"
            )
        count = 10475 if bare == "smplx" else _vertex_count(key)
        return ContactFile(path, body=_probabilities(path, key, value, count if listed else None))
    return ContactFile(path, object=_probabilities(path, key, value, None))


def _names_vertices(value: np.ndarray) -> bool:
    """Whether these are numbers of vertices, not one probability a vertex."""
    whole = value.dtype.kind in "iu" or (value.dtype.kind == "f" and np.array_equal(value, np.round(value)))
    return bool(whole and len(value) not in VERTICES and value.size > 0 and value.max() > 1)


def _vertex_count(key: str) -> int:
    """Of the body whose vertices a list under this key numbers: SMPL's, unless it says SMPL-X."""
    return 10475 if "smplx" in key else 6890


def _of_object(path: pathlib.Path, table: Any, name: str | None, count: int) -> ContactFile:
    """DAMON's lists of vertices of a body that has `count`, one an object."""
    if not isinstance(table, Mapping):
        raise InputError(f"{shown(path)}: its labels by object are no dictionary; save the entry of one picture")
    names = {str(key): value for key, value in table.items()}
    if name is None and len(names) != 1:
        told = ", ".join(f"{shown(key)} ({len(value)})" for key, value in list(names.items())[:20])
        raise InputError(f"{shown(path)} has contacts with {len(names)} objects: {told}; choose one with --contacts-of")
    chosen = next(iter(names)) if name is None else name
    if chosen not in names:
        raise InputError(f"{shown(path)} has no object {chosen!r}; it has {', '.join(map(repr, list(names)[:20]))}")
    value = numbers(names[chosen])
    if value is None or value.size == 0:
        raise InputError(f"{shown(path)}: {chosen!r} touches nothing")
    return ContactFile(path, body=_probabilities(path, repr(chosen), value, None if len(value) in VERTICES else count))


def _probabilities(path: pathlib.Path, key: str, value: np.ndarray, count: int | None) -> np.ndarray:
    """(V,) in [0, 1]; with a count, of numbers of vertices."""
    value = np.asarray(value).reshape(-1)
    if value.size == 0:
        raise InputError(f"{shown(path)}: {key} is empty, wanted (V,) probabilities")
    if value.size > _MOST_VERTICES or not np.isfinite(value.astype(np.float64)).all():
        raise InputError(f"{shown(path)}: {key} holds numbers that are not finite, or more than {_MOST_VERTICES:,}")
    if count is not None:
        if value.min() < 0 or value.max() >= max(VERTICES):
            raise InputError(f"{shown(path)}: {key} names the vertex {value.max()}, no body has so many")
        out = np.zeros(next(size for size in sorted(VERTICES) if size > max(value.max(), count - 1)))
        out[value.astype(np.int64)] = 1.0
        return out
    value = value.astype(np.float64)
    if value.min() < -1e-6 or value.max() > 1 + 1e-6:
        raise InputError(
            f"{shown(path)}: {key} holds {value.min():.3g} to {value.max():.3g}, wanted probabilities from 0 to 1; of "
            "logits take the sigmoid first"
        )
    return np.clip(value, 0, 1)


def _points(path: pathlib.Path, key: str, value: np.ndarray) -> np.ndarray:
    if not np.isfinite(value).all():
        raise InputError(f"{shown(path)}: {key} hold places that are not finite")
    return value.astype(np.float64)


def _text(path: pathlib.Path, body: str | None) -> ContactFile:
    """Words, numbers of vertices or probabilities, or rows of a point and its probability."""
    with reading(path, "a file of contacts"):
        if path.stat().st_size > _LARGEST_TEXT:
            raise InputError(f"{shown(path)} is larger than the {_LARGEST_TEXT >> 20} MiB that are read of a text")
        lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8-sig").splitlines()]
        lines = [line for line in lines if line]
        if not lines:
            raise InputError(f"{shown(path)} is empty; wanted lines such as 'right hand: handle'")
        try:
            rows = [[float(word) for word in line.replace(",", " ").split()] for line in lines]
        except ValueError:
            return ContactFile(path, words=", ".join(lines))
        if len({len(row) for row in rows}) != 1:
            raise InputError(f"{shown(path)}: its lines have different lengths")
        array = np.asarray(rows)
        return _of_one(path, MATRIX, array[:, 0] if array.shape[1] == 1 else array, bare=body or "?")
