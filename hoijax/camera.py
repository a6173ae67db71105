"""Pinhole cameras: x right, y down, z forward (OpenCV); rows from the top, pixel centres at +0.5.

Pixel coordinates are continuous, (0, 0) the outer corner of the first pixel and (W, H) that of the last, so that
cropping and resizing only shift and scale them.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, cross, dot, einsum, safe_normalize

MIN_DEPTH = 1e-6  # metres; points nearer than this have no projection


@struct.dataclass
class Camera:
    """A pinhole camera; leading axes, if any, are those of both arrays."""

    intrinsics: Float[ArrayLike, "*B 3 3"] | Any
    """Pixels: [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]."""
    T_camera_world: Float[ArrayLike, "*B 4 4"] | Any
    """Maps world coordinates to camera coordinates, metres."""
    image_size: tuple[int, int] = struct.field(pytree_node=False)
    """(H, W)."""


def project(
    camera: Camera, points: Float[ArrayLike, "*B N 3"]
) -> tuple[Float[jax.Array, "*C N 2"], Float[jax.Array, "*C N"]]:
    """Pixel coordinates (x, y) and depth (camera z, metres) of world points.

    The leading axes of camera and points broadcast. Points not in front of the camera (depth below `MIN_DEPTH`) are
    projected as if their depth were 1 m: finite and with finite derivatives, to be masked by the depth.
    """
    points = jnp.asarray(points)
    intrinsics, pose = jnp.asarray(camera.intrinsics), jnp.asarray(camera.T_camera_world)
    batch = jnp.broadcast_shapes(pose.shape[:-2], points.shape[:-2])
    pose = jnp.broadcast_to(pose, (*batch, 4, 4))
    intrinsics = jnp.broadcast_to(intrinsics, (*batch, 3, 3))
    points = jnp.broadcast_to(points, (*batch, *points.shape[-2:]))
    local = einsum("...ij,...nj->...ni", pose[..., :3, :3], points) + pose[..., None, :3, 3]
    depth = local[..., 2]
    rays = local / jnp.where(depth < MIN_DEPTH, 1.0, depth)[..., None]
    rays = jnp.concatenate([rays[..., :2], jnp.ones_like(rays[..., :1])], axis=-1)
    return einsum("...ij,...nj->...ni", intrinsics[..., :2, :], rays), depth


def unproject(
    camera: Camera, pixels: Float[ArrayLike, "*B N 2"], depth: Float[ArrayLike, "*B N"]
) -> Float[jax.Array, "*C N 3"]:
    """World points seen at pixel coordinates (x, y) at a depth (camera z, metres); undoes `project`."""
    pixels, depth = jnp.asarray(pixels), jnp.asarray(depth)
    intrinsics, pose = jnp.asarray(camera.intrinsics), jnp.asarray(camera.T_camera_world)
    batch = jnp.broadcast_shapes(pose.shape[:-2], pixels.shape[:-2])
    pose = jnp.broadcast_to(pose, (*batch, 4, 4))
    k = jnp.broadcast_to(intrinsics, (*batch, 3, 3))[..., None, :, :]
    y = (pixels[..., 1] - k[..., 1, 2]) / k[..., 1, 1]
    x = (pixels[..., 0] - k[..., 0, 2] - k[..., 0, 1] * y) / k[..., 0, 0]
    local = jnp.stack([x, y, jnp.ones_like(x)], axis=-1) * depth[..., None]
    return einsum("...ji,...nj->...ni", pose[..., :3, :3], local - pose[..., None, :3, 3])


def look_at(
    eye: Float[ArrayLike, "*B 3"],
    target: Float[ArrayLike, "*B 3"],
    up: ArrayLike | Sequence[float | int] = (0.0, 1.0, 0.0),
) -> Float[jax.Array, "*B 4 4"]:
    """`T_camera_world` of a camera at `eye` that sees `target` in the centre and `up` upwards in the image.

    Seen straight along `up` no direction of the image is upwards; an arbitrary one is chosen.
    """
    eye, target = jnp.asarray(eye), jnp.asarray(target)
    up = jnp.broadcast_to(jnp.asarray(up, eye.dtype), eye.shape)
    forward = safe_normalize(target - eye)
    right = cross(forward, up)
    parallel = dot(right, right) < 1e-12 * dot(up, up)
    other = jnp.broadcast_to(jnp.asarray([1.0, 0.0, 0.0], eye.dtype), eye.shape)
    other = jnp.where(jnp.abs(forward[..., :1]) < 0.9, other, jnp.roll(other, 1, axis=-1))
    right = safe_normalize(jnp.where(parallel[..., None], cross(forward, cross(other, forward)), right))
    down = cross(forward, right)
    rotation = jnp.stack([right, down, forward], axis=-2)
    translation = -einsum("...ij,...j->...i", rotation, eye)
    top = jnp.concatenate([rotation, translation[..., None]], axis=-1)
    bottom = jnp.broadcast_to(jnp.asarray([[0.0, 0.0, 0.0, 1.0]], eye.dtype), (*eye.shape[:-1], 1, 4))
    return jnp.concatenate([top, bottom], axis=-2)


def intrinsics_from_fov(
    fov_y: float | Float[ArrayLike, "*B"], image_size: tuple[int, int]
) -> Float[jax.Array, "*B 3 3"]:
    """Intrinsics of square pixels with the principal point in the middle of an (H, W) image.

    Args:
      fov_y: full vertical field of view, radians.
      image_size: (H, W), pixels.
    """
    height, width = image_size
    fov_y = jnp.asarray(fov_y, dtype=float if isinstance(fov_y, (float, int)) else None)
    focal = 0.5 * height / jnp.tan(0.5 * fov_y)
    o, one = jnp.zeros_like(focal), jnp.ones_like(focal)
    entries = [focal, o, 0.5 * width * one, o, focal, 0.5 * height * one, o, o, one]
    return jnp.stack(entries, axis=-1).reshape((*focal.shape, 3, 3))


def crop(camera: Camera, box_xywh: ArrayLike | Sequence[float | int], size: tuple[int, int]) -> Camera:
    """The camera of a rectangle cut out of the image and resized.

    Args:
      camera: camera of the whole image.
      box_xywh: left, top, width and height of the rectangle in pixels of the whole image, `(*B, 4)` or `(4,)`; it may
        reach beyond the image.
      size: (H, W) of the new image.
    """
    intrinsics = jnp.asarray(camera.intrinsics)
    box = jnp.asarray(box_xywh, intrinsics.dtype)
    batch = jnp.broadcast_shapes(intrinsics.shape[:-2], box.shape[:-1])
    x, y, w, h = jnp.moveaxis(jnp.broadcast_to(box, (*batch, 4)), -1, 0)
    o, one = jnp.zeros_like(x), jnp.ones_like(x)
    sx, sy = size[1] / w, size[0] / h
    change = jnp.stack([sx, o, -sx * x, o, sy, -sy * y, o, o, one], axis=-1).reshape((*batch, 3, 3))
    intrinsics = einsum("...ij,...jk->...ik", change, jnp.broadcast_to(intrinsics, (*batch, 3, 3)))
    return camera.replace(intrinsics=intrinsics, image_size=tuple(size))
