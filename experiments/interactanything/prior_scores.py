"""What the diffusion prior of poses is worth beside the bank, the bank's mean pose and samples that are told nothing.

    python -m hoijax.experiments.interactanything.prior_scores --work FOLDER

Starts of the val split of `poses`, whose instances no training saw, before any refinement: how far the asked parts are
from their places, how deep the deepest vertex is, and the share of starts that the refiner can use (`NEAR`, `SHALLOW`).
All rows at the same number of starts for each sentence.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tyro

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.experiments.interactanything.poses import things
from hoijax.geometry import Mesh, rotation_from_6d, sixd_from_rotation
from hoijax.interaction import make_solid_template
from hoijax.io import read_json, write_json
from hoijax.io.files import write_text
from hoijax.metrics import bootstrap_mean
from hoijax.nets.interactanything import PosePrior
from hoijax.systems.interactanything import Prepared, prepare
from hoijax.systems.interactanything.prior import BANK, PRIOR, chosen_places, pose_prior, sample_starts, start_gap
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Start, draw_starts
from hoijax.systems.interactanything.system import REACH, signed_distance, start_badness

NEAR, SHALLOW = 0.06, 0.05
"""A start can be used whose parts are so near to their places on average and that is no deeper, metres."""
ROWS = {
    "bank": "the bank of scripts",
    "prior": "the prior",
    "kept": "the prior, an eighth kept by score",
    "bank_kept": "the bank, an eighth kept by the same score",
    "unconditional": "the prior, told nothing",
    "mean": "the bank's mean pose, the object where the bank puts it",
}
"""What is compared."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is scored."""

    work: pathlib.Path
    """Folder that keeps finished sentences."""
    out: pathlib.Path = pathlib.Path("docs/results")
    """Folder of the page and its numbers."""
    prior: str = PRIOR
    """"prior", or a file of weights."""
    count: int = 4
    """Starts of each sentence."""
    every: int = 12
    """Only every so many of the sentences."""
    seed: int = 7
    bank_alone: bool = False
    """Without the prior, and without a page."""
    shard: int = 0
    """Only the sentences whose number leaves this"""
    shards: int = 1
    """when it is divided by this; the page is written where all are finished."""


def measure(prepared: Prepared, starts: Sequence[Start]) -> list[tuple[float, float, float]]:
    """Mean gap of the parts, depth, and badness of starts, metres."""
    params = BodyParams(*(np.stack([getattr(s, n) for s in starts]) for n in ("rotations", "betas", "translation")))
    bodies, out = np.asarray(pose_body_compiled(prepared.model, params).vertices), []
    for start, body in zip(starts, bodies):
        gap = start_gap(prepared.model, prepared.thing, start, body)
        depth = max(0.0, -start_clearance(prepared, start, body))
        out.append((gap, depth, start_badness(prepared, start, body, REACH)))
    return out


def start_clearance(prepared: Prepared, start: Start, body: np.ndarray) -> float:
    """Signed distance of the deepest vertex, metres."""
    local = (body - start.object_translation) @ start.object_rotation
    return float(np.asarray(signed_distance(prepared.template.sdf, local.astype(np.float32))).min())


def mean_starts(model: BodyModel, prepared: Prepared, bank: Sequence[Start]) -> list[Start]:
    """The mean pose of the bank's starts in the place of each pose."""
    mean = np.mean([np.asarray(sixd_from_rotation(s.rotations)) for s in bank], axis=0)
    rotations, out = np.asarray(rotation_from_6d(mean), np.float32), []
    for start in bank:
        body = np.asarray(pose_body_compiled(model, BodyParams(rotations, start.betas, start.translation)).vertices)
        places = chosen_places(model, prepared.relations, prepared.thing, body, start.object_rotation,
                               start.object_translation)  # fmt: skip
        out.append(dataclasses.replace(start, rotations=rotations, places=places))
    return out


def cases(every: int) -> Iterator[tuple[int, str, str, Mesh]]:
    """Number, name, sentence and mesh of every so many of the sentences."""
    number = -1
    for thing in things("val"):
        for sentence in thing.sentences:
            number += 1
            if number % every == 0:
                yield number, thing.name, sentence, thing.mesh


