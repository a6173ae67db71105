"""What `refine --object` and `--pairs` are asked for: requests become plans, plans a job."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.io import UNITS, LoadedMesh, ParameterFile, read_mesh
from hoijax.io.reading import is_file
from hoijax.io.sources.contacts import read_contacts
from hoijax.jobs import refinement_files as files
from hoijax.jobs.bodies import BodyChoice, load_body
from hoijax.jobs.contact_files import with_file
from hoijax.jobs.contacts import find_regions, parse_contact
from hoijax.jobs.directions import AXES, Direction, direction_name, parse_direction, turn_between
from hoijax.jobs.engine import Item, Job, Watch
from hoijax.jobs.estimates import BY_KEYS, FEWEST, Reading, check_place, read_object, up_in
from hoijax.jobs.floors import floor_rule
from hoijax.jobs.folders import are_numbered
from hoijax.jobs.objects import SHELF, ObjectAsset, StoredAsset, mesh_digest, set_up
from hoijax.jobs.pairs import Pair, read_pairs
from hoijax.jobs.plans import Plan, plan_files, read_body, read_files, row_name
from hoijax.jobs.refinement import Interaction, Prior, Refined, refine_usable
from hoijax.jobs.seen import PictureFiles, look_at
from hoijax.jobs.sequence_files import write_sequence
from hoijax.jobs.sequences import is_sequence, sequence_config, sequence_items, sequence_job
from hoijax.optim.fields import body_field
from hoijax.optim.gradient import RefineConfig


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
    contacts_body: str | None = None
    """The body whose vertices a bare list in it numbers."""
    folder: pathlib.Path = pathlib.Path()
    """Where the names of files start that `contact` has."""
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
    sequence: bool | None = None
    """Rows are frames of one person, refined together; None: where the files say so."""
    fps: float | None = None
    """Frames a second; None: as the files say."""
    whole: bool = True
    """The configuration has the refiner's own number of steps."""
    picture: PictureFiles | None = None
    """What a photograph shows of the only interaction; None: nothing."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """A request that has been read and checked."""

    model: BodyModel
    """The body."""
    plans: tuple[Plan, ...]
    """With their items."""
    job: Job
    """The items of all plans whose rows are refined one by one."""
    failures: dict[str, str]
    """Name to message of what could not be read."""
    notes: tuple[str, ...] | None
    """What a person should know about the object; None: of many objects, each has its own in its results."""
    sequences: Job | None = None
    """The plans whose rows are frames; None: there are none."""


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
    sources, failures = read_files(request.body, request.reading, as_frames=bool(request.sequence))
    mesh = read_mesh(request.object, units=request.units)
    model, digest = load_body(request.choice, list(sources.values()))
    plans = _plans(request, sources, mesh, model, failures)
    prior, inputs = _prior(request, model)
    tracks = [plan for plan in plans if is_sequence(plan, request.sequence)]
    if request.scorehoi and tracks and request.sequence is None:
        tracks = []  # the prior knows single frames
    _check_tracks(request, plans, tracks)
    alone = [plan for plan in plans if plan not in tracks]
    _tell_count(told, alone, model, tracks)
    asset = ObjectAsset.of(set_up(mesh, request.object_up, request.up), request.cache)
    notes = tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())
    inputs = _inputs(request, mesh, digest) | inputs
    if request.picture is not None:
        alone, inputs = _with_picture(request, alone, tracks, model, asset, inputs)
    alone = tuple(plan.with_object(asset, inputs) for plan in alone)
    job = refinement_job(model, alone, request.options, request.batch_size, prior)
    if not tracks:
        return Refinement(model, alone, job, failures, (*notes, *_rows_note(request, alone)))
    config = sequence_config(request.config, whole=request.whole, fps=request.fps)
    items = sequence_items(tracks, asset, inputs, config)
    sequences = sequence_job(model, items, request.options, request.batch_size, write_sequence)
    return Refinement(model, alone, job, failures, notes, sequences)


def read_estimates(request: RefineRequest) -> tuple[BodyModel, LoadedMesh, list[Plan]]:
    """The body, the object as it is set up, and the estimates of a request with one object: no distance grid is made.

    Raises:
      InputError: nothing can be refined.
    """
    sources, failures = read_files(request.body, request.reading, as_frames=bool(request.sequence))
    mesh = read_mesh(request.object, units=request.units)
    model, _ = load_body(request.choice, list(sources.values()))
    plans = _plans(request, sources, mesh, model, failures)
    return model, set_up(mesh, request.object_up, request.up), plans


def _check_tracks(request: RefineRequest, plans: Sequence[Plan], tracks: Sequence[Plan]) -> None:
    """Refuses a sequence where there can be none."""
    if request.sequence and not tracks:
        most = max(len(plan.starts) for plan in plans)
        raise InputError(
            f"--sequence: the longest file has {most} usable rows, wanted {FEWEST} or more frames of one person, in "
            "one file or in a folder of files with one frame each"
        )
    if request.sequence and request.scorehoi:
        raise InputError("--prior scorehoi refines single frames; leave --sequence or the prior away")
    if request.fps is not None and not tracks:
        said = any(plan.source.frames is not None for plan in plans)
        why = "no file says that its rows are frames: add --sequence"
        if said and request.scorehoi:
            why = "--prior scorehoi refines single frames: leave one of the two away"
        elif said:
            why = f"no file has {FEWEST} usable frames or more: leave it away"
        raise InputError(f"--fps goes with a sequence; {why}")


def _with_picture(
    request: RefineRequest,
    plans: Sequence[Plan],
    tracks: Sequence[Plan],
    model: BodyModel,
    asset: ObjectAsset,
    inputs: Mapping[str, Any],
) -> tuple[list[Plan], dict[str, Any]]:
    """The only plan with what its photograph shows, and what its result depends on."""
    rows = sum(len(plan.starts) for plan in (*plans, *tracks))
    if rows != 1 or tracks:
        raise InputError(
            f"--image {request.picture.image} shows one interaction and BODY holds {rows}; give the row or person that "
            "is seen, or refine BODY without a picture"
        )
    plan = plans[0]
    estimate, (row, start) = plan.source.estimate, next(iter(plan.starts.items()))
    matrix = None if estimate is None else estimate.intrinsics
    seen = look_at(request.picture, model, start, asset, matrix)
    start = dataclasses.replace(start, notes=(*seen.notes, *start.notes))
    return [dataclasses.replace(plan, starts={row: start}, seen=seen)], {**inputs, "picture": seen.digest}


def _rows_note(request: RefineRequest, plans: Sequence[Plan]) -> tuple[str, ...]:
    """That rows may be frames, where nobody says that they are not."""
    if request.sequence is not None:
        return ()
    if len(plans) >= FEWEST and all(plan.source.count == 1 for plan in plans) and are_numbered([p.name for p in plans]):
        return ("files are refined one by one; if they are frames of one person, --sequence ties them together",)
    if not any(len(plan.starts) >= FEWEST for plan in plans):
        return ()
    return ("rows are refined one by one; if they are frames of one person, --sequence ties them together",)


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
    plans, read = [], functools.lru_cache(maxsize=8)(read_mesh)  # many bodies may have one object
    for pair in tqdm.tqdm(pairs, desc="reading meshes", unit="pair", disable=None):
        if pair.name not in sources:
            continue
        try:
            own = _request_of(request, pair, sources[pair.name])
            mesh = read(own.object, units=own.units)
            made = _plans(own, {pair.name: sources[pair.name]}, mesh, model, failures)
        except InputError as error:
            failures.setdefault(pair.name, str(error))
            continue
        asset = StoredAsset(own.object, own.units, own.object_up, own.up, own.cache, mesh_digest(own.object, mesh))
        made = [dataclasses.replace(plan, options=_own_options(own, pair)) for plan in made]
        plans += [plan.with_object(asset, _inputs(own, mesh, digest) | inputs) for plan in made]
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
        folder=pair.folder if "contact" in said else request.folder,
        regions=pair.folder / said["regions"] if "regions" in said else request.regions,
        floor=_floor_file(pair, said["floor"]) if "floor" in said else request.floor,
        up=up,
        object_up=parse_direction(said["object_up"], "object_up") if "object_up" in said else request.object_up,
        units=said.get("units", request.units),
    )


def _own_options(own: RefineRequest, pair: Pair) -> dict[str, Any]:
    """What the record of a pair tells, as if it alone had been asked for."""
    up = pair.options.get("up") or own.options.get("up") or direction_name(own.up)
    said = {**pair.options, "body": str(pair.body), "object": str(pair.object), "up": up, "floor": own.floor}
    return said | ({} if own.regions is None else {"regions": str(own.regions)})


def _floor_file(pair: Pair, floor: str) -> str:
    """The words for a floor, a file's name completed."""
    return str(pair.folder / floor) if is_file(pair.folder / floor) else floor


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
        asked, soft = with_file(
            asked, read_contacts(request.contacts, request.contacts_of, request.contacts_body), model, mesh
        )
    turn = np.eye(3) if request.object_up is None else turn_between(request.object_up, request.up)
    found = find_regions(asked, mesh, request.object, request.regions, request.folder)
    if soft is not None and soft.region is not None:
        found = {part: soft.region for part in asked.parts or ()} | found
    floor, object = floor_rule(request.floor, request.up), read_object(request.reading)
    plans = plan_files(
        sources, request.out, model, request.config, asked.parts, floor, failures, request.reading, object,
        up=request.up, regions={part: region.rotate(turn) for part, region in found.items()},
    )  # fmt: skip
    near = _leave_misplaced(plans, mesh.vertices @ turn.T, failures)
    return near if soft is None else [plan.with_soft(soft.parts, soft.notes) for plan in near]


