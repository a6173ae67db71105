"""Named hand poses from the hand's own geometry: flat, relaxed, grasp and fist.

Each finger bends about the axis perpendicular to its own bones, after it was drawn in beside its neighbour (adduction)
and rolled towards the middle of the hand, so that the fingertips converge instead of fanning out. Angles are found by
least squares: phalanges are capsules that touch palm, rod or each other without entering, close to a natural pose.
"""

import dataclasses
import itertools

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from .skeleton import FINGERS, INDEX

LONG = ("index", "middle", "ring", "pinky")
DOWN = np.array([0.0, -1.0, 0.0])  # out of the palm in the T-pose
CYLINDER = 0.024  # radius of the rod that `grasp` holds, metres
GIVE = 1.0  # millimetres that skin yields between fingers
PALM_GIVE = 3.0  # and under a fist's fingertips

# Natural angles per long finger: adduction, roll towards the middle, flexion of the three joints. Radians.
NATURAL = {
    "relaxed": {
        "index": (0.04, 0.06, 0.30, 0.42, 0.22), "middle": (-0.03, 0.02, 0.40, 0.50, 0.26),
        "ring": (-0.08, -0.05, 0.46, 0.55, 0.28), "pinky": (-0.12, -0.10, 0.48, 0.55, 0.30),
    },
    "grasp": {
        "index": (0.04, 0.12, 0.75, 0.85, 0.55), "middle": (-0.03, 0.02, 0.85, 0.90, 0.60),
        "ring": (-0.10, -0.08, 0.90, 0.90, 0.60), "pinky": (-0.18, -0.18, 0.95, 0.85, 0.60),
    },
    "fist": {
        "index": (0.02, 0.40, 1.50, 1.75, 1.10), "middle": (-0.05, 0.08, 1.52, 1.80, 1.10),
        "ring": (-0.12, -0.10, 1.50, 1.80, 1.10), "pinky": (-0.20, -0.28, 1.50, 1.75, 1.05),
    },
}  # fmt: skip
# Thumb: rotation vector of the first joint, flexion and roll of the second, flexion of the third.
NATURAL_THUMB = {
    "relaxed": (0.0, 0.15, 0.10, 0.12, 0.10, 0.25),
    "grasp": (-0.05, 0.15, -0.20, 0.30, 0.45, 0.45),
    "fist": (-0.10, 0.30, -0.05, 0.65, 0.60, 0.75),
}


@dataclasses.dataclass(frozen=True)
class RestHand:
    """The left hand at rest: joints, tips, capsule radii and the palm as a height field."""

    wrist: np.ndarray
    chains: dict
    """Finger -> three joints and the tip, (4, 3)."""
    radii: dict
    """Finger -> radius of each phalanx, (3,)."""
    palm: LinearNDInterpolator
    """(x, z) -> y of the palm's skin."""
    thumb_flexion: np.ndarray
    """Axis about which the thumb's tip bends."""

    @property
    def pad(self):
        """Direction out of the thumb's pad at rest."""
        return np.cross(self.thumb_flexion, _unit(self.chains["thumb"][3] - self.chains["thumb"][2]))


def _unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def measure_hand(vertices, weights, normals, joints, tips):
    """Takes the left hand's measures from the mean body.

    Args:
      vertices: (V, 3) mean body in T-pose.
      weights: (V, 52) skinning weights.
      normals: (V, 3).
      joints: (52, 3).
      tips: finger -> vertex id of the left fingertip.
    """
    chains, radii, axis = {}, {}, None
    owner = weights.argmax(1)
    for finger in FINGERS:
        ids = [INDEX[f"left_{finger}{k}"] for k in (1, 2, 3)]
        tip = vertices[tips[finger]]
        chain = np.concatenate([joints[ids], tip[None]])
        measured = []
        for k, joint in enumerate(ids):
            along = _unit(chain[k + 1] - chain[k])
            skin = vertices[owner == joint] - chain[k]
            inside = (skin @ along > 0) & (skin @ along < np.linalg.norm(chain[k + 1] - chain[k]))
            across = (skin - np.outer(skin @ along, along))[inside]
            measured.append(np.linalg.norm(across - across.mean(0), axis=1).mean())
            if finger == "thumb" and k == 2:  # the tip is flat: its widest direction is the hinge
                axis = np.linalg.svd(across - across.mean(0), full_matrices=False)[2][0]
                axis = axis * np.sign(axis[1])
        radii[finger] = np.array(measured)
        chains[finger] = chain.copy()
        chains[finger][3] -= _unit(chain[3] - chain[2]) * measured[2]  # capsules end a radius before the tip
    wrist = joints[INDEX["left_wrist"]]
    palm = (owner == INDEX["left_wrist"]) & (normals[:, 1] < -0.2)
    field = LinearNDInterpolator(vertices[palm][:, [0, 2]], vertices[palm][:, 1], fill_value=np.nan)
    return RestHand(wrist, chains, radii, field, axis)


