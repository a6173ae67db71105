"""From the estimates of a track to what its windows need: smoothed, its stillness found, its contacts scheduled.

Host functions, once a track.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectRegion, ObjectTemplate
from hoijax.optim.gradient import Floor
from hoijax.optim.gradient.contacts import (
    BELONGS,
    ContactTargets,
    base_normal,
    part_targets,
    resting_points,
    touch_within,
)
from hoijax.optim.gradient.state import State
from hoijax.optim.sequence.config import SequenceConfig
from hoijax.optim.sequence.schedule import CHUNK, nearness_of, schedule_contacts, schedule_feet, schedule_rest
from hoijax.optim.sequence.smoothing import smooth, smooth_rotations, still_spans

LEAST_NOISE = 0.001
"""Noise that every estimate has, metres; of rotations radians times `LEAST_TURN`."""
LEAST_TURN = 5.0
STILL = 50.0
"""Weight of the frames in which the object stands still, when the others are joined to them."""


@dataclasses.dataclass(frozen=True)
class EstimatedTrack:
    """Frames of one person with one object: estimates, T of them."""

    params: BodyParams
    """Bodies, leading axis T, float32."""
    pose: RigidPose
    """The object's poses, leading axis T."""
    frames: np.ndarray
    """`(T,)` their numbers, rising; some may be missing."""
    template: ObjectTemplate
    """The object."""
    fps: float = 30.0
    """Frames a second."""
    contacts: tuple[str, ...] | None = None
    """Parts that touch where they are near; None: proposed."""
    gravity: tuple[float, float, float] | None = None
    """Direction of gravity, with a floor; None: no floor."""
    level: float | None = None
    """Height of the floor, metres; None: that of the lowest points of the bodies, the median over the track."""
    regions: Mapping[str, ObjectRegion] = dataclasses.field(default_factory=dict)
    """Part to where on the object it touches."""
    soft: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Part to weights of the body's vertices `(V,)` in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class PreparedTrack:
    """A track as its windows need it; T frames, R parts."""

    frames: np.ndarray
    """`(T,)` numbers of the frames."""
    fps: float
    """Frames a second."""
    given: State
    """The estimates, with one shape and one scale."""
    start: State
    """The same without noise."""
    names: tuple[str, ...]
    """The parts."""
    targets: ContactTargets
    """Of one frame in which everything is asked: leading axis 1."""
    asked: np.ndarray
    """`(T, R)` in which frames each part is."""
    feet: np.ndarray
    """`(T, 2)` in which frames each foot stands on the floor."""
    rests: np.ndarray
    """`(T,)` in which frames the object rests on the floor."""
    groups: np.ndarray
    """`(T,)` int; the object moves as one in frames of one number."""
    floor: Floor | None
    """One for all frames."""
    corners: np.ndarray
    """`(8, 3)` of the object's box, canonical frame."""
    noise: dict[str, float]
    """Of the estimates: "body" and "object" in metres, "turns" in radians."""
    template: ObjectTemplate
    """The object."""

    @property
    def count(self) -> int:
        """Frames, T."""
        return len(self.frames)

    @property
    def still(self) -> list[tuple[int, int]]:
        """First row and the row after the last of each stretch in which the object stands still."""
        edges = np.flatnonzero(np.diff(self.groups)) + 1
        spans = zip([0, *edges], [*edges, self.count])
        return [(int(a), int(b)) for a, b in spans if b - a > 1]


