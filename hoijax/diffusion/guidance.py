"""Guidance: a denoiser's answer pushed along the gradient of a loss, or away from what it says without a condition."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from hoijax.diffusion.prediction import CleanAndNoise, Prediction, split_state
from hoijax.diffusion.schedule import Process, State, Time, scale, signal_and_noise, x0_from_noise

Denoiser = Callable[[Any, Any], Any]
"""`(state, time) -> answer` of the state's structure."""
Loss = Callable[[Any], jax.Array]


@struct.dataclass
class Guidance:
    """Score guidance: the noise estimate is pushed along the gradient of a loss on the clean estimate.

    ScoreHOI eq. 4-6, after ScoreHMR: `eps' = eps + scale * sqrt(1 - abar_t) * grad_x loss(x0hat(x, t, eps))`.
    """

    loss: Loss = struct.field(pytree_node=False)
    """Scalar loss of x0hat; a sum over independent samples guides each sample by its own loss."""
    scale: float | jax.Array = 1.0
    """The paper's rho."""
    last: int | float | None = struct.field(pytree_node=False, default=None)
    """Time above which nothing is pushed: the push grows like (1 - abar_t) / abar_t, and far up clean estimates
    are guesses. None: everywhere."""
    through_network: bool = struct.field(pytree_node=False, default=False)
    """Whether the gradient passes through the denoiser; without it the noise counts as a constant."""


def guided_split(
    denoise: Denoiser,
    x: State,
    t: Time,
    process: Process,
    guidance: Guidance | None,
    prediction: Prediction = "noise",
) -> CleanAndNoise:
    """Clean estimate and noise at one state and time, pushed by the guidance where there is one."""
    if guidance is None:
        return split_state(process, x, t, denoise(x, t), prediction)
    if guidance.through_network:

        def loss(x: State) -> tuple[jax.Array, CleanAndNoise]:
            parts = split_state(process, x, t, denoise(x, t), prediction)
            return guidance.loss(parts.x0), parts

        gradient, parts = jax.grad(loss, has_aux=True)(x)
    else:
        parts = split_state(process, x, t, denoise(x, t), prediction)
        # d x0hat / d x is 1 / signal for constant noise, so the loss is differentiated at x0hat itself.
        at_x0 = jax.grad(guidance.loss)(parts.x0)
        gradient = jax.tree.map(lambda g: g / jnp.broadcast_to(signal_and_noise(process, t, g)[0], g.shape), at_x0)

    def push(noise: jax.Array, gradient: jax.Array) -> jax.Array:
        strength = guidance.scale * signal_and_noise(process, t, noise)[1]
        if guidance.last is not None:
            strength = jnp.where(t <= guidance.last, strength, jnp.zeros_like(strength))
        return noise + scale(strength, gradient)

    noise = jax.tree.map(push, parts.noise, gradient)
    return CleanAndNoise(x0=x0_from_noise(process, x, t, noise), noise=noise)


def guided_noise(
    denoise: Denoiser, x: State, t: Time, process: Process, guidance: Guidance | None, prediction: Prediction = "noise"
) -> State:
    """The noise estimate of `guided_split`."""
    return guided_split(denoise, x, t, process, guidance, prediction).noise


def classifier_free(conditional: Denoiser, unconditional: Denoiser, strength: float | jax.Array) -> Denoiser:
    """A denoiser that exaggerates what a condition changes (Ho and Salimans 2022).

    Args:
      conditional: `(x, t) -> answer` that sees the condition.
      unconditional: the same network without it.
      strength: 0 ignores the condition, 1 is `conditional`, more exaggerates it.

    Returns:
      `unconditional + strength (conditional - unconditional)`, of any kind of prediction, since all are linear in the
      noise.
    """

    def denoise(x: State, t: Time) -> State:
        def mix(with_it: jax.Array, without: jax.Array) -> jax.Array:
            return without + jnp.asarray(strength, with_it.dtype) * (with_it - without)

        return jax.tree.map(mix, conditional(x, t), unconditional(x, t))

    return denoise
