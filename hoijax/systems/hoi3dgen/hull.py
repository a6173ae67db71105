"""The visual hull: what every silhouette leaves of space, as a closed surface with the colours of the pictures.

The field at a point is the largest of its distances from the silhouettes, each measured in its picture (in pixels,
negative inside) and turned into a length by depth over focal length: smooth, so that the surface lies between the
samples. The hull is never smaller than the thing, and larger where nobody looked: hollows stay filled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from scipy.spatial import cKDTree

from hoijax.camera import Camera, project
from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid
from hoijax.geometry.isosurface import isosurface
from hoijax.render import rasterize
from hoijax.systems.hoi3dgen.views import camera_at, padded, surface_normals, visible_pixels
from hoijax.viz.scene import NamedMesh

_CHUNK = 1 << 16
_LEAST = 0.02  # sum of weights from which pictures colour a vertex


def visual_hull(
    masks: Bool[np.ndarray, "N H W"],
    cameras: Camera,
    images: UInt8[np.ndarray, "N H W 3"] | None = None,
    *,
    resolution: int = 96,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    thickness: float | None = None,
) -> NamedMesh:
    """Carves a surface out of silhouettes.

    Args:
      masks: what the thing covers in each picture; N at least 1.
      cameras: with a leading axis N, y up.
      images: the pictures; None: the surface is grey.
      resolution: samples along the longest side of the grid.
      bounds: corners of a box around the thing; None: around what the pictures leave of the unit cube at the origin
        times two.
      thickness: for pictures from nearly one side, which leave depth open: most that the surface lies before and behind
        the middle of the box, as a multiple of the distance from the silhouette's edge. None: no such limit.

    Returns:
      A closed surface with a colour for each vertex, in the cameras' world.

    Raises:
      InputError: an empty silhouette, shapes that do not fit, or silhouettes that have nothing in common.
    """
    masks = np.asarray(masks, bool)
    count = len(np.asarray(cameras.intrinsics)) if np.ndim(cameras.intrinsics) == 3 else 0
    if masks.ndim != 3 or masks.shape != (count, *cameras.image_size):
        raise InputError(f"silhouettes {masks.shape} do not fit {count} cameras of {cameras.image_size} pixels")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if len(empty):
        raise InputError(f"the silhouette of picture {empty[0]} is empty: nothing would be left")
    if resolution < 8:
        raise InputError(f"a hull wants at least 8 samples along a side, got {resolution}")
    low, high = (np.full(3, -1.0), np.full(3, 1.0)) if bounds is None else map(np.asarray, bounds)
    distances = np.stack([_signed_distance(mask) for mask in masks])
    if bounds is None:
        rough, spacing = _field(distances, cameras, low, high, 32, thickness)
        inside = np.argwhere(rough < 1.5 * spacing)
        if not len(inside):
            raise InputError("the silhouettes have nothing in common; do the cameras belong to them?")
        low, high = low + spacing * (inside.min(0) - 1.5), low + spacing * (inside.max(0) + 1.5)
    values, spacing = _field(distances, cameras, low, high, resolution, thickness)
    if not (values < 0).any():
        raise InputError("the silhouettes have nothing in common; do the cameras belong to them?")
    mesh = isosurface(SDFGrid(values=values, origin=np.float32(low), spacing=np.float32(spacing)))
    colors = np.full(np.shape(mesh.vertices), 0.7, np.float32)
    if images is not None:
        colors = project_colors(mesh, cameras, images, masks)
    return NamedMesh("surface", mesh.vertices, mesh.faces, colors)


def project_colors(
    mesh: Mesh,
    cameras: Camera,
    images: UInt8[np.ndarray, "N H W 3"],
    masks: Bool[np.ndarray, "*P N H W"],
    labels: Int[np.ndarray, "V"] | None = None,
) -> Float[np.ndarray, "V 3"]:
    """Colours of vertices from the pictures that see them, by how squarely they do; others take their neighbour's.

    Args:
      mesh: in the cameras' world.
      cameras: with a leading axis N.
      images: the pictures.
      masks: pixels that say something, (N, H, W); with `labels` (P, N, H, W), for the vertices of each part apart.
      labels: the part of each vertex, which takes no colour of another part; None: there is one part.

    Returns:
      sRGB in [0, 1]; grey for parts that no picture shows.
    """
    normals = surface_normals(mesh)
    vertices, faces, directions = padded(np.asarray(mesh.vertices), np.asarray(mesh.faces), normals)
    number = len(normals)
    masks = np.asarray(masks)[None] if labels is None else np.asarray(masks)
    labels = np.zeros(number, int) if labels is None else np.asarray(labels)
    extent = float(np.ptp(np.asarray(mesh.vertices), axis=0).max())
    total, weights = np.zeros((number, 3)), np.zeros(number)
    for view, image in enumerate(images):
        camera = camera_at(cameras, view)
        depth = _depth(vertices, faces, camera)
        row, column, cosine = (
            np.asarray(x)[:number] for x in visible_pixels(vertices, directions, depth, camera, 0.02 * extent)
        )
        weight = cosine**2 * masks[labels, view, row, column]
        total += weight[:, None] * np.asarray(image, np.float32)[row, column] / 255
        weights += weight
    known = weights > _LEAST
    colors = np.where(known[:, None], total / np.maximum(weights, 1e-9)[:, None], 0.7)
    points = np.asarray(mesh.vertices)
    for part in np.unique(labels):
        there, missing = known & (labels == part), ~known & (labels == part)
        if there.any() and missing.any():
            colors[missing] = colors[there][cKDTree(points[there]).query(points[missing])[1]]
    return colors.astype(np.float32)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Pixels from the silhouette's edge, negative inside, between the pixels' centres."""
    outside = ndimage.distance_transform_edt(~mask)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.where(mask, 0.5 - inside, outside - 0.5).astype(np.float32)


