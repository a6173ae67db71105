"""The dialogue with a language model: one question a turn, from given options; votes; what was wrong with replies.

That questions are asked one by one with given options is the paper's (3.2); their order and words are ours.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hoijax.language import LanguageError, LanguageModel, Message, first_json, option_in
from hoijax.systems.interactanything.relations.schema import (
    BANDS,
    BODY_PARTS,
    FACES,
    KINDS,
    MOST_CONTACTS,
    MOST_TEXT,
    PART,
    POSES,
    SCALES,
    SIDES,
)

ASKS = 3
"""Times that a question is put to a model before somebody else answers it."""
SYSTEM = (
    "You fill in a form about one person and one object. Each turn puts one question and lists what may be answered. "
    "Answer with nothing but the key of one option, or with nothing but the JSON object that is asked for. "
    "Think of how people usually do what the sentence says, with an object of that kind and size."
)
_LOST = ("timeout", "unreachable", "refused", "unrecorded")
"""Faults after which the model is not asked again."""


class Unreadable(Exception):
    """A reply that is no answer; the text says what is wrong, for the model and for the transcript."""


@dataclasses.dataclass(frozen=True)
class Question:
    """One turn."""

    key: str
    text: str
    options: dict[str, str] | None
    """Key and meaning; None: a JSON object is asked for."""
    read: Callable[[str, list[str]], Any]
    """From a reply to its value; the list takes what was repaired. Raises `Unreadable`."""


def _option(options: Sequence[str]) -> Callable[[str, list[str]], str]:
    def read(reply: str, repairs: list[str]) -> str:
        found = option_in(reply, options)
        if found is None:
            raise Unreadable(f"it names none of the options {', '.join(options)}")
        if reply.strip().lower() not in options:
            repairs.append(f"took {found!r} out of the words round it")
        return found

    return read


def _yes_no(reply: str, repairs: list[str]) -> bool:
    return _option(("yes", "no"))(reply, repairs) == "yes"


def _object(reply: str, repairs: list[str], *keys: str) -> dict[str, Any]:
    value = first_json(reply)
    if value is None:
        raise Unreadable("there is no JSON object in it")
    missing = [k for k in keys if k not in value]
    if missing:
        raise Unreadable(f"its JSON object lacks {', '.join(missing)}")
    if reply.strip()[:1] != "{" or reply.strip()[-1:] != "}":
        repairs.append("took the JSON object out of the words round it")
    return value


def _text(value: Any, key: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"{key} is no text")
    if len(value) > most:
        raise Unreadable(f"{key} has {len(value):,} characters, more than {most:,}")
    return " ".join(value.split())


def _read_words(reply: str, repairs: list[str]) -> dict[str, str]:
    value = _object(reply, repairs, "object", "action")
    return {key: _text(value[key], key, 60).lower() for key in ("object", "action")}


def _read_prompts(reply: str, repairs: list[str]) -> dict[str, str]:
    keys = ("hoi_prompt", "human_prompt", "negative_prompt")
    value = _object(reply, repairs, *keys)
    return {key: _text(value[key], key, MOST_TEXT) for key in keys}


def _read_size(reply: str, repairs: list[str]) -> list[float]:
    value = _object(reply, repairs, "least", "most")
    size = [value["least"], value["most"]]
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in size):
        raise Unreadable("least and most are not both numbers")
    low, high = sorted(size)  # whole numbers of any length: compared before they become floats
    if not 1e-3 <= low <= high <= 1e3:
        raise Unreadable("least and most are not between 0.001 and 1000 metres")
    if size[0] > size[1]:
        repairs.append("swapped least and most")
    return [float(low), float(high)]


def _read_contacts(reply: str, repairs: list[str]) -> list[dict[str, str]]:
    value = _object(reply, repairs, "contacts")["contacts"]
    if not isinstance(value, list):
        raise Unreadable("contacts is no list")
    found: dict[str, dict[str, str]] = {}
    for item in value[:100]:
        if not isinstance(item, dict):
            repairs.append(f"dropped {str(item)[:60]!r}, which is no object")
            continue
        bodies = _body_parts(item.get("body_part"))
        kind = str(item.get("kind", "")).strip().lower()
        part = " ".join(str(item.get("object_part", "")).lower().replace("_", " ").split())
        if not bodies:
            repairs.append(f"dropped the unknown part {str(item.get('body_part'))[:40]!r}")
            continue
        if kind not in KINDS or kind == "none":
            repairs.append(f"{bodies[0]}: {kind[:40]!r} is no kind of contact, took touch")
            kind = "touch"
        if not PART.fullmatch(part):
            repairs.append(f"{bodies[0]}: {part[:40]!r} is no part of an object, took body")
            part = "body"
        for body in bodies:
            if body in found:
                repairs.append(f"dropped the second contact of {body}")
            found.setdefault(body, {"body_part": body, "object_part": part, "kind": kind})
    if value and not found:
        raise Unreadable(f"none of its contacts has one of the body parts {', '.join(BODY_PARTS)}")
    if len(found) > MOST_CONTACTS:
        repairs.append(f"kept {MOST_CONTACTS} of {len(found)} contacts")
    return list(found.values())[:MOST_CONTACTS]


_OTHER_NAMES = {"bottom": "buttocks", "butt": "buttocks", "stomach": "belly", "abdomen": "belly", "lap": "thigh_front",
                "upper_arm": "arm", "lower_arm": "forearm", "fingertips": "finger_pads", "ankle": "foot",
                "wrist": "hand", "mouth": "face", "lips": "face", "waist": "hips", "upper_leg": "thigh",
                "lower_leg": "leg", "toe": "toes", "finger": "fingers", "feet": "foot", "thighs": "thigh",
                "hip": "hips", "heels": "heel", "calves": "calf"}  # fmt: skip


def _body_parts(name: Any) -> list[str]:
    """The parts that a model means: their own names, other names, and both sides of a plural without a side."""
    if not isinstance(name, str):
        return []
    words = name.lower().replace("-", " ").replace("_", " ").split()
    sides = [w for w in words if w in ("left", "right")] or ["left", "right"]
    rest = "_".join(w for w in words if w not in ("left", "right", "both", "the", "person's", "person"))
    for part in (
        rest,
        _OTHER_NAMES.get(rest, ""),
        rest.removesuffix("s"),
        _OTHER_NAMES.get(rest.removesuffix("s"), ""),
    ):
        if part in BODY_PARTS:
            return [part]
        if part and f"{sides[0]}_{part}" in BODY_PARTS:
            return [f"{side}_{part}" for side in sides]
    return []


QUESTIONS = (
    Question(
        "object_action",
        "Which object does the sentence name, and what does the person do with it? "
        'Answer {"object": noun, "action": verb in its base form}.',
        None,
        _read_words,
    ),
    Question(
        "movable",
        "Does the person move or carry the object while doing it?",
        {"yes": "the object is moved or carried", "no": "the object stands where it is"},
        _yes_no,
    ),
    Question(
        "scale",
        "How large is such an object, compared with a person?",
        {
            "hand_sized": "about as long as a hand",
            "torso_sized": "about as wide as a trunk",
            "half_body": "about as high as the waist",
            "body_or_larger": "as large as a person or larger",
        },
        _option(tuple(SCALES)),
    ),
    Question("object_side_of_human", "Where is the object, seen from the person?", SIDES, _option(tuple(SIDES))),
    Question("object_face_to_human", "Which side of the object is towards the person?", FACES, _option(tuple(FACES))),
    Question(
        "height_band",
        "At which height of the person is the middle of the object?",
        {
            "ground": "it stands or lies on the ground",
            "knee": "at the knees",
            "hip": "at the hips, as on a table",
            "chest": "at the chest",
            "head": "at the head",
            "overhead": "above the head",
        },
        _option(tuple(BANDS)),
    ),
    Question(
        "contacts",
        "Which parts of the person touch which parts of the object? "
        'Answer {"contacts": [{"body_part": ..., "object_part": a word for the part, "kind": ...}, ...]}, '
        f"with an empty list if nothing is touched. Body parts: {', '.join(BODY_PARTS)}. "
        f"Kinds: {'; '.join(f'{k}: {v}' for k, v in KINDS.items() if k != 'none')}.",
        None,
        _read_contacts,
    ),
    Question("contact_kind", "What are these contacts for, above all?", KINDS, _option(tuple(KINDS))),
    Question(
        "pose", "How does the person hold the body?", {p: f"the person's pose: {p}" for p in POSES}, _option(POSES)
    ),
    Question(
        "size_m",
        'How long is the longest side of such an object? Answer {"least": metres, "most": metres}.',
        None,
        _read_size,
    ),
    Question(
        "prompts",
        "Describe a photograph of it for a painter of pictures, in one sentence each: with the object, the same person "
        "without it, and what must not be seen. "
        'Answer {"hoi_prompt": ..., "human_prompt": ..., "negative_prompt": ...}.',
        None,
        _read_prompts,
    ),
)
"""In the order in which they are asked; the first nine stand in the spec, `pose` and `size_m` are ours."""


def turn(question: Question, sentence: str, facts: str, answers: dict[str, Any], fault: str = "") -> list[Message]:
    """The messages of one turn, with all earlier answers and, when asked again, what was wrong."""
    lines = [f"Sentence: {sentence}", f"The object's mesh: {facts}."]
    if answers:
        lines.append("Answered so far:")
        lines += [f"- {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in answers.items()]
    lines += ["", question.text]
    if question.options:
        lines += [f"- {key}: {meaning}" for key, meaning in question.options.items()]
        lines.append("Answer with one key.")
    if fault:
        lines += ["", f"Your last answer could not be read: {fault}. Answer again, with nothing else."]
    return [Message("system", SYSTEM), Message("user", "\n".join(lines))]


@dataclasses.dataclass
class Interview:
    """A dialogue under way."""

    model: LanguageModel
    sentence: str
    facts: str
    votes: int
    temperature: float
    answers: dict[str, Any] = dataclasses.field(default_factory=dict)
    transcript: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    faults: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    """Question, kind of fault or "repair", text."""
    lost: bool = False
    """The model is not asked any more."""

    def ask(self, question: Question) -> Any | None:
        """The answer that most votes have, the first of equals; None: no vote could be read."""
        votes = [v for seed in range(self.votes) if not self.lost and (v := self._vote(question, seed)) is not None]
        return _majority(question.key, [v[0] for v in votes]) if votes else None

    def _vote(self, question: Question, seed: int) -> tuple[Any] | None:
        fault = ""
        for attempt in range(ASKS):
            messages = turn(question, self.sentence, self.facts, self.answers, fault)
            said: dict[str, Any] = {
                "question": question.key,
                "asked": messages[-1].text,
                "seed": seed,
                "attempt": attempt,
            }
            self.transcript.append(said)
            repairs: list[str] = []
            try:
                said["reply"] = self.model.reply(messages, temperature=self.temperature, seed=seed)
                value = question.read(said["reply"], repairs)
            except LanguageError as error:
                said["fault"] = f"{error.fault}: {error}"
                self.faults.append((question.key, error.fault, str(error)))
                if error.fault in _LOST:
                    self.lost = True
                    return None
                fault = f"the reply was {error.fault}"
                continue
            except Unreadable as error:
                said["fault"] = f"unreadable: {error}"
                self.faults.append((question.key, "unreadable", str(error)))
                fault = str(error)
                continue
            said["understood"] = value
            if repairs:
                said["repairs"] = repairs
                self.faults += [(question.key, "reading", r) for r in repairs]
            return (value,)
        return None


def _majority(key: str, votes: list[Any]) -> Any:
    """What most votes say: of contacts each that more than half of them have, else the first vote's."""
    if key == "contacts":
        count = Counter(json.dumps(c, sort_keys=True) for vote in votes for c in vote)
        kept = [json.loads(c) for c, n in count.items() if 2 * n > len(votes)]
        empty = sum(not vote for vote in votes)
        if kept or 2 * empty > len(votes):
            return _one_each(kept)
        return votes[0]
    count = Counter(json.dumps(v, sort_keys=True) for v in votes)
    return json.loads(max(count, key=count.get))  # the first of equals


def _one_each(contacts: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({c["body_part"]: c for c in reversed(contacts)}.values())[::-1]
