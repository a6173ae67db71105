"""GRAFT can learn: one start in one room is undone after some hundred steps (specs/graft.md 17.19)."""

import dataclasses

import pytest

from hoijax.errors import InputError
from hoijax.experiments.graft.overfit import Config, overfit
from hoijax.nets.graft import GraftConfig


@pytest.mark.slow
def test_one_start_is_learned_by_heart():
    """V2S under 5 mm, from several centimetres."""
    network = dataclasses.replace(GraftConfig.small(), width=64, layers=2, feedforward=64, head_hidden=64)
    found = overfit(Config(samples=1, batch=1, steps=350, rate=3e-3), network)
    assert found["loss"][1] < 0.1 * found["loss"][0] and found["paper's loss"][1] < 0.01 * found["paper's loss"][0]
    (before,), (after,) = found["v2s"]
    assert before > 25 and after < 5, (before, after)


def test_a_batch_of_more_than_all_samples_is_refused():
    with pytest.raises(InputError, match="samples 2, got 3"):
        Config(samples=2, batch=3)
