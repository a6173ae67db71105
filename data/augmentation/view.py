"""Crop, scale and rotation of a picture as a change of its camera, for pixels and 3D labels alike.

Turning a camera about its optical axis moves the pixels by an affine map that does not depend on their depth; cropping
and scaling change the intrinsics alone. So a picture can be rotated, scaled and cropped while every 3D label follows
exactly, absolute translation included: labels in the camera's frame turn about z, labels in the world stay and the
camera turns. Depth images keep their values.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Shaped

from hoijax.body_models import BodyModel, BodyParams
from hoijax.camera import Camera
from hoijax.geometry import RigidPose, einsum
from hoijax.geometry.safe import ArrayLike


@struct.dataclass
class ViewChange:
    """From the camera that took a picture to the one that would have taken the augmented picture."""

    rotation: Float[ArrayLike, "*B 3 3"] | Any
    """From the old camera's frame to the new one's: a turn about z."""
    pixels: Float[ArrayLike, "*B 2 3"] | Any
    """Affine map of pixel coordinates, old to new."""
    intrinsics: Float[ArrayLike, "*B 3 3"] | Any
    """Of the new camera."""
    size: tuple[int, int] = struct.field(pytree_node=False)
    """Height and width of the new picture, pixels."""


def change_view(
    intrinsics: Float[ArrayLike, "3 3"],
    *,
    center: Float[ArrayLike, "2"],
    width: Float[ArrayLike, ""] | float,
    angle: Float[ArrayLike, ""] | float = 0.0,
    size: tuple[int, int],
) -> ViewChange:
    """A rectangle of the old picture, turned, fills the new one.

    Args:
      intrinsics: of the old camera, pixels; focal lengths may differ and skew is allowed.
      center: of the rectangle (x, y), pixels of the old picture; it becomes the new picture's centre.
      width: of the rectangle, pixels of the old picture; its height follows from `size`.
      angle: by which the content turns, radians; positive turns right towards down, clockwise on the screen.
      size: (H, W) of the new picture.

    Returns:
      The change. With `warp_image` it has the effect of the affine crop of CONTHO and ScoreHOI (specs/scorehoi.md 8).
    """
    k = jnp.asarray(intrinsics)
    center = jnp.asarray(center).astype(k.dtype)
    angle, width = (jnp.asarray(x, k.dtype) for x in (angle, width))
    half = jnp.asarray([size[1] / 2, size[0] / 2], k.dtype)
    c, s = jnp.cos(angle), jnp.sin(angle)
    zero, one = jnp.zeros_like(c), jnp.ones_like(c)
    rotation = jnp.stack([c, -s, zero, s, c, zero, zero, zero, one]).reshape(3, 3)
    focal, principal = k[:2, :2], k[:2, 2]
    # K Rz K^-1 keeps the last row of a homogeneous pixel: its linear part is focal @ turn @ focal^-1.
    inverse = jnp.stack([one, -k[0, 1] / k[1, 1], zero, k[0, 0] / k[1, 1]]).reshape(2, 2) / k[0, 0]
    zoom = size[1] / width
    linear = zoom * einsum("ij,jk,kl->il", focal, rotation[:2, :2], inverse)
    pixels = jnp.concatenate([linear, (half - einsum("ij,j->i", linear, center))[:, None]], axis=1)
    moved = half + einsum("ij,j->i", linear, principal - center)
    top = jnp.concatenate([zoom * focal, moved[:, None]], axis=1)
    bottom = jnp.stack([zero, zero, one])[None]
    return ViewChange(rotation, pixels, jnp.concatenate([top, bottom]), size)


def map_pixels(pixels: Float[ArrayLike, "N 2"], change: ViewChange) -> Float[jax.Array, "N 2"]:
    """Where pixel coordinates of the old picture lie in the new one."""
    affine = jnp.asarray(change.pixels)
    return einsum("ij,nj->ni", affine[:, :2], jnp.asarray(pixels)) + affine[None, :, 2]


def turn_points(points: Float[ArrayLike, "*N 3"], change: ViewChange) -> Float[jax.Array, "*N 3"]:
    """Points, or directions such as gravity, of the old camera's frame in the new one's."""
    return einsum("ij,...j->...i", jnp.asarray(change.rotation), jnp.asarray(points))


def turn_object(pose: RigidPose, change: ViewChange) -> RigidPose:
    """An object's pose in the old camera's frame, in the new one's."""
    rotation = einsum("ij,jk->ik", jnp.asarray(change.rotation), jnp.asarray(pose.rotation))
    return pose.replace(rotation=rotation, translation=turn_points(pose.translation, change))


def turn_body(params: BodyParams, pelvis: Float[ArrayLike, "3"], change: ViewChange) -> BodyParams:
    """A body's parameters in the old camera's frame, in the new one's.

    SMPL's root turns about the pelvis, not about the origin, so the translation needs where the pelvis rests.

    Args:
      params: of one body, in the old camera's frame.
      pelvis: of the body at rest with these betas, before translation: `rest_pelvis`.
      change: of the view.

    Returns:
      Parameters whose posed vertices are the old ones turned.
    """
    rotations, pelvis = jnp.asarray(params.rotations), jnp.asarray(pelvis)
    root = einsum("ij,jk->ik", jnp.asarray(change.rotation), rotations[0])
    move = turn_points(pelvis + jnp.asarray(params.translation), change) - pelvis
    return params.replace(rotations=jnp.concatenate([root[None], rotations[1:]]), translation=move)


