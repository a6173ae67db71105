"""Mesh files as people have them: packed, renamed, cut short, with bytes behind, of other programs."""

import gzip
import io
import zipfile

import numpy as np
import PIL.Image
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.io import read_mesh, scenes
from hoijax.io.off import parse_off
from hoijax.io.scenes import _without_options
from hoijax.viz import read_scene

BALL = trimesh.creation.icosphere(subdivisions=1, radius=0.4)
POINTS, FACES = np.asarray(BALL.vertices, np.float32), np.asarray(BALL.faces)


def export(kind):
    return BALL.export(file_type=kind) if kind != "obj" else BALL.export(file_type="obj").encode()


def contents(kind):
    data = export(kind)
    return data.encode() if isinstance(data, str) else data


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "off", "glb", "dae"])
def test_packed_files_are_those_they_hold(tmp_path, kind):
    (tmp_path / f"a.{kind}").write_bytes(contents(kind))
    (tmp_path / f"b.{kind}.gz").write_bytes(gzip.compress(contents(kind)))
    one, other = read_mesh(tmp_path / f"a.{kind}"), read_mesh(tmp_path / f"b.{kind}.gz")
    np.testing.assert_array_equal(one.vertices, other.vertices)
    np.testing.assert_array_equal(one.faces, other.faces)
    assert len(read_scene(tmp_path / f"b.{kind}.gz")[0].faces) == len(FACES)


