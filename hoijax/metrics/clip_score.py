"""How well a picture goes with a text, by CLIP's embeddings of both (Hessel et al. 2021)."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike


def clip_score(images: Float[ArrayLike, "*B D"], texts: Float[ArrayLike, "*B D"]) -> Float[jax.Array, "*B"]:
    """The cosine between embeddings of pictures and of texts: 1 for identical directions.

    What others publish as CLIP score is often a hundred times this, or 2.5 times, with negative values cut to 0.

    Args:
      images: projected embeddings of any length but 0.
      texts: of the same space.
    """
    images, texts = jnp.asarray(images), jnp.asarray(texts)
    lengths = jnp.linalg.norm(images, axis=-1) * jnp.linalg.norm(texts, axis=-1)
    return jnp.sum(images * texts, axis=-1) / lengths
