r"""Scores the light contact network on SynthHOI's pictures: binary F1 on body and object, beside what reads no picture.

    python -m hoijax.experiments.interactvlm.light_scores --out runs/scores --synth DIR --split val \
        --weights runs/light/weights.safetensors --pairs pairs.npz
    python -m hoijax.experiments.interactvlm.light_scores --out runs/scores --synth DIR --split test ...

Thresholds of every row are chosen on val and kept in the folder; other splits take those. The person comes from
MediaPipe's networks on the picture as it is; where they find nobody, the network is told so. The object's mask is the
true one, as `hoijax contact` is given it. F1 on the body is over the default body's vertices, on the object over the 64
points of its surface that a sample labels (a drawn box has eight vertices, all corners); means over samples in which
that surface is touched anywhere, with 95 % intervals of a bootstrap over samples. `--geometry` adds what distances say
after person and object were fitted to the picture, with the threshold of one half that they are made for. Several
seeds, each in a folder of its own, become one page by `light_page`.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from hoijax.body_models import free_body
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.interactvlm.light import mean_maps, read_pairs
from hoijax.experiments.interactvlm.light_data import WORDS, word_of
from hoijax.experiments.interactvlm.light_geometry import distances_of
from hoijax.geometry.closest_host import closest_on_mesh_host
from hoijax.io import output_directory, read_json, write_json, write_npz
from hoijax.jobs.photo_people import find_person
from hoijax.jobs.photographs import Photograph
from hoijax.metrics import bootstrap_mean
from hoijax.nets.blaze import load as load_blaze
from hoijax.nets.pair_contact import Config as Sizes
from hoijax.nets.pair_contact import Points, load_pair_contact, save_pair_contact
from hoijax.systems.interactvlm.pairs import (
    body_points,
    box_cells,
    make_pair,
    object_surface,
    pair_contact,
    surface_points_asked,
)

ROWS: dict[str, tuple[bool, bool]] = {
    "network": (True, True), "without landmarks": (False, True), "without the mask": (True, False),
    "without the picture": (False, False),
}  # fmt: skip
"""Rows of the network: whether it is told the landmarks, the mask."""
MEAN, GEOMETRY = "mean map of the category", "distances after a fit"
SURFACES = ("body", "object")
"""Of which each row has scores."""
_GRID = np.concatenate([np.linspace(0.01, 0.1, 10), np.linspace(0.12, 0.9, 40)])


@dataclasses.dataclass(frozen=True)
class Config:
    """What is scored."""

    out: pathlib.Path
    """Folder for landmarks, thresholds and scores."""
    synth: pathlib.Path
    """Root of a built SynthHOI."""
    weights: pathlib.Path
    """Of the network."""
    pairs: tuple[pathlib.Path, ...]
    """What it was trained on: mean maps are of these."""
    split: str = "val"
    """Of SynthHOI."""
    count: int | None = None
    """Samples; None: all."""
    geometry: int = 0
    """Samples, the first, that are also answered by distances after a fit, five seconds each."""
    ship: pathlib.Path | None = None
    """With --split val: the weights are written here, with the thresholds that were chosen."""
    resamples: int = 2000
    """Of the bootstrap."""


def find_people_in(config: Config, samples: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Landmarks of the person of every sample, by MediaPipe's networks; kept in the folder."""
    path = config.out / f"people_{config.split}_{len(samples)}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    networks = {name: load_blaze(name) for name in ("detector", "landmarks")}
    rows = {"landmarks": [], "metric": [], "visibility": [], "found": []}
    for sample in samples:
        nobody = np.zeros(sample["image"].shape[:2], bool)
        picture = Photograph(sample["key"], pathlib.Path(), sample["image"], nobody, sample["object_mask"])
        try:
            person, _ = find_person(networks, picture)
            answer = (person.landmarks, person.metric, person.visibility, True)
        except InputError:
            answer = (np.zeros((33, 3)), np.zeros((33, 3)), np.zeros(33), False)
        for name, value in zip(rows, answer):
            rows[name].append(np.asarray(value))
    arrays = {name: np.stack(values) for name, values in rows.items()}
    write_npz(path, arrays)
    return arrays


