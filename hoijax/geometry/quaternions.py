"""Unit quaternions, `(w, x, y, z)`, from and to rotation matrices and axis-angle vectors; any leading axes."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, dot, safe_normalize


def rotation_from_quaternion(q: Float[ArrayLike, "*B 4"]) -> Float[jax.Array, "*B 3 3"]:
    """Rotation matrix of a quaternion of any length but zero (which gives the identity, with zero derivatives)."""
    q = jnp.asarray(q)
    # Unit length first: scaling by 2 / |q|^2 instead would overflow for quaternions of 1e-20 in float32.
    w, x, y, z = jnp.moveaxis(safe_normalize(q), -1, 0)
    xx, yy, zz, xy, xz, yz = x * x, y * y, z * z, x * y, x * z, y * z
    wx, wy, wz = w * x, w * y, w * z
    entries = [
        1.0 - 2.0 * (yy + zz), 2.0 * (xy - wz), 2.0 * (xz + wy),
        2.0 * (xy + wz), 1.0 - 2.0 * (xx + zz), 2.0 * (yz - wx),
        2.0 * (xz - wy), 2.0 * (yz + wx), 1.0 - 2.0 * (xx + yy),
    ]  # fmt: skip
    return jnp.stack(entries, axis=-1).reshape((*q.shape[:-1], 3, 3))


def quaternion_from_rotation(rotation: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B 4"]:
    """Unit quaternion with w >= 0.

    The rows of the matrix 4 q q^T are linear in R; each is a multiple of q. The row with the largest diagonal is
    taken, whose multiplier is at least 1: no cancellation and no singular square root at any angle (Shepperd 1978).
    """
    m = jnp.asarray(rotation)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    diagonal = [1.0 + xx + yy + zz, 1.0 + xx - yy - zz, 1.0 - xx + yy - zz, 1.0 - xx - yy + zz]
    rows = [
        jnp.stack([diagonal[0], wx, wy, wz], axis=-1),
        jnp.stack([wx, diagonal[1], xy, xz], axis=-1),
        jnp.stack([wy, xy, diagonal[2], yz], axis=-1),
        jnp.stack([wz, xz, yz, diagonal[3]], axis=-1),
    ]
    best = jnp.argmax(jnp.stack(diagonal, axis=-1), axis=-1)[..., None]
    row = jnp.where(best == 0, rows[0], jnp.where(best == 1, rows[1], jnp.where(best == 2, rows[2], rows[3])))
    q = safe_normalize(row)
    return jnp.where(q[..., :1] < 0, -q, q)


def quaternion_from_axis_angle(w: Float[ArrayLike, "*B 3"]) -> Float[jax.Array, "*B 4"]:
    """Unit quaternion of an axis-angle vector; w is negative for angles beyond half a turn."""
    w = jnp.asarray(w)
    sq = 0.25 * dot(w, w)
    small = sq < 1e-5
    half = jnp.sqrt(jnp.where(small, 1.0, sq))
    sinc = jnp.where(small, 1.0 - sq / 6.0 * (1.0 - sq / 20.0 * (1.0 - sq / 42.0)), jnp.sin(half) / half)
    cosine = jnp.where(small, 1.0 - sq / 2.0 * (1.0 - sq / 12.0 * (1.0 - sq / 30.0)), jnp.cos(half))
    return jnp.concatenate([cosine[..., None], (0.5 * sinc)[..., None] * w], axis=-1)


def axis_angle_from_quaternion(q: Float[ArrayLike, "*B 4"]) -> Float[jax.Array, "*B 3"]:
    """Axis times angle, the angle in [0, pi]: q and -q give the same; `q` need not be of unit length."""
    q = jnp.asarray(q)
    q = jnp.where(q[..., :1] < 0, -q, q)
    w, v = q[..., 0], q[..., 1:]
    sq = dot(v, v)
    small = sq <= 1e-5 * w * w
    # 2 atan2(|v|, w) / |v|, by its series where the quotient tends to 0 / 0.
    w_small = jnp.where(small & (w > 0), w, 1.0)
    t = jnp.where(small, sq, 0.0) / (w_small * w_small)
    series = 2.0 / w_small * (1.0 - t * (1 / 3 - t * (1 / 5 - t / 7)))
    sine = jnp.sqrt(jnp.where(small, 1.0, sq))
    factor = jnp.where(small, series, 2.0 * jnp.arctan2(sine, w) / sine)
    return factor[..., None] * v
