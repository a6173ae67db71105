"""Scripts in which the thing bears the person: sit, straddle, lie, stand on it, be inside it."""

import numpy as np
from scipy.spatial import cKDTree

from hoijax.data.synth.rig import SIDES, joint, turn
from hoijax.data.synth.start import hang, sway
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.starts.hands import hand_parts, place_hands
from hoijax.systems.interactanything.starts.setting import Setting

THIGH = 0.41
"""From hip to knee of the mean body, metres."""
FLAT, BEARS = 0.8, 0.02
"""Cosine to the vertical of what bears somebody, and how much of it at least, square metres."""
NARROW, PERCH = 0.4, 0.83
"""Depth of a seat, metres, on which one balances, and height to which the feet reach the floor, over the body's."""
HEADS = ("back_of_head", "head")
SEATS = ("seat", "buttocks", "left_thigh_back", "right_thigh_back", "hips")


def sit(s: Setting) -> None:
    """On a seat: against its back where that is asked, else towards its front."""
    p, rng = s.puppet, s.rng
    part = next((n for n in SEATS if s.contact(n)), "seat")
    back = s.contact("back", "upper_back", "lower_back")
    _widen(s, part)
    s.stand_thing(_level(s))
    s.centre_thing(x=0.0, z=0.0)
    low, high = s.box(part)
    wide, deep = high[0] - low[0], high[2] - low[2]
    # A bed or a bonnet is sat on at an edge: one of its free sides.
    if not back and deep > 0.75 and wide < 2 * deep and s.relations.pose == "sit" and rng.random() < 0.7:
        s.turn_thing(float(rng.choice([-90.0, 90.0])))
        s.centre_thing(x=0.0, z=0.0)
        low, high = s.box(part)
    top, front, thigh = high[1], high[2], THIGH * p.size
    p.pose("sit")
    sway(p, rng, 0.3 if back else 0.6)
    room = max(0.0, (high[0] - low[0]) / 2 - 0.28)
    x = 0.5 * (low[0] + high[0]) + min(room, 0.3) * rng.uniform(-1, 1)
    p.move_pelvis(x, 0.0, 0.0)
    if back is not None:
        p.add("pelvis", "X", -rng.uniform(0, 12))
        points = s.samples(back.body_part)[0]
        near = points[(np.abs(points[:, 0] - x) < 0.2) & (points[:, 1] > top + 0.12) & (points[:, 1] < top + 0.5)]
        wall = (near if len(near) else points)[:, 2].max()
        p.move_pelvis(z=wall - p.points("back")[:, 2].min() + rng.uniform(-0.02, 0.03))
    else:
        p.add("spine1", "X", rng.uniform(-6, 10))
        z = max(front - rng.uniform(0.45, 0.85) * thigh, low[2] + min(0.14, 0.5 * (front - low[2])))
        p.move_pelvis(z=z)
    top = _height_under(s, part, p.position("pelvis"), top)
    p.move_pelvis(y=0.0)
    p.move_pelvis(y=top - p.points("buttocks")[:, 1].min() + rng.uniform(-0.01, 0.01))
    narrow = bool(back is None and front - low[2] < NARROW)
    if narrow:
        _settle(s, part)
    s.floor = _seated_legs(s, top, front, narrow)
    if s.floor and narrow:
        _balance(s, 0.5 * (low[2] + front))
    _seated_arms(s)


def _widen(s: Setting, part: str) -> None:
    """Where the place named is too small to bear anybody, such as a handle above a case, the level face below it."""
    normals = s.samples(part)[1]
    own = s.thing.area / len(s.thing.points)
    up = s.thing.normals[:, 1] > FLAT
    if (normals[:, 1] > FLAT).sum() * own >= BEARS or not up.any():
        return
    heights = s.thing.points[up, 1]
    for height in np.arange(heights.max(), heights.min(), -0.01):
        near = up & (np.abs(s.thing.points[:, 1] - height) < 0.015)
        if near.sum() * own >= BEARS:
            level = s.thing.points[near]
            low, high = level.min(axis=0) - [0, 0.02, 0], level.max(axis=0) + [0, 0.005, 0]
            s.chosen[part] = (Box(tuple(map(float, low)), tuple(map(float, high))),)
            s.notes.append(f"the {part} is put on the next wide enough face")
            return


