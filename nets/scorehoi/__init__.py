"""ScoreHOI's networks (Huang et al., ICCV 2025) and the tables that fill them from the authors' checkpoints."""

from hoijax.nets.scorehoi.camera import FOCAL, camera_translation, project_to_crop
from hoijax.nets.scorehoi.conditional_denoiser import ConditionalDenoiser, ConditionalDenoiserConfig
from hoijax.nets.scorehoi.conditions import Conditions, drop_conditions, image_cells
from hoijax.nets.scorehoi.denoiser import MODES, Denoiser, DenoiserConfig, make_denoiser, noise_function
from hoijax.nets.scorehoi.hand4whole import BodyEstimate, Hand4Whole, Hand4WholeConfig
from hoijax.nets.scorehoi.heads import (
    BodyRotationNet,
    BoxNet,
    HandRotationNet,
    ObjectHead,
    PositionNet,
    restore_boxes,
    soft_argmax_3d,
)
from hoijax.nets.scorehoi.model import Config, Model, load
from hoijax.nets.scorehoi.pooled_denoiser import PooledDenoiser, PooledDenoiserConfig
from hoijax.nets.scorehoi.regressor import (
    ContactEstimate,
    InteractionEstimate,
    Reconstruction,
    RegressorConfig,
    ScoreHOIRegressor,
    pose_from_points,
)
from hoijax.nets.scorehoi.released_denoiser import ReleasedDenoiser, ReleasedDenoiserConfig, fold
from hoijax.nets.scorehoi.sizes import SIZES, sizes_of
from hoijax.nets.scorehoi.transformers import ContactFormer, CRFormer, TransformerConfig

__all__ = [
    "FOCAL",
    "MODES",
    "SIZES",
    "BodyEstimate",
    "BodyRotationNet",
    "BoxNet",
    "CRFormer",
    "ConditionalDenoiser",
    "ConditionalDenoiserConfig",
    "Conditions",
    "Config",
    "ContactEstimate",
    "ContactFormer",
    "Denoiser",
    "DenoiserConfig",
    "Hand4Whole",
    "Hand4WholeConfig",
    "HandRotationNet",
    "InteractionEstimate",
    "Model",
    "ObjectHead",
    "PooledDenoiser",
    "PooledDenoiserConfig",
    "PositionNet",
    "Reconstruction",
    "RegressorConfig",
    "ReleasedDenoiser",
    "ReleasedDenoiserConfig",
    "ScoreHOIRegressor",
    "TransformerConfig",
    "camera_translation",
    "drop_conditions",
    "fold",
    "image_cells",
    "load",
    "make_denoiser",
    "noise_function",
    "pose_from_points",
    "project_to_crop",
    "restore_boxes",
    "sizes_of",
    "soft_argmax_3d",
]
