"""Which way is up in a mesh: a guess from what it covers of its footprint and where its legs are. Host functions."""

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

SAMPLES, CELLS = 20_000, 40
"""Samples of the surface, and cells along each side of the footprint."""
RATIO, LEAST = 1.4, 0.6
"""How much more of its footprint a mesh must cover seen along another axis than along y, and at least, for a guess."""
SLICE, COVERED, SPANNED = 0.04, 0.15, 0.5
"""Share of the height that legs are looked for in, share of the footprint that they may cover, and how much of its
length and breadth they must span."""


def surface_samples(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "N 3"]:
    """`SAMPLES` random points on a mesh, uniform in area, float64; the same ones every time."""
    corners = np.asarray(vertices, np.float64)[faces]
    a, b, c = np.moveaxis(corners, 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    rng = np.random.default_rng(0)
    face = rng.choice(len(area), SAMPLES, p=area / area.sum())
    u, v = rng.uniform(size=(2, SAMPLES, 1))
    return a[face] + np.sqrt(u) * ((1 - v) * (b[face] - a[face]) + v * (c[face] - a[face]))


def coverage(points: Float[np.ndarray, "N 3"], axis: int) -> float:
    """Share of the points' bounding rectangle that their shadow along an axis covers, 0 to 1."""
    flat = np.delete(points, axis, axis=1)
    return float(_shadow(flat, flat).mean())


def stands_on_legs(points: Float[np.ndarray, "N 3"], axis: int, sign: int) -> bool:
    """Whether surface points end in three or more legs at the low end of an axis.

    Args:
      points: spread over the surface.
      axis: 0, 1 or 2.
      sign: 1 if up is along the axis, -1 if against it.
    """
    height = sign * points[:, axis]
    low = points[height <= height.min() + SLICE * (height.max() - height.min())]
    shadow = _shadow(np.delete(low, axis, axis=1), np.delete(points, axis, axis=1))
    feet, count = ndimage.label(shadow, structure=np.ones((3, 3)))
    spans = [np.ptp(where) + 1 for where in np.nonzero(feet)]
    return bool(count >= 3 and shadow.mean() < COVERED and min(spans) > SPANNED * CELLS)


def likely_up(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> str:
    """Which axis of a mesh seems to point up: "+y" unless there is reason to think of another, with its sign.

    What stands on a floor, a chair or a table, covers most of its footprint seen from above and less of the rectangle
    around it seen from the front, where one looks between its legs; and its legs, three or more, are below. Nothing is
    said of what has no legs.
    """
    points = surface_samples(vertices, faces)
    if np.ptp(points, axis=0).min() < 1e-6 * np.ptp(points, axis=0).max():
        return "+y"  # a flat thing stands no way
    covered = [coverage(points, axis) for axis in range(3)]
    axis = 2 if covered[2] >= covered[0] else 0
    if covered[axis] <= LEAST or covered[axis] <= RATIO * covered[1]:
        axis = 1
    legs = [stands_on_legs(points, axis, sign) for sign in (1, -1)]
    if legs[0] == legs[1]:
        return "+y"  # doors and screens cover more of their fronts too
    return ("-" if legs[1] else "+") + "xyz"[axis]


def _shadow(flat: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Which cells of the rectangle around `frame` (N, 2) hold one of `flat` (M, 2)."""
    lower, upper = frame.min(axis=0), frame.max(axis=0)
    cell = np.minimum((CELLS * (flat - lower) / np.maximum(upper - lower, 1e-9)).astype(int), CELLS - 1)
    out = np.zeros((CELLS, CELLS), bool)
    out[cell[:, 0], cell[:, 1]] = True
    return out
