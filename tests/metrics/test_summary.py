import math

import numpy as np

from hoijax.metrics import bootstrap_mean


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
