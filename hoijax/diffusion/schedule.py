"""Noise schedules and the algebra between a noisy state, its noise and its clean estimate.

Ho et al. 2020 (DDPM), Nichol and Dhariwal 2021 (cosine schedule). Time indices run over 0..T-1 and index 0 is already
slightly noisy. `alpha_t` in the ScoreHOI paper is the cumulative product called `alphas_cumprod` here.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int, Shaped

ArrayLike = jax.Array | np.ndarray
Time = int | Int[ArrayLike, "*B"]


@struct.dataclass
class Schedule:
    """A discrete noise schedule; the tables are computed in float64 and stored in the dtype asked for."""

    betas: Float[ArrayLike, "T"]
    """Variance added at each step."""
    alphas_cumprod: Float[ArrayLike, "T"]
    """Share of the signal's variance left at each step, decreasing."""

    @property
    def num_steps(self) -> int:
        """Number of time indices T."""
        return self.betas.shape[0]


def schedule_from_betas(betas: np.ndarray, dtype=np.float32) -> Schedule:
    """The schedule of given step variances (T,), each in (0, 1)."""
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError(f"betas must be one axis of values in (0, 1), got shape {betas.shape}")
    return Schedule(betas=betas.astype(dtype), alphas_cumprod=np.cumprod(1.0 - betas).astype(dtype))


def cosine_schedule(num_steps: int = 1000, *, offset: float = 0.008, max_beta: float = 0.999, dtype=np.float32):
    """Cosine schedule (Nichol and Dhariwal 2021, eq. 17), the one of ScoreHOI.

    Args:
      num_steps: T.
      offset: the paper's s, keeps the first steps from vanishing.
      max_beta: step variances are clipped here.
      dtype: of the stored tables.

    Returns:
      The `Schedule`.
    """
    signal = np.cos((np.arange(num_steps + 1) / num_steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return schedule_from_betas(np.clip(1.0 - signal[1:] / signal[:-1], 1e-12, max_beta), dtype)


def linear_schedule(num_steps: int = 1000, *, first: float = 1e-4, last: float = 0.02, dtype=np.float32) -> Schedule:
    """Linearly growing step variances (Ho et al. 2020, section 4)."""
    return schedule_from_betas(np.linspace(first, last, num_steps), dtype)


def signal_and_noise(schedule: Schedule, t: Time, like: Float[ArrayLike, "*S"]) -> tuple[jax.Array, jax.Array]:
    """sqrt(abar_t) and sqrt(1 - abar_t) in the dtype of `like`, shaped to multiply it from the left.

    `t` is one index for everything or has leading axes of `like`.
    """
    abar = jnp.asarray(schedule.alphas_cumprod, like.dtype)[jnp.asarray(t)]
    abar = abar.reshape(abar.shape + (1,) * (like.ndim - abar.ndim))
    return jnp.sqrt(abar), jnp.sqrt(1.0 - abar)


def _scale(factor: jax.Array, x: Shaped[ArrayLike, "*S"]) -> jax.Array:
    return jnp.broadcast_to(factor, x.shape) * x


def q_sample(schedule: Schedule, x0: Float[ArrayLike, "*S"], t: Time, noise: Float[ArrayLike, "*S"]) -> jax.Array:
    """The noisy state x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4)."""
    signal, sigma = signal_and_noise(schedule, t, x0)
    return _scale(signal, x0) + _scale(sigma, noise)


def x0_from_noise(schedule: Schedule, x: Float[ArrayLike, "*S"], t: Time, noise: Float[ArrayLike, "*S"]) -> jax.Array:
    """The clean estimate x0hat(x, t, eps): the inverse of `q_sample` for a known noise."""
    signal, sigma = signal_and_noise(schedule, t, x)
    return _scale(1.0 / signal, x) - _scale(sigma / signal, noise)


def noise_from_x0(schedule: Schedule, x: Float[ArrayLike, "*S"], t: Time, x0: Float[ArrayLike, "*S"]) -> jax.Array:
    """The noise that explains x given its clean version."""
    signal, sigma = signal_and_noise(schedule, t, x)
    return _scale(1.0 / sigma, x) - _scale(signal / sigma, x0)
