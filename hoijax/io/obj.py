"""Reading the geometry of Wavefront OBJ files with every vertex in the file's own order.

General readers split vertices at texture seams and drop the unused ones; contact labels and annotations are by
vertex index, so this one returns the `v` lines as they stand.
"""

import re
import warnings

import numpy as np

from hoijax.errors import InputError

_STATEMENT = re.compile(rb"^[ \t]*([vf])[ \t]+([^\n]*)", re.MULTILINE)


def parse_obj(text: bytes, name: str = "the OBJ file") -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Parses vertices and faces; polygons become fans of triangles, negative indices count back as the format says.

    Args:
      text: the file's contents.
      name: what error messages call the file.

    Returns:
      Vertices `(V, 3)` float64, faces `(F, 3)` int64 (not checked against V), and the RGB colours `(V, 3)` that some
      programs append to each vertex, or None.

    Raises:
      InputError: a `v` line without three numbers, or an `f` line without vertex indices.
    """
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ")
    statements = _STATEMENT.findall(text)
    is_vertex = np.fromiter((kind == b"v" for kind, _ in statements), bool, len(statements))
    rows = [rest for kind, rest in statements if kind == b"v"]
    corners = [rest for kind, rest in statements if kind == b"f"]
    vertices, colors = _vertices(rows, name)
    # How many vertices precede each face: what its negative indices are relative to.
    defined = np.cumsum(is_vertex)[~is_vertex]
    return vertices, _faces(corners, defined, name), colors


def _vertices(rows: list[bytes], name: str) -> tuple[np.ndarray, np.ndarray | None]:
    if not rows:
        return np.zeros((0, 3)), None
    rows = [row.partition(b"#")[0] for row in rows] if any(b"#" in row for row in rows) else rows
    counts = _token_counts(rows)
    if counts.min() < 3:
        at = int(counts.argmin())
        raise InputError(f"{name}: vertex {at + 1} has {counts[at]} coordinates, wanted 3: 'v {_show(rows[at])}'")
    if counts.min() != counts.max():  # a mixture of forms: only the position is common to all
        rows = [b" ".join(row.split()[:3]) for row in rows]
        counts = np.full(len(rows), 3)
    table = _numbers(b"\n".join(rows), float, int(counts.sum()))
    if table is None:
        bad = next(row for row in rows if _numbers(row, float, len(row.split())) is None)
        raise InputError(f"{name}: wanted numbers in 'v {_show(bad)}'")
    table = table.reshape(len(rows), counts[0])
    has_color = counts[0] in (6, 7) and bool((table[:, 3:6] >= 0).all() and (table[:, 3:6] <= 1).all())
    return np.ascontiguousarray(table[:, :3]), np.ascontiguousarray(table[:, 3:6]) if has_color else None


def _faces(rows: list[bytes], defined: np.ndarray, name: str) -> np.ndarray:
    if not rows:
        return np.zeros((0, 3), np.int64)
    rows = [row.partition(b"#")[0] for row in rows] if any(b"#" in row for row in rows) else rows
    counts = _token_counts(rows)
    if counts.min() < 3:
        at = int(counts.argmin())
        raise InputError(f"{name}: face {at + 1} has {counts[at]} corners, wanted 3 or more: 'f {_show(rows[at])}'")
    flat = _numbers(_without_slashes(b"\n".join(rows)), np.int64, int(counts.sum()))
    if flat is None:
        corners = ((row, row.split()) for row in rows)
        bad = next(r for r, c in corners if _numbers(_without_slashes(r), np.int64, len(c)) is None)
        raise InputError(f"{name}: wanted vertex numbers in 'f {_show(bad)}'")
    if (flat == 0).any():
        raise InputError(f"{name}: a face names vertex 0, but OBJ counts from 1; the file is damaged")
    flat = np.where(flat > 0, flat - 1, flat + np.repeat(defined, counts))
    if counts.max() == 3:
        return flat.reshape(-1, 3)
    # Face i with n corners gives n - 2 triangles (first, k, k + 1), in the file's order.
    starts = np.cumsum(counts) - counts
    triangles = counts - 2
    first = np.repeat(starts, triangles)
    k = np.arange(triangles.sum()) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([flat[first], flat[first + k + 1], flat[first + k + 2]], axis=-1)


def _token_counts(rows: list[bytes]) -> np.ndarray:
    return np.fromiter((len(row.split()) for row in rows), np.int64, len(rows))


def _without_slashes(text: bytes) -> bytes:
    """Blanks the texture and normal indices: "12/7/3" becomes "12    "."""
    if b"/" not in text:
        return text
    chars = np.frombuffer(text, np.uint8)
    at = np.arange(len(chars))
    last_slash = np.maximum.accumulate(np.where(chars == ord("/"), at, -1))
    last_space = np.maximum.accumulate(np.where(chars <= ord(" "), at, -1))
    return np.where(last_slash > last_space, np.uint8(ord(" ")), chars).tobytes()


def _numbers(text: bytes, dtype: type, count: int) -> np.ndarray | None:
    """The `count` numbers of a text, or None when it holds anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy 2 reports text that is no number
        try:
            table = np.fromstring(text, dtype=dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            return None
    return table if len(table) == count else None


def _show(row: bytes) -> str:
    return row[:60].decode("utf-8", "replace").strip()
