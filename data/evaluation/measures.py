"""Every metric of one sample that its prediction and its truth allow."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hoijax import metrics
from hoijax.data.evaluation.states import EvaluationState, Subject
from hoijax.errors import InputError
from hoijax.geometry import Mesh, face_areas
from hoijax.metrics import CHAMFER_SAMPLES

Numbers = dict[str, Any]
"""Metric to scalar, of any kind of array."""


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """What is measured and how; all of it stands in the results."""

    metrics: tuple[str, ...] = ("body", "object", "surface", "contact", "affordance", "penetration", "scene")
    """Groups of metrics, of `GROUPS`."""
    contact_thresholds: tuple[float, ...] = (0.05,)
    """Metres; a body vertex nearer to an object vertex is in contact. 0.05 in CONTHO and ScoreHOI, 0.04 in DECO."""
    probability: float = 0.5
    """Predicted contact probabilities above it are contacts."""
    chamfer_samples: int = CHAMFER_SAMPLES
    """Surface samples per mesh; results with other numbers are not comparable."""
    f_threshold: float = 0.01
    """Of the surface F-score, metres."""
    volume_spacing: float = 0.005
    """Of the voxels of the intersection volume, metres."""
    scene_threshold: float = 0.02
    """A vertex at most this far from the scene touches it, metres."""
    level: float = 0.95
    """Of the bootstrap intervals."""
    resamples: int = 1000
    """Of the bootstrap."""
    by: str = "sequence"
    """What the bootstrap draws: "sequence" (frames of one video are alike) or "sample"."""
    seed: int = 0
    """Of surface samples and the bootstrap."""

    def __post_init__(self):
        unknown = [name for name in self.metrics if name not in GROUPS]
        if unknown or not self.metrics:
            raise InputError(f"no group of metrics {', '.join(map(repr, unknown))}; there are {', '.join(GROUPS)}")
        if self.by not in ("sequence", "sample"):
            raise InputError(f"the bootstrap draws by 'sequence' or 'sample', got {self.by!r}")
        if not 0 < self.level < 1 or self.resamples < 1 or self.chamfer_samples < 1:
            raise InputError("level must lie in (0, 1), resamples and chamfer_samples must be positive")
        if self.resamples > 1_000_000 or self.chamfer_samples > 10_000_000:
            raise InputError("wanted at most 1,000,000 resamples and 10,000,000 chamfer_samples")
        if not 0 <= self.seed < 1 << 32:
            raise InputError(f"seed must be from 0 to 4294967295, got {self.seed}")
        if not 0 < self.probability < 1:
            raise InputError(f"probability must lie in (0, 1), got {self.probability}")
        if not self.contact_thresholds:
            raise InputError("contact_thresholds is empty; wanted at least one distance in metres, such as 0.05")
        lengths = (*self.contact_thresholds, self.f_threshold, self.volume_spacing, self.scene_threshold)
        if not all(math.isfinite(length) for length in lengths):
            raise InputError(f"thresholds and spacing must be finite, got {', '.join(f'{x:g}' for x in lengths)}")
        if min((*self.contact_thresholds, self.f_threshold, self.volume_spacing, self.scene_threshold), default=1) <= 0:
            raise InputError("thresholds and spacing are lengths in metres above 0")


def measure(prediction: EvaluationState, subject: Subject, config: EvaluateConfig | None = None) -> dict[str, float]:
    """All metrics of one sample.

    Args:
      prediction: what a method says.
      subject: the sample.
      config: see `EvaluateConfig`; None: its defaults.

    Returns:
      Metric to number; NaN where it is not defined on this sample (precision without a predicted contact). Metrics
      that prediction or truth lack the arrays for are absent.

    Raises:
      InputError: arrays of prediction and truth that differ in length.
    """
    config = EvaluateConfig() if config is None else config
    _check(prediction, subject.truth)
    out: Numbers = {}
    for name in GROUPS:
        if name in config.metrics:
            out |= GROUPS[name](prediction, subject, config)
    return {name: float(value) for name, value in out.items()}


def _check(prediction: EvaluationState, truth: EvaluationState) -> None:
    for name in ("body", "joints", "object", "contact_body", "contact_object"):
        got, want = getattr(prediction, name), getattr(truth, name)
        if got is not None and want is not None and got.shape != want.shape:
            raise InputError(f"{name} has shape {got.shape}, the truth {want.shape}: not the same mesh or joints")


@jax.jit
def _point_errors(predicted: jax.Array, true: jax.Array) -> tuple[jax.Array, jax.Array]:
    return metrics.mpjpe_mm(predicted, true), metrics.pa_mpjpe_mm(predicted, true)


def _body(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    truth, out = subject.truth, {}
    joints = prediction.joints is not None and truth.joints is not None
    if joints:
        plain, aligned = _point_errors(prediction.joints, truth.joints)
        rooted = metrics.mpjpe_mm(prediction.joints, truth.joints, root=0)
        out |= {"mpjpe_mm": plain, "mpjpe_root_mm": rooted, "pa_mpjpe_mm": aligned}
    if prediction.body is not None and truth.body is not None:
        plain, aligned = _point_errors(prediction.body, truth.body)
        out["pve_mm"] = plain
        if joints:
            roots = {"predicted_root": prediction.joints[0], "true_root": truth.joints[0]}
            out["pve_root_mm"] = metrics.mpvpe_mm(prediction.body, truth.body, **roots)
        out["pa_pve_mm"] = aligned
    return out


def _object(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    truth, out = subject.truth, {}
    if prediction.object_rotation is not None and truth.object_rotation is not None:
        turn = prediction.object_rotation @ truth.object_rotation.T
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        angle = math.atan2(float(np.linalg.norm(axis)), float(np.trace(turn) - 1))
        out["object_rotation_deg"] = math.degrees(angle)
        out["object_translation_mm"] = 1000 * np.linalg.norm(prediction.object_translation - truth.object_translation)
    if prediction.object is not None and truth.object is not None:
        out["object_v2v_mm"] = 1000 * np.linalg.norm(prediction.object - truth.object, axis=-1).mean()
    return out


_align = jax.jit(metrics.procrustes_align_combined)


def _surface(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    truth = subject.truth
    meshes = (prediction.body, prediction.object, truth.body, truth.object, subject.body_faces, subject.object_faces)
    if any(x is None for x in meshes):
        return {}
    obj = _pad_mesh(Mesh(truth.object, subject.object_faces))
    mask = np.arange(len(obj.vertices)) < len(truth.object)
    guess = _pad_mesh(Mesh(prediction.object, subject.object_faces))
    aligned = _align(prediction.body, guess.vertices, truth.body, obj.vertices, object_mask=mask)
    pairs = {
        "body": (Mesh(np.asarray(aligned.body), subject.body_faces), Mesh(truth.body, subject.body_faces)),
        "object": (Mesh(np.asarray(aligned.object), guess.faces), obj),
    }
    counts = {"body": len(truth.body), "object": len(truth.object)}
    out = {}
    for name, (a, b) in pairs.items():
        settings = {"count": config.chamfer_samples, "seed": config.seed}
        scores = metrics.surface_scores_host(a, b, threshold=config.f_threshold, **settings)
        out[f"chamfer_{name}_cm"] = scores.chamfer_cm
        out[f"chamfer_{name}_floor_cm"] = metrics.chamfer_floor_cm(_area(b), count=config.chamfer_samples)
        out[f"chamfer_{name}_vertices_cm"] = metrics.chamfer_cm_host(
            a.vertices[: counts[name]], b.vertices[: counts[name]]
        )
        out[f"f_score_{name}_percent"] = scores.f_score
    return out


def _contact(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    truth, out = subject.truth, {}
    if all(x is not None for x in (prediction.body, prediction.object, truth.body, truth.object)):
        for threshold in config.contact_thresholds:
            sets = [
                metrics.contact_from_reconstruction_host(s.body, s.object, threshold=threshold)
                for s in (prediction, truth)
            ]
            out |= _precision_recall(f"contact_{100 * threshold:g}cm", *sets)
    for name in ("contact_body", "contact_object"):
        guess, label = getattr(prediction, name), getattr(truth, name)
        if guess is not None and label is not None:
            out |= _precision_recall(f"{name}_label", guess > config.probability, label > 0.5)
    return out


def _affordance(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    guess, labels = prediction.contact_object, subject.truth.contact_object
    if guess is None or labels is None:
        return {}
    scores = metrics.affordance_scores_host(guess, labels)
    return {f"affordance_{name}": value for name, value in dataclasses.asdict(scores).items()}


def _penetration(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    meshes = (prediction.body, prediction.object, subject.body_faces, subject.object_faces)
    if any(x is None for x in meshes):
        return {}
    depths = metrics.interpenetration_host(
        Mesh(prediction.body, subject.body_faces),
        _pad_mesh(Mesh(prediction.object, subject.object_faces)),
        seed=config.seed,
        spacing=config.volume_spacing,
    )
    inside, outside = depths.body_in_object, depths.object_in_body
    return {
        "penetration_max_mm": 1000 * max(float(inside.max), float(outside.max)),
        "penetration_mean_mm": 1000 * float(inside.mean),
        "penetration_vertices_percent": 100 * float(inside.fraction),
        "penetration_volume_cm3": 1e6 * depths.volume,
    }


def _scene(prediction: EvaluationState, subject: Subject, config: EvaluateConfig) -> Numbers:
    scene, truth = subject.scene, subject.truth
    if scene is None or prediction.body is None or truth.body is None:
        return {}
    bodies = [s.body[scene.contact_set] for s in (prediction, truth)]
    moves = [metrics.scene_displacement_host(b, scene.points.astype(b.dtype)) for b in bodies]
    direction = metrics.d2s_deg(*moves, scene.weights)
    out = {"v2s_mm": metrics.v2s_mm(*moves, scene.weights)}
    out["d2s_deg"] = direction.degrees if float(direction.dropped) < 1 else math.nan
    if scene.normals is not None:
        sets = [
            metrics.scene_contact_host(b, scene.points, scene.normals, threshold=config.scene_threshold) for b in bodies
        ]
        out |= _precision_recall("scene_contact", *sets)
    return out


GROUPS: dict[str, Callable[[EvaluationState, Subject, EvaluateConfig], Numbers]] = {
    "body": _body,
    "object": _object,
    "surface": _surface,
    "contact": _contact,
    "affordance": _affordance,
    "penetration": _penetration,
    "scene": _scene,
}
"""Groups of metrics, in the order of the table."""


def _precision_recall(name: str, predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Shares of one sample; NaN where the set they are a share of is empty."""
    hit, guessed, there = (int(x.sum()) for x in (predicted & actual, predicted, actual))
    return {
        f"{name}_precision": hit / guessed if guessed else math.nan,
        f"{name}_recall": hit / there if there else math.nan,
    }


def _pad_mesh(mesh: Mesh) -> Mesh:
    """The mesh with vertices and empty faces added up to one of few sizes, so that objects share compilations."""
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    more_vertices, more_faces = (_round_up(len(x)) - len(x) for x in (vertices, faces))
    vertices = np.concatenate([vertices, np.repeat(vertices[:1], more_vertices, axis=0)])
    return Mesh(vertices, np.concatenate([faces, np.zeros((more_faces, 3), faces.dtype)]))


def _round_up(count: int) -> int:
    size = 1024
    while size < count:
        size *= 2
    return size


@jax.jit
def _area(mesh: Mesh) -> jax.Array:
    return face_areas(mesh.vertices, mesh.faces).sum()
