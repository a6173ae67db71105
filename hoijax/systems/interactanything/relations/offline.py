"""The reasoner that needs nothing: words it knows, the mesh for what they leave open, and hold of the object else."""

import dataclasses
import math
from typing import Any

from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations.frames import (
    BESIDE,
    CHOICES,
    FRAMES,
    KINDS,
    PLAYERS,
    TAKE_HOLD,
    TITLED,
    USED,
    Frame,
    Kind,
)
from hoijax.systems.interactanything.relations.lexicon import Thing
from hoijax.systems.interactanything.relations.places import WORDS, shows
from hoijax.systems.interactanything.relations.schema import MOST_CONTACTS, SCALES, Note, is_hand
from hoijax.systems.interactanything.relations.sentence import REGIONS, Clause, Phrase, Sentence
from hoijax.systems.interactanything.relations.shape import Shape, measure

HEIGHT = 1.7
"""Of the person whom scales compare with, metres."""
MARGIN = 1.5
"""A mesh has a thing's usual size within this factor of its range."""
SPAN = 0.09
"""Between fingers and thumb: what is thicker is taken in two hands, unless it has a handle, metres."""
ONE_HAND = (0.15, 0.4, 0.1)
"""One hand takes what is up to the first long, or up to the second long and the third thick, metres."""
ROOM = 6.0
"""A mesh of an unknown thing is rather a room from this size on, metres."""
INSIDE = 0.5
"""Longest side of what a person fits into, over his height."""
LIGHT = 0.5
"""Longest side up to which an unknown thing stands on something rather than on the floor, metres."""
UNKNOWN_SIZE = (0.005, 20.0)
"""Longest sides that an unknown mesh is believed to have, metres."""
HEAVY = (2.0, 1.0)
"""What is longer, metres, and whose box holds more, cubic metres, nobody lifts off the ground."""
SIDEWAYS = {"sideways", "sidesaddle", "side-saddle", "crossways", "crosswise"}
"""Words for sitting across."""
HANDLES = ("handle", "handles", "handlebar")
"""What is pushed with closed hands."""
_TAKES = {"hold", "carry", "lift", "lower", "hug", "wear", "cradle", "shoulder", "balance", "show"}
_BY_TOOL = {"hit", "cut", "write", "eat", "wipe", "drink", "touch", "tool", "sweep", "kick", "throw", "press", "open"}


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers to every question of the dialogue, who gave them, and why."""

    values: dict[str, Any]
    """By question (`dialogue.QUESTIONS`)."""
    sources: dict[str, str]
    """One of `schema.SOURCES` each."""
    reasons: dict[str, str]
    """A sentence each."""
    notes: tuple[Note, ...]
    known_verb: bool
    known_object: bool
    shape: Shape
    """Of the mesh at its size in metres."""
    mesh_scale: float


@dataclasses.dataclass(frozen=True)
class _Choice:
    """The clause that is about the mesh, and its object."""

    clause: Clause | None
    phrase: Phrase | None
    other: Clause | None
    """A later clause about the same object: "holding the handlebar"."""


def answer(sentence: Sentence, mesh: Mesh) -> Answers:
    """Answers every question about a sentence and a mesh (y up, front +z) without a language model.

    Raises:
      InputError: the mesh has no surface (`shape.checked_corners`).
    """
    notes: list[Note] = []
    raw = measure(mesh)
    chosen = _choose(sentence, raw.longest, notes)
    clause, phrase = chosen.clause, chosen.phrase
    thing = phrase.thing if phrase else None
    kind = KINDS[thing.kind if thing else "thing"]
    scale = _scale(raw.longest, thing, notes)
    shape = raw if scale == 1.0 else measure(mesh, scale)
    _words(sentence, chosen, thing, notes)
    name, source, reason = _frame(clause, phrase, thing, kind, shape, notes)
    about = _About(clause, phrase, thing, kind, shape, bool(SIDEWAYS & set(sentence.text.lower().split())))
    hands, hands_reason = _hands(about, FRAMES[name])
    contacts = _once(_contacts(about, name, hands) + _more_contacts(chosen.other, about))
    if name == "wear" and not contacts:
        notes.append(Note("fallback", f"nobody here knows how a {_noun(phrase)} is worn; I take hold"))
        name, source = TAKE_HOLD, "fallback"
        contacts = _once(_contacts(about, name, hands))
    frame = FRAMES[name]
    moves = frame.moves
    if moves is None:
        moves = kind.light if thing else shape.longest <= LIGHT
    moves = moves and not (frame.side in ("front", "above") and _is_heavy(shape))
    band, band_source = _band(about, name, moves, hands)
    face, face_source = _face(about, name)
    verb = clause.verb if clause else ""
    values = {
        "object_action": {"object": _noun(phrase), "action": verb or ("sit" if name == "sit" else TAKE_HOLD)},
        "movable": moves,
        "scale": min(SCALES, key=lambda s: abs(math.log(shape.longest / (SCALES[s] * HEIGHT)))),
        "object_side_of_human": _side(about, name),
        "object_face_to_human": face,
        "height_band": band,
        "contacts": contacts,
        "contact_kind": _main_kind(frame, contacts),
        "pose": _pose(about, name, band),
        "size_m": list(thing.size) if thing else None,
        "prompts": _prompts(sentence.text.rstrip(" .!?"), _noun(phrase)),
    }
    # Where the verb was guessed, nobody knew what follows from it.
    known = source == "lexicon"
    words = ("lexicon" if thing else "geometry") if known else source
    sources = dict.fromkeys(values, source) | {
        "movable": "geometry" if frame.moves is None and thing is None else source,
        "scale": "geometry",
        "object_face_to_human": face_source if known else source,
        "height_band": band_source if known else source,
        "object_action": words,
        "contacts": words,
        "size_m": "lexicon" if thing else "geometry",
        "prompts": "lexicon",
    }
    reasons = dict.fromkeys(values, reason) | {
        "contacts": f"{reason}; {hands_reason}",
        "scale": f"the mesh is {shape.longest:.3g} m long at its size",
        "size_m": f"what a {thing.name} usually measures" if thing else "the noun is not known",
    }
    knows_verb = bool(clause and clause.frame)
    return Answers(values, sources, reasons, tuple(notes), knows_verb, thing is not None, shape, scale)


@dataclasses.dataclass(frozen=True)
class _About:
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


def _main_kind(frame: Frame, contacts: list[dict[str, str]]) -> str:
    kinds = {c["kind"] for c in contacts}
    if len(kinds) < 2:
        return next(iter(kinds), "none")
    by_hand = any(is_hand(c["body_part"]) for c in contacts)
    return contacts[0]["kind"] if frame.kind == "none" or (frame.kind == "grasp" and not by_hand) else frame.kind


def _pose(about: _About, name: str, band: str) -> str:
    clause = about.clause
    if name == "beside" and clause is not None:
        if clause.frame in ("sit", "lie", "kneel", "crouch", "crawl"):
            return clause.frame
        if clause.verb in ("walk", "run", "stroll", "pass", "march", "go", "approach"):
            return "walk"
    low_down = band == "ground" and name in ("open", "open_light", "hold", "touch", "lift", "pat", "wipe", "press")
    return "crouch" if low_down and about.kind.light else FRAMES[name].pose


def _prompts(text: str, noun: str) -> dict[str, str]:
    return {
        "hoi_prompt": f"A full-body photograph: {text}. The head, both hands and both feet are in the picture.",
        "human_prompt": f"A full-body photograph of one person as in: {text}; the {noun} is not shown.",
        "negative_prompt": "cut off at the edge, missing hand, missing foot, extra limb, second person, blurred, text",
    }


def _more_contacts(other: Clause | None, about: _About) -> list[dict[str, str]]:
    """Contacts of a later clause about the same object: "holding the handlebar"."""
    if other is None or about.phrase is None:
        return []
    name = other.frame if other.frame in FRAMES else TAKE_HOLD
    part = other.objects[0].noun if other.objects else "hand"
    about = dataclasses.replace(about, clause=other, phrase=dataclasses.replace(about.phrase, part=part))
    hands, _ = _hands(dataclasses.replace(about, phrase=None), FRAMES[name])
    return _contacts(about, name, hands)


def _choose(sentence: Sentence, longest: float, notes: list[Note]) -> _Choice:
    clauses = sentence.clauses
    found = [
        (clause, phrase, k)
        for k, clause in enumerate(clauses)
        for phrase in clause.objects
        if not (k and _is_part(phrase, clauses[0]))
    ]
    fits = [phrase.thing is not None and _fits(longest, phrase.thing) for _, phrase, _ in found]
    if not found:
        return _Choice(clauses[0] if clauses else None, None, None)
    best = min(range(len(found)), key=lambda i: (not fits[i], found[i][2], found[i][1].thing is None, i))
    clause, phrase, number = found[best]
    others = [p for i, (_, p, _) in enumerate(found) if i != best and p.thing is not None]
    if others:
        names = ", ".join(p.noun for p in others)
        sure = sum(fits) == 1
        why = "the mesh has its size alone" if sure else "it comes first"
        text = f"the sentence also names {names}; the mesh is taken for the {phrase.noun}: {why}"
        notes.append(Note("chosen object" if sure else "two objects", text))
    later = [c for c in clauses[number + 1 :] if _about_it(c, clause)]
    owners = {owner for _, _, owner in clause.limbs}
    if len(owners) > 1:  # "a cup in the left hand and a book in the right hand"
        own = clause.objects.index(phrase)
        clause = dataclasses.replace(clause, limbs=tuple(x for x in clause.limbs if x[2] in (own, -1)))
    return _Choice(clause, phrase, later[0] if later else None)


def _is_part(phrase: Phrase, first: Clause) -> bool:
    return bool(first.objects) and phrase.preposition == "" and phrase.noun in WORDS


def _about_it(later: Clause, clause: Clause) -> bool:
    """Whether a later clause takes hold of a part of the object: "holding the handlebar", "holding both hands"."""
    if later.frame not in ("hold", "touch", "push", "pull", "open", "press", "pat", "turn", "lift", "close"):
        return False
    if later.objects:
        return _is_part(later.objects[0], clause)
    return any(p == "" and "hand" in limb for p, limb, _ in later.limbs)


def _noun(phrase: Phrase | None) -> str:
    return phrase.noun if phrase else "object"


def _fits(longest: float, thing: Thing) -> bool:
    return thing.size[0] / MARGIN <= longest <= thing.size[1] * MARGIN


def _scale(longest: float, thing: Thing | None, notes: list[Note]) -> float:
    """What brings a mesh to a size that such a thing has."""
    if thing is not None:
        if _fits(longest, thing):
            return 1.0
        want, what = (
            math.sqrt(thing.size[0] * thing.size[1]),
            f"a {thing.name} has {thing.size[0]:g} to {thing.size[1]:g} m",
        )
    elif UNKNOWN_SIZE[0] <= longest <= UNKNOWN_SIZE[1]:
        if longest >= ROOM:
            notes.append(Note("size", f"the mesh is {longest:.3g} m long: rather a room than an object"))
        return 1.0
    else:
        want, what = SCALES["torso_sized"] * HEIGHT, "nobody here knows the noun"
    notes.append(Note("size", f"the mesh is {longest:.4g} m long and {what}; it is made {want:.2g} m long"))
    return want / longest


def _words(sentence: Sentence, chosen: _Choice, thing: Thing | None, notes: list[Note]) -> None:
    """Notes on what was not understood."""
    words = [w for w in sentence.text.split() if any(c.isalpha() for c in w) and w.lower() not in ("a", "an")]
    if sentence.known_words < 0.4 * len(words):
        text = f"{sentence.known_words} of {len(words)} words are known; the lexicon is English"
        notes.append(Note("language", text))
    if not sentence.person:
        notes.append(Note("no person", "the sentence names nobody; one person is assumed"))
    if sentence.negated:
        notes.append(Note("negation", "the sentence says that something is not so; it is read as if it were"))
    if sentence.several:
        notes.append(Note("several people", "the sentence is about several people; the relations are of one of them"))
    if chosen.phrase is None:
        notes.append(Note("unknown object", "the sentence names no object; the mesh is taken for it"))
    elif thing is None:
        text = f"I do not know what a {chosen.phrase.noun!r} is; the mesh says what it is like"
        notes.append(Note("unknown object", text))
    elif chosen.phrase.by_head:
        notes.append(Note("head noun", f"I take the {chosen.phrase.noun!r} for a kind of {thing.name}"))


def _frame(clause, phrase, thing, kind: Kind, shape: Shape, notes: list[Note]) -> tuple[str, str, str]:
    """The frame's name, who decided, and why."""
    if clause is None:
        notes.append(Note("unknown verb", "I find no verb; I take hold"))
        return TAKE_HOLD, "fallback", "no verb was found"
    preposition = phrase.preposition if phrase else ""
    name, known = clause.frame, f"to {clause.verb} is known"
    if name is None:
        on_top = preposition == "on" and (thing is None or thing.kind in ("seat", "bed", "bigball", "cycle", "mount"))
        if on_top and (shape.seat is not None or thing is not None):
            what = f"I do not know the verb {clause.verb!r}" if clause.verb else "I find no verb"
            text = f"{what}; it is done on something to sit on: I sit"
            notes.append(Note("unknown verb", text))
            return "sit", "geometry", text
        if not clause.verb and preposition in BESIDE and preposition:
            notes.append(Note("unknown verb", "I find no verb; the person is there"))
            return "beside", "fallback", "no verb was found"
        text = f"I do not know the verb {clause.verb!r}; I take hold" if clause.verb else "I find no verb; I take hold"
        notes.append(Note("unknown verb", text))
        return TAKE_HOLD, "fallback", text
    return _known_frame(name, preposition, clause, phrase, thing, kind), "lexicon", known


