"""`refine --object` as a job: requests become plans, plans a job, its results tables, pictures and a page."""

import collections
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
from hoijax.io import UNITS, LoadedMesh, ParameterFile, file_digest, read_mesh, write_json
from hoijax.io.sources.contacts import read_contacts
from hoijax.jobs import refinement_files as files
from hoijax.jobs.bodies import BodyChoice, load_body
from hoijax.jobs.contact_files import with_file
from hoijax.jobs.contacts import find_regions, parse_contact
from hoijax.jobs.directions import AXES, Direction, direction_name, parse_direction, turn_between
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch, run_job
from hoijax.jobs.estimates import BY_KEYS, Reading, read_object, up_in
from hoijax.jobs.floors import floor_rule
from hoijax.jobs.objects import SHELF, ObjectAsset, StoredAsset, set_up
from hoijax.jobs.pairs import Pair, read_pairs
from hoijax.jobs.plans import Plan, plan_files, read_body, read_files, row_name
from hoijax.jobs.refinement import Interaction, Prior, Refined, refine_usable
from hoijax.jobs.screen import Phases, tell
from hoijax.optim.gradient import RefineConfig, body_field
from hoijax.viz import Case, write_page


@dataclasses.dataclass(frozen=True)
class RefineRequest:
    """What is to be refined, and how; plain values, so that another machine can be asked."""

    out: pathlib.Path
    """Folder for the results."""
    choice: BodyChoice
    """The body that the parameters belong to."""
    config: RefineConfig
    """The refiner's settings."""
    body: pathlib.Path | None = None
    """Parameters: a file, or a folder of them."""
    object: pathlib.Path | None = None
    """The object's mesh."""
    pairs: pathlib.Path | None = None
    """Instead of both, a table or folder of pairs (`hoijax.jobs.pairs`)."""
    contact: str = "auto"
    """What must touch (`hoijax.jobs.contacts`)."""
    regions: pathlib.Path | None = None
    """File that says what regions of the object are."""
    contacts: pathlib.Path | None = None
    """File with probabilities of contact, or pairs of parts in words (`hoijax.io.sources.contacts`)."""
    contacts_of: str | None = None
    """Which object of it."""
    floor: str = "none"
    """The floor (`hoijax.jobs.floors`)."""
    units: str | None = None
    """Unit of the mesh; None: metres."""
    object_up: Direction | None = None
    """Which direction of the mesh's file points up; None: the mesh is taken as it is."""
    scorehoi: bool = False
    """ScoreHOI's prior goes before the gradients."""
    weights: pathlib.Path | None = None
    """Of the prior; None: those that are shipped."""
    up: Direction | None = AXES["+y"]
    """Against gravity; None with pairs: as the method of each body's file says."""
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
    notes: tuple[str, ...] | None
    """What a person should know about the object; None: of many objects, each has its own in its results."""


def prepare_refinement(request: RefineRequest, told: Callable[[str], None] = lambda text: None) -> Refinement:
    """Reads and checks everything.

    Args:
      request: what to do.
      told: called with a line about what is to be done, before the distance grid is made.

    Raises:
      InputError: nothing can be refined.
    """
    if request.pairs is not None:
        return _prepare_pairs(request, told)
    sources, failures = read_files(request.body, request.reading)
    mesh = read_mesh(request.object, units=request.units)
    model, digest = load_body(request.choice, list(sources.values()))
    plans = _plans(request, sources, mesh, model, failures)
    prior, inputs = _prior(request, model)
    _tell_count(told, plans, model)
    asset = ObjectAsset.of(set_up(mesh, request.object_up, request.up), request.cache)
    notes = tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())
    plans = tuple(plan.with_object(asset, _inputs(request, digest) | inputs) for plan in plans)
    job = refinement_job(model, plans, request.options, request.batch_size, prior)
    return Refinement(model, plans, job, failures, notes)


def _prepare_pairs(request: RefineRequest, told: Callable[[str], None]) -> Refinement:
    """The same for many objects; each pair that cannot be used is named, and the others go on."""
    pairs, failures = read_pairs(request.pairs)
    sources: dict[str, ParameterFile] = {}
    for pair in pairs:
        try:
            sources[pair.name] = read_body(pair.body, request.reading)
        except InputError as error:
            failures[pair.name] = str(error)
            continue
        failures |= {
            row_name(pair.name, sources[pair.name], row): text for row, text in sources[pair.name].broken.items()
        }
    if not sources:
        raise InputError(
            f"--pairs {request.pairs}: none of the bodies can be used; the first: {next(iter(failures.values()))}"
        )
    model, digest = load_body(request.choice, list(sources.values()))
    prior, inputs = _prior(request, model)
    plans = []
    for pair in tqdm.tqdm(pairs, desc="reading meshes", unit="pair", disable=None):
        if pair.name not in sources:
            continue
        try:
            own = _request_of(request, pair, sources[pair.name])
            mesh = read_mesh(own.object, units=own.units)
            made = _plans(own, {pair.name: sources[pair.name]}, mesh, model, failures)
        except InputError as error:
            failures.setdefault(pair.name, str(error))
            continue
        asset = StoredAsset(own.object, own.units, own.object_up, own.up, own.cache)
        plans += [plan.with_object(asset, _inputs(own, digest) | inputs) for plan in made]
    if not plans:
        raise InputError(f"--pairs {request.pairs}: no pair can be used; the first: {next(iter(failures.values()))}")
    _tell_count(told, plans, model)
    # A batch's objects are in memory together.
    job = refinement_job(model, plans, request.options, min(request.batch_size, SHELF), prior)
    return Refinement(model, tuple(plans), job, failures, None)


