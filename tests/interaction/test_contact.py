import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from jaxtyping import TypeCheckError
from scipy.spatial.distance import cdist

from hoijax.interaction import (
    contact_distances,
    contact_loss,
    contact_mask,
    contact_probability,
    hinge_loss,
)

# Compiled once per shape for all tests; test_eager_jit_and_vmap_agree runs them uncompiled.
distances = jax.jit(contact_distances, static_argnames="tile")
loss_of = jax.jit(contact_loss, static_argnames="margin")
slope_of = jax.jit(jax.value_and_grad(contact_loss, argnums=(0, 1)), static_argnames="margin")


def reference_l_ho(body, object, body_mask, object_mask, margin=0.02):
    """Section 6.4 of specs/scorehoi.md, written as loops."""
    total = 0.0
    for i, p in enumerate(body):
        d = min(np.linalg.norm(p - o) for o in object)
        total += max(body_mask[i] * d - margin, 0.0) ** 2
    for j, o in enumerate(object):
        d = min(np.linalg.norm(p - o) for p in body)
        total += max(object_mask[j] * d - margin, 0.0) ** 2
    return total


def test_distances_match_scipy_both_ways(clouds):
    body, object, _, _ = clouds
    d = distances(body, object, tile=7)
    pairs = cdist(body, object)
    np.testing.assert_allclose(d.body, pairs.min(1), atol=1e-14)
    np.testing.assert_allclose(d.object, pairs.min(0), atol=1e-14)
    np.testing.assert_array_equal(d.body_nearest, pairs.argmin(1))
    np.testing.assert_array_equal(d.object_nearest, pairs.argmin(0))


def test_padded_points_are_nobodys_neighbour(clouds):
    body, object, _, _ = clouds
    far = np.full((3, 3), 1e6)
    padded_body, padded_object = np.concatenate([body, body[:3]]), np.concatenate([object, far])
    body_valid, object_valid = np.arange(43) < 40, np.arange(15) < 12
    got = distances(padded_body, padded_object, body_valid=body_valid, object_valid=object_valid)
    want = distances(body, object)
    np.testing.assert_array_equal(got.body[:40], want.body)
    np.testing.assert_array_equal(got.object[:12], want.object)
    assert not np.isin(np.asarray(got.object_nearest), [40, 41, 42]).any()


def test_loss_is_the_formula_of_the_paper(clouds):
    body, object, body_mask, object_mask = clouds
    want = reference_l_ho(body, object, body_mask, object_mask)
    assert want > 0.1
    np.testing.assert_allclose(loss_of(body, object, body_mask, object_mask), want, rtol=1e-12)
    # Weights multiply the distance inside the hinge.
    weights = np.linspace(0, 1, 40)
    np.testing.assert_allclose(
        loss_of(body, object, weights, object_mask), reference_l_ho(body, object, weights, object_mask), rtol=1e-12
    )


def test_loss_ignores_padding(clouds):
    body, object, body_mask, object_mask = clouds
    want = loss_of(body, object, body_mask, object_mask)
    got = loss_of(
        np.concatenate([body, object[:2]]),
        np.concatenate([object, body[:5]]),
        np.concatenate([body_mask, [True] * 2]),
        np.concatenate([object_mask, [True] * 5]),
        body_valid=np.arange(42) < 40,
        object_valid=np.arange(17) < 12,
    )
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_eager_jit_and_vmap_agree(clouds):
    body, object, body_mask, object_mask = clouds
    bodies = np.stack([body, body + 0.1, body * 1.1])  # three on purpose: a batch of 3 must not be taken for xyz
    one_by_one = [contact_loss(b, object, body_mask, object_mask) for b in bodies]
    mapped = jax.jit(jax.vmap(contact_loss, in_axes=(0, None, None, None)))(bodies, object, body_mask, object_mask)
    np.testing.assert_allclose(mapped, np.stack(one_by_one), rtol=1e-12)


def test_zero_within_the_margin():
    body = np.array([[0.0, 0, 0], [1, 0, 0]])
    object = body + np.array([0.0, 0.0199, 0])
    assert loss_of(body, object, np.ones(2), np.ones(2)) == 0
    assert loss_of(body, object + np.array([0.0, 0.0002, 0]), np.ones(2), np.ones(2)) > 0


def test_empty_masks_cost_nothing_and_pull_nothing(clouds):
    body, object, _, _ = clouds
    value, grad = slope_of(body, object, np.zeros(40), np.zeros(12, bool))
    assert value == 0
    assert all(np.all(g == 0) for g in jax.tree.leaves(grad))


