"""One sentence from what was annotated, by a template; and what can be wrong with a sentence, whoever wrote it."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS

MOST_WORDS = 60
"""Words of a text."""


@dataclasses.dataclass(frozen=True)
class _Place:
    """What people call some of the parts."""

    name: str
    plural: str
    parts: tuple[str, ...]
    """Without a side."""
    words: str
    """A regular expression of other words for it."""
    sided: bool = True


_PLACES = (
    _Place("hand", "hands", ("wrist", "hand"), r"hands?|palms?|fingers?|grip|fists?|wrists?"),
    _Place("forearm", "forearms", ("elbow",), r"forearms?|elbows?|arms?"),
    _Place("upper arm", "upper arms", ("shoulder",), r"upper arms?|arms?"),
    _Place("shoulder", "shoulders", ("collar",), r"shoulders?"),
    _Place("thigh", "thighs", ("hip",), r"thighs?|lap|legs?"),
    _Place("lower leg", "lower legs", ("knee",), r"lower legs?|shins?|calf|calves|knees?|legs?"),
    _Place("foot", "feet", ("ankle", "foot"), r"foot|feet|toes?|soles?|heels?|ankles?|shoes?"),
    _Place("hips", "hips", ("pelvis",), r"hips?|buttocks|bottom|pelvis|waist|seat|lap", sided=False),
    _Place("back", "back", ("back",), r"back", sided=False),
    _Place("torso", "torso", ("spine1", "spine2", "spine3"), r"torso|chest|belly|stomach|trunk|body", sided=False),
    _Place("neck", "neck", ("neck",), r"neck", sided=False),
    _Place("head", "head", ("head",), r"head|face|mouth|lips", sided=False),
)
_EVERY = "|".join(place.words for place in _PLACES if place.sided)


def contact_words(parts: Collection[str]) -> list[str]:
    """What touches as people say it: "both hands", "left thigh", "back"; a back says the trunk too."""
    said = []
    for place in _PLACES:
        if not place.sided:
            if set(place.parts) & set(parts) and not (place.name == "torso" and "back" in parts):
                said.append(place.name)
            continue
        sides = [s for s in ("left", "right") if {f"{s}_{part}" for part in place.parts} & set(parts)]
        said += [f"both {place.plural}"] if len(sides) == 2 else [f"{side} {place.name}" for side in sides]
    return said


def write_text(record: Mapping[str, Any]) -> str:
    """The sentence of a record, present tense, by a template.

    Args:
      record: `appearance` (`person` and `object`, values None where not known), `action` (`name`), `contact` (`parts`).
    """
    person, thing = record["appearance"]["person"], record["appearance"]["object"]
    action, parts = ACTIONS[record["action"]["name"]], record["contact"]["parts"]
    worn = [f"a {person['top']}"] if person.get("top") else []
    worn += [person["bottom"]] if person.get("bottom") else []
    worn += [person["shoes"]] if person.get("shoes") else []
    hair = f" with {person['hair']}" if person.get("hair") else ""
    subject = f"A person{hair}" + (f" in {_list(worn)}" if worn else "")
    colour = thing.get("colour") or thing.get("color")
    noun = " ".join(w for w in (colour, thing.get("material"), thing.get("shape"), thing.get("category")) if w)
    object_words = f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
    said = contact_words(parts)
    if not said:
        return f"{subject} {action.verb} {object_words} without touching it."
    if all(word.endswith(("hand", "hands", "foot", "feet")) for word in said):
        return f"{subject} {action.verb} {object_words} with {_list([_the(w) for w in said])}."
    if said == ["back"]:
        return f"{subject} {action.verb} {object_words} {'on' if action.name == 'wear' else 'with'} the back."
    return f"{subject} {action.verb} {object_words}, {_list([_the(w) for w in said])} touching it."


def check_text(text: str, parts: Collection[str]) -> dict[str, str]:
    """What is wrong with a text about a contact: reason of the filter to explanation; empty if nothing is.

    Args:
      text: one or two sentences.
      parts: what touches.
    """
    wrong = {}
    words = text.split()
    if len(words) > MOST_WORDS:
        wrong["long text"] = f"{len(words)} words; a text has at most {MOST_WORDS}"
    if len(words) < 4 or text.rstrip()[-1:] not in (".", "!"):
        wrong["truncated text"] = f"it ends with {text[-20:]!r}, not with a full stop"
    lower = text.lower()
    faults = [f"it says {said!r}, which does not touch" for said in _contradicted(lower, parts)]
    faults += [f"it does not say {said!r}" for said in _unsaid(lower, parts)]
    if re.search(r"\bwithout touching\b", lower) and parts:
        faults.append("it says that nothing touches")
    if faults:
        wrong["contradictory contact"] = "; ".join(faults)
    return wrong


def _contradicted(text: str, parts: Collection[str]) -> list[str]:
    """Sides of limbs that a text names and that do not touch."""
    wrong = []
    for match in re.finditer(rf"\b(left|right|both|two)\s+({_EVERY})\b", text):
        sides = ("left", "right") if match[1] in ("both", "two") else (match[1],)
        places = [place for place in _PLACES if place.sided and re.fullmatch(place.words, match[2])]
        for side in sides:
            if not any({f"{side}_{part}" for part in place.parts} & set(parts) for place in places):
                wrong.append(match[0])
                break
    return wrong


def _unsaid(text: str, parts: Collection[str]) -> list[str]:
    """What touches and is not in a text."""
    missing = []
    for said in contact_words(parts):
        side, _, rest = said.partition(" ")
        if side not in ("left", "right", "both"):
            side, rest = "", said
        place = next(p for p in _PLACES if rest in (p.name, p.plural))
        sides = {"both": r"(both|two|left and right|right and left)\s+", "": ""}.get(side, rf"{side}\s+")
        plural = r"\b(" + place.words + r")\b"
        found = re.search(rf"\b{sides}({place.words})\b", text) if side else re.search(plural, text)
        apart = side == "both" and all(re.search(rf"\b{s}\s+({place.words})\b", text) for s in ("left", "right"))
        if not found and not apart:
            missing.append(said)
    return missing


def _the(word: str) -> str:
    return word if word.startswith("both ") else f"the {word}"


def _list(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
