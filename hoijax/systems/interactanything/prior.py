"""Poses from the diffusion prior: what relations and a mesh tell it, samples as starts, and which of them are kept."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, BodyParams, contact_regions, pose_body_compiled
from hoijax.diffusion import classifier_free, cosine_schedule, ddim_sample
from hoijax.geometry import rotation_from_6d, stratified_samples
from hoijax.nets.interactanything import VERBS, Condition, PosePrior, load_prior, unpack, verb_of
from hoijax.systems.interactanything.relations import Relations
from hoijax.systems.interactanything.relations.schema import BANDS, BODY_PARTS, FACES, KINDS, POSES, SIDES
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.starts import Start, Thing

BANK, PRIOR = "bank", "prior"
"""Names of where poses come from; other names are files of a prior's weights."""
STANDING = ("floor", "raised", "carried", "worn")
PLACES, POINTS = 16, 128
"""Places and points of the surface that a condition holds."""
OPTIONS = (len(VERBS), len(POSES), len(SIDES), len(FACES), len(STANDING), len(KINDS), len(BANDS))
SCHEDULE = cosine_schedule()
STEPS = 25
"""Of DDIM."""
STRENGTH = 1.5
"""Of classifier-free guidance."""
SEEDS = 8
"""Samples drawn for each start that is kept."""


@functools.lru_cache(maxsize=4)
def pose_prior(name: str) -> PosePrior | None:
    """The prior of a name; None: the bank of scripts has none.

    Args:
      name: "bank", "prior" for the weights that come with hoijax, or a file of weights.

    Raises:
      InputError: no such file, weights of another network, or none that come with hoijax.
    """
    if name == BANK:
        return None
    return load_prior(None if name == PRIOR else pathlib.Path(name))


NAMED = {"back_of_head": "head"}
"""Parts that `prepare` names and relations do not, as the prior knows them."""


def condition_of(relations: Relations, thing: Thing, refined: bool = True) -> Condition:
    """What the prior is told of relations and an object. Host function.

    Args:
      relations: places in the thing's own frame.
      thing: the object at its size.
      refined: whether poses are wanted as stages D and E leave them, or as a script draws them.
    """
    low, high = np.asarray(thing.mesh.vertices).min(axis=0), np.asarray(thing.mesh.vertices).max(axis=0)
    middle = (low + high) / 2
    options = (POSES, tuple(SIDES), tuple(FACES), STANDING, tuple(KINDS), tuple(BANDS))
    said = (relations.pose, relations.object_side_of_human, relations.object_face_to_human, relations.standing,
            relations.contact_kind, relations.height_band)  # fmt: skip
    choices = [verb_of(relations.action), *(names.index(word) for names, word in zip(options, said))]
    wanted = [
        (BODY_PARTS.index(NAMED.get(contact.body_part, contact.body_part)), box)
        for contact in relations.contacts
        for box in contact.places or (Box(tuple(low), tuple(high)),)
    ][:PLACES]
    part, place, asked = np.zeros(PLACES, np.int32), np.zeros((PLACES, 6), np.float32), np.zeros(PLACES, bool)
    for k, (index, box) in enumerate(wanted):
        lower, upper = np.maximum(box.lower, low), np.minimum(box.upper, high)
        part[k], asked[k] = index, True
        place[k] = np.concatenate([(lower + upper) / 2 - middle, np.maximum(upper - lower, 0.0) / 2])
    corners = np.asarray(thing.mesh.vertices, np.float64)[np.asarray(thing.mesh.faces)]
    points, face = stratified_samples(corners, POINTS)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    return Condition(
        choices=np.array(choices, np.int32),
        size=(high - low).astype(np.float32),
        part=part,
        place=place,
        asked=asked,
        points=np.concatenate([points - middle, normal], axis=1).astype(np.float32),
        refined=np.float32(refined),
    )


@functools.partial(jax.jit, static_argnames=("count",))
def sample_states(graph: Any, weights: Any, condition: Condition, key: jax.Array, strength: Any, count: int) -> Any:
    """Samples of one condition, all from their own noise, by DDIM with classifier-free guidance: rotations of the
    joints and of the object, height, the object's middle from the body's translation, and feet as in `State`."""
    prior = nnx.merge(graph, weights)
    told = jnp.broadcast_to(prior.encode(condition), (count, prior.config.condition))

    def denoiser(c: jax.Array) -> Any:
        return lambda x, t: prior(x, jnp.broadcast_to(t / SCHEDULE.num_steps, x.shape[:1]).astype(x.dtype), c)

    denoise = classifier_free(denoiser(told), denoiser(prior.unconditional(count)), strength)
    kind = prior.mean[...].dtype
    draw = lambda k: jax.random.normal(jax.random.fold_in(key, k), (prior.config.size,), kind)  # noqa: E731
    noise = jax.vmap(draw)(jnp.arange(count))
    times = np.round(np.linspace(0, SCHEDULE.num_steps - 1, STEPS + 1)).astype(int)
    state = unpack(prior, prior.unnormalised(ddim_sample(denoise, noise, SCHEDULE, times, prediction="x0").x0))
    rotations = rotation_from_6d(jnp.concatenate([state.joints, state.fingers], axis=-2))
    return rotations, rotation_from_6d(state.turn), state.height, state.middle, state.feet


