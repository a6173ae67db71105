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
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectRegion, ObjectTemplate
from hoijax.optim.fields import BodyField
from hoijax.optim.gradient import (
    EquationTargets,
    Floor,
    Langevin,
    Progress,
    RefineConfig,
    RefineResult,
    RefineStage,
    Sizes,
    Starts,
    Weights,
    refine_batch,
)
from hoijax.systems.interactanything.equations import CLOSURE, PENETRATION, stage_weights, with_weights

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
GRIPPING = ("root", "translation", "torso", "arms", "hands")
"""What keeps a hand on what it has closed on."""


@dataclasses.dataclass(frozen=True)
class OptimiseConfig:
    """The two stages."""

    global_stages: tuple[RefineStage, ...] = GLOBAL
    fine_stages: tuple[RefineStage, ...] = FINE
    tries: int = 1
    """Other starts in stage E for candidates that miss the rule (`optim.gradient.Starts`)."""
    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    terms: str = "house"
    """"paper": equations 6 to 8 as written in the place of the house's terms; joint limits and the stay near the start,
    which have VPoser's part, remain."""
    closure: str = "none"
    """Force closure in stage E: "wrench", of what is grasped; or "literal", equation 9 as written."""
    penetration: str = "grid"
    """Of the paper's terms: the depth in the object's distance grid, or "cone", the conical field of its triangles."""
    langevin: Langevin | None = None
    """Stage E as Langevin chains (MALA) instead of descent."""

    def __post_init__(self):
        for name, known in (("terms", ("house", "paper")), ("closure", tuple(CLOSURE)), ("penetration", PENETRATION)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is one of {', '.join(known)}; got {getattr(self, name)!r}")

    @property
    def has_equations(self) -> bool:
        """Whether a term of the paper's equations is used."""
        return self.terms == "paper" or self.closure != "none"

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
    gripped: bool = False,
    equations: EquationTargets | None = None,
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
      held: whether the object may turn freely in stage D; else it stands as the start has it: what stands on two wheels
        would tip over to where hands are.
      feet: whether the feet stand on the floor; None: those that are near it.
      worn: whether it is worn: legs and hands then stay as they are.
      gripped: whether one hand has closed on it: it then stays in that hand, and of the person only the legs move.
      equations: `equation_targets` of the starts, where the config wants terms of the paper's equations.
      config: the stages.
      watch: called with the share done and the stage.

    Returns:
      What stage D left, and what stage E did.
    """
    floor = Floor.at(0.0)
    fixed = ("object",) if gripped else () if held else ("object_rotation",)

    def show(before: float, share: float) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            if watch is not None:
                watch(before + share * progress.steps / max(1, progress.total), progress.stage)

        return tell

    common = dict(regions=regions, floor=floor, body=field, object_rests=rests, feet=feet)
    stages = [config.global_stages, config.fine_stages]
    if config.terms == "paper":
        bare = dict(contact=0.0, penetration=0.0, interior=0.0, floor=0.0)
        # The floor under the feet is not in equation 8, but nobody is to sink.
        stages = [
            tuple(dataclasses.replace(s, weights=dataclasses.replace(s.weights, **bare, **own)) for s in each)
            for each, own in zip(stages, ({"limits": 0.0, "stay": 0.0}, {}))
        ]

    def targets(stage: str) -> EquationTargets | None:
        if equations is None or not config.has_equations or (stage == "global" and config.terms == "house"):
            return None
        return with_weights(equations, stage_weights(stage, config.terms, config.closure, rests))

    first = RefineConfig(stages=stages[0], freeze=("person", "object_scale", *fixed), sizes=config.sizes, upright=rests)
    placed = refine_batch(model, params, template, pose, parts, first, progress=show(0.0, 0.25),
                          equations=targets("global"), **common)  # fmt: skip
    limbs = ("legs", "hands") if worn else GRIPPING if gripped else ()
    second = RefineConfig(
        stages=stages[1],
        freeze=("object", "betas", *limbs),
        sizes=config.sizes,
        upright=rests,
        starts=Starts(tries=config.tries, placed=1),
        langevin=config.langevin,
    )
    fine = refine_batch(model, params, template, placed.pose, parts, second, progress=show(0.25, 0.75),
                        equations=targets("fine"), **common)  # fmt: skip
    return jax.tree.map(np.asarray, placed), jax.tree.map(np.asarray, fine)
