"""The judge on cases whose end is known."""

import numpy as np
import pytest
import trimesh

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body_compiled
from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid
from hoijax.systems.interactanything import physics
from hoijax.systems.interactanything.relations import reason

pytest.importorskip("mujoco")
MODEL = free_body("test")
EYE, NONE = np.eye(3), np.zeros(3)


def block(x, y, z):
    return np.asarray(trimesh.creation.box((x, y, z)).vertices)


@pytest.fixture(scope="module")
def standing():
    values = {k: np.asarray(v)[None] for k, v in named_pose("stand").items()}
    return np.asarray(pose_body_compiled(MODEL, BodyParams.from_axis_angle(MODEL, **values)).vertices)[0]


def judged(body, pieces, at, test, where="floor", **how):
    return physics.judge(MODEL, body, pieces, EYE, np.asarray(at, float), test=test, standing=where, seconds=0.6, **how)


def test_a_block_on_the_floor_is_steady_and_one_in_the_air_falls(standing):
    still = judged(standing, [block(0.4, 0.2, 0.4)], [0, 0.1, 1.0], "steady")
    assert still.holds and still.displacement < 0.005 and not still.touching
    fallen = judged(standing, [block(0.4, 0.2, 0.4)], [0, 1.0, 1.0], "grasp", "carried")
    assert not fallen.holds and fallen.displacement > 0.4
    assert "does not hold" in fallen.words and "holds" in still.words
    table = judged(standing, [block(0.4, 0.05, 0.2)], [0, 1.0, 1.0], "steady", "raised")
    assert table.holds and table.displacement < 0.005


def test_a_block_between_two_thin_ones_turns_about_its_edge(standing):
    tipping = judged(
        standing, [block(0.1, 0.3, 0.1) + [0, 0.15, 0], block(0.1, 0.1, 2.0) + [0, 0.35, 0.9]], [0, 0, 1.0], "steady"
    )
    # Until its end meets the floor.
    assert not tipping.holds and tipping.turn == pytest.approx(np.arcsin(0.3 / 1.85), abs=0.02)


def test_who_stands_on_a_block_stays_and_who_floats_falls(standing):
    on = judged(standing + [0, 0.3, 0], [block(0.8, 0.3, 0.8)], [0, 0.15, 0], "support")
    assert on.holds and on.touching and on.displacement < 0.03
    floating = judged(standing + [0, 1.2, 0], [block(0.8, 0.3, 0.8)], [0, 0.15, 0], "support")
    assert not floating.holds and floating.displacement > 0.3


def test_a_ball_on_two_palms_is_held_and_beside_them_not():
    values = {k: np.asarray(v)[None] for k, v in named_pose("carry").items()}
    posed = pose_body_compiled(MODEL, BodyParams.from_axis_angle(MODEL, **values))
    body = np.asarray(posed.vertices)[0]
    from hoijax.body_models import contact_regions

    hands = contact_regions(MODEL)["hands"]
    inner = [body[hands][body[hands, 0] * s > 0] for s in (1, -1)]
    left, right = inner[0][:, 0].min(), inner[1][:, 0].max()
    middle = np.mean([i.mean(axis=0) for i in inner], axis=0)
    plank = [block(left - right + 0.004, 0.12, 0.16)]
    at = [(left + right) / 2, middle[1], middle[2]]
    held = judged(body, plank, at, "grasp", "carried")
    assert held.holds and held.touching
    assert not judged(body, [0.6 * plank[0]], at, "grasp", "carried").holds


def test_balance_is_how_far_the_middle_is_within_the_feet():
    corners = block(0.2, 1.0, 0.4) + [0, 0.5, 0]
    np.testing.assert_allclose(physics.balance(corners), 0.1, atol=1e-9)
    leaning = corners + np.where(corners[:, 1:2] > 0.5, [[0.3, 0, 0]], 0)
    np.testing.assert_allclose(physics.balance(leaning), -0.05, atol=1e-9)
    assert physics.balance(corners + [0, 0.5, 0]) is None


def test_boxes_of_a_grid_fill_what_is_inside():
    axes = np.arange(24) * 0.02 - 0.23
    points = np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), -1)
    q = np.abs(points) - [0.2, 0.1, 0.06]
    values = np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)
    boxes = physics.grid_boxes(SDFGrid(values.astype(np.float32), np.full(3, -0.23), np.float32(0.02)))
    low, high = np.min([b.min(axis=0) for b in boxes], axis=0), np.max([b.max(axis=0) for b in boxes], axis=0)
    np.testing.assert_allclose(high, [0.2, 0.1, 0.06], atol=0.021)
    np.testing.assert_allclose(low, -high, atol=1e-6)
    volume = sum(np.prod(np.ptp(b, axis=0)) for b in boxes)
    np.testing.assert_allclose(volume, np.prod(high - low), rtol=1e-6)  # no two overlap, none is missing


