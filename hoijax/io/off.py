"""Reading OFF files (Geomview's object file format), whose header says how many vertices and faces must follow."""

import re

import numpy as np

from hoijax.errors import InputError

_HEADER = re.compile(r"\A\s*(ST)?(C)?(N)?(4)?(n)?OFF\b(\s+BINARY)?")


def parse_off(text: bytes, name: str = "the OFF file") -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces; polygons become fans of triangles, colours and normals are passed over.

    Args:
      text: the file's contents.
      name: what messages call it.

    Returns:
      Vertices `(V, 3)` float64 and faces `(F, 3)` int64, not checked against V.

    Raises:
      InputError: another kind of file, a count that is not met, or numbers that are none.
    """
    plain = re.sub(r"#[^\n]*", "", text.decode("latin-1"))
    header = _HEADER.match(plain)
    if header is None or header[4] or header[5] or header[6]:
        raise InputError(f"{name} does not begin as a text OFF file of three dimensions; is it damaged or misnamed?")
    rows = [row for row in (line.split() for line in plain[header.end() :].splitlines()) if row]
    if not rows or len(rows[0]) < 2 or not all(n.isdecimal() and len(n) < 12 for n in rows[0][:2]):
        raise InputError(f"{name}: wanted the numbers of vertices and faces after OFF; the file is damaged")
    vertices, faces = int(rows[0][0]), int(rows[0][1])
    if len(rows) - 1 < vertices + faces:
        raise InputError(
            f"{name} is cut short: it says {vertices:,} vertices and {faces:,} faces, {len(rows) - 1:,} lines follow"
        )
    try:
        points = np.array([[float(n) for n in row[:3]] for row in rows[1 : 1 + vertices]], np.float64)
        corners = [
            [int(n) for n in row] for row in (_polygon(row) for row in rows[1 + vertices : 1 + vertices + faces])
        ]
        if vertices and points.shape[1:] != (3,):
            raise ValueError("a vertex without three numbers")
        table = np.array([(p[0], p[k], p[k + 1]) for p in corners for k in range(1, len(p) - 1)], np.int64)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{name} is cut short or damaged: {str(error)[:80]}") from error
    return points.reshape(-1, 3), table.reshape(-1, 3)


def _polygon(row: list[str]) -> list[str]:
    count = int(row[0])
    if count < 3 or len(row) < 1 + count:
        raise ValueError(f"a face of {count} corners in a line of {len(row)} numbers")
    return row[1 : 1 + count]
