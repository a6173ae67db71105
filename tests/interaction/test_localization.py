"""Losses of contact masks against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.interaction import affordance_loss, mask_bce_loss, mask_dice_loss, mask_focal_loss, vertex_contact_loss

P = np.array([[[0.8, 0.3], [0.6, 0.1]], [[0.5, 0.9], [0.2, 0.4]]])
LOGITS = np.log(P / (1 - P))
TARGET = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 1]]])
VALID = np.array([[[1, 1], [1, 0]], [[1, 1], [0, 0]]], bool)
"""In the second view no valid pixel is positive."""


def check_slope(loss, x):
    """The gradient against central differences along a random direction."""
    way = np.random.default_rng(0).normal(size=x.shape)
    value = jax.jit(loss)
    want = (value(x + 1e-5 * way) - value(x - 1e-5 * way)) / 2e-5
    np.testing.assert_allclose(np.vdot(jax.jit(jax.grad(loss))(x), way), want, rtol=1e-6, atol=1e-9)


def cross_entropy(p, t):
    return -np.log(p) if t else -np.log(1 - p)


def test_masks_by_hand():
    first = [cross_entropy(0.8, 1), cross_entropy(0.3, 0), cross_entropy(0.6, 1)]
    second = [cross_entropy(0.5, 0), cross_entropy(0.9, 0)]
    np.testing.assert_allclose(mask_bce_loss(LOGITS, TARGET, VALID), (np.mean(first) + np.mean(second)) / 2)
    # 1 - exp(-b) is the probability of the other class.
    first = [0.5 * wrong**2 * -np.log(1 - wrong) for wrong in (0.2, 0.3, 0.4)]
    second = [0.5 * wrong**2 * -np.log(1 - wrong) for wrong in (0.5, 0.9)]
    np.testing.assert_allclose(mask_focal_loss(LOGITS, TARGET, VALID), (np.mean(first) + np.mean(second)) / 2)
    dice = 1 - (2 * 1.4 + 1e-5) / (1.7 + 2 + 1e-5)
    np.testing.assert_allclose(mask_dice_loss(LOGITS, TARGET, VALID), dice / 2)


def test_what_is_not_valid_does_not_matter_and_nothing_valid_costs_nothing():
    for loss in (mask_bce_loss, mask_focal_loss, mask_dice_loss):
        other = np.where(VALID, LOGITS, 7.0)
        np.testing.assert_allclose(loss(other, np.where(VALID, TARGET, 1 - TARGET), VALID), loss(LOGITS, TARGET, VALID))
        assert loss(LOGITS, TARGET, np.zeros_like(VALID)) == 0
        assert loss(np.where(TARGET, 60.0, -60.0), TARGET, VALID) < 1e-9
        slope = jax.jit(jax.grad(lambda x, loss=loss: loss(x, TARGET, VALID)))
        for value in (20.0, -20.0, 100.0, -100.0):
            assert np.isfinite(slope(jnp.full((2, 2, 2), value, jnp.float32))).all()
        check_slope(lambda x, loss=loss: loss(x, TARGET, VALID), LOGITS)


def test_vertices_by_hand():
    q, t = np.array([0.8, 0.3, 0.6]), np.array([1.0, 0.0, 0.0])
    each = [0.25 * w**2 * -np.log(1 - w) + 0.01 * p for w, p in ((0.2, 0.8), (0.3, 0.3), (0.6, 0.6))]
    np.testing.assert_allclose(vertex_contact_loss(q, t), np.mean(each))
    np.testing.assert_allclose(vertex_contact_loss(q, t, np.array([1, 1, 0])), np.mean(each[:2]))
    check_slope(lambda x: vertex_contact_loss(x, t), q)
    assert np.isfinite(jax.grad(vertex_contact_loss)(jnp.asarray([0.0, 1.0], jnp.float32), jnp.ones(2))).all()


def test_affordance_by_hand():
    q, t = np.array([0.8, 0.3]), np.array([1.0, 0.2])
    focal = -0.25 * 0.2**2 * np.log(0.8)
    focal += -0.25 * 0.7**2 * 0.2 * np.log(0.3) - 0.75 * 0.3**2 * 0.8 * np.log(0.7)
    dice = 1.5 - (0.8 + 0.06 + 1e-6) / (1.1 + 1.2 + 1e-6) - (0.7 * 0.8 + 1e-6) / (0.9 + 0.8 + 1e-6)
    want = 0.5 * focal / 2 + 0.3 * dice + 0.8 * (0.04 + 0.01) / 2 + 0.4 * 0.3 / 2
    np.testing.assert_allclose(affordance_loss(q, t), want)
    padded = affordance_loss(np.append(q, 0.4), np.append(t, 1.0), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(padded, want)
    perfect = affordance_loss(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(perfect, 0.3 * 0.5, atol=1e-6)
    check_slope(lambda x: affordance_loss(x, t), q)
    with pytest.raises(Exception, match="shape|size|Type"):
        affordance_loss(q, t[:1].repeat(3))