def score(config: Config, sentence: str, mesh: Mesh, network: PosePrior | None) -> dict[str, Any]:
    """Rows of a sentence, and CPU seconds that its starts took: of the bank, or of a prior."""
    relations = reason(sentence, mesh)
    vertices = (np.asarray(mesh.vertices) * relations.mesh_scale).astype(np.float32)
    model = free_body("light")
    prepared = prepare(model, make_solid_template(Mesh(vertices, np.asarray(mesh.faces)))[0], relations)
    own, many = (prepared.relations, prepared.thing), 8 * config.count
    if not prepared.relations.contacts:
        return {}
    began = time.process_time()
    if network is None:
        starts = draw_starts(*own, many, config.seed)
        names, others = ("bank", "bank_kept"), {"mean": mean_starts(model, prepared, starts[: config.count])}
    else:
        starts = sample_starts(network, model, *own, many, config.seed)
        names = ("prior", "kept")
        others = {"unconditional": sample_starts(network, model, *own, config.count, config.seed, told=False)}
    seconds = time.process_time() - began
    measured = {name: measure(prepared, values) for name, values in others.items()}
    measured[names[0]] = measure(prepared, starts)
    measured[names[1]] = sorted(measured[names[0]], key=lambda m: m[2])
    out = {}
    for name, values in measured.items():
        values = values[: config.count]
        out[name] = {
            "gap": float(np.median([m[0] for m in values])),
            "depth": float(np.median([m[1] for m in values])),
            "usable": float(np.mean([m[0] < NEAR and m[1] < SHALLOW for m in values])),
        }
    return out | {"seconds": seconds}


def main(config: Config) -> None:
    """Scores what is not finished and, where everything is, writes the page.

    Raises:
      InputError: the bank is asked for in the place of the prior.
    """
    if config.prior == BANK:
        raise InputError(f"--prior is {PRIOR!r} or a file of weights, got {config.prior!r}")
    config.work.mkdir(parents=True, exist_ok=True)
    rows, seconds = [], {BANK: [], PRIOR: []}
    for place, (number, name, sentence, mesh) in enumerate(cases(config.every)):
        row: dict[str, Any] = {"name": name, "sentence": sentence}
        for kind in (BANK, PRIOR):
            path = config.work / f"{number:03d}_{kind}_{config.count}_{config.seed}.json"
            mine = place % config.shards == config.shard and (kind == BANK or not config.bank_alone)
            if not path.is_file() and mine:
                write_json(path, score(config, sentence, mesh, pose_prior(config.prior) if kind == PRIOR else None))
                print(number, kind, sentence, flush=True)
            row |= read_json(path) if path.is_file() else {"missing": True}
            seconds[kind].append(row.pop("seconds", None))
        rows.append(row)
    if any(row.get("missing") for row in rows):
        return
    rows = [row for row in rows if "bank" in row]
    usable = {name: round(100 * float(np.mean([r[name]["usable"] for r in rows])), 1) for name in ROWS}
    each = {kind: float(np.median([s for s in values if s is not None])) for kind, values in seconds.items()}
    record = {"count": config.count, "sentences": len(rows), "usable": usable, "rows": rows, "seconds": each}
    write_json(config.out / "interactanything_prior.json", record)
    write_text(config.out / "interactanything_prior.md", markdown(record))


def markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    rows, count = record["rows"], record["count"]
    lines = [
        "# The prior of poses",
        "",
        f"`python -m hoijax.experiments.interactanything.prior_scores`: {len(rows)} sentences with objects that no",
        f"training saw (other instances, other CC0 shapes), {count} starts each, before any refinement. A start can be",
        f"used whose asked parts are within {100 * NEAR:.0f} cm of their places on average and that is at most",
        f"{100 * SHALLOW:.0f} cm deep. Kept by score: of {8 * count} starts. In brackets the 95 % interval of a",
        "bootstrap over the sentences.",
        "",
        "| | starts that can be used, % | parts from places, cm | deepest vertex, cm |",
        "|---|---|---|---|",
    ]
    for name, words in ROWS.items():
        share = bootstrap_mean(np.array([100 * r[name]["usable"] for r in rows]), seed=0)
        gap, depth = (100 * float(np.mean([r[name][key] for r in rows])) for key in ("gap", "depth"))
        lines.append(f"| {words} | {share.mean:.0f} ({share.low:.0f} to {share.high:.0f}) | {gap:.1f} | {depth:.1f} |")
    each = record["seconds"]
    lines += [
        "",
        "Distances: the median over the starts of a sentence, the mean over the sentences. "
        f"{8 * count} starts take {each[BANK]:.1f} CPU seconds from the bank and {each[PRIOR]:.1f} from the prior, "
        "the median.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config))
