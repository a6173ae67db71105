"""One window of a track: its frames are matched and stepped together. Pure; batch windows of tracks with `vmap`.

Steps are Adam's, made smooth in time by a fixed matrix (Neuberger 1997, Sobolev gradients): a start that is smooth
stays so, and a shift of many frames takes no more steps than one of a single frame. Frames in which the object stands
still share its step, all frames share that of the shape.
"""

import functools
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel, pose_body, pose_joints
from hoijax.geometry import einsum, transform_points
from hoijax.optim.fields import BodyField
from hoijax.optim.gradient.config import Sizes
from hoijax.optim.gradient.energy import SOLE, Cloud, evaluate, find_matches
from hoijax.optim.gradient.engine import ADAM, SCOUTS, RefineProblem, Setting, choose_points, some_vertices, surface
from hoijax.optim.gradient.evaluation import measure
from hoijax.optim.gradient.result import RefineMetrics
from hoijax.optim.gradient.state import State, retract, tangent
from hoijax.optim.gradient.upright import within_freedom as projected
from hoijax.optim.sequence.temporal import (
    TemporalWeights,
    Ties,
    acceleration_term,
    sliding_term,
    standing_term,
    touches,
)


# Exempt from run-time checks: `vmap` wants one of axes instead of arrays.
@no_type_check
@struct.dataclass
class Window:
    """What stays the same through the stages of a window of T frames."""

    frames: RefineProblem
    """Targets, start and freedom have a leading axis T; body, object, floor and widths are of all frames."""
    ties: Ties
    weights: TemporalWeights
    counted: Any
    """How much each frame counts, 0 for padding, (T)."""
    body_smoother: Any
    """Steps of the body and of the object to smooth ones, (T, T); rows of frames that are held are zero."""
    object_smoother: Any
    of_object: Any
    """Which tangent coordinates are the object's turn and shift, and which are shared by all frames, (D) in {0, 1}."""
    shared: Any


OVER_FRAMES = RefineProblem(body=None, object=None, targets=0, floor=None, start=0, inverse_width=None, freedom=0)
"""Axes of `Window.frames` over its frames."""


@struct.dataclass
class WindowCarry:
    """The state of a run within a stage."""

    states: State
    """Of the frames, leading axis T; the last one whose energy was finite."""
    sound: State
    cloud: Cloud
    first: Any
    """Adam's moments, (T, D), and its number of updates."""
    second: Any
    updates: Any
    step: Any
    """Steps taken in this stage."""


def begin_window(window: Window, states: State, sizes: Sizes) -> WindowCarry:
    """Starts a stage: chooses the points that each frame looks at, forgets Adam's moments."""
    choose = jax.vmap(functools.partial(choose_points, sizes=sizes), in_axes=(OVER_FRAMES, 0))
    size, dtype = window.frames.inverse_width.shape[0], states.translation.dtype
    zeros = jnp.zeros((states.translation.shape[0], size), dtype)
    zero = jnp.zeros((), dtype)
    return WindowCarry(
        states=states, sound=states, cloud=choose(window.frames, states), first=zeros, second=zeros, updates=zero,
        step=jnp.zeros((), jnp.int32),
    )  # fmt: skip


