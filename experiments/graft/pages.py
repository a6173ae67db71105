"""The page of GRAFT's evaluation: tables, what was aimed at, and how the network was trained."""

from typing import Any

import numpy as np

from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import bullets, heading, page, plain, settings_of, table
from hoijax.experiments.common.splits import note_of

SURFACE = ("V2S, mm", "median", "D2S, degrees", "PA-MPJPE, mm", "precision", "recall", "contact F1")
"""Columns of scores."""
HEAD = ("", *SURFACE, "deepest point, mm")
OFF_HEAD = ("off, mm", "off by more than 2 cm")
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
    "heavy-tailed start",
    "heavy-tailed, T = 3",
)
"""Rows of a table."""
OFF = (
    ' "Off" is the mean distance of a body\'s vertices from the true ones, '
    "with the share of bodies where it is more than 2 cm: of true bodies after T = 3, how many were moved. "
    "Heavy-tailed starts have legs or arms exchanged in half of the rooms, and in half of them lie 20 cm (one "
    "standard deviation) off along their rays besides."
)
"""What columns mean, and rows, that the first records lack."""
EARLIER = " without the gradient prior, whose scores are an earlier run's where that had the same starts"
"""Of an evaluation with `--known`."""
BASES = {"truth, T = 3": "truth", "heavy-tailed, T = 3": "heavy-tailed start"}
"""What a row began as, where that is not "start"."""


def verdict(scores: dict[str, Any]) -> dict[str, Any]:
    """What was aimed at, with the numbers: gains over the start and the baseline, standing still, monotony."""
    start, icp, best = scores["start"], scores["similarity ICP"], scores["T = 3"]
    errors = [scores[name]["v2s"] for name in ("start", "T = 1", "T = 2", "T = 3")]
    checks = {
        "V2S less than the start's by": 1 - best["v2s"] / start["v2s"],
        "contact F1 above the start's by": best["f1"] / start["f1"] - 1,
        "V2S better than similarity ICP": best["v2s"] < icp["v2s"],
        "contact F1 better than similarity ICP": best["f1"] > icp["f1"],
    }
    if "gradient" in scores:
        checks["contact F1 no worse than the gradient prior's"] = best["f1"] >= scores["gradient"]["f1"]
    return checks | {
        "V2S of a true start after three steps, mm": scores["truth, T = 3"]["v2s"],
        **_more(scores),
        "V2S falls with every step": bool(np.all(np.diff(errors) < 0)),
    }


def _more(scores: dict[str, Any]) -> dict[str, Any]:
    """Checks whose rows or numbers not every evaluation has."""
    checks: dict[str, Any] = {}
    if "off_share" in scores["truth, T = 3"]:
        checks["true bodies moved by more than 2 cm"] = scores["truth, T = 3"]["off_share"]
    whole = scores.get("T = 3, similarity")
    if whole is not None:
        checks["V2S of similarity better than the start"] = whole["v2s"] < scores["start"]["v2s"]
    heavy = scores.get("heavy-tailed, T = 3")
    if heavy is not None:
        checks["V2S less than a heavy-tailed start's by"] = 1 - heavy["v2s"] / scores["heavy-tailed start"]["v2s"]
    steps = [scores[name]["v2s_step"] for name in ("T = 2", "T = 3") if "v2s_step" in scores[name]]
    if steps:
        # A step that is clear of zero on the wrong side is the only one that says "no".
        checks["V2S rises with no step, by its paired interval"] = all(low <= 0 for _, low, _ in steps)
    return checks


