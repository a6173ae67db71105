"""Which key of a parameter file keeps which quantity, and what the shape of its array means.

`hoijax.io.params` documents the table.
"""

import dataclasses
import os

from hoijax.errors import InputError

ROTATIONS: dict[str, tuple[int, ...]] = {
    "global_orient": (1,),
    "body_pose": (21, 23),
    "left_hand_pose": (15,),
    "right_hand_pose": (15,),
    "jaw_pose": (1,),
    "leye_pose": (1,),
    "reye_pose": (1,),
    "obj_rot": (1,),
}
"""Quantities made of rotations, and how many joints they may have."""

_HANDS = ("left_hand_pose", "right_hand_pose")

FULL_POSES: dict[int, tuple[tuple[str, int], ...]] = {
    52: (("global_orient", 1), ("body_pose", 21), ("left_hand_pose", 15), ("right_hand_pose", 15)),
    55: (
        ("global_orient", 1), ("body_pose", 21), ("jaw_pose", 1), ("leye_pose", 1), ("reye_pose", 1),
        ("left_hand_pose", 15), ("right_hand_pose", 15),
    ),
    24: (("global_orient", 1), ("body_pose", 23)),
    22: (("global_orient", 1), ("body_pose", 21)),
}  # fmt: skip
"""Order of the joints in one vector for all, by their number: SMPL-H, SMPL-X, SMPL, a body without hands."""

_FULL = ("poses", "pose", "fullpose", "full_pose")

KEYS: dict[str, tuple[tuple[str, int | None], ...]] = {
    **{name: ((name, None),) for name in ROTATIONS},
    **{key: (("*", None),) for key in _FULL},
    "root_orient": (("global_orient", None),),
    "pose_body": (("body_pose", None),),
    "pose_hand": (("left_hand_pose", 15), ("right_hand_pose", 15)),
    "pose_jaw": (("jaw_pose", None),),
    "pose_eye": (("leye_pose", 1), ("reye_pose", 1)),
    "obj_angles": (("obj_rot", None),),
    "betas": (("betas", None),),
    "expression": (("expression", None),),
    "transl": (("transl", 3),),
    "trans": (("transl", 3),),
    "obj_trans": (("obj_trans", 3),),
    "obj_transl": (("obj_trans", 3),),
    "obj_R": (("obj_rot", None),),
    "obj_t": (("obj_trans", 3),),
    "obj_scale": (("obj_scale", 1),),
}
"""Key to the quantities it keeps in order: number of joints or of numbers, None where the array tells."""

REQUIRED = ("body_pose", "pose_body", *_FULL)
"""Keys one of which a body cannot do without."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """One quantity inside the flattened trailing axes of one key's array."""

    quantity: str
    """Its name."""
    start: int
    """First column."""
    stop: int
    """One past the last column."""
    matrix: bool = False
    """Rotation matrices, nine numbers a joint, instead of axis-angles."""


def interpret(
    path: os.PathLike[str], key: str, shape: tuple[int, ...], count: int | None
) -> tuple[tuple[Slot, ...], int | None]:
    """What the shape of one key's array means.

    Args:
      path: the file, for messages.
      key: one of `KEYS`.
      shape: the array's shape.
      count: length of the file's leading axis, which decides what `(3, 3)` is; None: not known yet.

    Returns:
      The slots of the array's columns, and the length of its leading axis or None if it has none.

    Raises:
      InputError: no reading of the shape fits the key.
    """
    parts = KEYS[key]
    first = parts[0][0]
    if first == "*":
        return _rotation_slots(path, key, shape, count, list(FULL_POSES.values()))
    if first in ROTATIONS:
        joints = [tuple((q, n or m) for q, n in parts) for m in ROTATIONS[first]]
        return _rotation_slots(path, key, shape, count, joints)
    return _plain_slots(path, key, shape, first, parts[0][1])


def _rotation_slots(
    path: os.PathLike[str],
    key: str,
    shape: tuple[int, ...],
    count: int | None,
    layouts: list[tuple[tuple[str, int], ...]],
) -> tuple[tuple[Slot, ...], int | None]:
    for layout in layouts:
        joints = sum(n for _, n in layout)
        found = _one_joint(shape, count) if joints == 1 else _several_joints(shape, joints)
        if found is not None:
            return _slots(layout, found[0]), found[1]
    if key in _HANDS and len(shape) in (1, 2) and shape[-1] < 45:  # coefficients of the hand's principal components
        return (Slot(key, 0, shape[-1]),), shape[0] if len(shape) == 2 else None
    wanted = " or ".join(
        f"({3 * n},), ({n}, 3) or ({n}, 3, 3)" if n > 1 else "(3,) or (3, 3)"
        for n in (sum(n for _, n in layout) for layout in layouts)
    )
    raise InputError(f"{os.fspath(path)}: '{key}' has shape {shape}, wanted {wanted}, with or without a leading axis")


def _one_joint(shape: tuple[int, ...], count: int | None) -> tuple[int, int | None] | None:
    """Numbers per rotation and length of the leading axis, or None."""
    if shape[-2:] == (3, 3) and not (shape == (3, 3) and count == 3):
        width, rest = 9, shape[:-2]
    elif shape[-1:] == (3,):
        width, rest = 3, shape[:-1]
    else:
        return None
    if len(rest) == 2 and rest[1] == 1:  # an axis for the one joint
        rest = rest[:1]
    return (width, rest[0] if rest else None) if len(rest) < 2 else None


def _several_joints(shape: tuple[int, ...], joints: int) -> tuple[int, int | None] | None:
    """Numbers per rotation and length of the leading axis, or None."""
    for inner, width in (((3 * joints,), 3), ((joints, 3), 3), ((joints, 3, 3), 9)):
        for axes in (0, 1):
            if len(shape) == len(inner) + axes and shape[axes:] == inner:
                return width, shape[0] if axes else None
    return None


def _slots(layout: tuple[tuple[str, int], ...], width: int) -> tuple[Slot, ...]:
    slots, start = [], 0
    for quantity, joints in layout:
        slots.append(Slot(quantity, start, start + width * joints, matrix=width == 9))
        start += width * joints
    return tuple(slots)


def _plain_slots(
    path: os.PathLike[str], key: str, shape: tuple[int, ...], quantity: str, width: int | None
) -> tuple[tuple[Slot, ...], int | None]:
    if quantity == "obj_scale":
        if len(shape) < 2 or (len(shape) == 2 and shape[1] == 1):
            return (Slot(quantity, 0, 1),), shape[0] if shape else None
    elif len(shape) in (1, 2) and width in (None, shape[-1]):
        return (Slot(quantity, 0, shape[-1]),), shape[0] if len(shape) == 2 else None
    elif len(shape) == 3 and shape[1] == 1 and width in (None, shape[-1]):  # (T, 1, 3)
        return (Slot(quantity, 0, shape[-1]),), shape[0]
    wanted = "() or (T,)" if quantity == "obj_scale" else f"({width or 'S'},) or (T, {width or 'S'})"
    raise InputError(f"{os.fspath(path)}: '{key}' has shape {shape}, wanted {wanted}")
