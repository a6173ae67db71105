"""How well an object's pose is found from its mask and mesh: `hoijax.optim.fitting.fit_object` on SynthHOI's pictures.

    hoijax data build synth_hoi --root ROOT --set train=0 val=0 test=70 test_unseen_category=0 scenes=0
    python -m hoijax.experiments.object_from_mask --root ROOT

Samples of a split with true masks of person and object and the true camera; the mesh has its true size, which the fit
takes to be known to a tenth. Furniture and whatever else stands before the object is not masked out. The body is the
true one, or one fitted to its landmarks with 5 pixels and 30 mm of noise. A sample counts if more than half of the
object is seen.

Errors: the least angle to the true rotation over the object's symmetries (rotations about the axes of its box by whole
24ths of a turn, and those after half a turn about another axis, under which 97 % of its surface stays within 3 % of
its diagonal); the middle of its box, across and along the line of sight. A hit is within 15 degrees, 5 cm across and
10 % along.

Rivals: the same descent from a single start (upright, facing the camera), and the silhouette alone: no body, no order
in depth, no floor, no touch. Where the mesh has its true size, its mask tells how far it is, and nobody else need say
it; so fitted body and silhouette are also seen with meshes whose size is off by a tenth (standard deviation of its
logarithm), which is what the fit is told of it.

Settings were chosen on the val split; another one is scored. Confidence is looked at in thirds of the samples. Shares
have Wilson's intervals, differences of rows those of a bootstrap over the samples that both have, 95 % each. Writes
`object_from_mask.json` and `.md` to `--out`. Four CPU minutes a row of thirty samples.
"""

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.geometry import Mesh
from hoijax.metrics.summary import wilson
from hoijax.optim.fitting import (
    MEDIAPIPE_BODY,
    BodyFit,
    Hypotheses,
    Intrinsics,
    ObjectFitConfig,
    Observation,
    fit_object_compiled,
    fit_people,
    object_scene,
    object_shape,
    object_target,
    observe,
    place_points,
    point_table,
    prepare_body,
)

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
PIXELS, METRES = 5.0, 0.03
LIMITS = (15.0, 0.05, 0.1)
"""Of a hit: degrees, metres across, share of the distance along."""
FULL = ObjectFitConfig()
SINGLE = dataclasses.replace(FULL, hypotheses=Hypotheses(yaws=1, tilts=(0.0,), lying=0, free=0), kept=(1, 1))
ROWS: dict[str, tuple[ObjectFitConfig, str, float]] = {
    "hoijax, true body": (FULL, "true", 0.0),
    "hoijax, fitted body": (FULL, "fitted", 0.0),
    "single start, true body": (SINGLE, "true", 0.0),
    "silhouette alone": (FULL, "none", 0.0),
    "size off, fitted body": (FULL, "fitted", 0.1),
    "size off, silhouette alone": (FULL, "none", 0.1),
}
"""Configuration, body, and standard deviation of the logarithm of the mesh's size over the true one."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """Where SynthHOI was built."""
    split: str = "test"
    """Whose samples are looked at."""
    skip: int = 0
    """Samples that are left out."""
    count: int = 52
    """Samples after them."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Which rows."""
    seed: int = 0
    """Of the landmarks' noise and the sizes' errors."""
    go_on: bool = False
    """Keep what an earlier run has written to `out` and measure what is missing."""
    out: pathlib.Path = RESULTS
    """Folder of object_from_mask.json and .md."""


@functools.lru_cache(maxsize=256)
def symmetries(category: str, seed: int) -> np.ndarray:
    """Rotations (N, 3, 3) about the middle of an object's box that leave its surface where it is."""
    mesh = random_object(category, seed).mesh
    whole = trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False)
    points = trimesh.sample.sample_surface(whole, 8000, seed=0)[0] - whole.bounds.mean(axis=0)
    tree, some = cKDTree(points), points[::20]
    limit = 0.03 * float(np.linalg.norm(whole.extents))
    found = []
    for axis in range(3):
        for other in (None, (axis + 1) % 3):
            for angle in 2 * np.pi * np.arange(24) / 24:
                turn = Rotation.from_rotvec(angle * np.eye(3)[axis])
                turn = turn if other is None else turn * Rotation.from_rotvec(np.pi * np.eye(3)[other])
                matrix = turn.as_matrix()
                if np.percentile(tree.query(some @ matrix.T)[0], 97) < limit:
                    found.append(matrix)
    return np.array(found)


