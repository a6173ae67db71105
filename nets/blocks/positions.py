"""Times and places as features: sines and cosines at geometric and at random frequencies."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray


def sinusoid(
    t: Float[ArrayLike, "*B"], width: int, *, cosines_first: bool = False, inclusive: bool = True
) -> Float[jax.Array, "*B width"]:
    """Sines and cosines of a number at geometric frequencies from 1 down; an odd width ends in zero.

    Args:
      t: a time index, say.
      width: how many.
      cosines_first: the order of `diffusers`; sines first otherwise.
      inclusive: whether the last frequency is 1/10000, or the next after the last would be (`diffusers`).
    """
    half = width // 2
    steps = half - 1 if inclusive else half
    frequencies = jnp.exp(-jnp.arange(half, dtype=t.dtype) * (math.log(10000.0) / steps))
    angles = t[..., None] * jnp.broadcast_to(frequencies, (*t.shape, half))
    parts = [jnp.sin(angles), jnp.cos(angles)]
    parts = parts[::-1] if cosines_first else parts
    return jnp.concatenate([*parts, jnp.zeros((*t.shape, width % 2), t.dtype)], axis=-1)


def random_fourier(
    places: Float[ArrayLike, "*B 2"], frequencies: Float[ArrayLike, "2 F"]
) -> Float[jax.Array, "*B 2*F"]:
    """sin and cos of 2 pi (2 p - 1) G of places in [0, 1]: SAM's positional encoding (Tancik et al. 2020)."""
    angle = 2.0 * math.pi * jnp.matmul(2.0 * jnp.asarray(places) - 1.0, jnp.asarray(frequencies), precision="highest")
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
