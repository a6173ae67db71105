import jax
import jax.numpy as jnp
import numpy as np

from hoijax.geometry import rotation_from_axis_angle
from hoijax.optim.gradient import Floor
from hoijax.optim.gradient.state import State
from hoijax.optim.sequence.smoothing import second_differences
from hoijax.optim.sequence.temporal import SLIP, Ties, acceleration_term, sliding_term, standing_term

FRAMES = 10


def ties(natural=0.01, follows=None):
    return Ties(
        differences=jnp.asarray(second_differences(np.arange(FRAMES)).toarray()),
        inverse_natural=1.0 / natural,
        follows=jnp.ones(FRAMES - 1) if follows is None else follows,
        joints=jnp.ones(3),
        corners=jnp.zeros((8, 3)),
    )


def moving(rng):
    turns = rotation_from_axis_angle(jnp.asarray(rng.normal(size=(FRAMES, 3))))
    places = jnp.asarray(rng.normal(size=(FRAMES, 3)))
    rest = jnp.zeros((FRAMES, 1))
    return State(turns[:, None], rest, places, turns, places, jnp.ones(FRAMES))


def test_a_natural_acceleration_costs_one_a_frame():
    time = np.arange(FRAMES) * 1.0
    points = jnp.asarray(np.stack([0.005 * time**2, time, 0 * time], axis=1)[:, None] * np.ones((1, 3, 1)))
    np.testing.assert_allclose(acceleration_term(points, jnp.ones(3), ties()), FRAMES - 2, rtol=1e-5)
    np.testing.assert_allclose(acceleration_term(points, jnp.array([1.0, 0, 0]), ties()), FRAMES - 2, rtol=1e-5)
    one = points.at[:, 1:].set(0.0)
    np.testing.assert_allclose(acceleration_term(one, jnp.ones(3), ties()), (FRAMES - 2) / 3, rtol=1e-5)


def test_points_that_move_with_the_object_do_not_slide():
    states = moving(np.random.default_rng(0))
    own = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)))
    points = jnp.einsum("tij,pj->tpi", states.object_rotation, own) + states.object_translation[:, None]
    assert sliding_term(points, states, jnp.ones((FRAMES, 5)), ties()) < 1e-8
    still = states.replace(
        object_rotation=jnp.broadcast_to(jnp.eye(3), (FRAMES, 3, 3)), object_translation=jnp.zeros((FRAMES, 3))
    )
    shift = 0.01 * np.arange(FRAMES)[:, None, None] * np.array([1.0, 0, 0])
    found = sliding_term(jnp.asarray(np.asarray(own) + shift), still, jnp.ones((FRAMES, 5)), ties())
    cost = 2 * (SLIP / 0.01) ** 2 * (np.sqrt(1 + (0.01 / SLIP) ** 2) - 1)
    np.testing.assert_allclose(found, (FRAMES - 1) * cost, rtol=1e-4)


def test_only_what_touches_in_both_of_two_frames_that_follow_each_other_slides():
    still = moving(np.random.default_rng(0)).replace(
        object_rotation=jnp.broadcast_to(jnp.eye(3), (FRAMES, 3, 3)), object_translation=jnp.zeros((FRAMES, 3))
    )
    points = jnp.asarray(0.01 * np.arange(FRAMES)[:, None, None] * np.ones((1, 1, 3)))
    every = sliding_term(points, still, jnp.ones((FRAMES, 1)), ties())
    alternating = jnp.asarray((np.arange(FRAMES) % 2)[:, None] * 1.0)
    assert sliding_term(points, still, alternating, ties()) == 0
    gap = jnp.ones(FRAMES - 1).at[4].set(0.0)
    np.testing.assert_allclose(
        sliding_term(points, still, jnp.ones((FRAMES, 1)), ties(follows=gap)), every * 8 / 9, rtol=1e-5
    )


def test_feet_slide_along_the_floor_and_not_across_it():
    floor = Floor.at(0.0)
    time = 0.01 * np.arange(FRAMES)[:, None, None]
    ones = jnp.ones((FRAMES, 1))
    assert standing_term(jnp.asarray(time * np.array([0.0, 1, 0])), ones, floor, ties()) == 0
    assert standing_term(jnp.asarray(time * np.array([0.0, 0, 1])), ones, floor, ties()) > FRAMES - 2


def test_gradients_are_finite_where_nothing_moves():
    states = moving(np.random.default_rng(0))
    same = jnp.zeros((FRAMES, 4, 3))
    slide = jax.grad(lambda p: sliding_term(p, states, jnp.zeros((FRAMES, 4)), ties()))(same)
    stand = jax.grad(lambda p: standing_term(p, jnp.ones((FRAMES, 4)), Floor.at(0.0), ties()))(same)
    assert np.isfinite(slide).all()
    assert not np.asarray(stand).any()
