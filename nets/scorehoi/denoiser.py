"""The one entry to ScoreHOI's denoisers: which one, how large, and the noise function that samplers take."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from hoijax.nets.scorehoi.conditional_denoiser import ConditionalDenoiser, ConditionalDenoiserConfig
from hoijax.nets.scorehoi.conditions import Conditions
from hoijax.nets.scorehoi.pooled_denoiser import PooledDenoiser, PooledDenoiserConfig
from hoijax.nets.scorehoi.released_denoiser import ReleasedDenoiser, ReleasedDenoiserConfig

Denoiser = ConditionalDenoiser | PooledDenoiser | ReleasedDenoiser

MODES = ("ip_adapter", "pooled", "released")


@dataclasses.dataclass(frozen=True)
class DenoiserConfig:
    """Which denoiser, and the sizes of each kind."""

    attention_mode: str = "ip_adapter"
    """"ip_adapter" sees its conditions, as many tokens; "pooled" sees them as one token each, for a fiftieth of the
    work; "released" loads the authors' weights and cannot see them."""
    ip_adapter: ConditionalDenoiserConfig = dataclasses.field(default_factory=ConditionalDenoiserConfig)
    released: ReleasedDenoiserConfig = dataclasses.field(default_factory=ReleasedDenoiserConfig)
    pooled: PooledDenoiserConfig = dataclasses.field(default_factory=PooledDenoiserConfig)

    def __post_init__(self):
        if self.attention_mode not in MODES:
            raise ValueError(f"attention_mode must be one of {', '.join(MODES)}, got {self.attention_mode!r}")

    @classmethod
    def small(cls) -> "DenoiserConfig":
        """The conditional denoiser at a size that a CPU trains."""
        return cls(ip_adapter=ConditionalDenoiserConfig.small())


def make_denoiser(config: DenoiserConfig, rngs: nnx.Rngs) -> Denoiser:
    """A denoiser with random weights: `net(x, t, net.encode(conditions))` is the noise."""
    if config.attention_mode == "released":
        return ReleasedDenoiser(config.released, rngs)
    if config.attention_mode == "pooled":
        return PooledDenoiser(config.pooled, rngs)
    return ConditionalDenoiser(config.ip_adapter, rngs)


def noise_function(denoiser: Denoiser, conditions: Conditions) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """What `hoijax.diffusion`'s samplers take: `(x, t) -> noise`, x (B, 331) and one time index for the batch.

    The conditions are encoded here, once for all steps.
    """
    context = denoiser.encode(conditions)
    return lambda x, t: denoiser(x, jnp.broadcast_to(jnp.asarray(t).astype(x.dtype), x.shape[:1]), context)
