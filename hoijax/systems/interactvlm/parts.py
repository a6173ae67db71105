"""Contact in words: which parts of the body touch, by InteractVLM's rule."""

import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, part_labels, part_names
from hoijax.geometry.safe import ArrayLike

TOUCHING, SHARE = 0.5, 0.1
"""Probability from which a vertex touches, and the share of a part's vertices from which the part does."""


def parts_in_words(
    model: BodyModel, probabilities: Float[ArrayLike, "V"], *, threshold: float = TOUCHING
) -> tuple[str, ...]:
    """Names of the 15 parts of which at least a tenth touches, in the parts' order: "left hand", "hips".

    Args:
      model: with all its vertices.
      probabilities: of contact.
      threshold: from which a vertex touches.
    """
    labels, touches = part_labels(model, "15"), np.asarray(probabilities) >= threshold
    found = []
    for index, name in enumerate(part_names("15")):
        inside = labels == index
        if inside.any() and touches[inside].mean() >= SHARE:
            found.append(name.replace("_", " "))
    return tuple(found)
