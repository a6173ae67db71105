"""GRAFT's Table 3 on made-up rooms: equally long trainings that leave one thing out each, scored on held-out rooms.

    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations --steps 2000
    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations --steps 2 --rooms 4     # does it run

A stopped run goes on where it was. Writes `graft_ablations.json` and `.md` to `results`.
"""

import dataclasses
import pathlib
from typing import Any

import tyro

from hoijax.errors import InputError
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.losses import LossWeights
from hoijax.experiments.graft.queries import QueryConfig
from hoijax.io import write_json, write_text

#: Rows of the table: what differs from the whole method.
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "without rollout": {"horizon": 1},
    "without probes": {"without": "probes"},
    "without scale": {"without": "scale"},
    "without true queries": {"queries.estimated": 1.0},
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path
    """Folder of the trainings."""
    results: pathlib.Path = evaluation.RESULTS
    """Folder of the table."""
    steps: int = 2000
    """Of each training."""
    rooms: int = 100
    """Held-out rooms."""
    seed: int = 1


def variant(config: Config, name: str) -> training.Config:
    """The training of one row: that of the shipped weights (docs/graft.md), shorter, less what the row leaves out."""
    changes = dict(VARIANTS[name])
    queries = QueryConfig(estimated=changes.pop("queries.estimated", 0.6), clean=0.25, near=0.3, scaled=0.2)
    run = training.Config(
        out=config.out / name.replace(" ", "_"), steps=config.steps, points=8192, loss_vertices=512, contact_share=0.5,
        single=0.0, warmup=0.03, rate=1e-3, average=0.998, seed=config.seed, detach=True, fold=False, queries=queries,
        weights=LossWeights(rounding=0.002, heights=15.0),
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


def main() -> None:
    """The command line."""
    config = tyro.cli(Config)
    scores = {}
    try:
        for name in VARIANTS:
            run = variant(config, name)
            training.train(run)
            weights = run.out / "graft.safetensors"
            asked = evaluation.Config(weights=weights, rooms=config.rooms, points=32768, others=False)
            scores[name] = evaluation.evaluate(asked)["made-up rooms"]
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
    rows = [("start", scores["whole"]["start"])] + [(name, s["T = 3"]) for name, s in scores.items()]
    lines = [
        "# GRAFT: what each part is for",
        "",
        f"Made by `python -m hoijax.experiments.graft.ablations --steps {config.steps}`: trainings of that many steps "
        f"of 16 made-up rooms, T = 3 steps on {config.rooms} rooms that they did not see. It is the paper's table 3 as "
        "far as that needs no images.",
        "",
        "| | V2S, mm | PA-MPJPE, mm | precision | recall | contact F1 | V2S of a true start, mm |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, s in rows:
        still = "" if name == "start" else f"{scores[name]['truth, T = 3']['v2s']:.1f}"
        lines.append(
            f"| {name} | {s['v2s']:.1f} | {s['pa_mpjpe']:.1f} | {s['precision']:.3f} | {s['recall']:.3f} | "
            f"{s['f1']:.3f} | {still} |"
        )
    write_json(config.results / "graft_ablations.json", {"steps": config.steps, "seed": config.seed, "scores": scores})
    write_text(config.results / "graft_ablations.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
