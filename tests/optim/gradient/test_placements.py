"""The search for other placements: what a place costs with floors, regions and limits, and which of many are found."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, contact_regions, pose_body
from hoijax.geometry import RigidPose
from hoijax.interaction import object_sdf, region_masks
from hoijax.optim.gradient import Floor, RefineConfig, Starts, part_targets, starts
from hoijax.optim.gradient.contacts import FEET, RegionTargets
from hoijax.optim.gradient.engine import choose_points
from hoijax.optim.gradient.refiner import _problem
from hoijax.optim.gradient.starts import BEYOND, DEEP, FAR, FOOT, MOST, SHIFT, TURN, core_of, ranked_starts
from hoijax.optim.gradient.state import State

DEEPEST = -9.0
"""Height of a floor so far below that both feet cost the most they can."""
AFAR = jnp.asarray([5.0, 0.0, 0.0], jnp.float32)
SPOTS = np.float32([[-0.1, 0.15, 0.0], [-0.1, 0.15, 0.1]])


def level(height):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), Floor.at(float(height)))


@pytest.fixture(scope="module")
def world(model, body, thing, quick):
    """A body in its rest pose and a box; its left hand is to touch, a second part is padding, regions weigh nothing."""
    zeros = lambda *shape: jnp.zeros(shape, jnp.float32)  # noqa: E731
    params = BodyParams.from_axis_angle(model, body_pose=zeros(63), betas=zeros(model.num_betas))
    targets = jax.tree.map(lambda x: x[0], part_targets(model, [("left_hand",), ("left_hand", "back")]))
    regions = RegionTargets(
        *map(jnp.asarray, (np.stack([SPOTS] * 2), np.zeros((2, 2, 3), np.float32))), zeros(2), zeros(2)
    )
    feet = region_masks(contact_regions(model), FEET, model.num_vertices).astype(np.float32)
    targets = targets.replace(feet=jnp.asarray(feet), regions=regions)
    pose = RigidPose(jnp.eye(3, dtype=jnp.float32), AFAR, jnp.ones((), jnp.float32))
    return _problem(body, thing, targets, quick, level(DEEPEST), State.of(params, pose))


@pytest.fixture(scope="module")
def cost(world, body, quick):
    """What a state costs, compiled once, and the body's points that are looked at."""
    cloud, core = choose_points(world, world.start, quick.sizes), core_of(body)
    program = jax.jit(lambda problem, state: starts.placement_cost(problem, state, cloud, core))

    def of(state=world.start, floor=None, **targets):
        problem = world.replace(targets=world.targets.replace(**targets))
        return float(program(problem if floor is None else problem.replace(floor=level(floor)), state))

    return of, cloud


@pytest.fixture(scope="module")
def points(model, world, cost):
    """The points that are looked at, those of the hand that is asked for, and those of the part that is padding."""
    cloud = cost[1]
    seen = np.asarray(pose_body(model, world.start.params).vertices)[cloud.index]
    first, second = seen[cloud.parts].reshape(*cloud.part_weight.shape, 3)
    return seen, first[np.asarray(cloud.part_weight)[0] > 0.5], second


def test_what_is_far_costs_the_most_that_a_part_counts_and_padding_nothing(cost):
    assert cost[0]() == pytest.approx(MOST + 2 * FOOT * 0.3, abs=1e-4)


def test_feet_belong_on_the_floor_and_nothing_below_it(cost, points):
    of, cloud = cost
    height = points[0][:, 1]
    lowest = np.where(np.asarray(cloud.foot_weight) > 0, height[cloud.feet].reshape(2, -1), np.inf).min(axis=1)
    base = of() - 2 * FOOT * 0.3
    for above in (0.1, 0.02, -0.05):
        floor = height.min() - above
        want = 2 * max(0.0, -above) + FOOT * np.abs(lowest - floor).sum()
        assert of(floor=floor) - base == pytest.approx(want, abs=1e-4)


def test_a_knee_bent_the_wrong_way_costs_by_how_much(model, world, cost):
    knee = model.joint_names.index("left_knee")
    bent = Rotation.from_rotvec([-1.0, 0, 0]).as_matrix().astype(np.float32)
    beyond = float(np.asarray(world.body.limits.lower)[knee, 0]) + 1.0
    assert beyond > 0.5
    state = world.start.replace(rotations=world.start.rotations.at[knee].set(bent))
    assert cost[0](state) - cost[0]() == pytest.approx(BEYOND * beyond, abs=1e-4)


def test_what_is_within_a_limb_is_found_by_the_balls_of_its_bones(model, world, cost, points):
    """A box about a knee: no vertex is as deep in it as the ball at the joint, which is as large as the knee."""
    posed = pose_body(model, world.start.params)
    joints, core = np.asarray(posed.joints), core_of(world.body)
    parent, child, share = (np.asarray(x) for x in (core.parent, core.child, core.share))
    balls = joints[parent] + share[:, None] * (joints[child] - joints[parent])
    state = world.start.replace(object_translation=posed.joints[model.joint_names.index("left_knee")])
    depth = [
        -np.asarray(object_sdf(world.object.sdf, state.pose, jnp.asarray(x, jnp.float32))) for x in (points[0], balls)
    ]
    deepest, ball = depth[0].max(), (depth[1] + np.asarray(core.radius)).max()
    assert ball > deepest + 0.01
    assert cost[0](state) == pytest.approx(2 * (ball - DEEP) + MOST + 2 * FOOT * 0.3, abs=1e-4)


