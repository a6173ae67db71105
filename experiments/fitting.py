"""How well bodies are found from landmarks of known people: `hoijax.optim.fitting` beside an Adam baseline.

    python -m hoijax.experiments.fitting

People are those that SynthHOI's scripts place for its "val" split (sitting, carrying, lying, riding, ...), before their
contact is fitted, of random shape, before cameras at random azimuth, height and focal length (a factor of about 1.35
about the picture's diagonal) in pictures of 768 x 768. Landmarks are MediaPipe's 27 that a body has, taken from the
true body: exact, or with 5 pixels of noise in the picture and 30 mm in the metric ones. With them go what a detector
would claim: 5 pixels and 30 mm.

The error is the mean distance of the 22 body joints from the truth, mm: about the pelvis, and in the camera's frame.
`one start` is the same Levenberg-Marquardt from the best start alone, without exchanges of sides. `Adam` is the rival:
the same residuals, a standing person who faces the camera as its start, 300 steps. Speed: sixteen people in one batch
and one by one, compiled, and how long compilation took.

Writes `fitting.json` and `.md` where `--out` says. Expected: below 40 mm with true landmarks; a quarter of an hour on
two cores.
"""

import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from hoijax.body_models import BodyParams, free_body
from hoijax.camera import look_at
from hoijax.data.synth.config import SynthConfig
from hoijax.data.synth.sampling import draw
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.io import output_directory
from hoijax.optim.fitting import (
    MEDIAPIPE_BODY,
    BodyFit,
    FitConfig,
    Intrinsics,
    Observation,
    PreparedBody,
    estimated_intrinsics,
    fit_people,
    observe,
    place_points,
    point_table,
    prepare_body,
    stack_observations,
)
from hoijax.optim.fitting.people import describe_fit
from hoijax.optim.fitting.residuals import FACING, Evidence, residuals, robust_loss
from hoijax.optim.fitting.starts import place_start, points_about_pelvis
from hoijax.optim.fitting.unknowns import pose_unknowns

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
SIZE = 768  # pixels of a side
PIXELS, METRES = 5.0, 0.03  # noise, and what every detector claims
LANDMARKS = ("pixels and metres", "pixels")
FOCALS = ("known", "estimated")
METHODS = ("ours", "one start", "Adam")


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    people: int = 64
    """People of each row."""
    batch: int = 16
    """People of one program."""
    seed: int = 0
    """Of people, cameras and noise."""
    adam_steps: int = 300
    """Steps of the rival."""
    adam_rate: float = 0.05
    """Its first step size, standard deviations of the prior; it falls along a cosine."""
    rounds: int = 3
    """Repeats of the timings, of which the fastest counts."""
    out: pathlib.Path = RESULTS
    """Folder of fitting.json and fitting.md."""


@dataclasses.dataclass(frozen=True)
class KnownPeople:
    """Known people in their cameras' frames."""

    joints: np.ndarray
    """(P, 22, 3) metres."""
    points: np.ndarray
    """(P, N, 3) metres."""
    pixels: np.ndarray
    """(P, N, 2)."""
    matrices: np.ndarray
    """(P, 3, 3) intrinsics."""
    actions: tuple[str, ...]


def make_people(config: Config) -> KnownPeople:
    """Draws people and cameras."""
    rng = np.random.default_rng(config.seed)
    table = point_table(free_body("test"), NAMES)
    rows: list[tuple[np.ndarray, ...]] = []
    actions = []
    for index in range(config.people):
        candidate = draw(SynthConfig(seed=config.seed), "val", index, 0)
        puppet = candidate.start.puppet
        params = BodyParams(
            *(jnp.asarray(x, jnp.float32) for x in (puppet.rotations, puppet.betas, puppet.translation))
        )
        points, joints = (np.asarray(x, np.float64) for x in place_points(table, params))
        middle, span = points.mean(axis=0), np.ptp(points, axis=0).max()
        focal = SIZE * np.sqrt(2) * np.exp(0.3 * rng.normal())
        distance = max(1.5 * span, focal * span / (rng.uniform(0.5, 0.8) * SIZE))
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(-5, 30))
        away = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
        camera = np.asarray(look_at(middle + distance * away, middle), np.float64)
        points, joints = (x @ camera[:3, :3].T + camera[:3, 3] for x in (points, joints[:22]))
        matrix = np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1]])
        rows.append((joints, points, points[:, :2] / points[:, 2:] * focal + SIZE / 2, matrix))
        actions.append(candidate.action.name)
    return KnownPeople(*(np.stack(column) for column in zip(*rows)), tuple(actions))


