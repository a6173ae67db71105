"""Turns of an object from the corners of its box in a picture, as a network (Objectron's) finds them."""

import jax
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError

ArrayLike = jax.Array | np.ndarray

STARTS = 8
"""Turns about the upright axis that the search begins at."""
PROPORTION_STD = 0.7
"""Of the logarithm of each side over their mean: only so wide that boxes seen from the front stay boxes."""
_UPRIGHT = np.diag([1.0, -1.0, -1.0])
"""From y up, z towards the viewer to the camera's axes."""


def turns_of_box(
    points: Float[np.ndarray, "N 2"],
    matrix: Float[ArrayLike, "3 3"],
    corners: Float[np.ndarray, "N 3"],
) -> Float[np.ndarray, "4 3 3"]:
    """Rotations from a box's frame to the camera's: the one that fits, then those after quarter turns about its y.

    Which side of the box a mesh calls its front nobody says, so all four are answered. The distance is not told: a box
    may be large and far.

    Args:
      points: of the corners in the picture, pixels.
      matrix: intrinsics of the picture.
      corners: the same points of a box with sides of one about its middle; y is up.

    Raises:
      InputError: points that are not finite.
    """
    points, corners, matrix = (np.asarray(x, np.float64) for x in (points, corners, matrix))
    if not np.isfinite(points).all():
        raise InputError(f"points of shape {points.shape}; wanted are {len(corners)} finite ones in a picture")
    seen = (np.c_[points, np.ones(len(points))] @ np.linalg.inv(matrix).T)[:, :2]
    middle, spread = seen.mean(axis=0), max(float(np.ptp(seen, axis=0).max()), 1e-6)

    def residuals(x: np.ndarray, start: Rotation) -> np.ndarray:
        turned = (Rotation.from_rotvec(x[:3]) * start).apply(corners * spread * np.exp(x[3:6]))
        turned = turned + [*(middle + spread * x[6:8]), 1.0]  # at a distance of one: the picture tells shares of it
        wrong = (turned[:, :2] / np.maximum(turned[:, 2:], 0.05) - seen) / spread
        return np.concatenate([20.0 * wrong.ravel(), (x[3:6] - x[3:6].mean()) / PROPORTION_STD])

    best, turn = np.inf, Rotation.identity()
    for angle in 2 * np.pi * np.arange(STARTS) / STARTS:
        start = Rotation.from_matrix(_UPRIGHT) * Rotation.from_rotvec([0.0, angle, 0.0])
        found = least_squares(residuals, np.zeros(8), args=(start,), max_nfev=60)
        if found.cost < best:
            best, turn = found.cost, Rotation.from_rotvec(found.x[:3]) * start
    return _quarters(turn)


def upright_turns() -> Float[np.ndarray, "4 3 3"]:
    """Four quarter turns of what stands upright before a level camera, y up in its own frame."""
    return _quarters(Rotation.from_matrix(_UPRIGHT))


def _quarters(turn: Rotation) -> np.ndarray:
    about = Rotation.from_rotvec(0.5 * np.pi * np.arange(4)[:, None] * [0.0, 1.0, 0.0])
    return (turn * about).as_matrix().astype(np.float32)
