"""Starts from the diffusion prior: what it is told, how samples become starts, which of them are kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from flax import nnx
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, contact_regions, free_body, pose_body_compiled, pose_joints
from hoijax.experiments.interactanything import train_prior
from hoijax.geometry import Mesh, rotation_from_6d, sixd_from_rotation
from hoijax.interaction import make_template
from hoijax.nets.interactanything import VERBS, PosePrior, PriorConfig, State
from hoijax.systems.interactanything import SynthesisConfig, prepare, run, system
from hoijax.systems.interactanything import prior as module
from hoijax.systems.interactanything.prior import (
    OPTIONS,
    PLACES,
    chosen_places,
    condition_of,
    nearest_yaw,
    pose_prior,
    sample_starts,
    start_gap,
)
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.relations.schema import BODY_PARTS, POSES, SIDES
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.starts import Start, Thing
from hoijax.systems.interactanything.system import start_badness

SMALL = PriorConfig(options=OPTIONS, parts=len(BODY_PARTS), hands=6, width=16, blocks=1, condition=12, token=8, times=8)


def box_mesh(size, shift=(0.0, 0.0, 0.0)):
    made = trimesh.creation.box(size)
    return Mesh(np.asarray(made.vertices + shift, np.float32), np.asarray(made.faces))


@pytest.fixture(scope="module")
def network():
    made = PosePrior(SMALL, nnx.Rngs(0))
    graph, state = nnx.split(made)
    keys = iter(jax.random.split(jax.random.key(2), len(jax.tree.leaves(state))))
    made = nnx.merge(graph, jax.tree.map(lambda x: x + 0.2 * jax.random.normal(next(keys), x.shape, x.dtype), state))
    identity = np.tile(np.float32([1, 0, 0, 1, 0, 0]), 30)
    made.hand_mean[...] = jnp.asarray(identity)
    made.mean[...] = made.mean[...].at[:132].set(jnp.asarray(np.tile(identity[:6], 22)))
    return made


@pytest.fixture(scope="module")
def stool():
    mesh = box_mesh((0.42, 0.45, 0.4))
    return prepare(free_body("test"), make_template(mesh, resolution=24), reason("A person sits on the stool", mesh))


def test_the_condition_says_what_the_relations_say(stool):
    told = condition_of(stool.relations, stool.thing)
    assert told.choices[0] == VERBS.index("sit") and told.choices[1] == POSES.index("sit")
    assert told.choices[2] == list(SIDES).index("below") and told.choices[4] == 0  # it stands on the floor
    assert len(told.choices) == len(OPTIONS) and np.all(told.choices < OPTIONS) and told.refined == 1
    np.testing.assert_allclose(told.size, [0.42, 0.45, 0.4], atol=1e-6)
    contact = stool.relations.contacts[0]
    assert told.asked.sum() == len(contact.places) and len(told.asked) == PLACES
    assert told.part[0] == BODY_PARTS.index(contact.body_part)
    box = contact.places[0]
    lower, upper = np.maximum(box.lower, [-0.21, -0.225, -0.2]), np.minimum(box.upper, [0.21, 0.225, 0.2])
    np.testing.assert_allclose(told.place[0], np.concatenate([(lower + upper) / 2, (upper - lower) / 2]), atol=1e-6)
    assert np.all(np.abs(told.points[:, :3]) <= [0.2101, 0.2251, 0.2001])
    np.testing.assert_allclose(np.linalg.norm(told.points[:, 3:], axis=1), 1.0, atol=1e-5)


def test_where_the_meshs_origin_is_makes_no_difference():
    told = []
    for shift in ((0, 0, 0), (2.0, 1.0, -3.0)):
        mesh = box_mesh((0.42, 0.45, 0.4), shift)
        told.append(condition_of(reason("A person sits on the stool", mesh), Thing.of(mesh)))
    for a, b in zip(jax.tree.leaves(told[0]), jax.tree.leaves(told[1])):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_starts_stand_upright_on_the_floor_and_so_do_feet(stool, network, monkeypatch):
    model, own = stool.model, module.sample_states

    def drawn(*what):
        *others, feet = own(*what)
        return *others, np.where(np.arange(len(feet))[:, None] % 2, -1.0, 1.0) * np.abs(feet)

    monkeypatch.setattr(module, "sample_states", drawn)
    starts = sample_starts(network, model, stool.relations, stool.thing, 6, 3)
    assert len(starts) == 6 and {s.script for s in starts} == {"prior"}
    corners = np.asarray(stool.thing.mesh.vertices)
    for s in starts:
        np.testing.assert_allclose(s.object_rotation[1], [0, 1, 0], atol=1e-6)
        np.testing.assert_allclose(s.object_rotation @ s.object_rotation.T, np.eye(3), atol=1e-6)
        assert (corners @ s.object_rotation.T + s.object_translation)[:, 1].min() == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(
            s.rotations @ np.swapaxes(s.rotations, 1, 2), np.tile(np.eye(3), (52, 1, 1)), atol=1e-4
        )
    params = BodyParams(*(np.stack([getattr(s, n) for s in starts]) for n in ("rotations", "betas", "translation")))
    lows = np.asarray(pose_body_compiled(model, params).vertices)[..., 1].min(axis=1)
    assert [s.feet for s in starts] == [True, False] * 3
    assert all(abs(low) < 1e-5 for low, s in zip(lows, starts) if s.feet)
    more = sample_starts(network, model, stool.relations, stool.thing, 8, 3)
    np.testing.assert_allclose(more[2].rotations, starts[2].rotations, atol=1e-4)
    assert np.abs(more[1].rotations - more[0].rotations).max() > 0.01


def test_carried_things_turn_freely_and_move_with_the_person_to_the_floor(network, monkeypatch):
    mesh = box_mesh((0.3, 0.25, 0.2), (0.5, 0.1, 0.0))
    relations = reason("A person holds the box with both hands", mesh)
    turn = Rotation.from_euler("zx", [0.4, 0.7]).as_matrix()
    rotations = np.tile(np.eye(3, dtype=np.float32), (1, 52, 1, 1))
    fixed = (rotations, turn[None], np.float32([[3.0]]), np.float32([[0.1, 0.2, 0.4]]), np.float32([[1.0]]))
    monkeypatch.setattr(module, "sample_states", lambda *a: fixed)
    thing, model = Thing.of(mesh), free_body("test")
    assert relations.standing == "carried"
    start = sample_starts(network, model, relations, thing, 1, 0)[0]
    np.testing.assert_allclose(start.object_rotation, turn, atol=1e-6)
    middle = turn @ [0.5, 0.1, 0.0] + start.object_translation  # of its box
    np.testing.assert_allclose(middle - start.translation, [0.1, 0.2, 0.4], atol=1e-5)
    body = np.asarray(pose_body_compiled(model, BodyParams(start.rotations, start.betas, start.translation)).vertices)
    assert body[:, 1].min() == pytest.approx(0.0, abs=1e-5) and start.translation[1] < 3.0


def test_guidance_of_zero_forgets_the_condition(stool, network):
    graph, state = nnx.split(network)
    first = condition_of(stool.relations, stool.thing)
    other = first.replace(choices=(first.choices + 1) % np.array(OPTIONS, np.int32))
    draw = lambda c, strength: np.asarray(module.sample_states(graph, state, c, jax.random.key(0), strength, 2)[3])  # noqa: E731
    np.testing.assert_allclose(draw(first, 0.0), draw(other, 0.0), atol=1e-6)
    assert np.abs(draw(first, 1.5) - draw(other, 1.5)).max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_yaw_is_the_best_of_all(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    angles = np.linspace(-np.pi, np.pi, 20001)
    sine, cosine = np.sin(angles), np.cos(angles)
    agree = rotation[0, 0] * cosine + rotation[0, 2] * sine - rotation[2, 0] * sine + rotation[2, 2] * cosine
    best = Rotation.from_euler("y", angles[np.argmax(agree)]).as_matrix()
    np.testing.assert_allclose(nearest_yaw(rotation), best, atol=1e-3)


def two_places(model):
    mesh = box_mesh((1.0, 0.2, 0.2))
    relations = reason("A person holds the box with both hands", mesh)
    left, right = Box((0.4, -0.1, -0.1), (0.5, 0.1, 0.1)), Box((-0.5, -0.1, -0.1), (-0.4, 0.1, 0.1))
    contacts = tuple(dataclasses.replace(c, places=(left, right)) for c in relations.contacts)
    return dataclasses.replace(relations, contacts=contacts), Thing.of(mesh), left, right


def test_each_part_takes_its_nearest_place_and_gaps_are_distances():
    model = free_body("test")
    relations, thing, left, right = two_places(model)
    body = np.asarray(pose_body_compiled(model, BodyParams.identity(model)).vertices, float)
    middle = body.mean(axis=0)
    turned = Rotation.from_euler("y", np.pi).as_matrix()
    for rotation, first, second in ((np.eye(3), left, right), (turned, right, left)):
        places = chosen_places(model, relations, thing, body, rotation, middle + [0, 0, 0.5])
        for part, boxes in places.items():
            assert boxes == ((first,) if part.startswith("left") else (second,)), part
    part = next(iter(places))
    own = np.asarray(BodyParams.identity(model).rotations, np.float32)
    place = (middle + [0, 0, 0.5]).astype(np.float32)
    start = Start(own, np.zeros(3, np.float32), np.zeros(10, np.float32), turned.astype(np.float32), place, places,
                  True, "prior")  # fmt: skip
    gaps = []
    for name, boxes in places.items():
        surface = thing.points[thing.inside(boxes)] @ turned.T + middle + [0, 0, 0.5]
        own = body[contact_regions(model)[name]]
        gaps.append(np.linalg.norm(own[:, None] - surface[None], axis=2).min())
    assert part in places and start_gap(model, thing, start, body) == pytest.approx(np.mean(gaps), abs=1e-5)
    prepared = prepare(model, make_template(thing.mesh, resolution=24), relations)
    prepared = dataclasses.replace(prepared, thing=thing)
    without, beside = (start_badness(prepared, start, body, reach) for reach in (0.0, 2.0))
    assert beside - without == pytest.approx(2.0 * np.mean(gaps), abs=1e-5)


def test_a_start_is_bad_by_depth_air_and_reach(stool):
    body = np.zeros((4, 3)) + [[0.0, 0.225, 0.0], [0.0, 0.6, 0.0], [0.5, 0.9, 0.0], [0.0, 1.0, 0.2]]
    eye = np.eye(3, dtype=np.float32)

    def start(y: float) -> Start:
        return Start(np.tile(eye, (52, 1, 1)), np.zeros(3, np.float32), np.zeros(10, np.float32), eye,
                     np.float32([0.0, y, 0.0]), {}, True, "x")  # fmt: skip

    assert start_badness(stool, start(0.225), body) == pytest.approx(0.2, abs=0.03)  # the middle of the stool, 0.2 deep
    assert start_badness(stool, start(-0.3), body) == pytest.approx(0.3 * 0.3, abs=0.02)


class Asked(Exception):
    """What was asked of the prior."""


def test_a_synthesis_asks_the_prior_that_its_config_names(stool, network, monkeypatch):
    def drawn(*what):
        raise Asked(what)

    monkeypatch.setattr(system, "pose_prior", lambda name: {"mine": network, "bank": None}[name])
    monkeypatch.setattr(system, "sample_starts", drawn)
    with pytest.raises(Asked) as error:
        run(stool, SynthesisConfig(count=2, samples=3, draws=9, seed=5, poses="mine"))
    assert error.value.args[0] == (network, stool.model, stool.relations, stool.thing, 6, 5)
    assert pose_prior("bank") is None
    with pytest.raises(ValueError, match="samples must be at least 1"):
        SynthesisConfig(samples=0)


def test_the_mirror_image_of_a_row_is_the_mirror_image_of_its_scene():
    model, rng = free_body("test"), np.random.default_rng(4)
    rotations = Rotation.from_rotvec(0.4 * rng.normal(size=(52, 3))).as_matrix()
    turn = Rotation.random(random_state=1).as_matrix()
    rows = {
        "rotations": np.asarray(sixd_from_rotation(rotations), np.float32)[None],
        "height": np.float32([[1.0]]), "turn": np.asarray(sixd_from_rotation(turn), np.float32)[None],
        "middle": np.float32([[0.1, -0.2, 0.5]]), "feet": np.float32([[1.0]]), "refined": np.array([True]),
        "case": np.array([0]), "condition_choices": np.array([[1, 2, list(SIDES).index("left"), 3, 0, 1, 2]], np.int32),
        "condition_size": np.float32([[0.4, 0.5, 0.6]]), "condition_asked": np.array([[True, False]]),
        "condition_part": np.array([[BODY_PARTS.index("left_hand"), 0]], np.int32),
        "condition_place": np.float32([[[0.1, 0.2, 0.3, 0.01, 0.02, 0.03], [0] * 6]]),
        "condition_points": rng.normal(size=(1, 4, 6)).astype(np.float32),
    }  # fmt: skip
    image, flip = train_prior.mirrored(rows, model.joint_names), np.array([-1.0, 1.0, 1.0])
    names = list(model.joint_names)
    other = [names.index(n.replace("left_", "X_").replace("right_", "left_").replace("X_", "right_")) for n in names]

    def scene(rows):
        own = np.asarray(rotation_from_6d(rows["rotations"][0]), np.float32)
        params = BodyParams(own, np.zeros(10, np.float32), np.zeros(3, np.float32))
        cloud = rows["condition_points"][0, :, :3] @ np.asarray(rotation_from_6d(rows["turn"][0])).T + rows["middle"][0]
        return np.asarray(pose_joints(model, params).joints), cloud

    (joints, cloud), (joints_image, cloud_image) = scene(rows), scene(image)
    np.testing.assert_allclose(joints_image, joints[other] * flip, atol=1e-4)
    np.testing.assert_allclose(cloud_image, cloud * flip, atol=1e-5)
    assert image["condition_part"][0, 0] == BODY_PARTS.index("right_hand")
    assert image["condition_choices"][0].tolist() == [1, 2, list(SIDES).index("right"), 2, 0, 1, 2]
    np.testing.assert_allclose(image["condition_place"][0, 0], [-0.1, 0.2, 0.3, 0.01, 0.02, 0.03], atol=1e-7)
    twice = train_prior.mirrored(image, model.joint_names)
    assert all(np.allclose(twice[key], rows[key]) for key in rows)
    both = train_prior.both(rows, model.joint_names)
    assert both["case"].tolist() == [0, 1] and len(both["condition_choices"]) == 2


def test_joints_beside_the_object_do_not_change_when_both_are_turned():
    model, rng = free_body("test"), np.random.default_rng(6)

    def state(rotation):
        own = Rotation.from_rotvec(0.3 * np.random.default_rng(1).normal(size=(52, 3))).as_matrix()
        own[0] = rotation @ own[0]
        rest = np.asarray(model.joint_template)[0]
        away = np.array([0.2, 0.1, 0.6])
        # The root turns about the pelvis, so the object's middle does too.
        middle = rotation @ (away - rest) + rest
        six = np.asarray(sixd_from_rotation(own), np.float32)[None]
        turn = np.asarray(sixd_from_rotation(rotation), np.float32)[None]
        return State(
            six[:, :22], six[:, 22:], np.float32([[0.0]]), turn, middle[None].astype(np.float32), np.float32([[1]])
        )

    plain, turned = (np.asarray(train_prior.joints_beside(model, state(r)))
                     for r in (np.eye(3), Rotation.random(random_state=int(rng.integers(9))).as_matrix()))  # fmt: skip
    np.testing.assert_allclose(plain, turned, atol=1e-4)
    np.testing.assert_allclose(plain[0, 0], np.asarray(model.joint_template)[0] - [0.2, 0.1, 0.6], atol=1e-5)
