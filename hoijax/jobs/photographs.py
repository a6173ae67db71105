"""Pictures and masks as `hoijax reconstruct` reads them: checked before any long work, cut to the network's crops."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image, ImageOps

from hoijax.errors import InputError
from hoijax.systems.scorehoi.inputs import crop, crop_box

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
SMALLEST = 8
"""A person whose mask's box is smaller than this cannot be told from a speck, pixels of a side."""
HUMAN_ID, OBJECT_ID = 1, 2
"""Numbers of the person and the object in an instance-id picture."""
NEEDED = (
    "wanted --human-mask and --object-mask, or --instances (a PNG with person 1 and object 2), or a picture whose "
    "alpha channel is 0 where neither is"
)


WHERE = (
    "where is the object? Wanted --object-mask (bright where it is seen), --instances (a PNG with person 1 and object "
    "2), a picture whose alpha channel is 0 but for the object, or, of hoijax reconstruct, --object-box "
    "left,top,right,bottom or --object-click x,y (a mask is grown from there)"
)


@dataclasses.dataclass(frozen=True)
class Spot:
    """Where somebody says that the object is (its mask is grown from there), or who is meant; pixels of the picture."""

    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom."""
    click: tuple[float, float] | None = None
    """x, y of a point on it."""


@dataclasses.dataclass(frozen=True)
class Photograph:
    """One picture and what is known to be seen in it."""

    name: str
    path: pathlib.Path
    image: np.ndarray
    """(H, W, 3) uint8, the right way up."""
    human: np.ndarray
    """(H, W) bool; nowhere where no mask of the person was given and none is needed."""
    object: np.ndarray
    """(H, W) bool."""
    notes: tuple[str, ...] = ()
    """What a person should know about this picture."""
    spot: Spot | None = None
    """Where the object is to be grown from; the mask of it is empty then."""
    grown: bool = False
    """Whether the object's mask was found and not given."""

    def box(self) -> tuple[np.ndarray, float]:
        """Upper left corner (x, y) and side of the crop, pixels of the picture."""
        return crop_box(self.human | self.object, np.zeros((1, 2)))

    def crop(self, size: int) -> np.ndarray:
        """What the regressor takes (size, size, 5): RGB in [0, 1], human mask, object mask."""
        low, side = self.box()
        layers = [crop(self.image[..., i], low, side, size) for i in range(3)]
        masks = [crop(255 * m.astype(np.uint8), low, side, size) > 0.5 for m in (self.human, self.object)]
        return np.stack([*layers, *(m.astype(np.float32) for m in masks)], axis=-1)


