"""From a prompt to measured candidates: shape, relations, InteractAnything's synthesis, the contact that came out."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import THRESHOLDS, ObjectTemplate, make_solid_template
from hoijax.optim.fields import SDF_RESOLUTION
from hoijax.systems.hoi3dgen.annotation.contact import HANDS, BodyContact, configuration, measure_contact
from hoijax.systems.hoi3dgen.compose.people import betas_of
from hoijax.systems.hoi3dgen.compose.prompt import PromptWords
from hoijax.systems.hoi3dgen.compose.shapes import ChosenShape, choose_shape
from hoijax.systems.interactanything import Candidate, OptimiseConfig, Prepared, SynthesisConfig, physics, prepare, run
from hoijax.systems.interactanything.relations import Box, Relations, reason
from hoijax.systems.interactanything.relations.placement import DIRECTIONS, facing
from hoijax.systems.interactanything.relations.schema import is_hand
from hoijax.systems.interactanything.starts import Start, draw_starts
from hoijax.systems.interactanything.system import exact_depth, score_of

GRIP = 0.11
"""How deep hands reach along the sides of what they carry, metres."""
DEEP = THRESHOLDS.deep
"""Penetration from which a candidate is refused, metres."""
_PLACES = {
    "back": ("back", "spine3"), "upper_back": ("back", "spine3"), "lower_back": ("back", "spine1"),
    "chest": ("spine3",), "torso": ("spine2",), "belly": ("spine1",), "hips": ("pelvis",), "buttocks": ("pelvis",),
    "seat": ("pelvis", "left_hip", "right_hip"), "head": ("head",), "face": ("head",), "neck": ("neck",),
    "back_of_head": ("head",),
}  # fmt: skip
_LIMBS = {
    "shoulder": "shoulder", "arm": "shoulder", "elbow": "elbow", "forearm": "elbow", "thigh": "hip", "knee": "knee",
    "leg": "knee", "shin": "knee", "calf": "knee", "foot": "foot", "sole": "foot", "heel": "ankle", "toes": "foot",
}  # fmt: skip
Watch = Callable[[float, str], None]
MakeTemplate = Callable[[Mesh], ObjectTemplate]


@dataclasses.dataclass(frozen=True)
class ComposeConfig:
    """How candidates are made."""

    count: int = 4
    """Candidates of a round."""
    draws: int = 4
    """Starts drawn for each of them; those in which nothing but the asked parts is near the object are refined."""
    rounds: int = 2
    """Rounds at most: another one while no candidate has the asked contact without penetration."""
    seed: int = 0
    lod: str = "default"
    physics: bool = True
    """Whether candidates are judged in physics, where MuJoCo is installed."""
    optimise: OptimiseConfig = dataclasses.field(default_factory=OptimiseConfig)

    def __post_init__(self):
        if min(self.count, self.draws, self.rounds) < 1:
            raise ValueError("count, draws and rounds must be at least 1")


@dataclasses.dataclass(frozen=True)
class SetUp:
    """A prompt with its shape and relations: everything that is checked before any long work."""

    prompt: PromptWords
    shape: ChosenShape
    """At its size."""
    relations: Relations
    betas: Float[np.ndarray, "10"]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a candidate shows, measured on its surfaces."""

    asked: str
    """The contact configuration that the prompt asks for."""
    contact: BodyContact
    depth: float
    """Deepest point of either surface in the other, metres."""

    @property
    def contact_holds(self) -> bool:
        """Whether the measured configuration is the asked one."""
        return self.contact.config == self.asked

    @property
    def good(self) -> bool:
        """Whether it is, without penetration."""
        return self.contact_holds and self.depth < DEEP


@dataclasses.dataclass(frozen=True)
class Made:
    """A candidate with what was measured and what physics says."""

    candidate: Candidate
    measured: Measured
    physics: Any
    """None: nobody judged."""


@dataclasses.dataclass(frozen=True)
class Composed:
    """What came of a prompt."""

    setting: SetUp
    prepared: Prepared
    made: tuple[Made, ...]
    """Best first: the asked contact, then no penetration, then InteractAnything's score."""


