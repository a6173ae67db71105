"""The page of results: share of successes by action and split, failures by name."""

from typing import Any

import numpy as np

from hoijax.experiments.real_objects.cases import CASES
from hoijax.interaction import THRESHOLDS, Verdict, judge


def verdict_of(row: dict[str, Any]) -> Verdict:
    """The verdict on a row of results."""
    return judge(
        np.asarray(row["penetration"]),
        np.asarray(list(row["contact"].values())),
        np.asarray(max(row["body_moved"], row["object_moved"])),
        np.asarray(np.radians(row["tilt"])),
    )


def markdown(rows: list[dict[str, Any]], samples: int) -> str:
    """The page.

    Args:
      rows: of all cases that were run.
      samples: perturbations of each.
    """
    case_of = {case.name: case for case in CASES}
    verdicts = [verdict_of(row) for row in rows]
    lines = [
        "# Refinement on objects that nobody here made",
        "",
        f"Made by `python -m hoijax.experiments.real_objects.run`: {samples} perturbed starts of each case. Success:",
        f"deepest penetration, both ways, below {100 * THRESHOLDS.deep:.0f} cm and every asked part within "
        f"{100 * THRESHOLDS.far:.0f} cm, measured",
        "by SciPy and trimesh. dev: the objects that were looked at while the refiner was made; test: all others.",
        "",
        "| action | split | objects | starts | success | shallow | touching | tipped | moved far |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    actions = [*dict.fromkeys(case.action for case in CASES), "all"]
    for action in actions:
        for split in ("dev", "test"):
            chosen = [
                i for i, row in enumerate(rows)
                if action in ("all", case_of[row["case"]].action) and case_of[row["case"]].dev == (split == "dev")
            ]  # fmt: skip
            if not chosen:
                continue
            share = lambda flags: f"{100 * np.mean(flags):.0f} %"  # noqa: E731
            objects = {case_of[rows[i]["case"]].object for i in chosen}
            cells = [
                action, split, str(len(objects)), str(len(chosen)),
                share([bool(verdicts[i].reached) for i in chosen]),
                share([not bool(verdicts[i].penetrates) for i in chosen]),
                share([not np.any(verdicts[i].missed) for i in chosen]),
                share([bool(verdicts[i].tipped) for i in chosen]),
                share([bool(verdicts[i].moved_far) for i in chosen]),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## What failed", "", "| case | start | deepest penetration, mm | parts, mm |", "|---|---|---|---|"]
    for row, verdict in zip(rows, verdicts, strict=True):
        if not bool(verdict.reached):
            parts = ", ".join(f"{name.replace('_', ' ')} {1000 * d:.0f}" for name, d in row["contact"].items())
            lines.append(f"| {row['case']} | {row['sample']} | {1000 * row['penetration']:.0f} | {parts} |")
    return "\n".join(lines) + "\n"
