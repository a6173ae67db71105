"""GRAFT's network (arXiv 2604.19624): one learned step that moves a body towards contact with the scene around it.

The network knows no body model: 52 rotations in SMPL-H's order, 10 shape coefficients and 58 probes are all it sees.
`hoijax.systems.graft` makes them from a body and a scene, and applies the network repeatedly.
"""

from hoijax.nets.graft.checkpoints import (
    graft_facts,
    load,
    load_encoder,
    load_graft,
    save_encoder,
    save_graft,
    shipped_graft,
)
from hoijax.nets.graft.config import (
    NUM_ANCHORS,
    NUM_BETAS,
    NUM_BODY,
    NUM_DISTAL,
    NUM_HAND,
    NUM_PROBES,
    NUM_ROTATIONS,
    NUM_SURFACE,
    NUM_TOKENS,
    GraftConfig,
)
from hoijax.nets.graft.encoder import PATCH, GraftWithEncoder, ImageEncoder
from hoijax.nets.graft.layers import FourierEncoder
from hoijax.nets.graft.model import Graft, parameter_counts
from hoijax.nets.graft.types import GraftInputs, GraftUpdate, VisualContext
from hoijax.nets.graft.visual import Fusion, drop_context, gather_context

# The names that every system's networks have.
Config = GraftConfig
Model = Graft

__all__ = [
    "NUM_ANCHORS",
    "NUM_BETAS",
    "NUM_BODY",
    "NUM_DISTAL",
    "NUM_HAND",
    "NUM_PROBES",
    "NUM_ROTATIONS",
    "NUM_SURFACE",
    "NUM_TOKENS",
    "PATCH",
    "Config",
    "FourierEncoder",
    "Fusion",
    "Graft",
    "GraftConfig",
    "GraftInputs",
    "GraftUpdate",
    "GraftWithEncoder",
    "ImageEncoder",
    "Model",
    "VisualContext",
    "drop_context",
    "gather_context",
    "graft_facts",
    "load",
    "load_encoder",
    "load_graft",
    "parameter_counts",
    "save_encoder",
    "save_graft",
    "shipped_graft",
]
