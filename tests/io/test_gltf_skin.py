"""Skinned meshes come as a viewer shows them: under their joints' matrices, whatever their own node says."""

import importlib.util
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.io import read_mesh
from hoijax.viz import read_scene

_spec = importlib.util.spec_from_file_location("gltf_files", pathlib.Path(__file__).with_name("gltf_files.py"))
gltf_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gltf_files)

BAR = trimesh.creation.box((0.2, 1.0, 0.2)).subdivide().subdivide()
POINTS = np.asarray(BAR.vertices, np.float32) + np.float32([0.0, 0.5, 0.0])
FACES = np.asarray(BAR.faces, np.uint32)
UPPER = np.clip(2 * POINTS[:, 1] - 0.5, 0, 1).astype(np.float32)
"""Weight of the joint in the middle."""
QUARTER = [0.0, 0.0, float(np.sqrt(0.5)), float(np.sqrt(0.5))]


def bar(joints=None, weights=None, **node):
    """A bar along y with a joint at its foot and one in its middle, which is turned by a quarter about z."""
    count = len(POINTS)
    if joints is None:
        joints = np.tile(np.uint8([0, 1, 0, 0]), (count, 1))
    if weights is None:
        weights = np.stack([1 - UPPER, UPPER, 0 * UPPER, 0 * UPPER], axis=1)
    maker = gltf_files.Maker(POINTS, FACES, node={"skin": 0, "name": "bar"} | node, WEIGHTS_0=weights)
    maker.primitive["attributes"]["JOINTS_0"] = maker.add(joints)
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 1, 3] = -0.5
    bind = maker.add(inverse.transpose(0, 2, 1).reshape(2, 16))
    maker.tree["skins"] = [{"joints": [2, 3], "inverseBindMatrices": bind}]
    maker.tree["nodes"] += [
        {"children": [2], "translation": [0.0, 0.0, 3.0]},
        {"children": [3], "translation": [1.0, 0.0, 0.0]},
        {"translation": [0.0, 0.5, 0.0], "rotation": QUARTER},
    ]
    maker.tree["scenes"][0]["nodes"] = [0, 1]
    return maker


def posed():
    """What the specification's sum gives, written out."""
    lower = POINTS + [1, 0, 3]
    upper = np.stack([-(POINTS[:, 1] - 0.5) + 1, POINTS[:, 0] + 0.5, POINTS[:, 2] + 3], axis=1)
    return (1 - UPPER)[:, None] * lower + UPPER[:, None] * upper


def read(tmp_path, maker, name="a.glb"):
    (tmp_path / name).write_bytes(maker.glb())
    return read_mesh(tmp_path / name)


def test_vertices_stand_under_their_joints(tmp_path):
    mesh = read(tmp_path, bar(translation=[7.0, 8.0, 9.0], scale=[2.0, 2.0, 2.0]))
    np.testing.assert_allclose(mesh.vertices, posed(), atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, FACES)
    assert mesh.report.notes() == []
    (shown,) = read_scene(tmp_path / "a.glb")
    np.testing.assert_allclose(shown.vertices, posed(), atol=1e-6)


def test_weights_may_be_fractions_of_a_byte_and_come_in_two_sets(tmp_path):
    count = len(POINTS)
    parts = np.zeros((count, 4), np.uint8)
    parts[:, 0] = np.round(255 * (1 - UPPER))
    other = np.zeros((count, 4), np.uint8)
    other[:, 2] = 255 - parts[:, 0]
    maker = bar(np.tile(np.uint8([0, 9, 9, 9]), (count, 1)), parts)
    maker.primitive["attributes"]["JOINTS_1"] = maker.add(np.tile(np.uint16([0, 0, 1, 0]), (count, 1)))
    maker.primitive["attributes"]["WEIGHTS_1"] = maker.add(other, normalized=True)
    np.testing.assert_allclose(read(tmp_path, maker).vertices, posed(), atol=5e-3)


def test_weights_are_shares_and_a_vertex_without_any_stays(tmp_path):
    weights = 0.5 * np.stack([1 - UPPER, UPPER, 0 * UPPER, 0 * UPPER], axis=1)
    weights[:5] = 0
    vertices = read(tmp_path, bar(weights=weights)).vertices
    np.testing.assert_allclose(vertices[5:], posed()[5:], atol=1e-6)
    np.testing.assert_allclose(vertices[:5], POINTS[:5], atol=1e-6)


def test_one_mesh_on_two_skeletons_and_on_none(tmp_path):
    maker = bar()
    maker.tree["skins"].append({"joints": [2, 2]})
    maker.tree["nodes"] += [
        {"mesh": 0, "skin": 1, "name": "moved"},
        {"mesh": 0, "translation": [0, 0, -1], "name": "plain"},
    ]
    maker.tree["scenes"][0]["nodes"] += [4, 5]
    read(tmp_path, maker)
    found = {mesh.name: mesh.vertices for mesh in read_scene(tmp_path / "a.glb")}
    np.testing.assert_allclose(found["bar"], posed(), atol=1e-6)
    np.testing.assert_allclose(found["moved"], POINTS + [1, 0, 3], atol=1e-6)  # without inverse matrices
    np.testing.assert_allclose(found["plain"], POINTS + [0, 0, -1], atol=1e-6)


def test_a_skeleton_outside_the_scene_leaves_the_mesh_as_modelled(tmp_path):
    maker = bar(translation=[0.0, 2.0, 0.0])
    maker.tree["scenes"][0]["nodes"] = [0]
    mesh = read(tmp_path, maker)
    np.testing.assert_allclose(mesh.vertices, POINTS + [0, 2, 0], atol=1e-6)
    assert "outside the scene" in " ".join(mesh.report.notes())


DAMAGED = {
    "no such skin": lambda maker: maker.tree["nodes"][0].update(skin=[0]),
    "no such joint": lambda maker: maker.tree["skins"][0].update(joints=[2, 77]),
    "no joints": lambda maker: maker.tree["skins"][0].update(joints=[]),
    "too few matrices": lambda maker: maker.tree["skins"][0].update(joints=[2, 3, 1]),
    "a vertex's joint": lambda maker: (
        maker.tree["skins"][0].pop("inverseBindMatrices") and maker.tree["skins"][0].update(joints=[2])
    ),
    "weights of three": lambda maker: maker.primitive["attributes"].update(WEIGHTS_0=0),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_skins_are_refused(tmp_path, name):
    maker = bar()
    DAMAGED[name](maker)
    with pytest.raises(InputError, match=r"a\.glb.*damaged"):
        read(tmp_path, maker)
