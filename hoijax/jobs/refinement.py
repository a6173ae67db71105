"""Refining any number of interactions: what is to be done, what is done already, and doing the rest in batches."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import ObjectTemplate, make_solid_template
from hoijax.io import LoadedMesh, ParameterFile, read_mesh, simplify
from hoijax.jobs.bodies import Start
from hoijax.optim.gradient import SDF_RESOLUTION, Floor, Progress, RefineConfig, RefineResult, body_field, refine_batch

if TYPE_CHECKING:
    from hoijax.systems.scorehoi.score_prior import ScorePrior

MAX_FACES = 20_000
"""Faces of the mesh that the distance grid is built from and that pictures show."""


FAR_APART = 1.0
"""Gap between the boxes of body and object, metres, that is worth a warning."""


@dataclasses.dataclass(frozen=True)
class ObjectAsset:
    """An object as it is shown and as it is computed with."""

    mesh: LoadedMesh
    """As read; goes to the GLB."""
    light: LoadedMesh
    """Decimated where `mesh` is large."""
    template: ObjectTemplate
    """Of `light`."""

    @classmethod
    def read(cls, path: pathlib.Path, units: str | None) -> "ObjectAsset":
        """Reads and checks a mesh, then builds its distance grid.

        Raises:
          InputError: see `hoijax.io.read_mesh`.
        """
        return cls.of(read_mesh(path, units=units))

    @classmethod
    def of(cls, mesh: LoadedMesh) -> "ObjectAsset":
        """The asset of a mesh that has been read."""
        light = simplify(mesh, MAX_FACES)
        shape = Mesh(vertices=light.vertices, faces=light.faces)
        template, solid = make_solid_template(shape, resolution=SDF_RESOLUTION)
        return cls(mesh, dataclasses.replace(light, report=dataclasses.replace(light.report, solid=solid)), template)


@dataclasses.dataclass(frozen=True)
class FloorRule:
    """Where the floor of each interaction is."""

    gravity: tuple[float, float, float]
    """Direction of gravity."""
    level: float | None
    """Height against gravity, metres; None: that of the lowest points of the estimated body."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One interaction to refine."""

    name: str
    """What messages and tables call it."""
    folder: pathlib.Path
    """Where its results go."""
    source: ParameterFile
    """Its parameters, one row."""
    start: Start
    """The same for the refiner."""
    object: ObjectAsset
    """Its object."""
    contacts: tuple[str, ...] | None
    """Parts that must touch; None: proposed from proximity."""
    floor: FloorRule | None
    """The floor, or None."""
    config: RefineConfig
    """Its share of the settings: frozen groups included."""
    key: str
    """Digest of everything that the result depends on."""

    def is_finished(self) -> bool:
        """Whether the folder holds this item's results, made from the same inputs with the same options."""
        if not all((self.folder / name).is_file() for name in ("interaction.glb", "refined.npz")):
            return False
        try:
            return json.loads((self.folder / "metrics.json").read_text()).get("key") == self.key
        except (OSError, ValueError, AttributeError):
            return False


@dataclasses.dataclass(frozen=True)
class Refined:
    """The result of one item, on the host."""

    item: Item
    """What was asked for."""
    params: BodyParams
    """Refined body."""
    pose: RigidPose
    """Refined object."""
    body_before: np.ndarray
    """`(V, 3)` metres."""
    body_after: np.ndarray
    """`(V, 3)` metres."""
    before: dict[str, Any]
    """Metrics of the estimate."""
    after: dict[str, Any]
    """Metrics of the result."""
    steps: int
    """Gradient steps."""
    converged: bool
    """Whether it ended by its convergence test."""
    seconds: float
    """Its share of the batch's time, compilation included."""
    notes: tuple[str, ...] = ()
    """What a person should know about this start."""


def refine_items(
    model: BodyModel,
    items: Sequence[Item],
    batch_size: int,
    progress: Callable[[Progress, int], None] | None = None,
    prior: "ScorePrior | None" = None,
) -> Iterator[Refined]:
    """Refines items in vmapped batches and yields each batch's results as it ends.

    Items that need programs of their own (other frozen groups, proposed or given contacts, with or without a floor) are
    batched apart. The last batch of several is filled up, so that all share one compilation.

    Args:
      model: the body.
      items: what to refine.
      batch_size: most items at a time.
      progress: called with the refiner's progress and the number of items finished before this batch.
      prior: goes before the gradient refiner.

    Yields:
      One result per item, in the order of the batches.
    """
    field = body_field(model)
    groups: dict[tuple, list[Item]] = {}
    for item in items:
        groups.setdefault((item.config, item.contacts is None, item.floor is None), []).append(item)
    finished = 0
    for group in groups.values():
        for first in range(0, len(group), batch_size):
            batch = group[first : first + batch_size]
            filled = batch + [batch[-1]] * (batch_size - len(batch) if len(group) > batch_size else 0)
            watch = None if progress is None else lambda p, done=finished: progress(p, done)
            began = time.perf_counter()
            result, before, after = _refine(model, filled, field, watch, prior)
            seconds = (time.perf_counter() - began) / len(batch)
            for i, item in enumerate(batch):
                yield _unpack(item, i, result, before[i], after[i], seconds)
            finished += len(batch)


