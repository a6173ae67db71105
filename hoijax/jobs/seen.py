"""What a photograph shows of one interaction that another method has estimated, made ready for the refiner."""

import dataclasses
import pathlib

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, free_body
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.io import value_digest
from hoijax.jobs.bodies import RefinerStart
from hoijax.jobs.objects import ObjectAsset
from hoijax.jobs.photo_people import find_person, mask_in_picture
from hoijax.jobs.photographs import read_photograph
from hoijax.nets.blaze import load
from hoijax.optim.fitting import (
    Intrinsics,
    choose_intrinsics,
    object_shape,
    object_target,
    observe_mediapipe,
    outline_target,
    place_points,
    point_table,
)
from hoijax.optim.fitting.object_target import LEAST_PIXELS, clean_mask
from hoijax.optim.fitting.starts import swap_order
from hoijax.optim.gradient import Picture, Surfaces, body_surfaces, outline_overlaps, picture_of
from hoijax.optim.gradient.picture import landmark_term
from hoijax.optim.programs import Program

LEAST_OVERLAP = 0.1
"""Of the body with its mask: below it an estimate is not in the picture's camera frame."""
_overlaps = Program(outline_overlaps)


@dataclasses.dataclass(frozen=True)
class PictureFiles:
    """A picture and what says where person and object are in it; plain values."""

    image: pathlib.Path
    """The picture."""
    human_mask: pathlib.Path | None = None
    """Mask of the person; None: the networks'."""
    object_mask: pathlib.Path | None = None
    """Mask of the object."""
    instances: pathlib.Path | None = None
    """Instead of both, a picture of numbers: person 1, object 2."""
    focal: float | None = None
    """Focal length, pixels; None: the estimate's own intrinsics, EXIF entries, or a guess."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one picture shows of one interaction."""

    picture: Picture
    """Landmarks, masks and camera; the estimate is in the camera's frame."""
    surfaces: Surfaces
    """What of the body is drawn."""
    notes: tuple[str, ...]
    """What a person should know."""
    digest: str
    """Of all that results depend on."""

    def overlaps(self, params: BodyParams, pose: RigidPose) -> dict[str, float]:
        """Intersection over union of what is drawn and the masks: body, object."""
        body, thing = _overlaps(params, pose, self.picture, self.surfaces, quick=True)
        return {"body": float(body), "object": float(thing)}


def look_at(
    files: PictureFiles, model: BodyModel, start: RefinerStart, asset: ObjectAsset, matrix: np.ndarray | None = None
) -> Seen:
    """Reads a picture and finds what is seen of an estimate.

    Args:
      files: the picture and its masks.
      model: the body.
      start: the estimate, in the picture's camera frame (x right, y down, z forward).
      asset: the object.
      matrix: intrinsics of the picture as the estimate's file has them, (3, 3).

    Raises:
      InputError: masks are missing or too small, or the estimate's body is nowhere near its mask.
    """
    photograph = read_photograph(files.image, files.human_mask, files.object_mask, files.instances, find_person=True)
    human, thing, size = clean_mask(photograph.human), clean_mask(photograph.object), photograph.image.shape[:2]
    photograph = dataclasses.replace(photograph, human=human, object=thing)
    if thing.sum() < LEAST_PIXELS:
        pixels = int(thing.sum())
        raise InputError(f"{files.image}: the object's mask has {pixels} pixels; wanted are at least {LEAST_PIXELS}")
    given = files.focal if files.focal is not None or not _of_picture(matrix, size) else matrix
    intrinsics = choose_intrinsics(size, focal=given, path=files.image)
    notes = [*photograph.notes, f"the picture's focal length: {_told(intrinsics)}"]
    observation = None
    try:
        person, _ = find_person({name: load(name) for name in ("detector", "landmarks")}, photograph)
        observation = observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=size)
        if not human.any():
            human = (np.asarray(mask_in_picture(person, size)) > 0.5) & ~thing
    except InputError as error:
        if not human.any():
            raise
        notes.append(f"the outlines hold the body, landmarks do not: {error}")
    if observation is None:  # points that nobody has seen
        nowhere = np.zeros((33, 3), np.float32)
        observation = observe_mediapipe(nowhere, np.zeros(33, np.float32), nowhere, image_size=size)
    matrix = np.asarray(intrinsics.matrix, np.float32)
    outline, aim = outline_target(human, hidden=thing & ~human), object_target(thing, matrix, person=human)
    picture = picture_of(observation, matrix, outline, aim, object_shape(asset.light))
    drawn = free_body("light") if model.kind == "free" else model
    table = point_table(drawn, observation.names)
    seen = Seen(
        picture=match_sides(picture, place_points(table, start.params)[0], observation.names),
        surfaces=body_surfaces(drawn, table),
        notes=tuple(notes),
        digest=value_digest({"image": photograph.image, "human": human, "object": thing, "matrix": matrix}),
    )
    overlap = seen.overlaps(start.params, start.pose)["body"]
    if not overlap >= LEAST_OVERLAP:
        raise InputError(
            f"{files.image}: the estimate's body overlaps the person's mask by {overlap:.2f}; wanted is an estimate in "
            "the picture's camera frame (x right, y down, z forward, metres), and --focal in pixels of the picture"
        )
    return seen


def match_sides(picture: Picture, points: jax.Array, names: tuple[str, ...]) -> Picture:
    """The picture with left and right of its landmarks exchanged (everywhere, legs, arms) where a body says so.

    Args:
      picture: of one interaction.
      points: of the body (N, 3), camera frame, metres.
      names: of the landmarks.
    """

    def exchanged(order: np.ndarray) -> Picture:
        moved = {name: getattr(picture, name)[order] for name in ("pixels", "weights", "pixel_std")}
        return picture.replace(**moved)

    choices = [exchanged(order) for order in swap_order(names)]
    return choices[int(np.argmin([float(landmark_term(points, choice)) for choice in choices]))]


def _of_picture(matrix: np.ndarray | None, size: tuple[int, int]) -> bool:
    """Whether intrinsics may be those of the whole picture: their centre lies in its middle half."""
    if matrix is None:
        return False
    share = np.asarray(matrix)[:2, 2] / [size[1], size[0]]
    return bool(((share > 0.25) & (share < 0.75)).all())


def _told(intrinsics: Intrinsics) -> str:
    pixels = f"{float(intrinsics.matrix[0, 0]):.0f} pixels"
    return {
        "given": f"{pixels}, as given",
        "exif": f"{pixels}, from its EXIF entries",
        "estimated": f"{pixels} is a guess (--focal)",
    }[intrinsics.source]
