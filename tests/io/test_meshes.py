"""Meshes of every format, clean and not; trimesh writes the files and is the reference for reading them."""

import struct

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.io import parse_obj, read_mesh, simplify

BOX = trimesh.creation.box((0.4, 0.3, 0.2))


def save(mesh, path):
    if path.suffix == ".gltf":
        for name, data in trimesh.Scene({"box": mesh}).export(file_type="gltf").items():
            (path.parent / ("box.gltf" if name == "model.gltf" else name)).write_bytes(data)
    else:
        mesh.export(path)
    return path


def write_obj(path, vertices, faces):
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in np.asarray(vertices).tolist()]
    lines += ["f " + " ".join(str(i + 1) for i in face) for face in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf"])
def test_each_format_gives_the_same_surface(tmp_path, suffix):
    got = read_mesh(save(BOX, tmp_path / f"box.{suffix}"))
    assert got.vertices.dtype == np.float32 and got.faces.dtype == np.int32
    assert got.vertices.shape == (8, 3) and got.faces.shape == (12, 3)
    mine = trimesh.Trimesh(got.vertices, got.faces, process=False)
    assert mine.is_watertight and got.report.watertight
    np.testing.assert_allclose(mine.volume, BOX.volume, rtol=1e-5)
    np.testing.assert_allclose(mine.bounds, BOX.bounds, atol=1e-7)
    assert got.report.notes() == []


@pytest.mark.parametrize("suffix", ["obj", "ply", "off"])
def test_vertices_keep_order_and_number(tmp_path, suffix):
    rng = np.random.default_rng(0)
    order = rng.permutation(8)
    vertices = np.concatenate([BOX.vertices[order], rng.uniform(size=(5, 3)), BOX.vertices[:2]])  # unused, repeated
    faces = np.argsort(order)[BOX.faces]
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    got = read_mesh(save(mesh, tmp_path / f"box.{suffix}"))
    np.testing.assert_allclose(got.vertices, vertices, atol=1e-6)
    np.testing.assert_array_equal(got.faces, faces)


def test_texture_seams_do_not_split_the_vertices_of_an_obj(tmp_path):
    path = tmp_path / "box.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in BOX.vertices.tolist()]
    lines += [f"vt {u} 0.5" for u in np.linspace(0, 1, 36)] + ["vn 0 0 1", "mtllib gone.mtl", "usemtl gone"]
    lines += [
        "f " + " ".join(f"{v + 1}/{3 * i + k + 1}/1" for k, v in enumerate(face)) for i, face in enumerate(BOX.faces)
    ]
    path.write_text("\n".join(lines))
    got = read_mesh(path)
    np.testing.assert_allclose(got.vertices, BOX.vertices, atol=1e-7)
    np.testing.assert_array_equal(got.faces, BOX.faces)


def test_obj_polygons_relative_indices_colours_and_line_ends():
    text = b"# quad\r\nv 0 0 0 1 0 0\r\nv 1 0 0 0 1 0\r\nv 1 1 0 0 0 1\r\nv 0 1 0 1 1 1\r\n"
    text += b"f 1//1 2//2 \\\r\n 3//3 4//4\r\n"
    text += b"f -4 -3 -2 # last\r\nv 2 0 0 0 0 0\r\nf -1 1/1 2/1/1\r\n"
    vertices, faces, colors = parse_obj(text)
    assert vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]]
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [4, 0, 1]]
    assert colors.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    "text, message",
    [
        (b"v 0 0\n", "vertex 1 has 2 coordinates"),
        (b"v 0 0 0\nv 0 a 0\n", "wanted numbers in 'v 0 a 0'"),
        (b"v 0 0 0\nf 1 1\n", "face 1 has 2 corners"),
        (b"v 0 0 0\nf 1 1 b/2\n", "wanted vertex numbers in 'f 1 1 b/2'"),
        (b"v 0 0 0\nf 0 1 1\n", "counts from 1"),
    ],
)
def test_damaged_obj_lines_are_shown(text, message):
    with pytest.raises(InputError, match=message):
        parse_obj(text)


