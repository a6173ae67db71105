"""The person of a photograph, by MediaPipe's networks: which of several, where, and what of them is not seen."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from hoijax.errors import InputError
from hoijax.jobs.photographs import Photograph, Spot
from hoijax.nets.blaze import Person, Region, find_people, intersection_over_union, person_mask, read_landmarks
from hoijax.nets.blaze.layers import Params

LARGEST = 1536
"""Longest side of the picture that the networks see, pixels; larger ones are made smaller."""
MOST_PEOPLE = 4
"""Persons that are looked for."""
SEEN = 0.5
"""Score above which a person is seen."""
SAME_PERSON = 0.3
"""Squares that share more than this part of their union are one person's in two frames."""
_LEGS, _TRUNK = (25, 26, 27, 28), (11, 12, 23, 24)
"""Shares of the legs' and trunk's points that must be in the picture for the person to count as whole."""


def shrunk(image: np.ndarray) -> tuple[jax.Array, np.ndarray]:
    """A picture as the networks see it, values in [0, 1], and the picture's sides (x, y) over its."""
    height, width = image.shape[:2]
    shrink = min(1.0, LARGEST / max(height, width))
    small = Image.fromarray(image)
    if shrink < 1:
        small = small.resize((max(1, round(width * shrink)), max(1, round(height * shrink))), Image.Resampling.BOX)
    return jnp.asarray(np.asarray(small), jnp.float32) / 255, np.array([width / small.width, height / small.height])


def find_person(
    networks: dict[str, Params], photograph: Photograph, before: Region | None = None, who: Spot | None = None
) -> tuple[Person, int]:
    """The person to fit, in pixels of the whole picture, and how many were found.

    With a mask of the person the one whose landmarks it holds best; in a video the one whose square shares most with
    that of the frame before, or who is found by looking there alone; else the one of the highest score.

    Args:
      networks: weights under "detector" and "landmarks".
      photograph: picture and mask of the person, if there is one.
      before: where the frame before expects the person, pixels.
      who: a box or a click that says who is meant, pixels; a mask says more.

    Raises:
      InputError: nobody.
    """
    height, width = photograph.image.shape[:2]
    picture, scale = shrunk(photograph.image)
    enlarge = float(scale.mean())
    people = jax.tree.map(np.asarray, find_people(networks, picture, max_people=MOST_PEOPLE))
    expected = None if before is None or photograph.human.any() else _resize(before, 1 / enlarge)
    if expected is not None and not _seen_again(people, expected).any():
        # The detector sees them no more: their own square may still show them.
        there = jax.tree.map(lambda x: np.repeat(np.asarray(x, np.float32)[None], MOST_PEOPLE, axis=0), expected)
        looked = jax.tree.map(np.asarray, read_landmarks(networks["landmarks"], picture, there))
        if looked.score[0] > SEEN:
            people = looked.replace(score=np.where(np.arange(MOST_PEOPLE) == 0, looked.score, 0.0))
    scores = np.asarray(people.score)
    found = np.flatnonzero(scores > SEEN)
    if not len(found):
        raise InputError(
            f"{photograph.name}: no person is found in the picture of {width} x {height} pixels; wanted is one who "
            "can be seen, at least some 100 pixels tall; with masks of both, hoijax reconstruct --method scorehoi "
            "needs no detection"
        )
    best = found[np.argmax(scores[found])]
    if expected is not None and _seen_again(people, expected).any():
        best = int(np.argmax(_seen_again(people, expected)))
    if who is not None and not photograph.human.any():
        best = _meant(photograph.name, people, found, who, scale)
    if photograph.human.any():
        held = []
        for i in found:
            spots = np.floor(people.landmarks[i, :, :2] * scale).astype(int)
            inside = ((spots >= 0) & (spots < [width, height])).all(axis=1)
            column, row = spots[inside].T
            held.append(photograph.human[row, column].sum())
        if max(held) < 4:
            raise InputError(
                f"{photograph.name}: the person that is found in the picture is not where the person's mask is"
            )
        best = found[int(np.argmax(held))]
    person = jax.tree.map(lambda x: x[best], people)
    region, following = (_resize(r, enlarge) for r in (person.region, person.next_region))
    landmarks = person.landmarks * np.float32([*scale, enlarge])
    person = person.replace(landmarks=landmarks, box=person.box * enlarge, region=region, next_region=following)
    return person, len(found)


def _meant(name: str, people: Person, found: np.ndarray, who: Spot, scale: np.ndarray) -> int:
    """Which of those who are found (indices) a box or a click means: by their landmarks' boxes.

    Raises:
      InputError: nobody is there.
    """
    spots = people.landmarks[found, :, :2] * scale
    boxes = np.concatenate([spots.min(axis=1), spots.max(axis=1)], axis=1)
    share = np.ones(len(found))
    if who.box is not None:
        share = np.asarray(intersection_over_union(np.float32([who.box]), boxes.astype(np.float32)))
        share = np.where(share > SAME_PERSON / 2, share, 0.0)  # a hand-drawn box holds hair and shoes too
    if who.click is not None:
        sides, away = boxes[:, 2:] - boxes[:, :2], np.abs(np.asarray(who.click) - (boxes[:, :2] + boxes[:, 2:]) / 2)
        off = (away / np.maximum(sides, 1.0)).max(axis=1)  # 0 in the middle, half at the border
        share = np.where(off <= 0.6, share * (1 - off), 0.0)
    if not share.max() > 0:
        where = "; ".join(",".join(f"{x:.0f}" for x in box) for box in boxes)
        raise InputError(
            f"{name}: nobody is found where --human-box or --human-click points; people are found at {where} "
            "(left,top,right,bottom)"
        )
    return int(found[np.argmax(share)])


def _resize(region: Region, by: float) -> Region:
    return region.replace(centre=region.centre * by, size=region.size * by)


def _seen_again(people: Person, before: Region) -> np.ndarray:
    """How much of the square of the frame before each person's shares (P,); 0 for those who are somebody else."""
    share = np.asarray(intersection_over_union(_square(before)[None], _square(people.region)))
    return np.where((np.asarray(people.score) > SEEN) & (share > SAME_PERSON), share, 0.0)


def _square(region: Region) -> np.ndarray:
    half = np.asarray(region.size)[..., None] / 2
    return np.concatenate([np.asarray(region.centre) - half, np.asarray(region.centre) + half], axis=-1)


def mask_in_picture(person: Person, size: tuple[int, int]) -> np.ndarray:
    """The network's mask in the picture, made at a size that costs little and enlarged."""
    shrink = min(1.0, LARGEST / max(size))
    small = (max(round(size[0] * shrink), 1), max(round(size[1] * shrink), 1))
    region = person.region.replace(centre=person.region.centre * shrink, size=person.region.size * shrink)
    mask = np.asarray(person_mask(person.replace(region=region), *small), np.float32)
    return np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def truncation_notes(person: Person, size: tuple[int, int]) -> list[str]:
    """What of a person is not seen, in sentences; `size` is height and width of the picture."""
    x, y = person.landmarks[:, 0], person.landmarks[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= size[1]) & (y <= size[0]) & (person.visibility >= 0.5)
    notes = []
    if not inside[list(_TRUNK)].any():
        notes.append("the person's trunk is not seen: where they are is a guess")
    if inside[list(_LEGS)].sum() < 2:
        notes.append("the person's legs are not seen: they rest")
    tall = float(np.ptp(y[inside])) if inside.any() else 0.0
    if tall < 100:
        notes.append(f"the person is {tall:.0f} pixels tall: limbs may be wrong")
    return notes
