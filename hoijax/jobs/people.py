"""`refine --scene` as a job: people in a scene go in, people that touch it and do not lie inside it come out."""

import dataclasses
import functools
import importlib.metadata
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, inverse
from hoijax.io import ParameterFile, file_digest, read_npz, read_parameters, value_digest, write_npz
from hoijax.jobs.bodies import BodyChoice, load_body
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch, run_job
from hoijax.jobs.head_alignment import align_people
from hoijax.jobs.record import provenance
from hoijax.jobs.scene_files import PersonResult, axis_angle_keys, write_results
from hoijax.jobs.scene_inputs import SceneGeometry, read_scene
from hoijax.jobs.scene_metrics import measure_body, points_around
from hoijax.jobs.screen import Phases, tell
from hoijax.systems.graft import (
    BodySpec,
    GraftState,
    RolloutOptions,
    ScenePoints,
    UpdateMask,
    apply_similarity,
    body_spec,
    contact_model,
    fold_scale,
    make_scene,
    read_people,
    rollout,
    trained_probes,
)
from hoijax.systems.graft.frames import facing_camera
from hoijax.systems.graft.gradient import gradient_refine

CAPACITY = 65_536
"""Scene points around a person; more are thinned out."""
DEFAULT_STEPS = {True: 3, False: 100}
"""T of GRAFT's network, and steps of Adam without it."""


@dataclasses.dataclass(frozen=True)
class PeopleRequest:
    """Who is to be fitted to which scene, and how; plain values, so that another machine can be asked."""

    body: pathlib.Path
    """Parameters of the people."""
    scene: pathlib.Path
    """A mesh, a cloud, or a depth or point map."""
    out: pathlib.Path
    """Folder for the results."""
    choice: BodyChoice
    """The body that the parameters belong to."""
    units: str | None = None
    """Unit of the scene; None: metres."""
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Against gravity; of a camera's points its own."""
    graft: bool | None = False
    """GRAFT's network in place of gradients; None: where the shipped weights fit the body (`decide`)."""
    weights: pathlib.Path | None = None
    """Of the network; None: those that are shipped."""
    features: pathlib.Path | None = None
    """Image features for a network of the full mode."""
    heads: pathlib.Path | None = None
    """Depth or point map of the image with the people, to which their heads are brought; None: as estimated."""
    freeze: str = ""
    """What may not change, separated by commas."""
    steps: int | None = None
    """See `DEFAULT_STEPS`."""
    batch_size: int = 16
    """Most people at a time."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""

    @property
    def number_of_steps(self) -> int:
        """Steps asked for, or the refiner's own."""
        return DEFAULT_STEPS[bool(self.graft)] if self.steps is None else self.steps


Refiner = Callable[[ScenePoints, BodyParams, RigidPose | None], tuple[BodyParams, jax.Array]]
"""Compiled: scenes, people and poses before a camera, with a leading axis, to refined people and their vertices."""


@dataclasses.dataclass(frozen=True)
class PeopleJob:
    """A request that has been read and checked."""

    request: PeopleRequest
    """With its prior decided."""
    model: BodyModel
    """The body."""
    digest: str
    """Of the body model."""
    people: BodyParams
    """As read, with a leading axis."""
    geometry: SceneGeometry
    """The scene."""
    up: np.ndarray
    """Against gravity, `(3,)`."""
    facts: dict[str, Any]
    """Of the network's weights."""
    aligned: dict[str, float]
    """Name to what a person's size and distance were multiplied by; empty without `heads`."""
    job: Job
    """One item per person."""


