"""Named poses of the free body: hands solved from its own geometry, and whole-body poses to start from."""

import functools

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoijax.body_models.free_body import free_body_info
from hoijax.body_models.skeleton import JOINT_NAMES
from hoijax.errors import InputError

_MIRROR = np.array([1.0, -1.0, -1.0])  # mirror image of an axis-angle vector in the plane x = 0

# Rotation of each joint relative to its parent as intrinsic Euler angles in degrees; `*x` means left_x as written and
# right_x mirrored. Before a rotation every joint's frame is the world's: x left, y up, z forward. So for the left side
# hip X- lifts the thigh forward, knee X+ bends, shoulder Z- lowers the arm, a further X- (applied last, written first)
# swings it forward, elbow Y- bends.
_STAND = {
    "*collar": ("Z", -5), "*shoulder": ("XZ", 2, -72), "*elbow": ("Y", -14), "*hip": ("Z", 1.5), "*ankle": ("Z", -1.5),
}  # fmt: skip
_POSES: dict[str, dict] = {
    "t_pose": {},
    "a_pose": {"*shoulder": ("Z", -45)},
    "stand": _STAND,
    "walk": _STAND | {
        "left_hip": ("X", -24), "left_knee": ("X", 8), "left_ankle": ("X", 4), "right_hip": ("X", 16),
        "right_knee": ("X", 22), "right_ankle": ("X", 2), "right_foot": ("X", -24), "pelvis": ("X", 2),
        "spine2": ("Y", 6), "left_shoulder": ("XZ", 20, -74), "right_shoulder": ("XZ", -22, 74),
        "left_elbow": ("Y", -18), "right_elbow": ("Y", 26),
    },
    "sit": {
        "*hip": ("XZ", -88, 6), "*knee": ("X", 88), "spine1": ("X", 4), "neck": ("X", -4), "*collar": ("Z", -5),
        "*shoulder": ("XZ", -8, -74), "*elbow": ("YX", -60, 45), "*wrist": ("XZ", 25, 4),
    },
    "squat": {
        "pelvis": ("X", 30), "*hip": ("XZ", -122, 14), "*knee": ("X", 124), "*ankle": ("XZ", -32, -6),
        "spine1": ("X", 6), "spine2": ("X", 6), "neck": ("X", -22), "*collar": ("Y", -8),
        "*shoulder": ("XYZ", -62, 8, -72), "*elbow": ("Y", -20),
    },
    "kneel": {
        "*hip": ("XZ", 4, 2), "*knee": ("X", 86), "*ankle": ("X", 54), "*foot": ("X", 16), "*collar": ("Z", -5),
        "*shoulder": ("XZ", -14, -72), "*elbow": ("Y", -30),
    },
    "bend": {
        "pelvis": ("X", 38), "*hip": ("X", -46), "*knee": ("X", 18), "*ankle": ("X", -10), "spine1": ("X", 16),
        "spine2": ("X", 14), "spine3": ("X", 10), "neck": ("X", -18), "*shoulder": ("XZ", -72, -78),
        "*elbow": ("Y", -10),
    },
    "reach": _STAND | {
        "spine2": ("XY", 5, 10), "spine3": ("Y", 8), "right_collar": ("Y", 10), "right_shoulder": ("XZ", -78, 76),
        "right_elbow": ("Y", 12), "neck": ("Y", -10),
    },
    "arms_up": {"*collar": ("Z", 24), "*shoulder": ("Z", 58), "*elbow": ("Y", -8)},
    "carry": _STAND | {
        "*shoulder": ("XZ", -20, -76), "*elbow": ("Y", -78), "*wrist": ("X", -10), "spine1": ("X", -3),
    },
    "push": _STAND | {
        "pelvis": ("X", 8), "*hip": ("X", -8), "spine2": ("X", 6), "*collar": ("Y", -12), "*shoulder": ("XZ", -58, -78),
        "*elbow": ("YX", -36, 45), "*wrist": ("XZ", 40, 62), "left_hip": ("X", -30), "left_knee": ("X", 26),
        "left_ankle": ("X", -4), "right_hip": ("X", 12), "right_knee": ("X", 4), "right_ankle": ("X", -24),
    },
    "lean": {
        "pelvis": ("X", 26), "*hip": ("X", -30), "*knee": ("X", 6), "*ankle": ("X", -2), "spine1": ("X", 8),
        "spine2": ("X", 6), "neck": ("X", -20), "*collar": ("Z", -2), "*shoulder": ("XZ", -58, -78),
        "*elbow": ("YX", -8, 45), "*wrist": ("XZ", 40, 62),
    },
    "lie": {
        "pelvis": ("X", -90), "*shoulder": ("XZ", 2, -62), "*elbow": ("Y", -16), "*hip": ("Z", 5), "*foot": ("X", 6),
        "*ankle": ("X", 16),
    },
}  # fmt: skip
_HANDS = {"reach": ("relaxed", "grasp"), "t_pose": ("flat", "flat"), "a_pose": ("flat", "flat")}
_HANDS |= {name: ("flat", "flat") for name in ("push", "lean", "carry")}