def test_pieces_are_convex_or_boxes_without_coacd(monkeypatch):
    made = trimesh.creation.box((0.3, 0.2, 0.1))
    mesh = Mesh(np.asarray(made.vertices), np.asarray(made.faces))
    monkeypatch.setattr(physics.importlib.util, "find_spec", lambda name: None)
    assert np.array_equal(physics.convex_pieces(mesh)[0], mesh.vertices)
    with pytest.raises(InputError, match="physics"):
        judged(np.zeros((3, 3)), [block(1, 1, 1)], NONE, "steady")


def test_which_test_suits_which_sentence():
    for sentence, category, test in (
        ("A person sits on the chair", "chair", "support"),
        ("A person holds the ball with both hands", "ball", "grasp"),
        ("A person hugs the backpack", "backpack", "grasp"),
        ("A person dribbles the ball", "ball", None),
        ("A person carries the backpack on the back", "backpack", None),
        ("A person pushes the trolley", "trolley", "steady"),
        ("A person leans on the table", "table", "support"),
        ("A person stands with one foot on the ball", "ball", "steady"),
    ):
        assert physics.test_of(reason(sentence, make_object(category).mesh)) == test, sentence
    with pytest.raises(InputError, match="grasp, support or steady"):
        judged(np.zeros((3, 3)), [block(1, 1, 1)], NONE, "float")


def test_pieces_without_volume_or_inside(standing, monkeypatch):
    box = trimesh.creation.box((0.4, 0.2, 0.3))
    vertices = np.concatenate([box.vertices, np.full((3, 3), 1.0)])
    mesh = Mesh(vertices, np.concatenate([box.faces, [[8, 9, 10]]]))
    whole, speck = sorted(physics.convex_pieces(mesh), key=lambda p: -np.ptp(p, axis=0).max())
    assert len(whole) == 8 and np.ptp(speck, axis=0).max() <= 1.001 * physics.SHEET
    monkeypatch.setattr(physics, "CONVEX", 2.0)
    monkeypatch.setattr(physics, "_cut", lambda *_: None)
    outside = SDFGrid(np.ones((8, 8, 8), np.float32), np.zeros(3, np.float32), np.float32(0.1))
    alone = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    (piece,) = physics.convex_pieces(alone, outside)
    np.testing.assert_array_equal(piece, box.vertices)
    with pytest.raises(InputError, match="MuJoCo cannot judge"):
        judged(standing, [], [0, 0, 1.0], "steady")


def test_open_and_heavy_parts_are_cut_as_closed_and_light_ones():
    box = trimesh.creation.box((0.4, 0.2, 0.3))
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces)
    *same, reach = physics._light(vertices, faces)
    np.testing.assert_array_equal(same[0][same[1]], vertices[faces])
    assert reach == 0
    fine = box.subdivide().subdivide().subdivide().subdivide()
    assert len(fine.faces) > physics.HEAVY
    for points, part in ((vertices, faces[:-2]), (np.asarray(fine.vertices), np.asarray(fine.faces))):
        *light, reach = physics._light(points, part)
        light = trimesh.Trimesh(*light)
        assert light.is_watertight and len(light.faces) < 20_000
        np.testing.assert_allclose(light.extents, [0.4, 0.2, 0.3], atol=0.03)


def test_small_parts_stay_whole(monkeypatch):
    monkeypatch.setattr(physics, "_cut", lambda vertices, faces: [vertices[faces[0]]])
    bracket = trimesh.util.concatenate(
        [trimesh.creation.box((0.1, 0.02, 0.02)), trimesh.creation.box((0.02, 0.1, 0.02))]
    )
    bracket.merge_vertices()
    bracket.faces = np.concatenate([bracket.faces, [[0, 8, 1]]])  # one part
    plate = trimesh.creation.box((1.0, 0.1, 0.4)).apply_translation([0, -0.5, 0])
    both = trimesh.util.concatenate([bracket, plate])
    small, large = sorted(
        physics.convex_pieces(Mesh(np.asarray(both.vertices), np.asarray(both.faces))), key=lambda p: np.ptp(p[:, 0])
    )
    assert len(small) == 16 and len(large) == 8
    cut, _ = sorted(
        physics.convex_pieces(Mesh(np.asarray(bracket.vertices), np.asarray(bracket.faces)))
        + [np.zeros((1, 3))], key=len, reverse=True,
    )  # fmt: skip
    assert len(cut) == 3  # alone it is no small part


def test_pieces_of_an_open_box_of_sheets_lie_on_it():
    """On a grid a sheet is as thick as a cell; pieces must not be, or what stands on the floor is thrown up."""
    pytest.importorskip("coacd")
    box = trimesh.creation.box((1.0, 0.5, 0.7))
    tray = Mesh(np.asarray(box.vertices), np.asarray(box.faces)[np.asarray(box.face_normals)[:, 1] < 0.5])
    pieces = physics.convex_pieces(tray)
    points = np.concatenate(pieces)
    np.testing.assert_allclose(points.min(axis=0), [-0.5, -0.25, -0.35], atol=0.01)
    np.testing.assert_allclose(points.max(axis=0), [0.5, 0.25, 0.35], atol=0.01)
