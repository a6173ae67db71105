"""What was seen of one person: named points in pixels, in metres, or both, and how far each is to be believed."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.optim.fitting.layouts import HAND_SIDES, MEDIAPIPE_BODY, hand_names, spread_of

ArrayLike = jax.Array | np.ndarray
Numbers = ArrayLike | Sequence[Any]

GROUPS: tuple[str, ...] = ("body", "left_hand", "right_hand")
"""Groups of points whose metres share an origin."""
PIXEL_SHARE = 0.006
"""Standard deviation of a detector's pixel, as a share of the diagonal of the seen points' box."""
HAND_PIXEL_SHARE = 0.03
"""The same of a hand's points, which come from a small picture of their own."""
METRIC_STD = 0.06
"""Standard deviation of a detector's metric point, metres."""
LEAST_VISIBILITY = 0.5
"""Points that are less visible than this have not been seen: a detector invents them."""
LEAST_HAND_SCORE = 0.5
"""Hands whose score is lower than this are left out."""


@struct.dataclass
class Observation:
    """N named points of one person (or of many, with a leading axis on every array)."""

    pixels: Float[ArrayLike, "*B N 2"] | Any
    """x, y in the picture, (0, 0) its upper left corner."""
    weights: Float[ArrayLike, "*B N"] | Any
    """Belief in each pixel, 0 (not seen) to 1."""
    pixel_std: Float[ArrayLike, "*B N"] | Any
    """The detector's error, pixels, one standard deviation."""
    spread: Float[ArrayLike, "*B N"] | Any
    """How far the detector's point and the body's differ, metres; see `layouts.spread_of`."""
    metric: Float[ArrayLike, "*B N 3"] | Any
    """Metres, x right, y down, z forward; every group has an origin of its own, which does not matter."""
    metric_weights: Float[ArrayLike, "*B N"] | Any
    """Belief in each metric point; 0 where there is none."""
    metric_std: Float[ArrayLike, "*B N"] | Any
    """Error of the metric points, metres."""
    names: tuple[str, ...] = struct.field(pytree_node=False)
    """Names of the points, from `points.POINT_NAMES`; a name may occur twice."""
    groups: tuple[int, ...] = struct.field(pytree_node=False)
    """Index into `GROUPS` of each point."""
    metric_frame: str = struct.field(pytree_node=False, default="camera")
    """"camera": the metric points' axes are the camera's. "view": those of a camera that looks straight at the person,
    as networks that see a crop give them."""


def observe(
    names: Sequence[str],
    pixels: Numbers,
    weights: Numbers | None = None,
    *,
    metric: Numbers | None = None,
    metric_weights: Numbers | None = None,
    pixel_std: float | Numbers | None = None,
    metric_std: float | Numbers = METRIC_STD,
    spread: float | Numbers | None = None,
    groups: Sequence[str] | None = None,
    metric_frame: str = "camera",
    image_size: tuple[int, int] | None = None,
) -> Observation:
    """Checks and completes what a detector says about one person; on the host.

    Args:
      names: names of body points; "" drops a point.
      pixels: (N, 2) x, y. Points with values that are not finite count as not seen.
      weights: (N,) from 0 to 1; None is 1.
      metric: (N, 3) metres, or None.
      metric_weights: (N,); None takes `weights`.
      pixel_std: pixels; None takes `PIXEL_SHARE` of the diagonal of the seen points' box, at least half a pixel.
      metric_std: metres.
      spread: metres; None takes the table of `layouts`, 0 says that the points are the body's own.
      groups: of `GROUPS` for each point; None is "body".
      metric_frame: "camera" or "view", see `Observation`.
      image_size: (H, W); points outside of the picture then count as not seen, in pixels and in metres.

    Returns:
      float32 arrays, NumPy.

    Raises:
      InputError: shapes that disagree, no names, a weight or a standard deviation out of range.
    """
    keep = [i for i, name in enumerate(names) if name]
    count = len(names)
    if not keep:
        raise InputError("an observation without any named point; wanted is at least one name such as left_knee")
    xy = _array(pixels, (count, 2), "pixels")
    seen = np.isfinite(xy).all(axis=1) & (np.abs(np.nan_to_num(xy)) < 1e6).all(axis=1)
    if image_size is not None:
        height, width = image_size
        seen &= (xy[:, 0] >= 0) & (xy[:, 1] >= 0) & (xy[:, 0] <= width) & (xy[:, 1] <= height)
    w = np.where(seen, _weights(weights, count, "weights"), 0.0)
    if metric is None:
        xyz, mw = np.zeros((count, 3)), np.zeros(count)
    else:
        xyz = _array(metric, (count, 3), "metric")
        mw = w if metric_weights is None else _weights(metric_weights, count, "metric_weights")
        mw = np.where(seen & np.isfinite(xyz).all(axis=1) & (np.abs(np.nan_to_num(xyz)) < 1e3).all(axis=1), mw, 0.0)
    if metric_frame not in ("camera", "view"):
        raise InputError(f"metric_frame is {metric_frame!r}; wanted is 'camera' or 'view'")
    groups = ("body",) * count if groups is None else tuple(groups)
    if len(groups) != count or any(group not in GROUPS for group in groups):
        raise InputError(f"groups must be {count} of {', '.join(GROUPS)}, got {groups}")
    xy = np.where(seen[:, None], np.nan_to_num(xy), 0.0)
    if pixel_std is None:
        box = np.ptp(xy[w > 0], axis=0) if (w > 0).any() else np.zeros(2)
        pixel_std = max(0.5, PIXEL_SHARE * float(np.hypot(*box)))
    spread = np.array([spread_of(name) for name in names]) if spread is None else spread
    columns = {
        "pixels": xy,
        "weights": w,
        "pixel_std": _positive(pixel_std, count, "pixel_std"),
        "spread": _positive(spread, count, "spread", zero=True),
        "metric": np.where(mw[:, None] > 0, np.nan_to_num(xyz), 0.0),
        "metric_weights": mw,
        "metric_std": _positive(metric_std, count, "metric_std"),
    }
    return Observation(
        **{key: np.asarray(value[keep], np.float32) for key, value in columns.items()},
        names=tuple(names[i] for i in keep),
        groups=tuple(GROUPS.index(groups[i]) for i in keep),
        metric_frame=metric_frame,
    )


