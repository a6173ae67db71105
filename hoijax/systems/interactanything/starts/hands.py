"""Hands that find their place on a surface: the point, the way of the palm, the fingers."""

import functools
from collections.abc import Callable

import numpy as np

from hoijax.data.synth.rig import Puppet, hand_frame, joint, unit
from hoijax.data.synth.start import grasp, hang
from hoijax.systems.interactanything.relations.schema import is_hand
from hoijax.systems.interactanything.starts.grip import ALLOWED, close_hand, palm_skin
from hoijax.systems.interactanything.starts.setting import WIDE, Setting

BAR = 0.06
"""A place that is thinner than this in two directions is a bar to close the hand round, metres."""
FEW = 0.3
"""Share of a place's samples from which something thin is what the place is, not a rim or an edge of it."""
LOCAL = 0.055
"""Radius within which a point's surroundings are looked at for a bar, metres."""
TRIES = 8
"""Points and ways that are tried for each hand."""
CLOSED, TURNS = 12, 8
"""Of the ways in which one hand may hold something, how many are tried with closed fingers; directions of its fingers
about the palm's."""
PATCH = 0.5
"""Mean of the normals about a point from which it is on a patch of something larger, not on a bar."""
SLIDES = (0.0, 0.02, 0.035)
"""How far what one hand holds may lie from the middle of the palm towards the fingers, metres."""
BACKS, NEARER = 3, 0.01
"""How often a palm is moved to the skin of a thing, and how far at once towards it, metres."""
OPPOSED, EMPTY = 0.15, 0.02
"""Metres that count as much as fingers and palm that all push the same way, and as a finger that touches nothing."""


def other(side: str) -> str:
    """The other side."""
    return "right" if side == "left" else "left"


def hand_parts(s: Setting) -> dict[str, str]:
    """Side to the part of that hand that touches, the palm's side first."""
    parts: dict[str, str] = {}
    for contact in s.relations.contacts:
        if is_hand(contact.body_part):
            parts.setdefault(contact.body_part.partition("_")[0], contact.body_part)
    return parts


def place_hands(s: Setting, loose: bool = True) -> float:
    """Brings every hand that touches to its place; the others hang.

    Args:
      s: the setting.
      loose: whether a hand without a task hangs.

    Returns:
      The worst error of a hand, metres.
    """
    parts = hand_parts(s)
    worst = 0.0
    for side in ("left", "right"):
        if side in parts:
            worst = max(worst, place_hand(s, side, parts[side], len(parts) == 2))
        elif loose:
            hang(s.puppet, s.rng, side)
    return worst


