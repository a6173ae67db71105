"""Outlines: cutting masks, and following one whose body is known."""

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.optim.fitting import (
    OutlineConfig,
    outline_target,
)


def test_a_target_is_the_mask_about_its_middle():
    mask = np.zeros((300, 400), bool)
    mask[100:200, 150:190] = True
    target = outline_target(mask, size=31, margin=0.12)
    np.testing.assert_allclose(target.box, [170 - 62, 150 - 62, 124, 124])
    assert target.covered.shape == (31, 31)
    np.testing.assert_allclose(target.valid, 1, atol=1e-5)
    np.testing.assert_allclose(target.covered.sum() * 16, mask.sum(), rtol=1e-3)
    y, x = np.mgrid[:31, :31] + 0.5
    weight = target.covered / target.covered.sum()
    np.testing.assert_allclose([(weight * x).sum() * 4 + 108, (weight * y).sum() * 4 + 88], [170, 150], atol=0.1)


def test_outside_of_the_picture_and_behind_things_nothing_is_known():
    mask = np.zeros((100, 100), bool)
    mask[40:, 30:60] = True  # cut off below
    hidden = np.zeros((100, 100), bool)
    hidden[50:60] = True
    target = outline_target(mask, hidden=hidden, size=32)
    _left, top, side, _ = target.box
    rows = top + (np.arange(32) + 0.5) * side / 32
    assert (target.valid[rows > 101] == 0).all() and target.valid[(rows > 62) & (rows < 98), 16].min() == 1
    assert (target.valid[(rows > 52) & (rows < 58)] == 0).all()
    assert target.covered[np.searchsorted(rows, 80), 16] == 1  # not diluted by what is hidden beside it


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"mask": np.zeros((40, 40), bool)}, "empty"),
        ({"mask": np.full((40, 40), 255.0)}, "probabilities"),
        ({"mask": np.ones((40, 40), bool), "hidden": np.zeros((40, 41), bool)}, r"\(40, 41\)"),
        ({"mask": np.ones((40, 40), bool), "size": 4}, "at least 16"),
    ],
)
def test_no_mask(arguments, told):
    with pytest.raises(InputError, match=told):
        outline_target(**arguments)
    with pytest.raises(InputError):
        OutlineConfig(steps=0)
