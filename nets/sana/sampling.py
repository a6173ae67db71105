"""From a text's features to a latent: DPM-Solver++ on SANA's flow, with classifier-free guidance."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.diffusion import Flow, dpm_solver_sample, flow_time_grid, network_times

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class TextFeatures:
    """What a network is told of texts."""

    features: Float[ArrayLike, "B L E"]
    """Of each token."""
    mask: Bool[ArrayLike, "B L"]
    """Which tokens are a text."""


def sample(
    network: Callable[..., jax.Array],
    text: TextFeatures,
    null: TextFeatures,
    noise: Float[ArrayLike, "B H W C"],
    *,
    steps: int = 20,
    strength: float = 4.5,
    shift: float = 3.0,
) -> Float[jax.Array, "B H W C"]:
    """Latents of texts; pictures are `AutoencoderDC.decode` of them.

    Args:
      network: `Sana`, or any `(latent, time, features, mask) -> velocity`.
      text: what is wanted.
      null: a text of nothing, or what is not wanted; as many as of `text`, of the same length.
      noise: normal, float32.
      steps: calls of the network; HOI3DGen takes 50.
      strength: of guidance; 1 is the text alone.
      shift: as the network was trained, see `hoijax.diffusion.shift_times`.
    """
    times = flow_time_grid(steps, shift=shift)
    told = network_times(times)
    both = jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a), jnp.asarray(b)]), text, null)
    count = noise.shape[0]

    def velocity(x: jax.Array, t: jax.Array) -> jax.Array:
        # The solver knows a time; the network is told its thousandths, cut off in float64.
        time = jnp.asarray(told)[jnp.argmin(jnp.abs(jnp.asarray(times, x.dtype) - t.astype(x.dtype)))]
        twice = network(jnp.concatenate([x, x]), jnp.full((2 * count,), time), both.features, both.mask)
        with_it, without = twice[:count], twice[count:]
        return without + jnp.asarray(strength, x.dtype) * (with_it - without)

    return dpm_solver_sample(velocity, jnp.asarray(noise), Flow(), times, prediction="flow")
