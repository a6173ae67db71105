"""The floor of a point cloud: the lowest large plane, found by trying planes through three points. Host functions.

Fischler and Bolles 1981 (RANSAC), with the planes that lie level tried only, and what lies below a plane counted
against it, so that neither a table nor the ceiling is taken for the floor.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError

MOST = 60_000
"""Points that are looked at; of more a regular subset."""
SCORED = 4_000
"""Points that planes are compared on."""
TRIALS, LOWEST = 400, (1.0, 0.5, 0.2, 0.06)
"""Planes that are tried among the lowest of the points, for each of these shares of them."""
NEAR = 0.015
"""Distance up to which a point belongs to a plane, metres."""
BELOW, AGAINST = 0.06, 8.0
"""Depth beyond which a point is below the floor, metres, and how much one counts against a plane."""
STEEPEST = np.radians(30.0)
"""Angle between a floor's normal and what is said to be up, at most."""
LEAST = 0.02
"""Share of the points that a floor must hold."""


@dataclasses.dataclass(frozen=True)
class FloorPlane:
    """The points p with normal . p = level."""

    normal: Float[np.ndarray, "3"]
    """Unit vector, against gravity."""
    level: float
    """Metres."""
    share: float
    """Of all points, those within `NEAR` of it."""
    spread: float
    """Root mean square distance of these, metres."""
    angle: float
    """Between the normal and what was said to be up, radians."""


def fit_floor(points: Float[np.ndarray, "N 3"], up: Float[np.ndarray, "3"], *, seed: int = 0) -> FloorPlane:
    """The floor of a scan.

    Args:
      points: metres, finite; walls, furniture, people and stray points may be among them.
      up: roughly against gravity.
      seed: of the triples that are tried.

    Raises:
      InputError: too few points, or no level plane holds enough of them.
    """
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    points = np.asarray(points)
    points = points[:: -(-len(points) // MOST)].astype(np.float64)
    if len(points) < 3:
        raise InputError(f"a floor needs at least 3 points, got {len(points)}")
    rng = np.random.default_rng(seed)
    some = points[rng.permutation(len(points))[:SCORED]]
    # The lower a point, the likelier it is the floor's; but some floors lean, and some scans have stray points below.
    order = np.argsort(some @ up)
    lowest = [order[: max(3, int(share * len(some)))] for share in LOWEST]
    triples = some[np.concatenate([rng.choice(ids, (TRIALS, 3)) for ids in lowest])]
    normal = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normal, axis=1)
    normal = normal[length > 1e-9] / length[length > 1e-9, None]
    normal = normal * np.where(normal @ up < 0, -1.0, 1.0)[:, None]
    level = np.einsum("tc,tc->t", normal, triples[length > 1e-9, 0])
    steep = np.arccos(np.clip(normal @ up, -1, 1)) > STEEPEST
    # The level planes through single points are tried too: three points of a small floor are seldom drawn.
    lone = some[rng.choice(lowest[1], TRIALS)]
    normal = np.concatenate([normal[~steep], np.tile(up, (len(lone), 1))])
    level = np.concatenate([level[~steep], lone @ up])
    above = some @ normal.T - level
    score = (np.abs(above) < NEAR).sum(axis=0) - AGAINST * (above < -BELOW).sum(axis=0)
    best = int(np.argmax(score))
    normal, level = _polish(points, normal[best], level[best])
    gap = points @ normal - level
    near = np.abs(gap) < NEAR
    angle = float(np.arccos(np.clip(normal @ up, -1, 1)))
    if near.mean() < LEAST or angle > STEEPEST:
        raise InputError(
            f"no floor was found: the best level plane holds {100 * near.mean():.1f} % of the points; "
            f"is up {_vector_text(up)}? Give the floor as a height or as a,b,c,d"
        )
    return FloorPlane(normal, float(level), float(near.mean()), float(np.sqrt(np.mean(gap[near] ** 2))), angle)


def _polish(points: np.ndarray, normal: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    """The plane of least squares through the points near a plane, found anew with those near it."""
    for width in (2 * NEAR, NEAR, NEAR, NEAR):
        near = points[np.abs(points @ normal - level) < width]
        if len(near) < 3:
            break
        centre = near.mean(axis=0)
        _, spread, axes = np.linalg.svd((near - centre).T @ (near - centre))
        if spread[1] < 1e-12 * max(spread[0], 1e-30):
            break  # all on one line
        found = axes[2] * np.sign(axes[2] @ normal or 1.0)
        normal, level = found, float(found @ centre)
    return normal, level


def _vector_text(vector: np.ndarray) -> str:
    return ",".join(f"{x:.3g}" for x in vector)
