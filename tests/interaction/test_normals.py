import jax
import numpy as np
from jax.test_util import check_grads
from scipy.spatial.distance import cdist

from hoijax.interaction import facing, normal_loss


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_facing_by_angle():
    a = np.array([[0.0, 0, 1]] * 4)
    b = np.array([[0.0, 0, -1], [0, 1, 0], [0, 0, 1], unit(np.array([0, 1, -1.0]))])
    np.testing.assert_array_equal(facing(a, b), [True, False, False, True])
    np.testing.assert_array_equal(facing(a, b, max_cosine=-0.8), [True, False, False, False])


def test_loss_matches_a_loop(clouds):
    body, object, mask, _ = clouds
    rng = np.random.default_rng(2)
    nb, no = unit(rng.normal(size=body.shape)), unit(rng.normal(size=object.shape))
    pairs = cdist(body, object)
    terms = [np.exp(-pairs[i].min() / 0.05) * (1 + nb[i] @ no[pairs[i].argmin()]) ** 2 for i in np.flatnonzero(mask)]
    np.testing.assert_allclose(normal_loss(body, nb, object, no, body_mask=mask), np.mean(terms), rtol=1e-12)


def test_zero_when_opposite_four_when_aligned_at_contact():
    points, up = np.random.default_rng(0).random((6, 3)), np.tile([0.0, 0, 1], (6, 1))
    np.testing.assert_allclose(normal_loss(points, up, points, -up), 0.0, atol=1e-15)
    np.testing.assert_allclose(normal_loss(points, up, points, up), 4.0)


def test_positions_get_no_gradient_and_normals_the_right_one(clouds):
    body, object, mask, _ = clouds
    rng = np.random.default_rng(2)
    nb, no = unit(rng.normal(size=body.shape)), unit(rng.normal(size=object.shape))
    grads = jax.jit(jax.grad(normal_loss, argnums=(0, 2)))(body, nb, object, no)
    assert all(np.all(g == 0) for g in grads)
    loss = jax.jit(lambda a, b: normal_loss(body, a, object, b, body_mask=mask))
    check_grads(loss, (nb, no), 1, modes=("rev",), rtol=1e-6)


def test_empty_mask_is_zero(clouds):
    body, object, _, _ = clouds
    assert normal_loss(body, body, object, object, body_mask=np.zeros(40, bool)) == 0
