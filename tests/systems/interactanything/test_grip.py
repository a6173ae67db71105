"""Hands that close: on a cylinder, whose distance is a closed form."""

import dataclasses

import numpy as np
import pytest
import trimesh

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.data.synth.rig import Puppet, joint, turn
from hoijax.geometry import Mesh
from hoijax.interaction import make_template
from hoijax.optim.gradient import Sizes
from hoijax.systems.interactanything import OptimiseConfig, SynthesisConfig, physics, prepare, run
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Thing, draw_starts
from hoijax.systems.interactanything.starts.grip import TOUCHING, _last_clear, close_hand, palm_skin
from hoijax.systems.interactanything.starts.setting import Setting
from hoijax.systems.interactanything.system import at_size

AXIS = Puppet(np.zeros(10)).pose("stand").position("spine3") + [0.0, -0.05, 0.3]
"""A point of the cylinder's axis, which is upright, before the chest."""


def cylinder(radius):
    """Signed distance and outward normals of an endless upright cylinder."""

    def offset(points):
        return (np.asarray(points) - AXIS) * [1, 0, 1]

    return (
        lambda x: np.linalg.norm(offset(x), axis=1) - radius,
        lambda x: offset(x) / np.linalg.norm(offset(x), axis=1, keepdims=True),
    )


def hand(side, radius, slide=0.0):
    """A puppet whose palm is at the cylinder, its fingers straight."""
    sign = 1.0 if side == "left" else -1.0
    puppet, palm, fingers = Puppet(np.zeros(10)).pose("stand"), np.array([-sign, 0, 0]), np.array([0, 0, 1.0])
    puppet.curl(side, 0.0)
    return puppet.reach(side, AXIS - (radius + 0.004) * palm - slide * fingers, fingers, palm)


def skin(puppet, side):
    """World vertices of a finger each, those of the thumb last."""
    model = free_body("light")
    params = BodyParams(*(np.float32(x) for x in (puppet.rotations, puppet.betas, puppet.translation)))
    vertices = np.asarray(pose_body_compiled(model, params).vertices)
    label, first = np.asarray(model.skin_weights).argmax(axis=1), joint(f"{side}_index1")
    return [vertices[(label >= first + 3 * k) & (label < first + 3 * k + 3)] for k in range(5)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("radius", [0.02, 0.03])
def test_fingers_lie_round_a_cylinder_and_not_in_it(side, radius):
    distance, normals = cylinder(radius)
    puppet = hand(side, radius, slide=0.02)
    arm = puppet.rotations[: joint("left_index1")].copy()
    one_sided, touching = close_hand(puppet, side, distance, normals)
    assert touching == 5 and 0 < one_sided < 0.9
    np.testing.assert_array_equal(puppet.rotations[: joint("left_index1")], arm)  # the wrist stays
    gaps = [distance(points) for points in skin(puppet, side)]
    # Skinning blends what moves by one bone alone here.
    assert min(g.min() for g in gaps) > -0.006 and max(g.min() for g in gaps) < TOUCHING + 0.004
    # Thumb and fingers are on both sides of the axis, along the way of the fingers.
    ends = [points[np.argmin(np.abs(distance(points)))] - AXIS for points in skin(puppet, side)]
    assert max(e[2] for e in ends[:4]) > 0.3 * radius and ends[4][2] < 0.3 * radius


def test_what_is_thicker_bends_fingers_less():
    bends = []
    for radius in (0.015, 0.025, 0.04):
        puppet = hand("right", radius)
        close_hand(puppet, "right", *cylinder(radius))
        middle = puppet.rotations[joint("right_middle1") : joint("right_middle1") + 3]
        bends.append(np.degrees(np.arccos(np.clip((np.trace(middle, axis1=1, axis2=2) - 1) / 2, -1, 1))).sum())
    assert bends[0] > bends[1] + 10 and bends[1] > bends[2] + 10


def test_on_nothing_a_fist_closes_and_nothing_touches():
    puppet = hand("right", 0.02)
    one_sided, touching = close_hand(puppet, "right", lambda x: np.full(len(x), 1.0), lambda x: np.ones_like(x))
    assert (one_sided, touching) == (1.0, 0)
    flat, fist = Puppet(np.zeros(10)).curl("right", 0.0), Puppet(np.zeros(10)).curl("right", 2.0)
    own = slice(joint("right_index1"), joint("right_index1") + 12)
    np.testing.assert_allclose(puppet.rotations[own], fist.rotations[own], atol=1e-9)
    assert np.abs(flat.rotations[own] - fist.rotations[own]).max() > 0.5


@pytest.mark.parametrize("gaps, kept", [
    ([0.02, 0.01, 0.002, -0.004, 0.01], 2),  # the last before the first that presses
    ([-0.01, 0.005, 0.002, -0.01, 0.03], 2),  # a thumb that is straight is within: from the first that is not
    ([-0.02, -0.01, -0.005, -0.03, -0.02], 2),  # all press: the freest
    ([0.02, 0.01, 0.01, 0.01, 0.01], 4),
])  # fmt: skip
def test_a_finger_stops_before_it_presses(gaps, kept):
    assert _last_clear(np.array(gaps)) == kept


@pytest.fixture(scope="module")
def held():
    """A bottle of 5 cm in one hand: what was prepared, and its best candidate."""
    bar = trimesh.creation.cylinder(0.025, 0.25, sections=24)
    bar.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    mesh = Mesh(np.asarray(bar.vertices, np.float32), np.asarray(bar.faces, np.int32))
    relations = reason("A person holds the bottle", mesh)
    assert relations.body_parts == ("right_hand",)
    sized = Mesh(mesh.vertices * np.float32(relations.mesh_scale), mesh.faces)
    prepared = prepare(free_body("test"), make_template(sized, resolution=32), relations)
    optimise = dataclasses.replace(OptimiseConfig(tries=0, sizes=Sizes(10, 96, 16, 64))).scaled(0.2)
    return prepared, run(prepared, SynthesisConfig(count=2, draws=1, optimise=optimise)).candidates


def test_one_hand_closes_on_a_bottle(held):
    prepared, candidates = held
    for start in (c.start for c in candidates):
        assert start.gripped
        puppet = Puppet(start.betas)
        puppet.rotations, puppet.translation = start.rotations, start.translation
        fingers = [(f - start.object_translation) @ start.object_rotation for f in skin(puppet, "right")]
        gaps = [np.asarray(prepared.thing.signed_distance(f)) for f in fingers]
        assert min(g.min() for g in gaps) > -0.008 and sum(g.min() < 0.008 for g in gaps) >= 4
        # Skin is all around the axis: in no half plane through it alone.
        near = np.concatenate(fingers)[np.concatenate(gaps) < 0.01]
        angles = np.sort(np.arctan2(near[:, 2], near[:, 0]))
        assert np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() < np.pi


def test_both_stages_leave_it_in_the_hand(held):
    _, candidates = held
    for c in candidates:
        assert np.array_equal(c.pose.rotation, c.start.object_rotation)
        assert np.array_equal(c.pose.translation, c.start.object_translation)
        legs = [joint(f"{s}_{n}") for s in ("left", "right") for n in ("hip", "knee", "ankle", "foot")]
        rest = np.setdiff1d(np.arange(52), legs)
        np.testing.assert_array_equal(np.asarray(c.params.rotations)[rest], c.start.rotations[rest])
        assert c.good


def test_and_it_does_not_slip(held):
    pytest.importorskip("mujoco", reason="extra [physics]")
    prepared, candidates = held
    pieces = [np.asarray(prepared.template.mesh.vertices)]
    verdicts = [physics.judge_candidate(prepared, c, pieces) for c in candidates]
    assert any(v.holds for v in verdicts), [v.words for v in verdicts]
    # The same hand with straight fingers drops it.
    best = candidates[[v.holds for v in verdicts].index(True)]
    puppet = Puppet(best.start.betas)
    puppet.rotations, puppet.translation = best.start.rotations.copy(), best.start.translation
    params = BodyParams(
        *(np.float32(x) for x in (puppet.curl("right", 0.0).rotations, puppet.betas, puppet.translation))
    )
    body = np.asarray(pose_body_compiled(prepared.model, params).vertices)
    assert not physics.judge_candidate(prepared, dataclasses.replace(best, body=body), pieces).holds


def test_distances_and_normals_are_the_things_where_it_stands():
    box = trimesh.creation.box((0.2, 0.4, 0.6))
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))

    def distance(points):
        q = np.abs(np.asarray(points)) - [0.1, 0.2, 0.3]
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)

    s = Setting(
        np.random.default_rng(0), Puppet(np.zeros(10)), Thing.of(mesh, distance), reason("A person holds the box", mesh)
    )
    s.rotation, s.translation = turn("XY", 90, 90), np.array([1.0, 2.0, 3.0])
    # Points 5 cm beyond the middles of its faces along its own y and z.
    points = s.world(np.array([[0, 0.25, 0], [0, 0, 0.35]]))
    np.testing.assert_allclose(s.distance(points), 0.05, atol=1e-6)
    np.testing.assert_allclose(s.normals_at(points), s.rotation.T[[1, 2]], atol=1e-6)


