"""`render` as a job: scenes go in, PNG views or turntables come out."""

import dataclasses
import functools
import importlib.metadata
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from hoijax import viz
from hoijax.errors import InputError
from hoijax.io import file_digest, value_digest
from hoijax.jobs.engine import Executor, Item, Job, Watch, run_job
from hoijax.jobs.record import plain_options
from hoijax.jobs.screen import Phases, tell
from hoijax.render import Studio
from hoijax.viz.read import SCENE_FORMATS

KINDS = (".png", ".gif", ".mp4")
"""What a picture's name may end in: views, or a turntable."""


@dataclasses.dataclass(frozen=True)
class Look:
    """How scenes are drawn."""

    views: int = 4
    """Views of a PNG, in equal steps around the scene."""
    size: int = 512
    """Side of each view, pixels."""
    frames: int = 48
    """Frames of a turntable."""
    fps: int = 16
    """Frames per second of a turntable."""
    azimuth: float = 30.0
    """Where the first view stands, degrees."""
    elevation: float = 14.0
    """Height of the camera above the horizon, degrees."""
    floor: float | None = None
    """Height of the floor; None: the lowest point of the scene."""
    shadow: bool = True
    """Whether the floor shows a shadow."""
    samples: int = 8
    """Renders averaged per view."""


@dataclasses.dataclass(frozen=True)
class RenderRequest:
    """Which scenes of a folder are to be drawn, and how; plain values, so that another machine can be asked."""

    scenes: pathlib.Path
    """The folder."""
    out: pathlib.Path
    """Folder for the pictures."""
    kind: str
    """One of `KINDS`."""
    look: Look
    """How."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


def write_picture(path: pathlib.Path, scene: pathlib.Path, look: Look) -> None:
    """Draws one scene: views as PNG, a turntable as GIF or MP4.

    Args:
      path: the picture; its suffix says what it is.
      scene: a mesh file.
      look: how.

    Raises:
      InputError: the scene cannot be read or is empty, or the picture cannot be written.
    """
    meshes = viz.read_scene(scene)
    studio = Studio(samples=look.samples, floor_shadow=Studio().floor_shadow if look.shadow else 0.0)
    start, elevation = math.radians(look.azimuth), math.radians(look.elevation)
    if path.suffix.lower() == ".png":
        views = [(start + 2 * math.pi * i / look.views, elevation) for i in range(look.views)]
        viz.write_views(path, meshes, views=views, size=look.size, floor=look.floor, studio=studio)
    else:
        viz.write_turntable(
            path, meshes, frames=look.frames, size=look.size, fps=look.fps, azimuth=start, elevation=elevation,
            floor=look.floor, studio=studio,
        )  # fmt: skip


def prepare_job(request: RenderRequest) -> Job:
    """One item per scene of the folder.

    Raises:
      InputError: the folder holds no scenes, or two of one name.
    """
    files = sorted(p for p in request.scenes.iterdir() if p.suffix.lower().lstrip(".") in SCENE_FORMATS)
    if not files:
        raise InputError(f"the folder {request.scenes} holds no scenes; wanted {', '.join(SCENE_FORMATS)}")
    twice = sorted({p.stem for p in files if sum(q.stem == p.stem for q in files) > 1})
    if twice:
        raise InputError(f"{request.scenes} has several scenes called {', '.join(twice)}; names must differ")
    shared = {
        "version": importlib.metadata.version("hoijax"), "look": dataclasses.asdict(request.look), "kind": request.kind,
    }  # fmt: skip
    items = tuple(
        Item(
            name=path.stem,
            folder=request.out,
            key=value_digest(shared | {"scene": file_digest(path)}),
            files=(f"{path.stem}{request.kind}",),
            inputs=path,
            record=f"{path.stem}.json",
        )
        for path in files
    )
    return Job(items, _compute, functools.partial(_write, request), units="scenes")


def render_scenes(request: RenderRequest, *, redo: bool = False, execute: Executor | None = None) -> dict[str, str]:
    """Draws the scenes that have no picture yet.

    Args:
      request: what to draw.
      redo: also what is finished.
      execute: where; None: in this process.

    Returns:
      Name to message of scenes that could not be drawn.

    Raises:
      InputError: none could.
    """
    phases = Phases()
    with phases("pictures"):
        outcome = run_job(prepare_job(request), request.out, redo=redo, execute=execute)
    if not outcome.finished:
        raise InputError(next(iter(outcome.failures.values())))
    for name, text in outcome.failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return outcome.failures


def _compute(batch: Sequence[Item], watch: Watch) -> list[None]:
    watch(0.0, "rendering")
    return [None] * len(batch)  # drawing and writing are one


def _write(request: RenderRequest, item: Item, _: None) -> dict[str, Any]:
    write_picture(item.folder / item.files[0], item.inputs, request.look)
    return {"name": item.name, "scene": str(item.inputs), "options": plain_options(request.options)}
