import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from jax.test_util import check_grads

from hoijax.body_models import JointLimits, free_body, joint_limits
from hoijax.geometry import Mesh, RigidPose, random_rotation
from hoijax.interaction import make_template
from hoijax.optim.fields import object_field
from hoijax.optim.gradient import Floor
from hoijax.optim.gradient.contacts import ContactTargets
from hoijax.optim.gradient.energy import (
    UNIT,
    Cloud,
    contact_term,
    evaluate,
    find_matches,
    floor_term,
    point_winding,
    probe_term,
    stay_term,
)
from hoijax.optim.gradient.state import State

RADIUS = 0.3


def three_joints() -> JointLimits:
    """Limits of a body that is root, knee and elbow."""
    model = free_body("test")
    index = np.array([model.joint_names.index(name) for name in ("pelvis", "left_knee", "left_elbow")])
    return jax.tree.map(lambda x: np.asarray(x, np.float64)[index], joint_limits(model))


LIMITS = three_joints()


@pytest.fixture(scope="module")
def ball():
    """An object field of a sphere of radius 0.3 m around the origin, float64."""
    shape = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    mesh = Mesh(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))
    return object_field(make_template(mesh, resolution=32), jnp.float64)


def targets(**changes) -> ContactTargets:
    empty = ContactTargets(
        parts=jnp.zeros((1, 4)), object=jnp.zeros(64), feet=jnp.zeros((2, 4)), rest_points=jnp.zeros((8, 3)),
        rest_weight=jnp.zeros(8),
    )  # fmt: skip
    return empty.replace(**changes)


def cloud_of(free: int, parts: int, feet: int, objects: int = 512) -> Cloud:
    """Points of which the first are free, then one part, then one foot."""
    return Cloud(
        index=jnp.arange(free + parts + feet),
        part_weight=jnp.ones((1, parts)),
        foot_weight=jnp.ones((1, feet)),
        object_index=jnp.arange(objects),
    )


def at(offset) -> RigidPose:
    return RigidPose.identity().replace(translation=jnp.asarray(offset, float))


def match(points, normals, pose, field, cloud, wanted=None, facing=0.4):
    return find_matches(points, normals, pose, field, cloud, wanted or targets(), 0.03, facing, 1.0)


def state_of(pose: RigidPose, joints=3) -> State:
    return State(
        rotations=jnp.broadcast_to(jnp.eye(3), (joints, 3, 3)), betas=jnp.zeros(2), translation=jnp.zeros(3),
        object_rotation=pose.rotation, object_translation=pose.translation, object_scale=pose.scale,
    )  # fmt: skip


def test_contact_vertices_are_matched_with_the_side_that_faces_them(ball):
    # Two centimetres inside the ball's top, looking down: nearest is the top, which looks up and so faces them.
    points = jnp.asarray([[0.0, RADIUS - 0.02, 0.0], [0.02, RADIUS - 0.02, 0.0]])
    down = jnp.asarray([[0.0, -1.0, 0.0]] * 2)
    cloud = cloud_of(0, 2, 0)
    pose = at([0.0, 0.0, 0.0])
    found = match(points, down, pose, ball, cloud)
    assert np.all(ball.normals[found.touched][:, 1] > 0.9)
    # Looking up, they belong to the underside, as far away as it is.
    found = match(points, -down, pose, ball, cloud, facing=5.0)
    assert np.all(ball.normals[found.touched][:, 1] < -0.5)


def test_pulls_sum_to_the_weight_of_a_part_and_favour_the_nearest(ball):
    # Above one of the ball's own points, so that distances to the nearest point are those to the surface.
    up = ball.normals[70]
    points = ball.points[70][None] + jnp.asarray([[0.0], [0.03], [0.3]]) * up[None]
    down = jnp.broadcast_to(-up, (3, 3))
    cloud = cloud_of(0, 3, 0).replace(part_weight=jnp.asarray([[0.5, 0.5, 0.5]]))
    pull = match(points, down, at([0.0, 0.0, 0.0]), ball, cloud).pull
    np.testing.assert_allclose(jnp.sum(pull), 0.5, rtol=1e-12)
    np.testing.assert_allclose(pull[1] / pull[0], np.exp(-0.5), rtol=0.05)
    assert pull[2] < 1e-9
    empty = cloud.replace(part_weight=jnp.zeros((1, 3)))
    np.testing.assert_array_equal(match(points, down, at([0.0, 0.0, 0.0]), ball, empty).pull, 0)


def test_object_points_that_should_touch_draw_the_matches(ball):
    wanted = jnp.zeros(64).at[7].set(1.0)
    points = jnp.asarray([[0.0, RADIUS + 0.01, 0.0]])
    found = match(
        points, jnp.asarray([[0.0, -1.0, 0.0]]), at([0, 0, 0]), ball, cloud_of(0, 1, 0), targets(object=wanted), 0.0
    )
    far = np.linalg.norm(np.asarray(ball.points) - np.asarray(points[0]), axis=1)
    assert far[int(found.touched[0])] <= np.sqrt(0.2**2 + far.min() ** 2) or int(found.touched[0]) == 7
    assert int(found.probe[0]) == 7
    np.testing.assert_allclose(found.asked[0], 1.0)


