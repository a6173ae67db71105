"""Things to swing, ride, wear and hold up: bat, racket, umbrella, skateboard, bicycle, backpack."""

import numpy as np

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.solids import block, cylinder, lathe, move, tube


def bat(*, length: float = 0.84, barrel: float = 0.033, grip: float = 0.013, knob: float = 0.022) -> ProceduralObject:
    """A baseball bat, upright, the grip at the lower end.

    Args:
      length: along y.
      barrel: radius of the thick end.
      grip: radius of the handle.
      knob: radius of the knob below the grip.
    """
    split = 0.34 * length
    low = [(0.0, 0.0), (knob, 0.006), (knob, 0.016), (grip, 0.03), (grip, split), (0.0, split)]
    high = [
        (0.0, split - 0.01), (0.98 * grip, split - 0.01), (0.98 * grip, split), (barrel, 0.72 * length),
        (barrel, length - 0.012), (barrel - 0.01, length), (0.0, length),
    ]  # fmt: skip
    parts = [("grip", lathe(low, segments=20, edge=0.04)), ("barrel", lathe(high, segments=20, edge=0.04))]
    return assemble("bat", parts)


def _ellipse(width: float, height: float, centre: float, count: int = 41) -> np.ndarray:
    angle = np.linspace(-np.pi / 2, 1.5 * np.pi, count)
    return np.stack([width * np.cos(angle), centre + height * np.sin(angle), np.zeros(count)], axis=-1)


def racket(
    *, length: float = 0.68, width: float = 0.25, head: float = 0.34, grip: float = 0.015, strings: int = 9
) -> ProceduralObject:
    """A tennis racket, upright, the grip at the lower end, the strings across z.

    Args:
      length: along y.
      width: of the head, along x.
      head: height of the head.
      grip: radius of the handle.
      strings: strings each way.
    """
    handle, centre = 0.27 * length, length - head / 2
    parts = [("grip", tube(np.array([[0, 0, 0], [0, handle, 0]]), grip))]
    throat = length - 0.96 * head
    parts.append(("frame", tube(np.array([[0, handle - 0.01, 0], [0, throat, 0]]), 0.01)))
    parts.append(("frame", tube(_ellipse(width / 2, head / 2, centre), 0.01, edge=0.03)))
    for k in range(1, strings + 1):
        s = 2 * k / (strings + 1) - 1
        reach = np.sqrt(1 - s * s)
        x, y = s * width / 2, s * head / 2
        across = np.array([[-reach * width / 2, centre + y, 0], [reach * width / 2, centre + y, 0]])
        along = np.array([[x, centre - reach * head / 2, 0], [x, centre + reach * head / 2, 0]])
        parts += [("strings", tube(line, 0.0012, segments=6)) for line in (across, along)]
    return assemble("racket", parts)


def umbrella(*, length: float = 0.85, radius: float = 0.5, drop: float = 0.2, ribs: int = 8) -> ProceduralObject:
    """An open umbrella, held by the grip at the lower end.

    Args:
      length: from the grip to the top.
      radius: of the canopy.
      drop: how far the canopy's rim hangs below its top.
      ribs: facets of the canopy's rim, four per rib.
    """
    thickness, steps = 0.004, 9
    outside = [
        (radius * np.sin(a), length - drop * (1 - np.cos(a)) / (1 - np.cos(1.2))) for a in np.linspace(1.2, 0, steps)
    ]
    scale = radius / outside[0][0]
    outside = [(r * scale, y) for r, y in outside]
    inside = [(r, y - thickness) for r, y in outside[1:-1]][::-1]
    profile = [(0.0, length - thickness), *inside, *outside[:-1], (0.0, length)]
    parts = [("canopy", lathe(profile, segments=4 * ribs, edge=0.1))]
    parts.append(("shaft", tube(np.array([[0, 0.08, 0], [0, length + 0.04, 0]]), 0.006, edge=0.06)))
    parts.append(("grip", tube(np.array([[0, -0.04, 0], [0, 0.1, 0]]), 0.014, edge=0.03)))
    return assemble("umbrella", parts)


def skateboard(
    *, length: float = 0.79, width: float = 0.2, wheel: float = 0.027, kick: float = 0.35, thickness: float = 0.012
) -> ProceduralObject:
    """A skateboard along z, nose towards +z.

    Args:
      length: of the deck.
      width: of the deck, along x.
      wheel: radius of a wheel.
      kick: angle of nose and tail, radians.
      thickness: of the deck.
    """
    top, tip = 2 * wheel + 0.045, 0.15 * length
    flat = length - 2 * tip
    parts = [("deck", move(block((width, thickness, flat), edge=0.05), (0, top - thickness / 2, 0)))]
    for side in (-1, 1):
        y, z = top - thickness / 2 + tip / 2 * np.sin(kick), side * (flat / 2 + tip / 2 * np.cos(kick) - 0.003)
        end = block((0.92 * width, thickness, tip + 0.004), edge=0.05)
        parts.append(("tail" if side < 0 else "nose", move(end, (0, y, z), (-side * kick, 0, 0))))
        axle = np.array([[-width / 2 + 0.005, wheel, 0], [width / 2 - 0.005, wheel, 0]]) + [0, 0, side * 0.32 * flat]
        parts.append(("truck", tube(axle, 0.006)))
        parts.append(
            (
                "truck",
                move(block((0.05, top - wheel - 0.005, 0.05)), (0, (top + wheel) / 2 - 0.006, axle[0, 2])),
            )
        )
        for x in (-1, 1):
            centre = (x * (width / 2 - 0.02), wheel, axle[0, 2])
            parts.append(("wheel", move(cylinder(wheel, 0.032, segments=20), centre, (0, 0, np.pi / 2))))
    return assemble("skateboard", parts)