def test_thick_things_are_held_from_all_sides_too():
    bar = trimesh.creation.cylinder(0.036, 0.22, sections=24)
    bar.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    mesh = Mesh(np.asarray(bar.vertices, np.float32), np.asarray(bar.faces, np.int32))
    relations = reason("A person holds the bottle", mesh)

    def distance(points):
        p = np.asarray(points) / relations.mesh_scale
        q = np.stack([np.hypot(p[:, 0], p[:, 2]) - 0.036, np.abs(p[:, 1]) - 0.11], axis=1)
        return (np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)) * relations.mesh_scale

    sized = Mesh(mesh.vertices * np.float32(relations.mesh_scale), mesh.faces)
    widest = []
    for start in draw_starts(at_size(relations), Thing.of(sized, distance), 4, 0):
        puppet = Puppet(start.betas)
        puppet.rotations, puppet.translation = start.rotations, start.translation
        hand = np.concatenate([*skin(puppet, "right"), palm_skin(puppet, "right")])
        local = (hand - start.object_translation) @ start.object_rotation
        near = local[distance(local) < 0.01]
        angles = np.sort(np.arctan2(near[:, 2], near[:, 0]))
        widest.append(np.diff(np.append(angles, angles[0] + 2 * np.pi)).max())
    assert np.median(widest) < np.pi, widest


def test_what_no_hand_closes_round_is_taken_in_two():
    def hands(size, noun):
        made = trimesh.creation.box(size)
        mesh = Mesh(np.asarray(made.vertices), np.asarray(made.faces))
        return reason(f"A person holds the {noun}", mesh).body_parts

    assert hands((0.06, 0.25, 0.06), "bottle") == ("right_hand",)
    assert hands((0.12, 0.25, 0.12), "bottle") == ("left_hand", "right_hand")