def body_ball(radius, centre, count=800):
    """Evenly spread points of a sphere and its outward normals."""
    k = np.arange(count) + 0.5
    polar, around = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    n = np.stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], axis=-1)
    return jnp.asarray(centre + radius * n), jnp.asarray(n)


def test_point_winding_tells_inside_from_outside():
    points, normals = body_ball(0.5, np.array([1.0, 2.0, 3.0]))
    queries = jnp.asarray([[1.0, 2.0, 3.0], [1.3, 2.1, 3.2], [1.0, 2.0, 3.9], [-4.0, 0.0, 0.0]])
    got = point_winding(queries, points, normals, 4 * np.pi * 0.25)
    np.testing.assert_allclose(got, [1.0, 1.0, 0.0, 0.0], atol=0.02)


def test_probes_inside_the_body_are_found_and_only_those(ball):
    points, normals = body_ball(0.25, np.array([0.4, 0.0, 0.0]))
    cloud = Cloud(jnp.arange(0), jnp.zeros((1, 0)), jnp.zeros((1, 0)), jnp.arange(1024))
    found = find_matches(points, normals, at([0, 0, 0]), ball, cloud, targets(), 0.03, 0.4, 4 * np.pi * 0.25**2)
    inside = np.linalg.norm(np.asarray(ball.points[:1024]) - [0.4, 0.0, 0.0], axis=1) < 0.25
    depth = 0.25 - np.linalg.norm(np.asarray(ball.points[found.probe]) - [0.4, 0.0, 0.0], axis=1)
    flagged = np.asarray(found.inside) > 0
    assert flagged.sum() >= min(inside.sum(), 96) - 3
    assert np.all(depth[flagged] > -2e-3)


def test_terms_are_zero_where_all_is_well_and_measured_in_centimetres(ball):
    pose = at([0.0, 0.5, 0.0])
    touching, inside = [0.0, 0.5 + RADIUS, 0.0], [0.0, 0.5 - RADIUS + 0.02, 0.0]
    cloud = cloud_of(1, 1, 0, ball.points.shape[0])
    down = jnp.asarray([[0.0, -1.0, 0.0]] * 2)

    def terms(points):
        points = jnp.asarray(points)
        found = match(points, down, pose, ball, cloud)
        state = state_of(pose)
        scouts = jnp.concatenate([points, points[found.scout]])
        width = jnp.ones(3 * 3 + 2 + 10)
        return evaluate(scouts, state, state, ball, cloud, targets(), found, None, width, LIMITS)

    good = terms([[0.0, 2.0, 0.0], touching])
    np.testing.assert_allclose(jax.tree.leaves(good), 0.0, atol=0.02)
    bad = terms([inside, [0.0, 0.5 + RADIUS + 0.01, 0.0]])
    np.testing.assert_allclose(
        bad.penetration, 0.25 * 2.0**2, rtol=0.2
    )  # two centimetres deep, to a facet and a tenth of a cell
    np.testing.assert_allclose(bad.contact, 1.0, rtol=0.1)  # one centimetre away


def test_contact_forgives_distance_along_the_plane_within_the_spacing(ball):
    cloud = cloud_of(0, 1, 0)
    down = jnp.asarray([[0.0, -1.0, 0.0]])
    pose = at([0, 0, 0])
    found = match(jnp.asarray([[0.0, RADIUS, 0.0]]), down, pose, ball, cloud)
    point, normal = np.asarray(ball.points[found.touched]), np.asarray(ball.normals[found.touched])
    side = np.cross(normal, [[1.0, 0.0, 0.0]])
    side /= np.linalg.norm(side)
    within = point + 0.9 * float(ball.spacing) * side
    np.testing.assert_allclose(
        contact_term(jnp.asarray(within), jnp.asarray(point), ball.normals[found.touched], pose, found), 0.0, atol=1e-10
    )
    beyond = point + (float(ball.spacing) + 0.01) * side
    np.testing.assert_allclose(
        contact_term(jnp.asarray(beyond), jnp.asarray(point), ball.normals[found.touched], pose, found), 0.25, rtol=0.01
    )


def test_the_floor_holds_feet_and_resting_points_and_lets_nothing_below(ball):
    floor = Floor.at(-1.0)
    pose = at([0.0, 5.0, 0.0])
    cloud = cloud_of(1, 0, 2)

    def term(free, foot, wanted=None):
        points = jnp.asarray([[0.0, free, 0.0], [0.0, foot, 0.0], [0.1, foot, 0.0]])
        return float(floor_term(points, pose, ball, cloud, wanted or targets(), floor))

    assert term(1.0, -1.0) == pytest.approx(0.0, abs=1e-12)
    assert term(1.0, -0.99) == pytest.approx(1.0, rel=0.02)  # a foot one centimetre up
    assert term(-1.01, -1.0) == pytest.approx(4.0, rel=1e-6)  # a point one centimetre below
    rests = targets(rest_points=jnp.zeros((8, 3)).at[0, 1].set(-6.0 + 0.02), rest_weight=jnp.zeros(8).at[0].set(1.0))
    assert term(1.0, -1.0, rests) == pytest.approx(4.0, rel=0.05)  # a resting point two centimetres up


