"""Scores the learned affordance against the geometric one and against where its part touches on average.

    python -m hoijax.experiments.interactanything.affordance_scores --data FOLDER --weights FILE

Rows of `touches` of SynthHOI: for each point of a surface whether a part touches it. Area under the curve within each
row, and F1 at the threshold that is best on val. Choose on val; test is scored once.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tyro
from jaxtyping import Float
from scipy.stats import rankdata

from hoijax.body_models import free_body
from hoijax.data.synth.sampling import instance
from hoijax.experiments.common.pages import settings_of
from hoijax.experiments.interactanything.touches import read_touches
from hoijax.geometry import Mesh
from hoijax.io import write_json
from hoijax.nets.interactanything import load, part_of
from hoijax.systems.interactanything import affordance as aff
from hoijax.systems.interactanything import system
from hoijax.systems.interactanything.learned import touch_probability
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Thing, draw_starts

SENTENCES = {
    "sit": "sits on", "lie": "lies on", "lean": "leans on", "carry": "carries", "lift": "lifts", "hold": "holds",
    "wear": "wears", "push": "pushes", "pull": "pulls", "kick": "kicks", "ride": "rides", "type": "types on",
}  # fmt: skip
"""What the geometric affordance is told of a row's verb."""
CELLS = 4
"""Cells of the object's box along each side, of the mean."""
STARTS = 8
"""Bodies of the geometric affordance."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is scored."""

    data: pathlib.Path
    weights: pathlib.Path | None = None
    """None: those that come with hoijax."""
    split: Literal["val", "test"] = "val"
    out: pathlib.Path | None = None
    """Where the numbers go as JSON."""


def cells_of(points: Float[np.ndarray, "R P 3"], parts: np.ndarray) -> np.ndarray:
    """Cell of each point within its object's box, left parts mirrored, (R, P)."""
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    where = np.clip(((points - low) / np.maximum(high - low, 1e-3) * CELLS).astype(int), 0, CELLS - 1)
    left = np.array([part_of(str(p))[1] for p in parts])
    where[..., 0] = np.where(left[:, None], CELLS - 1 - where[..., 0], where[..., 0])
    return where[..., 0] * CELLS**2 + where[..., 1] * CELLS + where[..., 2]


def mean_scores(train: Mapping[str, Any], rows: Mapping[str, Any]) -> Float[np.ndarray, "R P"]:
    """How often the part touches such a cell of an object's box in training."""
    cells, out = cells_of(train["points"], train["part"]), np.zeros(rows["touched"].shape)
    own = cells_of(rows["points"], rows["part"])
    kinds = np.array([part_of(str(p))[0] for p in train["part"]])
    for k, part in enumerate(rows["part"]):
        same = kinds == part_of(str(part))[0]
        same = same if same.any() else np.ones_like(same)
        count = np.bincount(cells[same].ravel(), minlength=CELLS**3)
        touched = np.bincount(cells[same].ravel(), train["touched"][same].astype(float).ravel(), CELLS**3)
        out[k] = (touched / np.maximum(count, 1))[own[k]]
    return out


@functools.cache
def _bodies(name: str, verb: str):
    """Starts and joints of the geometric affordance of an object and a verb."""
    category, _, seed = name.rpartition("_")
    found = instance(category, int(seed)).mesh
    mesh = Mesh(np.asarray(found.vertices, np.float32), np.asarray(found.faces))
    sentence = f"A person {SENTENCES[verb]} the {category.replace('_', ' ')}"
    relations = dataclasses.replace(reason(sentence, mesh), mesh_scale=1.0)
    thing = Thing.of(mesh)
    starts = draw_starts(relations, thing, STARTS, 0)
    return starts, system._pose(free_body("test"), starts).joints


def geometric_scores(rows: Mapping[str, Any]) -> Float[np.ndarray, "R P"]:
    """Equations 4 and 5 over drawn bodies, within the places of the relations, over the largest of each row."""
    names, out = free_body("test").joint_names, []
    for points, part, verb, name in zip(rows["points"], rows["part"], rows["verb"], rows["name"]):
        starts, joints = _bodies(str(name), str(verb))
        index = [names.index(n) for n in aff.joints_of(str(part))]
        local = np.stack([(j - s.object_translation) @ s.object_rotation for s, j in zip(starts, joints)])
        weights = aff.affordance_of_bodies(points.astype(np.float32), local[:, index].astype(np.float32))
        boxes = {b for s in starts for b in s.places.get(str(part), ())}
        inside = [np.all((points >= np.subtract(b.lower, 0.01)) & (points <= np.add(b.upper, 0.01)), 1) for b in boxes]
        weights = weights * np.where(np.logical_or.reduce(inside), 1.0, 0.05) if inside else weights
        out.append(weights / max(weights.max(), 1e-30))
    return np.stack(out)


def area_under_curve(score: Float[np.ndarray, "P"], truth: np.ndarray) -> float:
    """Chance that a touched point has the higher score than another, ties a half."""
    ones = int(truth.sum())
    ranks = rankdata(score)
    return float((ranks[truth].sum() - ones * (ones + 1) / 2) / max(ones * (len(truth) - ones), 1))


def f1(score: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """Over all points of all rows."""
    said = score >= threshold
    both = float((said & truth).sum())
    return 2 * both / max(float(said.sum() + truth.sum()), 1.0)


def best_threshold(score: np.ndarray, truth: np.ndarray) -> float:
    """Of 60 quantiles of the scores the one with the largest F1."""
    tried = np.unique(np.quantile(score, np.linspace(0.4, 0.999, 60)))
    return float(max(tried, key=lambda t: f1(score, truth, t)))


def table_of(
    told: Mapping[str, np.ndarray], where: np.ndarray, val: Mapping[str, np.ndarray], truth: np.ndarray
) -> dict[str, Any]:
    """Scores of each method by name, at the threshold that is best on val.

    Args:
      told: scores of each method, (R, P).
      where: what is touched, (R, P).
      val: scores on val.
      truth: what is touched there.
    """
    result = {}
    some = where.any(axis=1) & ~where.all(axis=1)
    for name, score in told.items():
        threshold = best_threshold(val[name], truth)
        areas = [area_under_curve(s, w) for s, w in zip(score[some], where[some])]
        result[name] = {"auc": float(np.mean(areas)), "f1": f1(score, where, threshold), "threshold": threshold}
    return {"rows": len(where), "scores": result}


def main(config: Config) -> dict[str, Any]:
    """Scores and prints."""
    train, network = read_touches(config.data, "train"), load(config.weights)

    def scores(split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rows = read_touches(config.data, split)
        # Labels on the CC0 shapes come from our own synthesis: what is told is on SynthHOI's, whose seeds are long.
        kept = np.array([len(str(name).rpartition("_")[2]) >= 6 for name in rows["name"]])
        rows = {key: value[kept] for key, value in rows.items()}
        learned = touch_probability(
            network, rows["points"], rows["normals"].astype(np.float32), list(map(str, rows["part"])),
            list(map(str, rows["verb"])),
        )  # fmt: skip
        found = {"learned": learned, "geometric": geometric_scores(rows), "mean": mean_scores(train, rows)}
        return found, rows["touched"] > 0.5

    val, truth = scores("val")
    record: dict[str, Any] = {"val": table_of(val, truth, val, truth)}
    if config.split == "test":
        record["test"] = table_of(*scores("test"), val, truth)
    print(json.dumps(record, indent=1))
    record["settings"] = settings_of(config)
    if config.out is not None:
        write_json(config.out, record)
    return record


if __name__ == "__main__":
    main(tyro.cli(Config))
