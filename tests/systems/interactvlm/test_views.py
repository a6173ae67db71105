"""Canonical views and the lift as an operator: against the lift of `hoijax.render`, and there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.interaction import affordance_loss, vertex_contact_loss
from hoijax.metrics import vertex_scores_host
from hoijax.render import lift
from hoijax.systems.interactvlm import apply_lift, body_views, cached_embedding, lift_operator, object_views

SIZE = 160
apply = jax.jit(apply_lift, static_argnames="mode")


@pytest.fixture(scope="module")
def body():
    return body_views(free_body("test"), SIZE)


@pytest.fixture(scope="module")
def ball():
    mesh = trimesh.creation.icosphere(4)
    return object_views(3 + 2 * mesh.vertices, mesh.faces, SIZE)


def patches(vertices, rng, reach):
    """All vertices near three random ones."""
    centres = vertices[rng.integers(len(vertices), size=3)]
    return (np.linalg.norm(vertices[:, None] - centres[None], axis=-1) < reach).any(axis=1)


@pytest.mark.parametrize("mode", ["soft", "kept_mean", "legacy"])
def test_the_operator_is_the_lift(ball, mode):
    masks = np.random.default_rng(0).uniform(size=ball.lift.views)
    want = lift(masks, jax.tree.map(jnp.asarray, ball.fragments), ball.faces, len(ball.vertices), mode=mode)
    got = apply(ball.lift, masks, mode=mode)
    np.testing.assert_allclose(got.scores, want.scores, atol=2e-6)
    np.testing.assert_array_equal(got.visible, want.visible)


def test_what_fills_an_operator_up_changes_nothing_and_too_little_room_is_named(ball):
    masks = np.random.default_rng(1).uniform(size=ball.lift.views)
    masks[0, 0, 0] = 1.0  # the pixel that fillings point at
    count = len(ball.lift.pixel)
    wide = lift_operator(ball.fragments, ball.faces, len(ball.vertices), capacity=count + 37)
    assert len(wide.pixel) == count + 37
    for mode in ("soft", "kept_mean", "legacy"):
        np.testing.assert_array_equal(apply(wide, masks, mode=mode).scores, apply(ball.lift, masks, mode=mode).scores)
    with pytest.raises(InputError, match=f"{count} weights"):
        lift_operator(ball.fragments, ball.faces, len(ball.vertices), capacity=count - 1)
    with pytest.raises(ValueError, match="kept_mean"):
        apply_lift(ball.lift, masks, "mean")
    with pytest.raises(ValueError, match="shape"):
        apply_lift(ball.lift, masks[:1])


@pytest.mark.parametrize(("name", "reach"), [("body", 0.2), ("ball", 0.35)])
def test_sets_come_back_and_constants_are_kept(request, name, reach):
    """F1 over visible vertices: two-vertex masks with the soft lift at 0.5, three-vertex masks at 0.3."""
    views, rng = request.getfixturevalue(name), np.random.default_rng(2)
    visible = views.lift.visible
    for least, threshold in ((2, 0.5), (3, 0.3)):
        scores = []
        for _ in range(6):
            truth = patches(views.vertices, rng, reach)
            masks = np.asarray(views.masks(truth, least), np.float32)
            got = np.asarray(apply(views.lift, masks).scores) >= threshold
            scores.append(vertex_scores_host(got[visible], truth[visible]).f1)
        assert np.mean(scores) >= 0.95
    for value in (0.0, 1.0):
        scores = np.asarray(apply(views.lift, np.full(views.lift.views, value, np.float32)).scores)
        np.testing.assert_allclose(scores[visible], value, atol=1e-5)
        assert not scores[~visible].any()


def test_a_vertex_that_one_view_affirms_keeps_its_score_on_objects_alone(ball):
    masks = np.zeros(ball.lift.views, np.float32)
    masks[1] = 0.8
    soft, kept = (np.asarray(apply(ball.lift, masks, mode=m).scores) for m in ("soft", "kept_mean"))
    seen = np.zeros((4, len(ball.vertices)), bool)
    real = ball.lift.row < seen.size
    seen.reshape(-1)[ball.lift.row[real & (ball.lift.bary > 0)]] = True
    many = seen[1] & (seen.sum(axis=0) == 2)
    assert many.sum() > 50
    np.testing.assert_allclose(kept[many], 0.8, atol=1e-5)
    np.testing.assert_allclose(soft[many], 0.4, atol=1e-5)


def test_views_show_what_the_specification_says(body, ball):
    assert body.names == ("topfront", "bottomfront", "topback", "bottomback")
    np.testing.assert_allclose(body.cameras[1], [0.2, 0.875, 0.875, 0.5, 0.65], atol=1e-6)
    np.testing.assert_allclose(ball.cameras[0], [0.15, 0.125, 0.875, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(np.ptp(ball.vertices, axis=0).max(), 1, atol=1e-6)
    np.testing.assert_allclose(ball.vertices.mean(axis=0), 0, atol=1e-5)
    feet = body.vertices[body.vertices[:, 1] < np.quantile(body.vertices[:, 1], 0.03)]
    assert np.ptp(feet[:, 0]) > 0.6  # legs are spread
    white = (np.asarray(body.images) > 0.999).all(axis=-1)
    assert (white == ~np.asarray(body.valid)).mean() > 0.999
    vertices, area = body.coverage()
    assert 0.8 < vertices < area <= 1 and vertices == body.lift.visible.mean()


def test_the_loss_on_vertices_moves_the_pixels(body):
    """InteractVLM's 3D loss as released had no gradient on bodies, its affordance loss none at all."""
    truth = patches(body.vertices, np.random.default_rng(3), 0.2)

    def loss(logits, which):
        q = apply_lift(body.lift, jax.nn.sigmoid(logits)).scores
        return which(q, truth.astype(np.float32), body.lift.visible)

    for which in (vertex_contact_loss, affordance_loss):
        slope = jax.jit(jax.grad(loss), static_argnums=1)
        for value in (0.0, 20.0, -20.0, 100.0, -100.0):
            assert np.isfinite(slope(jnp.full(body.lift.views, value, jnp.float32), which)).all()
        there = np.asarray(slope(jnp.zeros(body.lift.views, jnp.float32), which))
        inside = np.asarray(body.masks(truth, 3))
        assert (there[inside] < 0).all() and (
            there[np.asarray(body.valid) & ~np.asarray(body.masks(truth, 1))] > 0
        ).all()
        assert not there[~np.asarray(body.valid)].any()


