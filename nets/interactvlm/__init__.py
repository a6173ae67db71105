"""InteractVLM's networks (Dwivedi et al. 2025): a question about an image to masks of contact in a surface's views.

They know no surface: views come as images with their cameras, and `hoijax.systems.interactvlm` lifts their pixels.
"""

from hoijax.nets.interactvlm.config import ANY, HUMAN, OBJECT, Config
from hoijax.nets.interactvlm.gates import CameraGate, Splitter
from hoijax.nets.interactvlm.model import Contact, Model, VisionLanguage, load, probabilities
from hoijax.nets.interactvlm.prompts import (
    IGNORED,
    IMAGE,
    SYSTEM,
    Merged,
    Prompts,
    conversation,
    dialogue,
    make_dialogues,
    make_prompts,
    merge,
    next_token_loss,
    prompt_ids,
)
from hoijax.nets.interactvlm.training import adapt, is_trained

__all__ = [
    "ANY",
    "HUMAN",
    "IGNORED",
    "IMAGE",
    "OBJECT",
    "SYSTEM",
    "CameraGate",
    "Config",
    "Contact",
    "Merged",
    "Model",
    "Prompts",
    "Splitter",
    "VisionLanguage",
    "adapt",
    "conversation",
    "dialogue",
    "is_trained",
    "load",
    "make_dialogues",
    "make_prompts",
    "merge",
    "next_token_loss",
    "probabilities",
    "prompt_ids",
]
