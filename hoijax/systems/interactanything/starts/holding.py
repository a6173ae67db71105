"""Scripts of people who hold, carry, push, hug or wear something."""

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.data.synth.rig import SIDES, turn
from hoijax.data.synth.start import hang, stance, sway
from hoijax.systems.interactanything.relations.placement import DIRECTIONS
from hoijax.systems.interactanything.relations.schema import is_hand
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.starts.hands import LOCAL, hand_parts, place_hands
from hoijax.systems.interactanything.starts.setting import THICK, Setting
from hoijax.systems.interactanything.starts.standing import (
    bring_near,
    height_of,
    nearest_height,
    raised,
    stand_or_stoop,
)

ENDS = ("hand", "foot", "arm", "leg", "ear", "tail", "strap", "corner", "neck", "wing", "finger")
"""Parts from which a thing hangs that is held by them."""
PLATE = 0.45
"""A thing whose depth is less than this times its other sides is a plate."""


def hold(s: Setting) -> None:
    """One or two hands on something that they carry or that stands before, beside or behind the person."""
    p, rng = s.puppet, s.rng
    parts = hand_parts(s)
    carried = s.relations.standing == "carried"
    side_of = s.relations.object_side_of_human
    direction = np.array(DIRECTIONS.get(side_of, (0, 0, 1)), float)
    if (
        carried
        and len(parts) == 1
        and s.relations.height_band in ("knee", "ground")
        and s.contact(*parts.values()).kind == "grasp"
    ):
        return _hang_from_hand(s)
    if carried and side_of == "above":
        return overhead(s)
    if carried and len(parts) == 1 and s.relations.pose == "walk" and _is_slab(s):
        return under_arm(s)
    if carried and len(parts) == 1 and _hangs(s, *parts.values()):
        return _hang_from_hand(s)
    if carried:
        if len(parts) == 1 and side_of == "front":
            s.turn_thing(float(rng.choice([0.0, 0.0, 90.0, -90.0, 180.0])) + rng.uniform(-15, 15))
            s.choose_sides()
        s.centre_thing(0.0, s.band(), 0.0)
        grip = np.mean([height_of(s, n) for n in parts.values()]) if parts else s.band()
        lower, upper = 0.62 * p.size, 1.3 * p.size
        s.move(y=float(np.clip(grip, lower, upper) - grip))
        if s.box()[0][1] < 0.02:
            s.stand_thing(rng.uniform(0.02, 0.12))
    else:
        s.stand_thing(raised(s))
    grip = float(np.mean([nearest_height(s, n) for n in parts.values()])) if parts else 1.0
    kind = s.relations.contact_kind
    tilt = rng.uniform(8, 18) if kind == "touch" and s.relations.pose == "walk" else rng.uniform(0, 5)
    if side_of == "back":
        tilt = -rng.uniform(0, 4)
    stand_or_stoop(s, grip, tilt)
    if tilt > 7 and s.relations.pose == "walk":
        p.move_pelvis(0.0, 0.94 * p.hip_height, 0.0)
        front = int(rng.integers(2))
        for k, (side, sign) in enumerate(zip(SIDES, (1.0, -1.0))):
            first = k == front
            ahead, pitch = (rng.uniform(0.1, 0.2), 0.0) if first else (-rng.uniform(0.28, 0.38), rng.uniform(10, 25))
            p.step(side, sign * rng.uniform(0.08, 0.13), ahead, yaw=rng.uniform(0, 12), pitch=pitch)
    bring_near(s, parts, direction)
    place_hands(s)


def _is_slab(s: Setting) -> bool:
    """Whether it is too wide for one hand to close round, and flat enough to be clamped under an arm."""
    thick, wide, long = np.sort(np.subtract(*s.box()[::-1]))
    return bool(thick < THICK < 0.09 < wide < 0.45 and long < 0.9)


