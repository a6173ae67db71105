"""Deterministic DDIM (Song et al. 2021, eq. 12, eta = 0): inversion, sampling, and score guidance.

The functions take any state shape; `denoise(x, t)` gets the whole state and one scalar time index and answers the
noise. Everything runs inside `lax.scan`, so one compilation serves every number of steps' worth of network calls.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.diffusion.schedule import Schedule, q_sample, signal_and_noise, x0_from_noise

ArrayLike = jax.Array | np.ndarray
Denoiser = Callable[[jax.Array, jax.Array], jax.Array]
Loss = Callable[[jax.Array], jax.Array]


@struct.dataclass
class DDIMResult:
    """What sampling back to the first time index leaves."""

    x0: Float[ArrayLike, "*S"]
    """The (guided) clean estimate of the last step."""
    xt: Float[ArrayLike, "*S"]
    """The state at the first time index, still carrying that index's small noise."""


@struct.dataclass
class Guidance:
    """Score guidance: the noise estimate is pushed along the gradient of a loss on the clean estimate.

    ScoreHOI eq. 4-6, after ScoreHMR: `eps' = eps + scale * sqrt(1 - abar_t) * grad_x loss(x0hat(x, t, eps))`.
    """

    loss: Loss = struct.field(pytree_node=False)
    """Scalar loss of x0hat; a sum over independent samples guides each sample by its own loss."""
    scale: float | jax.Array = 1.0
    """The paper's rho."""
    last: int | None = struct.field(pytree_node=False, default=None)
    """Time index above which nothing is pushed: the push grows like (1 - abar_t) / abar_t, and far up clean estimates
    are guesses. None: everywhere."""
    through_network: bool = struct.field(pytree_node=False, default=False)
    """Whether the gradient passes through the denoiser; without it the noise counts as a constant."""


def time_grid(last: int, step: int) -> np.ndarray:
    """Times 0, step, 2 step, ... up to `last` (ends below it where step does not divide it), at least two of them."""
    if not 0 < step <= last:
        raise ValueError(f"need 0 < step <= last, got step {step} and last {last}")
    return np.arange(0, last + 1, step)


def _pairs(schedule: Schedule, times: np.ndarray) -> np.ndarray:
    times = np.asarray(times)
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError(f"times must increase and be at least two, got {times.tolist()}")
    if times[0] < 0 or times[-1] >= schedule.num_steps:
        raise ValueError(f"times must lie in 0..{schedule.num_steps - 1}, got {times[0]}..{times[-1]}")
    return np.stack([times[:-1], times[1:]], axis=1).astype(np.int32)


def ddim_invert(denoise: Denoiser, x: Float[ArrayLike, "*S"], schedule: Schedule, times: np.ndarray) -> jax.Array:
    """Carries a state up the time grid by the reversed deterministic sampler.

    Args:
      denoise: `(x, t) -> noise`, never called at the last time.
      x: state at `times[0]`.
      schedule: the noise schedule.
      times: increasing time indices, see `time_grid`.

    Returns:
      The state at `times[-1]`.
    """

    def step(x, pair):
        noise = denoise(x, pair[0])
        return q_sample(schedule, x0_from_noise(schedule, x, pair[0], noise), pair[1], noise), None

    return jax.lax.scan(step, jnp.asarray(x), jnp.asarray(_pairs(schedule, times)))[0]


def guided_noise(
    denoise: Denoiser, x: Float[ArrayLike, "*S"], t: jax.Array, schedule: Schedule, guidance: Guidance | None
) -> jax.Array:
    """The noise estimate at one state and time, pushed by the guidance where there is one."""
    if guidance is None:
        return denoise(x, t)
    signal, sigma = signal_and_noise(schedule, t, x)
    if guidance.through_network:

        def loss(x):
            noise = denoise(x, t)
            return guidance.loss(x0_from_noise(schedule, x, t, noise)), noise

        gradient, noise = jax.grad(loss, has_aux=True)(x)
    else:
        noise = denoise(x, t)
        # d x0hat / d x is 1 / sqrt(abar_t) for constant noise, so the loss is differentiated at x0hat itself.
        at_x0 = jax.grad(guidance.loss)(x0_from_noise(schedule, x, t, noise))
        gradient = at_x0 / jnp.broadcast_to(signal, at_x0.shape)
    scale = guidance.scale * sigma
    if guidance.last is not None:
        scale = jnp.where(t <= guidance.last, scale, jnp.zeros_like(scale))
    return noise + jnp.broadcast_to(scale, gradient.shape) * gradient


def ddim_sample(
    denoise: Denoiser,
    x: Float[ArrayLike, "*S"],
    schedule: Schedule,
    times: np.ndarray,
    *,
    guidance: Guidance | None = None,
) -> DDIMResult:
    """Samples a state down the time grid, guided where asked.

    Args:
      denoise: `(x, t) -> noise`, never called at the first time.
      x: state at `times[-1]`.
      schedule: the noise schedule.
      times: increasing time indices, walked from last to first; the clean estimate is never clipped.
      guidance: optional score guidance, applied at every step.

    Returns:
      The clean estimate of the last step and the state at `times[0]`.
    """
    x = jnp.asarray(x)

    def step(carry, pair):
        x, _ = carry
        noise = guided_noise(denoise, x, pair[1], schedule, guidance)
        x0 = x0_from_noise(schedule, x, pair[1], noise)
        return (q_sample(schedule, x0, pair[0], noise), x0), None

    (xt, x0), _ = jax.lax.scan(step, (x, jnp.zeros_like(x)), jnp.asarray(_pairs(schedule, times)[::-1]))
    return DDIMResult(x0=x0, xt=xt)
