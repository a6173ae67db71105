import numpy as np
import pytest

from hoijax.metrics import mpjpe_mm, mpvpe_mm, pa_mpjpe_mm


@pytest.fixture
def joints():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 22, 3)), rng.normal(size=(3, 22, 3))


def test_mpjpe_matches_a_loop(joints):
    a, b = joints
    for i in range(3):
        want = 1000 * np.mean([np.linalg.norm(p - q) for p, q in zip(a[i], b[i], strict=True)])
        np.testing.assert_allclose(mpjpe_mm(a, b)[i], want)
        np.testing.assert_allclose(mpjpe_mm(a[i], b[i]), want)
    want = 1000 * np.mean(np.linalg.norm((a - a[:, 3:4]) - (b - b[:, 3:4]), axis=-1), -1)
    np.testing.assert_allclose(mpjpe_mm(a, b, root=3), want)


def test_weights_leave_joints_out(joints):
    a, b = joints
    weights = np.zeros((3, 22), bool)
    weights[:, :10] = True
    np.testing.assert_allclose(mpjpe_mm(a, b, weights=weights), mpjpe_mm(a[:, :10], b[:, :10]))
    np.testing.assert_allclose(pa_mpjpe_mm(a, b, weights=weights), pa_mpjpe_mm(a[:, :10], b[:, :10]))
    np.testing.assert_array_equal(mpjpe_mm(a, b, weights=np.zeros((3, 22))), 0)


def test_pa_mpjpe_ignores_similarities_and_is_not_larger(joints):
    a, b = joints
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    q[:, 0] *= np.linalg.det(q)
    np.testing.assert_allclose(pa_mpjpe_mm(0.7 * a @ q.T + 2.0, a), 0, atol=1e-9)
    np.testing.assert_allclose(pa_mpjpe_mm(0.7 * a @ q.T + 2.0, b), pa_mpjpe_mm(a, b))
    assert np.all(pa_mpjpe_mm(a, b) < mpjpe_mm(a, b))
    # A mirrored skeleton is not the same skeleton.
    assert np.all(pa_mpjpe_mm(a * np.array([-1.0, 1, 1]), a) > 100)


def test_mpvpe_with_and_without_roots(joints):
    a, b = joints
    np.testing.assert_allclose(mpvpe_mm(a, b), mpjpe_mm(a, b))
    np.testing.assert_allclose(mpvpe_mm(a, b, predicted_root=a[:, 0], true_root=b[:, 0]), mpjpe_mm(a, b, root=0))
    with pytest.raises(ValueError, match="both sides"):
        mpvpe_mm(a, b, true_root=b[:, 0])
