"""What the small InteractVLM reads of SynthHOI: features of crops, of every training sample by several cameras.

Features are found once and kept in a folder, fifty samples a file, so that a stopped run goes on. Each view counts
twice, as it is and as its mirror image, for which left and right of the body's contact change places; contact on
objects is learned from the views as they are.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from tqdm import tqdm

from hoijax.data.synth import open_split
from hoijax.experiments.interactvlm.data import Example, Kept, Rows, Source, Task
from hoijax.experiments.interactvlm.redraw import mirrored_vertices, redraw
from hoijax.experiments.interactvlm.sources import person_crop, synth
from hoijax.io import output_directory, write_npz
from hoijax.nets import blaze
from hoijax.nets.blaze.trunk import trunk

BLOCK = 11
"""Of the landmark network's trunk: its input has 16 x 16 cells."""
CHANNELS = 88
"""Of that map."""
CELLS = 8
"""Of a side of what the decoder reads: means of 2 x 2 cells."""
_CHUNK = 50


@jax.jit
def _features(params: Any, image: jax.Array) -> jax.Array:
    inside = trunk(params, image[None], "centred")[1][BLOCK][0]
    side = inside.shape[0] // CELLS
    return jnp.mean(inside.reshape(CELLS, side, CELLS, side, -1), axis=(1, 3)).reshape(CELLS * CELLS, -1)


def features_of(image: np.ndarray) -> np.ndarray:
    """Features (64, 88) of a crop about a person.

    Args:
      image: (H, W, 3) bytes.
    """
    small = np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.BILINEAR), np.float32) / 255
    return np.asarray(_features(blaze.load("landmarks"), small))


def with_features(source: Source, *, blind: bool = False) -> Source:
    """A source whose pictures are features, each found once; `blind`: zeros."""

    def read(index: int) -> Example:
        example = source[index]
        found = np.zeros((CELLS * CELLS, CHANNELS), np.float32) if blind else features_of(example.image)
        return dataclasses.replace(example, image=found)

    return Kept(Rows(range(len(source)), read, "SynthHOI"))


def view_features(root: pathlib.Path, folder: pathlib.Path, views: int, seed: int) -> list[np.ndarray]:
    """Features of the training samples, found once and kept.

    Args:
      root: of the build.
      folder: where they are kept.
      views: further pictures of each sample, by other cameras and lights.
      seed: of these.

    Returns:
      For each sample (views + 1, 2, 64, 88): its own picture and the further ones, each as it is and mirrored.
    """
    samples = open_split(root, "train")
    output_directory(folder)
    found: list[np.ndarray] = []
    for first in tqdm(range(0, len(samples), _CHUNK), desc="views", disable=None):
        last = min(first + _CHUNK, len(samples))
        path = folder / f"train-{first}-{last}-{views}-{seed}.npz"
        if not path.exists():
            rows = [_views_of(samples[i], views, np.random.default_rng([seed, 5, i])) for i in range(first, last)]
            write_npz(path, {"features": np.stack(rows).astype(np.float16)})
        with np.load(path, allow_pickle=False) as arrays:
            found += list(arrays["features"])
    return found


def _views_of(sample: dict[str, Any], views: int, rng: np.random.Generator) -> np.ndarray:
    pictures = [(sample["image"], sample["human_mask"])] + [redraw(sample, rng) for _ in range(views)]
    crops = [person_crop(*picture) for picture in pictures]
    return np.stack([[features_of(crop), features_of(crop[:, ::-1])] for crop in crops])


def view_source(root: pathlib.Path, task: Task, features: Sequence[np.ndarray], *, blind: bool = False) -> Source:
    """The training samples by their views, each an example.

    Args:
      root: of the build.
      task: "human": with mirror images; "object": without.
      features: of `view_features`.
      blind: features of zeros.
    """
    base = synth(root, "train", task)
    examples = Kept(Rows(range(len(base)), lambda i: dataclasses.replace(base[i], image=np.zeros((1, 1, 3))), "views"))
    other = mirrored_vertices() if task == "human" else None
    sides = (0, 1) if task == "human" else (0,)
    rows = [(i, view, side) for i, own in enumerate(features) for view in range(len(own)) for side in sides]

    def read(row: tuple[int, int, int]) -> Example:
        index, view, side = row
        example = examples[index]
        seen = features[index][view, side].astype(np.float32)
        contact = example.contact[other] if side else example.contact
        return dataclasses.replace(
            example, key=f"{example.key}/{view}/{side}", image=np.zeros_like(seen) if blind else seen, contact=contact
        )

    return Rows(rows, read, "SynthHOI's views")
