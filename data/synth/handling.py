"""Scripts of actions in which hands bear the object: carry, lift, hold, wear."""

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.rig import SIDES, Puppet, Vector, turn, unit
from hoijax.data.synth.start import Placed, ScriptedStart, grasp, hang, stance, stand_on_floor, sway

SIDE_PARTS: dict[str, tuple[str, float]] = {
    "backpack": ("bag", 0.45), "ball": ("body", 0.42), "box": ("body", 0.4), "chair": ("seat", 0.5),
    "keyboard": ("case", 0.5),
    "laptop": ("base", 0.5), "monitor": ("screen", 0.4), "stool": ("seat", 0.5), "suitcase": ("case", 0.5),
    "skateboard": ("deck", 0.5),
}  # fmt: skip
"""Part whose two sides (along x) two hands hold, and where along its height."""
_YAW = {"chair": 180.0, "backpack": 180.0, "laptop": 180.0, "skateboard": 90.0}
"""Turn about the vertical that gives the hands two free sides and keeps legs and backs off the person."""


def _between_hands(rng: np.random.Generator, p: Puppet, placed: Placed, part: str, share: float, flat: bool) -> None:
    """Both palms on the sides of a part, fingers forward."""
    low, high = placed.box(part)
    y = low[1] + share * (high[1] - low[1])
    z = 0.5 * (low[2] + high[2]) + rng.uniform(-0.12, 0.1) * (high[2] - low[2])
    down = rng.uniform(0.0, 0.5)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        x = high[0] if sign > 0 else low[0]
        if flat:  # thin things lie on the fingers
            p.curl(side, 0.7)
            at = np.array([x - 0.01 * sign, low[1] - 0.012, z])
            p.reach(side, at, (-0.5 * sign, 0, 1.0), (-0.3 * sign, 1.0, 0), (0.6 * sign, -1.0, -0.6))
        else:
            p.curl(side, 0.12)
            p.reach(side, np.array([x, y, z]), (0.0, -down, 1.0), (-sign, 0, 0), (0.9 * sign, -0.7, -0.8))


def _width(placed: Placed, part: str) -> float:
    low, high = placed.box(part)
    return float(high[0] - low[0])


