"""Point clouds as discs: the K nearest per pixel, blended from front to back.

A point covers the pixels whose centres lie within its radius, with opacity w = 1 - d^2 / radius^2 at the distance d.
The K nearest by depth are blended, nearest first: image = sum_k w_k prod_{j<k} (1 - w_j) c_k, as PyTorch3D's alpha
compositor does. The layers are peeled one at a time by the depth buffer of `rasterize`, so nothing is sorted and no
list can overflow; a picture with fewer layers than K stops early.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Float

from hoijax.camera import Camera
from hoijax.geometry.safe import ArrayLike
from hoijax.render.batching import fold_vmap, with_chunk
from hoijax.render.clip import PixelBox, pixel_range
from hoijax.render.screen import screen_points
from hoijax.render.segments import for_active_segments, from_segments, to_segments, with_segment_chunk
from hoijax.render.units import Grid, for_each_chunk, pack_units

NOTHING = np.int32(2**31 - 1)  # above the bit pattern of every finite depth, above every point's number
TILE = (4, 8)


@struct.dataclass
class Splats:
    """A picture of points; `vmap` over `splat` adds leading axes."""

    image: jax.Array
    """(H, W, C) blended attributes over nothing: add `(1 - alpha) * background`. Differentiable."""

    alpha: jax.Array
    """(H, W) opacity in [0, 1]. Differentiable."""

    depth: jax.Array
    """(H, W) camera z of the nearest point, metres; +inf where there is none."""

    point_id: jax.Array
    """(H, W, K) int32, rows of `points` from near to far; -1 where there are fewer."""

    overflow: jax.Array
    """() True if there were more than 2^31 tiles of work, in which case nothing was drawn and the image is NaN."""


def splat(
    points: Float[ArrayLike, "P 3"],
    attributes: Float[ArrayLike, "P C"],
    camera: Camera,
    *,
    radius: float | ArrayLike,
    unit: str = "pixels",
    layers: int = 8,
    near: float = 0.01,
    chunk: int | None = None,
) -> Splats:
    """Draws points as discs that fade towards their rims; differentiable in points, attributes, radius and camera.

    Of two points at the same float32 depth the lower row is nearer. Points that are not finite are not drawn. The
    derivative holds the layers fixed. One cloud, one camera; use `vmap`.

    Args:
      points: world coordinates, metres.
      attributes: colours or any other channels, in the dtype of the points.
      camera: its `image_size` is the size of the result.
      radius: one, or one per point (P,); not above zero draws nothing.
      unit: of the radius, "pixels" or "metres" (then discs shrink with distance, by the vertical focal length).
      layers: K, the most points that one pixel blends.
      near: least visible depth, metres.
      chunk: work units per trip; changes speed and memory alone.

    Raises:
      ValueError: an unknown unit, `layers` below one, `near` not above zero, or more than 2^31 tiles of work (outside
        `jit`).
    """
    if unit not in ("pixels", "metres"):
        raise ValueError(f'unit is {unit!r}; it must be "pixels" or "metres"')
    if layers < 1:
        raise ValueError(f"layers is {layers}; it must be at least one")
    if not near > 0:
        raise ValueError(f"near is {near}; it must be above zero")
    points = jnp.asarray(points)
    radius = jnp.broadcast_to(jnp.asarray(radius, points.dtype), points.shape[:1])
    result = _splat(
        points, jnp.asarray(attributes), camera, radius, unit=unit, layers=layers, near=float(near), chunk=chunk
    )
    if not isinstance(result.overflow, jax.core.Tracer) and bool(result.overflow):
        raise ValueError(
            f"{points.shape[0]} points at {camera.image_size} pixels touch more than 2^31 tiles; draw fewer points or "
            "views per call, or use a smaller radius"
        )
    return result


# Compiled here because an eager `while_loop` would be compiled anew at every call.
@functools.partial(jax.jit, static_argnames=("unit", "layers", "near", "chunk"))
def _splat(points, attributes, camera, radius, *, unit, layers, near, chunk) -> Splats:
    screen = screen_points(points, camera)
    visible = (screen[:, 2] > near) & jnp.all(jnp.isfinite(screen), axis=1) & (radius > 0)
    z = jnp.where(visible, screen[:, 2], 1)
    if unit == "metres":
        radius = radius * jnp.asarray(camera.intrinsics, points.dtype)[1, 1] / z
    radius = jnp.where(visible, radius, 1)
    x, y = (jnp.where(visible, screen[:, k], 0) / z for k in range(2))
    discs = jnp.stack([x, y, radius], axis=1)
    peel = fold_vmap(lambda *args: with_chunk(functools.partial(_peel, camera.image_size, layers), chunk, *args))
    ids, overflow = peel(*(lax.stop_gradient(a)[None] for a in (discs, z, visible)))
    ids, overflow = ids[0], overflow[0]
    values = jnp.concatenate([attributes, jnp.ones_like(attributes[:, :1])], axis=1)
    blended = jnp.where(overflow, jnp.nan, _composite(discs, values, ids))
    nearest = ids[..., 0]
    depth = jnp.where(nearest >= 0, z[jnp.maximum(nearest, 0)], jnp.inf)
    return Splats(blended[..., :-1], blended[..., -1], depth, ids, overflow)


def _peel(image_size, layers, chunk, discs, z, visible):
    """Numbers (B, H, W, K) of the K nearest discs at each pixel, and the overflow flags."""
    batch, count = z.shape
    grid = Grid(batch, image_size, TILE)
    flat, z = discs.reshape(-1, 3), z.reshape(-1).astype(jnp.float32)
    x, y, r = (flat[:, k] for k in range(3))
    slack = r * (1 + 1e-5) + 1e-3  # rounding must not cost a pixel
    columns = pixel_range(x - slack, x + slack, image_size[1])
    rows = pixel_range(y - slack, y + slack, image_size[0])
    present = visible.reshape(-1) & (columns[1] >= columns[0]) & (rows[1] >= rows[0])
    units = pack_units(PixelBox(*columns, *rows, present), grid, chunk)
    keys = lax.bitcast_convert_type(z, jnp.int32)
    records = jnp.concatenate([flat, flat[:, 2:] ** 2], axis=1)

    def draw(last_key, last_id):
        def body(unit, state):
            nearest, ids = state
            px, py = grid.centres(unit.column, unit.row, flat.dtype)
            record = records.at[unit.owner].get(mode="promise_in_bounds")
            square = (px - record[:, 0][:, None]) ** 2 + (py - record[:, 1][:, None]) ** 2
            owner = jnp.broadcast_to(unit.owner[:, None], square.shape)
            key = jnp.broadcast_to(keys.at[unit.owner].get(mode="promise_in_bounds")[:, None], square.shape)
            before = last_key.at[unit.buffer_row].get(mode="clip"), last_id.at[unit.buffer_row].get(mode="clip")
            behind = (key > before[0]) | ((key == before[0]) & (owner > before[1]))
            key = jnp.where((square < record[:, 3][:, None]) & behind, key, NOTHING)
            nearest = nearest.at[unit.buffer_row].min(key, mode="drop")
            won = (key == nearest.at[unit.buffer_row].get(mode="clip")) & (key < NOTHING)
            # As in `rasterize`: points come last to first, so the least number is that of the nearest, lowest point.
            ids = ids.at[unit.buffer_row].min(jnp.where(won, owner, NOTHING), mode="drop")
            return nearest, ids

        start = grid.buffer(NOTHING, jnp.int32), grid.buffer(NOTHING, jnp.int32)
        return for_each_chunk(units, grid, chunk, body, start)

    def peel(carry):
        layer, _, last_key, last_id, stack = carry
        key, ids = draw(last_key, last_id)
        return layer + 1, jnp.any(ids < NOTHING), key, ids, lax.dynamic_update_index_in_dim(stack, ids, layer, 0)

    nothing = grid.buffer(NOTHING, jnp.int32)
    carry = (
        jnp.int32(0),
        jnp.bool_(True),
        grid.buffer(-1, jnp.int32),
        grid.buffer(-1, jnp.int32),
        jnp.broadcast_to(nothing[None], (layers, *nothing.shape)),
    )
    stack = lax.while_loop(lambda c: (c[0] < layers) & c[1], peel, carry)[4]
    pictures = jax.vmap(grid.to_picture)(stack)
    first = lax.iota(jnp.int32, batch)[None, :, None, None] * count
    ids = jnp.where(pictures < NOTHING, pictures - jnp.broadcast_to(first, pictures.shape), -1)
    return jnp.moveaxis(ids, 0, -1), jnp.broadcast_to(units.overflow, (batch,))


@jax.custom_vjp
def _composite(discs, values, ids):
    """Blends values (P, C) of discs (P, 3) over the layers ids (H, W, K) to (H, W, C)."""
    return fold_vmap(_forward)(discs[None], values[None], ids[None])[0]


def _vjp_forward(discs, values, ids):
    return _composite(discs, values, ids), (discs, values, ids)


def _vjp_backward(residuals, g_image):
    g_discs, g_values = fold_vmap(_backward)(*(r[None] for r in residuals), g_image[None])
    return g_discs[0], g_values[0], None


_composite.defvjp(_vjp_forward, _vjp_backward)


def _forward(*args):
    return with_segment_chunk(_forward_kernel, *args)


def _backward(*args):
    return with_segment_chunk(_backward_kernel, *args)


def _gather(table, ids, strip, count):
    """Which layers there are at a strip's pixels, their rows of the table, and its entries."""
    point = ids.at[strip.rows].get(mode="clip")
    hit = (point >= 0) & (strip.rows < ids.shape[0])[:, None, None]
    owner = jnp.where(hit, strip.picture[..., None] * count + point, 0)
    return hit, owner, table.at[owner].get(mode="promise_in_bounds")