def observe_mediapipe(
    landmarks: Numbers,
    visibility: Numbers,
    metric: Numbers | None = None,
    *,
    hands: dict[str, tuple[Numbers, float]] | None = None,
    image_size: tuple[int, int] | None = None,
) -> Observation:
    """MediaPipe's 33 landmarks of a person, and its hands where their score carries.

    Landmarks that are less visible than `LEAST_VISIBILITY`, or outside of the picture, are neither seen in pixels nor
    in metres: the network invents the legs of people who are cut off, and its metres are as invented.

    Args:
      landmarks: (33, 2) or (33, 3), pixels; a third column is not used.
      visibility: (33,) in [0, 1].
      metric: (33, 3) metres, axes of a camera that looks at the person.
      hands: "left" and "right" to 21 points, (21, 2) or (21, 3) pixels, and the hand network's score in [0, 1].
      image_size: (H, W).

    Raises:
      InputError: as `observe`, or a hand of another name.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 2 or landmarks.shape[0] != 33 or landmarks.shape[1] not in (2, 3):
        raise InputError(f"MediaPipe's landmarks are (33, 3), got {landmarks.shape}")
    visibility = _array(visibility, (33,), "visibility")
    gate = np.where(np.nan_to_num(visibility) >= LEAST_VISIBILITY, np.clip(np.nan_to_num(visibility), 0, 1), 0.0)
    body = observe(MEDIAPIPE_BODY, landmarks[:, :2], gate, metric=metric, metric_frame="view", image_size=image_size)
    return with_hands(body, hands or {}, image_size=image_size)


def with_hands(
    body: Observation,
    hands: dict[str, tuple[Numbers, float]],
    *,
    image_size: tuple[int, int] | None = None,
) -> Observation:
    """Adds hands to what was seen of the body; a hand below `LEAST_HAND_SCORE`, or absent, gets no weight.

    Both hands always take their place in the observation, so that one compiled program serves everybody.

    Args:
      body: of one person.
      hands: "left" and "right" to points (21, 2) or (21, 3), pixels, in `layouts.hand_names`' order, and a score.
      image_size: (H, W).

    Raises:
      InputError: another key, shape or score.
    """
    parts = [body]
    for side in HAND_SIDES:
        points, score = hands.get(side, (np.zeros((21, 2)), 0.0))
        points, score = np.asarray(points, np.float64), float(score)
        if points.ndim != 2 or points.shape[0] != 21 or points.shape[1] not in (2, 3):
            raise InputError(f"the {side} hand has points of shape {points.shape}; wanted is (21, 2) or (21, 3)")
        if not 0 <= score <= 1:
            raise InputError(f"the {side} hand has the score {score}; wanted is 0 to 1")
        weight = np.full(21, score if score >= LEAST_HAND_SCORE else 0.0)
        known = points[np.isfinite(points[:, :2]).all(axis=1), :2]
        extent = float(np.hypot(*np.ptp(known, axis=0))) if len(known) and weight.any() else 0.0
        parts.append(
            observe(
                hand_names(side),
                points[:, :2],
                weight,
                pixel_std=max(1.0, HAND_PIXEL_SHARE * extent),
                groups=(f"{side}_hand",) * 21,
                image_size=image_size,
            )
        )
    if set(hands) - set(HAND_SIDES):
        raise InputError(f"hands are 'left' and 'right', got {', '.join(map(repr, hands))}")
    arrays = jax.tree.map(
        lambda *x: np.concatenate(x), *(part.replace(names=(), groups=(), metric_frame="") for part in parts)
    )
    names = sum((part.names for part in parts), ())
    return arrays.replace(names=names, groups=sum((part.groups for part in parts), ()), metric_frame=body.metric_frame)


def stack_observations(observations: Sequence[Observation]) -> Observation:
    """Several people's observations as one with a leading axis.

    Raises:
      InputError: none, or their points differ.
    """
    if not observations:
        raise InputError("no observation to fit; wanted is at least one person")
    first = observations[0]
    for other in observations[1:]:
        if (other.names, other.groups, other.metric_frame) != (first.names, first.groups, first.metric_frame):
            raise InputError("observations of one batch must have the same points in the same order; fit them apart")
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *observations)


def _array(value: Numbers, shape: tuple[int, ...], what: str) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be numbers of shape {shape}") from error
    if array.shape != shape:
        raise InputError(f"{what} has the shape {array.shape}; wanted is {shape}")
    return array


def _weights(value: Numbers | None, count: int, what: str) -> np.ndarray:
    array = np.ones(count) if value is None else _array(value, (count,), what)
    if not ((array >= 0) & (array <= 1)).all():
        raise InputError(f"{what} must lie between 0 and 1, got {array.min()} to {array.max()}")
    return array


def _positive(value: float | Numbers, count: int, what: str, *, zero: bool = False) -> np.ndarray:
    array = np.broadcast_to(np.asarray(value, np.float64), (count,))
    if not (np.isfinite(array) & ((array >= 0) if zero else (array > 0))).all():
        raise InputError(f"{what} must be finite and {'not negative' if zero else 'above zero'}, got {array.min()}")
    return array
