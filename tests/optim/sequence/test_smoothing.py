import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.optim.sequence.smoothing import (
    GAP,
    noise_of,
    second_differences,
    smooth,
    smooth_rotations,
    step_smoother,
    still_spans,
)

FRAMES = np.arange(90)
NATURAL = 3.0 / 30**2
CORNERS = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.2, 0.2) for z in (-0.2, 0.2)])


def wave(frames=FRAMES):
    t = frames / 30
    return np.stack([0.3 * np.sin(2 * t), 0.1 * np.cos(3 * t), 0.2 * t], axis=1)


def noisy(values, seed=0, size=0.02):
    return values + size * np.random.default_rng(seed).normal(size=values.shape)


def jitter(points):
    return np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean()


def test_second_differences_of_a_parabola_are_two_whatever_frames_are_missing():
    frames = np.array([0, 1, 2, 5, 6, 10, 11, 12])
    differences = second_differences(frames)
    np.testing.assert_allclose(differences @ (frames**2.0), 2.0, atol=1e-12)
    np.testing.assert_allclose(second_differences(np.arange(3)).toarray(), [[1, -2, 1]])


def test_frames_beyond_a_gap_say_nothing_of_each_other():
    frames = np.array([0, 1, 2, 2 + GAP, 3 + GAP, 4 + GAP])
    rows = second_differences(frames).toarray()
    np.testing.assert_array_equal(np.abs(rows).sum(axis=1) > 0, [True, False, False, True])
    assert second_differences(np.arange(2)).shape == (0, 2)


def test_noise_is_measured_through_motion():
    values = noisy(wave(np.arange(2000)), size=0.02)
    found = noise_of(values, second_differences(np.arange(2000)), 0.001)
    np.testing.assert_allclose(found, 0.02, rtol=0.1)
    assert noise_of(np.zeros((90, 2)), second_differences(FRAMES), 0.001).tolist() == [0.001] * 2


def test_a_smoothed_track_is_nearer_to_the_truth_and_calm():
    values = noisy(wave())
    found, noise = smooth(values, FRAMES, NATURAL, 0.001)
    off = lambda x: np.linalg.norm(x - wave(), axis=1).mean()  # noqa: E731
    assert off(found) < 0.4 * off(values)
    assert jitter(found) < 0.05 * jitter(values)
    assert (np.abs(noise - 0.02) < 0.006).all()


def test_smoothing_solves_its_normal_equations():
    values = noisy(wave(np.arange(12)))
    frames = np.array([0, 1, 2, 3, 5, 6, 7, 8, 20, 21, 22, 23])
    found, noise = smooth(values, frames, NATURAL, 0.001)
    trust, matrix = np.ones(12), second_differences(frames).toarray()
    for _ in range(60):  # to the fixed point, by dense matrices
        normal = [np.diag(trust) + (n / NATURAL) ** 2 * matrix.T @ matrix for n in noise]
        out = np.stack([np.linalg.solve(a, trust * y) for a, y in zip(normal, values.T)], axis=1)
        trust = 1.0 / (1.0 + np.mean(((values - out) / noise) ** 2, axis=1) / 9)
    np.testing.assert_allclose(found, out, atol=2e-4)


def test_an_outlier_is_left_out():
    values = noisy(wave(), size=0.002)
    values[40] += 1.0
    found, _ = smooth(values, FRAMES, NATURAL, 0.001)
    assert np.linalg.norm(found - wave(), axis=1).max() < 0.02


def test_clean_tracks_stay_as_they_are():
    found, _ = smooth(wave(), FRAMES, NATURAL, 0.001)
    assert np.linalg.norm(found - wave(), axis=1).max() < 0.002


def test_rotations_are_smoothed_whatever_the_signs_of_their_quaternions():
    turns = np.linspace(0, 2.5 * np.pi, 90)[:, None] * [0.0, 1.0, 0.0]
    true = Rotation.from_rotvec(turns)
    noise = Rotation.from_rotvec(0.05 * np.random.default_rng(0).normal(size=(90, 3)))
    found, size = smooth_rotations((true * noise).as_matrix(), FRAMES, 20 / 900, 0.005)
    off = (true.inv() * Rotation.from_matrix(found)).magnitude()
    assert off.mean() < 0.5 * noise.magnitude().mean()
    assert off.max() < 0.1
    assert 0.04 < size < 0.065


def test_steps_are_smooth_symmetric_and_held():
    moving = np.ones(90, bool)
    matrix = step_smoother(FRAMES, moving, FRAMES, 30.0)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-9)
    assert jitter((matrix @ np.random.default_rng(0).normal(size=90))[:, None]) < 0.1
    moving[:10] = False
    held = step_smoother(FRAMES, moving, FRAMES, 30.0)
    assert not held[:10].any()
    assert not held[:, :10].any()
    assert np.abs(held[10]).max() < 0.2 * np.abs(held[40]).max()  # steps grow from what is held, without a jump


def test_frames_of_one_group_move_as_one_and_a_held_one_holds_its_group():
    groups = np.where(FRAMES < 30, 0, FRAMES)
    matrix = step_smoother(FRAMES, np.ones(90, bool), groups, 30.0)
    np.testing.assert_allclose(matrix[:30], np.broadcast_to(matrix[0], (30, 90)), atol=1e-12)
    gradient = np.zeros(90)
    gradient[:30] = 1.0
    assert (matrix @ gradient)[0] == pytest.approx(1.0, abs=0.15)
    moving = FRAMES > 0
    assert not step_smoother(FRAMES, moving, groups, 30.0)[:30].any()


def spans(places, frames=FRAMES, seed=0):
    smoothed, noise = smooth(noisy(places, seed), frames, NATURAL, 0.001)
    points = (smoothed[:, None] + CORNERS).reshape(len(frames), -1)
    return still_spans(points, float(np.linalg.norm(noise)), frames, 30.0)


@pytest.mark.parametrize("seed", range(4))
def test_what_stands_is_found_still_and_what_moves_is_not(seed):
    t = FRAMES[:, None] / 30
    assert spans(np.zeros((90, 3)), seed=seed) == [(0, 90)]
    assert spans(wave(), seed=seed) == []
    assert spans(0.05 * t * [1, 0, 0], seed=seed) == []  # slowly is no staircase
    assert (0, 90) not in spans(0.02 * t * [1, 0, 0], seed=seed)  # a steady drift within the tolerance is none
    (a, b), (c, d) = spans(np.clip(t - 1, 0, 1) * [0.5, 0.2, 0.0], seed=seed)
    assert (a, d) == (0, 90)
    assert 24 <= b <= 34
    assert 56 <= c <= 66


def test_a_short_track_that_stands_is_still_and_a_short_stop_is_not():
    few = np.arange(6)
    assert spans(np.zeros((6, 3)), few) == [(0, 6)]
    t = FRAMES / 30
    walk = np.where(t < 1.4, t, np.maximum(1.4, t - 0.3))[:, None] * [1.0, 0.0, 0.0]
    assert spans(walk) == []