def _blend(record, hit, x, y):
    """Blended values (C, LANES, channels) of records (C, LANES, K, 3 + channels)."""
    dx, dy = x[..., None] - record[..., 0], y[..., None] - record[..., 1]
    radius = jnp.where(hit, record[..., 2], 1)
    opacity = jnp.where(hit, jnp.clip(1 - (dx * dx + dy * dy) / (radius * radius), 0, 1), 0)
    through, blended = jnp.ones_like(x), 0
    for k in range(record.shape[2]):
        blended += (through * opacity[..., k])[..., None] * record[..., k, 3:]
        through = through * (1 - opacity[..., k])
    return blended


def _forward_kernel(chunk, discs, values, ids):
    batch, image_size, count = ids.shape[0], ids.shape[1:3], discs.shape[1]
    table = jnp.concatenate([discs, values], axis=2).reshape(batch * count, -1)
    layers = to_segments(ids, -1)

    def fill(strip, image):
        hit, _, record = _gather(table, layers, strip, count)
        x, y = strip.centres(table.dtype)
        return image.at[strip.rows].set(_blend(record, hit, x, y), mode="drop")

    start = jnp.zeros((*layers.shape[:2], values.shape[2]), table.dtype)
    active = jnp.any(layers[..., 0] >= 0, axis=1)
    return from_segments(for_active_segments(active, image_size, chunk, fill, start), batch, image_size)


def _backward_kernel(chunk, discs, values, ids, g_image):
    batch, image_size, count = ids.shape[0], ids.shape[1:3], discs.shape[1]
    table = jnp.concatenate([discs, values], axis=2).reshape(batch * count, -1)
    layers, g_image = to_segments(ids, -1), to_segments(g_image, 0)

    def add(strip, grad):
        hit, owner, record = _gather(table, layers, strip, count)
        x, y = strip.centres(table.dtype)
        _, pull = jax.vjp(lambda r: _blend(r, hit, x, y), record)
        (g_record,) = pull(g_image.at[strip.rows].get(mode="clip"))
        return grad.at[jnp.where(hit, owner, table.shape[0])].add(g_record, mode="drop")

    active = jnp.any(layers[..., 0] >= 0, axis=1)
    grad = for_active_segments(active, image_size, chunk, add, jnp.zeros_like(table))
    grad = grad.reshape(batch, count, -1)
    return grad[..., :3], grad[..., 3:]
