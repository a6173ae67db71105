"""VPoser's encoder and decoder, versions 1 and 2, in evaluation mode: no dropout, running statistics."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.geometry import rotation_from_6d
from hoijax.nets.blocks import batch_norm

ArrayLike = jax.Array | np.ndarray
SLOPES = {1: 0.2, 2: 0.01}
"""Of the leaky rectifiers, by version."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; the defaults are the published ones of both versions."""

    version: int = 2
    joints: int = 21
    """Of the body without the root and the hands."""
    latent: int = 32
    hidden: int = 512

    def __post_init__(self):
        if self.version not in SLOPES:
            raise InputError(f"VPoser has versions 1 and 2; got {self.version!r}")


class Encoder(nnx.Module):
    """Poses to means and standard deviations."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        width = config.hidden
        self.norm_in, self.norm = batch_norm(3 * config.joints, rngs), batch_norm(width, rngs)
        self.first, self.second = nnx.Linear(3 * config.joints, width, rngs=rngs), nnx.Linear(width, width, rngs=rngs)
        if config.version == 2:
            self.third = nnx.Linear(width, width, rngs=rngs)
        self.mu, self.logvar = (nnx.Linear(width, config.latent, rngs=rngs) for _ in range(2))


class Decoder(nnx.Module):
    """Latents to 6D rotations."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        width = config.hidden
        self.first, self.second = nnx.Linear(config.latent, width, rngs=rngs), nnx.Linear(width, width, rngs=rngs)
        self.out = nnx.Linear(width, 6 * config.joints, rngs=rngs)


class Model(nnx.Module):
    """The autoencoder."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        self.encoder, self.decoder = Encoder(config, rngs), Decoder(config, rngs)

    def _leaky(self, x: jax.Array) -> jax.Array:
        return jax.nn.leaky_relu(x, SLOPES[self.config.version])

    def encode(self, pose: Float[ArrayLike, "*B J 3"]) -> tuple[Float[jax.Array, "*B L"], Float[jax.Array, "*B L"]]:
        """Mean and standard deviation of a pose's latent: the layer called `logvar` is none, but what softplus takes.

        Args:
          pose: rotation vectors of the body's joints, radians.
        """
        net, pose = self.encoder, jnp.asarray(pose)
        x = pose.reshape(*pose.shape[:-2], -1)
        x = net.norm(self._leaky(net.first(net.norm_in(x, use_running_average=True))), use_running_average=True)
        x = net.third(net.second(x)) if self.config.version == 2 else self._leaky(net.second(x))
        return net.mu(x), jax.nn.softplus(net.logvar(x))

    def decode(self, latent: Float[ArrayLike, "*B L"]) -> Float[jax.Array, "*B J 3 3"]:
        """Rotations of the body's joints, relative to their parents."""
        net, latent = self.decoder, jnp.asarray(latent)
        x = net.out(self._leaky(net.second(self._leaky(net.first(latent)))))
        return rotation_from_6d(x.reshape(*latent.shape[:-1], self.config.joints, 6))


def pose_energy(model: Model, pose: Float[ArrayLike, "*B J 3"]) -> Float[jax.Array, "*B"]:
    """How unusual a pose is: the squared length of its latent's mean."""
    return jnp.sum(model.encode(pose)[0] ** 2, axis=-1)