def prepare_people(request: PeopleRequest, told: Callable[[str], None] = lambda text: None) -> PeopleJob:
    """Reads and checks everything.

    Args:
      request: what to do.
      told: called with lines for the person at the screen.

    Raises:
      InputError: nothing can be refined.
    """
    model, digest = load_body(request.choice, _parameter_files(request.body))
    request = decide(request, model, told)
    geometry = read_scene(request.scene, units=request.units)
    people = read_people(request.body, model).params
    for note in geometry.notes:
        told(f"{request.scene.name}: {note}")
    count = len(people.betas)
    told(f"{count} {'person' if count == 1 else 'people'}, {len(geometry.points):,} scene points")
    if request.features is not None and not geometry.from_camera:
        raise InputError(
            f"--features {request.features} are seen by a camera; where that is, {request.scene} does not say; "
            "give a depth or point map"
        )
    if request.heads is not None and not geometry.from_camera:
        raise InputError(
            f"--align-heads {request.heads} is seen by a camera; where that is, {request.scene} does not say; give a "
            "depth or point map"
        )
    refine, spec, facts = make_refiner(request, model)
    if geometry.from_camera and facts.get("data") == "made-up rooms" and not facts.get("views"):
        note = "these weights know rooms whose every surface is there; in what one camera sees gradients do better"
        geometry = dataclasses.replace(geometry, notes=(*geometry.notes, note))
        told(note)
    up = np.asarray((0.0, -1.0, 0.0) if geometry.from_camera else request.up)
    shared = {
        "version": importlib.metadata.version("hoijax"), "scene": file_digest(request.scene), "units": request.units,
        "weights": facts, "steps": request.number_of_steps, "freeze": request.freeze, "up": up, "body_model": digest,
    }  # fmt: skip
    starts, aligned, lost = people, {}, {}
    if request.heads is not None:
        found = align_people(
            request.heads, model, people, units=request.units, intrinsics=geometry.intrinsics, told=told
        )
        starts, aligned = found.params, {f"person {row}": factor for row, factor in found.factors.items()}
        lost = {f"person {row}": error for row, error in found.failures.items()}
        shared["heads"] = file_digest(request.heads)
    items = tuple(_make_item(request, row, jax.tree.map(lambda x, i=row: x[i], starts), shared) for row in range(count))
    compute = functools.partial(_compute, model, spec, geometry, up, refine, lost)
    job = Job(items, compute, functools.partial(_write, model), batch_size=request.batch_size, units="people")
    return PeopleJob(request, model, digest, people, geometry, up, facts, aligned, job)


def decide(request: PeopleRequest, model: BodyModel, told: Callable[[str], None] = lambda text: None) -> PeopleRequest:
    """The request with its prior decided: GRAFT's network where the shipped weights are of this body, else gradients.

    Args:
      request: what to do.
      model: the body.
      told: called with what was chosen and why, if there was a choice.
    """
    if request.graft is not None:
        return request
    from hoijax.nets.graft import graft_facts, shipped_graft

    known = graft_facts(shipped_graft()).get("body")
    fits = model.kind == known
    if fits and request.steps is None:
        told(f"prior: graft, GRAFT's shipped network, which knows the {known} body; --prior gradient does without it")
    elif fits:
        told("prior: gradient, whose steps --steps counts; without it GRAFT's network, with --prior graft its steps")
    else:
        told(f"prior: gradient; GRAFT's shipped network knows the {known} body and these are of {model.kind}")
    return dataclasses.replace(request, graft=fits and request.steps is None)


