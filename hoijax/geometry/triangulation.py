"""Points in space from where several cameras see them (Hartley and Zisserman 2004, chapter 12)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

ArrayLike = jax.Array | np.ndarray


def triangulate(
    pixels: Float[ArrayLike, "V J 2"], confidence: Float[ArrayLike, "V J"], projections: Float[ArrayLike, "V 3 4"]
) -> Float[jax.Array, "J 3"]:
    """The direct linear transform: the point whose rows `c (u P3 - P1)`, `c (v P3 - P2)` are least.

    The cameras' matrices are scaled so that rows are about one; a point of confidence zero in all but one view is
    anywhere on its ray.

    Args:
      pixels: where each view sees each point.
      confidence: weight of each, 0: not seen.
      projections: `intrinsics @ T_camera_world[:3]` of each view.
    """
    pixels, confidence, projections = (jnp.asarray(x) for x in (pixels, confidence, projections))
    rows = pixels[..., None] * projections[:, None, 2:3] - projections[:, None, :2]
    size = jnp.linalg.norm(projections[:, :2, :3], axis=-1)[:, None, :, None]
    rows = confidence[..., None, None] * rows / size
    rows = jnp.moveaxis(rows, 1, 0).reshape(pixels.shape[1], -1, 4)
    _, vectors = jnp.linalg.eigh(jnp.einsum("jri,jrk->jik", rows, rows, precision="highest"))
    point = vectors[..., 0]
    scale = jnp.where(jnp.abs(point[..., 3]) < 1e-9, 1e-9, point[..., 3])
    return point[..., :3] / scale[..., None]


def reprojection(points: Float[ArrayLike, "J 3"], projections: Float[ArrayLike, "V 3 4"]) -> Float[jax.Array, "V J 2"]:
    """Where each view sees points, pixels."""
    points, projections = jnp.asarray(points), jnp.asarray(projections)
    local = jnp.einsum("vik,jk->vji", projections[..., :3], points, precision="highest") + projections[:, None, :, 3]
    return local[..., :2] / local[..., 2:]


def triangulate_robustly(
    pixels: Float[ArrayLike, "V J 2"],
    confidence: Float[ArrayLike, "V J"],
    projections: Float[ArrayLike, "V 3 4"],
    *,
    threshold: float,
    least: float = 0.3,
    steps: int = 5,
) -> tuple[Float[np.ndarray, "J 3"], Bool[np.ndarray, "J"]]:
    """Triangulation that leaves out wrong views: of all pairs of views the one that most others agree with. Host.

    Args:
      pixels: where each view sees each point.
      confidence: of each.
      projections: of each view.
      threshold: what a view that agrees is off at most, pixels.
      least: confidence below which a view does not count.
      steps: of Gauss and Newton on the pixels of those that agree.

    Returns:
      Points, metres, and which of them two views or more agree on; the others are not numbers.
    """
    pixels, confidence, projections = (np.asarray(x, np.float64) for x in (pixels, confidence, projections))
    count = confidence.shape[1]
    points, found = np.full((count, 3), np.nan), np.zeros(count, bool)
    for j in range(count):
        usable = np.flatnonzero(confidence[:, j] >= least)
        best: np.ndarray = np.zeros(0, int)
        error = np.inf
        for pair in itertools.combinations(usable, 2):
            chosen = list(pair)
            point = np.asarray(triangulate_host(pixels[chosen, j], np.ones(2), projections[chosen]))
            off = np.linalg.norm(_seen(point, projections[usable]) - pixels[usable, j], axis=1)
            agree = usable[off <= threshold]
            total = off[off <= threshold].sum()
            if len(agree) > len(best) or (len(agree) == len(best) and total < error):
                best, error = agree, total
        if len(best) >= 2:
            point = triangulate_host(pixels[best, j], confidence[best, j], projections[best])
            points[j] = _refine(point, pixels[best, j], confidence[best, j], projections[best], steps)
            found[j] = True
    return points, found


def triangulate_host(
    pixels: Float[np.ndarray, "V 2"], confidence: Float[np.ndarray, "V"], projections: Float[np.ndarray, "V 3 4"]
) -> Float[np.ndarray, "3"]:
    """`triangulate` of one point in float64 on the host."""
    rows = pixels[..., None] * projections[:, 2:3] - projections[:, :2]
    rows = confidence[:, None, None] * rows / np.linalg.norm(projections[:, :2, :3], axis=-1, keepdims=True)
    point = np.linalg.svd(rows.reshape(-1, 4))[2][-1]
    return point[:3] / (point[3] if abs(point[3]) > 1e-12 else 1e-12)


def _seen(point: np.ndarray, projections: np.ndarray) -> np.ndarray:
    local = projections[..., :3] @ point + projections[..., 3]
    depth = np.where(local[:, 2:] > 1e-9, local[:, 2:], np.nan)
    return np.nan_to_num(local[:, :2] / depth, nan=1e12)


def _refine(
    point: np.ndarray, pixels: np.ndarray, confidence: np.ndarray, projections: np.ndarray, steps: int
) -> np.ndarray:
    for _ in range(steps):
        local = projections[..., :3] @ point + projections[..., 3]
        if np.any(local[:, 2] < 1e-9):
            return point
        seen = local[:, :2] / local[:, 2:]
        slope = (projections[:, :2, :3] - seen[..., None] * projections[:, 2:3, :3]) / local[:, 2, None, None]
        weight = confidence[:, None]
        slope, off = (weight[..., None] * slope).reshape(-1, 3), (weight * (seen - pixels)).reshape(-1)
        point = point - np.linalg.lstsq(slope, off, rcond=None)[0]
    return point