def _known_frame(name: str, preposition: str, clause: Clause, phrase, thing, kind: Kind) -> str:
    """The frame of a known verb with its preposition, the person's parts it names, and the object's class."""
    what = thing.kind if thing else "thing"
    limbs = {limb.split()[-1]: where for where, limb, _ in clause.limbs}
    if name == "lean" and limbs.get("back") == "" and preposition == "against":
        return "lean_against"
    if "" in limbs.values() and preposition in ("on", "in", "against") and name in ("lie", "lower", "lean", "sit"):
        return "limb_on"  # "rests the feet on the stool"
    if preposition == "with" and name in _BY_TOOL:
        return {"hit": "swing", "write": "write", "sweep": "sweep", "eat": "hold"}.get(name, "tool")
    direct = [o for o in clause.objects if o.preposition == ""]
    if name == "lean" and direct:  # "leans the ladder against the wall"
        return "beside" if preposition else "hold"
    if name == "hold" and preposition == "with" and limbs.get("hand") == "":
        return "shake_hands"
    if name == "lower" and kind.worn and "on" in limbs.values():
        return "wear"
    if name == "lie" and thing is not None and thing.name == "pillow":
        return "pillow"
    if name == "lie" and clause.verb in ("rest", "nap", "doze") and what == "seat" and thing.name != "sofa":
        return "sit"
    if name == "sit" and clause.verb in ("lounge", "relax") and what == "bed":
        return "lie"
    if name == "push" and clause.verb in ("wheel", "roll") and what == "case":
        return "pull"
    if name == "balance" and {"hand", "palm", "finger", "fingertip"} & set(limbs):
        return "hold"
    if name == "hug" and kind.hands == "one" and what not in ("pack", "bag", "case"):
        return "hold"
    if name in _TAKES or (name in CHOICES and name in ("shoulder", "balance")):
        held = _way_of_holding(name, clause, limbs, what)
        if held:
            return held
    if name == "stand" and limbs.get("foot") == "with":
        return "foot_on"
    if name == "kiss" and kind.light:
        return "kiss_held"
    if name == "play":
        return PLAYERS.get(what, "hold")
    if name in ("ride", "skate"):
        return TITLED.get(what, name) if what != "wheeled" else "inside"
    if name == "use":
        return USED.get(what, "hold")
    if name == "lean" and what == "seat" and preposition == "in":
        return "sit"
    if name == "swing" and preposition in ("on", "from"):
        return "sit" if what == "seat" else "hang"
    if name in ("sit", "lie", "kneel", "crouch") and preposition in ("beside", "behind", "before", "under", "by", "at"):
        return "beside"
    if name == "sit" and preposition == "in" and what in ("vehicle", "box", "wheeled", "thing"):
        return "inside" if what != "thing" else "sit"
    if name == "sit" and preposition == "" and phrase is not None and what not in ("seat", "bed"):
        return "lower"  # "sits the doll down"
    if name == "drive" and what not in ("vehicle", "thing"):
        return "push" if what == "wheeled" else "ride"
    if name == "open" or name == "close":
        return "open_light" if kind.light and what not in ("case", "pack", "bag") else "open"
    if name == "write":
        return "write" if what == "pen" else "write_up" if what in ("sheet", "fixed", "tall", "screen") else "write_on"
    if name == "cut":
        return "tool" if what in ("utensil", "handled", "small") and preposition == "with" else "cut"
    if name == "sweep":
        return "sweep" if what in ("longtool", "handled", "wheeled", "stick", "thing") else "wipe"
    if name == "tool":
        return "tool" if what in ("handled", "utensil", "longtool", "small", "thing") else "hold"
    if name == "drink" and what not in ("cup", "glass", "bottle", "plate", "thing", "bag"):
        return "hold"
    if name == "read" and what in ("screen", "fixed", "phone", "laptop"):
        return "text" if what == "phone" else "look"
    if name == "dance" and what not in ("figure", "doll"):
        return "hold"
    if name == "crawl" and preposition != "on":
        return "beside"
    if name in CHOICES:
        where = "beside" if preposition == "by" else preposition
        if name == "lean" and phrase is not None and phrase.part and where != "against":
            where = "on"
        return dict(CHOICES[name]).get(where, dict(CHOICES[name])[""])
    return name


