"""The free body as a puppet on the host: forward kinematics, limbs that reach a goal, hands that curl.

What is made here is only a start: `hoijax.optim` fits the contact. Axes of the rest pose, which are those of every
joint before it turns: x to the left, y up, z forward; arms along x, palms down, legs down.
"""

import functools
from collections.abc import Iterable

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, contact_regions, free_body, joint_limits, named_hand_pose, named_pose

SIDES = ("left", "right")
Vector = np.ndarray | tuple[float, float, float] | list[float]
"""A point or a direction."""
_REGIONS = ("buttocks", "back", "upper_back", "left_sole", "right_sole", "left_toes", "right_toes", "belly", "chest")
"""Regions whose places the scripts ask for."""
_SEGMENTS: tuple[tuple[float, str, str, float], ...] = (
    (0.081, "neck", "head", 1.2), (0.355, "spine1", "neck", 0.45), (0.142, "pelvis", "spine1", 0.3),
    *((m, f"{s}_{a}", f"{s}_{b}", t) for s in SIDES for m, a, b, t in (
        (0.028, "shoulder", "elbow", 0.436), (0.016, "elbow", "wrist", 0.43), (0.006, "wrist", "middle1", 0.8),
        (0.1, "hip", "knee", 0.433), (0.0465, "knee", "ankle", 0.433), (0.0145, "ankle", "foot", 0.5),
    )),
)  # fmt: skip
"""Share of the mass, the joints that a segment lies between, and where on the way its centre is."""
_MIRROR = np.array([1.0, -1.0, -1.0])


@functools.cache
def _model() -> BodyModel:
    return free_body("test")


@functools.cache
def _regions() -> dict[str, np.ndarray]:
    return contact_regions(_model())


