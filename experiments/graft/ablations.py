"""GRAFT's Table 3 on made-up rooms: equally long trainings that leave one thing out each, scored on held-out rooms.

    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations
    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations --steps 2 --rooms 4     # does it run

Half an hour on one core of a slow machine. A stopped run goes on where it was. Writes `graft_ablations.json` and `.md`
to `results`.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.losses import LossWeights
from hoijax.experiments.graft.queries import QueryConfig
from hoijax.io import output_directory, write_json, write_text


@dataclasses.dataclass(frozen=True)
class Row:
    """One training of the table."""

    name: str
    what: str
    """What differs from the whole method, for the page."""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of `train.Config`."""
    queries: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights: dict[str, Any] = dataclasses.field(default_factory=dict)
    paper: tuple[float, float, float] | None = None
    """V2S, PA-MPJPE (mm) and contact F1 of the paper's row, on RICH-100, with images."""


#: The paper's rows, then departures of hoijax from the paper. "whole" has no images: the paper's row without them.
ROWS = (
    Row("whole", "everything", paper=(223.0, 49.60, 0.569)),
    Row("without rollout", "trained with one step, used with three", run={"horizon": 1}, paper=(274.83, 51.30, 0.358)),
    Row(
        "without geometric features",
        "nearest points and normals hidden",
        run={"without": "probes"},
        paper=(273.33, 48.76, 0.389),
    ),
    Row("without scale", "the scale is not predicted", run={"without": "scale"}, paper=(239.45, 50.29, 0.508)),
    Row(
        "without true queries",
        "estimates alone, none with shrunk errors",
        queries={"estimated": 1.0, "near": 0.0},
        paper=(231.76, 65.56, 0.544),
    ),
    Row("the paper's loss", "squares, no heights", weights={"rounding": 0.0, "heights": 0.0}),
    Row("the paper's network", "no heights, no gate, frequencies of 1 m, outputs in units of 1", run={"size": "plain"}),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path
    """Folder of the trainings."""
    results: pathlib.Path = evaluation.RESULTS
    """Folder of the table."""
    rows: tuple[str, ...] = tuple(row.name for row in ROWS)
    """Which rows, by name; the first must be there."""
    steps: int = 1500
    """Of each training."""
    batch: int = 8
    """Samples per step."""
    points: int = 4096
    """Scene points of a training sample."""
    train_rooms: int = 2048
    """That all trainings share."""
    rooms: int = 100
    """Held-out rooms."""
    seed: int = 1

    def __post_init__(self):
        names = tuple(row.name for row in ROWS)
        unknown = [name for name in self.rows if name not in names]
        if unknown or ROWS[0].name not in self.rows:
            raise InputError(f"rows must be {names[0]!r} and others of {', '.join(names)}; got {', '.join(self.rows)}")


def training_of(config: Config, row: Row) -> training.Config:
    """The training of one row: that of the shipped weights (docs/graft.md), shorter, less what the row leaves out."""
    run = training.Config(
        out=config.out / row.name.replace(" ", "_").replace("'", ""), steps=config.steps, batch=config.batch,
        points=config.points, loss_vertices=384, contact_share=0.5, single=0.0, warmup=0.03, rate=1e-3, average=0.998,
        rooms=config.train_rooms, seed=config.seed, detach=True, fold=False,
        queries=dataclasses.replace(QueryConfig(estimated=0.6, clean=0.25, near=0.3, scaled=0.2), **row.queries),
        weights=dataclasses.replace(LossWeights(rounding=0.002, heights=15.0), **row.weights),
    )  # fmt: skip
    return dataclasses.replace(run, **row.run)


def run(config: Config) -> None:
    """Trains, scores and writes the table."""
    output_directory(config.results)
    scores: dict[str, Any] = {}
    whole = training_of(config, ROWS[0])
    # Rooms are made once for all trainings.
    source = training.make_source(whole, training.make_problem(whole))
    for row in (r for r in ROWS if r.name in config.rows):
        one = training_of(config, row)
        known = one.out / "scores.json"
        if not known.is_file():
            training.train(one, source)
            asked = evaluation.Config(
                weights=one.out / "graft.safetensors", rooms=config.rooms, others=False, gradient=False
            )
            write_json(known, evaluation.evaluate(asked)["made-up rooms"])
            jax.clear_caches()
        scores[row.name] = json.loads(known.read_text())
    record = {name: value for name, value in dataclasses.asdict(config).items() if name not in ("out", "results")}
    write_json(config.results / "graft_ablations.json", {"config": record, "scores": scores})
    write_text(config.results / "graft_ablations.md", page(config, scores))


def page(config: Config, scores: dict[str, Any]) -> str:
    """The table, and the changes beside the paper's."""
    rows = [row for row in ROWS if row.name in scores]
    left = [row.name for row in ROWS if row.name not in scores]
    lines = [
        "# GRAFT: what each part is for",
        "",
        f"Made by `python -m hoijax.experiments.graft.ablations`: one training of {config.steps:,} steps of "
        f"{config.batch} made-up rooms for each row, all from the same random weights, T = 3 steps on {config.rooms} "
        "rooms that they did not see. It is the paper's table 3 as far as that needs no images, and rows of what "
        "hoijax does otherwise than the paper. One seed each: how far two trainings differ by their seeds alone is "
        "not known." + (f" Not trained: {', '.join(left)}." if left else ""),
        "",
        "| | | V2S, mm | PA-MPJPE, mm | precision | recall | contact F1 | V2S after T = 1 | V2S of a true start, mm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    start = scores["whole"]["start"]
    for name, what, s in [
        ("start", "the estimates", {"T = 3": start}),
        *((r.name, r.what, scores[r.name]) for r in rows),
    ]:
        last = s["T = 3"]
        more = [f"{s[key]['v2s']:.1f}" if key in s else "" for key in ("T = 1", "truth, T = 3")]
        lines.append(
            f"| {name} | {what} | {last['v2s']:.1f} | {last['pa_mpjpe']:.1f} | {last['precision']:.3f} | "
            f"{last['recall']:.3f} | {last['f1']:.3f} | {' | '.join(more)} |"
        )
    lines += [
        "",
        "Change against the whole method, here and in the paper (RICH-100; a positive V2S or PA-MPJPE and a negative "
        "F1 say that the part helps):",
        "",
        "| | V2S, mm | paper | PA-MPJPE, mm | paper | contact F1 | paper |",
        "|---|---|---|---|---|---|---|",
    ]
    whole, base = scores["whole"]["T = 3"], ROWS[0].paper
    for row in rows[1:]:
        last = scores[row.name]["T = 3"]
        cells = []
        for k, (name, digits) in enumerate((("v2s", 1), ("pa_mpjpe", 1), ("f1", 3))):
            theirs = "" if row.paper is None or base is None else f"{row.paper[k] - base[k]:+.{digits}f}"
            cells += [f"{last[name] - whole[name]:+.{digits}f}", theirs]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(run, Config)