def _field(
    distances: np.ndarray, cameras: Camera, low: np.ndarray, high: np.ndarray, resolution: int, thickness: float | None
) -> tuple[np.ndarray, float]:
    """The hull's field on a grid of cubes over a box, and its spacing."""
    spacing = float((high - low).max()) / (resolution - 1)
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing - 1e-6).astype(int) + 1)
    axes = [low[k] + spacing * np.arange(shape[k]) for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    middle = np.asarray((low + high) / 2, np.float32)
    rows = np.pad(points, ((0, -len(points) % _CHUNK), (0, 0))).reshape(-1, _CHUNK, 3)
    cut = np.float32(np.inf if thickness is None else thickness)
    values = np.concatenate([np.asarray(_carve(part, distances, cameras, middle, cut)) for part in rows])
    return values[: len(points)].reshape(shape), spacing


@functools.partial(jax.jit)
def _carve(
    points: jax.Array, distances: jax.Array, cameras: Camera, middle: jax.Array, thickness: jax.Array
) -> jax.Array:
    """The largest distance of each point from the silhouettes, in lengths."""

    def one(distance: jax.Array, intrinsics: jax.Array, pose: jax.Array) -> jax.Array:
        """Of one picture."""
        camera = Camera(intrinsics, pose, cameras.image_size)
        place, depth = project(camera, points)
        height, width = cameras.image_size
        x, y = (jnp.clip(place[:, k] - 0.5, 0, n - 1) for k, n in ((0, width), (1, height)))
        beyond = jnp.hypot(place[:, 0] - 0.5 - x, place[:, 1] - 0.5 - y)
        value = jax.scipy.ndimage.map_coordinates(distance, [y, x], order=1, mode="nearest") + beyond
        length = value * depth / intrinsics[0, 0]
        # Behind or before the middle by more than the silhouette is wide here.
        away = jnp.abs(depth - (jnp.sum(pose[2, :3] * middle) + pose[2, 3]))
        deep = jnp.where(
            jnp.isfinite(thickness), away + jnp.where(jnp.isfinite(thickness), thickness, 0) * length, length
        )
        return jnp.where(depth > 0, jnp.maximum(length, jnp.where(jnp.isfinite(thickness), deep, length)), 1.0)

    return jnp.max(jax.vmap(one)(distances, cameras.intrinsics, cameras.T_camera_world), axis=0)


@jax.jit
def _depth(vertices: jax.Array, faces: jax.Array, camera: Camera) -> jax.Array:
    return rasterize(vertices, faces, camera).depth