@functools.cache
def _skin(bone: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the light free body that a bone moves most, evenly chosen, and its shape directions there."""
    model = free_body("light")
    own = np.flatnonzero(np.asarray(model.skin_weights).argmax(axis=1) == bone)
    own = own[np.linspace(0, len(own) - 1, count).round().astype(int)]
    return np.asarray(model.v_template, float)[own], np.asarray(model.shape_dirs, float)[own]


@functools.cache
def joint(name: str) -> int:
    """Index of a joint of the free body."""
    return _model().joint_names.index(name)


def unit(vector: Vector) -> np.ndarray:
    """The vector divided by its length."""
    return np.asarray(vector, float) / np.linalg.norm(vector)


def turn(axes: str, *degrees: float) -> np.ndarray:
    """Matrix of intrinsic Euler angles in degrees."""
    return Rotation.from_euler(axes, degrees if len(axes) > 1 else degrees[0], degrees=True).as_matrix()


def hand_frame(side: str, fingers: Vector, palm: Vector) -> np.ndarray:
    """World rotation of a hand whose straight fingers point along `fingers` and whose palm faces `palm`."""
    palm = unit(palm)
    fingers = unit(np.asarray(fingers, float) - np.dot(fingers, palm) * palm)
    x = fingers if side == "left" else -fingers
    return np.stack([x, -palm, np.cross(x, -palm)], axis=1)


class Puppet:
    """One body of given betas: `rotations` (52, 3, 3) relative to the parents, `translation`, both to be set freely."""

    def __init__(self, betas: np.ndarray):
        model = _model()
        self.betas = np.asarray(betas, float)
        self.parents = model.parents
        self.rest = np.asarray(model.joint_template, float) + np.asarray(model.joint_shape_dirs) @ self.betas
        self._template = np.asarray(model.v_template, float) + np.asarray(model.shape_dirs) @ self.betas
        self.rotations = np.tile(np.eye(3), (52, 1, 1))
        self.translation = np.zeros(3)

    def pose(self, name: str) -> "Puppet":
        """Takes a named pose, standing at the origin."""
        values = named_pose(name)
        vectors = [
            values[k].reshape(-1, 3) for k in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
        ]
        self.rotations = Rotation.from_rotvec(np.concatenate(vectors)).as_matrix()
        self.translation = np.zeros(3)
        return self

    def set(self, name: str, axes: str, *degrees: float) -> "Puppet":
        """Sets a joint; `*x` sets left_x as written and right_x mirrored."""
        matrix = turn(axes, *degrees)
        if name.startswith("*"):
            self.rotations[joint(f"left_{name[1:]}")] = matrix
            vector = Rotation.from_matrix(matrix).as_rotvec() * _MIRROR
            self.rotations[joint(f"right_{name[1:]}")] = Rotation.from_rotvec(vector).as_matrix()
        else:
            self.rotations[joint(name)] = matrix
        return self

    def add(self, name: str, axes: str, *degrees: float) -> "Puppet":
        """Turns a joint further, in its own axes."""
        self.rotations[joint(name)] = self.rotations[joint(name)] @ turn(axes, *degrees)
        return self

    def kinematics(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations (52, 3, 3) and positions (52, 3) of the joints."""
        rotations, positions = np.empty((52, 3, 3)), np.empty((52, 3))
        for j, parent in enumerate(self.parents):
            if parent < 0:
                rotations[j], positions[j] = self.rotations[j], self.rest[j] + self.translation
            else:
                rotations[j] = rotations[parent] @ self.rotations[j]
                positions[j] = positions[parent] + rotations[parent] @ (self.rest[j] - self.rest[parent])
        return rotations, positions

    def position(self, name: str) -> np.ndarray:
        """World position of a joint."""
        return self.kinematics()[1][joint(name)]

    def move_pelvis(self, x: float | None = None, y: float | None = None, z: float | None = None) -> "Puppet":
        """Puts the pelvis at the given coordinates, metres."""
        for axis, value in enumerate((x, y, z)):
            if value is not None:
                self.translation[axis] = value - self.rest[0, axis]
        return self

    def points(self, region: str) -> np.ndarray:
        """World positions of a region's vertices."""
        ids = _regions()[region]
        rotations, positions = self.kinematics()
        weights = np.asarray(_model().skin_weights)[ids].astype(float)
        local = self._template[ids][:, None] - self.rest[None]
        return np.einsum("vj,vjc->vc", weights, np.einsum("jcd,vjd->vjc", rotations, local) + positions[None])

    def skin(self, bones: Iterable[int], count: int) -> np.ndarray:
        """Points of the skin about each of some joints, from the joint and along its own axes, (B, count, 3) metres."""
        found = []
        for bone in bones:
            template, shapes = _skin(int(bone), count)
            found.append(template + shapes @ self.betas - self.rest[bone])
        return np.stack(found)

    @property
    def hip_height(self) -> float:
        """Height of the pelvis above the soles of the straight body, metres."""
        return float(self.rest[0, 1] - self._template[_regions()["left_sole"], 1].min())

    @property
    def ankle_height(self) -> float:
        """Height of the ankle joint above the sole, metres."""
        return float(self.rest[joint("left_ankle"), 1] - self._template[_regions()["left_sole"], 1].min())

    @property
    def size(self) -> float:
        """Stature relative to the mean body's."""
        return self.hip_height / 0.911

    @property
    def centre_of_mass(self) -> np.ndarray:
        """Of the body, world, metres: of its segments by their usual shares of the mass (Winter 2009, table 4.1)."""
        positions = dict(zip(_model().joint_names, self.kinematics()[1]))
        total = sum(mass for mass, *_ in _SEGMENTS)
        middles = [m / total * ((1 - t) * positions[a] + t * positions[b]) for m, a, b, t in _SEGMENTS]
        return np.sum(middles, axis=0)

    def step(self, side: str, x: float, z: float, *, height: float = 0.0, yaw: float = 0.0, pitch: float = 0.0,
             knee: Vector | None = None) -> "Puppet":  # fmt: skip
        """Puts a foot's sole at a place, flat on a surface of a height; the leg follows.

        Args:
          side: "left" or "right".
          x: of the ankle.
          z: of the ankle.
          height: of the surface.
          yaw: degrees that the toes turn outwards.
          pitch: degrees that the heel is raised.
          knee: direction in which the knee points; forward and outward by default.
        """
        sign = 1.0 if side == "left" else -1.0
        frame = turn("YX", sign * yaw, pitch)
        goal = np.array([x, height + self.ankle_height + 0.1 * np.sin(np.radians(max(pitch, 0.0))), z])
        pole = np.array(knee if knee is not None else (0.25 * sign + np.sin(np.radians(sign * yaw)), 0.2, 1.0))
        self._limb(side, ("hip", "knee", "ankle"), goal, pole, frame)
        return self

    def reach(self, side: str, palm_at: Vector, fingers: Vector, palm: Vector,
              elbow: Vector | None = None) -> "Puppet":  # fmt: skip
        """Brings the middle of a palm to a place; the arm follows.

        Args:
          side: "left" or "right".
          palm_at: where the middle of the palm's surface goes.
          fingers: where straight fingers would point.
          palm: where the palm faces.
          elbow: direction in which the elbow points; down, outward and back by default.
        """
        sign = 1.0 if side == "left" else -1.0
        frame = hand_frame(side, fingers, palm)
        goal = np.asarray(palm_at, float) - frame @ self.palm_offset(side)
        self._limb(
            side,
            ("shoulder", "elbow", "wrist"),
            goal,
            np.array(elbow if elbow is not None else (0.5 * sign, -1.0, -0.4), float),
            frame,
        )
        return self

    def palm_offset(self, side: str) -> np.ndarray:
        """From the wrist to the middle of the palm's surface, in the hand's axes."""
        wrist, knuckle = self.rest[joint(f"{side}_wrist")], self.rest[joint(f"{side}_middle1")]
        return 0.8 * (knuckle - wrist) + np.array([0.0, -0.022, 0.0])

    def curl(self, side: str, amount: float) -> "Puppet":
        """Fingers from flat (0) over a grasp round 5 cm (1) to a fist (2)."""
        names = ("flat", "grasp", "fist")
        k = min(int(amount), 1)
        a, b = (Rotation.from_rotvec(named_hand_pose(n, side)) for n in names[k : k + 2])
        blend = a * Rotation.from_rotvec((a.inv() * b).as_rotvec() * (amount - k))
        first = 22 if side == "left" else 37
        self.rotations[first : first + 15] = blend.as_matrix()
        return self

    def relax(self, side: str) -> "Puppet":
        """A hand that holds nothing."""
        first = 22 if side == "left" else 37
        self.rotations[first : first + 15] = Rotation.from_rotvec(named_hand_pose("relaxed", side)).as_matrix()
        return self

    def _limb(self, side: str, names: tuple[str, str, str], goal: np.ndarray, pole: np.ndarray, frame: np.ndarray):
        """Two-bone inverse kinematics: the end joint at `goal`, the middle one towards `pole`, the end's rotation."""
        top, middle, end = (joint(f"{side}_{name}") for name in names)
        arm = names[0] == "shoulder"
        rotations, positions = self.kinematics()
        upper = np.linalg.norm(self.rest[middle] - self.rest[top])
        lower = np.linalg.norm(self.rest[end] - self.rest[middle])
        way = goal - positions[top]
        length = np.clip(np.linalg.norm(way), abs(upper - lower) + 0.05, 0.995 * (upper + lower))
        along = unit(way)
        pole = unit(pole - (pole @ along) * along)
        cosine = np.clip((upper**2 + length**2 - lower**2) / (2 * upper * length), -1, 1)
        bend = positions[top] + upper * (cosine * along + np.sqrt(1 - cosine**2) * pole)
        d1, d2 = unit(bend - positions[top]), unit(positions[top] + length * along - bend)
        across = unit(d2 - (d2 @ d1) * d1) if d1 @ d2 < 0.9999 else unit(-pole + (pole @ d1) * d1)
        angle = np.degrees(np.arccos(np.clip(d1 @ d2, -1, 1)))
        if arm:
            sign = 1.0 if side == "left" else -1.0
            x = sign * d1
            first = np.stack([x, np.cross(across, x), across], axis=1)
            second = first @ turn("Y", -sign * angle)
            rest = Rotation.from_matrix(second.T @ frame)
            quaternion = rest.as_quat()  # the twist about the forearm turns the elbow joint, the rest the wrist
            twist = 2 * np.degrees(np.arctan2(quaternion[0], quaternion[3]))
            twist = np.clip((twist + 180) % 360 - 180, -80, 80)
            # As much of it as the elbow's range takes.
            for share in (1.0, 0.85, 0.7, 0.55, 0.4, 0.2, 0.0):
                turned = second @ turn("X", share * twist)
                if share == 0 or _excess(middle, first.T @ turned) < 0.02:
                    break
            second = turned
        else:
            y = -d1
            first = np.stack([np.cross(y, -across), y, -across], axis=1)
            second = first @ turn("X", angle)
        # The joints' own rest bones are not quite along the axes: turn the frames by what is left.
        first = _align_bone(first, self.rest[middle] - self.rest[top], d1)
        second = _align_bone(second, self.rest[end] - self.rest[middle], d2)
        self.rotations[top] = rotations[self.parents[top]].T @ first
        self.rotations[middle] = first.T @ second
        # A wrist or an ankle that would leave its range stops there; the fit finds the rest.
        lower, upper = _limits()
        vector = Rotation.from_matrix(second.T @ frame).as_rotvec()
        self.rotations[end] = Rotation.from_rotvec(np.clip(vector, 0.95 * lower[end], 0.95 * upper[end])).as_matrix()


@functools.cache
def _limits() -> tuple[np.ndarray, np.ndarray]:
    limits = joint_limits(_model())
    return np.asarray(limits.lower, float), np.asarray(limits.upper, float)


def _excess(index: int, rotation: np.ndarray) -> float:
    """By how much a joint leaves its range, radians."""
    lower, upper = _limits()
    vector = Rotation.from_matrix(rotation).as_rotvec()
    return float(max((lower[index] - vector).max(), (vector - upper[index]).max()))


def _align_bone(frame: np.ndarray, bone: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The frame turned as little as possible so that it takes `bone` to the direction `wanted`."""
    have, want = unit(frame @ bone), unit(wanted)
    axis = np.cross(have, want)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return frame
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, have @ want)).as_matrix() @ frame
