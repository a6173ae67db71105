"""From per-image numbers to a table's row: mean, bootstrap interval, how many images it speaks for."""

import math
from collections.abc import Sequence

import numpy as np
from flax import struct
from jaxtyping import Shaped

from hoijax.geometry.safe import ArrayLike
from hoijax.metrics.contact import f1_of_means


@struct.dataclass
class Interval:
    """A mean and its bootstrap interval. Host numbers."""

    mean: float
    low: float
    high: float
    count: int
    """Values that the mean is of; the others were NaN."""


@struct.dataclass
class ContactInterval:
    """Contact scores of a data set with their intervals, resampled together."""

    precision: Interval
    recall: Interval
    f1: Interval
    """Of the two means, in every resample too; `count` is the number of images where both are defined."""


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), which is none too narrow where all or none hit.

    Args:
      hits: how many did.
      count: of how many, at least one.
    """
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def bootstrap_mean(
    values: Shaped[ArrayLike, "N"],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | Shaped[ArrayLike, "N"] | None = None,
) -> Interval:
    """Mean with a percentile bootstrap interval (Efron 1979). Host function.

    Args:
      values: one per image; NaN marks an image where the metric is undefined, and is left out.
      level: of the interval.
      resamples: number of resampled means.
      seed: of the resampling.
      groups: what each image belongs to, such as its sequence. Frames of one video are alike: whole groups are drawn
        then, and the interval is as wide as the number of groups makes it, not that of frames.

    Returns:
      The mean, its interval and the number of values; NaN with count 0 if none is defined. With fewer than two groups
      the interval is NaN: one group says nothing about others.
    """
    values = np.asarray(values, np.float64).reshape(-1)
    defined = ~np.isnan(values)
    if groups is not None:
        groups = np.asarray(groups).reshape(-1)[defined]
    values = values[defined]
    if not values.size:
        return Interval(math.nan, math.nan, math.nan, 0)
    if groups is not None:
        means = _resampled_means(values[:, None], groups, resamples, seed)[:, 0]
    else:
        random = np.random.default_rng(seed)
        means = [values[random.integers(0, values.size, values.size)].mean() for _ in range(resamples)]
    return _interval(float(values.mean()), means, level, values.size)


def bootstrap_contact(
    precision: Shaped[ArrayLike, "N"],
    recall: Shaped[ArrayLike, "N"],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | Shaped[ArrayLike, "N"] | None = None,
) -> ContactInterval:
    """Contact scores of a data set with bootstrap intervals; F is taken of the two means, as `f1_of_means` has it.

    Args:
      precision: one per image; NaN without a predicted contact.
      recall: one per image; NaN without a true contact.
      level: of the intervals.
      resamples: number of resampled data sets.
      seed: of the resampling.
      groups: as in `bootstrap_mean`.

    Returns:
      Precision, recall and F. Resamples where a score is undefined are left out of its interval.
    """
    both = np.stack([np.asarray(x, np.float64).reshape(-1) for x in (precision, recall)], axis=1)
    groups = np.arange(len(both)) if groups is None else np.asarray(groups).reshape(-1)
    counts = (~np.isnan(both)).sum(axis=0)
    sums = np.nansum(both, axis=0)
    p, r = (float(s / n) if n else math.nan for s, n in zip(sums, counts))
    means = _resampled_means(both, groups, resamples, seed)
    scores = np.array([f1_of_means(float(a), float(b)) for a, b in means])
    defined_both = int((~np.isnan(both)).all(axis=1).sum())
    return ContactInterval(
        _interval(p, means[:, 0], level, int(counts[0])),
        _interval(r, means[:, 1], level, int(counts[1])),
        _interval(f1_of_means(p, r), scores, level, defined_both),
    )


def _resampled_means(values: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means `(resamples, K)` of the defined values in data sets of as many groups, drawn with replacement.

    NaN where nothing is defined, and everywhere if there are fewer than two groups.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return np.full((resamples, values.shape[1]), math.nan)
    defined = ~np.isnan(values)
    sums, counts = (np.zeros((len(names), values.shape[1])) for _ in range(2))
    np.add.at(sums, member.reshape(-1), np.where(defined, values, 0.0))
    np.add.at(counts, member.reshape(-1), defined.astype(np.float64))
    random = np.random.default_rng(seed)
    means = np.full((resamples, values.shape[1]), math.nan)
    for mean in means:
        drawn = random.integers(0, len(names), len(names))
        total, number = sums[drawn].sum(axis=0), counts[drawn].sum(axis=0)
        np.divide(total, number, out=mean, where=number > 0)
    return means


def _interval(mean: float, means: Sequence[float] | np.ndarray, level: float, count: int) -> Interval:
    """The percentiles of resampled means; a statistic that is undefined in all of them has no interval."""
    means = np.asarray(means, np.float64)
    means = means[~np.isnan(means)]
    if not means.size or math.isnan(mean):
        return Interval(mean, math.nan, math.nan, int(count))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), int(count))
