"""What a mesh shows of how it can be used: faces to sit or stand on, a backrest, handles, a rod. Host functions.

Everything is measured on samples of the surface, so that open, unoriented and overlapping meshes count as they look.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from hoijax.errors import InputError
from hoijax.geometry import Mesh, stratified_samples

SAMPLES = 40_000
"""Samples of the surface."""
CELLS = 64
"""Cells along the longest side of shadows and of the map of heights."""
FLAT = 0.9
"""Cosine to the vertical of what is flat: up to 26 degrees of slope."""
LEVEL_SHARE = 0.12
"""Of the footprint's rectangle, what a flat face covers at least to be a level."""
LEVEL_AREA = 0.08
"""What it covers in any case: a saddle is one, however wide the handlebar, square metres."""
SLAB = 0.2
"""Share of an extent that a side takes."""
SIDE_SHARE = 0.25
"""Of what is seen from a side, how much lies in the outer fifth at least; less of it sticks out, and is no side."""
FACE = 0.03
"""How much deeper than the outermost of a side's main face its points may lie, metres."""
GRIP = 0.07
"""What a hand closes round, metres across."""
OPENING = (0.018, 0.035)
"""Least opening of a handle in its shorter and its longer direction, metres."""
LARGEST_OPENING = 0.5
"""Its largest: wider ones are frames, not handles, metres."""
SITTING = (0.15, 0.95)
"""Heights of levels that people sit on, metres; 0.45 is best."""
MOST_OPENINGS = 40
"""Openings looked at along each axis, the largest first; a grille has thousands."""
RISE = (0.12, 0.2, 0.35)
"""What stands beside a seat, metres above it: an armrest from the first to the third, a backrest from the second on."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A box along the axes."""

    lower: tuple[float, float, float]
    """Metres."""
    upper: tuple[float, float, float]
    """Metres."""

    def scaled(self, factor: float) -> "Box":
        """Times a factor, about the origin."""
        return Box(tuple(factor * x for x in self.lower), tuple(factor * x for x in self.upper))

    @property
    def size(self) -> np.ndarray:
        """Along x, y, z, metres, (3,)."""
        return np.subtract(self.upper, self.lower)


@dataclasses.dataclass(frozen=True)
class Level:
    """A flat horizontal face with nothing above it."""

    height: float
    """Above the lowest point, metres."""
    area: float
    """Square metres."""
    box: Box
    """Where it is."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What was measured of a mesh, in the frame and units in which it was measured."""

    box: Box
    levels: tuple[Level, ...]
    """From the largest down."""
    seat: Level | None
    """The level that people would sit on."""
    backrest: Box | None
    """What rises on one side of the seat."""
    armrests: tuple[Box, ...]
    """What rises on the two sides between backrest and front."""
    handles: tuple[Box, ...]
    """What one can close a hand round: bars beside openings, then the longest thin piece; the highest first."""
    slender: bool
    """A hand closes round it anywhere along its length."""
    round: bool
    """Like a ball: its surface is as far from its centre everywhere."""
    faces: tuple[tuple[Box, Box], ...]
    """What one sees of it along x, y, z, from below and from above: the outer fifth, or where little of what is seen
    lies there, as the foot of a screen or the hands of a figure, its main face."""

    @property
    def size(self) -> np.ndarray:
        """Of the bounding box along x, y, z, metres, (3,)."""
        return self.box.size

    @property
    def longest(self) -> float:
        """The longest side of the bounding box, metres."""
        return float(self.size.max())

    def facts(self) -> str:
        """One line for a reader or a language model."""
        said = [f"it measures {' x '.join(f'{x:.2f}' for x in self.size)} m (across, up, front to back)"]
        said += [f"a flat face at {level.height:.2f} m of {level.area:.2g} m2" for level in self.levels[:3]]
        said += ["a back rises behind the seat"] if self.backrest else []
        said += ["armrests"] if self.armrests else []
        said += [f"{len(self.handles)} places to close a hand round"] if self.handles else []
        said += ["round like a ball"] if self.round else []
        return "; ".join(said)


