"""Starts of the bank: hands, seats and feet are where the relations want them."""

import numpy as np
import pytest
import trimesh

from hoijax.body_models import BodyParams, contact_regions, free_body, pose_body_compiled
from hoijax.data.objects import make_object
from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Thing, draw_starts
from hoijax.systems.interactanything.starts.draw import script_for
from hoijax.systems.interactanything.system import at_size

MODEL = free_body("test")
REGIONS = contact_regions(MODEL)


def box(*size):
    made = trimesh.creation.box(size)
    return Mesh(np.asarray(made.vertices), np.asarray(made.faces))


def drawn(sentence, mesh, count=3):
    relations = at_size(reason(sentence, mesh))
    thing = Thing.of(mesh)
    starts = draw_starts(relations, thing, count, 0)
    params = BodyParams(*(np.stack([getattr(s, n) for s in starts]) for n in ("rotations", "betas", "translation")))
    bodies = np.asarray(pose_body_compiled(MODEL, params).vertices)
    objects = [np.asarray(mesh.vertices) @ s.object_rotation.T + s.object_translation for s in starts]
    return relations, thing, starts, bodies, objects


def gap(body, start, thing, part):
    """From the nearest vertices of a part to its place, metres."""
    places = thing.points[thing.inside(start.places[part])] @ start.object_rotation.T + start.object_translation
    mine = body[REGIONS[part]]
    return np.sort(np.linalg.norm(mine[:, None] - places[None], axis=2).min(axis=1))[:5].mean()


def test_who_sits_is_on_the_seat_with_the_feet_on_the_floor():
    relations, thing, starts, bodies, objects = drawn("A person sits on the chair", make_object("chair").mesh)
    assert relations.body_parts[0] == "seat"
    for start, body, thing_now in zip(starts, bodies, objects):
        assert start.script == "sit" and start.feet
        assert abs(thing_now[:, 1].min()) < 1e-6
        top = (np.asarray(start.places["seat"][0].upper) + start.object_translation)[1]
        assert abs(body[REGIONS["buttocks"], 1].min() - top) < 0.03
        assert abs(body[REGIONS["left_sole"], 1].min()) < 0.06
        assert gap(body, start, thing, "back") < 0.13


def test_high_seats_let_legs_dangle_and_beds_are_lain_on():
    _, _, starts, bodies, _ = drawn("A person sits on the table", box(0.9, 1.2, 0.6), 2)
    assert not any(s.feet for s in starts)
    assert all(b[:, 1].min() > 0.3 for b in bodies)
    _, _, starts, bodies, objects = drawn("A person lies on the bed", box(0.9, 0.5, 2.0), 2)
    for start, body, bed in zip(starts, bodies, objects):
        assert start.script == "lie" and np.ptp(body[:, 1]) < 0.75
        assert abs(body[REGIONS["back"], 1].min() - bed[:, 1].max()) < 0.03
        assert (
            bed[:, 2].min() - 0.05 < body[:, 2].min()
            and body[REGIONS["head"], 2].mean() < body[REGIONS["hips"], 2].mean()
        )


@pytest.mark.parametrize("sentence, category, far", [
    ("A person holds the box with both hands", "box", 0.03),
    ("A person pushes the trolley", "trolley", 0.05),
    ("A person lifts the ball overhead", "ball", 0.04),
    ("A person carries the suitcase by the handle", "suitcase", 0.03),
    ("A person opens the door", "door", 0.06),
])  # fmt: skip
def test_hands_reach_their_places(sentence, category, far):
    relations, thing, starts, bodies, objects = drawn(sentence, make_object(category).mesh)
    for start, body, thing_now in zip(starts, bodies, objects):
        hands = [p for p in relations.body_parts if "hand" in p or "palm" in p]
        assert hands and max(gap(body, start, thing, p) for p in hands) < far
        assert thing_now[:, 1].min() > -1e-6
        assert (relations.standing == "floor") == (abs(thing_now[:, 1].min()) < 1e-6)


def test_left_hands_take_the_left_of_several_places():
    _, _, starts, _, _ = drawn("A person holds the box with both hands", make_object("box").mesh)
    for start in starts:
        x = {p: (start.object_rotation @ np.add(b[0].lower, b[0].upper) / 2)[0] for p, b in start.places.items()}
        assert x["left_hand"] > 0.02 and x["right_hand"] < -0.02


def test_more_draws_begin_with_the_same_ones_and_all_differ():
    relations, thing, starts, _, _ = drawn("A person sits on the stool", make_object("stool").mesh, 4)
    again = draw_starts(relations, thing, 2, 0)
    for a, b in zip(again, starts):
        np.testing.assert_array_equal(a.rotations, b.rotations)
    assert len({s.rotations.tobytes() for s in starts}) == 4
    other = draw_starts(relations, thing, 1, 1)[0]
    assert not np.array_equal(other.rotations, starts[0].rotations)


@pytest.mark.parametrize("sentence, category, script", [
    ("A person rides the bicycle", "bicycle", "straddle"),
    ("A person stands on the chair", "chair", "stand_on"),
    ("A person hugs the backpack", "backpack", "hug"),
    ("A person carries the backpack on the back", "backpack", "on_back"),
    ("A person holds the keyboard under the arm", "keyboard", "under_arm"),
    ("A person leans against the door", "door", "lean_back"),
    ("A person kicks the ball", "ball", "foot_on"),
    ("A person looks at the chair", "chair", "beside"),
])  # fmt: skip
def test_scripts_suit_what_is_done(sentence, category, script):
    assert script_for(reason(sentence, make_object(category).mesh)).__name__ == script


def test_normals_look_out_and_thickness_is_measured():
    mesh = box(0.3, 0.04, 0.3)
    inside_out = Mesh(mesh.vertices, np.asarray(mesh.faces)[:, ::-1])

    def distance(points):
        q = np.abs(points) - [0.15, 0.02, 0.15]
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)

    thing = Thing.of(inside_out, distance)
    top = (thing.points[:, 1] > 0.0199) & (np.abs(thing.points[:, [0, 2]]) < 0.14).all(axis=1)
    assert (thing.normals[top, 1] > 0.99).all()
    np.testing.assert_allclose(thing.thickness[top & (np.abs(thing.points[:, 0]) < 0.1)], 0.05, atol=1e-9)
    end = (np.abs(thing.points[:, 0]) > 0.1499) & (np.abs(thing.points[:, 1]) < 0.0199)
    assert np.isinf(thing.thickness[end]).all()


def test_nobody_sits_on_a_handle():
    _, _, starts, bodies, _ = drawn("A person sits on the suitcase", make_object("suitcase").mesh, 2)
    for start, body in zip(starts, bodies):
        assert "wide enough" in start.notes[0]
        assert 0.5 < body[REGIONS["buttocks"], 1].min() < 0.65  # the handle is at a metre
