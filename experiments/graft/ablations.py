"""GRAFT's Table 3 on made-up rooms: equally long trainings that leave one thing out each, scored on held-out rooms.

    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations --split test    # the page
    python -m hoijax.experiments.graft.ablations --out runs/graft_ablations --steps 2 --rooms 4     # does it run

Half an hour on one core of a slow machine. A stopped run goes on where it was. Writes `graft_ablations.json` and `.md`
to `results`.
"""

import dataclasses
import pathlib
from typing import Any

import jax

from hoijax.experiments.command import run_command
from hoijax.experiments.common.ablate import Variant, changes_table, scores_of, select_variants
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.experiments.common.recipes import change_settings
from hoijax.experiments.common.splits import Split, note_of
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.recipes import FIRST
from hoijax.io import output_directory

ROWS = (
    Variant("whole", "everything", paper=(223.0, 49.60, 0.569)),
    Variant("without rollout", "trained with one step, used with three", {"horizon": 1}, (274.83, 51.30, 0.358)),
    Variant(
        "without geometric features", "nearest points and normals hidden", {"without": "probes"}, (273.33, 48.76, 0.389)
    ),
    Variant("without scale", "the scale is not predicted", {"without": "scale"}, (239.45, 50.29, 0.508)),
    Variant(
        "without true queries",
        "estimates alone, none with shrunk errors",
        {"queries.estimated": 1.0, "queries.near": 0.0},
        (231.76, 65.56, 0.544),
    ),
    Variant("the paper's loss", "squares, no heights", {"weights.rounding": 0.0, "weights.heights": 0.0}),
    Variant("the paper's network", "no heights, no gate, frequencies of 1 m, outputs in units of 1", {"size": "plain"}),
)
"""The paper's rows, with its V2S, PA-MPJPE (mm) and contact F1 on RICH-100, with images; then departures of hoijax from
the paper. "whole" has no images: the paper's row without them."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path
    """Folder of the trainings."""
    results: pathlib.Path = RESULTS
    """Folder of the table."""
    split: Split = "dev"
    """Whose rooms are scored: "dev" to choose on, "test" for the page."""
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
        select_variants(ROWS, self.rows)


def training_of(config: Config, row: Variant) -> training.Config:
    """The training of one row: the first of the shipped weights' (`recipes`), shorter, less what the row leaves out."""
    run = dataclasses.replace(
        FIRST, out=config.out / row.folder, steps=config.steps, batch=config.batch, points=config.points,
        loss_vertices=384, average=0.998, rooms=config.train_rooms, seed=config.seed,
    )  # fmt: skip
    return change_settings(run, row.changes)


def run(config: Config) -> None:
    """Trains, scores and writes the table."""
    output_directory(config.results)
    whole = training_of(config, ROWS[0])
    # Rooms are made once for all trainings.
    source = training.make_source(whole, training.training_bodies(whole))

    def score_row(row: Variant) -> dict[str, Any]:
        one = training_of(config, row)
        training.train(one, source)
        asked = evaluation.Config(
            weights=one.out / "graft.safetensors", rooms=config.rooms, others=False, gradient=False, split=config.split
        )
        scores = evaluation.evaluate(asked)["made-up rooms"]
        jax.clear_caches()
        return scores

    scores = scores_of(select_variants(ROWS, config.rows), config.out, score_row)
    record = {"config": settings_of(config, ("out", "results")), "scores": scores}
    write_page(config.results, "graft_ablations", record, markdown(config, scores))


def markdown(config: Config, scores: dict[str, Any]) -> str:
    """The table, and the changes beside the paper's."""
    rows = [row for row in ROWS if row.name in scores]
    left = [row.name for row in ROWS if row.name not in scores]
    whole = scores[ROWS[0].name]
    shown = [("start", "the estimates", {"T = 3": whole["start"]}), *((r.name, r.what, scores[r.name]) for r in rows)]

    def cells(name: str, what: str, s: dict[str, Any]) -> list[str]:
        last = s["T = 3"]
        lengths = [f"{last[key]:.1f}" for key in ("v2s", "pa_mpjpe")]
        contact = [f"{last[key]:.3f}" for key in ("precision", "recall", "f1")]
        more = [f"{s[key]['v2s']:.1f}" if key in s else "" for key in ("T = 1", "truth, T = 3")]
        return [name, what, *lengths, *contact, *more]

    return page(
        "GRAFT: what each part is for",
        f"Made by `python -m hoijax.experiments.graft.ablations`: one training of {config.steps:,} steps of "
        f"{config.batch} made-up rooms for each row, all from the same random weights, T = 3 steps on {config.rooms} "
        "rooms that they did not see. It is the paper's table 3 as far as that needs no images, and rows of what "
        "hoijax does otherwise than the paper. One seed each: how far two trainings differ by their seeds alone is "
        "not known." + (f" Not trained: {', '.join(left)}." if left else "") + note_of(dataclasses.asdict(config)),
        table(
            ["", "", "V2S, mm", "PA-MPJPE, mm", "precision", "recall", "contact F1", "V2S after T = 1",
             "V2S of a true start, mm"],
            [cells(*one) for one in shown],
        ),
        "Change against the whole method, here and in the paper (RICH-100; a positive V2S or PA-MPJPE and a negative "
        "F1 say that the part helps):",
        changes_table(
            rows, {row.name: scores[row.name]["T = 3"] for row in rows},
            (("v2s", "V2S, mm", 1), ("pa_mpjpe", "PA-MPJPE, mm", 1), ("f1", "contact F1", 3)),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    run_command(run, Config)
