"""Running plans: progress on the screen, results on disk as they come, pages and tables at the end."""

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tqdm

from hoijax.body_models import BodyModel
from hoijax.io import output_directory, remove_partial_files, write_json
from hoijax.jobs import results
from hoijax.jobs.interrupts import Interrupts
from hoijax.jobs.plans import Plan
from hoijax.jobs.refinement import Item, refine_items
from hoijax.optim.gradient import Progress
from hoijax.viz import Case, write_page

if TYPE_CHECKING:
    from hoijax.systems.scorehoi.score_prior import ScorePrior


_DEPTHS = ("max_penetration", "mean_penetration")


def tell(text: str) -> None:
    """One line for the person at the screen."""
    tqdm.tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def run_plans(
    model: BodyModel,
    plans: Sequence[Plan],
    out: pathlib.Path,
    record: Mapping[str, Any],
    failures: Mapping[str, str],
    *,
    up: tuple[float, float, float],
    batch_size: int,
    pictures: int,
    redo: bool = False,
    title: str = "hoijax refine",
    titles: Mapping[str, str] | None = None,
    page: str = "report.html",
    prior: "ScorePrior | None" = None,
) -> dict[str, dict[str, Any]]:
    """Refines what is not finished yet and writes everything.

    Args:
      model: the body.
      plans: with their items.
      out: the folder of the whole job.
      record: the options, kept with every result.
      failures: name to message of what could not be used.
      up: direction that pictures show upward.
      batch_size: most interactions at a time.
      pictures: how many interactions get pictures and a section of the page.
      redo: also what is finished.
      title: of the page.
      titles: name of an interaction to the heading of its section; its name without it.
      page: the page's file name.
      prior: goes before the gradient refiner.

    Returns:
      Name to the contents of `metrics.json` of every interaction.

    Raises:
      InputError: the output folder cannot be made or written to.
    """
    output_directory(out)
    items = [item for plan in plans for item in plan.items.values()]
    for folder in {out, *(plan.folder for plan in plans), *(item.folder for item in items)}:
        remove_partial_files(folder)
    waiting = [item for item in items if redo or not item.is_finished()]
    if len(waiting) < len(items):
        tell(f"{len(items) - len(waiting)} of {len(items)} are finished already")
    _refine(model, waiting, items, batch_size, record, prior)
    records = {item.name: json.loads((item.folder / "metrics.json").read_text()) for item in items}
    for plan in plans:
        if plan.source.count > 1:
            results.join_rows(model, plan.items, plan.folder, plan.source)
    if any(item.folder != out for item in items):
        _write_summary(out, records, failures)
    cases = _picture_cases(model, items[:pictures], waiting, records, np.asarray(up, np.float64), titles or {})
    if cases:
        write_page(out / page, title, cases)
    _tell_table(records)
    _tell_notes(items, records)
    for name, text in failures.items():
        print(f"not used: {name}: {text}", file=sys.stderr)
    tell(f"results: {out}")
    return records


def _refine(
    model: BodyModel,
    waiting: Sequence[Item],
    items: Sequence[Item],
    batch_size: int,
    record: Mapping[str, Any],
    prior: "ScorePrior | None",
) -> None:
    """Refines and writes, batch by batch; Ctrl-C loses at most the batch in work."""
    if not waiting:
        return
    written = len(items) - len(waiting)
    per_item = max(1, waiting[0].config.steps)
    bar = tqdm.tqdm(
        total=len(waiting) * per_item,
        desc="compiling",
        unit="step",
        disable=None,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} steps [{elapsed}<{remaining}{postfix}]",
    )

    stop = Interrupts()

    def show(progress: Progress, finished: int) -> None:
        stop.check()
        bar.set_description(progress.stage, refresh=False)
        share = progress.steps / max(1, progress.total)
        bar.update(per_item * (finished + share * progress.batch) - bar.n)

    try:
        with bar, stop:
            for refined in refine_items(model, waiting, batch_size, show, prior):
                results.write_item(model, refined, record, full=len(items) == 1)
                written += 1
                bar.set_postfix_str(f"{written} of {len(items)} written", refresh=False)
                if bar.disable and (written % batch_size == 0 or written == len(items)):
                    tell(f"{written} of {len(items)} written")
                stop.check()
    except KeyboardInterrupt:
        tell(f"{written} of {len(items)} interactions are finished and written; the same command goes on from there")
        raise


def _write_summary(out: pathlib.Path, records: Mapping[str, Any], failures: Mapping[str, str]) -> None:
    """The table of a batch."""

    def mean(state: str) -> dict[str, float | None]:
        states = [record[state] for record in records.values()]
        gaps = [gap for one in states for gap in one["contact"].values() if gap is not None]
        known = {key: [one[key] for one in states if one[key] is not None] for key in _DEPTHS}
        depths = {key: float(np.mean(values)) if values else None for key, values in known.items()}
        return depths | {"contact": float(np.mean(gaps)) if gaps else None}

    rows = {
        name: {key: record[key] for key in ("before", "after", "moved", "steps", "converged")}
        for name, record in records.items()
    }
    summary = {"units": "metres", "finished": len(records), "mean": {s: mean(s) for s in ("before", "after")}}
    write_json(out / "metrics.json", summary | {"items": rows, "failed": dict(failures)})


def _picture_cases(
    model: BodyModel,
    items: Sequence[Item],
    fresh: Sequence[Item],
    records: Mapping[str, Any],
    up: np.ndarray,
    titles: Mapping[str, str],
) -> list[Case]:
    """Pictures of some items, before and after, and the sections of the page that show them."""
    if not items:
        return []
    from hoijax.viz import write_comparison

    cases, new = [], {item.name for item in fresh}
    for item in tqdm.tqdm(items, desc="pictures", unit="picture", disable=None):
        both = results.scenes(model, item, up)
        picture = item.folder / "before_after.png"
        if item.name in new or not picture.is_file():
            level = None if item.floor is None else item.floor.level
            write_comparison(picture, *both, floor=level)
        heading = titles.get(item.name, item.name)
        cases.append(results.case(heading, records[item.name], both, picture))
    return cases


def _tell_table(records: Mapping[str, Any]) -> None:
    """Before and after of each interaction, at most twenty of them."""
    width = max(max(map(len, records)), len("interaction")) + 2
    tell(f"{'interaction':<{width}}{'penetration, mm':>24}{'contact, mm':>24}{'moved, mm':>12}")
    for name, record in list(records.items())[:20]:
        before, after = record["before"], record["after"]
        gaps = [max(state["contact"].values(), default=float("nan")) for state in (before, after)]
        tell(
            f"{name:<{width}}{_arrow(before['max_penetration'], after['max_penetration']):>24}{_arrow(*gaps):>24}"
            f"{1000 * record['moved']['body_mean']:>12.1f}"
        )
    if len(records) > 20:
        tell(f"... and {len(records) - 20} more in metrics.json")


def _tell_notes(items: Sequence[Item], records: Mapping[str, Any]) -> None:
    """Each note on the estimates once, with the first interaction that has it; those on the mesh were told before."""
    names: dict[str, list[str]] = {}
    for item in items:
        known = item.object.light.report.notes()
        for note in records[item.name]["notes"]:
            if note not in known:
                names.setdefault(note, []).append(item.name)
    for note, found in names.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        tell(f"{found[0]}{more}: {note}")


def _arrow(before: float, after: float) -> str:
    """Two lengths in millimetres."""
    return "–" if np.isnan(after) else f"{1000 * before:.1f} -> {1000 * after:.1f}"
