"""Soft silhouettes: coverage that fades over a chosen width, so that masks far from the target still have a gradient.

Liu et al. 2019, "Soft Rasterizer", eq. 1 and 3: face f covers the pixel at p with probability sigmoid(s d^2 / blur^2),
d the distance in pixels from p to the face's outline and s = +1 inside, -1 outside; a pixel's alpha is 1 - prod_f (1 -
probability). The logarithm of the product is a sum over all faces, so nothing is sorted, no number of layers is fixed,
and every face counts. Beyond the distance `reach(blur)` a face is left out; its logarithm is shifted by its value
there, 1e-4, so that alpha is continuous.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from hoijax.camera import Camera
from hoijax.geometry.safe import ArrayLike
from hoijax.render.batching import fold_vmap, with_chunk
from hoijax.render.clip import PixelBox, clip_triangles, pixel_range
from hoijax.render.screen import screen_points
from hoijax.render.units import Grid, for_each_chunk, pack_units

CUT = 1e-4  # probability at which a face is left out
TILE = (4, 4)


def reach(blur: float) -> float:
    """Distance in pixels beyond which a face has no effect: about three times the blur."""
    return blur * float(np.sqrt(np.log(1 / CUT - 1)))


def soft_silhouette(
    vertices: Float[ArrayLike, "V 3"],
    faces: Int[ArrayLike, "F 3"],
    camera: Camera,
    *,
    blur: float | ArrayLike = 1.0,
    near: float = 0.01,
    chunk: int | None = None,
) -> Float[jax.Array, "H W"]:
    """Alpha in [0, 1]: how much the mesh covers each pixel, fading over about three times `blur` on both sides.

    The mask fitter's image: wide support, gradient with respect to vertices and camera for every pixel near an outline.
    Outside a single large face alpha is sigmoid(-(d / blur)^2) at d pixels from it. Every face within reach adds to it,
    those seen from behind too, so the line alpha = 1/2 lies outside the outline, by up to about twice the blur where
    faces are small: fit to a target drawn the same way, or lower the blur below a pixel as the fit converges. At an
    inner edge between two faces larger than the blur alpha dips to 3/4. One mesh, one camera; use `vmap`.

    Args:
      vertices: world coordinates, metres; float32 or float64.
      faces: rows of `vertices`, int32.
      camera: its `image_size` is the size of the result.
      blur: pixels, above zero; may be traced (an annealed blur needs one compilation), has no gradient.
      near: what is nearer than this is cut off, metres.
      chunk: work units per trip; changes speed and memory alone.

    Raises:
      ValueError: `near` or `blur` not above zero, or more than 2^31 tiles of work (NaN under `jit`).
    """
    if not near > 0:
        raise ValueError(f"near is {near}; it must be above zero")
    if not isinstance(blur, jax.core.Tracer) and not np.all(np.asarray(blur) > 0):
        raise ValueError(f"blur is {blur} pixels; it must be above zero")
    vertices = jnp.asarray(vertices)
    blur = lax.stop_gradient(jnp.asarray(blur, vertices.dtype))
    alpha, overflow = _soft_silhouette(vertices, jnp.asarray(faces), camera, blur, near=float(near), chunk=chunk)
    if not isinstance(overflow, jax.core.Tracer) and bool(overflow):
        raise ValueError(
            f"{faces.shape[0]} faces at {camera.image_size} pixels, blurred by {blur}, touch more than 2^31 tiles; "
            "draw fewer faces or views per call, or blur less"
        )
    return alpha


# Compiled here because an eager `while_loop` would be compiled anew at every call.
@functools.partial(jax.jit, static_argnames=("near", "chunk"))
def _soft_silhouette(vertices, faces, camera, blur, *, near, chunk):
    triangles, valid = clip_triangles(screen_points(vertices, camera)[faces], near)
    logarithm, overflow = _log_transparency(triangles, valid, blur, camera.image_size, chunk)
    return jnp.where(overflow, jnp.nan, 0.0 - jnp.expm1(logarithm)), overflow


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _log_transparency(triangles, valid, blur, image_size, chunk):
    """log(1 - alpha) (H, W) and the overflow flag; triangles (N, 3, 2) in pixels about the picture's centre."""
    kernel = fold_vmap(lambda *args: with_chunk(functools.partial(_forward_kernel, image_size), chunk, *args))
    logarithm, overflow = kernel(triangles[None], valid[None], blur[None])
    return logarithm[0], overflow[0]


