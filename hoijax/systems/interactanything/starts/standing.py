"""Scripts of people who lean, step on, climb or stand by; how one stands is for those who hold, too."""

import numpy as np

from hoijax.data.synth.rig import SIDES
from hoijax.data.synth.start import hang, stance, sway
from hoijax.systems.interactanything.relations.placement import DIRECTIONS
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.starts.hands import hand_parts, place_hands
from hoijax.systems.interactanything.starts.setting import Setting

RIM = 0.15
"""How far below a level its rim reaches, metres."""
DEEP = 0.8
"""How deep a place is at most that is reached at its middle, metres."""


def height_of(s: Setting, part: str | None = None) -> float:
    """Middle height of what a part is to touch."""
    low, high = s.box(part)
    return float(0.5 * (low[1] + high[1]))


def stand_or_stoop(s: Setting, height: float, tilt: float = 0.0) -> None:
    """Stands so that hands at a height are within reach: upright, bent, or in a crouch.

    Args:
      s: the setting.
      height: of the hands, metres.
      tilt: degrees that the trunk leans forward anyhow.
    """
    p, rng = s.puppet, s.rng
    h = height / p.size
    if s.relations.pose == "sit":
        p.pose("sit")
        sway(p, rng, 0.4)
        p.move_pelvis(0.0, 0.5 * p.size, 0.0)
        for side, sign in zip(SIDES, (1.0, -1.0)):
            p.step(
                side,
                sign * rng.uniform(0.09, 0.15),
                0.41 * p.size + rng.uniform(-0.02, 0.1),
                knee=(0.1 * sign, 1.0, 0.5),
            )
        return
    walking = s.relations.pose == "walk" and s.relations.standing in ("carried", "worn") and h > 0.6
    if h >= 0.78 or (h > 0.5 and s.relations.standing == "carried"):
        if walking and rng.random() < 0.6:
            p.pose("walk").move_pelvis(0.0, 0.963 * p.hip_height, 0.0)
            sway(p, rng, 0.4)
            p.add("pelvis", "X", 0.3 * tilt)
        else:
            p.pose("stand")
            if tilt:
                p.set("pelvis", "X", tilt).add("neck", "X", -0.5 * tilt)
            sway(p, rng, 0.4)
            stance(p, rng, stride=0.1, drop=0.975 if not tilt else 0.96)
        return
    pelvis = np.clip(h + rng.uniform(0.3, 0.42), 0.5, 0.86) * p.size
    depth = float(np.clip((0.9 * p.size - pelvis) / 0.4, 0.1, 1.0))
    p.pose("stand")
    p.set("pelvis", "X", rng.uniform(28, 44)).set("spine1", "X", 8 + 8 * depth).set("spine2", "X", 5 + 7 * depth)
    p.set("neck", "X", -rng.uniform(5, 20))
    sway(p, rng, 0.3)
    p.move_pelvis(0.0, pelvis, -(0.14 + 0.1 * depth))
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(
            side,
            sign * rng.uniform(0.13, 0.2),
            rng.uniform(-0.03, 0.03),
            yaw=rng.uniform(8, 22),
            knee=(0.45 * sign, 0.2, 1.0),
        )


def raised(s: Setting) -> float:
    """Height of the lowest point of a thing that stands: the floor, or something unseen."""
    if s.relations.standing != "raised":
        return 0.0
    low, high = s.box()
    middle = s.band() if s.relations.pose != "sit" else 0.68 * s.puppet.size
    return max(0.0, middle - float(high[1] - low[1]) / 2)


def nearest_height(s: Setting, part: str) -> float:
    """Height of a part's place that is easiest to reach: between hip and shoulder if it has any there."""
    points = s.samples(part)[0]
    size = s.puppet.size
    want = 0.6 * size if s.relations.pose == "sit" else 1.05 * size
    return float(np.clip(want, np.percentile(points[:, 1], 10), np.percentile(points[:, 1], 90)))


