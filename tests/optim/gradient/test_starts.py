import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, named_pose, pose_body
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_template
from hoijax.metrics import signed_distance_host
from hoijax.optim.gradient import (
    Floor,
    RefineConfig,
    RefineMetrics,
    Starts,
    part_targets,
    refine_batch,
)
from hoijax.optim.gradient.engine import choose_points
from hoijax.optim.gradient.refiner import _problem
from hoijax.optim.gradient.starts import (
    DEEP,
    FAR,
    MISS,
    STRAY,
    Move,
    _by_object,
    _move_mask,
    badness,
    core_of,
    move_cost,
    moved_start,
    placement_cost,
    sequence,
    shortfall,
)
from hoijax.optim.gradient.state import State

NAMES = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "spine1", "spine2", "spine3")
UP = jnp.asarray([0.0, 1.0, 0.0])


def matrix(*w):
    return Rotation.from_rotvec(w).as_matrix()


@pytest.fixture
def start():
    rotations = np.stack([matrix(0.2, 0.9, 0.1), *(matrix(-1.2, 0.1 * k, 0.2) for k in range(7))])
    params = BodyParams(rotations=jnp.asarray(rotations), betas=jnp.zeros(2), translation=jnp.asarray([1.0, 2.0, 3.0]))
    return State.of(params, RigidPose(jnp.asarray(matrix(0.3, 0.2, 0.1)), jnp.asarray([0.5, 0.4, 0.3]), jnp.ones(())))


def move_of(**move):
    return Move(*(jnp.asarray(move.get(key, 0.0)) for key in Move._fields))


def go(start, *, by_object=0.0, freedom=None, middle=None, **move):
    return moved_start(start, move_of(**move), UP, NAMES, by_object, freedom, middle)


def test_no_move_leaves_the_start_as_it_is(start):
    for by_object in (0.0, 1.0):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), go(start, by_object=by_object), start)


def test_shifts_are_level_along_the_body_s_own_front_and_left(start):
    left = np.asarray(start.rotations[0][:, 0]) * [1, 0, 1]
    left /= np.linalg.norm(left)
    front = np.asarray(start.rotations[0][:, 2]) * [1, 0, 1]
    got = np.asarray(go(start, front=0.3, side=0.2, up=0.1).translation) - [1, 2, 3]
    np.testing.assert_allclose(got @ left, 0.2, atol=1e-12)
    np.testing.assert_allclose(got[1], 0.1, atol=1e-12)
    along = got - 0.2 * left - [0, 0.1, 0]
    np.testing.assert_allclose(np.linalg.norm(along), 0.3)
    assert along @ front > 0.28 * np.linalg.norm(front)


def test_a_yaw_turns_the_root_about_the_vertical_and_nothing_else(start):
    got = go(start, yaw=0.4)
    np.testing.assert_allclose(got.rotations[0], matrix(0, 0.4, 0) @ np.asarray(start.rotations[0]), atol=1e-12)
    np.testing.assert_array_equal(got.rotations[1:], start.rotations[1:])


def test_who_leans_back_keeps_the_thighs_where_they_are(start):
    got, was = np.asarray(go(start, lean=0.5).rotations), np.asarray(start.rotations)
    spine = got[0][:, 1]
    assert spine[[0, 2]] @ was[0][[0, 2], 2] < was[0][[0, 2], 1] @ was[0][[0, 2], 2]  # farther back
    for hip in (1, 2):
        np.testing.assert_allclose(got[0] @ got[hip], was[0] @ was[hip], atol=1e-12)
    np.testing.assert_array_equal(got[3:], was[3:])


def test_posture_bends_the_spine_lifts_thighs_and_stretches_knees_by_the_angles(start):
    got, was = np.asarray(go(start, bend=0.6, thighs=0.3, knees=0.5).rotations), np.asarray(start.rotations)
    np.testing.assert_array_equal(got[0], was[0])
    for hip, knee in ((1, 3), (2, 4)):
        np.testing.assert_allclose(got[hip], matrix(-0.3, 0, 0) @ was[hip], atol=1e-12)
        np.testing.assert_allclose(got[knee], matrix(-0.2, 0, 0) @ was[knee], atol=1e-12)
    for spine in (5, 6, 7):
        np.testing.assert_allclose(got[spine], matrix(0.2, 0, 0) @ was[spine], atol=1e-12)


