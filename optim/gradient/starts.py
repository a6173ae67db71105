"""Other starts of one interaction: a search, by distances alone, for a placement that touches and does not penetrate.

Gradients lead to the nearest minimum, and of a body that starts with its shins in a deep seat, or on the wrong side of
a backrest, that is a bad one. Here body and object are moved as wholes, and who sits is posed a little otherwise, in
the ways in which estimates are wrong: shifts, turns, how far the trunk leans and bends, how high the thighs are, how
far the knees are stretched. Many moves are tried, then smaller ones around the best of them. A try needs no gradient
and no correspondence: distances of some vertices to the object, and of balls within the body, which know its inside and
find what a shin is in though no vertex is.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int
from scipy.special import ndtri

from hoijax.body_models import joint_limit_penalty, pose_body
from hoijax.geometry import (
    einsum,
    nearest,
    rotation_from_axis_angle,
    safe_norm,
    safe_normalize,
    transform_points,
)
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import object_sdf
from hoijax.optim.fields import BodyField
from hoijax.optim.gradient.config import RefineConfig, Starts, expand_groups
from hoijax.optim.gradient.energy import Cloud, squared_distances
from hoijax.optim.gradient.engine import RefineProblem, choose_points, some_vertices
from hoijax.optim.gradient.result import RefineMetrics
from hoijax.optim.gradient.state import State, joint_groups, keep_frozen, moves_object
from hoijax.optim.gradient.upright import stands

Entry = Float[ArrayLike, "*B"] | tuple[float, float] | Any
"""One number per move, or the mean and width of those that are drawn."""


class Move(NamedTuple):
    """One move; metres and radians."""

    front: Entry
    """Shift of the body, relative to the object, along its front;"""
    side: Entry
    """to its left;"""
    up: Entry
    """upward."""
    yaw: Entry
    """Turn of the body about the vertical."""
    lean: Entry
    """Turn of the trunk backward about the hips; the thighs stay."""
    bend: Entry
    """Bend of the spine forward."""
    thighs: Entry
    """Lift of the thighs; the shins keep their direction."""
    knees: Entry
    """Stretch of the knees."""
    pitch: Entry
    """Turn of a free object about the body's left;"""
    turn: Entry
    """about the vertical;"""
    roll: Entry
    """about the body's front."""


FIRST = Move(
    front=(0.08, 0.14), side=(0.0, 0.08), up=(0.04, 0.09), yaw=(0.0, 0.2), lean=(0.2, 0.25), bend=(0.1, 0.18),
    thighs=(0.05, 0.15), knees=(0.2, 0.3), pitch=(0.0, 0.3), turn=(0.0, 0.4), roll=(0.0, 0.3),
)  # fmt: skip
"""Mean and width of the moves that are tried first; of those of the posture only for who sits or lies."""
POSTURE, BODILY, OF_OBJECT = ("lean", "bend", "thighs", "knees"), ("yaw",), ("pitch", "turn", "roll")
"""Which of them are of the posture, of a body relative to an object that stands, of an object that is free."""
TRIED, KEPT, ROUND, WIDTHS = 192, 8, 16, (0.4, 0.15, 0.06)
"""Moves tried at first, how many of the best go on, the moves tried round each of these, and their widths."""
DEEP, FAR, MOST, FOOT, SHIFT, TURN, BEYOND = 0.004, 0.006, 0.3, 0.15, 0.06, 0.015, 0.05
"""What a try costs, in metres: that deep or far it is as good as perfect; most that one part counts; how the height of
feet above the floor, a metre of shift and a radian of turn count."""
BODY_POINTS = 320
"""Body vertices that are asked for their depth."""
BALLS = 7
"""Balls along each bone."""
MISS, CLOSER, NEAR, STRAY = 0.05, 0.3, 0.06, 0.06
"""How much worse a result is, in metres, by each thing that misses the rule, by a metre that a part is too far (up to
`NEAR`), and by a metre that it is farther from the estimate."""


@struct.dataclass
class Core:
    """Balls within a body, spread along its bones."""

    parent: Int[ArrayLike, "C"] | Any
    """The joint on whose bone each lies."""
    child: Int[ArrayLike, "C"] | Any
    """The joint at the other end of the bone."""
    share: Float[ArrayLike, "C"] | Any
    """How far from parent to child."""
    radius: Float[ArrayLike, "C"] | Any
    """Metres, of the rest pose."""


