"""Meshes from a server, a folder and silhouettes."""

import base64
import io
import pathlib
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.errors import InputError
from hoijax.systems.hoi3dgen import image_to_mesh as lifting
from hoijax.systems.hoi3dgen import layout
from hoijax.viz.scene import NamedMesh

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from mesh_server import MeshScript, mesh_server

BOX = trimesh.creation.box()
PICTURE = np.full((12, 10, 4), 255, np.uint8)
PICTURE[3:9, 2:8, :3], PICTURE[:, :, 3] = (200, 40, 40), 0
PICTURE[3:9, 2:8, 3] = 255


@pytest.fixture(scope="module")
def glb(tmp_path_factory):
    path = tmp_path_factory.mktemp("glb") / "box.glb"
    layout.write_surface(path, NamedMesh("box", BOX.vertices, BOX.faces, (0.2, 0.5, 0.8)))
    return path.read_bytes()


def ask(script, **settings):
    with mesh_server(script) as address:
        server = lifting.HunyuanServer(address, poll=0.01, **({"timeout": 5.0} | settings))
        return server.lift(PICTURE[None], seed=7)


def test_a_job_is_sent_waited_for_and_read(glb):
    script = MeshScript(glb, waits=3)
    mesh = ask(script)
    np.testing.assert_allclose(mesh.vertices, BOX.vertices, atol=1e-6)
    assert script.asked == ["POST send"] + ["GET status"] * 4
    (body,) = script.bodies
    assert body["seed"] == 7 and body["face_count"] == 20_000 and body["type"] == "glb" and not body["texture"]
    assert body["num_inference_steps"] == 50 and body["octree_resolution"] == 384
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(body["image"]))).convert("RGB"))
    assert sent.shape == (12, 10, 3) and (sent[0, 0] == 255).all() and np.abs(sent[5, 5] - [200, 40, 40]).max() < 12


def test_a_mesh_that_was_made_is_not_asked_for_again(glb, tmp_path):
    script = MeshScript(glb, waits=0)
    with mesh_server(script) as address:
        server = lifting.HunyuanServer(address, poll=0.01, cache=tmp_path)
        first = server.lift(PICTURE)
        count = len(script.asked)
        np.testing.assert_array_equal(server.lift(PICTURE).vertices, first.vertices)
        assert len(script.asked) == count
        server.lift(PICTURE, seed=1)
        other = PICTURE.copy()
        other[4, 4] = 0
        server.lift(other)
        assert len(script.bodies) == 3


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        ({"stuck": True}, {"timeout": 0.2}, "still says 'processing' after 0.2 s"),
        ({"error": 404}, {}, "status 404: NETWORK ERROR"),
        ({"failed": True}, {}, "failed: out of memory"),
        ({"delay": 1.0}, {"request_timeout": 0.1}, "did not answer within 0.1 s"),
        ({"drop": 9}, {"retries": 2}, "tried 3 times"),
        ({"text": b"<html>"}, {}, "no JSON object"),
        ({"text": b"x" * 9000}, {"largest": 1000}, "are taken"),
        ({"waits": 0}, {"largest": 100}, "are taken"),
    ],
)
def test_what_goes_wrong_is_told(glb, change, settings, said):
    script = MeshScript(glb, **change)
    with pytest.raises(lifting.LiftError, match=said):
        ask(script, **settings)
    if change.get("drop"):
        assert len(script.asked) == 3
    if change.get("stuck"):
        assert 2 < len(script.asked) < 30  # 0.2 s at 0.01 s, not for ever
    if change.get("error"):
        assert len(script.asked) == 1  # a job that failed is not tried again


def test_a_connection_that_breaks_is_tried_again(glb):
    script = MeshScript(glb, drop=2)
    assert len(ask(script).faces) == 12
    assert script.asked[:3] == ["POST send"] * 3


@pytest.mark.parametrize("damage", ["cut", "short", "other", "nan"])
def test_damaged_meshes_are_refused(glb, damage):
    data = {
        "cut": glb[: len(glb) // 2], "short": glb[:10], "other": b"PK\3\4" + bytes(60),
        "nan": glb.replace(np.float32(0.5).tobytes(), np.float32(np.nan).tobytes(), 5),
    }[damage]  # fmt: skip
    said = {"cut": f"cut short: {len(data):,} of {len(glb):,} bytes", "short": "no GLB", "other": "no GLB",
            "nan": "cannot be used"}[damage]  # fmt: skip
    with pytest.raises(lifting.LiftError, match=said):
        ask(MeshScript(data, waits=0))


def test_servers_that_cannot_be():
    with pytest.raises(InputError, match="wanted such as"):
        lifting.HunyuanServer("file:///etc/passwd")
    with pytest.raises(InputError, match="timeout"):
        lifting.HunyuanServer(timeout=0)
    with pytest.raises(lifting.LiftError, match="cannot be reached"):
        lifting.HunyuanServer("http://127.0.0.1:9", retries=0).lift(PICTURE)
    with pytest.raises(InputError, match="uint8"):
        lifting.HunyuanServer().lift(np.zeros((3, 3)))


def test_a_folder_of_meshes(glb, tmp_path):
    (tmp_path / "b.glb").write_bytes(glb)
    BOX.copy().apply_scale(2).export(tmp_path / "a.obj")
    assert np.ptp(lifting.MeshFolder(tmp_path).lift(PICTURE).vertices) == pytest.approx(2)
    assert np.ptp(lifting.MeshFolder(tmp_path).lift(PICTURE, seed=1).vertices) == pytest.approx(1)
    assert np.ptp(lifting.MeshFolder(tmp_path, "b").lift().vertices) == pytest.approx(1)
    for folder in (lifting.MeshFolder(tmp_path, "c"), lifting.MeshFolder(tmp_path / "none")):
        with pytest.raises(InputError, match="has no"):
            folder.lift()
    with pytest.raises(InputError, match="mesh number 2"):
        lifting.MeshFolder(tmp_path).lift(seed=2)


def test_pictures_without_alpha_are_cut_from_white():
    plain = lifting.over_white(PICTURE)
    np.testing.assert_array_equal(lifting.checked_pictures(plain)[0, ..., 3], PICTURE[..., 3])
    with pytest.raises(InputError, match="cameras"):
        lifting.VisualHull().lift(PICTURE)
