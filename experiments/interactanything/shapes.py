"""Shapes of the ten objects of the fifty prompts: those of the catalogue, and four that it does not have."""

import numpy as np

from hoijax.data.objects import ProceduralObject, make_object
from hoijax.data.objects.assembly import assemble
from hoijax.data.objects.solids import ball, block, cylinder, move, tube

QUARTER = np.pi / 2


def motorcycle() -> ProceduralObject:
    """Two wheels, a frame with a tank, a saddle 0.78 m high, a handlebar, foot pegs; front towards +z."""
    parts = [("wheel", move(cylinder(0.31, 0.12, bevel=0.03), (0, 0.31, z), (0, 0, QUARTER))) for z in (-0.68, 0.72)]
    parts += [
        ("body", move(block((0.3, 0.36, 0.62), bevel=0.05), (0, 0.43, 0.0))),
        ("body", move(block((0.16, 0.1, 0.5), bevel=0.03), (0, 0.6, -0.5))),
        ("tank", move(block((0.26, 0.22, 0.4), bevel=0.06), (0, 0.74, 0.2))),
        ("saddle", move(block((0.26, 0.09, 0.66), bevel=0.03), (0, 0.735, -0.32))),
        ("lamp", move(ball(0.09), (0, 0.86, 0.62))),
        (
            "handlebar",
            tube(np.array([[-0.36, 0.98, 0.28], [-0.14, 0.98, 0.4], [0.14, 0.98, 0.4], [0.36, 0.98, 0.28]]), 0.016),
        ),
        ("peg", tube(np.array([[-0.3, 0.3, 0.02], [0.3, 0.3, 0.02]]), 0.02)),
    ]
    for x in (-0.09, 0.09):
        parts.append(("fork", tube(np.array([[x, 0.31, 0.72], [x, 0.95, 0.42]]), 0.025)))
    return assemble("motorcycle", parts)


def car() -> ProceduralObject:
    """A small car of 3.6 m: hood, cabin, boot, wheels, handles; front towards +z."""
    parts = [
        ("body", move(block((1.6, 0.5, 3.6), bevel=0.08, edge=0.2), (0, 0.55, 0))),
        ("cabin", move(block((1.4, 0.55, 1.7), bevel=0.12, edge=0.2), (0, 1.05, -0.35))),
    ]
    for x in (-0.74, 0.74):
        for z in (-1.1, 1.15):
            parts.append(("wheel", move(cylinder(0.3, 0.2, bevel=0.03), (x, 0.3, z), (0, 0, QUARTER))))
        out = np.sign(x) * 0.06
        bar = np.array(
            [[x + out, 0.72, -0.3], [x + 1.6 * out, 0.72, -0.3], [x + 1.6 * out, 0.72, -0.12], [x + out, 0.72, -0.12]]
        )
        parts.append(("handle", tube(bar, 0.012)))
    return assemble("car", parts)


def _figure(height: float, category: str) -> ProceduralObject:
    """A figure that stands, the arms out to the sides and a little forward; front towards +z."""
    h = height
    parts = [
        ("head", move(ball(0.075 * h if category == "robot" else 0.12 * h), (0, 0.9 * h, 0))),
        ("neck", move(cylinder(0.03 * h, 0.1 * h), (0, 0.82 * h, 0))),
        ("trunk", move(block((0.22 * h, 0.32 * h, 0.13 * h), bevel=0.03 * h), (0, 0.64 * h, 0))),
        ("hips", move(block((0.19 * h, 0.1 * h, 0.12 * h), bevel=0.02 * h), (0, 0.46 * h, 0))),
    ]
    for x in (-1.0, 1.0):
        shoulder, elbow = np.array([0.12 * x, 0.76, 0]) * h, np.array([0.2 * x, 0.6, 0.02]) * h
        hand = np.array([0.22 * x, 0.58, 0.17]) * h
        parts += [
            ("arm", tube(np.array([shoulder, elbow, hand]), 0.032 * h)),
            ("hand", move(ball(0.036 * h), tuple(hand))),
            ("leg", tube(np.array([[0.06 * x, 0.45, 0], [0.065 * x, 0.24, 0.0], [0.065 * x, 0.03, 0]]) * h, 0.042 * h)),
            ("foot", move(block((0.08 * h, 0.04 * h, 0.15 * h), bevel=0.01 * h), (0.065 * x * h, 0.02 * h, 0.03 * h))),
        ]
    return assemble(category, parts)


def doll() -> ProceduralObject:
    """A baby doll of 0.45 m."""
    return _figure(0.45, "doll")


def robot() -> ProceduralObject:
    """A humanoid robot of 1.6 m."""
    return _figure(1.6, "robot")


def television() -> ProceduralObject:
    """A flat screen of 0.75 m on a foot."""
    return make_object("monitor", width=0.75)


SHAPES = {
    "backpack": lambda: make_object("backpack"),
    "basketball": lambda: make_object("ball", radius=0.12),
    "wooden chair": lambda: make_object("chair"),
    "keyboard": lambda: make_object("keyboard"),
    "suitcase": lambda: make_object("suitcase"),
    "motorcycle": motorcycle,
    "car": car,
    "television": television,
    "baby doll": doll,
    "humanoid robot": robot,
}
"""Maker by the noun of the fifty prompts."""
