"""Losses of contact found in rendered views and carried to surfaces (InteractVLM; Dwivedi et al. 2025, code).

One sample each: logits and targets are (N, H, W), N views; batch with `vmap`. `valid` marks the pixels that show the
surface: outside of it there is nothing to say. Everything is computed in the dtype of the logits, which should be
float32: a clamp at 1e-6 means nothing in bfloat16.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry.safe import ArrayLike

FOCAL_SCALE = 0.5
"""The released factor before the masks' focal loss; it does not depend on the class."""
VERTEX_SCALE, SPARSITY = 0.25, 0.01
"""Of the loss on a body's vertices: factor of the focal part, weight of the mean probability."""
AFFORDANCE_WEIGHTS = (0.5, 0.3, 0.8, 0.4)
"""Of the affordance loss: focal, Dice, squared and absolute difference."""
_CLAMP = 1e-6


def mask_bce_loss(
    logits: Float[ArrayLike, "N H W"], target: Shaped[ArrayLike, "N H W"], valid: Bool[ArrayLike, "N H W"]
) -> Float[jax.Array, ""]:
    """Binary cross-entropy: per view the mean over valid pixels, then the mean over views.

    Args:
      logits: of contact.
      target: in [0, 1] or booleans.
      valid: pixels that count; a view without any costs nothing.
    """
    return _over_views(_bce(logits, target), valid)


def mask_focal_loss(
    logits: Float[ArrayLike, "N H W"], target: Shaped[ArrayLike, "N H W"], valid: Bool[ArrayLike, "N H W"]
) -> Float[jax.Array, ""]:
    """`0.5 (1 - exp(-b))^2 b` of the cross-entropy b, averaged like `mask_bce_loss`: InteractVLM's "BCE".

    Args:
      logits: of contact.
      target: in [0, 1] or booleans.
      valid: pixels that count.
    """
    return _over_views(FOCAL_SCALE * _focal(_bce(logits, target)), valid)


def mask_dice_loss(
    logits: Float[ArrayLike, "N H W"],
    target: Shaped[ArrayLike, "N H W"],
    valid: Bool[ArrayLike, "N H W"],
    *,
    smooth: float = 1e-5,
) -> Float[jax.Array, ""]:
    """`1 - (2 sum p t + s) / (sum p + sum t + s)` per view over valid pixels; a view without positives contributes 0.

    Args:
      logits: of contact.
      target: in [0, 1] or booleans.
      valid: pixels that count.
      smooth: s.
    """
    logits = jnp.asarray(logits)
    seen = jnp.asarray(valid).astype(logits.dtype)
    p, t = seen * jax.nn.sigmoid(logits), seen * jnp.asarray(target).astype(logits.dtype)
    total = [jnp.sum(x, axis=(-2, -1)) for x in (p * t, p, t)]
    loss = 1 - (2 * total[0] + smooth) / (total[1] + total[2] + smooth)
    return jnp.mean(jnp.where(total[2] > 0, loss, 0.0))


def vertex_contact_loss(
    probability: Float[ArrayLike, "V"], target: Shaped[ArrayLike, "V"], valid: Shaped[ArrayLike, "V"] | None = None
) -> Float[jax.Array, ""]:
    """InteractVLM's loss on the surface: mean of `0.25 (1 - exp(-b))^2 b`, plus 0.01 of the mean probability.

    Its gradient reaches the pixels through a linear lift; the published code's lift had none on bodies.

    Args:
      probability: lifted, in [0, 1].
      target: 1 in contact.
      valid: vertices that count (padding, vertices that no view sees); None: all.
    """
    q = jnp.asarray(probability)
    mask = jnp.ones_like(q) if valid is None else jnp.asarray(valid).astype(q.dtype)
    t = jnp.asarray(target).astype(q.dtype)
    clamped = jnp.clip(q, _CLAMP, 1 - _CLAMP)
    b = -(t * jnp.log(clamped) + (1 - t) * jnp.log1p(-clamped))
    return _mean(VERTEX_SCALE * _focal(b) + SPARSITY * q, mask)


def affordance_loss(
    probability: Float[ArrayLike, "N"], target: Float[ArrayLike, "N"], valid: Shaped[ArrayLike, "N"] | None = None
) -> Float[jax.Array, ""]:
    """Of likelihoods on an object's points: focal, two-sided Dice, squared and absolute difference.

    The focal part weighs positives by 0.25 and negatives by 0.75 with exponent 2 and takes soft targets; Dice is
    `1.5 - d+ - d-`, each `(sum a b + 1e-6) / (sum a + sum b + 1e-6)`, so 0.5 of it for a perfect 0/1 answer.
    In the released code the arguments of the lift were in the wrong order and the term a constant.

    Args:
      probability: lifted, in [0, 1].
      target: true likelihoods in [0, 1].
      valid: points that count; None: all.
    """
    q = jnp.asarray(probability)
    mask = jnp.ones_like(q) if valid is None else jnp.asarray(valid).astype(q.dtype)
    t = jnp.asarray(target).astype(q.dtype)
    up, down = jnp.log(jnp.maximum(q, _CLAMP)), jnp.log(jnp.maximum(1 - q, _CLAMP))
    focal = _mean(-(0.25 * jnp.square(1 - q) * t * up + 0.75 * jnp.square(q) * (1 - t) * down), mask)

    def overlap(a: jax.Array, b: jax.Array) -> jax.Array:
        return (jnp.sum(mask * a * b) + 1e-6) / (jnp.sum(mask * (a + b)) + 1e-6)

    dice = 1.5 - overlap(q, t) - overlap(1 - q, 1 - t)
    terms = (focal, dice, _mean(jnp.square(q - t), mask), _mean(jnp.abs(q - t), mask))
    return sum(w * x for w, x in zip(AFFORDANCE_WEIGHTS, terms))


def _bce(logits: ArrayLike, target: ArrayLike) -> jax.Array:
    logits = jnp.asarray(logits)
    return jax.nn.softplus(logits) - jnp.asarray(target).astype(logits.dtype) * logits


def _focal(b: jax.Array) -> jax.Array:
    return jnp.square(-jnp.expm1(-b)) * b


def _mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(mask * values) / jnp.maximum(jnp.sum(mask), 1.0)


def _over_views(values: jax.Array, valid: ArrayLike) -> jax.Array:
    mask = jnp.asarray(valid).astype(values.dtype)
    return jnp.mean(jnp.sum(mask * values, axis=(-2, -1)) / jnp.maximum(jnp.sum(mask, axis=(-2, -1)), 1.0))