def run_window_round(window: Window, setting: Setting, carry: WindowCarry, sizes: Sizes) -> WindowCarry:
    """Matches in every frame, then `sizes.steps_per_round` steps on the energy of all of them together."""
    frames, cloud, now = window.frames, carry.cloud, carry.states
    body, spread = frames.body, frames.body.order[:SCOUTS]
    scouts = jax.vmap(lambda index: jnp.concatenate([index, spread]))(cloud.index)

    def match(
        problem: RefineProblem, scouts: jax.Array, state: State, cloud: Cloud
    ) -> tuple[Any, jax.Array, jax.Array]:
        points, normals = surface(body, scouts, state)
        found = find_matches(
            points, normals, state.pose, problem.object, cloud, problem.targets, setting.spread, setting.facing,
            body.area, setting.let_go,
        )  # fmt: skip
        return found, jnp.concatenate([cloud.index, scouts[found.scout]]), points[: cloud.index.shape[0]]

    matches, index, points = jax.vmap(match, in_axes=(OVER_FRAMES, 0, 0, 0))(frames, scouts, now, cloud)
    parts = jax.vmap(functools.partial(_vertices, body))(index, now)
    touching = touches(points, now, frames.object, cloud)
    stands = _standing(points, window, cloud)
    given = jax.vmap(functools.partial(_skeleton, window))(frames.start)
    feet = points.shape[1] - cloud.foot_weight.shape[1] * cloud.foot_weight.shape[2]

    def energy(states: State) -> Float[jax.Array, ""]:
        posed = jax.vmap(lambda own, state: pose_body(_with(body.model, own), state.params))(parts, states)
        terms = jax.vmap(
            lambda p, points, state, cloud, matches: evaluate(
                points, state, p.start, p.object, cloud, p.targets, matches, p.floor, p.inverse_width, body.limits,
                setting.let_go,
            ),
            in_axes=(OVER_FRAMES, 0, 0, 0, 0),
        )(frames, posed.vertices, states, cloud, matches)  # fmt: skip
        each = jax.tree.map(lambda weight, term: weight * jnp.sum(window.counted * term), setting.weights, terms)
        skeleton = posed.joints, _corners(window, states)
        own, soles = posed.vertices[:, feet - touching.shape[1] : feet], posed.vertices[:, feet : points.shape[1]]
        tied = temporal_energy(window, skeleton, given, own, soles, states, touching, stands)
        return sum(jax.tree.leaves(each)) + tied

    def one(carry: WindowCarry, _: None) -> tuple[WindowCarry, None]:
        return window_step(carry, window, setting, *jax.value_and_grad(energy)(carry.states)), None

    return jax.lax.scan(one, carry, None, length=sizes.steps_per_round)[0]


def temporal_energy(
    window: Window,
    skeleton: tuple[Float[jax.Array, "T J 3"], Float[jax.Array, "T 8 3"]],
    given: tuple[Float[jax.Array, "T J 3"], Float[jax.Array, "T 8 3"]],
    points: Float[jax.Array, "T P 3"],
    soles: Float[jax.Array, "T F 3"],
    states: State,
    touching: Float[jax.Array, "T P"],
    stands: Float[jax.Array, "T F"] | None,
) -> Float[jax.Array, ""]:
    """What ties the frames.

    Args:
      window: what stays the same.
      skeleton: joints of the body and corners of the object's box, metres.
      given: the same of the start. It is the likeliest motion by its accelerations already; what counts are those
        of what is changed of it, which pull nothing away from the start.
      points: of the parts that may touch, metres.
      soles: of the feet.
      states: the variables.
      touching: from `touches`.
      stands: how much each point of the feet stands on the floor; None without a floor.
    """
    ties, weights = window.ties, window.weights
    joints, corners = (now - before for now, before in zip(skeleton, given))
    ones = jnp.ones(corners.shape[1], joints.dtype)
    total = weights.acceleration * (
        acceleration_term(joints, ties.joints, ties) + acceleration_term(corners, ones, ties)
    )
    total = total + weights.sliding * sliding_term(points, states, touching, ties)
    if stands is not None:
        total = total + weights.standing * standing_term(soles, stands, window.frames.floor, ties)
    return total


def _skeleton(window: Window, state: State) -> tuple[jax.Array, jax.Array]:
    """Joints of the body and corners of the object's box, of one frame."""
    joints = pose_joints(window.frames.body.model, state.params).joints
    return joints, transform_points(state.pose, window.ties.corners)


def _corners(window: Window, states: State) -> Float[jax.Array, "T 8 3"]:
    return jax.vmap(lambda s: transform_points(s.pose, window.ties.corners))(states)


