"""Reading the templates of published datasets; a failure names its file."""

import pathlib

import numpy as np
import trimesh

from hoijax.errors import InputError


def read_template(path: pathlib.Path) -> trimesh.Trimesh:
    """A mesh with every vertex in the file's order.

    Raises:
      InputError: the file is missing.
    """
    if not path.exists():
        raise InputError(f"no template {path}")
    return trimesh.load(path, process=False, maintain_order=True, force="mesh")


def centred(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) less their own mean, float32, and faces (F, 3)."""
    vertices = np.asarray(mesh.vertices)
    return (vertices - vertices.mean(axis=0)).astype(np.float32), np.asarray(mesh.faces, np.int32)