def core_of(body: BodyField) -> Core:
    """The balls of a body: as large as the rest pose lets them be. Fingers, jaw and eyes have none."""
    model = body.model
    rest = jnp.asarray(model.joint_template)
    groups = joint_groups(model.joint_names)
    child = [j for j, g in enumerate(groups) if j > 0 and g in ("root", "torso", "arms", "legs")]
    child = np.repeat(np.asarray(child, np.int32), BALLS)
    parent = np.asarray(model.parents, np.int32)[child]
    share = np.tile(np.arange(BALLS) / BALLS, len(child) // BALLS).astype(np.float32)
    share = jnp.asarray(share, rest.dtype)
    place = rest[parent] + share[:, None] * (rest[child] - rest[parent])
    return Core(parent=parent, child=child, share=share, radius=nearest(place, jnp.asarray(model.v_template)).distance)


def sequence(count: int, size: int) -> Float[np.ndarray, "count size"]:
    """Normal deviates spread evenly without a random number: the sequence of Roberts (2018) in `size` dimensions."""
    root = 2.0
    for _ in range(64):
        root = (1 + root) ** (1 / (size + 1))
    steps = root ** -np.arange(1.0, size + 1)
    return ndtri((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0).clip(-2, 2).astype(np.float32)


def moved_start(
    start: State,
    move: Move,
    up: Float[jax.Array, "3"],
    joint_names: tuple[str, ...],
    by_object: jax.Array | float = 0.0,
    freedom: Float[jax.Array, "2 3 3"] | None = None,
    middle: Float[jax.Array, "3"] | None = None,
) -> State:
    """The start with its body moved, or its object.

    Args:
      start: any.
      move: how.
      up: unit vector.
      joint_names: of the body, to find hips, knees and spine by.
      by_object: 1 where the object is shifted (the other way) and turned, 0 where the body is.
      freedom: see `RefineProblem.freedom`.
      middle: of the object, canonical frame, about which it turns; None: its origin.
    """
    root = start.rotations[0]
    left = safe_normalize(root[:, 0] - jnp.sum(root[:, 0] * up) * up)
    front = jnp.cross(left, up)
    by_object = jnp.asarray(by_object, root.dtype)
    yaw = rotation_from_axis_angle((1 - by_object) * move.yaw * up)
    zero = jnp.zeros((), root.dtype)

    def about_x(angle: jax.Array) -> jax.Array:
        return rotation_from_axis_angle(jnp.stack([angle, zero, zero]))

    rotations = start.rotations.at[0].set(einsum("ij,jk,kl->il", yaw, root, about_x(-move.lean)))
    turns = {"spine1": move.bend / 3, "spine2": move.bend / 3, "spine3": move.bend / 3}
    for side in ("left", "right"):
        turns |= {f"{side}_hip": move.lean - move.thighs, f"{side}_knee": move.thighs - move.knees}
    for name, angle in turns.items():
        if name in joint_names:
            joint = joint_names.index(name)
            rotations = rotations.at[joint].set(einsum("ij,jk->ik", about_x(angle), start.rotations[joint]))
    shift = move.front * front + move.side * left + move.up * up
    moved = start.replace(rotations=rotations, translation=start.translation + (1 - by_object) * shift)
    # The object turns about its middle: R' = R exp(w), t' = t + s (R - R') m, within what is free.
    middle = jnp.zeros(3, root.dtype) if middle is None else middle
    axis = einsum("ji,j->i", start.object_rotation, move.pitch * left + move.turn * up + move.roll * front)
    away = -shift
    if freedom is not None:
        axis, away = einsum("ij,j->i", freedom[0], axis), einsum("ij,j->i", freedom[1], away)
    turned = einsum("ij,jk->ik", start.object_rotation, rotation_from_axis_angle(by_object * axis))
    carried = start.object_scale * einsum("ij,j->i", start.object_rotation - turned, middle)
    return moved.replace(
        object_rotation=turned, object_translation=start.object_translation + carried + by_object * away
    )


def ranked_starts(problem: RefineProblem, config: RefineConfig) -> State:
    """The `config.starts.tries` best starts of one interaction, best first, leading axis K. `vmap` for more."""
    start, model = problem.start, problem.body.model
    dtype = start.translation.dtype
    cloud = choose_points(problem, start, dataclasses.replace(config.sizes, body_points=BODY_POINTS))
    core, names = core_of(problem.body), model.joint_names
    up = _up(problem, start)
    middle = jnp.mean(problem.object.points[:256], axis=0)
    by_object = _by_object(problem, config)
    mean, width = (jnp.asarray([v[i] for v in FIRST], dtype) for i in (0, 1))
    used = _move_mask(problem, by_object)

    def state_of(move: jax.Array) -> State:
        moved = moved_start(start, Move(*move), up, names, by_object, problem.freedom, middle)
        return keep_frozen(model, config.freeze, moved, start)

    def cost(move: jax.Array) -> jax.Array:
        return placement_cost(problem, state_of(move), cloud, core) + move_cost(move)

    # The given start is among the first.
    deviates = jnp.asarray(sequence(TRIED, len(FIRST)), dtype)
    first = jnp.concatenate([jnp.zeros((1, len(FIRST)), dtype), used[None] * (mean[None] + width[None] * deviates)])
    near = jnp.asarray(sequence(ROUND, len(FIRST)), dtype)
    more = KEPT * ROUND

    def search(kept: tuple[jax.Array, jax.Array], turn: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], None]:
        moves, costs = kept
        begins, scale, count = turn
        closer = (moves[:, None] + (scale * used * width)[None, None] * near[None]).reshape(more, len(FIRST))
        tries = jnp.where(begins, first, jnp.zeros_like(first).at[:more].set(closer))
        found = jnp.full(len(first), jnp.inf, dtype)
        found = jax.lax.fori_loop(0, count, lambda i, found: found.at[i].set(cost(tries[i])), found)
        # The best of all at first; then each goes on for itself, so that those found at last still differ.
        each = found[:more].reshape(KEPT, ROUND)
        best = jax.lax.top_k(-found, KEPT)[1]
        own = jnp.argmin(each, axis=1).astype(best.dtype) + ROUND * jnp.arange(KEPT, dtype=best.dtype)
        index = jnp.where(begins, best, own)
        better = begins | (found[index] < costs)
        return (jnp.where(better[:, None], tries[index], moves), jnp.where(better, found[index], costs)), None

    # One loop over rounds whose numbers of tries differ: the cost of a try is most of this program, and is in it once.
    turns = (
        jnp.arange(1 + len(WIDTHS)) == 0,
        jnp.asarray((0.0, *WIDTHS), dtype),
        jnp.asarray((len(first), *(more for _ in WIDTHS))),
    )
    nothing = jnp.zeros((KEPT, len(FIRST)), dtype), jnp.zeros(KEPT, dtype)
    (moves, costs), _ = jax.lax.scan(search, nothing, turns)
    return jax.vmap(state_of)(moves[jax.lax.top_k(-costs, config.starts.tries)[1]])


def move_cost(move: Float[jax.Array, "D"]) -> Float[jax.Array, ""]:
    """What it costs to be away from the estimate, metres."""
    return SHIFT * safe_norm(move[:3]) + TURN * jnp.sum(jnp.abs(move[3:]))


def placement_cost(problem: RefineProblem, state: State, cloud: Cloud, core: Core) -> Float[jax.Array, ""]:
    """How far a start is from touching without penetrating, metres: depths, distances of parts, heights."""
    posed = pose_body(some_vertices(problem.body, cloud.index, problem.start), state.params)
    points, pose, targets = posed.vertices, state.pose, problem.targets
    distance = object_sdf(problem.object.sdf, pose, points)
    balls = posed.joints[core.parent]
    balls = balls + core.share[:, None] * (posed.joints[core.child] - balls)
    within = core.radius - object_sdf(problem.object.sdf, pose, balls)
    deep = jnp.maximum(jnp.max(-distance), jnp.max(within))
    cost = 2 * jax.nn.relu(deep - DEEP)

    shape = cloud.part_weight.shape
    if cloud.part_weight.size:
        far, parts = jnp.abs(distance[cloud.parts]).reshape(shape), points[cloud.parts]
        if targets.regions is not None:
            regions = targets.regions
            place = transform_points(pose, regions.points.reshape(-1, 3)).reshape(regions.points.shape)
            gap = jnp.sqrt(jnp.min(jax.vmap(squared_distances)(parts.reshape(*shape, 3), place), axis=2))
            gap = jax.nn.relu(gap - pose.scale * regions.spacing[:, None])
            far = jnp.where(regions.given[:, None] > 0, jnp.maximum(far, gap), far)
        asked = cloud.part_weight > 0.5
        # Of each part its nearest tenth, as results are judged.
        few = -(-shape[1] // 10)
        ranked = -jax.lax.top_k(jnp.where(asked, -far, -MOST), few)[0]
        reach = jnp.minimum(jax.nn.relu(jnp.mean(ranked, axis=1) - FAR), MOST)
        cost = cost + jnp.sum(jnp.where(jnp.any(asked, axis=1), reach, 0))
        template = transform_points(pose, problem.object.points[: targets.object.shape[0]])
        unasked = jnp.where(asked.reshape(-1), 0, MOST)
        gap = jnp.min(safe_norm(template[:, None] - parts[None]) + unasked[None], axis=1)
        number = jnp.sum(targets.object)
        cost = cost + jnp.sum(targets.object * jnp.minimum(gap, MOST)) / jnp.where(number > 0, number, 1)

    if problem.floor is not None:
        height = -einsum("vc,c->v", points, problem.floor.gravity) - problem.floor.level
        foot = jnp.where(cloud.foot_weight > 0, height[cloud.feet].reshape(cloud.foot_weight.shape), jnp.inf)
        lowest = jnp.min(foot, axis=1)
        lowest = jnp.where(jnp.isfinite(lowest), lowest, 0)
        cost = cost + 2 * jax.nn.relu(-jnp.min(height)) + FOOT * jnp.sum(jnp.minimum(jnp.abs(lowest), 0.3))
    return cost + BEYOND * jnp.sqrt(joint_limit_penalty(state.rotations, problem.body.limits) + 1e-12)


def _by_object(problem: RefineProblem, config: RefineConfig) -> jax.Array:
    """1 where the object is what moves, (): one that nothing holds, or with a body that must not."""
    frozen = set(expand_groups(config.freeze))
    if not moves_object(config.freeze):
        return jnp.zeros((), problem.start.translation.dtype)
    held = bool({"root", "translation"} & frozen)
    rests = jnp.any(problem.targets.rest_weight > 0) if problem.floor is not None else jnp.asarray(False)
    free = jnp.asarray(held) | ~(rests | stands(problem.targets, problem.floor))
    return free.astype(problem.start.translation.dtype)


def _move_mask(problem: RefineProblem, by_object: jax.Array) -> Float[jax.Array, "D"]:
    """Which moves are tried, 1 or 0 each."""
    model, dtype = problem.body.model, by_object.dtype
    trunk = np.flatnonzero([
        group in ("root", "torso") or name.endswith("hip")
        for group, name in zip(joint_groups(model.joint_names), model.joint_names)
    ])  # fmt: skip
    own = jnp.sum(jnp.asarray(model.skin_weights)[:, trunk], axis=1) > 0.5
    # Who is touched at trunk or thighs sits or lies.
    rests = jnp.any((problem.targets.parts > 0.5) & own[None]).astype(dtype)
    one = jnp.ones((), dtype)
    kinds = {
        **dict.fromkeys(POSTURE, rests),
        **dict.fromkeys(BODILY, 1 - by_object),
        **dict.fromkeys(OF_OBJECT, by_object),
    }
    return jnp.stack([kinds.get(name, one) for name in Move._fields])


def shortfall(metrics: RefineMetrics, starts: Starts) -> Float[jax.Array, "*B"]:
    """By how much results miss the rule, metres, what penetrates counted twice; 0 where they keep it."""
    deep = 2 * jax.nn.relu(metrics.max_penetration - starts.deep)
    far = jnp.sum(jnp.minimum(jax.nn.relu(metrics.contact - starts.far), 0.1), axis=-1)
    return deep + far


def badness(metrics: RefineMetrics, moved: Float[ArrayLike, "*B"], starts: Starts) -> Float[jax.Array, "*B"]:
    """What results of several starts are compared by, metres: how much is missed, how far, and how far they strayed.

    A part that is missed anyhow is not worth going far for: nobody lies down to touch a bench with his back.
    """
    deep = jax.nn.relu(metrics.max_penetration - starts.deep)
    far = jax.nn.relu(metrics.contact - starts.far)
    missed = jnp.sum((far > 0).astype(far.dtype), axis=-1) + (deep > 0).astype(far.dtype)
    nearer = CLOSER * jnp.sum(jnp.minimum(far, NEAR), axis=-1)
    return MISS * missed + 2 * deep + nearer + STRAY * jnp.asarray(moved)


def _up(problem: RefineProblem, start: State) -> jax.Array:
    """Against gravity; without a floor along the body's own spine."""
    return start.rotations[0][:, 1] if problem.floor is None else -problem.floor.gravity
