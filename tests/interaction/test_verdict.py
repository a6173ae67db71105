import jax
import numpy as np
import pytest

from hoijax.interaction import THRESHOLDS, Thresholds, judge

GOOD = dict(penetration=0.004, contact=[0.01, 0.0], moved=0.1, tilt=0.05)


def of(**changes):
    return judge(**{key: np.asarray(value) for key, value in (GOOD | changes).items()})


def test_a_good_interaction_is_reached_and_nothing_else():
    assert of().words(("buttocks", "back")) == ("reached",)
    assert bool(of().good)


@pytest.mark.parametrize(
    "changes, words, reached",
    [
        ({"contact": [0.01, 0.021]}, ("missed: back",), False),
        ({"contact": [0.03, 0.021]}, ("missed: buttocks, back",), False),
        ({"penetration": 0.0101}, ("penetrates",), False),
        ({"moved": 0.51}, ("reached", "moved far"), True),
        ({"tilt": np.radians(21)}, ("reached", "tipped"), True),
        ({"tilt": np.radians(19)}, ("reached",), True),
        ({"penetration": np.nan}, ("penetrates",), False),
        ({"contact": [np.nan, 0.0], "tilt": 3.0}, ("missed: buttocks", "tipped"), False),
    ],
)
def test_each_threshold_decides_its_word(changes, words, reached):
    got = of(**changes)
    assert got.words(("buttocks", "back")) == words
    assert bool(got.reached) == reached
    assert bool(got.good) == (words == ("reached",))


def test_leading_axes_and_jit_agree_with_one_at_a_time():
    rng = np.random.default_rng(0)
    rows = (
        rng.uniform(0, 0.02, (3, 4)),
        rng.uniform(0, 0.03, (3, 4, 2)),
        rng.uniform(0, 1, (3, 4)),
        rng.uniform(0, 0.7, (3, 4)),
    )
    many = jax.jit(judge)(*rows)
    for index in np.ndindex(3, 4):
        one = judge(*(np.asarray(row[index]) for row in rows))
        assert bool(one.good) == bool(many.good[index])
        np.testing.assert_array_equal(one.missed, many.missed[index])


def test_thresholds_can_be_given_and_are_checked():
    strict = Thresholds(deep=0.003, far=THRESHOLDS.far)
    assert judge(np.asarray(0.004), np.zeros(1), np.asarray(0.0), np.asarray(0.0), strict).words(("back",)) == (
        "penetrates",
    )
    with pytest.raises(ValueError, match="far must be positive"):
        Thresholds(far=0.0)
