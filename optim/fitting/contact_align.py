"""An object brought to a body by their contacts: iterative closest points from many turns, and the released step.

Points of the object's contact are matched with points of the body's, both ways; surfaces that touch face each other,
so a pair whose normals do not is farther apart. In every iteration the matches are made anew, the worst fifth is left
out, and the rest is solved, places and directions together, by Procrustes' formula with probabilities as weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import pose_body
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, einsum, face_areas, procrustes_rotation
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.fitting.joint_problem import BODY_CONTACT, LEAST_CONTACT, PAIRS, JointProblem

TOUCHING = BODY_CONTACT + PAIRS
FLIP = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
"""From an object's frame (y up) to the camera's (y down): how published fits begin."""


@dataclasses.dataclass(frozen=True)
class AlignConfig:
    """How contacts are matched; static."""

    iterations: int = 8
    """Rounds of matching."""
    normal_length: float = 0.1
    """Metres that opposite directions of normals count as."""
    trimmed: float = 0.2
    """Share of the pairs that is left out, the worst."""

    def __post_init__(self):
        if self.iterations < 1 or self.normal_length < 0 or not 0 <= self.trimmed < 1:
            raise InputError(f"an alignment needs an iteration, a length and a share below 1, got {self}")


@struct.dataclass
class ContactClouds:
    """Points in contact on both sides; weights of zero fill up."""

    body: Float[ArrayLike, "Q 3"] | Any
    """Camera frame."""
    body_normals: Float[ArrayLike, "Q 3"] | Any
    """Outward."""
    body_weight: Float[ArrayLike, "Q"] | Any
    """Probabilities."""
    points: Float[ArrayLike, "P 3"] | Any
    """Of the object, about its middle."""
    normals: Float[ArrayLike, "P 3"] | Any
    """Outward."""
    weight: Float[ArrayLike, "P"] | Any
    """Probabilities."""
    known: Float[ArrayLike, ""] | Any
    """0: the object's points are any of its surface, so they need not all be touched."""
    middle: Float[ArrayLike, "3"] | Any
    """Centroid of the whole body's surface, camera frame: where published fits begin with the object."""


def contact_clouds(problem: JointProblem) -> ContactClouds:
    """Both sides of a problem, the body as it was estimated."""
    body = pose_body(problem.model, problem.params).vertices
    whole = pose_body(problem.surface, problem.params).vertices
    corners = whole[jnp.asarray(problem.surface.faces)]
    middle = _mean(jnp.mean(corners, axis=1), face_areas(whole, problem.surface.faces))
    return ContactClouds(
        body[:TOUCHING], jnp.asarray(problem.normals)[:TOUCHING], jnp.asarray(problem.touching)[:TOUCHING],
        jnp.asarray(problem.points),
        jnp.asarray(problem.point_normals), jnp.asarray(problem.likely), jnp.asarray(problem.known), middle,
    )  # fmt: skip