def bring_near(s: Setting, parts: dict[str, str], direction: np.ndarray) -> None:
    """Moves the thing so that its places are within reach of the hands and it is beside the trunk."""
    p, rng = s.puppet, s.rng
    goals, places = [], []
    ahead = np.abs(direction[2]) > 0.5
    for side, part in parts.items():
        shoulder = p.position(f"{side}_shoulder")
        points = s.samples(part)[0]
        height = np.clip(shoulder[1] - 0.25 * p.size, np.percentile(points[:, 1], 10), np.percentile(points[:, 1], 90))
        near = points[np.abs(points[:, 1] - height) < 0.12]
        near = near if len(near) else points
        along = near @ direction
        # Of what is deep, as a car's underside, the edge: its middle is out of reach.
        spot = near[along < along.min() + 0.3].mean(axis=0) if np.ptp(along) > DEEP else near.mean(axis=0)
        drop = abs(shoulder[1] - spot[1])
        length = rng.uniform(0.4, 0.46) * p.size
        reach = np.sqrt(max(length**2 - drop**2, 0.12**2))
        goals.append(
            shoulder
            + direction * (reach if ahead and direction[2] > 0 else 0.75 * reach)
            + (0 if ahead else np.array([0, 0, 0.15]))
        )
        places.append(spot)
    if not goals:
        s.centre_thing(x=0.0, z=0.0)
    else:
        shift = np.mean(goals, axis=0) - np.mean(places, axis=0)
        if len(goals) == 1 and ahead:
            shift = shift + [0.3 * -np.mean(goals, axis=0)[0], 0, 0]
        s.move(x=float(shift[0]), z=float(shift[2]))
    s.clear_of_trunk(direction, rng.uniform(0.015, 0.04))


def lean_on_hands(s: Setting) -> None:
    """Both palms on top of something, the trunk inclined."""
    p, rng = s.puppet, s.rng
    s.stand_thing(raised(s))
    parts = hand_parts(s)
    top = float(np.mean([np.percentile(s.samples(n)[0][:, 1], 95) for n in parts.values()])) if parts else 0.9
    if top < 0.62 * p.size:
        stand_or_stoop(s, top)
    else:
        bend = float(np.clip(rng.uniform(10, 18) + 60 * max(0.0, 0.95 - top), 8, 42))
        p.pose("stand")
        p.set("pelvis", "X", bend).add("spine1", "X", rng.uniform(2, 8)).add("neck", "X", -0.5 * bend)
        sway(p, rng, 0.4)
        p.move_pelvis(0.0, 0.95 * p.hip_height, -0.04)
        for side, sign in zip(SIDES, (1.0, -1.0)):
            p.step(side, sign * rng.uniform(0.09, 0.16), 0.06, yaw=rng.uniform(0, 12))
    bring_near(s, parts, np.array([0.0, 0.0, 1.0]))
    place_hands(s)


def _take_the_rim(s: Setting, part: str) -> None:
    """Where the place is a level, such as a saddle or a table's top, what is `RIM` below it and above: nobody leans
    against what looks up."""
    contact = s.contact(part)
    if contact is None or not contact.places or np.mean(s.samples(part)[1][:, 1] > 0.7) < 0.6:
        return
    low, high = s.thing.points.min(axis=0), s.thing.points.max(axis=0)
    low[1] = max(low[1], min(box.lower[1] for box in contact.places) - RIM)
    s.chosen[part] = (Box(tuple(map(float, low)), tuple(map(float, high))),)


def _face_place(s: Setting, part: str) -> None:
    """Of several sides takes one, and turns the thing by quarters so that it looks at the person before it."""
    places = s.chosen.get(part, s.contact(part).places)
    if len(places) > 1:
        s.chosen[part] = (places[int(s.rng.integers(len(places)))],)
    low, high = s.box()
    away = s.samples(part)[0].mean(axis=0) - (low + high) / 2
    if np.hypot(away[0], away[2]) > 0.1 * max(high[0] - low[0], high[2] - low[2]):
        s.turn_thing(90.0 * round(float(np.degrees(np.arctan2(-away[0], away[2]))) / 90.0))


