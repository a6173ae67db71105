"""The networks of InteractAnything that run here: where a part of the body touches an object's surface, and poses."""

from hoijax.nets.interactanything.checkpoints import load, load_prior, save, save_prior
from hoijax.nets.interactanything.model import PARTS, POINTS, VERBS, Config, Model, describe, part_of, verb_of
from hoijax.nets.interactanything.pose_prior import Condition, PosePrior, PriorConfig, State, pack, unpack

__all__ = [
    "PARTS",
    "POINTS",
    "VERBS",
    "Condition",
    "Config",
    "Model",
    "PosePrior",
    "PriorConfig",
    "State",
    "describe",
    "load",
    "load_prior",
    "pack",
    "part_of",
    "save",
    "save_prior",
    "unpack",
    "verb_of",
]
