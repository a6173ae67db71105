"""Persons through the frames of a video: each is looked for where its landmarks were, newcomers come from the detector.

A state of fixed size in, a state and persons out, so that `lax.scan` runs over frames.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.detections import intersection_over_union, person_regions
from hoijax.nets.blaze.layers import Params
from hoijax.nets.blaze.people import Person, detect_people, read_landmarks
from hoijax.nets.blaze.regions import Region

SAME_TRACK = 0.4
"""Squares that share more than this part of their union are one person's."""


@struct.dataclass
class Tracks:
    """Whom a video shows just now, in P places."""

    regions: Region
    """Where each person is looked for in the next frame."""

    ids: Int[ArrayLike, "P"] | Any
    """Number of the person in each place; a number is never given twice. Means nothing in free places."""

    active: Bool[ArrayLike, "P"] | Any
    """Places that are taken."""

    next_id: Int[ArrayLike, ""] | Any
    """Number of the next newcomer."""


def start_tracks(max_people: int) -> Tracks:
    """A video's state before its first frame."""
    zeros = jnp.zeros(max_people, jnp.float32)
    return Tracks(
        regions=Region(centre=jnp.zeros((max_people, 2), jnp.float32), size=zeros, angle=zeros),
        ids=jnp.zeros(max_people, jnp.int32),
        active=jnp.zeros(max_people, bool),
        next_id=jnp.int32(0),
    )


def track_people(
    networks: Mapping[str, Params],
    picture: Float[ArrayLike, "H W 3"],
    tracks: Tracks,
    *,
    min_score: float = 0.5,
    detect: bool = True,
) -> tuple[Tracks, Person]:
    """One frame: persons in the order of the state's places, their scores 0 in free ones.

    Args:
      networks: weights under "detector" and "landmarks".
      picture: values in [0, 1].
      tracks: the state after the frame before.
      min_score: a person whose landmarks' score falls below is lost; also the least score of a newcomer.
      detect: look for newcomers; a detector's run may be saved in most frames.
    """
    if detect:
        places = tracks.active.shape[0]
        detections = detect_people(networks["detector"], picture, max_people=places, min_score=min_score)
        tracks = admit(tracks, person_regions(detections.points), detections.scores > 0)
    people = read_landmarks(networks["landmarks"], picture, tracks.regions)
    active = drop_doubles(people.next_region, tracks.ids, tracks.active & (people.score >= min_score))
    tracks = tracks.replace(regions=people.next_region, active=active)
    return tracks, people.replace(score=jnp.where(active, people.score, 0))


def admit(tracks: Tracks, regions: Region, detected: Bool[ArrayLike, "D"]) -> Tracks:
    """Puts detections that overlap nobody into free places, the best first; those for whom there is none are left out.

    Args:
      tracks: the state.
      regions: squares of D detections in falling order of their scores.
      detected: which of them are detections.
    """
    detected = jnp.asarray(detected)
    for i in range(detected.shape[0]):
        one = jax.tree.map(lambda x, i=i: x[i], regions)
        overlap = jnp.where(tracks.active, intersection_over_union(_box(one)[None], _box(tracks.regions)), 0)
        new = detected[i] & (overlap.max() <= SAME_TRACK) & ~tracks.active.all()
        place = (jnp.arange(tracks.active.shape[0]) == jnp.argmin(tracks.active)) & new
        tracks = Tracks(
            regions=_put(tracks.regions, one, place),
            ids=jnp.where(place, tracks.next_id, tracks.ids),
            active=tracks.active | place,
            next_id=tracks.next_id + new.astype(tracks.next_id.dtype),
        )
    return tracks


def drop_doubles(regions: Region, ids: Int[ArrayLike, "P"], active: Bool[ArrayLike, "P"]) -> Bool[Array, "P"]:
    """Which places stay: of two that have come to the same person the one with the lower number."""
    ids, active, boxes = jnp.asarray(ids), jnp.asarray(active), _box(regions)
    overlap = intersection_over_union(boxes[:, None], boxes[None])
    older = ids[None] < ids[:, None]
    return active & ~((overlap > SAME_TRACK) & older & active[None]).any(1)


def _box(region: Region) -> Float[Array, "*B 4"]:
    half = jnp.asarray(region.size)[..., None] / 2
    return jnp.concatenate([region.centre - half, region.centre + half], -1)


def _put(regions: Region, one: Region, place: Array) -> Region:
    """`one` in the place of the mask, the others as they were."""
    return jax.tree.map(lambda old, x: jnp.where(place.reshape(-1, *[1] * x.ndim), x[None], old), regions, one)