def _request_of(request: RefineRequest, pair: Pair, source: ParameterFile) -> RefineRequest:
    """The request of one pair: the table's words before the command line's."""
    said = pair.options
    up = parse_direction(said["up"], "up") if "up" in said else request.up or AXES[up_in(source) or "+y"]
    if request.scorehoi and up != (request.up or AXES["+y"]):
        raise InputError(f"up is {direction_name(up)}: with --prior scorehoi all pairs share the command's --up")
    if "units" in said and said["units"] not in UNITS:
        raise InputError(f"the unit is '{said['units']}', wanted one of {', '.join(UNITS)}")
    return dataclasses.replace(
        request,
        body=pair.body,
        object=pair.object,
        contact=said.get("contact", request.contact),
        regions=pair.folder / said["regions"] if "regions" in said else request.regions,
        floor=_floor_file(pair, said["floor"]) if "floor" in said else request.floor,
        up=up,
        object_up=parse_direction(said["object_up"], "object_up") if "object_up" in said else request.object_up,
        units=said.get("units", request.units),
    )


def _floor_file(pair: Pair, floor: str) -> str:
    """The words for a floor, a file's name completed."""
    return str(pair.folder / floor) if (pair.folder / floor).is_file() else floor


def _plans(
    request: RefineRequest,
    sources: Mapping[str, ParameterFile],
    mesh: LoadedMesh,
    model: BodyModel,
    failures: dict[str, str],
) -> list[Plan]:
    """Plans of parameter files with one object, as its file has it, without their items."""
    asked, soft = parse_contact(request.contact, model), None
    if request.contacts is not None:
        asked, soft = with_file(asked, read_contacts(request.contacts, request.contacts_of), model, mesh)
    turn = np.eye(3) if request.object_up is None else turn_between(request.object_up, request.up)
    found = find_regions(asked, mesh, request.object, request.regions)
    if soft is not None and soft.region is not None:
        found = {part: soft.region for part in asked.parts or ()} | found
    floor, object = floor_rule(request.floor, request.up), read_object(request.reading)
    plans = plan_files(
        sources, request.out, model, request.config, asked.parts, floor, failures, request.reading, object,
        up=request.up, regions={part: region.turned(turn) for part, region in found.items()},
    )  # fmt: skip
    return plans if soft is None else [plan.with_soft(soft.parts, soft.notes) for plan in plans]


def _inputs(request: RefineRequest, digest: str) -> dict[str, Any]:
    """What the results of an object depend on."""
    inputs = {"object": file_digest(request.object), "units": request.units, "model": digest}
    return inputs | ({} if request.object_up is None else {"turn": [request.object_up, request.up]})


def _prior(request: RefineRequest, model: BodyModel) -> tuple[Prior | None, dict[str, Any]]:
    """What goes before the gradients, and what results depend on because of it."""
    if not request.scorehoi:
        return None, {}
    from hoijax.systems.scorehoi.score_prior import ScorePrior

    up = request.up or AXES["+y"]
    prior = ScorePrior(model, request.weights, up)
    guidance = dataclasses.asdict(prior.config)
    return prior, {"prior": prior.digest, "guidance": guidance, "up": direction_name(up)}


def _tell_count(told: Callable[[str], None], plans: Sequence[Plan], model: BodyModel) -> None:
    count = sum(len(plan.starts) for plan in plans)
    told(f"{count} interaction{'s' * (count != 1)}, {model.kind} body of {model.num_vertices:,} vertices")


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

    def compute(batch: Sequence[Item], watch: Watch) -> list[Refined | InputError]:
        return refine_usable(model, field(), [item.inputs for item in batch], watch, prior)

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
    for note in made.notes or ():
        tell(note)
    failures = dict(made.failures)
    run_plans(
        made.model, made.plans, made.job, request.out, failures,
        pictures=pictures, redo=redo, strict=strict, execute=execute, phases=phases, meshes_told=made.notes is not None,
    )  # fmt: skip
    return failures


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
