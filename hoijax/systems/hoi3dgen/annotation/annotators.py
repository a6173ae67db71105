"""Who answers what a sample shows: geometry, labels and pixels offline, or a language model that sees renderings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hoijax.body_models import PARTS_24, free_body_regions, part_labels
from hoijax.language import LanguageModel, encode_image
from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS, OF_SEQUENCE, OF_SYNTH, guess_action
from hoijax.systems.hoi3dgen.annotation.colors import color_name, masked_color, region_colors
from hoijax.systems.hoi3dgen.annotation.contact import BodyContact
from hoijax.systems.hoi3dgen.annotation.questions import (
    OBJECT,
    PERSON,
    action_question,
    ask,
    looks_question,
    middle_text,
    most_said,
    read_action,
    read_looks,
    read_text,
    text_question,
)
from hoijax.systems.hoi3dgen.annotation.sources import Picture, PosedSample
from hoijax.systems.hoi3dgen.annotation.views import render_sample, ring_rig
from hoijax.systems.hoi3dgen.annotation.writing import write_text

Looks = dict[str, dict[str, str | None]]
"""`person` and `object`, each field to words or None."""
_GARMENTS = {"shirt": "top", "trousers": "bottom", "hair": "hair", "shoes": "shoes"}
_NOUNS = {"top": "shirt", "bottom": "trousers", "hair": "hair", "shoes": "shoes"}
_OF_PARTS = {
    **dict.fromkeys(("spine1", "spine2", "spine3"), 0),
    **dict.fromkeys(("left_collar", "right_collar", "left_shoulder", "right_shoulder"), 0),
    **dict.fromkeys(("pelvis", "left_hip", "right_hip", "left_knee", "right_knee"), 1),
    **dict.fromkeys(("left_foot", "right_foot"), 3),
}  # fmt: skip
"""What covers a part of any body: an index into `PERSON`."""
_BEHIND = 0.03
"""A vertex is seen if it is at most so far behind what the picture's depth says, metres."""


