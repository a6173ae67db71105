"""Body parts of any model: labels from its skinning weights, and contact regions by name.

Labels are the part with the largest summed weight. Regions split parts by where they lie and which way they face in the
rest pose (T-pose, y up, facing +z), with lengths taken from the model's own bones; so they are the same places on every
body, whatever its vertices.
"""

import dataclasses

import numpy as np
from jaxtyping import Int

from hoijax.body_models.model import BodyModel
from hoijax.body_models.skeleton import BODY_JOINTS, FINGERS

_SIDES = ("left", "right")

PARTS_24: tuple[str, ...] = (*BODY_JOINTS, "left_hand", "right_hand")
"""SMPL's 24 parts, one per joint, with all fingers of a hand as one."""

PARTS_15: tuple[str, ...] = (
    "head", "torso", "hips",
    *(f"{side}_{part}" for part in ("arm", "forearm", "hand", "thigh", "leg", "foot") for side in _SIDES),
)  # fmt: skip
"""InteractVLM's 15 parts; `arm` and `leg` are the upper arm and the lower leg."""

_MERGE = {"head": "head", "neck": "head", "pelvis": "hips"}
_MERGE |= dict.fromkeys(("spine1", "spine2", "spine3", "left_collar", "right_collar"), "torso")
_MERGE |= {
    f"{side}_{joint}": f"{side}_{part}"
    for side in _SIDES
    for joint, part in (
        ("shoulder", "arm"), ("elbow", "forearm"), ("wrist", "hand"), ("hand", "hand"), ("hip", "thigh"),
        ("knee", "leg"), ("ankle", "foot"), ("foot", "foot"),
    )
}  # fmt: skip


def part_names(scheme: str = "24") -> tuple[str, ...]:
    """Names of the parts that `part_labels` counts, for the scheme "24" or "15".

    Raises:
      ValueError: another scheme.
    """
    if scheme not in ("24", "15"):
        raise ValueError(f'parts scheme {scheme!r}; there are "24" and "15"')
    return PARTS_24 if scheme == "24" else PARTS_15


def part_labels(model: BodyModel, scheme: str = "24") -> Int[np.ndarray, "V"]:
    """Part of every vertex, as an index into `part_names(scheme)`.

    Args:
      model: any model; of a single hand only its parts occur.
      scheme: "24", SMPL's joints with the fingers of a hand as one part, or "15", InteractVLM's parts.

    Raises:
      ValueError: another scheme, or a model with joint names of its own.
    """
    names = part_names(scheme)
    weights = np.zeros((model.num_vertices, len(names)))
    table = np.asarray(model.skin_weights)
    for i, joint in enumerate(model.joint_names):
        part = _part_of(joint)
        weights[:, names.index(part if scheme == "24" else _MERGE[part])] += table[:, i]
    return weights.argmax(axis=1).astype(np.int32)


def _part_of(joint: str) -> str:
    """The one of the 24 parts to which a joint of any model belongs."""
    if joint in PARTS_24:
        return joint
    if joint == "jaw" or "eye" in joint:
        return "head"
    side, _, rest = joint.partition("_")
    if side in _SIDES and rest[:-1] in FINGERS:
        return f"{side}_hand"
    raise ValueError(f"joint {joint!r} belongs to no known part; parts need the joint names of SMPL, SMPL-H or SMPL-X")


@dataclasses.dataclass(frozen=True)
class _Rest:
    """A model in its rest pose, as regions look at it."""

    position: np.ndarray
    normal: np.ndarray
    parts: dict[str, np.ndarray]
    """Part of the 24 or 15 -> mask."""
    joints: dict[str, np.ndarray]
    """Joint name -> position."""
    finger: dict[str, np.ndarray]
    """Summed weight of the joints of a finger, such as "left_index", and of all of a hand's, "left"."""

    def within(self, joint: str, share: float, bone: tuple[str, str]) -> np.ndarray:
        """Vertices nearer to a joint than a share of a bone's length."""
        reach = share * np.linalg.norm(self.joints[bone[0]] - self.joints[bone[1]])
        return np.linalg.norm(self.position - self.joints[joint], axis=1) < reach


