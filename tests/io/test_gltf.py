"""glTF as people have it: what is encoded is decoded to the numbers it stands for, what lies is refused."""

import base64
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.io import gltf, read_mesh
from hoijax.io.gltf import plain_glb
from hoijax.viz import read_scene

_spec = importlib.util.spec_from_file_location("gltf_files", pathlib.Path(__file__).with_name("gltf_files.py"))
gltf_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gltf_files)
Maker = gltf_files.Maker

BALL = trimesh.creation.icosphere(subdivisions=1, radius=0.4)
POINTS = np.asarray(BALL.vertices, np.float32) + np.float32([0.1, -0.05, 0.02])
FACES = np.asarray(BALL.faces, np.uint32)


def read(tmp_path, data, name="a.glb"):
    (tmp_path / name).write_bytes(data)
    return read_mesh(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int8, np.uint8])
@pytest.mark.parametrize("normalized", [False, True])
def test_quantized_positions_are_the_numbers_they_stand_for(tmp_path, dtype, normalized):
    """KHR_mesh_quantization: integers in the file, the scale and place in the node."""
    low, high, top = POINTS.min(axis=0), POINTS.max(axis=0), np.iinfo(dtype).max
    whole = np.round((POINTS - low) / (high - low) * top).astype(dtype)
    scale = (high - low) / (1 if normalized else top)
    node = {"scale": scale.tolist(), "translation": low.tolist()}
    maker = Maker(whole, FACES.astype(np.uint16), normalized=normalized, node=node)
    maker.tree |= {"extensionsUsed": ["KHR_mesh_quantization"], "extensionsRequired": ["KHR_mesh_quantization"]}
    mesh = read(tmp_path, maker.glb())
    np.testing.assert_allclose(mesh.vertices, POINTS, atol=0.6 * float((high - low).max()) / top)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert mesh.report.notes() == []


def test_the_most_negative_normalized_integer_is_minus_one(tmp_path):
    points = np.array([[-128, 0, 0], [127, 0, 0], [0, 127, 0], [0, 0, 127]], np.int8)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], np.uint8)
    mesh = read(tmp_path, Maker(points, faces, normalized=True).glb())
    assert mesh.vertices.min() == -1.0 and mesh.vertices.max() == 1.0


def test_strided_and_sparse_accessors(tmp_path):
    maker = Maker(POINTS, FACES)
    maker.primitive["attributes"]["POSITION"] = maker.add(POINTS, pad=8)
    np.testing.assert_array_equal(read(tmp_path, maker.glb()).vertices, POINTS)
    maker = Maker(POINTS, FACES)
    moved = {"count": 2, "indices": {"bufferView": maker.view(np.uint16([3, 7]).tobytes()), "componentType": 5123},
             "values": {"bufferView": maker.view(np.float32([[1, 2, 3], [-1, 0, 1]]).tobytes())}}  # fmt: skip
    maker.tree["accessors"][0]["sparse"] = moved
    want = POINTS.copy()
    want[[3, 7]] = [[1, 2, 3], [-1, 0, 1]]
    np.testing.assert_array_equal(read(tmp_path, maker.glb()).vertices, want)
    moved["indices"]["componentType"] = 5121  # now the indices are 3, 0: the byte behind the 3
    del maker.tree["accessors"][0]["bufferView"]
    want = np.zeros_like(POINTS)
    want[[3, 0]] = [[1, 2, 3], [-1, 0, 1]]
    data = plain_glb(tmp_path / "a.glb", maker.glb(), materials=False).data
    assert np.float32([1, 2, 3]).tobytes() in data and np.float32([-1, 0, 1]).tobytes() in data


def test_strips_and_fans(tmp_path):
    square = np.float32([[0, 0, 0], [0.3, 0, 0], [0, 0.3, 0], [0.3, 0.3, 0]])
    strip = read(tmp_path, Maker(square, np.uint16([0, 1, 2, 3]), mode=5).glb())
    np.testing.assert_array_equal(strip.faces, [[0, 1, 2], [2, 1, 3]])
    fan = read(tmp_path, Maker(square[[0, 1, 3, 2]], None, mode=6).glb())
    np.testing.assert_array_equal(fan.faces, [[0, 1, 2], [0, 2, 3]])


def test_transforms_of_nodes_are_multiplied_out(tmp_path):
    """A turn by a quarter about z below a mirrored, moved parent; the faces of a mirror are turned back."""
    half = float(np.sqrt(0.5))
    maker = Maker(POINTS, FACES, node={"rotation": [0, 0, half, half]})
    maker.tree["nodes"].append({"matrix": [-2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 1, 0, 0, 1], "children": [0]})
    maker.tree["scenes"] = [{"nodes": [1]}]
    mesh = read(tmp_path, maker.glb())
    want = np.stack([1 + 2 * POINTS[:, 1], 2 * POINTS[:, 0], 2 * POINTS[:, 2]], axis=1)
    np.testing.assert_allclose(mesh.vertices, want, atol=1e-6)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume > 0 and not mesh.report.turned