def test_vertex_colours_are_kept(tmp_path):
    colors = np.random.default_rng(1).integers(0, 256, (8, 3))
    mesh = trimesh.Trimesh(BOX.vertices, BOX.faces, process=False, vertex_colors=colors)
    got = read_mesh(save(mesh, tmp_path / "box.ply"))
    np.testing.assert_allclose(got.colors, colors / 255, atol=1e-6)


def test_scene_graph_is_flattened_with_its_transforms(tmp_path):
    scene = trimesh.Scene()
    moved = trimesh.transformations.translation_matrix([1.0, 0, 0])
    mirrored = np.diag([-1.0, 1, 1, 1])
    scene.add_geometry(BOX, node_name="a", geom_name="box")
    scene.add_geometry(BOX, node_name="b", geom_name="box", transform=moved)
    scene.add_geometry(trimesh.creation.icosphere(radius=0.1), node_name="c", geom_name="ball", transform=mirrored)
    scene.export(tmp_path / "scene.glb")
    got = read_mesh(tmp_path / "scene.glb")
    assert got.report.parts == 3 and "3 meshes of the scene were joined" in got.report.notes()
    mine = trimesh.Trimesh(got.vertices, got.faces, process=False)
    want = 2 * BOX.volume + trimesh.creation.icosphere(radius=0.1).volume
    np.testing.assert_allclose(mine.volume, want, rtol=1e-4)  # the mirrored part still faces outward
    np.testing.assert_allclose(mine.bounds, [[-0.2, -0.15, -0.1], [1.2, 0.15, 0.1]], atol=1e-6)


def test_degenerate_and_duplicate_faces_are_removed_and_counted(tmp_path):
    flat = [[0, 0, 1], [2, 2, 2]]
    line = np.concatenate([BOX.vertices, [[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]], BOX.vertices])
    double = [BOX.faces[3], BOX.faces[3][[1, 2, 0]], BOX.faces[5][::-1], BOX.faces[7] + 11]
    faces = np.concatenate([BOX.faces, flat, [[8, 9, 10]], double])
    got = read_mesh(write_obj(tmp_path / "box.obj", line, faces))
    assert (got.report.degenerate, got.report.duplicate) == (3, 4)
    np.testing.assert_array_equal(got.faces, BOX.faces)
    assert got.report.watertight
    assert got.report.notes() == ["3 degenerate faces were removed", "4 duplicate faces were removed"]


def test_a_closed_surface_facing_inward_is_turned(tmp_path):
    got = read_mesh(write_obj(tmp_path / "box.obj", BOX.vertices, BOX.faces[:, ::-1]))
    assert got.report.turned and "turned outward" in got.report.notes()[0]
    assert trimesh.Trimesh(got.vertices, got.faces, process=False).volume > 0


def test_an_open_surface_is_told(tmp_path):
    got = read_mesh(write_obj(tmp_path / "box.obj", BOX.vertices, BOX.faces[2:]))
    assert not got.report.watertight and "surface is open" in got.report.notes()[0]


@pytest.mark.parametrize(
    "size, flags",
    [
        (450, "--units mm"),
        (900, "--units mm"),
        (30, "--units cm or --units mm"),
        (80, "--units cm or --units mm"),
        (8, "--units cm"),
    ],
)
def test_other_units_than_metres_are_refused_with_the_flag_that_mends_it(tmp_path, size, flags):
    path = write_obj(tmp_path / "chair.obj", BOX.vertices / 0.4 * size, BOX.faces)
    with pytest.raises(InputError, match=f"say {flags}, or --units m if") as error:
        read_mesh(path)
    assert f"{size} long" in str(error.value)
    for unit, factor in (("mm", 1e-3), ("cm", 1e-2), ("m", 1.0)):
        got = read_mesh(path, units=unit)
        np.testing.assert_allclose(np.ptp(got.vertices[:, 0]), size * factor, rtol=1e-5)
        assert got.report.metres_per_unit == factor
    assert "multiplied with 0.001" in read_mesh(path, units="mm").report.notes()[0]


