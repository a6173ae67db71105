"""Finger joints moved from MakeHuman's place under the knuckle's skin to the middle of the finger.

A finger that bends about an axis near its back folds into its own palm; about its middle it makes a fist.
"""

import itertools

import numpy as np

from .skeleton import FINGERS, INDEX, JOINT_MIRROR
from .surface import FLIP


def centre_finger_joints(surface, joints, tips):
    """Joints (11, 52, 3), mean and shape directions, with those of the fingers centred.

    The middle is the mean of the skin around the joint, weighted by the smaller of the two weights that meet there;
    only its part across the finger counts. A long finger's first joint moves like its second, the thumb's first stays.

    Args:
      surface: the dressed `BodySurface`.
      joints: (11, 52, 3).
      tips: finger -> vertex id of the left fingertips.
    """
    joints = joints.copy()
    for finger in FINGERS:
        ids = [INDEX[f"left_{finger}{k}"] for k in (1, 2, 3)]
        along = surface.mean[tips[finger]] - joints[0, ids[1]]
        along = along / np.linalg.norm(along)
        across = np.eye(3) - np.outer(along, along)
        shifts = []
        for parent, joint in itertools.pairwise(ids):
            weight = np.minimum(surface.weights[:, parent], surface.weights[:, joint])
            middle = np.einsum("v,cvx->cx", weight / weight.sum(), surface.fields)
            shifts.append((middle - joints[:, joint]) @ across)
        first = np.zeros_like(shifts[0]) if finger == "thumb" else shifts[0]
        for joint, shift in zip(ids, [first, *shifts], strict=True):
            joints[:, joint] += shift
            joints[:, JOINT_MIRROR[joint]] = joints[:, joint] * FLIP
    return joints
