"""What GRAFT's network takes and gives: one state of one body, or of many with leading axes."""

from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class GraftInputs:
    """A body's parameters and what its 58 probes found in the scene; metres, camera frame (x right, y down)."""

    #: Probes relative to the body: R_root^T (p - pelvis).
    points: Float[ArrayLike, "*B 58 3"] | Any
    #: From each probe to its nearest scene point.
    offsets: Float[ArrayLike, "*B 58 3"] | Any
    #: Unit normal of that scene point, towards free space.
    normals: Float[ArrayLike, "*B 58 3"] | Any
    #: 6D rotations relative to the parents, root first, in SMPL-H's order.
    rotations: Float[ArrayLike, "*B 52 6"] | Any
    #: Translation of the body.
    translation: Float[ArrayLike, "*B 3"] | Any
    #: Shape coefficients.
    betas: Float[ArrayLike, "*B 10"] | Any


@struct.dataclass
class VisualContext:
    """What each token sees of the image; see `gather_context`."""

    #: Fused image features.
    features: Float[ArrayLike, "*B 24 C D"] | Any
    #: Places that hold a feature.
    mask: Bool[ArrayLike, "*B 24 C"] | Any


@struct.dataclass
class GraftUpdate:
    """What one application of the network adds to the parameters; float32."""

    #: Added to the 6D rotations.
    rotations: Float[ArrayLike, "*B 52 6"] | Any
    #: Added to the translation, metres.
    translation: Float[ArrayLike, "*B 3"] | Any
    #: Added to the shape coefficients.
    betas: Float[ArrayLike, "*B 10"] | Any
    #: The body is scaled by one plus this, about the camera's centre.
    scale: Float[ArrayLike, "*B"] | Any
