"""How well people of pictures are found in 3D: the networks and the fit on SynthHOI's pictures, whose truth is known.

    hoijax data build synth_hoi --root ROOT --val 64
    python -m hoijax.experiments.photo_truth --root ROOT

Rows: what `nets.blaze` finds in the picture, as `hoijax reconstruct` uses it; the true body's landmarks, pixels and
metres; and those with 5 pixels and 30 mm of noise. Each with the true focal length and with none. A person counts as
found if the networks' score is above a half; the other rows are of the same people.

The error is the mean distance of 22 joints from the truth, mm: about the pelvis, about it after the best turn and size
(Procrustes), and in the camera's frame; px: median distance of the found landmarks from the true ones that are seen.
The networks' own metric landmarks, 12 joints about the hips, are the baseline. Nothing was trained or chosen on these
pictures. Writes `photo_truth.json` and `.md` to `--out`. Ten minutes on two cores.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tyro
from tqdm import tqdm

from hoijax.body_models import BodyParams, free_body
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.geometry import umeyama
from hoijax.nets.blaze import find_people, load
from hoijax.optim.fitting import (
    MEDIAPIPE_BODY,
    Observation,
    estimated_intrinsics,
    fit_people,
    given_intrinsics,
    observe,
    observe_mediapipe,
    place_points,
    point_table,
    prepare_body,
)

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
KNOWN = np.array([bool(name) for name in MEDIAPIPE_BODY])
PIXELS, METRES = 5.0, 0.03
SOURCES = ("found in the picture", "true", "true, with noise")
FOCALS = ("known", "estimated")
LIMBS = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
"""Landmarks that are joints."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """Where SynthHOI was built."""
    split: str = "val"
    """Whose pictures."""
    count: int = 24
    """How many."""
    seed: int = 0
    """Of the landmarks' noise."""
    out: pathlib.Path = RESULTS
    """Folder of photo_truth.json and .md."""


