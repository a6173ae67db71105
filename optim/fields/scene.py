"""A scene as refiners see it: points with normals, arranged for fast nearest-neighbour queries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from hoijax.errors import InputError
from hoijax.geometry import PointBlocks, nearest_in_blocks, point_blocks

ArrayLike = jax.Array | np.ndarray

FARTHEST = 500.0
"""Points farther from the camera than this are taken for a file in millimetres."""
ASIDE, ASIDE_SHARE = 0.03, 0.2
"""How far aside a nearest point may lie and still speak of what is behind it: metres, and a share of the height."""


@struct.dataclass
class ScenePoints:
    """Scene points with unit normals towards free space; metres, camera frame. Made by `make_scene`."""

    blocks: PointBlocks
    normals: Float[ArrayLike, "M K 3"] | Any
    """Normal of each place of the blocks."""


@struct.dataclass
class Probed:
    """The nearest scene point of each query."""

    offset: Float[ArrayLike, "Q 3"] | Any
    """From the query to the point, metres; differentiable in the query at a fixed point."""
    normal: Float[ArrayLike, "Q 3"] | Any
    """Unit normal there."""


def make_scene(
    points: Float[ArrayLike, "N 3"],
    normals: Float[ArrayLike, "N 3"] | None = None,
    *,
    viewpoint: ArrayLike | tuple[float, float, float] = (0.0, 0.0, 0.0),
    capacity: int | None = None,
) -> ScenePoints:
    """Arranges a scene, once, on the host.

    Args:
      points: metres, camera frame; rows that are not finite are left out.
      normals: of the points, towards free space, any length; None estimates them from the neighbours.
      viewpoint: where estimated normals turn to: the camera, from where every point was seen.
      capacity: see `point_blocks`: clouds of up to this many points share one compiled program.

    Raises:
      InputError: no finite points, more than the capacity, or coordinates that cannot be metres.
    """
    points = np.asarray(points, np.float32)
    finite = np.isfinite(points).all(axis=1)
    if not finite.any():
        raise InputError(f"the scene has no points to touch: {len(points)} were given, none of them finite")
    points = points[finite]
    if capacity is not None and len(points) > capacity:
        raise InputError(f"the scene has {len(points)} points, more than the capacity {capacity}; thin it out")
    extent = float(np.median(np.linalg.norm(points, axis=1)))
    if extent > FARTHEST:
        raise InputError(
            f"half of the scene is more than {extent:.0f} away from the camera; hoijax wants metres, the file looks "
            "like millimetres (divide by 1000)"
        )
    if normals is None:
        normals = estimate_normals(points, viewpoint=viewpoint)
    else:
        normals = np.asarray(normals, np.float32)[finite]
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(np.isfinite(length) & (length > 0), normals / np.where(length > 0, length, 1), 0)
    blocks = point_blocks(points, capacity=capacity)
    return ScenePoints(blocks=blocks, normals=normals.astype(np.float32)[blocks.index])


def probe(scene: ScenePoints, queries: Float[ArrayLike, "Q 3"]) -> Probed:
    """The nearest scene point of each query and its normal; exact, for one scene (`vmap` for more)."""
    queries = jnp.asarray(queries)
    slot = _slot(scene, queries)
    points = jnp.asarray(scene.blocks.points).reshape(3, -1)[:, slot].T
    return Probed(offset=points - queries, normal=jnp.asarray(scene.normals).reshape(-1, 3)[slot])


def straight_ahead(distance: Any, height: Any) -> Any:
    """Whether the nearest point lies along its normal, so that a query is before or behind the surface there.

    Where it lies aside, the surface ends: the shin of a sitting body hangs beside the rim of a seat's cloud, below its
    plane, and is not inside anything. Aside by 3 cm is what the gaps between points and noisy normals make.

    Args:
      distance: to the nearest point, metres; NumPy's or JAX's, any shape.
      height: above its tangent plane, metres.

    Returns:
      Booleans.
    """
    aside = distance**2 - height**2
    return aside <= ASIDE**2 + (ASIDE_SHARE * height) ** 2


def on_rim(
    points: Float[ArrayLike, "N 3"],
    normals: Float[ArrayLike, "N 3"],
    chosen: Int[ArrayLike, "K"],
    *,
    neighbours: int = 64,
) -> Bool[np.ndarray, "K"]:
    """Whether chosen points of a cloud lie where its surface ends: their neighbours in the tangent plane are aside.

    The middle of half a disc is 0.42 radii from its centre, that of a whole one with 64 points in it hardly ever 0.28;
    at the edge of a box the neighbours on its other face make it 0.2. On the host.

    Args:
      points: metres; finite.
      normals: unit vectors.
      chosen: which points to look at.
      neighbours: how many decide.
    """
    points, normals, chosen = np.asarray(points, np.float64), np.asarray(normals), np.asarray(chosen)
    if not len(chosen):
        return np.zeros(0, bool)
    distance, index = cKDTree(points).query(points[chosen], k=min(neighbours, len(points)), workers=-1)
    distance, index = (x.reshape(len(chosen), -1) for x in (distance, index))
    middle = points[index].mean(axis=1) - points[chosen]
    middle = middle - np.sum(middle * normals[chosen], axis=1, keepdims=True) * normals[chosen]
    return np.linalg.norm(middle, axis=1) > 0.28 * distance.max(axis=1)


def _slot(scene: ScenePoints, queries: jax.Array) -> jax.Array:
    places = jnp.arange(np.prod(scene.blocks.index.shape), dtype=jnp.int32).reshape(scene.blocks.index.shape)
    return nearest_in_blocks(scene.blocks.replace(index=places), queries).index


def estimate_normals(
    points: Float[ArrayLike, "N 3"],
    *,
    viewpoint: ArrayLike | tuple[float, float, float] = (0.0, 0.0, 0.0),
    neighbours: int = 16,
) -> Float[np.ndarray, "N 3"]:
    """Normals of a cloud: the direction in which the nearest neighbours spread least, turned to the viewpoint.

    On the host, by a k-d tree. For points in a grid `normals_of_point_map` is better: it knows what lies side by side.

    Args:
      points: metres; finite.
      viewpoint: normals point to its side, metres.
      neighbours: how many define a tangent plane.

    Returns:
      Unit vectors, zero where the neighbours coincide.
    """
    points = np.asarray(points, np.float32)
    count = min(neighbours, len(points))
    _, index = cKDTree(points).query(points, k=count, workers=-1)
    group = points[index.reshape(len(points), count)].astype(np.float64)
    group -= group.mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", group, group)
    values, vectors = np.linalg.eigh(covariance)
    normals = vectors[..., 0]
    towards = np.sum(normals * (np.asarray(viewpoint, np.float64) - points), axis=1, keepdims=True)
    normals = np.where(towards < 0, -normals, normals)
    return np.where(values[:, 1:2] > 0, normals, 0).astype(np.float32)


def normals_of_point_map(
    point_map: Float[ArrayLike, "H W 3"],
    valid: Bool[ArrayLike, "H W"] | None = None,
    *,
    edge: float = 0.05,
    reach: float = 0.0125,
) -> tuple[Float[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]:
    """Normals of a point map by central differences, facing the camera, and the pixels that have one.

    Pixels at a depth edge belong to no surface and are dropped: their depth differs from a neighbour's by more than a
    share of it. Where pixels are finer than `reach`, the differences are averaged over a window of about that half
    width: noise of 0.3 % of the depth turns the normals of a map of 640 pixels by 10 degrees then, without by 52.

    Args:
      point_map: camera frame (x right, y down, z forward), metres.
      valid: pixels that hold a point; those with finite points in front of the camera if None.
      edge: relative jump in depth that separates surfaces.
      reach: half the window that differences are averaged over, metres; 0 takes neighbouring pixels alone.

    Returns:
      Unit normals (zero where dropped) and the pixels kept.
    """
    points = np.asarray(point_map, np.float64)
    kept = np.isfinite(points).all(axis=-1) & (np.nan_to_num(points[..., 2]) > 0)
    if valid is not None:
        kept = kept & np.asarray(valid)
    points = np.where(kept[..., None], points, np.nan)
    with np.errstate(invalid="ignore"):
        right = np.full_like(points, np.nan)
        down = np.full_like(points, np.nan)
        right[:, 1:-1] = points[:, 2:] - points[:, :-2]
        down[1:-1] = points[2:] - points[:-2]
        depth = points[..., 2]
        jump = np.zeros_like(depth)
        for axis in (0, 1):
            step = np.abs(np.diff(depth, axis=axis))
            pad = [(0, 0), (0, 0)]
            for before in (0, 1):
                pad[axis] = (before, 1 - before)
                jump = np.fmax(jump, np.pad(step, pad))
        kept = kept & (jump <= edge * depth)
        right, down = _smooth(right, down, kept, reach)
        # Down times right turns to the camera where the surface is seen from its front.
        normals = np.cross(down, right)
        length = np.linalg.norm(normals, axis=-1)
        kept = kept & (length > 0)
        normals = np.where(kept[..., None], normals / np.where(length > 0, length, 1)[..., None], 0.0)
        away = np.sum(np.where(kept[..., None], points, 0.0) * normals, axis=-1) > 0
    return np.where(away[..., None], -normals, normals).astype(np.float32), kept


def _smooth(right: np.ndarray, down: np.ndarray, kept: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Central differences (H, W, 3), averaged over windows of whole pixels; differences across edges take no part."""
    usable = kept & np.isfinite(right).all(axis=-1) & np.isfinite(down).all(axis=-1)
    if not usable.any():
        return right, down
    # The smaller of the two is less foreshortened: what a pixel covers of a surface that faces the camera.
    pitch = np.median(np.minimum(*(np.linalg.norm(x[usable], axis=-1) for x in (right, down)))) / 2
    half = int(reach / max(pitch, 1e-6))
    if half < 1:
        return right, down
    half = min(half, min(kept.shape) // 8)
    count = uniform_filter(usable.astype(np.float64), 2 * half + 1, mode="constant")

    def mean(x: np.ndarray) -> np.ndarray:
        total = uniform_filter(np.where(usable[..., None], x, 0.0), (2 * half + 1, 2 * half + 1, 1), mode="constant")
        return np.where(usable[..., None], total / np.where(usable, count, 1.0)[..., None], np.nan)

    return mean(right), mean(down)
