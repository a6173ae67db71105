"""Noise of a track and what is left of it without: robust smoothing in time, frames that are missing respected.

Host functions in float64, a closed form each: tracks are short beside what a refiner does with them.
"""

from typing import Any

import numpy as np
from scipy.linalg import solveh_banded
from scipy.sparse import csr_array, diags_array
from scipy.spatial.transform import Rotation

GAP = 8
"""Frames apart at which neighbours no longer say anything of each other's acceleration."""
FEWEST = 4
"""Frames of a track below which its noise is not estimated."""


def second_differences(frames: np.ndarray, gap: int = GAP) -> csr_array:
    """Second differences of a track as a matrix `(T - 2, T)`; rows across a gap are zero.

    Row k takes frames k, k + 1, k + 2 and is (1, -2, 1) where they follow each other; where some are missing it is the
    second divided difference, in the same unit: per squared frame.

    Args:
      frames: `(T,)` numbers of the frames, rising.
      gap: two frames that are this far apart or farther are not tied.
    """
    count = len(frames)
    if count < 3:
        return csr_array((max(count - 2, 0), count))
    steps = np.diff(np.asarray(frames, np.float64))
    before, after = steps[:-1], steps[1:]
    tied = np.maximum(before, after) < gap
    scale = np.where(tied, 2.0 / (before + after), 0.0)
    first, last = scale / before, scale / after
    return diags_array(
        [first, -(first + last), last], offsets=[0, 1, 2], shape=(count - 2, count)
    ).tocsr()  # fmt: skip


def noise_of(values: np.ndarray, differences: csr_array, floor: float) -> np.ndarray:
    """Standard deviation of white noise in a track, per channel, from the median of its second differences.

    Args:
      values: `(T, C)`.
      differences: of the same track.
      floor: least value, in the unit of `values`.

    Returns:
      `(C,)`.
    """
    size = np.sqrt(np.asarray((differences**2).sum(axis=1)).ravel())
    tied = size > 0
    if tied.sum() < FEWEST - 2:
        return np.full(values.shape[1], floor)
    scaled = np.abs(differences @ values)[tied] / size[tied, None]
    return np.maximum(1.4826 * np.median(scaled, axis=0), floor)


