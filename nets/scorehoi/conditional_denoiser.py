"""The denoiser that looks at its conditions: `attention_mode="ip_adapter"`, hoijax's default.

ScoreHOI section 3.5 and figure 3: cross-attention to the image c_I and to the object's geometry c_G in separate blocks
whose outputs a linear layer fuses, after the decoupled attention of IP-Adapter (Ye et al. 2023, eq. 5), and the time
index by scale and shift. The released code swaps queries and keys and attends over sequences of length one, so that its
conditions reach nothing (`released_denoiser`); here the state is a sequence of named tokens and so is each condition.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.norms import layer_norm
from hoijax.nets.blocks.perceptrons import gelu
from hoijax.nets.blocks.positions import sinusoid
from hoijax.nets.blocks.products import attend, join_heads, split_heads
from hoijax.nets.scorehoi.conditions import Conditions
from hoijax.nets.scorehoi.state import NUM_BETAS, NUM_JOINTS, HOIState, pack, unpack

ArrayLike = jax.Array | np.ndarray

# Field of the state -> number of its tokens and of numbers in each.
FIELDS = {"pose": (NUM_JOINTS, 6), "object_rotation": (1, 6), "object_translation": (1, 3), "betas": (1, NUM_BETAS)}
NUM_TOKENS = sum(count for count, _ in FIELDS.values())

# Keys and values of each condition, block by block: what `ConditionalDenoiser.encode` answers.
Context = tuple[dict[str, tuple[jax.Array, jax.Array]], ...]


@dataclasses.dataclass(frozen=True)
class ConditionalDenoiserConfig:
    """Sizes; the defaults go with the full regressor (27 million parameters)."""

    width: int = 512
    depth: int = 4
    heads: int = 8
    expansion: int = 4
    """The perceptron's hidden width over `width`."""
    image_features: int = 2048
    """Channels of the image's feature map."""
    image_tokens: int = 64
    """Cells of the image's feature map."""
    object_points: int = 64
    """Template points of the object, one token each."""
    object_features: int = 1024
    """Size of the object's global feature, one more token."""

    @classmethod
    def small(cls) -> "ConditionalDenoiserConfig":
        """For training on a CPU, beside the small regressor (1.4 million parameters)."""
        return cls(width=128, depth=3, heads=4, image_features=512, image_tokens=16, object_features=256)