def test_a_free_object_goes_the_other_way_and_turns_about_its_middle(start):
    middle, scale = jnp.asarray([0.1, 0.2, 0.3]), 1.5
    start = start.replace(object_scale=jnp.asarray(scale))
    got = go(start, by_object=1.0, middle=middle, up=0.2, yaw=0.5, turn=0.7)
    np.testing.assert_array_equal(got.rotations, start.rotations)
    np.testing.assert_array_equal(got.translation, start.translation)
    rotation, was = np.asarray(got.object_rotation), np.asarray(start.object_rotation)
    np.testing.assert_allclose(rotation, matrix(0, 0.7, 0) @ was, atol=1e-12)
    middle = np.asarray(middle)
    here = scale * rotation @ middle + np.asarray(got.object_translation)
    np.testing.assert_allclose(
        here, scale * was @ middle + np.asarray(start.object_translation) - np.array([0, 0.2, 0]), atol=1e-12
    )
    left = np.asarray(start.rotations[0][:, 0]) * [1, 0, 1]
    left /= np.linalg.norm(left)
    for name, axis in (("pitch", left), ("roll", np.cross(left, UP))):
        turned = go(start, by_object=1.0, **{name: 0.4}).object_rotation
        np.testing.assert_allclose(turned, matrix(*(0.4 * axis)) @ was, atol=1e-12)


def test_an_object_that_stands_slides_and_turns_about_the_vertical_only(start):
    canonical_up = np.asarray(start.object_rotation).T @ UP
    freedom = jnp.asarray(np.stack([np.outer(canonical_up, canonical_up), np.diag([1.0, 0.0, 1.0])]))
    got = go(start, by_object=1.0, freedom=freedom, up=0.2, side=0.1, turn=0.7, pitch=0.4)
    np.testing.assert_allclose(got.object_rotation, matrix(0, 0.7, 0) @ np.asarray(start.object_rotation), atol=1e-12)
    np.testing.assert_allclose(got.object_translation[1], start.object_translation[1], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(got.object_translation - start.object_translation), 0.1, atol=1e-12)


def test_the_sequence_is_normal_and_even_in_every_pair_of_dimensions():
    points = sequence(512, 11)
    assert points.shape == (512, 11)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.08)
    np.testing.assert_allclose(points.std(axis=0), 0.95, atol=0.04)  # of a normal cut at two: 0.95
    for i in range(11):
        for j in range(i):
            quarters = np.histogram2d(points[:, i], points[:, j], bins=[[-3, 0, 3]] * 2)[0]
            assert quarters.min() > 100


def test_balls_lie_on_the_bones_and_touch_the_skin_from_within(model, body):
    core = core_of(body)
    names = np.asarray(model.joint_names)
    rest, parent, child = np.asarray(model.joint_template), np.asarray(core.parent), np.asarray(core.child)
    assert (np.asarray(model.parents)[child] == parent).all()
    assert not any(word in name for name in names[child] for word in ("index", "thumb", "jaw", "eye"))
    place = rest[parent] + np.asarray(core.share)[:, None] * (rest[child] - rest[parent])
    np.testing.assert_allclose(core.radius, cKDTree(model.v_template).query(place)[0], atol=1e-5)
    inside = signed_distance_host(place, Mesh(model.v_template, model.faces)) < 0
    assert inside.mean() > 0.97
    thigh = names[child] == "left_knee"
    assert np.asarray(core.radius)[thigh].max() > 0.05


@pytest.fixture(scope="module")
def above(model, template, body, thing, quick):
    """A box, and a body afloat beside it whose hands are asked to touch: the problem, and what its cost needs."""
    zeros = lambda size: jnp.zeros(size, jnp.float32)  # noqa: E731
    params = BodyParams.from_axis_angle(model, body_pose=zeros(63), betas=zeros(model.num_betas))
    targets = jax.tree.map(lambda x: x[0], part_targets(model, [("left_hand",)]))
    pose = RigidPose(jnp.eye(3, dtype=jnp.float32), zeros(3), jnp.ones((), jnp.float32))
    problem = _problem(body, thing, targets, quick, None, State.of(params, pose))
    cloud, core = choose_points(problem, problem.start, quick.sizes), core_of(body)
    cost = jax.jit(lambda state: placement_cost(problem, state, cloud, core))
    return problem, cloud, core, cost


