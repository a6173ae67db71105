"""ScoreHOI's networks (Huang et al., ICCV 2025) and the tables that fill them from the authors' checkpoints."""

from hoijax.nets.scorehoi.checkpoints import CHECKPOINTS
from hoijax.nets.scorehoi.heads import (
    BodyRotationNet,
    BoxNet,
    HandRotationNet,
    ObjectHead,
    PositionNet,
    restore_boxes,
    soft_argmax_3d,
)
from hoijax.nets.scorehoi.released_denoiser import ReleasedDenoiser, ReleasedDenoiserConfig, fold
from hoijax.nets.scorehoi.transformers import ContactFormer, CRFormer, TransformerConfig

__all__ = [
    "CHECKPOINTS",
    "BodyRotationNet",
    "BoxNet",
    "CRFormer",
    "ContactFormer",
    "HandRotationNet",
    "ObjectHead",
    "PositionNet",
    "ReleasedDenoiser",
    "ReleasedDenoiserConfig",
    "TransformerConfig",
    "fold",
    "restore_boxes",
    "soft_argmax_3d",
]
