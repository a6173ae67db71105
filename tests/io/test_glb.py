"""GLB scenes, read back by trimesh's own loader and by the bytes of the format."""

import json
import struct

import numpy as np
import pytest
import trimesh

from hoijax.io import ScenePart, read_mesh, write_glb
from hoijax.io.glb import linear_to_srgb, srgb_to_linear

BALL = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
BOX = trimesh.creation.box((0.4, 0.3, 0.2))
COLORS = np.random.default_rng(0).uniform(size=(len(BALL.vertices), 3))
PARTS = (
    ScenePart("body", BALL.vertices, BALL.faces, COLORS),
    ScenePart("object", BOX.vertices + np.array([0, 1, 0]), BOX.faces, (0.2, 0.5, 0.8), smooth=False),
)


def chunks(path):
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    tree = json.loads(data[20 : 20 + size])
    length, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0" and length == tree["buffers"][0]["byteLength"] == len(data) - 28 - size
    return tree, data[28 + size :]


def first_normals(tree, data):
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    return np.frombuffer(data, "<f4", view["byteLength"] // 4, view["byteOffset"]).reshape(-1, 3)


def test_two_named_parts_come_back_vertex_for_vertex(tmp_path):
    write_glb(tmp_path / "a.glb", PARTS)
    scene = trimesh.load_scene(tmp_path / "a.glb", process=False)
    assert set(scene.geometry) == {"body", "object"}
    assert set(scene.graph.nodes_geometry) == {"body", "object"}
    for part in PARTS:
        transform, name = scene.graph[part.name]
        np.testing.assert_array_equal(transform, np.eye(4))
        np.testing.assert_array_equal(scene.geometry[name].vertices, np.asarray(part.vertices, np.float32))
        np.testing.assert_array_equal(scene.geometry[name].faces, part.faces)


def test_colours_survive_our_own_reader(tmp_path):
    write_glb(tmp_path / "a.glb", PARTS)
    got = read_mesh(tmp_path / "a.glb")
    want = np.concatenate([COLORS, np.tile(PARTS[1].colors, (8, 1))])
    np.testing.assert_allclose(got.colors, want, atol=0.04)  # trimesh keeps 8 bits of linear light


def test_the_file_says_what_gltf_asks_for(tmp_path):
    write_glb(tmp_path / "a.glb", PARTS, extras={"seed": 3})
    tree, data = chunks(tmp_path / "a.glb")
    assert [node["name"] for node in tree["nodes"]] == ["body", "object"]
    assert tree["scenes"][0]["extras"] == {"seed": 3}
    assert all(not m["pbrMetallicRoughness"]["metallicFactor"] for m in tree["materials"])
    for mesh, part in zip(tree["meshes"], PARTS):
        attributes = mesh["primitives"][0]["attributes"]
        assert ("NORMAL" in attributes) == part.smooth
        position = tree["accessors"][attributes["POSITION"]]
        np.testing.assert_allclose(position["min"], np.min(part.vertices, axis=0), atol=1e-6)
        np.testing.assert_allclose(position["max"], np.max(part.vertices, axis=0), atol=1e-6)
    normals = first_normals(tree, data)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(normals, BALL.vertices / 0.3, atol=0.03)


def test_unused_vertices_have_a_normal(tmp_path):
    write_glb(tmp_path / "a.glb", [ScenePart("a", np.concatenate([BOX.vertices, [[9, 9, 9]]]), BOX.faces)])
    tree, data = chunks(tmp_path / "a.glb")
    normals = first_normals(tree, data)
    np.testing.assert_array_equal(normals[-1], [0, 1, 0])


def test_srgb_and_linear_light():
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(x)), x, atol=1e-6)
    np.testing.assert_allclose(srgb_to_linear(np.array([0, 0.5, 1])), [0, 0.21404114, 1])


def test_bad_scenes(tmp_path):
    with pytest.raises(ValueError, match="distinct names"):
        write_glb(tmp_path / "a.glb", [PARTS[0], PARTS[0]])
    with pytest.raises(ValueError, match="distinct names"):
        write_glb(tmp_path / "a.glb", [])
    with pytest.raises(ValueError, match="part 'x' has 8 vertices and 0 faces"):
        write_glb(tmp_path / "a.glb", [ScenePart("x", BOX.vertices, np.zeros((0, 3), int))])
    assert not list(tmp_path.iterdir())
