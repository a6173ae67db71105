import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.body_models.resampling import Resampling, resample_vertices, selected_vertices
from hoijax.errors import InputError


@pytest.fixture(scope="module")
def resampled() -> Resampling:
    return resample_vertices(free_body("test"))


def test_shapes_rows_and_determinism(resampled):
    model = free_body("test")
    assert resampled.down.shape == (431, model.num_vertices) and resampled.up.shape == (model.num_vertices, 431)
    np.testing.assert_array_equal(resampled.down.sum(1), 1)
    np.testing.assert_allclose(resampled.up.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(resampled.up[resampled.ids], np.eye(431))
    again = resample_vertices(model)
    np.testing.assert_array_equal(again.ids, resampled.ids)
    np.testing.assert_array_equal(again.up, resampled.up)


def test_extremities_are_among_the_points(resampled):
    vertices = np.asarray(free_body("test").v_template)
    few = vertices[resampled.ids]
    # Head, soles, and both hands' tips: within two centimetres of the farthest vertex each way.
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        assert (sign * vertices[:, axis]).max() - (sign * few[:, axis]).max() < 0.02
    gap = np.linalg.norm(vertices[:, None] - few[None], axis=-1).min(1)
    assert gap.max() < 0.09
    hands = np.abs(few[:, 0]) > 0.75 * np.abs(vertices[:, 0]).max()
    assert hands.sum() > 60


def test_the_way_back_follows_a_pose(resampled):
    model = free_body("test")
    template = np.asarray(model.v_template)
    error = np.linalg.norm(resampled.up @ template[resampled.ids] - template, axis=1)
    assert error.mean() < 5e-4 and error.max() < 0.02
    params = BodyParams.from_axis_angle(model, **named_pose("sit"), betas=np.full(10, 1.0, np.float32))
    posed = np.asarray(pose_body(model, params).vertices)
    error = np.linalg.norm(resampled.up @ posed[resampled.ids] - posed, axis=1)
    assert error.mean() < 0.01


def test_rigid_motions_are_followed_exactly(resampled):
    template = np.asarray(free_body("test").v_template, np.float64)
    up = resampled.up.astype(np.float64)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    want = (up @ template[resampled.ids]) @ turn.T + [0.3, -0.2, 1.0]
    np.testing.assert_allclose(up @ (template[resampled.ids] @ turn.T + [0.3, -0.2, 1.0]), want, atol=1e-5)


def test_selections_are_told_from_mixtures(resampled):
    np.testing.assert_array_equal(selected_vertices(resampled.down), resampled.ids)
    assert selected_vertices(0.5 * resampled.down + 0.5 * np.roll(resampled.down, 1, axis=1)) is None
    assert selected_vertices(resampled.down[[0, 0]]) is None


@pytest.mark.parametrize("count", [3, 10**6])
def test_impossible_counts_are_refused(count):
    with pytest.raises(InputError, match="can be resampled to 4"):
        resample_vertices(free_body("test"), count)
