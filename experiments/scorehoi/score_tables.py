"""Scores of a table's rows by the evaluation harness, and the table as text."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.data.evaluation import EvaluateConfig, TruthSource, evaluate, read_predictions
from hoijax.errors import InputError
from hoijax.experiments.common.pages import NOTHING, heading, interval, page, table
from hoijax.experiments.common.splits import note_of
from hoijax.experiments.scorehoi.variants import PAPER_SPEED, GuidanceVariant

Scores = tuple[dict[str, dict[str, float]], dict[str, str]]
"""Sample to metric to number, and sample to the group that the bootstrap draws."""
COLUMNS = {
    "chamfer_body_cm": "body Chamfer, cm",
    "chamfer_object_cm": "object Chamfer, cm",
    "contact_5cm_precision": "contact p",
    "contact_5cm_recall": "r",
    "contact_5cm_f1": "F",
    "penetration_max_mm": "deepest penetration, mm",
}


def score_rows(folder: pathlib.Path, source: TruthSource, ids: Sequence[str], config: EvaluateConfig) -> Scores:
    """Scores the predictions of one row of one seed; what was scored before is not scored again.

    Args:
      folder: holds `predictions.npz`; scores go to `scores` in it.
      source: the truth.
      ids: samples.
      config: what is measured.

    Raises:
      InputError: a prediction cannot be used.
    """
    report = evaluate(source, read_predictions(folder / "predictions.npz"), folder / "scores", config, progress=False)
    wrong = report.unusable | report.broken_truth
    if wrong:
        key, text = next(iter(wrong.items()))
        raise InputError(f"{folder}: {len(wrong)} of {len(ids)} predictions cannot be scored; the first: {key}: {text}")
    samples = {key: report.samples[key] for key in ids}
    # Samples of one object instance are alike: SynthHOI's group.
    return samples, {key: source.load(key).group for key in samples}


def mean_over_seeds(scored: Sequence[Scores]) -> Scores:
    """Each sample's mean over seeds; where a metric is defined for some seeds only, over those."""
    samples: dict[str, dict[str, float]] = {}
    for key in scored[0][0]:
        rows = [one[0][key] for one in scored]
        names = list(dict.fromkeys(name for row in rows for name in row))
        values = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
        samples[key] = {n: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for n, v in values.items()}
    return samples, scored[0][1]


def markdown_table(result: Mapping[str, Any], variants: Sequence[GuidanceVariant]) -> str:
    """The table with intervals, one section per split, the paper's numbers on BEHAVE in the last column."""
    seeds, name = len(result["weights"]), result["dataset"]
    facts = result["weights"][0]["regressor"]
    several = len({pair["regressor"].get("sha256") for pair in result["weights"]}) > 1
    of = "" if several or seeds == 1 else " of the denoiser under one regressor"
    blocks = [
        f"Networks of size {facts['size']}, {facts['steps']} steps on {facts['dataset']}, {seeds} "
        f"seed{'s' * (seeds != 1)}{of}; {result['device']}. Made by `python -m hoijax.experiments.scorehoi.tables "
        f"--table {result['table']}`. In brackets 95 % bootstrap intervals over object instances. The paper's numbers "
        "are of BEHAVE and of networks 20 times as large; only directions can be compared."
        + note_of(result.get("config", {}))
    ]
    for split, rows in result["splits"].items():
        columns = [c for c in COLUMNS if any(c in row["metrics"] for row in rows.values())]
        count = max((row["metrics"][columns[0]]["count"] for row in rows.values()), default=0) if columns else 0
        cells = []
        for variant in (v for v in variants if v.name in rows):
            row = rows[variant.name]
            paper = " / ".join(f"{v:g}" for v in variant.paper) or NOTHING
            if result["table"] in ("2", "A") and variant.name in PAPER_SPEED:
                paper = f"{paper}; {PAPER_SPEED[variant.name]:g} images/s"
            scores = [_cell(row["metrics"].get(c)) for c in columns]
            cells.append([variant.name, *scores, f"{row['images_per_second']:.2f}", paper])
        head = ["row", *(COLUMNS[c] for c in columns), "images/s", "paper, BEHAVE"]
        blocks += [heading(f"{split}, {count} samples"), table(head, cells)]
    return page(f"ScoreHOI, table {result['table']}, on {name}", *blocks)


def _cell(row: Mapping[str, Any] | None) -> str:
    return interval(row, 3 if row is not None and abs(row["mean"]) < 1.5 and row["unit"] == "" else 2)
