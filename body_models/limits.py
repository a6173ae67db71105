"""How far the joints of a healthy adult turn: a box for each joint's rotation vector, and a penalty outside it.

The ranges are hoijax's own choice, rounded from clinical ranges of motion and widened where the rotation vector of a
combined movement leaves the range of the single ones (a raised arm turns in the collar and the shoulder at once). They
are meant to keep an optimiser out of impossible poses, not to describe people.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models.model import ArrayLike, BodyModel
from hoijax.geometry import axis_angle_from_rotation

_FREE = 4.0  # beyond pi, the longest rotation vector


@struct.dataclass
class JointLimits:
    """Range of each joint's rotation vector, radians, in the axes of the rest pose: x left, y up, z forward."""

    lower: Float[ArrayLike, "J 3"] | Any
    upper: Float[ArrayLike, "J 3"] | Any


# Degrees, (lower, upper) about x, y, z; left side. x: positive bends the trunk and the knees (chin to chest, heel to
# seat) and moves a hanging leg back. y: positive turns to the left. z: positive raises the left arm and the left leg.
_DEGREES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "spine1": ((-25, 45), (-25, 25), (-25, 25)),
    "spine2": ((-20, 40), (-25, 25), (-20, 20)),
    "spine3": ((-20, 30), (-25, 25), (-20, 20)),
    "neck": ((-35, 40), (-45, 45), (-30, 30)),
    "head": ((-35, 35), (-45, 45), (-25, 25)),
    "hip": ((-130, 35), (-55, 55), (-35, 60)),
    "knee": ((-8, 150), (-25, 25), (-15, 15)),
    "ankle": ((-42, 55), (-30, 30), (-30, 30)),
    "foot": ((-60, 35), (-10, 10), (-15, 15)),
    "collar": ((-25, 25), (-35, 25), (-20, 40)),
    "shoulder": ((-100, 100), (-140, 65), (-110, 95)),
    "elbow": ((-90, 90), (-155, 10), (-30, 30)),
    "wrist": ((-50, 50), (-45, 45), (-85, 85)),
    "jaw": ((-5, 35), (-10, 10), (-8, 8)),
    "eye": ((-35, 35), (-40, 40), (-10, 10)),
    "finger1": ((-32, 32), (-30, 30), (-100, 35)),
    "finger2": ((-35, 35), (-15, 15), (-115, 12)),
    "finger3": ((-25, 25), (-15, 15), (-95, 20)),
    "thumb1": ((-60, 60), (-60, 60), (-60, 60)),
    "thumb2": ((-45, 45), (-65, 65), (-45, 45)),
    "thumb3": ((-45, 45), (-90, 90), (-45, 45)),
}


def joint_limits(model: BodyModel) -> JointLimits:
    """Ranges for the joints of a model, by their names; the root, and joints with other names, are free.

    Returns:
      Lower and upper bounds in the model's dtype; a free component is bounded by 4 radians, which no rotation reaches.
    """
    lower, upper = np.full((model.num_joints, 3), -_FREE), np.full((model.num_joints, 3), _FREE)
    for i, joint in enumerate(model.joint_names):
        if i == 0:
            continue
        row = _DEGREES.get(_entry(joint))
        if row is not None:
            bounds = np.radians(row)
            if joint.startswith("right_"):  # the mirror image turns the other way about y and z
                bounds[1:] = -bounds[1:, ::-1]
            lower[i], upper[i] = bounds.T
    dtype = model.v_template.dtype
    return JointLimits(lower=lower.astype(dtype), upper=upper.astype(dtype))


def _entry(joint: str) -> str:
    name = joint.removeprefix("left_").removeprefix("right_")
    if name.startswith("eye"):
        return "eye"
    if name[-1] in "123" and not name.startswith(("spine", "thumb")):
        return f"finger{name[-1]}"
    return name


def joint_limit_penalty(rotations: Float[ArrayLike, "*B J 3 3"], limits: JointLimits) -> Float[jax.Array, "*B"]:
    """Sum of squares, radians, of what the rotation vectors exceed their ranges by. Any leading axes.

    Zero with zero derivative inside the box, differentiable everywhere but at half a turn, where the rotation vector
    itself jumps.

    Args:
      rotations: rotation of each joint relative to its parent.
      limits: from `joint_limits(model)`.
    """
    vectors = axis_angle_from_rotation(rotations)
    below = jax.nn.relu(jnp.broadcast_to(jnp.asarray(limits.lower), vectors.shape) - vectors)
    above = jax.nn.relu(vectors - jnp.broadcast_to(jnp.asarray(limits.upper), vectors.shape))
    return jnp.sum(below * below + above * above, axis=(-2, -1))
