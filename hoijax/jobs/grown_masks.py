"""An object's mask from a box or a click: GrabCut, which parts colours where the edges are (Rother et al. 2004).

OpenCV's, of the extra [masks]. Pixels that the networks are sure to be the person's never become the object's.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from hoijax.errors import InputError
from hoijax.jobs.photographs import Spot

SIDE = 300
"""Longest side of the window that is parted, pixels; larger ones are made smaller."""
ROUNDS = 5
"""Of GrabCut."""
CONTEXTS = (0.1, 0.15, 0.25)
"""What is seen around a box, in its longer sides. GrabCut may settle in two ways, depending on it: most decide."""
WINDOWS = (0.12, 0.2, 0.33, 0.5)
"""Half sides of the windows that are tried about a click, in longer sides of the picture."""
SEED = 0.012
"""Radius about a click that is the object for sure, likewise."""
PIECE = 0.15
"""Pieces smaller than this share of the largest are dropped."""
SHARE = 0.9
"""Share of a box above which nothing was parted in it."""


def require_growing(*, following: bool = False) -> None:
    """Refuses to go on where masks cannot be grown.

    Args:
      following: from a video's frame to its next, and not from a box or a click.

    Raises:
      InputError: OpenCV is not installed.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the object is followed from frame to frame by OpenCV; pip install 'hoijax[masks]', or give as "
            "--object-mask a folder with a mask of each frame, named 000000.png and so on"
            if following
            else "a mask is grown from --object-box or --object-click by OpenCV; pip install 'hoijax[masks]', or give "
            "--object-mask"
        ) from error


