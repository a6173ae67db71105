"""SMPL-H's 52 joints on MakeHuman's rig: names, parents, joint cubes, merged skinning weights."""

import numpy as np

from .source import BODY_VERTICES

FINGERS = ("index", "middle", "pinky", "ring", "thumb")  # SMPL-H's order
FINGER_NUMBER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}  # MakeHuman's numbering
BODY_JOINTS = [
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
]  # fmt: skip
JOINTS = BODY_JOINTS + [f"{side}_{f}{k}" for side in ("left", "right") for f in FINGERS for k in (1, 2, 3)]
INDEX = {name: i for i, name in enumerate(JOINTS)}
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
PARENTS += [
    (20 if side == "left" else 21) if k == 1 else INDEX[f"{side}_{f}{k - 1}"]
    for side in ("left", "right")
    for f in FINGERS
    for k in (1, 2, 3)
]


def other_side(name):
    """`left_x` <-> `right_x`; anything else is its own mirror image."""
    if name.startswith("left_"):
        return "right_" + name[5:]
    return "left_" + name[6:] if name.startswith("right_") else name


JOINT_MIRROR = np.array([INDEX[other_side(name)] for name in JOINTS])

# Bones of the `default` rig whose weights belong to a joint; a bone not named goes to its nearest named ancestor.
_BONES = {
    "pelvis": "root spine05 pelvis.L pelvis.R",
    "spine1": "spine04 spine03",
    "spine2": "spine02 breast.L breast.R",
    "spine3": "spine01",
    "neck": "neck01 neck02 neck03",
    "head": "head",
}
_SIDE_BONES = {
    "hip": "upperleg01 upperleg02",
    "knee": "lowerleg01 lowerleg02",
    "ankle": "foot",
    "foot": " ".join(f"toe{i}-{k}" for i in range(1, 6) for k in (1, 2, 3)),
    "collar": "clavicle shoulder01",
    "shoulder": "upperarm01 upperarm02",
    "elbow": "lowerarm01 lowerarm02",
    "wrist": "wrist metacarpal1 metacarpal2 metacarpal3 metacarpal4",
}
_CUBES = {
    "pelvis": "pelvis",
    "spine1": "spine-4",
    "spine2": "spine-2",
    "spine3": "spine-1",
    "neck": "neck",
    "head": "head",
}
_SIDE_CUBES = {
    "hip": "upper-leg", "knee": "knee", "ankle": "ankle", "foot": "foot-1",
    "collar": "clavicle", "shoulder": "shoulder", "elbow": "elbow", "wrist": "hand",
}  # fmt: skip


def bone_joints():
    """Joint name for every bone named above."""
    table = {bone: joint for joint, bones in _BONES.items() for bone in bones.split()}
    for side, letter in (("left", "L"), ("right", "R")):
        for joint, bones in _SIDE_BONES.items():
            table |= {f"{bone}.{letter}": f"{side}_{joint}" for bone in bones.split()}
        for finger, number in FINGER_NUMBER.items():
            table |= {f"finger{number}-{k}.{letter}": f"{side}_{finger}{k}" for k in (1, 2, 3)}
    return table


def joint_cubes(groups):
    """Vertex ids of the cube that marks each of the 52 joints, and of each fingertip's cube by (side, finger)."""
    names = dict(_CUBES)
    tips = {}
    for side in ("left", "right"):
        names |= {f"{side}_{joint}": f"{side[0]}-{cube}" for joint, cube in _SIDE_CUBES.items()}
        for finger, number in FINGER_NUMBER.items():
            names |= {f"{side}_{finger}{k}": f"{side[0]}-finger-{number}-{k}" for k in (1, 2, 3)}
            tips[side, finger] = groups[f"joint-{side[0]}-finger-{number}-4"]
    return [groups[f"joint-{names[joint]}"] for joint in JOINTS], tips


def merged_weights(bone_parents, bone_weights, mirror, keep=6):
    """Skinning weights (13380, 52): bones merged, mirror images averaged, the `keep` largest kept, normalised."""
    table = bone_joints()
    weights = np.zeros((BODY_VERTICES, len(JOINTS)))
    for bone, entries in bone_weights.items():
        target = bone
        while target not in table:
            target = bone_parents[target]
        ids, values = np.array(entries, float).reshape(-1, 2).T
        ids = ids.astype(int)
        body = ids < BODY_VERTICES
        np.add.at(weights[:, INDEX[table[target]]], ids[body], values[body])
    weights /= weights.sum(1, keepdims=True)
    weights = 0.5 * (weights + weights[mirror][:, JOINT_MIRROR])
    floor = np.maximum(np.sort(weights, axis=1)[:, -keep], 1e-3)[:, None]
    weights = np.where(weights >= floor - 1e-12, weights, 0.0)  # the slack keeps left/right ties together
    return weights / weights.sum(1, keepdims=True)
