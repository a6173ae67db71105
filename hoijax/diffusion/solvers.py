"""Samplers beside DDIM: Euler's method along a velocity, and DPM-Solver++ of second order.

States are pytrees; times increase and are walked from last to first, as `ddim_sample` walks them.
"""

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.diffusion.guidance import Denoiser
from hoijax.diffusion.prediction import Prediction, split_state
from hoijax.diffusion.schedule import Flow, Process, State


def euler_sample(velocity: Denoiser, x: State, times: np.ndarray) -> State:
    """Follows `dx / dt = velocity(x, t)` from `times[-1]` down to `times[0]` in as many steps as there are gaps.

    With a flow's velocity, noise minus data, this is the sampler of rectified flows (Liu et al. 2023).

    Args:
      velocity: `(x, t) -> dx / dt`, never called at the first time.
      x: state at `times[-1]`.
      times: increasing, within [0, 1].

    Returns:
      The state at `times[0]`.
    """
    times = Flow().checked_times(times)

    def step(x: State, pair: jax.Array) -> tuple[State, None]:
        low, high = pair
        move = velocity(x, high)
        return jax.tree.map(lambda x, v: x + (low - high).astype(x.dtype) * v, x, move), None

    pairs = np.stack([times[:-1], times[1:]], axis=1)[::-1]
    return jax.lax.scan(step, jax.tree.map(jnp.asarray, x), jnp.asarray(pairs))[0]


def dpm_solver_sample(
    denoise: Denoiser, x: State, process: Process, times: np.ndarray, *, prediction: Prediction = "noise"
) -> State:
    """DPM-Solver++(2M): second-order multistep in the clean estimate (Lu et al. 2022, algorithm 2).

    With `lambda = log(signal / sigma)` and `h` its growth over a step, the next state is
    `(sigma_s / sigma_t) x - signal_s (exp(-h) - 1) D`, D being the clean estimate carried forward along the line
    through the last two. The first step has no line, and a step to time 0 of a flow, where lambda is infinite, takes
    the clean estimate as it is.

    Args:
      denoise: `(x, t) -> answer`, called once a step, never at the first time.
      x: state at `times[-1]`.
      process: the noise schedule or flow.
      times: increasing times, see `time_grid` and `flow_time_grid`.
      prediction: what `denoise` answers.

    Returns:
      The state at `times[0]`.
    """
    times = process.checked_times(times)[::-1]
    dtype = jax.tree.leaves(x)[0].dtype
    signal, sigma = process.coefficients(jnp.asarray(times), dtype)
    growth = jnp.diff(jnp.log(signal) - jnp.log(sigma))
    ratio = growth[1:] / growth[:-1]
    half = jnp.concatenate([jnp.zeros(1, dtype), jnp.where(jnp.isfinite(ratio), ratio / 2, 0.0)])
    kept = sigma[1:] / sigma[:-1]
    added = signal[1:] - kept * signal[:-1]

    def step(carry: tuple[State, State], row: tuple[jax.Array, ...]) -> tuple[tuple[State, State], None]:
        x, before = carry
        t, half, kept, added = row
        now = split_state(process, x, t, denoise(x, t), prediction).x0

        def advance(x: jax.Array, now: jax.Array, before: jax.Array) -> jax.Array:
            line = now + half.astype(x.dtype) * (now - before)
            return kept.astype(x.dtype) * x + added.astype(x.dtype) * line

        return (jax.tree.map(advance, x, now, before), now), None

    x = jax.tree.map(jnp.asarray, x)
    rows = (jnp.asarray(times[:-1]), half, kept, added)
    return jax.lax.scan(step, (x, jax.tree.map(jnp.zeros_like, x)), rows)[0][0]
