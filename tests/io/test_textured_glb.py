"""Textured GLB scenes: what is written is read back by others, and the skin moves as the body model does."""

import json
import struct

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body_compiled
from hoijax.io.motion import Motion
from hoijax.io.textured_glb import Skeleton, SurfaceMaterial, TexturedPart, write_textured_glb
from hoijax.viz import read_scene

KINDS = {5126: "<f4", 5125: "<u4", 5121: "u1"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def unpack(path):
    """The JSON of a GLB and a function that reads an accessor; by the specification alone."""
    data = path.read_bytes()
    magic, version, total = struct.unpack("<4sII", data[:12])
    length = struct.unpack("<I", data[12:16])[0]
    assert (magic, version, total) == (b"glTF", 2, len(data))
    tree, body = json.loads(data[20 : 20 + length]), data[28 + length :]

    def array(number):
        a = tree["accessors"][number]
        view = tree["bufferViews"][a["bufferView"]]
        values = np.frombuffer(body, KINDS[a["componentType"]], a["count"] * WIDTHS[a["type"]], view["byteOffset"])
        return values.reshape(a["count"], -1)

    return tree, array


def panel(name="panel", **changes):
    """A square of two triangles in two materials; the texture is red below and blue above."""
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :, 2] = 255
    texture[4:, :, 0] = 255
    values = {
        "vertices": np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float),
        "faces": np.array([[0, 1, 2], [0, 2, 3]]),
        "uv": np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float),
        "texture": texture,
        "materials": (SurfaceMaterial("wood", 0.0, 0.6), SurfaceMaterial("steel", 1.0, 0.3)),
        "face_materials": np.array([0, 1]),
    }
    return TexturedPart(name, **(values | changes))


def test_a_scene_comes_back_with_its_textures_places_and_materials(tmp_path):
    turn = Rotation.from_euler("xyz", [20, 70, -35], degrees=True).as_matrix()
    moved = panel("other", rotation=turn, place=np.array([1.0, 2.0, 3.0]))
    write_textured_glb(tmp_path / "scene.glb", [panel(), moved], extras={"asked": "both hands"})
    tree, array = unpack(tmp_path / "scene.glb")
    assert [n["name"] for n in tree["nodes"]] == ["panel", "other"] and tree["scenes"][0]["extras"][
        "asked"
    ] == "both hands"
    assert [m["name"] for m in tree["materials"][:2]] == ["panel: wood", "panel: steel"]
    looks = [m["pbrMetallicRoughness"] for m in tree["materials"]]
    assert [(m["metallicFactor"], m["roughnessFactor"]) for m in looks[:2]] == [(0.0, 0.6), (1.0, 0.3)]
    assert [m["baseColorTexture"]["index"] for m in looks] == [0, 0, 1, 1]
    indices = [array(p["indices"]).reshape(-1).tolist() for p in tree["meshes"][0]["primitives"]]
    assert indices == [[0, 1, 2], [0, 2, 3]]
    np.testing.assert_array_equal(
        array(tree["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"])[:, 1], [1, 1, 0, 0]
    )
    meshes = read_scene(tmp_path / "scene.glb")
    there = np.concatenate([m.vertices for m in meshes if m.vertices[:, 2].max() > 1])
    wanted = panel().vertices @ turn.T + [1.0, 2.0, 3.0]
    assert len(there) and np.abs(there[:, None] - wanted).sum(axis=-1).min(axis=1).max() < 1e-5
    flat = next(m for m in meshes if m.vertices[:, 2].max() < 1)
    assert flat.texture.shape == (8, 8, 3)
    low = flat.uv[flat.vertices[:, 1] < 0.5]
    assert low[:, 1].max() < 0.5 and flat.texture[-1, 0, 0] == 1 and flat.texture[0, 0, 2] == 1


