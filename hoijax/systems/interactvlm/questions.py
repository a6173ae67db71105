"""What InteractVLM is asked, and how it answers: templates of sentences, ours unless the user gives his own as JSON."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import read_json

KINDS = ("human_simple", "human_parts", "object_simple", "object_afford", "image")
"""The body's contact, alone or with its parts in words; the object's, alone or with its affordance; and, for an
ablation, a question that says nothing."""
FIELDS = {"questions": ("label",), "answers": ("label", "parts", "affordance", "token")}
"""Names that a template may hold in braces."""
NOWHERE = "nothing"
"""Stands for no part."""


@dataclasses.dataclass(frozen=True)
class Questions:
    """Templates by kind; of each kind one question and one answer are drawn apart."""

    questions: Mapping[str, tuple[str, ...]]
    """With {label}."""
    answers: Mapping[str, tuple[str, ...]]
    """With {token}, and {label}, {parts} or {affordance}."""

    def ask(self, kind: str, label: str, number: int = 0) -> str:
        """A question about a thing.

        Args:
          kind: one of `KINDS`.
          label: of the thing; lower case, underscores stay.
          number: which of the templates, modulo their number.

        Raises:
          InputError: an empty label.
        """
        if not label.strip():
            raise InputError("contact is asked for with something: the label is empty")
        return _chosen(self.questions[kind], number).format(label=label.strip().lower())

    def answer(
        self, kind: str, label: str, token: str, *, parts: Sequence[str] = (), affordance: str = "", number: int = 0
    ) -> str:
        """The answer that goes with it.

        Args:
          kind: one of `KINDS`.
          label: of the thing.
          token: of contact.
          parts: of the body, in words.
          affordance: in a word.
          number: which of the templates.
        """
        text = _chosen(self.answers[kind], number)
        named = ", ".join(parts) or NOWHERE
        return text.format(label=label.strip().lower(), token=token, parts=named, affordance=affordance)

    def texts(self) -> list[str]:
        """All templates, for a vocabulary."""
        return [text for table in (self.questions, self.answers) for kind in table.values() for text in kind]


def _chosen(templates: Sequence[str], number: int) -> str:
    return templates[number % len(templates)]


OWN = Questions(
    questions={
        "human_simple": (
            "Where on the body does the person touch the {label}?",
            "Mark the skin that is in contact with the {label}.",
            "Show the region of the person that the {label} is touched with.",
            "Can you outline the body's contact with the {label}?",
            "Which area of the body meets the {label}?",
        ),
        "human_parts": (
            "Which body parts touch the {label}? Mark them.",
            "Name the parts of the body in contact with the {label}, and show them.",
            "With what parts does the person touch the {label}? Outline them too.",
            "List the body parts that meet the {label} and mark where.",
            "What on the body is in contact with the {label}? Name it and show it.",
        ),
        "object_simple": (
            "Where does the person touch the {label}?",
            "Mark the part of the {label} that is touched.",
            "Show the region of the {label} in contact with the person.",
            "Can you outline where the {label} is held or used?",
            "Which area of the {label} meets the person?",
        ),
        "object_afford": (
            "What is the {label} used for here, and where is it touched?",
            "Name what the {label} affords and mark the place.",
            "How does the person use the {label}? Show where.",
            "Which use of the {label} is this? Outline its region.",
            "Say what is done with the {label} and mark the contact.",
        ),
        "image": ("What is touched here?",),
    },
    answers={
        "human_simple": (
            "It is {token}.",
            "Here: {token}.",
            "The contact is {token}.",
            "{token}.",
            "The person touches it with {token}.",
        ),
        "human_parts": (
            "The parts are {parts}: {token}.",
            "{parts}, shown as {token}.",
            "It is touched with {parts}, {token}.",
            "In contact are {parts}; the region is {token}.",
            "parts: {parts}; region: {token}",
        ),
        "object_simple": (
            "It is {token}.",
            "Here: {token}.",
            "The contact is {token}.",
            "{token}.",
            "It is touched at {token}.",
        ),
        "object_afford": (
            "The use is {affordance}: {token}.",
            "{affordance}, at {token}.",
            "It affords {affordance}; the region is {token}.",
            "This is {affordance}, shown as {token}.",
            "use: {affordance}; region: {token}",
        ),
        "image": ("It is {token}.",),
    },
)
"""Templates in hoijax's words. Released weights want those of upstream's code."""


def read_questions(path: pathlib.Path) -> Questions:
    """Templates of a JSON file: `{"human_simple": {"questions": [...], "answers": [...]}, ...}`; kinds that it leaves
    out are ours.

    Raises:
      InputError: no such file, an unknown kind or field, or an answer without {token}.
    """
    given = read_json(path)
    if not isinstance(given, dict) or not set(given) <= set(KINDS):
        raise InputError(f"{path} names kinds of questions other than {', '.join(KINDS)}")
    tables: dict[str, dict[str, Any]] = {"questions": dict(OWN.questions), "answers": dict(OWN.answers)}
    for kind, lists in given.items():
        for table, fields in FIELDS.items():
            texts = lists.get(table) if isinstance(lists, dict) else None
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                raise InputError(f"{path}: {kind} wants a list of {table}")
            for text in texts:
                _check(text, fields, f"{path}: {kind}")
                if table == "answers" and "{token}" not in text:
                    raise InputError(f"{path}: {kind}: the answer {text!r} has no {{token}}")
            tables[table][kind] = tuple(texts)
    return Questions(**tables)


def _check(text: str, fields: Sequence[str], where: str) -> None:
    try:
        text.format(**dict.fromkeys(fields, "x"))
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{where}: {text!r} may hold {', '.join('{' + f + '}' for f in fields)} ({error})") from error


def draw_numbers(rng: np.random.Generator) -> tuple[int, int]:
    """Which question and which answer: drawn apart."""
    return int(rng.integers(1 << 16)), int(rng.integers(1 << 16))
