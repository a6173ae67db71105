"""What counts as seen."""

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.optim.fitting import MEDIAPIPE_BODY, hand_names, observe, observe_mediapipe, stack_observations, with_hands

NAMES = ("left_knee", "", "right_knee", "nose")


def test_columns_stay_with_their_names():
    pixels = np.arange(8.0).reshape(4, 2) * 10
    seen = observe(NAMES, pixels, [0.1, 0.2, 0.3, 1.0], metric=np.arange(12.0).reshape(4, 3), spread=0.0)
    assert seen.names == ("left_knee", "right_knee", "nose") and seen.pixels.dtype == np.float32
    np.testing.assert_array_equal(seen.pixels, pixels[[0, 2, 3]])
    np.testing.assert_allclose(seen.weights, [0.1, 0.3, 1.0])
    np.testing.assert_array_equal(seen.metric, np.arange(12.0).reshape(4, 3)[[0, 2, 3]])
    np.testing.assert_allclose(seen.metric_weights, [0.1, 0.3, 1.0])
    np.testing.assert_allclose(seen.pixel_std, max(0.5, 0.006 * np.hypot(60, 60)), rtol=1e-6)
    assert (observe(NAMES, pixels).metric_weights == 0).all()


def test_outside_of_the_picture_and_not_a_number_is_not_seen():
    pixels = np.array([[10.0, 10], [0, 0], [-1, 5], [np.nan, 5]])
    seen = observe(NAMES, pixels, metric=np.zeros((4, 3)), image_size=(20, 30))
    np.testing.assert_array_equal(seen.weights, [1, 0, 0])
    np.testing.assert_array_equal(seen.metric_weights, [1, 0, 0])  # what is invented in pixels is in metres as well
    assert np.isfinite(seen.pixels).all()
    believed = observe(NAMES, pixels, metric=np.zeros((4, 3)), metric_weights=np.full(4, 0.5), image_size=(20, 30))
    np.testing.assert_array_equal(believed.metric_weights, [0.5, 0, 0])
    edge = observe(("nose", "neck"), [[30.0, 20.0], [30.1, 20.0]], image_size=(20, 30))
    np.testing.assert_array_equal(edge.weights, [1, 0])  # height comes first, pixels x first


def test_invisible_landmarks_have_no_metres_either():
    landmarks, visibility = np.full((33, 3), 50.0), np.full(33, 0.9)
    visibility[MEDIAPIPE_BODY.index("left_ankle")] = 0.3
    seen = observe_mediapipe(landmarks, visibility, np.ones((33, 3)), image_size=(100, 100))
    place = seen.names.index("left_ankle")
    assert seen.weights[place] == seen.metric_weights[place] == 0
    assert seen.weights[seen.names.index("left_knee")] == pytest.approx(0.9)
    assert seen.metric_frame == "view"


def test_hands_need_a_score():
    body = observe_mediapipe(np.full((33, 3), 50.0), np.ones(33))
    hand = np.arange(63.0).reshape(21, 3)
    seen = with_hands(observe(("nose",), [[1.0, 2.0]]), {"left": (hand, 0.8), "right": (hand, 0.4)})
    assert seen.names == ("nose", *hand_names("left"), *hand_names("right"))
    np.testing.assert_allclose(seen.weights, [1, *[0.8] * 21, *[0] * 21])
    np.testing.assert_array_equal(seen.pixels[1:22], hand[:, :2])
    assert seen.groups == (0, *(1,) * 21, *(2,) * 21)
    np.testing.assert_allclose(seen.pixel_std[1:22], 0.03 * np.hypot(60, 60), rtol=1e-6)
    assert len(body.names) + 42 == len(with_hands(body, {}).names)


def test_a_batch_needs_the_same_points():
    one, other = observe(NAMES, np.zeros((4, 2))), observe(("nose",), np.zeros((1, 2)))
    assert stack_observations([one, one]).pixels.shape == (2, 3, 2)
    with pytest.raises(InputError, match="same points"):
        stack_observations([one, other])
    with pytest.raises(InputError, match="no observation"):
        stack_observations([])


@pytest.mark.parametrize(
    "change, told",
    [
        ({"pixels": np.zeros((3, 2))}, r"\(3, 2\); wanted is \(4, 2\)"),
        ({"weights": [0, 0, 0, 1.5]}, "weights"),
        ({"weights": [0, 0, 0, np.nan]}, "weights"),
        ({"metric": np.zeros((4, 2))}, "metric"),
        ({"pixel_std": 0.0}, "pixel_std"),
        ({"spread": -1.0}, "spread"),
        ({"metric_frame": "world"}, "'world'"),
        ({"groups": ["body"]}, "groups"),
        ({"names": ("", "", "", "")}, "named point"),
    ],
)
def test_what_does_not_fit_is_refused(change, told):
    arguments = {"names": NAMES, "pixels": np.zeros((4, 2))} | change
    with pytest.raises(InputError, match=told):
        observe(arguments.pop("names"), arguments.pop("pixels"), **arguments)


@pytest.mark.parametrize(
    "hands", [{"left": (np.zeros((20, 2)), 0.9)}, {"left": (np.zeros((21, 2)), 7.0)}, {"up": (np.zeros((21, 2)), 1.0)}]
)
def test_hands_that_are_none(hands):
    with pytest.raises(InputError, match="hand"):
        with_hands(observe(("nose",), [[1.0, 2.0]]), hands)
