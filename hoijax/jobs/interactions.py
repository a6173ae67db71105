"""`refine --object` as a job: requests become plans, plans a job, its results tables, pictures and a page."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from hoijax import viz
from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.io import file_digest, read_mesh, write_json
from hoijax.jobs import refinement_files as files
from hoijax.jobs.bodies import AXES, BodyChoice, contact_names, load_body
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch, run_job
from hoijax.jobs.estimates import BY_KEYS, Reading, read_object
from hoijax.jobs.objects import ObjectAsset
from hoijax.jobs.plans import Plan, plan_files, read_files
from hoijax.jobs.refinement import FloorRule, Interaction, Prior, Refined, refine_interactions
from hoijax.jobs.screen import Phases, tell
from hoijax.optim.gradient import RefineConfig, body_field
from hoijax.viz import Case, write_page


@dataclasses.dataclass(frozen=True)
class RefineRequest:
    """What is to be refined, and how; plain values, so that another machine can be asked."""

    body: pathlib.Path
    """Parameters: a file, or a folder of them."""
    object: pathlib.Path
    """The object's mesh."""
    out: pathlib.Path
    """Folder for the results."""
    choice: BodyChoice
    """The body that the parameters belong to."""
    config: RefineConfig
    """The refiner's settings."""
    contact: str = "auto"
    """Parts that must touch, separated by commas; "auto" or "none"."""
    floor: FloorRule | None = None
    """The floor."""
    units: str | None = None
    """Unit of the mesh; None: metres."""
    scorehoi: bool = False
    """ScoreHOI's prior goes before the gradients."""
    weights: pathlib.Path | None = None
    """Of the prior; None: those that are shipped."""
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Against gravity."""
    batch_size: int = 16
    """Most interactions at a time."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""
    reading: Reading = BY_KEYS
    """How the files are read."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """A request that has been read and checked."""

    model: BodyModel
    """The body."""
    plans: tuple[Plan, ...]
    """With their items."""
    job: Job
    """The items of all plans."""
    failures: dict[str, str]
    """Name to message of what could not be read."""
    notes: tuple[str, ...]
    """What a person should know about the object."""


def prepare_refinement(request: RefineRequest, told: Callable[[str], None] = lambda text: None) -> Refinement:
    """Reads and checks everything.

    Args:
      request: what to do.
      told: called with a line about what is to be done, before the distance grid is made.

    Raises:
      InputError: nothing can be refined.
    """
    sources, failures = read_files(request.body, request.reading)
    object = read_object(request.reading)
    mesh = read_mesh(request.object, units=request.units)
    model, digest = load_body(request.choice, list(sources.values()))
    contacts = contact_names(request.contact, model)
    plans = plan_files(
        sources, request.out, model, request.config, contacts, request.floor, failures, request.reading, object
    )
    prior, inputs = None, {"object": file_digest(request.object), "units": request.units, "model": digest}
    if request.scorehoi:
        from hoijax.systems.scorehoi.score_prior import ScorePrior

        prior = ScorePrior(model, request.weights, request.up)
        axis = {value: name for name, value in AXES.items()}[request.up]
        inputs |= {"prior": prior.digest, "guidance": dataclasses.asdict(prior.config), "up": axis}
    count = sum(len(plan.starts) for plan in plans)
    told(f"{count} interaction{'s' * (count != 1)}, {model.kind} body of {model.num_vertices:,} vertices")
    asset = ObjectAsset.of(mesh, request.cache)
    notes = tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())
    plans = tuple(plan.with_object(asset, inputs) for plan in plans)
    job = refinement_job(model, plans, request.options, request.batch_size, prior)
    return Refinement(model, plans, job, failures, notes)


def prepare_job(request: RefineRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_refinement(request).job


def refinement_job(
    model: BodyModel,
    plans: Sequence[Plan],
    options: Mapping[str, Any],
    batch_size: int,
    prior: Prior | None = None,
) -> Job:
    """The items of all plans as a job.

    Args:
      model: the body.
      plans: with their items.
      options: kept with every result.
      batch_size: most interactions at a time.
      prior: goes before the gradients.
    """
    items = tuple(item for plan in plans for item in plan.items.values())
    field = functools.cache(lambda: body_field(model))

    def compute(batch: Sequence[Item], watch: Watch) -> list[Refined]:
        return refine_interactions(model, field(), [item.inputs for item in batch], watch, prior)

    def write(item: Item, refined: Refined) -> dict[str, Any]:
        return files.write_item(model, item, refined, options, full=len(items) == 1)

    def program(item: Item) -> Any:
        inputs: Interaction = item.inputs
        return inputs.program()

    return Job(items, compute, write, program, batch_size, "interactions")


def refine_files(
    request: RefineRequest,
    *,
    pictures: int,
    redo: bool = False,
    strict: bool = False,
    execute: Executor | None = None,
) -> dict[str, str]:
    """Refines what a request asks for and writes everything.

    Args:
      request: what to do.
      pictures: how many interactions get pictures and a section of the page.
      redo: also what is finished.
      strict: see `run_plans`.
      execute: where; None: in this process.

    Returns:
      Name to message of what could not be used.

    Raises:
      InputError: nothing can be refined; raised before anything is written.
    """
    phases = Phases()
    with phases("reading, distance grid"):
        made = prepare_refinement(request, tell)
    for note in made.notes:
        tell(note)
    failures = dict(made.failures)
    run_plans(
        made.model, made.plans, made.job, request.out, failures,
        up=request.up, pictures=pictures, redo=redo, strict=strict, execute=execute, phases=phases,
    )  # fmt: skip
    return failures


def run_plans(
    model: BodyModel,
    plans: Sequence[Plan],
    job: Job,
    out: pathlib.Path,
    failures: dict[str, str],
    *,
    up: tuple[float, float, float],
    pictures: int,
    redo: bool = False,
    strict: bool = False,
    execute: Executor | None = None,
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
      up: direction that pictures show upward.
      pictures: how many interactions get pictures and a section of the page.
      redo: also what is finished.
      strict: what is finished but not good counts among the failures.
      execute: where; None: in this process.
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
            cases = _picture_cases(
                model, items[:pictures], outcome.fresh, records, np.asarray(up, np.float64), titles or {}
            )
            write_page(out / page, title, cases)
    _tell_table(records)
    _tell_notes(items, records)
    if strict:
        failures |= {name: "; ".join(record["verdict"]) for name, record in records.items() if not record["good"]}
    for name, text in failures.items():
        print(f"not used: {name}: {text}", file=sys.stderr)
    tell(f"results: {out}")
    return outcome


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
    good = sum(record["good"] for record in records.values())
    summary = {
        "units": "metres",
        "finished": len(records),
        "good": good,
        "mean": {s: mean(s) for s in ("before", "after")},
    }
    write_json(out / "metrics.json", summary | {"items": rows, "failed": dict(failures)})


def _picture_cases(
    model: BodyModel,
    items: Sequence[Item],
    fresh: Collection[str],
    records: Mapping[str, Any],
    up: np.ndarray,
    titles: Mapping[str, str],
) -> list[Case]:
    """Pictures of some items, before and after, and the sections of the page that show them."""
    cases = []
    for item in tqdm.tqdm(items, desc="pictures", unit="picture", disable=None):
        both = files.scenes(model, item, up)
        picture = item.folder / "before_after.png"
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
    tell(f"{sum(record['good'] for record in records.values())} of {len(records)} good")


def _tell_notes(items: Sequence[Item], records: Mapping[str, Any]) -> None:
    """Each note on the estimates once, with the first interaction that has it; those on the mesh were told before."""
    names: dict[str, list[str]] = {}
    for item in items:
        known = item.inputs.object.light.report.notes()
        for note in records[item.name]["notes"]:
            if note not in known:
                names.setdefault(note, []).append(item.name)
    for note, those in names.items():
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        tell(f"{those[0]}{more}: {note}")


def _arrow(before: float, after: float) -> str:
    """Two lengths in millimetres."""
    return "–" if np.isnan(after) else f"{1000 * before:.1f} -> {1000 * after:.1f}"
