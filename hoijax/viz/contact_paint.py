"""Colours by distance: where a body touches an object, and how deep it is in it."""

import numpy as np

from hoijax.geometry import Mesh
from hoijax.interaction import THRESHOLDS
from hoijax.metrics import signed_distance_host

REACH = 0.1
"""Metres from the object from which on a vertex is grey."""
SCALE: tuple[tuple[float, tuple[float, float, float]], ...] = (
    (-THRESHOLDS.deep, (0.45, 0.10, 0.60)), (0.0, (0.85, 0.10, 0.10)), (0.005, (0.90, 0.30, 0.10)),
    (THRESHOLDS.far, (0.95, 0.80, 0.25)), (REACH, (0.72, 0.72, 0.72)),
)  # fmt: skip
"""Distance to sRGB, linear between: violet 10 mm inside, red at the surface, yellow at 20 mm, grey from 10 cm."""
LEGEND = (
    f"violet: {1000 * THRESHOLDS.deep:.0f} mm inside or deeper; red: at the surface; "
    f"yellow: {1000 * THRESHOLDS.far:.0f} mm away; grey: {100 * REACH:.0f} cm or more"
)


def contact_colors(distance: np.ndarray) -> np.ndarray:
    """Colours `(V, 3)`, sRGB, of signed distances `(V,)`, metres; see `SCALE`."""
    at, colors = np.array([row[0] for row in SCALE]), np.array([row[1] for row in SCALE])
    return np.stack([np.interp(distance, at, colors[:, k]) for k in range(3)], axis=1)


def distance_to(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Signed distance of points `(N, 3)` to a mesh, positive outside, `(N,)` metres; from `REACH` on that.

    Args:
      points: metres.
      vertices: `(V, 3)` of the mesh, metres.
      faces: `(F, 3)`.
    """
    points, vertices = np.asarray(points, np.float64), np.asarray(vertices, np.float64)
    used = vertices[np.unique(faces)]
    gap = np.linalg.norm(points - np.clip(points, used.min(axis=0), used.max(axis=0)), axis=1)
    distance, near = np.full(len(points), REACH), gap < REACH
    if near.any():
        distance[near] = signed_distance_host(points[near], Mesh(vertices=vertices, faces=np.asarray(faces)))
    return np.minimum(distance, REACH)


def legend_image(width: int = 256, height: int = 16) -> np.ndarray:
    """The scale as a strip `(H, W, 3)`, uint8 sRGB: from `THRESHOLDS.deep` inside to `REACH`, left to right."""
    colors = contact_colors(np.linspace(-THRESHOLDS.deep, REACH, width))
    return np.broadcast_to(np.round(255 * colors).astype(np.uint8), (height, width, 3))