def align_contacts(
    clouds: ContactClouds, turns: Float[ArrayLike, "N 3 3"], config: AlignConfig = AlignConfig()
) -> tuple[RigidPose, Float[jax.Array, "N"]]:
    """Aligns the object from each of N turns; pure.

    Args:
      clouds: points in contact.
      turns: where to begin, camera frame.
      config: how.

    Returns:
      Poses of the object's middle (N), scale 1, and what is left: the mean distance of the matches, metres, with the
      normals' part. With nothing to match a turn stays, its middle at the body's.
    """
    turns = jnp.asarray(turns)
    body, points = clouds.body, clouds.points
    body_mean, mean = (_mean(x, w) for x, w in ((body, clouds.body_weight), (points, clouds.weight)))
    enough = (jnp.sum(clouds.body_weight > 0) >= LEAST_CONTACT) & (jnp.sum(clouds.weight > 0) >= LEAST_CONTACT)

    def one(turn: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        start = turn, body_mean - _turned(turn, mean[None])[0]

        def step(pose: tuple, _: None) -> tuple[tuple, None]:
            (source, ours), (target, theirs), weight, _ = _match(clouds, *pose, config)
            total = jnp.maximum(jnp.sum(weight), 1e-9)
            a, b = (einsum("n,ni->i", weight, x) / total for x in (source, target))
            # Directions are solved for together with places: otherwise a matching by both need not come to rest.
            covariance = einsum("n,ni,nj->ij", weight, target - b[None], source - a[None])
            covariance = covariance - config.normal_length**2 * einsum("n,ni,nj->ij", weight, theirs, ours)
            rotation = procrustes_rotation(covariance)
            moved = rotation, b - _turned(rotation, a[None])[0]
            return jax.tree.map(lambda new, old: jnp.where(enough, new, old), moved, pose), None

        rotation, translation = jax.lax.scan(step, start, None, length=config.iterations)[0]
        _, _, weight, gap = _match(clouds, rotation, translation, config)
        left = jnp.sum(weight * gap) / jnp.maximum(jnp.sum(weight), 1e-9)
        return rotation, translation, jnp.where(enough, left, jnp.inf)

    rotation, translation, left = jax.vmap(one)(turns)
    return RigidPose(rotation, translation, jnp.ones_like(left)), left


def legacy_align(clouds: ContactClouds) -> tuple[RigidPose, int]:
    """The released alignment: its features are never moved, so it is one matching and one solution.

    Points and unit normals make one vector of six numbers, every point of the object has one partner, probabilities
    count for nothing; the second iteration repeats the first and stops. Begins with the object's middle at the body's.

    Returns:
      The pose of the object's middle, scale 1, and the number of iterations.
    """
    middle = jnp.asarray(clouds.middle)
    points = _turned(jnp.asarray(FLIP), clouds.points)
    points = points + jnp.broadcast_to(middle, points.shape)
    ours = jnp.concatenate([points, _turned(jnp.asarray(FLIP), clouds.normals)], axis=1)
    theirs = jnp.concatenate([clouds.body, -clouds.body_normals], axis=1)
    gap = jnp.sum(jnp.square(ours[:, None] - theirs[None]), axis=-1)
    target = clouds.body[jnp.argmin(jnp.where(clouds.body_weight > 0, 0.0, jnp.inf)[None] + gap, axis=1)]
    weight = (clouds.weight > 0).astype(points.dtype)
    total = jnp.maximum(jnp.sum(weight), 1.0)
    a, b = (einsum("n,ni->i", weight, x) / total for x in (clouds.points, target))
    covariance = einsum("n,ni,nj->ij", weight, target - b[None], clouds.points - a[None])
    rotation = procrustes_rotation(covariance)
    enough = (jnp.sum(clouds.body_weight > 0) >= LEAST_CONTACT) & (jnp.sum(clouds.weight > 0) >= LEAST_CONTACT)
    rotation = jnp.where(enough, rotation, jnp.asarray(FLIP))
    moved = jnp.where(enough, b - _turned(rotation, a[None])[0], middle)
    return RigidPose(rotation, moved, jnp.ones((), points.dtype)), 2


def _match(
    clouds: ContactClouds, rotation: jax.Array, translation: jax.Array, config: AlignConfig
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array], jax.Array, jax.Array]:
    """Pairs, both ways: points and normals of the object as they are, of the body, weights, and distances."""
    points, normals = _turned(rotation, clouds.points), _turned(rotation, clouds.normals)
    points = points + jnp.broadcast_to(translation, points.shape)
    offset = jnp.sum(jnp.square(points[:, None] - clouds.body[None]), axis=-1)
    facing = jnp.sum(jnp.square(normals[:, None] + clouds.body_normals[None]), axis=-1)
    gap = jnp.sqrt(offset + config.normal_length**2 * facing + 1e-12)
    ours, theirs = clouds.weight > 0, clouds.body_weight > 0
    to_body = jnp.argmin(jnp.where(theirs[None], gap, jnp.inf), axis=1)
    to_object = jnp.argmin(jnp.where(ours[:, None], gap, jnp.inf), axis=0)
    rows, columns = jnp.arange(len(to_body)), jnp.arange(len(to_object))
    # Where nothing is known of the object, only the body's points must find a partner.
    first = _share(clouds.known * clouds.weight, gap[rows, to_body], config.trimmed)
    second = _share(clouds.body_weight, gap[to_object, columns], config.trimmed)
    source = (jnp.concatenate([x, x[to_object]]) for x in (clouds.points, clouds.normals))
    target = (jnp.concatenate([x[to_body], x]) for x in (clouds.body, clouds.body_normals))
    gaps = jnp.concatenate([gap[rows, to_body], gap[to_object, columns]])
    return tuple(source), tuple(target), jnp.concatenate([first, second]), gaps


def _share(weight: jax.Array, gap: jax.Array, trimmed: float) -> jax.Array:
    """Weights that sum to one over the nearer ones; zeros if there are none."""
    order = jnp.argsort(jnp.where(weight > 0, gap, jnp.inf))
    rank = jnp.zeros_like(order).at[order].set(jnp.arange(len(order), dtype=order.dtype))
    count = jnp.sum(weight > 0).astype(weight.dtype)
    kept = jnp.where(rank.astype(weight.dtype) < jnp.ceil((1 - trimmed) * count), weight, 0.0)
    return kept / jnp.maximum(jnp.sum(kept), 1e-9)


def _mean(points: jax.Array, weight: jax.Array) -> jax.Array:
    return einsum("n,ni->i", weight, points) / jnp.maximum(jnp.sum(weight), 1e-9)


def _turned(rotation: jax.Array, points: jax.Array) -> jax.Array:
    return einsum("ij,nj->ni", rotation, points)