def joint_errors(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean distances of joints (J, 3), the first of them the pelvis; mm."""
    mean = lambda a, b: 1000 * float(np.linalg.norm(a - b, axis=1).mean())  # noqa: E731
    aligned = align_points(found, truth)
    return {
        "pelvis": mean(found - found[0], truth - truth[0]),
        "aligned": mean(aligned, truth),
        "camera": mean(found, truth),
    }


def align_points(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points turned, sized and shifted to lie nearest to others, row by row."""
    pose = umeyama(points.astype(np.float32), target.astype(np.float32))
    return float(pose.scale) * points @ np.asarray(pose.rotation).T + np.asarray(pose.translation)


def observations(
    sample: dict[str, Any], person: Any, points: np.ndarray, rng: np.random.Generator
) -> dict[str, Observation]:
    """What each source says of one person; `points` are the true landmarks in the camera's frame."""
    matrix, size = np.asarray(sample["intrinsics"], np.float64), sample["image"].shape[:2]
    pixels = points[:, :2] / points[:, 2:] * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
    noise = PIXELS * rng.normal(size=pixels.shape), METRES * rng.normal(size=points.shape)
    claims = {"pixel_std": PIXELS, "metric_std": METRES, "spread": 0.0}
    return {
        SOURCES[0]: observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=size),
        SOURCES[1]: observe(NAMES, pixels, metric=points, **claims),
        SOURCES[2]: observe(NAMES, pixels + noise[0], metric=points + noise[1], **claims),
    }


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means and medians of `joint_errors`."""
    keys = rows[0].keys()
    return {key: float(np.mean([r[key] for r in rows])) for key in keys} | {
        f"{key}_median": float(np.median([r[key] for r in rows])) for key in keys
    }


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    head = ["landmarks", "focal length", "about the pelvis, mm", "median", "aligned", "in the camera's frame"]
    cells = [
        [name, focal, *(number(s[key], 0) for key in ("pelvis", "pelvis_median", "aligned", "camera"))]
        for (name, focal), s in (((r["source"], r["focal"]), r["score"]) for r in record["rows"])
    ]
    own = record["networks"]
    return page(
        "People of SynthHOI's pictures in 3D",
        "Made by `python -m hoijax.experiments.photo_truth`, whose docstring says how.",
        f"{record['found']} of {record['pictures']} people of SynthHOI's {record['config']['split']} pictures "
        "(512 x 512) are found. Mean over people of the mean distance of 22 joints from the truth.",
        table(head, cells),
        f"The networks' own metric landmarks: 12 joints about the hips {own['pelvis']:.0f} mm (median "
        f"{own['pelvis_median']:.0f}), aligned {own['aligned']:.0f}. Landmarks that are seen lie {own['px']:.1f} "
        "pixels from the true ones (mean of medians). SynthHOI's people are drawn: clothes are skin of another colour.",
        f"{record['machine']}, shared with other work; {record['seconds']:.0f} s.",
    )


def main(config: Config) -> dict[str, Any]:
    """Finds, fits, scores, prints and writes."""
    began = time.perf_counter()
    data, model = open_split(config.root, config.split), free_body()
    networks = {name: load(name) for name in ("detector", "landmarks")}
    prepared = functools.cache(functools.partial(prepare_body, model))
    points_of, rng = point_table(model, NAMES), np.random.default_rng(config.seed)
    limbs = [NAMES.index(name) for name in LIMBS]
    errors: dict[tuple[str, str], list[dict[str, float]]] = {(s, f): [] for s in SOURCES for f in FOCALS}
    own: list[dict[str, float]] = []
    count = min(config.count, len(data))
    for index in tqdm(range(count), disable=None):
        sample = data[index]
        people = jax.tree.map(
            np.asarray, find_people(networks, np.asarray(sample["image"], np.float32) / 255, max_people=1)
        )
        if not people.score[0] > 0.5:
            continue
        person = jax.tree.map(lambda x: x[0], people)
        params = BodyParams.from_axis_angle(model, **{k: np.asarray(v, np.float32) for k, v in sample["body"].items()})
        turn = np.asarray(sample["T_camera_world"], np.float64)
        points, joints = (
            np.asarray(x, np.float64) @ turn[:3, :3].T + turn[:3, 3] for x in place_points(points_of, params)
        )
        truth = joints[:22]
        seen = observations(sample, person, points, rng)
        size, focal = sample["image"].shape[:2], float(sample["intrinsics"][0][0])
        cameras = {"known": given_intrinsics(focal, size), "estimated": estimated_intrinsics(size)}
        for source, observation in seen.items():
            for name, camera in cameras.items():
                fit = fit_people(prepared(observation.names), observation, camera)
                errors[source, name].append(joint_errors(np.asarray(fit.joints, np.float64)[:22], truth))
        own.append(_networks_error(sample, person, points, limbs))
    if not own:
        raise InputError(
            f"nobody is found in the first {count} pictures of {config.split} in {config.root}; wanted is a person at "
            "least: a larger --count, or pictures of 512 pixels (hoijax data build synth_hoi --set image_size=512)"
        )
    record = {
        "config": settings_of(config, ("out", "root")),
        "machine": machine(),
        "pictures": count,
        "found": len(own),
        "rows": [{"source": s, "focal": f, "score": summary(rows)} for (s, f), rows in errors.items()],
        "networks": summary(own),
        "seconds": round(time.perf_counter() - began, 1),
    }
    text = markdown(record)
    print(text)
    write_page(config.out, "photo_truth", record, text)
    return record


def _networks_error(sample: dict[str, Any], person: Any, points: np.ndarray, limbs: list[int]) -> dict[str, float]:
    """Of the networks' own answer, without a body: 12 joints about the middle of the hips, and pixels."""
    matrix = np.asarray(sample["intrinsics"], np.float64)
    pixels = points[:, :2] / points[:, 2:] * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
    visible = person.visibility[KNOWN] > 0.5
    away = np.linalg.norm(person.landmarks[KNOWN][:, :2] - pixels, axis=1)[visible]
    hips = [LIMBS.index(f"{side}_hip") for side in ("left", "right")]
    found, truth = (x - x[hips].mean(axis=0) for x in (person.metric[KNOWN][limbs].astype(np.float64), points[limbs]))
    distance = 1000 * float(np.linalg.norm(found - truth, axis=1).mean())
    aligned = 1000 * float(np.linalg.norm(align_points(found, truth) - truth, axis=1).mean())
    return {"pelvis": distance, "aligned": aligned, "px": float(np.median(away)) if len(away) else np.nan}


if __name__ == "__main__":
    main(tyro.cli(Config))
