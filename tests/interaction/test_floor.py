import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from hoijax.interaction import (
    GRAVITY_CAMERA,
    GRAVITY_WORLD,
    estimate_floor,
    floor_contact_loss,
    floor_penetration_loss,
    height,
    lowest,
    support_loss,
)

# Compiled once per shape for all tests; test_jit_and_vmap_agree_with_eager runs the loss uncompiled.
loss_of = jax.jit(floor_contact_loss, static_argnames=("margin", "temperature"))
lowest_of = jax.jit(lowest, static_argnames="temperature")
floor_of = jax.jit(estimate_floor, static_argnames="count")


@pytest.fixture
def scene(clouds):
    body, object, _, mask = clouds
    return body, object, mask


def reference_l_of(object, body, mask, margin=0.02):
    """Section 6.4 of specs/scorehoi.md: y points down."""
    y_floor = max([p[1] for p in body] + [p[1] for p in object])
    return sum(max(m * abs(p[1] - y_floor) - margin, 0) ** 2 for p, m in zip(object, mask, strict=True))


def test_released_form_is_the_formula_of_the_paper(scene):
    body, object, mask = scene
    want = reference_l_of(object, body, mask)
    assert want > 0.1
    np.testing.assert_allclose(loss_of(object, body, mask, gravity=GRAVITY_CAMERA), want, rtol=1e-12)


def test_any_gravity_direction_is_the_same_loss_in_a_turned_frame(scene, motion):
    body, object, mask = scene
    rotation, shift = motion
    want = loss_of(object, body, mask, gravity=GRAVITY_CAMERA)
    down = 7.0 * rotation @ np.array(GRAVITY_CAMERA)  # its length does not matter
    got = loss_of(object @ rotation.T + shift, body @ rotation.T + shift, mask, gravity=down)
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_invariances(scene):
    """Horizontal shifts of either and vertical shifts of both change nothing (specs/scorehoi.md 13.10)."""
    body, object, mask = scene
    want = loss_of(object, body, mask, gravity=GRAVITY_CAMERA)
    aside, up = np.array([0.3, 0, -0.2]), np.array([0, 0.7, 0])
    for o, b in [(object + aside, body), (object, body + aside), (object + up, body + up)]:
        np.testing.assert_allclose(loss_of(o, b, mask, gravity=GRAVITY_CAMERA), want, rtol=1e-9)


def test_height_has_any_leading_axes():
    points = np.random.default_rng(0).normal(size=(2, 3, 5, 3))
    np.testing.assert_allclose(height(points, GRAVITY_WORLD), points[..., 1])
    np.testing.assert_allclose(height(points, GRAVITY_CAMERA), -points[..., 1])


def test_smooth_lowest_tends_to_the_minimum_from_above():
    heights = np.random.default_rng(0).random(200)
    gaps = [float(lowest_of(heights, temperature=t) - heights.min()) for t in (0.1, 0.01, 0.001, 0.0)]
    assert gaps[0] > gaps[1] > gaps[2] >= gaps[3] == 0
    # Fifty vertices of a sole on the floor do not push it below them.
    np.testing.assert_allclose(lowest_of(np.zeros(50), temperature=0.005), 0.0)
    weight = np.exp(-heights / 0.05)
    np.testing.assert_allclose(
        lowest_of(heights, temperature=0.05), (weight * heights).sum() / weight.sum(), rtol=1e-12
    )


@pytest.mark.parametrize("temperature", [0.0, 0.02])
def test_padding_never_counts(temperature):
    heights, valid = np.array([0.5, 0.2, -1e6, np.nan]), np.array([True, True, False, False])
    want = lowest_of(heights[:2], temperature=temperature)
    np.testing.assert_allclose(lowest_of(heights, valid=valid, temperature=temperature), want, rtol=1e-12)
    value, grad = jax.value_and_grad(lambda h: lowest_of(h, valid=np.zeros(4, bool), temperature=temperature))(heights)
    assert value == 0 and np.all(grad == 0)


