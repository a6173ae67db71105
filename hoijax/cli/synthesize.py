"""A sentence and a mesh in, interactions out: who touches what is read from the words and the mesh, people are posed,
objects placed, both refined, candidates judged and ranked.

    hoijax synthesize "A person sits on the chair" --object chair.glb --out out/

Writes the best interaction (interaction.glb, interaction.npz), all candidates, pictures, the affordance as a coloured
GLB, the relations, report.html and metrics.json. See docs/interactanything.md.
"""

import dataclasses
import functools
import pathlib
from typing import Annotated, Literal

import tyro

from hoijax.cli.cache import grid_folder
from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax synthesize`."""

    sentence: Annotated[str, tyro.conf.Positional]
    """One person and one object, such as "A person sits on the chair"."""
    object: pathlib.Path
    """The object's mesh: OBJ, PLY, STL, OFF, GLB, glTF, COLLADA or 3MF; y up."""
    out: pathlib.Path
    """Folder for the results."""
    count: int = 8
    """Candidates that are made and ranked."""
    seed: int = 0
    """Of chance: another one draws other candidates."""
    pose_init: str = "bank"
    """Where poses come from: bank, the scripts of poses; prior, the diffusion prior that comes with hoijax, or a file
    of its weights; the name of one pose (stand, sit, ...); or a file of body parameters as `hoijax refine` reads
    them."""
    affordance: str = "geometric"
    """Where on the object parts touch: geometric, by bodies drawn beside it; learned, by the point network that comes
    with hoijax; or a file of such a network's weights."""
    llm: str | None = None
    """A language model that answers what the relations are, by its name on the server; without it the offline
    reasoner."""
    llm_url: str | None = None
    """The server, such as http://localhost:8000/v1; without it OpenAI's own."""
    votes: int = 1
    """How often each question is asked of the language model; most win."""
    relations: pathlib.Path | None = None
    """relations.json of an earlier result, as it is or edited, instead of asking."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, or whatever makes its noun's usual size."""
    object_up: str | None = None
    """Which way is up in the mesh's file, an axis or x,y,z; without it +y."""
    front: Literal["+z", "+x"] = "+z"
    """Where the object's front looks in the mesh's file."""
    lod: Literal["default", "render", "light", "test"] = "default"
    """Level of detail of the body."""
    physics: bool = True
    """Judge candidates in physics, where MuJoCo is installed (extra [physics]); --no-physics does not."""
    strict: bool = False
    """End with exit code 1 if the best candidate misses a part, penetrates, or does not hold in physics."""
    redo: bool = False
    """Make again what is finished."""
    runner: str = "local"
    """Where it is computed: local, in this process; or on Apache Beam (extra [beam]): direct, flink, spark, ..."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline."""


def run(options: Options) -> int:
    """Checks everything, synthesizes, writes.

    Args:
      options: see `Options`.

    Returns:
      0; with --strict 1 if the best candidate is not good.

    Raises:
      InputError: nothing can be made; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    if not 1 <= options.count <= 1024:
        raise InputError(f"--count {options.count}: wanted 1 to 1024")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: wanted 0 or more")
    if not options.sentence.strip():
        raise InputError("the sentence is empty; wanted one like 'A person sits on the chair'")
    if options.llm is None and (options.llm_url is not None or options.votes != 1):
        raise InputError("--llm-url and --votes say how a language model is asked; name it with --llm")
    check_output_directory(options.out)
    from hoijax.jobs.directions import parse_direction
    from hoijax.jobs.runners import executor
    from hoijax.jobs.synthesis import SynthesisRequest, ask_once, prepare_job, synthesize
    from hoijax.language import ServerModel
    from hoijax.systems.interactanything import SynthesisConfig

    request = SynthesisRequest(
        sentence=options.sentence, object=options.object, out=options.out,
        config=SynthesisConfig(count=options.count, seed=options.seed, affordance=options.affordance),
        pose_init=options.pose_init,
        model=None if options.llm is None else ServerModel(options.llm, options.llm_url), votes=options.votes,
        relations=options.relations, units=options.units,
        object_up=None if options.object_up is None else parse_direction(options.object_up, "--object-up"),
        front=options.front, lod=options.lod, physics=options.physics, cache=grid_folder(),
        options={field.name: getattr(options, field.name) for field in dataclasses.fields(options)},
    )  # fmt: skip
    if options.runner != "local":
        request = ask_once(request)
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    good = synthesize(request, redo=options.redo, execute=execute)
    return 1 if options.strict and not good else 0
