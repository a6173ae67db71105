"""From the numbers of samples to a table: one row per metric, with its interval and how many samples it is of."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.data.evaluation.measures import EvaluateConfig
from hoijax.metrics import bootstrap_contact, bootstrap_mean

_UNITS = {"mm": "mm", "cm": "cm", "deg": "°", "percent": "%", "cm3": "cm³"}
_HIGHER = ("precision", "recall", "f1", "f_score", "affordance_auc", "affordance_sim", "affordance_aiou")


def rows_of(
    samples: Mapping[str, Mapping[str, float]], groups: Mapping[str, str], config: EvaluateConfig
) -> dict[str, dict[str, Any]]:
    """Means with bootstrap intervals.

    Precision and recall are means over the samples where they are defined, F is of the two means
    (specs/datasets.md 7.4).

    Args:
      samples: id to metric to number; NaN where a metric is not defined.
      groups: id to the group that the bootstrap draws as a whole.
      config: level, resamples, seed, what is drawn.

    Returns:
      Metric to `mean`, `low`, `high`, `count`, `unit`, `better`.
    """
    names = list(dict.fromkeys(name for numbers in samples.values() for name in numbers))
    drawn = np.array([groups[key] for key in samples]) if config.by == "sequence" else None
    settings = {"level": config.level, "resamples": config.resamples, "seed": config.seed, "groups": drawn}
    columns = {name: np.array([numbers.get(name, math.nan) for numbers in samples.values()]) for name in names}
    rows: dict[str, dict[str, Any]] = {}
    for name in names:
        stem, _, kind = name.rpartition("_")
        if kind == "precision":
            scores = bootstrap_contact(columns[name], columns[f"{stem}_recall"], **settings)
            for part in ("precision", "recall", "f1"):
                rows[f"{stem}_{part}"] = _row(f"{stem}_{part}", getattr(scores, part))
        elif kind != "recall":
            rows[name] = _row(name, bootstrap_mean(columns[name], **settings))
    return rows


def _row(name: str, interval: Any) -> dict[str, Any]:
    better = "none" if "_floor_" in name else "higher" if any(word in name for word in _HIGHER) else "lower"
    return dataclasses.asdict(interval) | {"unit": _UNITS.get(name.rpartition("_")[2], ""), "better": better}


def markdown(dataset: str, split: str, rows: Mapping[str, Mapping[str, Any]], evaluated: int, count: int) -> str:
    """The table as Markdown, which also reads well on a screen.

    Args:
      dataset: its name.
      split: its split.
      rows: of `rows_of`.
      evaluated: samples with a usable prediction.
      count: samples of the split.

    Returns:
      The text.
    """
    cells = [("metric", "mean", "interval", "samples")]
    for name, row in rows.items():
        unit = f" {row['unit']}" if row["unit"] else ""
        interval = "–" if math.isnan(row["low"]) else f"{_number(row['low'])} – {_number(row['high'])}"
        mean = "–" if math.isnan(row["mean"]) else _number(row["mean"]) + unit
        cells.append((name, mean, interval, str(row["count"])))
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    sides = (str.ljust, str.rjust, str.rjust, str.rjust)
    lines = ["| " + " | ".join(side(c, w) for side, c, w in zip(sides, line, widths)) + " |" for line in cells]
    rule = "|" + "|".join(("-" * (w + 1) + (":" if i else "-")) for i, w in enumerate(widths)) + "|"
    head = f"{dataset} {split}: {evaluated} of {count} samples"
    return "\n".join([head, "", lines[0], rule, *lines[1:], ""])


def _number(value: float) -> str:
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 or value == 0 else f"{value:.3f}"