def _hangs(s: Setting, part: str) -> bool:
    """Turns the thing so that it hangs straight down from a thin end that a hand holds; whether there is one.

    What has a handle, or is slender, is held any way.
    """
    contact, thing = s.contact(part), s.thing
    thin = thing.inside(contact.places) & (thing.thickness <= THICK)
    if contact.object_part not in ENDS or contact.kind != "grasp" or thin.sum() < 8:
        return False
    middle = thing.points.mean(axis=0)
    away = np.where(thin, np.linalg.norm(thing.points - middle, axis=1), 0.0)
    ends = np.flatnonzero(away > 0.85 * away.max())
    end = thing.points[ends[int(s.rng.integers(len(ends)))]]
    near = thing.points[thin & (np.linalg.norm(thing.points - end, axis=1) < LOCAL)]
    low, high = near.min(axis=0), near.max(axis=0)
    s.chosen[part] = (Box(tuple(map(float, low)), tuple(map(float, high))),)
    down = s.rotation @ (middle - near.mean(axis=0))
    s.rotation = Rotation.align_vectors([[0.0, -1.0, 0.0]], [down])[0].as_matrix() @ s.rotation
    return True


def _hang_from_hand(s: Setting) -> None:
    """Something that hangs from one hand beside the thigh, its grip along the way one looks."""
    p, rng = s.puppet, s.rng
    side, part = next(iter(hand_parts(s).items()))
    sign = 1.0 if side == "left" else -1.0
    points = s.samples(part)[0]
    flat = points[:, [0, 2]] - points[:, [0, 2]].mean(axis=0)
    if np.ptp(flat[:, 0]) > 1.2 * np.ptp(flat[:, 1]):
        s.turn_thing(float(rng.choice([-90.0, 90.0])))
    stand_or_stoop(s, 0.8 * p.size)
    shoulder = p.position(f"{side}_shoulder")
    points = s.samples(part)[0]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    low, high = s.box()
    half = max(high[0] - middle[0], middle[0] - low[0])
    out = sign * (abs(shoulder[0]) + min(max(rng.uniform(0.03, 0.1), half - 0.02), 0.22))
    at = np.array([out, shoulder[1] - rng.uniform(0.48, 0.53) * p.size, rng.uniform(0.0, 0.08)])
    if low[1] + at[1] - middle[1] < 0.03:  # long things would touch the floor
        at[1] = middle[1] - low[1] + 0.03
    s.move(*(at - middle))
    s.clear_of_trunk(np.array([sign, 0.0, 0.0]), 0.01)
    place_hands(s)


def overhead(s: Setting) -> None:
    """Lifted above the head in both hands; what is a plate lies flat on them, its middle over the palms."""
    p, rng = s.puppet, s.rng
    p.pose("stand")
    sway(p, rng, 0.3)
    stance(p, rng)
    head = p.position("head")
    s.centre_thing(0.0, 0.0, 0.0)
    low, high = s.box()
    wide, tall, deep = high - low
    if deep < PLATE * min(wide, tall):
        s.rotation = turn("X", float(rng.choice([-90.0, 90.0]))) @ s.rotation
    elif wide < PLATE * min(tall, deep):
        s.rotation = turn("Z", float(rng.choice([-90.0, 90.0]))) @ s.rotation
    low, high = s.box()
    if high[2] - low[2] > 1.4 * (high[0] - low[0]):
        s.turn_thing(90.0)
    flat = s.box()[1][1] - s.box()[0][1] < PLATE * min(np.delete(s.box()[1] - s.box()[0], 1))
    s.choose_sides()
    low, high = s.box()
    thin = min(high[0] - low[0], 0.6) < 0.35
    s.centre_thing(0.0, 0.0, head[2] + rng.uniform(0.02, 0.12) + (0.06 if thin else 0.0))
    if flat:
        under = s.face(np.array([0.0, -1.0, 0.0]))
        s.chosen |= {part: under for part in hand_parts(s).values()}
        level = s.box(next(iter(hand_parts(s).values())))[0][1] if hand_parts(s) else s.box()[0][1]
        s.move(y=head[1] + (0.26 + rng.uniform(0.0, 0.04)) * p.size - level)
    else:
        s.stand_thing(head[1] + (0.24 + rng.uniform(0.0, 0.05)) * p.size)
    place_hands(s)


