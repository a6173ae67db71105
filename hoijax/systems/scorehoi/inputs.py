"""What ScoreHOI's networks are shown of a picture and an object: the crop, the object's numbers, the body's points."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from hoijax.body_models import BodyModel, keypoint_names
from hoijax.nets.scorehoi.state import NUM_BETAS, BetasRange

CROP = 1.3
"""Side of the crop over the larger side of the box around both masks."""
BETAS_LIMIT = 3.0
"""Bodies with a larger coefficient count as the mean body, the field's rule; also the range of the state's betas."""
# fmt: off
_BODY_POINTS = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "neck",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    "left_ear", "right_ear", "left_eye", "right_eye", "nose",
)
# fmt: on
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def default_betas_range() -> BetasRange:
    """Range by which networks trained here have their betas normalised; the authors' have a file of their own."""
    limit = np.full(NUM_BETAS, BETAS_LIMIT, np.float32)
    return BetasRange(low=-limit, high=limit)


def hand_points(side: str) -> list[str]:
    """Names of a hand's twenty points; a finger's name without a number is its tip."""
    return [f"{side}_{finger}{end}" for finger in _FINGERS for end in ("1", "2", "3", "")]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes of a sample's arrays."""

    model: BodyModel
    ids: Int[np.ndarray, "K"]
    """Which vertices of the body carry contact labels (`hoijax.body_models.resample_vertices`)."""
    crop: int
    """Pixels of a side."""
    geometry: int
    """Numbers of the object's global feature."""
    margin: float = 1.0
    """Side of the pictures over that of the crop: more to see around it for augmentation to turn into view."""

    @functools.cached_property
    def positional(self) -> np.ndarray:
        """Rows of the 65 positional joints among the body's keypoints."""
        known = keypoint_names(self.model)
        names = [*_BODY_POINTS, *hand_points("left"), *hand_points("right")]
        return np.array([known.index(name) for name in names])


def geometry_feature(points: Float[np.ndarray, "P 3"], count: int) -> Float[np.ndarray, "count"]:
    """What stands for PointNeXt's feature where no weights are: how far fixed points are from the template's.

    The basis is uniform in the unit ball (Prokudin et al. 2019, section 3), one for all objects.
    """
    rng = np.random.default_rng(13)
    basis = rng.normal(size=(count, 3))
    basis *= np.cbrt(rng.random((count, 1))) / np.linalg.norm(basis, axis=1, keepdims=True)
    return np.linalg.norm(basis[:, None] - points[None], axis=-1).min(axis=1).astype(np.float32)


def crop_box(seen: Bool[np.ndarray, "H W"], pixels: Float[np.ndarray, "J 2"]) -> tuple[np.ndarray, float]:
    """Upper left corner and side of the square around what is seen, or around the keypoints where nothing is."""
    rows, columns = np.nonzero(seen)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    if len(rows):
        low, high = (np.array([f(columns), f(rows)]) for f in (np.min, np.max))
        high = high + 1
    side = CROP * max(float((high - low).max()), 8.0)
    return (low + high) / 2 - side / 2, side


def crop(layer: np.ndarray, low: np.ndarray, side: float, size: int) -> Float[np.ndarray, "size size"]:
    """A square of one 8-bit channel, resized bilinearly, in [0, 1]; black outside the picture."""
    zoom = side / size
    affine = (zoom, 0.0, float(low[0]), 0.0, zoom, float(low[1]))
    picture = Image.fromarray(layer).transform(
        (size, size), Image.Transform.AFFINE, affine, resample=Image.Resampling.BILINEAR
    )
    return np.asarray(picture, np.float32) / 255
