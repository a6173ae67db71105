"""Times and places: as features, sines and cosines at geometric and at random frequencies, and as turns of heads."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

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


def rotate(
    x: Float[ArrayLike, "*B T H D"], positions: Int[ArrayLike, "*B T"], *, base: float = 1e4
) -> Float[jax.Array, "*B T H D"]:
    """Rotary positions (Su et al. 2021): entries i and i + D/2 of a head turn by position / base^(2i/D).

    Angles are found in float32. This pairing, halves of a head, is that of LLaMA's and Gemma's published weights.

    Raises:
      ValueError: D is odd.
    """
    x = jnp.asarray(x)
    width = x.shape[-1]
    if width % 2:
        raise ValueError(f"rotary positions turn pairs: heads of {width} channels have an odd one")
    frequencies = jnp.asarray(base ** (-np.arange(0, width, 2) / width), jnp.float32)
    angle = jnp.einsum("...t,f->...tf", jnp.asarray(positions).astype(jnp.float32), frequencies, precision="highest")
    shape = (*x.shape[:-1], width // 2)
    cosine, sine = (jnp.broadcast_to(f(angle)[..., None, :], shape).astype(x.dtype) for f in (jnp.cos, jnp.sin))
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
