"""Refiners: what turns estimates of interactions into plausible ones."""

from hoijax.optim.gradient.config import (
    ALIASES,
    DEFAULT_STAGES,
    GROUPS,
    PICTURE_STAGES,
    Langevin,
    PerGroup,
    RefineConfig,
    RefineStage,
    Sizes,
    Starts,
    Weights,
)
from hoijax.optim.gradient.contacts import (
    ContactTargets,
    open_side,
    part_targets,
    probability_targets,
    propose_parts,
    stand_on_floor,
    touch_within,
)
from hoijax.optim.gradient.equations import EquationTargets, EquationWeights
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.picture import (
    Picture,
    Surfaces,
    body_surfaces,
    outline_overlaps,
    picture_of,
    picture_terms,
)
from hoijax.optim.gradient.refiner import refine, refine_batch
from hoijax.optim.gradient.result import Progress, RefineMetrics, RefineResult

__all__ = [
    "ALIASES",
    "DEFAULT_STAGES",
    "GROUPS",
    "PICTURE_STAGES",
    "ContactTargets",
    "EquationTargets",
    "EquationWeights",
    "Floor",
    "Langevin",
    "PerGroup",
    "Picture",
    "Progress",
    "RefineConfig",
    "RefineMetrics",
    "RefineResult",
    "RefineStage",
    "Sizes",
    "Starts",
    "Surfaces",
    "Weights",
    "body_surfaces",
    "open_side",
    "outline_overlaps",
    "part_targets",
    "picture_of",
    "picture_terms",
    "probability_targets",
    "propose_parts",
    "refine",
    "refine_batch",
    "stand_on_floor",
    "touch_within",
]
