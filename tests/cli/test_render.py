"""`hoijax render` and `hoijax view` from the command line."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.cli import main

SMALL = ["--size", "32", "--samples", "1"]


@pytest.fixture
def scene(tmp_path):
    """A GLB of one red box."""
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile(np.array([230, 20, 20, 255], np.uint8), (8, 1))
    box.export(tmp_path / "scene.glb")
    return tmp_path / "scene.glb"


def test_picture(scene, capsys):
    out = scene.with_name("x.png")
    assert main(["render", str(scene), "--out", str(out), "--views", "2", *SMALL]) == 0
    image = np.asarray(Image.open(out).convert("RGB"), int)
    assert image.shape == (32, 64, 3)
    assert np.mean(image[..., 0] > image[..., 1] + 60) > 0.2
    assert str(out) in capsys.readouterr().out


def test_turntable(scene):
    out = scene.with_name("x.gif")
    assert main(["render", str(scene), "--out", str(out), "--frames", "3", *SMALL]) == 0
    with Image.open(out) as film:
        assert film.n_frames == 3


def test_the_floor_is_left_away_where_asked_for(scene):
    """Its shadow is all that is seen of it: below the box the picture is then as white as above it."""
    darkest = []
    for more in ([], ["--no-floor"]):
        out = scene.with_name("x.png")
        assert main(["render", str(scene), "--out", str(out), "--views", "2", *SMALL, *more]) == 0
        image = np.asarray(Image.open(out).convert("RGB"), int)
        grey = np.ptp(image, axis=-1) < 12  # what is not the red box
        darkest.append(image[grey].min())
    assert darkest[0] < darkest[1] - 5


def test_a_folder_of_scenes_becomes_a_folder_of_pictures(scene, capsys):
    out = scene.parent / "pictures"
    (scene.parent / "broken.ply").write_bytes(b"ply")
    trimesh.creation.box((1, 2, 1)).export(scene.parent / "tall.ply")
    command = ["render", str(scene.parent), "--out", str(out), "--views", "1", *SMALL]
    assert main(command) == 1
    assert sorted(p.name for p in out.iterdir()) == ["scene.json", "scene.png", "tall.json", "tall.png"]
    told = capsys.readouterr().out
    assert "2 of 3 written" in told and "not used: broken: " in told
    assert np.asarray(Image.open(out / "scene.png")).shape == (32, 32, 3)
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert main(command) == 1 and "2 of 3 are finished already" in capsys.readouterr().out
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert main([*command, "--azimuth", "60"]) == 1
    assert all(p.stat().st_mtime_ns != before[p.name] for p in out.iterdir())
    assert main(["render", str(out), "--out", str(out / "x")]) == 2
    assert "holds no scenes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.bmp"], ".png, .gif or .mp4"),
        (["--out", "x.png", "--views", "0"], "--views must be from 1 to 64, got 0"),
        (["--out", "x.png", "--size", "9000"], "--size must be from 16 to 8192, got 9000"),
        (["--out", "x.png", "--elevation", "90"], "--elevation must be from -89 to 89"),
        (["--out", "x.png", "--samples", "0"], "--samples must be from 1 to 1024"),
    ],
)
def test_bad_options(scene, options, message, capsys, monkeypatch):
    monkeypatch.chdir(scene.parent)
    assert main(["render", str(scene), *options]) == 2
    assert message in capsys.readouterr().err
    assert list(scene.parent.iterdir()) == [scene]


def test_missing_scene(tmp_path, capsys):
    assert main(["render", str(tmp_path / "none.glb"), "--out", str(tmp_path / "x.png")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_view_names_what_is_missing(tmp_path, capsys):
    assert main(["view", str(tmp_path / "missing")]) == 2
    assert "there is no file or folder" in capsys.readouterr().err


def test_viewer_serves_a_scene(scene):
    """The live viewer starts, shows the parts and stops."""
    pytest.importorskip("viser", reason="extra [viewer]")
    import urllib.request

    from hoijax.viz.results import find_results
    from hoijax.viz.viewer import Viewer

    broken = scene.with_name("broken.glb")
    broken.write_bytes(b"x")
    viewer = Viewer(find_results(scene.parent), port=18080)
    try:
        assert urllib.request.urlopen(viewer.address, timeout=10).status == 200
        viewer.show(broken.name)
        assert "cannot be read" in viewer.message
        viewer.show(scene.name)
        assert viewer.message == ""
    finally:
        viewer.stop()
