"""What a body looks like where nothing is seen: arms down, standing, ranges of joints as standard deviations.

A Gaussian for every component of every joint's rotation vector, independent of the others. Its mean is a person who
stands with hanging arms; its standard deviation is a quarter of the joint's range of motion (`joint_limits`), so that
the range is about two standard deviations to both sides. It is hoijax's own and knows no data set.
"""

import itertools
from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import (
    JOINT_NAMES,
    NAMED_POSES,
    POSE_GROUPS,
    BodyModel,
    joint_limits,
    named_hand_pose,
    named_pose,
)

ArrayLike = jax.Array | np.ndarray

_LEAST_STD, _LARGEST_STD = 0.06, 0.7
_FREE = 3.9  # a range beyond this is none, see `joint_limits`
_STD_WITHOUT_RANGE = 0.06  # of joints that have no table, such as SMPL's hands
_POSES = tuple(name for name in NAMED_POSES if name not in ("t_pose", "a_pose", "lie"))  # "lie" is "stand", turned
_MIRROR = np.array([1.0, -1.0, -1.0])


@struct.dataclass
class PosePrior:
    """Mean and standard deviation of each joint's rotation vector, radians; the root's entries are not used."""

    mean: Float[ArrayLike, "J 3"] | Any
    std: Float[ArrayLike, "J 3"] | Any
    lower: Float[ArrayLike, "J 3"] | Any
    """Range of motion, of `joint_limits`."""
    upper: Float[ArrayLike, "J 3"] | Any


def pose_prior(model: BodyModel) -> PosePrior:
    """The prior of a model's joints, by their names, in the model's dtype.

    Hands rest in the model's own mean pose where its file has one, otherwise in the free body's relaxed pose.
    """
    limits = joint_limits(model)
    lower, upper = np.asarray(limits.lower, np.float64), np.asarray(limits.upper, np.float64)
    std = np.clip((upper - lower) / 4, _LEAST_STD, _LARGEST_STD)
    std = np.where(upper > _FREE, _STD_WITHOUT_RANGE, std)
    mean = pose_vectors(model, "stand")
    dtype = np.asarray(model.v_template).dtype
    return PosePrior(*(x.astype(dtype) for x in (mean, std, limits.lower, limits.upper)))


def pose_bank(model: BodyModel) -> Float[np.ndarray, "P J 3"]:
    """Rotation vectors of the poses that a fit starts from: the named poses of the free body and their mirror images.

    The root's are left out: they are zero.
    """
    poses = [pose_vectors(model, name) for name in _POSES]
    mirrored = [pose for pose in map(lambda p: _mirror(model, p), poses)]
    kept: list[np.ndarray] = []
    for pose in itertools.chain.from_iterable(zip(poses, mirrored)):
        if all(np.abs(pose - other).max() > 0.05 for other in kept):
            kept.append(pose)
    return np.stack(kept).astype(np.asarray(model.v_template).dtype)


def pose_vectors(model: BodyModel, name: str) -> Float[np.ndarray, "J 3"]:
    """Rotation vectors of a named pose of the free body on any model, by joint names; the root's is zero."""
    pose = named_pose(name)
    body = dict(zip(JOINT_NAMES["free"][1:22], np.asarray(pose["body_pose"]).reshape(-1, 3)))
    hands = _hand_vectors(model)
    none = np.zeros(3)
    return np.stack([none, *(body.get(joint, hands.get(joint, none)) for joint in model.joint_names[1:])])


def _hand_vectors(model: BodyModel) -> dict[str, np.ndarray]:
    groups = POSE_GROUPS.get(model.kind, {})
    vectors: dict[str, np.ndarray] = {}
    for index, side in enumerate(("left", "right")):
        first, last = groups.get(f"{side}_hand_pose", (0, 0))
        if last > first:
            mean = None if model.hand_mean is None else np.asarray(model.hand_mean)[index].reshape(15, 3)
            pose = named_hand_pose("relaxed", side) if mean is None else mean
            vectors |= dict(zip(model.joint_names[first:last], np.asarray(pose, np.float64)))
    return vectors


def _mirror(model: BodyModel, pose: np.ndarray) -> np.ndarray:
    names = model.joint_names
    swap = {"left": "right", "right": "left"}

    def partner(name: str) -> str:
        side, _, rest = name.partition("_")
        return f"{swap[side]}_{rest}" if side in swap else name

    return np.stack(
        [
            pose[names.index(partner(name))] * _MIRROR if partner(name) in names else pose[i]
            for i, name in enumerate(names)
        ]
    )
