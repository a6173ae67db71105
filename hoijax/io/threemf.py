"""Reading 3MF packages: what 3D printing programs write. Reference: the 3MF core specification, version 1.3.

A package is a zip with one model in XML: objects of triangles, objects made of others with transforms, and the items of
the build. The model says its unit.
"""

import io
import xml.etree.ElementTree as ElementTree
import zipfile
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import reason

METRES = {"micron": 1e-6, "millimeter": 1e-3, "centimeter": 1e-2, "inch": 0.0254, "foot": 0.3048, "meter": 1.0}
"""Metres per unit, by the name that a model takes."""

_LARGEST = 1 << 29
_MOST_PARTS = 10_000
_DEEPEST = 50


def parse_3mf(data: bytes, name: str = "the 3MF file") -> tuple[list[tuple[str, np.ndarray, np.ndarray]], float]:
    """The parts of the build in place.

    Args:
      data: the package.
      name: what messages call it.

    Returns:
      Name, vertices `(V, 3)` and faces `(F, 3)` of each part in the model's unit, and metres per unit.

    Raises:
      InputError: damaged, or larger unfolded than a mesh can be.
    """
    try:
        text = _model(data, name)
        root = ElementTree.fromstring(text)
        unit = root.get("unit", "millimeter")
        if unit not in METRES:
            raise InputError(f"{name}: its unit is {unit[:30]!r}, wanted one of {', '.join(METRES)}")
        objects = {entry.get("id"): entry for entry in root.iterfind(".//{*}object")}
        meshes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        parts: list[tuple[str, np.ndarray, np.ndarray]] = []
        waiting = [(item.get("objectid"), _transform(item), 0) for item in root.iterfind("./{*}build/{*}item")]
        count = 0
        while waiting:
            key, matrix, depth = waiting.pop(0)
            count += 1
            if key not in objects or depth > _DEEPEST or count > _MOST_PARTS:
                raise InputError(f"{name}: its objects name one that is not there, or are nested without end")
            entry = objects[key]
            mesh = entry.find("./{*}mesh")
            if mesh is not None:
                if key not in meshes:
                    meshes[key] = _mesh(mesh)
                vertices, faces = meshes[key]
                placed = vertices @ matrix[:3] + matrix[3]
                if np.linalg.det(matrix[:3]) < 0:  # a mirror turns every face
                    faces = faces[:, ::-1]
                parts.append((entry.get("name") or f"object {key}", placed, faces))
                if sum(len(v) for _, v, _ in parts) > 20_000_000:
                    raise InputError(f"{name} unfolds to more than 20 million vertices; decimate it in a mesh program")
            components = entry.iterfind("./{*}components/{*}component")
            waiting += [(c.get("objectid"), _combine(_transform(c), matrix), depth + 1) for c in components]
        return parts, METRES[unit]
    except InputError:
        raise
    except Exception as error:  # zip and XML fail in many ways
        raise InputError(f"{name} cannot be read as 3MF ({reason(error)}); is it damaged?") from error


def _model(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".model")]
        main = [entry for entry in found if entry.filename.lower().lstrip("/") == "3d/3dmodel.model"] or found[:1]
        if not main:
            raise InputError(f"{name} holds no 3D model; is it another kind of zip?")
        if main[0].file_size > _LARGEST:
            raise InputError(f"{name} unfolds to more than {_LARGEST >> 20} MiB; decimate it in a mesh program")
        if main[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{name} is compressed in a way that 3MF files are not")
        text = archive.read(main[0])
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{name} has a document type of its own, which 3MF does not allow; it is damaged or hostile")
    return text


def _mesh(mesh: Any) -> tuple[np.ndarray, np.ndarray]:
    vertices = [[float(v.get(axis)) for axis in "xyz"] for v in mesh.iterfind("./{*}vertices/{*}vertex")]
    faces = [[int(t.get(corner)) for corner in ("v1", "v2", "v3")] for t in mesh.iterfind("./{*}triangles/{*}triangle")]
    return np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)


def _transform(entry: Any) -> np.ndarray:
    """`(4, 3)`: points are rows, `p' = p @ M[:3] + M[3]`."""
    text = entry.get("transform")
    if text is None:
        return np.concatenate([np.eye(3), np.zeros((1, 3))])
    numbers = np.array([float(n) for n in text.split()], np.float64)
    if numbers.shape != (12,) or not np.isfinite(numbers).all():
        raise ValueError("a transform is no twelve numbers")
    return numbers.reshape(4, 3)


def _combine(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    return np.concatenate([inner[:3] @ outer[:3], inner[3:] @ outer[:3] + outer[3:]])
