"""What `--contact` and `--regions` mean, on a chair whose parts are named in OBJ and in GLB."""

import json

import numpy as np
import pytest
import trimesh

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.io import mesh_groups, read_mesh
from hoijax.jobs.contacts import Asked, find_regions, parse_contact, read_regions

CHAIR = """# a chair of three quads, in centimetres
o chair
v -20 45 -20
v 20 45 -20
v 20 45 20
v -20 45 20
v -20 90 -20
v 20 90 -20
v 25 65 -20
v 25 65 20
v 20 65 20
v 20 65 -20
g seat soft
usemtl cloth
f 1 4 3 2
g back
f 1 2 6 5
usemtl wood
g left_armrest
f 10 9 8 7
"""


@pytest.fixture(scope="module")
def model():
    return free_body("test")


@pytest.fixture
def chair(tmp_path):
    path = tmp_path / "chair.obj"
    path.write_text(CHAIR)
    return path


def spans(region):
    return np.stack([region.points.min(axis=0), region.points.max(axis=0)])


SEAT, ARMREST = [[-0.2, 0.45, -0.2], [0.2, 0.45, 0.2]], [[0.2, 0.65, -0.2], [0.25, 0.65, 0.2]]


def test_parts_anywhere_and_within_regions_mix(model):
    assert parse_contact("auto", model) == Asked(None)
    assert parse_contact(" none ", model) == Asked(())
    assert parse_contact("buttocks,back,buttocks", model) == Asked(("buttocks", "back"))
    got = parse_contact("buttocks, Left hand: left armrest, right-hand:box(0,0,0, 1,1,1),", model)
    assert got.parts == ("buttocks", "left_hand", "right_hand")
    assert got.regions == {"left_hand": "left armrest", "right_hand": "box(0,0,0, 1,1,1)"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left_hnad", r"'left_hnad' is no part of the body \(did you mean left_hand\?\); wanted 'auto'"),
        ("left_hand: a, left_hand: b", "left_hand is asked twice"),
        ("left_hand, left_hand: b", "left_hand is asked twice"),
        ("left_hand:", "'left_hand:' names no region"),
        ("left_hand: box(0 0 0", "a parenthesis is not closed"),
        (" , ", "nothing is no part"),
    ],
)
def test_wrong_words_are_named(model, text, message):
    with pytest.raises(InputError, match=message):
        parse_contact(text, model)


def found(chair, text, model, file=None, units="cm"):
    return find_regions(parse_contact(text, model), read_mesh(chair, units=units), chair, file)


def test_groups_objects_and_materials_of_an_obj_are_regions(chair, model):
    spellings = find_regions(Asked((), {"a": "left_armrest", "b": "Left armrest"}), read_mesh(chair, units="cm"), chair)
    np.testing.assert_array_equal(spellings["a"].points, spellings["b"].points)
    got = found(chair, "buttocks: soft, left_hand: wood, back: cloth, right_hand: chair", model)
    np.testing.assert_allclose(spans(got["buttocks"]), SEAT, atol=0.012)
    np.testing.assert_allclose(spans(got["left_hand"]), ARMREST, atol=0.012)
    np.testing.assert_allclose(spans(got["back"]), [[-0.2, 0.45, -0.2], [0.2, 0.9, 0.2]], atol=0.03)
    assert got["right_hand"].points[:, 0].max() > 0.24 and got["right_hand"].points[:, 1].max() > 0.85
    assert got["left_hand"].name == "wood"


def test_nodes_and_materials_of_a_glb_are_regions_where_the_nodes_put_them(tmp_path, model):
    scene = trimesh.Scene()
    material = trimesh.visual.material.PBRMaterial(name="steel")
    for name, lift in (("seat", 0.5), ("rail", 0.9)):
        part = trimesh.creation.box((0.4, 0.02, 0.4))
        part.visual = trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)), material=material if name == "rail" else None)
        scene.add_geometry(
            part,
            node_name=name,
            geom_name=f"{name}_mesh",
            transform=trimesh.transformations.translation_matrix((0, lift, 0)),
        )
    path = tmp_path / "chair.glb"
    scene.export(path)
    got = found(path, "buttocks: seat, left_hand: steel", model, units="m")
    np.testing.assert_allclose(spans(got["buttocks"])[:, 1], [0.49, 0.51], atol=0.002)
    np.testing.assert_allclose(spans(got["left_hand"])[:, 1], [0.89, 0.91], atol=0.002)


