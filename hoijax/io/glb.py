"""Writing GLB (binary glTF 2.0) scenes of named, coloured parts, vertex for vertex."""

import dataclasses
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.io.files import PathLike, write_bytes

FLOAT, UINT32, UINT8 = 5126, 5125, 5121
"""glTF's numbers of types."""
ARRAY_BUFFER, INDEX_BUFFER = 34962, 34963
"""glTF's numbers of what a view is for."""


@dataclasses.dataclass(frozen=True)
class ScenePart:
    """One named mesh of a scene."""

    name: str
    """Name of the part's node, mesh and material."""
    vertices: np.ndarray
    """`(V, 3)` metres, y up; written as float32 in this order."""
    faces: np.ndarray
    """`(F, 3)` vertex indices, counter-clockwise from outside."""
    colors: np.ndarray | tuple[float, float, float] = (0.7, 0.7, 0.7)
    """sRGB in [0, 1], one for all `(3,)` or one per vertex `(V, 3)`."""
    smooth: bool = True
    """True: with vertex normals, for round things. False: without, which viewers show as flat faces."""


def write_glb(path: PathLike, parts: Sequence[ScenePart], *, extras: Mapping[str, Any] | None = None) -> None:
    """Writes a scene as GLB, whole or not at all: one node, one mesh and one material per part.

    Args:
      path: the file to write.
      parts: the meshes, with distinct names, in world coordinates.
      extras: JSON values kept in the scene's `extras`.

    Raises:
      ValueError: no parts, repeated names, or a part without vertices or faces.
    """
    names = [part.name for part in parts]
    if not parts or len(set(names)) != len(names):
        raise ValueError(f"wanted parts with distinct names, got {names}")
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "hoijax"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(parts)))} | ({"extras": dict(extras)} if extras else {})],
        "nodes": [{"name": name, "mesh": i} for i, name in enumerate(names)],
        "meshes": [],
        "materials": [],
        "accessors": [],
        "bufferViews": [],
    }
    chunks: list[bytes] = []
    for part in parts:
        append_part(part, tree, chunks)
    write_bytes(path, pack_glb(tree, chunks))


def pack_glb(tree: dict[str, Any], chunks: Sequence[bytes]) -> bytes:
    """The bytes of a GLB.

    Args:
      tree: its JSON, but for `buffers`.
      chunks: its one buffer in pieces, each a multiple of four bytes long.
    """
    body = b"".join(chunks)
    tree = tree | {"buffers": [{"byteLength": len(body)}]}
    head = json.dumps(tree, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)  # both chunks end on multiples of four bytes
    total = 12 + 8 + len(head) + 8 + len(body)
    return (
        struct.pack("<4sII", b"glTF", 2, total)
        + struct.pack("<I4s", len(head), b"JSON")
        + head
        + struct.pack("<I4s", len(body), b"BIN\0")
        + body
    )


def srgb_to_linear(colors: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light, which glTF's vertex colours are in (IEC 61966-2-1)."""
    colors = np.asarray(colors)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(colors: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_to_linear`."""
    colors = np.asarray(colors)
    return np.where(colors <= 0.0031308, colors * 12.92, 1.055 * np.maximum(colors, 0) ** (1 / 2.4) - 0.055)


def append_part(part: ScenePart, tree: dict[str, Any], chunks: list[bytes]) -> None:
    """Adds a part's mesh and material to a tree that is being made.

    Args:
      part: see `ScenePart`.
      tree: with the lists `meshes`, `materials`, `accessors` and `bufferViews`.
      chunks: pieces of the buffer.

    Raises:
      ValueError: it has no vertices or no faces.
    """
    vertices = np.asarray(part.vertices, np.float32)
    faces = np.asarray(part.faces, np.uint32)
    if not len(vertices) or not len(faces):
        raise ValueError(f"part '{part.name}' has {len(vertices)} vertices and {len(faces)} faces; wanted some of both")
    colors = np.broadcast_to(np.clip(np.asarray(part.colors, np.float64), 0, 1), vertices.shape)
    box = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}  # which glTF requires of positions
    linear = srgb_to_linear(colors).astype(np.float32)
    attributes = {
        "POSITION": add_accessor(tree, chunks, vertices, FLOAT, "VEC3", ARRAY_BUFFER, **box),
        "COLOR_0": add_accessor(tree, chunks, linear, FLOAT, "VEC3", ARRAY_BUFFER),
    }
    if part.smooth:
        normals = vertex_normals(vertices, faces)
        attributes["NORMAL"] = add_accessor(tree, chunks, normals, FLOAT, "VEC3", ARRAY_BUFFER)
    indices = add_accessor(tree, chunks, faces.reshape(-1), UINT32, "SCALAR", INDEX_BUFFER)
    material = {
        "name": part.name,
        "doubleSided": True,  # scanned objects are often open
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.85},
    }
    tree["materials"].append(material)
    primitive = {"attributes": attributes, "indices": indices, "material": len(tree["materials"]) - 1}
    tree["meshes"].append({"name": part.name, "primitives": [primitive]})


def add_accessor(
    tree: dict[str, Any],
    chunks: list[bytes],
    array: np.ndarray,
    component: int,
    kind: str,
    target: int | None,
    **extra: Any,
) -> int:
    """Appends an array to the buffer, in rows of a multiple of four bytes, so that every piece stays aligned.

    Args:
      tree: with the lists `accessors` and `bufferViews`.
      chunks: pieces of the buffer.
      array: one row an element.
      component: glTF's number of its type.
      kind: "SCALAR", "VEC3", ...
      target: of what use it is to a mesh; None: of none.
      **extra: more entries of the accessor.

    Returns:
      The accessor's number.
    """
    data = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    view = {"buffer": 0, "byteOffset": sum(map(len, chunks)), "byteLength": len(data)}
    view |= {} if target is None else {"target": target}
    tree["bufferViews"].append(view)
    chunks.append(data)
    accessor = {"bufferView": len(tree["bufferViews"]) - 1, "componentType": component, "count": len(array)}
    tree["accessors"].append(accessor | {"type": kind} | extra)
    return len(tree["accessors"]) - 1


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals `(V, 3)`; up where a vertex has no face, since glTF forbids zero vectors."""
    corners = vertices[faces].astype(np.float64)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.reshape(-1), np.repeat(area[:, k], 3), minlength=len(vertices)) for k in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1), [0.0, 1.0, 0.0]).astype(np.float32)
