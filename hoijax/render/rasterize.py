"""The hard pass: which face each pixel sees, by (face, tile) work units and a depth buffer.

Coverage is decided by homogeneous edge functions (Olano and Greer 1997, "Triangle scan conversion using 2D homogeneous
coordinates") relative to the pixel's centre: with u_k = (X_k - Z_k x, Y_k - Z_k y) the sign of u_a x u_b says on which
side of edge ab the centre lies, also if a or b is behind the camera. The vertices of each face are first sorted by
their coordinates, so that two faces sharing an edge compute the same number, bit for bit, and one of them gets the
pixel: no crack and no double hit. A centre exactly on an edge belongs to the side towards which the edge function grows
with x, or with y if it does not change with x: the top-left rule.
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
from hoijax.render.blend import depths
from hoijax.render.clip import triangle_boxes
from hoijax.render.fragments import Fragments
from hoijax.render.screen import screen_points
from hoijax.render.units import Grid, for_each_chunk, pack_units

NOTHING = np.int32(2**31 - 1)  # above the bit pattern of every finite depth, above every face id
DEFAULT_TILE = (4, 8)


def rasterize(
    vertices: Float[ArrayLike, "V 3"],
    faces: Int[ArrayLike, "F 3"],
    camera: Camera,
    *,
    cull: str = "none",
    near: float = 0.01,
    tile: tuple[int, int] = DEFAULT_TILE,
    chunk: int | None = None,
) -> Fragments:
    """The nearest face at each pixel's centre, where on it, and how far.

    One mesh, one camera: use `vmap` for views and scenes (it becomes one longer list of work, not a loop as long as
    the slowest). Faces are double-sided, of any size, and may cross the near plane. A face of zero area, or with a
    vertex that is not finite, covers nothing. Of two faces at the same float32 depth the lower row of `faces` is seen.
    Several meshes in one scene are one mesh: concatenate their vertices and faces, so that they occlude each other; a
    table from face to mesh then turns face ids into instance ids. Pad `faces` with rows (0, 0, 0) where scenes of a
    batch have different counts.

    `bary`, `depth` and whatever `interpolate` makes are differentiable in the vertices and the camera for fixed face
    ids: what moves *inside* the silhouettes. How silhouettes move is the job of `antialias` and `soft_silhouette`.

    Args:
      vertices: world coordinates, metres; float32 or float64.
      faces: rows of `vertices`, int32.
      camera: its `image_size` is the size of the result.
      cull: "back" drops faces seen from behind, "front" those seen from the front. A face is seen from the front if
        its vertices run counter-clockwise on the picture (as a person looks at it), which holds for the outside of a
        mesh whose normals (b - a) x (c - a) point outwards.
      near: least visible depth, metres, above zero.
      tile: height and width of a work unit in pixels; changes the speed alone.
      chunk: work units per trip; changes speed and memory alone. `None`: 4,096 on CPU, 131,072 elsewhere.

    Returns:
      `Fragments`. If its `overflow` is True the depth is NaN everywhere and no face is drawn; called outside `jit` and
      `vmap`, the function raises instead.

    Raises:
      ValueError: an unknown `cull`, a `near` not above zero, or the work of one call exceeds 2^31 tiles.
    """
    if cull not in ("none", "back", "front"):
        raise ValueError(f'cull is {cull!r}; it must be "none", "back" or "front"')
    if not near > 0:
        raise ValueError(f"near is {near}; it must be above zero")
    fragments = _rasterize(
        jnp.asarray(vertices), jnp.asarray(faces), camera, cull=cull, near=float(near), tile=tuple(tile), chunk=chunk
    )
    if not isinstance(fragments.overflow, jax.core.Tracer) and bool(fragments.overflow):
        raise ValueError(
            f"{faces.shape[0]} faces at {camera.image_size} pixels touch more than 2^31 tiles of {tile}; "
            "draw fewer faces or views per call, or use larger tiles"
        )
    return fragments


# Compiled here because an eager `while_loop` would be compiled anew at every call.
@functools.partial(jax.jit, static_argnames=("cull", "near", "tile", "chunk"))
def _rasterize(vertices, faces, camera, *, cull, near, tile, chunk) -> Fragments:
    corners = screen_points(vertices, camera)[faces]
    face_id, depth, overflow = hard_pass(
        lax.stop_gradient(corners), camera.image_size, cull=cull, near=near, tile=tile, chunk=chunk
    )
    depth = jnp.where(overflow, jnp.nan, depths(corners, face_id, depth))
    return Fragments(face_id, depth, corners, overflow)


def hard_pass(
    corners: Float[jax.Array, "F 3 3"],
    image_size: tuple[int, int],
    *,
    cull: str,
    near: float,
    tile: tuple[int, int],
    chunk: int | None,
) -> tuple[Int[jax.Array, "H W"], Float[jax.Array, "H W"], jax.Array]:
    """Face ids (-1 background), float32 depths (+inf background) and the overflow flag; see `rasterize`.

    Args:
      corners: vertices of each face, homogeneous pixel coordinates about the picture's centre (`screen_points`).
      image_size: height and width.
      cull: which side to drop.
      near: least visible depth.
      tile: height and width of a work unit.
      chunk: work units per trip.
    """

    def kernel(corners):
        return with_chunk(lambda c, x: _hard_pass(x, image_size, cull, near, tile, c), chunk, corners)

    face_id, depth, overflow = fold_vmap(kernel)(corners[None])
    return face_id[0], depth[0], overflow[0]


def _hard_pass(corners, image_size, cull, near, tile, chunk):
    batch, count = corners.shape[:2]
    grid = Grid(batch, image_size, tile)
    flat = corners.reshape(batch * count, 9)
    vertices = [[flat[:, 3 * k + i] for i in range(3)] for k in range(3)]
    box = triangle_boxes(vertices, near, image_size, grow=0.0)
    if cull != "none":
        box = box._replace(valid=box.valid & ~_surely_culled(vertices, near, image_size, cull))
    records = _records(vertices, cull)
    units = pack_units(box, grid, chunk)

    def draw(units, state):
        nearest, ids = state
        x, y = grid.centres(units.column, units.row, flat.dtype)
        key = _depth_keys(records.at[units.owner].get(mode="promise_in_bounds"), x, y, near, cull)
        # The comparison below needs the very bits that were scattered; without the barrier a fused recomputation might
        # round differently.
        key, rows, owner = lax.optimization_barrier((key, units.buffer_row, units.owner))
        nearest = nearest.at[rows].min(key, mode="promise_in_bounds")
        won = (key == nearest.at[rows].get(mode="promise_in_bounds")) & (key < NOTHING)
        # Faces come last to first, so this chunk's ids are below those of earlier chunks: the minimum lets them replace
        # ids at greater depth, and win at equal depth.
        ids = ids.at[rows].min(jnp.where(won, owner[:, None], NOTHING), mode="promise_in_bounds")
        return nearest, ids

    start = grid.buffer(NOTHING, jnp.int32), grid.buffer(NOTHING, jnp.int32)
    nearest, ids = for_each_chunk(units, grid, chunk, draw, start)
    nearest, ids = grid.to_picture(nearest), grid.to_picture(ids)
    hit = ids < NOTHING
    first = lax.iota(jnp.int32, batch)[:, None, None] * count
    face_id = jnp.where(hit, ids - jnp.broadcast_to(first, ids.shape), -1)
    depth = jnp.where(hit, lax.bitcast_convert_type(nearest, jnp.float32), jnp.inf)
    return face_id, depth, jnp.broadcast_to(units.overflow, (batch,))


def _records(vertices, cull):
    """One row per face: sorted vertices, the least accepted edge functions and, if needed, the side to keep."""
    first, second, third = vertices
    parity = jnp.zeros(first[0].shape, bool)

    def in_order(p, q, parity):
        swap = (q[0] < p[0]) | ((q[0] == p[0]) & ((q[1] < p[1]) | ((q[1] == p[1]) & (q[2] < p[2]))))
        low = [jnp.where(swap, b, a) for a, b in zip(p, q)]
        high = [jnp.where(swap, a, b) for a, b in zip(p, q)]
        return low, high, parity ^ swap

    first, second, parity = in_order(first, second, parity)
    second, third, parity = in_order(second, third, parity)
    first, second, parity = in_order(first, second, parity)
    # The barrier keeps the sort from being done again for every column of the table.
    first, second, third, parity = lax.optimization_barrier((first, second, third, parity))
    tiny = np.finfo(first[0].dtype).tiny

    def least(p, q):
        """Zero if a centre exactly on edge pq is on its positive side, else the least positive number."""
        with_x, with_y = p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2]
        return jnp.where((with_x > 0) | ((with_x == 0) & (with_y > 0)), 0.0, tiny).astype(p[0].dtype)

    columns = [*first, *second, *third, least(first, second), least(second, third), least(first, third)]
    if cull != "none":
        # Seen from the front, the determinant of the face's vertices in their own order is negative.
        keep_positive = parity ^ (cull == "front")
        columns.append(keep_positive.astype(first[0].dtype))
    return jnp.stack(columns, axis=1)


def _depth_keys(records, x, y, near, cull):
    """Bit pattern of the float32 depth at each pixel centre, which orders like the depth; NOTHING outside the face."""
    ax, ay, az, bx, by, bz, cx, cy, cz, least_ab, least_bc, least_ac = (records[:, k][:, None] for k in range(12))
    uax, uay = ax - az * x, ay - az * y
    ubx, uby = bx - bz * x, by - bz * y
    ucx, ucy = cx - cz * x, cy - cz * y
    ab, bc, ac = uax * uby - uay * ubx, ubx * ucy - uby * ucx, uax * ucy - uay * ucx
    left_ab, left_bc, left_ac = ab >= least_ab, bc >= least_bc, ac >= least_ac
    inside = (left_ab == left_bc) & (left_ab != left_ac)
    if cull != "none":
        inside &= left_ab == (records[:, 12][:, None] > 0)
    # depth = volume / area; both change sign with the face's orientation, and the depth alone behind the camera.
    area, volume = bc - ac + ab, bc * az - ac * bz + ab * cz
    inside &= (volume > near * area) == (area > 0)
    key = lax.bitcast_convert_type((volume / jnp.where(area == 0, 1, area)).astype(jnp.float32), jnp.int32)
    return jnp.where(inside & (area != 0), key, NOTHING)


def _surely_culled(vertices, near, image_size, cull):
    """True for faces in front of the camera whose unwanted side shows beyond doubt; saves their units."""
    inverse = [1 / jnp.where(z > near, z, 1) for _, _, z in vertices]
    (ax, ay), (bx, by), (cx, cy) = [(v[0] * i, v[1] * i) for v, i in zip(vertices, inverse)]
    left = (bx - ax) * (cy - ay)
    right = (by - ay) * (cx - ax)
    eps = float(np.finfo(ax.dtype).eps)
    reach = abs(ax) + abs(ay) + abs(bx) + abs(by) + abs(cx) + abs(cy) + sum(image_size)
    extent = abs(bx - ax) + abs(cy - ay) + abs(by - ay) + abs(cx - ax)
    doubt = 8 * eps * reach * extent
    front = functools.reduce(jnp.logical_and, [z > near for _, _, z in vertices])
    area = left - right  # negative: counter-clockwise on the picture
    return front & ((area > doubt) if cull == "back" else (area < -doubt))