def _level(s: Setting) -> float:
    """Height at which the thing stands: on the floor, or on something unseen."""
    if s.relations.standing != "raised":
        return 0.0
    low, high = s.box()
    return s.band() - float(high[1] - low[1]) / 2


def _height_under(s: Setting, part: str, at: np.ndarray, otherwise: float) -> float:
    """Height of the surface below the pelvis."""
    points, normals = s.samples(part)
    near = (np.hypot(points[:, 0] - at[0], points[:, 2] - at[2]) < 0.13) & (normals[:, 1] > 0.3)
    return float(np.percentile(points[near, 1], 85)) if near.sum() > 3 else otherwise


def _settle(s: Setting, part: str) -> None:
    """Lowers who sits on something narrow, such as a ball or a saddle, until the first point touches: it may be between
    the lowest ones."""
    p = s.puppet
    points, own = s.samples(part)[0], p.points("seat")
    columns, heights = cKDTree(points[:, [0, 2]]), points[:, 1]
    gap = np.inf
    for point, found in zip(own, columns.query_ball_point(own[:, [0, 2]], 0.025)):
        if found:
            gap = min(gap, point[1] - heights[found].max())
    if np.isfinite(gap):
        p.move_pelvis(y=p.position("pelvis")[1] - float(np.clip(gap, -0.05, 0.08)))


def _balance(s: Setting, support: float) -> None:
    """Bends the trunk forward until the body's weight is before what it sits on, where the feet bear their share."""
    p = s.puppet
    for _ in range(10):
        if p.centre_of_mass[2] > support + 0.05:
            return
        p.add("pelvis", "X", 2.0).add("spine1", "X", 2.0).add("neck", "X", -2.0)
        # The legs stay: what the pelvis turns, the hips turn back.
        for side in SIDES:
            p.rotations[joint(f"{side}_hip")] = turn("X", -2.0) @ p.rotations[joint(f"{side}_hip")]


def _seated_legs(s: Setting, top: float, front: float, narrow: bool = False) -> bool:
    """Feet on the floor before the seat, or dangling; whether they stand."""
    p, rng = s.puppet, s.rng
    hips, thigh = p.position("pelvis"), THIGH * p.size
    if narrow and 0.62 * p.size < top < PERCH * p.size:
        for side, sign in zip(SIDES, (1.0, -1.0)):
            hip = p.position(f"{side}_hip")
            drop = hip[1] - p.ankle_height
            reach = np.sqrt(max((1.96 * thigh) ** 2 - drop**2, 0.15**2))
            p.step(side, hips[0] + sign * rng.uniform(0.12, 0.2), hip[2] + reach, yaw=8.0, knee=(0.15 * sign, 0.6, 1.0))
        return True
    if top > 0.62 * p.size:
        for side, sign in zip(SIDES, (1.0, -1.0)):
            p.set(f"{side}_hip", "XZ", rng.uniform(-92, -84), sign * rng.uniform(3, 12))
            p.set(f"{side}_knee", "X", rng.uniform(62, 92))
            p.set(f"{side}_ankle", "X", rng.uniform(5, 25))
        return False
    for side, sign in zip(SIDES, (1.0, -1.0)):
        spread = rng.uniform(0.1, 0.2)
        reach = max(thigh * 0.98 + rng.uniform(-0.04, 0.14), front - hips[2] + 0.08)
        p.step(side, hips[0] + sign * spread, hips[2] + reach, yaw=rng.uniform(0, 18), knee=(0.15 * sign, 1.0, 0.5))
    return True


def _seated_arms(s: Setting) -> None:
    """Hands where the relations say, the others on the thighs or in the lap."""
    p, rng = s.puppet, s.rng
    busy = hand_parts(s)
    lap = rng.random() < 0.4
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if side in busy:
            continue
        p.relax(side)
        hip, knee = p.position(f"{side}_hip"), p.position(f"{side}_knee")
        if lap:
            at = 0.4 * hip + 0.5 * knee + np.array([-0.05 * sign, 0.15 + 0.02 * sign, 0.0])
            p.reach(side, at, (-0.8 * sign, 0, 0.6), (0, -1, 0.1))
        else:
            share = rng.uniform(0.6, 0.85)
            p.reach(
                side,
                (1 - share) * hip + share * knee + np.array([0.0, 0.1, 0.0]),
                (-0.25 * sign, -0.1, 1.0),
                (0, -1, -0.1),
            )
    place_hands(s, loose=False)


