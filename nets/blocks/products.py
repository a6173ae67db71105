"""Attention as functions of queries, keys and values: by the softmax or linearly, with masks, biases, shared heads.

Letters: B any leading axes, Q queries, K places that are looked at, H heads, G groups of heads that share keys and
values, D channels of a head.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

ArrayLike = jax.Array | np.ndarray


def attend(
    query: Float[ArrayLike, "*B Q H D"],
    key: Float[ArrayLike, "*B K G D"],
    value: Float[ArrayLike, "*B K G E"],
    *,
    mask: Bool[ArrayLike, "..."] | None = None,
    bias: Float[ArrayLike, "..."] | None = None,
    scale: float | None = None,
    cap: float | None = None,
) -> Float[jax.Array, "*B Q H E"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1); the softmax in float32 at least.

    Args:
      query: what asks.
      key: what is compared with it; head h looks at group h // (H / G) (Ainslie et al. 2023).
      value: what is averaged.
      mask: places that may be seen, (*B, H, Q, K) or 1 in place of any of these; a query that may see nothing gets the
        mean of all values.
      bias: added to the scaled products, shapes as for the mask.
      scale: of the products; 1 / sqrt(D) by default.
      cap: bound c of the scaled products by c tanh(x / c) (Gemma 2), before bias and mask.

    Raises:
      ValueError: H is no multiple of G.
    """
    query, key, value = (jnp.asarray(x) for x in (query, key, value))
    heads, groups, width = query.shape[-2], key.shape[-2], query.shape[-1]
    if heads % groups:
        raise ValueError(f"{heads} heads cannot share {groups} groups of keys evenly")
    exact = np.promote_types(query.dtype, np.float32)
    split = query.reshape((*query.shape[:-2], groups, heads // groups, width))
    logits = jnp.einsum("...qgrd,...kgd->...grqk", split, key, preferred_element_type=exact)
    logits = logits.reshape((*logits.shape[:-4], heads, *logits.shape[-2:]))
    logits = logits * (width**-0.5 if scale is None else scale)
    if cap is not None:
        logits = cap * jnp.tanh(logits / cap)
    if bias is not None:
        logits = logits + jnp.broadcast_to(jnp.asarray(bias).astype(exact), logits.shape)
    if mask is not None:
        logits = jnp.where(jnp.broadcast_to(jnp.asarray(mask), logits.shape), logits, jnp.finfo(exact).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    weights = weights.reshape((*weights.shape[:-3], groups, heads // groups, *weights.shape[-2:]))
    answer = jnp.einsum("...grqk,...kge->...qgre", weights, value)
    return answer.reshape((*answer.shape[:-3], heads, value.shape[-1]))


def attend_linearly(
    query: Float[ArrayLike, "*B Q H D"],
    key: Float[ArrayLike, "*B K H D"],
    value: Float[ArrayLike, "*B K H E"],
    *,
    mask: Bool[ArrayLike, "*B K"] | None = None,
    epsilon: float = 1e-15,
) -> Float[jax.Array, "*B Q H E"]:
    """Attention with relu(q) . relu(k) in place of the softmax (Cai et al. 2023): its work grows with Q + K, not Q K.

    Sums run in float32 at least. A query whose products all vanish gets zero.

    Args:
      query: what asks.
      key: what is compared with it.
      value: what is averaged.
      mask: places that may be seen.
      epsilon: added to the sum that divides.
    """
    dtype = jnp.asarray(value).dtype
    exact = np.promote_types(dtype, np.float32)
    query, key, value = (jnp.asarray(x).astype(exact) for x in (query, key, value))
    query, key = jax.nn.relu(query), jax.nn.relu(key)
    if mask is not None:
        key = jnp.where(jnp.asarray(mask)[..., None, None], key, 0.0)
    together = jnp.einsum("...khd,...khe->...hde", key, value)
    answer = jnp.einsum("...qhd,...hde->...qhe", query, together)
    total = jnp.einsum("...qhd,...hd->...qh", query, jnp.sum(key, axis=-3))
    return (answer / jnp.broadcast_to(total[..., None] + epsilon, answer.shape)).astype(dtype)


def causal_mask(queries: int, places: int | None = None) -> Bool[np.ndarray, "Q K"]:
    """Each query sees the places up to its own; with more places than queries, the queries are the last of them."""
    places = queries if places is None else places
    return np.arange(places)[None] <= np.arange(queries)[:, None] + (places - queries)


def split_heads(x: Float[ArrayLike, "*B T W"], heads: int) -> Float[jax.Array, "*B T H D"]:
    """Channels as heads."""
    return jnp.asarray(x).reshape((*x.shape[:-1], heads, x.shape[-1] // heads))


def join_heads(x: Float[ArrayLike, "*B T H D"]) -> Float[jax.Array, "*B T W"]:
    """Heads as channels."""
    return jnp.asarray(x).reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1]))
