"""SAM (Kirillov et al. 2023): masks of what points, boxes, or any other tokens mean in an image."""

from hoijax.nets.sam.config import Config
from hoijax.nets.sam.decoder import MaskDecoder, Masks
from hoijax.nets.sam.encoder import ImageEncoder
from hoijax.nets.sam.images import MEAN, SPREAD, enlarge, normalise, prepare_image, resized, restore
from hoijax.nets.sam.model import Model, load
from hoijax.nets.sam.prompts import PromptEncoder

__all__ = [
    "MEAN",
    "SPREAD",
    "Config",
    "ImageEncoder",
    "MaskDecoder",
    "Masks",
    "Model",
    "PromptEncoder",
    "enlarge",
    "load",
    "normalise",
    "prepare_image",
    "resized",
    "restore",
]