def record_of(
    config: Any,
    facts: dict[str, Any],
    sets: dict[str, dict[str, Any]],
    seconds: float,
    other: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What an evaluation found, in JSON's types.

    Args:
      config: of the evaluation (`evaluate.Config`).
      facts: of the weights.
      sets: scores by the name of the set (`evaluate.evaluate`).
      seconds: that it took.
      other: facts of the weights that these are scored against.
    """
    verdicts = {name: verdict(scores) for name, scores in sets.items()}
    record = {"config": settings_of(config), "scores": sets, "verdict": verdicts, "training": facts}
    record |= {} if other is None else {"training_against": other}
    return plain(record | {"machine": machine(), "seconds": round(seconds)})


def markdown(record: dict[str, Any]) -> str:
    """The page of `record_of`."""
    config = record["config"]
    known = "" if config["known"] is None else EARLIER
    off = all("off" in scores["start"] for scores in record["scores"].values())
    head = HEAD + (OFF_HEAD if off else ())
    blocks = [
        "Made by `python -m hoijax.experiments.graft.evaluate`, whose docstring says how: rooms that training did not "
        "see and the free body. These are procedural rooms and imitated estimates: nothing here speaks of photographs."
        + note_of(config),
        f"The network was trained for {training_chain(record['training'])}. {record['machine']}, "
        f"{record['seconds']} s{known}.",
        '"Similarity ICP" moves, turns and scales the whole body onto its nearest scene points; "gradient" is what '
        "`hoijax refine --scene --prior gradient` does. "
        '"Deepest point" is the mean over rooms of the largest depth behind the nearest scene point\'s plane. '
        "PA-MPJPE is over 22 joints. Contact is PhySIC's rule: within 2 cm, or behind the surface and within 15 cm. "
        '"Truth" is scored against itself.' + (OFF if off else ""),
    ]
    if "training_against" in record:
        blocks.append(f"Other weights, scored on the same starts: {training_chain(record['training_against'])}.")
    for name, scores in record["scores"].items():
        change = scores["T = 3"]["v2s_change"]
        steps = [(m, scores[m]["v2s_step"]) for m in ("T = 2", "T = 3") if "v2s_step" in scores[m]]
        text = f"V2S changes from the start to T = 3 by {_interval(change)} mm"
        text += "".join(f", from the step before to {m} by {_interval(x)} mm" for m, x in steps)
        said = {question: _say(question, value) for question, value in record["verdict"][name].items()}
        blocks += [
            heading(f"{name[0].upper()}{name[1:]}, {scores['samples']}"),
            table(head, [scores_cells(m, scores[m], off) for m in METHODS if m in scores]),
            f"{text} (95 % of resampled means of the paired differences).",
            bullets(said),
        ]
        if "against" in scores:
            rows = [
                scores_cells(m, x, off)
                for m, x in scores["against"].items()
                if m not in ("start", "heavy-tailed start")
            ]
            blocks += ["The other weights:", table(head, rows)]
    return page("GRAFT on made-up rooms", *blocks)


def training_chain(facts: dict[str, Any]) -> str:
    """The trainings that led to some weights, the last one first."""
    text = f"{facts['steps']:,} steps on {facts['data']}"
    if "made-up" in facts["data"] and facts.get("views"):
        text += f" ({100 * facts['views']:.0f} % of the rooms as one camera sees them)"
    return text + (f"; before that {training_chain(facts['before'])}" if "before" in facts else "")


def scores_cells(name: str, scores: dict[str, Any], off: bool) -> list[str]:
    """One method's scores: a row of `HEAD`, and where `off` of `OFF_HEAD`, empty where an earlier run lacks it."""
    cells = [name, *surface_cells(scores), f"{scores['penetration']:.0f}"]
    if not off:
        return cells
    return cells + ([f"{scores['off']:.1f}", f"{100 * scores['off_share']:.0f} %"] if "off" in scores else ["", ""])


def _interval(values: list[float]) -> str:
    """A mean and its interval."""
    return f"{values[0]:+.1f} ({values[1]:+.1f} to {values[2]:+.1f})"


def surface_cells(scores: dict[str, Any]) -> list[str]:
    """V2S, its median, D2S, PA-MPJPE, precision, recall and F1."""
    lengths = [f"{scores[name]:.1f}" for name in ("v2s", "v2s_median", "d2s", "pa_mpjpe")]
    return lengths + [f"{scores[name]:.3f}" for name in ("precision", "recall", "f1")]


def _say(question: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if question.endswith("mm") else f"{100 * value:.0f} %"
