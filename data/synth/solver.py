"""Fitting the contact of a batch of starts with `hoijax.optim`, in one compiled program for all actions."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, free_body
from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.focus import Box, focus, solid
from hoijax.data.synth.sampling import Candidate, instance
from hoijax.geometry import Mesh, RigidPose, build_sdf
from hoijax.interaction import ObjectTemplate, surface_points
from hoijax.optim.fields import BodyField, body_field
from hoijax.optim.gradient import Floor, RefineConfig, RefineStage, Sizes, Weights, part_targets, refine_batch

BATCH = 25
"""Interactions fitted at a time; a smaller batch is filled up, so that one program serves all."""
PARTS = 4
"""Most regions that a start asks to touch."""
RESOLUTION = 44
"""Samples of a distance grid along each side."""
MARGIN = 0.0025
"""Bodies are kept this far off a surface, metres: in places the fitted coarse body lies inside of the finer one."""
_NO_FLOOR = -10.0
"""A floor far below: nothing is drawn to it."""


@dataclasses.dataclass(frozen=True)
class SolvedCandidate:
    """A candidate after fitting: world y up, floor y = 0, float64."""

    candidate: Candidate
    rotations: np.ndarray
    translation: np.ndarray
    object_rotation: np.ndarray
    object_translation: np.ndarray

    @property
    def furniture(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Rotation and translation of each piece of furniture, which stands still relative to the object."""
        start = self.candidate.start
        turned = self.object_rotation @ start.placed.rotation.T
        return tuple(
            (turned @ f.rotation, turned @ (f.translation - start.placed.translation) + self.object_translation)
            for f in start.furniture
        )


def pose_mesh(obj: ProceduralObject, rotation: np.ndarray, translation: np.ndarray) -> Mesh:
    """An object's mesh in the world."""
    vertices = np.asarray(obj.mesh.vertices) @ rotation.T + translation
    return Mesh(vertices, np.asarray(obj.mesh.faces))


def join_meshes(meshes: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes])
    faces = [np.asarray(m.faces) + offset for m, offset in zip(meshes, offsets)]
    return Mesh(np.concatenate([np.asarray(m.vertices) for m in meshes]), np.concatenate(faces).astype(np.int32))


@functools.lru_cache(maxsize=768)
def template(category: str, seed: int, action: str, side: float) -> ObjectTemplate:
    """The template of an instance for an action, remembered; `side`: see `focus.solid`."""
    obj = instance(category, seed)
    body = solid(obj, action, side)
    # What a worn backpack touches with is the bag: straps are no part of its template.
    return focus_template(body if action == "wear" else obj.mesh, body, focus(obj, action))


