"""Score distillation: gradients of a picture from what a diffusion model would rather see.

Arrays only; F views of one scene side by side in the first axis, B pictures. The denoiser never gets a gradient.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.diffusion.guidance import Denoiser
from hoijax.diffusion.schedule import Schedule, q_sample, x0_from_noise

ArrayLike = jax.Array | np.ndarray

Weighting = Literal["sds", "uniform", "fantasia3d"]


@struct.dataclass
class DistillationConfig:
    """Which score distillation; everything here changes the program, but the strength."""

    form: Literal["noise", "x0"] = struct.field(pytree_node=False, default="noise")
    """The gradient: of the noise (Poole et al. 2022, eq. 3) or towards the clean estimate (MVDream, eq. 4)."""
    weighting: Weighting = struct.field(pytree_node=False, default="sds")
    """Of the noise form: sigma^2, 1, or signal sigma^2."""
    strength: float | jax.Array = 50.0
    """Of classifier-free guidance; 1 is the text alone."""
    rescale: float = struct.field(pytree_node=False, default=0.5)
    """Of the x0 form: share of a clean estimate that has the spread of the unguided one (Lin et al. 2023, eq. 16)."""
    views: int = struct.field(pytree_node=False, default=1)
    """Pictures of one scene, over which that spread is taken."""


def distillation_times(
    step: int, *, steps: int = 8000, high: tuple[float, float] = (0.98, 0.5), low: tuple[float, float] = (0.98, 0.02)
) -> tuple[float, float]:
    """Least and largest time, in [0, 1], that a step draws from: both fall linearly, then stay (MVDream).

    Args:
      step: of the optimiser.
      steps: how long they fall.
      high: largest time at the first step and at the last.
      low: least time, likewise.
    """
    share = min(max(step / steps, 0.0), 1.0)
    return tuple(first + (last - first) * share for first, last in (low, high))


def draw_time(key: jax.Array, bounds: tuple[float, float], schedule: Schedule) -> Int[jax.Array, ""]:
    """One time index between two shares of the schedule's, both inclusive."""
    low, high = (int(schedule.num_steps * share) for share in bounds)
    return jax.random.randint(key, (), low, high + 1)


def _spread(x: jax.Array, views: int) -> jax.Array:
    """Standard deviation of each scene's numbers, unbiased as PyTorch's, for each of its pictures."""
    scenes = x.reshape(x.shape[0] // views, -1)
    spread = jnp.repeat(jnp.std(scenes, axis=1, ddof=1), views)
    return spread.reshape(-1, *(1,) * (x.ndim - 1))


def distillation_loss(
    x: Float[ArrayLike, "B *S"],
    conditional: Denoiser,
    unconditional: Denoiser,
    schedule: Schedule,
    t: Int[ArrayLike, ""] | int,
    noise: Float[ArrayLike, "B *S"],
    config: DistillationConfig,
) -> Float[jax.Array, ""]:
    """A number whose gradient with respect to x is score distillation's.

    The noise form's gradient is `w(t) (eps_hat - eps) / B`, the x0 form's `(x - x0_hat) / B`, which without rescaling
    is the former with `w = sigma / signal`.

    Args:
      x: pictures, or latents that depend on what is optimised.
      conditional: `(x_t, t) -> noise` with the text.
      unconditional: the same without it, or with what is not wanted.
      schedule: how the model was trained.
      t: time index, one for all pictures.
      noise: eps, normal.
      config: which gradient.

    Raises:
      ValueError: an unknown weighting, or the batch is no multiple of the views.
    """
    x, noise = jnp.asarray(x), jnp.asarray(noise)
    if x.shape[0] % config.views:
        raise ValueError(f"{x.shape[0]} pictures are no multiple of {config.views} views")
    still = jax.lax.stop_gradient(x)
    noisy = q_sample(schedule, still, t, noise)
    known, unknown = conditional(noisy, t), unconditional(noisy, t)
    guess = unknown + jnp.asarray(config.strength, x.dtype) * (known - unknown)
    if config.form == "x0":
        target = x0_from_noise(schedule, noisy, t, guess)
        if config.rescale:
            spread = _spread(x0_from_noise(schedule, noisy, t, known), config.views) / _spread(target, config.views)
            share = jnp.asarray(config.rescale, x.dtype)
            target = target * jnp.broadcast_to(share * spread + (1 - share), target.shape)
    else:
        signal, sigma = schedule.coefficients(t, x.dtype)
        weights = {"sds": sigma**2, "uniform": jnp.ones_like(sigma), "fantasia3d": signal * sigma**2}
        if config.weighting not in weights:
            raise ValueError(f"weighting is one of {', '.join(weights)}, got {config.weighting!r}")
        target = still - weights[config.weighting] * (guess - noise)
    return 0.5 * jnp.sum((x - jax.lax.stop_gradient(target)) ** 2) / x.shape[0]
