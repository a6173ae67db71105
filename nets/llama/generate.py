"""The likeliest next token, again and again: one program of static shapes for texts of any length."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.nets.llama.model import Model

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Generated:
    """What a decoder wrote."""

    ids: Int[ArrayLike, "B N"]
    """Tokens with the one that stops; `stop` again and again after that."""
    states: Float[ArrayLike, "B N W"]
    """State that each token was read off, after the last normalisation; zeros after the end."""
    count: Int[ArrayLike, "B"]
    """Tokens written, with the one that stops."""


def generate(
    model: Model,
    embeddings: Float[ArrayLike, "B T W"],
    lengths: Int[ArrayLike, "B"],
    *,
    stop: int,
    steps: int,
) -> Generated:
    """Writes after prompts, greedily.

    The keys and values of what was read are kept; the loop ends when all texts have ended.

    Args:
      model: the decoder.
      embeddings: prompts, filled up behind their ends with anything.
      lengths: tokens of each prompt, one at least.
      stop: token that ends a text.
      steps: most tokens that are written.
    """
    embeddings, lengths = jnp.asarray(embeddings), jnp.asarray(lengths)
    batch, length, width = embeddings.shape
    cache = model.empty_cache(batch, length + steps, embeddings.dtype)
    positions = jnp.broadcast_to(jnp.arange(length, dtype=lengths.dtype), (batch, length))
    states, cache = model.extend(embeddings, positions, cache)
    state = jnp.take_along_axis(states, (lengths - 1)[:, None, None], axis=1)[:, 0]

    def going(carry):
        step, _, _, ended, *_ = carry
        return (step < steps) & ~jnp.all(ended)

    def write(carry):
        step, state, cache, ended, ids, states, count = carry
        token = jnp.argmax(model.logits(state), axis=-1).astype(ids.dtype)
        token = jnp.where(ended, stop, token)
        ids = ids.at[:, step].set(token)
        kept = jnp.where(jnp.broadcast_to(ended[:, None], state.shape), 0, state)
        states = states.at[:, step].set(kept)
        count = count + jnp.where(ended, 0, 1).astype(count.dtype)
        ended = ended | (token == stop)
        after, cache = model.extend(model.embed(token[:, None]).astype(state.dtype),
                                    (lengths + step.astype(lengths.dtype))[:, None], cache)  # fmt: skip
        return step + 1, after[:, 0], cache, ended, ids, states, count

    start = (
        jnp.int32(0), state, cache, jnp.zeros(batch, bool), jnp.full((batch, steps), stop, jnp.int32),
        jnp.zeros((batch, steps, width), embeddings.dtype), jnp.zeros(batch, jnp.int32),
    )  # fmt: skip
    *_, ids, states, count = jax.lax.while_loop(going, write, start)
    return Generated(ids, states, count)