def test_a_part_that_is_asked_to_a_region_is_as_far_as_the_region(world, cost, points):
    """Of a box half as large again beyond the fingertips; the spots of the region are farther than its surface."""
    scale, spacing = 1.2, 0.02
    place = points[1].mean(axis=0) + np.float32([0.4, 0, 0])
    state = world.start.replace(object_translation=jnp.asarray(place), object_scale=jnp.asarray(scale, jnp.float32))
    gap = np.sort(cKDTree(scale * SPOTS + place).query(points[1])[0])[:2].mean() - scale * spacing
    assert FAR < gap < MOST
    regions = world.targets.regions.replace(spacing=jnp.full(2, spacing, jnp.float32))
    given = regions.replace(given=jnp.asarray([1, 0], jnp.float32))
    assert cost[0](state, regions=given) - 2 * FOOT * 0.3 == pytest.approx(gap - FAR, abs=1e-4)
    assert cost[0](state, regions=regions) < cost[0](state, regions=given) - 0.05


def test_points_of_the_object_that_are_asked_for_are_as_far_as_the_part_is(world, cost, points):
    """In the mean of their weights, and whatever stands in for a part that is padding does not count."""
    local = np.asarray(world.object.points[:2])
    weights = jnp.asarray(world.targets.object).at[:2].set(jnp.asarray([1.0, 0.5], jnp.float32))
    for place in (points[1].mean(axis=0) + np.float32([0.4, 0, 0]), points[2][0] - local[0], np.asarray(AFAR)):
        state = world.start.replace(object_translation=jnp.asarray(place, jnp.float32))
        gap = np.minimum(cKDTree(points[1]).query(local + place)[0], MOST)
        want = (gap[0] + 0.5 * gap[1]) / 1.5
        assert cost[0](state, object=weights) - cost[0](state) == pytest.approx(want, abs=1e-4)


@pytest.fixture
def search(monkeypatch, world, quick):
    """Searches with a cost of ours in place of the distances; whoever is found, best first."""

    def run(cost, *freeze):
        monkeypatch.setattr(starts, "placement_cost", lambda problem, state, cloud, core: cost(state.translation))
        config = dataclasses.replace(quick, freeze=freeze, starts=Starts(tries=8))
        return jax.tree.map(np.asarray, jax.jit(lambda problem: ranked_starts(problem, config))(world))

    return run


def test_a_search_ends_near_the_best_place_and_gives_the_best_first(world, search):
    start = jax.tree.map(np.asarray, world.start)
    goal = start.translation + np.float32([0.1, 0.12, 0.15])  # left, up, front
    found = search(lambda place: 5 * jnp.linalg.norm(place - goal), "object")
    away = np.linalg.norm(found.translation - goal, axis=1)
    assert away[0] < 0.01
    shift = np.linalg.norm(found.translation - start.translation, axis=1)
    yaw = Rotation.from_matrix(found.rotations[:, 0] @ start.rotations[0].T).as_rotvec()
    np.testing.assert_allclose(yaw[:, [0, 2]], 0, atol=1e-5)
    costs = 5 * away + SHIFT * shift + TURN * np.abs(yaw[:, 1])
    assert (np.diff(costs) > -1e-5).all() and costs[-1] > costs[0] + 0.01
    # Hands ask for no other posture, and what is frozen stays.
    for name in ("rotations", "betas", "object_rotation", "object_translation", "object_scale"):
        was, got = getattr(start, name), getattr(found, name)
        np.testing.assert_array_equal(
            got[:, 1:] if name == "rotations" else got, [was[1:] if name == "rotations" else was] * 8
        )


def test_places_far_from_each_other_are_followed_each_to_its_end(world, search):
    start = np.asarray(world.start.translation)
    goals = start + np.float32([[0.15, 0.1, 0.1], [-0.15, 0.1, 0.1]])

    def two(place):
        first, second = (jnp.linalg.norm(place - goal) for goal in goals)
        return 5 * jnp.minimum(first, second + 0.01)

    found = search(two, "object", "root")
    away = np.linalg.norm(found.translation[:, None] - goals[None], axis=2).min(axis=0)
    assert away.max() < 0.015
    np.testing.assert_array_equal(found.rotations, [np.asarray(world.start.rotations)] * 8)


def test_who_is_well_placed_stays(world, search):
    found = search(lambda place: jnp.zeros((), place.dtype), "object")
    np.testing.assert_array_equal(found.translation[0], world.start.translation)
    np.testing.assert_array_equal(found.rotations[0], world.start.rotations)
    # The others as near as they can be: all that they cost is their way.
    shift = np.linalg.norm(found.translation - found.translation[0], axis=1)
    yaw = Rotation.from_matrix(found.rotations[:, 0] @ found.rotations[0, 0].T).magnitude()
    assert (np.diff(SHIFT * shift + TURN * yaw) > -1e-6).all() and (shift[1:] > 0).all()


def test_the_object_moves_where_nothing_holds_it_or_the_body_must_not(world):
    free, held = RefineConfig(), RefineConfig(freeze=("translation",))
    ones = {"rest_weight": jnp.ones_like(world.targets.rest_weight)}
    down = {"base": jnp.asarray([0.0, -1.0, 0.0], jnp.float32)}
    for targets, floor, config, want in (
        ({}, world.floor, free, 1), (ones, world.floor, free, 0), (down, world.floor, free, 0), (ones, None, free, 1),
        (ones, world.floor, held, 1), (down, world.floor, held, 1),
    ):  # fmt: skip
        problem = world.replace(floor=floor, targets=world.targets.replace(**targets))
        assert float(starts._by_object(problem, config)) == want
    tilted = Rotation.from_rotvec([0.4, 0.2, 0.3]).as_matrix().astype(np.float32)
    start = world.start.replace(rotations=world.start.rotations.at[0].set(tilted))
    np.testing.assert_allclose(starts._up(world, start), [0, 1, 0], atol=1e-7)
    np.testing.assert_allclose(starts._up(world.replace(floor=None), start), tilted[:, 1])
