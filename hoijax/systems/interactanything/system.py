"""A sentence and a mesh in, interactions out, with nothing but what ships (InteractAnything without diffusion)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, contact_regions, pose_body_compiled
from hoijax.data.synth.rig import turn
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose, query_sdf
from hoijax.interaction import THRESHOLDS, ObjectRegion, ObjectTemplate, region_of_box
from hoijax.metrics import signed_distance_host
from hoijax.optim.fields import BodyField, body_field
from hoijax.systems.interactanything import affordance as aff
from hoijax.systems.interactanything.equations import equation_targets
from hoijax.systems.interactanything.learned import GEOMETRIC, affordance_network, learned_weights, likeliest
from hoijax.systems.interactanything.prior import BANK, pose_prior, sample_starts, start_gap
from hoijax.systems.interactanything.relations import Relations, place
from hoijax.systems.interactanything.relations.shape import Box
from hoijax.systems.interactanything.stages import OptimiseConfig, optimise
from hoijax.systems.interactanything.starts import Start, Thing, draw_starts

DOUBTED = 0.005
"""Depth from which the refiner's quick measure is checked exactly, metres."""
PROBED = 4096
"""Most vertices of an object that are looked for in a body, beside samples of its surface."""
REACH = 1.0
"""Weight of how far the parts of a sample of the prior are from their places, beside how deep it is."""
Watch = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True)
class SynthesisConfig:
    """How candidates are made."""

    count: int = 8
    """Candidates that are kept."""
    draws: int = 2
    """Starts of the bank drawn for each of them; those that penetrate least are refined."""
    seed: int = 0
    poses: str = BANK
    """Where starts come from: "bank", the scripts; "prior", the diffusion prior that comes with hoijax; or a file of
    its weights."""
    samples: int = 8
    """Samples of the prior for each candidate, in one batch; those with the best score are refined."""
    optimise: OptimiseConfig = dataclasses.field(default_factory=OptimiseConfig)
    use_affordance: bool = True
    """False: parts may touch anywhere (an ablation)."""
    affordance: str = GEOMETRIC
    """Where within their places parts touch: "geometric", equations 4 and 5 over drawn bodies; "learned", the point
    network that comes with hoijax; or a file of its weights."""
    refine: bool = True
    """False: starts as they are (an ablation)."""

    def __post_init__(self):
        if min(self.count, self.draws, self.samples) < 1:
            raise ValueError("count, draws and samples must be at least 1")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A body, an object at its size and what the sentence says of both."""

    model: BodyModel
    field: BodyField
    template: ObjectTemplate
    """Of the object at its size."""
    thing: Thing
    relations: Relations
    """Places in the frame of the object at its size."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One interaction: world y up, floor y = 0; a point p of the mesh at its size is at rotation @ p + translation."""

    params: BodyParams
    pose: RigidPose
    body: np.ndarray
    """Vertices of the body, `(V, 3)` metres."""
    joints: np.ndarray
    """Its joints, `(J, 3)` metres."""
    contact: dict[str, float]
    """Distance of each asked part to its place, metres."""
    max_penetration: float
    floor_distance: float
    """Height of the lowest vertex of the body, metres."""
    before: dict[str, Any]
    """The same of the start."""
    start: Start
    verdict: tuple[str, ...]
    good: bool
    """Whether every part touches and nothing penetrates."""
    score: float = 0.0
    """Higher is better; see `score_of`."""
    reason: str = ""
    """Why it has the score."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a sentence and a mesh."""

    candidates: tuple[Candidate, ...]
    """Best first."""
    affordance: Mapping[str, np.ndarray]
    """Part of the body to a weight for each vertex of the mesh, sum 1."""
    regions: Mapping[str, ObjectRegion]
    """Where each part was asked to touch, of the best candidate."""


def at_size(relations: Relations) -> Relations:
    """The relations with places in the frame of the mesh at its size."""
    contacts = tuple(
        dataclasses.replace(c, places=tuple(b.scaled(relations.mesh_scale) for b in c.places))
        for c in relations.contacts
    )
    return dataclasses.replace(relations, contacts=contacts)


def on_the_back(relations: Relations) -> Relations:
    """The relations where whoever lies touches with the back of the head: of a whole head most vertices are the face's,
    and a tenth of it is never near what it lies on."""
    if relations.pose != "lie":
        return relations
    contacts = tuple(
        dataclasses.replace(c, body_part="back_of_head") if c.body_part == "head" and c.kind == "support" else c
        for c in relations.contacts
    )
    return dataclasses.replace(relations, contacts=contacts)