def prepare_track(model: BodyModel, track: EstimatedTrack, config: SequenceConfig) -> PreparedTrack:
    """Smooths a track and finds what touches, stands and rests when.

    Args:
      model: the body.
      track: the estimates.
      config: how.

    Raises:
      InputError: frames that do not rise, leading axes that disagree, numbers that are not finite, an unknown part.
    """
    _check(track)
    frames, fps = np.asarray(track.frames, np.int64), config.fps or track.fps
    # In squared frames.
    place, turn = config.natural.places / fps**2, config.natural.turns / fps**2
    given = _shared_shape(State.of(track.params, track.pose))
    rotations, joint_noise = _smooth_joints(given.rotations, frames, turn)
    translation, body_noise = smooth(_float(given.translation), frames, place, LEAST_NOISE)
    object = _smooth_object(given, frames, place, turn)
    corners = _corners(track.template)
    noise = {"body": _mean_noise(body_noise), "object": object.noise, "turns": float(np.median(joint_noise))}
    start = given.replace(
        rotations=rotations.astype(np.float32), translation=translation.astype(np.float32),
        object_rotation=object.rotation, object_translation=object.translation,
    )  # fmt: skip
    scale = float(np.asarray(given.object_scale)[0])
    spans = still_spans(
        _placed(corners * scale, object).reshape(len(frames), -1), _corner_noise(object, corners * scale), frames, fps
    )
    start, groups = _stood_still(start, given, spans, frames, place, turn)
    vertices = _vertices(model, start)
    slack = 0.5 * (noise["body"] + noise["object"])
    distance, cosine = nearness_of(vertices, np.asarray(model.faces), track.template, start.pose)
    names, asked = schedule_contacts(model, distance, cosine, frames, fps, track.contacts, slack)
    targets = _targets(model, track, names)
    floor = None
    feet, rests = np.zeros((len(frames), 2), np.float32), np.zeros(len(frames), np.float32)
    if track.gravity is not None:
        down = np.asarray(track.gravity, np.float64)
        level = _level(vertices, down) if track.level is None else track.level
        floor = Floor(gravity=down.astype(np.float32), level=np.float32(level))
        taken = np.asarray(targets.parts[0])[: len(names)], asked
        feet = schedule_feet(model, vertices, down, level, frames, fps, slack, taken)
        targets, rests = _rest(targets, track, start, down, level, frames, fps, slack)
    return PreparedTrack(
        frames, fps, given, start, names, targets, asked, feet, rests, groups, floor, corners.astype(np.float32), noise,
        track.template,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Motion:
    """An object's smoothed poses."""

    rotation: np.ndarray
    translation: np.ndarray
    noise: float
    turn_noise: float


def _float(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)


def _mean_noise(noise: np.ndarray) -> float:
    """Root mean square over the directions."""
    return float(np.sqrt(np.mean(noise**2)))


def _check(track: EstimatedTrack) -> None:
    frames, count = np.asarray(track.frames), len(np.asarray(track.params.translation))
    if frames.shape != (count,) or len(np.asarray(track.pose.translation)) != count or not count:
        raise InputError(
            f"a track has {frames.shape} numbers of frames, {count} bodies and "
            f"{len(np.asarray(track.pose.translation))} poses of the object; wanted as many of each, at least one"
        )
    if (np.diff(frames) <= 0).any():
        where = int(np.argmax(np.diff(frames) <= 0))
        raise InputError(f"frame {frames[where + 1]} follows frame {frames[where]}; the numbers of frames must rise")
    for name, value in (("body", track.params), ("object", track.pose)):
        if not all(np.isfinite(np.asarray(x)).all() for x in vars(value).values() if x is not None):
            raise InputError(f"the {name} holds values that are not finite; leave those frames out")


def _shared_shape(state: State) -> State:
    """With one shape and one scale: the medians over the frames."""
    betas, scale = np.asarray(state.betas), np.asarray(state.object_scale)
    return state.replace(
        betas=np.broadcast_to(np.median(betas, axis=0), betas.shape).astype(np.float32),
        object_scale=np.full(scale.shape, np.exp(np.median(np.log(scale))), np.float32),
        **{
            name: np.asarray(getattr(state, name), np.float32)
            for name in ("rotations", "translation", "object_rotation", "object_translation")
        },
    )


def _smooth_joints(rotations: Any, frames: np.ndarray, natural: float) -> tuple[np.ndarray, np.ndarray]:
    """All joints' rotations `(T, J, 3, 3)`, and the noise of those that move, radians."""
    rotations, noise = _float(rotations).copy(), []
    for joint in range(rotations.shape[1]):
        own = rotations[:, joint]
        if np.abs(own - own[:1]).max() < 1e-7:
            continue
        rotations[:, joint], one = smooth_rotations(own, frames, natural, LEAST_TURN * LEAST_NOISE)
        noise.append(one)
    return rotations, np.asarray(noise or [0.0])


def _smooth_object(given: State, frames: np.ndarray, place: float, turn: float) -> _Motion:
    translation, noise = smooth(_float(given.object_translation), frames, place, LEAST_NOISE)
    rotation, turn_noise = smooth_rotations(
        _float(given.object_rotation), frames, turn, LEAST_TURN * LEAST_NOISE
    )  # fmt: skip
    return _Motion(rotation.astype(np.float32), translation.astype(np.float32), _mean_noise(noise), turn_noise)


def _corners(template: ObjectTemplate) -> np.ndarray:
    """Corners of the box around the object, `(8, 3)`."""
    vertices = _float(template.mesh.vertices)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return np.stack(np.meshgrid(*zip(low, high), indexing="ij"), axis=-1).reshape(8, 3)


def _corner_noise(object: _Motion, corners: np.ndarray) -> float:
    """Noise of the corners' places, metres: by the place in three directions, and by the turns."""
    reach = float(np.linalg.norm(corners, axis=1).mean())
    return float(np.sqrt(3.0 * object.noise**2 + 2.0 * (reach * object.turn_noise) ** 2))


def _placed(points: np.ndarray, object: _Motion) -> np.ndarray:
    """`(T, N, 3)`."""
    return np.einsum("tij,nj->tni", _float(object.rotation), points) + _float(object.translation)[:, None]


def _stood_still(
    start: State, given: State, spans: list[tuple[int, int]], frames: np.ndarray, place: float, turn: float
) -> tuple[State, np.ndarray]:
    """With one pose of the object in each still stretch, to which the other frames are joined smoothly."""
    groups = np.arange(len(frames))
    if not spans:
        return start, groups
    rotation, translation = _float(start.object_rotation).copy(), _float(start.object_translation).copy()
    weights = np.ones(len(frames))
    for first, last in spans:
        groups[first:last] = first
        translation[first:last] = _middle(_float(given.object_translation)[first:last])
        rotation[first:last] = _middle_rotation(_float(given.object_rotation)[first:last])
        weights[first:last] = STILL
    if (weights == 1).any():
        for values, by in ((translation, smooth), (rotation, smooth_rotations)):
            joined, _ = by(values, frames, place if by is smooth else turn, 2 * LEAST_NOISE, weights=weights)
            free = weights == 1
            values[free] = joined[free]
    return start.replace(
        object_rotation=rotation.astype(np.float32), object_translation=translation.astype(np.float32)
    ), groups  # fmt: skip


def _middle(places: np.ndarray) -> np.ndarray:
    """The mean of places `(T, 3)`, those far from it left out of account: a few are far off in most tracks."""
    mean = np.median(places, axis=0)
    for _ in range(5):
        off = np.linalg.norm(places - mean, axis=1)
        weights = 1.0 / (1.0 + (off / max(1.5 * float(np.median(off)), 1e-5)) ** 2)
        mean = weights @ places / weights.sum()
    return mean


def _middle_rotation(rotations: np.ndarray) -> np.ndarray:
    """The mean of rotations, those far from it left out of account."""
    weights = np.ones(len(rotations))
    for _ in range(5):
        mean = Rotation.from_matrix(rotations).mean(weights=weights)
        off = (mean.inv() * Rotation.from_matrix(rotations)).magnitude()
        weights = 1.0 / (1.0 + (off / max(1.5 * np.median(off), 1e-4)) ** 2)
    return mean.as_matrix()


def _vertices(model: BodyModel, start: State) -> np.ndarray:
    """Posed vertices `(T, V, 3)`; chunks of one shape."""
    count, parts = len(start.translation), []
    for first in range(0, count, CHUNK):
        rows = np.minimum(np.arange(first, first + CHUNK), count - 1)
        params = BodyParams(*(np.asarray(x)[rows] for x in (start.rotations, start.betas, start.translation)))
        parts.append(np.asarray(pose_body_compiled(model, params).vertices)[: count - first])
    return np.concatenate(parts)


def _level(vertices: np.ndarray, down: np.ndarray) -> float:
    """Height of the floor: the median over the frames of twenty lowest points of the body."""
    lowest = np.sort(-vertices @ down, axis=1)[:, :20].mean(axis=1)
    return float(np.median(lowest))


def _targets(model: BodyModel, track: EstimatedTrack, names: tuple[str, ...]) -> ContactTargets:
    """Targets in which all parts are asked for, leading axis 1."""
    targets = part_targets(model, [names], np.asarray(track.template.points).shape[0])
    if track.soft:
        parts = np.array(targets.parts)
        for row, name in enumerate(names):
            if name in track.soft:
                weight = np.asarray(track.soft[name], np.float32)
                parts[0, row] = np.where(weight > BELONGS, weight, np.where(parts[0, row] > 0, BELONGS, 0))
        targets = targets.replace(parts=parts)
    if track.regions:
        rows = [[track.regions.get(name) for name in names]]
        targets = touch_within(targets, rows, [track.template.sdf])
    return targets


def _rest(
    targets: ContactTargets,
    track: EstimatedTrack,
    start: State,
    down: np.ndarray,
    level: float,
    frames: np.ndarray,
    fps: float,
    slack: float,
) -> tuple[ContactTargets, np.ndarray]:
    """Targets with what the object rests on, and in which frames it does; its base only if it always stands."""
    mesh = track.template.mesh
    corners = _float(mesh.vertices)[np.unique(np.asarray(mesh.faces))]
    scale = float(np.asarray(start.object_scale)[0])
    rotation, translation = _float(start.object_rotation), _float(start.object_translation)
    own_down = np.einsum("tji,j->ti", rotation, down)
    height = -(scale * (own_down @ corners.T).max(axis=1) + translation @ down) - level
    rests, always = schedule_rest(height, frames, fps, slack)
    if not rests.any():
        return targets, rests
    lying = rests > 0
    points, weight = resting_points(mesh, np.median(own_down[lying], axis=0))
    base = base_normal(points[weight > 0], np.median(own_down[lying], axis=0)) if always else np.zeros(3)
    return targets.replace(
        rest_points=points[None], rest_weight=weight[None], base=np.asarray(base, np.float32)[None]
    ), rests  # fmt: skip
