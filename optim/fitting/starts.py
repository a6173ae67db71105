"""Where a fit starts from: every pose of the bank, seen from all sides, placed in the picture in closed form; and with
the sides of the body exchanged.

A pose seen from an azimuth is turned within the picture and scaled by the two-dimensional Procrustes fit to the seen
points (Umeyama 1991), then put where the perspective equations have their least squares. Where metric points are known,
each pose is turned onto them as well (Kabsch 1976).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry import einsum, procrustes_rotation, rotation_from_axis_angle
from hoijax.optim.fitting.observations import Observation
from hoijax.optim.fitting.points import place_points
from hoijax.optim.fitting.residuals import FACING, Evidence, residuals_at, robust_loss, view_rotation
from hoijax.optim.fitting.unknowns import PreparedBody, place_pelvis, pose_unknowns, unpack

ArrayLike = jax.Array | np.ndarray

SWAPS: tuple[str, ...] = ("none", "all", "legs", "arms")
"""Which sides of a detection are exchanged before a fit, in the order that `FitStart.swap` counts."""
_LEGS = ("hip", "knee", "ankle", "foot", "big_toe", "small_toe", "heel")
_HEAD = ("eye", "ear")


@struct.dataclass
class FitStart:
    """One place that a fit starts from, or many with a leading axis."""

    z: Float[ArrayLike, "*B N"] | Any
    """Unknowns."""
    root: Float[ArrayLike, "*B 3 3"] | Any
    """Orientation of the root."""
    swap: Int[ArrayLike, "*B"] | Any
    """Index into `SWAPS`."""
    cost: Float[ArrayLike, "*B"] | Any
    """Sum of squared residuals there."""


def swap_order(names: tuple[str, ...]) -> np.ndarray:
    """For each of `SWAPS` the index (4, N) of the point whose observation is taken instead.

    A point whose partner on the other side is not among the names keeps its own. Of a name that occurs twice (a wrist,
    by body and hand) the first partner is taken for the first, the second for the second.
    """
    order = np.tile(np.arange(len(names)), (len(SWAPS), 1))
    for i, name in enumerate(names):
        side, _, rest = name.partition("_")
        if side not in ("left", "right"):
            continue
        other = f"{'right' if side == 'left' else 'left'}_{rest}"
        places = [k for k, candidate in enumerate(names) if candidate == other]
        rank = [k for k, candidate in enumerate(names) if candidate == name].index(i)
        if rank < len(places):
            is_leg, is_head = rest in _LEGS, rest in _HEAD
            order[1, i] = places[rank]
            order[2 if is_leg else 3, i] = i if is_head else places[rank]
    return order


def exchange(observation: Observation, order: Int[ArrayLike, "N"]) -> Observation:
    """The observation with each point's numbers taken from another; names and groups stay. One person."""
    moved = jax.tree.map(
        lambda x: jnp.asarray(x)[order], observation.replace(spread=jnp.zeros_like(observation.weights))
    )
    return moved.replace(spread=observation.spread)


def find_starts(
    body: PreparedBody,
    evidence: Evidence,
    *,
    azimuths: int,
    tilts: tuple[float, ...],
    keep: int,
    swaps: bool,
    robust: Float[jax.Array, ""],
) -> FitStart:
    """The best starts: `keep` of them, from different sides, as detected, and one for each exchange of sides.

    Args:
      body: what is fitted.
      evidence: one person; its `root` is not used.
      azimuths: directions about the body's own axis that each pose is looked at from.
      tilts: angles above and below them, radians.
      keep: number of starts without an exchange.
      swaps: whether sides are exchanged.
      robust: scale of the costs.
    """
    order = jnp.asarray(swap_order(body.names)[: len(SWAPS) if swaps else 1])

    def of_exchange(row):
        seen = evidence.replace(observation=exchange(evidence.observation, row))
        return _best_of_each_side(body, seen, azimuths, tilts, robust)

    found = jax.vmap(of_exchange)(order)
    count = min(keep, azimuths + 1)
    best = jnp.argsort(found.cost, axis=1)
    swap = jnp.concatenate([jnp.zeros(count, jnp.int32), jnp.arange(1, order.shape[0], dtype=jnp.int32)])
    place = jnp.concatenate([best[0, :count], best[1:, 0]])
    return FitStart(found.z[swap, place], found.root[swap, place], swap, found.cost[swap, place])


