"""Deterministic DDIM (Song et al. 2021, eq. 12, eta = 0): inversion, sampling, and score guidance.

The functions take any pytree of arrays; `denoise(x, t)` gets the whole state and one scalar time and answers in the
state's structure. Everything runs inside `lax.scan`, so one compilation serves every number of steps' worth of network
calls. On a `Flow` the same update is Euler's method along the straight line.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import PyTree

from hoijax.diffusion.guidance import Denoiser, Guidance, guided_split
from hoijax.diffusion.prediction import Prediction, split_state
from hoijax.diffusion.schedule import Process, State, q_sample


@struct.dataclass
class DDIMResult:
    """What sampling back to the first time leaves."""

    x0: PyTree
    """The (guided) clean estimate of the last step, of the state's structure."""
    xt: PyTree
    """The state at the first time, still carrying that time's small noise."""


def time_grid(last: int, step: int) -> np.ndarray:
    """Times 0, step, 2 step, ... up to `last` (ends below it where step does not divide it), at least two of them."""
    if not 0 < step <= last:
        raise ValueError(f"need 0 < step <= last, got step {step} and last {last}")
    return np.arange(0, last + 1, step)


def leading_grid(steps: int, *, total: int = 1000, offset: int = 1) -> np.ndarray:
    """Stable Diffusion's times: 0, and `steps` ones from `offset` up by total // steps.

    The first, where the network is never called, is the schedule's index 0: `diffusers` calls it
    `set_alpha_to_one=False`.

    Raises:
      ValueError: more steps than times, or an offset that is no time above 0.
    """
    if not 0 < steps < total or not 0 < offset <= total // steps:
        raise ValueError(f"need 0 < steps < {total} and 0 < offset <= {total} // steps, got {steps} and {offset}")
    return np.concatenate([[0], offset + np.arange(steps) * (total // steps)])


def _pairs(process: Process, times: np.ndarray) -> np.ndarray:
    """Neighbouring times (N - 1, 2), lower and upper."""
    times = process.checked_times(times)
    return np.stack([times[:-1], times[1:]], axis=1)


def ddim_invert(
    denoise: Denoiser, x: State, process: Process, times: np.ndarray, *, prediction: Prediction = "noise"
) -> State:
    """Carries a state up the time grid by the reversed deterministic sampler.

    Args:
      denoise: `(x, t) -> answer`, never called at the last time.
      x: state at `times[0]`.
      process: the noise schedule or flow.
      times: increasing times, see `time_grid` and `flow_time_grid`.
      prediction: what `denoise` answers.

    Returns:
      The state at `times[-1]`.
    """

    def step(x: State, pair: jax.Array) -> tuple[State, None]:
        parts = split_state(process, x, pair[0], denoise(x, pair[0]), prediction)
        return q_sample(process, parts.x0, pair[1], parts.noise), None

    return jax.lax.scan(step, jax.tree.map(jnp.asarray, x), jnp.asarray(_pairs(process, times)))[0]


def ddim_sample(
    denoise: Denoiser,
    x: State,
    process: Process,
    times: np.ndarray,
    *,
    guidance: Guidance | None = None,
    prediction: Prediction = "noise",
) -> DDIMResult:
    """Samples a state down the time grid, guided where asked.

    Steps above `guidance.last` run in a scan of their own, which never computes the loss's gradient.

    Args:
      denoise: `(x, t) -> answer`, never called at the first time.
      x: state at `times[-1]`.
      process: the noise schedule or flow.
      times: increasing times, walked from last to first; the clean estimate is never clipped.
      guidance: optional score guidance, applied at every step up to its last time.
      prediction: what `denoise` answers.

    Returns:
      The clean estimate of the last step and the state at `times[0]`.
    """
    pairs = _pairs(process, times)[::-1]
    free = 0
    if guidance is not None and guidance.last is not None:
        free = int(np.sum(pairs[:, 1] > guidance.last))
        guidance = guidance.replace(last=None)

    def descend(carry: tuple[State, State], pairs: np.ndarray, guidance: Guidance | None) -> tuple[State, State]:
        def step(carry: tuple[State, State], pair: jax.Array) -> tuple[tuple[State, State], None]:
            parts = guided_split(denoise, carry[0], pair[1], process, guidance, prediction)
            return (q_sample(process, parts.x0, pair[0], parts.noise), parts.x0), None

        return jax.lax.scan(step, carry, jnp.asarray(pairs))[0] if len(pairs) else carry

    x = jax.tree.map(jnp.asarray, x)
    carry = descend((x, jax.tree.map(jnp.zeros_like, x)), pairs[:free], None)
    xt, x0 = descend(carry, pairs[free:], guidance)
    return DDIMResult(x0=x0, xt=xt)
