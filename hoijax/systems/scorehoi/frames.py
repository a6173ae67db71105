"""The frame of a camera before a person, for estimates that come without a picture."""

import numpy as np
from jaxtyping import Float


def facing_rotation(root: Float[np.ndarray, "3 3"], up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """World to the axes (x right, y down, z forward) of a camera that looks horizontally at a person's front.

    Of a person who lies, the front points up or down: the camera then stands where the feet, or the head, point.

    Args:
      root: orientation of the pelvis, whose rest axes are x to the left, y up, z forward.
      up: against gravity, a unit vector.

    Returns:
      A rotation, float64.
    """
    up = np.asarray(up, np.float64)
    front, above = np.asarray(root, np.float64)[:, 2], np.asarray(root, np.float64)[:, 1]
    # The rest pose's up axis takes over as the front axis turns to the vertical, without a jump between them.
    tilt = front @ up
    towards = front - above * tilt
    towards = towards - up * (towards @ up)
    length = np.linalg.norm(towards)
    if length < 1e-6:
        towards = np.eye(3)[np.argmin(np.abs(up))]
        towards = towards - up * (towards @ up)
        length = np.linalg.norm(towards)
    towards = towards / length
    return np.stack([np.cross(up, towards), -up, -towards])