def prepare(model: BodyModel, template: ObjectTemplate, relations: Relations) -> Prepared:
    """Everything that does not depend on chance. Host function.

    Args:
      model: the body; the bank's poses are those of the free body's joints.
      template: the object at its size (`Relations.mesh_scale` applied), y up, front towards +z, metres.
      relations: of the sentence and the mesh; places in the frame of the mesh before it was sized.

    Raises:
      InputError: a body with other joints than the free body's.
    """
    if model.num_joints != 52:
        raise InputError(
            f"the bank of poses has 52 joints, this body has {model.num_joints}; use the free body or SMPL-H"
        )
    mesh = Mesh(np.asarray(template.mesh.vertices), np.asarray(template.mesh.faces))

    def distance(points: np.ndarray) -> np.ndarray:
        # Few sizes, so that few programs are compiled.
        padded = np.zeros((1 << max(len(points) - 1, 1).bit_length(), 3), np.float32)
        padded[: len(points)] = points
        return np.asarray(signed_distance(template.sdf, padded))[: len(points)]

    thing = Thing.of(mesh, distance)
    return Prepared(model, body_field(model), template, thing, on_the_back(at_size(relations)))


signed_distance = jax.jit(query_sdf)
"""`query_sdf` as one compiled program."""


def run(
    prepared: Prepared,
    config: SynthesisConfig = SynthesisConfig(),
    starts: list[Start] | None = None,
    watch: Watch | None = None,
) -> Result:
    """Draws, places, refines and ranks candidates.

    A host function around compiled batches; the same input has the same answer.

    Args:
      prepared: from `prepare`.
      config: how many, and how.
      starts: given ones instead of the bank's.
      watch: called with the share done and what is going on.

    Returns:
      The candidates, best first.
    """
    relations, thing, model = prepared.relations, prepared.thing, prepared.model
    network, prior = affordance_network(config.affordance), pose_prior(config.poses)
    tell = watch or (lambda share, text: None)
    tell(0.0, "poses")
    reach = 0.0
    if starts is None and prior is not None:
        starts, reach = sample_starts(prior, model, relations, thing, config.count * config.samples, config.seed), REACH
    elif starts is None:
        starts = draw_starts(relations, thing, config.count * config.draws, config.seed)
    bodies = _pose(model, starts)
    rough = [start_badness(prepared, s, v, reach) for s, v in zip(starts, bodies.vertices)]
    order = np.argsort(rough, kind="stable")[: config.count]
    maps = affordance_maps(prepared, starts, bodies.joints, network)
    narrow = None if network is None else maps
    starts = [starts[k] for k in order]
    tell(0.1, "affordance")
    cache: dict[Any, ObjectRegion] = {}
    regions = [_regions(prepared, s, cache, narrow) if config.use_affordance else {} for s in starts]
    parts = [relations.body_parts for _ in starts]
    params = BodyParams(*(np.stack([getattr(s, n) for s in starts]) for n in ("rotations", "betas", "translation")))
    pose = RigidPose(
        np.stack([s.object_rotation for s in starts]),
        np.stack([s.object_translation for s in starts]),
        np.ones(len(starts), np.float32),
    )
    standing = relations.standing
    feet = None if any(s.feet for s in starts) else False
    settings = config.optimise if config.refine else config.optimise.scaled(0.0)
    equations = (
        equation_targets(thing.mesh, relations, regions, maps, settings.penetration) if settings.has_equations else None
    )
    placed, fine = optimise(
        model, prepared.field, prepared.template, params, pose, parts, regions,
        rests=standing == "floor", held=standing in ("carried", "worn"), feet=feet, worn=standing == "worn",
        gripped=standing == "carried" and all(s.gripped for s in starts),
        equations=equations, config=settings,
        watch=lambda share, text: tell(0.1 + 0.8 * share, text),
    )  # fmt: skip
    bodies = _pose_params(model, fine.params)
    candidates = [_candidate(prepared, starts[i], fine, placed, bodies, i) for i in range(len(starts))]
    ranked = sorted(candidates, key=lambda c: -c.score)
    best = ranked[0].start
    return Result(tuple(ranked), maps, _regions(prepared, best, cache, narrow))


