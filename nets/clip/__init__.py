"""CLIP (Radford et al. 2021): texts and images in one space, and the features that other networks are built on."""

from hoijax.nets.clip.config import Config, TextConfig, VisionConfig
from hoijax.nets.clip.images import MEAN, SPREAD, Tokenizer, crop, normalise, token_ids
from hoijax.nets.clip.model import Model, load
from hoijax.nets.clip.towers import Encoding, TextTower, VisionTower

__all__ = [
    "MEAN",
    "SPREAD",
    "Config",
    "Encoding",
    "Model",
    "TextConfig",
    "TextTower",
    "Tokenizer",
    "VisionConfig",
    "VisionTower",
    "crop",
    "load",
    "normalise",
    "token_ids",
]