@pytest.mark.parametrize("size, message", [(1e-4, "too small to be in metres"), (1e6, "too large to be in metres")])
def test_sizes_that_no_unit_explains(tmp_path, size, message):
    path = write_obj(tmp_path / "a.obj", BOX.vertices * size, BOX.faces)
    with pytest.raises(InputError, match=message):
        read_mesh(path)
    assert read_mesh(path, sizes=None).faces.shape == (12, 3)


def test_unused_vertices_do_not_count_for_the_size(tmp_path):
    path = write_obj(tmp_path / "a.obj", np.concatenate([BOX.vertices, [[1e4, 0, 0]]]), BOX.faces)
    assert read_mesh(path).vertices.shape == (9, 3)


def bad_files(folder):
    nan = BOX.vertices.copy()
    nan[3, 1] = np.nan
    yield "missing.obj", "there is no mesh file"
    (folder / "folder.obj").mkdir()
    yield "folder.obj", "is a folder"
    (folder / "empty.ply").write_bytes(b"")
    yield "empty.ply", "is empty"
    (folder / "scene.blend").write_bytes(b"BLENDER")
    yield "scene.blend", "'.blend' is no mesh format"
    write_obj(folder / "nan.obj", nan, BOX.faces)
    yield "nan.obj", "1 of 8 vertices are not finite, the first is vertex 3"
    write_obj(folder / "points.obj", BOX.vertices, [])
    yield "points.obj", "8 vertices but no faces"
    trimesh.PointCloud(BOX.vertices).export(folder / "points.ply")
    yield "points.ply", "8 vertices but no faces"
    write_obj(folder / "range.obj", BOX.vertices, [[0, 1, 8]])
    yield "range.obj", "faces name vertices 0 to 8, but it has 8"
    write_obj(folder / "flat.obj", BOX.vertices, [[0, 0, 1], [1, 1, 1]])
    yield "flat.obj", "all 2 faces are degenerate"
    (folder / "text.obj").write_text("this is a letter\nto somebody\n")
    yield "text.obj", "has no vertices"
    for suffix in ("ply", "off", "glb", "stl", "gltf"):
        (folder / f"noise.{suffix}").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))
        yield f"noise.{suffix}", "noise"
    cut = folder / "cut.glb"
    BOX.export(cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    yield "cut.glb", "cut.glb"
    cut = folder / "cut.ply"
    BOX.export(cut)
    cut.write_bytes(cut.read_bytes()[:-40])
    yield "cut.ply", "cut.ply"


def test_unusable_files_are_each_named(tmp_path):
    for name, message in bad_files(tmp_path):
        with pytest.raises(InputError, match=message):
            read_mesh(tmp_path / name)


def test_unknown_unit():
    with pytest.raises(InputError, match="unit 'miles' is not known; wanted one of m, cm, mm, in"):
        read_mesh("a.obj", units="miles")


def test_simplify_keeps_the_surface_and_says_how_well(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.2)
    corners = ball.triangles.reshape(-1, 3)  # a soup: every corner repeated, as GLB seams and STL have it
    path = write_obj(tmp_path / "ball.obj", corners, np.arange(len(corners)).reshape(-1, 3))
    mesh = read_mesh(path)
    small = simplify(mesh, 500)
    assert len(small.faces) <= 520 and small.report.watertight and small.report.decimated_from == 5120
    mine = trimesh.Trimesh(small.vertices, small.faces, process=False)
    np.testing.assert_allclose(mine.volume, ball.volume, rtol=0.03)
    far = trimesh.proximity.closest_point(mine, ball.vertices)[1].max()
    np.testing.assert_allclose(small.report.deviation, far, rtol=0.2)
    assert "5,120 faces were decimated to 500 for the distance field, within" in small.report.notes()[-1]
    assert simplify(mesh, 5120) is mesh


def test_simplify_says_when_nothing_is_left(tmp_path):
    rng = np.random.default_rng(0)
    dust = (rng.uniform(size=(300, 1, 3)) + 1e-4 * rng.normal(size=(300, 3, 3))).reshape(-1, 3)
    mesh = read_mesh(write_obj(tmp_path / "dust.obj", dust, np.arange(900).reshape(-1, 3)))
    try:
        small = simplify(mesh, 4)
    except InputError as error:
        assert "nothing is left" in str(error)
    else:
        assert len(small.faces)


@pytest.mark.slow
def test_two_million_faces(tmp_path):
    """Binary STL, a ball beside a box: read, merged and decimated in bounded time."""
    box = BOX
    for _ in range(8):
        box = box.subdivide()
    triangles = np.concatenate(
        [trimesh.creation.icosphere(subdivisions=8, radius=0.3).triangles, box.triangles + np.array([0.7, 0, 0])]
    )
    record = np.zeros(len(triangles), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("flag", "<u2")]))
    record["corners"] = triangles
    (tmp_path / "big.stl").write_bytes(b"\0" * 80 + struct.pack("<I", len(triangles)) + record.tobytes())
    mesh = read_mesh(tmp_path / "big.stl")
    assert len(mesh.faces) == 2_097_152 and mesh.report.watertight
    small = simplify(mesh, 10_000)
    assert len(small.faces) <= 10_000 and small.report.watertight
    assert small.report.deviation < 0.001
    assert "2,097,152 faces were decimated to" in small.report.notes()[-1]


