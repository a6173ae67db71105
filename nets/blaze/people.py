"""Persons of a picture: detector, crops, landmark network, and its answer in the picture's frame."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike, einsum
from hoijax.nets.blaze.detections import (
    REGION_SCALE,
    Detections,
    decode_detections,
    in_picture,
    person_regions,
    suppress,
)
from hoijax.nets.blaze.detector import DETECTOR_SIZE, run_detector
from hoijax.nets.blaze.landmarker import LANDMARK_SIZE, RawLandmarks, run_landmarker
from hoijax.nets.blaze.layers import Params
from hoijax.nets.blaze.regions import (
    Region,
    axis_region,
    crops,
    paste,
    picture_region,
    released_sampling,
    to_picture,
    turn,
)

SAMPLES = 2
"""Points per crop pixel and side, against flicker of what is finer than the crop (docs/blaze.md)."""

NUM_LANDMARKS = 33
"""Points of a person (`names.LANDMARK_NAMES`)."""


@struct.dataclass
class Person:
    """A person of a picture; `P` persons carry a leading axis, in falling order of the detector's scores."""

    landmarks: Float[ArrayLike, "*P 33 3"] | Any
    """x, y in pixels of the whole picture; z in the same unit about the middle of the hips, nearer is smaller."""

    metric: Float[ArrayLike, "*P 33 3"] | Any
    """Metres about the middle of the hips: x right, y down, z away, turned as the picture is."""

    visibility: Float[ArrayLike, "*P 33"] | Any
    """Probability that the point is in the picture and not hidden."""

    presence: Float[ArrayLike, "*P 33"] | Any
    """Probability that the point lies in the picture, hidden or not."""

    mask: Float[ArrayLike, "*P 256 256"] | Any
    """Probability of each pixel of `region` to be the person's; `person_mask` brings it into the picture."""

    score: Float[ArrayLike, "*P"] | Any
    """Probability that there is a person in `region`, by the landmark network; 0 where nobody was detected."""

    box: Float[ArrayLike, "*P 4"] | Any
    """Left, top, right, bottom of the landmarks, pixels; it may reach beyond the picture."""

    region: Region
    """The square that the landmark network saw."""

    next_region: Region
    """The square that the landmarks themselves ask for: the next video frame's."""


def detect_people(
    params: Params,
    picture: Float[ArrayLike, "H W 3"],
    *,
    max_people: int = 4,
    min_score: float = 0.5,
    released: bool = False,
) -> Detections:
    """Where persons are, in pixels of the picture.

    Args:
      params: weights of `load("detector")`.
      picture: values in [0, 1].
      max_people: places of the result.
      min_score: least probability of a detection.
      released: sample the picture as MediaPipe's CPU code does (`regions.released_sampling`, one point per pixel).
    """
    region = picture_region(*picture.shape[:2])
    seen, samples = (released_sampling(region, DETECTOR_SIZE), 1) if released else (region, SAMPLES)
    small = crops(picture, jax.tree.map(lambda x: x[None], seen), DETECTOR_SIZE, "black", samples)
    boxes, scores = run_detector(params, small)
    detections = suppress(*decode_detections(boxes[0], scores[0]), max_people=max_people, min_score=min_score)
    return in_picture(detections, region)


def read_landmarks(
    params: Params, picture: Float[ArrayLike, "H W 3"], regions: Region, *, released: bool = False
) -> Person:
    """The persons in P regions of a picture.

    Args:
      params: weights of `load("landmarks")`.
      picture: values in [0, 1].
      regions: a square about each person, with a leading axis.
      released: as in `detect_people`.
    """
    seen, samples = (released_sampling(regions, LANDMARK_SIZE), 1) if released else (regions, SAMPLES)
    raw = run_landmarker(params, crops(picture, seen, LANDMARK_SIZE, "edge", samples))
    return decode_landmarks(raw, regions)