def _vjp_forward(triangles, valid, blur, image_size, chunk):
    logarithm, overflow = _log_transparency(triangles, valid, blur, image_size, chunk)
    return (logarithm, overflow), (triangles, valid, blur, logarithm)


def _vjp_backward(image_size, chunk, residuals, cotangents):
    triangles, valid, blur, logarithm = residuals
    g_logarithm, _ = cotangents
    # Where alpha has rounded to one, its cotangent carries a factor below rounding too: no work for these pixels.
    eps = float(np.finfo(triangles.dtype).eps)
    g_logarithm = jnp.where(logarithm < float(np.log(eps / 16)), 0, g_logarithm)
    kernel = fold_vmap(lambda *args: with_chunk(functools.partial(_backward_kernel, image_size), chunk, *args))
    grad = kernel(triangles[None], valid[None], blur[None], g_logarithm[None])[0]
    return grad, None, jnp.zeros_like(blur)


_log_transparency.defvjp(_vjp_forward, _vjp_backward)


def _setup(triangles, valid, blur, image_size):
    batch, count = triangles.shape[:2]
    grid = Grid(batch, image_size, TILE)
    flat = triangles.reshape(batch * count, 6)
    x, y = [flat[:, k] for k in (0, 2, 4)], [flat[:, k] for k in (1, 3, 5)]
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    radius = jnp.broadcast_to((blur * reach(1.0))[:, None], (batch, count)).reshape(-1)
    low, high = functools.partial(functools.reduce, jnp.minimum), functools.partial(functools.reduce, jnp.maximum)
    columns = pixel_range(low(x) - radius, high(x) + radius, image_size[1])
    rows = pixel_range(low(y) - radius, high(y) + radius, image_size[0])
    present = valid.reshape(-1) & (area != 0) & jnp.isfinite(area)
    present &= (columns[1] >= columns[0]) & (rows[1] >= rows[0])
    return grid, flat, PixelBox(*columns, *rows, present)


def _at_pixels(flat, blur, units, grid):
    """At each pixel of each unit: signed squared distance, its scale, and for each edge distance, place and offset."""
    record = flat.at[units.owner].get(mode="promise_in_bounds")
    x, y = grid.centres(units.column, units.row, flat.dtype)
    corner = [(record[:, 2 * k][:, None], record[:, 2 * k + 1][:, None]) for k in range(3)]
    tiny = np.finfo(flat.dtype).tiny
    edges, sides = [], []
    for (ax, ay), (bx, by) in zip(corner, corner[1:] + corner[:1]):
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        t = jnp.clip((wx * ex + wy * ey) * (1 / jnp.maximum(ex * ex + ey * ey, tiny)), 0, 1)
        dx, dy = wx - t * ex, wy - t * ey
        edges.append((dx * dx + dy * dy, t, dx, dy))
        sides.append(ex * wy - ey * wx)
    inside = functools.reduce(jnp.logical_and, [s >= 0 for s in sides])
    inside |= functools.reduce(jnp.logical_and, [s <= 0 for s in sides])
    square = jnp.minimum(jnp.minimum(edges[0][0], edges[1][0]), edges[2][0])
    sign = jnp.where(inside, -1.0, 1.0).astype(flat.dtype)
    per_picture = flat.shape[0] // grid.batch
    scale = blur.at[lax.div(units.owner, jnp.int32(per_picture))].get(mode="promise_in_bounds")
    scale = (1 / (scale * scale))[:, None]
    return sign, square, scale, edges


