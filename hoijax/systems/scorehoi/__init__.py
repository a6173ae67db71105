"""ScoreHOI's refiner: a diffusion prior sampled back from a little noise under the guidance of physical losses."""

from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.guidance import GuidanceTerms, ImageEvidence, guidance_terms, outside_distance
from hoijax.systems.scorehoi.prior import compile_prior, prior_body, prior_config
from hoijax.systems.scorehoi.reconstruct import (
    CompiledReconstruction,
    GuidedReconstruction,
    compile_reconstruction,
    drop_weights,
    reconstruct,
    state_from_estimate,
)
from hoijax.systems.scorehoi.refine import GuidedResult, refine_guided
from hoijax.systems.scorehoi.scene import (
    GuidedBody,
    GuidedScene,
    Posed,
    guided_body,
    guided_scene,
    interaction_from_state,
    pose_hoi_state,
    state_from_interaction,
)
from hoijax.systems.scorehoi.system import Prepared, Result, prepare, run

__all__ = [
    "CompiledReconstruction",
    "GuidanceTerms",
    "GuidedBody",
    "GuidedConfig",
    "GuidedReconstruction",
    "GuidedResult",
    "GuidedScene",
    "ImageEvidence",
    "Posed",
    "Prepared",
    "Result",
    "compile_prior",
    "compile_reconstruction",
    "drop_weights",
    "guidance_terms",
    "guided_body",
    "guided_scene",
    "interaction_from_state",
    "outside_distance",
    "pose_hoi_state",
    "prepare",
    "prior_body",
    "prior_config",
    "reconstruct",
    "refine_guided",
    "run",
    "state_from_estimate",
    "state_from_interaction",
]