# Height of the pelvis above the floor for the mean body, metres.
_HEIGHT = {
    "t_pose": 0.911, "a_pose": 0.911, "stand": 0.910, "walk": 0.876, "sit": 0.517, "squat": 0.418, "kneel": 0.457,
    "bend": 0.888, "reach": 0.910, "arms_up": 0.911, "carry": 0.910, "push": 0.875, "lean": 0.903, "lie": 0.117,
}  # fmt: skip

NAMED_POSES: tuple[str, ...] = tuple(_POSES)
"""Whole-body poses that `named_pose` knows."""
NAMED_HAND_POSES: tuple[str, ...] = ("flat", "relaxed", "grasp", "fist")
"""Hand poses that `named_hand_pose` knows."""


def named_hand_pose(name: str, side: str = "left") -> Float[np.ndarray, "15 3"]:
    """A hand pose of the free body: "flat", "relaxed", "grasp" (around a rod of 5 cm) or "fist".

    Solved from this body's geometry: on SMPL-H or MANO, whose joints and rest pose differ, it fits only roughly.

    Args:
      name: one of `NAMED_HAND_POSES`.
      side: "left" or "right"; the right pose is the mirror image of the left one.

    Returns:
      Axis-angle (15, 3), radians, in the joint order of SMPL-H: index, middle, pinky, ring, thumb.

    Raises:
      InputError: no such pose or side.
    """
    poses = free_body_info()["hand_poses"]
    if name not in poses:
        raise InputError(f"no hand pose {name!r}; choose one of {', '.join(poses)}")
    if side not in ("left", "right"):
        raise InputError(f"a hand is 'left' or 'right', got {side!r}")
    pose = np.array(poses[name], np.float32)
    return pose if side == "left" else pose * _MIRROR.astype(np.float32)


def named_pose(name: str) -> dict[str, np.ndarray]:
    """A whole-body pose of the free body, as keywords of `BodyParams.from_axis_angle`.

    The translation puts the lowest point of the mean body on the floor y = 0, within a few millimetres; another shape
    needs its own.

    Args:
      name: one of `NAMED_POSES`.

    Returns:
      `global_orient` (3,), `body_pose` (63,), `left_hand_pose` (45,), `right_hand_pose` (45,) in radians, `transl` (3,)
      in metres; float32.

    Raises:
      InputError: no such pose.
    """
    if name not in _POSES:
        raise InputError(f"no pose {name!r}; choose one of {', '.join(NAMED_POSES)}")
    return {key: value.copy() for key, value in _named_pose(name).items()}


@functools.cache
def _named_pose(name: str) -> dict[str, np.ndarray]:
    joints = JOINT_NAMES["free"]
    pose = np.zeros((52, 3))
    for joint, (axes, *degrees) in _POSES[name].items():
        vector = Rotation.from_euler(axes, degrees if len(axes) > 1 else degrees[0], degrees=True).as_rotvec()
        if joint.startswith("*"):
            pose[joints.index("left_" + joint[1:])] = vector
            pose[joints.index("right_" + joint[1:])] = vector * _MIRROR
        else:
            pose[joints.index(joint)] = vector
    for first, side, hand in zip((22, 37), ("left", "right"), _HANDS.get(name, ("relaxed", "relaxed")), strict=True):
        pose[first : first + 15] = named_hand_pose(hand, side)
    parts = np.split(pose.astype(np.float32).ravel(), [3, 66, 111])
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
    transl = np.array([0.0, _HEIGHT[name], 0.0], np.float32)
    return dict(zip(keys, parts, strict=True)) | {"transl": transl}
