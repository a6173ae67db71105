"""`hoijax refine --scene`: people in a scene go in, people that touch it and do not lie inside it come out."""

import dataclasses
import importlib.metadata
import time
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from tqdm import tqdm

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.errors import InputError
from hoijax.geometry import inverse, nearest_host
from hoijax.io import check_output_directory, file_digest
from hoijax.jobs.scene_inputs import Geometry, read_scene
from hoijax.jobs.scene_report import write_results
from hoijax.metrics import touches_scene
from hoijax.metrics.scene import BEHIND
from hoijax.systems.graft import (
    BodySpec,
    GraftState,
    RolloutOptions,
    UpdateMask,
    apply_similarity,
    body_spec,
    contact_model,
    estimate_normals,
    fold_scale,
    make_scene,
    on_rim,
    read_people,
    rollout,
    trained_probes,
)
from hoijax.systems.graft.frames import facing_camera
from hoijax.systems.graft.gradient import gradient_refine

if TYPE_CHECKING:
    from hoijax.cli.refine import Options

REACH = 2.5
"""Scene points farther than this from a person's pelvis are not looked at, metres."""
FARTHEST = 1.5
"""A person whose body is farther than this from every scene point cannot be meant to touch it, metres."""
CAPACITY = 65_536
"""Scene points around a person; more are thinned out."""


@dataclasses.dataclass(frozen=True)
class Person:
    """One person before and after."""

    name: str
    """What messages and tables call them."""
    before: np.ndarray
    """`(V, 3)` metres."""
    after: np.ndarray
    """`(V, 3)` metres."""
    params: BodyParams
    """Refined."""
    metrics: dict[str, Any]
    """Before, after, moved."""


def run_scene(options: "Options", model: BodyModel, digest: str, up: tuple[float, float, float]) -> int:
    """Checks everything, refines, writes; see `hoijax.cli.refine.run`.

    Raises:
      InputError: nothing can be refined; raised before anything is written.
    """
    from hoijax.jobs.running import tell

    check_output_directory(options.out)
    geometry = read_scene(options.scene, units=options.units)
    people = read_people(options.body, model).params
    for note in geometry.notes:
        tell(f"{options.scene.name}: {note}")
    count = len(people.betas)
    tell(f"{count} {'person' if count == 1 else 'people'}, {len(geometry.points):,} scene points")
    if options.features is not None and not geometry.from_camera:
        raise InputError(
            f"--features {options.features} are seen by a camera; where that is, {options.scene} does not say; "
            "give a depth or point map"
        )
    refine, spec, facts = make_refiner(options, model)
    if geometry.from_camera and facts.get("data") == "made-up rooms" and not facts.get("views"):
        note = "these weights know rooms whose every surface is there; in what one camera sees gradients do better"
        geometry = dataclasses.replace(geometry, notes=(*geometry.notes, note))
        tell(note)
    up = (0.0, -1.0, 0.0) if geometry.from_camera else up
    done, failed, began = [], {}, time.perf_counter()
    for row in tqdm(range(count), desc=options.prior, unit="person", disable=None):
        name, person = f"person {row}", jax.tree.map(lambda x, row=row: x[row], people)
        try:
            done.append(_refine_one(name, person, geometry, np.asarray(up), model, spec, refine))
        except InputError as error:
            failed[name] = str(error)
    if not done:
        raise InputError(next(iter(failed.values())))
    record = {
        "prior": options.prior,
        "steps": graft_steps(options) if options.prior == "graft" else gradient_steps(options),
        "weights": facts,
        "scene": {"file": str(options.scene), "sha256": file_digest(options.scene), "points": len(geometry.points)},
        "notes": list(geometry.notes),
        "failed": failed,
        "body_model": digest,
        "seconds": round(time.perf_counter() - began, 3),
        "versions": {name: importlib.metadata.version(name) for name in ("hoijax", "jax", "numpy")},
        "device": jax.devices()[0].device_kind,
    }
    write_results(options.out, model, people, done, geometry, np.asarray(up), record, pictures=options.pictures)
    for person in done:
        a, b = person.metrics["before"], person.metrics["after"]
        tell(
            f"{person.name}: deepest point {1000 * a['deepest']:.0f} -> {1000 * b['deepest']:.0f} mm, "
            f"{100 * a['touching']:.1f} -> {100 * b['touching']:.1f} % of the contact set touch, "
            f"moved by {1000 * person.metrics['moved']:.0f} mm"
        )
    for name, text in failed.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {options.out}")
    return 1 if failed else 0


def graft_steps(options: "Options") -> int:
    """T: the network is applied so often."""
    return 3 if options.steps is None else options.steps


def gradient_steps(options: "Options") -> int:
    """Steps of Adam."""
    return 100 if options.steps is None else options.steps


def free_parts(freeze: str) -> UpdateMask:
    """What may change, from the names that `--freeze` gives.

    Raises:
      InputError: a name that is none of `UpdateMask`'s.
    """
    names = [name.strip() for name in freeze.split(",") if name.strip()]
    known = [field.name for field in dataclasses.fields(UpdateMask)]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise InputError(f"--freeze {wrong[0]}: of a person in a scene there are {', '.join(known)}")
    return UpdateMask(**{name: False for name in names})