def smooth(
    values: np.ndarray,
    frames: np.ndarray,
    natural: float,
    floor: float,
    *,
    weights: np.ndarray | None = None,
    alike: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """A track without its noise: the most likely one for white noise and white acceleration (Whittaker 1923).

    Minimises sum w (x - y)^2 / noise^2 + sum (D x)^2 / natural^2 with D the second differences, each channel by its own
    noise: a camera's depth is worse than its sides. Frames off by more than three times the noise count ever less
    (Cauchy weights, five rounds).

    Args:
      values: `(T, C)`; channels are what is off together, as x, y, z of a point.
      frames: `(T,)` numbers of the frames.
      natural: root mean square of the second difference of true motion.
      floor: noise that every estimate has at least.
      weights: `(T,)` of the frames; None: one each.
      alike: all channels have one noise.

    Returns:
      `(T, C)` smoothed, and the noise of each channel `(C,)`.
    """
    differences = second_differences(frames)
    measured = noise_of(values, differences, floor)
    if alike:
        measured = np.full_like(measured, np.sqrt(np.mean(measured**2)))
    # The motion's own second differences are no noise.
    noise = np.sqrt(np.maximum(measured**2 - natural**2 / 6.0, floor**2))
    given = np.ones(len(values)) if weights is None else weights
    out, trust = values, given
    for _ in range(5):
        if alike:
            out = _solve(values, trust, differences, (noise[0] / natural) ** 2)
        else:
            each = [_solve(x[:, None], trust, differences, (n / natural) ** 2) for x, n in zip(values.T, noise)]
            out = np.concatenate(each, axis=1)
        off = np.sqrt(np.mean(((values - out) / noise) ** 2, axis=1)) / 3.0
        trust = given / (1.0 + off**2)
    return out, noise


def _solve(values: np.ndarray, weights: np.ndarray, differences: csr_array, strength: float) -> np.ndarray:
    """(W + strength D'D) x = W y, by its five diagonals."""
    count = len(values)
    normal = (differences.T @ differences) * strength + diags_array(weights + 1e-9)
    bands = np.zeros((3, count))
    for k in range(min(3, count)):
        bands[2 - k, k:] = normal.diagonal(k)
    return solveh_banded(bands, (weights + 1e-9)[:, None] * values)


def smooth_rotations(
    rotations: np.ndarray, frames: np.ndarray, natural: float, floor: float, *, weights: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """The same for rotations, as quaternions whose signs run on.

    Args:
      rotations: `(T, 3, 3)`.
      frames: `(T,)` numbers of the frames.
      natural: radians a squared frame.
      floor: radians.
      weights: `(T,)` of the frames.

    Returns:
      `(T, 3, 3)`, and the noise in radians.
    """
    quaternions = Rotation.from_matrix(rotations).as_quat()
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    quaternions[1:] *= np.cumprod(flips)[:, None]
    # A turn by a small angle moves its quaternion by half of it.
    smoothed, noise = smooth(quaternions, frames, natural / 2, floor / 2, weights=weights, alike=True)
    # Three of four channels share the noise of a vector of three.
    return Rotation.from_quat(smoothed).as_matrix(), 2.0 * float(noise[0]) * np.sqrt(4.0 / 3.0)


def step_smoother(frames: np.ndarray, moving: np.ndarray, groups: np.ndarray, strength: float) -> np.ndarray:
    """Matrix `(T, T)` that makes steps of a window smooth in time: symmetric, rows that may not move are zero.

    (W + strength D'D)^-1 over groups of frames that move as one, W their sizes.

    Args:
      frames: `(T,)` numbers of the frames, rising.
      moving: `(T,)` bool; False holds a frame, and its group.
      groups: `(T,)` int; frames of one number move as one.
      strength: of the smoothing, in frames to the fourth.
    """
    names, index = np.unique(groups, return_inverse=True)
    member = np.zeros((len(frames), len(names)))
    member[np.arange(len(frames)), index] = 1.0
    held = (member[~moving].sum(axis=0) > 0) if (~moving).any() else np.zeros(len(names), bool)
    differences = second_differences(frames) @ member
    normal = np.diag(member.sum(axis=0) + 1e6 * held) + strength * differences.T @ differences
    matrix = member @ np.linalg.inv(normal) @ member.T
    free = ~held[index]
    return matrix * free[:, None] * free[None]


def still_spans(
    places: np.ndarray, noise: float, frames: np.ndarray, fps: float, *, least: float = 1.0, slack: float = 0.008
) -> list[tuple[int, int]]:
    """Stretches of a track in which nothing moves beyond what its noise explains.

    A stretch is still if no frame of the smoothed track is farther from its middle than 1.5 times the noise (at least
    `slack`), and no steady drift from its start to its end stands out of the noise. Stretches that follow each other at
    once a few noises apart are a slow motion, not a staircase, and none of them is still.

    Args:
      places: `(T, C)` of points of the thing, smoothed, metres.
      noise: of one point before smoothing, metres.
      frames: `(T,)` numbers of the frames.
      fps: frames a second.
      least: seconds that a stretch lasts, or the whole track if that is shorter.
      slack: metres.

    Returns:
      First row and the row after the last of each stretch.
    """
    count, tolerance = len(places), max(1.5 * noise, slack)
    needed = min(least * fps, frames[-1] - frames[0]) if count else 0
    if count and _is_still(places, tolerance, noise, frames):
        return [(0, count)]
    spans, first = [], 0
    while first < count:
        last = _reach(places, first, tolerance, noise, frames)
        if frames[last - 1] - frames[first] >= needed and last - first >= min(FEWEST, count):
            spans.append((first, last))
            first = last
        else:
            first += 1
    middle = [np.median(places[a:b], axis=0) for a, b in spans]
    slow = set()
    for k in range(len(spans) - 1):
        near = _apart(middle[k + 1] - middle[k]) < 4.0 * tolerance
        if near and frames[spans[k + 1][0]] - frames[spans[k][1] - 1] < 0.3 * fps:
            slow |= {k, k + 1}
    kept = [span for k, span in enumerate(spans) if k not in slow]
    return [_trimmed(places, span, tolerance) for span in kept]


def _trimmed(places: np.ndarray, span: tuple[int, int], tolerance: float) -> tuple[int, int]:
    """A stretch without the frames at its ends in which the thing leaves already, where it goes on beyond them."""
    away = _apart(places[slice(*span)] - np.median(places[slice(*span)], axis=0))
    inner = np.flatnonzero(away < 0.5 * tolerance)
    if not len(inner):
        return span
    first = span[0] + int(inner[0]) if span[0] > 0 else span[0]
    last = span[0] + int(inner[-1]) + 1 if span[1] < len(places) else span[1]
    return first, last


def _reach(places: np.ndarray, first: int, tolerance: float, noise: float, frames: np.ndarray) -> int:
    """The row after the last of the longest still stretch that starts at a row; grown by halves, then one by one."""
    low, high = first + 1, len(places) + 1  # low is still, high is not
    step = 1
    while low + step < high and _is_still(places[first : low + step], tolerance, noise, frames[first : low + step]):
        low, step = low + step, 2 * step
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        if _is_still(places[first:middle], tolerance, noise, frames[first:middle]):
            low = middle
        else:
            high = middle
    return low


def _is_still(places: np.ndarray, tolerance: float, noise: float, frames: np.ndarray) -> bool:
    away = _apart(places - np.median(places, axis=0))
    if away.max() > tolerance:
        return False
    if len(places) < FEWEST:
        return True
    time = (frames - frames.mean()) / max(np.ptp(frames), 1)
    drift = _apart((time @ places) / (time @ time))
    return bool(drift < 3.0 * noise * np.sqrt(12.0 / len(places)) + 0.005)


def _apart(offset: np.ndarray) -> Any:
    """Mean length over the points of offsets `(..., 3 N)`."""
    return np.linalg.norm(offset.reshape(*offset.shape[:-1], -1, 3), axis=-1).mean(axis=-1)
