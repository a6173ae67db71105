"""`refine --object` and `--pairs` as a job: what is asked for is refined; tables, pictures and a page."""

import collections
import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from hoijax import viz
from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.io import write_json
from hoijax.jobs import refinement_files as files
from hoijax.jobs import sequence_files
from hoijax.jobs.engine import Executor, Item, Job, Outcome, run_job
from hoijax.jobs.plans import Plan
from hoijax.jobs.requests import RefineRequest, prepare_refinement
from hoijax.jobs.screen import Phases, tell
from hoijax.viz import Case, write_page


def refine_files(
    request: RefineRequest,
    *,
    pictures: int,
    redo: bool = False,
    strict: bool = False,
    execute: Executor | None = None,
    execute_sequences: Executor | None = None,
) -> dict[str, str]:
    """Refines what a request asks for and writes everything.

    Args:
      request: what to do.
      pictures: how many interactions get pictures and a section of the page.
      redo: also what is finished.
      strict: see `run_plans`.
      execute: where; None: in this process.
      execute_sequences: the same for what are frames.

    Returns:
      Name to message of what could not be used.

    Raises:
      InputError: nothing can be refined; raised before anything is written.
    """
    phases = Phases()
    with phases("reading, distance grid"):
        made = prepare_refinement(request, tell)
    for note in made.notes or ():
        tell(note)
    failures = dict(made.failures)
    tracks: dict[str, str] = {}
    if made.sequences is not None:
        try:
            outcome = run_sequences(
                made.model, made.sequences, request.out, tracks if made.plans else failures,
                pictures=pictures, redo=redo, strict=strict, execute=execute_sequences, phases=phases,
                page="sequences.html" if made.plans else "report.html",
            )  # fmt: skip
        except InputError:
            if not made.plans:
                raise
            failures |= tracks  # what is no sequence goes on
        else:
            if not made.plans:
                return failures
            failures |= outcome.failures
    run_plans(
        made.model, made.plans, made.job, request.out, failures,
        pictures=pictures, redo=redo, strict=strict, execute=execute, phases=phases, meshes_told=made.notes is not None,
    )  # fmt: skip
    return failures | tracks


def run_plans(
    model: BodyModel,
    plans: Sequence[Plan],
    job: Job,
    out: pathlib.Path,
    failures: dict[str, str],
    *,
    pictures: int,
    redo: bool = False,
    strict: bool = False,
    execute: Executor | None = None,
    meshes_told: bool = True,
    phases: Phases | None = None,
    title: str = "hoijax refine",
    titles: Mapping[str, str] | None = None,
    page: str = "report.html",
) -> Outcome:
    """Refines what is not finished yet; writes results, the joint files, the table and the page.

    Args:
      model: the body.
      plans: with their items.
      job: of these plans.
      out: the folder of the whole job.
      failures: name to message of what could not be used; what fails here is added.
      pictures: how many interactions get pictures and a section of the page.
      redo: also what is finished.
      strict: what is finished but not good counts among the failures.
      execute: where; None: in this process.
      meshes_told: notes on the meshes need not be told at the end.
      phases: tells what took how long.
      title: of the page.
      titles: name of an interaction to the heading of its section; its name without it.
      page: the page's file name.

    Returns:
      What is finished.

    Raises:
      InputError: the output folder cannot be made or written to.
    """
    phases = phases or Phases()
    with phases("refinement"):
        outcome = run_job(job, out, redo=redo, execute=execute)
    failures |= outcome.failures
    if not outcome.finished:
        raise InputError(next(iter(failures.values())))
    items, records = outcome.finished, outcome.records()
    for plan in plans:
        done = {row: item for row, item in plan.items.items() if item.name in records}
        if plan.source.count > 1 and done:
            files.join_rows(model, done, plan.folder, plan.source)
    if any(item.folder != out for item in job.items):
        _write_summary(out, records, failures)
    if pictures and items:
        with phases("pictures and page"):
            cases = _picture_cases(model, items[:pictures], outcome.fresh, records, titles or {})
            write_page(out / page, title, cases, text=_counts(records))
    _tell_table(records)
    _tell_notes(items, records, meshes_told)
    _tell_end(out, records, failures, strict)
    return outcome


def run_sequences(
    model: BodyModel,
    job: Job,
    out: pathlib.Path,
    failures: dict[str, str],
    *,
    pictures: int,
    redo: bool = False,
    strict: bool = False,
    execute: Executor | None = None,
    phases: Phases | None = None,
    page: str = "report.html",
) -> Outcome:
    """Refines sequences that are not finished yet; writes results, films and the page that plays.

    Args:
      model: the body.
      job: of sequences.
      out: the folder of the whole job.
      failures: name to message of what could not be used; what fails here is added.
      pictures: how many sequences get pictures, a film and a section of the page.
      redo: also what is finished.
      strict: what is finished but not good counts among the failures.
      execute: where; None: in this process.
      phases: tells what took how long.
      page: the page's file name.

    Returns:
      What is finished.

    Raises:
      InputError: the output folder cannot be made or written to; nothing could be refined.
    """
    phases = phases or Phases()
    with phases("refinement of sequences"):
        outcome = run_job(job, out, redo=redo, execute=execute)
    failures |= outcome.failures
    if not outcome.finished:
        raise InputError(next(iter(failures.values())))
    records = outcome.records()
    if pictures:
        with phases("film and page"):
            cases = []
            for item in tqdm.tqdm(outcome.finished[:pictures], desc="films", unit="film", disable=None):
                if item.name in outcome.fresh or not (item.folder / files.PICTURE).is_file():
                    sequence_files.write_pictures(model, item)
                cases.append(sequence_files.moving_case(model, item, records[item.name], item.name))
            write_page(out / page, "hoijax refine", cases)
    for name, record in records.items():
        own = record["sequence"]
        shake = ", ".join(f"{k} {_arrow(*(row[k] for row in own['jitter']))}" for k in ("joints", "object"))
        tell(f"{name}: {own['frames']} frames; jitter, mm: {shake}; {'; '.join(record['verdict'])}")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    _tell_end(out, records, failures, strict)
    return outcome


