"""Terms of a joint fit's energy, each of one start of one picture; differentiable, least where all is as asked."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.body_models import pose_body
from hoijax.camera import Camera
from hoijax.geometry import einsum, query_sdf, rotation_from_6d_columns, rotation_from_axis_angle, safe_norm
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.fitting.joint_problem import BODY_CONTACT, PAIRS, JointProblem
from hoijax.render import Fragments, blur_images, outline_mask, rasterize, soft_silhouette

TOUCHING = BODY_CONTACT + PAIRS
"""So many of the body's points, the first ones, may touch."""
DEEPEST = 8
"""Points whose depth counts: a mean over all of the body would hardly see a hand."""
TAU = 0.02
"""Metres over which a point's nearest neighbours share it."""
SLACK = 0.1
"""Metres by which depths may be in the wrong order at no great cost: hands reach around things."""
NDC_BLUR = 0.01
"""Blur of the published soft silhouettes (sigma 1e-4), half sides of the picture."""


@struct.dataclass
class Unknowns:
    """What a fit changes; zeros and the identity's six numbers are the start."""

    turn: Float[ArrayLike, "6"] | Any
    """First two columns of a rotation, which the start's turns are turned by."""
    move: Float[ArrayLike, "3"] | Any
    """Metres, of the object's middle."""
    log_size: Float[ArrayLike, ""] | Any
    """Of the object."""
    joints: Float[ArrayLike, "J 3"] | Any
    """Rotation vectors of the body's joints after those of the estimate."""


@struct.dataclass
class Placed:
    """Where things are for a set of unknowns; camera frame."""

    rotation: Float[ArrayLike, "3 3"] | Any
    """Of the object."""
    middle: Float[ArrayLike, "3"] | Any
    """Of the object."""
    size: Float[ArrayLike, ""] | Any
    """Of the object."""
    body: Float[ArrayLike, "Q 3"] | Any
    """The body's points."""

    def out(self, points: Float[ArrayLike, "N 3"]) -> Float[jax.Array, "N 3"]:
        """Points of the object in the camera's frame."""
        turned = self.size * einsum("ij,nj->ni", self.rotation, jnp.asarray(points))
        return turned + jnp.broadcast_to(self.middle, turned.shape)

    def back(self, points: Float[ArrayLike, "N 3"]) -> Float[jax.Array, "N 3"]:
        """Points of the camera's frame in the object's, about its middle."""
        moved = points - jnp.broadcast_to(self.middle, points.shape)
        return einsum("ji,nj->ni", self.rotation, moved) / self.size


def moved_params(problem: JointProblem, unknowns: Unknowns):
    """The body's parameters after its limbs moved."""
    offset = jnp.asarray(problem.movable)[:, None] * unknowns.joints
    rotations = einsum("jab,jbc->jac", jnp.asarray(problem.params.rotations), rotation_from_axis_angle(offset))
    return problem.params.replace(rotations=rotations)


def place(problem: JointProblem, turn: jax.Array, middle: jax.Array, size: jax.Array, unknowns: Unknowns) -> Placed:
    """Both where the unknowns put them, from a start."""
    rotation = einsum("ij,jk->ik", rotation_from_6d_columns(unknowns.turn), turn)
    body = pose_body(problem.model, moved_params(problem, unknowns)).vertices
    return Placed(rotation, middle + unknowns.move, size * jnp.exp(unknowns.log_size), body)


def bounded(distance: jax.Array, bound: float) -> jax.Array:
    """Distances that come to `bound` from below as they grow, slope 1 at none; as they are where it is 0."""
    if not bound:
        return distance
    far = jnp.maximum(distance, 0.0)
    return jnp.where(distance > 0, far * bound / (far + bound), distance)