def test_loss_ignores_padding(scene):
    body, object, mask = scene
    want = loss_of(object, body, mask, gravity=GRAVITY_CAMERA)
    low = np.full((2, 3), 1e6)
    got = loss_of(
        np.concatenate([object, low]),
        np.concatenate([body, low]),
        np.concatenate([mask, [True, True]]),
        gravity=GRAVITY_CAMERA,
        object_valid=np.arange(14) < 12,
        body_valid=np.arange(42) < 40,
    )
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_estimated_floor_is_the_mean_of_the_lowest(scene):
    body, _, _ = scene
    y = np.sort(body[:, 1])
    np.testing.assert_allclose(floor_of(body, GRAVITY_WORLD), y[0])
    np.testing.assert_allclose(floor_of(body, GRAVITY_WORLD, count=5), y[:5].mean())
    np.testing.assert_allclose(floor_of(body, GRAVITY_WORLD, count=500), y.mean())
    valid = body[:, 1] > 0
    np.testing.assert_allclose(floor_of(body, GRAVITY_WORLD, valid=valid, count=5), np.sort(y[y > 0])[:5].mean())
    assert floor_of(body, GRAVITY_WORLD, valid=np.zeros(40, bool)) == 0


def test_known_floor(scene):
    body, object, mask = scene
    got = loss_of(object, body, mask, gravity=GRAVITY_WORLD, floor=-0.4)
    want = sum(max(m * abs(p[1] + 0.4) - 0.02, 0) ** 2 for p, m in zip(object, mask, strict=True))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_penetration_and_support_closed_forms(scene):
    body, _, _ = scene
    below = np.maximum(-0.1 - body[:, 1], 0)
    np.testing.assert_allclose(floor_penetration_loss(body, gravity=GRAVITY_WORLD, floor=-0.1), (below**2).mean())
    np.testing.assert_allclose(
        floor_penetration_loss(body, gravity=GRAVITY_WORLD, floor=-0.1, power=1, reduction="sum"), below.sum()
    )
    low = np.sort(body[:, 1])[:4].mean()
    np.testing.assert_allclose(
        support_loss(body, gravity=GRAVITY_WORLD, floor=1.0, count=4, margin=0.1), (abs(low - 1.0) - 0.1) ** 2
    )
    assert support_loss(body, gravity=GRAVITY_WORLD, floor=low, count=4) < 1e-30


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_gradients_match_finite_differences(scene, temperature):
    body, object, mask = scene

    @jax.jit
    def loss(o, b):
        return loss_of(o, b, mask, gravity=(0.1, 0.9, -0.3), temperature=temperature)

    check_grads(loss, (object, body), order=1, modes=("rev",), rtol=1e-5)
    check_grads(
        lambda b: (
            floor_penetration_loss(b, gravity=GRAVITY_WORLD, floor=0.0)
            + support_loss(b, gravity=GRAVITY_WORLD, floor=1.0)
        ),
        (body,),
        order=1,
        modes=("rev",),
        rtol=1e-5,
    )


def test_gradient_reaches_one_point_when_hard_and_many_when_smooth(scene):
    body, object, mask = scene
    hard = jax.jit(jax.grad(lambda b: loss_of(object, b, mask, gravity=GRAVITY_CAMERA)))(body)
    assert np.count_nonzero(np.any(hard != 0, axis=1)) == 1
    soft = jax.jit(lambda b: loss_of(object, b, mask, gravity=GRAVITY_CAMERA, temperature=0.05))
    smooth = jax.grad(soft)(body)
    assert np.count_nonzero(np.any(np.abs(smooth) > 1e-6, axis=1)) > 3


def test_degenerate_inputs_have_finite_gradients(scene):
    _, object, _ = scene
    flat = np.zeros((12, 3))
    for o, mask in [(flat, np.ones(12)), (object, np.zeros(12))]:
        loss = jax.jit(lambda o, b, m: loss_of(o, b, m, gravity=GRAVITY_CAMERA, margin=0.0))
        grads = jax.grad(loss, argnums=(0, 1))(o, np.zeros((4, 3)), mask)
        assert all(np.all(np.isfinite(g)) for g in grads)


def test_jit_and_vmap_agree_with_eager(scene):
    body, object, mask = scene
    objects = np.stack([object, object + 0.1, object - 0.2])

    def loss(o):
        return floor_contact_loss(o, body, mask, gravity=GRAVITY_CAMERA, temperature=0.01)

    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(objects), [loss(o) for o in objects], rtol=1e-12)
