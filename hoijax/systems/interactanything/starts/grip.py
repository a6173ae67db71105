"""Fingers that close on a surface until they touch it, joint after joint, as those of an underactuated gripper do."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from hoijax.data.synth.rig import Puppet, joint, turn

LEVELS = 19
"""Poses of a finger from straight to a fist, first and last included."""
ALLOWED = 0.001
"""How deep a finger may press, metres."""
TOUCHING = 0.006
"""How near skin must be to count as touching, metres."""
SKIN = 16
"""Points of the skin for each bone of a finger."""
THUMB, ABDUCTED = 4, (0.0, 15.0, 30.0, 45.0, 60.0, 75.0)
"""Which finger the thumb is, and how far it may first be held off the palm, degrees."""
IN_PALM = -0.018
"""Above this height over the wrist, and on the little finger's side of it, a thumb is within the palm, metres."""

Distance = Callable[[np.ndarray], np.ndarray]
"""Signed distance of world points to a thing, positive outside, metres."""
Normals = Callable[[np.ndarray], np.ndarray]
"""Outward normals of a thing nearest to world points."""


@functools.cache
def _bends(side: str) -> Float[np.ndarray, "L 5 3 3 3"]:
    """Rotations of the joints of each finger, from straight over a grasp to a fist."""
    puppet, first = Puppet(np.zeros(10)), joint(f"{side}_index1")
    poses = [puppet.curl(side, x).rotations[first : first + 15].copy() for x in np.linspace(0.0, 2.0, LEVELS)]
    return np.stack(poses).reshape(LEVELS, 5, 3, 3, 3)


class _Fingers:
    """Some fingers of a hand whose wrist stays."""

    def __init__(self, puppet: Puppet, side: str, which: tuple[int, ...], bends: Float[np.ndarray, "L F 3 3 3"]):
        first, wrist = joint(f"{side}_index1"), joint(f"{side}_wrist")
        self.bones = np.arange(first, first + 15).reshape(5, 3)[list(which)]
        self.bends = bends
        rotations, positions = puppet.kinematics()
        self._turned, self._at = rotations[wrist], positions[wrist]
        self._skin = puppet.skin(self.bones.reshape(-1).tolist(), SKIN).reshape(*self.bones.shape, SKIN, 3)
        parents = np.array([[wrist, *row[:2]] for row in self.bones.tolist()])
        self._steps = puppet.rest[self.bones] - puppet.rest[parents]

    def points(self, levels: np.ndarray) -> np.ndarray:
        """Of the skin, world, (L, F, 3, SKIN, 3), for levels (L, F, 3)."""
        each = np.arange(len(self.bones))
        turned, at, out = np.broadcast_to(self._turned, (*levels.shape[:2], 3, 3)), self._at, []
        for k in range(3):
            at = at + np.einsum("lfij,fj->lfi", turned, self._steps[:, k])
            turned = turned @ self.bends[levels[:, :, k], each, k]
            out.append(np.einsum("lfij,fsj->lfsi", turned, self._skin[:, k]) + at[:, :, None])
        return np.stack(out, axis=2)

    def close(self, distance: Distance) -> np.ndarray:
        """Levels (F, 3): all joints close until the skin touches, then the two outer ones, then the outermost."""
        count = len(self.bones)
        chosen, every = np.zeros((count, 3), int), np.arange(LEVELS)[:, None, None]
        for free in range(3):
            trial = np.broadcast_to(chosen, (LEVELS, count, 3)).copy()
            trial[:, :, free:] = np.maximum(trial[:, :, free:], every)
            gaps = np.asarray(distance(self.points(trial).reshape(-1, 3))).reshape(LEVELS, count, 3, SKIN)
            gaps = gaps[:, :, free:].min(axis=(2, 3))
            chosen = trial[[_last_clear(g) for g in gaps.T], np.arange(count)]
        return chosen

    def rotations(self, levels: np.ndarray) -> np.ndarray:
        """Of the joints, (F, 3, 3, 3), for levels (F, 3)."""
        return self.bends[levels, np.arange(len(self.bones))[:, None], np.arange(3)]


def close_hand(puppet: Puppet, side: str, distance: Distance, normals: Normals) -> tuple[float, int]:
    """Closes the fingers of a hand on a thing; the wrist stays.

    The thumb closes from several places off the palm, and stays where it opposes fingers and palm best.

    Args:
      puppet: whose hand.
      side: "left" or "right".
      distance: to the thing.
      normals: of the thing.

    Returns:
      How one-sided the hold is, the length of the mean normal of what touches: 0 where skin pushes from all sides, 1
      where all pushes one way or nothing touches; and how many fingers touch.
    """
    bends, palm = _bends(side), palm_skin(puppet, side)
    fingers = _Fingers(puppet, side, tuple(range(THUMB)), bends[:, :THUMB])
    levels = fingers.close(distance)
    puppet.rotations[fingers.bones] = fingers.rotations(levels)
    skin = fingers.points(levels[None]).reshape(-1, 3)
    near = np.asarray(distance(np.concatenate([skin, palm]))) < TOUCHING
    touching = int(near[: len(skin)].reshape(THUMB, -1).any(axis=1).sum())
    pushes = normals(np.concatenate([skin, palm])[near]) if near.any() else np.zeros((0, 3))
    rotations, positions = puppet.kinematics()
    wrist = joint(f"{side}_wrist")
    own = np.repeat(bends[:, THUMB:], len(ABDUCTED), axis=1)
    own[:, :, 0] = np.stack([turn("X", angle) for angle in ABDUCTED]) @ own[:, :, 0]
    thumbs = _Fingers(puppet, side, (THUMB,) * len(ABDUCTED), own)
    levels = thumbs.close(distance)
    skins = thumbs.points(levels[None])[0].reshape(len(ABDUCTED), -1, 3)
    gaps = np.asarray(distance(skins.reshape(-1, 3))).reshape(len(ABDUCTED), -1)
    felt = normals(skins.reshape(-1, 3)).reshape(skins.shape)
    pushes = [np.concatenate([pushes, n[g < TOUCHING]]) for n, g in zip(felt, gaps)]
    push = np.array([np.linalg.norm(p.mean(axis=0)) if len(p) else 1.0 for p in pushes])
    _, up, across = np.moveaxis((skins - positions[wrist]) @ rotations[wrist], -1, 0)
    pressed = np.maximum(0.0, -gaps.min(axis=1) - ALLOWED) / TOUCHING
    best = int(np.argmin(push + pressed + np.mean((up > IN_PALM) & (across < 0), axis=1)))
    puppet.rotations[thumbs.bones[best]] = thumbs.rotations(levels)[best]
    return float(push[best]), touching + bool((gaps[best] < TOUCHING).any())


def palm_skin(puppet: Puppet, side: str) -> Float[np.ndarray, "N 3"]:
    """Points of the skin that moves with the wrist, world, metres."""
    rotations, positions = puppet.kinematics()
    wrist = joint(f"{side}_wrist")
    return positions[wrist] + puppet.skin([wrist], 4 * SKIN)[0] @ rotations[wrist].T


def _last_clear(gaps: Float[np.ndarray, "L"]) -> int:
    """The pose before the first that presses, after the first that does not; the freest where all press: a thumb that
    is straight may be within what it would lie round."""
    clear = gaps > -ALLOWED
    if not clear.any():
        return int(np.argmax(gaps))
    first = int(np.argmax(clear))
    return first + int(np.cumprod(clear[first:]).sum()) - 1
