"""Distances along surfaces and per-sample scores, by hand."""

import numpy as np
import trimesh

from hoijax.metrics import geodesic_distances_host, geodesic_error_host, vertex_scores_host

# A strip of six vertices: 0-1-2 above 3-4-5, spaced by 1 m across and along.
STRIP = np.array([[x, y, 0.0] for y in (1, 0) for x in (0, 1, 2)])
FACES = np.array([[0, 3, 1], [3, 4, 1], [1, 4, 2], [4, 5, 2]])


def mask(*ids, count=6):
    out = np.zeros(count, bool)
    out[list(ids)] = True
    return out


def test_paths_follow_edges():
    distances = geodesic_distances_host(STRIP, FACES)
    np.testing.assert_allclose(distances[0], [0, 1, 2, 1, 2, 3])  # 0 to 4: no edge across that square
    np.testing.assert_allclose(distances[3], [1, np.sqrt(2), 1 + np.sqrt(2), 0, 1, 2])
    np.testing.assert_array_equal(geodesic_distances_host(STRIP, FACES, np.array([3, 0])), distances[[3, 0]])
    apart = geodesic_distances_host(np.concatenate([STRIP, STRIP + 9]), np.concatenate([FACES, FACES + 6]))
    assert np.isinf(apart[0, 6]) and np.isfinite(apart[6, 11])


def test_paths_on_a_ball_are_arcs():
    ball = trimesh.creation.icosphere(3)
    far = geodesic_distances_host(ball.vertices, ball.faces, np.array([0]))[0].max()
    assert np.pi < far < 1.15 * np.pi


def test_error_is_from_the_prediction_to_the_truth():
    distances = geodesic_distances_host(STRIP, FACES)
    got = geodesic_error_host(mask(0, 2), mask(0), distances)
    assert (got.false_positive_cm, got.false_negative_cm) == (100.0, 0.0)
    turned = geodesic_error_host(mask(0), mask(0, 2), distances)
    assert (turned.false_positive_cm, turned.false_negative_cm) == (0.0, 100.0)
    nothing = geodesic_error_host(mask(), mask(0), distances)
    np.testing.assert_allclose(nothing.false_positive_cm, 100 * np.mean([0, 1, 2, 1, 2, 3]))
    assert geodesic_error_host(mask(1), mask(), distances).false_positive_cm == 0


def test_scores_of_a_sample():
    got = vertex_scores_host(mask(0, 1, 2), mask(2, 3))
    np.testing.assert_allclose((got.precision, got.recall, got.f1), (1 / 3, 1 / 2, 2 / 5))
    for empty, nothing_said, nothing_true in (("zero", (0, 0, 0), (0, 0, 0)), ("deco", (0, 1, 0), (0, 0, 1))):
        got = vertex_scores_host(mask(), mask(1), empty=empty)
        assert (got.f1, got.precision, got.recall) == nothing_said
        got = vertex_scores_host(mask(1), mask(), empty=empty)
        assert (got.f1, got.precision, got.recall) == nothing_true
