import math

import numpy as np
import pytest

from hoijax.metrics import bootstrap_contact, bootstrap_mean
from hoijax.metrics.summary import wilson


def test_interval_of_normal_values_is_the_textbook_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    got = bootstrap_mean(values, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    np.testing.assert_allclose([got.mean, got.low, got.high], values.mean() + np.array([0, -half, half]), atol=0.02)
    assert got.count == 400 and bootstrap_mean(values, resamples=4000) == got


def test_undefined_values_are_left_out_and_counted():
    got = bootstrap_mean(np.array([1.0, np.nan, 3.0]))
    assert got.mean == 2 and got.count == 2
    nothing = bootstrap_mean(np.array([np.nan, np.nan]))
    assert math.isnan(nothing.mean) and math.isnan(nothing.low) and nothing.count == 0
    one = bootstrap_mean(np.array([5.0]))
    assert one.mean == one.low == one.high == 5


def datasets(rng, number, *, groups, per_group, between):
    """Values of mean 1 whose groups (videos) differ by `between`; skewed within a group, as errors are."""
    for _ in range(number):
        offset = rng.normal(0, between, (groups, 1)) if between else 0.0
        yield (offset + rng.gamma(4.0, 0.25, (groups, per_group))).reshape(-1)


def coverage(rng, *, groups, per_group, between, grouped):
    names = np.repeat(np.arange(groups), per_group) if grouped else None
    found = [
        bootstrap_mean(values, level=0.9, resamples=200, seed=k, groups=names)
        for k, values in enumerate(datasets(rng, 300, groups=groups, per_group=per_group, between=between))
    ]
    return np.mean([i.low <= 1.0 <= i.high for i in found])


def test_intervals_cover_at_their_rate():
    """Percentile intervals of 40 independent values: 0.87 to 0.9 in theory; 300 trials add 0.017 of noise."""
    rng = np.random.default_rng(0)
    assert 0.83 < coverage(rng, groups=40, per_group=1, between=0, grouped=False) < 0.95
    assert 0.83 < coverage(rng, groups=40, per_group=1, between=0, grouped=True) < 0.95


def test_frames_of_one_video_are_not_independent():
    rng = np.random.default_rng(1)
    assert coverage(rng, groups=30, per_group=10, between=0.5, grouped=False) < 0.7
    assert 0.82 < coverage(rng, groups=30, per_group=10, between=0.5, grouped=True) < 0.96


def test_one_group_has_no_interval():
    got = bootstrap_mean(np.array([1.0, 2.0]), groups=["a", "a"])
    assert got.mean == 1.5 and got.count == 2 and math.isnan(got.low)


def test_contact_scores_skip_their_own_images():
    precision = np.array([1.0, np.nan, 0.5, 0.0])
    recall = np.array([0.5, 0.25, np.nan, np.nan])
    got = bootstrap_contact(precision, recall)
    assert got.precision.mean == 0.5 and got.precision.count == 3
    assert got.recall.mean == 0.375 and got.recall.count == 2
    assert got.f1.mean == pytest.approx(2 * 0.5 * 0.375 / 0.875) and got.f1.count == 1
    assert got.f1.low <= got.f1.mean <= got.f1.high
    empty = bootstrap_contact(np.full(3, np.nan), recall[:3])
    assert math.isnan(empty.precision.mean) and math.isnan(empty.f1.mean) and empty.recall.count == 2


def test_contact_interval_is_that_of_the_f_of_resampled_sets():
    rng = np.random.default_rng(3)
    precision, recall = rng.beta(5, 2, 200), rng.beta(2, 2, 200)
    got = bootstrap_contact(precision, recall, resamples=2000)
    means = np.array([[x[i].mean() for x in (precision, recall)] for i in rng.integers(0, 200, (2000, 200))])
    scores = 2 * means.prod(axis=1) / means.sum(axis=1)
    np.testing.assert_allclose([got.f1.low, got.f1.high], np.quantile(scores, [0.025, 0.975]), atol=0.006)


@pytest.mark.parametrize("hits, count", [(0, 14), (14, 14), (7, 31), (25, 31)])
def test_the_interval_of_a_share_is_scipys(hits, count):
    from scipy.stats import binomtest

    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(wilson(hits, count), (expected.low, expected.high), atol=2e-5)
