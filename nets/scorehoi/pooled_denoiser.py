"""A denoiser that a CPU trains in minutes: `attention_mode="pooled"`, one token for the state and one per condition.

With a single condition token the softmax of cross-attention is one, and what IP-Adapter's decoupled attention adds is a
linear map of each condition (specs/scorehoi.md 5.3): the limit that ScoreHOI's released code has room for and, its
queries and keys being swapped, misses. Parameters are applied once per state where `conditional_denoiser` applies them
to 55 tokens, so a step of training costs a fiftieth.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float

from hoijax.nets.blocks.norms import layer_norm
from hoijax.nets.blocks.perceptrons import gelu
from hoijax.nets.blocks.positions import sinusoid
from hoijax.nets.scorehoi.conditions import Conditions
from hoijax.nets.scorehoi.state import STATE_SIZE

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class PooledDenoiserConfig:
    """Sizes; the defaults make 2.8 million parameters."""

    width: int = 384
    """More than the state's 331 numbers, or the residual stream would lose some."""
    depth: int = 3
    expansion: int = 2
    """The perceptron's hidden width over `width`."""
    embedding: int = 128
    """Width of the time's embedding and of each condition's token."""
    image_features: int = 512
    """Channels of the image's feature map."""
    object_points: int = 64
    object_features: int = 256
    """Size of the object's global feature."""


@struct.dataclass
class PooledContext:
    """The conditions as one token each, (B, E); (1, E) where one is absent for the whole batch."""

    image: jax.Array
    geometry: jax.Array


class PooledConditions(nnx.Module):
    """Both conditions as one token each; a learned null token stands for what is absent."""

    def __init__(self, config: PooledDenoiserConfig, rngs: nnx.Rngs):
        inputs = 3 * config.object_points + config.object_features
        self.image_norm = layer_norm(config.image_features, rngs)
        self.image = nnx.Linear(config.image_features, config.embedding, rngs=rngs)
        self.geometry = nnx.Linear(inputs, 2 * config.embedding, rngs=rngs)
        self.geometry_out = nnx.Linear(2 * config.embedding, config.embedding, rngs=rngs)
        for name in ("null_image", "null_geometry"):
            null = 0.02 * jax.random.normal(rngs.params(), (config.embedding,), jnp.float32)
            setattr(self, name, nnx.Param(null))

    def __call__(self, conditions: Conditions) -> PooledContext:
        """The tokens."""
        return PooledContext(
            image=_present(self._image, conditions.image, conditions.has_image, self.null_image[...]),
            geometry=_present(self._geometry, conditions.geometry, conditions.has_geometry, self.null_geometry[...]),
        )

    def _image(self, cells: jax.Array) -> jax.Array:
        return self.image(self.image_norm(jnp.mean(cells, axis=1)))

    def _geometry(self, geometry: jax.Array) -> jax.Array:
        return self.geometry_out(gelu(self.geometry(geometry)))


def _present(tokenise, value, present, null: jax.Array) -> jax.Array:
    if value is None:
        return null[None]
    value = jnp.asarray(value)
    if present is None:
        return tokenise(value)
    present = jnp.asarray(present)
    # What is absent may be anything, NaN too: it must reach neither the token nor a gradient.
    shown = jnp.where(present.reshape(-1, *([1] * (value.ndim - 1))), value, 0.0)
    token = tokenise(shown)
    return jnp.where(present[:, None], token, jnp.broadcast_to(null, token.shape))


class PooledBlock(nnx.Module):
    """A residual perceptron behind a scale and shift by the time, with both conditions added to its input."""

    def __init__(self, config: PooledDenoiserConfig, rngs: nnx.Rngs):
        width, zeros = config.width, nnx.initializers.zeros_init()
        self.norm = layer_norm(width, rngs, affine=False)
        self.modulation = nnx.Linear(config.embedding, 2 * width, kernel_init=zeros, rngs=rngs)
        self.image = nnx.Linear(config.embedding, width, use_bias=False, rngs=rngs)
        self.geometry = nnx.Linear(config.embedding, width, use_bias=False, rngs=rngs)
        self.hidden = nnx.Linear(width, config.expansion * width, rngs=rngs)
        self.out = nnx.Linear(config.expansion * width, width, rngs=rngs)

    def __call__(self, x: jax.Array, time: jax.Array, context: PooledContext) -> jax.Array:
        """(B, W) to (B, W)."""
        scale, shift = jnp.split(self.modulation(time), 2, axis=-1)
        answer = self.image(context.image) + self.geometry(context.geometry)
        y = self.norm(x) * (1.0 + scale) + shift + jnp.broadcast_to(answer, x.shape)
        return x + self.out(gelu(self.hidden(y)))


class PooledDenoiser(nnx.Module):
    """Noise of a 331-d state given the image and the object's geometry, either of which may be absent."""

    def __init__(self, config: PooledDenoiserConfig, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros_init()
        self.config = config
        self.time_in = nnx.Linear(config.embedding, config.embedding, rngs=rngs)
        self.time_out = nnx.Linear(config.embedding, config.embedding, rngs=rngs)
        self.conditions = PooledConditions(config, rngs)
        self.tokens = nnx.Linear(STATE_SIZE, config.width, rngs=rngs)
        self.blocks = nnx.List([PooledBlock(config, rngs) for _ in range(config.depth)])
        self.norm = layer_norm(config.width, rngs)
        self.state = nnx.Linear(config.width, STATE_SIZE, kernel_init=zeros, rngs=rngs)
        # How much of each number is noise at each time, and how strongly what the blocks found counts.
        self.gain = nnx.Linear(config.embedding, 2 * STATE_SIZE, kernel_init=zeros, rngs=rngs)

    def encode(self, conditions: Conditions) -> PooledContext:
        """The conditions' tokens: once per image, for all steps of a sampler."""
        return self.conditions(conditions)

    def __call__(
        self, x: Float[ArrayLike, "B D"], t: Float[ArrayLike, "B"], context: PooledContext
    ) -> Float[jax.Array, "B D"]:
        """The noise estimate.

        Args:
          x: noisy states.
          t: time indices as floating-point numbers.
          context: of `encode`.

        Returns:
          The noise, same layout.
        """
        x = jnp.asarray(x)
        time = self.time_out(jax.nn.silu(self.time_in(sinusoid(t, self.config.embedding))))
        time = jax.nn.silu(time)
        h = self.tokens(x)
        for block in self.blocks:
            h = block(h, time, context)
        through, answer = jnp.split(self.gain(time), 2, axis=-1)
        return through * x + (1.0 + answer) * self.state(self.norm(h))
