"""Scripts of actions that move things along or work on them: push, pull, kick, ride, type."""

from collections.abc import Callable

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.rig import SIDES, Puppet, turn
from hoijax.data.synth.start import Placed, ScriptedStart, grasp, hang, stance, stand_on_floor, sway

Pick = Callable[[str], tuple[int, ProceduralObject]]
"""Draws an instance of a category: its seed and the object."""


def push(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Leaning into something with both hands."""
    return _push_or_pull(rng, p, obj, rng.uniform(8, 18))


def pull(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Leaning away from something with both hands, or one hand on a handle."""
    if obj.category in ("suitcase", "door"):
        return _pull_handle(rng, p, obj)
    return _push_or_pull(rng, p, obj, -rng.uniform(4, 11))


def _push_or_pull(rng: np.random.Generator, p: Puppet, obj: ProceduralObject, tilt: float) -> ScriptedStart:
    category = obj.category
    pushing = tilt > 0
    p.pose("stand")
    p.set("pelvis", "X", tilt).add("spine1", "X", rng.uniform(0, 5)).add("neck", "X", -0.6 * tilt)
    sway(p, rng, 0.5)
    p.move_pelvis(0.0, 0.94 * p.hip_height, 0.0)
    front = str(rng.choice(SIDES))
    lead = (
        (rng.uniform(0.08, 0.2), -rng.uniform(0.28, 0.4))
        if pushing
        else (rng.uniform(0.04, 0.12), -rng.uniform(0.1, 0.25))
    )
    for side, sign in zip(SIDES, (1.0, -1.0)):
        first = side == front
        p.step(side, sign * rng.uniform(0.07, 0.13), lead[0] if first else lead[1], yaw=rng.uniform(0, 15),
               pitch=rng.uniform(10, 30) if pushing and not first else 0.0)  # fmt: skip
    shoulder = p.position("left_shoulder")
    reach = (0.42 if pushing else 0.47) * p.size
    if category == "bicycle":
        return _walk_bicycle(rng, p, obj)
    if category == "trolley":
        placed = stand_on_floor(obj)
        low, high = placed.box("handle")
        radius, half = 0.017, min(0.2, 0.5 * (high[0] - low[0]) - 0.1)
        z = shoulder[2] + np.sqrt(max(reach**2 - (shoulder[1] - high[1]) ** 2, 0.2**2))
        placed = placed.move(0.0, 0.0, z - 0.5 * (low[2] + placed.box("handle")[1][2]))
        bar = placed.box("handle")[0][2] + radius
        for side, sign in zip(SIDES, (1.0, -1.0)):
            at = np.array([sign * half * rng.uniform(0.85, 1.0), high[1] - radius, bar])
            grasp(
                p,
                side,
                at,
                (-sign, 0, 0),
                (0, -0.55, 0.8) if pushing else (0, -0.8, 0.5),
                radius,
                (0.8 * sign, -1.0, 0.0),
            )
        return ScriptedStart(p, placed, ("left_hand", "right_hand"))
    part = {"door": "leaf", "sofa": "back", "chair": "back", "box": "body"}[category]
    placed = stand_on_floor(obj)
    low, high = placed.box(part)
    z = shoulder[2] + reach
    for side in SIDES:
        p.curl(side, 0.1)
    if category == "door":
        placed = placed.move(rng.uniform(-0.1, 0.1), 0.0, z - low[2])
        for side, sign in zip(SIDES, (1.0, -1.0)):
            at = np.array([sign * rng.uniform(0.14, 0.24), shoulder[1] - rng.uniform(0.08, 0.22), z])
            p.reach(side, at, (0.1 * sign, 1, 0), (0, 0, 1), (0.8 * sign, -1.0, 0.0))
        return ScriptedStart(p, placed, ("left_hand", "right_hand"))
    # Backs of chairs and sofas: the palms on the upper edge, pushing it forward or drawing it near.
    placed = placed.move(0.0, 0.0, z - 0.06 - low[2])
    half = min(0.5 * (high[0] - low[0]) - 0.05, 0.24)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        deep = 0.012 if category == "chair" else 0.06
        at = np.array([sign * half * rng.uniform(0.8, 1.0), high[1], placed.box(part)[0][2] + deep])
        p.curl(side, 0.9 if category == "chair" else 0.2)
        p.reach(side, at, (0.1 * sign, -0.1, 1.0), (0, -1, 0.15), (0.8 * sign, -0.4, -0.5))
    return ScriptedStart(p, placed, ("left_hand", "right_hand"))


def _walk_bicycle(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """Walking beside a bicycle, one hand on the handlebar, one on the saddle."""
    side = str(rng.choice(SIDES))  # where the bicycle is
    sign, other = (1.0, "right") if side == "left" else (-1.0, "left")
    p.pose("walk").move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
    p.add("pelvis", "X", 5.0)
    placed = stand_on_floor(obj).move(sign * rng.uniform(0.42, 0.48), 0.0, rng.uniform(0.12, 0.22))
    grips = placed.vertices()[obj.vertex_labels == obj.part_names.index("grip")]
    near = grips[(grips[:, 0] - placed.translation[0]) * sign < 0]
    at = near.mean(axis=0)
    grasp(p, other, at, (sign, 0, 0), (0, -0.9, 0.35), 0.016, (-0.6 * sign, -0.6, -0.6))
    low, high = placed.box("saddle")
    p.curl(side, 0.4)
    p.reach(
        side,
        np.array([0.5 * (low[0] + high[0]), high[1], 0.5 * (low[2] + high[2])]),
        (0.5 * sign, -0.1, 0.8),
        (0, -1, 0),
    )
    return ScriptedStart(p, placed, ("left_hand", "right_hand"), manner=" along")


def _pull_handle(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    p.pose("stand")
    stance(p, rng, stride=0.16)
    sway(p, rng, 0.6)
    side = str(rng.choice(SIDES))
    sign, other = (1.0, "right") if side == "left" else (-1.0, "left")
    hang(p, rng, other)
    shoulder = p.position(f"{side}_shoulder")
    if obj.category == "suitcase":
        tilt = rng.uniform(0, 25)
        placed = Placed(obj, turn("YX", 180.0, -tilt), np.zeros(3))
        placed = placed.at(sign * (abs(shoulder[0]) + 0.1 + obj.size[0] / 2 * 0.3), None, 0.0)
        placed = placed.move(0.0, -placed.box()[0][1], 0.0)
        points = placed.vertices()[obj.vertex_labels == obj.part_names.index("handle")]
        bar = points[points[:, 1] > points[:, 1].max() - 0.02].mean(axis=0)
        behind = shoulder[2] - rng.uniform(0.1, 0.24)
        placed = placed.move(sign * (abs(shoulder[0]) + 0.1) - bar[0], 0.0, behind - bar[2])
        at = bar + [sign * (abs(shoulder[0]) + 0.1) - bar[0], 0.0, behind - bar[2]]
        p.pose("walk").move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
        grasp(p, side, at, (-sign, 0, 0), (0, -0.8, 0.6) if tilt < 8 else (0, 0.3, -1.0), 0.014)
        return ScriptedStart(p, placed, (f"{side}_hand",), manner=" behind")
    placed = stand_on_floor(obj, 0.0 if sign < 0 else 180.0)
    lever = placed.vertices()[obj.vertex_labels == obj.part_names.index("handle")]
    near = lever[lever[:, 2] < placed.translation[2] - 0.06]
    bar = near[near[:, 2] < near[:, 2].min() + 0.02]
    at = np.array([0.5 * (bar[:, 0].min() + bar[:, 0].max()), bar[:, 1].mean(), bar[:, 2].mean()])
    goal = np.array([shoulder[0] + 0.02 * sign, at[1], shoulder[2] + rng.uniform(0.32, 0.42) * p.size])
    placed = placed.move(goal[0] - at[0], 0.0, goal[2] - at[2])
    grasp(p, side, goal, (-sign, 0, 0), (0, -0.5, 0.9), 0.009, (0.7 * sign, -1.0, 0.0))
    return ScriptedStart(p, placed, (f"{side}_hand",), manner=" by the handle")


def kick(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """One foot forward at something on the floor, the other leg bears the body."""
    side = str(rng.choice(SIDES, p=[0.3, 0.7]))
    other, sign = ("right", 1.0) if side == "left" else ("left", -1.0)
    p.pose("stand")
    p.set("pelvis", "X", -rng.uniform(3, 10)).add("spine1", "X", rng.uniform(6, 14)).add(
        "spine2", "Y", sign * rng.uniform(2, 10)
    )
    sway(p, rng, 0.6)
    p.move_pelvis(-sign * 0.055, 0.965 * p.hip_height, 0.0)
    p.step(other, -sign * 0.06, rng.uniform(-0.03, 0.05), yaw=rng.uniform(5, 20))
    p.set(f"{side}_hip", "XZ", -rng.uniform(26, 44), sign * rng.uniform(0, 6)).set(
        f"{side}_knee", "X", rng.uniform(14, 32)
    )
    p.set(f"{side}_ankle", "X", rng.uniform(15, 30))
    for s, swing in ((side, 1), (other, -1)):
        k = 1.0 if s == "left" else -1.0
        p.relax(s)
        p.set(f"{s}_shoulder", "XZ", swing * rng.uniform(8, 30), -k * rng.uniform(48, 66))
        p.set(f"{s}_elbow", "Y", -k * rng.uniform(15, 40))
    toes = p.points(f"{side}_toes")
    tip = toes[toes[:, 2].argmax()]
    placed = stand_on_floor(obj, rng.uniform(0, 360) if obj.category == "ball" else rng.uniform(-10, 10))
    if obj.category == "ball":  # the toes meet the sphere below or at its middle height
        radius = obj.size[0] / 2
        above = tip[1] - radius
        placed = placed.at(tip[0], None, tip[2] + np.sqrt(max(radius**2 - min(abs(above), 0.9 * radius) ** 2, 0.0)))
    else:
        placed = placed.move(tip[0], 0.0, tip[2] - placed.box()[0][2])
    return ScriptedStart(p, placed, (f"{side}_toes",))


def ride(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """On a bicycle, or standing on a skateboard."""
    placed = stand_on_floor(obj)
    if obj.category == "skateboard":
        return _skate(rng, p, obj, placed)
    labels, names, points = obj.vertex_labels, obj.part_names, placed.vertices()
    low, high = placed.box("saddle")
    p.pose("sit")
    lean = rng.uniform(14, 26)
    p.set("pelvis", "X", lean).set("spine1", "X", rng.uniform(4, 10)).set("spine2", "X", rng.uniform(3, 8)).set(
        "neck", "X", -0.8 * lean
    )
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.set(f"{side}_hip", "XZ", -60, 4 * sign)
    p.move_pelvis(0.0, 0.0, 0.0)
    seat = p.points("buttocks")
    lowest = seat[np.argsort(seat[:, 1])[:8]].mean(axis=0)
    p.move_pelvis(0.0, high[1] - lowest[1] - 0.01, 0.5 * (low[2] + high[2]) - 0.02 - lowest[2])
    pedals = points[labels == names.index("pedal")]
    for side, sign in zip(SIDES, (1.0, -1.0)):
        pedal = pedals[(pedals[:, 0] - placed.translation[0]) * sign > 0]
        middle = pedal.mean(axis=0)
        p.step(side, middle[0] + 0.01 * sign, middle[2] - 0.07, height=pedal[:, 1].max(), knee=(0.1 * sign, 0.6, 1.0),
               yaw=3.0, pitch=rng.uniform(0, 8))  # fmt: skip
        grips = points[labels == names.index("grip")]
        grip = grips[(grips[:, 0] - placed.translation[0]) * sign > 0].mean(axis=0)
        grasp(p, side, grip, (-sign, 0, 0), (0, -0.8, 0.55), 0.016, (0.6 * sign, -1.0, -0.2))
    return ScriptedStart(p, placed, ("buttocks", "left_hand", "right_hand"), floor=False)


def _skate(rng: np.random.Generator, p: Puppet, obj: ProceduralObject, placed: Placed) -> ScriptedStart:
    """Sideways on the deck, knees bent, arms out for balance."""
    deck = placed.box("deck")
    placed = Placed(obj, turn("Y", 90.0), placed.translation)
    p.pose("stand")
    p.set("pelvis", "X", rng.uniform(8, 20)).add("neck", "Y", rng.uniform(20, 45)).add(
        "spine3", "Y", rng.uniform(0, 15)
    )
    p.move_pelvis(0.0, deck[1][1] + rng.uniform(0.82, 0.93) * p.hip_height, -0.07)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(side, sign * rng.uniform(0.17, 0.23), -0.055, height=deck[1][1], yaw=rng.uniform(0, 12))
        p.relax(side)
        p.set(f"{side}_shoulder", "XZ", -rng.uniform(0, 20), -sign * rng.uniform(20, 55)).set(
            f"{side}_elbow", "Y", -sign * rng.uniform(15, 40)
        )
    return ScriptedStart(p, placed, ("left_sole", "right_sole"), floor=False)


def type_(rng: np.random.Generator, p: Puppet, obj: ProceduralObject, pick: Pick) -> ScriptedStart:
    """Sitting on a chair at a table, the fingers on the keys."""
    (table_seed, table), (chair_seed, chair) = pick("table"), pick("chair")
    chair_at = stand_on_floor(chair, seed=chair_seed)
    high = chair_at.box("seat")[1]
    p.pose("sit")
    p.add("spine1", "X", rng.uniform(0, 8)).add("neck", "X", rng.uniform(5, 14))
    sway(p, rng, 0.3)
    p.move_pelvis(0.0, 0.0, high[2] - rng.uniform(0.62, 0.7) * 0.41 * p.size)
    p.move_pelvis(y=high[1] - p.points("buttocks")[:, 1].min())
    hips = p.position("pelvis")
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(
            side,
            hips[0] + sign * rng.uniform(0.09, 0.14),
            hips[2] + 0.41 * p.size + rng.uniform(-0.05, 0.1),
            knee=(0.1 * sign, 1.0, 0.5),
        )
    shoulder = p.position("left_shoulder")
    table_at = stand_on_floor(table, 180.0, seed=table_seed)
    reach = shoulder[2] + rng.uniform(0.3, 0.36) * p.size
    top = table_at.box("top")[1][1]
    part = "case" if obj.category == "keyboard" else "base"
    placed = Placed(obj, turn("Y", 180.0), np.zeros(3)).at(0.0, top - obj.bottom, 0.0)
    keys = placed.box(part if obj.category == "keyboard" else "keys")
    middle = 0.5 * (keys[0][2] + keys[1][2])
    placed = placed.move(0.0, 0.0, reach - middle)
    edge = max(placed.box()[0][2] - rng.uniform(0.02, 0.1), hips[2] + 0.2)
    table_at = table_at.move(0.0, 0.0, edge - table_at.box("top")[0][2])
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.curl(side, 0.45)
        at = np.array([sign * rng.uniform(0.08, 0.12), placed.box(part)[1][1] + 0.035, reach - 0.07])
        p.reach(side, at, (-0.25 * sign, -0.15, 1.0), (0, -1, 0.0), (0.7 * sign, -0.8, -0.3))
    return ScriptedStart(p, placed, ("left_fingers", "right_fingers"), (table_at, chair_at), ("buttocks",))