def make_refiner(options: "Options", model: BodyModel) -> tuple[Any, BodySpec, dict[str, Any]]:
    """A compiled function from scene and state to the refined state, the body's spec, and where weights come from.

    Raises:
      InputError: no GRAFT weights, or a body that GRAFT cannot refine.
    """
    mask = free_parts(options.freeze)
    if options.prior == "gradient":
        spec = body_spec(model)
        contacts, steps = contact_model(spec, model), gradient_steps(options)
        return jax.jit(lambda s, x: gradient_refine(spec, contacts, s, x, steps=steps, update=mask)), spec, {}
    from hoijax.nets.graft import load_graft, shipped_graft
    from hoijax.systems.graft import fuse_features, read_features

    weights = shipped_graft() if options.weights is None else options.weights
    network, facts = load_graft(weights)
    facts = {"file": str(weights), "sha256": file_digest(weights), **facts}
    image = None
    if options.features is not None:
        image = fuse_features(network, read_features(options.features))
        facts["features"] = {"file": str(options.features), "sha256": file_digest(options.features)}
    spec = body_spec(model, trained_probes(model, facts))
    if model.kind != facts.get("body", model.kind):
        # Shape coefficients of one body mean something else on another.
        mask = dataclasses.replace(mask, betas=False)
    rule = RolloutOptions(steps=graft_steps(options), update=mask)
    refine = jax.jit(lambda scene, state, image: rollout(network, spec, scene, state, options=rule, image=image).final)
    return lambda scene, state: refine(scene, state, image), spec, facts


_posed = jax.jit(lambda model, params: pose_body(model, params))
_moved = jax.jit(apply_similarity)
_folded = jax.jit(fold_scale)


def _refine_one(
    name: str, person: BodyParams, geometry: Geometry, up: np.ndarray, model: BodyModel, spec: BodySpec, refine: Any
) -> Person:
    posed = _posed(model, person)
    before, joints = np.asarray(posed.vertices), np.asarray(posed.joints)
    nearest = float(np.asarray(nearest_host(before, geometry.points).distance).min())
    if nearest > FARTHEST:
        raise InputError(
            f"{name} is {nearest:.1f} m away from the nearest scene point; scene and people must share a frame and "
            "be in metres"
        )
    scene = points, normals = _around(geometry, joints)
    state = GraftState.of(person)
    pose = None
    if not geometry.from_camera:
        forward = np.asarray(person.rotations[0])[:, 2]
        pose = facing_camera(joints[0], up, forward)
        state = _moved(spec, state, pose)
        points = (points @ pose.rotation.T + pose.translation).astype(np.float32)
        normals = normals @ pose.rotation.T
    state = refine(make_scene(points, normals, capacity=CAPACITY), state)
    params = _folded(spec, state)
    if pose is not None:
        params = _moved(spec, GraftState.of(params), inverse(pose)).params
    params = jax.tree.map(np.asarray, params)
    after = np.asarray(_posed(model, params).vertices)
    if not np.isfinite(after).all():
        raise InputError(f"{name}: the refined body is not finite; is the estimate usable?")
    metrics = {"before": _measure(before, scene, spec), "after": _measure(after, scene, spec)}
    metrics["moved"] = float(np.linalg.norm(after - before, axis=1).mean())
    return Person(name, before, after, params, metrics)


def _around(geometry: Geometry, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points near a person with their normals; estimated ones turn to the camera, or to above the person's head."""
    near = np.linalg.norm(geometry.points - joints[0], axis=1) < REACH + FARTHEST
    chosen = np.flatnonzero(near)
    if len(chosen) > CAPACITY:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, CAPACITY, replace=False))
    points = geometry.points[chosen]
    if geometry.normals is not None:
        return points, geometry.normals[chosen]
    viewpoint = np.zeros(3) if geometry.from_camera else 2 * joints[15] - joints[0]
    return points, estimate_normals(points, viewpoint=viewpoint)


def _measure(vertices: np.ndarray, scene: tuple[np.ndarray, np.ndarray], spec: BodySpec) -> dict[str, float]:
    """Contact and penetration of one body, by PhySIC's rule; metres, and a share of the contact set."""
    points, normals = scene
    found = nearest_host(vertices, points)
    index, distance = np.asarray(found.index), np.asarray(found.distance)
    height = np.sum((vertices - points[index]) * normals[index], axis=1)
    behind = (height < 0) & (distance <= BEHIND)
    # Beside the rim of an open cloud nothing is known: a shin before a seat's front edge is not inside the seat.
    below = np.flatnonzero(behind)
    behind[below] = ~on_rim(points, normals, index[below])
    touching = touches_scene(distance, height)[np.asarray(spec.contact_vertices)]
    return {
        "deepest": float(np.maximum(-height[behind], 0).max(initial=0.0)),
        "touching": float(touching.mean()),
        "nearest": float(distance.min()),
    }