def given_starts(prepared: Prepared, params: BodyParams, count: int, seed: int) -> list[Start]:
    """Starts of one given pose: the object is placed about it by the relations' numbers, with variation.

    Args:
      prepared: from `prepare`.
      params: the pose, without leading axes; its translation counts where the person does not rest on the object.
      count: how many.
      seed: of the variation.
    """
    model, relations = prepared.model, prepared.relations
    vertices = _pose_params(model, jax.tree.map(lambda x: np.asarray(x)[None], params)).vertices[0]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    regions = contact_regions(model)
    asked = [vertices[regions[p]] for p in relations.body_parts if p in regions]
    touching = np.concatenate(asked) if asked else vertices
    # The mesh has its size already: neither the scale nor one of the four sizes counts again.
    size = float(np.ptp(np.asarray(prepared.thing.mesh.vertices), axis=0).max())
    sized = dataclasses.replace(relations, mesh_scale=1.0, size_m=(size, size))
    put = place(
        sized, (low, high), np.asarray(prepared.thing.mesh.vertices), parts_low=float(touching[:, 1].min()),
        parts_centre=touching.mean(axis=0),
    )  # fmt: skip
    corners = np.asarray(prepared.thing.mesh.vertices, np.float64)
    middle = put.rotation @ (corners.min(axis=0) + corners.max(axis=0)) / 2
    starts = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        yaw = turn("Y", 0.0 if k == 0 else rng.uniform(-30, 30))
        shift = np.zeros(3) if k == 0 else np.array([rng.uniform(-0.08, 0.08), 0.0, rng.uniform(-0.08, 0.08)])
        lifted = np.asarray(params.translation, float) + [0.0, put.lift, 0.0]
        starts.append(
            Start(
                rotations=np.asarray(params.rotations, np.float32),
                translation=lifted.astype(np.float32),
                betas=np.asarray(params.betas, np.float32),
                object_rotation=(yaw @ put.rotation).astype(np.float32),
                # About its middle, wherever the mesh's origin is.
                object_translation=(put.translation + middle - yaw @ middle + shift).astype(np.float32),
                places={c.body_part: c.places for c in relations.contacts},
                feet=put.lift <= 0,
                script="given",
            )
        )
    return starts


def _pose(model: BodyModel, starts: list[Start]) -> Any:
    return _pose_params(
        model, BodyParams(*(np.stack([getattr(s, n) for s in starts]) for n in ("rotations", "betas", "translation")))
    )


def _pose_params(model: BodyModel, params: BodyParams) -> Any:
    return jax.tree.map(np.asarray, pose_body_compiled(model, params))


def start_badness(prepared: Prepared, start: Start, body: Float[np.ndarray, "V 3"], reach: float = 0.0) -> float:
    """How bad a start is: its deepest vertex, a little how far it hangs in the air, and how far parts are from places.

    Args:
      prepared: from `prepare`.
      start: a body beside the object.
      body: its vertices, world, metres.
      reach: weight of the parts' mean distance; scripts bring parts to their places anyhow.
    """
    local = (body - start.object_translation) @ start.object_rotation
    depth = np.asarray(signed_distance(prepared.template.sdf, local.astype(np.float32)))
    bad = max(0.0, -depth.min()) + 0.3 * max(0.0, depth.min())
    return float(bad + (reach * start_gap(prepared.model, prepared.thing, start, body) if reach else 0.0))


def affordance_maps(
    prepared: Prepared, starts: list[Start], joints: np.ndarray, network: Any = None
) -> dict[str, np.ndarray]:
    """For each asked part a weight per vertex of the mesh, within the places that the relations name: equations 4 and 5
    over the drawn bodies, or what a point network says."""
    names, thing, relations = prepared.model.joint_names, prepared.thing, prepared.relations
    parts, said = relations.body_parts, None
    if network is not None and parts:
        said = dict(zip(parts, learned_weights(network, thing.mesh, parts, relations.action, thing.points)))
    local = np.stack([(j - s.object_translation) @ s.object_rotation for s, j in zip(starts, joints)])
    maps = {}
    for contact in prepared.relations.contacts:
        index = [names.index(n) for n in aff.joints_of(contact.body_part)]
        if said is not None:
            weights = said[contact.body_part]
        else:
            weights = aff.affordance_of_bodies(thing.points.astype(np.float32), local[:, index])
        boxes = tuple({b for s in starts for b in s.places.get(contact.body_part, ())})
        weights = weights * np.where(thing.inside(boxes), 1.0, 0.05)
        maps[contact.body_part] = aff.lift(thing.points, weights / weights.sum(), np.asarray(thing.mesh.vertices))
    return maps


def _regions(
    prepared: Prepared, start: Start, cache: dict[Any, ObjectRegion], maps: Mapping[str, np.ndarray] | None
) -> dict[str, ObjectRegion]:
    """Where each part is to touch: its places, or of these what a map of its affordance says is likeliest."""
    found = {}
    for part, boxes in start.places.items():
        if not boxes:
            continue
        key = (part, boxes)
        if key not in cache:
            word = next(c.object_part for c in prepared.relations.contacts if c.body_part == part)
            cache[key] = _region(word, prepared.thing.mesh, boxes)
            if maps is not None and part in maps:
                cache[key] = likeliest(cache[key], np.asarray(prepared.thing.mesh.vertices), maps[part])
        found[part] = cache[key]
    return found