def sample_starts(
    prior: PosePrior,
    model: BodyModel,
    relations: Relations,
    thing: Thing,
    count: int,
    seed: int,
    *,
    strength: float = STRENGTH,
    refined: bool = True,
    told: bool = True,
) -> list[Start]:
    """Starts from the prior, all in one batch, each from its own noise. Host function.

    What stands stays upright, on the floor where the relations say so; a body whose feet stand is lifted or lowered on
    to it.

    Args:
      prior: the denoiser.
      model: the body, with the free body's 52 joints.
      relations: of the sentence; places in the thing's own frame.
      thing: the object at its size.
      count: how many.
      seed: of the noise; more samples begin with the same ones.
      strength: of classifier-free guidance.
      refined: see `condition_of`.
      told: False: without any condition.
    """
    condition = condition_of(relations, thing, refined)
    drawn = sample_states(*nnx.split(prior), condition, jax.random.key(seed), strength if told else 0.0, count)
    rotations, turns, height, middles, stands = (np.asarray(x, np.float32) for x in drawn)
    betas = np.zeros((count, model.num_betas), np.float32)
    translation = height * np.float32([0.0, 1.0, 0.0])
    bodies = pose_body_compiled(model, BodyParams(rotations, betas, translation))
    vertices = np.asarray(bodies.vertices)
    corners = np.asarray(thing.mesh.vertices, np.float64)
    box_middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    held = relations.standing in ("carried", "worn")
    starts = []
    for k in range(count):
        turn = turns[k] if held else nearest_yaw(turns[k])
        middle = translation[k] + middles[k]
        feet = bool(stands[k, 0] > 0)
        lift = -float(vertices[k, :, 1].min()) if feet else 0.0
        place = middle - turn @ box_middle + [0.0, lift if held else 0.0, 0.0]
        if relations.standing == "floor":
            place[1] = -float((corners @ turn.T)[:, 1].min())
        own = translation[k] + [0.0, lift, 0.0]
        body = vertices[k] + [0.0, lift, 0.0]
        starts.append(
            Start(
                rotations=rotations[k],
                translation=own.astype(np.float32),
                betas=betas[k],
                object_rotation=turn.astype(np.float32),
                object_translation=place.astype(np.float32),
                places=chosen_places(model, relations, thing, body, turn, place),
                feet=feet,
                script=PRIOR,
            )
        )
    return starts


def nearest_yaw(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The turn about the vertical that is nearest to a rotation."""
    angle = np.arctan2(rotation[0, 2] - rotation[2, 0], rotation[0, 0] + rotation[2, 2])
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def chosen_places(
    model: BodyModel,
    relations: Relations,
    thing: Thing,
    body: Float[np.ndarray, "V 3"],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, "3"],
) -> dict[str, tuple[Box, ...]]:
    """Of the places that the relations name for each part of the body, the one that is nearest to it.

    Args:
      model: the body.
      relations: places in the thing's own frame.
      thing: the object.
      body: vertices, world, metres.
      rotation: of the object.
      translation: of the object.
    """
    regions, local = contact_regions(model), (body - translation) @ rotation
    chosen: dict[str, tuple[Box, ...]] = {}
    for contact in relations.contacts:
        chosen[contact.body_part] = contact.places
        if len(contact.places) > 1 and contact.body_part in regions:
            part = local[regions[contact.body_part]]
            gaps = [_gap(part, thing.points[thing.inside((box,))]) for box in contact.places]
            chosen[contact.body_part] = (contact.places[int(np.argmin(gaps))],)
    return chosen


def _gap(part: Float[np.ndarray, "N 3"], surface: Float[np.ndarray, "M 3"]) -> float:
    return float(cKDTree(surface).query(part)[0].min())


def start_gap(model: BodyModel, thing: Thing, start: Start, body: Float[np.ndarray, "V 3"]) -> float:
    """Mean distance of the parts to their places, metres; 0 where nothing is to touch."""
    regions = contact_regions(model)
    local = (body - start.object_translation) @ start.object_rotation
    gaps = [
        _gap(local[regions[part]], thing.points[thing.inside(boxes)])
        for part, boxes in start.places.items()
        if part in regions
    ]
    return float(np.mean(gaps)) if gaps else 0.0
