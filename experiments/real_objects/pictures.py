"""A sheet of results, to be looked at: one picture each, with its verdict."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from hoijax.data.sheet import contact_sheet
from hoijax.experiments.real_objects.tables import verdict_of
from hoijax.geometry import Mesh
from hoijax.render.framing import frame_points
from hoijax.viz import NamedMesh, render_views

SIZE, COLUMNS, AZIMUTH, ELEVATION = 160, 10, 55.0, 12.0
"""Side of a picture, pixels; pictures in a row; direction of view, degrees."""


def sheet(rows: Sequence[Mapping[str, Any]], meshes: Mapping[str, Mesh], faces: np.ndarray) -> bytes:
    """A JPEG of one result per row.

    Args:
      rows: of `run`, with the body's vertices and the object's pose.
      meshes: the object of each case.
      faces: of the body.
    """
    cells = [(_picture(row, meshes[row["case"]], faces), _caption(row)) for row in rows]
    out = io.BytesIO()
    Image.fromarray(contact_sheet(cells, cell=SIZE, columns=COLUMNS)).save(out, "JPEG", quality=82)
    return out.getvalue()


def _caption(row: Mapping[str, Any]) -> str:
    return f"{row['case']}: {', '.join(verdict_of(row).words(tuple(row['contact'])))}".replace("_", " ")


def _picture(row: Mapping[str, Any], mesh: Mesh, faces: np.ndarray) -> np.ndarray:
    rotation, translation = (np.asarray(x) for x in row["pose"])
    body = np.asarray(row["body"], np.float32)
    place = (np.asarray(mesh.vertices) @ rotation.T + translation).astype(np.float32)
    scene = [
        NamedMesh("body", body, faces),
        NamedMesh("object", place, np.asarray(mesh.faces)),
    ]
    azimuth, elevation = np.radians(np.array([[AZIMUTH], [ELEVATION]], np.float32))
    seen = np.concatenate([body, place[np.unique(mesh.faces)]])
    return render_views(scene, frame_points(seen, azimuth=azimuth, elevation=elevation, image_size=(SIZE, SIZE)))[0]
