"""When what touches: contact, standing feet and resting objects of a smoothed track, frame by frame. Host functions."""

import numpy as np
from jax import jit, vmap

from hoijax.body_models import BodyModel, contact_regions
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate
from hoijax.optim.gradient.contacts import FEET, LOOK_DOWN, MOST_PROPOSED, PROPOSED_PARTS, nearness

CHUNK = 16
"""Frames whose bodies are looked at together."""
LET_GO = 1.4
"""A part that touches does so until it is this many times as far as where it began."""
SHORTEST = 0.15
"""Seconds below which a touch, or a pause of one, is noise."""
NAMED = 0.12
"""Distance up to which a part that is asked for and is none of `PROPOSED_PARTS` is taken to touch, metres."""
SLOW = 0.35
"""Speed of a sole along the floor, metres a second, below which it stands."""
LOW = 0.07
"""Height of a sole above the floor below which it stands, metres."""
RESTING = 0.04
"""Height of an object's lowest point above the floor below which it rests there, metres."""
LIFTED = 0.15
"""Rise of an object over its track, metres, below which it is never lifted."""

_near = jit(vmap(nearness, in_axes=(0, None, None, 0)))


def nearness_of(
    vertices: np.ndarray, faces: np.ndarray, template: ObjectTemplate, pose: RigidPose
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each vertex of each frame to the object, and how it faces it, `(T, V)`; chunks of one shape.

    Args:
      vertices: `(T, V, 3)` metres.
      faces: of the body.
      template: the object.
      pose: its poses, leading axis T.
    """
    count = len(vertices)
    parts = []
    for first in range(0, count, CHUNK):
        rows = np.minimum(np.arange(first, first + CHUNK), count - 1)
        own = RigidPose(*(np.asarray(x)[rows] for x in (pose.rotation, pose.translation, pose.scale)))
        found = _near(vertices[rows], faces, template.sdf, own)
        parts.append([np.asarray(x)[: count - first] for x in found])
    return tuple(np.concatenate(x) for x in zip(*parts))


def schedule_contacts(
    model: BodyModel,
    distance: np.ndarray,
    cosine: np.ndarray,
    frames: np.ndarray,
    fps: float,
    parts: tuple[str, ...] | None,
    slack: float,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Which parts touch in which frames.

    Args:
      model: the body.
      distance: `(T, V)` of the vertices to the object, metres.
      cosine: `(T, V)`, see `nearness_of`.
      frames: `(T,)` numbers of the frames.
      fps: frames a second.
      parts: that are asked for; None: proposed from what comes near and faces the object.
      slack: what the track's noise adds to the distance at which a part touches, metres.

    Returns:
      The parts, and `(T, R)` in {0, 1}. A part that is asked for and never near touches where it is nearest.

    Raises:
      InputError: an unknown part.
    """
    regions = contact_regions(model)
    unknown = [name for name in parts or () if name not in regions]
    if unknown:
        raise InputError(f"the {model.kind} body has no part {unknown[0]!r}; it has {', '.join(sorted(regions))}")
    asked = {}
    for name in PROPOSED_PARTS if parts is None else parts:
        ids = np.asarray(regions.get(name, ()), int)
        if not len(ids):
            continue
        own = distance[:, ids]
        if parts is None:
            own = np.where(cosine[:, ids] < (-0.7 if name in LOOK_DOWN else 0.3), own, np.inf)
        away = np.sort(own, axis=1)[:, : min(5, len(ids))][:, -1]
        limit = PROPOSED_PARTS.get(name, NAMED) + slack
        if parts is not None:
            limit = max(limit, 1.2 * float(away.min()))
        touching = cleaned(hysteresis(away, limit, LET_GO * limit), frames, SHORTEST * fps)
        if touching.any() or parts is not None:
            asked[name] = touching
    if parts is None:
        names = sorted(asked, key=lambda name: -asked[name].sum())[:MOST_PROPOSED]
        asked = {name: asked[name] for name in names}
    table = np.stack([*asked.values()], axis=1) if asked else np.zeros((len(frames), 0), bool)
    return tuple(asked), table.astype(np.float32)


def hysteresis(value: np.ndarray, below: float, until: float) -> np.ndarray:
    """Where something holds that begins below one value and ends above another, `(T,)` bool."""
    held, out = False, np.zeros(len(value), bool)
    for t, x in enumerate(value):
        held = bool(x < until) if held else bool(x < below)
        out[t] = held
    # Looked at backwards it begins as late as it ends.
    held, back = False, np.zeros(len(value), bool)
    for t in range(len(value) - 1, -1, -1):
        held = bool(value[t] < until) if held else bool(value[t] < below)
        back[t] = held
    return out & back


def cleaned(holds: np.ndarray, frames: np.ndarray, shortest: float) -> np.ndarray:
    """The same without pauses, then without spells, shorter than so many frames; the ends of a track are no pauses."""
    out = holds.copy()
    for value in (False, True):
        for first, last in runs(out == value):
            inside = first > 0 and last < len(out)
            if frames[last - 1] - frames[first] + 1 < shortest and (
                inside or (value and (first > 0 or last < len(out)))
            ):
                out[first:last] = not value
    return out


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First row and the row after the last of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def schedule_feet(
    model: BodyModel,
    vertices: np.ndarray,
    gravity: np.ndarray,
    level: float,
    frames: np.ndarray,
    fps: float,
    slack: float,
    taken: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Which feet stand on the floor in which frames: low and slow, `(T, 2)` in {0, 1}.

    Args:
      model: the body.
      vertices: `(T, V, 3)` metres.
      gravity: `(3,)` unit direction.
      level: of the floor, metres.
      frames: `(T,)` numbers of the frames.
      fps: frames a second.
      slack: what the track's noise adds to heights, metres.
      taken: vertices `(R, V)` of the parts that touch the object, and `(T, R)` when: a foot on the object stands on
        that.
    """
    regions = contact_regions(model)
    out = np.zeros((len(vertices), len(FEET)), np.float32)
    time = np.asarray(frames, float) / fps
    for k, name in enumerate(FEET):
        ids = np.asarray(regions.get(name, ()), int)
        if not len(ids):
            continue
        sole = vertices[:, ids]
        height = (-sole @ gravity - level).min(axis=1)
        middle = sole.mean(axis=1)
        along = middle + (middle @ gravity)[:, None] * -gravity
        speed = np.linalg.norm(np.gradient(along, time, axis=0), axis=1) if len(time) > 1 else np.zeros(len(time))
        stands = (height < LOW + slack) & (speed < SLOW + slack * fps / 8)
        masks, when = taken
        busy = ((masks[:, ids] > 0.5).any(axis=1)[None] * when).any(axis=1) if len(masks) else np.zeros(len(out), bool)
        out[:, k] = cleaned(stands & ~busy, frames, SHORTEST * fps)
    return out


def schedule_rest(height: np.ndarray, frames: np.ndarray, fps: float, slack: float) -> tuple[np.ndarray, bool]:
    """In which frames an object rests on the floor, `(T,)` in {0, 1}, and whether it does so all the time.

    Args:
      height: `(T,)` of its lowest point above the floor, metres.
      frames: `(T,)` numbers of the frames.
      fps: frames a second.
      slack: what the track's noise adds to heights, metres.
    """
    never = np.ptp(height) < LIFTED and abs(float(np.median(height))) < LIFTED
    if never:
        return np.ones(len(height), np.float32), True
    return cleaned(height < RESTING + slack, frames, SHORTEST * fps).astype(np.float32), False
