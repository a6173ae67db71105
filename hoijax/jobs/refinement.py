"""Refining interactions: batches of estimates of one program in, refined bodies and objects with metrics out."""

import dataclasses
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import THRESHOLDS, ObjectRegion, judge
from hoijax.io import ParameterFile
from hoijax.jobs.bodies import RefinerStart
from hoijax.jobs.directions import AXES, Direction
from hoijax.jobs.floors import FloorRule
from hoijax.jobs.objects import ObjectAsset, StoredAsset, place_mesh
from hoijax.jobs.photo_refine import MOST_FALL, OUTLINES, weigh_outlines
from hoijax.jobs.seen import Seen
from hoijax.optim.fields import BodyField
from hoijax.optim.gradient import Floor, Progress, RefineConfig, RefineResult, open_side, refine_batch

Prior = Callable[..., tuple[BodyParams, RigidPose, list[tuple[str, ...]]]]
"""What goes before the gradients, such as `hoijax.systems.scorehoi.score_prior.ScorePrior`: templates, bodies, poses,
contacts and frozen groups in; bodies, poses and the parts that were asked for out."""
OUT_OF_REACH = 0.05
"""Distance of an asked part after all, metres, from which the object seems to offer it nothing."""
FAR_APART = 1.0
"""Gap between the boxes of body and object, metres, that is worth a warning."""


@dataclasses.dataclass(frozen=True)
class Interaction:
    """One interaction to refine: the inputs of an item."""

    source: ParameterFile
    """Its parameters, one row."""
    start: RefinerStart
    """The same for the refiner."""
    object: ObjectAsset | StoredAsset
    """Its object."""
    contacts: tuple[str, ...] | None
    """Parts that must touch; None: proposed from proximity."""
    floor: FloorRule | None
    """The floor, or None."""
    config: RefineConfig
    """Its share of the settings: frozen groups included."""
    up: Direction = AXES["+y"]
    """Against gravity; upward in pictures."""
    regions: Mapping[str, ObjectRegion] = dataclasses.field(default_factory=dict)
    """Part to where on the object it must touch; of other parts anywhere."""
    soft: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Part to the weights of the body's vertices `(V,)` in [0, 1]: probabilities times confidence."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What its record tells otherwise than the command's options."""
    seen: Seen | None = None
    """What a photograph shows of it; None: there is none."""

    def program(self) -> Hashable:
        """What sets its compiled program apart: frozen groups, proposed or given contacts, with or without regions and
        a floor and a photograph."""
        return self.config, self.contacts is None, self.floor is None, bool(self.regions), self.seen is None


@dataclasses.dataclass(frozen=True)
class Refined:
    """The result of one item, on the host."""

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
    tilt: float
    """How far the object leans: from the vertical where it stands, else from its estimate; radians."""
    verdict: tuple[str, ...]
    """What became of it (`hoijax.interaction.Verdict.words`)."""
    good: bool
    """Whether that is good."""
    notes: tuple[str, ...] = ()
    """What a person should know about this start."""

    def moved(self, start: RefinerStart) -> dict[str, float]:
        """How far the body (mean of its vertices) and the object's origin are from the estimate, metres."""
        return shifts(self.body_before, self.body_after, start.pose, self.pose)


def posed_vertices(model: BodyModel, params: BodyParams) -> np.ndarray:
    """Vertices `(V, 3)` of one body, metres; by the program of a batch of one."""
    return np.asarray(pose_body_compiled(model, jax.tree.map(lambda x: np.asarray(x)[None], params)).vertices)[0]


