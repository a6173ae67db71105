"""The crop about a person, and what the small InteractVLM sees of it: inner maps and landmarks of a shipped network.

The network for persons (BlazePose, which has seen photographs) is frozen. Of a crop it gives sixteen tokens of cells, a
token for each of sixteen joints, of the maps where the joint is, and one of all landmarks together. Tokens of one kind
have channels of their own.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from PIL import Image

from hoijax.nets import blaze
from hoijax.nets.blaze.landmarker import LANDMARK_SIZE
from hoijax.nets.blaze.trunk import trunk

MARGIN = 1.25
"""Side of a crop over the larger side of the person's box."""
COARSE, FINE = 11, 5
"""Blocks of the trunk whose inputs are read: 16 x 16 cells of 88 channels, 32 x 32 of 32."""
WIDTHS = (88, 32)
CELLS = 8
"""Of a side of what is kept of the coarse map: means of 2 x 2 cells."""
SIDE = 4
"""Of a side of what becomes tokens: means of 2 x 2 of those."""
JOINTS: tuple[str, ...] = tuple(
    f"{side}_{name}"
    for name in ("shoulder", "elbow", "wrist", "index", "hip", "knee", "ankle", "foot_index")
    for side in ("left", "right")
)
"""Landmarks with a token."""
_IDS = np.array([blaze.LANDMARK_NAMES.index(name) for name in JOINTS])
_POINTS = len(blaze.LANDMARK_NAMES)
_JOINT = sum(WIDTHS) + 6
"""Numbers of a joint: of both maps, place in the crop, visibility, place in metres."""
_SHAPES = ((CELLS * CELLS, WIDTHS[0]), (len(JOINTS), _JOINT), (1, 6 * _POINTS))
PACKED = sum(rows * columns for rows, columns in _SHAPES)
"""Numbers of a crop."""
TOKENS = SIDE * SIDE + len(JOINTS) + 1
CHANNELS = sum(columns for _, columns in _SHAPES) + len(JOINTS) + 1
"""Of a token: those of each kind, which joint it is, and one that is zero but in training."""


def person_crop(image: np.ndarray, mask: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """The square about a person, whatever reaches out of the picture filled by its edge.

    Args:
      image: (H, W, 3).
      mask: (H, W) of the person; empty: the whole picture.
      margin: side of the square over the larger side of the person's box.
    """
    if not mask.any():
        return image
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    side = max(8, round(margin * max(np.ptp(rows), np.ptp(columns)) + 1))
    first = [round((ends[0] + ends[-1] + 1 - side) / 2) for ends in (rows, columns)]
    down, across = (np.clip(np.arange(side) + start, 0, size - 1) for start, size in zip(first, mask.shape))
    return image[down[:, None], across[None]]


@jax.jit
def _numbers(params: Any, image: jax.Array) -> jax.Array:
    inputs = trunk(params, image[None], "centred")[1]
    said = blaze.run_landmarker(params, image[None])
    coarse, fine = inputs[COARSE][0], inputs[FINE][0]
    side = coarse.shape[0] // CELLS
    cells = jnp.mean(coarse.reshape(CELLS, side, CELLS, side, -1), axis=(1, 3))
    points, metric = said.points[0, :_POINTS], said.metric[0, :_POINTS]
    seen = jax.nn.sigmoid(points[:, 3:4])
    places = 2 * points[:, :2] / LANDMARK_SIZE - 1
    own = jnp.concatenate([places, seen, metric], axis=1)
    joints = [_at(found, points[_IDS, :2]) for found in (coarse, fine)] + [own[_IDS]]
    return jnp.concatenate([cells.reshape(-1), jnp.concatenate(joints, axis=1).reshape(-1), own.reshape(-1)])


def _at(found: jax.Array, pixels: jax.Array) -> jax.Array:
    """A map's values (J, C) at pixels of the crop, between cells by their distance, beyond the edge those of it."""
    cells = pixels / (LANDMARK_SIZE / found.shape[0]) - 0.5
    read = jax.vmap(lambda channel: map_coordinates(channel, [cells[:, 1], cells[:, 0]], 1, "nearest"), 2, 1)
    return read(found)


def features_of(image: np.ndarray) -> np.ndarray:
    """Numbers (PACKED,) of a crop about a person; `spread` makes tokens of them.

    Args:
      image: (H, W, 3) bytes.
    """
    side = (LANDMARK_SIZE, LANDMARK_SIZE)
    small = np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BILINEAR), np.float32) / 255
    return np.asarray(_numbers(blaze.load("landmarks"), small))


@dataclasses.dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of every column of the three kinds of tokens, in turn: channels differ by a lot."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, crops: Iterable[np.ndarray]) -> "Scale":
        """That of some crops' numbers, each (PACKED,)."""
        blocks = [np.concatenate(kind) for kind in zip(*(_blocks(numbers) for numbers in crops))]
        means = np.concatenate([block.mean(axis=0, dtype=np.float64) for block in blocks])
        deviations = np.concatenate([block.std(axis=0, dtype=np.float64) for block in blocks])
        return cls(means.astype(np.float32), np.maximum(deviations, 1e-3).astype(np.float32))

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> "Scale":
        """That of a file of weights."""
        return cls(*(np.asarray(facts["scale"][name], np.float32) for name in ("mean", "deviation")))

    def facts(self) -> dict[str, Any]:
        """As a file of weights says it."""
        rows = {"mean": self.mean, "deviation": self.deviation}
        return {"scale": {name: [float(f"{x:.5g}") for x in values] for name, values in rows.items()}}


def _blocks(numbers: np.ndarray) -> list[np.ndarray]:
    """The three kinds of tokens of a crop's numbers."""
    ends = np.cumsum([rows * columns for rows, columns in _SHAPES])
    parts = np.split(np.asarray(numbers, np.float32), ends[:-1])
    cells, *others = (part.reshape(shape) for part, shape in zip(parts, _SHAPES))
    count = CELLS // SIDE
    pooled = cells.reshape(SIDE, count, SIDE, count, -1).mean(axis=(1, 3))
    return [pooled.reshape(SIDE * SIDE, -1), *others]


def spread(numbers: np.ndarray, scale: Scale) -> np.ndarray:
    """Tokens (TOKENS, CHANNELS) of a crop's numbers: those of cells, of joints, of all landmarks.

    Args:
      numbers: (PACKED,), of `features_of`.
      scale: brings every column to mean 0 and deviation 1.
    """
    out = np.zeros((TOKENS, CHANNELS), np.float32)
    row = column = 0
    for block in _blocks(numbers):
        rows, columns = block.shape
        own = slice(column, column + columns)
        out[row : row + rows, own] = (block - scale.mean[own]) / scale.deviation[own]
        row, column = row + rows, column + columns
    spots = np.arange(len(JOINTS))
    out[SIDE * SIDE + spots, column + spots] = 1
    return out