def _region(word: str, mesh: Mesh, boxes: tuple[Box, ...]) -> ObjectRegion:
    """The surface within boxes; of several, points of each."""
    each = [region_of_box(word, mesh, b.lower, b.upper) for b in boxes]
    if len(each) == 1:
        return each[0]
    share = len(each[0].points) // len(each)
    size = len(each[0].points)
    points, normals = (
        np.concatenate(
            [getattr(r, n)[:share] for r in each] + [getattr(each[0], n)[share : size - share * (len(each) - 1)]]
        )
        for n in ("points", "normals")
    )
    return ObjectRegion(each[0].name, points, normals, float(np.mean([r.spacing for r in each]) * np.sqrt(len(each))))


def _candidate(prepared: Prepared, start: Start, fine: Any, placed: Any, bodies: Any, i: int) -> Candidate:
    # The refiner calls them "part: region".
    parts = [name.partition(":")[0] for name in fine.parts[i]]
    contact = {name: float(fine.after.contact[i][k]) for k, name in enumerate(parts) if name}
    depth = float(fine.after.max_penetration[i])
    if depth > DOUBTED:
        depth = exact_depth(prepared, bodies.vertices[i], jax.tree.map(lambda x: x[i], fine.pose))
    before = {
        "contact": {name: float(placed.before.contact[i][k]) for k, name in enumerate(parts) if name},
        "max_penetration": float(placed.before.max_penetration[i]),
    }
    missed = [n for n, gap in contact.items() if not gap < THRESHOLDS.far]
    words = [f"missed: {', '.join(missed)}"] if missed else ["reached"]
    words += ["penetrates"] if not depth < THRESHOLDS.deep else []
    candidate = Candidate(
        params=jax.tree.map(lambda x: x[i], fine.params),
        pose=jax.tree.map(lambda x: x[i], fine.pose),
        body=bodies.vertices[i],
        joints=bodies.joints[i],
        contact=contact,
        max_penetration=depth,
        floor_distance=float(fine.after.floor[i]),
        before=before,
        start=start,
        verdict=tuple(words),
        good=not missed and depth < THRESHOLDS.deep,
    )
    score, reason = score_of(candidate)
    return dataclasses.replace(candidate, score=score, reason=reason)


def rank(candidates: Sequence[Candidate], verdicts: Sequence[Any]) -> list[tuple[Candidate, Any]]:
    """Candidates with what the physics judge says of each (None: nobody judged), scored by both, best first."""
    both = []
    for candidate, physics in zip(candidates, verdicts, strict=True):
        score, reason = score_of(candidate, physics)
        both.append((dataclasses.replace(candidate, score=score, reason=reason), physics))
    return sorted(both, key=lambda pair: -pair[0].score)


def exact_depth(prepared: Prepared, body: np.ndarray, pose: RigidPose) -> float:
    """Deepest vertex of a body in the object, by its grid, or deepest point of the object in the body, exactly, metres.

    Args:
      prepared: from `prepare`.
      body: vertices, `(V, 3)`.
      pose: of the object.
    """
    rotation, translation = np.asarray(pose.rotation, np.float64), np.asarray(pose.translation, np.float64)
    local = (body - translation) @ rotation
    deep = max(0.0, -float(np.asarray(signed_distance(prepared.template.sdf, local.astype(np.float32))).min()))
    probes = np.concatenate([prepared.thing.points, np.asarray(prepared.thing.mesh.vertices)[:PROBED]])
    probes = probes @ rotation.T + translation
    probes = probes[np.all((probes > body.min(axis=0)) & (probes < body.max(axis=0)), axis=1)]
    if not len(probes):
        return deep
    inside = signed_distance_host(probes.astype(np.float32), Mesh(body, np.asarray(prepared.model.faces)))
    return max(deep, -float(np.min(inside)))


def score_of(candidate: Candidate, physics: Any = None) -> tuple[float, str]:
    """A number that ranks candidates, and why: touch and depth in centimetres, and what the physics judge says."""
    far = max(candidate.contact.values(), default=0.0)
    score = -100 * max(0.0, far - 0.005) - 150 * max(0.0, candidate.max_penetration - 0.003)
    score += 2.0 * candidate.good
    farthest = max(candidate.contact, key=candidate.contact.get, default="")
    told = [f"{farthest.replace('_', ' ')} {1000 * far:.0f} mm away" if far > 0.005 else "every part touches"]
    told.append(f"{1000 * candidate.max_penetration:.0f} mm deep")
    if physics is not None:
        score += 3.0 * physics.holds - 10.0 * min(physics.displacement, 0.3)
        told.append(physics.words)
    return float(score), "; ".join(told)