_posed = jax.jit(lambda model, params: pose_body(model, params).vertices)


def posed_vertices(model: BodyModel, params: BodyParams) -> np.ndarray:
    """Vertices `(V, 3)` of one body, metres."""
    return np.asarray(_posed(model, jax.tree.map(np.asarray, params)))


def _refine(
    model: BodyModel,
    items: Sequence[Item],
    field: Any,
    progress: Callable[[Progress], None] | None,
    prior: "ScorePrior | None",
) -> tuple[RefineResult, np.ndarray, np.ndarray]:
    """The result of one batch and the bodies before and after, on the host."""
    params = jax.tree.map(lambda *x: np.stack(x), *(item.start.params for item in items))
    pose = jax.tree.map(lambda *x: np.stack(x), *(item.start.pose for item in items))
    before = np.asarray(_posed(model, params))
    templates = [item.object.template for item in items]
    same = all(t is templates[0] for t in templates)
    contacts = None if items[0].contacts is None else [item.contacts for item in items]
    config, floor, found = items[0].config, _floor(items, before), (params, pose)
    if prior is not None:
        freeze = [item.config.freeze for item in items]
        *found, contacts = prior(templates, params, pose, contacts, freeze)

    def run(params: BodyParams, pose: RigidPose, config: RefineConfig, watch: Any) -> RefineResult:
        thing = templates[0] if same else templates
        return refine_batch(model, params, thing, pose, contacts, config, floor=floor, body=field, progress=watch)

    result = run(*found, config, progress)
    if prior is not None:
        # What the person gave, measured by the same parts.
        result = result.replace(before=run(params, pose, config.with_steps(0), None).before)
    result = jax.tree.map(np.asarray, jax.device_get(result))
    return result, before, np.asarray(_posed(model, result.params))


def _floor(items: Sequence[Item], bodies: np.ndarray) -> Floor | None:
    """The floor of each item, with a leading axis."""
    rules = [item.floor for item in items]
    if rules[0] is None:
        return None
    down = np.asarray([rule.gravity for rule in rules], np.float32)
    # Twenty points, so that no single toe decides.
    lowest = np.sort(-np.einsum("bvc,bc->bv", bodies, down), axis=1)[:, :20].mean(axis=1)
    level = np.asarray([low if rule.level is None else rule.level for rule, low in zip(rules, lowest)], np.float32)
    return Floor(gravity=down, level=level)


def _unpack(item: Item, i: int, result: RefineResult, before: np.ndarray, after: np.ndarray, seconds: float) -> Refined:
    """Row i of a batch's result."""
    parts = [(row, name) for row, name in enumerate(result.parts[i]) if name]

    def metrics(state: Any) -> dict[str, Any]:
        return {
            "contact": {name: float(state.contact[i][row]) for row, name in parts},
            "max_penetration": float(state.max_penetration[i]),
            "mean_penetration": float(state.mean_penetration[i]),
            "floor_distance": None if item.floor is None else float(state.floor[i]),
        }

    return Refined(
        item=item,
        params=jax.tree.map(lambda x: x[i], result.params),
        pose=jax.tree.map(lambda x: x[i], result.pose),
        body_before=before,
        body_after=after,
        before=metrics(result.before),
        after=metrics(result.after),
        steps=int(result.steps[i]),
        converged=bool(result.converged[i]),
        seconds=seconds,
        notes=_doubts(item, before),
    )


def _doubts(item: Item, body: np.ndarray) -> tuple[str, ...]:
    """A warning if body and object start so far apart that they can hardly share a frame."""
    thing = placed(item.object.light, item.start.pose)
    gap = np.maximum(0, np.maximum(thing.min(0) - body.max(0), body.min(0) - thing.max(0)))
    far = float(np.linalg.norm(gap))
    if far < FAR_APART:
        return ()
    return (f"the object starts {far:.1f} m away from the body: are obj_rot and obj_trans in the body's frame?",)


def placed(mesh: LoadedMesh, pose: RigidPose) -> np.ndarray:
    """An object's vertices `(V, 3)` where a pose puts them, metres."""
    rotation, move = np.asarray(pose.rotation, np.float64), np.asarray(pose.translation, np.float64)
    return (float(pose.scale) * mesh.vertices.astype(np.float64) @ rotation.T + move).astype(np.float32)