def rotation_error(found: np.ndarray, truth: np.ndarray, same: np.ndarray) -> float:
    """Least angle, degrees, between a rotation and any that looks like the true one; 0 for balls."""
    if len(same) == 6 * 24:
        return 0.0
    cosine = (np.einsum("ij,nij->n", found, np.einsum("ij,njk->nik", truth, same)).max() - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


@dataclasses.dataclass(frozen=True)
class Case:
    """A sample in its camera's frame."""

    key: str
    category: str
    seed: int
    share: float
    """Of the object's pixels that are seen."""
    mask: np.ndarray
    person: np.ndarray
    image: np.ndarray
    matrix: np.ndarray
    rotation: np.ndarray
    middle: np.ndarray
    params: BodyParams
    turn: np.ndarray
    """T_camera_world."""


def read_case(sample: dict[str, Any]) -> Case:
    """A sample of SynthHOI."""
    turn = np.asarray(sample["T_camera_world"], np.float64)
    rotation = turn[:3, :3] @ Rotation.from_rotvec(sample["obj_rot"]).as_matrix()
    vertices = np.asarray(random_object(sample["category"], int(sample["object_seed"])).mesh.vertices)
    middle = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    body = {k: jnp.asarray(v, jnp.float32) for k, v in sample["body"].items()}
    return Case(
        str(sample["key"]),
        sample["category"],
        int(sample["object_seed"]),
        float(sample["object_mask"].sum() / max(sample["object_full_mask"].sum(), 1)),
        sample["object_mask"],
        sample["human_mask"],
        sample["image"],
        np.asarray(sample["intrinsics"], np.float32),
        rotation,
        rotation @ middle + turn[:3, :3] @ sample["obj_trans"] + turn[:3, 3],
        BodyParams.from_axis_angle(free_body(), **body),
        turn,
    )


class Bodies:
    """True and fitted bodies' vertices in the camera's frame."""

    def __init__(self, seed: int):
        self.model = free_body()
        self.faces = np.asarray(self.model.faces)
        self.coarse = free_body("test")
        self.prepared = prepare_body(self.coarse, NAMES)
        self._table = point_table(self.model, NAMES)
        self._rng = np.random.default_rng(seed)

    def true(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and faces."""
        vertices = np.asarray(pose_body_compiled(self.model, case.params).vertices)
        return (vertices @ case.turn[:3, :3].T + case.turn[:3, 3]).astype(np.float32), self.faces

    def fit(self, case: Case) -> tuple[Observation, BodyFit]:
        """Noisy landmarks, and what is fitted to them."""
        points = np.asarray(place_points(self._table, case.params)[0], np.float64)
        points = points @ case.turn[:3, :3].T + case.turn[:3, 3]
        pixels = points[:, :2] / points[:, 2:] * case.matrix[[0, 1], [0, 1]] + case.matrix[:2, 2]
        seen = observe(
            NAMES,
            pixels + PIXELS * self._rng.normal(size=pixels.shape),
            metric=points + METRES * self._rng.normal(size=points.shape),
            pixel_std=PIXELS,
            metric_std=METRES,
            spread=0.0,
        )
        return seen, fit_people(self.prepared, seen, Intrinsics(case.matrix, np.float32(0), "given"))

    def fitted(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """From noisy landmarks."""
        params = self.fit(case)[1].params
        return np.asarray(pose_body_compiled(self.coarse, params).vertices), np.asarray(self.coarse.faces)


def errors(case: Case, name: str, bodies: dict[str, Any], off: float = 0.0) -> dict[str, float]:
    """One row's errors on one sample; `off` is the size's error in standard deviations."""
    config, body, size_std = ROWS[name]
    true = random_object(case.category, case.seed).mesh
    vertices = (np.asarray(true.vertices) * np.exp(size_std * off)).astype(np.float32)
    mesh = Mesh(vertices, np.asarray(true.faces, np.int32))
    target = object_target(case.mask, case.matrix, person=case.person, image=None if body == "none" else case.image)
    scene = object_scene(target, bodies[body])
    began = time.process_time()
    fit = jax.tree.map(np.asarray, fit_object_compiled(object_shape(mesh), target, scene, config))
    seconds = time.process_time() - began
    pose = fit.best
    middle = float(pose.scale) * pose.rotation @ (0.5 * (vertices.min(0) + vertices.max(0))) + pose.translation
    distance = float(np.linalg.norm(case.middle))
    ray, off = case.middle / distance, middle - case.middle
    same = symmetries(case.category, case.seed)
    return {
        "degrees": rotation_error(np.asarray(pose.rotation, np.float64), case.rotation, same),
        "best_degrees": min(rotation_error(np.asarray(r, np.float64), case.rotation, same) for r in fit.pose.rotation),
        "across": float(np.linalg.norm(off - (off @ ray) * ray)),
        "along": float(abs(off @ ray) / distance),
        "overlap": float(fit.overlap[0]),
        "confidence": float(fit.confidence),
        "cpu_s": seconds,
    }


def score(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Shares and medians of one row."""
    degrees, across, along = (np.array([row[key] for row in rows]) for key in ("degrees", "across", "along"))
    turned, placed, far = degrees <= LIMITS[0], across <= LIMITS[1], along <= LIMITS[2]
    sure = np.array([row["confidence"] for row in rows])
    hit = turned & placed & far
    thirds = [part for part in np.array_split(np.argsort(-sure, kind="stable"), 3) if len(part)]
    return {
        "samples": len(rows),
        "hit": float(hit.mean()),
        "interval": list(wilson(int(hit.sum()), len(rows))),
        "rotation": float(turned.mean()),
        "any_rotation": float(np.mean([row["best_degrees"] <= LIMITS[0] for row in rows])),
        "across": float(placed.mean()),
        "along": float(far.mean()),
        "median_degrees": float(np.median(degrees)),
        "median_across_cm": 100 * float(np.median(across)),
        "median_along": float(np.median(along)),
        "overlap": float(np.median([row["overlap"] for row in rows])),
        "reliability": [[float(sure[part].mean()), float(hit[part].mean())] for part in thirds],
        "cpu_s": float(np.median([row["cpu_s"] for row in rows])),
    }


def score_paired(each: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Scores of all rows over the first samples, those that every row has; nothing if all have the same."""
    counts = {len(rows) for rows in each.values() if rows}
    if len(counts) < 2:
        return {}
    return {name: score(rows[: min(counts)]) for name, rows in each.items() if rows}


def is_hit(row: dict[str, float]) -> bool:
    """Whether an answer is within all three limits."""
    return all(row[key] <= limit for key, limit in zip(("degrees", "across", "along"), LIMITS))


def score_differences(each: dict[str, list[dict[str, float]]]) -> dict[str, list[float]]:
    """By how much each row hits more than the one it is to be held against, and the 95 % interval of a bootstrap over
    the samples of both."""
    found = {}
    for ours, other in (
        ("hoijax, true body", "hoijax, fitted body"),
        ("hoijax, true body", "single start, true body"),
        ("hoijax, fitted body", "silhouette alone"),
        ("size off, fitted body", "size off, silhouette alone"),
    ):
        pairs = list(zip(each.get(ours, []), each.get(other, [])))
        if not pairs:
            continue
        gain = np.array([float(is_hit(a)) - float(is_hit(b)) for a, b in pairs])
        draws = np.random.default_rng(0).integers(len(gain), size=(4000, len(gain)))
        low, high = np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])
        found[f"{ours}, less {other}"] = [float(gain.mean()), float(low), float(high)]
    return found


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    head = ["", "samples", "hit", "rotation", "one of the answers", "across", "along", "degrees", "cm across",
            "% along", "overlap", "CPU, s"]  # fmt: skip

    def line(name: str, s: dict[str, float]) -> list[str]:
        shares = [f"{100 * s[key]:.0f} %" for key in ("hit", "rotation", "any_rotation", "across", "along")]
        shares[0] += " ({:.0f} to {:.0f})".format(*(100 * x for x in s["interval"]))
        values = [number(s["median_degrees"], 1), number(s["median_across_cm"], 1), number(100 * s["median_along"], 1)]
        return [name, str(s["samples"]), *shares, *values, number(s["overlap"], 2), number(s["cpu_s"], 1)]

    trust, both = [], []
    cells = [line(name, s) for name, s in record["scores"].items()]
    if record.get("paired"):
        both = ["The same over the first samples, which every row has:"]
        both.append(table(head, [line(name, s) for name, s in record["paired"].items()]))
    apart = []
    if record.get("differences"):
        cells_of = [[name, *(f"{100 * x:+.0f}" for x in d)] for name, d in record["differences"].items()]
        apart = ["Hits of one row more than of another on the same samples, percent of them, with 95 % intervals:"]
        apart.append(table(["", "more", "from", "to"], cells_of))
    for name, s in record["scores"].items():
        for rank, (sure, hit) in zip(("surest", "middle", "least sure"), s["reliability"]):
            trust.append([name, rank, f"{100 * sure:.0f} %", f"{100 * hit:.0f} %"])
    kinds: dict[str, list[bool]] = {}
    for case, row in zip(record["cases"], record["each"][next(iter(record["scores"]))]):
        kinds.setdefault(case["category"], []).append(is_hit(row))
    listed = ", ".join(f"{name} {sum(hits)} of {len(hits)}" for name, hits in sorted(kinds.items()))
    return page(
        "Objects from their masks",
        "Made by `python -m hoijax.experiments.object_from_mask`, whose docstring says how.",
        f"Samples of SynthHOI's {record['config']['split']} split, of which more than half of the object is seen. "
        f"Shares of samples within {LIMITS[0]:.0f} degrees, {100 * LIMITS[1]:.0f} cm across and "
        f"{100 * LIMITS[2]:.0f} % along the line of sight (hit: all three), medians, and the overlap with the mask.",
        table(head, cells),
        *both,
        *apart,
        f"Hits of the first row by category: {listed}.",
        "What confidence says, and what is hit, in thirds of the samples:",
        table(["", "third", "confidence", "hit"], trust),
        f"{record['machine']}, shared with other work; {record['seconds']:.0f} s.",
    )


def read_earlier(config: Config) -> dict[str, Any]:
    """What an earlier run of the same samples has written: `each`, `cases`, `seconds`."""
    path = config.out / "object_from_mask.json"
    if config.go_on and path.is_file():
        record = json.loads(path.read_text())
        if all(record["config"][key] == getattr(config, key) for key in ("split", "skip", "seed")):
            return record
    return {"each": {}, "cases": [], "seconds": 0.0}


def main(config: Config) -> dict[str, Any]:
    """Fits, scores, prints and writes."""
    began = time.perf_counter()
    data, bodies = open_split(config.root, config.split), Bodies(config.seed)
    done = read_earlier(config)
    each = {name: done["each"].get(name, []) for name in ROWS if name in config.rows or name in done["each"]}
    cases: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    for index in tqdm(range(config.skip, min(config.skip + config.count, len(data))), disable=None):
        case = read_case(data[index])
        if case.share <= 0.5:
            continue
        cases.append({"key": case.key, "category": case.category, "share": case.share})
        made = {"true": bodies.true(case), "fitted": bodies.fitted(case), "none": None}
        for name in config.rows:
            if len(each[name]) >= len(cases):
                continue
            # Of every sample its own draw, so that all rows and runs see the same sizes.
            off = float(np.random.default_rng([config.seed, index]).normal())
            each[name].append(errors(case, name, made, off))
            record = {
                "config": settings_of(config, ("out", "root", "go_on")),
                "machine": machine(),
                "scores": {row: score(rows) for row, rows in each.items() if rows},
                "paired": score_paired(each),
                "differences": score_differences(each),
                "cases": max(done["cases"], cases, key=len),
                "each": each,
                "seconds": round(done["seconds"] + time.perf_counter() - began, 1),
            }
            # After each sample, so that a run that is stopped has its page.
            write_page(config.out, "object_from_mask", record, markdown(record))
    print(markdown(record))
    return record


if __name__ == "__main__":
    main(tyro.cli(Config))
