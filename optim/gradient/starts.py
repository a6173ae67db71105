"""Other starts of one interaction: the body shifted, turned and posed a little otherwise, screened by the energy.

Gradients lead to the nearest minimum, and of a body that starts with its shins in a deep seat, or on the wrong side of
a backrest, that is a bad one. The starts tried are those by which estimates are wrong: along the body's front, in
height, in turn, and in how far it leans and stretches its knees.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hoijax.geometry import einsum, rotation_from_axis_angle, safe_norm, safe_normalize
from hoijax.optim.gradient.config import RefineConfig, Starts
from hoijax.optim.gradient.energy import evaluate, find_matches
from hoijax.optim.gradient.engine import Problem, Setting, choose_points, cloud_of, surface
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.result import RefineMetrics, RefineResult
from hoijax.optim.gradient.state import State, keep_frozen

#: Shifts of the body to its front, metres; to its left; upward.
FRONT, SIDE, UP = (-0.15, 0.0, 0.12, 0.25, 0.4), (-0.12, 0.0, 0.12), (0.0, 0.1)
#: Turns of the body about the vertical, degrees.
YAW = (-20.0, 0.0, 20.0)
#: Leans backward and stretched knees, degrees.
POSES = ((0.0, 0.0), (15.0, 0.0), (30.0, 0.0), (0.0, 30.0), (15.0, 30.0))
#: How much a metre of shift, and a radian of turn, cost a start, in the energy's unit.
FAR, ASKEW = 20.0, 3.0
#: What it counts to touch a surface that looks the same way, metres: a seat is sat on from above, not at its edge.
FACING = 0.6
#: How much worse a result is by a metre that it is farther from the estimate, metres.
STRAY = 0.06
#: Body vertices among which the nearest to each object point is sought.
SCOUTS = 512


def moves() -> Float[np.ndarray, "K 6"]:
    """The starts as (front, side, up, yaw, lean, knees); metres and radians."""
    rows = []
    for front, side, up, yaw, (lean, knees) in itertools.product(FRONT, SIDE, UP, YAW, POSES):
        # A corner of the box of all moves is an estimate wrong in every way at once: at most two at a time.
        if sum((front != 0, side != 0, up != 0, yaw != 0, bool(lean or knees))) <= 2:
            rows.append((front, side, up, *np.radians((yaw, lean, knees))))
    return np.asarray(rows, np.float32)


def moved_start(
    start: State, move: Float[jax.Array, "6"], up: Float[jax.Array, "3"], joint_names: tuple[str, ...]
) -> State:
    """The start with its body moved.

    Args:
      start: any.
      move: see `moves`.
      up: unit vector.
      joint_names: of the body, to find hips and knees by.
    """
    root = start.rotations[0]
    left = safe_normalize(root[:, 0] - jnp.sum(root[:, 0] * up) * up)
    front = jnp.cross(left, up)
    yaw = rotation_from_axis_angle(move[3] * up)
    zero = jnp.zeros((), move.dtype)

    def about_x(angle: jax.Array) -> jax.Array:
        return rotation_from_axis_angle(jnp.stack([angle, zero, zero]))

    rotations = start.rotations.at[0].set(einsum("ij,jk,kl->il", yaw, root, about_x(-move[4])))
    for name, angle in (
        ("left_hip", move[4]),
        ("right_hip", move[4]),
        ("left_knee", -move[5]),
        ("right_knee", -move[5]),
    ):
        if name in joint_names:
            joint = joint_names.index(name)
            rotations = rotations.at[joint].set(einsum("ij,jk->ik", about_x(angle), start.rotations[joint]))
    shift = move[0] * front + move[1] * left + move[2] * up
    return start.replace(rotations=rotations, translation=start.translation + shift)


def ranked_starts(problem: Problem, setting: Setting, config: RefineConfig) -> State:
    """The `config.starts.tries` best of all starts of one interaction, best first, leading axis K. `vmap` for more."""
    table = jnp.asarray(moves(), problem.start.translation.dtype)
    up = _up(problem.floor, problem.start)
    names = problem.body.model.joint_names

    def state_of(move: jax.Array) -> State:
        moved = moved_start(problem.start, move, up, names)
        return keep_frozen(problem.body.model, config.freeze, moved, problem.start)

    def cost(move: jax.Array) -> jax.Array:
        far = FAR * safe_norm(move[:3]) + ASKEW * jnp.sum(jnp.abs(move[3:]))
        return start_energy(problem, setting, state_of(move), config) + far

    best = jax.lax.top_k(-jax.lax.map(cost, table), config.starts.tries)[1]
    return jax.vmap(state_of)(table[best])


def start_energy(problem: Problem, setting: Setting, state: State, config: RefineConfig) -> Float[jax.Array, ""]:
    """How far a start is from touching without penetrating: the energy without what holds it to the estimate."""
    body = problem.body
    cloud = choose_points(problem, state, config.sizes)
    scouts = jnp.concatenate([cloud.index, body.order[:SCOUTS]])
    points, normals = surface(body, scouts, state)
    matches = find_matches(
        points,
        normals,
        state.pose,
        problem.object,
        cloud,
        problem.targets,
        setting.spread,
        FACING,
        body.area,
    )
    place = cloud_of(body, state, jnp.concatenate([cloud.index, scouts[matches.scout]]))(state)
    terms = evaluate(
        place, state, state, problem.object, cloud, problem.targets, matches, problem.floor, problem.inverse_width,
        body.limits,
    )  # fmt: skip
    return terms.contact + 0.03 * (terms.penetration + terms.interior) + 0.3 * terms.floor


def shortfall(metrics: RefineMetrics, starts: Starts) -> Float[jax.Array, "*B"]:
    """By how much results miss the rule, metres, what penetrates counted twice; 0 where they keep it."""
    deep = 2 * jax.nn.relu(metrics.max_penetration - starts.deep)
    far = jnp.sum(jnp.minimum(jax.nn.relu(metrics.contact - starts.far), 0.1), axis=-1)
    return deep + far


def badness(result: RefineResult, starts: Starts) -> Float[jax.Array, "*B"]:
    """What results of several starts are compared by: how far they miss the rule, and a little how far they strayed."""
    return shortfall(result.after, starts) + STRAY * jnp.asarray(result.moved)


def _up(floor: Floor | None, start: State) -> jax.Array:
    """Against gravity; without a floor along the body's own spine."""
    return start.rotations[0][:, 1] if floor is None else -floor.gravity
