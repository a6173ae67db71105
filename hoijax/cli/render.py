"""Makes a picture of a scene: a PNG with one or more views, or a turntable as GIF or MP4.

SCENE may be a folder of scenes; OUT is then a folder too, and scenes that have their picture already are skipped.
"""

import dataclasses
import functools
import math
import pathlib
from typing import Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax render`."""

    scene: tyro.conf.Positional[pathlib.Path]
    """GLB, glTF, OBJ, PLY, STL, OFF, COLLADA or 3MF file, or a folder of them; colours and textures are shown."""
    out: pathlib.Path
    """Where to write: .png for views, .gif or .mp4 (extra [video]) for a turntable; a folder for a folder of scenes."""
    kind: Literal["png", "gif", "mp4"] = "png"
    """Of a folder of scenes, what is made of each."""
    views: int = 4
    """Views of a PNG, in equal steps around the scene."""
    size: int = 512
    """Side of each view, pixels."""
    frames: int = 48
    """Frames of a turntable."""
    fps: int = 16
    """Frames per second of a turntable."""
    azimuth: float = 30.0
    """Where the first view stands, degrees: 0 is in front (+z), 90 on the scene's left (+x)."""
    elevation: float = 14.0
    """Height of the camera above the horizon, degrees."""
    floor: float | None = None
    """Height of the floor; default: the lowest point of the scene."""
    no_floor: bool = False
    """Leave the floor's shadow away."""
    samples: int = 8
    """Renders averaged per view: 1 is a draft, 32 is very smooth."""
    redo: bool = False
    """Of a folder of scenes, draw again what is finished."""
    runner: str = "local"
    """Where a folder of scenes is drawn: local, in this process; or on Apache Beam (extra [beam]): direct, flink,
    spark, dataflow or any other runner that Beam knows. Files must lie where all workers see them."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline: --beam-options direct_num_workers=2 region=europe-west1 ..."""


def run(options: Options) -> int:
    """Renders and writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some scenes of a folder could not be drawn; each is named.

    Raises:
      InputError: nothing can be drawn.
    """
    from hoijax.errors import InputError
    from hoijax.io import check_output_file

    for name, least, most in (("views", 1, 64), ("size", 16, 8192), ("frames", 2, 2000), ("fps", 1, 60)):
        value = getattr(options, name)
        if not least <= value <= most:
            raise InputError(f"--{name} must be from {least} to {most}, got {value}")
    if not 1 <= options.samples <= 1024:
        raise InputError(f"--samples must be from 1 to 1024, got {options.samples}")
    for name in ("azimuth", "floor"):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and abs(value) < 1e6):
            raise InputError(f"--{name} must be a finite number, got {value}")
    if not -89.0 <= options.elevation <= 89.0:
        raise InputError(f"--elevation must be from -89 to 89 degrees, got {options.elevation:g}")
    from hoijax.jobs.renders import KINDS, Look, RenderRequest, prepare_job, render_scenes, write_picture
    from hoijax.jobs.runners import executor

    names = [field.name for field in dataclasses.fields(Look) if field.name != "shadow"]
    look = Look(**{name: getattr(options, name) for name in names}, shadow=not options.no_floor)
    if not options.scene.is_dir():
        if options.out.suffix.lower() not in KINDS:
            raise InputError(f"--out must end in .png, .gif or .mp4, got '{options.out.name}'")
        check_output_file(options.out)
        write_picture(options.out, options.scene, look)
        print(f"wrote {options.out}")
        return 0
    from hoijax.io import check_output_directory

    check_output_directory(options.out)
    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    request = RenderRequest(options.scene, options.out, f".{options.kind}", look, asked)
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    return 1 if render_scenes(request, redo=options.redo, execute=execute) else 0
