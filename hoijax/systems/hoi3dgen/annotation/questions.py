"""What a language model is asked of one sample, one task a question, and how its answers are read.

The tasks are the paper's: the person's looks, the object's, the action from a list, one text from all of it. The words
are ours.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.language import LanguageError, LanguageModel, Message, first_json
from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS
from hoijax.systems.hoi3dgen.annotation.writing import MOST_WORDS, check_text, contact_words

PERSON = ("top", "bottom", "hair", "shoes")
"""What is said of a person."""
OBJECT = ("category", "colour", "material", "shape")
"""What is said of an object."""
ASKS = 3
"""Times that a question is put before it is answered offline."""
LONGEST = 60
"""Characters of one field."""
SYSTEM = (
    "You describe renderings of one person and one object for a dataset. Say only what you see; null where you do not "
    "see it. Answer with nothing but the JSON object that is asked for."
)
_GONE = ("timeout", "unreachable", "refused")

Read = Callable[[str], Any]


class Unreadable(Exception):
    """A reply that is no answer; the text says why, for the model."""


class ModelGone(InputError):
    """The model cannot be asked at all: not the sample's fault."""


def ask(
    model: LanguageModel, question: str, images: Sequence[bytes], read: Read, *, votes: int, temperature: float
) -> list[Any]:
    """What the votes answer; empty: none could be read.

    Args:
      model: who is asked.
      question: what.
      images: PNG files.
      read: a reply to its value, or `Unreadable`.
      votes: how often it is asked.
      temperature: of the votes.

    Raises:
      ModelGone: it did not answer, or refused.
      InputError: a transcript does not hold the question.
    """
    values = []
    for seed in range(votes):
        fault = ""
        for _ in range(ASKS):
            again = f"\nYour last answer could not be used: {fault}. Answer again." if fault else ""
            messages = [Message("system", SYSTEM), Message("user", question + again, tuple(images))]
            try:
                values.append(read(model.reply(messages, temperature=temperature, seed=seed)))
                break
            except Unreadable as error:
                fault = str(error)
            except LanguageError as error:
                if error.fault in _GONE:
                    raise ModelGone(str(error)) from error
                if error.fault == "unrecorded":
                    raise
                fault = f"it was {error.fault}"
    return values


def looks_question(what: str, fields: Sequence[str]) -> str:
    """The question about the looks of "person" or "object"."""
    shown = "the person alone" if what == "person" else "the object alone"
    keys = ", ".join(f'"{field}": a few words or null' for field in fields)
    return f"Four renderings of {shown}, from its front, left, back and right. Describe the {what}: {{{keys}}}."


def action_question(object_name: str, parts: Sequence[str]) -> str:
    """The question about what is done."""
    touching = ", ".join(contact_words(parts)) or "nothing"
    options = ", ".join(ACTIONS)
    return (
        f"Four renderings of a person with a {object_name}. Of the person these touch it: {touching}. What does the "
        f"person do with it? Choose one of: {options}. Answer "
        '{"action": one of them, "confidence": 0 to 1, "posture": a few words on how the body is held}.'
    )


def text_question(record: Mapping[str, Any]) -> str:
    """The question for the text."""
    facts = {"appearance": record["appearance"], "action": record["action"]["name"]}
    touching = contact_words(record["contact"]["parts"])
    return (
        f"Write one or two sentences, present tense, at most {MOST_WORDS} words, about a person and an object from "
        f"these facts, and invent nothing: {json.dumps(facts, ensure_ascii=False)}. "
        f"Say of every one of these parts of the body that it touches the object, and of no other: "
        f'{", ".join(touching) or "none, nothing touches it"}. Answer {{"text": ...}}.'
    )


def read_looks(fields: Sequence[str]) -> Read:
    """Reads an answer to `looks_question`."""

    def read(reply: str) -> dict[str, str | None]:
        value = _object(reply, fields)
        found: dict[str, str | None] = {}
        for field in fields:
            text = value[field]
            if text is not None and not isinstance(text, str):
                raise Unreadable(f"{field} is neither text nor null")
            text = " ".join((text or "").split())
            if len(text) > LONGEST:
                raise Unreadable(f"{field} has {len(text)} characters, more than {LONGEST}")
            found[field] = None if text.lower() in ("", "null", "none", "unknown", "not visible") else text
        return found

    return read


def read_action(reply: str) -> dict[str, Any]:
    """Reads an answer to `action_question`."""
    value = _object(reply, ("action", "confidence"))
    name = str(value["action"]).strip().lower().replace(" ", "_").replace("-", "_")
    if name not in ACTIONS:
        raise Unreadable(f"{str(value['action'])[:40]!r} is none of {', '.join(ACTIONS)}")
    sure = value["confidence"]
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        raise Unreadable("confidence is no number from 0 to 1")
    posture = value.get("posture")
    posture = " ".join(posture.split())[:LONGEST] if isinstance(posture, str) else None
    return {"name": name, "confidence": float(sure), "posture": posture or None}


def read_text(parts: Sequence[str]) -> Read:
    """Reads an answer to `text_question` about what touches."""

    def read(reply: str) -> str:
        text = _object(reply, ("text",))["text"]
        if not isinstance(text, str) or not text.strip():
            raise Unreadable("text is no text")
        text = " ".join(text.split())
        wrong = check_text(text, parts)
        if wrong:
            raise Unreadable("; ".join(f"{name}: {why}" for name, why in wrong.items()))
        return text

    return read


def most_said(values: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> dict[str, Any]:
    """Field by field what most votes say, the first of equals; null loses against as many words."""
    chosen = {}
    for field in fields:
        count = Counter(v[field] for v in values)
        chosen[field] = max(count, key=lambda value: (count[value], value is not None))
    return chosen


def middle_text(texts: Sequence[str]) -> str:
    """The text that shares most words with the others; the first of equals."""
    bags = [set(text.lower().split()) for text in texts]

    def alike(i: int) -> float:
        return sum(len(bags[i] & other) / max(len(bags[i] | other), 1) for other in bags)

    return texts[max(range(len(texts)), key=alike)]


def _object(reply: str, keys: Sequence[str]) -> dict[str, Any]:
    value = first_json(reply)
    if value is None:
        raise Unreadable("there is no JSON object in it")
    missing = [key for key in keys if key not in value]
    if missing:
        raise Unreadable(f"its JSON object lacks {', '.join(missing)}")
    return value