def straddle(s: Setting) -> None:
    """Astride of a saddle: legs on both sides, hands where they are asked."""
    p, rng = s.puppet, s.rng
    part = next((n for n in SEATS if s.contact(n)), "seat")
    s.stand_thing(_level(s))
    s.centre_thing(x=0.0, z=0.0)
    low, high = s.box(part)
    p.pose("sit")
    sway(p, rng, 0.3)
    bars = [s.samples(n)[0].mean(axis=0) for n in hand_parts(s).values()]
    middle = 0.5 * (low[2] + high[2])
    lean = rng.uniform(4, 12)
    z = np.clip(middle + rng.uniform(-0.3, 0.3) * (high[2] - low[2]), low[2] + 0.08, max(high[2] - 0.08, low[2] + 0.08))
    if bars:
        bar = np.mean(bars, axis=0)
        far = bar[2] - z
        if far > 0.55:
            z = max(z, min(high[2] - 0.05, bar[2] - 0.62))
            lean += 45 * max(0.0, bar[2] - z - 0.45)
    p.add("pelvis", "X", min(lean, 40.0))
    p.add("neck", "X", -0.6 * min(lean, 40.0))
    p.move_pelvis(0.5 * (low[0] + high[0]), 0.0, float(z))
    top = _height_under(s, part, p.position("pelvis"), high[1])
    p.move_pelvis(y=0.0)
    p.move_pelvis(y=top - p.points("buttocks")[:, 1].min() + 0.01)
    hips = p.position("pelvis")
    points = s.world(s.thing.points)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        sole = s.contact(f"{side}_sole", f"{side}_foot")
        beside = points[(np.abs(points[:, 2] - hips[2] - 0.1) < 0.2) & (points[:, 1] < top - 0.15)]
        wide = max(0.13, (np.abs(beside[:, 0] - hips[0]).max() + 0.06) if len(beside) else 0.13)
        height, ahead = max(0.0, top - 0.82 * p.size), hips[2] + rng.uniform(0.05, 0.2)
        if sole is not None:
            spots, normals = s.samples(sole.body_part)
            mine = (sign * (spots[:, 0] - hips[0]) > 0.02) & (normals[:, 1] > 0.5)
            way = np.linalg.norm(spots - (hips + [0.15 * sign, -0.6 * p.size, 0.15]), axis=1) + 5.0 * ~mine
            spot = spots[int(np.argmin(way))]
            height, ahead, wide = spot[1], spot[2] - 0.06, max(abs(spot[0] - hips[0]), 0.1)
        p.step(side, hips[0] + sign * wide, ahead, height=height, yaw=8.0, knee=(0.7 * sign, 0.5, 1.0))
    s.floor = s.contact("left_sole", "right_sole", "left_foot", "right_foot") is None and top < 0.85 * p.size
    _seated_arms(s)


