"""The 331 numbers that ScoreHOI diffuses: 52 joint rotations, object rotation and translation, betas.

Order of the released code (the paper writes betas second): rotations joint-major in row-major 6D, object rotation,
object translation relative to the pelvis in metres (camera frame), betas min-max normalised. Only betas are
normalised.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray

NUM_JOINTS = 52
NUM_BETAS = 10
STATE_SIZE = NUM_JOINTS * 6 + 6 + 3 + NUM_BETAS


@struct.dataclass
class HOIState:
    """The state's named fields; any leading axes."""

    pose: Float[ArrayLike, "*B 52 6"]
    """Joint rotations relative to their parents, 6D row-major, SMPL-H order."""
    object_rotation: Float[ArrayLike, "*B 6"]
    """Object rotation in the camera frame, 6D row-major."""
    object_translation: Float[ArrayLike, "*B 3"]
    """Object origin minus pelvis, metres, camera frame."""
    betas: Float[ArrayLike, "*B 10"]
    """Shape coefficients, normalised by `BetasRange.normalise`."""


@struct.dataclass
class BetasRange:
    """Per-component smallest and largest betas of the training set."""

    low: Float[ArrayLike, "10"]
    high: Float[ArrayLike, "10"]

    def normalise(self, betas: Float[ArrayLike, "*B 10"]) -> jax.Array:
        """Betas to [-1, 1]."""
        low, high = (jnp.broadcast_to(jnp.asarray(x, betas.dtype), betas.shape) for x in (self.low, self.high))
        return 2.0 * (betas - low) / (high - low) - 1.0

    def restore(self, normalised: Float[ArrayLike, "*B 10"]) -> jax.Array:
        """The inverse of `normalise`."""
        shape, dtype = normalised.shape, normalised.dtype
        low, high = (jnp.broadcast_to(jnp.asarray(x, dtype), shape) for x in (self.low, self.high))
        return 0.5 * (high - low) * (normalised + 1.0) + low


def betas_range(betas: Float[np.ndarray, "N 10"], *, limit: float = 3.0) -> BetasRange:
    """The range of a training set, counting only bodies whose betas all lie within `limit` (the field's rule).

    Args:
      betas: shape coefficients of the training set.
      limit: bodies with a larger coefficient are left out.

    Returns:
      The per-component range, float32.

    Raises:
      ValueError: fewer than two bodies are left, or a component does not vary.
    """
    kept = betas[np.all(np.abs(betas) <= limit, axis=1)]
    if len(kept) < 2 or np.any(np.ptp(kept, axis=0) == 0):
        raise ValueError(
            f"need at least two different bodies with |betas| <= {limit}, {len(kept)} of {len(betas)} left"
        )
    return BetasRange(low=kept.min(0).astype(np.float32), high=kept.max(0).astype(np.float32))


def pack(state: HOIState) -> Float[jax.Array, "*B 331"]:
    """The flat vector of a state."""
    pose = jnp.asarray(state.pose)
    flat = pose.reshape((*pose.shape[:-2], NUM_JOINTS * 6))
    return jnp.concatenate([flat, state.object_rotation, state.object_translation, state.betas], axis=-1)


def unpack(x: Float[ArrayLike, "*B 331"]) -> HOIState:
    """The named fields of a flat vector."""
    pose, rotation, translation, betas = jnp.split(jnp.asarray(x), [312, 318, 321], axis=-1)
    return HOIState(
        pose=pose.reshape((*pose.shape[:-1], NUM_JOINTS, 6)),
        object_rotation=rotation,
        object_translation=translation,
        betas=betas,
    )
