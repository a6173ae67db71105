"""glTF as people have it, made plain: quantized, sparse, strided and Draco-compressed meshes as a GLB of float32.

What `trimesh` reads of the result is what is in it, and no more: triangles with positions, texture coordinates and
colours, the nodes' transforms multiplied out, skinned meshes in the pose of their skeletons, textures embedded.

References: the Khronos glTF 2.0 specification; KHR_mesh_quantization, KHR_texture_transform,
KHR_draco_mesh_compression.
"""

import dataclasses
import json
import pathlib
import struct
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.gltf_file import UNPACK, GltfFile, finite_numbers
from hoijax.io.gltf_skin import bend, bone_matrices
from hoijax.io.reading import reason, shown

_DRACO = "KHR_draco_mesh_compression"
_QUIET = {  # extensions that are read, or that change nothing of what is read
    _DRACO, "KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp", "KHR_materials_unlit",
    "KHR_materials_pbrSpecularGlossiness", "EXT_meshopt_compression", "KHR_meshopt_compression",
}  # fmt: skip
_MOST_COPIES = 4_000_000
_DEEPEST = 1000


@dataclasses.dataclass(frozen=True)
class PlainGltf:
    """What `plain_glb` made."""

    data: bytes
    """A GLB without extensions."""
    notes: tuple[str, ...]
    """What a person should know."""


def plain_glb(path: pathlib.Path, data: bytes, *, materials: bool) -> PlainGltf:
    """Decodes a glTF file's meshes.

    Args:
      path: the file, whose folder holds what it refers to.
      data: its contents, GLB or JSON.
      materials: whether textures and materials are wanted.

    Raises:
      InputError: damaged, larger unfolded than a mesh can be, or compressed in a way that is not read.
    """
    file = GltfFile(path, data)
    required = file.tree.get("extensionsRequired", [])
    for name in required if isinstance(required, list) else ():
        if name not in _QUIET and not str(name).startswith("KHR_materials"):
            file.notes.append(f"it needs the extension {shown(str(name))[:60]}, which is not read")
    writer, nodes = _Writer(), _nodes(file)
    made = {
        (mesh, None): _primitives(file, entry, writer, materials) for mesh, entry in enumerate(file.entries("meshes"))
    }
    nodes = [node for node in nodes if made[node.mesh, None]]
    counts = {mesh: sum(count for _, count in each) for (mesh, _), each in made.items()}
    total = sum(counts[node.mesh] for node in nodes)
    if total > max(_MOST_COPIES, 4 * sum(counts.values())):
        raise InputError(f"{shown(path)} unfolds to {total:,} vertices, most of them copies; leave some out")
    for node in nodes:
        if node.bones is not None and node.key not in made:
            made[node.key] = _primitives(file, file.entry("meshes", node.mesh), writer, materials, node.bones)
    place = {key: i for i, key in enumerate(dict.fromkeys(node.key for node in nodes))}
    tree: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": [
            {"name": node.name, "mesh": place[node.key], "matrix": [float(x) for x in node.matrix.T.reshape(-1)]}
            for node in nodes
        ],
        "meshes": [
            {"name": _name(file.entries("meshes")[key[0]], "mesh"), "primitives": [p for p, _ in made[key]]}
            for key in place
        ],
    }
    if materials:
        tree |= {key: file.entries(key) for key in ("materials", "textures", "samplers") if file.entries(key)}
        tree |= _images(file, writer)
    return PlainGltf(writer.glb(tree), tuple(dict.fromkeys(file.notes)))


class _Writer:
    """Collects arrays as accessors."""

    def __init__(self):
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self._chunks: list[bytes] = []
        self._length = 0

    def view(self, data: bytes) -> int:
        data += bytes(-len(data) % 4)
        self.views.append({"buffer": 0, "byteOffset": self._length, "byteLength": len(data)})
        self._chunks.append(data)
        self._length += len(data)
        return len(self.views) - 1

    def array(self, values: np.ndarray) -> int:
        kind = {"f": 5126, "u": 5125}[values.dtype.kind]
        shape = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[values.shape[1]]
        view = self.view(np.ascontiguousarray(values).tobytes())
        self.accessors.append({"bufferView": view, "componentType": kind, "count": len(values), "type": shape})
        return len(self.accessors) - 1

    def glb(self, tree: dict[str, Any]) -> bytes:
        body = b"".join(self._chunks)
        tree = tree | {"buffers": [{"byteLength": len(body)}], "bufferViews": self.views, "accessors": self.accessors}
        head = json.dumps(tree).encode()
        head += b" " * (-len(head) % 4)
        start = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(head) + len(body), len(head), b"JSON")
        return start + head + struct.pack("<I4s", len(body), b"BIN\0") + body