def rest_pelvis(model: BodyModel, betas: Float[ArrayLike, "*B S"]) -> Float[jax.Array, "*B 3"]:
    """Root joint of the body at rest, metres. Any leading axes."""
    root = jnp.asarray(model.joint_template)[0]
    offset = einsum("is,...s->...i", jnp.asarray(model.joint_shape_dirs)[0], jnp.asarray(betas))
    return offset + jnp.broadcast_to(root, offset.shape)


def new_camera(camera: Camera, change: ViewChange) -> Camera:
    """The camera of the new picture, for labels in the world's frame: they stay as they are."""
    pose = jnp.asarray(camera.T_camera_world)
    turned = einsum("ij,jk->ik", jnp.asarray(change.rotation), pose[:3])
    return camera.replace(
        intrinsics=change.intrinsics, T_camera_world=jnp.concatenate([turned, pose[3:]]), image_size=change.size
    )


def taps_for(width: float, size: tuple[int, int]) -> int:
    """Points per pixel and axis that `warp_image` needs so that no pixel of the rectangle goes unseen."""
    return max(1, math.ceil(width / size[1] - 1e-6))


def warp_image(
    image: Float[ArrayLike, "H W C"], change: ViewChange, *, taps: int = 1, fill: float = 0.0
) -> Float[jax.Array, "h w C"]:
    """The new picture: the mean of `taps` by `taps` bilinear samples spread over each of its pixels.

    Bilinear samples reach one old pixel to each side. Where the picture shrinks by more than that, single samples skip
    pixels and fine patterns turn into false coarse ones; `taps` at least the shrinking factor (`taps_for`) is a box
    filter of the new pixel's area, which does not.

    Args:
      image: old picture.
      change: of the view.
      taps: samples per pixel and axis; decides the program.
      fill: value outside the old picture, into which its border blends over one pixel.

    Returns:
      The new picture in the old one's dtype.
    """
    image = jnp.asarray(image)

    def add(total: jax.Array, offset: jax.Array) -> tuple[jax.Array, None]:
        return total + _bilinear(image, _old_pixels(change, offset, image.dtype), fill), None

    steps = (jnp.arange(taps, dtype=image.dtype) + 0.5) / taps - 0.5
    offsets = jnp.stack(jnp.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    start = jnp.zeros((*change.size, image.shape[-1]), image.dtype)
    return jax.lax.scan(add, start, offsets)[0] / taps**2


def warp_labels(
    labels: Shaped[ArrayLike, "H W"], change: ViewChange, *, fill: Shaped[ArrayLike, ""] | bool | int | float = 0
) -> Shaped[jax.Array, "h w"]:
    """Masks, part ids or depth in the new picture, by nearest pixel: no value that was not there before.

    Args:
      labels: any dtype.
      change: of the view.
      fill: value outside the old picture.

    Returns:
      The same dtype.
    """
    labels = jnp.asarray(labels)
    place = _old_pixels(change, jnp.zeros(2, jnp.asarray(change.pixels).dtype), jnp.asarray(change.pixels).dtype)
    index = jnp.floor(place).astype(jnp.int32)
    height, width = labels.shape
    inside = (index[..., 0] >= 0) & (index[..., 0] < width) & (index[..., 1] >= 0) & (index[..., 1] < height)
    taken = labels[jnp.clip(index[..., 1], 0, height - 1), jnp.clip(index[..., 0], 0, width - 1)]
    return jnp.where(inside, taken, jnp.asarray(fill).astype(labels.dtype))


def _old_pixels(change: ViewChange, offset: jax.Array, dtype: Any) -> jax.Array:
    """Old pixel coordinates `(h, w, 2)` of the new pixels' centres plus an offset."""
    affine = jnp.asarray(change.pixels).astype(dtype)
    (a, b), (c, d) = affine[:, 0], affine[:, 1]  # columns
    inverse = jnp.stack([d, -c, -b, a]).reshape(2, 2) / (a * d - b * c)
    height, width = change.size
    x = jnp.arange(width, dtype=dtype) + 0.5 + offset[0]
    y = jnp.arange(height, dtype=dtype) + 0.5 + offset[1]
    new = jnp.stack(jnp.meshgrid(x, y), axis=-1) - affine[None, None, :, 2]
    return einsum("ij,hwj->hwi", inverse, new)


def _bilinear(image: jax.Array, place: jax.Array, fill: float) -> jax.Array:
    """Samples at pixel coordinates (centres at +0.5), with a border of `fill` around the picture."""
    height, width = image.shape[:2]
    corner = jnp.floor(place - 0.5)
    part = place - 0.5 - corner
    index = corner.astype(jnp.int32)
    total = jnp.zeros((*place.shape[:2], image.shape[2]), image.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = index[..., 0] + dx, index[..., 1] + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            value = image[jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)]
            value = jnp.where(inside[..., None], value, jnp.asarray(fill, image.dtype))
            wx = part[..., 0] if dx else 1 - part[..., 0]
            wy = part[..., 1] if dy else 1 - part[..., 1]
            total = total + (wx * wy)[..., None] * value
    return total
