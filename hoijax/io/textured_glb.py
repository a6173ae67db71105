"""Writing GLB scenes of textured parts in several materials, one of which may hang on a skeleton.

References: the Khronos glTF 2.0 specification, sections 3.7.3 (skins) and 3.9 (materials).
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from hoijax.io.files import PathLike, write_bytes
from hoijax.io.glb import ARRAY_BUFFER, FLOAT, INDEX_BUFFER, UINT32, add_accessor, pack_glb, vertex_normals
from hoijax.io.motion import Motion, running_quaternions
from hoijax.io.skinned_glb import INFLUENCES, append_joints, skin_attributes

CLAMP, LINEAR, MIPMAP = 33071, 9729, 9987
"""glTF's numbers of how textures are read."""


@dataclasses.dataclass(frozen=True)
class SurfaceMaterial:
    """What a part of a surface is made of; its colour is the texture's."""

    name: str
    metallic: float = 0.0
    roughness: float = 0.85


@dataclasses.dataclass(frozen=True)
class TexturedPart:
    """One named mesh with a texture and one or more materials."""

    name: str
    """Of the node and the mesh."""
    vertices: np.ndarray
    """`(N, 3)` metres, y up, in the part's own frame."""
    faces: np.ndarray
    """`(F, 3)`, counter-clockwise from outside."""
    uv: np.ndarray
    """`(N, 2)`, `u` to the right and `v` upward."""
    texture: np.ndarray
    """`(H, W, 3)` bytes of sRGB, row 0 on top."""
    materials: tuple[SurfaceMaterial, ...]
    face_materials: np.ndarray
    """Material of each face, `(F,)`."""
    source: np.ndarray | None = None
    """`(N,)`: vertices with the same number are one place, so that normals run over the borders of charts."""
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    """`(3, 3)` of the node, from the part's frame to the scene's."""
    place: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))
    """`(3,)` metres, of the node."""


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """What moves a part: its vertices are those of the rest pose."""

    weights: np.ndarray
    """`(N, J)` of the part's vertices, rows that sum to one."""
    motion: Motion
    """Its first frame is how the scene stands."""


