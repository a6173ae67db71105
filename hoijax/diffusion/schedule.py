"""Noise processes and the algebra between a noisy state, its noise and its clean estimate.

A process mixes a clean state and noise, `x_t = signal(t) x0 + sigma(t) noise`. There are two: `Schedule`, discrete and
variance preserving (Ho et al. 2020; cosine: Nichol and Dhariwal 2021), whose time indices run over 0..T-1, index 0
being slightly noisy already, and `Flow`, the straight line from data to noise (Liu et al. 2023), whose time is the
share of noise. States are any pytree of float arrays. `alpha_t` in the ScoreHOI paper is the cumulative product called
`alphas_cumprod` here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Float, Int, PyTree, Shaped

ArrayLike = jax.Array | np.ndarray
Time = int | float | Int[ArrayLike, "*B"] | Float[ArrayLike, "*B"] | np.generic
State = PyTree[Float[ArrayLike, "..."]]
"""What is diffused: an array or a pytree of arrays."""


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

    def coefficients(self, t: Time, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """sqrt(abar_t) and sqrt(1 - abar_t) at time indices of any shape."""
        abar = jnp.asarray(self.alphas_cumprod, dtype)[jnp.asarray(t)]
        return jnp.sqrt(abar), jnp.sqrt(1.0 - abar)

    def checked_times(self, times: np.ndarray) -> np.ndarray:
        """Increasing time indices (N,) as int32.

        Raises:
          ValueError: fewer than two, not increasing, no integers, or out of range.
        """
        times = _check_increasing(times)
        if times[0] < 0 or times[-1] >= self.num_steps or np.any(times != np.round(times)):
            raise ValueError(f"times must lie in 0..{self.num_steps - 1}, got {times[0]}..{times[-1]}")
        return times.astype(np.int32)


@struct.dataclass
class Flow:
    """The straight line from data to noise, `x_t = (1 - t) x0 + t noise` for t in [0, 1] (Liu et al. 2023)."""

    def coefficients(self, t: Time, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """1 - t and t."""
        t = jnp.asarray(t, dtype)
        return 1.0 - t, t

    def checked_times(self, times: np.ndarray) -> np.ndarray:
        """Increasing times (N,) within [0, 1].

        Raises:
          ValueError: fewer than two, not increasing, or out of range.
        """
        times = _check_increasing(times)
        if times[0] < 0 or times[-1] > 1:
            raise ValueError(f"times must lie in 0..1, got {times[0]}..{times[-1]}")
        return times.astype(np.float64)


Process = Schedule | Flow


def _check_increasing(times: np.ndarray) -> np.ndarray:
    times = np.asarray(times)
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError(f"times must increase and be at least two, got {times.tolist()}")
    return times


def shift_times(times: Float[np.ndarray, "N"], shift: float) -> Float[np.ndarray, "N"]:
    """Times of a flow moved towards the noise, `shift t / (1 + (shift - 1) t)` (Esser et al. 2024, eq. 23).

    The more pixels a state has, the more noise it takes to hide the same picture.
    """
    return shift * times / (1.0 + (shift - 1.0) * times)


def flow_time_grid(steps: int, *, shift: float = 1.0) -> Float[np.ndarray, "N"]:
    """Times of a flow's sampler: 0, and `steps` evenly spaced ones up to 0.999, shifted, as SANA walks them.

    Raises:
      ValueError: fewer than one step, or a shift that is not positive.
    """
    if steps < 1 or shift <= 0:
        raise ValueError(f"need at least one step and a positive shift, got {steps} and {shift}")
    even = 1.0 - np.linspace(1.0, 1e-3, steps + 1)
    return shift_times(even, shift)


def network_times(times: Float[np.ndarray, "N"], scale: int = 1000) -> Int[np.ndarray, "N"]:
    """What a network is told of a flow's times: whole thousandths, cut off and not rounded (SANA)."""
    return np.trunc(scale * np.asarray(times, np.float64)).astype(np.int32)