def open_picture(path: pathlib.Path) -> Image.Image:
    """A picture of a file, turned upright.

    Raises:
      InputError: it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        picture = ImageOps.exif_transpose(Image.open(path))
        picture.load()
    except Exception as error:  # damaged files make Pillow raise anything: SyntaxError, TypeError, struct.error
        raise InputError(f"{path} is no picture that can be read: {error}") from error
    if picture.mode == "F" and not np.isfinite(np.asarray(picture)).all():
        raise InputError(f"{path} holds pixels that are not finite")
    return picture


def _colours(path: pathlib.Path, picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture, np.float64)
        most = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0 if values.max() <= 255.0 else 65535.0
        if values.min(initial=0.0) < 0 or values.max(initial=0.0) > 65535.0:
            raise InputError(
                f"{path} holds pixels from {values.min():g} to {values.max():g}; wanted 8 bits per channel"
            )
        return np.repeat(np.round(255 * values / most).astype(np.uint8)[..., None], 3, axis=-1)
    return np.asarray(_convert(path, picture, "RGB"))


def _convert(path: pathlib.Path, picture: Image.Image, mode: str) -> Image.Image:
    try:
        return picture.convert(mode)
    except ValueError as error:  # Pillow reads modes, such as LAB, that it does not turn into others
        raise InputError(
            f"{path} is of the kind {picture.mode}, which is not read; wanted grey, RGB, CMYK or a palette"
        ) from error


def _mask(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray:
    picture = open_picture(path)
    numbers = picture.mode in ("L", "F") or picture.mode.startswith("I")
    values = np.asarray(picture if numbers else _convert(path, picture, "L"))
    if values.shape != shape:
        raise InputError(
            f"{path} has {values.shape[1]} x {values.shape[0]} pixels, its picture {shape[1]} x {shape[0]}"
            + " as seen when turned upright" * (values.shape == shape[::-1])
        )
    # 0 and 1, 0 and 255, or anything between.
    return values > (0 if values.max(initial=0) <= 1 else values.max() / 2)


def read_photograph(
    path: pathlib.Path,
    human: pathlib.Path | None,
    obj: pathlib.Path | None,
    instances: pathlib.Path | None,
    *,
    find_person: bool = False,
    find_object: bool = False,
    spot: Spot | None = None,
) -> Photograph:
    """Reads and checks one picture with its masks.

    Args:
      path: the picture.
      human: mask of the person; None if it is known otherwise.
      obj: mask of the object, likewise.
      instances: instance-id picture.
      find_person: a mask of the person may be missing, since the person will be found.
      find_object: a mask of the object may be missing too, since the object will be found.
      spot: where the object's mask will be grown from.

    Raises:
      InputError: it cannot be used.
    """
    picture = open_picture(path)
    return describe_picture(
        path.stem, path, _colours(path, picture), picture, human, obj, instances,
        find_person=find_person, find_object=find_object, spot=spot,
    )  # fmt: skip


def describe_picture(
    name: str,
    path: pathlib.Path,
    image: np.ndarray,
    picture: Image.Image | None,
    human: pathlib.Path | None,
    obj: pathlib.Path | None,
    instances: pathlib.Path | None,
    *,
    find_person: bool,
    find_object: bool,
    spot: Spot | None,
) -> Photograph:
    """Pixels with the masks that go with them; `picture` may have an alpha channel, a frame of a video (None) has none.

    Raises:
      InputError: masks that cannot be used, or too few of them.
    """
    shape, notes = image.shape[:2], []
    person = None if human is None else _mask(human, shape)
    item = None if obj is None else _mask(obj, shape)
    if instances is not None:
        person, item = _instances(instances, shape)
    elif spot is not None:
        check_spot(path, spot, shape)
        item = np.zeros(shape, bool)
    elif item is None or (person is None and not find_person):
        seen = None if picture is None else _alpha(path, picture)
        if seen is None and find_object:
            item = np.zeros(shape, bool)
        elif seen is None and find_person:
            raise InputError(f"{path}: {WHERE}")
        elif seen is None:
            given = "neither was given" if person is item else "only one was given"
            raise InputError(f"{path}: masks of person and object are needed and {given}; {NEEDED}")
        elif find_person:
            item = seen if person is None else seen & ~person
        elif person is None and item is None:
            person = item = seen
            notes.append("alpha does not tell the person from the object: both masks are its foreground")
        else:
            person = seen & ~item if person is None else person
            item = seen & ~person if item is None else item
    given = obj is not None or instances is not None  # what somebody says is not looked for elsewhere
    if find_person and spot is None and (given or not find_object) and not item.any():
        raise InputError(f"{path}: the mask of the object is empty; wanted are the pixels that show it")
    if person is None:
        person = np.zeros(shape, bool)
    else:
        notes += _doubts(path, person, item, find_person)
    return Photograph(name, path, image, person, item, tuple(notes), spot)


def check_spot(path: pathlib.Path, spot: Spot, shape: tuple[int, int], of: str = "object") -> None:
    """Checks a box and a click.

    Args:
      path: the picture, for messages.
      spot: what was given.
      shape: height and width of the picture.
      of: "object" or "human", as in the options' names.

    Raises:
      InputError: they lie outside of the picture.
    """
    if spot.box is not None:
        left, top, right, bottom = spot.box
        inside = min(right, shape[1]) - max(left, 0), min(bottom, shape[0]) - max(top, 0)
        if not min(inside) >= 4:
            raise InputError(
                f"{path}: --{of}-box {','.join(f'{x:g}' for x in spot.box)} holds no 4 x 4 pixels of the picture of "
                f"{shape[1]} x {shape[0]}; wanted left,top,right,bottom"
            )
    if spot.click is not None and not (0 <= spot.click[0] < shape[1] and 0 <= spot.click[1] < shape[0]):
        raise InputError(
            f"{path}: --{of}-click {','.join(f'{x:g}' for x in spot.click)} lies outside of the picture of "
            f"{shape[1]} x {shape[0]}; wanted x,y"
        )


def _alpha(path: pathlib.Path, picture: Image.Image) -> np.ndarray | None:
    """Where a picture's alpha channel shows something; None without a channel, or if it hides nothing."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return None
    seen = np.asarray(_convert(path, picture, "RGBA"))[..., 3] > 127
    return None if seen.all() else seen


def _instances(path: pathlib.Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    picture = open_picture(path)
    values = np.asarray(picture)
    if values.ndim != 2:
        raise InputError(f"{path} has {values.shape[-1]} channels; an instance-id picture has one (or a palette)")
    if values.shape != shape:
        raise InputError(
            f"{path} has {values.shape[1]} x {values.shape[0]} pixels, its picture {shape[1]} x {shape[0]}"
        )
    if not (values == HUMAN_ID).any():
        ids = ", ".join(map(str, np.unique(values)[:8]))
        raise InputError(f"{path} has no pixel of number {HUMAN_ID}, the person's; its numbers are {ids}")
    return values == HUMAN_ID, values == OBJECT_ID


def _doubts(path: pathlib.Path, human: np.ndarray, obj: np.ndarray, find_person: bool) -> list[str]:
    """What to know about masks that can be used.

    Raises:
      InputError: nobody is seen.
    """
    rows, columns = np.nonzero(human)
    side = 0 if not len(rows) else 1 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    if side < SMALLEST:
        what = "is empty" if side == 0 else f"covers {side} pixels"
        raise InputError(f"{path}: the mask of the person {what}; wanted a person of at least {SMALLEST} pixels")
    notes = []
    if human.all():
        notes.append("the mask of the person covers the whole picture")
    if not obj.any():
        if not find_person:
            notes.append("the mask of the object is empty: where it is will be guessed from the person")
    elif obj.all():
        notes.append("the mask of the object covers the whole picture")
    return notes
