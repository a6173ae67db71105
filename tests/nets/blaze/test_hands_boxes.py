"""Hands and boxes: regions by hand-made cases, and answers in the picture's frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.nets.blaze import HAND_NAMES, LANDMARK_NAMES, RawHand, Region, box_region, find_boxes, find_hands
from hoijax.nets.blaze.hands import decode_hand, hand_regions, wrist_regions
from hoijax.nets.blaze.regions import crop, to_crop
from hoijax.nets.blaze.regressors import run_box_network, run_hand_network


def arms():
    """A person whose left hand points right and whose right hand points down."""
    landmarks = np.zeros((1, 33, 3))
    places = {"left_elbow": (60, 50), "left_wrist": (100, 50), "left_index": (110, 49), "left_pinky": (110, 52)}
    places |= {"right_elbow": (20, 60), "right_wrist": (20, 90), "right_index": (21, 120), "right_pinky": (18, 120)}
    for name, place in places.items():
        landmarks[0, LANDMARK_NAMES.index(name), :2] = place
    return landmarks


def test_wrist_regions_hold_the_fingers_up():
    squares = wrist_regions(arms())
    np.testing.assert_allclose(squares.centre[0, 0], [[110, 50], [20, 120]])
    np.testing.assert_allclose(squares.angle[:, 0], [[np.pi / 2, np.pi], [np.pi / 2, np.pi]], atol=1e-12)
    np.testing.assert_allclose(squares.size[0, 0], [max(4 * 10, 0.9 * 40), max(4 * 30, 0.9 * 30)])
    np.testing.assert_allclose(squares.centre[1, 0], [[114, 50], [20, 100.5]])
    np.testing.assert_allclose(squares.size[1, 0], [48, 36])


def test_a_hands_own_region_is_about_its_points():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 21, 2)) * 30 + 100
    square = hand_regions(points)
    inside = np.asarray(to_crop(points, square))
    wrist, knuckle = inside[:, HAND_NAMES.index("wrist")], inside[:, HAND_NAMES.index("middle_mcp")]
    np.testing.assert_allclose(wrist[:, 0], knuckle[:, 0], atol=1e-9)
    assert (knuckle[:, 1] < wrist[:, 1]).all()
    low, high = inside.min(1), inside.max(1)
    np.testing.assert_allclose((high - low).max(-1), 0.5)
    np.testing.assert_allclose((low + high) / 2, np.broadcast_to([0.5, 0.55], (3, 2)))


def test_a_hand_turns_with_its_region():
    rng = np.random.default_rng(1)
    raw = RawHand(
        points=jnp.asarray(rng.random((2, 21, 3)) * 224),
        metric=jnp.asarray(rng.normal(size=(2, 21, 3))),
        score=jnp.ones(2),
        right=jnp.ones(2),
    )
    square = Region(
        centre=jnp.asarray([[5.0, 6], [7, 8]]), size=jnp.asarray([112.0, 448]), angle=jnp.asarray([0.4, -2])
    )
    got = decode_hand(raw, square)
    np.testing.assert_allclose(np.asarray(to_crop(got.points[..., :2], square)) * 224, raw.points[..., :2], atol=1e-9)
    np.testing.assert_allclose(got.points[..., 2], raw.points[..., 2] * np.array([[0.5], [2]]))
    for i, angle in enumerate((0.4, -2)):
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        np.testing.assert_allclose(got.metric[i, :, :2], np.asarray(raw.metric[i, :, :2]) @ rotation.T, atol=1e-12)


@pytest.fixture(scope="module")
def person(found, photograph):
    return jax.tree.map(lambda x: x[:1], found.run(photograph))


@pytest.fixture(scope="module")
def hands(weights, person, photograph):
    return find_hands(weights("hand"), photograph, person)


def look(weights, picture, squares):
    """The network's answer in squares, by parts that other tests check."""
    count = squares.size.shape[0]
    seen = [crop(picture, jax.tree.map(lambda x, i=i: x[i], squares), 224, "edge", 2) for i in range(count)]
    return decode_hand(run_hand_network(weights("hand"), np.stack(seen)), squares)


def test_hands_are_the_best_answer_about_the_wrists(hands, person, weights, photograph):
    assert hands.points.shape == (1, 2, 21, 3)
    scores = look(
        weights, photograph, jax.tree.map(lambda x: x.reshape(4, *x.shape[3:]), wrist_regions(person.landmarks))
    )
    assert (hands.score[0] >= scores.score.reshape(2, 2).max(0) - 1e-6).all()


def test_a_hands_points_are_those_of_its_region(hands, weights, photograph):
    again = look(weights, photograph, jax.tree.map(lambda x: x[0], hands.region))
    np.testing.assert_allclose(again.points, hands.points[0], atol=0.02)


def test_nobody_has_no_hands(weights, person, photograph):
    nobody = person.replace(score=jnp.zeros(1, jnp.float32))
    assert (find_hands(weights("hand"), photograph, nobody).score == 0).all()


def test_boxes_come_back_into_the_picture(weights, photograph):
    square = jax.tree.map(lambda x: x[None], box_region(jnp.float32([40, 60, 200, 260])))
    got = find_boxes(weights("cup"), photograph, square)
    seen = crop(photograph, jax.tree.map(lambda x: x[0], square), 224, "edge", 2)
    points, score = run_box_network(weights("cup"), seen[None])
    np.testing.assert_allclose(got.points[0], [120, 160] + (np.asarray(points[0]) / 224 - 0.5) * 300, atol=1e-2)
    np.testing.assert_allclose(got.score, score, atol=1e-5)
