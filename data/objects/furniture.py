"""Things that stand on the floor: chair, stool, table, trolley."""

import numpy as np

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.solids import block, cylinder, move, tube


def chair(
    *,
    width: float = 0.44,
    depth: float = 0.44,
    seat_height: float = 0.45,
    back_height: float = 0.44,
    recline: float = 0.12,
    seat_thickness: float = 0.04,
    leg: float = 0.04,
) -> ProceduralObject:
    """A four-legged chair with a solid backrest.

    Args:
      width: of the seat, along x.
      depth: of the seat, along z.
      seat_height: of the top of the seat above the floor.
      back_height: of the backrest above the seat.
      recline: angle of the backrest, radians from upright.
      seat_thickness: of the seat; backrests are three quarters of it.
      leg: side of a leg's square section.
    """
    parts = [("seat", move(block((width, seat_thickness, depth)), (0, seat_height - seat_thickness / 2, 0)))]
    thickness = 0.75 * seat_thickness
    # The backrest turns about the rear edge of the seat and starts a little inside it.
    reach = back_height / np.cos(recline)
    hinge_y, hinge_z = seat_height - seat_thickness / 2, -depth / 2 + thickness / 2
    length = reach + seat_thickness / 2
    centre = (0, hinge_y + length / 2 * np.cos(recline), hinge_z - length / 2 * np.sin(recline))
    parts.append(("back", move(block((width, length, thickness)), centre, (-recline, 0, 0))))
    height = seat_height - seat_thickness + 0.005
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * (width - leg) / 2, height / 2, z * (depth - leg) / 2)
            parts.append(("leg", move(block((leg, height, leg)), foot)))
    return assemble("chair", parts)


def stool(
    *, radius: float = 0.17, height: float = 0.62, thickness: float = 0.045, leg: float = 0.016
) -> ProceduralObject:
    """A round stool on four splayed legs with a ring to rest the feet on.

    Args:
      radius: of the seat.
      height: of the top of the seat.
      thickness: of the seat.
      leg: radius of a leg.
    """
    parts = [("seat", move(cylinder(radius, thickness), (0, height - thickness / 2, 0)))]
    top, spread = height - thickness / 2, 1.15
    for k in range(4):
        angle = np.pi / 4 + k * np.pi / 2
        out = np.array([np.sin(angle), 0, np.cos(angle)])
        upper, lower = 0.7 * radius * out + np.array([0, top, 0]), spread * radius * out
        parts.append(("leg", tube(np.stack([lower, upper]), leg)))
    ring = 0.35 * height
    around = np.linspace(0, 2 * np.pi, 33)[:-1]
    reach = radius * (spread + (0.7 - spread) * ring / top)
    circle = np.stack([reach * np.sin(around), np.full(32, ring), reach * np.cos(around)], axis=-1)
    parts.append(("footrest", tube(np.concatenate([circle, circle[:1]]), 0.6 * leg)))
    return assemble("stool", parts)


def table(
    *, width: float = 1.2, depth: float = 0.7, height: float = 0.74, thickness: float = 0.035, leg: float = 0.055
) -> ProceduralObject:
    """A four-legged table.

    Args:
      width: of the top, along x.
      depth: of the top, along z.
      height: of the upper side of the top.
      thickness: of the top.
      leg: side of a leg's square section.
    """
    parts = [("top", move(block((width, thickness, depth)), (0, height - thickness / 2, 0)))]
    length = height - thickness + 0.005
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * (width / 2 - leg), length / 2, z * (depth / 2 - leg))
            parts.append(("leg", move(block((leg, length, leg)), foot)))
    return assemble("table", parts)


def trolley(
    *, width: float = 0.5, depth: float = 0.75, height: float = 0.98, deck: float = 0.16, wheel: float = 0.06
) -> ProceduralObject:
    """A platform trolley that is pushed from behind, at -z, by the bar of its handle.

    Args:
      width: of the deck, along x.
      depth: of the deck, along z.
      height: of the handle's bar.
      deck: height of the upper side of the deck.
      wheel: radius of a wheel.
    """
    thickness = 0.03
    parts = [("deck", move(block((width, thickness, depth)), (0, deck - thickness / 2, 0)))]
    bar, x, z = 0.017, width / 2 - 0.03, -depth / 2 + 0.03
    bend = 0.06
    path = np.array([
        [-x, deck - thickness / 2, z], [-x, height - bend, z], [-x + 0.3 * bend, height - 0.3 * bend, z],
        [-x + bend, height, z], [x - bend, height, z], [x - 0.3 * bend, height - 0.3 * bend, z], [x, height - bend, z],
        [x, deck - thickness / 2, z],
    ])  # fmt: skip
    parts.append(("handle", tube(path, bar)))
    for sx in (-1, 1):
        for sz in (-1, 1):
            centre = (sx * (width / 2 - 0.06), wheel, sz * (depth / 2 - 0.1))
            parts.append(("wheel", move(cylinder(wheel, 0.035, segments=20), centre, (0, 0, np.pi / 2))))
            low, high = 1.5 * wheel, deck - thickness / 2
            fork = block((0.04, high - low, 0.04), edge=0.04)
            parts.append(("wheel", move(fork, (centre[0], (low + high) / 2, centre[2]))))
    return assemble("trolley", parts)
