"""The reasoner that needs nothing: words it knows, the mesh for what they leave open, and hold of the object else."""

import dataclasses
import math
from typing import Any

from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations.frame_choice import choose_frame
from hoijax.systems.interactanything.relations.frames import (
    FRAMES,
    KINDS,
    TAKE_HOLD,
    Frame,
)
from hoijax.systems.interactanything.relations.lexicon import Thing
from hoijax.systems.interactanything.relations.places import WORDS
from hoijax.systems.interactanything.relations.schema import MOST_CONTACTS, SCALES, Note, is_hand
from hoijax.systems.interactanything.relations.sentence import Clause, Phrase, Sentence
from hoijax.systems.interactanything.relations.shape import Shape, measure
from hoijax.systems.interactanything.relations.touching import (
    HEIGHT,
    LIGHT,
    About,
    band_of,
    contacts_of,
    face_of,
    hands_of,
    is_heavy,
    side_of,
)

MARGIN = 1.5
"""A mesh has a thing's usual size within this factor of its range."""
ROOM = 6.0
"""A mesh of an unknown thing is rather a room from this size on, metres."""
UNKNOWN_SIZE = (0.005, 20.0)
"""Longest sides that an unknown mesh is believed to have, metres."""
SIDEWAYS = {"sideways", "sidesaddle", "side-saddle", "crossways", "crosswise"}
"""Words for sitting across."""


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
    name, source, reason = choose_frame(clause, phrase, thing, kind, shape, notes)
    about = About(clause, phrase, thing, kind, shape, bool(SIDEWAYS & set(sentence.text.lower().split())))
    hands, hands_reason = hands_of(about, FRAMES[name])
    contacts = _once(contacts_of(about, name, hands) + _more_contacts(chosen.other, about))
    if name == "wear" and not contacts:
        notes.append(Note("fallback", f"nobody here knows how a {_noun(phrase)} is worn; I take hold"))
        name, source = TAKE_HOLD, "fallback"
        contacts = _once(contacts_of(about, name, hands))
    frame = FRAMES[name]
    moves = frame.moves
    if moves is None:
        moves = kind.light if thing else shape.longest <= LIGHT
    moves = moves and not (frame.side in ("front", "above") and is_heavy(shape))
    band, band_source = band_of(about, name, moves, hands)
    face, face_source = face_of(about, name)
    verb = clause.verb if clause else ""
    values = {
        "object_action": {"object": _noun(phrase), "action": verb or ("sit" if name == "sit" else TAKE_HOLD)},
        "movable": moves,
        "scale": min(SCALES, key=lambda s: abs(math.log(shape.longest / (SCALES[s] * HEIGHT)))),
        "object_side_of_human": side_of(about, name),
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


def _main_kind(frame: Frame, contacts: list[dict[str, str]]) -> str:
    kinds = {c["kind"] for c in contacts}
    if len(kinds) < 2:
        return next(iter(kinds), "none")
    by_hand = any(is_hand(c["body_part"]) for c in contacts)
    return contacts[0]["kind"] if frame.kind == "none" or (frame.kind == "grasp" and not by_hand) else frame.kind


def _pose(about: About, name: str, band: str) -> str:
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


def _more_contacts(other: Clause | None, about: About) -> list[dict[str, str]]:
    """Contacts of a later clause about the same object: "holding the handlebar"."""
    if other is None or about.phrase is None:
        return []
    name = other.frame if other.frame in FRAMES else TAKE_HOLD
    part = other.objects[0].noun if other.objects else "hand"
    about = dataclasses.replace(about, clause=other, phrase=dataclasses.replace(about.phrase, part=part))
    hands, _ = hands_of(dataclasses.replace(about, phrase=None), FRAMES[name])
    return contacts_of(about, name, hands)


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


def _once(contacts: list[dict[str, str]]) -> list[dict[str, str]]:
    seen: dict[str, dict[str, str]] = {}
    for contact in contacts:
        seen.setdefault(contact["body_part"], contact)
    return list(seen.values())[:MOST_CONTACTS]