def _primitives(
    file: GltfFile, mesh: dict, writer: _Writer, materials: bool, bones: np.ndarray | None = None
) -> list[tuple[dict, int]]:
    """A mesh's triangles as primitives of the new file, each with its number of vertices; `bones` pose its vertices."""
    made = []
    for primitive in file.entries("primitives", mesh):
        attributes = primitive.get("attributes")
        if not isinstance(attributes, dict):
            raise file.damage("a primitive has no attributes")
        mode = primitive.get("mode", 4)
        if mode not in (4, 5, 6) or "POSITION" not in attributes:
            file.notes.append("points and lines were left out")
            continue
        draco = file.extension(primitive, _DRACO)
        if draco is not None:
            _undo_draco(file, primitive, draco)
        points = file.attribute(attributes["POSITION"])
        if points.shape[1] != 3:
            raise file.damage(f"positions have {points.shape[1]} numbers")
        count = len(points)
        index = file.accessor(primitive["indices"]) if "indices" in primitive else np.arange(count)
        if index.dtype.kind == "f":
            raise file.damage("indices are no whole numbers")
        index = _triangles(index.reshape(-1).astype(np.int64), mode)
        if len(index) and index.max() >= count:
            raise file.damage(f"a face names vertex {index.max()} of {count}")
        points = points if bones is None else bend(file, attributes, points, bones)
        new: dict[str, Any] = {"attributes": {"POSITION": writer.array(points)}}
        new["indices"] = writer.array(index.astype(np.uint32).reshape(-1, 1))
        colors = _attribute(file, attributes, "COLOR_0", (3, 4), count)
        if colors is not None:
            new["attributes"]["COLOR_0"] = writer.array(colors)
        if materials:
            uv = _attribute(file, attributes, "TEXCOORD_0", (2,), count)
            if uv is not None:
                new["attributes"]["TEXCOORD_0"] = writer.array(_transform_uv(file, primitive, uv))
            if isinstance(primitive.get("material"), int):
                file.entry("materials", primitive["material"])
                new["material"] = primitive["material"]
        made.append((new, count))
    return made


def _attribute(file: GltfFile, attributes: dict, name: str, widths: tuple[int, ...], count: int) -> np.ndarray | None:
    """An optional attribute; left out with a note where it does not fit."""
    if name not in attributes:
        return None
    found = file.attribute(attributes[name])
    if found.shape[1] not in widths or len(found) != count or not np.isfinite(found).all():
        file.notes.append(f"{name} does not fit the mesh and was left out")
        return None
    if name == "COLOR_0" and file.accessor(attributes[name]).dtype.kind != "f":
        top = np.iinfo(file.accessor(attributes[name]).dtype).max
        found = file.accessor(attributes[name]).astype(np.float32) / top  # colours are always fractions
    return found