@pytest.mark.parametrize("kind", ["obj", "ply", "off", "stl"])
def test_gzip_that_is_cut_or_is_none(tmp_path, kind):
    whole = gzip.compress(contents(kind))
    for data in (whole[:-20], whole[: len(whole) // 2], b"plain text", whole[:40] + b"\xff" * 40 + whole[80:]):
        (tmp_path / f"a.{kind}.gz").write_bytes(data)
        with pytest.raises(InputError, match=r"a\..*\.gz"):
            read_mesh(tmp_path / f"a.{kind}.gz")


def test_an_stl_with_bytes_behind_is_read_and_a_cut_one_is_not(tmp_path):
    whole = contents("stl")
    (tmp_path / "a.stl").write_bytes(whole + bytes(40))
    mesh = read_mesh(tmp_path / "a.stl")
    assert len(mesh.faces) == len(FACES) and "40 bytes after the last face were left out" in mesh.report.notes()
    for cut in (whole[:-30], whole[:-50], whole[:60]):
        (tmp_path / "a.stl").write_bytes(cut)
        with pytest.raises(InputError, match="cut short"):
            read_mesh(tmp_path / "a.stl")
    text = trimesh.exchange.stl.export_stl_ascii(BALL).encode()
    (tmp_path / "a.stl").write_bytes(text)
    assert len(read_mesh(tmp_path / "a.stl").faces) == len(FACES)
    (tmp_path / "a.stl").write_bytes(text[: len(text) * 9 // 10])
    with pytest.raises(InputError, match="cut short.*endsolid"):
        read_mesh(tmp_path / "a.stl")


@pytest.mark.parametrize("share", [0.95, 0.5, 0.1])
def test_a_cut_off_file_is_refused(tmp_path, share):
    lines = contents("off").decode().splitlines()
    (tmp_path / "a.off").write_text("\n".join(lines[: int(share * len(lines))]))
    with pytest.raises(InputError, match=r"cut short: it says 42 vertices and 80 faces"):
        read_mesh(tmp_path / "a.off")


def test_off_in_its_forms():
    text = b"COFF # coloured\n# a comment\n4 2 0\n0 0 0 255 0 0\n1 0 0 0 255 0\n1 1 0 0 0 255\n0 1 0 9 9 9\n\n"
    text += b"4 0 1 2 3 200 9 9\n3 0 1 2\n"
    points, faces = parse_off(text)
    np.testing.assert_array_equal(points, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    bad_starts = (b"", b"OFF", b"OFF 1", b"NOFX\n1 1 0", b"OFF BINARY\n1 1 0\n", b"4OFF\n1 1 0\n", b"OFF\n-1 1 0\n")
    bad_bodies = (b"99999999999 1 0\n0 0 0", b"1 1 0\nx y z\n3 0 0 0", b"1 1 0\n0 0 0\n3 0 0", b"1 1 0\n0 0\n3 0 0 0")
    for bad in (*bad_starts, *(b"OFF\n" + body for body in bad_bodies)):
        with pytest.raises(InputError):
            parse_off(bad)


def test_a_ply_that_promises_more_than_it_has(tmp_path):
    whole = contents("ply")
    for number in (b"1000000000", b"43", b"-1", b"nan"):
        (tmp_path / "a.ply").write_bytes(whole.replace(b"element vertex 42", b"element vertex " + number))
        with pytest.raises(InputError, match=r"a\.ply"):
            read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "off", "glb", "gltf", "dae", "3mf", "ply.gz"])
def test_pointers_of_git_lfs_are_named(tmp_path, kind):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / f"a.{kind}").write_bytes(gzip.compress(pointer) if kind.endswith("gz") else pointer)
    for read in (read_mesh, read_scene):
        with pytest.raises(InputError, match="pointer of Git LFS.*git lfs pull"):
            read(tmp_path / f"a.{kind}")


def three_mf(model, name="3D/3dmodel.model"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(name, model)
    return file.getvalue()


def model(build, more="", unit='unit="centimeter"'):
    vertices = "".join(f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in POINTS * 100)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    space = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
    return (
        f'<model xmlns="{space}" {unit}><resources><object id="1" name="ball"><mesh><vertices>{vertices}</vertices>'
        f"<triangles>{triangles}</triangles></mesh></object>{more}</resources><build>{build}</build></model>"
    )


def test_3mf_with_its_unit_and_transforms(tmp_path):
    (tmp_path / "a.3mf").write_bytes(three_mf(model('<item objectid="1" transform="0 1 0 -1 0 0 0 0 1 10 20 30"/>')))
    mesh = read_mesh(tmp_path / "a.3mf")
    turned = np.stack([-POINTS[:, 1], POINTS[:, 0], POINTS[:, 2]], axis=1) + [0.1, 0.2, 0.3]  # a quarter about z
    np.testing.assert_allclose(mesh.vertices, turned, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert "coordinates were multiplied with 0.01 to be metres" in mesh.report.notes()
    assert np.ptp(read_mesh(tmp_path / "a.3mf", units="mm").vertices[:, 2]) == pytest.approx(0.08, rel=1e-5)
    pair = '<object id="2"><components><component objectid="1"/>'
    pair += '<component objectid="1" transform="1 0 0 0 1 0 0 0 1 100 0 0"/>'
    (tmp_path / "a.3mf").write_bytes(three_mf(model('<item objectid="2"/>', pair + "</components></object>")))
    mesh = read_mesh(tmp_path / "a.3mf")
    assert mesh.report.parts == 2
    np.testing.assert_allclose(
        np.sort(mesh.vertices[:, 0])[[0, -1]], [POINTS[:, 0].min(), 1 + POINTS[:, 0].max()], atol=1e-6
    )


def test_3mf_parts_are_moved_first_and_their_object_turned_after(tmp_path):
    part = '<component objectid="1" transform="1 0 0 0 1 0 0 0 1 100 0 0"/>'
    pair = f'<object id="2"><components>{part}</components></object>'
    turned = '<item objectid="2" transform="0 1 0 -1 0 0 0 0 1 0 0 50"/>'
    (tmp_path / "a.3mf").write_bytes(three_mf(model(turned, pair)))
    want = np.stack([-POINTS[:, 1], 1 + POINTS[:, 0], 0.5 + POINTS[:, 2]], axis=1)
    np.testing.assert_allclose(read_mesh(tmp_path / "a.3mf").vertices, want, atol=1e-6)


def test_3mf_that_unfolds_without_end(tmp_path):
    levels = "".join(
        f'<object id="{i}"><components>' + f'<component objectid="{i - 1}"/>' * 10 + "</components></object>"
        for i in range(2, 30)
    )
    circle = '<object id="2"><components><component objectid="2"/></components></object>'
    entity = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    for data in (
        three_mf(model('<item objectid="29"/>', levels)),
        three_mf(model('<item objectid="2"/>', circle)),
        three_mf(model('<item objectid="7"/>')),
        three_mf(entity + model('<item objectid="1"/>')),
        three_mf(model('<item objectid="1" transform="1 0 0"/>')),
        three_mf(model('<item objectid="1"/>', unit='unit="parsec"')),
        three_mf("<model>"),
        three_mf("", name="other.txt"),
        b"no zip",
    ):
        (tmp_path / "a.3mf").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.3mf"):
            read_mesh(tmp_path / "a.3mf")


def test_collada_with_its_unit(tmp_path):
    data = contents("dae")
    inches = data.replace(b"<up_axis>Y_UP", b'<unit name="inch" meter="0.0254"/><up_axis>Z_UP')
    assert inches != data
    (tmp_path / "a.dae").write_bytes(inches)
    mesh = read_mesh(tmp_path / "a.dae", sizes=None)
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(np.ptp(POINTS[:, 2]) * 0.0254, rel=1e-5)
    assert "coordinates were multiplied with 0.0254 to be metres" in mesh.report.notes()
    assert any("z is up" in note for note in mesh.report.notes())
    for bad in (data[:300], data.replace(b"<COLLADA", b"<!DOCTYPE a [<!ENTITY b 'c'>]><COLLADA"), b"<COLLADA/>"):
        (tmp_path / "a.dae").write_bytes(bad)
        with pytest.raises(InputError, match=r"a\.dae"):
            read_mesh(tmp_path / "a.dae")


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("wood.png", "wood.png"),
        ("textures\\wood.png", "textures/wood.png"),
        ("C:\\Users\\me\\textures\\wood.png", "wood.png"),
        ("-s 2 2 1 -clamp on wood.png", "wood.png"),
        ("-o 0.5 -mm 0 1 -bm 1.0 my wood.png", "my wood.png"),
        ("my%20wood.png", "my wood.png"),
        ("./wood.png", "wood.png"),
    ],
)
def test_textures_of_obj_are_found_as_they_are_named(tmp_path, written, there):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(np.full((2, 2, 3), [255, 0, 0], np.uint8)).save(tmp_path / there)
    (tmp_path / "a.mtl").write_text(f"newmtl wood\nKd 1 1 1\nmap_Kd {written}\n")
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl wood\nf 1/1 2/2 3/3\n"
    )
    texture = read_scene(tmp_path / "a.obj")[0].texture
    np.testing.assert_allclose(texture, np.broadcast_to([1.0, 0, 0], (2, 2, 3)), atol=1e-6)


def test_textures_out_of_the_folder_are_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    PIL.Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "..\\secret.png"):
        (tmp_path / "in" / "a.mtl").write_text(f"newmtl w\nmap_Kd {name}\n")
        (tmp_path / "in" / "a.obj").write_text(
            "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl w\nf 1/1 2/2 3/3\n"
        )
        assert read_scene(tmp_path / "in" / "a.obj")[0].texture is None


def test_options_of_mtl_are_taken_off():
    assert _without_options("-s 1 1 1 -o 0 0 a b.png") == "a b.png"
    assert _without_options("-blendu on -texres 512 a.png") == "a.png"
    assert _without_options("a -s b.png") == "a -s b.png"


def test_a_packed_bomb_is_refused_without_its_zeros(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "_SMALL", 1 << 20)
    (tmp_path / "a.ply.gz").write_bytes(gzip.compress(bytes(16 << 20)))
    with pytest.raises(InputError, match="unfolds to more than 1 MiB"):
        read_mesh(tmp_path / "a.ply.gz")