def _way_of_holding(name: str, clause: Clause, limbs: dict[str, str], what: str) -> str | None:
    """How something is held by what the sentence says of the person's own parts; None: it says nothing of that."""
    if limbs.get("back") in ("on", "over") or (what == "pack" and name in ("carry", "wear") and not limbs):
        return "on_back"
    if limbs.get("shoulder") in ("on", "over"):
        return "on_shoulder"
    if limbs.get("head") == "on" and name != "wear":
        return "on_head"
    if limbs.get("arm") == "under":
        return "under_arm"
    if limbs.get("arm") == "in" and what != "thing":
        return "cradle"
    if "lap" in limbs or limbs.get("knee") == "on":
        return "on_lap"
    if limbs.get("chest") in ("against", "to"):
        return "hug"
    if clause.overhead and name in ("hold", "carry", "lift"):
        return "overhead"
    return None


def _hands(about: _About, frame: Frame) -> tuple[tuple[str, ...], str]:
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


def _word(role: str, about: _About) -> str:
    """The object's part for a role: of its words the first that the mesh shows; "none": it has no such part."""
    parts = about.thing.parts if about.thing else about.kind.parts
    words = parts.get(role, role.replace("_", " ")).split("|")
    return next((w for w in words if shows(about.shape, w)), words[-1])