def _triangles(index: np.ndarray, mode: int) -> np.ndarray:
    """Triangles `(F, 3)` of a list (4), strip (5) or fan (6)."""
    if mode == 4:
        return index[: len(index) // 3 * 3].reshape(-1, 3)
    if len(index) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == 6:
        return np.stack([np.full(len(index) - 2, index[0]), index[1:-1], index[2:]], axis=1)
    faces = np.stack([index[:-2], index[1:-1], index[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]  # every other triangle of a strip is wound the other way
    return faces


def _undo_draco(file: GltfFile, primitive: dict, draco: dict) -> None:
    """Decodes a primitive's compressed bytes into the accessors it names."""
    try:
        import DracoPy
    except ImportError as error:
        raise InputError(
            f"{shown(file.path)} is compressed with Draco: pip install DracoPy, or undo it with: "
            f"{UNPACK.format(file.path.name)}"
        ) from error
    data = bytes(file.view(file.number(draco, "bufferView"))[0])
    names = draco.get("attributes")
    try:
        mesh = DracoPy.decode(data)
        faces = np.asarray(mesh.faces, np.int64).reshape(-1, 1)
        parts = {a["unique_id"]: np.asarray(a["data"]) for a in mesh.attributes}
    except Exception as error:  # the decoder raises what its C++ part reports
        raise file.damage(f"its Draco data cannot be decoded ({reason(error)})") from error
    if not isinstance(names, dict):
        raise file.damage("its Draco extension names no attributes")
    for name, number in names.items():
        target = primitive["attributes"].get(name)
        if target is None:
            continue
        if number not in parts:
            raise file.damage(f"its Draco data have no attribute {number!r:.20}")
        values = parts[number].reshape(len(parts[number]), -1)
        if len(values) != file.number(file.entry("accessors", target), "count"):
            raise file.damage(f"its Draco data have {len(values):,} entries of {shown(str(name))}, it says others")
        file.replace(target, values)
    if "indices" in primitive:
        file.entry("accessors", primitive["indices"])
        file.replace(primitive["indices"], faces.astype(np.uint32))


def _transform_uv(file: GltfFile, primitive: dict, uv: np.ndarray) -> np.ndarray:
    """Texture coordinates under their material's KHR_texture_transform: offset + rotation * scale * uv."""
    if not isinstance(primitive.get("material"), int):
        return uv
    material = file.entry("materials", primitive["material"])
    rough = material.get("pbrMetallicRoughness")
    texture = rough.get("baseColorTexture") if isinstance(rough, dict) else None
    change = file.extension(texture, "KHR_texture_transform") if isinstance(texture, dict) else None
    if change is None:
        return uv
    offset, scale = finite_numbers(change.get("offset", [0, 0]), 2), finite_numbers(change.get("scale", [1, 1]), 2)
    angle = finite_numbers([change.get("rotation", 0)], 1)
    if offset is None or scale is None or angle is None:
        raise file.damage("a texture's transform is no numbers")
    c, s = np.cos(angle[0]), np.sin(angle[0])
    return (uv * scale @ np.array([[c, s], [-s, c]]).T + offset).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Node:
    """A node with a mesh in the file's scene."""

    name: str
    mesh: int
    skin: int | None
    """None where its mesh is read as it is modelled."""
    bones: np.ndarray | None
    """Of its skin."""
    matrix: np.ndarray
    """To the world; of a skinned mesh the bones alone say where it is."""

    @property
    def key(self) -> tuple[int, int | None]:
        """Nodes of one key show the same vertices."""
        return self.mesh, self.skin


def _nodes(file: GltfFile) -> list[_Node]:
    """Every node with a mesh in the file's scene."""
    nodes, scenes = file.entries("nodes"), file.entries("scenes")
    children = [file.numbers(node, "children") for node in nodes]
    if scenes:
        roots = file.numbers(file.entry("scenes", file.tree.get("scene", 0)), "nodes")
    else:
        below = {child for row in children for child in row}
        roots = [i for i in range(len(nodes)) if i not in below]
    world: dict[int, np.ndarray] = {}
    waiting = [(root, np.eye(4), 0) for root in reversed(roots)]
    while waiting:
        index, above, depth = waiting.pop()
        node = file.entry("nodes", index)
        if index in world or depth > _DEEPEST:
            raise file.damage("its nodes form no tree")
        world[index] = above @ _matrix(file, node)
        waiting += [(child, world[index], depth + 1) for child in reversed(children[index])]
    found, bones = [], {}
    for index, matrix in world.items():
        node = nodes[index]
        if "mesh" not in node:
            continue
        file.entry("meshes", node["mesh"])
        skin = node.get("skin")
        if skin is not None:
            file.entry("skins", skin)
            if skin not in bones:
                bones[skin] = bone_matrices(file, skin, world)
        if bones.get(skin) is None:
            found.append(_Node(_name(node, f"node{index}"), node["mesh"], None, None, matrix))
        else:
            found.append(_Node(_name(node, f"node{index}"), node["mesh"], skin, bones[skin], np.eye(4)))
    return found


def _matrix(file: GltfFile, node: dict) -> np.ndarray:
    """A node's own transform `(4, 4)`."""
    if "matrix" in node:
        values = finite_numbers(node["matrix"], 16)
        if values is None:
            raise file.damage("a node's matrix is no sixteen numbers")
        return values.reshape(4, 4).T  # stored by columns
    move = finite_numbers(node.get("translation", [0, 0, 0]), 3)
    turn = finite_numbers(node.get("rotation", [0, 0, 0, 1]), 4)
    scale = finite_numbers(node.get("scale", [1, 1, 1]), 3)
    if move is None or turn is None or scale is None or not np.linalg.norm(turn) > 1e-6:
        raise file.damage("a node's transform is no numbers")
    x, y, z, w = turn / np.linalg.norm(turn)
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation * scale, move
    return out


def _name(entry: dict, default: str) -> str:
    name = entry.get("name")
    return name if isinstance(name, str) and name else default


def _images(file: GltfFile, writer: _Writer) -> dict[str, list[dict]]:
    """The images, embedded; what cannot be found is noted, and its texture stays plain."""
    images = []
    for entry in file.entries("images"):
        kind = {"mimeType": entry["mimeType"]} if isinstance(entry.get("mimeType"), str) else {}
        try:
            data = (
                bytes(file.view(entry["bufferView"])[0]) if "bufferView" in entry else file.resource(entry.get("uri"))
            )
            images.append({"bufferView": writer.view(data)} | kind)
        except InputError as error:
            file.notes.append(f"a texture is missing: {error}")
            images.append({"uri": "missing"} | kind)
    return {"images": images} if images else {}
