"""Stages D and E of InteractAnything on the house's refiner: the object comes to the person, then the person to it.

The paper's equations 6 to 8 as the batched refiner has them: interaction (asked parts on their places), normals
(surfaces that face each other), penetration both ways, the floor, joint limits, and staying near the start. In stage D
every number of the person is frozen, in stage E every number of the object, bit for bit.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectRegion, ObjectTemplate
from hoijax.optim.fields import BodyField
from hoijax.optim.gradient import (
    Floor,
    Progress,
    RefineConfig,
    RefineResult,
    RefineStage,
    Sizes,
    Starts,
    Weights,
    refine_batch,
)

GLOBAL = (
    RefineStage("place", 60, ("object",), weights=Weights(penetration=0.3, interior=0.3, stay=0.3)),
    RefineStage(
        "fit",
        40,
        ("object",),
        rate=0.5,
        facing=0.25,
        let_go=0.1,
        weights=Weights(penetration=3.0, interior=3.0, stay=0.3),
    ),
)
"""Stage D, equations 6 and 7."""
FINE = (
    RefineStage("reach", 60, weights=Weights(penetration=0.2, interior=0.2, stay=0.3)),
    RefineStage("settle", 80, rate=0.5, facing=0.25, weights=Weights(penetration=2.0, interior=2.0, stay=0.3)),
    RefineStage(
        "polish", 60, rate=0.25, facing=0.1, let_go=0.1, weights=Weights(penetration=8.0, interior=8.0, stay=0.3)
    ),
    RefineStage(
        "clear",
        60,
        rate=0.25,
        facing=0.05,
        let_go=0.1,
        weights=Weights(contact=0.8, penetration=20.0, interior=20.0, stay=0.3),
    ),
)
"""Stage E, equation 8: the pose block first with the hands, then everything while penetration is driven out."""


@dataclasses.dataclass(frozen=True)
class OptimiseConfig:
    """The two stages."""

    global_stages: tuple[RefineStage, ...] = GLOBAL
    fine_stages: tuple[RefineStage, ...] = FINE
    tries: int = 1
    """Other starts in stage E for candidates that miss the rule (`optim.gradient.Starts`)."""
    sizes: Sizes = dataclasses.field(default_factory=Sizes)

    def scaled(self, share: float) -> "OptimiseConfig":
        """The same with a share of the steps."""
        both = (tuple(dataclasses.replace(s, steps=max(0, round(share * s.steps))) for s in stages)
                for stages in (self.global_stages, self.fine_stages))  # fmt: skip
        first, second = both
        return dataclasses.replace(self, global_stages=first, fine_stages=second)


Watch = Callable[[float, str], None]


def optimise(
    model: BodyModel,
    field: BodyField,
    template: ObjectTemplate,
    params: BodyParams,
    pose: RigidPose,
    parts: Sequence[Sequence[str]],
    regions: Sequence[Mapping[str, ObjectRegion]],
    *,
    rests: bool,
    held: bool,
    feet: bool | None,
    worn: bool = False,
    config: OptimiseConfig = OptimiseConfig(),
    watch: Watch | None = None,
) -> tuple[RefineResult, RefineResult]:
    """Stages D and E for a batch of candidates.

    Args:
      model: the body.
      field: `body_field(model)`.
      template: the object at its size.
      params: starts, leading axis B.
      pose: of the object, leading axis B.
      parts: names of the parts that must touch, per candidate.
      regions: where on the object each must.
      rests: whether the object stands on the floor.
      held: whether the object may turn and rise freely in stage D; else it keeps its height and stays level.
      feet: whether the feet stand on the floor; None: those that are near it.
      worn: whether it is worn: legs and hands then stay as they are.
      config: the stages.
      watch: called with the share done and the stage.

    Returns:
      What stage D left, and what stage E did.
    """
    floor = Floor.at(0.0)
    fixed = () if held or rests else ("object_rotation",)

    def show(before: float, share: float) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            if watch is not None:
                watch(before + share * progress.steps / max(1, progress.total), progress.stage)

        return tell

    common = dict(regions=regions, floor=floor, body=field, object_rests=rests, feet=feet)
    first = RefineConfig(
        stages=config.global_stages, freeze=("person", "object_scale", *fixed), sizes=config.sizes, upright=rests
    )
    placed = refine_batch(model, params, template, pose, parts, first, progress=show(0.0, 0.25), **common)
    limbs = ("legs", "hands") if worn else ()
    second = RefineConfig(
        stages=config.fine_stages,
        freeze=("object", "betas", *limbs),
        sizes=config.sizes,
        upright=rests,
        starts=Starts(tries=config.tries, placed=1),
    )
    fine = refine_batch(model, params, template, placed.pose, parts, second, progress=show(0.25, 0.75), **common)
    return jax.tree.map(np.asarray, placed), jax.tree.map(np.asarray, fine)
