"""The network of InteractAnything that runs here: where on an object's surface a part of the body touches it."""

from hoijax.nets.interactanything.checkpoints import load, save
from hoijax.nets.interactanything.model import PARTS, POINTS, VERBS, Config, Model, describe, part_of, verb_of

__all__ = ["PARTS", "POINTS", "VERBS", "Config", "Model", "describe", "load", "part_of", "save", "verb_of"]
