"""The page of GRAFT's evaluation: tables, what was aimed at, and how the network was trained."""

import dataclasses
import importlib.metadata
import os
import pathlib
from typing import Any

import jax
import numpy as np

from hoijax.io import write_json, write_text

#: Rows of a table.
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


def write_report(config: Any, facts: dict[str, Any], sets: dict[str, dict[str, Any]], seconds: float) -> None:
    """Writes `graft.json` and `graft.md` into the folder of the results.

    Args:
      config: of the evaluation (`evaluate.Config`).
      facts: of the weights.
      sets: scores by the name of the set (`evaluate.evaluate`).
      seconds: that it took.
    """
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
        f"The network was trained for {trained(facts)}. {machine}, {seconds:.0f} s{known}.",
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
    write_json(config.out / "graft.json", plain(record))
    write_text(config.out / "graft.md", "\n".join(lines) + "\n")


def trained(facts: dict[str, Any]) -> str:
    """The trainings that led to some weights, the last one first."""
    text = f"{facts['steps']:,} steps on {facts['data']}"
    if "made-up" in facts["data"] and facts.get("views"):
        text += f" ({100 * facts['views']:.0f} % of the rooms as one camera sees them)"
    return text + (f"; before that {trained(facts['before'])}" if "before" in facts else "")


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


def plain(value: Any) -> Any:
    """Settings in JSON's types; of absolute paths the name alone."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, pathlib.Path):
        return value.name if value.is_absolute() else str(value)
    return value