def test_the_skin_is_the_body_models(tmp_path):
    model = free_body("test")
    betas = np.linspace(-1, 1, 10).astype(np.float32)
    pose = dict(named_pose("sit"))
    params = BodyParams.from_axis_angle(model, **pose, betas=betas)
    params = params.replace(translation=np.array([0.3, 0.5, -0.2], np.float32))
    joints = np.asarray(model.joint_template, float) + np.asarray(model.joint_shape_dirs, float) @ betas
    rest = np.asarray(model.v_template, float) + np.asarray(model.shape_dirs, float) @ betas
    motion = Motion(
        model.joint_names, model.parents, joints, np.asarray(params.rotations, float)[None],
        (joints[0] + np.asarray(params.translation, float))[None],
    )  # fmt: skip
    faces = np.asarray(model.faces)
    half = (np.arange(len(faces)) % 2).astype(int)
    body = panel(
        "human",
        vertices=rest,
        faces=faces,
        uv=np.zeros((len(rest), 2)),
        face_materials=half,
        source=np.arange(len(rest)),
    )
    weights = np.asarray(model.skin_weights, float)
    write_textured_glb(tmp_path / "body.glb", [body, panel()], skeletons={"human": Skeleton(weights, motion)})
    tree, array = unpack(tmp_path / "body.glb")
    skin, nodes = tree["skins"][0], tree["nodes"]
    parent = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}

    def world(number, turned):
        node = nodes[number]
        own = np.eye(4)
        own[:3, :3] = turned.get(node["name"], np.eye(3)) @ Rotation.from_quat(node["rotation"]).as_matrix()
        own[:3, 3] = node["translation"]
        return world(parent[number], turned) @ own if number in parent else own

    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    points = np.c_[array(attributes["POSITION"]), np.ones(len(rest))]
    bind = array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    elbow = Rotation.from_euler("y", 40, degrees=True).as_matrix()
    for turned in ({}, {"left_elbow": elbow}):
        bones = np.stack([world(j, turned) for j in skin["joints"]]) @ bind
        posed = np.zeros((len(rest), 4))
        for k in (0, 1):
            joint, weight = array(attributes[f"JOINTS_{k}"]), array(attributes[f"WEIGHTS_{k}"])
            posed += np.einsum("vk,vkij,vj->vi", weight, bones[joint], points)
        rotations = np.array(params.rotations)
        number = model.joint_names.index("left_elbow")
        rotations[number] = turned.get("left_elbow", np.eye(3)) @ rotations[number]
        wanted = np.asarray(pose_body_compiled(model, params.replace(rotations=rotations.astype(np.float32))).vertices)
        np.testing.assert_allclose(posed[:, :3], wanted, atol=2e-5)
    assert [nodes[j]["name"] for j in skin["joints"]] == list(model.joint_names)
    assert set(tree["scenes"][0]["nodes"]) == {0, 1, skin["skeleton"]}
    assert len(trimesh.load(tmp_path / "body.glb").geometry) == 4


def test_normals_run_over_doubled_vertices(tmp_path):
    ball = trimesh.creation.icosphere(2)
    split = np.asarray(ball.faces).reshape(-1)
    part = panel(
        "ball", vertices=ball.vertices[split], faces=np.arange(len(split)).reshape(-1, 3), uv=np.zeros((len(split), 2)),
        face_materials=np.zeros(len(ball.faces), int), source=split,
    )  # fmt: skip
    write_textured_glb(tmp_path / "ball.glb", [part])
    tree, array = unpack(tmp_path / "ball.glb")
    (primitive,) = tree["meshes"][0]["primitives"]  # the second material has no face
    np.testing.assert_allclose(array(primitive["attributes"]["NORMAL"]), ball.vertices[split], atol=0.03)


BARE = Skeleton(np.ones((4, 1)), Motion(("root",), (-1,), np.zeros((1, 3)), np.eye(3)[None, None], np.zeros((1, 3))))


@pytest.mark.parametrize("parts, options, said", [
    ([], {}, "distinct names"),
    ([panel(), panel()], {}, "distinct names"),
    ([panel()], {"skeletons": {"nobody": BARE}}, "skeletons of some"),
    ([panel()], {"influences": 5}, "influences"),
    ([panel(faces=np.zeros((0, 3), int), face_materials=np.zeros(0, int))], {}, "0 faces"),
    ([panel(uv=np.zeros((3, 2)))], {}, "coordinates"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(parts, options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        write_textured_glb(tmp_path / "scene.glb", parts, **options)
    assert not (tmp_path / "scene.glb").exists()
