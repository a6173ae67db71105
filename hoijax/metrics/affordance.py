"""Affordance heat maps on objects, by PIAD's protocol: ROC AUC, SIM, MAE, aIOU (specs/interactvlm.md 11.4). Host.

One object at a time: predicted likelihoods and labels in [0, 1] per point. Where AUC and aIOU are not defined (no point
is labelled, or all are) they are NaN, which `bootstrap_mean` leaves out.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Shaped
from scipy.stats import rankdata

from hoijax.geometry.safe import ArrayLike


@dataclasses.dataclass(frozen=True)
class AffordanceScores:
    """How alike two heat maps are."""

    auc: float
    """Area under the ROC curve of the labels above one half; 0.5 for chance, 1 for a perfect order."""
    sim: float
    """Histogram intersection of the maps, each divided by its sum; 1 for proportional maps."""
    mae: float
    """Mean absolute difference."""
    aiou: float
    """Mean intersection over union with the labels above one half, over the 20 thresholds 0, 1/19, ..., 1."""


def affordance_scores_host(
    predicted: Float[ArrayLike, "N"], labels: Shaped[ArrayLike, "N"], *, threshold: float = 0.5
) -> AffordanceScores:
    """PIAD's four numbers of one object.

    Args:
      predicted: likelihood of each point, in [0, 1].
      labels: true likelihood of each point, in [0, 1]; or boolean.
      threshold: labels at or above it are positive.

    Returns:
      The scores.
    """
    guess, truth = np.asarray(predicted, np.float64), np.asarray(labels, np.float64)
    positive = truth >= threshold
    steps = np.linspace(0, 1, 20)
    iou = math.nan
    if positive.any():
        chosen = guess[None] >= steps[:, None]
        iou = float(np.mean((chosen & positive).sum(axis=1) / (chosen | positive).sum(axis=1)))
    return AffordanceScores(
        auc=_auc(guess, positive),
        sim=float(np.minimum(guess / (guess.sum() + 1e-12), truth / (truth.sum() + 1e-12)).sum()),
        mae=float(np.abs(guess - truth).mean()),
        aiou=iou,
    )


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive point scores above a negative one, ties half (Mann-Whitney)."""
    hits = int(positive.sum())
    misses = len(positive) - hits
    if not hits or not misses:
        return math.nan
    return float((rankdata(scores)[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))
