"""LLaMA's decoder (Touvron et al. 2023): what comes next, for whole texts and word by word."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float, Int

from hoijax.nets import weights
from hoijax.nets.blocks import RMSNorm, Stack, TransformerBlock, look_up
from hoijax.nets.llama.config import Config, block_config

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Cache:
    """Keys and values of what was read, by layer; a place holds the token of that position."""

    keys: Float[ArrayLike, "L B S G D"]
    """Already turned by their positions."""
    values: Float[ArrayLike, "L B S G D"]
    """As they are."""


class Model(nnx.Module):
    """The decoder.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        dtype = None if config.dtype is None else jnp.dtype(config.dtype)
        self.embed_tokens = nnx.Embed(config.vocabulary, config.width, rngs=rngs)
        self.layers = Stack(lambda rngs: TransformerBlock(block_config(config), rngs), config.layers, rngs)
        self.norm = RMSNorm(config.width, epsilon=config.epsilon)
        self.lm_head = nnx.Linear(config.width, config.vocabulary, use_bias=False, dtype=dtype, rngs=rngs)

    def embed(self, ids: Int[ArrayLike, "*B"]) -> Float[jax.Array, "*B W"]:
        """Vectors of tokens, in the type that the layers compute in."""
        vectors = look_up(self.embed_tokens, ids)
        return vectors if self.config.dtype is None else vectors.astype(self.config.dtype)

    def __call__(
        self,
        embeddings: Float[ArrayLike, "B T W"],
        *,
        positions: Int[ArrayLike, "B T"] | None = None,
        remat: bool = False,
    ) -> Float[jax.Array, "B T W"]:
        """States after the last normalisation; each token sees those of its own and of lower positions.

        Args:
          embeddings: `embed(ids)`, or whatever stands for tokens. Texts of different lengths are filled up
            behind their ends.
          positions: of the tokens; 0, 1, ... by default.
          remat: whether gradients find the insides of a layer again, which saves memory.
        """
        embeddings = jnp.asarray(embeddings)
        positions = _places(embeddings, positions)
        mask = positions[:, None, :] <= positions[:, :, None]

        def step(block, x, _):
            return block(x, mask=mask, positions=positions), None

        return self.norm(self.layers.scan(step, embeddings, remat=remat)[0])

    def extend(
        self, embeddings: Float[ArrayLike, "B T W"], positions: Int[ArrayLike, "B T"], cache: Cache
    ) -> tuple[Float[jax.Array, "B T W"], Cache]:
        """States of more tokens after what was read, and what has been read then.

        Args:
          embeddings: of the new tokens.
          positions: theirs. A token sees every place of the cache up to its own, which must have been written.
          cache: of `empty_cache`, or of a call before.
        """
        positions = jnp.asarray(positions)
        seen = jnp.arange(cache.keys.shape[2], dtype=positions.dtype)
        mask = seen[None, None, :] <= positions[:, :, None]
        rows = jnp.arange(len(positions))[:, None]

        def step(block, carry, layer):
            x, keys, values = carry
            y = block.attention_norm(x)
            key, value = block.attention.encode(y, positions=positions)
            keys = keys.at[layer, rows, positions].set(key.astype(keys.dtype))
            values = values.at[layer, rows, positions].set(value.astype(values.dtype))
            encoded = (keys[layer].astype(key.dtype), values[layer].astype(value.dtype))
            x = x + block.attention.look(y, encoded, mask=mask, positions=positions)
            return (x + block.perceptron(block.perceptron_norm(x)), keys, values), None

        start = (jnp.asarray(embeddings), jnp.asarray(cache.keys), jnp.asarray(cache.values))
        x, keys, values = self.layers.scan(step, start, jnp.arange(self.config.layers))[0]
        return self.norm(x), Cache(keys, values)

    def logits(self, states: Float[ArrayLike, "*B W"]) -> Float[jax.Array, "*B V"]:
        """How likely each token is to come next, as logits in float32 at least."""
        out = self.lm_head(states)
        return out.astype(np.promote_types(out.dtype, np.float32))

    def empty_cache(self, batch: int, size: int, dtype: Any = jnp.float32) -> Cache:
        """Room for texts of up to `size` tokens."""
        config = self.config
        shape = (config.layers, batch, size, config.key_heads, config.channels)
        return Cache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def apart(model: Model) -> Model:
    """The same decoder with its layers apart (`hoijax.nets.blocks.Row`): writes twice as fast on a CPU.

    Both need their memory while this runs.
    """
    graph, state = nnx.split(model)
    copy = nnx.merge(graph, state)
    copy.layers = copy.layers.apart()
    return copy


def _places(embeddings: jax.Array, positions: ArrayLike | None) -> jax.Array:
    if positions is None:
        positions = jnp.arange(embeddings.shape[1], dtype=jnp.int32)
    return jnp.broadcast_to(jnp.asarray(positions), embeddings.shape[:2])


def load(path: pathlib.Path, **how: Any) -> Model:
    """The network of a file that `hoijax convert llama` wrote, in evaluation mode.

    Args:
      path: the file.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or weights of another network.
    """
    return weights.load("llama", path, **how)[0]