def set_up(prompt: PromptWords, seed: int = 0) -> SetUp:
    """Chooses the shape and reasons about who touches what.

    Args:
      prompt: from `read_prompt`.
      seed: of the shape's instance.

    Raises:
      InputError: no shape for the object.
    """
    shape = choose_shape(prompt.thing, seed)
    mesh = Mesh(np.asarray(shape.mesh.vertices, np.float64), np.asarray(shape.mesh.faces))
    relations = reason(prompt.sentence, mesh)
    scale = relations.mesh_scale
    if scale != 1.0:
        shape = dataclasses.replace(shape, mesh=shape.mesh.replace(vertices=shape.mesh.vertices * np.float32(scale)))
    relations = grip_near(relations, mesh)
    notes = [*prompt.notes, *(f"{n.kind}: {n.text}" for n in relations.notes)]
    betas = betas_of(prompt.person.gender, prompt.person.build)
    return SetUp(prompt, shape, relations, betas, tuple(notes))


def grip_near(relations: Relations, mesh: Mesh) -> Relations:
    """Relations in which what two hands carry is held by the part of it that is nearest to the person.

    Hands in the middle of a deep box bring it to the belly and along the forearms; the paper's "both hands" is hands
    alone.

    Args:
      relations: of the mesh as it is, before it is sized.
      mesh: the object.
    """
    if relations.hands != "both" or relations.standing != "carried" or relations.object_side_of_human != "front":
        return relations
    person = -np.array(DIRECTIONS["front"], float)
    towards = facing(relations.object_face_to_human, person).T @ person
    axis = int(np.abs(towards).argmax())
    sign = float(np.sign(towards[axis]))
    along = sign * np.asarray(mesh.vertices)[:, axis]
    border = along.max() - GRIP / relations.mesh_scale
    contacts = [
        dataclasses.replace(c, places=tuple(_clipped(b, axis, sign, border) for b in c.places))
        if is_hand(c.body_part)
        else c
        for c in relations.contacts
    ]
    return dataclasses.replace(relations, contacts=tuple(contacts))


def _clipped(box: Box, axis: int, sign: float, border: float) -> Box:
    """The part of a box beyond a border along an axis; all of it where little is beyond."""
    low, high = list(box.lower), list(box.upper)
    ends = sorted((sign * low[axis], sign * high[axis]))
    if ends[1] - border < 0.4 * (ends[1] - ends[0]) and ends[1] - border < 0.02:
        return box
    first = max(ends[0], border)
    low[axis], high[axis] = sorted((sign * first, sign * ends[1]))
    return Box(tuple(low), tuple(high))


def asked_configuration(relations: Relations) -> str:
    """The contact configuration that relations ask for, by the order of rules that measures it."""
    parts: set[str] = set()
    for name in relations.body_parts:
        if name in _PLACES:
            parts |= set(_PLACES[name])
            continue
        side, _, part = name.partition("_")
        limb = next((joint for word, joint in _LIMBS.items() if part.startswith(word)), "hand")
        parts.add(f"{side}_{limb}")
    return configuration(parts)


def compose(
    setting: SetUp,
    config: ComposeConfig = ComposeConfig(),
    template: MakeTemplate | None = None,
    watch: Watch | None = None,
) -> Composed:
    """Makes candidates, measures them and ranks them. Host function; the same input has the same answer.

    Args:
      setting: from `set_up`.
      config: how many, and how.
      template: makes the object's distance grid; None: as `hoijax synthesize` does.
      watch: called with the share done and what is going on.
    """
    model = free_body(config.lod)
    tell = watch or (lambda share, text: None)
    tell(0.0, "distance grid")
    prepared = prepare(model, (template or _template)(setting.shape.mesh), setting.relations)
    asked = asked_configuration(setting.relations)
    judge = config.physics and physics.available()
    pieces: Any = None
    made: list[Made] = []
    for number in range(config.rounds):

        def show(share: float, text: str, number: int = number) -> None:
            tell((number + 0.9 * share) / config.rounds, text)

        starts = _starts(prepared, setting, asked, config, config.seed + 7919 * number)
        synthesis = SynthesisConfig(
            count=len(starts), draws=1, seed=config.seed + 7919 * number, optimise=config.optimise
        )
        candidates = run(prepared, synthesis, starts, show).candidates
        measured = {id(c): measure(prepared, asked, c) for c in candidates}
        # What has the wrong contact need not be judged where something has the right one.
        good = [measured[id(c)].good for c in candidates]
        worth = good if any(good) else [True] * len(candidates)
        verdicts: list[Any] = [None] * len(candidates)
        if judge:
            tell((number + 0.92) / config.rounds, "physics")
            pieces = pieces or physics.convex_pieces(prepared.template.mesh, prepared.template.sdf)
            verdicts = [_judged(prepared, c, pieces) if w else None for c, w in zip(candidates, worth)]
        for candidate, verdict in zip(candidates, verdicts):
            score, reason = score_of(candidate, verdict)
            ranked = dataclasses.replace(candidate, score=score, reason=reason)
            made.append(Made(ranked, measured[id(candidate)], verdict))
        if any(m.measured.good for m in made):
            break
    return Composed(setting, prepared, tuple(sorted(made, key=_order)))


