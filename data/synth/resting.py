"""Scripts of actions in which furniture bears the body: sit, lean, lie."""

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.rig import SIDES, Puppet
from hoijax.data.synth.start import Placed, ScriptedStart, hang, stance, stand_on_floor, sway

_SEATS = {"bed": "mattress", "table": "top", "desk": "top", "ball": "body"}
_THIGH = 0.41  # metres from hip to knee of the mean body


def sit(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """On the front of a seat, or against its back."""
    category = obj.category
    placed = stand_on_floor(
        obj, {"bed": float(rng.choice([-90.0, 90.0])), "table": float(rng.choice([0.0, 180.0]))}.get(category, 0.0)
    )
    low, high = placed.box(_SEATS.get(category, "seat"))
    top, front, thigh = high[1], high[2], _THIGH * p.size
    p.pose("sit")
    p.add("spine1", "X", rng.uniform(-8, 10)).add("spine2", "X", rng.uniform(-6, 8))
    sway(p, rng, 0.7)
    if category == "ball":
        p.move_pelvis(0.0, 0.0, 0.02)
    elif category == "chair" and rng.random() < 0.75:
        p.pose("sit")
        sway(p, rng, 0.25)
        p.add("pelvis", "X", -rng.uniform(2, 7))
        back = placed.box("back")[0][2] + 0.03
        p.move_pelvis(0.0, 0.0, 0.0)
        # The back of a chair leans back: what it touches is about a hand above the seat.
        p.move_pelvis(0.0, 0.0, max(low[2] + 0.055, back) - p.points("back")[:, 2].min() - 0.02)
    else:
        room = max(0.0, (high[0] - low[0]) / 2 - 0.3)
        p.move_pelvis(rng.uniform(-room, room), 0.0, max(front - rng.uniform(0.5, 0.8) * thigh, low[2] + 0.16))
    p.move_pelvis(y=0.0)
    p.move_pelvis(y=top - p.points("buttocks")[:, 1].min() + (-0.02 if category == "ball" else 0.0))
    contact = (
        ("buttocks", "back")
        if category == "chair" and p.position("pelvis")[2] < front - 0.72 * thigh
        else ("buttocks",)
    )
    hips = p.position("pelvis")
    dangling = top > 0.66 * p.size
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if dangling:
            p.set(f"{side}_hip", "XZ", rng.uniform(-92, -86), sign * rng.uniform(2, 14))
            p.set(f"{side}_knee", "X", rng.uniform(62, 92))
            p.set(f"{side}_ankle", "X", rng.uniform(5, 25))
        else:
            spread = rng.uniform(0.09, 0.19) + (0.08 if category == "ball" else 0.0)
            drop = 0.55 if top > 0.5 * p.size else 1.0
            reach = max(thigh * 0.98 + rng.uniform(-0.04, 0.16) * drop, front - hips[2] + 0.08)
            p.step(side, hips[0] + sign * spread, hips[2] + reach, yaw=rng.uniform(0, 20), knee=(0.15 * sign, 1.0, 0.5))
    contact += _sitting_arms(rng, p, placed, top, low, high)
    return ScriptedStart(p, placed, contact, floor=not dangling, manner=" with dangling legs" if dangling else "")


def _sitting_arms(
    rng: np.random.Generator, p: Puppet, placed: Placed, top: float, low: np.ndarray, high: np.ndarray
) -> tuple[str, ...]:
    """On the thighs, in the lap, or propped on the seat."""
    hips = p.position("pelvis")
    wide = min(hips[0] - low[0], high[0] - hips[0]) > 0.36 and placed.object.category != "ball"
    style = rng.choice(["thighs", "thighs", "lap", "prop" if wide else "thighs"])
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.relax(side)
        hip, knee = p.position(f"{side}_hip"), p.position(f"{side}_knee")
        if style == "prop":
            p.curl(side, 0.15)
            at = np.array([hips[0] + sign * rng.uniform(0.25, 0.29), top, hips[2] + rng.uniform(-0.1, 0.04)])
            p.reach(side, at, (0.5 * sign, 0, 0.9), (0, -1, 0), (0.6 * sign, 0.0, -1.0))
        elif style == "lap":
            at = 0.45 * hip + 0.45 * knee + np.array([-0.06 * sign, 0.155 + 0.03 * sign, 0.0])
            p.reach(side, at, (-0.8 * sign, 0, 0.6), (0, -1, 0.1))
        else:
            share = rng.uniform(0.55, 0.85)
            at = (1 - share) * hip + share * knee + np.array([0.0, 0.1, 0.0])
            p.reach(side, at, (-0.25 * sign, -0.1, 1.0), (0, -1, -0.1))
    return ("left_hand", "right_hand") if style == "prop" else ()


def lean(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """With hands on a top, with the seat on an edge, with the back or a hand against a door."""
    if obj.category == "door":
        return _lean_on_door(rng, p, obj)
    if obj.category in ("table", "desk") and rng.random() < 0.5:
        return _lean_backwards(rng, p, obj)
    part = {"table": "top", "desk": "top", "sofa": "back", "chair": "back"}[obj.category]
    placed = stand_on_floor(obj, 180.0 if obj.category == "desk" else 0.0)
    low, high = placed.box(part)
    both = rng.random() < 0.6
    p.pose("stand")
    bend = rng.uniform(12, 24) * (1.3 if high[1] < 0.85 else 0.8)
    p.set("pelvis", "X", bend).add("spine1", "X", rng.uniform(2, 8)).add("neck", "X", -10)
    sway(p, rng, 0.6)
    stance(p, rng, stride=0.05, drop=0.97)
    for side, sign in zip(SIDES, (1.0, -1.0)):  # the pelvis goes back as the trunk bends forward
        p.step(side, sign * rng.uniform(0.09, 0.16), 0.1, yaw=rng.uniform(0, 15))
    hands = SIDES if both else (str(rng.choice(SIDES)),)
    shoulder = p.position("left_shoulder")
    deep = {"sofa": 0.1, "chair": 0.012}.get(obj.category, rng.uniform(0.06, 0.14))
    placed = placed.at(0.0, None, 0.0)
    placed = placed.move(0.0, 0.0, max(shoulder[2] + rng.uniform(0.12, 0.24), 0.26) - (placed.box(part)[0][2] + deep))
    edge, width = placed.box(part)[0][2] + deep, (high[0] - low[0]) / 2
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if side in hands:
            p.curl(side, 0.1)
            x = min(rng.uniform(0.17, 0.28), width - 0.06)
            p.reach(
                side, np.array([sign * x, high[1], edge]), (0.25 * sign, 0, 1.0), (0, -1, 0), (0.7 * sign, -0.2, -0.6)
            )
        else:
            hang(p, rng, side)
    return ScriptedStart(
        p, placed, tuple(f"{side}_hand" for side in hands), manner=" with both hands" if both else " with one hand"
    )


def _lean_backwards(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    placed = stand_on_floor(obj)
    part_top = placed.box("top")[1][1]
    p.pose("stand")
    p.set("pelvis", "X", -rng.uniform(3, 9)).add("spine1", "X", rng.uniform(4, 10))
    sway(p, rng, 0.6)
    ahead = rng.uniform(0.18, 0.3)
    p.move_pelvis(0.0, min(0.95 * p.hip_height, part_top + 0.1 * p.size), 0.0)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(side, sign * rng.uniform(0.08, 0.16), ahead + rng.uniform(-0.06, 0.06), yaw=rng.uniform(0, 20))
    seat = p.points("buttocks")
    edge = seat[:, 2].min() + 0.01
    placed = placed.move(rng.uniform(-0.15, 0.15), 0.0, edge - placed.box("top")[1][2])
    contact: tuple[str, ...] = ("seat",)
    prop = rng.random() < 0.6
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if prop:
            p.curl(side, 0.15)
            at = np.array([sign * rng.uniform(0.27, 0.34), part_top, edge - 0.06])
            p.reach(side, at, (0.8 * sign, 0, -0.3), (0, -1, 0), (0.5 * sign, 0.2, -1.0))
        else:
            hang(p, rng, side)
    return ScriptedStart(
        p, placed, contact + (("left_hand", "right_hand") if prop else ()), manner=" with the back to it"
    )


def _lean_on_door(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    placed = stand_on_floor(obj, rng.choice([0.0, 180.0]))
    low, high = placed.box("leaf")
    p.pose("stand")
    if rng.random() < 0.5:  # the back against it
        tilt = rng.uniform(7, 13)
        p.set("pelvis", "X", -tilt).add("neck", "X", 0.7 * tilt)
        sway(p, rng, 0.4)
        p.move_pelvis(0.0, 0.96 * p.hip_height, 0.0)
        for side, sign in zip(SIDES, (1.0, -1.0)):
            p.step(side, sign * rng.uniform(0.07, 0.15), rng.uniform(0.18, 0.3), yaw=rng.uniform(0, 20))
            hang(p, rng, side)
        behind = min(p.points("upper_back")[:, 2].min(), p.points("buttocks")[:, 2].min())
        placed = placed.move(rng.uniform(-0.1, 0.1), 0.0, behind - high[2])
        return ScriptedStart(p, placed, ("upper_back",), manner=" with the back against it")
    side = str(rng.choice(SIDES))
    sign = 1.0 if side == "left" else -1.0
    p.set("pelvis", "X", rng.uniform(6, 12))
    sway(p, rng, 0.6)
    stance(p, rng, stride=0.12, drop=0.97)
    shoulder = p.position(f"{side}_shoulder")
    placed = placed.move(rng.uniform(-0.1, 0.1), 0.0, shoulder[2] + rng.uniform(0.42, 0.5) * p.size - low[2])
    p.curl(side, 0.1)
    at = np.array(
        [shoulder[0] + sign * rng.uniform(0.0, 0.1), shoulder[1] + rng.uniform(-0.12, 0.06), placed.box("leaf")[0][2]]
    )
    p.reach(side, at, (0.1 * sign, 1, 0), (0, 0, 1), (0.6 * sign, -1.0, 0.0))
    hang(p, rng, "right" if side == "left" else "left")
    return ScriptedStart(p, placed, (f"{side}_hand",), manner=" with one hand")


def lie(rng: np.random.Generator, p: Puppet, obj: ProceduralObject) -> ScriptedStart:
    """On the back, the head towards the headboard or an armrest, legs straight or bent."""
    part, yaw = ("mattress", 0.0) if obj.category == "bed" else ("seat", rng.choice([-90.0, 90.0]))
    placed = stand_on_floor(obj, yaw)
    low, high = placed.box(part)
    length, room = high[2] - low[2], (high[0] - low[0]) / 2
    p.pose("lie")
    p.add("neck", "X", rng.uniform(-5, 12)).add("neck", "Y", rng.normal(0, 12))
    spare = max(0.0, room - 0.42)
    p.move_pelvis(0.5 * (low[0] + high[0]) + rng.uniform(-spare, spare), 0.0, 0.0)
    head = p.position("head")[2] - 0.24 * p.size
    p.move_pelvis(z=low[2] - head + rng.uniform(0.03, 0.12) * length / 2)
    p.move_pelvis(y=high[1] - p.points("back")[:, 1].min())
    hips, straight = p.position("pelvis"), length > 1.8 and rng.random() < 0.6
    contact: tuple[str, ...] = ("back", "buttocks")
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if straight or (length > 1.8 and rng.random() < 0.4):
            p.set(f"{side}_hip", "Z", sign * rng.uniform(1, 9))
            contact += (f"{side}_calf",)
        else:
            reach = min(rng.uniform(0.38, 0.52) * p.size, high[2] - hips[2] - 0.12)
            p.step(
                side,
                hips[0] + sign * rng.uniform(0.07, 0.12),
                hips[2] + reach,
                height=high[1],
                knee=(0.1 * sign, 1.0, 0.3),
            )
    narrow = room < 0.36
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if narrow or rng.random() < 0.5:
            p.relax(side)
            belly = p.points("belly")
            at = np.array(
                [hips[0] + sign * 0.07, belly[:, 1].max() + 0.012 + 0.012 * sign, belly[:, 2].mean() - 0.05 * sign]
            )
            p.reach(side, at, (-1.0 * sign, 0, 0.3), (0, -1, 0), (1.0 * sign, -0.3, 0.0))
        else:
            p.set(f"{side}_shoulder", "XZ", 2, -sign * rng.uniform(58, 72))
    return ScriptedStart(p, placed, contact)
