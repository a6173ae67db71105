"""Contact in words: which parts of the body touch, by InteractVLM's rule."""

import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, part_labels, part_names
from hoijax.geometry.safe import ArrayLike

TOUCHING, SHARE = 0.5, 0.1
"""Probability from which a vertex touches, and the share of a part's vertices from which the part does."""


COARSE = {"arm": "hand", "forearm": "hand", "thigh": "leg", "foot": "leg", "hips": "torso"}
"""What the six coarse parts of the paper's ablation take in besides their own."""


def parts_in_words(
    model: BodyModel, probabilities: Float[ArrayLike, "V"], *, threshold: float = TOUCHING, coarse: bool = False
) -> tuple[str, ...]:
    """Names of the 15 parts of which at least a tenth touches, in the parts' order: "left hand", "hips".

    Args:
      model: with all its vertices.
      probabilities: of contact.
      threshold: from which a vertex touches.
      coarse: six parts instead: head, torso, and hand and leg of each side.
    """
    labels, touches = part_labels(model, "15"), np.asarray(probabilities) >= threshold
    names = [_coarse(name) if coarse else name for name in part_names("15")]
    of_vertices = np.asarray(names)[labels]
    found = []
    for name in dict.fromkeys(names):
        inside = of_vertices == name
        if inside.any() and touches[inside].mean() >= SHARE:
            found.append(name.replace("_", " "))
    return tuple(found)


def _coarse(name: str) -> str:
    side, _, part = name.rpartition("_")
    return "_".join(filter(None, (side, COARSE.get(part, part))))