def grow_mask(image: np.ndarray, spot: Spot, person: np.ndarray | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The object's mask (H, W) bool, and what to know about it.

    Args:
      image: (H, W, 3) uint8.
      spot: the box about the object, a click on it, or both.
      person: (H, W) bool, what is the person's for sure.

    Raises:
      InputError: nothing could be told from what is around, or OpenCV is not installed.
    """
    require_growing()
    height, width = image.shape[:2]
    person = np.zeros((height, width), bool) if person is None else person
    if spot.click is not None:
        person = person & ~_disc((height, width), spot.click, 2 * SEED * max(height, width))
    if spot.box is not None:
        box = np.asarray(spot.box, float)
        votes = [_grow_in_box(image, box, context, spot.click, person) for context in CONTEXTS]
        mask = np.sum(votes, axis=0) > len(votes) / 2
    else:
        mask = _grow_about_click(image, spot.click, person)
    if not mask.any():
        raise InputError(
            "no object can be told from what is around it; give a box that is nearer to it (--object-box) with a click "
            "on it (--object-click), or --object-mask"
        )
    notes = ["the object's mask was grown: look at object_mask.png"]
    if spot.box is not None:
        left, top, right, bottom = np.clip(np.round(spot.box).astype(int), 0, [width, height] * 2)
        if mask[top:bottom, left:right].mean() > SHARE:
            notes.append("the grown mask fills its box: nothing in it looks like what is around")
    return mask, tuple(notes)


def follow_mask(
    image: np.ndarray, before: np.ndarray, person: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mask of the next frame of a video: grown from the last one's, which is taken to have moved a little.

    Args:
      image: (H, W, 3) uint8, the frame.
      before: (H, W) bool, the object in the frame before.
      person: (H, W) bool, what is the person's for sure.

    Raises:
      InputError: the object was lost, or OpenCV is not installed.
    """
    require_growing(following=True)
    rows, columns = np.flatnonzero(before.any(axis=1)), np.flatnonzero(before.any(axis=0))
    if not len(rows):
        raise InputError("the object is lost: the frame before shows nothing of it")
    low = np.array([columns[0], rows[0]], float)
    high = np.array([columns[-1] + 1, rows[-1] + 1], float)
    reach = max(3.0, 0.12 * float(max(high - low)))
    window = _window(low - 2 * reach, high + 2 * reach, image.shape)
    part = _Part(image, window)
    mask, taken = part.mask(before), part.mask(np.zeros_like(before) if person is None else person)
    pixels = max(1, round(reach * part.zoom))
    near = ndimage.binary_dilation(mask, iterations=pixels)
    sure = ndimage.binary_erosion(mask, iterations=pixels)
    found = part.cut(np.where(sure & ~taken, 1, np.where(near & ~taken, np.where(mask, 3, 2), 0)))
    grown = part.whole(_pieces(found, None))
    if grown.sum() < 0.25 * before.sum():
        raise InputError("the object is lost: less than a quarter of the frame before's mask is found again")
    return grown, ("the object was followed from the frame before",)


class _Part:
    """A window of a picture made small."""

    def __init__(self, image: np.ndarray, window: tuple[int, int, int, int]):
        left, top, right, bottom = window
        self.window, self.shape = window, image.shape[:2]
        self.zoom = min(1.0, SIDE / max(right - left, bottom - top))
        self.size = (max(2, round((right - left) * self.zoom)), max(2, round((bottom - top) * self.zoom)))
        self.image = np.asarray(Image.fromarray(image[top:bottom, left:right]).resize(self.size, Image.Resampling.BOX))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the picture in the window."""
        left, top, right, bottom = self.window
        small = Image.fromarray(255 * mask[top:bottom, left:right].astype(np.uint8))
        return np.asarray(small.resize(self.size, Image.Resampling.BOX)) > 127

    def whole(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the window in the picture."""
        left, top, right, bottom = self.window
        out = np.zeros(self.shape, bool)
        large = Image.fromarray(255 * mask.astype(np.uint8)).resize((right - left, bottom - top))
        out[top:bottom, left:right] = np.asarray(large) > 127
        return out

    def place(self, point: np.ndarray | tuple[float, float]) -> np.ndarray:
        """A point of the picture, pixels, in the window."""
        left, top, right, bottom = self.window
        return (np.asarray(point, float) - [left, top]) * self.size / [right - left, bottom - top]

    def cut(self, labels: np.ndarray) -> np.ndarray:
        """GrabCut from labels: 0 not it, 1 it, 2 rather not, 3 rather it."""
        import cv2

        labels = labels.astype(np.uint8)
        if not ((labels == 1) | (labels == 3)).any() or not ((labels == 0) | (labels == 2)).any():
            return np.zeros(labels.shape, bool)
        cv2.setRNGSeed(0)
        models = np.zeros((2, 1, 65))
        bgr = np.ascontiguousarray(self.image[..., ::-1])
        cv2.grabCut(bgr, labels, None, models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
        return (labels == 1) | (labels == 3)


def _grow_in_box(
    image: np.ndarray, box: np.ndarray, context: float, click: tuple[float, float] | None, person: np.ndarray
) -> np.ndarray:
    low, high = box[:2], box[2:]
    context = context * float(max(high - low))
    part = _Part(image, _window(low - context, high + context, image.shape))
    y, x = np.mgrid[: part.size[1], : part.size[0]] + 0.5
    (left, top), (right, bottom) = part.place(low), part.place(high)
    inside = (x > left) & (x < right) & (y > top) & (y < bottom) & ~part.mask(person)
    labels = np.where(inside, 3, 0)
    if click is not None:
        radius = SEED * max(image.shape[:2]) * part.zoom
        labels[_disc(labels.shape, part.place(click), radius) & inside] = 1
    return part.whole(_pieces(part.cut(labels), None))


def _grow_about_click(image: np.ndarray, click: tuple[float, float], person: np.ndarray) -> np.ndarray:
    """Windows from small to large, until the object ends within one."""
    longest, found = max(image.shape[:2]), np.zeros(image.shape[:2], bool)
    for half in WINDOWS:
        reach = half * longest
        part = _Part(image, _window(np.asarray(click) - reach, np.asarray(click) + reach, image.shape))
        middle = part.place(click)
        y, x = np.mgrid[: part.size[1], : part.size[0]] + 0.5
        away = np.hypot(x - middle[0], y - middle[1]) / (reach * part.zoom)
        taken = part.mask(person)
        labels = np.where(away < 0.5, 3, 2)
        labels[away > 0.9] = 0
        labels[taken] = 0
        labels[_disc(labels.shape, middle, SEED * longest * part.zoom)] = 1
        piece = _pieces(part.cut(labels), middle)
        found = part.whole(piece)
        # Neither the spot that was clicked at nor the edge of what was allowed is the object.
        if piece.sum() > 4 * (labels == 1).sum() and (piece & (away > 0.8)).sum() <= 0.02 * piece.sum():
            return found
    return found if piece.sum() > 4 * (labels == 1).sum() else np.zeros_like(found)


def _window(low: np.ndarray, high: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    left, top = np.clip(np.floor(low).astype(int), 0, [shape[1] - 2, shape[0] - 2])
    right, bottom = np.clip(np.ceil(high).astype(int), [left + 2, top + 2], [shape[1], shape[0]])
    return int(left), int(top), int(right), int(bottom)


def _disc(shape: tuple[int, int], centre: np.ndarray | tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1])
    return distance <= max(radius, float(distance.min()))


def _pieces(mask: np.ndarray, seed: np.ndarray | None) -> np.ndarray:
    """The piece at a place, or those that are not specks."""
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    if seed is not None:
        column, row = np.clip(seed.astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1])
        at = pieces[row, column]
        return pieces == at if at else np.zeros_like(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.isin(pieces, np.flatnonzero(sizes >= PIECE * sizes.max()))
