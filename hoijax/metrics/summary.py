"""From per-image numbers to a table's row: mean, bootstrap interval, how many images it speaks for."""

import math

import numpy as np
from flax import struct
from jaxtyping import Shaped

from hoijax.geometry.safe import ArrayLike


@struct.dataclass
class Interval:
    """A mean and its bootstrap interval. Host numbers."""

    mean: float
    low: float
    high: float
    #: Values that the mean is of; the others were NaN.
    count: int


def bootstrap_mean(
    values: Shaped[ArrayLike, "N"], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Mean with a percentile bootstrap interval (Efron 1979). Host function.

    Args:
      values: one per image; NaN marks an image where the metric is undefined, and is left out.
      level: of the interval.
      resamples: number of resampled means.
      seed: of the resampling.

    Returns:
      The mean, its interval and the number of values; NaN with count 0 if none is defined.
    """
    values = np.asarray(values, np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(math.nan, math.nan, math.nan, 0)
    random = np.random.default_rng(seed)
    means = [values[random.integers(0, values.size, values.size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), int(values.size))