def focus_template(mesh: Mesh, body: Mesh, box: Box | None) -> ObjectTemplate:
    """A template whose distance grid covers only a box, and is the finer for it.

    Vertices outside are moved to the box's nearest sides, which cuts solids along the axes exactly and keeps every
    solid closed; a thin part of a large thing would otherwise fall between the samples.

    Args:
      mesh: what is touched.
      body: what must not be entered, the same or simpler.
      box: part of `body` that the grid covers; None: all of it.
    """
    vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    points = surface_points(vertices, faces, 64).astype(np.float32)
    cut, kept = np.asarray(body.vertices, float), np.asarray(body.faces)
    if box is not None:
        cut = np.clip(cut, *box)
        a, b, c = np.moveaxis(cut[kept], 1, 0)
        kept = kept[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
    sdf = build_sdf(Mesh(cut.astype(np.float32), kept), resolution=RESOLUTION)
    sdf = sdf.replace(values=sdf.values - np.float32(MARGIN))
    return ObjectTemplate(Mesh(vertices.astype(np.float32), faces), points, sdf)


def _template(candidate: Candidate) -> ObjectTemplate:
    """The object's, or that of object and furniture together, in the object's frame."""
    start = candidate.start
    if not start.furniture:
        local = start.placed.rotation.T @ (start.puppet.position("spine1") - start.placed.translation)
        return template(candidate.category, candidate.object_seed, candidate.action.name, float(np.sign(local[2])))
    back = start.placed.rotation.T
    meshes = [start.placed.object.mesh]
    for piece in start.furniture:
        offset = back @ (piece.translation - start.placed.translation)
        meshes.append(pose_mesh(piece.object, back @ piece.rotation, offset))
    # Around the seat and the hands; legs of table and chair are out of it.
    places = [start.puppet.points("buttocks"), start.placed.vertices()]
    local = (np.concatenate(places) - start.placed.translation) @ back.T
    whole = join_meshes(meshes)
    return focus_template(whole, whole, (local.min(axis=0) - [0.12, 0.12, 0.12], local.max(axis=0) + [0.12, 0.2, 0.12]))


@functools.cache
def fields(lod: str) -> tuple[BodyModel, BodyField]:
    """The body that is solved with."""
    model = free_body(lod)
    return model, body_field(model)


STAGES = (
    RefineStage("align", 60, ("root", "translation", "object"), weights=Weights(penetration=0.02, interior=0.02)),
    RefineStage("reach", 60, weights=Weights(penetration=0.1, interior=0.1)),
    RefineStage("settle", 80, rate=0.5, facing=0.25, weights=Weights(penetration=2.0, interior=2.0)),
    RefineStage("polish", 80, rate=0.25, facing=0.1, weights=Weights(penetration=8.0, interior=8.0)),
)
"""The dataset's own, whatever the refiner's defaults become: the samples of a seed must stay what they are."""


def refine_config(steps: int) -> RefineConfig:
    """The refiner's settings: fewer points than its defaults, the shape held."""
    sizes = Sizes(steps_per_round=10, body_points=256, contact_points=24, object_points=192)
    return RefineConfig(stages=STAGES, freeze=("object_scale", "betas"), sizes=sizes).with_steps(steps)


def solve(candidates: list[Candidate], lod: str, steps: int) -> list[SolvedCandidate]:
    """Fits up to `BATCH` candidates.

    Args:
      candidates: any actions and objects.
      lod: level of detail of the body.
      steps: largest number of gradient steps.

    Returns:
      One result per candidate, in order.
    """
    model, field = fields(lod)
    batch = candidates + candidates[:1] * (BATCH - len(candidates))
    starts = [c.start for c in batch]
    params = BodyParams(
        rotations=_stack([s.puppet.rotations for s in starts]),
        betas=_stack([s.puppet.betas for s in starts]),
        translation=_stack([s.puppet.translation for s in starts]),
    )
    pose = RigidPose(
        rotation=_stack([s.placed.rotation for s in starts]),
        translation=_stack([s.placed.translation for s in starts]),
        scale=jnp.ones(len(batch), jnp.float32),
    )
    made = {id(c): _template(c) for c in candidates}
    templates = [made[id(c)] for c in batch]
    names = [(*s.contact, *s.support) for s in starts]
    targets = part_targets(model, [*names, ("back",) * PARTS])  # the last row makes room for all parts
    targets = jax.tree.map(lambda x: x[:-1], targets)
    level = jnp.asarray([0.0 if s.floor else _NO_FLOOR for s in starts], jnp.float32)
    gravity = jnp.broadcast_to(jnp.asarray([0.0, -1.0, 0.0], jnp.float32), (len(batch), 3))
    result = refine_batch(
        model, params, templates, pose, targets, refine_config(steps), floor=Floor(gravity, level), body=field
    )
    moved = jax.tree.map(np.asarray, (result.params.rotations, result.params.translation, result.pose))
    return [_settle(c, *(x[i].astype(float) for x in (moved[0], moved[1], moved[2].rotation, moved[2].translation)))
            for i, c in enumerate(candidates)]  # fmt: skip


def _settle(
    candidate: Candidate, rotations: np.ndarray, translation: np.ndarray, turn: np.ndarray, place: np.ndarray
) -> SolvedCandidate:
    """The result with exact rotations; what stands on the floor without having been drawn to it, set down."""
    u, _, v = np.linalg.svd(np.concatenate([rotations, turn[None]]))
    exact = u @ v
    fitted = SolvedCandidate(candidate, exact[:-1], translation, exact[-1], place)
    if candidate.start.floor:
        return fitted
    lowest = min(
        pose_mesh(candidate.start.placed.object, fitted.object_rotation, place).vertices[:, 1].min(),
        *(pose_mesh(f.object, *at).vertices[:, 1].min() for f, at in zip(candidate.start.furniture, fitted.furniture)),
        np.inf,
    )
    down = np.array([0.0, -lowest, 0.0])
    return dataclasses.replace(fitted, translation=translation + down, object_translation=place + down)


def _stack(arrays: list[np.ndarray]) -> jax.Array:
    return jnp.asarray(np.stack(arrays), jnp.float32)
