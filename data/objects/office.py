"""Desks, what stands on them, and doors."""

import numpy as np

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.solids import block, cylinder, move, tube


def desk(
    *, width: float = 1.4, depth: float = 0.7, height: float = 0.73, thickness: float = 0.03, drawers: float = 0.36
) -> ProceduralObject:
    """A desk on a side panel and a block of drawers; one sits at it from +z.

    Args:
      width: of the top, along x.
      depth: of the top, along z.
      height: of the upper side of the top.
      thickness: of the top and the panels.
      drawers: width of the block of drawers, at +x.
    """
    under = height - thickness + 0.004
    parts = [
        ("top", move(block((width, thickness, depth)), (0, height - thickness / 2, 0))),
        (
            "panel",
            move(block((thickness, under, depth - 0.04)), (-(width - thickness) / 2 + 0.02, under / 2, 0)),
        ),
        ("drawers", move(block((drawers, under, depth - 0.06)), ((width - drawers) / 2 - 0.02, under / 2, 0))),
    ]
    for k in range(3):
        y, x = under * (0.22 + 0.28 * k), (width - drawers) / 2 - 0.02
        bar = np.array([[x - 0.06, y, 0], [x + 0.06, y, 0]]) + [0, 0, depth / 2 - 0.03 + 0.006]
        parts.append(("handle", tube(bar, 0.007)))
    return assemble("desk", parts)


def keyboard(
    *, width: float = 0.44, depth: float = 0.14, height: float = 0.016, rows: int = 5, columns: int = 14
) -> ProceduralObject:
    """A computer keyboard; the user sits at +z.

    Args:
      width: along x.
      depth: along z.
      height: of the case; keys stand 5 mm above it.
      rows: rows of keys.
      columns: keys in a row.
    """
    parts = [("case", move(block((width, height, depth), bevel=0.003, edge=0.05), (0, height / 2, 0)))]
    pitch_x, pitch_z = (width - 0.02) / columns, (depth - 0.02) / rows
    key = block((0.82 * pitch_x, 0.008, 0.82 * pitch_z), bevel=0.001)
    for i in range(columns):
        for k in range(rows):
            x, z = (i + 0.5) * pitch_x - (width - 0.02) / 2, (k + 0.5) * pitch_z - (depth - 0.02) / 2
            parts.append(("key", move(key, (x, height + 0.001, z))))
    return assemble("keyboard", parts)


def laptop(
    *, width: float = 0.34, depth: float = 0.24, thickness: float = 0.014, opening: float = 1.85
) -> ProceduralObject:
    """An open laptop; the user sits at +z.

    Args:
      width: along x.
      depth: of the base, along z, and height of the screen.
      thickness: of the base; the screen is half as thick.
      opening: angle between base and screen, radians.
    """
    screen = thickness / 2
    parts = [("base", move(block((width, thickness, depth), bevel=0.003, edge=0.05), (0, thickness / 2, 0)))]
    keys = block((0.84 * width, 0.004, 0.4 * depth), bevel=0.001, edge=0.05)
    parts.append(("keys", move(keys, (0, thickness, -0.2 * depth))))
    tilt = opening - np.pi / 2
    centre = (0, thickness + depth / 2 * np.cos(tilt), -depth / 2 - depth / 2 * np.sin(tilt))
    parts.append(("screen", move(block((width, depth, screen), bevel=0.002, edge=0.05), centre, (-tilt, 0, 0))))
    hinge = np.array([[-0.4 * width, thickness, -depth / 2], [0.4 * width, thickness, -depth / 2]])
    parts.append(("hinge", tube(hinge, 0.6 * screen + 0.003)))
    return assemble("laptop", parts)


def monitor(
    *, width: float = 0.55, height: float = 0.33, thickness: float = 0.035, stand: float = 0.14
) -> ProceduralObject:
    """A computer monitor on its stand; the screen faces +z.

    Args:
      width: of the screen, along x.
      height: of the screen.
      thickness: of the screen.
      stand: height of the screen's lower edge.
    """
    parts = [
        ("screen", move(block((width, height, thickness)), (0, stand + height / 2, 0))),
        ("foot", move(cylinder(0.11, 0.012), (0, 0.006, -0.02))),
    ]
    post = np.array([[0, 0.008, -0.03], [0, stand + 0.3 * height, -0.03]])
    return assemble("monitor", [*parts, ("post", tube(post, 0.018))])


def door(
    *,
    width: float = 0.86,
    height: float = 2.0,
    thickness: float = 0.04,
    handle_height: float = 1.03,
    frame: float = 0.07,
) -> ProceduralObject:
    """A closed door in its frame, with a lever on both sides, hinged at -x.

    Args:
      width: of the leaf, along x.
      height: of the leaf.
      thickness: of the leaf, along z.
      handle_height: of the levers.
      frame: width of the frame's posts.
    """
    parts = [("leaf", move(block((width, height, thickness), edge=0.15), (0, height / 2 + 0.005, 0)))]
    post, deep = height + 0.01, thickness + 0.04
    for side in (-1, 1):
        centre = (side * (width + frame) / 2, post / 2, 0)
        parts.append(("frame", move(block((frame + 0.004, post, deep), edge=0.15), centre)))
    parts.append(("frame", move(block((width + 2 * frame, frame, deep), edge=0.15), (0, post + frame / 2 - 0.002, 0))))
    x = width / 2 - 0.07
    for side in (-1, 1):
        out = side * (thickness / 2 + 0.05)
        lever = np.array([[x, 0, side * thickness / 4], [x, 0, out], [x - 0.12, 0, out]]) + [0, handle_height, 0]
        parts.append(("handle", tube(lever, 0.009, edge=0.03)))
    return assemble("door", parts)
