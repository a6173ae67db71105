"""Colour jitter and occluding boxes: changes of a picture that leave its geometry alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Key

from hoijax.geometry.safe import ArrayLike


def jitter_colors(
    key: Key[jax.Array, ""], image: Float[ArrayLike, "H W C"], *, gain: float = 0.2, contrast: float = 0.0
) -> Float[jax.Array, "H W C"]:
    """Multiplies every channel by a factor of its own, then stretches the contrast about the mean; clips to [0, 1].

    Args:
      key: randomness.
      image: in [0, 1].
      gain: factors are uniform in [1 - gain, 1 + gain]; 0.2 is ScoreHOI's (specs/scorehoi.md 8).
      contrast: one more factor for all channels, uniform in [1 - contrast, 1 + contrast].

    Returns:
      The picture, in [0, 1].
    """
    image = jnp.asarray(image)
    first, second = jax.random.split(key)
    factors = jax.random.uniform(first, (1, 1, image.shape[-1]), image.dtype, 1 - gain, 1 + gain)
    image = image * factors
    if contrast:
        middle = jnp.mean(image)
        image = middle + (image - middle) * jax.random.uniform(second, (), image.dtype, 1 - contrast, 1 + contrast)
    return jnp.clip(image, 0, 1)


def occlude(
    key: Key[jax.Array, ""],
    image: Float[ArrayLike, "H W C"],
    *,
    count: int,
    sizes: tuple[float, float] = (0.1, 0.4),
) -> tuple[Float[jax.Array, "H W C"], Bool[jax.Array, "H W"]]:
    """Hides parts of a picture behind boxes of one colour each.

    Each box is there with probability one half, has sides uniform in `sizes` and its centre anywhere in the picture.

    Args:
      key: randomness.
      image: in [0, 1].
      count: boxes at most.
      sizes: smallest and largest side, as parts of the picture's sides.

    Returns:
      The picture, and the pixels that still show it. Amodal labels (keypoints, full masks) stay; visible masks are
      to be joined with the second result.
    """
    image = jnp.asarray(image)
    height, width, channels = image.shape
    dtype = image.dtype
    x, y = (jnp.arange(n, dtype=dtype) + 0.5 for n in (width, height))

    def add(carry: tuple[jax.Array, jax.Array], one: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        picture, visible = carry
        there, size, center, color = jax.random.split(one, 4)
        scale = jnp.asarray([width, height], dtype)
        half = jax.random.uniform(size, (2,), dtype, *sizes) * scale / 2
        middle = jax.random.uniform(center, (2,), dtype) * scale
        box = (jnp.abs(y - middle[1]) < half[1])[:, None] & (jnp.abs(x - middle[0]) < half[0])[None, :]
        box = box & jax.random.bernoulli(there)
        paint = jax.random.uniform(color, (1, 1, channels), dtype)
        return (jnp.where(box[..., None], paint, picture), visible & ~box), None

    start = (image, jnp.ones((height, width), bool))
    return jax.lax.scan(add, start, jax.random.split(key, count))[0] if count else start
