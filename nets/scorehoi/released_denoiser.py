"""The denoiser as ScoreHOI released it, for loading its weights (spec 5.2, 5.3).

Its attention runs over sequences of length one with the condition as the query, so the softmax is identically one and
neither condition reaches the output: a linear map of the features remains. `fold` multiplies those linear maps out,
which leaves the same function with one matrix per block in place of seven.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.norms import batch_norm, layer_norm
from hoijax.nets.blocks.perceptrons import gelu
from hoijax.nets.blocks.positions import sinusoid
from hoijax.nets.scorehoi.conditions import Conditions

ArrayLike = jax.Array | np.ndarray
HIGHEST = jax.lax.Precision.HIGHEST


@dataclasses.dataclass(frozen=True)
class ReleasedDenoiserConfig:
    """Sizes; the defaults are the released ones (362 million parameters)."""

    pose: int = 321
    """Numbers of the pose and object branch."""
    betas: int = 10
    blocks: int = 3
    betas_blocks: int = 2
    width: int = 2048
    """Hidden width, and the width of both conditions inside the blocks."""
    image_features: int = 2048
    object_features: int = 1216
    geometry_width: int = 4096
    folded: bool = False
    """Whether the blocks hold one matrix each in place of the attention (see `fold`)."""


class LengthOneAttention(nnx.Module):
    """Attention of one condition token over one feature token: the value path alone decides the answer."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        for name in ("query_proj", "key_proj", "value_proj"):
            setattr(self, name, nnx.Linear(width, width, rngs=rngs))
        self.attn = Attention(AttentionConfig(width, projections="packed"), rngs)

    def __call__(self, features: jax.Array) -> jax.Array:
        """The value path; queries and keys cannot matter and are not computed."""
        width = features.shape[-1]
        value = self.value_proj(features) @ self.attn.in_proj_weight[2 * width :].T
        return self.attn.out_proj(value + jnp.broadcast_to(self.attn.in_proj_bias[2 * width :], value.shape))


