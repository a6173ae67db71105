"""What `--up` and `--floor` mean."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.jobs.directions import AXES, direction_name, parse_direction, turn_between
from hoijax.jobs.floors import FloorRule, floor_rule

UP = AXES["+y"]


def test_directions_are_axes_or_any_three_numbers():
    assert parse_direction("-z", "--up") == AXES["-z"] and parse_direction(" Y ", "--up") == UP
    assert parse_direction("0,0,-2", "--up") == AXES["-z"]
    np.testing.assert_allclose(parse_direction("3 0 4", "--up"), [0.6, 0, 0.8])
    assert direction_name(parse_direction("0,-5,0", "--up")) == "-y" and direction_name((0.6, 0.0, 0.8)) == "0.6,0,0.8"
    for wrong in ("w", "1,2", "0,0,0", "nan,0,1", "1,2,3,4", ""):
        with pytest.raises(InputError, match="--up .*: wanted an axis"):
            parse_direction(wrong, "--up")


@pytest.mark.parametrize("a", [*AXES.values(), (0.6, 0.0, 0.8)])
@pytest.mark.parametrize("b", AXES.values())
def test_the_turn_between_directions_is_the_least(a, b):
    turn = turn_between(a, b)
    np.testing.assert_allclose(turn @ a, b, atol=1e-12)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turn), 1)
    np.testing.assert_allclose((np.trace(turn) - 1) / 2, np.dot(a, b), atol=1e-9)


def test_heights_and_words():
    assert floor_rule("none", UP) is None
    assert floor_rule("auto", UP) == FloorRule((-0.0, -1.0, -0.0), None)
    assert floor_rule("-0.5", AXES["-z"]) == FloorRule((-0.0, -0.0, 1.0), -0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_plane_is_a_floor_whichever_way_its_normal_looks(sign):
    """2 (0.6 y + 0.8 z) = 1: half a metre up."""
    numbers = ",".join(str(sign * x) for x in (0, 1.2, 1.6, -1.0))
    got = floor_rule(numbers, parse_direction("0,0.6,0.8", "--up"))
    np.testing.assert_allclose(got.gravity, [0, -0.6, -0.8])
    np.testing.assert_allclose(got.level, 0.5)
    point = np.array([7.0, 0.3, 0.4])
    np.testing.assert_allclose(-point @ got.gravity, got.level)
    assert got.notes == ()


def test_a_plane_that_leans_is_told_and_an_upright_one_refused():
    got = floor_rule("0,0.9397,0.342,0", UP)
    assert got.notes == ("the floor leans 20 degrees against +y, which --up says is up",)
    with pytest.raises(InputError, match="this plane leans 90 degrees against"):
        floor_rule("1,0,0,0", UP)


def scan(seed=0, lift=0.2):
    rng = np.random.default_rng(seed)
    floor = np.stack([rng.uniform(-2, 2, 3000), rng.normal(lift, 0.003, 3000), rng.uniform(-2, 2, 3000)], axis=1)
    box = rng.uniform([-0.3, lift, -0.3], [0.3, lift + 0.9, 0.3], (3000, 3))
    return np.concatenate([floor, box]).astype(np.float32)


@pytest.mark.parametrize("kind", ["ply", "npz", "obj"])
def test_the_floor_of_a_scan(tmp_path, kind):
    path = tmp_path / f"room.{kind}"
    if kind == "ply":
        trimesh.PointCloud(scan()).export(path)
    elif kind == "npz":
        np.savez(path, points=scan())
    else:
        room = trimesh.creation.box((4, 0.1, 4)).apply_translation((0, 0.15, 0))
        trimesh.util.concatenate([room, trimesh.creation.box((1, 0.7, 1)).apply_translation((0, 0.55, 0))]).export(path)
    for name, folder in ((str(path), tmp_path), (path.name, tmp_path)):
        got = floor_rule(name, UP, folder)
        np.testing.assert_allclose(got.gravity, [0, -1, 0], atol=0.005)
        np.testing.assert_allclose(got.level, 0.2, atol=0.005)
        assert got.notes[0].startswith(f"the floor of {path.name}: ") and "at height 0.2" in got.notes[0]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("kind", ["room", "sheet"])
def test_neither_the_ceiling_nor_a_table_is_the_floor_of_a_mesh_whichever_way_it_winds(tmp_path, kind, flip):
    room = trimesh.creation.box((4, 2.5, 4)).apply_translation((0, 1.45, 0))
    if kind == "sheet":  # its lower side alone
        room.update_faces(room.face_normals[:, 1] < -0.9)
    if flip:
        room.invert()
    table = trimesh.creation.box((1.2, 0.05, 1.2)).apply_translation((0, 0.9, 0))
    trimesh.util.concatenate([room, table]).export(tmp_path / "room.obj")
    got = floor_rule(str(tmp_path / "room.obj"), UP)
    np.testing.assert_allclose([got.level, *got.gravity], [0.2, 0, -1, 0], atol=0.005)
    # Another file in its place is another floor.
    trimesh.util.concatenate([room, table]).apply_translation((0, 1, 0)).export(tmp_path / "room.obj")
    np.testing.assert_allclose(floor_rule(str(tmp_path / "room.obj"), UP).level, 1.2, atol=0.005)


def test_what_is_no_floor_is_said(tmp_path):
    np.savez(tmp_path / "mess.npz", points=np.random.default_rng(0).uniform(-2, 2, (3000, 3)))
    for text, message in (
        ("low", "--floor low: wanted a height in metres, a plane as a,b,c,d.*there is no file"),
        ("1,2", "--floor 1,2: wanted a height"),
        ("inf", "--floor inf: wanted a height"),
        ("0,0,0,1", "wanted a height"),
        ("mess.npz", "--floor mess.npz: no floor was found"),
    ):
        with pytest.raises(InputError, match=message):
            floor_rule(text, UP, tmp_path)
