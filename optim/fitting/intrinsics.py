"""The camera's intrinsics for a fit: given, from the picture's EXIF, or estimated along with the body; and which."""

import math
import os
import pathlib
from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Float
from PIL import ExifTags, Image

from hoijax.errors import InputError

ArrayLike = jax.Array | np.ndarray

SOURCES: tuple[str, ...] = ("given", "exif", "estimated")
"""What the focal length of a fit may come from."""
EXIF_STD = 0.03
"""Relative standard deviation of an EXIF focal length: whole millimetres, cropped video modes, breathing lenses."""
UNKNOWN_STD = 0.35
"""Of a focal length that nobody knows, about the diagonal of the picture (a lens of 43 mm on 35 mm film)."""
_FILM_DIAGONAL = math.hypot(36.0, 24.0)  # millimetres, to which "35 mm equivalent" refers
_CENTIMETRES = {2: 2.54, 3: 1.0}  # of EXIF's FocalPlaneResolutionUnit


@struct.dataclass
class Intrinsics:
    """A pinhole's intrinsics and how well the focal length is known."""

    matrix: Float[ArrayLike, "*B 3 3"] | Any
    """[[fx, 0, cx], [0, fy, cy], [0, 0, 1]], pixels."""
    focal_std: Float[ArrayLike, "*B"] | Any
    """Standard deviation of the logarithm of the focal length; 0 holds it as it is."""
    source: str = struct.field(pytree_node=False)
    """One of `SOURCES`."""


def given_intrinsics(
    focal: float | ArrayLike, image_size: tuple[int, int], *, source: str = "given", std: float = 0.0
) -> Intrinsics:
    """Intrinsics that are known.

    Args:
      focal: focal length, pixels, or a whole (3, 3) matrix.
      image_size: (H, W); the principal point of a focal length alone is its centre.
      source: one of `SOURCES`.
      std: relative uncertainty of the focal length.

    Raises:
      InputError: a focal length that is not above zero, or no pinhole matrix.
    """
    height, width = _size(image_size)
    matrix = np.asarray(focal, np.float64)
    if matrix.shape == ():
        matrix = np.array([[matrix, 0, width / 2], [0, matrix, height / 2], [0, 0, 1]], np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not np.array_equal(matrix[2], [0, 0, 1]):
        raise InputError(
            f"intrinsics are a focal length or [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {np.asarray(focal)}"
        )
    if not (1 < matrix[0, 0] < 1e6 and 1 < matrix[1, 1] < 1e6):
        raise InputError(f"focal lengths are {matrix[0, 0]:g} and {matrix[1, 1]:g}; wanted are pixels, above 1")
    return Intrinsics(matrix.astype(np.float32), np.float32(std), source)


def estimated_intrinsics(image_size: tuple[int, int]) -> Intrinsics:
    """Intrinsics of a picture of which nothing is known: the focal length is fitted about the picture's diagonal.

    Args:
      image_size: (H, W).
    """
    height, width = _size(image_size)
    return given_intrinsics(math.hypot(height, width), image_size, source="estimated", std=UNKNOWN_STD)


def exif_intrinsics(path: str | os.PathLike[str]) -> Intrinsics | None:
    """Intrinsics from a picture's EXIF entries, read without decoding the picture; None where it has none.

    The focal length comes from FocalLengthIn35mmFilm (by the diagonal of the film), or else from FocalLength and the
    focal plane's resolution. A picture that is stored on its side has its axes as seen after turning. Entries of a
    picture that was resized stay true for the first, and are scaled by the stored original width for the second.

    Args:
      path: picture file.

    Raises:
      InputError: no picture there.
    """
    path = pathlib.Path(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            entries = dict(image.getexif().get_ifd(ExifTags.IFD.Exif))
            turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except FileNotFoundError as error:
        raise InputError(f"no picture at {path}") from error
    except Exception as error:  # damaged files make Pillow raise anything
        raise InputError(f"{path} cannot be read as a picture: {error}") from error
    if turned:
        width, height = height, width
    focal = _exif_focal(entries, width, height)
    if focal is None or not 0.1 < focal / math.hypot(width, height) < 50:
        return None
    return given_intrinsics(focal, (height, width), source="exif", std=EXIF_STD)


def choose_intrinsics(
    image_size: tuple[int, int],
    *,
    focal: float | ArrayLike | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Intrinsics:
    """What is given, else what the picture's EXIF says, else an estimate; `source` says which.

    Args:
      image_size: (H, W) of the picture as its pixels are used.
      focal: pixels, or a (3, 3) matrix.
      path: the picture's file, for its EXIF; its size after turning must be `image_size`, or the same scaled.

    Raises:
      InputError: as the functions above.
    """
    height, width = _size(image_size)
    if focal is not None:
        return given_intrinsics(focal, image_size)
    found = exif_intrinsics(path) if path is not None else None
    if found is None:
        return estimated_intrinsics(image_size)
    scale = width / (2 * float(found.matrix[0, 2]))
    if abs(scale * 2 * float(found.matrix[1, 2]) - height) > 0.02 * height:
        return estimated_intrinsics(image_size)  # cropped: which part of the lens is seen is not known
    return given_intrinsics(scale * float(found.matrix[0, 0]), image_size, source="exif", std=EXIF_STD)


def _exif_focal(entries: dict[int, Any], width: int, height: int) -> float | None:
    """Focal length in pixels of the picture, or None."""

    def number(tag: int) -> float | None:
        try:
            value = float(entries[tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
            return None
        return value if math.isfinite(value) and value > 0 else None

    film = number(ExifTags.Base.FocalLengthIn35mmFilm)
    if film is not None:
        return film / _FILM_DIAGONAL * math.hypot(width, height)
    lens, density = number(ExifTags.Base.FocalLength), number(ExifTags.Base.FocalPlaneXResolution)
    unit = _CENTIMETRES.get(int(number(ExifTags.Base.FocalPlaneResolutionUnit) or 2))
    if lens is None or density is None or unit is None:
        return None
    original = number(ExifTags.Base.ExifImageWidth) or max(width, height)
    # The sensor's longer side lies along the stored picture's width, whichever way it is turned.
    return lens / 10.0 * density / unit * max(width, height) / max(original, number(ExifTags.Base.ExifImageHeight) or 0)


def _size(image_size: tuple[int, int]) -> tuple[int, int]:
    height, width = image_size
    if not (height > 0 and width > 0):
        raise InputError(f"a picture of {height} x {width} pixels; wanted are a height and a width above zero")
    return int(height), int(width)
