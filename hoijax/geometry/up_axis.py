"""A guess whether a mesh was modelled with z up, from how much of its footprint it covers. Host functions."""

import numpy as np
from jaxtyping import Float, Int

SAMPLES, CELLS = 20_000, 40
"""Samples of the surface, and cells along each side of the footprint."""
RATIO, LEAST = 1.4, 0.6
"""How much more of its footprint a mesh must cover seen along z than along y, and at least, to look like one with z
up."""


def coverage(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], axis: int) -> float:
    """Share of a mesh's bounding rectangle that its shadow along an axis covers, 0 to 1."""
    corners = np.asarray(vertices, np.float64)[faces]
    a, b, c = np.moveaxis(corners, 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    rng = np.random.default_rng(0)
    face = rng.choice(len(area), SAMPLES, p=area / area.sum())
    u, v = rng.uniform(size=(2, SAMPLES, 1))
    points = a[face] + np.sqrt(u) * ((1 - v) * (b[face] - a[face]) + v * (c[face] - a[face]))
    flat = np.delete(points, axis, axis=1)
    lower, upper = flat.min(axis=0), flat.max(axis=0)
    cell = np.minimum((CELLS * (flat - lower) / np.maximum(upper - lower, 1e-9)).astype(int), CELLS - 1)
    return len(np.unique(cell[:, 0] * CELLS + cell[:, 1])) / CELLS**2


def looks_z_up(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> bool:
    """Whether a mesh that is read with y up looks as if z were up.

    What stands on a floor, a chair or a table, covers most of its footprint seen from above and less of the rectangle
    around it seen from the front, where one looks between its legs. Boxes and round things look alike both ways, and
    nothing is said of them.
    """
    from_y, from_z = coverage(vertices, faces, 1), coverage(vertices, faces, 2)
    return from_z > LEAST and from_z > RATIO * from_y