def test_no_valid_object_point_costs_nothing(clouds):
    body, object, body_mask, object_mask = clouds

    def loss(body):
        return loss_of(body, object, body_mask, object_mask, object_valid=np.zeros(12, bool))

    value, grad = jax.jit(jax.value_and_grad(loss))(body)
    assert value == 0 and np.all(grad == 0)
    nothing = distances(body, object, object_valid=np.zeros(12, bool))
    assert np.all(nothing.body == np.inf) and np.all(nothing.body_nearest == -1)
    assert hinge_loss(nothing.body, mask=np.zeros(40, bool), reduction="mean") == 0


def test_translation_gradient_is_the_sum_of_pulls(clouds):
    body, object, body_mask, object_mask = clouds
    grad = jax.jit(jax.grad(lambda t: loss_of(body, object + t[None], body_mask, object_mask)))(np.zeros(3))
    pairs = cdist(body, object)
    want = np.zeros(3)
    for i in np.flatnonzero(body_mask):
        j = pairs[i].argmin()
        want += 2 * max(pairs[i, j] - 0.02, 0) * (object[j] - body[i]) / pairs[i, j]
    for j in np.flatnonzero(object_mask):
        i = pairs[:, j].argmin()
        want += 2 * max(pairs[i, j] - 0.02, 0) * (object[j] - body[i]) / pairs[i, j]
    np.testing.assert_allclose(grad, want, rtol=1e-10)


def test_gradients_match_finite_differences(clouds):
    body, object, body_mask, object_mask = clouds
    check_grads(lambda b, o: loss_of(b, o, body_mask, object_mask), (body, object), order=1, rtol=1e-5)


def test_searched_and_tabled_distances_give_one_loss(clouds, monkeypatch):
    """Many pairs are searched tile by tile, few are all kept; with padding on both sides."""
    body, object, body_mask, object_mask = clouds
    valid = {"body_valid": np.arange(40) != 3, "object_valid": np.arange(12) > 1}

    def run(body, object):
        return jax.value_and_grad(lambda b, o: loss_of(b, o, body_mask, object_mask, **valid), (0, 1))(body, object)

    kept = run(body, object)
    monkeypatch.setattr("hoijax.interaction.contact._DENSE", 0)
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(run(body, object)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_points_equally_near_share_the_gradient():
    between, ends = np.array([[0.5, 0.0, 0.0]]), np.array([[0.0, 0, 0], [1.0, 0, 0]])
    value, (to_body, to_object) = slope_of(between, ends, np.ones(1), np.zeros(2), margin=0.0)
    np.testing.assert_allclose(value, 0.25)
    np.testing.assert_allclose(to_body, 0.0, atol=1e-12)
    np.testing.assert_allclose(to_object, [[-0.5, 0, 0], [0.5, 0, 0]], atol=1e-12)


def test_gradient_is_finite_where_points_coincide():
    body = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    for margin in (0.02, 0.0):  # without a margin, coincidence is the kink itself
        value, grads = slope_of(body, body.copy(), np.ones(2), np.ones(2), margin=margin)
        assert value == 0 and all(np.all(g == 0) for g in grads)


def test_rigid_invariance(clouds, motion):
    body, object, body_mask, object_mask = clouds
    rotation, shift = motion
    moved = loss_of(body @ rotation.T + shift, object @ rotation.T + shift, body_mask, object_mask)
    np.testing.assert_allclose(moved, loss_of(body, object, body_mask, object_mask), rtol=1e-10)


def test_probability_is_one_half_at_the_threshold_and_agrees_with_the_mask():
    d = np.linspace(0, 0.2, 101)
    p = np.asarray(contact_probability(d, threshold=0.05, softness=0.01))
    np.testing.assert_allclose(contact_probability(np.array([0.05])), 0.5)
    np.testing.assert_allclose(p, 1 / (1 + np.exp((d - 0.05) / 0.01)), rtol=1e-12)
    np.testing.assert_array_equal(p[d != 0.05] > 0.5, np.asarray(contact_mask(d))[d != 0.05])
    assert not contact_mask(np.array(0.05))  # strict


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_hinge_loss_closed_form(power, reduction):
    d, mask = np.array([0.01, 0.05, 0.2, 9.0]), np.array([True, True, True, False])
    terms = np.maximum(d - 0.02, 0)[:3] ** power
    got = hinge_loss(d, mask=mask, margin=0.02, power=power, reduction=reduction)
    np.testing.assert_allclose(got, terms.sum() if reduction == "sum" else terms.mean(), rtol=1e-12)
    assert hinge_loss(d, mask=np.zeros(4, bool), reduction=reduction) == 0


def test_unknown_reduction_is_named():
    with pytest.raises((ValueError, TypeCheckError), match="max"):  # the second from the suite's run-time type checks
        hinge_loss(np.ones(3), reduction="max")


def test_float32_stays_float32(clouds):
    body, object, body_mask, object_mask = clouds
    got = loss_of(body.astype(np.float32), object.astype(np.float32), body_mask, object_mask)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, loss_of(body, object, body_mask, object_mask), rtol=1e-5)