def test_an_embedding_is_made_once_for_an_encoder(tmp_path, ball):
    calls = []

    def encode(image):
        calls.append(image.shape)
        return image[::8, ::8].mean(axis=-1)

    small = ball.replace(images=ball.images[:2], cameras=ball.cameras[:2])
    first = cached_embedding(encode, small, "a", tmp_path)
    np.testing.assert_allclose(first[1], ball.images[1, ::8, ::8].mean(axis=-1), atol=1e-6)
    np.testing.assert_array_equal(cached_embedding(encode, small, "a", tmp_path), first)
    assert calls == [(SIZE, SIZE, 3)] * 2
    cached_embedding(encode, small, "b", tmp_path)
    cached_embedding(encode, small.replace(images=1 - small.images), "a", tmp_path)
    assert len(calls) == 6 and len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    np.testing.assert_array_equal(cached_embedding(encode, small, "a", tmp_path), first)
    assert len(calls) == 8
    cached_embedding(encode, small, "a", None)
    assert len(calls) == 10


def test_surfaces_that_cannot_be_seen_are_refused():
    triangle = np.array([[0, 1, 2]])
    for vertices, faces, said in (
        (np.zeros((3, 3)), triangle, "one place"), (np.full((3, 3), np.nan), triangle, "finite"),
        (np.diag([1.0, np.inf, 1.0]), triangle, "finite"),
        (np.eye(3), np.zeros((0, 3), int), "0 faces"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            object_views(vertices, faces, 32)
    hand = free_body("test").replace(joint_names=("left_wrist", "left_index1", "left_index2"), kind="mano")
    with pytest.raises(InputError, match="mano"):
        body_views(hand, 32)