def lean_back(s: Setting) -> None:
    """The back, or the lower back, against something."""
    p, rng = s.puppet, s.rng
    s.stand_thing(raised(s))
    part = next((n for n in ("back", "upper_back", "lower_back", "buttocks") if s.contact(n)), "back")
    _take_the_rim(s, part)
    _face_place(s, part)
    points = s.samples(part)[0]
    top = float(np.percentile(points[:, 1], 97))
    p.pose("stand")
    tilt = rng.uniform(5, 11)
    p.set("pelvis", "X", -tilt).add("neck", "X", 0.7 * tilt)
    sway(p, rng, 0.3)
    pelvis = (
        min(0.96 * p.hip_height, top - rng.uniform(0.02, 0.1) * p.size) if top < 1.1 * p.size else 0.96 * p.hip_height
    )
    pelvis = max(pelvis, 0.55 * p.size)
    p.move_pelvis(0.0, pelvis, 0.0)
    ahead = 0.16 + 0.7 * max(0.0, 0.93 * p.hip_height - pelvis)
    for side, sign in zip(SIDES, (1.0, -1.0)):
        p.step(side, sign * rng.uniform(0.07, 0.15), ahead + rng.uniform(0.0, 0.08), yaw=rng.uniform(0, 15))
    for side in SIDES:
        if side not in hand_parts(s):
            hang(p, rng, side)
    s.centre_thing(x=0.0, z=0.0)
    middle = s.samples(part)[0]
    s.move(x=-float(middle[:, 0].mean()) if np.ptp(middle[:, 0]) < 1.0 else rng.uniform(-0.2, 0.2))
    back = p.points("back")
    world = s.samples(part)[0]
    # Both seen as heights to how far they reach; the gap that is least closes first.
    gap = np.inf
    for y in np.linspace(back[:, 1].min(), back[:, 1].max(), 12):
        mine, its = (
            back[np.abs(back[:, 1] - y) < 0.04],
            world[(np.abs(world[:, 1] - y) < 0.05) & (np.abs(world[:, 0]) < 0.25)],
        )
        if len(mine) and len(its):
            gap = min(gap, mine[:, 2].min() - its[:, 2].max())
    s.move(z=float(gap if np.isfinite(gap) else back[:, 2].min() - world[:, 2].max()))
    place_hands(s, loose=False)


def foot_on(s: Setting) -> None:
    """One foot on something before the person."""
    p, rng = s.puppet, s.rng
    s.stand_thing(0.0)
    foot = next(
        (c.body_part for c in s.relations.contacts if c.body_part.split("_")[-1] in ("sole", "foot", "toes", "heel")),
        "right_sole",
    )
    side = foot.split("_")[0]
    sign = 1.0 if side == "left" else -1.0
    p.pose("stand")
    sway(p, rng, 0.4)
    kick = foot.endswith(("toes", "foot")) and s.relations.contact_kind == "touch"
    p.move_pelvis(0.0, 0.975 * p.hip_height, 0.0)
    p.step("right" if side == "left" else "left", -0.08 * sign, 0.0, yaw=rng.uniform(0, 15))
    points = s.samples(foot)[0]
    s.centre_thing(x=0.1 * sign, z=0.0)
    if kick:
        s.move(z=0.36 * p.size - s.box()[0][2])
        p.step(side, 0.1 * sign, s.box()[0][2] - 0.19 * p.size, height=0.05, pitch=rng.uniform(0, 15))
    else:
        top = float(np.percentile(points[:, 1], 96))
        ahead = rng.uniform(0.22, 0.3) * p.size
        middle = 0.5 * (s.box()[0][2] + s.box()[1][2])
        s.move(z=ahead + 0.08 - middle)
        s.clear_of_trunk(np.array([0.0, 0.0, 1.0]), 0.0)
        middle = 0.5 * (s.box()[0][2] + s.box()[1][2])
        p.step(side, 0.1 * sign, middle - 0.09, height=top, pitch=0.0, knee=(0.2 * sign, 0.6, 1.0))
    for each in SIDES:
        if each not in hand_parts(s):
            hang(p, rng, each)
    place_hands(s, loose=False)


def beside(s: Setting) -> None:
    """Nothing touches."""
    p, rng = s.puppet, s.rng
    s.stand_thing(raised(s))
    stand_or_stoop(s, 1.1 * p.size)
    for side in SIDES:
        hang(p, rng, side)
    direction = np.array(DIRECTIONS.get(s.relations.object_side_of_human, (0, 0, 1)), float)
    s.centre_thing(x=0.0, z=0.0)
    s.clear_of_trunk(direction, 0.25)


def climb(s: Setting) -> None:
    """Hands and feet on something upright."""
    p = s.puppet
    s.stand_thing(0.0)
    s.centre_thing(x=0.0, z=0.0)
    high = s.box()[1]
    p.pose("stand")
    p.set("pelvis", "X", 8.0)
    raised = float(np.clip(0.35 * (high[1] - 0.6), 0.15, 0.6))
    p.move_pelvis(0.0, raised + 0.9 * p.hip_height, 0.0)
    s.move(z=0.3 - s.box()[0][2])
    s.choose_sides()
    for k, (side, sign) in enumerate(zip(SIDES, (1.0, -1.0))):
        p.step(side, 0.1 * sign, s.box()[0][2] - 0.1, height=raised + 0.25 * k, knee=(0.5 * sign, 0.3, 1.0))
    s.floor = False
    place_hands(s)