def flow_training_times(
    key: jax.Array, count: int, *, shift: float = 3.0, mean: float = 0.0, deviation: float = 1.0
) -> Float[jax.Array, "count"]:
    """Times of a flow's training: a normal number's logistic, one of 1000 steps, shifted (Esser et al. 2024, SANA).

    Args:
      key: where they come from.
      count: how many.
      shift: see `shift_times`.
      mean: of the normal number.
      deviation: of the normal number.
    """
    table = jnp.asarray(shift_times(np.linspace(0.0, 0.999, 1000), shift), jnp.float32)
    share = jax.nn.sigmoid(mean + deviation * jax.random.normal(key, (count,), jnp.float32))
    return table[jnp.minimum(jnp.floor(1000 * share), 999).astype(jnp.int32)]


def schedule_from_betas(betas: np.ndarray, dtype=np.float32) -> Schedule:
    """The schedule of given step variances (T,), each in (0, 1)."""
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError(f"betas must be one axis of values in (0, 1), got shape {betas.shape}")
    return Schedule(betas=betas.astype(dtype), alphas_cumprod=np.cumprod(1.0 - betas).astype(dtype))


def cosine_schedule(
    num_steps: int = 1000, *, offset: float = 0.008, max_beta: float = 0.999, dtype: DTypeLike = np.float32
) -> Schedule:
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


def scaled_linear_schedule(
    num_steps: int = 1000, *, first: float = 0.00085, last: float = 0.012, dtype=np.float32
) -> Schedule:
    """Step variances whose roots grow linearly: Stable Diffusion's and MVDream's (Rombach et al. 2022)."""
    return schedule_from_betas(np.linspace(first**0.5, last**0.5, num_steps) ** 2, dtype)


def signal_and_noise(process: Process, t: Time, like: Float[ArrayLike, "*S"]) -> tuple[jax.Array, jax.Array]:
    """Shares of signal and noise, sqrt(abar_t) and sqrt(1 - abar_t) of a `Schedule`, to multiply `like` from the left.

    `t` is one time for everything or has leading axes of `like`, whose dtype the shares have.
    """
    signal, sigma = process.coefficients(t, like.dtype)
    shape = signal.shape + (1,) * (like.ndim - signal.ndim)
    return signal.reshape(shape), sigma.reshape(shape)


def scale(factor: jax.Array, x: Shaped[ArrayLike, "*S"]) -> jax.Array:
    """`factor * x` where the factor has leading axes of x, or none, and ones behind them."""
    return jnp.broadcast_to(factor, x.shape) * x


def q_sample(process: Process, x0: State, t: Time, noise: State) -> State:
    """The noisy state x_t = signal x0 + sigma noise (Ho et al. 2020, eq. 4)."""

    def mix(x0: ArrayLike, noise: ArrayLike) -> jax.Array:
        signal, sigma = signal_and_noise(process, t, x0)
        return scale(signal, x0) + scale(sigma, noise)

    return jax.tree.map(mix, x0, noise)


def x0_from_noise(process: Process, x: State, t: Time, noise: State) -> State:
    """The clean estimate x0hat(x, t, eps): the inverse of `q_sample` for a known noise."""

    def clean(x: ArrayLike, noise: ArrayLike) -> jax.Array:
        signal, sigma = signal_and_noise(process, t, x)
        return scale(1.0 / signal, x) - scale(sigma / signal, noise)

    return jax.tree.map(clean, x, noise)


def noise_from_x0(process: Process, x: State, t: Time, x0: State) -> State:
    """The noise that explains x given its clean version."""

    def noise(x: ArrayLike, x0: ArrayLike) -> jax.Array:
        signal, sigma = signal_and_noise(process, t, x)
        return scale(1.0 / sigma, x) - scale(signal / sigma, x0)

    return jax.tree.map(noise, x, x0)