def test_faces_of_an_obj_keep_their_groups_when_polygons_become_triangles(tmp_path):
    (tmp_path / "a.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 2 1 0\nv 1 2 0\nv 0 1 0\ng big\nf 1 2 3 4 5\ng small\nf -5/1 -4 -3\n"
    )
    got = mesh_groups(tmp_path / "a.obj")
    assert {name: len(corners) for name, corners in got.items()} == {"big": 3, "small": 1}
    np.testing.assert_array_equal(got["small"][0], [[0, 0, 0], [1, 0, 0], [2, 1, 0]])


def test_boxes_are_in_metres_of_the_files_axes(chair, model):
    got = found(chair, "left_hand: box(0.19 0.6 -0.1, 0.3 0.7 0.1)", model)
    np.testing.assert_allclose(spans(got["left_hand"]), [[0.2, 0.65, -0.1], [0.25, 0.65, 0.1]], atol=0.01)


@pytest.mark.parametrize("kind", ["txt", "json", "npy"])
def test_vertices_come_from_a_file_or_from_the_line(chair, model, tmp_path, kind):
    path = tmp_path / f"ids.{kind}"
    ids = [6, 7, 8, 9]
    if kind == "npy":
        np.save(path, ids)
    else:
        path.write_text(json.dumps(ids) if kind == "json" else "6\n7 8\n9\n")
    for region in (f"vertices({path})", "vertices(6 7 8 9)", str(path)):
        got = found(chair, f"left_hand: {region}", model)
        np.testing.assert_allclose(spans(got["left_hand"]), ARMREST, atol=0.012)


def test_a_file_of_regions_names_them(chair, model, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "ids.txt").write_text("6 7 8 9")
    tree = {
        "rest": {"vertices": "ids.txt"},
        "sit here": {"box": [SEAT[0], [0.2, 0.46, 0.2]]},
        "lean": "back",
        "wooden": {"group": "wood"},
    }
    as_json, as_lines = tmp_path / "more" / "r.json", tmp_path / "more" / "r.txt"
    as_json.write_text(json.dumps(tree))
    as_lines.write_text(
        "# names\nrest: vertices(ids.txt)\nsit here: box(-.2 .45 -.2, .2 .46 .2)\n\nlean: back  # mesh\nwooden: wood\n"
    )
    for file in (as_json, as_lines):
        got = found(chair, "left_hand: rest, buttocks: sit here, back: lean, right_hand: wooden", model, file)
        for part, want in (("left_hand", ARMREST), ("right_hand", ARMREST), ("buttocks", SEAT)):
            np.testing.assert_allclose(spans(got[part]), want, atol=0.02, err_msg=f"{file.name} {part}")
        np.testing.assert_allclose(spans(got["back"])[1], [0.2, 0.9, -0.2], atol=0.02)


def test_what_is_no_region_is_said_with_what_there_is(chair, model, tmp_path):
    cases = {
        "left_hand: left armrst": r"there is no region of that name \(did you mean left_armrest\?\); there are",
        "left_hand: box(1 2 3)": r"box\(1 2 3\); wanted six numbers",
        "left_hand: box(5 5 5 6 6 6)": "holds none of the object's surface",
        "left_hand: vertices(gone.txt)": "there is no list of vertices for the region",
        "left_hand: vertices(1.5 2)": "holds no list of vertex numbers",
        "left_hand: vertices(99)": r"names vertex 99, the mesh has 10",
    }
    for text, message in cases.items():
        with pytest.raises(InputError, match=message):
            found(chair, text, model)
    plain = tmp_path / "plain.stl"
    trimesh.creation.box((0.3, 0.3, 0.3)).export(plain)
    with pytest.raises(InputError, match="keeps no order"):
        found(plain, "left_hand: vertices(1 2 3)", model, units="m")


def test_damaged_files_of_regions_are_refused(tmp_path):
    for name, text, message in (
        ("a.json", '{"a": {"sphere": 1}}', r"the region 'a' is .*wanted box"),
        ("b.json", "[1]", "holds a list"),
        ("c.txt", "armrest box(1 2 3)", "line 1 is 'armrest box"),
        ("d.txt", b"\xff\xfe\x00", "is no text"),
    ):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError, match=message):
            read_regions(path)
    with pytest.raises(InputError, match="there is no file"):
        read_regions(tmp_path / "gone.txt")
