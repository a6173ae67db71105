"""Random instances: every size of a category drawn from the range it has in the real world."""

import numpy as np

from hoijax.data.objects import catalogue
from hoijax.data.objects.assembly import ProceduralObject
from hoijax.data.objects.furnished import real_object

RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "backpack": {"width": (0.26, 0.34), "height": (0.38, 0.52), "depth": (0.12, 0.2)},
    "ball": {"radius": (0.1, 0.34)},
    "bat": {"length": (0.66, 0.9), "barrel": (0.028, 0.035), "grip": (0.011, 0.014)},
    "bed": {"width": (0.9, 1.6), "length": (1.9, 2.1), "height": (0.4, 0.58), "headboard": (0.2, 0.6)},
    "bench": {"width": (0.9, 1.8), "depth": (0.3, 0.45), "height": (0.41, 0.48), "thickness": (0.03, 0.06)},
    "bicycle": {"wheel": (0.31, 0.35), "base": (0.98, 1.08), "saddle": (0.82, 0.98), "bars": (0.92, 1.05)},
    "bottle": {"radius": (0.03, 0.042), "height": (0.19, 0.3), "neck": (0.011, 0.015)},
    "box": {"width": (0.25, 0.5), "height": (0.18, 0.4), "depth": (0.22, 0.4)},
    "chair": {
        "width": (0.4, 0.5), "depth": (0.4, 0.48), "seat_height": (0.42, 0.48), "back_height": (0.36, 0.52),
        "recline": (0.03, 0.22), "leg": (0.03, 0.05),
    },
    "cup": {"radius": (0.036, 0.048), "height": (0.08, 0.12), "handle": (0.028, 0.038)},
    "desk": {"width": (1.1, 1.7), "depth": (0.6, 0.8), "height": (0.7, 0.76), "drawers": (0.3, 0.45)},
    "door": {"width": (0.75, 0.95), "height": (1.95, 2.1), "handle_height": (0.98, 1.08)},
    "keyboard": {"width": (0.36, 0.46), "depth": (0.12, 0.16), "height": (0.012, 0.022)},
    "laptop": {"width": (0.29, 0.38), "depth": (0.2, 0.26), "opening": (1.65, 2.1)},
    "monitor": {"width": (0.48, 0.7), "height": (0.28, 0.4), "stand": (0.1, 0.2)},
    "racket": {"length": (0.62, 0.7), "width": (0.22, 0.28), "head": (0.3, 0.37), "grip": (0.013, 0.017)},
    "skateboard": {"length": (0.74, 0.84), "width": (0.19, 0.22), "wheel": (0.025, 0.031), "kick": (0.2, 0.45)},
    "sofa": {"width": (1.4, 2.1), "depth": (0.78, 0.95), "seat_height": (0.39, 0.46), "back_height": (0.34, 0.5)},
    "stool": {"radius": (0.15, 0.2), "height": (0.44, 0.7), "thickness": (0.03, 0.06)},
    "suitcase": {"width": (0.34, 0.46), "height": (0.48, 0.66), "depth": (0.2, 0.28), "reach": (0.36, 0.48)},
    "table": {"width": (0.8, 1.7), "depth": (0.6, 0.9), "height": (0.7, 0.78), "thickness": (0.025, 0.05)},
    "trolley": {"width": (0.45, 0.6), "depth": (0.65, 0.9), "height": (0.92, 1.04)},
    "umbrella": {"length": (0.75, 0.92), "radius": (0.42, 0.58), "drop": (0.14, 0.26)},
}  # fmt: skip
"""Sizes that vary from instance to instance, per category; metres and radians."""


def random_object(category: str, seed: int) -> ProceduralObject:
    """One instance of a category, the same for the same seed.

    Args:
      category: a key of `CATEGORIES`.
      seed: number of the instance; a negative one is the shipped shape of that number (`real_object`).

    Returns:
      The object.

    Raises:
      ValueError: the category is unknown, or has no such shape.
    """
    if seed < 0:
        return real_object(category, -seed)
    rng = np.random.default_rng([seed, *category.encode()])
    sizes = {name: float(rng.uniform(*span)) for name, span in RANGES.get(category, {}).items()}
    return catalogue.make_object(category, **sizes)
