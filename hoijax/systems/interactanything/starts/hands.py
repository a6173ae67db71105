"""Hands that find their place on a surface: the point, the way of the palm, the fingers."""

import numpy as np

from hoijax.data.synth.rig import Puppet, hand_frame, joint, unit
from hoijax.data.synth.start import grasp, hang
from hoijax.systems.interactanything.relations.schema import is_hand
from hoijax.systems.interactanything.starts.setting import Setting

BAR = 0.06
"""A place that is thinner than this in two directions is a bar to close the hand round, metres."""
LOCAL = 0.055
"""Radius within which a point's surroundings are looked at for a bar, metres."""
TRIES = 8
"""Points and ways that are tried for each hand."""


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
    kind = s.contact(part).kind
    whole, thin = _bar(points), s.thin(part)
    arm = 0.5 * p.size
    away = np.abs(np.linalg.norm(points - shoulder, axis=1) - 0.8 * arm)
    cost = away + 0.06 * rng.random(len(points))
    middle = points.mean(axis=0)
    if kind == "grasp" and not both and thin.sum() >= 8:  # one hand holds what it can close round
        cost += 10.0 * ~thin
    if kind == "grasp" and both and s.flat:  # what is flat lies on the fingers
        cost += 0.4 * (normals[:, 1] > -0.5)
    cost += 0.25 * np.linalg.norm(points - middle, axis=1) if kind == "grasp" and not both else 0.0
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
    best, best_error, kept = None, np.inf, p.rotations.copy()
    own = slice(22, 37) if side == "left" else slice(37, 52)
    chain = [joint(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist")]
    for k in order:
        near = points[np.linalg.norm(points - points[k], axis=1) < LOCAL]
        rod = whole if whole is not None or kind != "grasp" or both or len(near) < 6 else _bar(near)
        for fingers, palm, along in _ways(points[k], normals[k], rod, side, shoulder, rng):
            p.rotations = kept.copy()
            if rod is not None:
                at = _on_axis(points, points[k], rod[0])
                grasp(p, side, at, along, palm, float(np.clip(rod[1], 0.006, 0.03)))
                frame = _frame_of_rod(side, along, palm)
            else:
                p.curl(side, 0.15 if kind != "grasp" else 0.45)
                p.reach(side, points[k] + 0.004 * normals[k], fingers, palm)
                frame = hand_frame(side, fingers, palm)
            error = _error(p, side, points[k], frame) + 0.15 * cost[k]
            if error < best_error:
                best, best_error = p.rotations[chain].copy(), error
                hand = p.rotations[own].copy()
    p.rotations = kept
    if best is not None:
        p.rotations[chain], p.rotations[own] = best, hand
    return float(best_error)


def _ways(point, normal, rod, side, shoulder, rng):
    """Directions of fingers and palm, and of a rod's thumb end, that could hold a point."""
    sign = 1.0 if side == "left" else -1.0
    palm = -normal
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


def _bar(points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Axis and radius of a place that is a bar; None if it is not."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    extents = np.ptp(centred @ axes.T, axis=0)
    order = np.argsort(-extents)
    if extents[order[1]] > BAR or extents[order[0]] < 1.5 * extents[order[1]]:
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