def test_the_cost_of_a_place_is_depth_and_reach_beyond_what_is_as_good_as_perfect(model, template, above):
    problem, cloud, core, cost = above
    vertices = np.asarray(pose_body(model, problem.start.params).vertices)
    seen = np.asarray(cloud.index)
    hand = seen[cloud.parts][np.asarray(cloud.part_weight).reshape(-1) > 0.5]
    middle = vertices[hand].mean(axis=0)
    for place in (middle + [0.0, -0.22, 0.0], middle + [0.2, 0.3, 0.1], np.asarray(problem.start.translation)):
        state = problem.start.replace(object_translation=jnp.asarray(place, jnp.float32))
        posed = pose_body(model, problem.start.params)
        joints = np.asarray(posed.joints)
        balls = joints[core.parent] + np.asarray(core.share)[:, None] * (joints[core.child] - joints[core.parent])
        # Of a box by hand: SciPy's nothing, trimesh's closest points.
        box = trimesh.creation.box(np.ptp(np.asarray(template.mesh.vertices), axis=0))
        signed = lambda x: -trimesh.proximity.signed_distance(box, np.asarray(x) - place)  # noqa: B023, E731
        deep = max(0.0, -signed(vertices[seen]).min(), (np.asarray(core.radius) - signed(balls)).max())
        reach = np.sort(np.abs(signed(vertices[hand])))[:2].mean()
        want = 2 * max(0.0, deep - DEEP) + min(max(0.0, reach - FAR), 0.3)
        assert float(cost(state)) == pytest.approx(want, abs=0.02)


def test_a_move_costs_more_the_farther_it_goes():
    vector = lambda **move: jnp.stack(move_of(**move))  # noqa: E731
    assert float(move_cost(vector())) < 1e-6
    assert float(move_cost(vector(front=0.3, side=0.4))) == pytest.approx(0.03)
    assert float(move_cost(vector(up=-0.5))) == pytest.approx(0.03)
    assert float(move_cost(vector(lean=0.2, yaw=-0.2))) == pytest.approx(0.006)


def test_who_sits_is_posed_otherwise_and_free_things_move_instead_of_the_body(above, model, quick):
    problem = above[0]
    used = lambda by: dict(zip(Move._fields, np.asarray(_move_mask(problem, jnp.asarray(by)))))  # noqa: E731
    assert [name for name, on in used(0.0).items() if on] == ["front", "side", "up", "yaw"]
    assert [name for name, on in used(1.0).items() if on] == ["front", "side", "up", "pitch", "turn", "roll"]
    sitting = dataclasses.replace(problem, targets=jax.tree.map(lambda x: x[0], part_targets(model, [("buttocks",)])))
    on = dict(zip(Move._fields, np.asarray(_move_mask(sitting, jnp.asarray(0.0)))))
    assert all(on[name] for name in ("lean", "bend", "thighs", "knees", "yaw"))
    assert float(_by_object(problem, quick)) == 1.0
    assert float(_by_object(problem, dataclasses.replace(quick, freeze=("object",)))) == 0.0


def test_the_shortfall_is_what_is_beyond_the_rule_and_far_parts_do_not_count_more_than_far():
    rule = Starts(deep=0.008, far=0.018)
    metrics = RefineMetrics(
        contact=jnp.asarray([[0.01, 0.0], [0.028, 0.02], [3.0, 0.0]]),
        max_penetration=jnp.asarray([0.007, 0.018, 0.0]),
        mean_penetration=jnp.zeros(3),
        floor=jnp.zeros(3),
    )
    np.testing.assert_allclose(shortfall(metrics, rule), [0.0, 0.032, 0.1], atol=1e-9)
    for name in ("tries", "placed"):
        with pytest.raises(ValueError, match=f"{name} must not be negative"):
            Starts(**{name: -1})


def test_results_are_compared_by_what_is_missed_then_by_how_much_then_by_how_far_they_strayed():
    rule = Starts(deep=0.008, far=0.018)

    def bad(contact, deep=0.0, moved=0.0):
        metrics = RefineMetrics(
            contact=jnp.asarray(contact), max_penetration=jnp.asarray(deep), mean_penetration=jnp.zeros(()), floor=0.0
        )
        return float(badness(metrics, jnp.asarray(moved), rule))

    assert bad([0.018, 0.0], 0.008, 0.3) == pytest.approx(0.3 * STRAY)
    assert bad([0.018, 0.0], 0.008, 0.3) < bad([0.018, 0.0], 0.008, 0.4) < bad([0.02, 0.0], 0.008, 0.3)
    assert bad([0.03, 0.0]) < bad([0.04, 0.0]) < bad([0.03, 0.03])
    assert bad([0.0, 0.0], 0.009) == pytest.approx(MISS + 0.002)
    assert bad([0.0, 0.0], 0.01) < bad([0.0, 0.0], 0.03) < bad([0.0, 0.03], 0.03)
    # The back on a bench: a third as far away is not worth lying down.
    assert bad([0.0, 0.18], moved=0.05) < bad([0.0, 0.045], moved=0.31)


