"""Finding occluding contours between neighbouring pixels, for antialiasing."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from hoijax.render.clip import triangle_boxes
from hoijax.render.units import Grid, for_each_chunk, pack_units

TILE = (4, 4)
NEAR = 1e-3  # metres; edges are looked for from here on
MAX_STEPS = 64  # faces visited between two pixel centres


class Contours:
    """A batch of pictures and the silhouette edges of the meshes they show.

    Pairs of neighbouring pixels are numbered: first each pixel with the one to its right, then each with the one below.
    """

    def __init__(self, corners: jax.Array, face_id: jax.Array, depth: jax.Array, neighbours: jax.Array, chunk: int):
        """Takes corners (B, F, 3, 3), ids and depths (B, H, W), neighbours (B, F, 3) and work units per trip."""
        self.chunk = chunk
        self.batch, self.count = corners.shape[:2]
        self.image_size = face_id.shape[1:]
        first = lax.iota(jnp.int32, self.batch) * self.count
        self.flat = corners.reshape(-1, 3)  # row 3 f + k: corner k of face f of the flat list of all pictures' faces
        self.ids = jnp.where(face_id >= 0, face_id + first[:, None, None], -1)
        self.depth = depth
        across = jnp.where(neighbours >= 0, neighbours + 3 * first[:, None, None], -1)
        self.across = across.reshape(-1, 3)

    def transitions(self) -> jax.Array:
        """Which pairs have one pixel that sees something and one that sees nothing."""
        covered, marks = self.ids >= 0, []
        for axis in (2, 1):
            size = covered.shape[axis]
            here, there = (lax.slice_in_dim(covered, k, k + size - 1, axis=axis) for k in (0, 1))
            marks.append(jnp.pad(here != there, [(0, int(k == axis)) for k in range(3)]).reshape(-1))
        return jnp.concatenate(marks)

    def marks(self) -> jax.Array:
        """Which pairs may have a contour between them: different faces, and a silhouette edge passes by."""
        passed = self._passed()
        marks = []
        for axis in (2, 1):
            size = self.ids.shape[axis]
            here, there = (lax.slice_in_dim(self.ids, k, k + size - 1, axis=axis) for k in (0, 1))
            mark = (here != there) & lax.slice_in_dim(passed, 0, size - 1, axis=axis)
            marks.append(jnp.pad(mark, [(0, int(k == axis)) for k in range(3)]).reshape(-1))
        return jnp.concatenate(marks)

    def _passed(self) -> jax.Array:
        """(B, H, W): pixels in a tile that a silhouette edge touches when grown by a pixel."""
        grid = Grid(self.batch, self.image_size, TILE)
        following = jnp.roll(self.flat.reshape(-1, 3, 3), -1, axis=1).reshape(-1, 3)
        a, b = [[p[:, i] for i in range(3)] for p in (self.flat, following)]
        box = triangle_boxes([a, b, b], NEAR, self.image_size, grow=1.0)
        # An edge between two faces is drawn once.
        face = lax.iota(jnp.int32, self.across.shape[0])
        silhouette = jnp.stack([self._is_silhouette(face, jnp.full_like(face, k)) for k in range(3)], axis=1)
        face = jnp.broadcast_to(face[:, None], self.across.shape)
        drawn = silhouette & ((self.across < 0) | (self.across // 3 > face))
        box = box._replace(valid=box.valid & drawn.reshape(-1))
        units = pack_units(box, grid, self.chunk)

        def mark(units, tiles):
            return tiles.at[units.buffer_row].set(True, mode="drop")

        tiles = for_each_chunk(units, grid, self.chunk, mark, jnp.zeros(grid.rows, bool))
        tiles = tiles.reshape(self.batch, grid.tiles[0], 1, grid.tiles[1], 1)
        shape = (self.batch, grid.tiles[0], TILE[0], grid.tiles[1], TILE[1])
        height, width = self.image_size
        tiles = jnp.broadcast_to(tiles, shape).reshape(self.batch, shape[1] * shape[2], shape[3] * shape[4])
        return tiles[:, :height, :width]

    def search(self, index: jax.Array, live: jax.Array) -> tuple:
        """Walks from the nearer pixel's centre towards the farther's until the surface ends.

        Args:
          index: (C,) numbers of pairs.
          live: (C,) which of them count.

        Returns:
          Pixels (rows of the flat list) on the near and the far side, whether a contour was found, the rows of `flat`
          of its edge's ends, and a function of these two points (C, 3) to the place of the crossing: 0 at the near
          centre, 1 at the far one.
        """
        height, width = self.image_size
        pixels = self.batch * height * width
        down = index >= pixels
        one = jnp.where(down, index - pixels, index)
        other = jnp.minimum(one + jnp.where(down, width, 1), pixels - 1)
        depth, ids = self.depth.reshape(-1), self.ids.reshape(-1)
        forward = depth[one] <= depth[other]
        near, far = jnp.where(forward, one, other), jnp.where(forward, other, one)
        dtype = self.flat.dtype
        line = lax.div(near, jnp.int32(width))
        x = (near - line * width).astype(dtype) + (0.5 - width / 2)
        y = lax.rem(line, jnp.int32(height)).astype(dtype) + (0.5 - height / 2)
        sign = jnp.where(forward, 1, -1).astype(dtype)
        dx, dy = jnp.where(down, 0, sign), jnp.where(down, sign, 0)

        face = jnp.maximum(ids[near], 0)
        entered = jnp.full(index.shape, -1, jnp.int32)
        walking, found = live & (ids[near] >= 0), jnp.zeros(index.shape, bool)

        def step(carry):
            number, face, entered, walking, found, start, end = carry
            leaves, place = self._exit(face, entered, x, y, dx, dy)
            ends = walking & (place <= 1)  # beyond the far centre the surface has not ended
            stop = ends & self._is_silhouette(face, leaves)
            start = jnp.where(stop, 3 * face + leaves, start)
            end = jnp.where(stop, 3 * face + (leaves + 1) % 3, end)
            found |= stop
            beyond = self.across[face, leaves]
            walking = ends & ~stop & (beyond >= 0)
            # The edge off which corner c lies joins corners c + 1 and c + 2.
            entered = jnp.where(walking, (beyond % 3 + 1) % 3, -1)
            face = jnp.where(walking, beyond // 3, face)
            return number + 1, face, entered, walking, found, start, end

        carry = (jnp.int32(0), face, entered, walking, found, 3 * face, 3 * face + 1)
        carry = lax.while_loop(lambda c: (c[0] < MAX_STEPS) & jnp.any(c[3]), step, carry)
        found, start, end = carry[4:]
        # Each contour is blended along the axis it crosses more squarely: along both it would count twice.
        a, b = (_from_pixel(self.flat[row], x, y) + (self.flat[row][:, 2],) for row in (start, end))
        with_x, with_y = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2]
        found &= (abs(with_x) >= abs(with_y)) != down
        return near, far, found, (start, end), _crossing(x, y, dx, dy)

    def points(self, rows: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Ends (C, 3) of edges."""
        return self.flat[rows[0]], self.flat[rows[1]]

    def _is_silhouette(self, face, k) -> jax.Array:
        """Whether edge k of a face has no neighbour, or one on the face's own side of it on the picture."""
        a, b, c = (self.flat[3 * face + (k + i) % 3] for i in range(3))
        across = self.across[face, k]
        q = self.flat[jnp.maximum(across, 0)]
        # Sides of the plane through eye, a and b, about the pixel of a: about the picture's centre small faces round
        # away.
        visible = a[:, 2] > 0
        scale = 1 / jnp.where(visible, a[:, 2], 1)
        x, y = jnp.where(visible, a[:, 0] * scale, 0), jnp.where(visible, a[:, 1] * scale, 0)
        ua, ub = _from_pixel(a, x, y), _from_pixel(b, x, y)
        ab = _cross(ua, ub)

        def side(p):
            up = _from_pixel(p, x, y)
            return a[:, 2] * _cross(ub, up) + b[:, 2] * _cross(up, ua) + p[:, 2] * ab

        return (across < 0) | (jnp.sign(side(c)) * jnp.sign(side(q)) > 0)

    def _exit(self, face, entered, x, y, dx, dy) -> tuple[jax.Array, jax.Array]:
        """The edge by which the segment from (x, y) by (dx, dy) leaves a face, and where on the segment."""
        corner = [self.flat[3 * face + k] for k in range(3)]
        u = [_from_pixel(p, x, y) for p in corner]
        v = [_from_pixel(p, x + dx, y + dy) for p in corner]
        e = [_cross(u[k], u[(k + 1) % 3]) for k in range(3)]
        f = [_cross(v[k], v[(k + 1) % 3]) for k in range(3)]
        side = jnp.sign(e[0] * corner[2][:, 2] + e[1] * corner[0][:, 2] + e[2] * corner[1][:, 2])
        place, leaves = jnp.full(x.shape, jnp.inf, x.dtype), jnp.zeros(x.shape, jnp.int32)
        for k in range(3):
            slope = side * (e[k] - f[k])
            outwards = (slope > 0) & (entered != k)
            t = side * e[k] / jnp.where(outwards, slope, 1)
            better = outwards & (t < place)
            place, leaves = jnp.where(better, t, place), jnp.where(better, k, leaves)
        return leaves, place


def _crossing(x, y, dx, dy) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Where the line through two points (C, 3) meets the segment from (x, y) by (dx, dy), within [0, 1]."""

    def place(start, end):
        e = _cross(_from_pixel(start, x, y), _from_pixel(end, x, y))
        f = _cross(_from_pixel(start, x + dx, y + dy), _from_pixel(end, x + dx, y + dy))
        parallel = e == f
        return jnp.clip(jnp.where(parallel, 0.5, e / jnp.where(parallel, 1, e - f)), 0, 1)

    return place


def _from_pixel(p, x, y):
    return p[:, 0] - p[:, 2] * x, p[:, 1] - p[:, 2] * y


def _cross(u, v):
    return u[0] * v[1] - u[1] * v[0]
