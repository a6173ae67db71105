"""Cameras around a thing: views that hold all of it, turntables."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hoijax.camera import Camera
from hoijax.geometry.safe import einsum
from hoijax.render.rigs import CameraRig

ArrayLike = jax.Array | np.ndarray

__all__ = ["frame_points", "turntable"]


def frame_points(
    points: Float[ArrayLike, "P 3"],
    *,
    azimuth: Float[ArrayLike, "N"],
    elevation: Float[ArrayLike, "N"],
    image_size: tuple[int, int] = (512, 512),
    fov: float = math.radians(30.0),
    margin: float = 0.06,
) -> CameraRig:
    """Cameras around a set of points (vertices, or the corners of a box), as near as they can be with all in view.

    All views share one distance (the largest that any needs), so that a turntable keeps its scale; each is centred
    on what it sees. Azimuth 0 looks from +z, a quarter turn from +x; elevation is above the horizon.

    Args:
      points: what must be in the image, metres.
      azimuth: of each view, radians.
      elevation: of each view, radians, short of a right angle.
      image_size: height and width, pixels.
      fov: vertical field of view, radians.
      margin: share of the image's half size left free on each side.

    Returns:
      A rig named `view0`, `view1`, ...; its lights stand at the cameras.
    """
    points = jnp.asarray(points)
    azimuth, elevation = jnp.asarray(azimuth).astype(points.dtype), jnp.asarray(elevation).astype(points.dtype)
    dtype, count = points.dtype, len(azimuth)
    center = 0.5 * (jnp.min(points, axis=0) + jnp.max(points, axis=0))

    sin_az, cos_az, sin_el, cos_el = jnp.sin(azimuth), jnp.cos(azimuth), jnp.sin(elevation), jnp.cos(elevation)
    forward = -jnp.stack([cos_el * sin_az, sin_el, cos_el * cos_az], axis=1)
    right = jnp.stack([cos_az, jnp.zeros_like(cos_az), -sin_az], axis=1)
    down = jnp.cross(forward, right)
    rotation = jnp.stack([right, down, forward], axis=1)
    local = einsum("nij,cj->nci", rotation, points - center[None])

    height, width = image_size
    slope_y = math.tan(fov / 2) * (1.0 - margin)
    slope_x = slope_y * width / height
    distance, offset = _fit(local, jnp.asarray([slope_x, slope_y], dtype))
    in_camera = einsum("nij,j->ni", rotation, center)
    shift = jnp.concatenate([-offset, jnp.broadcast_to(distance, (count, 1))], axis=1)
    top = jnp.concatenate([rotation, (shift - in_camera)[:, :, None]], axis=2)
    last = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 0.0, 1.0], dtype), (count, 1, 4))
    focal = height / (2 * math.tan(fov / 2))
    intrinsics = jnp.asarray([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype)
    transforms = jnp.concatenate([top, last], axis=1)
    eyes = -einsum("nji,nj->ni", rotation, transforms[:, :3, 3])
    cameras = Camera(jnp.broadcast_to(intrinsics, (count, 3, 3)), transforms, image_size)
    degrees = jnp.rad2deg
    parameters = jnp.stack(
        [
            jnp.broadcast_to(distance, (count,)),
            degrees(elevation),
            degrees(azimuth),
            jnp.zeros((count,), dtype),
            jnp.zeros((count,), dtype),
        ],
        axis=1,
    )
    return CameraRig(cameras, eyes, parameters, tuple(f"view{i}" for i in range(count)))


@jax.jit  # an eager loop would be compiled anew at every call
def _fit(
    local: Float[jax.Array, "N P 3"], slopes: Float[jax.Array, "2"]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, "N 2"]]:
    """The common distance from which all views hold their points, and the offset that centres each.

    A point (x, y, z) seen from distance d with offset o is inside if |x - o| <= slope (d + z): at the least d, the two
    extreme points touch opposite sides for the best o. Views that could be nearer are centred by the smallest slope
    that holds their points at the common distance.
    """
    count = local.shape[0]
    slopes = jnp.broadcast_to(slopes, (count, 2))
    distance = jnp.max(_need(local, slopes)[0])

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Narrows down the smallest slope by bisection."""
        low, high = bracket
        middle = 0.5 * (low + high)
        fits = _need(local, middle)[0] <= distance
        return jnp.where(fits, low, middle), jnp.where(fits, middle, high)

    _, smallest = jax.lax.fori_loop(0, 30, halve, (jnp.full_like(slopes, 1e-6), slopes))
    return distance, _need(local, smallest)[1]


def _need(
    local: Float[jax.Array, "N P 3"], slope: Float[jax.Array, "N 2"]
) -> tuple[Float[jax.Array, "N 2"], Float[jax.Array, "N 2"]]:
    """Least distance from which all points lie within a slope of the axis, and the offset for it; in x and y."""
    depth = slope[:, None] * local[..., 2:]
    above, below = jnp.max(local[..., :2] - depth, axis=1), jnp.max(-local[..., :2] - depth, axis=1)
    return (above + below) / (2.0 * slope), 0.5 * (above - below)


def turntable(
    points: Float[ArrayLike, "P 3"],
    count: int,
    *,
    start: float = 0.0,
    elevation: float = math.radians(15.0),
    image_size: tuple[int, int] = (512, 512),
    fov: float = math.radians(30.0),
    margin: float = 0.06,
) -> CameraRig:
    """`count` views in equal steps around points, from azimuth `start` (radians); see `frame_points`."""
    points = jnp.asarray(points)
    azimuth = start + 2.0 * math.pi * jnp.arange(count, dtype=points.dtype) / count
    angles = jnp.full((count,), elevation, points.dtype)
    return frame_points(points, azimuth=azimuth, elevation=angles, image_size=image_size, fov=fov, margin=margin)
