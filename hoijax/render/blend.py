"""Values at the pixels, blended from the corners of the faces they see: the differentiable half of the rasterizer.

With u_k = (X_k - Z_k x, Y_k - Z_k y) for the corners of a pixel's face and e_0 = u_1 x u_2 and so on around,
w_k = e_k / (e_0 + e_1 + e_2) are perspective-correct barycentric coordinates: sum_k e_k u_k = 0 holds for any three
vectors of the plane, so the point sum_k w_k (X_k, Y_k, Z_k) projects to (x, y).

The face ids are fixed and the derivative is written out. It recomputes the coordinates instead of keeping them, so the
memory held between forward and backward pass is that of the ids and the corners. For the corners it gathers moments:
e_0 = p . (V_1 x V_2) with p = (x, y, 1) and V the corners, so dL/dV_k = M_i x V_j + V_i x M_j with M_k the sum over the
face's pixels of dL/de_k p, and (k, i, j) running around the face. Each face counts x and y from a pixel of its own:
about the picture's centre the cross products of small faces would cancel.
"""

import jax
import jax.numpy as jnp

from hoijax.geometry.safe import cross
from hoijax.render.batching import fold_vmap
from hoijax.render.segments import Strip, for_active_segments, from_segments, to_segments, with_segment_chunk

UNROLLED_CHANNELS = 8  # sums over fewer channels are written out: XLA's CPU reductions are slow over short axes


@jax.custom_vjp
def blend(corners: jax.Array, face_id: jax.Array, values: jax.Array) -> jax.Array:
    """Values (H, W, C) at the points seen, zero on the background.

    Args:
      corners: (F, 3, 3) corners of the faces, homogeneous pixel coordinates about the picture's centre.
      face_id: (H, W) int32, -1 background.
      values: (F, 3, C) at the corners, in the dtype of `corners`.
    """
    return fold_vmap(_forward)(corners[None], face_id[None], values[None])[0]


def barycentrics(corners: jax.Array, face_id: jax.Array) -> jax.Array:
    """Perspective-correct barycentric coordinates (H, W, 3), zero on the background; arguments as in `blend`."""
    unit = jnp.broadcast_to(jnp.eye(3, dtype=corners.dtype)[None], corners.shape)
    return blend(corners, face_id, unit)


def depths(corners: jax.Array, face_id: jax.Array, drawn: jax.Array) -> jax.Array:
    """Camera z (H, W) of the points seen in the dtype of `corners`, +inf on the background.

    `drawn` is the hard pass's answer in float32, taken as it is if that is the dtype of `corners`.
    """
    if drawn.dtype == corners.dtype:
        return _drawn_depths(corners, face_id, drawn)
    return jnp.where(face_id >= 0, blend(corners, face_id, corners[..., 2:])[..., 0], jnp.inf)


@jax.custom_vjp
def _drawn_depths(corners, face_id, drawn):
    del corners, face_id
    return drawn


def _drawn_depths_backward(residuals, g_depth):
    corners, face_id = residuals
    _, pull = jax.vjp(lambda c: blend(c, face_id, c[..., 2:])[..., 0], corners)
    return pull(g_depth)[0], None, jnp.zeros_like(g_depth)


_drawn_depths.defvjp(lambda corners, face_id, drawn: (drawn, (corners, face_id)), _drawn_depths_backward)


def _blend_forward(corners, face_id, values):
    return blend(corners, face_id, values), (corners, face_id, values)


def _blend_backward(residuals, g_image):
    corners, face_id, values = residuals
    g_corners, g_values = fold_vmap(_backward)(corners[None], face_id[None], values[None], g_image[None])
    return g_corners[0], None, g_values[0]


blend.defvjp(_blend_forward, _blend_backward)


def _forward(corners, face_id, values):
    return with_segment_chunk(_forward_kernel, corners, face_id, values)


def _backward(corners, face_id, values, g_image):
    return with_segment_chunk(_backward_kernel, corners, face_id, values, g_image)


def _forward_kernel(chunk, corners, face_id, values):
    batch, image_size = face_id.shape[0], face_id.shape[1:]
    count, channels = values.shape[1], values.shape[3]
    table, ids = _table(corners, values), to_segments(face_id, -1)

    def fill(strip, image):
        hit, _, record, e, area = _at_pixels(table, ids, strip, count)
        w = [jnp.where(hit, e_k / area, 0)[..., None] for e_k in e]
        blended = sum(w[k] * record[..., 9 + k * channels : 9 + (k + 1) * channels] for k in range(3))
        return image.at[strip.rows].set(blended, mode="drop")

    start = jnp.zeros((*ids.shape, channels), table.dtype)
    image = for_active_segments(jnp.any(ids >= 0, axis=1), image_size, chunk, fill, start)
    return from_segments(image, batch, image_size)