def hug(s: Setting) -> None:
    """Both arms round it, the chest against it."""
    p, rng = s.puppet, s.rng
    p.pose("stand")
    sway(p, rng, 0.3)
    stance(p, rng)
    carried = s.relations.standing == "carried" or s.relations.movable
    if carried:
        s.centre_thing(0.0, s.band(), 0.0)
        chest = p.position("spine3")[1]
        low, high = s.box()
        if high[1] < chest + 0.05:
            s.move(y=chest + 0.05 - high[1] if np.ptp([low[1], high[1]]) < 0.4 else 0.0)
    else:
        s.stand_thing(0.0)
        low, high = s.box()
        if high[1] < 1.2 * p.size:
            stand_or_stoop(s, float(max(high[1] - 0.15, 0.4)), 10.0)
    s.centre_thing(x=0.0, z=0.0)
    chest = p.points("chest")
    low, high = s.box()
    points = s.world(s.thing.points)
    front = chest[:, 2].max()
    level = points[(np.abs(points[:, 1] - chest[:, 1].mean()) < 0.15) & (np.abs(points[:, 0]) < 0.2)]
    near = (level if len(level) else points)[:, 2].min()
    s.move(z=front - near + 0.005)
    far = s.box()[1][2]
    low, high = s.box()
    for side, sign in zip(SIDES, (1.0, -1.0)):
        shoulder = p.position(f"{side}_shoulder")
        y = float(np.clip(shoulder[1] - (0.12 if side == "left" else 0.24), low[1] + 0.05, high[1] - 0.03))
        at_y = points[np.abs(points[:, 1] - y) < 0.08]
        half = np.ptp(at_y[:, 0]) / 2 if len(at_y) else (high[0] - low[0]) / 2
        # Round what is wide the palms do not meet.
        x = sign * max(min(0.06, 0.6 * half), half - 0.22 * p.size)
        p.curl(side, 0.25)
        z = min(far, shoulder[2] + 0.42 * p.size)
        if far > z + 0.02:  # too deep to reach round: the palms on its sides
            x = (at_y[:, 0].max() if sign > 0 else at_y[:, 0].min()) if len(at_y) else 0.2 * sign
            p.reach(side, np.array([x, y, z]), (0, 0, 1.0), (-sign, 0, 0), (1.0 * sign, -0.4, 0.0))
        else:
            p.reach(side, np.array([x, y, z + 0.01]), (-sign, 0, 0.1), (0, 0, -1.0), (1.0 * sign, -0.3, 0.2))


def under_arm(s: Setting) -> None:
    """Clamped between an arm and the side of the trunk, the hand under its middle."""
    p, rng = s.puppet, s.rng
    parts = [c.body_part for c in s.relations.contacts]
    side = next((n.split("_")[0] for n in parts if n.endswith("forearm")), next(iter(hand_parts(s)), "right"))
    sign = 1.0 if side == "left" else -1.0
    stand_or_stoop(s, 1.0 * p.size)
    low, high = s.box()
    order = np.argsort(high - low)  # thinnest across, longest along the way one looks
    basis = np.zeros((3, 3))
    for row, axis in zip((0, 1, 2), order):
        basis[row, axis] = 1.0
    if np.linalg.det(basis) < 0:
        basis[0] *= -1
    s.rotation = basis @ s.rotation
    low, high = s.box()
    shoulder = p.position(f"{side}_shoulder")
    thick, tall = high[0] - low[0], high[1] - low[1]
    flank = sign * p.points("belly")[:, 0] if tall < 0.3 else sign * p.points("chest")[:, 0]
    # Its lower edge where the fingers of a bent arm end, its middle over them.
    below = shoulder[1] - float(np.clip(0.36 * p.size + tall / 2, 0.4, 0.5 * p.size))
    body = sign * (flank.max() + thick / 2 + 0.004)
    s.centre_thing(body, below + tall / 2, rng.uniform(0.1, 0.18))
    for part in parts:
        if part.endswith("forearm"):
            s.chosen[part] = s.face(np.array([sign, 0.0, 0.0]))
        elif is_hand(part):
            s.chosen[part] = s.face(np.array([0.0, -1.0, 0.0]))
    low, high = s.box()
    p.curl(side, 0.5)
    at = np.array([body - 0.01 * sign, low[1] - 0.004, 0.5 * (low[2] + high[2]) + rng.uniform(0.0, 0.04)])
    p.reach(side, at, (-0.3 * sign, 0.1, 1.0), (-0.2 * sign, 1.0, 0), (0.9 * sign, -0.6, -0.6))
    hang(p, rng, "left" if side == "right" else "right")


