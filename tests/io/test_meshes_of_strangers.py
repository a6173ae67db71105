"""Small meshes of the kinds that people report: which way is up and inside, what a file names, what lies behind it."""

import gzip
import json
import struct
import unicodedata
import urllib.parse

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh, query_sdf
from hoijax.interaction import make_solid_template
from hoijax.io import read_mesh

BOX = trimesh.creation.box((0.4, 0.3, 0.2))


def distance(path, points):
    """Signed distance of points to a mesh file, on a coarse grid."""
    mesh = read_mesh(path)
    template, _ = make_solid_template(Mesh(mesh.vertices, mesh.faces), resolution=32)
    return np.asarray(query_sdf(template.sdf, np.asarray(points, np.float32)))


def flipped(mesh, which):
    faces = mesh.faces.copy()
    faces[which] = faces[which, ::-1]
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


def test_the_middle_of_boxes_is_inside_however_their_faces_wind(tmp_path):
    second = BOX.copy().apply_translation((0.6, 0, 0))
    middle = [[0, 0, 0], [0.6, 0, 0]]
    turned = second.copy()
    turned.invert()
    rng = np.random.default_rng(0)
    for name, parts, count in (
        ("one_inverted", [BOX, turned], 2),
        ("half_flipped", [flipped(BOX, np.s_[::2])], 1),
        ("mixed", [flipped(BOX, rng.random(12) < 0.4), flipped(second, rng.random(12) < 0.6)], 2),
        ("all_inverted", [flipped(BOX, np.s_[:]), turned], 2),
    ):
        path = tmp_path / f"{name}.obj"
        trimesh.util.concatenate(parts).export(path)
        got = distance(path, middle)
        np.testing.assert_allclose(got[:count], -0.1, atol=0.025, err_msg=name)
        np.testing.assert_allclose(distance(path, [[0, 0.25, 0], [0, 0, 0.25]]), [0.1, 0.15], atol=0.01, err_msg=name)


@pytest.mark.parametrize("behind", [b"", bytes(40), b"made with love\n" * 3])
@pytest.mark.parametrize("head", [b"", b"solid made by x, facet by facet"])
def test_binary_stl_with_bytes_behind_whatever_its_header_says(tmp_path, head, behind):
    data = BOX.export(file_type="stl")
    (tmp_path / "a.stl").write_bytes(head.ljust(80) + data[80:] + behind)
    mesh = read_mesh(tmp_path / "a.stl")
    assert len(mesh.faces) == 12 and len(mesh.vertices) == 8
    assert mesh.report.notes() == ([f"{len(behind)} bytes after the last face were left out"] if behind else [])
    (tmp_path / "cut.stl").write_bytes(head.ljust(80) + data[80:-30])
    with pytest.raises(InputError, match="it says 12 faces and holds 11"):
        read_mesh(tmp_path / "cut.stl")


@pytest.mark.parametrize("suffix", ["ply", "PLY.GZ", "stl", "obj", "glb"])
def test_packed_files_are_unpacked_whatever_they_are_called(tmp_path, suffix):
    data = BOX.export(file_type=suffix.partition(".")[0].lower())
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(data if isinstance(data, bytes) else data.encode()))
    np.testing.assert_allclose(np.ptp(read_mesh(path).vertices, axis=0), [0.4, 0.3, 0.2], atol=1e-6)


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("my buffer ä.bin", "my buffer ä.bin"),
        ("a.bin?v=2#part", "a.bin"),
        ("Buffer.BIN", "buffer.bin"),
        ("sub\\b.bin", "sub/B.bin"),
        (unicodedata.normalize("NFC", "café.bin"), unicodedata.normalize("NFD", "café.bin")),
        ("100%.bin", "100%.bin"),
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_buffers_are_found_as_people_name_them(tmp_path, written, there, encoded):
    scene = trimesh.Scene(BOX).export(file_type="gltf")
    tree = json.loads(scene["model.gltf"])
    body = b""
    for view in tree["bufferViews"]:
        data = scene[tree["buffers"][view["buffer"]]["uri"]]
        start = view.get("byteOffset", 0)
        view |= {"buffer": 0, "byteOffset": len(body)}
        body += data[start : start + view["byteLength"]]
    query = written.partition("?")
    uri = urllib.parse.quote(query[0], safe="\\/") + query[1] + query[2] if encoded else written
    tree["buffers"] = [{"uri": uri, "byteLength": len(body)}]
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(body)
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    np.testing.assert_allclose(np.ptp(read_mesh(tmp_path / "a.gltf").vertices, axis=0), [0.4, 0.3, 0.2], atol=1e-6)


