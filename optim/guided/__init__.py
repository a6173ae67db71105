"""ScoreHOI's refiner: a diffusion prior sampled back from a little noise under the guidance of physical losses."""

from hoijax.optim.guided.config import GuidedConfig
from hoijax.optim.guided.losses import GuidanceTerms, ImageEvidence, guidance_terms, outside_distance
from hoijax.optim.guided.prior import compile_prior, prior_body, prior_config
from hoijax.optim.guided.reconstruct import (
    CompiledReconstruction,
    GuidedReconstruction,
    compile_reconstruction,
    reconstruct,
    state_from_estimate,
    unweighted,
)
from hoijax.optim.guided.refine import GuidedResult, refine_guided
from hoijax.optim.guided.scene import (
    GuidedBody,
    GuidedScene,
    Posed,
    guided_body,
    guided_scene,
    interaction_from_state,
    pose_state,
    state_from_interaction,
)

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
    "compile_prior",
    "compile_reconstruction",
    "guidance_terms",
    "guided_body",
    "guided_scene",
    "interaction_from_state",
    "outside_distance",
    "pose_state",
    "prior_body",
    "prior_config",
    "reconstruct",
    "refine_guided",
    "state_from_estimate",
    "state_from_interaction",
    "unweighted",
]
