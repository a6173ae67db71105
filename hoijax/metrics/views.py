"""Whether pictures of several views show one thing: their outlines against the visual hull that they leave."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from hoijax.camera import Camera


def view_consistency(
    masks: Sequence[Bool[np.ndarray, "H W"]],
    cameras: Sequence[Camera],
    box: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]],
    *,
    cells: int = 96,
) -> Float[np.ndarray, "N"]:
    """For each view the share of its mask that the other views allow. Host function.

    A pixel is allowed if its ray meets a point that all masks hold: the outlines of one solid have 1 everywhere (but
    for the grid), those of things that differ in size, place or limbs have less. It sees nothing of colours.

    Args:
      masks: what is seen of the thing in each view.
      cameras: of the views, image sizes as the masks'.
      box: lower and upper corner of where the thing is, metres.
      cells: of the grid along the box's longest side.

    Returns:
      Shares in [0, 1], a number per view; NaN where a mask is empty.

    Raises:
      ValueError: not a camera for each mask, or fewer than two views.
    """
    if len(masks) != len(cameras) or len(masks) < 2:
        raise ValueError(f"wanted two views or more with a camera for each; got {len(masks)} and {len(cameras)}")
    low, high = (np.asarray(corner, np.float64) for corner in box)
    step = float((high - low).max()) / cells
    axes = [np.arange(a + step / 2, b, step) for a, b in zip(low, high)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    kept = np.ones(len(points), bool)
    pixels, reach = [], []
    for mask, camera in zip(masks, cameras):
        transform, matrix = np.asarray(camera.T_camera_world, float), np.asarray(camera.intrinsics, float)
        local = points @ transform[:3, :3].T + transform[:3, 3]
        ahead = local[:, 2] > 1e-6
        image = (local @ matrix.T)[:, :2] / np.where(ahead, local[:, 2], 1.0)[:, None]
        column, row = np.floor(image).astype(int).T
        inside = ahead & (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
        kept &= inside
        kept[inside] &= np.asarray(mask, bool)[row[inside], column[inside]]
        pixels.append((row, column))
        reach.append(matrix[0, 0] * step / np.where(ahead, local[:, 2], np.inf))
    return np.array([_share(m, r[kept], c[kept], s[kept]) for m, (r, c), s in zip(masks, pixels, reach)])


def _share(mask: np.ndarray, row: np.ndarray, column: np.ndarray, reach: np.ndarray) -> float:
    """Share of a mask that cells cover, each seen as a square."""
    mask = np.asarray(mask, bool)
    if not mask.any():
        return float("nan")
    seen = np.zeros(mask.shape, bool)
    half = int(np.ceil(reach.max() / 2)) if len(reach) else 0
    for i in range(-half, half + 1):
        for j in range(-half, half + 1):
            a, b = np.clip(row + i, 0, mask.shape[0] - 1), np.clip(column + j, 0, mask.shape[1] - 1)
            seen[a, b] = True
    return float((seen & mask).sum() / mask.sum())
