"""Reading scenes with their colours: parts, vertex colours, base colours and textures, for pictures only."""

import pathlib

import numpy as np

from hoijax.errors import InputError
from hoijax.io.glb import linear_to_srgb
from hoijax.io.reading import reading
from hoijax.io.scenes import FORMATS, format_of, open_scene
from hoijax.viz.scene import NamedMesh

SCENE_FORMATS: tuple[str, ...] = FORMATS
"""Suffixes that `read_scene` takes."""

LARGEST_TEXTURE = 2048
"""Larger textures are shrunk to this side: there are no mip levels, and no picture shows more."""


def read_scene(path: pathlib.Path | str) -> list[NamedMesh]:
    """Reads every mesh of a file, with the transforms of its scene graph.

    Lengths are taken as they are: a picture does not depend on the unit. `hoijax.io.read_mesh` is the reader for
    geometry that is to be used.

    Args:
      path: GLB, glTF, OBJ (with its MTL and textures), PLY, STL, OFF, COLLADA or 3MF.

    Returns:
      The parts, named as in the file.

    Raises:
      InputError: missing or unreadable file, another format, or nothing with faces in it.
    """
    path = pathlib.Path(path)
    if format_of(path) not in SCENE_FORMATS:
        raise InputError(f"'{path}' is no scene hoijax can show; wanted one of {', '.join(SCENE_FORMATS)}")
    if not path.is_file():
        raise InputError(f"there is no file '{path}'")
    opened = open_scene(path, materials=True)
    scene, gltf, meshes = opened.scene, opened.kind == "gltf", []
    with reading(path, "a scene"):  # textures are decoded here
        for node in scene.graph.nodes_geometry:
            transform, key = scene.graph[node]
            geometry = scene.geometry[key]
            if len(getattr(geometry, "faces", ())):
                meshes.append(_named_mesh(node if gltf else key, geometry, transform, gltf))
    if not meshes:
        raise InputError(f"'{path}' holds no mesh with faces, so there is nothing to show")
    return meshes


def _named_mesh(name: str, geometry, transform: np.ndarray, linear: bool) -> NamedMesh:
    """One trimesh geometry in world coordinates; `linear`: its colours are, as glTF's vertex and base colours."""
    matrix = np.asarray(transform, np.float64)
    vertices = np.asarray(geometry.vertices, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    faces = np.asarray(geometry.faces)
    if np.linalg.det(matrix[:3, :3]) < 0:  # a mirror turns every face inside out
        faces = faces[:, ::-1]
    colors, texture, uv = _look(geometry.visual, len(vertices))
    if linear and colors is not None:
        colors = linear_to_srgb(np.asarray(colors)).astype(np.float32)
    return NamedMesh(str(name), vertices, faces, colors, texture, uv)


def _look(visual, count: int) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Colours, texture and coordinates of a trimesh visual."""
    if visual.kind in ("vertex", "face"):
        return np.asarray(visual.vertex_colors, np.float32)[:, :3] / 255.0, None, None
    if visual.kind != "texture":
        return None, None, None
    material = visual.material
    image = getattr(material, "baseColorTexture", None)
    if image is None:
        image = getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)
    if factor is None and image is None:
        factor = getattr(material, "diffuse", None)
    color = None
    if factor is not None:
        factor = np.asarray(factor, np.float32)[:3]
        color = np.clip(factor / 255.0 if factor.max(initial=0.0) > 1.0 else factor, 0.0, 1.0)
    painted = (visual.vertex_attributes or {}).get("color")
    if painted is not None and len(painted) == count:
        painted = np.asarray(painted)
        scale = 255.0 if np.issubdtype(painted.dtype, np.integer) else 1.0
        color = np.clip(painted[:, :3].astype(np.float32) / scale, 0.0, 1.0)
    uv = visual.uv
    if image is None or uv is None or len(uv) != count:
        return color, None, None
    image = image.convert("RGB")
    if max(image.size) > LARGEST_TEXTURE:
        image.thumbnail((LARGEST_TEXTURE, LARGEST_TEXTURE))
    texture = np.asarray(image, np.float32) / 255.0
    return np.ones(3, np.float32) if color is None else color, texture, np.asarray(uv, np.float32)
