import dataclasses

import pytest

from hoijax.optim.gradient import GROUPS, PerGroup, RefineConfig, RefineStage, Sizes
from hoijax.optim.gradient.config import expand_groups


def test_aliases_expand_to_groups_in_order():
    assert expand_groups(("hands", "root")) == ("root", "left_hand", "right_hand")
    assert expand_groups(GROUPS) == GROUPS
    assert set(expand_groups(("person", "object"))) == set(GROUPS)


def test_unknown_groups_are_named():
    with pytest.raises(ValueError, match="'feet'"):
        RefineConfig(freeze=("feet",))
    with pytest.raises(ValueError, match="'feet'"):
        RefineStage("walk", 10, groups=("feet",))


@pytest.mark.parametrize("steps", [0, 1, 7, 280, 1000])
def test_steps_are_shared_out_exactly(steps):
    config = RefineConfig().with_steps(steps)
    assert config.steps == steps
    shares = [stage.steps for stage in RefineConfig().stages]
    for stage, share in zip(config.stages, shares, strict=True):
        assert abs(stage.steps - steps * share / sum(shares)) <= 1


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="-3"):
        RefineConfig().with_steps(-3)
    with pytest.raises(ValueError, match="object_points"):
        Sizes(object_points=0)
    with pytest.raises(ValueError, match="betas"):
        PerGroup(*([1.0] * 7), 0.0, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="stage"):
        RefineConfig(stages=())


def test_configurations_are_hashable_and_equal_by_value():
    assert hash(RefineConfig()) == hash(RefineConfig())
    assert dataclasses.replace(RefineConfig(), tolerance=0.5) != RefineConfig()