def on_back(s: Setting) -> None:
    """Worn on the back."""
    p, rng = s.puppet, s.rng
    stand_or_stoop(s, 1.1 * p.size)
    p.add("spine1", "X", rng.uniform(0, 5))
    for side in SIDES:
        hang(p, rng, side)
    back = p.points("upper_back")
    high = s.box()[1]
    s.centre_thing(x=0.0)
    top = p.position("neck")[1] + rng.uniform(-0.06, 0.02)
    level = s.samples("back")[0] if s.contact("back") else s.world(s.thing.points)
    s.move(y=top - high[1])
    s.move(z=back[:, 2].min() - level[:, 2].max() + rng.uniform(0.0, 0.01))


def on_shoulder(s: Setting) -> None:
    """On one shoulder, or behind the neck, a hand at its side."""
    p, rng = s.puppet, s.rng
    stand_or_stoop(s, 1.1 * p.size)
    shoulder = next((c.body_part for c in s.relations.contacts if c.body_part.endswith("shoulder")), "right_shoulder")
    sign = 1.0 if shoulder.startswith("left") else -1.0
    points = p.points(shoulder)
    spot = points[points[:, 1] > np.percentile(points[:, 1], 80)].mean(axis=0)
    low, high = s.box()
    wide = high[0] - low[0]
    s.centre_thing(x=float(spot[0] + sign * max(0.0, wide / 2 - 0.07)), z=float(spot[2] + rng.uniform(-0.03, 0.03)))
    s.stand_thing(float(spot[1] + 0.005))
    place_hands(s)


def on_head(s: Setting) -> None:
    """Balanced on the head."""
    p = s.puppet
    stand_or_stoop(s, 1.1 * p.size)
    top = p.points("head")
    s.centre_thing(x=float(top[:, 0].mean()), z=float(top[:, 2].mean()))
    s.stand_thing(float(top[:, 1].max() - 0.003))
    place_hands(s)


def cradle(s: Setting) -> None:
    """Lying across the forearms before the chest."""
    p = s.puppet
    stand_or_stoop(s, 1.1 * p.size)
    low, high = s.box()
    if high[1] - low[1] > 1.2 * (high[0] - low[0]):  # what stands is laid down, its front up, its head to the left arm
        s.rotation = turn("Z", -90.0) @ turn("X", -90.0) @ s.rotation
        low, high = s.box()
    if high[2] - low[2] > 1.2 * (high[0] - low[0]):
        s.turn_thing(90.0)
    chest = p.points("chest")[:, 2].max()
    low, high = s.box()
    deep = high[2] - low[2]
    s.centre_thing(0.0, p.position("spine3")[1] - 0.12 * p.size, float(chest + deep / 2 + 0.01))
    low, high = s.box()
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.curl(side, 0.4)
        at = np.array([-0.04 * sign, low[1] - 0.02 - 0.03 * (side == "right"), 0.5 * (low[2] + high[2]) + 0.04])
        p.reach(side, at, (-1.0 * sign, 0.0, 0.4), (0.0, 1.0, -0.3), (0.8 * sign, -0.8, -0.4))


def at_face(s: Setting) -> None:
    """Held before the face or the head, which touches it."""
    p = s.puppet
    stand_or_stoop(s, 1.1 * p.size)
    part = "face" if s.contact("face") else "head"
    points = s.samples(part)[0]
    spot = points.mean(axis=0)
    face = p.points("face")
    goal = np.array([0.0, np.percentile(face[:, 1], 35), face[:, 2].max() + 0.005])
    near = points[np.argmin(points[:, 2])]
    s.move(*(goal - (near if np.ptp(points[:, 2]) > 0.02 else spot)))
    s.clear_of_trunk(np.array([0.0, 0.0, 1.0]), 0.0)
    place_hands(s)


def worn(s: Setting) -> None:
    """Round a part of the body: its middle at the part's."""
    p = s.puppet
    stand_or_stoop(s, 1.1 * p.size)
    for side in SIDES:
        hang(p, s.rng, side)
    parts = [c.body_part for c in s.relations.contacts]
    places = [p.points(n) for n in parts] or [p.points("chest")]
    middle = np.concatenate(places).mean(axis=0)
    s.centre_thing(*(float(v) for v in middle))
    if parts == ["head"]:
        top = places[0][:, 1].max()
        s.move(y=float(top - s.box()[0][1] - 0.06))
