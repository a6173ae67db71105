"""What follows from a frame and an object: hands, contacts, and where the object is."""

import dataclasses

from hoijax.systems.interactanything.relations.frames import (
    BESIDE,
    FRAMES,
    Frame,
    Kind,
)
from hoijax.systems.interactanything.relations.lexicon import Thing
from hoijax.systems.interactanything.relations.places import shows
from hoijax.systems.interactanything.relations.schema import is_hand
from hoijax.systems.interactanything.relations.sentence import REGIONS, Clause, Phrase
from hoijax.systems.interactanything.relations.shape import Shape

HEIGHT = 1.7
"""Of the person whom scales compare with, metres."""
SPAN = 0.09
"""Between fingers and thumb: what is thicker is taken in two hands, unless it has a handle, metres."""
ONE_HAND = (0.15, 0.4, 0.1)
"""One hand takes what is up to the first long, or up to the second long and the third thick, metres."""
INSIDE = 0.5
"""Longest side of what a person fits into, over his height."""
LIGHT = 0.5
"""Longest side up to which an unknown thing stands on something rather than on the floor, metres."""
HEAVY = (2.0, 1.0)
"""What is longer, metres, and whose box holds more, cubic metres, nobody lifts off the ground."""
HANDLES = ("handle", "handles", "handlebar")
"""What is pushed with closed hands."""


@dataclasses.dataclass(frozen=True)
class About:
    """What the answers are about."""

    clause: Clause | None
    phrase: Phrase | None
    thing: Thing | None
    kind: Kind
    shape: Shape
    sideways: bool = False
    """Whether the sentence says that the person is across the object."""

    @property
    def what(self) -> str:
        """The thing's class."""
        return self.thing.kind if self.thing else "thing"


def hands_of(about: About, frame: Frame) -> tuple[tuple[str, ...], str]:
    """The hands that take part, and why."""
    clause, phrase, kind, shape = about.clause, about.phrase, about.kind, about.shape
    for _, limb, _ in clause.limbs if clause else ():
        side, _, part = limb.rpartition(" ")
        if part in ("hand", "arm", "palm", "finger", "fingertip", "thumb", "fist", "shoulder"):
            if side in ("left", "right"):
                return (side,), f"the sentence says the {side} hand"
            if side in ("both", "one"):
                return (("left", "right") if side == "both" else ("right",)), f"the sentence says {side} hand(s)"
    if frame.hands:
        return (("left", "right") if frame.hands == "both" else ("right",)), "so it is done"
    if phrase is not None and phrase.part in ("hand", "arm", "ear"):
        return ("right",), f"it is taken by the {phrase.part}"
    grip = (about.thing.parts if about.thing else kind.parts).get("grip", "")
    if min(shape.size) > SPAN and "handle" not in grip and not frame.hands:
        return ("left", "right"), "no hand closes round the mesh"
    if shape.longest <= ONE_HAND[0]:
        return ("right",), "it is small enough for one hand"
    if kind.hands:
        return (("left", "right") if kind.hands == "both" else ("right",)), "so such things are taken"
    if shape.handles and shape.longest <= HEIGHT:
        return ("right",), "the mesh has something to close one hand round"
    if shape.longest <= ONE_HAND[1] and sorted(shape.size)[1] <= ONE_HAND[2]:
        return ("right",), "the mesh is thin enough for one hand"
    return ("left", "right"), "the mesh is too wide for one hand"


def _word(role: str, about: About) -> str:
    """The object's part for a role: of its words the first that the mesh shows; "none": it has no such part."""
    parts = about.thing.parts if about.thing else about.kind.parts
    words = parts.get(role, role.replace("_", " ")).split("|")
    return next((w for w in words if shows(about.shape, w)), words[-1])


def contacts_of(about: About, name: str, hands: tuple[str, ...]) -> list[dict[str, str]]:
    """The person's part, the object's and the kind of each contact of a frame."""
    frame, clause = FRAMES[name], about.clause
    if name == "wear":
        worn = _limb_parts(clause, ("on", "over", "around")) or list(about.kind.worn)
        return [{"body_part": b, "object_part": "body", "kind": "wear"} for b in worn]
    given = _part(about)
    instead = [b for b in _limb_parts(clause, ("with", "beside")) if not is_hand(b)]
    if name == "limb_on":
        instead = _limb_parts(clause, ("",))
    found, first = [], frame.slots[0].split()[1] if frame.slots else ""
    for slot in frame.slots:
        body, role, how = slot.split()
        optional, how = how.endswith("?"), how.rstrip("?")
        word = _word(role, about)
        if word == "none" or (optional and not shows(about.shape, word)):
            continue
        if given and (
            role == "patted" if name == "kiss_held" else role == first or body in ("grip", "palm", "fingers")
        ):
            word = given
        if name == "push" and word in HANDLES:
            body, how = "grip", "grasp"
        for part in _bodies(body, hands, instead, name):
            found.append({"body_part": part, "object_part": word, "kind": _how(how, part)})
    return found