def window_step(
    carry: WindowCarry, window: Window, setting: Setting, energy: Float[jax.Array, ""], gradient: State
) -> WindowCarry:
    """One step of Adam on the manifold, smoothed over the frames; one that is not finite is undone."""
    g = jax.vmap(tangent)(carry.states, gradient)
    finite = jnp.isfinite(energy) & jnp.all(jnp.isfinite(g))
    running = finite & (carry.step < setting.steps)
    g = jnp.where(finite, g, 0)
    decay1, decay2, floor = ADAM
    updates = carry.updates + 1
    first = decay1 * carry.first + (1 - decay1) * g
    second = decay2 * carry.second + (1 - decay2) * g * g
    direction = first / (1 - decay1**updates)
    size = jnp.sqrt(second / (1 - decay2**updates)) + floor
    progress = carry.step.astype(g.dtype) / jnp.maximum(setting.steps, 1).astype(g.dtype)
    rate = setting.final_rate + (1 - setting.final_rate) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    move = -rate * setting.rates[None] * smoothed(direction / size, window)
    moved = jax.vmap(lambda s, m, free: retract(s, projected(m, free)))(carry.states, move, window.frames.freedom)
    moves = jnp.any(window.body_smoother != 0, axis=1), jnp.any(window.object_smoother != 0, axis=1)
    moved = _held(moved, carry.states, *moves)
    states = jax.tree.map(
        lambda new, kept, old: jnp.where(running, new, jnp.where(finite, old, kept)), moved, carry.sound, carry.states
    )
    return carry.replace(
        states=states,
        sound=jax.tree.map(lambda old, kept: jnp.where(finite, old, kept), carry.states, carry.sound),
        first=jnp.where(finite, first, 0),
        second=jnp.where(finite, second, 0),
        updates=jnp.where(finite, updates, 0),
        step=carry.step + running.astype(carry.step.dtype),
    )


def smoothed(direction: Float[jax.Array, "T D"], window: Window) -> Float[jax.Array, "T D"]:
    """Directions of all frames made smooth in time; of the object as it moves, of what is shared one for all."""
    counted = window.counted[:, None]
    mean = jnp.sum(counted * direction, axis=0, keepdims=True) / jnp.maximum(jnp.sum(counted), 1)
    body = einsum("st,td->sd", window.body_smoother, direction)
    object = einsum("st,td->sd", window.object_smoother, direction)
    own = jnp.where(window.of_object[None] > 0, object, body)
    return jnp.where(window.shared[None] > 0, jnp.broadcast_to(mean, own.shape), own)


def _held(moved: State, before: State, body: jax.Array, object: jax.Array) -> State:
    """Frames that are held keep their bits, which a step of zero would round; what is shared moves in all."""

    def keep(name: str, moves: jax.Array) -> jax.Array:
        new, old = getattr(moved, name), getattr(before, name)
        return jnp.where(moves.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return moved.replace(
        rotations=keep("rotations", body),
        translation=keep("translation", body),
        object_rotation=keep("object_rotation", object),
        object_translation=keep("object_translation", object),
    )


def _vertices(body: BodyField, index: Int[jax.Array, "M"], now: State) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Template, shape directions and skinning weights of some vertices, pose correctives put in as they are now."""
    small = some_vertices(body, index, now)
    return small.v_template, small.shape_dirs, small.skin_weights


def _with(model: BodyModel, own: tuple[jax.Array, jax.Array, jax.Array]) -> BodyModel:
    """The model with some vertices in the place of its own."""
    return model.replace(
        v_template=own[0], shape_dirs=own[1], skin_weights=own[2], pose_basis=None, colors=None, landmarks=()
    )


def _standing(points: Float[jax.Array, "T M 3"], window: Window, cloud: Cloud) -> Float[jax.Array, "T F"] | None:
    """How much each point of the feet stands: it is of a foot that does, and near the floor; not differentiated."""
    floor = window.frames.floor
    if floor is None:
        return None
    count = cloud.foot_weight.shape[1] * cloud.foot_weight.shape[2]
    height = -jnp.sum(points[:, points.shape[1] - count :] * floor.gravity[None, None], axis=-1) - floor.level
    near = jnp.exp(-jnp.maximum(height, 0) / SOLE)
    return jax.lax.stop_gradient(near * (cloud.foot_weight > 0).reshape(near.shape).astype(near.dtype))


def measure_window(window: Window, states: State) -> RefineMetrics:
    """The metrics of every frame, one after the other, since each needs much memory."""
    targets, start, freedom = window.frames.targets, window.frames.start, window.frames.freedom

    def one(row: tuple[Any, ...]) -> RefineMetrics:
        own, first, free, state = row
        return measure(window.frames.replace(targets=own, start=first, freedom=free), state)

    return jax.lax.map(one, (targets, start, freedom, states))
