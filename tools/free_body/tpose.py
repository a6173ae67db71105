"""Brings a MakeHuman adult from its A-pose into SMPL's T-pose (arms along x, palms down, +z forward)."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from .skeleton import FINGERS, INDEX, JOINTS, PARENTS

COLLAR_LIFT = np.radians(10.0)
FOOT_YAW = np.radians(6.0)  # toes outward
FINGER_SPREAD = 0.7  # of the spread in MakeHuman's rest pose


@dataclasses.dataclass(frozen=True)
class Twist:
    """Rotation about a bone that is spread along it instead of jumping at the joint."""

    axis: np.ndarray
    """Target bone direction."""
    angle: float
    swing: np.ndarray
    """Rotation of the bone's root without the twist."""
    rest_direction: np.ndarray
    length: float


def unit(v):
    """Vectors scaled to length one."""
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def shortest_rotation(a, b):
    """Smallest rotation taking direction `a` to `b`."""
    a, b = unit(a), unit(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, a @ b)).as_matrix()


def frame(first, second):
    """Right-handed frame with columns `first`, the part of `second` orthogonal to it, and their cross product."""
    x = unit(first)
    y = unit(second - (second @ x) * x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def twist_angle(rotation, axis):
    """Angle about `axis` of a rotation that keeps `axis`."""
    up = np.array([0.0, 1.0, 0.0])
    turned = rotation @ up
    return np.arctan2(np.cross(up, turned) @ axis, turned @ up)


def tpose_rotations(joints, tips):
    """World rotation (52, 3, 3) of every joint that takes the sample to the T-pose, and twists by joint index."""
    world = [np.eye(3) for _ in JOINTS]
    twists = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        at = {name.split("_", 1)[1]: joints[i] for name, i in INDEX.items() if name.startswith(side)}
        idx = {name: INDEX[f"{side}_{name}"] for name in at}
        out, ahead = np.array([sign, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])

        world[idx["hip"]] = shortest_rotation(at["knee"] - at["hip"], np.array([0.05 * sign, -1.0, 0.02]))
        world[idx["knee"]] = shortest_rotation(at["ankle"] - at["knee"], np.array([0.0, -1.0, -0.04]))
        toe = at["foot"] - at["ankle"]
        yaw = Rotation.from_rotvec([0.0, sign * FOOT_YAW - np.arctan2(toe[0], toe[2]), 0.0]).as_matrix()
        world[idx["ankle"]] = world[idx["foot"]] = yaw

        # Upper and lower arm: bone onto +-x, and the elbow's hinge so that a flexed elbow brings the hand forward.
        collar = Rotation.from_rotvec([0.0, 0.0, sign * COLLAR_LIFT]).as_matrix()
        upper, lower = unit(at["elbow"] - at["shoulder"]), unit(at["wrist"] - at["elbow"])
        hinge, hinge_t = np.cross(upper, lower), np.cross(out, ahead)
        shoulder = frame(out, hinge_t) @ frame(upper, hinge).T
        elbow = frame(out, hinge_t) @ frame(lower, hinge).T
        knuckle = unit(at["middle1"] - at["wrist"])
        wrist = frame(out, ahead) @ frame(knuckle, at["index1"] - at["pinky1"]).T
        world[idx["collar"]], world[idx["shoulder"]], world[idx["elbow"]] = collar, shoulder, elbow
        world[idx["wrist"]] = wrist

        swing = shortest_rotation(collar @ upper, out) @ collar
        length = np.linalg.norm(at["elbow"] - at["shoulder"])
        twists[idx["shoulder"]] = Twist(out, twist_angle(shoulder @ swing.T, out), swing, upper, length)
        swing = shortest_rotation(elbow @ knuckle, out) @ elbow
        length = np.linalg.norm(at["wrist"] - at["elbow"])
        twists[idx["elbow"]] = Twist(out, twist_angle(wrist @ swing.T, out), elbow, lower, length)

        for finger in FINGERS:
            chain = [at[f"{finger}{k}"] for k in (1, 2, 3)] + [tips[side, finger]]
            if finger == "thumb":
                for k in (1, 2, 3):
                    world[idx[f"thumb{k}"]] = wrist
                continue
            along = wrist @ (chain[3] - chain[0])
            spread = np.arctan2(along[2], along[0] * sign) * FINGER_SPREAD
            along = np.array([np.cos(spread) * sign, 0.0, np.sin(spread)])
            for k in (1, 2, 3):
                i = idx[f"{finger}{k}"]
                parent = world[PARENTS[i]]
                world[i] = shortest_rotation(parent @ (chain[k] - chain[k - 1]), along) @ parent
    return np.stack(world), twists


def place_joints(joints, world):
    """Joint positions after the world rotations; the root stays."""
    placed = joints.copy()
    for i, p in enumerate(PARENTS):
        if p >= 0:
            placed[i] = placed[p] + world[p] @ (joints[i] - joints[p])
    return placed


def quaternion_product(a, b):
    """Hamilton product, scalar last."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    return np.concatenate(
        [aw * bv + bw * av + np.cross(av, bv), aw * bw - np.sum(av * bv, axis=-1, keepdims=True)], axis=-1
    )


def skin_dual_quaternions(vertices, weights, joints, placed, world, twists):
    """Dual-quaternion skinning (Kavan et al. 2007) with twists spread along their bones by smoothstep."""
    count = int((weights > 0).sum(1).max())
    ids = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    w = np.take_along_axis(weights, ids, axis=1)[..., None]
    real = Rotation.from_matrix(world).as_quat()[ids]  # (V, K, 4)
    shift = (placed - np.einsum("jab,jb->ja", world, joints))[ids]
    for i, twist in twists.items():
        rows, slots = np.nonzero((ids == i) & (w[..., 0] > 0))
        t = np.clip((vertices[rows] - joints[i]) @ twist.rest_direction / twist.length, 0, 1)
        t = t * t * (3 - 2 * t)
        half = 0.5 * t * twist.angle
        spin = np.concatenate([twist.axis * np.sin(half)[:, None], np.cos(half)[:, None]], axis=1)
        q = quaternion_product(spin, np.broadcast_to(Rotation.from_matrix(twist.swing).as_quat(), spin.shape))
        real[rows, slots] = q
        shift[rows, slots] = placed[i] - Rotation.from_quat(q).apply(joints[i])
    real = real * np.where(np.sum(real * real[:, :1], axis=-1, keepdims=True) < 0, -1.0, 1.0)  # same hemisphere
    dual = 0.5 * quaternion_product(np.concatenate([shift, np.zeros_like(shift[..., :1])], axis=-1), real)
    blend, blend_dual = np.sum(w * real, axis=1), np.sum(w * dual, axis=1)
    norm = np.linalg.norm(blend, axis=1, keepdims=True)
    blend, blend_dual = blend / norm, blend_dual / norm
    conjugate = blend * np.array([-1.0, -1.0, -1.0, 1.0])
    return Rotation.from_quat(blend).apply(vertices) + 2 * quaternion_product(blend_dual, conjugate)[:, :3]


def to_tpose(mesh, weights, cubes, tip_cubes, eyes):
    """T-posed body, joints and eyeballs of one adult, pelvis at the origin.

    Args:
      mesh: (19158, 3) morphed MakeHuman mesh.
      weights: (13380, 52) skinning weights.
      cubes: vertex ids of each joint's cube.
      tip_cubes: vertex ids of each fingertip's cube by (side, finger).
      eyes: vertex ids of the eyeballs, which follow the head rigidly.

    Returns:
      Body vertices (13380, 3), joints (52, 3), eyeball vertices.
    """
    joints = np.stack([mesh[c].mean(0) for c in cubes])
    tips = {key: mesh[c].mean(0) for key, c in tip_cubes.items()}
    world, twists = tpose_rotations(joints, tips)
    placed = place_joints(joints, world)
    body = skin_dual_quaternions(mesh[: len(weights)], weights, joints, placed, world, twists)
    head = INDEX["head"]
    eyeballs = mesh[eyes] + (placed[head] - joints[head])
    return body - placed[0], placed - placed[0], eyeballs - placed[0]
