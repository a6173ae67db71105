"""Reading the templates of published datasets; a failure names its file."""

import io
import pathlib

import numpy as np
import trimesh

from hoijax.errors import InputError
from hoijax.io.reading import reading
from hoijax.io.scenes import format_of, read_contents


def read_template(path: pathlib.Path) -> trimesh.Trimesh:
    """A mesh with every vertex in the file's order.

    Raises:
      InputError: the file is missing or damaged, or holds no faces.
    """
    if not path.exists():
        raise InputError(f"no template {path}")
    data = read_contents(path, "template")
    with reading(path, "a template"):
        mesh = trimesh.load(
            io.BytesIO(data), file_type=format_of(path), process=False, maintain_order=True, force="mesh"
        )
        if not len(mesh.faces) or not np.isfinite(mesh.vertices).all():
            raise InputError(f"{path}: the template has no faces, or vertices that are not finite")
    return mesh


def centred_mesh(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) less their own mean, float32, and faces (F, 3)."""
    vertices = np.asarray(mesh.vertices)
    return (vertices - vertices.mean(axis=0)).astype(np.float32), np.asarray(mesh.faces, np.int32)
