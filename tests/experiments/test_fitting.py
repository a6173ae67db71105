"""The assembly of the fitting experiment: people, detectors, scores. Fits themselves are tests/optim/fitting's."""

import numpy as np
import pytest

from hoijax.experiments import fitting
from hoijax.experiments.fitting import Config


@pytest.fixture(scope="module")
def people():
    return fitting.make_people(Config(people=3))


def test_people_stand_before_their_cameras(people):
    assert people.joints.shape == (3, 22, 3) and len(people.actions) == 3
    assert (people.points[..., 2] > 0.3).all()
    projected = np.einsum("pij,pnj->pni", people.matrices, people.points)
    np.testing.assert_allclose(projected[..., :2] / projected[..., 2:], people.pixels, rtol=1e-6)
    assert ((people.pixels > -200) & (people.pixels < fitting.SIZE + 200)).all()
    # Joints and points are of one body: the ankles stand among the points.
    np.testing.assert_allclose(people.joints[:, 7], people.points[:, fitting.NAMES.index("left_ankle")], atol=1e-6)
    upright = people.joints[:, 15, 1] < people.joints[:, 0, 1]  # a head above the pelvis, y down
    assert upright.sum() >= 2


def test_detectors_say_what_is_true_or_that_with_noise(people):
    exact = fitting.observe_people(people, "pixels and metres", False, 0)
    np.testing.assert_allclose(exact[1].pixels, people.pixels[1], rtol=1e-6)
    np.testing.assert_allclose(exact[1].metric, people.points[1], rtol=1e-5)
    noisy = fitting.observe_people(people, "pixels", True, 0)
    spread = np.concatenate([o.pixels - p for o, p in zip(noisy, people.pixels)])
    assert 4 < spread.std() < 6 and not noisy[0].metric_weights.any()
    assert [camera.source for camera in fitting.cameras_of(people, "estimated")] == ["estimated"] * 3
    assert fitting.cameras_of(people, "known")[2].matrix[0, 0] == np.float32(people.matrices[2, 0, 0])


def test_the_score_of_the_truth_is_zero_and_of_a_shift_is_the_shift(people):
    fits = {"joints": people.joints, "std": np.full((3, 22), 0.01), "focal": people.matrices[:, 0, 0],
             "swap": np.zeros(3, int), "pixels": np.zeros(3)}  # fmt: skip
    perfect = fitting.score(fits, people)
    assert (perfect["joints"], perfect["camera"], perfect["focal"], perfect["within"]) == (0, 0, 0, 100)
    moved = fitting.score(fits | {"joints": people.joints + [0.03, 0, 0.04]}, people)
    assert (moved["joints"], moved["camera"]) == (0, 50)
    bent = people.joints.copy()
    bent[:, 20, 0] += 0.22
    assert fitting.score(fits | {"joints": bent}, people)["joints"] == 10  # one of 22 joints
    assert fitting.score(fits | {"swap": np.array([0, 1, 3])}, people)["swapped"] == 2


def test_the_page_has_every_row(people):
    row = {"landmarks": "pixels", "noise": "none", "focal": "known", "method": "Adam"}
    fits = {"joints": people.joints, "std": np.full((3, 22), 0.01), "focal": people.matrices[:, 0, 0],
             "swap": np.zeros(3, int), "pixels": np.zeros(3)}  # fmt: skip
    speed = dict.fromkeys(("first_person_with_compilation_s", "batch_ms_per_person", "singly_ms_per_person",
                           "largest_difference_mm"), 1.0)  # fmt: skip
    result = {"config": {"people": 64, "batch": 16}, "rows": [row | {"score": fitting.score(fits, people)}],
              "speed": speed, "device": "cpu", "cores": 2,
              "jax": "0", "seconds": 1.0}  # fmt: skip
    text = fitting.markdown(result)
    assert "| pixels | none | known | Adam | **0.0** |" in text and "| - | - |" in text
