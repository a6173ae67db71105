"""From the detector's raw output to persons: anchors, decoding, and weighted suppression with static shapes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.detector import DETECTOR_SIZE, LEVELS
from hoijax.nets.blaze.regions import Region, axis_region, to_picture

SAME_PERSON = 0.3
"""Boxes that share more than this part of their union are one person's."""

REGION_SCALE = 2.5
"""Side of a person's region in distances from the hips to the circle's rim about the person: a diameter and a
quarter."""


@struct.dataclass
class Detections:
    """Persons in falling order of their scores; free places have score 0 and what else they hold means nothing."""

    boxes: Float[ArrayLike, "P 4"] | Any
    """Left, top, right, bottom of the head's box, as the detector defines it."""

    points: Float[ArrayLike, "P 4 2"] | Any
    """Middle of the hips, a point on the circle about the whole person; the same for the upper body."""

    scores: Float[ArrayLike, "P"] | Any
    """Probability that it is a person."""


def anchors() -> np.ndarray:
    """Centres (2254, 2) of the detector's anchors as fractions of the picture: cell by cell, row by row."""
    levels = []
    for side, count in LEVELS:
        centres = (np.arange(side) + 0.5) / side
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        levels.append(np.repeat(grid, count, axis=0))
    return np.concatenate(levels).astype(np.float32)


def decode_detections(
    boxes: Float[ArrayLike, "N 12"], scores: Float[ArrayLike, "N"]
) -> tuple[Float[Array, "N 4"], Float[Array, "N 4 2"], Float[Array, "N"]]:
    """Corners, points and probabilities of every anchor, as fractions of the square that the detector saw.

    Args:
      boxes: raw boxes of `run_detector`.
      scores: raw scores.
    """
    raw = jnp.asarray(boxes).reshape(-1, 6, 2) / DETECTOR_SIZE
    centres = jnp.asarray(anchors(), raw.dtype)
    middle, size = raw[:, 0] + centres, raw[:, 1]
    corners = jnp.concatenate([middle - size / 2, middle + size / 2], -1)
    return corners, raw[:, 2:] + centres[:, None], jax.nn.sigmoid(jnp.asarray(scores))


@functools.partial(jax.jit, static_argnames=("max_people", "min_score"))
def suppress(
    corners: Float[ArrayLike, "N 4"],
    points: Float[ArrayLike, "N 4 2"],
    scores: Float[ArrayLike, "N"],
    *,
    max_people: int,
    min_score: float,
) -> Detections:
    """Weighted non-maximum suppression (Bazarevsky et al. 2019, section 4.2).

    The best box left takes all boxes over it, and their mean by score is the person.

    Args:
      corners: left, top, right, bottom.
      points: points that belong to the boxes.
      scores: probabilities.
      max_people: places of the result.
      min_score: boxes below are left out.
    """
    corners, points, scores = jnp.asarray(corners), jnp.asarray(points), jnp.asarray(scores)
    values = jnp.concatenate([corners, points.reshape(len(points), -1)], -1)

    def pick(left: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        best = jnp.argmax(left)
        overlap = intersection_over_union(corners[best][None], corners)
        same = (overlap > SAME_PERSON).at[best].set(True)
        weights = jnp.where(same, left, 0)
        total = weights.sum()
        mean = (weights[:, None] * values).sum(0) / jnp.where(total > 0, total, 1)
        return jnp.where(same, 0, left), (mean, left[best])

    kept = jnp.where(scores >= min_score, scores, 0)
    _, (means, best) = jax.lax.scan(pick, kept, None, length=max_people)
    return Detections(boxes=means[:, :4], points=means[:, 4:].reshape(-1, 4, 2), scores=best)


def intersection_over_union(a: Float[ArrayLike, "*A 4"], b: Float[ArrayLike, "*B 4"]) -> Float[Array, "*C"]:
    """Shared area of boxes (left, top, right, bottom) over their union's; zero for boxes without area.

    Leading axes broadcast.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    width = jnp.minimum(a[..., 2], b[..., 2]) - jnp.maximum(a[..., 0], b[..., 0])
    height = jnp.minimum(a[..., 3], b[..., 3]) - jnp.maximum(a[..., 1], b[..., 1])
    shared = jnp.maximum(width, 0) * jnp.maximum(height, 0)
    union = _area(a) + _area(b) - shared
    return jnp.where(union > 0, shared / jnp.where(union > 0, union, 1), 0)


def in_picture(detections: Detections, region: Region) -> Detections:
    """Detections of an upright crop in pixels of the picture."""
    boxes = to_picture(detections.boxes.reshape(-1, 2), region).reshape(-1, 4)
    points = to_picture(detections.points.reshape(-1, 2), region).reshape(-1, 4, 2)
    return detections.replace(boxes=boxes, points=points)


def person_regions(points: Float[ArrayLike, "P 4 2"]) -> Region:
    """The squares that the landmark network wants to see: about the whole person, upright in them."""
    points = jnp.asarray(points)
    return axis_region(points[:, 0], points[:, 1], REGION_SCALE)


def _area(box: Array) -> Array:
    return jnp.maximum(box[..., 2] - box[..., 0], 0) * jnp.maximum(box[..., 3] - box[..., 1], 0)
