"""Scores of GRAFT on held-out made-up rooms: the start, baselines without learning, and T = 1, 2, 3 steps.

    python -m hoijax.experiments.graft.evaluate --synth data/synth                       # the shipped weights
    python -m hoijax.experiments.graft.evaluate --weights runs/graft/graft.safetensors

Rooms come from another seed than those of training: other people, furniture, layouts and cameras, but of the same
families; then rooms with kinds of furniture that training has none of (`Rooms.furniture`), rooms as one noisy depth
camera sees them, and with `--synth` SynthHOI's scene test split, seen by one depth camera too. The start imitates a
body estimate after head alignment (`queries.imitate_estimate`). The scene is the same cloud for prediction and truth,
so the scores speak of the body alone. Writes `docs/results/graft.json` and `.md`.
"""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from hoijax.body_models import BodyModel, free_body
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.graft.networks import features_of
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import GraftSample, SynthScenes, sample_points
from hoijax.experiments.graft.variants import without
from hoijax.geometry import nearest_host
from hoijax.io import write_json, write_text
from hoijax.metrics import (
    bootstrap_mean,
    contact_counts,
    contact_set_weights,
    d2s_deg,
    pa_mpjpe_mm,
    summarize_contact,
    touches_scene,
    v2s_mm,
)
from hoijax.metrics.scene import BEHIND
from hoijax.nets.graft import GraftWithEncoder, load_graft, shipped_graft
from hoijax.optim.graft import (
    BodySpec,
    GraftState,
    Rollout,
    RolloutOptions,
    body_spec,
    contact_model,
    pose_state,
    rollout,
    similarity_icp,
)
from hoijax.optim.graft.gradient import gradient_refine

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"
METHODS = (
    "start",
    "similarity ICP",
    "gradient",
    "T = 1",
    "T = 2",
    "T = 3",
    "T = 3, similarity",
    "truth",
    "truth, T = 3",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written next to the results."""

    weights: pathlib.Path | None = None
    """GRAFT's weights, a file of `save_graft`; None: those that hoijax ships."""
    synth: pathlib.Path | None = None
    """Root of a built SynthHOI, for its scenes; None leaves them out."""
    out: pathlib.Path = RESULTS
    """Folder for `graft.json` and `graft.md`."""
    rooms: int = 200
    """Held-out rooms; half as many with other furniture, and as one camera sees them."""
    others: bool = True
    """Rooms with other furniture, and one camera's, too."""
    gradient: bool = True
    """The gradient prior too, which takes most of the time."""
    known: pathlib.Path | None = None
    """A `graft.json` of the same rooms and starts: the gradient prior's scores, which no weights change, are its."""
    points: int = 32768
    """Scene points of a room; training sees fewer."""
    body: str = "light"
    """Level of detail of the free body."""
    seed: int = 1000
    """Of the rooms and of the starts."""
    queries: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    """Errors of the starts."""


def make_refine(
    network: Any,
    spec: BodySpec,
    model: BodyModel,
    queries: QueryConfig,
    *,
    part: str | None = None,
    gradient: bool = True,
) -> Any:
    """A compiled function from a sample and a key to surfaces `(9, V, 3)` and joints `(9, 22, 3)` of `METHODS`.

    Args:
      network: `Graft`, or `GraftWithEncoder`, which looks at the sample's pictures.
      spec: of the body.
      model: the body.
      queries: errors of the starts.
      part: what the network was trained without (`train.Config`).
      gradient: False: the row of the gradient prior repeats the start's.
    """
    contacts = contact_model(spec, model)

    @jax.jit
    def refine(weights: Any, sample: GraftSample, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        merged, image = nnx.merge(graph, weights), None
        if isinstance(merged, GraftWithEncoder):
            merged, image = merged.graft, features_of(merged, sample.pictures)
        net, update = without(merged, part)
        scene, truth = sample.scene, sample.truth
        start, true = GraftState.of(imitate_estimate(key, spec, truth, queries)), GraftState.of(truth)

        def refined(begin: GraftState, update: Any) -> Rollout:
            return rollout(net, spec, scene, begin, options=RolloutOptions(steps=3, update=update), image=image)

        full, whole, still = refined(start, update), refined(start, "similarity"), refined(true, update)
        icp = similarity_icp(spec, contacts, scene, start)
        slope = gradient_refine(spec, contacts, scene, start) if gradient else start
        steps = [jax.tree.map(lambda x, t=t: x[t], full.steps) for t in range(3)]
        states = [start, icp, slope, *steps, whole.final, true, still.final]
        posed = jax.vmap(lambda state: pose_state(model, state))(jax.tree.map(lambda *x: jnp.stack(x), *states))
        return posed.vertices, posed.joints[:, :22]

    graph, weights = nnx.split(network)
    return lambda sample, key: refine(weights, sample.replace(touch=None), key)


def make_sources(config: Config, model: BodyModel, spec: BodySpec) -> dict[str, Any]:
    """The sets of held-out samples by name."""
    rooms = Rooms(model, spec, count=config.rooms, points=config.points, seed=config.seed)
    sources: dict[str, Any] = {"made-up rooms": rooms}
    if config.others:
        sources["other furniture"] = dataclasses.replace(
            rooms, count=config.rooms // 2, seed=config.seed + 1, furniture="other"
        )
        sources["one camera"] = dataclasses.replace(rooms, count=config.rooms // 2, seed=config.seed + 2, views=1.0)
    if config.synth is not None:
        split = open_split(config.synth, "scenes_test")
        sources["SynthHOI scenes"] = SynthScenes(split, model, spec, points=config.points, seed=config.seed)
    return sources


def evaluate(config: Config) -> dict[str, dict[str, Any]]:
    """Scores of every method on every set; see `_report`.

    Raises:
      InputError: no such weights, or too few rooms for an interval.
    """
    if config.rooms < 4:
        raise InputError(f"rooms must be at least 4, got {config.rooms}")
    network, facts = load_graft(weights_of(config))
    model = free_body(config.body)
    # Vertex ids belong to the level of detail that the weights were trained with.
    ids = np.asarray(facts["probe_vertices"]) if facts.get("level") == config.body else None
    spec = body_spec(model, ids)
    refine = make_refine(network, spec, model, config.queries, part=facts.get("without"), gradient=config.gradient)
    sources = make_sources(config, model, spec)
    return {name: score(config, name, source, refine, model, spec) for name, source in sources.items()}


def score(config: Config, name: str, source: Any, refine: Any, model: BodyModel, spec: BodySpec) -> dict[str, Any]:
    """Scores of every method on one set of samples, by the name of the method; `refine` of `make_refine`."""
    area = np.asarray(contact_set_weights(model.v_template, model.faces, spec.contact_vertices))
    rows = []
    for index in tqdm(range(len(source)), desc=name, disable=None):
        sample = source[index]
        key = jax.random.fold_in(jax.random.key(config.seed), index)
        bodies = [np.asarray(x) for x in refine(sample, key)]
        rows.append(_scores(*bodies, *sample_points(sample), np.asarray(spec.contact_vertices), area))
    table = jax.tree.map(lambda *x: np.stack(x), *rows)
    found = {m: _summary(table, number) for number, m in enumerate(METHODS) if config.gradient or m != "gradient"}
    return {"samples": len(rows)} | found


def weights_of(config: Config) -> pathlib.Path:
    """The file that is scored."""
    return shipped_graft() if config.weights is None else config.weights


def _scores(vertices, joints, points, normals, chosen, area) -> dict[str, np.ndarray]:
    """One room: each score for all methods, `(9,)`."""
    found = nearest_host(vertices.reshape(-1, 3), points)
    index, distance = (np.asarray(x).reshape(vertices.shape[:2]) for x in (found.index, found.distance))
    offset = points[index] - vertices
    height = -np.sum(offset * normals[index], axis=-1)
    inside = np.where(distance <= BEHIND, np.maximum(-height, 0), 0)
    touches = touches_scene(distance, height)[:, chosen]
    true = METHODS.index("truth")
    offset = offset[:, chosen]
    truth = np.broadcast_to(offset[true], offset.shape)
    counts = contact_counts(touches, np.broadcast_to(touches[true], touches.shape))
    return {
        "v2s": np.asarray(v2s_mm(offset, truth, area)),
        "d2s": np.asarray(d2s_deg(offset, truth, area).degrees),
        "pa_mpjpe": np.asarray(pa_mpjpe_mm(joints, np.broadcast_to(joints[true], joints.shape))),
        "penetration": 1000 * inside.max(axis=1),
        "counts": jax.tree.map(np.asarray, counts),
    }


def _summary(table: dict[str, Any], number: int) -> dict[str, Any]:
    """The row of one method: means over rooms, the interval of V2S and of its difference to the start's."""
    v2s = table["v2s"]
    contact = summarize_contact(jax.tree.map(lambda x: x[:, number], table["counts"]))
    change = bootstrap_mean(v2s[:, number] - v2s[:, 0])
    return {
        **{name: float(table[name][:, number].mean()) for name in ("v2s", "d2s", "pa_mpjpe", "penetration")},
        "v2s_median": float(np.median(v2s[:, number])),
        "v2s_change": [change.mean, change.low, change.high],
        **{name: getattr(contact, name) for name in ("precision", "recall", "f1")},
    }


def verdict(scores: dict[str, Any]) -> dict[str, Any]:
    """What was aimed at, with the numbers: gains over the start and the baseline, standing still, monotony."""
    start, icp, best = scores["start"], scores["similarity ICP"], scores["T = 3"]
    errors = [scores[name]["v2s"] for name in ("start", "T = 1", "T = 2", "T = 3")]
    found = {
        "V2S less than the start's by": 1 - best["v2s"] / start["v2s"],
        "contact F1 above the start's by": best["f1"] / start["f1"] - 1,
        "V2S better than similarity ICP": best["v2s"] < icp["v2s"],
        "contact F1 better than similarity ICP": best["f1"] > icp["f1"],
    }
    if "gradient" in scores:
        found["contact F1 no worse than the gradient prior's"] = best["f1"] >= scores["gradient"]["f1"]
    return found | {
        "V2S of a true start after three steps, mm": scores["truth, T = 3"]["v2s"],
        "V2S falls with every step": bool(np.all(np.diff(errors) < 0)),
    }


def _report(config: Config, sets: dict[str, dict[str, Any]], seconds: float) -> None:
    facts = load_graft(weights_of(config))[1]
    verdicts = {name: verdict(scores) for name, scores in sets.items()}
    machine = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {importlib.metadata.version('jax')}"
    record = {"config": dataclasses.asdict(config), "scores": sets, "verdict": verdicts, "training": facts}
    record |= {"machine": machine, "seconds": round(seconds)}
    known = "" if config.known is None else " without the gradient prior, whose scores are those of an earlier run"
    lines = [
        "# GRAFT on made-up rooms",
        "",
        "Made by `python -m hoijax.experiments.graft.evaluate`, whose docstring says how: rooms that training did not "
        "see and the free body. These are procedural rooms and imitated estimates: nothing here speaks of photographs.",
        "",
        f"The network was trained for {_trained(facts)}. {machine}, {seconds:.0f} s{known}.",
        "",
        '"Similarity ICP" moves, turns and scales the whole body onto its nearest scene points; "gradient" is what '
        "`hoijax refine --scene --prior gradient` does. "
        '"Deepest point" is the mean over rooms of the largest depth behind the nearest scene point\'s plane. '
        "PA-MPJPE is over 22 joints. Contact is PhySIC's rule: within 2 cm, or behind the surface and within 15 cm. "
        '"Truth" is scored against itself.',
    ]
    for name, scores in sets.items():
        lines += ["", f"## {name[0].upper()}{name[1:]}, {scores['samples']}", "", *_table(scores), ""]
        change = scores["T = 3"]["v2s_change"]
        lines += [
            f"V2S changes from the start to T = 3 by {change[0]:.1f} mm (95 % of resampled means: {change[1]:.1f} to "
            f"{change[2]:.1f}).",
            "",
            *[f"- {question}: {_say(question, value)}" for question, value in verdicts[name].items()],
        ]
    config.out.mkdir(parents=True, exist_ok=True)
    write_json(config.out / "graft.json", _plain(record))
    write_text(config.out / "graft.md", "\n".join(lines) + "\n")


def _trained(facts: dict[str, Any]) -> str:
    """The trainings that led to some weights, the last one first."""
    text = f"{facts['steps']:,} steps on {facts['data']}"
    if "made-up" in facts["data"] and facts.get("views"):
        text += f" ({100 * facts['views']:.0f} % of the rooms as one camera sees them)"
    return text + (f"; before that {_trained(facts['before'])}" if "before" in facts else "")


def _table(scores: dict[str, Any]) -> list[str]:
    """The rows of one set."""
    rows = [
        "| | V2S, mm | median | D2S, degrees | PA-MPJPE, mm | precision | recall | contact F1 | deepest point, mm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (m for m in METHODS if m in scores):
        s = scores[name]
        rows.append(
            f"| {name} | {s['v2s']:.1f} | {s['v2s_median']:.1f} | {s['d2s']:.1f} | {s['pa_mpjpe']:.1f} | "
            f"{s['precision']:.3f} | {s['recall']:.3f} | {s['f1']:.3f} | {s['penetration']:.0f} |"
        )
    return rows


def _say(question: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if question.endswith("mm") else f"{100 * value:.0f} %"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, pathlib.Path):
        return value.name if value.is_absolute() else str(value)
    return value


def run(config: Config) -> None:
    """Scores and writes."""
    began = time.perf_counter()
    known = None if config.known is None else _known(config)
    scores = evaluate(config if known is None else dataclasses.replace(config, gradient=False))
    if known is not None:
        scores = {
            name: {"samples": s["samples"]} | {m: known[name][m] if m == "gradient" else s[m] for m in METHODS}
            for name, s in scores.items()
        }
    _report(config, scores, time.perf_counter() - began)


def _known(config: Config) -> dict[str, Any]:
    """The scores of an earlier run of the same rooms and starts.

    Raises:
      InputError: no such file, or other rooms or starts.
    """
    try:
        earlier = json.loads(config.known.read_text())
        settings, scores = earlier["config"], earlier["scores"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config.known} is no graft.json of an earlier evaluation ({error})") from error
    mine = json.loads(json.dumps(_plain(dataclasses.asdict(config))))
    names = ("rooms", "others", "points", "body", "seed", "queries", "gradient")
    other = [name for name in names if settings.get(name) != mine[name]]
    if other or (config.synth is None) != (settings.get("synth") is None):
        raise InputError(f"{config.known} is of another {', '.join(other) or 'synth'}; leave --known out")
    return scores


if __name__ == "__main__":
    run_command(run, Config)
