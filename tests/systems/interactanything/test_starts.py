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


def test_a_plate_in_one_hand_is_under_the_arm_with_the_hand_below_its_middle():
    _, thing, starts, bodies, objects = drawn(
        "A person carries the keyboard with the right hand", make_object("keyboard").mesh
    )
    for start, body, held in zip(starts, bodies, objects):
        size = np.ptp(held, axis=0)
        assert size[0] < 0.05 < size[1] < size[2]  # upright, along the way one looks
        place = thing.points[thing.inside(start.places["right_hand"])] @ start.object_rotation.T
        assert place[:, 1].max() < place[:, 1].min() + 0.02  # its lower edge, as it is held
        assert place[:, 1].max() + start.object_translation[1] < held[:, 1].min() + 0.02
        assert gap(body, start, thing, "right_hand") < 0.06
        middle, hand = held.mean(axis=0), body[REGIONS["right_palm"]].mean(axis=0)
        assert abs(middle[2] - hand[2]) < 0.1 and held[:, 0].max() < body[REGIONS["belly"], 0].min() + 0.03


def test_a_plate_is_lifted_overhead_lying_flat_on_both_palms():
    _, thing, starts, bodies, objects = drawn("A person lifts the painting overhead", box(0.8, 0.5, 0.04))
    for start, body, held in zip(starts, bodies, objects):
        assert abs(start.object_rotation[1, 2]) > 0.99 and np.ptp(held, axis=0)[2] < 0.6
        assert held[:, 1].min() > body[REGIONS["head"], 1].max() - 0.05
        for part in ("left_hand", "right_hand"):
            mask = thing.inside(start.places[part])
            down = (thing.normals[mask] @ start.object_rotation.T)[:, 1]
            assert np.mean(down < -0.7) > 0.4 and gap(body, start, thing, part) < 0.06
        assert abs(held.mean(axis=0)[2] - body[REGIONS["left_palm"], 2].mean()) < 0.15


def test_what_is_held_by_its_end_hangs_from_it():
    mesh = box(0.25, 0.25, 0.25)
    bar = trimesh.creation.box((0.3, 0.03, 0.03))
    bar.apply_translation((0.25, 0.05, 0))
    both = Mesh(
        np.concatenate([mesh.vertices, bar.vertices]).astype(np.float32),
        np.concatenate([mesh.faces, np.asarray(bar.faces) + len(mesh.vertices)]).astype(np.int32),
    )
    relations = reason("A person holds the doll by the hand", both)
    assert [c.object_part for c in relations.contacts] == ["hand"]
    thing = Thing.of(
        Mesh((both.vertices * relations.mesh_scale).astype(np.float32), both.faces),
        lambda x: outside(x, both, relations.mesh_scale),
    )
    for start in draw_starts(at_size(relations), thing, 2, 0):
        (place,) = start.places["right_hand"]
        grip = (np.add(place.lower, place.upper) / 2) @ start.object_rotation.T
        middle = thing.points.mean(axis=0) @ start.object_rotation.T
        assert np.hypot(*(middle - grip)[[0, 2]]) < 0.03 and middle[1] < grip[1] - 0.1


def test_nobody_leans_against_what_looks_up():
    _, _, starts, _, objects = drawn("A person leans against the table", make_object("table").mesh, 2)
    for start, table in zip(starts, objects):
        top = table[:, 1].max()
        (place,) = start.places["back"]
        assert place.lower[1] + start.object_translation[1] < top - 0.1


def outside(points, mesh, scale):
    """Signed distance of the two boxes, metres."""
    halves, middles = (
        np.array([[0.125] * 3, [0.15, 0.015, 0.015]]) * scale,
        np.array([[0, 0, 0], [0.25, 0.05, 0]]) * scale,
    )
    q = np.abs(np.asarray(points)[:, None] - middles) - halves
    return (np.linalg.norm(np.maximum(q, 0), axis=2) + np.minimum(q.max(axis=2), 0)).min(axis=1)


def test_who_sits_on_something_narrow_touches_it_and_has_the_weight_before_it():
    ball = trimesh.creation.icosphere(3, 0.3)
    mesh = Mesh(np.asarray(ball.vertices), np.asarray(ball.faces))
    _, _, starts, bodies, objects = drawn("A person sits on the ball", mesh)
    for start, body, held in zip(starts, bodies, objects):
        middle = held.mean(axis=0)
        nearest = np.linalg.norm(body[REGIONS["seat"]] - middle, axis=1).min() - 0.3
        assert start.feet and -0.03 < nearest < 0.035
        assert body.mean(axis=0)[2] > middle[2]
    # However the body was drawn, its lowest point over the ball is at the same height above it.
    small = Mesh(np.asarray(ball.vertices) * 2 / 3, np.asarray(ball.faces))
    _, _, _, bodies, objects = drawn("A person sits on the ball", small)
    gaps = []
    for body, held in zip(bodies, objects):
        seat = body[REGIONS["seat"]] - held.mean(axis=0)
        square = 0.2**2 - seat[:, 0] ** 2 - seat[:, 2] ** 2
        gaps.append((seat[:, 1] - np.sqrt(np.maximum(square, 0)))[square > 0].min())
    assert np.ptp(gaps) < 0.003 and np.abs(gaps).max() < 0.007


def test_the_centre_of_mass_is_in_the_belly_and_goes_where_the_limbs_go():
    from hoijax.data.synth.rig import Puppet

    puppet = Puppet(np.zeros(10)).pose("stand")
    middle = puppet.centre_of_mass
    feet = puppet.points("left_sole")[:, 1].min()
    assert abs(middle[0]) < 0.02 and 0.5 < (middle[1] - feet) / 1.72 < 0.6
    puppet.translation = puppet.translation + [0.1, 0.2, 0.3]
    np.testing.assert_allclose(puppet.centre_of_mass - middle, [0.1, 0.2, 0.3], atol=1e-9)
    before = puppet.centre_of_mass
    puppet.set("left_hip", "X", -90.0)
    assert puppet.centre_of_mass[2] > before[2] + 0.05 and puppet.centre_of_mass[1] > before[1] + 0.03