def _leave_misplaced(plans: Sequence[Plan], vertices: np.ndarray, failures: dict[str, str]) -> list[Plan]:
    """The plans whose bodies have their object somewhere near; the others are added to the failures."""
    kept, first = [], None
    for plan in plans:
        try:
            check_place(plan.source, next(iter(plan.starts.values())), vertices)
        except InputError as error:
            failures[plan.name or plan.source.path.stem] = str(error)
            first = first or error
            continue
        kept.append(plan)
    if first is not None and not kept:
        raise first
    return kept


def _inputs(request: RefineRequest, mesh: LoadedMesh, digest: str) -> dict[str, Any]:
    """What the results of an object depend on."""
    inputs = {"object": mesh_digest(request.object, mesh), "units": request.units, "model": digest}
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


def _tell_count(
    told: Callable[[str], None], plans: Sequence[Plan], model: BodyModel, tracks: Sequence[Plan] = ()
) -> None:  # fmt: skip
    count, frames = (sum(len(plan.starts) for plan in some) for some in (plans, tracks))
    what = [f"{count} interaction{'s' * (count != 1)}"] * bool(count or not tracks)
    what += [f"{len(tracks)} sequence{'s' * (len(tracks) != 1)} of {frames} frames"] * bool(tracks)
    told(f"{' and '.join(what)}, {model.kind} body of {model.num_vertices:,} vertices")


def prepare_job(request: RefineRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_refinement(request).job


def prepare_sequences(request: RefineRequest) -> Job:
    """The same of the sequences of a request."""
    job = prepare_refinement(request).sequences
    assert job is not None
    return job


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
        own: Interaction = item.inputs
        return files.write_item(model, item, refined, {**options, **own.options}, full=len(items) == 1)

    def program(item: Item) -> Any:
        inputs: Interaction = item.inputs
        return inputs.program()

    return Job(items, compute, write, program, batch_size, "interactions")
