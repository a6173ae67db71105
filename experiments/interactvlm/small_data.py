"""What the small InteractVLM reads of SynthHOI: crops of samples by several cameras, and of scripted starts.

A sample's fit costs seconds and a picture a fraction of one, so that most of what the body's contact is learned from
are scripts before their fit (`scripted`), with contact as the light network's pairs have it (`light_data`); samples of
the build are drawn by several cameras. Features are found once and kept in a folder, fifty pictures a file, so that a
stopped run goes on. Each picture counts twice for bodies, as it is and as its mirror image, for which left and right of
the contact change places; contact on objects is learned from the build's samples as they are.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from hoijax.data.synth import SynthConfig, open_split
from hoijax.data.synth.checks import LEVEL, body_mesh
from hoijax.data.synth.sampling import Candidate, draw
from hoijax.experiments.interactvlm.data import Example, Kept, Rows, Source, Task
from hoijax.experiments.interactvlm.light_data import signed_to_cloud, touching_vertices
from hoijax.experiments.interactvlm.redraw import draw_view, mirrored_vertices, redraw
from hoijax.experiments.interactvlm.sources import synth
from hoijax.io import output_directory, write_npz
from hoijax.systems.interactvlm.crops import CHANNELS, PACKED, TOKENS, Scale, features_of, person_crop, spread

_CHUNK = 50


def with_features(source: Source, scale: Scale, *, blind: bool = False) -> Source:
    """A source whose pictures are features, each found once; `blind`: zeros."""

    def read(index: int) -> Example:
        example = source[index]
        numbers = np.zeros(PACKED, np.float32) if blind else features_of(example.image)
        return dataclasses.replace(example, image=_tokens(numbers, scale, blind))

    return Kept(Rows(range(len(source)), read, "SynthHOI"))


def _tokens(numbers: np.ndarray, scale: Scale, blind: bool) -> np.ndarray:
    return np.zeros((TOKENS, CHANNELS), np.float32) if blind else spread(numbers, scale)


def view_features(root: pathlib.Path, folder: pathlib.Path, views: int, seed: int) -> list[np.ndarray]:
    """Features of the training samples, found once and kept.

    Args:
      root: of the build.
      folder: where they are kept.
      views: further pictures of each sample, by other cameras and lights.
      seed: of these.

    Returns:
      For each sample (views + 1, 2, PACKED): its own picture and the further ones, each as it is and mirrored.
    """
    samples = open_split(root, "train")

    def chunk(rows: range) -> dict[str, np.ndarray]:
        found = [_views_of(samples[i], views, np.random.default_rng([seed, 5, i])) for i in rows]
        return {"features": np.stack(found).astype(np.float16)}

    parts = _chunks(len(samples), folder, f"train-{views}-{seed}", chunk)
    return [row for part in parts for row in part["features"]]


def _chunks(
    count: int, folder: pathlib.Path, name: str, make: Callable[[range], dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """Arrays of all chunks of rows, each made once and kept in a file."""
    output_directory(folder)
    found = []
    for first in tqdm(range(0, count, _CHUNK), desc=name, disable=None):
        last = min(first + _CHUNK, count)
        path = folder / f"{name}-{first}-{last}.npz"
        if not path.exists():
            write_npz(path, make(range(first, last)))
        with np.load(path, allow_pickle=False) as arrays:
            found.append(dict(arrays))
    return found


def _views_of(sample: dict[str, Any], views: int, rng: np.random.Generator) -> np.ndarray:
    pictures = [(sample["image"], sample["human_mask"])] + [redraw(sample, rng) for _ in range(views)]
    return np.stack([_both(*picture) for picture in pictures])


def _both(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Features (2, PACKED) of the crop about a person and of its mirror image."""
    crop = person_crop(image, mask)
    return np.stack([features_of(crop), features_of(crop[:, ::-1])])


def view_source(
    root: pathlib.Path, task: Task, features: Sequence[np.ndarray], scale: Scale, *, blind: bool = False
) -> Source:
    """The training samples by their views, each an example.

    Args:
      root: of the build.
      task: "human": with mirror images; "object": without.
      features: of `view_features`.
      scale: of the features.
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
        contact = example.contact[other] if side else example.contact
        image = _tokens(features[index][view, side], scale, blind)
        return dataclasses.replace(example, key=f"{example.key}/{view}/{side}", image=image, contact=contact)

    return Rows(rows, read, "SynthHOI's views")


@dataclasses.dataclass(frozen=True)
class Scripted:
    """Scripts before their fit, drawn."""

    features: np.ndarray
    """(N, 2, PACKED): of each picture and its mirror image."""
    contact: np.ndarray
    """(N, V), bool."""
    label: Sequence[str]
    """Category."""


def scripted(folder: pathlib.Path, count: int, seed: int) -> Scripted:
    """Scripted starts of SynthHOI's training split with a picture each, made once and kept.

    Args:
      folder: where they are kept.
      count: how many.
      seed: of SynthHOI's draws; another than the build's makes other people, things and poses.
    """
    config = SynthConfig(seed=seed, real=0.4, instances=1024, shapes=4096)

    def chunk(rows: range) -> dict[str, np.ndarray]:
        found = [script_row(config, i) for i in rows]
        return {
            "features": np.stack([row[0] for row in found]).astype(np.float16),
            "contact": np.packbits(np.stack([row[1] for row in found]), axis=1),
            "vertices": np.array(len(found[0][1])), "label": np.array([row[2] for row in found]),
        }  # fmt: skip

    parts = _chunks(count, folder, f"scripts-{seed}", chunk)
    contact = [np.unpackbits(part["contact"], axis=1, count=int(part["vertices"])) for part in parts]
    return Scripted(
        np.concatenate([part["features"] for part in parts]), np.concatenate(contact).astype(bool),
        [str(name) for part in parts for name in part["label"]],
    )  # fmt: skip


def script_row(config: SynthConfig, index: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Features (2, PACKED), contact (V,) and label of a script; one that touches nothing takes the next attempt."""
    for attempt in range(50):
        candidate = draw(config, "train", index, attempt)
        rng = np.random.default_rng([config.seed, 6, index, attempt])
        touches, vertices, joints = touched(candidate)
        if touches.any():
            start = candidate.start
            placed = dataclasses.replace(start.placed, seed=candidate.object_seed)
            picture = draw_view(rng, vertices, joints, placed, start.furniture)
            return _both(*picture), touches, candidate.category
    raise AssertionError(f"script {index} touches nothing in 50 attempts")


def touched(candidate: Candidate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which vertices of the labelled body a script means to touch, (V,); these vertices, and joints."""
    start = candidate.start
    vertices, joints = body_mesh(start.puppet.rotations, start.puppet.betas, start.puppet.translation)
    mesh = start.placed.object.mesh
    corners, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    distance = signed_to_cloud(vertices, start.placed, corners, faces)
    return touching_vertices(distance, start.contact, LEVEL), vertices, joints


def scripted_source(scripts: Scripted, scale: Scale, *, blind: bool = False) -> Source:
    """Contact of bodies in scripts, each picture as it is and mirrored."""
    other = mirrored_vertices()

    def read(row: tuple[int, int]) -> Example:
        index, side = row
        contact = scripts.contact[index].astype(np.float32)
        key = f"script-{index}/{side}"
        image = _tokens(scripts.features[index, side], scale, blind)
        image[-1, -1] = 1  # contact of scripts is not quite that of fitted samples: the network is told
        return Example(key, image, scripts.label[index], contact[other] if side else contact, group=key)

    return Rows([(i, side) for i in range(len(scripts.contact)) for side in (0, 1)], read, "scripts")