def box_at(low, high):
    mesh = trimesh.creation.box(np.subtract(high, low))
    mesh.apply_translation(np.add(low, high) / 2)
    return mesh


def signed_volume(mesh):
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6


def test_closed_boxes_whose_edges_touch_are_not_called_open(tmp_path):
    seat, back = box_at((-0.22, 0.42, -0.22), (0.22, 0.45, 0.22)), box_at((-0.22, 0.45, -0.25), (0.22, 0.95, -0.22))
    trimesh.util.concatenate([seat, back]).export(tmp_path / "chair.obj")
    got = read_mesh(tmp_path / "chair.obj")
    assert got.report.watertight
    assert got.report.notes() == []


def test_a_part_that_faces_inward_and_mixed_winding_are_turned_and_told(tmp_path):
    one, two = box_at((0, 0, 0), (0.4, 0.3, 0.2)), box_at((0.6, 0, 0), (1, 0.3, 0.2))
    two.invert()
    trimesh.util.concatenate([one, two]).export(tmp_path / "one_inverted.obj")
    faces = np.array(one.faces)
    faces[::2] = faces[::2, ::-1]
    trimesh.Trimesh(one.vertices, faces, process=False).export(tmp_path / "half_flipped.obj")
    for name, boxes, turned in (("one_inverted", 2, 12), ("half_flipped", 1, 6)):
        got = read_mesh(tmp_path / f"{name}.obj")
        assert got.report.watertight and not got.report.turned
        assert got.report.rewound == turned
        np.testing.assert_allclose(signed_volume(got), boxes * 0.024, rtol=1e-5)
        assert f"{turned} faces wound against" in got.report.notes()[0]


def test_a_chair_with_z_up_is_told_and_one_with_y_up_is_not(tmp_path):
    legs = [box_at((x - 0.02, 0, z - 0.02), (x + 0.02, 0.42, z + 0.02)) for x in (-0.2, 0.2) for z in (-0.2, 0.2)]
    seat, back = box_at((-0.22, 0.42, -0.22), (0.22, 0.45, 0.22)), box_at((-0.22, 0.45, -0.25), (0.22, 0.95, -0.22))
    chair = trimesh.util.concatenate([seat, back, *legs])
    chair.export(tmp_path / "y.obj")
    chair.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    chair.export(tmp_path / "z.obj")
    assert read_mesh(tmp_path / "y.obj").report.likely_up == "+y"
    assert "z were up" in " ".join(read_mesh(tmp_path / "z.obj").report.notes())