def boxes(*rows):
    """A mesh of closed boxes: size, place, lean backward in degrees."""
    parts = []
    for size, place, lean in rows:
        box = trimesh.creation.box(size).subdivide()
        box.apply_transform(trimesh.transformations.rotation_matrix(np.radians(-lean), (1, 0, 0)))
        box.apply_translation(place)
        parts.append(box)
    whole = trimesh.util.concatenate(parts)
    return Mesh(np.asarray(whole.vertices, np.float32), np.asarray(whole.faces, np.int32))


@pytest.fixture(scope="module")
def seats():
    """A sofa with a seat 62 cm deep, solid down to the floor; a chair that leans back by 35 degrees; a bench with
    nothing to lean on, and a board 1.5 m above it."""
    return (
        boxes(((1.2, 0.45, 0.62), (0, 0.225, -0.04), 0), ((1.2, 0.5, 0.15), (0, 0.65, -0.425), 0)),
        boxes(
            ((0.6, 0.08, 0.5), (0, 0.41, 0), 0), ((0.6, 0.8, 0.06), (0, 0.75, -0.45), 35),
            ((0.06, 0.37, 0.06), (0.25, 0.185, 0.2), 0), ((0.06, 0.37, 0.06), (-0.25, 0.185, 0.2), 0),
            ((0.6, 0.37, 0.06), (0, 0.185, -0.2), 0),
        ),
        boxes(((1.2, 0.45, 0.5), (0, 0.225, 0), 0)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def sat(model, body, seats, quick):
    """Refined without and with a search for other starts: sitting upright at the middle of each seat."""
    values = {key: jnp.asarray(x, jnp.float32) for key, x in named_pose("sit").items()}
    one = BodyParams.from_axis_angle(model, **values, betas=jnp.zeros(model.num_betas, jnp.float32))
    params = jax.tree.map(lambda x: jnp.stack([x] * 3), one)
    eyes = jnp.stack([jnp.eye(3, dtype=jnp.float32)] * 3)
    pose = RigidPose(eyes, jnp.zeros((3, 3), jnp.float32), jnp.ones(3, jnp.float32))
    templates = [make_template(mesh, resolution=48) for mesh in seats]

    def run(tries):
        config = RefineConfig(sizes=quick.sizes, upright=True, starts=Starts(tries=tries))
        return refine_batch(
            model, params, templates, pose, ("buttocks", "back"), config, floor=Floor.at(0.0), body=body
        )

    return run(0), run(1)


def exact(model, result, seats, row):
    """Deepest body vertex in a box, and distance of the back's nearest tenth, metres; trimesh alone."""
    vertices = np.asarray(pose_body(model, result.params).vertices[row])
    local = (vertices - np.asarray(result.pose.translation[row])) @ np.asarray(result.pose.rotation[row])
    whole = trimesh.Trimesh(seats[row].vertices, seats[row].faces, process=True)
    deep = max(trimesh.proximity.signed_distance(part, local).max() for part in whole.split())
    back = local[np.asarray(part_targets(model, [("back",)]).parts[0, 0]) > 0]
    ranked = np.sort(trimesh.proximity.closest_point(whole, back)[1])
    return deep, ranked[: -(-len(ranked) // 10)].mean()


@pytest.mark.parametrize("row", [0, 1])
def test_a_search_for_starts_seats_people_where_gradients_alone_do_not(model, seats, sat, row):
    alone, searched = sat
    assert not bool(alone.verdict.good[row])
    assert bool(searched.verdict.good[row])
    deep, back = exact(model, searched, seats, row)
    assert deep < 0.01
    assert back < 0.02
    assert float(searched.moved[row]) < 0.5
    assert int(searched.steps[row]) > int(alone.steps[row])


def test_a_back_that_a_bench_does_not_have_is_said_to_be_missed_and_the_seat_is_sat_on(sat):
    searched = sat[1]
    assert not bool(searched.verdict.good[2])
    assert bool(searched.verdict.missed[2, 1])
    assert not bool(searched.verdict.missed[2, 0])
    assert not bool(searched.verdict.penetrates[2])
    assert float(searched.moved[2]) < 0.15
