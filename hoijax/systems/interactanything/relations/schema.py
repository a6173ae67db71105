"""Relations of a person and an object in words and boxes: what stage A decides, strictly typed, as JSON and back."""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from hoijax.errors import InputError
from hoijax.systems.interactanything.relations.shape import Box

VERSION = 1
"""Of the JSON form."""
SIDES = {
    "front": "the object is in front of the person's body",
    "back": "the object is behind the person's body",
    "left": "the object is at the person's left",
    "right": "the object is at the person's right",
    "below": "the person's weight rests on the object",
    "above": "the object is over the person's head",
    "around": "the person wears the object or is inside it",
}
FACES = {
    "front": "the object's front looks at the person, or with the person where the person sits on it or wears it",
    "back": "its back does",
    "left": "its left side does",
    "right": "its right side does",
    "top": "its top does",
    "bottom": "its underside does",
}
SCALES = {"hand_sized": 0.15, "torso_sized": 0.35, "half_body": 0.70, "body_or_larger": 1.40}
"""Longest side of the object over the person's height."""
BANDS = {"ground": 0.0, "knee": 0.28, "hip": 0.53, "chest": 0.72, "head": 0.93, "overhead": 1.15}
"""Height of the object's centre over the person's height; at the ground its lowest point is at zero."""
KINDS = {
    "grasp": "a hand closes round it",
    "support": "weight rests there",
    "touch": "it is touched",
    "wear": "it is worn",
    "none": "nothing is touched",
}
POSES = ("stand", "walk", "sit", "straddle", "lie", "kneel", "crouch", "crawl", "lean", "climb", "hang", "jump")
_PAIRED = (
    "arm", "forearm", "hand", "thigh", "leg", "foot", "shoulder", "elbow", "knee", "thigh_back", "thigh_front", "shin",
    "calf", "sole", "heel", "toes", "palm", "back_of_hand", "fingers", "finger_pads", "thumb", "index", "middle",
    "ring", "pinky",
)  # fmt: skip
BODY_PARTS = (
    "head", "torso", "hips", "face", "neck", "back", "upper_back", "lower_back", "chest", "belly", "buttocks", "seat",
    *(f"{side}_{part}" for side in ("left", "right") for part in _PAIRED),
)  # fmt: skip
"""Names of `hoijax.body_models.contact_regions` that a contact may have; `seat`: buttocks with the thighs' backs."""
NARROWED = ("back_of_head",)
"""Parts that nobody answers with, but that an answer may be narrowed to."""
HANDS = ("hand", "palm", "fingers", "finger_pads", "thumb", "index", "middle", "ring", "pinky", "back_of_hand")
"""Parts of which a hand's names end."""
MOST_CONTACTS = 12
MOST_TEXT = 1000
"""Characters of a prompt."""
SOURCES = ("model", "lexicon", "geometry", "fallback")
"""Who decided: a language model, the lexicon's words, the mesh, or nobody who knew."""
PART = re.compile(r"[a-z][a-z' -]{0,39}")


@dataclasses.dataclass(frozen=True)
class Contact:
    """One part of the body on one part of the object."""

    body_part: str
    """One of `BODY_PARTS`."""
    object_part: str
    """A word: "seat", "handle", "left side", "screen"."""
    kind: str
    """One of `KINDS`, but "none"."""
    places: tuple[Box, ...] = ()
    """Where the word is on the mesh: boxes in the mesh's own frame and units, each with some of its surface."""


@dataclasses.dataclass(frozen=True)
class Note:
    """Something that a reader of the result should know."""

    kind: str
    """One word or two: "unknown verb", "repair", "timeout"."""
    text: str