def finger_rotations(chain, angles):
    """Local rotations of a long finger's three joints from adduction, roll and three flexions."""
    adduction, roll, *flexion = angles
    bone = chain[2] - chain[0]
    bone = _unit(bone * np.array([1.0, 0.0, 1.0]))
    hinge = np.cross(bone, DOWN)
    base = Rotation.from_rotvec([0.0, adduction, 0.0])
    base = Rotation.from_rotvec(roll * base.apply(bone)) * base
    first = Rotation.from_rotvec(flexion[0] * base.apply(hinge)) * base
    return [first, Rotation.from_rotvec(flexion[1] * hinge), Rotation.from_rotvec(flexion[2] * hinge)]


def thumb_rotations(hand, angles):
    """Local rotations of the thumb's three joints."""
    bone = _unit(hand.chains["thumb"][2] - hand.chains["thumb"][1])
    return [
        Rotation.from_rotvec(angles[:3]),
        Rotation.from_rotvec(angles[3] * hand.thumb_flexion + angles[4] * bone),
        Rotation.from_rotvec(angles[5] * hand.thumb_flexion),
    ]


def unroll(chain, rotations):
    """Positions (4, 3) of a finger's joints and tip, and the rotation of its last phalanx."""
    points, world = [chain[0]], Rotation.identity()
    for k, rotation in enumerate(rotations):
        world = world * rotation
        points.append(points[-1] + world.apply(chain[k + 1] - chain[k]))
    return np.stack(points), world


def segment_distance(p0, p1, q0, q1):
    """Distances between segments, broadcasting over leading axes (Ericson, Real-Time Collision Detection, 5.1.9)."""
    u, v, w = p1 - p0, q1 - q0, p0 - q0
    a, b, c = np.sum(u * u, -1), np.sum(u * v, -1), np.sum(v * v, -1)
    d, e = np.sum(u * w, -1), np.sum(v * w, -1)
    s = np.clip((b * e - c * d) / np.maximum(a * c - b * b, 1e-12), 0, 1)
    t = np.clip((b * s + e) / c, 0, 1)
    s = np.clip((b * t - d) / a, 0, 1)
    return np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1)


