"""The floor that `--floor` describes: none, automatic, a height, a plane, or the floor of a scan."""

import dataclasses
import functools
import pathlib

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import fit_floor
from hoijax.io.reading import is_file
from hoijax.jobs.directions import Direction, direction_name

MOST_POINTS = 200_000
"""Points of a scan that are kept."""
ASKEW = 10.0
"""Angle between a floor and what is said to be up beyond which a person is told, degrees."""


@dataclasses.dataclass(frozen=True)
class FloorRule:
    """Where the floor of each interaction is."""

    gravity: Direction
    """Direction of gravity."""
    level: float | None
    """Height against gravity, metres; None: that of the lowest points of the estimated body."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was found."""


def floor_rule(floor: str, up: Direction, folder: pathlib.Path = pathlib.Path()) -> FloorRule | None:
    """The floor of a command line.

    Args:
      floor: "none"; "auto"; a height along `up`, metres; a plane "a,b,c,d" of the points a x + b y + c z + d = 0; or a
        file: a mesh, a cloud (PLY) or an `.npz` of a scan, whose lowest large level plane is taken.
      up: against gravity; of a plane and a scan it says which side is above, and it need not be exact.
      folder: where a file's name starts from.

    Raises:
      InputError: none of these, a plane that is upright, or a scan without a floor.
    """
    down = tuple(-x for x in up)
    if floor == "none":
        return None
    if floor == "auto":
        return FloorRule(down, None)
    try:
        numbers = [float(number) for number in floor.replace(",", " ").split()]
    except ValueError:
        return _scanned(folder / floor, floor, up)
    if len(numbers) == 1 and np.isfinite(numbers[0]):
        return FloorRule(down, numbers[0])
    if len(numbers) == 4 and np.isfinite(numbers).all() and np.linalg.norm(numbers[:3]) > 1e-9:
        return _plane(np.asarray(numbers), floor, up)
    raise InputError(f"--floor {floor}: {_WANTED}")


_WANTED = "wanted a height in metres, a plane as a,b,c,d, the file of a scan, 'auto' or 'none'"


def _plane(numbers: np.ndarray, text: str, up: Direction) -> FloorRule:
    """The floor of a plane's equation, whichever way its normal looks."""
    normal, size = numbers[:3], np.linalg.norm(numbers[:3])
    cosine = normal @ np.asarray(up) / size
    if abs(cosine) < 0.5:
        raise InputError(
            f"--floor {text}: this plane leans {np.degrees(np.arccos(abs(cosine))):.0f} degrees against "
            f"{direction_name(up)}, which --up says is up; wanted a level one"
        )
    sign = np.sign(cosine) / size
    return FloorRule(_tuple(-sign * normal), float(-sign * numbers[3]), _askew(np.degrees(np.arccos(abs(cosine))), up))


@functools.lru_cache(maxsize=64)  # many interactions of one room
def _scanned(path: pathlib.Path, text: str, up: Direction) -> FloorRule:
    """The floor of a scan."""
    if not is_file(path):
        raise InputError(f"--floor {text}: {_WANTED}; there is no file of that name")
    from hoijax.jobs.scene_inputs import read_scene  # trimesh and more, which only scans need

    scan = read_scene(path, points=MOST_POINTS)
    points = scan.points
    if scan.mesh is not None:
        # Of a floor that is modelled as a slab the upper side.
        above = scan.normals @ np.asarray(up) > 0.5
        points = points[above] if above.mean() > 0.02 else points
    try:
        found = fit_floor(points, np.asarray(up))
    except InputError as error:
        raise InputError(f"--floor {text}: {error}") from None
    note = (
        f"the floor of {path.name}: {100 * found.share:.0f} % of its points lie within {1000 * found.spread:.0f} mm of "
        f"a plane at height {found.level:.3f} m"
    )
    return FloorRule(_tuple(-found.normal), found.level, (note, *_askew(np.degrees(found.angle), up)))


def _askew(degrees: float, up: Direction) -> tuple[str, ...]:
    if degrees < ASKEW:
        return ()
    return (f"the floor leans {degrees:.0f} degrees against {direction_name(up)}, which --up says is up",)


def _tuple(vector: np.ndarray) -> Direction:
    return tuple(float(x) for x in vector)