class PerToken(nnx.Module):
    """An affine map of each token, with its own parameters: the bias says which token it is."""

    def __init__(self, tokens: int, inputs: int, outputs: int, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", batch_axis=(0,))
        self.kernel = nnx.Param(init(rngs.params(), (tokens, inputs, outputs), jnp.float32))
        self.bias = nnx.Param(0.02 * jax.random.normal(rngs.params(), (tokens, outputs), jnp.float32))

    def __call__(self, x: Float[ArrayLike, "B T I"]) -> Float[jax.Array, "B T O"]:
        """The mapped tokens."""
        y = jnp.einsum("bti,tio->bto", x, self.kernel[...])
        return y + jnp.broadcast_to(self.bias[...], y.shape)


class StateTokens(nnx.Module):
    """The 331 numbers as 55 tokens: 52 joints, object rotation, object translation, betas."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        for name, (count, size) in FIELDS.items():
            setattr(self, name, PerToken(count, size, width, rngs))

    def __call__(self, x: Float[ArrayLike, "B D"]) -> Float[jax.Array, "B T W"]:
        """Tokens of flat states."""
        state = unpack(x)
        parts = [
            getattr(self, name)(getattr(state, name).reshape(-1, count, size)) for name, (count, size) in FIELDS.items()
        ]
        return jnp.concatenate(parts, axis=1)


class StateFromTokens(nnx.Module):
    """The way back from 55 tokens to 331 numbers."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        for name, (count, size) in FIELDS.items():
            setattr(self, name, PerToken(count, width, size, rngs))

    def __call__(self, tokens: Float[ArrayLike, "B T W"]) -> Float[jax.Array, "B D"]:
        """Flat states of tokens."""
        parts, start = {}, 0
        for name, (count, _) in FIELDS.items():
            value = getattr(self, name)(tokens[:, start : start + count])
            parts[name] = value if name == "pose" else value[:, 0]
            start += count
        return pack(HOIState(**parts))


class ConditionTokens(nnx.Module):
    """Both conditions as tokens; a learned null token stands for each where it is absent."""

    def __init__(self, config: ConditionalDenoiserConfig, rngs: nnx.Rngs):
        width = config.width
        self.num_image, self.num_points = config.image_tokens, config.object_points
        self.image_norm = layer_norm(config.image_features, rngs)
        self.image = nnx.Linear(config.image_features, width, rngs=rngs)
        # The place of each cell in the picture.
        self.image_cell = nnx.Param(0.02 * jax.random.normal(rngs.params(), (config.image_tokens, width), jnp.float32))
        self.point = nnx.Linear(3, width, rngs=rngs)
        self.point_out = nnx.Linear(width, width, rngs=rngs)
        self.feature_norm = layer_norm(config.object_features, rngs)
        self.feature = nnx.Linear(config.object_features, width, rngs=rngs)
        self.null_image = nnx.Param(0.02 * jax.random.normal(rngs.params(), (width,), jnp.float32))
        self.null_geometry = nnx.Param(0.02 * jax.random.normal(rngs.params(), (width,), jnp.float32))

    def __call__(self, conditions: Conditions) -> dict[str, jax.Array]:
        """Tokens of the image (B, N, W) and of the geometry (B, P + 1, W); (1, 1, W) where one is absent altogether."""
        return {
            "image": self._present(self._image, conditions.image, conditions.has_image, self.null_image),
            "geometry": self._present(self._geometry, conditions.geometry, conditions.has_geometry, self.null_geometry),
        }

    def _present(self, tokenise, value, present, null) -> jax.Array:
        if value is None:
            return null[...][None, None]
        value = jnp.asarray(value)
        if present is None:
            return tokenise(value)
        present = jnp.asarray(present)

        def spread(x):
            return present.reshape(-1, *([1] * (x.ndim - 1)))

        # What is absent may be anything, NaN too: it must reach neither the tokens nor a gradient.
        tokens = tokenise(jnp.where(spread(value), value, 0.0))
        return jnp.where(spread(tokens), tokens, null[...][None, None])

    def _image(self, cells: jax.Array) -> jax.Array:
        if cells.shape[1] != self.num_image:
            raise ValueError(f"this denoiser takes {self.num_image} image tokens, got {cells.shape[1]}")
        tokens = self.image(self.image_norm(cells))
        return tokens + jnp.broadcast_to(self.image_cell[...], tokens.shape)

    def _geometry(self, geometry: jax.Array) -> jax.Array:
        points, feature = jnp.split(geometry, [3 * self.num_points], axis=-1)
        points = self.point_out(gelu(self.point(points.reshape(-1, self.num_points, 3))))
        return jnp.concatenate([points, self.feature(self.feature_norm(feature))[:, None]], axis=1)


class DecoupledAttention(nnx.Module):
    """One query, keys and values of each condition apart, their answers summed and fused (IP-Adapter eq. 5)."""

    def __init__(self, config: ConditionalDenoiserConfig, rngs: nnx.Rngs):
        width = config.width
        self.heads = config.heads
        self.query = nnx.Linear(width, width, rngs=rngs)
        self.image = nnx.Linear(width, 2 * width, rngs=rngs)
        self.geometry = nnx.Linear(width, 2 * width, rngs=rngs)
        self.fuse = nnx.Linear(width, width, rngs=rngs)

    def encode(self, tokens: dict[str, jax.Array]) -> dict[str, tuple[jax.Array, jax.Array]]:
        """Keys and values of each condition; they do not depend on the state, so once per image is enough."""
        pairs = {name: jnp.split(getattr(self, name)(x), 2, axis=-1) for name, x in tokens.items()}
        return {name: (split_heads(k, self.heads), split_heads(v, self.heads)) for name, (k, v) in pairs.items()}

    def __call__(self, x: jax.Array, context: dict[str, tuple[jax.Array, jax.Array]]) -> jax.Array:
        """What the state's tokens (B, T, W) find in both conditions; one that is absent for the whole batch has one
        row of keys for all."""
        query = split_heads(self.query(x), self.heads)
        answer = jnp.zeros_like(query)
        for name in ("image", "geometry"):
            pair = [jnp.broadcast_to(part, (query.shape[0], *part.shape[1:])) for part in context[name]]
            answer = answer + attend(query, *pair)
        return self.fuse(join_heads(answer))


class Block(nnx.Module):
    """Self-attention, decoupled attention to the conditions, perceptron; each behind a scale and shift by the time."""

    def __init__(self, config: ConditionalDenoiserConfig, rngs: nnx.Rngs):
        width = config.width
        zeros = nnx.initializers.zeros_init()
        self.norm = layer_norm(width, rngs, affine=False)
        self.modulation = nnx.Linear(width, 6 * width, kernel_init=zeros, rngs=rngs)
        self.self_attention = Attention(AttentionConfig(width, config.heads, projections="fused"), rngs)
        self.cross_attention = DecoupledAttention(config, rngs)
        self.hidden = nnx.Linear(width, config.expansion * width, rngs=rngs)
        self.out = nnx.Linear(config.expansion * width, width, rngs=rngs)

    def __call__(self, x: jax.Array, time: jax.Array, context: dict[str, tuple[jax.Array, jax.Array]]) -> jax.Array:
        """Tokens (B, T, W) under the time embedding (B, W) and the encoded conditions."""
        scales = jnp.split(self.modulation(jax.nn.silu(time))[:, None], 6, axis=-1)

        def modulate(x, i):
            scale, shift = (jnp.broadcast_to(s, x.shape) for s in (scales[i], scales[i + 1]))
            return self.norm(x) * (1.0 + scale) + shift

        x = x + self.self_attention(modulate(x, 0))
        x = x + self.cross_attention(modulate(x, 2), context)
        return x + self.out(gelu(self.hidden(modulate(x, 4))))


class ConditionalDenoiser(nnx.Module):
    """Noise of a 331-d state given the image and the object's geometry, either of which may be absent."""

    def __init__(self, config: ConditionalDenoiserConfig, rngs: nnx.Rngs):
        if config.width % config.heads:
            raise ValueError(f"width {config.width} is not divisible by {config.heads} heads")
        width = config.width
        self.config = config
        self.tokens = StateTokens(width, rngs)
        self.time_in = nnx.Linear(width, width, rngs=rngs)
        self.time_out = nnx.Linear(width, width, rngs=rngs)
        self.conditions = ConditionTokens(config, rngs)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.depth)])
        self.norm = layer_norm(width, rngs)
        self.state = StateFromTokens(width, rngs)

    def encode(self, conditions: Conditions) -> Context:
        """Keys and values of the conditions for every block: once per image, for all steps of a sampler."""
        tokens = self.conditions(conditions)
        return tuple(block.cross_attention.encode(tokens) for block in self.blocks)

    def __call__(self, x: Float[ArrayLike, "B D"], t: Float[ArrayLike, "B"], context: Any) -> Float[jax.Array, "B D"]:
        """The noise estimate.

        Args:
          x: noisy states.
          t: time indices as floating-point numbers.
          context: of `encode`.

        Returns:
          The noise, same layout.
        """
        time = self.time_out(jax.nn.silu(self.time_in(sinusoid(t, self.config.width))))
        tokens = self.tokens(x)
        for block, encoded in zip(self.blocks, context):
            tokens = block(tokens, time, encoded)
        return self.state(self.norm(tokens))
