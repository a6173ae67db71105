"""What a network predicts about a noisy state, and how each kind turns into clean state and noise.

| kind | the network's answer | source |
|---|---|---|
| "noise" | eps | Ho et al. 2020 |
| "x0" | the clean state | |
| "v" | signal eps - sigma x0 | Salimans and Ho 2022, section 4 |
| "flow" | eps - x0, the velocity of a straight line | Liu et al. 2023 |

With `x = signal x0 + sigma eps` each is one linear equation more for the two unknowns, on any process.
"""

from typing import Literal

import jax
from flax import struct

from hoijax.diffusion.schedule import (
    ArrayLike,
    Process,
    State,
    Time,
    noise_from_x0,
    scale,
    signal_and_noise,
    x0_from_noise,
)

Prediction = Literal["noise", "x0", "v", "flow"]


@struct.dataclass
class CleanAndNoise:
    """The two parts of a noisy state, as a network's answer splits it."""

    x0: State
    """Clean estimate."""
    noise: State
    """Noise estimate."""


def split_state(process: Process, x: State, t: Time, output: State, kind: Prediction = "noise") -> CleanAndNoise:
    """Clean estimate and noise that a network's answer implies.

    Args:
      process: how states are mixed with noise.
      x: noisy state.
      t: its time, one for everything or with leading axes of the state's arrays.
      output: the network's answer, of the state's structure.
      kind: what the network predicts.

    Raises:
      ValueError: no such kind.
    """
    if kind == "noise":
        return CleanAndNoise(x0=x0_from_noise(process, x, t, output), noise=output)
    if kind == "x0":
        return CleanAndNoise(x0=output, noise=noise_from_x0(process, x, t, output))
    if kind not in ("v", "flow"):
        raise ValueError(f"a network predicts 'noise', 'x0', 'v' or 'flow', got {kind!r}")

    def solve(x: ArrayLike, output: ArrayLike) -> tuple[jax.Array, jax.Array]:
        signal, sigma = signal_and_noise(process, t, x)
        # Shares of the state in the clean state and in the noise; the answer's are minus sigma and signal over the sum.
        own, total = ((signal, sigma), signal**2 + sigma**2) if kind == "v" else ((1.0, 1.0), signal + sigma)
        clean = scale(own[0] / total, x) - scale(sigma / total, output)
        return clean, scale(own[1] / total, x) + scale(signal / total, output)

    both = jax.tree.map(solve, x, output)
    x0, noise = jax.tree.transpose(jax.tree.structure(x), jax.tree.structure((0, 0)), both)
    return CleanAndNoise(x0=x0, noise=noise)


def training_target(process: Process, x0: State, noise: State, t: Time, kind: Prediction = "noise") -> State:
    """What the network should answer at `q_sample(process, x0, t, noise)`.

    Raises:
      ValueError: no such kind.
    """
    if kind == "noise":
        return noise
    if kind == "x0":
        return x0
    if kind == "flow":
        return jax.tree.map(lambda x0, noise: noise - x0, x0, noise)
    if kind == "v":

        def target(x0: ArrayLike, noise: ArrayLike) -> jax.Array:
            signal, sigma = signal_and_noise(process, t, x0)
            return scale(signal, noise) - scale(sigma, x0)

        return jax.tree.map(target, x0, noise)
    raise ValueError(f"a network predicts 'noise', 'x0', 'v' or 'flow', got {kind!r}")
