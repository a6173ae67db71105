"""From a sentence and a mesh to relations: who is asked, who answers where nobody can, and what is written down."""

import dataclasses
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.language import LanguageModel
from hoijax.systems.interactanything.relations.consistency import consistent
from hoijax.systems.interactanything.relations.dialogue import QUESTIONS, Interview
from hoijax.systems.interactanything.relations.offline import Answers, answer
from hoijax.systems.interactanything.relations.places import places
from hoijax.systems.interactanything.relations.schema import Contact, Note, Relations
from hoijax.systems.interactanything.relations.sentence import understand
from hoijax.systems.interactanything.relations.shape import Box, measure

MOST_VOTES = 32
FRONTS = ("+z", "+x")
"""Ways that objects look in their own frame: the house's, and the paper's."""
_LEXICONS = ("unknown verb", "unknown object", "head noun", "language", "fallback", "chosen object", "two objects",
             "negation")  # fmt: skip
"""Notes of the lexicon that only concern its own answers."""


def reason(
    sentence: str,
    mesh: Mesh,
    model: LanguageModel | None = None,
    *,
    votes: int = 1,
    temperature: float | None = None,
    front: str = "+z",
) -> Relations:
    """What a sentence and a mesh say of how a person uses an object (InteractAnything, section 3.2).

    Without a model the words of the lexicon and the mesh's own geometry answer. With one the dialogue of
    `dialogue.QUESTIONS` is held; a question that it fails to answer three times, and all that follow when it cannot be
    reached, are answered without it, and the result's notes say so. Either way answers that contradict each other are
    mended (`consistency.consistent`). Host function; the same input has the same answer.

    Args:
      sentence: English for the lexicon, any language for a model; one person and one object.
      mesh: the object in its canonical frame, y up; metres, or any unit where the noun's usual size is known.
      model: who answers; None: the offline reasoner.
      votes: answers asked for each question, of which most win.
      temperature: of the model; None: 0 for one vote, 0.7 for more.
      front: where the object's front looks, "+z" as hoijax's own objects or "+x" as the paper's.

    Returns:
      The relations; places in the mesh's own frame and units.

    Raises:
      InputError: no sentence, or a mesh without a surface; an option that does not exist.
    """
    if front not in FRONTS:
        raise InputError(f"front is one of {', '.join(FRONTS)}; got {front!r}")
    if not 1 <= votes <= MOST_VOTES:
        raise InputError(f"votes are 1 to {MOST_VOTES}; got {votes}")
    if temperature is not None and not 0 <= temperature <= 2:
        raise InputError(f"a temperature is 0 to 2; got {temperature}")
    understood = understand(sentence)
    if front == "+x":
        mesh = Mesh(_turn(np.asarray(mesh.vertices, np.float64)), mesh.faces)
    offline = answer(understood, mesh)
    values, sources = dict(offline.values), dict(offline.sources)
    notes = list(offline.notes)
    if model is None:
        transcript = [
            {"question": q.key, "answer": values[q.key], "source": sources[q.key], "reason": offline.reasons[q.key]}
            for q in QUESTIONS
        ]
    else:
        warm = temperature if temperature is not None else 0.0 if votes == 1 else 0.7
        interview = Interview(model, understood.text, offline.shape.facts(), votes, warm)
        values, sources, notes = _hold_interview(interview, offline)
        transcript = interview.transcript
    values, repaired = consistent(values)
    notes += [Note("repair", why) for _, why in repaired]
    offline, scale_notes = _resize(offline, values, sources, mesh)
    contacts = tuple(_locate(c, offline, front) for c in values["contacts"])
    return Relations(
        sentence=understood.text,
        object=values["object_action"]["object"],
        action=values["object_action"]["action"],
        object_side_of_human=values["object_side_of_human"],
        object_face_to_human=values["object_face_to_human"],
        scale=values["scale"],
        size_m=None if values["size_m"] is None else tuple(values["size_m"]),
        mesh_scale=float(offline.mesh_scale),
        movable=values["movable"],
        height_band=values["height_band"],
        pose=values["pose"],
        contacts=contacts,
        contact_kind=values["contact_kind"],
        **values["prompts"],
        known_verb=sources["contacts"] == "model" or offline.known_verb,
        known_object=sources["object_action"] == "model" or offline.known_object,
        reasoner="offline" if model is None else str(model.name),
        sources=sources,
        notes=tuple([*notes, *scale_notes]),
        transcript=tuple(transcript),
    )


def _hold_interview(interview: Interview, offline: Answers) -> tuple[dict[str, Any], dict[str, str], list[Note]]:
    """Answers of a model, of the offline reasoner where it has none, and what happened."""
    sources: dict[str, str] = {}
    for question in QUESTIONS:
        value = interview.ask(question)
        own = value is None
        interview.answers[question.key] = offline.values[question.key] if own else value
        sources[question.key] = offline.sources[question.key] if own else "model"
    without = [q.key for q in QUESTIONS if sources[q.key] != "model"]
    notes = [Note(kind, f"{key}: {text}") for key, kind, text in interview.faults]
    if without:
        by = "the offline reasoner answered" if len(without) < len(QUESTIONS) else "the offline reasoner answered all"
        notes.append(Note("fallback", f"{by}: {', '.join(without)}"))
    silent = {"contacts", "object_action"} & set(without)
    kept = ("no person", "several people", *(_LEXICONS if silent else ()))
    notes += [n for n in offline.notes if n.kind in kept]
    return interview.answers, sources, notes


def _resize(
    offline: Answers, values: dict[str, Any], sources: dict[str, str], mesh: Mesh
) -> tuple[Answers, list[Note]]:
    """The shape at the size that a model has given, where it has."""
    size = values["size_m"]
    if sources["size_m"] != "model" or size is None:
        return offline, []
    longest = offline.shape.longest / offline.mesh_scale
    if size[0] / 1.5 <= longest <= size[1] * 1.5:
        scale, notes = 1.0, []
    else:
        want = float(np.sqrt(size[0] * size[1]))
        scale = want / longest
        usual = f"such an object has {size[0]:g} to {size[1]:g} m"
        notes = [Note("size", f"the mesh is {longest:.4g} m long and {usual}; it is made {want:.2g} m long")]
    shape = offline.shape if scale == offline.mesh_scale else measure(mesh, scale)
    return dataclasses.replace(offline, shape=shape, mesh_scale=scale), notes


def _locate(contact: dict[str, str], offline: Answers, front: str) -> Contact:
    boxes = [box.scaled(1 / offline.mesh_scale) for box in places(offline.shape, contact["object_part"])]
    if front == "+x":
        boxes = [_turn_back(box) for box in boxes]
    return Contact(contact["body_part"], contact["object_part"], contact["kind"], tuple(boxes))


def _turn(points: np.ndarray) -> np.ndarray:
    """Points of an object whose front is +x, turned so that it is +z."""
    return np.stack([-points[:, 2], points[:, 1], points[:, 0]], axis=1)


def _turn_back(box: Box) -> Box:
    (x0, y0, z0), (x1, y1, z1) = box.lower, box.upper
    return Box((z0, y0, -x1), (z1, y1, -x0))
