"""One attention for all networks: masks, biases, grouped heads, rotary positions, softmax or linear, any projections.

Letters as in `hoijax.nets.blocks.products`; W channels of the tokens, C of the context.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from hoijax.nets.blocks.norms import RMSNorm
from hoijax.nets.blocks.positions import rotate
from hoijax.nets.blocks.products import attend, attend_linearly, join_heads, split_heads

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class AttentionConfig:
    """Which attention; the defaults are a Transformer's."""

    width: int
    """Channels of the tokens, in and out."""
    heads: int = 1
    """Attention heads."""
    groups: int | None = None
    """Heads of keys and values, each shared by heads / groups of the queries'; None: as many as heads."""
    head_width: int | None = None
    """Channels of a head; None: width / heads."""
    context: int | None = None
    """Channels of what is looked at; None: as the tokens."""
    projections: Literal["split", "fused", "packed"] = "split"
    """"split": layers `query`, `key`, `value`, `out`. "fused": one layer `qkv` and `out`, for attention of tokens to
    themselves. "packed": PyTorch's `MultiheadAttention`, with its own parameters `in_proj_weight`, `in_proj_bias` in
    its layout, and `out_proj`."""
    bias: bool = True
    """Of the projections of queries, keys and values."""
    out_bias: bool = True
    """Of the last projection."""
    norm: Literal["none", "heads", "whole"] = "none"
    """RMS normalisation of queries and keys: over each head's channels, or over all of them before they are split."""
    norm_epsilon: float = 1e-6
    """Of that normalisation."""
    rope: float | None = None
    """Base of rotary positions; None: none."""
    kernel: Literal["softmax", "linear"] = "softmax"
    """How products become weights."""
    linear_epsilon: float = 1e-15
    """Added to the sum that linear attention divides by."""
    scale: float | None = None
    """Of the products; None: 1 / sqrt(head width)."""
    cap: float | None = None
    """Bound of the products, see `attend`."""
    dtype: str | None = None
    """What the layers compute in; None: what comes in. Parameters are float32."""

    def __post_init__(self):
        if self.head_width is None and self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads")
        if self.heads % self.key_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.key_heads} groups of keys evenly")
        own = self.groups is None and self.context is None and self.inner == self.width
        if self.projections == "packed" and not (own and self.bias and self.out_bias):
            raise ValueError("packed projections are PyTorch's: heads that fill the width, with biases")
        if self.projections == "fused" and self.context is not None:
            raise ValueError("fused projections are of tokens that look at themselves")
        if self.kernel == "linear" and (self.key_heads != self.heads or self.cap is not None):
            raise ValueError("linear attention has as many heads of keys as of queries and no cap")

    @property
    def channels(self) -> int:
        """Of a head."""
        return self.width // self.heads if self.head_width is None else self.head_width

    @property
    def inner(self) -> int:
        """Of all heads of the queries."""
        return self.heads * self.channels

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.groups is None else self.groups


Encoded = tuple[jax.Array, jax.Array]


