"""Where a photograph shows the object, if no mask says it: grown from a box or a click, followed, or found."""

import dataclasses
import re

import jax
import numpy as np

from hoijax.errors import InputError
from hoijax.jobs.grown_masks import follow_mask, grow_mask
from hoijax.jobs.photo_people import shrunk
from hoijax.jobs.photographs import WHERE, Photograph, Spot
from hoijax.nets.blaze import BOX_CORNERS, Person, Region, box_region, find_boxes
from hoijax.nets.blaze.layers import Params
from hoijax.optim.fitting.box_turns import turns_of_box, upright_turns

KINDS = {"chair": {"chair", "chairs", "armchair"}, "cup": {"cup", "mug", "teacup"}}
"""Words of labels and file names to the network that finds such an object."""
PROPOSED = (0.35, 0.6, 0.9)
"""Sides of the squares that are looked at for it, in persons."""
PRESENT = 0.5
"""Least probability that it is there."""
MARGIN = 0.25
"""Added on each side of the box that is found, in its longer sides: corners lie within chairs with thin legs."""


@dataclasses.dataclass(frozen=True)
class FrameBefore:
    """What a video's frame hands to the next."""

    region: Region
    """Where the person is looked for."""
    object: np.ndarray
    """(H, W) bool, where the object was seen."""
    focal: float
    """Focal length that was used, pixels: that of the whole video."""
    source: str
    """Where it comes from, of `optim.fitting`."""


def find_object(
    network: tuple[str, Params] | None,
    photograph: Photograph,
    person_mask: np.ndarray,
    person: Person,
    before: FrameBefore | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A mask of the object where none is given, and what to know about it.

    Args:
      network: kind of the object and weights of the network that finds it; None: none knows it.
      photograph: the picture and, if somebody said it, where the object is.
      person_mask: (H, W) bool, what is the person's for sure.
      person: who was found.
      before: of a video, the frame before.

    Raises:
      InputError: nobody said where it is and it is not found.
    """
    if photograph.spot is not None:
        return grow_mask(photograph.image, photograph.spot, person_mask)
    if before is not None:
        return follow_mask(photograph.image, before.object, person_mask)
    kind = "object" if network is None else network[0]
    box = None if network is None else propose_box(network[1], photograph, person)
    if box is None:
        raise InputError(f"{photograph.name}: no {kind} is found in the picture; {WHERE}")
    mask, notes = grow_mask(photograph.image, Spot(box=box), person_mask)
    return mask, (f"a {kind} was found at {','.join(f'{x:.0f}' for x in box)} (--object-box)", *notes)


def propose_box(network: Params, photograph: Photograph, person: Person) -> tuple[float, float, float, float] | None:
    """Where one of Objectron's networks sees its kind of object: left, top, right, bottom in pixels; None: nowhere.

    Squares of three sizes about the person are looked at.
    """
    picture, scale = shrunk(photograph.image)
    height, width = picture.shape[:2]
    low, high = np.asarray(person.box).reshape(2, 2) / scale
    tall, middle = float(max(high - low)), (low + high) / 2
    at, sizes = [], []
    for share in PROPOSED:
        side = share * tall
        spots = [middle + 0.5 * tall * np.array([x, y]) for x in (-0.7, 0, 0.7) for y in (-0.4, 0.2, 0.8)]
        at += spots
        sizes += [side] * len(spots)
    regions = Region(
        centre=np.asarray(at, np.float32), size=np.asarray(sizes, np.float32), angle=np.zeros(len(at), np.float32)
    )
    found = jax.tree.map(np.asarray, find_boxes(network, picture, regions))
    if not found.score.max() > PRESENT:
        return None
    # Looked at once more from the square that its corners ask for.
    corners = found.points[int(np.argmax(found.score))]
    again = box_region(np.concatenate([corners.min(axis=0), corners.max(axis=0)]))
    again = jax.tree.map(lambda x: np.repeat(np.asarray(x, np.float32)[None], len(at), axis=0), again)
    better = jax.tree.map(np.asarray, find_boxes(network, picture, again))
    if better.score[0] > PRESENT:
        corners = better.points[0]
    margin = MARGIN * float(np.ptp(corners, axis=0).max())
    (left, top), (right, bottom) = (corners.min(axis=0) - margin) * scale, (corners.max(axis=0) + margin) * scale
    left, right = np.clip([left, right], 0, width * scale[0])
    top, bottom = np.clip([top, bottom], 0, height * scale[1])
    return float(left), float(top), float(right), float(bottom)


def propose_turns(network: Params, photograph: Photograph, matrix: np.ndarray) -> np.ndarray:
    """Turns (4, 3, 3) of an object's mesh that one of Objectron's networks proposes, where its mask is.

    Its box as it stands, and after quarter turns: whose front is where is not the same in all meshes. Where the network
    sees nothing, upright quarter turns, so that all pictures share a program.

    Args:
      network: of the object's kind.
      photograph: with the object's mask.
      matrix: intrinsics of the picture.
    """
    picture, scale = shrunk(photograph.image)
    rows, columns = (np.flatnonzero(photograph.object.any(axis=k)) for k in (1, 0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / np.tile(scale, 2)
    region = jax.tree.map(lambda x: np.asarray(x, np.float32)[None], box_region(box))
    found = jax.tree.map(np.asarray, find_boxes(network, picture, region))
    if not found.score[0] > PRESENT:
        return upright_turns()
    return turns_of_box(found.points[0] * scale, matrix, np.array([(0.0, 0.0, 0.0), *BOX_CORNERS]))


def known_kind(label: str) -> str | None:
    """The kind of object that a network knows, "chair" or "cup", of a label or a mesh's file name; None: none."""
    words = set(re.findall(r"[a-z]+", label.lower()))
    return next((kind for kind, names in KINDS.items() if words & names), None)
