import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams
from hoijax.geometry import RigidPose, transform_points
from hoijax.optim.gradient import ContactTargets, Floor
from hoijax.optim.gradient.state import State
from hoijax.optim.gradient.upright import freedom, least_rotation, level_shifts, set_upright, tilt, within_freedom

CORNERS = np.array([[-1, -2, -1], [1, -2, -1], [1, -2, 1], [-1, -2, 1]], np.float64) / 4


def standing(base=(0.0, -1.0, 0.0)):
    return ContactTargets(
        parts=jnp.zeros((1, 5)), object=jnp.zeros(4), feet=jnp.zeros((2, 5)), rest_points=jnp.asarray(CORNERS),
        rest_weight=jnp.ones(4), base=jnp.asarray(base),
    )  # fmt: skip


def state_of(turn, place, scale=1.0):
    params = BodyParams(rotations=jnp.eye(3)[None], betas=jnp.zeros(1), translation=jnp.zeros(3))
    pose = RigidPose(jnp.asarray(Rotation.from_rotvec(turn).as_matrix()), jnp.asarray(place), jnp.asarray(scale))
    return State.of(params, pose)


@pytest.mark.parametrize("up", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.6, 0.0, 0.8)])
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_a_tilted_chair_is_set_on_its_base_by_the_least_turn_about_its_middle(up, scale):
    to_up = Rotation.align_vectors([up], [[0, 1, 0]])[0]
    yaw = to_up * Rotation.from_rotvec([0, 0.7, 0])
    tilted = Rotation.from_rotvec(np.cross(up, [0.3, 0.2, 0.9]) * 0.4) * yaw
    floor = Floor(gravity=-jnp.asarray(up), level=jnp.asarray(0.3))
    start = state_of(tilted.as_rotvec(), [1.0, 2.0, 3.0], scale)
    got = set_upright(start, standing(), floor)
    base = np.asarray(transform_points(got.pose, jnp.asarray(CORNERS)))
    np.testing.assert_allclose(base @ np.asarray(up), 0.3, atol=1e-9)
    before = np.asarray(transform_points(start.pose, jnp.asarray(CORNERS))).mean(axis=0)
    across = base.mean(axis=0) - before
    np.testing.assert_allclose(across - across @ up * np.asarray(up), 0, atol=1e-9)
    turned = Rotation.from_matrix(np.asarray(got.object_rotation) @ np.asarray(start.object_rotation).T)
    angle = np.arccos(np.clip(-np.asarray(start.object_rotation)[:, 1] @ -np.asarray(up), -1, 1))
    np.testing.assert_allclose(turned.magnitude(), angle, atol=1e-7)


def test_what_does_not_stand_stays_where_it_is_and_may_turn_any_way():
    floor = Floor.at(0.0)
    start = state_of([0.4, 0.2, 0.1], [1.0, 2.0, 3.0])
    for targets, ground in (
        (standing((0.0, 0.0, 0.0)), floor),
        (standing(), None),
        (standing().replace(base=None), floor),
    ):
        got = set_upright(start, targets, ground)
        np.testing.assert_array_equal(got.object_rotation, start.object_rotation)
        np.testing.assert_array_equal(got.object_translation, start.object_translation)
        np.testing.assert_array_equal(freedom(targets, ground, jnp.float64), np.stack([np.eye(3)] * 2))


def test_what_stands_slides_and_turns_about_the_vertical_only():
    up = np.array([0.6, 0.0, 0.8])
    free = freedom(standing(), Floor(gravity=-jnp.asarray(up), level=jnp.asarray(0.0)), jnp.float64)
    step = jnp.arange(1.0, 12.0)  # one joint, one shape coefficient, translation; then turn, shift, scale of the object
    got = np.asarray(within_freedom(step, free))
    np.testing.assert_array_equal(got[[*range(4), 10]], np.asarray(step)[[*range(4), 10]])
    np.testing.assert_allclose(got[4:7], [0, 6, 0])
    np.testing.assert_allclose(got[7:10] @ up, 0, atol=1e-12)
    shift = np.asarray(step[7:10])
    np.testing.assert_allclose(got[7:10], shift - shift @ up * up)


def test_the_least_rotation_takes_one_direction_to_the_other():
    a, b = np.array([0.0, 0.6, 0.8]), np.array([0.8, 0.0, -0.6])
    got = np.asarray(least_rotation(jnp.asarray(a), jnp.asarray(b)))
    want = Rotation.from_rotvec(np.cross(a, b) / np.linalg.norm(np.cross(a, b)) * np.arccos(a @ b)).as_matrix()
    np.testing.assert_allclose(got, want, atol=1e-12)
    np.testing.assert_allclose(jax.jit(least_rotation)(a, a), np.eye(3), atol=1e-12)


def test_tilt_counts_turns_from_the_vertical_and_none_about_it():
    up, eye = jnp.asarray([0.0, 1.0, 0.0]), jnp.eye(3)
    about = lambda *w: jnp.asarray(Rotation.from_rotvec(w).as_matrix())  # noqa: E731
    assert float(tilt(eye, about(0, 1.2, 0), up)) == pytest.approx(0.0, abs=1e-9)
    assert float(tilt(eye, about(0.4, 0, 0), up)) == pytest.approx(0.4)
    assert float(tilt(about(0.3, 0, 0), about(0.3, 0, 0), up)) == pytest.approx(0.0, abs=1e-9)
    assert float(tilt(about(0.3, 0, 0), eye, up)) == pytest.approx(0.3)


def test_what_slides_keeps_its_height_whatever_it_stands_on():
    floor = Floor(gravity=jnp.asarray([0.0, -1.0, 0.0]), level=jnp.asarray(0.0))
    free = level_shifts(floor, jnp.float64)
    got = np.asarray(within_freedom(jnp.arange(1.0, 12.0), free))
    np.testing.assert_allclose(got, [1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 11])