def _forward_kernel(image_size, chunk, triangles, valid, blur):
    grid, flat, box = _setup(triangles, valid, blur, image_size)
    units = pack_units(box, grid, chunk)
    edge_value = float(np.log1p(-CUT))

    def add(units, total):
        sign, square, scale, _ = _at_pixels(flat, blur, units, grid)
        exponent = sign * square * scale
        # log(1 - sigmoid(-x)) = min(x, 0) - log(1 + exp(-|x|)); exp(-|x|) exceeds 1e-4 where it is not negligible.
        logarithm = jnp.minimum(exponent, 0) - jnp.log(1 + jnp.exp(-abs(exponent)))
        logarithm = jnp.where(exponent < reach(1.0) ** 2, logarithm - edge_value, 0)
        return total.at[units.buffer_row].add(logarithm, mode="drop")

    total = for_each_chunk(units, grid, chunk, add, grid.buffer(0, flat.dtype))
    return grid.to_picture(total), jnp.broadcast_to(units.overflow, (grid.batch,))


def _backward_kernel(image_size, chunk, triangles, valid, blur, g_logarithm):
    grid, flat, box = _setup(triangles, valid, blur, image_size)
    g_tiles = grid.to_tiles(g_logarithm)
    box = box._replace(valid=box.valid & _touches(box, jnp.any(g_tiles[:-1] != 0, axis=1), grid))
    units = pack_units(box, grid, chunk)

    def add(units, grad):
        sign, square, scale, edges = _at_pixels(flat, blur, units, grid)
        g = g_tiles.at[units.buffer_row].get(mode="clip")
        exponent = sign * square * scale
        # d/d(offset): the signed square is sign * |offset|^2.
        g = jnp.where(exponent < reach(1.0) ** 2, g * jax.nn.sigmoid(-exponent) * scale * sign * 2, 0)
        first, second = edges[0][0] <= square, edges[1][0] <= square
        t, dx, dy = (jnp.where(first, a, jnp.where(second, b, c)) for a, b, c in list(zip(*edges))[1:])
        edge = jnp.where(first, 0, jnp.where(second, 1, 2))
        # The barrier keeps the distances from being computed again for each of the six sums.
        edge, t, gx, gy = lax.optimization_barrier((edge, t, g * dx, g * dy))
        columns = []
        for k in range(3):
            # Corner k begins edge k, which moves with it by 1 - t, and ends edge k - 1, by t.
            share = jnp.where(edge == k, t - 1, jnp.where(edge == (k + 2) % 3, -t, 0))
            columns += [jnp.sum(share * gx, axis=1), jnp.sum(share * gy, axis=1)]
        owner = jnp.where(units.buffer_row < grid.rows, units.owner, flat.shape[0])
        return grad.at[owner].add(jnp.stack(columns, axis=1), mode="drop")

    grad = for_each_chunk(units, grid, chunk, add, jnp.zeros_like(flat))
    return grad.reshape(triangles.shape)


def _touches(box, active, grid):
    """Whether any tile in each primitive's box is active, from sums over rectangles of tiles."""
    (ty, tx), (th, tw) = grid.tiles, grid.tile
    sums = lax.cumsum(lax.cumsum(active.reshape(grid.batch, ty, tx).astype(jnp.int32), axis=1), axis=2)
    sums = jnp.pad(sums, ((0, 0), (1, 0), (1, 0))).reshape(-1)
    picture = lax.iota(jnp.int32, box.valid.shape[0]) // (box.valid.shape[0] // grid.batch)
    top, bottom = box.row_min // th, box.row_max // th + 1
    left, right = box.column_min // tw, box.column_max // tw + 1

    def at(row, column):
        return sums.at[(picture * (ty + 1) + row) * (tx + 1) + column].get(mode="clip")

    return at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left) > 0