def refine_interactions(
    model: BodyModel,
    field: BodyField | None,
    items: Sequence[Interaction],
    watch: Callable[[float, str], None] | None = None,
    prior: Prior | None = None,
) -> list[Refined]:
    """Refines interactions of one program side by side.

    Args:
      model: the body.
      field: `body_field(model)`.
      items: what to refine; at least one.
      watch: called with the share of the work that is done and the stage.
      prior: goes before the gradient refiner.

    Returns:
      One result per interaction, in order.
    """
    began = time.perf_counter()
    params = jax.tree.map(lambda *x: np.stack(x), *(item.start.params for item in items))
    pose = jax.tree.map(lambda *x: np.stack(x), *(item.start.pose for item in items))
    before = np.asarray(pose_body_compiled(model, params).vertices)
    templates = [item.object.template for item in items]
    same = all(t is templates[0] for t in templates)
    contacts = None if items[0].contacts is None else [item.contacts for item in items]
    regions = [item.regions for item in items] if items[0].regions else None
    soft = [item.soft for item in items] if any(item.soft for item in items) else None
    config, floor, estimate = items[0].config, _floors(items, before), (params, pose)
    if prior is not None:
        freeze = [item.config.freeze for item in items]
        *estimate, contacts = prior(templates, params, pose, contacts, freeze)

    def show(progress: Progress) -> None:
        if watch is not None:
            watch(progress.steps / max(1, progress.total), progress.stage)

    def run(params: BodyParams, pose: RigidPose, config: RefineConfig, progress: Any) -> RefineResult:
        template = templates[0] if same else templates
        return refine_batch(
            model,
            params,
            template,
            pose,
            contacts,
            config,
            regions=regions,
            soft=soft,
            floor=floor,
            body=field,
            progress=progress,
            **_pictures(items),
        )

    result = run(*estimate, config, show)
    if items[0].seen is not None and config.steps and _suffers(items, result):
        result = run(*estimate, weigh_outlines(config, OUTLINES[1]), show)
    if prior is not None:
        # What the person gave, measured by the same parts.
        result = result.replace(before=run(params, pose, config.with_steps(0), None).before)
    result = jax.tree.map(np.asarray, jax.device_get(result))
    after = np.asarray(pose_body_compiled(model, result.params).vertices)
    seconds = (time.perf_counter() - began) / len(items)
    levels = None if floor is None else np.asarray(floor.level)
    return [
        _unpack(item, i, result, before[i], after[i], None if levels is None else float(levels[i]), seconds)
        for i, item in enumerate(items)
    ]


def _pictures(items: Sequence[Interaction]) -> dict[str, Any]:
    """What `refine_batch` takes of photographs."""
    if items[0].seen is None:
        return {}
    pictures = jax.tree.map(lambda *x: np.stack(x), *(item.seen.picture for item in items))
    return {"picture": pictures, "surfaces": items[0].seen.surfaces}


def _suffers(items: Sequence[Interaction], result: RefineResult) -> bool:
    """Whether an outline has lost more of its overlap than contact is worth."""
    falls = []
    for i, item in enumerate(items):
        after = item.seen.overlaps(*jax.tree.map(lambda x, i=i: np.asarray(x)[i], (result.params, result.pose)))
        falls += [was - after[part] for part, was in item.seen.overlaps(item.start.params, item.start.pose).items()]
    return not max(falls) < MOST_FALL


def refine_usable(
    model: BodyModel,
    field: BodyField | None,
    items: Sequence[Interaction],
    watch: Callable[[float, str], None] | None = None,
    prior: Prior | None = None,
) -> list[Refined | InputError]:
    """`refine_interactions`, with an error in the place of an interaction whose object or regions cannot be used.

    The others are refined in a batch of the same size.
    """
    errors: dict[int, InputError] = {}
    for k, item in enumerate(items):
        try:
            for region in item.regions.values():
                open_side(region, item.object.template.sdf)
            item.object.template  # noqa: B018 - what is stored is read now
        except InputError as error:
            errors[k] = error
    usable = [k for k in range(len(items)) if k not in errors]
    if not usable:
        return [errors[k] for k in range(len(items))]
    refined = refine_interactions(
        model, field, [items[usable[0] if k in errors else k] for k in range(len(items))], watch, prior
    )
    return [errors.get(k, refined[k]) for k in range(len(items))]


def _floors(items: Sequence[Interaction], bodies: np.ndarray) -> Floor | None:
    """The floor of each item, with a leading axis."""
    rules = [item.floor for item in items]
    if rules[0] is None:
        return None
    down = np.asarray([rule.gravity for rule in rules], np.float32)
    # Twenty points, so that no single toe decides.
    lowest = np.sort(-np.einsum("bvc,bc->bv", bodies, down), axis=1)[:, :20].mean(axis=1)
    level = np.asarray([low if rule.level is None else rule.level for rule, low in zip(rules, lowest)], np.float32)
    return Floor(gravity=down, level=level)