def carry_two_hands(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Something between the hands in front of the body."""
    part, share = SIDE_PARTS[obj.category]
    placed = stand_on_floor(obj, _YAW.get(obj.category, 0.0))
    walking = rng.random() < 0.4
    p.pose("walk" if walking else "stand")
    if not walking:
        stance(p, rng)
    p.add("spine1", "X", -rng.uniform(0, 5)).add("spine2", "X", -rng.uniform(0, 3))
    sway(p, rng, 0.5)
    if walking:
        p.move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
    shoulder = p.position("left_shoulder")
    flat = obj.category in ("keyboard", "laptop", "skateboard")
    low, high = placed.box(part)
    grip = shoulder[1] - rng.uniform(0.28, 0.48) * p.size + (0.04 if flat else 0.0)
    placed = placed.move(0.0, grip - (low[1] + share * (high[1] - low[1])), 0.0)
    whole = placed.box()
    room = 0.16 * p.size + rng.uniform(0.02, 0.08) + (0.04 if obj.category in ("chair", "stool") else 0.0)
    placed = placed.move(0.0, 0.0, room - whole[0][2])
    _between_hands(rng, p, placed, part, share, flat)
    return ScriptedStart(p, placed, ("left_hand", "right_hand"), manner=" while walking" if walking else "")


def lift(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Both hands at the sides of something on the floor or a little above it, the body bent."""
    part, share = SIDE_PARTS[obj.category]
    placed = stand_on_floor(obj, _YAW.get(obj.category, 0.0))
    raised = 0.0 if rng.random() < 0.5 else rng.uniform(0.22, 0.4)
    placed = placed.move(0.0, raised, 0.0)
    low, high = placed.box(part)
    grip = low[1] + max(share, 0.55 if obj.category != "ball" else share) * (high[1] - low[1])
    pelvis = np.clip((grip + rng.uniform(0.32, 0.46)) / p.size, 0.5, 0.86) * p.size
    depth = np.clip((0.9 * p.size - pelvis) / 0.4, 0.1, 1.0)
    p.pose("stand")
    p.set("pelvis", "X", rng.uniform(34, 46)).set("spine1", "X", 8 + 8 * depth).set("spine2", "X", 5 + 7 * depth)
    p.set("neck", "X", -rng.uniform(5, 20))
    sway(p, rng, 0.4)
    back = 0.16 + 0.1 * depth
    p.move_pelvis(0.0, pelvis, -back)
    wide = max(0.15, 0.0 if high[0] - low[0] > 0.5 else 0.17) * rng.uniform(0.9, 1.3)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(side, sign * wide, rng.uniform(-0.03, 0.03), yaw=rng.uniform(10, 25), knee=(0.45 * sign, 0.2, 1.0))
    whole = placed.box()
    knees = max(p.position(f"{side}_knee")[2] for side in SIDES) if whole[1][1] > 0.35 else 0.1
    placed = placed.move(0.0, 0.0, max(0.16, knees + 0.07) - whole[0][2])
    _between_hands(rng, p, placed, part, max(share, 0.55) if obj.category != "ball" else share, False)
    return ScriptedStart(p, placed, ("left_hand", "right_hand"), manner=" off the floor" if raised == 0 else "")


def carry_one_hand(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Something that hangs from one hand beside the thigh."""
    side = str(rng.choice(SIDES))
    sign = 1.0 if side == "left" else -1.0
    walking = rng.random() < 0.6
    p.pose("walk" if walking else "stand")
    if walking:
        p.move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
    else:
        stance(p, rng)
    sway(p, rng, 0.6)
    p.relax("left").relax("right")
    shoulder = p.position(f"{side}_shoulder")
    out = sign * (abs(shoulder[0]) + rng.uniform(0.08, 0.16))
    at = np.array([out, shoulder[1] - rng.uniform(0.5, 0.56) * p.size, rng.uniform(0.02, 0.1)])
    inward = np.array([-sign, 0.0, 0.0])
    forward = np.array([0.0, 0.0, 1.0])
    if obj.category in ("backpack", "suitcase"):  # the handle's bar along z
        placed = stand_on_floor(obj, 90.0 * sign)
        low, high = placed.box("handle")
        radius = 0.008 if obj.category == "backpack" else 0.014
        at = at + [
            0.0 if obj.category == "backpack" else 0.06 * sign,
            0.0 if obj.category == "backpack" else 0.16,
            0.0,
        ]
        middle = np.array([0.5 * (low[0] + high[0]), high[1] - radius, 0.5 * (low[2] + high[2])])
        placed = placed.move(*(at - middle))
        grasp(p, side, at, forward, inward * 0.55 + [0, -0.85, 0], radius)
    elif obj.category == "bottle":
        placed = stand_on_floor(obj)
        placed = placed.move(*(at - (placed.box()[0] + placed.box()[1]) / 2)).move(0, -0.03, 0)
        grasp(p, side, at + [0, 0.1, 0.12], (0, 0.9, 0.5), inward, 0.036)
        tilt = turn("X", 30)
        placed = Placed(obj, tilt @ placed.rotation, at + [0, 0.1, 0.12], placed.seed)
    else:  # bat, racket, umbrella: the grip in the fist, the far end forward and down, or up over the shoulder
        rod = unit(np.array([0.05 * sign, rng.uniform(-0.75, -0.2), 1.0]))
        placed = along_rod(obj, rod, at + [0.04 * sign, 0.06, 0.03], rng.uniform(0.35, 0.6))
        grasp(p, side, at + [0.04 * sign, 0.06, 0.03], rod, inward, grip_radius(obj))
    if not walking:
        hang(p, rng, "right" if side == "left" else "left")
    return ScriptedStart(p, placed, (f"{side}_hand",), manner=" while walking" if walking else "")


def grip_radius(obj: ProceduralObject) -> float:
    """Radius of a long thing's grip."""
    if "grip" not in obj.part_names:
        return 0.03
    points = np.asarray(obj.mesh.vertices)[obj.vertex_labels == obj.part_names.index("grip")]
    return float(np.percentile(np.linalg.norm(points[:, [0, 2]] - points[:, [0, 2]].mean(axis=0), axis=1), 40))


def along_rod(obj: ProceduralObject, direction: Vector, at: Vector, share: float, roll: float = 0.0) -> Placed:
    """An upright long thing laid along a direction, a point of its grip at `at`.

    Args:
      obj: its long axis is y, its grip at the lower end.
      direction: where its upper end points.
      at: where the point of the grip goes.
      share: which point, from the lower end of the grip (0) to the upper (1).
      roll: turn about the long axis, degrees.
    """
    d = unit(direction)
    side = unit(np.cross(d, [0.0, 0.0, 1.0] if abs(d[2]) < 0.9 else [1.0, 0.0, 0.0]))
    rotation = np.stack([side, d, np.cross(side, d)], axis=1) @ turn("Y", roll)
    points = np.asarray(obj.mesh.vertices)[obj.vertex_labels == obj.part_names.index("grip")]
    low, high = points.min(axis=0), points.max(axis=0)
    grip = np.array([(low[0] + high[0]) / 2, low[1] + share * (high[1] - low[1]), (low[2] + high[2]) / 2])
    return Placed(obj, rotation, np.asarray(at, float) - rotation @ grip)


def hold(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Something in one hand in front of the body, or in both."""
    p.pose("stand")
    stance(p, rng, stride=0.12)
    sway(p, rng)
    p.relax("left").relax("right")
    side = str(rng.choice(SIDES, p=[0.35, 0.65]))
    other, sign = ("right", 1.0) if side == "left" else ("left", -1.0)
    shoulder = p.position(f"{side}_shoulder")
    at = (
        shoulder
        + np.array([sign * rng.uniform(-0.06, 0.1), -rng.uniform(0.12, 0.36), rng.uniform(0.28, 0.42)]) * p.size
    )
    inward = np.array([-sign, 0.0, rng.uniform(-0.1, 0.5)])
    up = np.array([rng.normal(0, 0.1), 1.0, rng.normal(0.1, 0.12)])
    if obj.category == "ball":
        placed = stand_on_floor(obj, rng.uniform(0, 360))
        radius = obj.size[0] / 2
        centre = np.array(
            [0.0, shoulder[1] - rng.uniform(0.1, 0.4) * p.size, 0.17 * p.size + radius + rng.uniform(0.06, 0.16)]
        )
        placed = placed.at(*centre)
        _between_hands(rng, p, placed, "body", 0.45, False)
        return ScriptedStart(p, placed, ("left_hand", "right_hand"), manner=" with both hands")
    if obj.category in ("bat", "racket") and rng.random() < 0.5:
        rod = unit(np.array([-sign * 0.0 + sign * rng.uniform(0.2, 0.6), 1.0, rng.uniform(-0.2, 0.3)]))
        at = np.array([sign * 0.06, shoulder[1] - rng.uniform(0.2, 0.32) * p.size, rng.uniform(0.3, 0.36) * p.size])
        placed = along_rod(obj, rod, at, 0.25, rng.uniform(0, 180))
        radius = grip_radius(obj)
        # The other hand holds lower, a hand's breadth away; both palms face the rod from their own sides.
        grasp(p, side, at + 0.095 * rod, rod, (-0.7 * sign, 0.0, 0.7), radius)
        grasp(p, other, at, rod, (0.7 * sign, 0.0, 0.7), radius)
        return ScriptedStart(p, placed, ("left_hand", "right_hand"), manner=" with both hands")
    if obj.category in ("bat", "racket", "umbrella"):
        if obj.category == "umbrella":
            at = shoulder + np.array([-0.1 * sign, -rng.uniform(0.08, 0.2), 0.26]) * p.size
            up = np.array([rng.normal(0, 0.04), 1.0, -rng.uniform(0.0, 0.12)])
        placed = along_rod(obj, up, at, rng.uniform(0.35, 0.6), rng.uniform(0, 360))
        radius = grip_radius(obj)
    else:  # bottle, cup
        rotation = turn("Y", {"left": 180.0, "right": 0.0}[side] + rng.uniform(-40, 40) + 90.0 * sign)
        body = np.asarray(obj.mesh.vertices)[obj.vertex_labels == 0]
        middle = np.array([(body[:, 0].min() + body[:, 0].max()) / 2, 0.0, (body[:, 2].min() + body[:, 2].max()) / 2])
        placed = Placed(obj, rotation, at - rotation @ middle)
        if obj.category == "bottle":
            placed = placed.move(0.0, 0.08 * obj.size[1], 0.0)
        radius = float((body[:, 2].max() - body[:, 2].min()) / 2)
        up = np.array([0.0, 1.0, 0.0])
    grasp(p, side, at, up, inward, radius)
    hang(p, rng, other)
    return ScriptedStart(p, placed, (f"{side}_hand",))


def wear(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """A backpack on the back."""
    walking = rng.random() < 0.5
    p.pose("walk" if walking else "stand")
    if walking:
        p.move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
    else:
        stance(p, rng)
    p.add("spine1", "X", rng.uniform(0, 5)).add("spine2", "X", rng.uniform(0, 5))
    sway(p, rng, 0.5)
    if not walking:
        for side in SIDES:
            hang(p, rng, side)
    back = p.points("upper_back")
    placed = stand_on_floor(obj)
    high = placed.box("bag")[1]
    top = p.position("neck")[1] - rng.uniform(0.03, 0.1)
    placed = placed.move(0.0, top - high[1], back[:, 2].min() - 0.002 - high[2])
    return ScriptedStart(p, placed, ("upper_back",), manner=" while walking" if walking else "")