def nearest_contact(problem: JointProblem, at: Placed, bound: float = 0.0) -> jax.Array:
    """Soft nearest distances between the contacts, both ways, metres; the body's to the surface if that is unknown."""
    points, ours = at.out(problem.points), jnp.asarray(problem.likely)
    body, theirs = at.body[:TOUCHING], jnp.asarray(problem.touching)[:TOUCHING]
    gap = safe_norm(points[:, None] - body[None])

    def soft(distance: jax.Array, weight: jax.Array) -> jax.Array:
        """Along the last axis; shifted so that a single point at no distance costs nothing."""
        level = jnp.where(weight > 0, jnp.log(jnp.maximum(weight, 1e-6) / jnp.max(weight)), -jnp.inf)
        level = jnp.where(jnp.any(weight > 0), level, 0.0)
        nearest = -TAU * jax.nn.logsumexp(jnp.broadcast_to(level, distance.shape) - distance / TAU, axis=-1)
        return bounded(nearest, bound)

    both = _mean(soft(gap, theirs), ours) + _mean(soft(gap.T, ours), theirs)
    surface = 2 * _mean(bounded(jnp.abs(at.size * query_sdf(problem.grid, at.back(body))), bound), theirs)
    known = jnp.asarray(problem.known)
    some = (jnp.sum(theirs) > 0).astype(gap.dtype)
    return some * jnp.where(known > 0, both, surface)


def mean_contact(problem: JointProblem, at: Placed) -> jax.Array:
    """The released term: the mean distance over all pairs, weighted by both probabilities, metres."""
    weight = jnp.asarray(problem.likely)[:, None] * jnp.asarray(problem.touching)[None, :TOUCHING]
    gap = safe_norm(at.out(problem.points)[:, None] - at.body[None, :TOUCHING])
    return _mean(gap, weight)


def paired_contact(problem: JointProblem, at: Placed) -> jax.Array:
    """Mean squared difference of coordinates of points that belong together, square metres."""
    off = at.out(problem.pair_object) - at.body[jnp.asarray(problem.pair_body)]
    return _mean(jnp.mean(jnp.square(off), axis=-1), jnp.asarray(problem.pair_weight))


def contact_normals(problem: JointProblem, at: Placed) -> jax.Array:
    """Mean of 1 + cosine of the object's normals with those of the nearest points of the body's contact."""
    points = jax.lax.stop_gradient(at.out(problem.points))
    gap = jnp.sum(jnp.square(points[:, None] - jax.lax.stop_gradient(at.body)[None, :TOUCHING]), axis=-1)
    near = jnp.argmin(jnp.where(jnp.asarray(problem.touching)[None, :TOUCHING] > 0, gap, jnp.inf), axis=1)
    ours = einsum("ij,nj->ni", at.rotation, jnp.asarray(problem.point_normals))
    cosine = jnp.sum(ours * jnp.asarray(problem.normals)[near], axis=-1)
    return jnp.asarray(problem.known) * _mean(1 + cosine, jnp.asarray(problem.likely))


def penetration(problem: JointProblem, at: Placed) -> jax.Array:
    """Mean depth of the DEEPEST of the body's points inside of the object, metres."""
    depth = jax.nn.relu(-at.size * query_sdf(problem.grid, at.back(at.body)))
    return jnp.mean(jax.lax.top_k(depth, DEEPEST)[0])


def draw_object(problem: JointProblem, at: Placed) -> Fragments:
    """The object over its target."""
    target = problem.target
    camera = _camera(target.matrix, target.covered.shape)
    return rasterize(at.out(problem.shape.vertices), jnp.asarray(problem.shape.faces), camera)


def dice(problem: JointProblem, drawn: Fragments, blur: jax.Array) -> jax.Array:
    """1 - Dice over the pixels of which something is known, both under one blur (share of the target's side).

    Where the person is seen the object may be hidden: these pixels say nothing, and what they hide is no error.
    """
    target = problem.target
    mask = outline_mask(drawn, problem.shape.neighbours)
    valid, covered = jnp.asarray(target.valid), jnp.asarray(target.covered)
    pixels = blur * covered.shape[0]
    ours, theirs = blur_images(valid * mask, pixels), blur_images(valid * covered, pixels)
    both = 2 * jnp.sum(ours * theirs)
    return 1 - (both + 1e-3) / (jnp.sum(jnp.square(ours)) + jnp.sum(jnp.square(theirs)) + 1e-3)


def soft_object(problem: JointProblem, at: Placed) -> jax.Array:
    """The published soft silhouette (S, S)."""
    target = problem.target
    camera = _camera(target.matrix, target.covered.shape)
    blur = NDC_BLUR * jnp.asarray(problem.unit)
    return soft_silhouette(at.out(problem.shape.vertices), jnp.asarray(problem.shape.faces), camera, blur=blur)


