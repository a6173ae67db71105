"""How people of pictures are scored against their truth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.experiments import photo_truth
from hoijax.experiments.photo_truth import NAMES, SOURCES, joint_errors, markdown, observations, summary
from hoijax.nets.blaze import Person, Region


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).normal(size=(22, 3)) * 0.3 + [0, 0, 3]


def test_a_shift_is_seen_in_the_camera_alone_and_a_turn_not_after_aligning(truth):
    moved = joint_errors(truth + [0.03, 0, 0.04], truth)
    assert moved["camera"] == pytest.approx(50, abs=1e-3) and moved["pelvis"] == pytest.approx(0, abs=1e-3)
    turn = Rotation.from_rotvec([0, 0.4, 0]).as_matrix()
    turned = joint_errors(1.1 * (truth - truth[0]) @ turn.T + truth[0], truth)
    assert turned["pelvis"] > 50 and turned["aligned"] < 0.1
    one = truth.copy()
    one[7] += [0.22, 0, 0]
    assert joint_errors(one, truth)["pelvis"] == pytest.approx(10, abs=1e-6)
    one[0] -= [0.1, 0, 0]  # the pelvis is what all others are counted from
    assert joint_errors(one, truth)["pelvis"] > 90


def test_true_landmarks_lie_where_the_camera_sees_them_and_noise_is_five_pixels():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(len(NAMES), 3)) * 0.4 + [0.2, 0, 3]
    matrix = np.array([[500.0, 0, 250], [0, 510, 260], [0, 0, 1]])
    sample = {"intrinsics": matrix, "image": np.zeros((512, 512, 3), np.uint8)}
    landmarks = rng.uniform(0, 512, (33, 3)).astype(np.float32)
    region = Region(np.float32([256, 256]), np.float32(512), np.float32(0))
    person = Person(
        landmarks=landmarks, metric=np.zeros((33, 3), np.float32), visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32), mask=np.zeros((256, 256), np.float32), score=np.float32(1),
        box=np.zeros(4, np.float32), region=region, next_region=region,
    )  # fmt: skip
    seen = observations(sample, person, points, np.random.default_rng(2))
    assert tuple(seen) == SOURCES
    image = points @ matrix.T
    want = image[:, :2] / image[:, 2:]
    np.testing.assert_allclose(seen["true"].pixels, want, rtol=1e-5)
    noise = np.asarray(seen["true, with noise"].pixels) - want
    assert 4 < noise.std() < 6.5
    own = photo_truth._networks_error(sample, person, points, list(range(12)))
    away = np.linalg.norm(landmarks[photo_truth.KNOWN][:, :2] - want, axis=1)
    assert own["px"] == pytest.approx(np.median(away), rel=1e-4)


def test_the_page_says_how_many_were_found():
    rows = [{"pelvis": 100.0, "aligned": 60.0, "camera": 300.0}, {"pelvis": 50.0, "aligned": 40.0, "camera": 100.0}]
    score = summary(rows)
    assert score["pelvis"] == 75 and score["pelvis_median"] == 75 and score["camera"] == 200
    text = markdown({
        "rows": [{"source": "true", "focal": "known", "score": score}], "found": 23, "pictures": 24,
        "networks": score | {"px": 4.2}, "config": {"split": "val"}, "machine": "a machine", "seconds": 1.0,
    })  # fmt: skip
    assert "23 of 24 people" in text and "| true | known | 75 | 75 | 50 | 200 |" in text
