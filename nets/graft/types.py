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

    points: Float[ArrayLike, "*B 58 3"] | Any
    """Probes relative to the body: R_root^T (p - pelvis)."""
    offsets: Float[ArrayLike, "*B 58 3"] | Any
    """From each probe to its nearest scene point."""
    normals: Float[ArrayLike, "*B 58 3"] | Any
    """Unit normal of that scene point, towards free space."""
    rotations: Float[ArrayLike, "*B 52 6"] | Any
    """6D rotations relative to the parents, root first, in SMPL-H's order."""
    translation: Float[ArrayLike, "*B 3"] | Any
    """Translation of the body."""
    betas: Float[ArrayLike, "*B 10"] | Any
    """Shape coefficients."""
    held: Float[ArrayLike, "*B"] | Any = None
    """1 where pose, hands and shape will be held whatever the network says, 0 where not; None: 0."""


@struct.dataclass
class VisualContext:
    """What each token sees of the image; see `gather_context`."""

    features: Float[ArrayLike, "*B 24 C D"] | Any
    """Fused image features."""
    mask: Bool[ArrayLike, "*B 24 C"] | Any
    """Places that hold a feature."""


@struct.dataclass
class GraftUpdate:
    """What one application of the network adds to the parameters; float32."""

    rotations: Float[ArrayLike, "*B 52 6"] | Any
    """Added to the 6D rotations."""
    translation: Float[ArrayLike, "*B 3"] | Any
    """Added to the translation, metres."""
    betas: Float[ArrayLike, "*B 10"] | Any
    """Added to the shape coefficients."""
    scale: Float[ArrayLike, "*B"] | Any
    """The body is scaled by one plus this, about the pivot."""
    gate: Float[ArrayLike, "*B"] | Any = None
    """Logarithm of the odds of the gate, which has multiplied all of the above; None: a network without one."""
    pivot: str = struct.field(pytree_node=False, default="camera")
    """About what the scale acts: "camera", its centre, as in the paper, or "pelvis", which translation then moves."""