@runtime_checkable
class Annotator(Protocol):
    """Answers the tasks that geometry does not."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def looks(self, sample: PosedSample) -> tuple[Looks, str]:
        """Appearance of person and object, and who answered."""
        ...

    def action(self, sample: PosedSample, contact: BodyContact) -> tuple[dict[str, Any], str]:
        """`name`, `confidence`, `posture` of what is done, and who answered."""
        ...

    def text(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """The text of a record that has everything else, and who wrote it."""
        ...


@dataclasses.dataclass(frozen=True)
class OfflineAnnotator:
    """Needs nothing: the dataset's own labels, colours of the picture, geometry, a template."""

    name: str = "offline"

    def looks(self, sample: PosedSample) -> tuple[Looks, str]:
        """See `Annotator.looks`: colours where the sample has a picture, and the object's proportions."""
        person: dict[str, str | None] = dict.fromkeys(PERSON)
        thing: dict[str, str | None] = dict.fromkeys(OBJECT)
        thing["category"] = sample.object_name.replace("_", " ") or "object"
        thing["shape"] = proportions(np.asarray(sample.object.vertices))
        if sample.picture is not None:
            for field, color in _garment_colors(sample, sample.picture).items():
                person[field] = f"{color_name(color)} {_NOUNS[field]}"
            if sample.picture.object is not None:
                color = masked_color(sample.picture.image, sample.picture.object)
                thing["colour"] = None if color is None else color_name(color)
        return {"person": person, "object": thing}, self.name

    def action(self, sample: PosedSample, contact: BodyContact) -> tuple[dict[str, Any], str]:
        """See `Annotator.action`: the dataset's word for it, or the usual thing to do with what touches so."""
        own = sample.action or ""
        name = OF_SYNTH.get(own, OF_SEQUENCE.get(own, own))
        if name in ACTIONS:
            return {"name": name, "confidence": 1.0, "posture": None}, f"{sample.object_source}'s label"
        name, sure = guess_action(sample.object_name, contact.config, contact.parts)
        return {"name": name, "confidence": sure, "posture": None}, self.name

    def text(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """See `Annotator.text`."""
        return write_text(record), self.name


@dataclasses.dataclass(frozen=True)
class ModelAnnotator:
    """A language model that sees renderings; what it does not answer is answered offline."""

    model: LanguageModel
    votes: int = 1
    """How often each question is asked; most win."""
    temperature: float = 0.0
    size: int = 256
    """Side of the renderings, pixels."""
    otherwise: OfflineAnnotator = OfflineAnnotator()

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    def looks(self, sample: PosedSample) -> tuple[Looks, str]:
        """See `Annotator.looks`: the person is shown without the object and the object without the person."""
        found, by = self.otherwise.looks(sample)
        answered = []
        for what, fields in (("person", PERSON), ("object", OBJECT)):
            images = self._views(sample, (what,))
            said = self._ask(looks_question(what, fields), images, read_looks(fields))
            if said:
                answered.append(what)
                chosen = most_said(said, fields)
                # What the object is called is known.
                found[what] = chosen | {k: v for k, v in found[what].items() if k == "category" and not chosen[k]}
        return found, self.name if len(answered) == 2 else f"{by}, {self.name} of {' and '.join(answered) or 'nothing'}"

    def action(self, sample: PosedSample, contact: BodyContact) -> tuple[dict[str, Any], str]:
        """See `Annotator.action`."""
        images = self._views(sample, ("person", "object"))
        said = self._ask(action_question(sample.object_name, contact.parts), images, read_action)
        if not said:
            return self.otherwise.action(sample, contact)
        name = most_said(said, ("name",))["name"]
        own = [answer for answer in said if answer["name"] == name]
        # Votes for something else make it less sure.
        sure = sum(answer["confidence"] for answer in own) / len(said)
        return {"name": name, "confidence": sure, "posture": own[0]["posture"]}, self.name

    def text(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """See `Annotator.text`: a text that fails its checks is asked for again, then written by the template."""
        said = self._ask(text_question(record), (), read_text(record["contact"]["parts"]))
        return (middle_text(said), self.name) if said else self.otherwise.text(record)

    def _views(self, sample: PosedSample, shown: Sequence[str]) -> list[bytes]:
        rig = ring_rig(sample, count=4, size=self.size)
        return [encode_image(picture) for picture in render_sample(sample, rig, shown=shown)]

    def _ask(self, question: str, images: Sequence[bytes], read: Any) -> list[Any]:
        return ask(self.model, question, images, read, votes=self.votes, temperature=self.temperature)


def proportions(vertices: np.ndarray) -> str | None:
    """Whether points are long or flat, by the extents along their principal axes; None: neither."""
    centred = vertices - vertices.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    small, middle, large = np.sort(np.ptp(centred @ axes.T, axis=0))
    if large > 3 * middle:
        return "long"
    return "flat" if middle > 4 * small else None


def _garment_colors(sample: PosedSample, picture: Picture) -> dict[str, np.ndarray]:
    """Colours of what a person wears, by field, where the picture's camera is known."""
    if picture.pixels is None or picture.human is None:
        return {}
    height, width = picture.image.shape[:2]
    column = np.clip(picture.pixels[:, 0], 0, width - 1).astype(int)
    row = np.clip(picture.pixels[:, 1], 0, height - 1).astype(int)
    seen = picture.human[row, column] & (picture.depths > 0)
    if picture.depth is not None:
        seen &= picture.depths < picture.depth[row, column] + _BEHIND
    regions = _garments(sample)
    return region_colors(picture.image, picture.pixels, seen, regions, PERSON)


def _garments(sample: PosedSample) -> np.ndarray:
    """What covers each vertex: an index into `PERSON`, or -1."""
    if sample.model.kind == "free":
        regions, names = free_body_regions("default")
        table = np.array([PERSON.index(_GARMENTS[name]) if name in _GARMENTS else -1 for name in names])
        return table[regions[: sample.model.num_vertices]]
    table = np.array([_OF_PARTS.get(name, -1) for name in PARTS_24])
    return table[part_labels(sample.model, "24")]