@pytest.mark.parametrize("uri", ["../Secret.bin", "..\\SECRET.bin", "%2e%2e/secret.bin?x"])
def test_no_spelling_leads_out_of_the_folder(tmp_path, uri):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    tree = {"asset": {"version": "2.0"}, "buffers": [{"uri": uri, "byteLength": 64}]}
    (tmp_path / "in" / "a.gltf").write_text(json.dumps(tree))
    with pytest.raises(InputError, match="is not in its folder"):
        read_mesh(tmp_path / "in" / "a.gltf")


def chair():
    def box(low, high):
        return trimesh.creation.box(np.subtract(high, low)).apply_translation(np.add(low, high) / 2)

    legs = [box((x - 0.02, 0, z - 0.02), (x + 0.02, 0.42, z + 0.02)) for x in (-0.2, 0.2) for z in (-0.2, 0.2)]
    return trimesh.util.concatenate([
        box((-0.22, 0.42, -0.22), (0.22, 0.45, 0.22)), box((-0.22, 0.45, -0.25), (0.22, 0.95, -0.22)), *legs
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("degrees", "said"), [(0, None), (90, "+z were up"), (-90, "-z were up"), (180, "on its head")]
)
@pytest.mark.parametrize("suffix", ["obj", "stl", "glb"])
def test_a_chair_that_lies_or_stands_on_its_head_is_hinted_at(tmp_path, degrees, said, suffix):
    mesh = chair().apply_transform(trimesh.transformations.rotation_matrix(np.radians(degrees), [1, 0, 0]))
    path = tmp_path / f"chair.{suffix}"
    mesh.export(path)
    report = read_mesh(path).report
    assert report.watertight and report.rewound == 0
    notes = " ".join(report.notes())
    assert (said is None and "looks as if" not in notes) or said in notes


def test_a_quantized_chair_has_its_size(tmp_path):
    """Positions as 16-bit integers and their scale in the node, as gltf-transform and glTFRuntime's users have them."""
    mesh = chair()
    size = float(np.abs(mesh.vertices).max())
    whole = np.zeros((len(mesh.vertices), 4), "<i2")
    whole[:, :3] = np.round(mesh.vertices / size * 32767)
    corners = mesh.faces.astype("<u2").tobytes()
    body = whole.tobytes() + corners
    for normalized, scale in ((True, size), (False, size / 32767)):
        tree = {
            "asset": {"version": "2.0"}, "extensionsUsed": ["KHR_mesh_quantization"],
            "extensionsRequired": ["KHR_mesh_quantization"], "scene": 0, "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "scale": [scale] * 3}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
            "buffers": [{"byteLength": len(body)}],
            "bufferViews": [{"buffer": 0, "byteLength": whole.nbytes, "byteStride": 8},
                            {"buffer": 0, "byteOffset": whole.nbytes, "byteLength": len(corners)}],
            "accessors": [{"bufferView": 0, "componentType": 5122, "normalized": normalized, "count": len(whole),
                           "type": "VEC3"},
                          {"bufferView": 1, "componentType": 5123, "count": mesh.faces.size, "type": "SCALAR"}],
        }  # fmt: skip
        head = json.dumps(tree).encode()
        head += b" " * (-len(head) % 4)
        data = body + bytes(-len(body) % 4)
        start = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(head) + len(data), len(head), b"JSON")
        (tmp_path / "a.gltf").write_bytes(
            start + head + struct.pack("<I4s", len(data), b"BIN\0") + data
        )  # a GLB by its bytes
        np.testing.assert_allclose(read_mesh(tmp_path / "a.gltf").vertices, mesh.vertices, atol=size / 32767)
