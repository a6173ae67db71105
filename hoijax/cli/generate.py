"""A sentence in, a textured person with an object and an animatable body out.

    hoijax generate "A woman in a red jacket carries a blue box with both hands" --out out/

Writes the scene with textures and a skeleton (interaction.glb), the body's parameters and the object's pose
(interaction.npz), candidates, the stages of HOI3DGen's run (run/), pictures, report.html and metrics.json with the
contact that was asked for and the one that is measured. See docs/hoi3dgen.md.
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
    """Options of `hoijax generate`."""

    prompt: Annotated[str, tyro.conf.Positional]
    """One person and one object, such as "A woman in a red jacket carries a blue box with both hands"."""
    out: pathlib.Path
    """Folder for the results."""
    backend: str = "compose"
    """Who makes it: compose, which needs nothing but what ships; or sana, the paper's chain."""
    count: int = 4
    """Candidates that are made; the best is the result."""
    seed: int = 0
    """Of chance: the shape, the poses, clothes that the prompt leaves open."""
    lod: Literal["default", "render", "light", "test"] = "default"
    """Level of detail of the body."""
    size: int = 512
    """Side of the pictures, pixels."""
    physics: bool = True
    """Judge candidates in physics, where MuJoCo is installed (extra [physics]); --no-physics does not."""
    weights: pathlib.Path | None = None
    """With --backend sana, a folder with sana.safetensors, autoencoder.safetensors, text_encoder.safetensors and
    tokenizer.json; without it the small ones that ship draw."""
    mesh_server: str | None = None
    """With --backend sana, a Hunyuan3D-2 server such as http://127.0.0.1:8081; without it --mesh says who makes it."""
    mesh: Literal["hull", "template"] = "hull"
    """With --backend sana, what becomes of the pictures: hull, carved out of the outlines; or template, a body and a
    mesh of the object placed as the front picture shows."""
    object: pathlib.Path | None = None
    """With --mesh template, the object's mesh, in metres, y up; without it one that ships, chosen by the prompt."""
    strict: bool = False
    """End with exit code 1 if the result has another contact than asked for, or penetrates."""
    redo: bool = False
    """Make again what is finished."""
    runner: str = "local"
    """Where it is computed: local, in this process; or on Apache Beam (extra [beam]): direct, flink, spark, ..."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline."""


def run(options: Options) -> int:
    """Checks everything, generates, writes.

    Args:
      options: see `Options`.

    Returns:
      0; with --strict 1 if the result is not what was asked for.

    Raises:
      InputError: nothing can be made; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    if not 1 <= options.count <= 1024:
        raise InputError(f"--count {options.count}: wanted 1 to 1024")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: wanted 0 or more")
    if not 32 <= options.size <= 4096:
        raise InputError(f"--size {options.size}: wanted 32 to 4096 pixels")
    if not options.prompt.strip():
        raise InputError("the prompt is empty; wanted one like 'A woman in a red jacket carries a blue box'")
    check_output_directory(options.out)
    from hoijax.jobs.generation import GenerationRequest, generate, prepare_job
    from hoijax.jobs.runners import executor

    request = GenerationRequest(
        prompt=options.prompt, out=options.out, backend=options.backend, count=options.count, seed=options.seed,
        lod=options.lod, physics=options.physics, size=options.size, cache=grid_folder(), weights=options.weights,
        mesh_server=options.mesh_server, mesh=options.mesh, thing=options.object,
        options={field.name: getattr(options, field.name) for field in dataclasses.fields(options)},
    )  # fmt: skip
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    good = generate(request, redo=options.redo, execute=execute)
    return 1 if options.strict and not good else 0