def _unpack(
    item: Interaction,
    i: int,
    result: RefineResult,
    before: np.ndarray,
    after: np.ndarray,
    level: float | None,
    seconds: float,
) -> Refined:
    """Row i of a batch's result."""
    parts = [(row, name) for row, name in enumerate(result.parts[i]) if name]

    def metrics(state: Any) -> dict[str, Any]:
        return {
            "contact": {name: float(state.contact[i][row]) for row, name in parts},
            "max_penetration": float(state.max_penetration[i]),
            "mean_penetration": float(state.mean_penetration[i]),
            "floor_distance": None if item.floor is None else float(state.floor[i]),
        }

    before_metrics, after_metrics = metrics(result.before), metrics(result.after)
    params, pose = jax.tree.map(lambda x: x[i], (result.params, result.pose))
    notes = (*_doubts(item, before, level),)
    if item.seen is not None:
        before_metrics["overlap"] = item.seen.overlaps(item.start.params, item.start.pose)
        after_metrics["overlap"] = item.seen.overlaps(params, pose)
        notes += _outlines_note(before_metrics["overlap"], after_metrics["overlap"])
    tilt = 0.0 if result.tilt is None else float(result.tilt[i])
    # The origin of a mesh may lie far from it, and then says little of how far it moved.
    own = mean_shift(np.asarray(item.object.template.points, np.float64), item.start.pose, pose)
    moved = max(shifts(before, after, item.start.pose, pose)["body_mean"], own)
    measures = after_metrics["max_penetration"], list(after_metrics["contact"].values()), moved, tilt
    verdict = judge(*(np.asarray(x, np.float32) for x in measures))
    return Refined(
        params=params,
        pose=pose,
        body_before=before,
        body_after=after,
        before=before_metrics,
        after=after_metrics,
        steps=int(result.steps[i]),
        converged=bool(result.converged[i]),
        seconds=seconds,
        tilt=tilt,
        verdict=verdict.words(tuple(after_metrics["contact"])),
        good=bool(verdict.good),
        notes=(*notes, *_lean_note(tilt), *_out_of_reach(after_metrics["contact"])),
    )


def shifts(before: np.ndarray, after: np.ndarray, start: RigidPose, end: RigidPose) -> dict[str, float]:
    """Mean shift of the body's vertices and shift of the object's origin, metres."""
    return {
        "body_mean": float(np.linalg.norm(after - before, axis=1).mean()),
        "object": float(np.linalg.norm(np.asarray(end.translation) - np.asarray(start.translation))),
    }


def mean_shift(points: np.ndarray, start: RigidPose, end: RigidPose) -> float:
    """Mean distance between where two poses put points `(N, 3)` of an object, metres."""
    placed = [
        float(pose.scale) * points @ np.asarray(pose.rotation, np.float64).T + np.asarray(pose.translation, np.float64)
        for pose in (start, end)
    ]
    return float(np.linalg.norm(placed[1] - placed[0], axis=1).mean())


def _outlines_note(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, ...]:
    """What became of the outlines."""
    told = ", ".join(f"{part} {was:.2f} -> {after[part]:.2f}" for part, was in before.items())
    lost = [part for part, was in before.items() if not was - after[part] < MOST_FALL]
    more = f"; {' and '.join(lost)} had to leave the picture for contact" if lost else ""
    return (f"overlap with the masks: {told}{more}",)


def _lean_note(tilt: float) -> tuple[str, ...]:
    """A note on an object that leans further than anybody meant it to."""
    if tilt < THRESHOLDS.tilt:
        return ()
    degrees = f"{np.degrees(tilt):.0f} degrees"
    return (f"the object leans {degrees} further than its estimate; with --floor what stands on it is kept upright",)


def _out_of_reach(contact: Mapping[str, float]) -> tuple[str, ...]:
    """A note on parts for which the object seems to have nothing: the back, on a bench."""
    lost = [f"{part} ({100 * gap:.0f} cm away)" for part, gap in contact.items() if gap > OUT_OF_REACH]
    if not lost:
        return ()
    return (f"the object offers nothing within reach of {', '.join(lost)}: if it has no such place, do not ask for it",)


def _doubts(item: Interaction, body: np.ndarray, level: float | None) -> tuple[str, ...]:
    """Warnings if body and object start too far apart to share a frame, or the body starts below the floor."""
    return (*_far_apart(item, body), *_below_the_floor(item, body, level))


def _below_the_floor(item: Interaction, body: np.ndarray, level: float | None) -> tuple[str, ...]:
    if level is None:
        return ()
    height = -(body @ np.asarray(item.floor.gravity)) - level
    if np.median(height) > -0.05:
        return ()
    return ("most of the body starts below the floor: is --up right, and the floor in the body's frame?",)


def _far_apart(item: Interaction, body: np.ndarray) -> tuple[str, ...]:
    object = place_mesh(item.object.light, item.start.pose)
    gap = np.maximum(0, np.maximum(object.min(0) - body.max(0), body.min(0) - object.max(0)))
    far = float(np.linalg.norm(gap))
    if far < FAR_APART:
        return ()
    return (f"the object starts {far:.1f} m away from the body: are obj_rot and obj_trans in the body's frame?",)
