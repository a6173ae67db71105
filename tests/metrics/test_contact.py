import math

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hoijax.metrics import (
    ContactCounts,
    contact_counts,
    contact_from_probabilities,
    contact_from_reconstruction,
    contact_from_reconstruction_host,
    f1_of_means,
    parts_in_contact,
    summarize_contact,
)

# Precision, recall and F as printed: specs/graft.md tables 2 and 3, specs/scorehoi.md tables 1 and 3.
GRAFT_ROWS = [
    (0.069, 0.253, 0.108), (0.538, 0.695, 0.606), (0.329, 0.356, 0.342), (0.282, 0.531, 0.368), (0.378, 0.655, 0.479),
    (0.441, 0.784, 0.565), (0.458, 0.144, 0.219), (0.427, 0.348, 0.383), (0.550, 0.424, 0.479), (0.362, 0.175, 0.236),
    (0.228, 0.324, 0.268), (0.350, 0.434, 0.387), (0.526, 0.627, 0.572), (0.310, 0.444, 0.365), (0.349, 0.499, 0.411),
    (0.270, 0.532, 0.358), (0.315, 0.509, 0.389), (0.420, 0.642, 0.508), (0.425, 0.752, 0.544), (0.449, 0.777, 0.569),
    (0.424, 0.538, 0.474), (0.408, 0.658, 0.504),
]  # fmt: skip
SCOREHOI_ROWS = [
    (0.393, 0.266, 0.317), (0.587, 0.472, 0.523), (0.628, 0.496, 0.554), (0.634, 0.586, 0.609), (0.228, 0.159, 0.187),
    (0.339, 0.253, 0.290), (0.661, 0.432, 0.522), (0.626, 0.549, 0.585), (0.628, 0.559, 0.591), (0.631, 0.566, 0.597),
    (0.624, 0.524, 0.570), (0.632, 0.525, 0.574), (0.619, 0.567, 0.592), (0.631, 0.577, 0.602),
]  # fmt: skip


@pytest.mark.parametrize(("precision", "recall", "f1"), GRAFT_ROWS + SCOREHOI_ROWS)
def test_f1_of_means_reproduces_the_published_tables(precision, recall, f1):
    # The columns are rounded to three digits; the largest difference is 0.00092.
    assert abs(f1_of_means(precision, recall) - f1) < 1e-3


@pytest.mark.parametrize(
    ("precision", "recall", "printed", "recomputed"),
    [(0.627, 0.590, 0.578, 0.608), (0.612, 0.523, 0.588, 0.564), (0.628, 0.545, 0.577, 0.584)],
)
def test_three_printed_rows_are_not_the_f_of_their_columns(precision, recall, printed, recomputed):
    assert abs(f1_of_means(precision, recall) - recomputed) < 1e-3 < abs(printed - recomputed)


def reference_scores(predicted, actual):
    """Loop over images with explicit skipping (specs/datasets.md 7.4)."""
    precisions, recalls = [], []
    for p, a in zip(predicted, actual, strict=True):
        hits = len(set(np.flatnonzero(p)) & set(np.flatnonzero(a)))
        if p.any():
            precisions.append(hits / p.sum())
        if a.any():
            recalls.append(hits / a.sum())
    return np.mean(precisions), np.mean(recalls), len(precisions), len(recalls)


def test_scores_match_a_loop_over_images():
    rng = np.random.default_rng(0)
    predicted, actual = rng.random((20, 50)) < 0.3, rng.random((20, 50)) < 0.2
    predicted[3:6], actual[5:9] = False, False
    got = summarize_contact(contact_counts(predicted, actual))
    p, r, n_p, n_r = reference_scores(predicted, actual)
    assert (got.precision_count, got.recall_count, got.count) == (n_p, n_r, 20) == (17, 16, 20)
    np.testing.assert_allclose([got.precision, got.recall, got.f1], [p, r, 2 * p * r / (p + r)], rtol=1e-12)
    mask = rng.random((20, 50)) < 0.5
    got = summarize_contact(jax.jit(contact_counts)(predicted, actual, mask=mask))
    np.testing.assert_allclose([got.precision, got.recall], reference_scores(predicted & mask, actual & mask)[:2])


def test_identical_sets_score_one():
    sets = np.random.default_rng(0).random((5, 30)) < 0.5
    got = summarize_contact(contact_counts(sets, sets))
    assert (got.precision, got.recall, got.f1) == (1, 1, 1)


def test_empty_sets_leave_only_the_mean_they_cannot_speak_for():
    full, empty = np.ones(4, bool), np.zeros(4, bool)
    got = summarize_contact(contact_counts(np.stack([full, empty]), np.stack([full, full])))
    assert (got.precision, got.recall, got.precision_count, got.recall_count) == (1, 0.5, 1, 2)
    got = summarize_contact(contact_counts(np.stack([full, empty]), np.stack([full, empty])))
    assert (got.precision_count, got.recall_count, got.count, got.f1) == (1, 1, 2, 1)
    got = summarize_contact(contact_counts(np.stack([empty] * 3), np.stack([empty] * 3)))
    assert math.isnan(got.precision) and math.isnan(got.recall) and math.isnan(got.f1)
    assert (got.precision_count, got.recall_count, got.count) == (0, 0, 3)
    # All wrong is zero, and not undefined.
    assert summarize_contact(ContactCounts(0, 5, 5)).f1 == 0


def test_contact_from_reconstruction_matches_scipy_and_is_not_scale_invariant():
    rng = np.random.default_rng(1)
    body, object = rng.normal(size=(200, 3)) * 0.3, rng.normal(size=(70, 3)) * 0.1
    want = cdist(body, object).min(1) < 0.05
    assert 5 < want.sum() < 195
    np.testing.assert_array_equal(contact_from_reconstruction(body, object, threshold=0.05, tile=32), want)
    np.testing.assert_array_equal(contact_from_reconstruction_host(body, object, threshold=0.05), want)
    assert contact_from_reconstruction(body * 2, object * 2, threshold=0.05).sum() < want.sum()


def test_contact_from_probabilities():
    probabilities = np.array([[0.5, 0.51, 0.0], [1.0, 0.2, 0.9]])
    np.testing.assert_array_equal(contact_from_probabilities(probabilities), [[0, 1, 0], [1, 0, 1]])
    upsample = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 0.3, 0.7]])
    np.testing.assert_array_equal(
        contact_from_probabilities(probabilities, upsample=upsample), (probabilities @ upsample.T) > 0.5
    )


def test_parts_in_contact():
    distance = np.array([0.5, 0.019, -0.01, 0.3])
    regions = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(parts_in_contact(distance, regions, threshold=0.02), [True, False, True, False])
