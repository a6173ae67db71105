"""Rotation matrices from and to axis-angle vectors and the two 6D orders; angles and random rotations.

All functions take any leading axes. Values *and* derivatives are right at the identity and, where the map is smooth
there, at half a turn. Quaternions are in `quaternions`.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float, Key

from hoijax.geometry.quaternions import (
    axis_angle_from_quaternion,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from hoijax.geometry.safe import ArrayLike, cross, dot, safe_norm, safe_normalize


def rotation_from_axis_angle(w: Float[ArrayLike, "*B 3"]) -> Float[jax.Array, "*B 3 3"]:
    """Rodrigues' formula without a normalised axis: I + a K + b K^2, K the cross-product matrix of `w`.

    a = sin(t)/t and b = (1 - cos t)/t^2 = (sin(t/2)/(t/2))^2 / 2; the second form keeps its digits at small angles.

    Args:
      w: axis times angle, radians.
    """
    w = jnp.asarray(w)
    sq = dot(w, w)
    small = sq < 1e-5  # where the three terms of the series below are exact in float64
    angle = jnp.sqrt(jnp.where(small, 1.0, sq))
    half = 0.5 * angle
    half_sinc = jnp.sin(half) / half
    a = jnp.where(small, 1.0 - sq / 6.0 * (1.0 - sq / 20.0 * (1.0 - sq / 42.0)), jnp.sin(angle) / angle)
    b = jnp.where(small, 0.5 - sq / 24.0 * (1.0 - sq / 30.0 * (1.0 - sq / 56.0)), 0.5 * half_sinc * half_sinc)
    x, y, z = w[..., 0], w[..., 1], w[..., 2]
    ax, ay, az = a * x, a * y, a * z
    bxy, bxz, byz = b * x * y, b * x * z, b * y * z
    # K^2 = w w^T - |w|^2 I, so its diagonal is minus the squares of the other two components.
    entries = [
        1.0 - b * (y * y + z * z), bxy - az, bxz + ay,
        bxy + az, 1.0 - b * (x * x + z * z), byz - ax,
        bxz - ay, byz + ax, 1.0 - b * (x * x + y * y),
    ]  # fmt: skip
    return jnp.stack(entries, axis=-1).reshape((*w.shape, 3))


def axis_angle_from_rotation(rotation: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B 3"]:
    """The logarithm: axis times angle, the angle in [0, pi].

    Goes through the quaternion, whose largest component is always at least 1/2: accurate to the dtype at every angle,
    half a turn included, where arccos of the trace loses half the digits. At exactly half a turn both signs of the
    axis are right; the one with its largest component positive is returned.
    """
    return axis_angle_from_quaternion(quaternion_from_rotation(rotation))


def rotation_from_6d(x: Float[ArrayLike, "*B 6"]) -> Float[jax.Array, "*B 3 3"]:
    """Gram-Schmidt of two columns stored row-major, `(R00, R01, R10, R11, R20, R21)`: the library's 6D order.

    Zhou et al. 2019 ("On the Continuity of Rotation Representations"), eq. 14-15; the order is ScoreHOI's
    (specs/scorehoi.md 2.1). A zero or parallel second column gives zero columns with zero derivatives: finite, though
    no rotation.
    """
    x = jnp.asarray(x)
    return _gram_schmidt(x[..., 0::2], x[..., 1::2])


def sixd_from_rotation(rotation: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B 6"]:
    """The first two columns, row-major: `(R00, R01, R10, R11, R20, R21)`."""
    rotation = jnp.asarray(rotation)
    return rotation[..., :2].reshape((*rotation.shape[:-2], 6))


def rotation_from_6d_columns(x: Float[ArrayLike, "*B 6"]) -> Float[jax.Array, "*B 3 3"]:
    """As `rotation_from_6d` for numbers stored column after column, `(R00, R10, R20, R01, R11, R21)`.

    The order of ProHMR and ScoreHMR checkpoints. (PyTorch3D stores the first two *rows* of R, which are the columns
    of its inverse.)
    """
    x = jnp.asarray(x)
    return _gram_schmidt(x[..., :3], x[..., 3:])


def sixd_columns_from_rotation(rotation: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B 6"]:
    """The first column, then the second: `(R00, R10, R20, R01, R11, R21)`."""
    rotation = jnp.asarray(rotation)
    return jnp.concatenate([rotation[..., 0], rotation[..., 1]], axis=-1)


def rotation_angle(rotation: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B"]:
    """Angle in [0, pi], radians; of `a^T b` it is the geodesic distance of a and b.

    The angle has a kink at the identity, like any norm; its derivative there is given as zero.
    """
    quaternion = quaternion_from_rotation(rotation)
    return 2.0 * jnp.arctan2(safe_norm(quaternion[..., 1:]), quaternion[..., 0])


def random_rotation(
    key: Key[jax.Array, ""], shape: tuple[int, ...] = (), dtype: DTypeLike | None = None
) -> Float[jax.Array, "*B 3 3"]:
    """Rotations uniform under the Haar measure: a normalised Gaussian quaternion.

    Args:
      key: random key (`jax.random.key`).
      shape: leading axes of the answer.
      dtype: float dtype of the answer; jax's default float if None.
    """
    return rotation_from_quaternion(jax.random.normal(key, (*shape, 4), dtype=dtype or float))


def _gram_schmidt(a: Float[jax.Array, "*B 3"], b: Float[jax.Array, "*B 3"]) -> Float[jax.Array, "*B 3 3"]:
    """Rotation whose first column is along `a` and whose second lies in the half plane of `b`."""
    x = safe_normalize(a)
    y = safe_normalize(b - dot(x, b)[..., None] * x)
    return jnp.stack([x, y, cross(x, y)], axis=-1)