def observe_people(people: KnownPeople, landmarks: str, noise: bool, seed: int) -> list[Observation]:
    """What a detector says about each person."""
    rng = np.random.default_rng([seed, 1])
    seen = []
    for pixels, points in zip(people.pixels, people.points):
        shift, move = rng.normal(size=pixels.shape), rng.normal(size=points.shape)
        seen.append(
            observe(
                NAMES,
                pixels + noise * PIXELS * shift,
                metric=points + noise * METRES * move if landmarks == LANDMARKS[0] else None,
                pixel_std=PIXELS,
                metric_std=METRES,
                spread=0.0,
            )
        )
    return seen


def cameras_of(people: KnownPeople, focal: str) -> list[Intrinsics]:
    """Each person's intrinsics, known or not."""
    if focal == "estimated":
        return [estimated_intrinsics((SIZE, SIZE))] * len(people.matrices)
    return [Intrinsics(matrix.astype(np.float32), np.float32(0), "given") for matrix in people.matrices]


def fit_by_adam(
    body: PreparedBody, observation: Observation, intrinsics: Intrinsics, steps: int, rate: float
) -> BodyFit:
    """The rival: one start, first-order steps on the same residuals."""
    dtype = observation.pixels.dtype
    seen = Evidence(observation, intrinsics.replace(source=""), jnp.asarray(FACING, dtype))
    resting = pose_unknowns(body, body.prior.mean)
    start = place_start(points_about_pelvis(body, resting), resting, seen.root, body, seen, jnp.asarray(4.0, dtype))

    def loss(z):
        return robust_loss(residuals(z, body, seen), len(body.names), jnp.asarray(4.0, dtype))[0]

    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps, alpha=0.01))

    def step(carry, _):
        z, state = carry
        update, state = optimiser.update(jax.grad(loss)(z), state)
        return (optax.apply_updates(z, update), state), None

    (z, _), _ = jax.lax.scan(step, (start.z, optimiser.init(start.z)), None, steps)
    return describe_fit(body, seen, z, residuals(z, body, seen), jnp.eye(z.shape[0], dtype=dtype))


def stack_cameras(cameras: list[Intrinsics]) -> Intrinsics:
    """Intrinsics with a leading axis."""
    return Intrinsics(
        np.stack([c.matrix for c in cameras]), np.stack([c.focal_std for c in cameras]), cameras[0].source
    )


class Methods:
    """The compiled methods by name: functions of observations and cameras with a leading axis."""

    def __init__(self, body: PreparedBody, config: Config):
        adam = functools.partial(fit_by_adam, steps=config.adam_steps, rate=config.adam_rate)
        rival = jax.jit(jax.vmap(lambda b, o, k: adam(b, o, k), in_axes=(None, 0, 0)))
        alone = FitConfig(starts=1, swaps=False)
        self.run = {
            "ours": lambda o, k: fit_people(body, o, k),
            "one start": lambda o, k: fit_people(body, o, k, alone),
            "Adam": lambda o, k: rival(body, o, k.replace(source="")),
        }


def fit_all(run, seen: list[Observation], cameras: list[Intrinsics], batch: int) -> dict[str, np.ndarray]:
    """Joints, their claimed deviations, focal lengths and exchanges of all people, a batch at a time."""
    parts = []
    for first in range(0, len(seen), batch):
        fit = run(stack_observations(seen[first : first + batch]), stack_cameras(cameras[first : first + batch]))
        parts.append((fit.joints[:, :22], fit.joint_std_root[:, :22], fit.intrinsics[:, 0, 0], fit.swap,
                      jnp.median(fit.pixel_error, axis=1)))  # fmt: skip
    keys = ("joints", "std", "focal", "swap", "pixels")
    return {key: np.concatenate([np.asarray(x) for x in column]) for key, column in zip(keys, zip(*parts))}


def score(fits: dict[str, np.ndarray], people: KnownPeople) -> dict[str, Any]:
    """Numbers of one row, mm."""
    joints, truth = 1000 * fits["joints"], 1000 * people.joints
    about = np.linalg.norm((joints - joints[:, :1]) - (truth - truth[:, :1]), axis=-1)
    mean = about.mean(axis=1)
    within = about[:, 1:] < 2000 * fits["std"][:, 1:]
    return {
        "joints": round(float(mean.mean()), 1),
        "median": round(float(np.median(mean)), 1),
        "ninety": round(float(np.quantile(mean, 0.9)), 1),
        "camera": round(float(np.linalg.norm(joints - truth, axis=-1).mean()), 1),
        "pixels": round(float(np.median(fits["pixels"])), 2),
        "focal": round(100 * float(np.median(np.abs(fits["focal"] / people.matrices[:, 0, 0] - 1))), 1),
        "within": round(100 * float(within.mean()), 0),
        "swapped": int((fits["swap"] > 0).sum()),
        "each": [round(float(x), 1) for x in mean],
    }