def find_people(
    networks: Mapping[str, Params],
    picture: Float[ArrayLike, "H W 3"],
    *,
    max_people: int = 4,
    min_score: float = 0.5,
    released: bool = False,
) -> Person:
    """All persons of a picture, in one pure function; `score` is 0 in places that are not taken.

    Args:
      networks: weights under "detector" and "landmarks" (`load`).
      picture: values in [0, 1].
      max_people: places of the result.
      min_score: least probability of a detection.
      released: as in `detect_people`.
    """
    detections = detect_people(
        networks["detector"], picture, max_people=max_people, min_score=min_score, released=released
    )
    people = read_landmarks(networks["landmarks"], picture, person_regions(detections.points), released=released)
    return people.replace(score=jnp.where(detections.scores > 0, people.score, 0))


@jax.jit
def decode_landmarks(raw: RawLandmarks, regions: Region) -> Person:
    """The network's answer in the picture's frame; leading axes as in `raw`."""
    points = refine(raw)
    pixels = to_picture(points[..., :2] / LANDMARK_SIZE, regions)
    depth = points[..., 2:3] * (jnp.asarray(regions.size) / LANDMARK_SIZE)[..., None, None]
    flat = einsum("...ij,...nj->...ni", turn(regions), raw.metric[..., :2])
    metric = jnp.concatenate([flat, raw.metric[..., 2:]], -1)
    people = pixels[..., :NUM_LANDMARKS, :]
    return Person(
        landmarks=jnp.concatenate([people, depth[..., :NUM_LANDMARKS, :]], -1),
        metric=metric[..., :NUM_LANDMARKS, :],
        visibility=jax.nn.sigmoid(raw.points[..., :NUM_LANDMARKS, 3]),
        presence=jax.nn.sigmoid(raw.points[..., :NUM_LANDMARKS, 4]),
        mask=jax.nn.sigmoid(raw.mask),
        score=raw.score,
        box=jnp.concatenate([people.min(-2), people.max(-2)], -1),
        region=regions,
        next_region=axis_region(pixels[..., NUM_LANDMARKS, :], pixels[..., NUM_LANDMARKS + 1, :], REGION_SCALE),
    )


def refine(raw: RawLandmarks, reach: int = 3, least: float = 0.5) -> Float[Array, "*B 39 3"]:
    """Points moved to the weighted middle of their heat map about them, where the map is sure of it.

    Args:
      raw: the network's answer.
      reach: the window's half size in cells of the heat map.
      least: the heat that some cell of the window must have.

    Returns:
      x, y, z in pixels of the crop.
    """
    heat = jax.nn.sigmoid(raw.heat)
    cells, rank = heat.shape[-3], heat.ndim
    unit = LANDMARK_SIZE / cells
    cell = raw.points[..., None, None, :, :2] / unit
    column = jax.lax.broadcasted_iota(heat.dtype, heat.shape, rank - 2)
    row = jax.lax.broadcasted_iota(heat.dtype, heat.shape, rank - 3)
    offsets = jnp.stack([column, row], -1) - jnp.floor(cell)
    weight = jnp.where((jnp.abs(offsets) <= reach).all(-1), heat, 0)
    total, best = weight.sum((-3, -2)), weight.max((-3, -2))
    inside = ((cell >= 0) & (cell < cells)).all(-1)[..., 0, 0, :]
    sure = (best >= least) & inside
    sums = jnp.stack([(weight * column).sum((-3, -2)), (weight * row).sum((-3, -2))], -1)
    middle = sums / jnp.where(sure, total, 1)[..., None] * unit
    points = jnp.where(sure[..., None], middle, raw.points[..., :2])
    return jnp.concatenate([points, raw.points[..., 2:3]], -1)


def person_mask(person: Person, height: int, width: int) -> Float[Array, "{height} {width}"]:
    """One person's mask in a picture of that size: probabilities, zero outside of the person's region."""
    return paste(person.mask, person.region, height, width)