def write_textured_glb(
    path: PathLike,
    parts: Sequence[TexturedPart],
    *,
    skeletons: Mapping[str, Skeleton] | None = None,
    influences: int = 8,
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Writes a scene as GLB, whole or not at all: for each part a node, a mesh with a primitive for each of its
    materials, and a texture; of parts with a skeleton also a skin, whose joints stand as in its first frame.

    Args:
      path: the file to write.
      parts: with distinct names.
      skeletons: by name of the part.
      influences: of `INFLUENCES`, how many joints move a vertex.
      extras: JSON values kept in the scene's `extras`.

    Raises:
      ValueError: no parts, repeated names, a part without faces, arrays that do not fit each other.
    """
    names = [part.name for part in parts]
    skeletons = dict(skeletons or {})
    if not parts or len(set(names)) != len(names) or set(skeletons) - set(names):
        raise ValueError(f"wanted parts with distinct names, skeletons of some; got {names} and {sorted(skeletons)}")
    if influences not in INFLUENCES:
        raise ValueError(f"influences are one of {INFLUENCES}, got {influences}")
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "hoijax"}, "scene": 0, "nodes": [], "meshes": [], "materials": [],
        "textures": [], "images": [], "accessors": [], "bufferViews": [],
        "samplers": [{"magFilter": LINEAR, "minFilter": MIPMAP, "wrapS": CLAMP, "wrapT": CLAMP}],
    }  # fmt: skip
    chunks: list[bytes] = []
    roots = []
    for part in parts:
        attributes = _attributes(part, tree, chunks)
        skeleton = skeletons.get(part.name)
        if skeleton is not None:
            if skeleton.weights.shape != (len(part.vertices), len(skeleton.motion.parents)):
                raise ValueError(f"weights of '{part.name}' have the shape {skeleton.weights.shape}")
            attributes |= skin_attributes(tree, chunks, skeleton.weights, influences)
        _mesh(part, attributes, tree, chunks)
        quaternion = running_quaternions(np.asarray(part.rotation, np.float64)[None])[0]
        node = {"name": part.name, "mesh": len(tree["meshes"]) - 1}
        roots.append(len(tree["nodes"]))
        if skeleton is None:
            node |= {"rotation": quaternion.tolist(), "translation": np.asarray(part.place, float).tolist()}
        tree["nodes"].append(node)
    for part in parts:
        if part.name in skeletons:
            node = tree["nodes"][names.index(part.name)]
            roots.append(_skin(part.name, node, skeletons[part.name].motion, tree, chunks))
    tree["scenes"] = [{"nodes": roots} | ({"extras": dict(extras)} if extras else {})]
    write_bytes(path, pack_glb(tree, chunks))


def _attributes(part: TexturedPart, tree: dict[str, Any], chunks: list[bytes]) -> dict[str, int]:
    vertices, faces = np.asarray(part.vertices, np.float32), np.asarray(part.faces, np.uint32)
    uv, own = np.asarray(part.uv, np.float32), np.asarray(part.face_materials)
    if not len(faces) or uv.shape != (len(vertices), 2) or own.shape != (len(faces),):
        raise ValueError(
            f"part '{part.name}' has {len(vertices)} vertices, {len(faces)} faces, coordinates {uv.shape} and "
            f"materials {own.shape}; wanted faces, and one of each"
        )
    source = np.arange(len(vertices)) if part.source is None else np.asarray(part.source)
    _, first, same = np.unique(source, return_index=True, return_inverse=True)
    normals = vertex_normals(vertices[first], same.reshape(-1)[faces])[same.reshape(-1)]
    box = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    flipped = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)  # glTF's v runs downward
    return {
        "POSITION": add_accessor(tree, chunks, vertices, FLOAT, "VEC3", ARRAY_BUFFER, **box),
        "NORMAL": add_accessor(tree, chunks, normals, FLOAT, "VEC3", ARRAY_BUFFER),
        "TEXCOORD_0": add_accessor(tree, chunks, flipped, FLOAT, "VEC2", ARRAY_BUFFER),
    }


def _mesh(part: TexturedPart, attributes: dict[str, int], tree: dict[str, Any], chunks: list[bytes]) -> None:
    data = io.BytesIO()
    Image.fromarray(np.asarray(part.texture, np.uint8)).save(data, "PNG")
    picture = data.getvalue()
    offset = sum(map(len, chunks))
    tree["bufferViews"].append({"buffer": 0, "byteOffset": offset, "byteLength": len(picture)})
    chunks.append(picture + bytes(-len(picture) % 4))
    tree["images"].append(
        {"name": part.name, "mimeType": "image/png", "bufferView": len(tree["bufferViews"]) - 1}
    )  # fmt: skip
    tree["textures"].append({"source": len(tree["images"]) - 1, "sampler": 0})
    texture = len(tree["textures"]) - 1
    primitives = []
    faces, own = np.asarray(part.faces, np.uint32), np.asarray(part.face_materials)
    for number, material in enumerate(part.materials):
        if not (own == number).any():
            continue
        indices = add_accessor(tree, chunks, faces[own == number].reshape(-1), UINT32, "SCALAR", INDEX_BUFFER)
        look = {"metallicFactor": float(material.metallic), "roughnessFactor": float(material.roughness)}
        tree["materials"].append(
            {
                "name": f"{part.name}: {material.name}",
                "doubleSided": True,
                "pbrMetallicRoughness": {"baseColorTexture": {"index": texture}, **look},
            }
        )
        primitives.append({"attributes": attributes, "indices": indices, "material": len(tree["materials"]) - 1})
    tree["meshes"].append({"name": part.name, "primitives": primitives})


def _skin(name: str, node: dict[str, Any], motion: Motion, tree: dict[str, Any], chunks: list[bytes]) -> int:
    """Adds the joints and the skin of a part; the number of the first joint's node."""
    skin = append_joints(name, motion, running_quaternions(motion.rotations)[0], tree, chunks)
    tree.setdefault("skins", []).append(skin)
    node["skin"] = len(tree["skins"]) - 1
    return skin["skeleton"]