def _contacts(about: _About, name: str, hands: tuple[str, ...]) -> list[dict[str, str]]:
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


def _part(about: _About) -> str:
    """The object's part that the sentence names, in the words of its class; "": it names none."""
    part = about.phrase.part if about.phrase else ""
    return "backrest" if part == "back" and about.what == "seat" else part


def _is_heavy(shape: Shape) -> bool:
    """Whether it stays on the ground, whoever tries to lift it."""
    return shape.longest > HEAVY[0] and float(shape.size.prod()) > HEAVY[1]


def _once(contacts: list[dict[str, str]]) -> list[dict[str, str]]:
    seen: dict[str, dict[str, str]] = {}
    for contact in contacts:
        seen.setdefault(contact["body_part"], contact)
    return list(seen.values())[:MOST_CONTACTS]


def _side(about: _About, name: str) -> str:
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


def _face(about: _About, name: str) -> tuple[str, str]:
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


def _band(about: _About, name: str, moves: bool, hands: tuple[str, ...]) -> tuple[str, str]:
    frame, kind = FRAMES[name], about.kind
    if frame.side == "below" or (about.clause is not None and about.clause.on_floor):
        return "ground", "lexicon"
    if moves:
        if name == "wear":
            return _worn_band(kind), "lexicon"
        return frame.band or kind.band or ("chest" if len(hands) == 2 else "hip"), "lexicon"
    if frame.moves and _is_heavy(about.shape):
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
