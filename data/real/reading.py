"""Reading the small files of published datasets: JSON, plain `.npz`, templates; each failure names its file."""

import json
import pathlib

import numpy as np
import trimesh

from hoijax.errors import InputError


def read_json(path: pathlib.Path) -> dict:
    """A JSON object.

    Raises:
      InputError: the file is missing, damaged, or holds something else.
    """
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path.name} holds a {type(value).__name__}, wanted an object")
    return value


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The plain arrays of an `.npz`.

    Raises:
      InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path.name}: {error}") from error


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
