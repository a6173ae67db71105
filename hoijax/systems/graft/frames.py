"""A camera for bodies that come without one: GRAFT sees the world as a camera does, upright and from some metres."""

import numpy as np
from jaxtyping import Float

from hoijax.geometry import RigidPose

DISTANCE, ABOVE = 3.0, 0.4
"""Where the made-up camera stands: metres from the pelvis and above it."""


def facing_camera(
    pelvis: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"], forward: Float[np.ndarray, "3"] | None = None
) -> RigidPose:
    """World to the frame (x right, y down, z forward) of a camera before a person, looking horizontally at them.

    Args:
      pelvis: where the person is, metres.
      up: unit vector against gravity.
      forward: where the person looks; the camera stands there. Any horizontal direction if None or vertical.

    Returns:
      A rigid motion of scale 1, float32.
    """
    pelvis, up = np.asarray(pelvis, np.float64), np.asarray(up, np.float64)
    towards = np.zeros(3) if forward is None else np.asarray(forward, np.float64)
    towards = towards - up * (towards @ up)
    if np.linalg.norm(towards) < 0.1:
        towards = np.eye(3)[np.argmin(np.abs(up))]
        towards = towards - up * (towards @ up)
    towards /= np.linalg.norm(towards)
    rotation = np.stack([np.cross(up, towards), -up, -towards])
    eye = pelvis + DISTANCE * towards + ABOVE * up
    return RigidPose(
        rotation=rotation.astype(np.float32), translation=(-rotation @ eye).astype(np.float32), scale=np.float32(1.0)
    )