@pytest.mark.parametrize("name", ["my buffer ä.bin", "plain.bin", "a%20b.bin"])
@pytest.mark.parametrize("encoded", [True, False])
def test_buffers_beside_the_file(tmp_path, name, encoded):
    import urllib.parse

    maker = Maker(POINTS, FACES)
    (tmp_path / name).write_bytes(maker.body)
    uri = urllib.parse.quote(name) if encoded else name
    tree = maker.tree | {"buffers": [{"byteLength": len(maker.body), "uri": uri}]}
    np.testing.assert_array_equal(read(tmp_path, json.dumps(tree).encode(), "a.gltf").vertices, POINTS)
    uri = "data:application/octet-stream;base64," + base64.b64encode(maker.body).decode()
    tree["buffers"][0]["uri"] = uri
    np.testing.assert_array_equal(read(tmp_path, json.dumps(tree).encode(), "b.gltf").vertices, POINTS)


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "/etc/hostname", "..%2Fsecret.bin", "..\\secret.bin", "http://a.b/c.bin"]
)
def test_buffers_out_of_the_folder_are_refused(tmp_path, uri):
    maker = Maker(POINTS, FACES)
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(maker.body)
    tree = maker.tree | {"buffers": [{"byteLength": len(maker.body), "uri": uri}]}
    with pytest.raises(InputError, match="which is not in its folder"):
        read(tmp_path / "in", json.dumps(tree).encode(), "a.gltf")


def test_the_magic_decides_and_not_the_name(tmp_path):
    maker = Maker(POINTS, FACES)
    for name in ("a.gltf", "a.obj", "a.ply", "a.glb"):
        np.testing.assert_array_equal(read(tmp_path, maker.glb(), name).vertices, POINTS)
    (tmp_path / "a.bin").write_bytes(maker.body)
    text = json.dumps(maker.tree | {"buffers": [{"byteLength": len(maker.body), "uri": "a.bin"}]}).encode()
    np.testing.assert_array_equal(read(tmp_path, text, "json.glb").vertices, POINTS)


