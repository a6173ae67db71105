"""Square, turned regions of a picture: cutting them out, and bringing what a network says of them back.

Pixel coordinates are continuous, (0, 0) the outer corner of the picture's first pixel, so that pixel centres lie at
+0.5 in the picture and in the crop alike (docs/blaze.md says how that was settled).
"""

import functools
import itertools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike, einsum, safe_norm

Outside = Literal["black", "edge"]
"""What lies outside the picture: black, or the nearest pixel."""


@struct.dataclass
class Region:
    """A square that may be turned; leading axes, if any, are those of all three arrays."""

    centre: Float[ArrayLike, "*B 2"] | Any
    """x, y in pixels of the picture."""

    size: Float[ArrayLike, "*B"] | Any
    """Side in pixels of the picture."""

    angle: Float[ArrayLike, "*B"] | Any
    """Turn in radians from the picture's axes to the square's, from x towards y."""


def picture_region(height: int, width: int) -> Region:
    """The smallest upright square about the whole picture."""
    return Region(
        centre=jnp.asarray([width / 2, height / 2], jnp.float32),
        size=jnp.float32(max(height, width)),
        angle=jnp.float32(0),
    )


def box_region(box: Float[ArrayLike, "*B 4"], margin: float = 1.5) -> Region:
    """An upright square about a box: its longer side times `margin`.

    Args:
      box: left, top, right, bottom in pixels.
      margin: side of the square in longer sides of the box.
    """
    box = jnp.asarray(box)
    low, high = box[..., :2], box[..., 2:]
    size = margin * (high - low).max(-1)
    return Region(centre=(low + high) / 2, size=size, angle=jnp.zeros_like(size))


def axis_region(centre: Float[ArrayLike, "*B 2"], top: Float[ArrayLike, "*B 2"], scale: float) -> Region:
    """A square about `centre`, turned so that `top` lies straight above it, its side `scale` times their distance."""
    axis = jnp.asarray(top) - jnp.asarray(centre)
    angle = jnp.arctan2(axis[..., 0], -axis[..., 1])
    return Region(centre=jnp.asarray(centre), size=scale * safe_norm(axis), angle=angle)


def turn(region: Region) -> Float[Array, "*B 2 2"]:
    """Matrix from the square's axes to the picture's."""
    cosine, sine = jnp.cos(region.angle), jnp.sin(region.angle)
    return jnp.stack([jnp.stack([cosine, -sine], -1), jnp.stack([sine, cosine], -1)], -2)


def to_picture(points: Float[ArrayLike, "*B N 2"], region: Region) -> Float[Array, "*B N 2"]:
    """Points of the crop, as fractions of its side from its upper left corner, in pixels of the picture."""
    size, centre = jnp.asarray(region.size)[..., None, None], jnp.asarray(region.centre)[..., None, :]
    return centre + size * einsum("...ij,...nj->...ni", turn(region), jnp.asarray(points) - 0.5)


def to_crop(points: Float[ArrayLike, "*B N 2"], region: Region) -> Float[Array, "*B N 2"]:
    """Undoes `to_picture`."""
    size, centre = jnp.asarray(region.size)[..., None, None], jnp.asarray(region.centre)[..., None, :]
    return 0.5 + einsum("...ji,...nj->...ni", turn(region), (jnp.asarray(points) - centre) / size)


@functools.partial(jax.jit, static_argnames=("side", "outside", "samples"))
def crop(
    picture: Float[ArrayLike, "H W C"], region: Region, side: int, outside: Outside, samples: int = 1
) -> Float[Array, "{side} {side} C"]:
    """The region as a picture of `side` pixels: bilinear interpolation, the mean of several points per pixel.

    Args:
      picture: values of any range.
      region: one region, no leading axes.
      side: pixels of the result.
      outside: what is seen beyond the picture's edge.
      samples: points along each side of a pixel; more than one keeps fine detail from flickering when the region is
        larger than the crop.
    """
    grid = _pixel_centres(side, side, jnp.asarray(region.centre).dtype)
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    total = 0
    for x, y in itertools.product(offsets, offsets):  # on a CPU ten times as fast as one crop of all points
        shifted = (grid + jnp.asarray([[x, y]], grid.dtype)) / side
        total = total + sample(picture, to_picture(shifted, region), outside)
    return (total / samples**2).reshape(side, side, -1)


def released_sampling(region: Region, side: int) -> Region:
    """The region whose crop reads the points that MediaPipe's CPU code reads for `region`.

    That code leaves both half pixels out: crop pixel i stands at i / side, and the picture's first pixel centre at 0.
    Its crops lie half a crop pixel less half a picture pixel beside the region, and its landmarks with them.
    """
    half = einsum("...ij,...j->...i", turn(region), jnp.full_like(region.centre, 0.5 / side))
    return region.replace(centre=jnp.asarray(region.centre) + 0.5 - jnp.asarray(region.size)[..., None] * half)


def sample(
    picture: Float[ArrayLike, "H W C"], points: Float[ArrayLike, "N 2"], outside: Outside
) -> Float[Array, "N C"]:
    """Bilinear values of a picture at points x, y in pixels."""
    picture, points = jnp.asarray(picture), jnp.asarray(points)
    height, width, channels = picture.shape
    at = points - 0.5
    low = jnp.floor(at)
    share = (at - low).astype(picture.dtype)
    low = low.astype(jnp.int32)
    flat = picture.reshape(-1, channels)

    def corner(dx: int, dy: int) -> Array:
        x, y = low[:, 0] + dx, low[:, 1] + dy
        weight = (share[:, 0] if dx else 1 - share[:, 0]) * (share[:, 1] if dy else 1 - share[:, 1])
        if outside == "black":
            weight = jnp.where((x >= 0) & (x < width) & (y >= 0) & (y < height), weight, 0)
        index = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
        return weight[:, None] * flat[index]

    return corner(0, 0) + corner(1, 0) + corner(0, 1) + corner(1, 1)


@functools.partial(jax.jit, static_argnames=("height", "width"))
def paste(crop: Float[ArrayLike, "n n"], region: Region, height: int, width: int) -> Float[Array, "{height} {width}"]:
    """The picture of a crop's values: `crop` read at every pixel of a picture of that size, zero outside of it."""
    crop = jnp.asarray(crop)
    points = to_crop(_pixel_centres(height, width, crop.dtype), region) * crop.shape[0]
    return sample(crop[..., None], points, "black").reshape(height, width)


@functools.partial(jax.jit, static_argnames=("side", "outside", "samples"))
def crops(
    picture: Float[ArrayLike, "H W C"], regions: Region, side: int, outside: Outside, samples: int = 1
) -> Float[Array, "P {side} {side} C"]:
    """`crop` of every one of P regions."""
    return jax.vmap(lambda region: crop(picture, region, side, outside, samples))(regions)


def _pixel_centres(height: int, width: int, dtype: jnp.dtype) -> Float[Array, "N 2"]:
    """x, y of every pixel's centre, row by row."""
    x, y = jnp.meshgrid(jnp.arange(width, dtype=dtype) + 0.5, jnp.arange(height, dtype=dtype) + 0.5)
    return jnp.stack([x, y], -1).reshape(-1, 2)