def _rest(model: BodyModel) -> _Rest:
    position, faces = np.asarray(model.v_template, np.float64), np.asarray(model.faces)
    corners = position[faces]
    normal = np.zeros_like(position)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.add.at(normal, faces.reshape(-1), np.repeat(area, 3, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    parts = {}
    for scheme in ("24", "15"):  # a name in both, such as left_hand, means the larger part of the 15
        labels = part_labels(model, scheme)
        parts |= {name: labels == i for i, name in enumerate(part_names(scheme))}
    weights, finger = np.asarray(model.skin_weights), {}
    for i, joint in enumerate(model.joint_names):
        if _part_of(joint) in ("left_hand", "right_hand"):
            side = joint.split("_")[0]
            for key in {side, joint.rstrip("123")}:
                finger[key] = finger.get(key, 0.0) + weights[:, i]
    joints = dict(zip(model.joint_names, np.asarray(model.joint_template, np.float64)))
    return _Rest(position, normal, parts, joints, finger)


def contact_regions(model: BodyModel) -> dict[str, Int[np.ndarray, "N"]]:
    """Places of the body that touch things, by name: sorted vertex ids.

    The 15 parts of `part_names("15")`; and

    - head: `face`, `neck`, `back_of_head`
    - trunk: `back` (`upper_back`, `lower_back`), `chest`, `belly`, `buttocks`
    - left and right: `shoulder`, `elbow`, `knee`, `thigh_back`, `thigh_front`, `shin`, `calf`, `sole`, `heel`, `toes`,
      `palm`, `back_of_hand`, `fingers`, `finger_pads`, and every finger by name, all as `left_...`, `right_...`
    - both sides: `hands`, `arms`, `forearms`, `elbows`, `shoulders`, `palms`, `fingers`, `finger_pads`, `thighs`,
      `thigh_backs`, `knees`, `legs`, `feet`, `soles`
    - `seat`: buttocks and the backs of the thighs

    `arm` and `leg` are the upper arm and the lower leg. Regions overlap. Those that a model does not have (fingers of a
    SMPL model one by one, everything but the hand of MANO) are absent.

    Args:
      model: any model in its rest pose, with all its faces.
    """
    rest = _rest(model)
    masks = {name: rest.parts[name] for name in PARTS_15}
    if "pelvis" in rest.joints:
        masks |= _trunk(rest)
    for side in _SIDES:
        if f"{side}_hip" in rest.joints:
            masks |= _limbs(rest, side)
        if f"{side}_wrist" in rest.joints:
            masks |= _hand(rest, side)
    for plural, name in _PLURALS.items():
        pair = [masks[f"{side}_{name}"] for side in _SIDES if f"{side}_{name}" in masks]
        masks |= {plural: np.logical_or.reduce(pair)} if pair else {}
    if "buttocks" in masks:
        masks["seat"] = masks["buttocks"] | masks["thigh_backs"]
    return {name: np.flatnonzero(mask).astype(np.int32) for name, mask in sorted(masks.items()) if mask.any()}


def scene_contact_vertices(model: BodyModel) -> Int[np.ndarray, "N"]:
    """Vertices that usually touch a scene: soles, buttocks, backs of the thighs, back, palms and finger pads.

    The same places as the contact set of PROX (Hassan et al. 2019), found from geometry, for any model.
    """
    regions = contact_regions(model)
    names = ("soles", "seat", "back", "palms", "finger_pads")
    return np.unique(np.concatenate([regions[name] for name in names if name in regions]))


_PLURALS = {
    "hands": "hand", "arms": "arm", "forearms": "forearm", "elbows": "elbow", "shoulders": "shoulder", "palms": "palm",
    "fingers": "fingers", "finger_pads": "finger_pads", "thighs": "thigh", "thigh_backs": "thigh_back",
    "knees": "knee", "legs": "leg", "feet": "foot", "soles": "sole",
}  # fmt: skip


def _trunk(rest: _Rest) -> dict[str, np.ndarray]:
    height, front = rest.position[:, 1], rest.normal[:, 2]
    torso, hips, joints = rest.parts["torso"], rest.parts["hips"], rest.joints
    hip, waist = (joints["left_hip"][1] + joints["right_hip"][1]) / 2, joints["spine2"][1]
    thigh = np.linalg.norm(joints["left_hip"] - joints["left_knee"])
    seat_top = hip + 0.25 * thigh
    trunk = torso | (hips & (height > seat_top))
    back = trunk & (front < -0.3)
    near_hip = (height < seat_top) & (height > hip - 0.35 * thigh)
    bottom = hips | rest.parts["left_thigh"] | rest.parts["right_thigh"]
    head = rest.parts["head"]
    return {
        "neck": rest.parts["neck"] & head,
        "face": head & (front > 0.2) & ~rest.parts["neck"],
        "back_of_head": head & (front < -0.3) & ~rest.parts["neck"],
        "back": back,
        "upper_back": back & (height >= waist),
        "lower_back": back & (height < waist),
        "chest": torso & (front > 0.3) & (height >= waist),
        "belly": (torso | hips) & (front > 0.3) & (height < waist) & (height > hip),
        "buttocks": bottom & near_hip & (front < -0.2),
    }


def _limbs(rest: _Rest, side: str) -> dict[str, np.ndarray]:
    front, down = rest.normal[:, 2], -rest.normal[:, 1]
    height, depth = rest.position[:, 1], rest.position[:, 2]
    thigh, leg, foot = (rest.parts[f"{side}_{part}"] for part in ("thigh", "leg", "foot"))
    upper, lower = (f"{side}_hip", f"{side}_knee"), (f"{side}_shoulder", f"{side}_elbow")
    ankle = rest.joints[f"{side}_ankle"]
    ground = height[foot].min() if foot.any() else 0.0
    low = height < ground + 0.5 * (ankle[1] - ground)
    masks = {
        "thigh_back": thigh & (front < -0.3),
        "thigh_front": thigh & (front > 0.3),
        "knee": (thigh | leg) & (front > 0.2) & rest.within(f"{side}_knee", 0.22, upper),
        "shin": leg & (front > 0.3),
        "calf": leg & (front < -0.3),
        "sole": foot & low & (down > 0.5),
        "heel": foot & low & (depth < ankle[2]),
        "toes": rest.parts[f"{side}_foot"] & (depth > rest.joints[f"{side}_foot"][2]),
        "elbow": (rest.parts[f"{side}_arm"] | rest.parts[f"{side}_forearm"])
        & (front < -0.2)
        & rest.within(f"{side}_elbow", 0.25, lower),
        "shoulder": (rest.parts[f"{side}_arm"] | rest.parts["torso"])
        & rest.within(f"{side}_shoulder", 0.4, lower)
        & (rest.normal[:, 1] > 0.0),
    }
    return {f"{side}_{name}": mask for name, mask in masks.items()}


def _hand(rest: _Rest, side: str) -> dict[str, np.ndarray]:
    hand = rest.parts[f"{side}_hand"]
    fingers = hand & (rest.finger.get(side, np.zeros(len(hand))) > 0.5)
    facing = rest.normal @ _palm_direction(rest.joints, side)
    masks = {
        f"{side}_palm": hand & ~fingers & (facing > 0.3),
        f"{side}_back_of_hand": hand & ~fingers & (facing < -0.3),
        f"{side}_fingers": fingers,
        f"{side}_finger_pads": fingers & (facing > 0.3),
    }
    each = {name: rest.finger.get(f"{side}_{name}") for name in FINGERS}
    return masks | {f"{side}_{name}": hand & (weight > 0.5) for name, weight in each.items() if weight is not None}


def _palm_direction(joints: dict[str, np.ndarray], side: str) -> np.ndarray:
    """Unit vector out of the palm; a T-pose without finger joints has its palms down."""
    if f"{side}_index1" not in joints:
        return np.array([0.0, -1.0, 0.0])
    along = joints[f"{side}_middle1"] - joints[f"{side}_wrist"]
    across = joints[f"{side}_index1"] - joints[f"{side}_pinky1"]
    out = np.cross(along, across) * (1.0 if side == "left" else -1.0)
    return out / np.linalg.norm(out)
