"""Pages that play: what they hold, and (where Node is there) what their script makes of it."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.viz import Case, Motion3D, MovingMesh, NamedMesh, write_page

FACES = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32)
TIMES = np.array([0.0, 0.1, 0.4])


def motion():
    """A tetrahedron that grows, and one that turns by a quarter about y and rises."""
    grown = np.stack([POINTS * (1 + 0.5 * k) for k in range(3)])
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    rigid = np.stack([np.c_[np.eye(3), [0, 0, 2]], np.c_[turn, [0, 1, 2]], np.c_[turn, [0, 1, 2]]])
    meshes = (
        MovingMesh(NamedMesh("body", POINTS, FACES), points=grown),
        MovingMesh(NamedMesh("object", POINTS, FACES), rigid=rigid),
    )
    return Motion3D(TIMES, [], meshes)


@pytest.fixture
def page(tmp_path):
    moving = motion()
    case = Case("a", None, [mesh.at(0) for mesh in moving.after], motion=moving)
    return write_page(tmp_path / "page.html", "moves", [case]).read_text()


def scenes(page):
    return json.loads(page.split('id="scenes">')[1].split("</script>")[0])


def test_a_moving_mesh_is_where_its_frames_say():
    body, object = motion().after
    np.testing.assert_allclose(body.at(2).vertices, 2 * POINTS)
    np.testing.assert_allclose(object.at(1).vertices, POINTS @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]) + [0, 1, 2])


def test_a_page_holds_times_and_frames_and_a_box_around_all(page):
    (scene,) = scenes(page)["scenes"]
    assert scene["times"] == TIMES.tolist()
    assert scene["upper"] == pytest.approx([2, 2, 3])
    assert scene["lower"] == pytest.approx([0, 0, 0], abs=1)
    body, object = scene["states"][0]["meshes"]
    assert body["own"] == 4
    assert "points" in body
    assert "rigid" in object


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of the two"),
        ({"points": np.zeros((2, 3, 3))}, r"shape \(2, 3, 3\), wanted \(T, 4, 3\)"),
        ({"rigid": np.zeros((0, 3, 4))}, "wanted"),
    ],
)
def test_motion_that_does_not_fit_its_mesh_is_named(options, message):
    with pytest.raises(InputError, match=message):
        MovingMesh(NamedMesh("body", POINTS, FACES), **options)
    with pytest.raises(InputError, match="3 frames, and there are 2 times"):
        Motion3D(TIMES[:2], [], motion().after)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not there")
def test_the_script_moves_points_between_frames(page, tmp_path):
    script = page.split("<script>")[1].split("</script>")[0]
    before, _, _ = script.partition("  // ---- WebGL ---")
    _, _, after = script.partition("  // ---- meshes that move ---")
    moved = "//" + after.partition("  function refresh(")[0]
    source = before + moved + """
      for (const mesh of DATA.scenes[0].states[0].meshes)
        console.log(JSON.stringify([[0, 0], [0, 0.5], [1, 1], [2, 0]].map(([frame, share]) => {
          const { points, normals } = moved(mesh, frame, share);
          return { points: [...points], normals: [...normals] };
        })));
    })();"""  # fmt: skip
    text = json.dumps(scenes(page))
    head = f"const document = {{ getElementById: () => ({{ textContent: {json.dumps(text)} }}) }};\n"
    (tmp_path / "run.js").write_text(head + source)
    done = subprocess.run(["node", str(tmp_path / "run.js")], capture_output=True, text=True, check=True)
    body, object = (json.loads(line) for line in done.stdout.splitlines())

    def corners(state):
        return {tuple(np.round(x, 3) + 0.0) for x in np.array(state["points"]).reshape(-1, 3)}

    for state, size in zip(body, (1.0, 1.25, 2.0, 2.0)):
        assert corners(state) == {tuple(np.round(size * x, 3)) for x in POINTS.astype(float)}
    turned = motion().after[1]
    for state, frame in zip(object, (0, None, 2, 2)):
        if frame is not None:
            assert corners(state) == {tuple(np.round(x, 3) + 0.0) for x in turned.at(frame).vertices.astype(float)}
    for state in (body[0], body[3], object[0]):  # normals are those of the mesh, one of its faces looks down
        normals = np.array(state["normals"]).reshape(-1, 4)[:, :3]
        assert (np.abs(np.linalg.norm(normals, axis=1) - 127) < 3).all()
        assert (normals[:, 1] == -127).sum() == 3
    assert (np.array(object[2]["normals"]).reshape(-1, 4)[:, 1] == -127).sum() == 3
