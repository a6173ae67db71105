"""Norms, quotients and products whose values and derivatives stay finite at the singular point.

Each guard uses `where` twice: once to choose the answer, once to feed a harmless number to the branch not taken.
With a single `where` the derivative of the unused branch is infinite or NaN, and zero times that is NaN.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray

# The default precision of products is TF32 on recent GPUs and bf16 on TPUs: millimetres on a body.
einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def safe_norm(x: Float[ArrayLike, "*B N"]) -> Float[jax.Array, "*B"]:
    """Euclidean length over the last axis; the derivative at zero is zero instead of NaN.

    Vectors so short or so long that their square leaves the range of the dtype (1e-19 and 1e19 in float32) count as
    zero and infinity.
    """
    x = jnp.asarray(x)
    square = jnp.sum(x * x, axis=-1)
    zero = square == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))


def safe_divide(a: Float[ArrayLike, "*B"], b: Float[ArrayLike, "*B"]) -> Float[jax.Array, "*B"]:
    """`a / b`, and zero with zero derivatives where `b` is zero."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    zero = b == 0
    return jnp.where(zero, 0.0, a / jnp.where(zero, 1.0, b))


def safe_normalize(x: Float[ArrayLike, "*B N"]) -> Float[jax.Array, "*B N"]:
    """Unit vector along the last axis; a zero vector stays zero, with zero derivatives."""
    x = jnp.asarray(x)
    length = safe_norm(x)[..., None]
    return safe_divide(x, jnp.broadcast_to(length, x.shape))


def cross(a: Float[ArrayLike, "*B 3"], b: Float[ArrayLike, "*B 3"]) -> Float[jax.Array, "*B 3"]:
    """Cross product over the last axis, written out so that it fuses into its neighbours."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return jnp.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def dot(a: Float[ArrayLike, "*B N"], b: Float[ArrayLike, "*B N"]) -> Float[jax.Array, "*B"]:
    """Inner product over the last axis, in the full precision of the dtype."""
    return jnp.sum(jnp.asarray(a) * jnp.asarray(b), axis=-1)
