"""The near plane: pixel boxes of what is left of a triangle, and the triangles themselves.

The rasterizer's edge functions are homogeneous, so a triangle that crosses the near plane needs no new vertices there:
its visible part is the set of pixels inside the three edges whose depth exceeds `near`. Only the box must be that of
the clipped polygon; its corners are the vertices in front and the points where edges pierce the near plane. Soft edges
need distances to the polygon itself, so for them it is cut into up to two triangles.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class PixelBox(NamedTuple):
    """Inclusive ranges of pixels, int32; `valid` is False where there are none."""

    column_min: jax.Array
    column_max: jax.Array
    row_min: jax.Array
    row_max: jax.Array
    valid: jax.Array


def pixel_range(low: jax.Array, high: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """First and last pixel, clipped to the picture, whose centre lies in [low, high], given from the picture's centre.

    Returns an empty range (first > last) for an interval between centres or outside; NaN gives no promise.
    """
    offset = size / 2 - 0.5
    first = jnp.clip(jnp.ceil(low + offset), 0, size).astype(jnp.int32)
    last = jnp.clip(jnp.floor(high + offset), -1, size - 1).astype(jnp.int32)
    return first, last


def triangle_boxes(corners: list[list[jax.Array]], near: float, image_size: tuple[int, int], grow: float) -> PixelBox:
    """Pixels that the part of each triangle beyond the near plane can touch.

    Args:
      corners: the three vertices, each a list of its X, Y and Z, arrays of one shape: homogeneous pixel coordinates
        about the picture's centre (`screen_points`).
      near: least visible depth, metres.
      image_size: height and width.
      grow: pixels added on every side.
    """
    height, width = image_size
    eps = float(np.finfo(corners[0][0].dtype).eps)
    front = [z > near for _, _, z in corners]
    candidates = []  # (x, y, bound of their rounding error, present)
    for (x, y, z), present in zip(corners, front):
        inverse = 1 / jnp.where(present, z, 1)
        px, py = x * inverse, y * inverse
        candidates.append((px, py, 4 * eps * (abs(px) + abs(py)), present))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        (xa, ya, za), (xb, yb, zb) = corners[a], corners[b]
        crossing = front[a] != front[b]
        t = (near - za) / jnp.where(crossing, zb - za, 1)
        px, py = (xa + t * (xb - xa)) / near, (ya + t * (yb - ya)) / near
        spread = (abs(xa) + abs(xb) + abs(ya) + abs(yb)) / near
        candidates.append((px, py, 16 * eps * spread, crossing))

    inf = jnp.inf
    slack = jnp.zeros_like(corners[0][0])
    x_min, x_max, y_min, y_max = slack + inf, slack - inf, slack + inf, slack - inf
    for px, py, error, present in candidates:
        slack = jnp.maximum(slack, jnp.where(present, error, 0))
        x_min = jnp.minimum(x_min, jnp.where(present, px, inf))
        x_max = jnp.maximum(x_max, jnp.where(present, px, -inf))
        y_min = jnp.minimum(y_min, jnp.where(present, py, inf))
        y_max = jnp.maximum(y_max, jnp.where(present, py, -inf))
    # Rounding here must not cost a pixel that the edge functions would accept.
    slack = slack + (grow + 4 * eps * max(height, width))
    column_min, column_max = pixel_range(x_min - slack, x_max + slack, width)
    row_min, row_max = pixel_range(y_min - slack, y_max + slack, height)
    finite = jnp.isfinite(sum(abs(c) for corner in corners for c in corner))
    valid = finite & (front[0] | front[1] | front[2]) & (column_max >= column_min) & (row_max >= row_min)
    return PixelBox(column_min, column_max, row_min, row_max, valid)


def clip_triangles(corners: jax.Array, near: float) -> tuple[jax.Array, jax.Array]:
    """Cuts off what lies behind the near plane; differentiable.

    Args:
      corners: (F, 3, 3) homogeneous pixel coordinates about the picture's centre.
      near: least visible depth, metres.

    Returns:
      Pixel coordinates about the picture's centre of two triangles per face, (2F, 3, 2), row f and row F + f for face f
      in the winding of the face, and (2F,) which of them there are. Those that are not have finite coordinates.
    """
    finite = jnp.all(jnp.isfinite(corners), axis=(1, 2))
    corners = jnp.where(finite[:, None, None], corners, 0)  # zero times NaN must not reach the other vertices
    front = corners[..., 2] > near
    count = jnp.sum(front, axis=1, dtype=jnp.int32)
    # Turn each face until, where one vertex is in front, it is the first, and where two are, the last is behind.
    turn = jnp.where(count == 1, jnp.argmax(front, axis=1), (jnp.argmin(front, axis=1) + 1) % 3).astype(jnp.int32)
    order = (turn[:, None] + jnp.arange(3, dtype=jnp.int32)[None]) % 3
    a, b, c = jnp.moveaxis(jnp.take_along_axis(corners, order[..., None], axis=1), 1, 0)

    def pierce(p, q, crosses):
        """The point of edge pq on the near plane, in pixels."""
        t = (near - p[:, 2]) / jnp.where(crosses, q[:, 2] - p[:, 2], 1)
        return jnp.where(crosses[:, None], p[:, :2] + t[:, None] * (q[:, :2] - p[:, :2]), 0) / near

    def pixels(p):
        visible = (p[:, 2] > near)[:, None]
        return jnp.where(visible, p[:, :2] / jnp.where(visible, p[:, 2:], 1), 0)

    one, two, three = count == 1, count == 2, count == 3
    pa, pb, pc = pixels(a), pixels(b), pixels(c)
    ab, bc, ca = pierce(a, b, one), pierce(b, c, two), pierce(c, a, one | two)
    one, three = one[:, None], three[:, None]
    first = jnp.stack([pa, jnp.where(one, ab, pb), jnp.where(three, pc, jnp.where(one, ca, bc))], axis=1)
    second = jnp.stack([pa, bc, ca], axis=1)
    return jnp.concatenate([first, second]), jnp.concatenate([finite & (count > 0), finite & two])