class Attention(nnx.Module):
    """Attention of tokens to each other or to a context.

    Args:
      config: which.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: AttentionConfig, rngs: nnx.Rngs):
        self.config = config
        dtype = None if config.dtype is None else jnp.dtype(config.dtype)

        def linear(inputs: int, outputs: int, bias: bool) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, use_bias=bias, dtype=dtype, rngs=rngs)

        width, inner, keys = config.width, config.inner, config.key_heads * config.channels
        context = width if config.context is None else config.context
        if config.projections == "packed":
            packed = nnx.initializers.xavier_uniform()
            self.in_proj_weight = nnx.Param(packed(rngs.params(), (3 * width, width), jnp.float32))
            self.in_proj_bias = nnx.Param(jnp.zeros((3 * width,), jnp.float32))
            self.out_proj = linear(width, width, True)
        elif config.projections == "fused":
            self.qkv = linear(width, inner + 2 * keys, config.bias)
            self.out = linear(inner, width, config.out_bias)
        else:
            self.query, self.key, self.value = (
                linear(a, b, config.bias) for a, b in ((width, inner), (context, keys), (context, keys))
            )
            self.out = linear(inner, width, config.out_bias)
        if config.norm != "none":
            whole = config.norm == "whole"
            self.query_norm = RMSNorm(inner if whole else config.channels, epsilon=config.norm_epsilon)
            self.key_norm = RMSNorm(keys if whole else config.channels, epsilon=config.norm_epsilon)

    def __call__(
        self,
        tokens: Float[ArrayLike, "*B Q W"],
        context: Float[ArrayLike, "*B K C"] | None = None,
        values: Float[ArrayLike, "*B K C"] | None = None,
        *,
        mask: Bool[ArrayLike, "..."] | None = None,
        bias: Float[ArrayLike, "..."] | None = None,
        positions: Int[ArrayLike, "*B Q"] | None = None,
        context_positions: Int[ArrayLike, "*B K"] | None = None,
    ) -> Float[jax.Array, "*B Q W"]:
        """What each token finds.

        Args:
          tokens: features that ask.
          context: features that answer; None: the tokens themselves.
          values: what values are made of where keys are made of something else (SAM's positions in keys alone).
          mask: what may be seen: (*B, K) the same for all queries, (*B, Q, K), or (*B, H, Q, K); axes may be 1.
          bias: added to the scaled products, (*B, H, Q, K) or 1 in place of any of these.
          positions: of the tokens, where positions are rotary; 0, 1, ... by default.
          context_positions: of the context, likewise.
        """
        encoded = self.encode(tokens if context is None else context, values=values,
                              positions=positions if context is None else context_positions)  # fmt: skip
        return self.look(tokens, encoded, mask=mask, bias=bias, positions=positions)

    def encode(
        self,
        context: Float[ArrayLike, "*B K C"],
        *,
        values: Float[ArrayLike, "*B K C"] | None = None,
        positions: Int[ArrayLike, "*B K"] | None = None,
    ) -> Encoded:
        """Keys and values (*B, K, G, D) of a context, to be kept where it is looked at more than once."""
        context = jnp.asarray(context)
        key = self._normalise(self._project(context, 1), "key_norm", self.config.key_heads)
        value = split_heads(self._project(context if values is None else jnp.asarray(values), 2), self.config.key_heads)
        return self._rotate(key, positions), value

    def look(
        self,
        tokens: Float[ArrayLike, "*B Q W"],
        encoded: Encoded,
        *,
        mask: Bool[ArrayLike, "..."] | None = None,
        bias: Float[ArrayLike, "..."] | None = None,
        positions: Int[ArrayLike, "*B Q"] | None = None,
    ) -> Float[jax.Array, "*B Q W"]:
        """What each token finds among keys and values of `encode`; arguments as of the whole."""
        config, tokens = self.config, jnp.asarray(tokens)
        query = self._rotate(self._normalise(self._project(tokens, 0), "query_norm", config.heads), positions)
        if config.kernel == "linear":
            if bias is not None or (mask is not None and mask.ndim != tokens.ndim - 1):
                raise ValueError("linear attention takes a mask of places (*B, K), no other and no bias")
            answer = attend_linearly(query, *encoded, mask=mask, epsilon=config.linear_epsilon)
        else:
            if mask is not None and mask.ndim <= tokens.ndim:
                mask = jnp.asarray(mask)
                mask = mask[..., None, None, :] if mask.ndim == tokens.ndim - 1 else mask[..., None, :, :]
            answer = attend(query, *encoded, mask=mask, bias=bias, scale=config.scale, cap=config.cap)
        out = self.out_proj if config.projections == "packed" else self.out
        return out(join_heads(answer))

    def _project(self, x: jax.Array, part: int) -> jax.Array:
        """Queries, keys or values (0, 1, 2), heads not yet split."""
        config = self.config
        if config.projections == "split":
            return (self.query, self.key, self.value)[part](x)
        sizes = [config.inner, *[config.key_heads * config.channels] * 2]
        rows = slice(sum(sizes[:part]), sum(sizes[: part + 1]))
        if config.projections == "packed":
            kernel, bias = self.in_proj_weight[...][rows].T, self.in_proj_bias[...][rows]
        else:
            kernel = self.qkv.kernel[...][:, rows]
            bias = None if self.qkv.bias is None else self.qkv.bias[...][rows]
        dtype = np.promote_types(x.dtype, kernel.dtype) if config.dtype is None else config.dtype
        x, kernel, bias = (None if a is None else a.astype(dtype) for a in (x, kernel, bias))
        y = x @ kernel
        return y if bias is None else y + jnp.broadcast_to(bias, y.shape)

    def _normalise(self, x: jax.Array, name: str, heads: int) -> jax.Array:
        if self.config.norm == "whole":
            x = getattr(self, name)(x)
        x = split_heads(x, heads)
        return getattr(self, name)(x) if self.config.norm == "heads" else x

    def _rotate(self, x: jax.Array, positions: ArrayLike | None) -> jax.Array:
        if self.config.rope is None:
            return x
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(x.shape[-3]), x.shape[:-2])
        return rotate(x, positions, base=self.config.rope)