def prepare_job(request: PeopleRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_people(request).job


def refine_people(
    request: PeopleRequest, *, pictures: int, redo: bool = False, execute: Executor | None = None
) -> dict[str, str]:
    """Refines the people of a request and writes everything.

    Args:
      request: what to do.
      pictures: 0 for no pictures and no page.
      redo: also who is finished.
      execute: where; None: in this process.

    Returns:
      Name to message of who could not be refined.

    Raises:
      InputError: nobody can be refined; raised before anything is written.
    """
    phases, began = Phases(), time.perf_counter()
    with phases("reading"):
        made = prepare_people(request, tell)
        request = made.request
    with phases("refinement"):
        outcome = run_job(made.job, request.out, redo=redo, execute=execute)
    if not outcome.finished:
        raise InputError(next(iter(outcome.failures.values())))
    done = _finished_people(made, outcome)
    record = {
        "prior": "graft" if request.graft else "gradient",
        "steps": request.number_of_steps,
        "weights": made.facts,
        "scene": {
            "file": str(request.scene), "sha256": file_digest(request.scene), "points": len(made.geometry.points),
        },
        "notes": list(made.geometry.notes),
        "aligned": made.aligned,
        "failed": outcome.failures,
        "body_model": made.digest,
        "seconds": round(time.perf_counter() - began, 3),
    } | provenance()  # fmt: skip
    with phases("scene, pictures and page" if pictures else "scene"):
        write_results(
            request.out, made.model, made.people, done, made.geometry, made.up, record, pictures=bool(pictures)
        )
    for person in done:
        a, b = person.metrics["before"], person.metrics["after"]
        tell(
            f"{person.name}: deepest point {1000 * a['deepest']:.0f} -> {1000 * b['deepest']:.0f} mm, "
            f"{100 * a['touching']:.1f} -> {100 * b['touching']:.1f} % of the contact set touch, "
            f"moved by {1000 * person.metrics['moved']:.0f} mm"
        )
    for name, text in outcome.failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return outcome.failures


def make_refiner(request: PeopleRequest, model: BodyModel) -> tuple[Refiner, BodySpec, dict[str, Any]]:
    """A compiled function from scenes and states to refined states, the body's spec, and where weights come from.

    Raises:
      InputError: no GRAFT weights, or a body that GRAFT cannot refine.
    """
    mask, steps = free_parts(request.freeze), request.number_of_steps
    if not request.graft:
        spec = body_spec(model)
        contacts = contact_model(spec, model)

        def descend(spec: BodySpec, scene: ScenePoints, state: GraftState, contacts: BodyModel, _: None) -> GraftState:
            return gradient_refine(spec, contacts, scene, state, steps=steps, update=mask)

        return _compile(descend, model, spec, contacts, None), spec, {}
    from flax import nnx

    from hoijax.nets.graft import load_graft, shipped_graft
    from hoijax.systems.graft import fuse_features, read_features

    weights = shipped_graft() if request.weights is None else request.weights
    network, facts = load_graft(weights)
    facts = {"file": str(weights), "sha256": file_digest(weights), **facts}
    image = None
    if request.features is not None:
        image = fuse_features(network, read_features(request.features))
        facts["features"] = {"file": str(request.features), "sha256": file_digest(request.features)}
    spec = body_spec(model, trained_probes(model, facts))
    if model.kind != facts.get("body", model.kind):
        # Shape coefficients of one body mean something else on another.
        mask = dataclasses.replace(mask, betas=False)
    rule = RolloutOptions(steps=steps, update=mask)
    graph, numbers = nnx.split(network)

    def roll(spec: BodySpec, scene: ScenePoints, state: GraftState, numbers: Any, image: Any) -> GraftState:
        return rollout(nnx.merge(graph, numbers), spec, scene, state, options=rule, image=image).final

    return _compile(roll, model, spec, numbers, image), spec, facts


def _compile(refine: Callable[..., GraftState], model: BodyModel, spec: BodySpec, *shared: Any) -> Refiner:
    """One program for everything that is computed of the people of a batch; what they share are its arguments too."""

    def one(
        model: BodyModel, spec: BodySpec, shared: tuple, scene: ScenePoints, params: BodyParams, pose: RigidPose | None
    ) -> tuple[BodyParams, jax.Array]:
        state = GraftState.of(params)
        if pose is not None:
            state = apply_similarity(spec, state, pose)
        after = fold_scale(spec, refine(spec, scene, state, *shared))
        if pose is not None:
            after = apply_similarity(spec, GraftState.of(after), inverse(pose)).params
        return after, pose_body(model, after).vertices

    run = jax.jit(jax.vmap(one, in_axes=(None, None, None, 0, 0, 0)))
    return lambda scene, params, pose: run(model, spec, shared, scene, params, pose)


def free_parts(freeze: str) -> UpdateMask:
    """What may change, from the names that `--freeze` gives.

    Raises:
      InputError: a name that is none of `UpdateMask`'s.
    """
    names = [name.strip() for name in freeze.split(",") if name.strip()]
    known = [field.name for field in dataclasses.fields(UpdateMask)]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise InputError(f"--freeze {wrong[0]}: of a person in a scene there are {', '.join(known)}")
    return UpdateMask(**{name: False for name in names})


def _parameter_files(path: pathlib.Path) -> list[ParameterFile]:
    """The file, for its numbers of shape coefficients; none if it is of a method that names its arrays otherwise."""
    try:
        return [read_parameters(path)]
    except InputError:
        return []  # read_people says what is wrong with it


def _make_item(request: PeopleRequest, row: int, person: BodyParams, shared: Mapping[str, Any]) -> Item:
    values = {name: np.asarray(getattr(person, name)) for name in ("rotations", "betas", "translation")}
    return Item(
        name=f"person {row}",
        folder=request.out / f"person_{row}",
        key=value_digest(dict(shared) | {"person": values}),
        files=("refined.npz",),
        inputs=person,
    )


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A person before a camera, for the refiner."""

    cloud: tuple[np.ndarray, np.ndarray]
    """Points around the person and their normals, frame of the estimate."""
    scene: ScenePoints
    """The same before the camera."""
    pose: RigidPose | None
    """To the camera's frame; None: the estimate is in one."""


def _compute(
    model: BodyModel,
    spec: BodySpec,
    geometry: SceneGeometry,
    up: np.ndarray,
    refine: Refiner,
    lost: Mapping[str, InputError],
    batch: Sequence[Item],
    watch: Watch,
) -> list[PersonResult | InputError]:
    """Refines the people of a batch side by side, each in the frame of a camera before it."""
    watch(0.0, "people")
    params = _stack([item.inputs for item in batch])
    posed = jax.tree.map(np.asarray, pose_body_compiled(model, params))
    places: dict[str, _Placed | InputError] = {}
    for i, item in enumerate(batch):
        if item.name not in places:  # a batch that is filled up repeats its last person
            places[item.name] = lost.get(item.name) or _place(item, i, params, posed, geometry, up)
    placed = [places[item.name] for item in batch]
    usable = [i for i, person in enumerate(placed) if not isinstance(person, InputError)]
    if not usable:
        return placed
    # Who cannot be used keeps a place, so that batches of one size stay one program.
    rows = [i if i in usable else usable[0] for i in range(len(batch))]
    poses = None if geometry.from_camera else _stack([placed[i].pose for i in rows])
    people = _stack([batch[i].inputs for i in rows])
    after, bodies = jax.tree.map(np.asarray, refine(_stack([placed[i].scene for i in rows]), people, poses))
    results: list[PersonResult | InputError] = []
    for i, item in enumerate(batch):
        person = placed[i]
        if isinstance(person, InputError):
            results.append(person)
        elif not np.isfinite(bodies[i]).all():
            results.append(InputError(f"{item.name}: the refined body is not finite; is the estimate usable?"))
        else:
            before = posed.vertices[i]
            metrics: dict[str, Any] = {
                "before": measure_body(before, person.cloud, spec.contact_vertices),
                "after": measure_body(bodies[i], person.cloud, spec.contact_vertices),
                "moved": float(np.linalg.norm(bodies[i] - before, axis=1).mean()),
            }
            one = jax.tree.map(lambda x, i=i: x[i], after)
            results.append(PersonResult(item.name, before, bodies[i], one, metrics))
    return results


def _place(
    item: Item, i: int, params: BodyParams, posed: Any, geometry: SceneGeometry, up: np.ndarray
) -> _Placed | InputError:
    """Row i of a batch and the scene around it; an `InputError` if it is too far from all of the scene."""
    vertices, joints = posed.vertices[i], posed.joints[i]
    try:
        points, normals = cloud = points_around(geometry, vertices, joints, CAPACITY)
    except InputError as error:
        return InputError(f"{item.name} {error}")
    if geometry.from_camera:
        return _Placed(cloud, make_scene(points, normals, capacity=CAPACITY), None)
    forward = np.asarray(params.rotations[i, 0])[:, 2]
    pose = jax.tree.map(np.asarray, facing_camera(joints[0], up, forward))
    points = (points @ pose.rotation.T + pose.translation).astype(np.float32)
    return _Placed(cloud, make_scene(points, normals @ pose.rotation.T, capacity=CAPACITY), pose)


def _stack(rows: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: np.stack([np.asarray(v) for v in x]), *rows)


def _write(model: BodyModel, item: Item, person: PersonResult) -> dict[str, Any]:
    """Writes a person's parameters; returns the record."""
    write_npz(item.folder / "refined.npz", axis_angle_keys(model, person.params))
    return {"name": item.name, "units": "metres; touching is a share of the contact set", **person.metrics}


def _finished_people(made: PeopleJob, outcome: Outcome) -> list[PersonResult]:
    """Everybody whose results are on disk, as they are there."""
    records = outcome.records()

    def vertices(person: BodyParams) -> np.ndarray:
        """Of one person, by the program of a batch of one."""
        one = jax.tree.map(lambda x: np.asarray(x)[None], person)
        return np.asarray(pose_body_compiled(made.model, one).vertices)[0]

    rows = {item.name: row for row, item in enumerate(made.job.items)}
    done = []
    for item in outcome.finished:
        params = BodyParams.from_axis_angle(made.model, **read_npz(item.folder / "refined.npz"))
        params = jax.tree.map(np.asarray, params)
        metrics = {name: records[item.name][name] for name in ("before", "after", "moved")}
        row = rows[item.name]
        done.append(PersonResult(item.name, vertices(item.inputs), vertices(params), params, metrics, row))
    return done
