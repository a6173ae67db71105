"""The floor that `--floor` describes: none, automatic, a height, a plane, or the floor of a scan."""

import dataclasses
import functools
import pathlib

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import FloorPlane, fit_floor
from hoijax.io.reading import is_file
from hoijax.jobs.directions import Direction, direction_name

MOST_POINTS = 200_000
"""Points of a scan that are kept."""
THICKEST = 0.3
"""A slab is not thicker than this, metres: what lies that far above another plane is a table or the ceiling."""
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
        path = folder / floor
        if not is_file(path):
            raise InputError(f"--floor {floor}: {_WANTED}; there is no file of that name") from None
        stat = path.stat()
        return _floor_of_scan(path, (stat.st_mtime_ns, stat.st_size), floor, up)
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
def _floor_of_scan(path: pathlib.Path, state: tuple[int, int], text: str, up: Direction) -> FloorRule:
    """The floor of a scan; `state` tells the file from what was there before."""
    from hoijax.jobs.scene_inputs import read_scene  # trimesh and more, which only scans need

    scan = read_scene(path, points=MOST_POINTS)
    try:
        if scan.mesh is None:
            found = fit_floor(scan.points, np.asarray(up))
        else:
            found = _fit_mesh_floor(scan.points, scan.normals, np.asarray(up))
    except InputError as error:
        raise InputError(f"--floor {text}: {error}") from None
    note = (
        f"the floor of {path.name}: {100 * found.share:.0f} % of its points lie within {1000 * found.spread:.0f} mm of "
        f"a plane at height {found.level:.3f} m"
    )
    return FloorRule(_tuple(-found.normal), found.level, (note, *_askew(np.degrees(found.angle), up)))


def _fit_mesh_floor(points: np.ndarray, normals: np.ndarray, up: np.ndarray) -> FloorPlane:
    """The floor of a modelled room: of one that is a slab the upper side, whichever way a room's faces look."""
    above = normals @ up > 0.5
    if above.mean() < 0.02:
        return fit_floor(points, up)
    try:
        whole = fit_floor(points, up)
    except InputError:
        return fit_floor(points[above], up)
    try:
        upper = fit_floor(points[above], up)
    except InputError:
        return whole
    middle = points.mean(axis=0)
    thick = (whole.normal @ middle - whole.level) - (upper.normal @ middle - upper.level)
    return upper if thick < THICKEST else whole


def _askew(degrees: float, up: Direction) -> tuple[str, ...]:
    if degrees < ASKEW:
        return ()
    return (f"the floor leans {degrees:.0f} degrees against {direction_name(up)}, which --up says is up",)


def _tuple(vector: np.ndarray) -> Direction:
    return tuple(float(x) for x in vector)
