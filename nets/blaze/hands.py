"""Hands of persons: crops about the wrists that the landmarks give, the hand network, its answer in the picture."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike, einsum, safe_norm
from hoijax.nets.blaze.layers import Params
from hoijax.nets.blaze.names import HAND_NAMES, LANDMARK_NAMES
from hoijax.nets.blaze.people import SAMPLES, Person
from hoijax.nets.blaze.regions import Region, crops, to_picture, turn
from hoijax.nets.blaze.regressors import CROP_SIZE, RawHand, run_hand_network

KNUCKLE_SCALE, LEAST_SCALE = 4.0, 0.9
"""Side of a hand's first region in distances from the wrist to the knuckles, and its least in forearms."""

FOREARM_SCALE, FOREARM_SHIFT = 1.2, 0.35
"""Side of the other first region and its centre beyond the wrist, in forearms."""

SECOND_SCALE, SECOND_SHIFT = 2.0, 0.1
"""Side of a hand's second region in longer sides of its points' box; how far it is moved along the fingers."""


@struct.dataclass
class Hand:
    """A hand of a picture; those of P persons carry axes (P, 2), left before right."""

    points: Float[ArrayLike, "*P 21 3"] | Any
    """x, y in pixels of the whole picture; z in the same unit about the wrist, nearer is smaller (`HAND_NAMES`)."""

    metric: Float[ArrayLike, "*P 21 3"] | Any
    """Metres about the hand's middle: x right, y down, z away, turned as the picture is."""

    score: Float[ArrayLike, "*P"] | Any
    """Probability that there is a hand in `region`; below a half the points mean nothing. 0 where no person is."""

    right: Float[ArrayLike, "*P"] | Any
    """Probability that it is a right hand, by its looks alone."""

    region: Region
    """The square that the network saw last."""


def find_hands(params: Params, picture: Float[ArrayLike, "H W 3"], people: Person) -> Hand:
    """Both hands of P persons, leading axes (P, 2).

    The network looks at two squares per wrist, then at the square that the better answer asks for; the answer with the
    best score counts.

    Args:
      params: weights of `load("hand")`.
      picture: values in [0, 1].
      people: persons with one leading axis.
    """

    def look(regions: Region) -> Hand:
        raw = run_hand_network(params, crops(picture, regions, CROP_SIZE, "edge", SAMPLES))
        return decode_hand(raw, regions)

    count = 2 * people.score.shape[0]
    first = look(jax.tree.map(lambda x: x.reshape(2 * count, *x.shape[3:]), wrist_regions(people.landmarks)))
    best = _better(*(jax.tree.map(lambda x, part=part: x[part], first) for part in (slice(count), slice(count, None))))
    best = _better(best, look(hand_regions(best.points[..., :2])))
    hands = jax.tree.map(lambda x: x.reshape(-1, 2, *x.shape[1:]), best)
    return hands.replace(score=jnp.where(people.score[:, None] > 0, hands.score, 0))


def wrist_regions(landmarks: Float[ArrayLike, "P 33 3"]) -> Region:
    """Squares (2, P, 2) about the left and right hand of persons, the fingers pointing up in them.

    The first by the landmarks of the hand, the second by the forearm alone, for landmarks that stop short of the hand.
    """
    flat = jnp.asarray(landmarks)[..., :2]

    def both(name: str) -> Array:
        return jnp.stack([flat[:, LANDMARK_NAMES.index(f"{side}_{name}")] for side in ("left", "right")], 1)

    wrist, forearm = both("wrist"), both("wrist") - both("elbow")
    knuckles = (2 * both("index") + both("pinky")) / 3
    axis = jnp.stack([knuckles - wrist, forearm])
    length = safe_norm(forearm)
    return Region(
        centre=jnp.stack([knuckles, wrist + FOREARM_SHIFT * forearm]),
        size=jnp.stack([jnp.maximum(KNUCKLE_SCALE * safe_norm(axis[0]), LEAST_SCALE * length), FOREARM_SCALE * length]),
        angle=jnp.arctan2(axis[..., 0], -axis[..., 1]),
    )


def hand_regions(points: Float[ArrayLike, "B 21 2"]) -> Region:
    """Squares about hands by their own points: the middle finger's knuckle straight above the wrist."""
    points = jnp.asarray(points)
    axis = points[:, HAND_NAMES.index("middle_mcp")] - points[:, HAND_NAMES.index("wrist")]
    angle = jnp.arctan2(axis[:, 0], -axis[:, 1])
    square = Region(centre=jnp.zeros_like(axis), size=jnp.ones_like(angle), angle=angle)
    upright = einsum("bji,bnj->bni", turn(square), points)
    low, high = upright.min(1), upright.max(1)
    extent = (high - low).max(-1)
    middle = (low + high) / 2 - SECOND_SHIFT * extent[:, None] * jnp.asarray([[0.0, 1.0]], points.dtype)
    return Region(centre=einsum("bij,bj->bi", turn(square), middle), size=SECOND_SCALE * extent, angle=angle)


def _better(a: Hand, b: Hand) -> Hand:
    """Hand by hand the one with the higher score."""
    better = b.score > a.score
    return jax.tree.map(lambda x, y: jnp.where(better.reshape(-1, *[1] * (x.ndim - 1)), y, x), a, b)


def decode_hand(raw: RawHand, regions: Region) -> Hand:
    """The network's answer in the picture's frame; leading axes as in `raw`."""
    pixels = to_picture(raw.points[..., :2] / CROP_SIZE, regions)
    depth = raw.points[..., 2:] * (jnp.asarray(regions.size) / CROP_SIZE)[..., None, None]
    flat = einsum("...ij,...nj->...ni", turn(regions), raw.metric[..., :2])
    return Hand(
        points=jnp.concatenate([pixels, depth], -1),
        metric=jnp.concatenate([flat, raw.metric[..., 2:]], -1),
        score=raw.score,
        right=raw.right,
        region=regions,
    )
