"""How people of pictures are scored against their truth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.experiments import photo_truth
from hoijax.experiments.photo_truth import NAMES, SOURCES, Config, joint_errors, markdown, observations, summary
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


def drawn(count, size=64):
    """What `open_split` answers of pictures in which nobody can be seen."""
    image = np.full((size, size, 3), 128, np.uint8)
    return [{"image": image, "intrinsics": np.diag([60.0, 60.0, 1.0])} for _ in range(count)]


def test_nobody_found_in_any_picture_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    looked, pages = [], []
    region = Region(np.zeros((1, 2), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))
    nobody = Person(
        landmarks=np.zeros((1, 33, 3), np.float32), metric=np.zeros((1, 33, 3), np.float32),
        visibility=np.ones((1, 33), np.float32), presence=np.ones((1, 33), np.float32),
        mask=np.zeros((1, 256, 256), np.float32), score=np.zeros(1, np.float32), box=np.zeros((1, 4), np.float32),
        region=region, next_region=region,
    )  # fmt: skip

    def find(networks, picture, max_people):
        assert set(networks) == {"detector", "landmarks"} and picture.min() >= 0 and picture.max() <= 1
        looked.append(picture.shape)
        # Half a belief is nobody's.
        return nobody.replace(score=np.float32([0.5 if len(looked) == 1 else 0.0]))

    monkeypatch.setattr(photo_truth, "open_split", lambda root, split: drawn(5))
    monkeypatch.setattr(photo_truth, "find_people", find)
    monkeypatch.setattr(photo_truth, "write_page", lambda *args: pages.append(args))
    with pytest.raises(
        InputError, match=r"nobody is found in the first 3 pictures of val .* larger --count.*image_size"
    ):
        photo_truth.main(Config(root=tmp_path, count=3, out=tmp_path / "out"))
    assert looked == [(64, 64, 3)] * 3 and not pages
    # As many as there are, if more are asked for.
    with pytest.raises(InputError, match="first 5 pictures"):
        photo_truth.main(Config(root=tmp_path, count=9, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