def _tell_end(out: pathlib.Path, records: Mapping[str, Any], failures: dict[str, str], strict: bool) -> None:
    """What was not used, where the results are; with `strict` what is not good is told and added to `failures`."""
    for name, text in failures.items():
        print(f"not used: {name}: {text}", file=sys.stderr)
    if strict:
        poor = {name: "; ".join(record["verdict"]) for name, record in records.items() if not record["good"]}
        for name, text in poor.items():
            print(f"not good: {name}: {text}", file=sys.stderr)
        failures |= poor
    tell(f"results: {out}")


_DEPTHS = ("max_penetration", "mean_penetration")


def _write_summary(out: pathlib.Path, records: Mapping[str, Any], failures: Mapping[str, str]) -> None:
    """The table of a batch."""

    def mean(state: str) -> dict[str, float | None]:
        states = [record[state] for record in records.values()]
        gaps = [gap for one in states for gap in one["contact"].values() if gap is not None]
        known = {key: [one[key] for one in states if one[key] is not None] for key in _DEPTHS}
        depths = {key: float(np.mean(values)) if values else None for key, values in known.items()}
        return depths | {"contact": float(np.mean(gaps)) if gaps else None}

    rows = {
        name: {key: record[key] for key in ("before", "after", "moved", "verdict", "good", "steps", "converged")}
        for name, record in records.items()
    }
    summary = {
        "units": "metres",
        "finished": len(records),
        "good": sum(record["good"] for record in records.values()),
        "verdicts": _verdicts(records),
        "mean": {s: mean(s) for s in ("before", "after")},
    }
    write_json(out / "metrics.json", summary | {"items": rows, "failed": dict(failures)})


def _verdicts(records: Mapping[str, Any]) -> dict[str, int]:
    """How often each word was said: reached, missed, penetrates, moved far, tipped."""
    words = collections.Counter(word.partition(":")[0] for record in records.values() for word in record["verdict"])
    return {word: words[word] for word in ("reached", "missed", "penetrates", "moved far", "tipped") if words[word]}


def _picture_cases(
    model: BodyModel,
    items: Sequence[Item],
    fresh: Collection[str],
    records: Mapping[str, Any],
    titles: Mapping[str, str],
) -> list[Case]:
    """Pictures of some items, before and after, and the sections of the page that show them."""
    cases = []
    for item in tqdm.tqdm(items, desc="pictures", unit="picture", disable=None):
        both = files.scenes(model, item)
        picture = item.folder / files.PICTURE
        if item.name in fresh or not picture.is_file():
            floor = item.inputs.floor
            viz.write_comparison(picture, *both, floor=None if floor is None else floor.level, studio=files.STUDIO)
        heading = titles.get(item.name, item.name)
        cases.append(files.case(heading, records[item.name], both, picture))
    return cases


def _tell_table(records: Mapping[str, Any]) -> None:
    """Before and after of each interaction, at most twenty of them."""
    width = max(max(map(len, records)), len("interaction")) + 2
    tell(f"{'interaction':<{width}}{'penetration, mm':>24}{'contact, mm':>24}{'moved, mm':>12}  verdict")
    for name, record in list(records.items())[:20]:
        before, after = record["before"], record["after"]
        gaps = [max(state["contact"].values(), default=float("nan")) for state in (before, after)]
        tell(
            f"{name:<{width}}{_arrow(before['max_penetration'], after['max_penetration']):>24}{_arrow(*gaps):>24}"
            f"{1000 * record['moved']['body_mean']:>12.1f}  {'; '.join(record['verdict'])}"
        )
    if len(records) > 20:
        tell(f"... and {len(records) - 20} more in metrics.json")
    tell(_counts(records))


def _counts(records: Mapping[str, Any]) -> str:
    """How many are good, and of several how often each verdict was given."""
    good = f"{sum(record['good'] for record in records.values())} of {len(records)} good"
    said = ", ".join(f"{count} {word}" for word, count in _verdicts(records).items())
    return f"{good} ({said})" if len(records) > 1 else good


def _tell_notes(items: Sequence[Item], records: Mapping[str, Any], meshes_told: bool) -> None:
    """Each note once, with the first interaction that has it; those on the mesh only if they were not told before."""
    names: dict[str, list[str]] = {}
    for item in items:
        known = item.inputs.object.light.report.notes() if meshes_told else ()
        for note in records[item.name]["notes"]:
            if note not in known:
                names.setdefault(note, []).append(item.name)
    for note, those in names.items():
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        tell(f"{those[0]}{more}: {note}")


def _arrow(before: float, after: float) -> str:
    """Two lengths in millimetres."""
    return "–" if np.isnan(after) else f"{1000 * before:.1f} -> {1000 * after:.1f}"