def time_batches(body: PreparedBody, people: KnownPeople, config: Config) -> dict[str, float]:
    """Seconds of one batch and of its people one by one, and of compiling each."""
    seen = observe_people(people, LANDMARKS[0], True, config.seed)[: config.batch]
    cameras = cameras_of(people, "known")[: config.batch]
    many, many_cameras = stack_observations(seen), stack_cameras(cameras)
    ones = [(jax.tree.map(jnp.asarray, o), k) for o, k in zip(seen, cameras)]

    def batch():
        return jax.block_until_ready(fit_people(body, many, many_cameras))

    def one_by_one():
        return [jax.block_until_ready(fit_people(body, o, k)) for o, k in ones]

    began = time.perf_counter()
    jax.block_until_ready(fit_people(body, *ones[0]))
    first = time.perf_counter() - began
    together, apart = batch(), one_by_one()
    difference = max(float(jnp.abs(one.joints - together.joints[i]).max()) for i, one in enumerate(apart))
    seconds = {"batch": np.inf, "singly": np.inf}
    for _ in range(config.rounds):  # turn by turn: a busy machine hits both
        for name, call in (("batch", batch), ("singly", one_by_one)):
            began = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return {
        "first_person_with_compilation_s": round(first, 1),
        "batch_ms_per_person": round(1000 * seconds["batch"] / config.batch, 1),
        "singly_ms_per_person": round(1000 * seconds["singly"] / config.batch, 1),
        "largest_difference_mm": round(1000 * difference, 3),
    }


def markdown(record: Mapping[str, Any]) -> str:
    """The page of a record."""
    config, speed = record["config"], record["speed"]
    head = ("landmarks", "noise", "focal length", "method", "joints, mm", "median", "90 %", "in camera", "px",
            "focal, %", "within, %", "exchanged")  # fmt: skip
    rows = []
    for row in record["rows"]:
        s = row["score"]
        cells = [row["landmarks"], row["noise"], row["focal"], row["method"], f"**{s['joints']}**"]
        cells += [s[key] for key in ("median", "ninety", "camera", "pixels", "focal")]
        cells += ["-", "-"] if row["method"] == "Adam" else [f"{s['within']:.0f}", s["swapped"]]
        rows.append([str(cell) for cell in cells])
    times = (
        ("the first, with compilation", f"{speed['first_person_with_compilation_s']} s"),
        (f"in a batch of {config['batch']}", f"{speed['batch_ms_per_person']} ms"),
        ("one by one", f"{speed['singly_ms_per_person']} ms"),
        ("largest difference between the two", f"{speed['largest_difference_mm']} mm"),
    )
    return page(
        "Bodies from landmarks",
        "Made by `python -m hoijax.experiments.fitting`, whose docstring says how.\n"
        f"{config['people']} people of SynthHOI's val scripts, {len(NAMES)} landmarks; mean distance of 22 joints, "
        "mm,\nabout the pelvis (mean, median, 90 % of people) and in the camera's frame; px: median distance of a "
        "landmark;\n"
        "focal: median error of the focal length; within: share of joints nearer to the truth than twice what the fit\n"
        "claims; exchanged: people whose sides were exchanged, none of whom should be.",
        table(head, rows),
        f"Noise: {PIXELS:g} pixels in the picture, {1000 * METRES:g} mm in each coordinate of the metric landmarks.",
        table(("one person", ""), times),
        f"{record['device']}, {record['cores']} cores shared with other work, jax {record['jax']}, "
        f"{record['seconds']:.0f} s.",
    )


def main(config: Config) -> dict[str, Any]:
    """Runs all rows, prints and writes what came of them."""
    output_directory(config.out)
    began = time.perf_counter()
    people, body = make_people(config), prepare_body(free_body("test"), NAMES)
    methods, rows = Methods(body, config), []
    cases = [(m, n, f, x) for m in LANDMARKS for n in (False, True) for f in FOCALS for x in METHODS]
    for landmarks, noise, focal, method in tqdm(cases, desc="rows", disable=None):
        seen = observe_people(people, landmarks, noise, config.seed)
        fits = fit_all(methods.run[method], seen, cameras_of(people, focal), config.batch)
        row = {"landmarks": landmarks, "noise": "yes" if noise else "none", "focal": focal, "method": method}
        rows.append(row | {"score": score(fits, people)})
    result = {
        "config": settings_of(config), **software(), "cores": os.cpu_count(),
        "rows": rows, "actions": people.actions, "speed": time_batches(body, people, config),
    }  # fmt: skip
    result["seconds"] = round(time.perf_counter() - began, 1)
    text = markdown(result)
    print(text)
    write_page(config.out, "fitting", result, text)
    return result


if __name__ == "__main__":
    run_command(main, Config)