def _backward_kernel(chunk, corners, face_id, values, g_image):
    image_size = face_id.shape[1:]
    count, channels = values.shape[1], values.shape[3]
    origin = _origins(corners.reshape(-1, 3, 3), image_size)
    table = jnp.concatenate([_table(corners, values), origin], axis=1)
    ids, g_image = to_segments(face_id, -1), to_segments(g_image, 0)

    def add(strip, grad):
        hit, owner, record, e, area = _at_pixels(table, ids, strip, count)
        w = [e_k / area for e_k in e]
        g = g_image.at[strip.rows].get(mode="clip")  # what is not hit is dropped below
        at_corner = [record[..., 9 + k * channels : 9 + (k + 1) * channels] for k in range(3)]
        # de_k = g . (value at corner k - value here) / area. These forms are chosen for XLA's CPU compiler, which fuses
        # through everything but divisions and computes what it fuses once for each use.
        g_e = [g_k / area for g_k in _slopes(g, at_corner, w)]
        x, y = strip.centres(table.dtype)
        place = jnp.stack([x - record[..., -2], y - record[..., -1], jnp.ones_like(x)], axis=-1)
        g_record = jnp.concatenate([q[..., None] * place for q in g_e] + [w_k[..., None] * g for w_k in w], axis=-1)
        return grad.at[jnp.where(hit, owner, table.shape[0])].add(g_record, mode="drop")

    start = jnp.zeros((table.shape[0], table.shape[1] - 2), table.dtype)
    grad = for_active_segments(jnp.any(ids >= 0, axis=1), image_size, chunk, add, start)
    g_corners = _corner_gradients(corners.reshape(-1, 3, 3), grad[:, :9].reshape(-1, 3, 3), origin)
    return g_corners.reshape(corners.shape), grad[:, 9:].reshape(values.shape)


def _origins(corners, image_size):
    """For each face, the whole number of pixels from the picture's centre nearest to its first corner, or zero."""
    height, width = image_size
    depth = corners[:, 0, 2]
    visible = depth > 0
    pixel = jnp.round(corners[:, 0, :2] / jnp.where(visible, depth, 1)[:, None])
    x, y = jnp.clip(pixel[:, 0], -width, width), jnp.clip(pixel[:, 1], -height, height)
    finite = visible & jnp.isfinite(x + y)
    return jnp.stack([jnp.where(finite, x, 0), jnp.where(finite, y, 0)], axis=1)


def _corner_gradients(corners, moments, origin):
    """dL/dV (F, 3, 3) from the moments of dL/de about each face's origin."""
    seen = jnp.any(moments != 0, axis=(1, 2))[:, None]  # a corner that is not finite must not meet a zero moment
    local = [corners[:, k, :2] - corners[:, k, 2:] * origin for k in range(3)]
    v = [jnp.where(seen, jnp.concatenate([local[k], corners[:, k, 2:]], axis=1), 0) for k in range(3)]
    gradients = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        g = cross(moments[:, i], v[j]) + cross(v[i], moments[:, j])
        gradients.append(jnp.concatenate([g[:, :2], g[:, 2:] - jnp.sum(origin * g[:, :2], axis=1)[:, None]], axis=1))
    return jnp.stack(gradients, axis=1)


def _table(corners, values):
    """One row per face of the batch: corners, then values."""
    return jnp.concatenate([corners.reshape(-1, 9), values.reshape(-1, 3 * values.shape[3])], axis=1)


def _at_pixels(table, ids, strip: Strip, count: int):
    """At a strip's pixels: hits, rows of the table, records, edge functions and their sum (one without a hit)."""
    face = ids.at[strip.rows].get(mode="clip")
    hit = (face >= 0) & (strip.rows < ids.shape[0])[:, None]
    owner = jnp.where(hit, strip.picture * count + face, 0)
    record = table.at[owner].get(mode="promise_in_bounds")
    x, y = strip.centres(table.dtype)
    u = [(record[..., k] - record[..., k + 2] * x, record[..., k + 1] - record[..., k + 2] * y) for k in (0, 3, 6)]
    e = [u[i][0] * u[j][1] - u[i][1] * u[j][0] for i, j in ((1, 2), (2, 0), (0, 1))]
    area = e[0] + e[1] + e[2]
    hit &= area != 0
    return hit, owner, record, e, jnp.where(hit, area, 1)


def _slopes(g, at_corner, w):
    """For each corner, the sum over channels of g times the corner's value less the blended one."""
    channels = g.shape[-1]
    if channels > UNROLLED_CHANNELS:
        here = sum(w[k][..., None] * at_corner[k] for k in range(3))
        return [jnp.sum(g * (value - here), axis=-1) for value in at_corner]
    here = [sum(w[k] * at_corner[k][..., c] for k in range(3)) for c in range(channels)]
    return [sum(g[..., c] * (value[..., c] - here[c]) for c in range(channels)) for value in at_corner]