def checked_corners(mesh: Mesh) -> Float[np.ndarray, "F 3 3"]:
    """The corners of a mesh's faces.

    Raises:
      InputError: no faces, as of a cloud of points; faces beyond the vertices; numbers that are not finite; no area.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if faces.size == 0:
        raise InputError(
            f"the object has {len(vertices):,} vertices and no faces; relations are read off a surface: "
            "make a mesh of the point cloud first"
        )
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError(f"wanted vertices (V, 3) and faces (F, 3), got {vertices.shape} and {faces.shape}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"a face names vertex {faces.max()} of a mesh with {len(vertices):,} vertices")
    corners = vertices[faces]
    if not np.isfinite(corners).all():
        raise InputError("the object has vertices that are not finite numbers")
    if not np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() > 0:
        raise InputError("the object's faces have no area")
    return corners


def measure(mesh: Mesh, scale: float = 1.0) -> Shape:
    """Measures a mesh, y up.

    Args:
      mesh: in its canonical frame.
      scale: what brings its coordinates to metres; the answer is in metres.

    Raises:
      InputError: see `checked_corners`.
    """
    corners = checked_corners(mesh) * scale
    lower, upper = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    points, face = stratified_samples(corners, SAMPLES)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    up = np.abs(normal[:, 1]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-300)
    top, level = _height_map(points, up, lower, upper)
    faces = tuple(tuple(_face(points, lower, upper, axis, sign) for sign in (-1, 1)) for axis in range(3))
    levels = _levels(top, level, lower, upper)
    seat = _seat(levels)
    back, arms = _rises(top, seat, lower, upper) if seat else (None, ())
    rod, slender = _rod(points, lower, upper)
    handles = (*_bars(points, lower, upper), *([rod] if rod else []))
    # Of samples, not of vertices, which may crowd anywhere.
    reach = np.linalg.norm(points - points.mean(axis=0), axis=1)
    ball = bool(reach.std() < 0.06 * reach.mean())
    return Shape(_box(lower, upper), levels, seat, back, arms, handles, slender, ball, faces)


def _box(lower: np.ndarray, upper: np.ndarray) -> Box:
    return Box(tuple(float(x) for x in lower), tuple(float(x) for x in upper))


def _cells(points: np.ndarray, lower: np.ndarray, upper: np.ndarray, axes: tuple[int, int]) -> tuple:
    """Cells of points in a plane, the number of cells each way, and a cell's side."""
    axes = list(axes)
    side = max(float((upper - lower)[axes].max()), 1e-9) / CELLS
    count = np.maximum(np.ceil((upper - lower)[axes] / side - 1e-6).astype(int), 1)
    index = np.minimum(((points - lower)[:, axes] / side).astype(int), count - 1)
    return index, count, side


def _height_map(points: np.ndarray, up: np.ndarray, lower: np.ndarray, upper: np.ndarray):
    """By cell of the footprint: the highest sample, -inf where there is none, and whether it is flat there."""
    index, count, _ = _cells(points, lower, upper, (0, 2))
    flat = index[:, 0] * count[1] + index[:, 1]
    order = np.argsort(points[:, 1], kind="stable")
    top, level = np.full(count.prod(), -np.inf), np.zeros(count.prod(), bool)
    top[flat[order]], level[flat[order]] = points[order, 1], up[order] > FLAT  # the highest is written last
    return top.reshape(count), level.reshape(count)


def _face(points: np.ndarray, lower: np.ndarray, upper: np.ndarray, axis: int, sign: int) -> Box:
    """One of `Shape.faces`."""
    low, high = lower.copy(), upper.copy()
    thick = SLAB * float((upper - lower)[axis])
    edge = (upper if sign > 0 else lower)[axis] - sign * thick
    (low if sign > 0 else high)[axis] = edge
    plane = tuple(a for a in range(3) if a != axis)
    index, count, _ = _cells(points, lower, upper, plane)
    cell = index[:, 0] * count[1] + index[:, 1]
    order = np.argsort(sign * points[:, axis], kind="stable")
    seen = np.full(count.prod(), -1)
    seen[cell[order]] = order  # the outermost is written last
    seen = seen[seen >= 0]
    out = sign * points[seen, axis]
    if (out > sign * edge).mean() >= SIDE_SHARE:
        return _box(low, high)
    bins = np.floor(out / FACE).astype(int)
    names, counts = np.unique(bins, return_counts=True)
    # A face may lie across two bins: the pair of neighbours that holds most.
    pairs = counts + np.array([counts[names == n + 1].sum() for n in names])
    first = names[int(np.argmax(pairs))] * FACE
    face = points[seen[(out >= first) & (out < first + 2 * FACE)]]
    return _box(face.min(axis=0), face.max(axis=0))


