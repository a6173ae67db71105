"""Masks grown from a box, a click or the frame before, on pictures whose truth is drawn."""

import sys

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.jobs.grown_masks import follow_mask, grow_mask, require_growing
from hoijax.jobs.photographs import Spot

pytest.importorskip("cv2")
HEIGHT, WIDTH = 180, 240


def scene(centre=(120, 90), radius=28):
    """A reddish disc on a mottled green ground, and where it is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = np.hypot(x - centre[0], y - centre[1]) < radius
    image = np.where(disc[..., None], [190, 60, 50], [60, 120, 70]) + rng.normal(0, 14, (HEIGHT, WIDTH, 3))
    return np.clip(image, 0, 255).astype(np.uint8), disc


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize(
    "spot", [Spot(box=(86, 56, 155, 125)), Spot(click=(125.5, 95.5)), Spot(box=(70, 40, 170, 140), click=(120.5, 90.5))]
)
def test_a_disc_is_grown_from_a_box_and_from_a_click(spot):
    image, disc = scene()
    mask, notes = grow_mask(image, spot)
    assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool
    assert overlap(mask, disc) > 0.93
    assert notes == ("the object's mask was grown: look at object_mask.png",)


def test_the_same_spot_grows_the_same_mask():
    image, _ = scene()
    first, second = (grow_mask(image, Spot(box=(80, 50, 160, 130)))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_is_the_persons_for_sure_is_not_the_objects():
    """Somebody in the object's colour but for a sleeve stands before its left half."""
    image, disc = scene()
    person = np.zeros_like(disc)
    person[:, :120] = True
    image[:, 100:120] = image[:, 100:120] // 4 + [0, 0, 150]
    without, _ = grow_mask(image, Spot(box=(86, 56, 155, 125)))
    mask, _ = grow_mask(image, Spot(box=(86, 56, 155, 125)), person)
    assert (without & person).sum() > 100 and not (mask & person)[:, :118].any()
    assert overlap(mask, disc & ~person) > 0.9


def test_a_large_picture_is_looked_at_small_and_answered_whole():
    image, disc = scene()
    large, wanted = np.kron(image, np.ones((5, 5, 1), np.uint8)), np.kron(disc, np.ones((5, 5), bool))
    mask, _ = grow_mask(large, Spot(box=(430, 280, 775, 625)))
    assert mask.shape == wanted.shape and overlap(mask, wanted) > 0.93


def test_specks_in_the_box_are_dropped():
    image, disc = scene()
    image[60:64, 150:154] = [190, 60, 50]
    mask, _ = grow_mask(image, Spot(box=(86, 56, 158, 125)))
    assert not mask[60:64, 150:154].any() and overlap(mask, disc) > 0.93


def test_a_box_in_which_nothing_differs_is_noted_or_refused():
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    try:
        _, notes = grow_mask(image, Spot(box=(60, 40, 160, 140)))
    except InputError as error:
        assert "no object can be told" in str(error)
    else:
        assert "fills its box" in notes[-1]


def test_a_spot_that_is_all_the_persons_is_refused():
    image, _ = scene()
    with pytest.raises(InputError, match="no object can be told from what is around it"):
        grow_mask(image, Spot(box=(86, 56, 155, 125)), np.ones((HEIGHT, WIDTH), bool))


def test_the_object_is_followed_into_the_next_frame():
    before = scene()[1]
    image, disc = scene(centre=(127, 85))
    mask, notes = follow_mask(image, before)
    assert overlap(mask, disc) > 0.93 > overlap(before, disc) and "followed" in notes[0]
    with pytest.raises(InputError, match="lost: the frame before shows nothing"):
        follow_mask(image, np.zeros_like(before))
    with pytest.raises(InputError, match="lost"):
        follow_mask(scene(centre=(-80, -80))[0], before, before)


def test_without_opencv_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'hoijax\[masks\]'"):
        require_growing()
    with pytest.raises(InputError, match=r"hoijax\[masks\]"):
        grow_mask(scene()[0], Spot(click=(120, 90)))
    with pytest.raises(InputError, match=r"followed from frame to frame by OpenCV; pip install 'hoijax\[masks\]'"):
        follow_mask(scene()[0], scene()[1])