def _how(kind: str, body: str) -> str:
    return "touch" if kind == "grasp" and not is_hand(body) else kind


def _bodies(body: str, hands: tuple[str, ...], instead: list[str], name: str) -> list[str]:
    """Regions for a slot's body: the hands that take part, or another part that the sentence says."""
    region = {"grip": "hand", "palm": "palm", "fingers": "finger_pads"}.get(body)
    if instead and (region or name in ("limb_on", "kick", "foot_on", "hit", "touch", "push")):
        if name == "kick" and instead[0].endswith("_sole"):
            return [b.replace("_sole", "_toes") for b in instead[:1]]
        return instead
    if region:
        return [f"{side}_{region}" for side in hands]
    if body.startswith("right_") and hands == ("left",) and name not in ("text", "open_light"):
        return ["left_" + body[6:]]
    return [body]


def _limb_parts(clause: Clause | None, where: tuple[str, ...]) -> list[str]:
    """Regions of the person that a clause names after one of some prepositions."""
    found = []
    for preposition, limb, _ in clause.limbs if clause else ():
        side, _, part = limb.rpartition(" ")
        name = REGIONS[part]
        if preposition not in where or name == "lap" or (name == "forearm" and preposition == "with"):
            continue  # who carries "with both arms" takes hold with both hands
        if name in ("head", "face", "neck", "chest", "back", "belly", "hips", "torso", "buttocks"):
            found.append(name)
        else:
            sides = ("left", "right") if side == "both" else ("left",) if side == "left" else ("right",)
            found += [f"{s}_{name}" for s in sides]
    return found


def _part(about: About) -> str:
    """The object's part that the sentence names, in the words of its class; "": it names none."""
    part = about.phrase.part if about.phrase else ""
    return "backrest" if part == "back" and about.what == "seat" else part


def is_heavy(shape: Shape) -> bool:
    """Whether it stays on the ground, whoever tries to lift it."""
    return shape.longest > HEAVY[0] and float(shape.size.prod()) > HEAVY[1]


def side_of(about: About, name: str) -> str:
    """On which side of the person the object is."""
    if name == "beside":
        where = about.phrase.preposition if about.phrase else ""
        return BESIDE.get("beside" if where == "by" else where, "front")
    if name == "pull" and about.what == "case":
        return "back"
    if name == "under_arm" and any(limb == "left arm" for _, limb, _ in about.clause.limbs):
        return "left"
    side = FRAMES[name].side
    if side == "around" and name != "wear" and about.shape.longest < INSIDE * HEIGHT:
        return "below"
    return side


def face_of(about: About, name: str) -> tuple[str, str]:
    """Which side of the object looks at the person, and who says so."""
    frame, shape = FRAMES[name], about.shape
    if about.sideways and frame.side == "below":
        return "left", "lexicon"
    if (
        frame.side == "below"
        and shape.backrest is not None
        and shape.seat is not None
        and _word("backrest", about) != "none"
    ):
        middle = [(shape.backrest.lower[i] + shape.backrest.upper[i]) / 2 for i in (0, 2)]
        seat = [(shape.seat.box.lower[i] + shape.seat.box.upper[i]) / 2 for i in (0, 2)]
        x, z = middle[0] - seat[0], middle[1] - seat[1]
        # One sits with the backrest behind: what is opposite of it looks where the sitter looks.
        side = ("front" if z < 0 else "back") if abs(z) >= abs(x) else ("right" if x > 0 else "left")
        return side, "geometry"
    if name == "push" and about.what not in ("seat", "wheeled", "vehicle", "cycle"):
        return "front", "lexicon"
    return frame.face, "lexicon"


def band_of(about: About, name: str, moves: bool, hands: tuple[str, ...]) -> tuple[str, str]:
    """The height at which the object is, and who says so."""
    frame, kind = FRAMES[name], about.kind
    if frame.side == "below" or (about.clause is not None and about.clause.on_floor):
        return "ground", "lexicon"
    if moves:
        if name == "wear":
            return _worn_band(kind), "lexicon"
        return frame.band or kind.band or ("chest" if len(hands) == 2 else "hip"), "lexicon"
    if frame.moves and is_heavy(about.shape):
        return "ground", "geometry"
    if frame.band in ("ground", "overhead"):
        return frame.band, "lexicon"
    if about.thing is None:
        return ("hip" if about.shape.longest <= LIGHT else "ground"), "geometry"
    return kind.raised, "lexicon"


def _worn_band(kind: Kind) -> str:
    heights = {"head": "head", "face": "head", "neck": "chest", "torso": "chest", "hips": "hip", "belly": "hip"}
    first = kind.worn[0] if kind.worn else "torso"
    return "ground" if first.endswith("_foot") else heights.get(first, "hip" if "hand" in first else "chest")
