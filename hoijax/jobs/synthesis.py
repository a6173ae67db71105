"""`synthesize` as a job: a sentence and a mesh go in; ranked candidates, with pictures and a page, come out."""

import dataclasses
import functools
import importlib.metadata
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from hoijax.body_models import NAMED_POSES, BodyModel, BodyParams, free_body, named_pose
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import LoadedMesh, read_json, read_mesh, read_parameters, value_digest
from hoijax.jobs.bodies import start_of
from hoijax.jobs.directions import Direction
from hoijax.jobs.engine import Executor, Item, Job, Watch, run_job
from hoijax.jobs.objects import ObjectAsset, mesh_digest, set_up
from hoijax.jobs.screen import Phases, tell
from hoijax.jobs.synthesis_files import FILES, Synthesized, in_words, write_synthesis
from hoijax.language import LanguageModel
from hoijax.systems.interactanything import Prepared, SynthesisConfig, given_starts, prepare, rank, run
from hoijax.systems.interactanything import physics as mujoco_judge
from hoijax.systems.interactanything.learned import affordance_network
from hoijax.systems.interactanything.prior import BANK, PRIOR, pose_prior
from hoijax.systems.interactanything.relations import Relations, reason

WEIGHTS = ".safetensors"
"""Ending of a file of a prior's weights."""
SDS = "sds"
"""`--pose-init` of score distillation, whose networks nobody can ship."""
LARGEST = 9.0
"""Longest side of what a person is put beside, metres; more is a room or a house."""
LARGEST_RELATIONS = 16 << 20
"""Bytes of a file of relations that are read; a dialogue of many votes has a hundredth of it."""
REFUSED = {
    "language": "the sentence is in no language that the offline reasoner reads",
    "no person": "the sentence names no person",
}
"""Kinds of notes of the reasoner after which nothing is made, and what is said."""


@dataclasses.dataclass(frozen=True)
class SynthesisRequest:
    """What is to be made; plain values, so that another machine can be asked."""

    sentence: str
    object: pathlib.Path
    """The object's mesh."""
    out: pathlib.Path
    """Folder for the results."""
    config: SynthesisConfig
    pose_init: str = BANK
    """"bank", the scripts; "prior", the diffusion prior, or a file of its weights; the name of a pose; or a file of
    body parameters."""
    model: LanguageModel | None = None
    """Who is asked for the relations; None: the offline reasoner."""
    votes: int = 1
    relations: pathlib.Path | Relations | None = None
    """Relations that were saved before, or that somebody has answered, instead of asking."""
    units: str | None = None
    """Unit of the mesh; None: metres, or what its noun's usual size says."""
    object_up: Direction | None = None
    """See `set_up`."""
    front: str = "+z"
    """Where the mesh's front looks."""
    lod: str = "default"
    """Level of detail of the body."""
    physics: bool = True
    """Whether candidates are judged in physics."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the record."""


def read_object(request: SynthesisRequest) -> LoadedMesh:
    """The mesh, y up and its front towards +z.

    Raises:
      InputError: it cannot be read.
    """
    mesh = set_up(read_mesh(request.object, units=request.units, sizes=None), request.object_up, (0.0, 1.0, 0.0))
    if request.front == "+z":
        return mesh
    if request.front != "+x":
        raise InputError(f"--front {request.front}: wanted +z or +x")
    x, y, z = mesh.vertices.T
    return dataclasses.replace(mesh, vertices=np.stack([-z, y, x], axis=1))


def relate(request: SynthesisRequest, mesh: LoadedMesh) -> Relations:
    """What the sentence and the mesh say.

    Raises:
      InputError: no sentence, no person in it, a language nobody here reads, a mesh that is no object.
    """
    if isinstance(request.relations, Relations):
        return request.relations
    if request.relations is not None:
        try:
            relations = Relations.from_json(read_json(request.relations, limit=LARGEST_RELATIONS))
        except InputError as error:
            raise InputError(f"--relations {request.relations}: {error}") from error
    else:
        relations = reason(
            request.sentence, Mesh(mesh.vertices.astype(np.float64), mesh.faces), request.model, votes=request.votes
        )
        for note in relations.notes:
            if note.kind in REFUSED and request.model is None:
                raise InputError(
                    f"{REFUSED[note.kind]}: {request.sentence!r}; wanted one like 'A person sits on the chair', or a "
                    "language model that reads it (--llm)"
                )
    longest = float(np.ptp(mesh.vertices, axis=0).max()) * relations.mesh_scale
    if longest > LARGEST:
        raise InputError(
            f"{request.object.name} is {longest:.1f} m long: a room or a building, not one object; give the mesh of "
            "the object alone, or its unit (--units)"
        )
    return relations


