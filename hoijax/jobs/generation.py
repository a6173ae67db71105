"""`generate` as a job: a sentence goes in; a textured person with an object, and an animatable body, come out.

A backend is one function from a request to a job (`BACKENDS`): it checks everything before any long work.
"""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import ObjectTemplate
from hoijax.io import value_digest
from hoijax.jobs.engine import Executor, Item, Job, Watch, run_job
from hoijax.jobs.generation_files import files_of, write_composed
from hoijax.jobs.generation_request import GenerationRequest
from hoijax.jobs.objects import cached_template
from hoijax.jobs.screen import Phases, tell
from hoijax.optim.fields import SDF_RESOLUTION
from hoijax.systems.hoi3dgen.compose import SetUp, asked_configuration, compose, read_prompt, set_up
from hoijax.systems.hoi3dgen.layout import VIEW_TAGS
from hoijax.systems.interactanything import physics

Backend = Callable[[GenerationRequest], tuple[Job, tuple[str, ...]]]
"""Reads and checks a request; the job of one item, and notes to tell. Raises `InputError` where nothing can be made."""


def prepare_compose(request: GenerationRequest) -> tuple[Job, tuple[str, ...]]:
    """The backend that needs nothing but what ships: InteractAnything's synthesis on shapes that ship, painted.

    Raises:
      InputError: a prompt that is not understood or has no shape.
    """
    if request.weights is not None or request.mesh_server is not None or request.mesh != "hull" or request.thing:
        raise InputError("--weights, --mesh, --mesh-server and --object are of --backend sana; compose needs none")
    setting = set_up(read_prompt(request.prompt), request.seed)
    config = dataclasses.replace(
        request.compose, count=request.count, seed=request.seed, lod=request.lod, physics=request.physics
    )
    key = value_digest(
        {
            "version": importlib.metadata.version("hoijax"),
            "record": 1,
            "prompt": request.prompt,
            "relations": setting.relations.to_json(),
            "vertices": setting.shape.mesh.vertices,
            "config": dataclasses.asdict(config),
            "pictures": [request.size, *request.views],
            "physics": request.physics and physics.available(),
        }
    )
    item = Item("prompt", request.out, key, files_of(request.views), setting)

    def compute(batch: Sequence[Item], watch: Watch) -> list[Any]:
        return [compose(item.inputs, config, lambda mesh: _template(mesh, request), watch) for item in batch]

    def write(item: Item, made: Any) -> dict[str, Any]:
        return write_composed(
            item.folder, made, lod=request.lod, seed=request.seed, size=request.size, views=request.views,
            options=request.options,
        )  # fmt: skip

    notes = (_in_words(setting), *setting.notes)
    if request.physics and not physics.available():
        notes += ("MuJoCo is not installed (extra [physics]); candidates are ranked by touch and depth alone",)
    return Job((item,), compute, write, units="prompts"), notes


def prepare_sana(request: GenerationRequest) -> tuple[Job, tuple[str, ...]]:
    """The backend of the paper's chain (`hoijax.jobs.sana_generation`), whose networks are imported on demand."""
    from hoijax.jobs import sana_generation

    return sana_generation.prepare_sana(request)


BACKENDS: dict[str, Backend] = {"compose": prepare_compose, "sana": prepare_sana}
"""By the name that --backend takes."""


def _template(mesh: Mesh, request: GenerationRequest) -> ObjectTemplate:
    return cached_template(mesh, SDF_RESOLUTION, request.cache)[0]


def _in_words(setting: SetUp) -> str:
    asked = asked_configuration(setting.relations).replace("_", " ")
    worn = ", ".join(g.name for g in setting.prompt.person.garments)
    return (
        f"{setting.prompt.sentence}: {setting.shape.source}, contact asked: {asked}{f'; worn: {worn}' if worn else ''}"
    )


def prepare_generation(request: GenerationRequest) -> tuple[Job, tuple[str, ...]]:
    """Reads and checks a request by its backend.

    Raises:
      InputError: no such backend or view, or nothing can be made.
    """
    if request.backend not in BACKENDS:
        raise InputError(f"there is no backend {request.backend!r}; there are {', '.join(BACKENDS)}")
    unknown = [view for view in request.views if view not in VIEW_TAGS]
    if unknown or not request.views:
        raise InputError(f"views are {', '.join(VIEW_TAGS)}, got {', '.join(unknown) or 'none'}")
    return BACKENDS[request.backend](request)


def generate(request: GenerationRequest, *, redo: bool = False, execute: Executor | None = None) -> bool:
    """Makes what is not finished and writes everything.

    Args:
      request: what to make.
      redo: also if it is finished.
      execute: where; None: in this process.

    Returns:
      Whether the result has the contact that was asked for, without penetration.

    Raises:
      InputError: nothing could be made.
    """
    phases = Phases()
    with phases("reading the prompt"):
        job, notes = prepare_generation(request)
    for note in notes:
        tell(note)
    with phases("generation"):
        outcome = run_job(job, request.out, redo=redo, execute=execute)
    if not outcome.finished:
        raise InputError(next(iter(outcome.failures.values())))
    record = outcome.records()[job.items[0].name]
    tell(str(record["verdict"]))
    tell(f"results: {request.out}")
    return bool(record["good"])


def prepare_job(request: GenerationRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_generation(request)[0]