def _best_of_each_side(
    body: PreparedBody, evidence: Evidence, azimuths: int, tilts: tuple[float, ...], robust: jax.Array
) -> FitStart:
    """For each azimuth, and for the metric points, the pose of the bank and the tilt with the least cost."""
    dtype = jnp.asarray(evidence.observation.pixels).dtype
    facing = jnp.asarray(_directions(azimuths, tilts), dtype)

    def one(pose):
        z = pose_unknowns(body, pose)
        at_origin = points_about_pelvis(body, z)
        roots = jnp.concatenate(
            [
                jax.vmap(lambda f: _roll(at_origin, f, evidence.observation, body))(facing),
                _metric_root(at_origin, evidence, body)[None],
            ]
        )
        return jax.vmap(lambda root: place_start(at_origin, z, root, body, evidence, robust))(roots)

    starts = jax.vmap(one)(jnp.asarray(body.bank))  # (P, A x tilts + 1)

    def sides(x):
        """(P x tilts, A + 1): what is compared first."""
        count = x.shape[0]
        seen = x[:, :-1].reshape(count, azimuths, len(tilts), *x.shape[2:])
        seen = jnp.moveaxis(seen, 1, 2).reshape(count * len(tilts), azimuths, *x.shape[2:])
        return jnp.concatenate([seen, jnp.repeat(x[:, -1:], len(tilts), axis=0)], axis=1)

    starts = FitStart(sides(starts.z), sides(starts.root), sides(starts.swap), sides(starts.cost))
    best, side = jnp.argmin(starts.cost, axis=0), jnp.arange(azimuths + 1)
    return FitStart(starts.z[best, side], starts.root[best, side], starts.swap[best, side], starts.cost[best, side])


def _directions(azimuths: int, tilts: tuple[float, ...]) -> np.ndarray:
    """Orientations (azimuths x tilts, 3, 3) of a person seen from all sides, azimuths first."""
    turns = []
    for azimuth in 2 * np.pi * np.arange(azimuths) / azimuths:
        for tilt in tilts:
            c, s, ct, st = np.cos(azimuth), np.sin(azimuth), np.cos(tilt), np.sin(tilt)
            about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
            about_x = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
            turns.append(FACING @ about_x @ about_y)
    return np.stack(turns)


def _usable_weights(observation: Observation, body: PreparedBody) -> jax.Array:
    weights = jnp.asarray(observation.weights)
    return weights * jnp.asarray(np.asarray(body.table.known), weights.dtype)


def _roll(points: jax.Array, facing: jax.Array, observation: Observation, body: PreparedBody) -> jax.Array:
    """An orientation turned about the optical axis so that the points' directions in the picture agree."""
    weight = _usable_weights(observation, body)
    total = jnp.maximum(jnp.sum(weight), 1e-6)
    flat, pixels = einsum("ij,nj->ni", facing, points)[:, :2], jnp.asarray(observation.pixels)
    flat = flat - (einsum("n,nc->c", weight, flat) / total)[None]
    pixels = pixels - (einsum("n,nc->c", weight, pixels) / total)[None]
    cosine = jnp.sum(weight[:, None] * flat * pixels)
    sine = jnp.sum(weight * (flat[:, 0] * pixels[:, 1] - flat[:, 1] * pixels[:, 0]))
    empty = jnp.square(cosine) + jnp.square(sine) < 1e-12
    angle = jnp.where(empty, 0.0, jnp.arctan2(sine, jnp.where(empty, 1.0, cosine)))
    axis = jnp.stack([jnp.zeros_like(angle), jnp.zeros_like(angle), angle])
    return einsum("ij,jk->ik", rotation_from_axis_angle(axis), facing)


