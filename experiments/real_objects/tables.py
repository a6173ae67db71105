"""The page of results: share of successes by action and split, failures by name; docs/measured.md's short table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.experiments.common.pages import heading, page, table
from hoijax.experiments.common.splits import note_of
from hoijax.experiments.real_objects.cases import CASES
from hoijax.interaction import THRESHOLDS, Verdict, judge

_CASES = {case.name: case for case in CASES}
TITLES = {
    "sit": "Sitting, back touching", "sit_on": "Sitting on what has no back", "lie": "Lying", "lean": "Leaning on it",
    "push": "Pushing", "carry": "Carrying with both hands", "hold": "Holding in one hand", "stand_on": "Standing on it",
}  # fmt: skip
"""What an action is called."""


def verdict_of(row: Mapping[str, Any]) -> Verdict:
    """The verdict on a row of results."""
    return judge(
        np.asarray(row["penetration"]),
        np.asarray(list(row["contact"].values())),
        np.asarray(max(row["body_moved"], row["object_moved"])),
        np.asarray(np.radians(row["tilt"])),
    )


def _share(flags: Sequence[bool]) -> str:
    return f"{100 * np.mean(flags):.0f} %"


def _objects(rows: Sequence[Mapping[str, Any]]) -> str:
    return str(len({_CASES[row["case"]].object for row in rows}))


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Objects, starts, and shares of what became of them."""
    verdicts = [verdict_of(row) for row in rows]
    return [
        _objects(rows), str(len(rows)),
        _share([bool(v.reached) for v in verdicts]),
        _share([not bool(v.penetrates) for v in verdicts]),
        _share([not np.any(v.missed) for v in verdicts]),
        _share([bool(v.tipped) for v in verdicts]),
        _share([bool(v.moved_far) for v in verdicts]),
    ]  # fmt: skip


def markdown(record: Mapping[str, Any]) -> str:
    """The page of a record: `settings` and `rows`."""
    rows, settings = record["rows"], record["settings"]
    actions = [*dict.fromkeys(_CASES[row["case"]].action for row in rows)]
    lines = []
    for action in (*actions, "all"):
        for split in ("dev", "test", "both"):
            chosen = [
                row for row in rows
                if action in ("all", _CASES[row["case"]].action)
                and (split == "both" or _CASES[row["case"]].dev == (split == "dev"))
            ]  # fmt: skip
            if chosen and (split != "both" or action == "all"):
                lines.append([action.replace("_", " "), split, *_cells(chosen)])
    failed = [
        [row["case"], str(row["sample"]), ", ".join(verdict_of(row).words(tuple(row["contact"]))),
         f"{1000 * row['penetration']:.0f}",
         ", ".join(f"{name.replace('_', ' ')} {1000 * d:.0f}" for name, d in row["contact"].items())]
        for row in rows if not bool(verdict_of(row).good)
    ]  # fmt: skip
    return page(
        "Refinement on objects that nobody here made",
        f"Made by `python -m hoijax.experiments.real_objects.run`: {settings['samples']} perturbed start(s) per case. "
        f"Success: deepest penetration, both ways, below {100 * THRESHOLDS.deep:.0f} cm and every asked part within "
        f"{100 * THRESHOLDS.far:.0f} cm, measured by SciPy and trimesh. Choices were made on dev (the seats of issue "
        "13, every second object of the other actions); test is all others." + note_of(settings),
        table(["action", "split", "objects", "starts", "success", "shallow", "touching", "tipped", "moved far"], lines),
        heading("What failed"),
        table(["case", "start", "verdict", "deepest penetration, mm", "parts, mm"], failed),
    )


def short_table(record: Mapping[str, Any]) -> str:
    """The table of docs/measured.md."""
    rows = record["rows"]
    lines = []
    for action, title in {**TITLES, "all": "**all**"}.items():
        chosen = [row for row in rows if action in ("all", _CASES[row["case"]].action)]
        if chosen:
            verdicts = [verdict_of(row) for row in chosen]
            unseen = [bool(v.reached) for row, v in zip(chosen, verdicts) if not _CASES[row["case"]].dev]
            deep = [100 * row["penetration"] for row in chosen]
            far = [100 * max(row["contact"].values()) for row in chosen]
            lines.append([
                title, _objects(chosen), _share([bool(v.reached) for v in verdicts]), _share(unseen) if unseen else "–",
                f"{np.quantile(deep, 0.9):.2f}", f"{np.quantile(far, 0.9):.2f}",
                _share([bool(v.tipped) for v in verdicts]),
            ])  # fmt: skip
    head = ["real objects", "how many", "success", "of those never looked at"]
    return "\n".join([
        "The same rule and perturbations on furniture and things that nobody here made: a CC0 set, robosuite's and",
        "metaworld's meshes ([all numbers, and what failed](docs/results/real_objects.md)).",
        "",
        table([*head, "deepest penetration (90 %)", "contact distance (90 %)", "tipped"], lines),
        "",
        "`python -m hoijax.experiments.real_objects.run --split all --page` makes it again.",
    ])  # fmt: skip