class ReleasedMLP(nnx.Module):
    """The two-layer body of a block between which the attention stands."""

    def __init__(self, size: int, config: ReleasedDenoiserConfig, rngs: nnx.Rngs):
        self.layer_norm1 = layer_norm(size, rngs)
        self.linear_layer1 = nnx.Linear(size, config.width, rngs=rngs)
        if not config.folded:
            self.attn_cond_emb = LengthOneAttention(config.width, rngs)
            self.ip_attn_cond_emb = LengthOneAttention(config.width, rngs)
        self.after_ip_attn = nnx.Linear(config.width, config.width, rngs=rngs)
        self.layer_norm2 = layer_norm(config.width, rngs)
        self.linear_layer2 = nnx.Linear(config.width, size, rngs=rngs)

    def mix(self, h: jax.Array) -> jax.Array:
        """The linear map between the two layers."""
        if hasattr(self, "attn_cond_emb"):
            h = 2.0 * h + self.attn_cond_emb(h) + self.ip_attn_cond_emb(h)
        return self.after_ip_attn(h)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, size) to (B, size); the released code has a GELU on the output too."""
        h = self.mix(gelu(self.linear_layer1(self.layer_norm1(x))))
        return gelu(self.linear_layer2(self.layer_norm2(h)))


class ReleasedBlock(nnx.Module):
    """Scale and shift by the time embedding, then the residual body."""

    def __init__(self, size: int, config: ReleasedDenoiserConfig, rngs: nnx.Rngs):
        self.mlp = nnx.Dict({"1": nnx.Linear(4 * size, 2 * size, rngs=rngs)})
        self.block = ReleasedMLP(size, config, rngs)
        if not config.folded:
            self.align_ip_cond = nnx.Linear(config.image_features, config.width, rngs=rngs)

    def __call__(self, x: jax.Array, time: jax.Array) -> jax.Array:
        """(B, size) and the time embedding (B, 4 size)."""
        scale, shift = jnp.split(self.mlp["1"](jax.nn.silu(time)), 2, axis=-1)
        x = x * (scale + 1.0) + shift
        return x + self.block(x)


class GeometryEncoder(nnx.Module):
    """The released encoder of the geometry condition; its answer reaches nothing."""

    def __init__(self, config: ReleasedDenoiserConfig, rngs: nnx.Rngs):
        self.fc1 = nnx.Linear(config.object_features, config.geometry_width, rngs=rngs)
        self.bn1 = batch_norm(config.geometry_width, rngs)
        self.fc2 = nnx.Linear(config.geometry_width, config.width, rngs=rngs)
        self.bn2 = batch_norm(config.width, rngs)
        self.fc3 = nnx.Linear(config.width, config.width, rngs=rngs)


class ReleasedDenoiser(nnx.Module):
    """Noise of a 331-d state; unconditional by construction."""

    def __init__(self, config: ReleasedDenoiserConfig, rngs: nnx.Rngs):
        self.config = config
        for suffix, size, count in (("", config.pose, config.blocks), ("_betas", config.betas, config.betas_blocks)):
            layers = {
                "1": nnx.Linear(size, 4 * size, rngs=rngs),
                "3": nnx.Linear(4 * size, 4 * size, rngs=rngs),
            }
            setattr(self, f"time_mlp{suffix}", nnx.Dict(layers))
            setattr(self, f"init_mlp{suffix}", nnx.Linear(size, size, rngs=rngs))
            setattr(self, f"final_mlp{suffix}", nnx.Linear(size, size, rngs=rngs))
            setattr(self, f"blocks{suffix}", nnx.List([ReleasedBlock(size, config, rngs) for _ in range(count)]))
        if not config.folded:
            self.geo_cond_embedding_feat = GeometryEncoder(config, rngs)

    def encode(self, conditions: Conditions) -> None:
        """Nothing: no condition reaches the output."""

    def __call__(
        self, x: Float[ArrayLike, "B D"], t: Float[ArrayLike, "B"], context: None = None
    ) -> Float[jax.Array, "B D"]:
        """The noise estimate.

        Args:
          x: noisy states, pose and object first, betas last.
          t: time indices as floating-point numbers.
          context: of `encode`, for the sake of one interface.

        Returns:
          The noise, same layout.
        """
        pose, betas = jnp.split(jnp.asarray(x), [self.config.pose], axis=-1)
        return jnp.concatenate([self._branch(pose, t, ""), self._branch(betas, t, "_betas")], axis=-1)

    def _branch(self, x: jax.Array, t: ArrayLike, suffix: str) -> jax.Array:
        layers = getattr(self, f"time_mlp{suffix}")
        time = layers["3"](gelu(layers["1"](sinusoid(t, x.shape[-1]))))
        x = getattr(self, f"init_mlp{suffix}")(x)
        for block in getattr(self, f"blocks{suffix}"):
            x = block(x, time)
        return getattr(self, f"final_mlp{suffix}")(x)


def _affine(layer: LengthOneAttention) -> tuple[jax.Array, jax.Array]:
    """The attention as one matrix (in, out) and bias."""
    width = layer.value_proj.kernel.shape[0]
    inner, bias = layer.attn.in_proj_weight[2 * width :].T, layer.attn.in_proj_bias[2 * width :]
    tail = jnp.matmul(inner, layer.attn.out_proj.kernel[...], precision=HIGHEST)
    matrix = jnp.matmul(layer.value_proj.kernel[...], tail, precision=HIGHEST)
    bias = jnp.matmul(bias, layer.attn.out_proj.kernel[...], precision=HIGHEST) + layer.attn.out_proj.bias[...]
    return matrix, jnp.matmul(layer.value_proj.bias[...], tail, precision=HIGHEST) + bias


def fold(denoiser: ReleasedDenoiser) -> ReleasedDenoiser:
    """The same function with each block's linear maps multiplied out; the argument is left alone."""
    config = dataclasses.replace(denoiser.config, folded=True)
    graph, state = nnx.split(nnx.eval_shape(lambda: ReleasedDenoiser(config, nnx.Rngs(0))))
    source = dict(nnx.to_flat_state(nnx.state(denoiser)))
    kept = nnx.from_flat_state([(path, source[path]) for path, _ in nnx.to_flat_state(state)])
    small = nnx.merge(graph, jax.tree.map(jnp.copy, kept))
    for suffix in ("", "_betas"):
        for block, folded in zip(getattr(denoiser, f"blocks{suffix}"), getattr(small, f"blocks{suffix}")):
            body = block.block
            (a, bias_a), (b, bias_b) = _affine(body.attn_cond_emb), _affine(body.ip_attn_cond_emb)
            matrix = 2.0 * jnp.eye(a.shape[0], dtype=a.dtype) + a + b
            after = body.after_ip_attn
            bias = jnp.matmul(bias_a + bias_b, after.kernel[...], precision=HIGHEST) + after.bias[...]
            folded.block.after_ip_attn.kernel[...] = jnp.matmul(matrix, after.kernel[...], precision=HIGHEST)
            folded.block.after_ip_attn.bias[...] = bias
    return small
