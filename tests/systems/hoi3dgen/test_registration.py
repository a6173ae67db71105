"""How far a body is from a person, in the paper's unit; and the release's alignment, what it is and is not."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import cutting
from hoijax.systems.hoi3dgen import registration


@pytest.fixture(scope="module")
def rest():
    """A tall body in its rest pose, and the closed part that it is."""
    model = free_body("test")
    betas = np.zeros(model.num_betas, np.float32)
    betas[0] = 1.5
    eye = np.tile(np.eye(3, dtype=np.float32), (model.num_joints, 1, 1))
    params = BodyParams(eye, betas, np.zeros(3, np.float32))
    vertices = np.asarray(pose_body_compiled(model, params).vertices)
    return model, params, vertices, cutting.close_holes(vertices, model.faces)


def part_of(vertices, faces):
    return cutting.close_holes(vertices, faces)


def test_distances_are_those_of_a_body_of_1_7_metres(rest):
    model, params, vertices, part = rest
    same = registration.distances(model, params, vertices, part)
    assert same.surface < 1e-3 and 0.7 < same.points < 1.6
    # Everything three times as large: the unit is the body's.
    large = registration.distances(model, params, 3 * vertices, part_of(3 * vertices, model.faces))
    assert large.surface < 1e-3 and large.points == pytest.approx(same.points, rel=1e-3)
    height = np.ptp(vertices[:, 1])
    moved = registration.distances(model, params, vertices + np.float32([0, 0, 0.03]), part)
    assert 0.3 * 3 * 1.7 / height < moved.surface < 3 * 1.7 / height
    # Points of the person where the body is not count as much as points of the body where no person is.
    half = np.asarray(model.faces)[vertices[model.faces].mean(axis=1)[:, 1] > 0]
    less = registration.distances(model, params, vertices, part_of(vertices, half))
    assert less.surface > 5


def test_no_person_no_body(rest):
    model, _, vertices, _ = rest
    nobody = cutting.split_surface(vertices, model.faces, np.ones(len(model.faces), int))[0]
    with pytest.raises(InputError, match="no part"):
        registration.register(nobody, model)


def test_the_release_scales_each_axis(rest):
    _, _, vertices, _ = rest
    turn = Rotation.from_euler("y", 0.1).as_matrix()
    cloud = (vertices * [1.3, 0.9, 1.1]) @ turn.T + [0.5, 0.2, -0.3]
    found = registration.register_released(vertices, cloud, steps=40)
    np.testing.assert_allclose(found.vertices, vertices @ found.matrix[:3, :3].T + found.matrix[:3, 3], atol=1e-5)
    square = found.matrix[:3, :3].T @ found.matrix[:3, :3]
    scales = np.sqrt(np.linalg.eigvalsh(square))
    assert scales[2] / scales[0] > 1.2  # no similarity
    near = cKDTree(cloud).query(found.vertices)[0]
    start = cKDTree(cloud).query(vertices + (cloud.mean(0) - vertices.mean(0)))[0]
    assert near.mean() < 0.03 and near.mean() < 0.5 * start.mean()
    chosen = cloud[np.random.default_rng(0).choice(len(cloud), registration.SAMPLES, replace=True)]
    both = np.mean(cKDTree(chosen).query(found.vertices)[0] ** 2)
    both += np.mean(cKDTree(found.vertices).query(chosen)[0] ** 2)
    assert found.loss == pytest.approx(both, rel=1e-3)


@pytest.mark.parametrize(("cloud", "said"), [(np.zeros((3, 3)), "3 points"), (np.eye(4, 3)[:, [0, 1, 1]], "one plane")])
def test_clouds_that_have_no_box_are_refused(rest, cloud, said):
    with pytest.raises(InputError, match=said):
        registration.register_released(rest[2], cloud)
