"""Kinematic trees of the SMPL family: joint names, parents, and forward kinematics."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray
_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

BODY_JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""The 22 joints that every body of the family shares, pelvis first."""
_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

FINGERS: tuple[str, ...] = ("index", "middle", "pinky", "ring", "thumb")
"""Fingers in MANO's order: the pinky comes before the ring finger."""


def _hand_joints(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{finger}{k}" for finger in FINGERS for k in (1, 2, 3))


def _hand_parents(wrist: int, first: int) -> tuple[int, ...]:
    return tuple(p for f in range(5) for p in (wrist, first + 3 * f, first + 3 * f + 1))


JOINT_NAMES: dict[str, tuple[str, ...]] = {
    "smpl": (*BODY_JOINTS, "left_hand", "right_hand"),
    "smplh": BODY_JOINTS + _hand_joints("left") + _hand_joints("right"),
    "smplx": (
        *BODY_JOINTS, "jaw", "left_eye_smplhf", "right_eye_smplhf", *_hand_joints("left"), *_hand_joints("right"),
    ),
}  # fmt: skip
"""Joint names of each kind of model, in the order of its files. A MANO model is one hand: see `mano_joints`."""
JOINT_NAMES["free"] = JOINT_NAMES["smplh"]

PARENTS: dict[str, tuple[int, ...]] = {
    "smpl": (*_BODY_PARENTS, 20, 21),
    "smplh": _BODY_PARENTS + _hand_parents(20, 22) + _hand_parents(21, 37),
    "smplx": (*_BODY_PARENTS, 15, 15, 15, *_hand_parents(20, 25), *_hand_parents(21, 40)),
    "mano": (-1, *_hand_parents(0, 1)),
}
"""Parent of each joint, -1 for the root."""
PARENTS["free"] = PARENTS["smplh"]


def mano_joints(side: str) -> tuple[str, ...]:
    """Names of MANO's 16 joints for one hand, "left" or "right": the wrist, then three per finger."""
    return (f"{side}_wrist", *_hand_joints(side))


def kinematic_levels(parents: tuple[int, ...]) -> list[np.ndarray]:
    """Joints grouped by depth below the root, so that a tree of 52 joints is walked in 11 steps.

    Raises:
      ValueError: a parent does not precede its child, or joint 0 is not the only root.
    """
    if not parents or parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(parents) if i):
        raise ValueError(f"parents must start with -1 and precede their children, got {parents}")
    depth = np.zeros(len(parents), dtype=np.int64)
    for i, p in enumerate(parents[1:], start=1):
        depth[i] = depth[p] + 1
    return [np.flatnonzero(depth == d) for d in range(depth.max() + 1)]


def forward_kinematics(
    rotations: Float[ArrayLike, "*B J 3 3"],
    rest_joints: Float[ArrayLike, "*B J 3"],
    parents: tuple[int, ...],
) -> tuple[Float[jax.Array, "*B J 3 3"], Float[jax.Array, "*B J 3"]]:
    """World rotation and position of every joint, one batched product per tree level.

    Loper et al. 2015, eq. 3-4. Any leading axes.

    Args:
      rotations: rotation of each joint relative to its parent.
      rest_joints: joint positions in the rest pose, metres.
      parents: index of each joint's parent, -1 for the root; parents come first.

    Returns:
      World rotations and world positions (metres), in the input's joint order.

    Raises:
      ValueError: a parent does not precede its child.
    """
    levels = kinematic_levels(parents)
    order, parent = np.concatenate(levels), np.asarray(parents)
    # Joints go first, in the order of the levels, so that a level is a slice. XLA:CPU rejects matrix products of two
    # gathers along a middle axis under two batch axes; here only the parents are gathered.
    local, rest = jnp.moveaxis(jnp.asarray(rotations), -3, 0)[order], jnp.moveaxis(jnp.asarray(rest_joints), -2, 0)
    bone = rest[order] - rest[np.maximum(parent[order], 0)]
    rot, pos, first = [local[:1]], [rest[:1]], 1
    for above, level in itertools.pairwise(levels):
        slot, here = np.searchsorted(above, parent[level]), slice(first, first + len(level))
        up, first = rot[-1][slot], here.stop
        rot.append(_einsum("...ij,...jk->...ik", up, local[here]))
        pos.append(pos[-1][slot] + _einsum("...ij,...j->...i", up, bone[here]))
    back = np.argsort(order)
    return jnp.moveaxis(jnp.concatenate(rot)[back], 0, -3), jnp.moveaxis(jnp.concatenate(pos)[back], 0, -2)
