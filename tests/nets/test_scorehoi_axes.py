"""The pieces that ScoreHOI's assembly is made of answer alike for one sample and for any leading axes."""

import numpy as np
import pytest

from hoijax.nets.scorehoi import camera_translation, project_to_crop
from hoijax.nets.scorehoi.heads import restore_boxes
from hoijax.nets.scorehoi.state import BetasRange, pack, unpack

RANGE = BetasRange(low=np.linspace(-3, -1, 10), high=np.linspace(2, 3, 10))
CASES = {
    "camera_translation": (camera_translation, (3,)),
    "project_to_crop": (lambda points, move: project_to_crop(points, 4.0 + move), (5, 3), (3,)),
    "restore_boxes": (restore_boxes, (2,), (2,)),
    "normalise": (RANGE.normalise, (10,)),
    "unpack": (unpack, (331,)),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sample_a_batch_and_any_axes_give_the_same(every_way, name):
    function, *shapes = CASES[name]
    rng = np.random.default_rng(0)
    every_way(function, *(rng.normal(size=(3, *shape)) for shape in shapes))


def test_packing_keeps_every_number():
    x = np.random.default_rng(0).normal(size=(2, 331))
    np.testing.assert_array_equal(pack(unpack(x)), x)