def _metric_root(points: jax.Array, evidence: Evidence, body: PreparedBody) -> jax.Array:
    """The orientation that turns the points onto the metric ones; facing the camera where there are none."""
    seen = evidence.observation
    weight = jnp.asarray(seen.metric_weights) * jnp.asarray(np.asarray(seen.groups) == 0, points.dtype)
    weight = weight * jnp.asarray(np.asarray(body.table.known), points.dtype)
    turned = einsum("ij,nj->ni", view_rotation(seen, jnp.asarray(evidence.intrinsics.matrix)), seen.metric)
    total = jnp.maximum(jnp.sum(weight), 1e-6)
    a = points - (einsum("n,nc->c", weight, points) / total)[None]
    b = turned - (einsum("n,nc->c", weight, turned) / total)[None]
    rotation = procrustes_rotation(einsum("n,ni,nj->ij", weight, b, a))
    enough = jnp.sum(weight > 0) >= 3
    return jnp.where(enough, rotation, jnp.asarray(FACING, points.dtype))


def points_about_pelvis(body: PreparedBody, z: Float[jax.Array, "K"]) -> Float[jax.Array, "N 3"]:
    """The points of an upright body about its pelvis, metres; turning the root turns them as a whole."""
    points, joints = place_points(body.table, unpack(body, z, jnp.eye(3, dtype=z.dtype)))
    return points - joints[:1]


def place_start(
    about_pelvis: Float[jax.Array, "N 3"],
    z: Float[jax.Array, "K"],
    root: Float[jax.Array, "3 3"],
    body: PreparedBody,
    evidence: Evidence,
    robust: Float[jax.Array, ""],
) -> FitStart:
    """A pose and orientation put where the seen pixels want it: least squares of u (q_z + t_z) = q_xy + t_xy.

    Args:
      about_pelvis: of `points_about_pelvis` for the pose.
      z: unknowns of the pose, without a turn of the root.
      root: orientation.
      body: what is fitted.
      evidence: one person.
      robust: scale of the cost.
    """
    seen, matrix = evidence.observation, jnp.asarray(evidence.intrinsics.matrix)
    points = einsum("ij,nj->ni", root, about_pelvis)
    weight = _usable_weights(seen, body)
    slope = (jnp.asarray(seen.pixels) - matrix[None, :2, 2]) / jnp.stack([matrix[0, 0], matrix[1, 1]])[None]
    ones, zeros = jnp.ones_like(weight), jnp.zeros_like(weight)
    rows = jnp.concatenate([jnp.stack([ones, zeros, -slope[:, 0]], 1), jnp.stack([zeros, ones, -slope[:, 1]], 1)])
    target = jnp.concatenate([slope[:, 0] * points[:, 2] - points[:, 0], slope[:, 1] * points[:, 2] - points[:, 1]])
    weights = jnp.concatenate([weight, weight])
    normal = einsum("n,ni,nj->ij", weights, rows, rows)
    # Pulled weakly towards the mean place, which decides where too little is seen.
    pull = jnp.asarray([1e-3, 1e-3, 1e-4], z.dtype)
    mean = jnp.asarray([0.0, 0.0, 3.0], z.dtype)
    position = jnp.linalg.solve(normal + jnp.diag(pull), einsum("n,ni,n->i", weights, rows, target) + pull * mean)
    position = jnp.where(jnp.all(jnp.isfinite(position)), position, mean)
    depth = jnp.clip(position[2], 0.3, 100.0)
    position = jnp.append(position[:2] * depth / jnp.maximum(position[2], 0.3), depth)
    z = place_pelvis(z, position)
    placed = points + position[None]
    cost, _ = robust_loss(residuals_at(placed, root, z, body, evidence), len(body.names), robust)
    return FitStart(z, root, jnp.zeros((), jnp.int32), jnp.where(jnp.isfinite(cost), cost, 1e30))