class Solver:
    """Least squares over all angles of one hand pose."""

    def __init__(self, hand, name):
        self.hand, self.name = hand, name
        self.start = np.concatenate([*[NATURAL[name][f] for f in LONG], NATURAL_THUMB[name]])
        self.stiffness = np.array([*(4 * [0.6, 0.6, 0.5, 0.5, 0.5]), 0.3, 0.3, 0.3, 0.2, 0.4, 0.2])
        spread = [0.5 * (hand.chains[f][0] + hand.chains[f][1]) for f in ("index", "pinky")]
        self.rod = _unit(spread[1] - spread[0]) * np.array([1.0, 0.0, 1.0])

    def rotations(self, x):
        """Rotations of the 15 joints by finger."""
        result = {f: finger_rotations(self.hand.chains[f], x[5 * i : 5 * i + 5]) for i, f in enumerate(LONG)}
        return result | {"thumb": thumb_rotations(self.hand, x[20:26])}

    def residuals(self, x):
        """Millimetres of contact error, and radians away from the natural pose times a stiffness."""
        hand = self.hand
        posed = {f: unroll(hand.chains[f], r) for f, r in self.rotations(x).items()}
        points = {f: p for f, (p, _) in posed.items()}
        out = [20.0 * self.stiffness * (x[:26] - self.start)]
        for i, f in enumerate(FINGERS):  # no phalanx enters that of another finger
            for g in FINGERS[i + 1 :]:
                a, b = (1 if f == "thumb" else 0), (1 if g == "thumb" else 0)
                gap = segment_distance(
                    points[f][a:3, None], points[f][a + 1 :, None], points[g][None, b:3], points[g][None, b + 1 :]
                )
                gap = 1e3 * (gap - hand.radii[f][a:, None] - hand.radii[g][None, b:])
                out.append(2.0 * np.minimum(gap + (2.0 if g == "thumb" else 1.0) * GIVE, 0.0).ravel())
        if self.name == "fist":
            out += self._fist(points, posed["thumb"][1])
        if self.name == "grasp":
            out += self._grasp(points, posed["thumb"][1], x[26:])
        return np.concatenate(out)

    def _fist(self, points, thumb):
        out = []
        for f in LONG:  # last phalanx on the palm, neighbours side by side
            skin = np.stack([points[f][2], 0.5 * (points[f][2] + points[f][3]), points[f][3]])
            level = self.hand.palm(skin[:, [0, 2]])
            clearance = 1e3 * (np.where(np.isnan(level), skin[:, 1], level) - skin[:, 1] - self.hand.radii[f][2])
            clearance = clearance + PALM_GIVE
            out += [2.0 * np.minimum(clearance, 0.0), 0.8 * np.maximum(clearance[1:].min(keepdims=True), 0.0)]
        for f, g in itertools.pairwise(LONG):
            gap = segment_distance(points[f][1], points[f][2], points[g][1], points[g][2])
            out.append([0.3 * 1e3 * max(gap - self.hand.radii[f][1] - self.hand.radii[g][1], 0.0)])
        for f, k in (("index", 2), ("middle", 3)):  # the thumb's last phalanx lies across index and middle
            p = points["thumb"][k]
            gap = segment_distance(p, p + 1e-5, points[f][1], points[f][2])
            out.append([3.0 * (1e3 * (gap - self.hand.radii["thumb"][2] - self.hand.radii[f][1]) + 2.0 * GIVE)])
            over = 0.5 * (points[f][1] + points[f][2]) - p
            out.append(0.2 * 1e3 * over[[0, 2]])
        out.append(3.0 * (thumb.apply(self.hand.pad) - _unit(np.array([-0.5, 1.0, -0.2]))))
        return out

    def _grasp(self, points, thumb, place):
        centre = np.array([place[0], place[1], 0.0])
        axis = _unit(self.rod + np.array([place[2], place[3], 0.0]))
        out = [20.0 * np.asarray(place[2:])]

        def clearance(p, radius):
            d = p - centre
            return 1e3 * (np.linalg.norm(d - np.sum(d * axis, -1, keepdims=True) * axis, axis=-1) - CYLINDER - radius)

        def touch(p, radius, pull):
            gap = clearance(p, radius)
            return 2.0 * np.minimum(gap, 0.0) + pull * np.maximum(gap, 0.0)

        for f in LONG:  # little fingers reach less far round
            pull = 0.3 if f == "pinky" else 0.6
            for k in range(3):
                out.append(touch(0.5 * (points[f][k] + points[f][k + 1]), self.hand.radii[f][k], pull)[None])
            out.append(touch(points[f][3], self.hand.radii[f][2], pull)[None])
        for k in (1, 2):
            out.append(
                touch(0.5 * (points["thumb"][k] + points["thumb"][k + 1]), self.hand.radii["thumb"][k], 0.6)[None]
            )
        out.append(touch(points["thumb"][3], self.hand.radii["thumb"][2], 1.0)[None])
        meet = 0.5 * (points["index"][3] + points["middle"][3])  # the thumb comes to meet the fingertips
        out.append(0.25 * 1e3 * np.maximum(np.abs(points["thumb"][3] - meet) - 0.012, 0.0))
        inward = centre - points["thumb"][3]
        inward = _unit(inward - (inward @ axis) * axis)
        out.append(3.0 * (thumb.apply(self.hand.pad) - inward))
        x = self.hand.wrist[0] + np.array([0.055, 0.075])  # the palm touches the rod
        skin = np.stack([x, self.hand.palm(np.stack([x, np.zeros(2)], axis=1)), np.zeros(2)], axis=1)
        out.append(np.minimum(clearance(skin, 0.0), 0.0))
        out.append([np.min(clearance(skin, 0.0))])
        return out

    def solve(self):
        """Axis-angle (15, 3) of the left hand, and the solution vector."""
        start = self.start
        if self.name == "grasp":
            knuckle = self.hand.chains["middle"][0]
            start = np.concatenate([start, [knuckle[0] - 0.005, knuckle[1] - 0.015 - CYLINDER, 0.0, 0.0]])
        solution = least_squares(self.residuals, start, max_nfev=200) if self.name != "relaxed" else None
        x = start if solution is None else solution.x
        rotations = self.rotations(x)
        return np.concatenate([np.stack([r.as_rotvec() for r in rotations[f]]) for f in FINGERS]), x


def named_hand_poses(hand, progress):
    """Name -> axis-angle (15, 3) of the left hand's joints; the right hand is its mirror image."""
    poses = {"flat": np.zeros((15, 3))}
    return poses | {name: Solver(hand, name).solve()[0] for name in progress(list(NATURAL), "hand poses")}
