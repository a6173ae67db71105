"""Scenes from files: names, transforms, colours, textures, and what is refused."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.errors import InputError
from hoijax.io import ScenePart, write_glb
from hoijax.io.glb import linear_to_srgb
from hoijax.viz.read import read_scene
from hoijax.viz.results import find_results


def textured_quad():
    """A quad with an image of four colours."""
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, baseColorFactor=[255, 128, 255, 255])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    return trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]],
        [[0, 1, 2], [0, 2, 3]],
        visual=trimesh.visual.TextureVisuals(uv, material=material),
        process=False,
    )


@pytest.fixture
def glb(tmp_path):
    """Three named parts: vertex colours, a base colour, a texture; one moved and mirrored by its node."""
    ball, box = trimesh.creation.icosphere(1), trimesh.creation.box()
    ball.visual.vertex_colors = np.random.default_rng(0).integers(0, 256, (42, 4), np.uint8)
    box.visual = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.PBRMaterial(baseColorFactor=[51, 102, 153, 255])
    )
    scene = trimesh.Scene()
    scene.add_geometry(ball, node_name="body", geom_name="g1")
    scene.add_geometry(box, node_name="object", geom_name="g2", transform=np.diag([-1.0, 2.0, 1.0, 1.0]))
    scene.add_geometry(textured_quad(), node_name="sign", geom_name="g3")
    scene.export(tmp_path / "scene.glb")
    return tmp_path / "scene.glb", ball, box


def test_glb(glb):
    path, ball, box = glb
    meshes = {mesh.name: mesh for mesh in read_scene(path)}
    assert set(meshes) == {"body", "object", "sign"}
    body = meshes["body"]
    np.testing.assert_allclose(body.vertices, ball.vertices, atol=1e-6)
    np.testing.assert_array_equal(body.faces, ball.faces)
    # glTF's vertex and base colours are linear, its textures sRGB; trimesh writes and reads the numbers as they are.
    np.testing.assert_allclose(body.colors, linear_to_srgb(ball.visual.vertex_colors[:, :3] / 255), atol=1e-6)
    obj = meshes["object"]
    np.testing.assert_allclose(obj.vertices, box.vertices * np.array([-1, 2, 1]), atol=1e-6)
    np.testing.assert_allclose(obj.colors, linear_to_srgb(np.array([0.2, 0.4, 0.6])), atol=1e-6)
    assert trimesh.Trimesh(obj.vertices, obj.faces).volume == pytest.approx(2.0)  # faces outward after the mirror
    sign = meshes["sign"]
    np.testing.assert_allclose(sign.texture, [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 0]]])
    np.testing.assert_allclose(sign.uv, [[0, 0], [1, 0], [1, 1], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(sign.colors, linear_to_srgb(np.array([1, 128 / 255, 1])), atol=1e-6)


def test_colors_come_back_from_our_own_files(tmp_path):
    """What `write_glb` was given as sRGB is shown as that; 8 bits of linear light are coarse where it is dark."""
    ball = trimesh.creation.icosphere(1)
    colors = np.random.default_rng(0).uniform(size=(42, 3))
    write_glb(tmp_path / "scene.glb", [ScenePart("body", ball.vertices, ball.faces, colors)])
    (mesh,) = read_scene(tmp_path / "scene.glb")
    np.testing.assert_allclose(mesh.colors[colors.min(1) > 0.2], colors[colors.min(1) > 0.2], atol=0.02)
    np.testing.assert_allclose(mesh.colors, colors, atol=0.06)


@pytest.mark.parametrize("kind", ["ply", "obj", "stl", "off"])
def test_other_formats(tmp_path, kind):
    ball = trimesh.creation.icosphere(1)
    ball.visual.vertex_colors = np.random.default_rng(0).integers(0, 256, (42, 4), np.uint8)
    ball.export(tmp_path / f"ball.{kind}")
    (mesh,) = read_scene(tmp_path / f"ball.{kind}")
    np.testing.assert_allclose(mesh.vertices[mesh.faces], ball.vertices[ball.faces], atol=1e-5)
    if kind in ("ply", "obj"):
        np.testing.assert_allclose(mesh.colors, ball.visual.vertex_colors[:, :3] / 255, atol=3e-3)


def test_refused_files(tmp_path):
    (tmp_path / "bad.glb").write_bytes(b"nothing of the sort")
    (tmp_path / "points.ply").write_text("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                                         "property float z\nend_header\n0 0 0\n")  # fmt: skip
    for name, message in (
        ("none.glb", "there is no file"),
        ("scene.blend", "is no scene hoijax can show"),
        ("bad.glb", "cannot be read"),
        ("points.ply", "no mesh with faces"),
    ):
        with pytest.raises(InputError, match=message):
            read_scene(tmp_path / name)


def test_scenes_of_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.glb", "deep/a.OBJ", "notes.txt"):
        (tmp_path / name).touch()
    files = lambda path: [one.candidates[0].scene for one in find_results(path)]  # noqa: E731
    assert files(tmp_path) == [tmp_path / "b.glb", tmp_path / "deep" / "a.OBJ"]
    assert files(tmp_path / "b.glb") == [tmp_path / "b.glb"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no scene"):
        find_results(tmp_path / "empty")
    with pytest.raises(InputError, match="no file or folder"):
        find_results(tmp_path / "missing")
