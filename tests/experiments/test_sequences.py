import numpy as np
import pytest
import trimesh

from hoijax.body_models import BodyParams, free_body
from hoijax.experiments import sequences
from hoijax.experiments.sequences import NOISES, TrueSequence, noisy, tables
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_template

COUNT = 400


@pytest.fixture(scope="module")
def still():
    model = free_body("test")
    eye = np.broadcast_to(np.eye(3, dtype=np.float32), (COUNT, model.num_joints, 3, 3)).copy()
    params = BodyParams(eye, np.zeros((COUNT, 10), np.float32), np.zeros((COUNT, 3), np.float32))
    pose = RigidPose(eye[:, 0], np.zeros((COUNT, 3), np.float32), np.ones(COUNT, np.float32))
    box = trimesh.creation.box((0.3, 0.3, 0.3))
    mesh = Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32))
    return TrueSequence(params, pose, make_template(mesh, resolution=8), (), True)


@pytest.mark.parametrize(("label", "factor"), [("white", 1.0), ("white and slow", np.sqrt(1.25))])
def test_estimates_have_the_noise_that_they_say(still, label, factor):
    params, pose = noisy(still, NOISES[label], 30.0, 3)
    for found in (params.translation, pose.translation):
        np.testing.assert_allclose(found.std(axis=0), 0.02 * factor, rtol=0.12)
    sine = params.rotations[:, 5, 2, 1]
    np.testing.assert_allclose(sine.std(), np.radians(3) * factor, rtol=0.12)
    again, _ = noisy(still, NOISES[label], 30.0, 3)
    np.testing.assert_array_equal(again.translation, params.translation)
    other, _ = noisy(still, NOISES[label], 30.0, 4)
    assert np.abs(other.translation - params.translation).max() > 0.01


def test_the_page_shows_means_of_each_way_and_what_strays():
    def run(x):
        names = ("body_jitter", "object_jitter", "body_off", "object_off", "object_strays")
        ways = {way: {n: x + k for n in names} for k, way in enumerate(("estimate", "frames", "sequence", "truth"))}
        return ways | {"case": "Sitting", "still": True}

    (text,) = tables({"rows": {"white": {"sit": [run(1.0), run(3.0)]}}})
    assert "| Sitting | 2.0 / 3.0 / 4.0 / 5.0 | 2.0 / 3.0 / 4.0 / 5.0 | 2 / 3 / 4 | 2 / 3 / 4 | 4.00 |" in text
    moving = run(1.0) | {"still": False}
    assert "| moves |" in tables({"rows": {"white": {"sit": [moving]}}})[0]


def test_jitter_is_the_length_of_second_differences():
    t = np.arange(9.0)
    points = np.stack([t**2, 0 * t, 0 * t], axis=1)[:, None]
    assert sequences._jitter(points) == pytest.approx(2.0)