def test_gravity_may_point_anywhere(ball):
    turn = np.asarray(random_rotation(jax.random.key(2)), float)
    cloud, pose = cloud_of(1, 0, 2), at([0.0, 5.0, 0.0])
    points = jnp.asarray([[0.0, -1.02, 0.0], [0.0, -0.97, 0.1], [0.1, -0.98, 0.0]])
    want = floor_term(points, pose, ball, cloud, targets(), Floor.at(-1.0))
    floor = Floor(gravity=jnp.asarray(turn @ [0.0, -1.0, 0.0]), level=jnp.asarray(-1.0))
    turned = RigidPose(jnp.asarray(turn), jnp.asarray(turn @ np.asarray(pose.translation)), pose.scale)
    got = floor_term(points @ turn.T, turned, ball, cloud, targets(), floor)
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_departures_cost_one_at_their_width():
    start = state_of(at([0, 0, 0]))
    width = jnp.asarray([0.1] * 9 + [0.5] * 2 + [0.2] * 3 + [0.3] * 3 + [0.4] * 3 + [0.05])
    small = np.array([0.0, 0.0, 0.02])
    turn = jnp.asarray([[np.cos(0.02), -np.sin(0.02), 0], [np.sin(0.02), np.cos(0.02), 0], [0, 0, 1]])
    cases = {
        "rotations": (start.rotations.at[1].set(turn), (0.02 / 0.1) ** 2),
        "betas": (jnp.asarray([0.5, 0.0]), 1.0),
        "translation": (jnp.asarray(small), (0.02 / 0.2) ** 2),
        "object_rotation": (turn, (0.02 / 0.3) ** 2),
        "object_translation": (jnp.asarray(small), (0.02 / 0.4) ** 2),
        "object_scale": (jnp.exp(jnp.asarray(0.05)), 1.0),
    }
    assert float(stay_term(start, start, 1 / width)) == 0.0
    for name, (value, want) in cases.items():
        got = stay_term(start.replace(**{name: value}), start, 1 / width)
        np.testing.assert_allclose(got, want, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("degenerate", [False, True])
def test_gradients_match_finite_differences(ball, degenerate):
    """At random configurations, and with points exactly on their matches, at the start, on the floor.

    One point per foot: how a foot's pull is shared among several is held fixed by design.
    """
    rng = np.random.default_rng(0)
    pose = RigidPose(
        jnp.eye(3) if degenerate else random_rotation(jax.random.key(1)).astype(float),
        jnp.asarray(rng.normal(size=3) * 0.1), jnp.asarray(1.0 if degenerate else 1.1),
    )  # fmt: skip
    cloud = cloud_of(6, 4, 1)
    n = rng.normal(size=(11, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    points = jnp.asarray(np.asarray(pose.translation) + n * rng.uniform(0.27, 0.35, (11, 1)))
    wanted = targets(
        object=jnp.zeros(64).at[:5].set(1.0), rest_points=jnp.asarray(rng.normal(size=(8, 3))), rest_weight=jnp.ones(8)
    )
    found = match(points, jnp.asarray(-n), pose, ball, cloud, wanted)
    if degenerate:
        points = points.at[cloud.parts].set(ball.points[found.touched] + pose.translation[None])
    scouts = jnp.concatenate([points, points[found.scout]])
    floor = Floor.at(-0.3)
    start = state_of(pose)
    moved = start if degenerate else start.replace(rotations=random_rotation(jax.random.key(3), (3,)).astype(float))
    width = jnp.linspace(1.0, 2.0, 3 * 3 + 2 + 10)

    def energy(*arguments):
        points, rotations, translation, scale = map(jnp.asarray, arguments)
        state = moved.replace(rotations=rotations, object_translation=translation, object_scale=scale)
        terms = evaluate(points, state, start, ball, cloud, wanted, found, floor, width, LIMITS)
        return UNIT * sum(jax.tree.leaves(terms))

    arguments = (scouts, moved.rotations, pose.translation, pose.scale)
    got = jax.jit(jax.grad(energy, argnums=(0, 1, 2, 3)))(*arguments)
    assert all(np.isfinite(g).all() for g in got)
    if not degenerate:
        check_grads(jax.jit(energy), arguments, order=1, modes=("rev",), atol=1e-4, rtol=1e-4, eps=1e-7)


def test_coincident_probes_have_a_zero_gradient(ball):
    gap = jnp.zeros((3, 3))
    points, normals = body_ball(0.25, np.zeros(3))
    cloud = Cloud(jnp.arange(0), jnp.zeros((1, 0)), jnp.zeros((1, 0)), jnp.arange(64))
    found = find_matches(points, normals, at([0, 0, 0]), ball, cloud, targets(object=jnp.ones(64)), 0.03, 0.4, 0.8)
    found = jax.tree.map(lambda x: x[:3] if x.shape[:1] == (64,) else x, found)
    np.testing.assert_array_equal(jax.grad(lambda g: probe_term(g, found))(gap), 0)
