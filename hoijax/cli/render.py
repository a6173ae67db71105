"""Makes a picture of a scene: a PNG with one or more views, or a turntable as GIF or MP4."""

import dataclasses
import math
import pathlib

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax render`."""

    scene: tyro.conf.Positional[pathlib.Path]
    """GLB, glTF, OBJ, PLY, STL or OFF file; colours and textures are shown."""
    out: pathlib.Path
    """Where to write: .png for views, .gif or .mp4 (extra [video]) for a turntable."""
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


def run(options: Options) -> int:
    """Renders and writes; returns the exit code."""
    from hoijax import viz
    from hoijax.errors import InputError
    from hoijax.io import check_output_file
    from hoijax.render import Studio

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
    kind = options.out.suffix.lower()
    if kind not in (".png", ".gif", ".mp4"):
        raise InputError(f"--out must end in .png, .gif or .mp4, got '{options.out.name}'")
    check_output_file(options.out)
    scene = viz.read_scene(options.scene)
    studio = Studio(samples=options.samples, floor_shadow=0.0 if options.no_floor else Studio().floor_shadow)
    start, elevation = math.radians(options.azimuth), math.radians(options.elevation)
    if kind == ".png":
        views = [(start + 2 * math.pi * i / options.views, elevation) for i in range(options.views)]
        viz.write_views(options.out, scene, views=views, size=options.size, floor=options.floor, studio=studio)
    else:
        viz.write_turntable(
            options.out,
            scene,
            frames=options.frames,
            size=options.size,
            fps=options.fps,
            azimuth=start,
            elevation=elevation,
            floor=options.floor,
            studio=studio,
        )
    print(f"wrote {options.out}")
    return 0
