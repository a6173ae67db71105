"""Where on a mesh the parts are that words name. Host functions."""

import numpy as np

from hoijax.systems.interactanything.relations.shape import SLAB, Box, Level, Shape

SPAN = 0.95
"""How wide something is at most that two hands take by its ends, where its depth would do, metres."""
DEEP = 0.03
"""What a seat or a top reaches below its flat face, metres."""

LYING, BEDS = 1.5, 0.6
"""A level so long, metres, that covers such a share of the footprint is a top, whatever rises beside it: a bed's."""

_SAME = {
    "seat": "seat cushion saddle lap",
    "top": "top surface roof tabletop deck lid platform keys mattress bed board counter brim crown rim "
    "edge mouth opening cap face",
    "backrest": "backrest back-rest",
    "armrest": "armrest armrests arm-rest",
    "handle": "handle handles grip haft shaft stem neck knob hilt",
    "bottom": "bottom underside base sole feet foot wheels wheel",
    "sides": "sides side door doors edges walls hands arms wings shoulders",
    "front": "front screen display belly nose strap straps",
    "back": "back rear tail",
    "left": "left left-side",
    "right": "right right-side",
    "head": "head handlebar handlebars steering-wheel hair ear ears face-of",
    "hood": "hood bonnet",
    "legs": "legs leg rungs lower-part pedals pedal",
    "body": "body whole middle trunk barrel torso strings waist rope ropes chain chains",
}
WORDS = {word: name for name, words in _SAME.items() for word in words.split()}
"""Words of parts, and the place that each names."""


def shows(shape: Shape, part: str) -> bool:
    """Whether a part can be seen on the mesh; parts that nothing was measured of are believed."""
    name = WORDS.get(part.replace(" ", "-"), "body")
    return {
        "seat": shape.seat is not None,
        "backrest": shape.backrest is not None,
        "armrest": bool(shape.armrests),
        "handle": bool(shape.handles),
    }.get(name, True)


def places(shape: Shape, part: str) -> tuple[Box, ...]:
    """Boxes that hold what a word names; all of the mesh for a word that says nothing of where.

    A side is one of `Shape.faces`. "left side" and "right side" are the object's own.
    """
    name = WORDS.get(part.replace(" ", "-"), "body")
    if name == "seat":
        return (_below(shape, shape.seat),) if shape.seat else (_top(shape),)
    if name == "top":
        return (_top(shape),)
    if name == "backrest":
        return (shape.backrest,) if shape.backrest else (_slab(shape, 2, -1),)
    if name == "armrest":
        return shape.armrests or places(shape, "sides")
    if name == "handle":
        return shape.handles[:1] or (shape.box,)
    if name == "sides":
        # What two hands hold is the narrower way across, where the difference is large.
        across, deep = shape.size[0], shape.size[2]
        axis = 2 if deep < 0.6 * across and across > SPAN else 0
        return shape.faces[axis]
    if name == "bottom":
        return (_slab(shape, 1, -1),)
    if name == "head":
        return (_slab(shape, 1, 1),)
    if name == "hood":
        return (_hood(shape),)
    if name == "legs":
        return (_slab(shape, 1, -1, 0.4),)
    sides = {"front": (2, 1), "back": (2, -1), "left": (0, 1), "right": (0, -1)}
    if name not in sides:
        return (shape.box,)
    axis, sign = sides[name]
    return (shape.faces[axis][sign > 0],)


def _slab(shape: Shape, axis: int, sign: int, share: float = SLAB) -> Box:
    lower, upper = np.array(shape.box.lower), np.array(shape.box.upper)
    thick = share * (upper - lower)[axis]
    if sign > 0:
        lower[axis] = upper[axis] - thick
    else:
        upper[axis] = lower[axis] + thick
    return Box(tuple(map(float, lower)), tuple(map(float, upper)))


def _hood(shape: Shape) -> Box:
    """The front third of what is flat below the roof, or of the upper half."""
    front, lower = _slab(shape, 2, 1, 0.35), [x for x in shape.levels if x.height < 0.8 * shape.size[1]]
    level = max(lower, key=lambda x: x.box.upper[2], default=None)
    if level is None or level.box.upper[2] <= front.lower[2]:
        half = float(shape.size[1]) / 2
        return Box((front.lower[0], front.lower[1] + half, front.lower[2]), front.upper)
    box = _below(shape, level)
    return Box((box.lower[0], box.lower[1], max(box.lower[2], front.lower[2])), box.upper)


def _top(shape: Shape) -> Box:
    """What one can lie on; else the highest level, or the upper fifth where the top is not flat."""
    wide, deep = (float(shape.size[k]) for k in (0, 2))
    for level in shape.levels[:1]:  # the largest
        if max(level.box.size[0], level.box.size[2]) >= LYING and level.area >= BEDS * wide * deep:
            return _below(shape, level)
    high = max(shape.levels, key=lambda x: x.height, default=None)
    if high is None or high.height < 0.8 * shape.size[1]:
        return _slab(shape, 1, 1)
    return _below(shape, high)


def _below(shape: Shape, level: Level) -> Box:
    lower, upper = list(level.box.lower), list(level.box.upper)
    lower[1] = max(lower[1] - min(DEEP, 0.2 * float(shape.size[1])), shape.box.lower[1])
    upper[1] = upper[1] + 1e-3 * max(float(shape.size[1]), 1e-3)  # a flat face has no height
    return Box(tuple(lower), tuple(upper))