def seen_mask(problem: JointProblem) -> jax.Array:
    """The mask of what is seen of the object, the person's pixels being none of it."""
    return jnp.asarray(problem.target.covered) * jnp.asarray(problem.target.valid)


def half_dice(problem: JointProblem, soft: jax.Array) -> jax.Array:
    """The released mask loss `1 - sum(M S) / sum(M + S)`: 0.5 for perfect overlap, blind to who hides what."""
    mask = seen_mask(problem)
    return 1 - jnp.sum(mask * soft) / jnp.maximum(jnp.sum(mask + soft), 1e-6)


def box_centroid(problem: JointProblem, soft: jax.Array) -> jax.Array:
    """Squared distance, pixels of the picture, of the silhouette's middle from the middle of the mask's box."""
    return jnp.sum(jnp.square((mask_middle(soft) - _box_middle(seen_mask(problem))) / jnp.asarray(problem.zoom)))


def overlap_and_middle(problem: JointProblem, soft: jax.Array) -> jax.Array:
    """PICO's: 1 - I / U with U the clipped sum, and 0.3 of the middles' distance over the picture's height."""
    mask = seen_mask(problem)
    off = safe_norm(mask_middle(soft) - mask_middle(mask)) / (jnp.asarray(problem.zoom) * jnp.asarray(problem.height))
    union = jnp.maximum(jnp.sum(jnp.clip(mask + soft, 0, 1)), 1e-6)
    return 1 - jnp.sum(mask * soft) / union + 0.3 * off


def depth_order(problem: JointProblem, drawn: Fragments) -> jax.Array:
    """Softplus of how far the object is before the person where the person is seen, or behind where the object is.

    Metres beyond `SLACK` in units of it; shares of the mask's area.
    """
    target, behind = problem.target, jnp.asarray(problem.scene.depth)
    both = jnp.isfinite(drawn.depth) & jnp.isfinite(behind)
    gap = (jnp.where(both, drawn.depth, 0.0) - jnp.where(both, behind, 0.0)) / SLACK
    hidden, seen = jnp.asarray(target.hidden), jnp.asarray(target.valid) * jnp.asarray(target.covered)
    wrong = hidden * jax.nn.softplus(4 * (-gap - 1)) + seen * jax.nn.softplus(4 * (gap - 1))
    return jnp.sum(jnp.where(both, wrong, 0.0)) / 4 / jnp.maximum(jnp.sum(seen), 1.0)


def person_outline(problem: JointProblem, unknowns: Unknowns) -> jax.Array:
    """1 - overlap of the body's soft silhouette with the person's mask."""
    body = pose_body(problem.surface, moved_params(problem, unknowns)).vertices
    valid, covered = jnp.asarray(problem.person_valid), jnp.asarray(problem.person)
    camera = _camera(problem.person_matrix, covered.shape)
    soft = valid * soft_silhouette(body, jnp.asarray(problem.surface.faces), camera, blur=1.0)
    return 1 - jnp.sum(soft * covered) / jnp.maximum(jnp.sum(jnp.clip(soft + covered, 0, 1)), 1e-6)


def _camera(matrix: ArrayLike, size: tuple[int, ...]) -> Camera:
    matrix = jnp.asarray(matrix)
    return Camera(matrix, jnp.eye(4, dtype=matrix.dtype), (int(size[0]), int(size[1])))


def _mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.sum(weight * values) / jnp.maximum(jnp.sum(weight), 1e-9)


def mask_middle(image: jax.Array) -> jax.Array:
    """(row, column)."""
    total = jnp.maximum(jnp.sum(image), 1e-6)
    rows, columns = (jnp.arange(n, dtype=image.dtype) for n in image.shape)
    return jnp.stack([jnp.sum(einsum("ij,i->j", image, rows)), jnp.sum(einsum("ij,j->i", image, columns))]) / total


def _box_middle(mask: jax.Array) -> jax.Array:
    """(row, column) of the middle of the box about the pixels above one half."""
    middles = []
    for axis in (1, 0):
        some = jnp.any(mask > 0.5, axis=axis)
        place = jnp.arange(some.shape[0], dtype=mask.dtype)
        low = jnp.min(jnp.where(some, place, jnp.inf))
        high = jnp.max(jnp.where(some, place, -jnp.inf))
        middles.append(jnp.where(jnp.any(some), 0.5 * (low + high), 0.0))
    return jnp.stack(middles)
