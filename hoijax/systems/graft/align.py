"""Bringing an estimate to the scene's depth by its head (GRAFT Alg. S1, specs/graft.md section 10.4)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from hoijax.errors import InputError
from hoijax.systems.graft.body import BodySpec
from hoijax.systems.graft.state import GraftState, pose_graft_state

ArrayLike = jax.Array | np.ndarray

MODES = ("scale", "translation")


def align_head(
    spec: BodySpec,
    state: GraftState,
    point_map: Float[ArrayLike, "H W 3"],
    intrinsics: Float[ArrayLike, "3 3"],
    *,
    person_mask: Bool[ArrayLike, "H W"] | None = None,
    window: int = 5,
    offset: float = 0.0,
    mode: str = "scale",
) -> GraftState:
    """Moves one body so that its head is as deep as the point map is where the head appears. On the host.

    The point map must show the people. A pixel sees the skin, about 0.1 m nearer than the joint; `offset` accounts for
    it (the paper does not say).

    Args:
      spec: of the body.
      state: the estimate.
      point_map: points of the image with people, metres, camera frame; NaN where there are none.
      intrinsics: pixels of the point map.
      person_mask: pixels of this person; all that hold a point if None.
      window: side of the square of pixels whose median depth is taken.
      offset: added to that depth, metres.
      mode: "scale" scales the body about the camera, which leaves its image as it is; "translation" moves it along
        the ray of its head, its size unchanged.

    Returns:
      The aligned estimate.

    Raises:
      InputError: the head is behind the camera or outside the image, or no pixel near it holds a depth.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
    head = np.asarray(pose_graft_state(spec.probe_model, state).joints, np.float64)[spec.head]
    depth = head_depth(head, point_map, intrinsics, person_mask=person_mask, window=window) + offset
    factor = depth / head[2]
    dtype = state.scale.dtype
    if mode == "scale":
        return state.replace(scale=state.scale * jnp.asarray(factor, dtype))
    move = jnp.asarray((factor - 1.0) * head, dtype) / state.scale
    return state.replace(params=state.params.replace(translation=state.params.translation + move))


def head_depth(
    head: Float[ArrayLike, "3"],
    point_map: Float[ArrayLike, "H W 3"],
    intrinsics: Float[ArrayLike, "3 3"],
    *,
    person_mask: Bool[ArrayLike, "H W"] | None = None,
    window: int = 5,
) -> float:
    """Median depth of the point map about the pixel where a point appears, metres.

    Args:
      head: the point, metres, camera frame.
      point_map: metres, camera frame.
      intrinsics: pixels.
      person_mask: pixels that count.
      window: side of the square, pixels.

    Raises:
      InputError: as `align_head`.
    """
    head, depth = np.asarray(head, np.float64), np.asarray(point_map)[..., 2]
    if not head[2] > 0:
        raise InputError(
            f"the head is behind the camera (depth {head[2]:.2f} m); are the bodies in the camera's frame?"
        )
    x, y = (np.asarray(intrinsics, np.float64) @ (head / head[2]))[:2]
    height, width = depth.shape
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"the head appears at pixel ({x:.0f}, {y:.0f}), outside the image of {width} x {height}")
    row, column, reach = int(y), int(x), window // 2
    rows = slice(max(0, row - reach), row + reach + 1)
    columns = slice(max(0, column - reach), column + reach + 1)
    patch = depth[rows, columns]
    usable = np.isfinite(patch) & (np.nan_to_num(patch) > 0)
    if person_mask is not None:
        usable &= np.asarray(person_mask)[rows, columns]
    if not usable.any():
        raise InputError(f"the point map holds no depth within {reach} pixels of the head at ({x:.0f}, {y:.0f})")
    return float(np.median(patch[usable]))