def lie(s: Setting) -> None:
    """On the back along the thing's longer side, the head at its back end."""
    p, rng = s.puppet, s.rng
    part = next((n for n in ("back", "seat", "buttocks", *HEADS) if s.contact(n)), "back")
    on_head = part in HEADS
    s.stand_thing(0.0)
    low, high = s.box(part)
    if high[0] - low[0] > 1.15 * (high[2] - low[2]):
        s.turn_thing(float(rng.choice([-90.0, 90.0])))
    s.centre_thing(x=0.0, z=0.0)
    low, high = s.box(part)
    p.pose("lie")
    p.add("neck", "X", rng.uniform(-2, 12)).add("neck", "Y", rng.normal(0, 8))
    length, room = high[2] - low[2], (high[0] - low[0]) / 2
    p.move_pelvis(0.5 * (low[0] + high[0]) + max(0.0, room - 0.42) * rng.uniform(-1, 1), 0.0, 0.0)
    small = length < 1.0
    head = p.position("head")[2] - 0.14 * p.size
    if small and on_head:
        p.move_pelvis(z=0.5 * (low[2] + high[2]) - p.position("head")[2])
    elif small:
        p.move_pelvis(z=0.5 * (low[2] + high[2]) + 0.2)
    else:
        p.move_pelvis(z=low[2] - head + 0.1 + rng.uniform(0.0, 0.08) * length)
    spot = p.position("head" if on_head else "spine2")
    top = _height_under(s, part, spot, high[1])
    region = "buttocks" if part == "buttocks" else "back"
    p.move_pelvis(y=0.0)
    p.move_pelvis(y=(0.0 if small and on_head else top - p.points(region)[:, 1].min()))
    hips = p.position("pelvis")
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if hips[2] + 0.9 * p.size < high[2] and rng.random() < 0.6:
            p.set(f"{side}_hip", "Z", sign * rng.uniform(1, 9))
        elif hips[2] + 0.45 * p.size < high[2]:
            p.step(
                side,
                hips[0] + sign * 0.1,
                hips[2] + rng.uniform(0.38, 0.5) * p.size,
                height=top,
                knee=(0.1 * sign, 1.0, 0.3),
            )
    for side, sign in zip(SIDES, (1.0, -1.0)):
        if room < 0.36 or rng.random() < 0.5:
            p.relax(side)
            belly = p.points("belly")
            at = np.array(
                [hips[0] + 0.07 * sign, belly[:, 1].max() + 0.014 + 0.012 * sign, belly[:, 2].mean() - 0.05 * sign]
            )
            p.reach(side, at, (-1.0 * sign, 0, 0.3), (0, -1, 0), (1.0 * sign, -0.3, 0.0))
        else:
            p.set(f"{side}_shoulder", "XZ", 2, -sign * rng.uniform(58, 70))
    s.floor = False
    place_hands(s, loose=False)


def stand_on(s: Setting) -> None:
    """Both soles on top of the thing; or knees and palms, where those are asked."""
    p, rng = s.puppet, s.rng
    part = next((n for n in ("left_sole", "left_foot", "left_knee", "left_shin") if s.contact(n)), "left_sole")
    s.stand_thing(_level(s))
    low, high = s.box(part)
    wide, deep = high[0] - low[0], high[2] - low[2]
    pose = s.relations.pose
    if deep > 1.5 * wide and wide < 0.4:  # a board: across it
        s.turn_thing(90.0)
    s.centre_thing(x=0.0, z=0.0)
    low, high = s.box(part)
    top = high[1]
    p.pose({"crouch": "squat", "kneel": "kneel"}.get(pose, "stand"))
    sway(p, rng, 0.5)
    middle = 0.5 * (low + high)
    if part.endswith(("knee", "shin")):
        p.move_pelvis(middle[0], 0.0, middle[2] + 0.05)
        p.move_pelvis(y=top - min(p.points("left_knee")[:, 1].min(), p.points("right_knee")[:, 1].min()))
    else:
        across = min(rng.uniform(0.09, 0.15), max(0.06, 0.5 * (high[0] - low[0]) - 0.05))
        if pose == "crouch":
            p.move_pelvis(middle[0], top + 0.42 * p.size, middle[2] - 0.02)
        else:
            p.move_pelvis(middle[0], top + 0.975 * p.hip_height, middle[2] + 0.03)
        for side, sign in zip(SIDES, (1.0, -1.0)):
            ahead = rng.uniform(-0.05, 0.05) if high[2] - low[2] > 0.36 else 0.0
            # Somewhat to the front: heels and calves need room before a back.
            z = min(middle[2] + 0.01, max(high[2] - 0.2, middle[2] - 0.05)) + ahead
            under = _height_under(s, part, np.array([middle[0] + sign * across, 0.0, z + 0.05]), top)
            p.step(side, middle[0] + sign * across, z, height=under, yaw=rng.uniform(0, 12))
    s.floor = False
    for side in SIDES:
        if side not in hand_parts(s):
            hang(p, rng, side)
    place_hands(s, loose=False)


def inside(s: Setting) -> None:
    """Sitting within the thing."""
    p, rng = s.puppet, s.rng
    s.stand_thing(0.0)
    s.centre_thing(x=0.0, z=0.0)
    low, high = s.box()
    p.pose("sit")
    sway(p, rng, 0.3)
    p.move_pelvis(0.0, 0.0, -0.1 * (high[2] - low[2]))
    p.move_pelvis(y=low[1] + 0.35 * (high[1] - low[1]))
    s.floor = False
    _seated_arms(s)