def _order(made: Made) -> tuple[bool, bool, float]:
    return (not made.measured.contact_holds, not made.measured.depth < DEEP, -made.candidate.score)


def measure(prepared: Prepared, asked: str, candidate: Candidate) -> Measured:
    """Measures a candidate: which parts are within 4 cm, and how deep the surfaces are in each other.

    Args:
      prepared: of its object.
      asked: the configuration that was asked for.
      candidate: what is measured.
    """
    mesh = prepared.template.mesh
    rotation, translation = np.asarray(candidate.pose.rotation), np.asarray(candidate.pose.translation)
    placed = Mesh((np.asarray(mesh.vertices) @ rotation.T + translation).astype(np.float32), np.asarray(mesh.faces))
    contact = measure_contact(np.asarray(candidate.body, np.float32), prepared.model, placed)
    return Measured(asked, contact, float(exact_depth(prepared, candidate.body, candidate.pose)))


def _template(mesh: Mesh) -> ObjectTemplate:
    return make_solid_template(mesh, resolution=SDF_RESOLUTION)[0]


def _judged(prepared: Prepared, candidate: Candidate, pieces: Any) -> Any:
    try:
        return physics.judge_candidate(prepared, candidate, pieces)
    except InputError:  # MuJoCo refuses a piece: touch and depth then decide alone
        return None


def _starts(prepared: Prepared, setting: SetUp, asked: str, config: ComposeConfig, seed: int) -> list[Start]:
    """Of many drawn starts those in which the fewest vertices are near that should not be, as many as are refined."""
    drawn = draw_starts(prepared.relations, prepared.thing, config.count * config.draws, seed, setting.betas)
    params = BodyParams(*(np.stack([getattr(s, n) for s in drawn]) for n in ("rotations", "betas", "translation")))
    bodies = np.asarray(pose_body_compiled(prepared.model, jax.tree.map(np.float32, params)).vertices)
    excess = [_excess(prepared, start, body, asked) for start, body in zip(drawn, bodies)]
    order = np.argsort(excess, kind="stable")[: config.count]
    return [drawn[k] for k in order]


def _excess(prepared: Prepared, start: Start, body: np.ndarray, asked: str) -> int:
    """Vertices near the object, of parts that the asked configuration does not have."""
    allowed = _allowed(asked, prepared.model)
    if allowed is None:
        return 0
    mesh = prepared.template.mesh
    placed = np.asarray(mesh.vertices) @ start.object_rotation.T + start.object_translation
    thing = Mesh(placed.astype(np.float32), np.asarray(mesh.faces))
    contact = measure_contact(np.asarray(body, np.float32), prepared.model, thing)
    return sum(name not in allowed for name in contact.parts)


def _allowed(asked: str, model: BodyModel) -> frozenset[str] | None:
    """Parts that may be near; None: any."""
    if asked in ("right_hand", "left_hand"):
        return HANDS[asked.partition("_")[0]]
    if asked == "both_hands":
        return HANDS["left"] | HANDS["right"]
    if asked == "no_contact":
        return frozenset()
    if asked in ("right_leg", "left_leg"):
        side = asked.partition("_")[0]
        return frozenset(f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot"))
    if asked == "back":
        names = {n for n in model.joint_names if not n.endswith(("wrist", "hand"))}
        return frozenset({*names, "back"})
    return None
