"""`render` as a job: what is asked for reaches the renderer, and a picture is drawn again when any of it changes."""

import math

import numpy as np
import pytest
import trimesh

from hoijax.jobs import renders
from hoijax.jobs.renders import Look, RenderRequest, render_scenes, write_picture
from hoijax.render import Studio


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """A scene's path, and the settings that the renderer was called with in place of drawing."""
    seen = []

    def draw(path, meshes, **settings):
        seen.append(settings)
        path.write_bytes(b"")

    monkeypatch.setattr(renders.viz, "write_views", draw)
    monkeypatch.setattr(renders.viz, "write_turntable", draw)
    (tmp_path / "scenes").mkdir()
    trimesh.creation.box().export(tmp_path / "scenes" / "box.ply")
    return tmp_path / "scenes" / "box.ply", seen


def test_the_look_reaches_the_renderer(drawn, tmp_path):
    scene, seen = drawn
    look = Look(views=3, size=16, frames=5, fps=7, azimuth=90, elevation=-30, floor=-2.0, shadow=False, samples=3)
    write_picture(tmp_path / "x.png", scene, look)
    write_picture(tmp_path / "x.gif", scene, look)
    views, turntable = seen
    third = 2 * math.pi / 3
    np.testing.assert_allclose(views["views"], [(math.pi / 2 + i * third, -math.pi / 6) for i in range(3)])
    assert turntable["frames"] == 5 and turntable["fps"] == 7
    np.testing.assert_allclose((turntable["azimuth"], turntable["elevation"]), (math.pi / 2, -math.pi / 6))
    for settings in seen:
        assert settings["size"] == 16 and settings["floor"] == -2.0
        assert settings["studio"].samples == 3 and settings["studio"].floor_shadow == 0.0
    write_picture(tmp_path / "x.png", scene, Look())
    assert seen[-1]["studio"].floor_shadow == Studio().floor_shadow > 0 and seen[-1]["floor"] is None


def test_a_picture_is_drawn_again_when_scene_or_look_change_or_it_is_asked_for(drawn, tmp_path):
    scene, seen = drawn

    def count(size, redo=False):
        seen.clear()
        render_scenes(RenderRequest(scene.parent, tmp_path / "out", ".png", Look(size=size)), redo=redo)
        return len(seen)

    assert [count(32), count(32), count(64), count(64), count(64, redo=True)] == [1, 0, 1, 0, 1]
    trimesh.creation.box((1, 2, 3)).export(scene)
    assert [count(64), count(64)] == [1, 0]
