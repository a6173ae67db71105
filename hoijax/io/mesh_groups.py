"""Named pieces of a mesh file: groups, objects and materials of OBJ; nodes, meshes and materials of scene graphs."""

import pathlib
import re

import numpy as np

from hoijax.io.files import PathLike
from hoijax.io.obj import parse_obj
from hoijax.io.reading import existing_file, reading
from hoijax.io.scenes import format_of, open_scene, read_contents

_NAMED = re.compile(rb"^[ \t]*(f|o|g|usemtl)(?:[ \t]+([^\n]*))?$", re.MULTILINE)


def mesh_groups(path: PathLike) -> dict[str, np.ndarray]:
    """The triangles of each named piece of a mesh, in the file's own coordinates and unit.

    Args:
      path: any file that `hoijax.io.read_mesh` takes.

    Returns:
      Name to corners `(F, 3, 3)` float64; a face may belong to several. Names that share a spelling share their faces.

    Raises:
      InputError: as of `read_mesh`.
    """
    path = existing_file(pathlib.Path(path), "mesh file")
    if format_of(path) == "obj" and (data := read_contents(path))[:4] != b"glTF":
        with reading(path, "OBJ"):
            return _of_obj(data, str(path))
    scene = open_scene(path, materials=True).scene
    found: dict[str, list[np.ndarray]] = {}
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        part = scene.geometry[name]
        if not len(getattr(part, "faces", ())):
            continue
        points = np.asarray(part.vertices, np.float64) @ np.asarray(matrix)[:3, :3].T + np.asarray(matrix)[:3, 3]
        material = getattr(getattr(part.visual, "material", None), "name", None)
        for label in {str(label) for label in (node, name, material) if label}:
            found.setdefault(label, []).append(points[np.asarray(part.faces)])
    return {label: np.concatenate(corners) for label, corners in found.items()}


def _of_obj(text: bytes, name: str) -> dict[str, np.ndarray]:
    vertices, faces, _ = parse_obj(text, name)
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ")
    now: dict[bytes, tuple[str, ...]] = {}
    members: dict[str, list[int]] = {}
    count = 0
    for kind, rest in _NAMED.findall(text):
        if kind != b"f":
            names = rest.split() if kind == b"g" else [rest.strip()]  # a face may be of several groups
            now[kind] = tuple(one.decode("utf-8", "replace") for one in names if one)
            continue
        number = len(rest.partition(b"#")[0].split()) - 2
        for label in {label for labels in now.values() for label in labels}:
            members.setdefault(label, []).extend(range(count, count + number))
        count += number
    return {label: vertices[faces[np.asarray(ids)]] for label, ids in members.items()}
