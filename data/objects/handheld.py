"""Things that are carried or held: box, ball, cup, bottle, suitcase."""

import numpy as np

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.solids import ball as sphere
from hoijax.data.objects.solids import block, cylinder, lathe, move, tube


def box(*, width: float = 0.42, height: float = 0.3, depth: float = 0.34) -> ProceduralObject:
    """A closed cardboard box.

    Args:
      width: along x.
      height: along y.
      depth: along z.
    """
    return assemble("box", [("body", block((width, height, depth), bevel=0.004))])


def ball(*, radius: float = 0.12) -> ProceduralObject:
    """A ball: 0.12 m is a basketball, 0.3 m an exercise ball to sit on.

    Args:
      radius: of the ball.
    """
    return assemble("ball", [("body", sphere(radius))])


def cup(*, radius: float = 0.042, height: float = 0.1, wall: float = 0.004, handle: float = 0.033) -> ProceduralObject:
    """A mug with its handle towards +x.

    Args:
      radius: outside.
      height: of the rim.
      wall: thickness of the wall and of the bottom.
      handle: how far the handle stands out.
    """
    inner = radius - wall
    profile = [
        (0.0, 0.0), (radius - 0.004, 0.0), (radius, 0.004), (radius, height - 0.001), (radius - 0.001, height),
        (inner + 0.001, height), (inner, height - 0.001), (inner, wall + 0.002), (inner - 0.002, wall), (0.0, wall),
    ]  # fmt: skip
    angle = np.linspace(-np.pi / 2, np.pi / 2, 13)
    arc = np.stack([handle * np.cos(angle), 0.3 * height * np.sin(angle), np.zeros(13)], axis=-1)
    arc += np.array([radius - 0.5 * wall, 0.52 * height, 0])
    return assemble(
        "cup", [("body", lathe(profile, edge=0.012)), ("handle", tube(arc, 0.0045, segments=10, edge=0.012))]
    )


def bottle(*, radius: float = 0.035, height: float = 0.23, neck: float = 0.013) -> ProceduralObject:
    """A closed bottle.

    Args:
      radius: of the body.
      height: with the cap.
      neck: radius of the neck; the cap is a little wider.
    """
    shoulder, cap = 0.62 * height, 0.9 * height
    profile = [
        (0.0, 0.0), (radius - 0.006, 0.0), (radius, 0.006), (radius, shoulder),
        (0.85 * radius, shoulder + 0.1 * height), (1.1 * neck, shoulder + 0.2 * height),
        (neck, cap + 0.01), (0.0, cap + 0.01),
    ]  # fmt: skip
    lid = move(cylinder(neck + 0.003, height - cap, bevel=0.002, edge=0.012, segments=24), (0, (height + cap) / 2, 0))
    return assemble("bottle", [("body", lathe(profile, edge=0.012, segments=24)), ("cap", lid)])


def suitcase(
    *, width: float = 0.38, height: float = 0.55, depth: float = 0.23, reach: float = 0.42, wheel: float = 0.025
) -> ProceduralObject:
    """A wheeled suitcase, its telescopic handle drawn out at the rear, -z.

    Args:
      width: of the case, along x.
      height: of the case without wheels.
      depth: of the case, along z.
      reach: of the handle above the case.
      wheel: radius of a wheel.
    """
    parts = [("case", move(block((width, height, depth), bevel=0.025), (0, 2 * wheel + height / 2, 0)))]
    x, z, top = 0.4 * width, -depth / 2 + 0.03, 2 * wheel + height
    rods = [[-x, top - 0.02, z], [-x, top + reach, z], [x, top + reach, z], [x, top - 0.02, z]]
    for lower, upper in ((rods[0], rods[1]), (rods[3], rods[2])):
        parts.append(("handle", tube(np.array([lower, upper]), 0.007, edge=0.04)))
    parts.append(("handle", move(block((2 * x + 0.03, 0.026, 0.03), edge=0.03), (0, top + reach, z))))
    for sx in (-1, 1):
        for sz in (-1, 1):
            centre = (sx * (width / 2 - 0.05), wheel, sz * (depth / 2 - 0.04))
            turned = move(cylinder(wheel, 0.024, segments=16), centre, (0, 0, np.pi / 2))
            parts.append(("wheel", turned))
            strut = (centre[0], 1.5 * wheel + 0.005, centre[2])
            parts.append(("wheel", move(block((0.03, wheel + 0.012, 0.03), edge=0.03), strut)))
    return assemble("suitcase", parts)