def _levels(top: np.ndarray, level: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[Level, ...]:
    side = max(float((upper - lower)[[0, 2]].max()), 1e-9) / CELLS
    step = max(0.012, 0.012 * float(upper[1] - lower[1]))
    found, heights = [], np.sort(top[level])
    if not len(heights):
        return ()
    # Heights that follow each other closely are one level, cushions and sagging included.
    for group in np.split(heights, np.flatnonzero(np.diff(heights) > step) + 1):
        if len(group) < LEVEL_SHARE * top.size and len(group) * side**2 < LEVEL_AREA:
            continue
        inside = level & (top >= group[0]) & (top <= group[-1])
        x, z = np.nonzero(inside)
        corner = [lower[0] + side * x.min(), group[0], lower[2] + side * z.min()]
        other = [lower[0] + side * (x.max() + 1), group[-1], lower[2] + side * (z.max() + 1)]
        found.append(
            Level(
                float(np.median(group) - lower[1]),
                float(inside.sum()) * side**2,
                _box(np.array(corner), np.minimum(other, upper)),
            )
        )
    return tuple(sorted(found, key=lambda x: -x.area))


def _seat(levels: tuple[Level, ...]) -> Level | None:
    fit = [x for x in levels if SITTING[0] <= x.height <= SITTING[1] and x.area > 0.03]
    return min(fit, key=lambda x: abs(np.log(x.height / 0.45)), default=None)


def _rises(top: np.ndarray, seat: Level, lower: np.ndarray, upper: np.ndarray) -> tuple[Box | None, tuple[Box, ...]]:
    """What rises beside the seat: on the side with the most of it the backrest; on the sides next to that armrests."""
    side = max(float((upper - lower)[[0, 2]].max()), 1e-9) / CELLS
    floor = seat.height + lower[1]
    x, z = (np.arange(n) * side + side / 2 for n in top.shape)
    middle = [(seat.box.lower[i] + seat.box.upper[i]) / 2 for i in (0, 2)]
    half = [max(seat.box.upper[i] - seat.box.lower[i], side) / 2 for i in (0, 2)]
    across = (x + lower[0] - middle[0])[:, None] / half[0] + np.zeros(top.shape)
    along = (z + lower[2] - middle[1])[None] / half[1] + np.zeros(top.shape)
    sides = {
        "right": (across > 0.55) & (abs(along) <= across),
        "left": (across < -0.55) & (abs(along) <= -across),
        "front": (along > 0.55) & (abs(across) < along),
        "back": (along < -0.55) & (abs(across) < -along),
    }
    finite = np.isfinite(top)
    tall = {name: mask & finite & (top > floor + RISE[1]) for name, mask in sides.items()}
    width = {"right": 1, "left": 1, "front": 0, "back": 0}
    # How much of the seat's width rises, and how high.
    mass = {n: m.any(axis=1 - width[n]).sum() * side * np.ptp([floor, *top[m]]) for n, m in tall.items()}
    best = max(mass, key=mass.get)
    opposite = {"right": "left", "left": "right", "front": "back", "back": "front"}[best]
    wide = tall[best].any(axis=1 - width[best]).sum() * side
    if wide < 0.5 * 2 * half[width[best]] or mass[best] < 2 * mass[opposite]:
        return None, ()

    def box(mask: np.ndarray) -> Box:
        i, k = np.nonzero(mask)
        low = [lower[0] + side * i.min(), floor, lower[2] + side * k.min()]
        high = [lower[0] + side * (i.max() + 1), top[mask].max(), lower[2] + side * (k.max() + 1)]
        return _box(np.array(low), np.minimum(high, upper))

    arms = []
    for name, mask in sides.items():
        # Beside the seat, not at the ends of the backrest.
        beside = abs(along if best in ("front", "back") else across) < 1.0
        rising = mask & beside & finite & (top > floor + RISE[0]) & (top < floor + RISE[2])
        long = rising.any(axis=1 - width[name]).sum() * side
        if name not in (best, opposite) and long > 0.8 * half[width[name]]:
            arms.append(box(rising))
    return box(tall[best]), tuple(arms) if len(arms) == 2 else ()


def _bars(points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> list[Box]:
    """Bars beside the openings that one sees through the mesh along x, y or z, the highest first."""
    found = []
    for through in (2, 0, 1):
        plane = tuple(a for a in (0, 1, 2) if a != through)
        index, count, side = _cells(points, lower, upper, plane)
        shadow = np.zeros(count + 2, bool)
        shadow[tuple(index.T + 1)] = True
        openings, _ = ndimage.label(~shadow)
        cells = np.bincount(openings.reshape(-1))
        slices = ndimage.find_objects(openings)
        largest = sorted(range(1, len(cells)), key=lambda k: -cells[k])
        for k in [k for k in largest if k != openings[0, 0]][:MOST_OPENINGS]:
            low, high = np.array([[x.start, x.stop] for x in slices[k - 1]]).T
            wide = (high - low) * side
            if cells[k] < 6 or wide.min() < OPENING[0] or not OPENING[1] <= wide.max() <= LARGEST_OPENING:
                continue
            bar = _bar_beside(points, index, shadow, low, high, side, through)
            if bar is not None:
                found.append(bar)
    return sorted(found, key=lambda b: -b.upper[1])


def _bar_beside(points, index, shadow, low, high, side, through) -> Box | None:
    """Of the thin bars round an opening with room for fingers beyond, the farthest from the middle; None: none is."""
    room = int(np.ceil(OPENING[0] / side))
    middle, centre = (low + high) // 2, (np.array(shadow.shape) - 1) / 2
    best = None
    for axis in (0, 1):
        for sign in (1, -1):
            start = high[axis] if sign > 0 else low[axis] - 1
            line = shadow[:, middle[1]] if axis == 0 else shadow[middle[0]]
            ray = line[start:] if sign > 0 else line[start::-1]
            thick = int(np.argmin(ray)) if not ray.all() else len(ray)
            if thick * side > GRIP or ray[thick : thick + room].any():
                continue
            span = np.array([low, high])
            span[:, axis] = (start, start + thick) if sign > 0 else (start + 1 - thick, start + 1)
            held = points[((index + 1 >= span[0]) & (index + 1 < span[1])).all(axis=1)]
            if not len(held) or np.ptp(held[:, through]) > GRIP:
                continue
            out = sign * (span[:, axis].mean() - centre[axis])
            if best is None or out > best[0]:
                best = (out, _box(held.min(axis=0), held.max(axis=0)))
    return best[1] if best else None


def _rod(points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[Box | None, bool]:
    """The longest piece along the mesh's longest side that a hand closes round, and whether all of it is one."""
    axis = int(np.argmax(upper - lower))
    length = float((upper - lower)[axis])
    if np.delete(upper - lower, axis).max() <= GRIP:
        return _box(lower, upper), True
    slices = 32
    where = np.minimum(((points[:, axis] - lower[axis]) / max(length, 1e-9) * slices).astype(int), slices - 1)
    thin, boxes = np.zeros(slices + 1, bool), []
    for k in range(slices):
        held = points[where == k]
        boxes.append((held.min(axis=0), held.max(axis=0)) if len(held) else None)
        thin[k] = len(held) > 0 and np.delete(np.ptp(held, axis=0), axis).max() <= GRIP
    ends = np.flatnonzero(np.diff(np.concatenate([[False], thin])))
    runs = [(a, b) for a, b in zip(ends[::2], ends[1::2]) if (b - a) * length / slices >= 0.05]
    if not runs:
        return None, False
    a, b = max(runs, key=lambda r: r[1] - r[0])
    return _box(np.min([boxes[k][0] for k in range(a, b)], 0), np.max([boxes[k][1] for k in range(a, b)], 0)), False