def bicycle(
    *, wheel: float = 0.33, base: float = 1.02, saddle: float = 0.9, bars: float = 0.98, bar_width: float = 0.58
) -> ProceduralObject:
    """A city bicycle along z, front towards +z.

    Args:
      wheel: outer radius of the wheels.
      base: distance of the axles.
      saddle: height of the saddle.
      bars: height of the handlebar.
      bar_width: of the handlebar.
    """
    rear, front = np.array([0, wheel, -base / 2]), np.array([0, wheel, base / 2])
    crank = np.array([0, 0.28, -0.08])
    seat = np.array([0, saddle - 0.04, -0.26])
    head, stem = np.array([0, 0.78, 0.32]), np.array([0, bars, 0.26])
    parts = []
    angle = np.linspace(0, 2 * np.pi, 49)
    rim = np.stack([np.zeros(49), np.sin(angle), np.cos(angle)], axis=-1) * (wheel - 0.017)
    for axle in (rear, front):
        parts.append(("wheel", tube(axle + rim, 0.017, segments=8, edge=0.1)))
        for k in range(8):
            a = np.pi * k / 8
            spoke = np.array([0, np.sin(a), np.cos(a)]) * (wheel - 0.02)
            parts.append(("spokes", tube(np.stack([axle - spoke, axle + spoke]), 0.002, segments=6, edge=0.2)))
    for a, b in (
        (rear, crank),
        (crank, seat),
        (crank, head),
        (seat - [0, 0.22, -0.06], head),
        (rear, seat - [0, 0.2, 0]),
    ):
        parts.append(("frame", tube(np.stack([a, b]), 0.015, edge=0.1)))
    parts.append(("fork", tube(np.stack([front, head, stem]), 0.014, edge=0.1)))
    grip = np.array([bar_width / 2, 0, 0])
    parts.append(("handlebar", tube(np.stack([stem - grip, stem + grip]), 0.012, edge=0.05)))
    for side in (-1, 1):
        end = stem + [side * bar_width / 2, 0, 0]
        parts.append(("grip", tube(np.stack([end - [side * 0.12, 0, 0], end + [side * 0.01, 0, 0]]), 0.016, edge=0.03)))
        foot = crank + [side * 0.09, -side * 0.15, 0]
        arm = np.stack([crank, crank + [side * 0.07, 0, 0], crank + [side * 0.07, -side * 0.15, 0], foot])
        parts.append(("crank", tube(arm, 0.009)))
        parts.append(("pedal", move(block((0.09, 0.02, 0.09)), tuple(foot + [side * 0.045, 0, 0]))))
    parts.append(("saddle", move(block((0.16, 0.055, 0.25), bevel=0.025), (0, saddle - 0.0275, -0.27))))
    return assemble("bicycle", parts)


def backpack(
    *, width: float = 0.31, height: float = 0.46, depth: float = 0.16, strap: float = 0.012, reach: float = 0.14
) -> ProceduralObject:
    """A backpack: the wearer's back is at +z, the two straps loop round the shoulders.

    Args:
      width: along x.
      height: along y.
      depth: along z.
      strap: radius of a strap.
      reach: how far a strap's loop stands out.
    """
    parts = [("bag", block((width, height, depth), bevel=0.045, edge=0.06))]
    pocket = block((0.8 * width, 0.42 * height, 0.06), bevel=0.025, edge=0.06)
    parts.append(("pocket", move(pocket, (0, -0.2 * height, -depth / 2 - 0.015))))
    angle = np.linspace(np.pi / 2, -np.pi / 2, 15)
    for side in (-1, 1):
        x = side * 0.27 * width * np.ones(15)
        loop = np.stack([x, 0.42 * height * np.sin(angle), depth / 2 - 0.01 + reach * np.cos(angle)], axis=-1)
        parts.append(("strap", tube(loop, strap, edge=0.04)))
    arc = np.linspace(0, np.pi, 9)
    top = np.stack([0.05 * np.cos(arc), height / 2 - 0.005 + 0.04 * np.sin(arc), np.full(9, depth / 2 - 0.03)], axis=-1)
    parts.append(("handle", tube(top, 0.008, edge=0.03)))
    return assemble("backpack", parts)
