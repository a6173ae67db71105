"""From options to a first pose, against the spec's rules (section 15, A)."""

import dataclasses
import itertools

import numpy as np
import pytest
import trimesh

from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations import place, reason
from hoijax.systems.interactanything.relations.placement import DIRECTIONS, GAP, facing
from hoijax.systems.interactanything.relations.schema import BANDS, FACES, SCALES, SIDES

BODY = (np.array([-0.9, 0.0, -0.15]), np.array([0.9, 1.7, 0.2]))
NORMALS = {"+z": {"front": (0, 0, 1), "back": (0, 0, -1), "left": (1, 0, 0), "right": (-1, 0, 0)},
           "+x": {"front": (1, 0, 0), "back": (-1, 0, 0), "left": (0, 0, -1), "right": (0, 0, 1)}}  # fmt: skip
CUBE = np.asarray(trimesh.creation.box((0.3, 0.5, 0.4)).vertices) + np.array([1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def held():
    cube = trimesh.creation.box((0.3, 0.5, 0.4))
    return reason("A person holds the box", Mesh(np.asarray(cube.vertices), np.asarray(cube.faces)))


def moved(placed, vertices):
    return placed.scale * vertices @ placed.rotation.T + placed.translation


@pytest.mark.parametrize("front", ["+z", "+x"])
def test_every_choice_of_options_has_a_finite_pose_and_the_chosen_face_looks_at_the_person(held, front):
    for side, face, band, moves in itertools.product(SIDES, FACES, BANDS, (True, False)):
        r = dataclasses.replace(held, object_side_of_human=side, object_face_to_human=face, height_band=band,
                                movable=moves)  # fmt: skip
        placed = place(r, BODY, CUBE, front=front)
        assert np.isfinite(placed.translation).all() and np.isfinite(placed.lift) and placed.scale == 1.0
        np.testing.assert_allclose(placed.rotation @ placed.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(placed.rotation) == pytest.approx(1)
        towards = -np.array(DIRECTIONS[side], float) if side in DIRECTIONS else np.array([0, 0, 1.0])
        normal = {**NORMALS[front], "top": (0, 1, 0), "bottom": (0, -1, 0)}[face]
        np.testing.assert_allclose(placed.rotation @ normal, towards, atol=1e-12)
        now = moved(placed, CUBE)
        low, high = now.min(axis=0), now.max(axis=0)
        if side in DIRECTIONS:
            axis = np.flatnonzero(DIRECTIONS[side])[0]
            gap = low[axis] - BODY[1][axis] if sum(DIRECTIONS[side]) > 0 else BODY[0][axis] - high[axis]
            assert gap == pytest.approx(GAP * 1.7)
        if band == "ground":
            assert low[1] == pytest.approx(0, abs=1e-9) and placed.on_ground
        elif side == "above":
            assert low[1] == pytest.approx(1.7 + GAP * 1.7)
        elif side != "around" or not moves:
            assert (low[1] + high[1]) / 2 == pytest.approx(BANDS[band] * 1.7)


def test_the_case_by_hand():
    """A cube whose front is +x, before the person: it stands at +z and its +x points to -z."""
    rotation = facing("front", np.array([0.0, 0.0, -1.0]), "+x")
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(rotation @ [0, 1, 0], [0, 1, 0], atol=1e-12)


def test_a_taller_person_scales_what_is_sized_by_the_person(held):
    by_person = dataclasses.replace(held, size_m=None, reasoner="a model")
    for scale, share in SCALES.items():
        r = dataclasses.replace(by_person, scale=scale)
        one, two = place(r, BODY, CUBE), place(r, (BODY[0] * 2, BODY[1] * 2), CUBE)
        assert one.scale * np.ptp(CUBE, axis=0).max() == pytest.approx(share * 1.7)
        assert two.scale == pytest.approx(2 * one.scale)
        np.testing.assert_allclose(moved(two, CUBE), 2 * moved(one, CUBE), atol=1e-9)


def test_who_sits_or_stands_on_something_is_lifted_to_it():
    chair = make_object("chair").mesh
    sits = place(reason("A person sits on the chair", chair), BODY, chair.vertices, parts_low=0.8)
    assert sits.lift == pytest.approx(0.45 - 0.8, abs=0.01)
    np.testing.assert_allclose(sits.rotation, np.eye(3), atol=1e-12)
    table = make_object("table").mesh
    stands = place(reason("A person stands on the table", table), BODY, table.vertices)
    assert stands.lift == pytest.approx(0.74, abs=0.01)
    paper = Mesh(chair.vertices @ np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]]), chair.faces)  # its front is +x
    relations = reason("A person sits on the chair", paper, front="+x")
    assert relations.object_face_to_human == "front"
    again = place(relations, BODY, paper.vertices, front="+x", parts_low=0.8)
    np.testing.assert_allclose(moved(again, paper.vertices), moved(sits, chair.vertices), atol=1e-9)
    assert again.lift == pytest.approx(sits.lift)
    (back,) = next(c.places for c in relations.contacts if c.body_part == "back")
    (left,) = reason("A person pushes the left side of the chair", paper, front="+x").contacts[0].places
    assert left.upper[2] < -0.1  # the left of what looks along +x
    assert back.upper[0] < -0.1 and back.size[2] == pytest.approx(0.44, abs=0.03)


def test_what_is_worn_is_round_its_parts(held):
    worn = dataclasses.replace(held, object_side_of_human="around", contact_kind="wear", height_band="head")
    placed = place(worn, BODY, CUBE, parts_centre=np.array([0.0, 1.6, 0.05]))
    np.testing.assert_allclose(moved(placed, CUBE).mean(axis=0), [0, 1.6, 0.05], atol=1e-9)


def test_bodies_and_meshes_without_extent_are_refused(held):
    with pytest.raises(InputError, match=r"-1\.7 m high"):
        place(held, BODY[::-1], CUBE)
    with pytest.raises(InputError, match="no extent"):
        place(held, BODY, np.zeros((4, 3)))
    with pytest.raises(InputError, match="front is one of"):
        place(held, BODY, CUBE, front="up")