def prepare_synthesis(request: SynthesisRequest) -> tuple[Job, tuple[str, ...]]:
    """Reads and checks everything, and asks for the relations.

    Returns:
      The job, and notes to tell.

    Raises:
      InputError: nothing can be made.
    """
    model = free_body(request.lod)
    if _draws(request):
        request = dataclasses.replace(request, config=dataclasses.replace(request.config, poses=request.pose_init))
    networks = affordance_network(request.config.affordance), pose_prior(request.config.poses)
    mesh = read_object(request)
    relations = relate(request, mesh)
    starts = _given(request, model)
    sized = dataclasses.replace(mesh, vertices=(mesh.vertices * relations.mesh_scale).astype(np.float32))
    asset = ObjectAsset.of(sized, request.cache)
    key = value_digest(
        {
            "version": importlib.metadata.version("hoijax"),
            "record": 2,
            "relations": relations.to_json(),
            "object": mesh_digest(request.object, mesh),
            "vertices": sized.vertices,
            "config": dataclasses.asdict(request.config),
            "pose": starts if starts is None else [starts.rotations, starts.betas, starts.translation],
            "networks": [n if n is None else [np.asarray(x) for x in jax.tree.leaves(nnx.state(n))] for n in networks],
            "lod": request.lod,
            "physics": request.physics and mujoco_judge.available(),
        }
    )
    item = Item(name=request.object.stem, folder=request.out, key=key, files=FILES, inputs=(relations, asset, starts))
    notes = [f"{n.kind}: {n.text}" for n in relations.notes]
    if isinstance(request.relations, pathlib.Path) and relations.sentence != request.sentence.strip():
        notes.append(f"the relations are those of {relations.sentence!r}; nobody asks what the sentence given says")
    notes += [f"{request.object.name}: {note}" for note in asset.light.report.notes()]
    if request.physics and not mujoco_judge.available():
        notes.append("MuJoCo is not installed (extra [physics]); candidates are ranked by touch and depth alone")
    job = Job(
        (item,),
        functools.partial(_compute, request, model),
        functools.partial(_write, request, model),
        units="sentences",
    )
    return job, tuple(notes)


def ask_once(request: SynthesisRequest) -> SynthesisRequest:
    """The same request with what a language model answers, so that other machines need not ask, and learn the same.

    Raises:
      InputError: see `relate`.
    """
    if request.model is None or request.relations is not None:
        return request
    return dataclasses.replace(request, relations=relate(request, read_object(request)), model=None)


def prepare_job(request: SynthesisRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_synthesis(request)[0]


def _draws(request: SynthesisRequest) -> bool:
    """Whether poses are drawn, by the bank's scripts or from a prior, instead of given."""
    return request.pose_init in (BANK, PRIOR) or request.pose_init.endswith(WEIGHTS)


def _given(request: SynthesisRequest, model: BodyModel) -> BodyParams | None:
    """The pose that the request names, instead of drawn ones; None: they are drawn.

    Raises:
      InputError: no such pose, or a file that holds none.
    """
    if _draws(request):
        return None
    if request.pose_init == SDS:
        raise InputError(
            "--pose-init sds: the networks of score distillation (MVDream's) do not come with hoijax; run it with "
            "yours by hoijax.systems.interactanything.distil and give the file of body parameters that it makes"
        )
    if request.pose_init in NAMED_POSES:
        params = BodyParams.from_axis_angle(model, **named_pose(request.pose_init))
        return jax.tree.map(lambda x: np.asarray(x, np.float32), params)
    path = pathlib.Path(request.pose_init)
    if not path.suffix and not path.exists():
        raise InputError(
            f"--pose-init {request.pose_init}: wanted bank, prior, a file of body parameters or of a prior's weights, "
            f"or one of {', '.join(NAMED_POSES)}"
        )
    return start_of(model, read_parameters(path).item(0), str(path)).params


def _compute(request: SynthesisRequest, model: BodyModel, batch: Sequence[Item], watch: Watch) -> list[Any]:
    return [_one(request, model, *item.inputs, watch) for item in batch]


def _one(
    request: SynthesisRequest,
    model: BodyModel,
    relations: Relations,
    asset: ObjectAsset,
    given: BodyParams | None,
    watch: Watch,
) -> Any:
    prepared: Prepared = prepare(model, asset.template, relations)
    starts = None if given is None else given_starts(prepared, given, request.config.count, request.config.seed)
    result = run(prepared, request.config, starts, lambda share, text: watch(0.8 * share, text))
    verdicts: list[Any] = [None] * len(result.candidates)
    if request.physics and mujoco_judge.available():
        watch(0.8, "convex pieces")
        pieces = mujoco_judge.convex_pieces(asset.template.mesh, asset.template.sdf)
        for k, candidate in enumerate(result.candidates):
            watch(0.8 + 0.2 * k / len(verdicts), "physics")
            try:
                verdicts[k] = mujoco_judge.judge_candidate(prepared, candidate, pieces)
            except InputError as error:  # what took long is not thrown away for want of a judge
                tell(f"candidate not judged: {error}")
    ranked = rank(result.candidates, verdicts)
    return Synthesized(
        prepared,
        dataclasses.replace(result, candidates=tuple(c for c, _ in ranked)),
        tuple(v for _, v in ranked),
        asset,
    )


def _write(request: SynthesisRequest, model: BodyModel, item: Item, made: Synthesized) -> dict[str, Any]:
    return write_synthesis(item.folder, made, request.options)


def synthesize(request: SynthesisRequest, *, redo: bool = False, execute: Executor | None = None) -> bool:
    """Makes what is not finished and writes everything.

    Args:
      request: what to make.
      redo: also if it is finished.
      execute: where; None: in this process.

    Returns:
      Whether the best candidate is good: every asked part touches, nothing penetrates, and the judge of physics, where
      there is one, agrees.

    Raises:
      InputError: nothing could be made.
    """
    phases = Phases()
    with phases("reading, relations, distance grid"):
        job, notes = prepare_synthesis(request)
    relations: Relations = job.items[0].inputs[0]
    tell(f"{relations.action} {relations.object}: {in_words(relations)}")
    for note in notes:
        tell(note)
    with phases("synthesis"):
        outcome = run_job(job, request.out, redo=redo, execute=execute)
    if not outcome.finished:
        raise InputError(next(iter(outcome.failures.values())))
    record = outcome.records()[job.items[0].name]
    best = record["candidates"][0]
    tell(f"{record['good']} of {len(record['candidates'])} candidates are good; the best: {best['reason']}")
    tell(f"results: {request.out}")
    return bool(best["valid"])