def answers_of(config: Config, samples: list[dict[str, Any]]) -> dict[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """Scores in [0, 1] on both surfaces by row."""
    network, _ = load_pair_contact(config.weights)
    sizes, people = network.config, find_people_in(config, samples)
    body = body_points(free_body("default"), sizes.reach)
    ask = jax.jit(functools.partial(pair_contact, network))
    out: dict[str, tuple[list, list]] = {row: ([], []) for row in (*ROWS, MEAN)}
    maps = mean_maps(read_pairs(config.pairs), len(WORDS))
    for i, sample in enumerate(samples):
        mesh = random_object(sample["category"], int(sample["object_seed"])).mesh
        surface = object_surface(mesh, sizes.reach, boxes=sizes.boxes)
        asked = points_asked(mesh, surface.points, sample["object_points"], sizes)
        word = word_of(sample["category"])
        for row, (joints, mask) in ROWS.items():
            told = [
                people[n][i] if joints and people["found"][i] else None for n in ("landmarks", "metric", "visibility")
            ]
            pair = make_pair(*told, sample["object_mask"] if mask else None, word, surface, sizes.mask)
            found = ask(pair, body, asked)
            out[row][0].append(np.asarray(found.body[0]))
            out[row][1].append(np.asarray(found.object[0]))
        out[MEAN][0].append(maps[0][word][body.cell[0]])
        out[MEAN][1].append(maps[1][word][asked.cell[0]])
    return out


def points_asked(mesh: Any, tokens: np.ndarray, places: np.ndarray, sizes: Sizes) -> Points:
    """Points of an object's surface as the network is asked about them."""
    vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    face = closest_on_mesh_host(np.asarray(places, float), mesh).face
    a, b, c = np.moveaxis(vertices[faces[face]], 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    cell = box_cells(np.asarray(places, float), np.abs(vertices).max(axis=0), sizes.boxes)
    return surface_points_asked(np.asarray(places, float), normals, np.asarray(tokens, float), sizes.reach, cell)


def f1(scores: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """Binary F1 of one sample."""
    said = scores >= threshold
    return 2 * float((said & truth).sum()) / max(float(said.sum() + truth.sum()), 1.0)


def interval(values: np.ndarray, resamples: int, seed: int = 0) -> list[float]:
    """Mean, and the ends of its 95 % interval."""
    found = bootstrap_mean(values, resamples=resamples, seed=seed)
    return [found.mean, found.low, found.high]


def score(config: Config) -> dict[str, Any]:
    """Scores a split; on val thresholds are chosen.

    Raises:
      InputError: no such split, or no thresholds yet.
    """
    output_directory(config.out)
    chosen_at = config.out / "thresholds.json"
    if config.split != "val" and not chosen_at.exists():
        raise InputError(f"{chosen_at} is not there: score --split val first, where thresholds are chosen")
    data = open_split(config.synth, config.split)
    samples = [data[i] for i in range(min(len(data), config.count or len(data)))]
    truth = [s["body_contact"] for s in samples], [s["object_points_contact"] for s in samples]
    answers = answers_of(config, samples)
    thresholds = {} if config.split == "val" else read_json(chosen_at)
    result: dict[str, Any] = {"split": config.split, "samples": len(samples), "rows": {}}
    result["found"] = int(find_people_in(config, samples)["found"].sum())
    each: dict[str, list[np.ndarray]] = {}
    touched = [[i for i, t in enumerate(labels) if t.any()] for labels in truth]
    for row, answer in answers.items():
        each[row] = []
        for k, (scores, labels) in enumerate(zip(answer, truth)):
            if config.split == "val":
                table = [np.mean([f1(scores[i], labels[i], t) for i in touched[k]]) for t in _GRID]
                thresholds.setdefault(row, [0.5, 0.5])[k] = float(_GRID[int(np.argmax(table))])
            each[row].append(np.array([f1(scores[i], labels[i], thresholds[row][k]) for i in touched[k]]))
    if config.geometry:
        found = distances_of(samples[: config.geometry], config.out / f"geometry_{config.split}")
        each[GEOMETRY] = [
            np.array([f1(scores[i], labels[i], 0.5) for i in ids if i < config.geometry])
            for scores, labels, ids in zip(found, truth, touched)
        ]
    for row, values in each.items():
        result["rows"][row] = {name: interval(v, config.resamples) for name, v in zip(SURFACES, values)}
    for row in set(each) & {MEAN, "without the picture", GEOMETRY}:
        result[f"network minus {row}"] = {
            name: interval(a[: len(b)] - b, config.resamples)
            for name, a, b in zip(SURFACES, each["network"], each[row])
        }
    result["each"] = {row: {n: v.tolist() for n, v in zip(SURFACES, values)} for row, values in each.items()}
    result["thresholds"] = thresholds
    if config.split == "val":
        write_json(chosen_at, thresholds)
        if config.ship is not None:
            network, facts = load_pair_contact(config.weights)
            save_pair_contact(config.ship, network, facts | {"threshold": thresholds["network"]})
    write_json(config.out / f"{config.split}.json", result)
    return result


def table(result: dict[str, Any]) -> str:
    """Rows of a page."""
    lines = [f"| {result['split']}, {result['samples']} samples | body F1 | object F1 |", "|---|---|---|"]
    for row, cells in result["rows"].items():
        numbers = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*cells[n]) for n in ("body", "object"))
        lines.append(f"| {row} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(run_command(score, Config)))