@dataclasses.dataclass(frozen=True)
class Relations:
    """What a sentence says of a person and an object, and what the mesh, a model or a default added.

    Raises:
      InputError: a value that is no option, no contact although something is touched, or the reverse.
    """

    sentence: str
    object: str
    """The object's noun."""
    action: str
    """The verb in its base form."""
    object_side_of_human: str
    """One of `SIDES`."""
    object_face_to_human: str
    """One of `FACES`."""
    scale: str
    """One of `SCALES`."""
    size_m: tuple[float, float] | None
    """Usual longest side of such an object, least and most, metres; None: not known, the mesh's own is taken."""
    mesh_scale: float
    """What brings the mesh to a size in `size_m`; 1: it has one."""
    movable: bool
    """Whether the person moves or carries the object; else it stands still."""
    height_band: str
    """One of `BANDS`. Where nothing moves and the band is not "ground", the object stands on something unseen."""
    pose: str
    """One of `POSES`."""
    contacts: tuple[Contact, ...]
    contact_kind: str
    """One of `KINDS`: what the contacts are for."""
    hoi_prompt: str
    human_prompt: str
    negative_prompt: str
    known_verb: bool
    """Whether somebody knew the verb; otherwise the person takes hold of the object."""
    known_object: bool
    """Whether somebody knew the noun; otherwise the mesh alone says what the object is like."""
    reasoner: str
    """The language model's name, or "offline"."""
    sources: Mapping[str, str]
    """Who decided, by question: one of `SOURCES`."""
    notes: tuple[Note, ...] = ()
    transcript: tuple[Mapping[str, Any], ...] = ()
    """Every question with what was asked, each reply or fault, and what was understood; JSON values."""

    def __post_init__(self):
        for name, options in _OPTIONS.items():
            if getattr(self, name) not in options:
                raise InputError(f"{name} is one of {', '.join(options)}; got {getattr(self, name)!r}")
        for contact in self.contacts:
            check_contact(contact.body_part, contact.object_part, contact.kind)
        if len(self.contacts) > MOST_CONTACTS:
            raise InputError(f"{len(self.contacts)} contacts; there are at most {MOST_CONTACTS}")
        if (self.contact_kind == "none") != (not self.contacts):
            raise InputError(f"{len(self.contacts)} contacts and the kind {self.contact_kind!r} contradict each other")
        if self.size_m is not None:
            check_size(self.size_m)
        if not (isinstance(self.mesh_scale, float) and 0 < self.mesh_scale < math.inf):
            raise InputError(f"mesh_scale is a positive number; got {self.mesh_scale!r}")

    @property
    def body_parts(self) -> tuple[str, ...]:
        """The parts of the body that touch the object, each once."""
        return tuple(dict.fromkeys(c.body_part for c in self.contacts))

    @property
    def hands(self) -> str:
        """Which hands touch the object: "left", "right", "both" or "none"."""
        used = {c.body_part.split("_")[0] for c in self.contacts if is_hand(c.body_part)}
        return "both" if len(used) == 2 else next(iter(used), "none")

    @property
    def standing(self) -> str:
        """Where the object is: on the "floor", "raised" on something unseen, "carried", or "worn"."""
        if self.contact_kind == "wear":
            return "worn"
        if self.height_band == "ground":
            return "floor"
        return "carried" if self.movable else "raised"

    @property
    def certain(self) -> bool:
        """Whether verb and noun were known and nothing had to be guessed or repaired."""
        return self.known_verb and self.known_object and not any(n.kind in DOUBTS for n in self.notes)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        value = dataclasses.asdict(self)
        value["sources"], value["transcript"] = dict(self.sources), [dict(t) for t in self.transcript]
        derived = {"body_parts": list(self.body_parts), "hands": self.hands, "standing": self.standing}
        return json.loads(json.dumps({"version": VERSION, **value, **derived}))

    @classmethod
    def from_json(cls, value: Any) -> "Relations":
        """The relations that `to_json` wrote.

        Raises:
          InputError: a key that lacks or is not known, or a value that is no option; says which.
        """
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise InputError(f"wanted relations of version {VERSION}, a JSON object; got {str(value)[:80]!r}")
        names = {f.name for f in dataclasses.fields(cls)}
        given = set(value) - {"version", "body_parts", "hands", "standing"}
        if given != names:
            raise InputError(f"relations lack {sorted(names - given)} and have the unknown {sorted(given - names)}")
        value = {name: value[name] for name in names}
        for name in _TEXTS:
            if not isinstance(value[name], str):
                raise InputError(f"{name} is a text; got {value[name]!r}")
        for name in ("movable", "known_verb", "known_object"):
            if not isinstance(value[name], bool):
                raise InputError(f"{name} is true or false; got {value[name]!r}")
        try:
            value["size_m"] = None if value["size_m"] is None else tuple(float(x) for x in value["size_m"])
            value["mesh_scale"] = float(value["mesh_scale"])
            value["contacts"] = tuple(_contact(c) for c in value["contacts"])
            value["notes"] = tuple(Note(**n) for n in value["notes"])
            value["sources"], value["transcript"] = dict(value["sources"]), tuple(dict(t) for t in value["transcript"])
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"relations are not as written: {error}") from error
        return cls(**value)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the JSON form."""
        pathlib.Path(path).write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


DOUBTS = (
    "unknown verb",
    "unknown object",
    "fallback",
    "repair",
    "head noun",
    "size",
    "language",
    "two objects",
    "negation",
)
"""Kinds of notes after which the answer is no longer certain."""
_OPTIONS = {
    "object_side_of_human": SIDES,
    "object_face_to_human": FACES,
    "scale": SCALES,
    "height_band": BANDS,
    "pose": POSES,
    "contact_kind": KINDS,
}
_TEXTS = (*_OPTIONS, "sentence", "object", "action", "hoi_prompt", "human_prompt", "negative_prompt", "reasoner")


def is_hand(body_part: str) -> bool:
    """Whether a part of the body belongs to a hand."""
    side, _, part = body_part.partition("_")
    return side in ("left", "right") and part in HANDS


def check_contact(body_part: str, object_part: str, kind: str) -> None:
    """Checks the words of a contact.

    Raises:
      InputError: an unknown part of the body, a word that names no part, or an unknown kind.
    """
    if body_part not in (*BODY_PARTS, *NARROWED):
        raise InputError(f"unknown body part {str(body_part)[:40]!r}; known parts: {', '.join(BODY_PARTS)}")
    if not isinstance(object_part, str) or not PART.fullmatch(object_part):
        raise InputError(f"an object's part is a word or a few in small letters; got {str(object_part)[:60]!r}")
    if kind not in KINDS or kind == "none":
        raise InputError(f"a contact is a {', '.join(k for k in KINDS if k != 'none')}; got {str(kind)[:40]!r}")


def check_size(size: tuple[float, float]) -> None:
    """Checks a range of sizes.

    Raises:
      InputError: not two numbers, the first no greater than the second, from a millimetre to a kilometre.
    """
    if len(size) != 2 or not 1e-3 <= size[0] <= size[1] <= 1e3:
        raise InputError(f"a size is two numbers of metres, 0.001 <= least <= most <= 1000; got {size!r}")


def _contact(value: Any) -> Contact:
    boxes = tuple(Box(tuple(map(float, b["lower"])), tuple(map(float, b["upper"]))) for b in value["places"])
    return Contact(value["body_part"], value["object_part"], value["kind"], boxes)