def place_hand(s: Setting, side: str, part: str, both: bool) -> float:
    """Tries points of the surface and ways to hold them, and keeps the one that the arm reaches best.

    Returns:
      The error of the best, metres, with what the palm's turn is off counted as a tenth of a metre a radian.
    """
    p, rng = s.puppet, s.rng
    points, normals = s.samples(part)
    sign = 1.0 if side == "left" else -1.0
    shoulder = p.position(f"{side}_shoulder")
    grips = s.contact(part).kind == "grasp"
    alone = grips and not both and s.thing.signed_distance is not None
    whole, thin = _bar(points, WIDE if alone else BAR), s.thin(part)
    if alone and thin.mean() < FEW and s.thin(part, WIDE).mean() > thin.mean():
        thin = s.thin(part, WIDE)
    arm = 0.5 * p.size
    away = np.abs(np.linalg.norm(points - shoulder, axis=1) - 0.8 * arm)
    cost = away + 0.06 * rng.random(len(points))
    middle = points.mean(axis=0)
    if grips and not both and thin.sum() >= 8:  # one hand holds what it can close round
        cost += 10.0 * ~thin
    if grips and both and s.flat:  # what is flat lies on the fingers
        cost += 0.4 * (normals[:, 1] > -0.5)
    if grips and not both:  # a hand at an end holds with half its fingers
        cost += (2.0 if alone else 0.25) * np.linalg.norm(points - middle, axis=1)
    if both:  # each hand stays on its own side
        cost += 2.0 * np.maximum(0.0, 0.05 - sign * (points[:, 0] - p.position("spine3")[0]))
    # A palm that would have to face its own shoulder from behind the surface is no way to hold it.
    back = np.einsum("nc,nc->n", normals, points - shoulder) / np.maximum(
        np.linalg.norm(points - shoulder, axis=1), 1e-6
    )
    cost += 0.12 * np.maximum(0.0, back - 0.2)
    good = np.flatnonzero(cost < cost.min() + 5.0)
    order = good[np.argsort(cost[good])][: max(200, len(points) // 8)]
    order = order[rng.permutation(len(order))][: TRIES - 3].tolist() + np.argsort(cost)[:3].tolist()
    found, kept = [], p.rotations.copy()
    own = slice(22, 37) if side == "left" else slice(37, 52)
    chain = [joint(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist")]
    for k in order:
        local = np.linalg.norm(points - points[k], axis=1) < LOCAL
        patch = alone and np.linalg.norm(normals[local].mean(axis=0)) > PATCH
        rod = whole
        if whole is None and grips and not both and local.sum() >= 6 and not patch:
            rod = _bar(points[local], BAR)
        for fingers, palm, along in _ways(points[k], normals[k], rod, side, shoulder, rng, alone):
            if rod is not None:
                at = _on_axis(points, points[k], rod[0])
                frame = _frame_of_rod(side, along, palm)
                radius = float(np.clip(rod[1], 0.006, 0.03))
                if alone:  # as far as the rod's surface is from its axis, on the palm's side
                    level = points[np.abs((points - at) @ rod[0]) < 0.03]
                    radius = float(np.clip(((at - level) @ palm).max(), 0.006, WIDE / 2)) if len(level) else radius
                take = functools.partial(grasp, p, side, thumb=along, palm=palm, radius=radius)
            else:
                at, frame = points[k] + 0.004 * normals[k], hand_frame(side, fingers, palm)
                take = functools.partial(_flat, p, side, fingers=fingers, palm=palm, amount=0.45 if grips else 0.15)
            # What is thick lies nearer to the fingers, or the thumb does not come round it.
            ahead = frame[:, 0] * (1.0 if side == "left" else -1.0)
            p.rotations = kept.copy()
            take(at=at)
            error = _error(p, side, points[k], frame) + 0.15 * cost[k]
            slid = [functools.partial(_moved, take, at - slide * ahead, palm) for slide in SLIDES]
            found.append((error, p.rotations[chain].copy(), p.rotations[own].copy(), slid))
    found.sort(key=lambda way: way[0])
    if alone:
        closed = []
        for error, *_, slid in found[:CLOSED]:
            for take in slid:
                p.rotations = kept.copy()
                lacks = _close(s, side, take)
                closed.append((error + lacks, p.rotations[chain].copy(), p.rotations[own].copy(), slid))
        found = sorted(closed, key=lambda way: way[0])
        s.gripped = bool(found)
    p.rotations = kept
    if not found:
        return np.inf
    best_error, p.rotations[chain], p.rotations[own], _ = found[0]
    return float(best_error)


def _flat(p: Puppet, side: str, at: np.ndarray, fingers: np.ndarray, palm: np.ndarray, amount: float) -> None:
    """A palm on a point, the fingers a little bent."""
    p.curl(side, amount)
    p.reach(side, at, fingers, palm)


def _moved(take: Callable[..., None], at: np.ndarray, palm: np.ndarray, back: float) -> None:
    """A way to take hold, the hand drawn back from where its palm faces."""
    take(at=at - back * palm)


def _close(s: Setting, side: str, take: Callable[[float], None]) -> float:
    """Takes hold with a hand whose palm lies on the thing and whose fingers close on it.

    Returns:
      What the hold lacks, metres: fingers that touch nothing, and fingers and palm that push the same way.
    """
    back = 0.0
    take(back)
    for _ in range(BACKS):
        gap = float(s.distance(palm_skin(s.puppet, side)).min())
        if abs(gap) <= ALLOWED:
            break
        back -= min(gap, NEARER)
        take(back)
    push, fingers = close_hand(s.puppet, side, s.distance, s.normals_at)
    return OPPOSED * push + EMPTY * (5 - fingers)


def _ways(point, normal, rod, side, shoulder, rng, alone):
    """Directions of fingers and palm, and of a rod's thumb end, that could hold a point."""
    sign = 1.0 if side == "left" else -1.0
    palm = -normal
    if rod is None and alone:
        first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
        for angle in 2 * np.pi * (np.arange(TURNS) + rng.random()) / TURNS:
            yield np.cos(angle) * unit(first) + np.sin(angle) * np.cross(normal, unit(first)), palm, None
        return
    if rod is None:
        for guess in ((0.0, 0.15, 1.0), (-0.6 * sign, 0.0, 0.8), (0.0, 1.0, 0.3), (0.0, -1.0, 0.4)):
            fingers = np.asarray(guess, float) + 0.15 * rng.normal(size=3)
            fingers = fingers - (fingers @ palm) * palm
            if np.linalg.norm(fingers) > 0.3:
                yield unit(fingers), palm, None
        return
    axis = rod[0]
    for guess in ((-sign, 0.0, 0.2), (0.0, -0.8, 0.5), (0.0, 0.3, 1.0)):
        facing = np.asarray(guess, float) - (np.asarray(guess) @ axis) * axis
        if np.linalg.norm(facing) < 0.3:
            continue
        for way in (1.0, -1.0):
            yield None, unit(facing), way * axis


def _bar(points: np.ndarray, thick: float) -> tuple[np.ndarray, float] | None:
    """Axis and radius of a place that is a bar of at most such a thickness; None if it is not."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    extents = np.ptp(centred @ axes.T, axis=0)
    order = np.argsort(-extents)
    if extents[order[1]] > thick or extents[order[0]] < 1.5 * extents[order[1]]:
        return None
    return axes[order[0]], float(extents[order[1:]].mean() / 2)


def _on_axis(points: np.ndarray, at: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The point of the middle line of a bar that is level with a point of its surface."""
    along = (points - at) @ axis
    near = points[np.abs(along) < 0.03]
    middle = (near.min(axis=0) + near.max(axis=0)) / 2 if len(near) else at
    return middle - ((middle - at) @ axis) * axis


def _frame_of_rod(side: str, thumb: np.ndarray, palm: np.ndarray) -> np.ndarray:
    thumb = unit(thumb)
    palm = unit(palm - (palm @ thumb) * thumb)
    fingers = np.cross(-palm, thumb) if side == "left" else np.cross(palm, thumb)
    return hand_frame(side, fingers, palm)


def _error(p: Puppet, side: str, goal: np.ndarray, frame: np.ndarray) -> float:
    """How far the palm ends from its goal and is turned from it, and how near the elbow comes to the trunk."""
    rotations, positions = p.kinematics()
    wrist = joint(f"{side}_wrist")
    palm = positions[wrist] + rotations[wrist] @ p.palm_offset(side)
    turned = np.arccos(np.clip((np.trace(rotations[wrist].T @ frame) - 1) / 2, -1, 1))
    elbow, spine = positions[joint(f"{side}_elbow")], positions[[joint("spine2"), joint("spine3"), joint("pelvis")]]
    near = max(0.0, 0.17 * p.size - np.linalg.norm(spine - elbow, axis=1).min())
    return float(np.linalg.norm(palm - goal) + 0.1 * turned + near)