def test_draco_is_decoded(tmp_path):
    import DracoPy

    packed = DracoPy.encode(POINTS, FACES, quantization_bits=14, preserve_order=True)
    maker = Maker(POINTS, FACES)
    for accessor in maker.tree["accessors"]:
        del accessor["bufferView"]
    maker.body, maker.tree["bufferViews"] = b"", []
    number = DracoPy.decode(packed).attributes[0]["unique_id"]
    maker.primitive["extensions"] = {
        "KHR_draco_mesh_compression": {"bufferView": maker.view(packed), "attributes": {"POSITION": number}}
    }
    maker.tree["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    mesh = read(tmp_path, maker.glb())
    np.testing.assert_allclose(mesh.vertices, POINTS, atol=1e-4)
    np.testing.assert_array_equal(mesh.faces, FACES)
    for accessor in maker.tree["accessors"]:
        accessor["count"] += 1
    with pytest.raises(InputError, match="its Draco data have"):
        read(tmp_path, maker.glb())
    maker.tree["accessors"][0]["count"] -= 1
    maker.body = maker.body[:20] + b"\xff" * (len(maker.body) - 20)
    with pytest.raises(InputError, match="Draco data"):
        read(tmp_path, maker.glb())


def test_meshoptimizer_is_named_with_what_undoes_it(tmp_path):
    maker = Maker(POINTS, FACES)
    for view in maker.tree["bufferViews"]:
        more = {"buffer": 0, "byteStride": 12, "count": len(POINTS), "mode": "ATTRIBUTES"}
        view |= {"buffer": 1, "extensions": {"EXT_meshopt_compression": view | more}}
    place_holder = {"byteLength": len(maker.body), "extensions": {"EXT_meshopt_compression": {"fallback": True}}}
    maker.tree["buffers"] = [{"byteLength": len(maker.body)}, place_holder]
    with pytest.raises(InputError, match="meshoptimizer.*npx @gltf-transform/cli copy a.glb"):
        read(tmp_path, maker.glb())
    maker.tree["buffers"][1] = {  # the other way that the extension allows: the plain numbers are there as well
        "byteLength": len(maker.body), "uri": "data:;base64," + base64.b64encode(maker.body).decode()
    }  # fmt: skip
    np.testing.assert_array_equal(read(tmp_path, maker.glb()).vertices, POINTS)


def test_textures_and_their_transforms(tmp_path):
    """A texture of four colours, shrunk and moved by KHR_texture_transform, named with a backslash."""
    import PIL.Image

    pixels = np.uint8([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])
    (tmp_path / "tex").mkdir()
    PIL.Image.fromarray(pixels).save(tmp_path / "tex" / "four colours.png")
    uv = np.full((len(POINTS), 2), 65535, np.uint16)
    maker = Maker(POINTS, FACES, TEXCOORD_0=uv)
    change = {"scale": [0.25, 0.25], "offset": [0.0, 0.1]}
    texture = {"index": 0, "extensions": {"KHR_texture_transform": change}}
    maker.primitive["material"] = 0
    maker.tree |= {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": texture}}],
        "textures": [{"source": 0}], "images": [{"uri": "tex\\four%20colours.png"}],
    }  # fmt: skip
    (tmp_path / "a.glb").write_bytes(maker.glb())
    part = read_scene(tmp_path / "a.glb")[0]
    np.testing.assert_allclose(part.uv, np.tile([[0.25, 1 - 0.35]], (len(POINTS), 1)), atol=1e-6)
    np.testing.assert_allclose(part.texture, pixels / 255.0, atol=1e-6)
    (tmp_path / "tex" / "four colours.png").unlink()
    assert read_scene(tmp_path / "a.glb")[0].texture is None
    notes = plain_glb(tmp_path / "a.glb", maker.glb(), materials=True).notes
    assert len(notes) == 1 and "a texture is missing" in notes[0]


def damage(change):
    maker = Maker(POINTS, FACES)
    change(maker)
    return maker.glb()


HOSTILE = {
    "a billion entries without bytes": lambda m: m.tree["accessors"].__setitem__(
        0, {"count": 10**9, "componentType": 5126, "type": "VEC3"}
    ),
    "more entries than bytes": lambda m: m.tree["accessors"][0].update(count=10**6),
    "a view beyond the buffer": lambda m: m.tree["bufferViews"][0].update(byteLength=10**9),
    "a buffer beyond the file": lambda m: m.tree.update(buffers=[{"byteLength": 10**12}]),
    "a stride of nothing": lambda m: m.tree["bufferViews"][0].update(byteStride=1),
    "negative counts": lambda m: m.tree["accessors"][0].update(count=-1),
    "text for numbers": lambda m: m.tree["accessors"][0].update(count="3", type="<iframe>"),
    "unknown types": lambda m: m.tree["accessors"][0].update(type="<iframe srcdoc=1>"),
    "faces of fractions": lambda m: m.tree["accessors"][1].update(componentType=5126),
    "nodes in a circle": lambda m: m.tree.update(nodes=[{"mesh": 0, "children": [0]}]),
    "one node twice": lambda m: m.tree.update(nodes=[{"mesh": 0}, {"children": [0, 0]}], scenes=[{"nodes": [1]}]),
    "a mesh that is not there": lambda m: m.tree.update(nodes=[{"mesh": 7}]),
    "a node that is not there": lambda m: m.tree.update(scenes=[{"nodes": [9]}]),
    "no matrix": lambda m: m.tree.update(nodes=[{"mesh": 0, "matrix": [1e400] * 16}]),
    "a scale of text": lambda m: m.tree.update(nodes=[{"mesh": 0, "scale": "big"}]),
    "glTF 1": lambda m: m.tree.update(asset={"version": "1.0"}),
    "no asset": lambda m: m.tree.update(asset=None),
    "lists of nothing": lambda m: m.tree.update(accessors=[None]),
    "no attributes": lambda m: m.tree.update(meshes=[{"primitives": [{"attributes": 3}]}]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_headers_that_lie_are_refused(tmp_path, name):
    import tracemalloc

    (tmp_path / "a.glb").write_bytes(damage(HOSTILE[name]))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.glb"):
        read_mesh(tmp_path / "a.glb")
    with pytest.raises(InputError, match=r"a\.glb"):
        read_scene(tmp_path / "a.glb")
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_many_copies_of_one_mesh_are_counted_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(gltf, "_MOST_COPIES", 10_000)
    maker = Maker(POINTS, FACES)
    maker.tree["nodes"] = [{"mesh": 0}] * 300
    maker.tree["scenes"] = [{"nodes": list(range(300))}]
    with pytest.raises(InputError, match="12,600 vertices, most of them copies"):
        read(tmp_path, maker.glb())
    maker.tree["nodes"] = [{"mesh": 0, "translation": [i / 10, 0, 0]} for i in range(3)]
    maker.tree["scenes"] = [{"nodes": [0, 1, 2]}]
    mesh = read(tmp_path, maker.glb())
    assert len(mesh.vertices) == 3 * len(POINTS) and mesh.report.parts == 3
