"""Shape coefficients of the free body from words: sex, stature, weight."""

import numpy as np
from jaxtyping import Float

from hoijax.body_models import free_body_betas

BUILD: dict[str, tuple[float, float]] = {
    "tall": (1.1, 0.0), "short": (-1.1, 0.0), "petite": (-0.9, -0.5), "slim": (0.0, -0.9), "thin": (0.0, -1.1),
    "slender": (0.0, -0.9), "skinny": (0.0, -1.3), "lean": (0.0, -0.7), "heavy": (0.0, 1.3), "fat": (0.0, 1.5),
    "chubby": (0.0, 1.1), "overweight": (0.0, 1.4), "obese": (0.0, 1.8), "stout": (-0.3, 1.2), "plump": (0.0, 1.0),
    "muscular": (0.1, 0.6), "strong": (0.1, 0.5), "athletic": (0.1, 0.25), "sturdy": (0.0, 0.6), "big": (0.6, 0.8),
    "large": (0.5, 0.9), "small": (-0.8, -0.3), "average": (0.0, 0.0), "broad": (0.1, 0.6),
}  # fmt: skip
"""Words to what they add to stature and weight, in standard deviations of the sampled adults."""
STATURE, WEIGHT = 0, 3
"""Directions of the free body that say most of each: 9 cm and 10 l by one."""
MOST = 2.0


def betas_of(gender: str, build: tuple[str, ...]) -> Float[np.ndarray, "10"]:
    """Coefficients of a person.

    Args:
      gender: "female", "male" or "neutral".
      build: words of `BUILD`.
    """
    betas = free_body_betas("mean" if gender == "neutral" else gender).astype(np.float64)
    for word in build:
        stature, weight = BUILD[word]
        betas[STATURE] += stature
        betas[WEIGHT] += weight
    return np.clip(betas, -MOST, MOST).astype(np.float32)
