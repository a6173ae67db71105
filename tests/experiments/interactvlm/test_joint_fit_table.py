"""The joint fit's table: contacts by kind, numbers by hand, paired gains."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.experiments.interactvlm import joint_fit as table
from hoijax.geometry import RigidPose
from hoijax.jobs.joint_fit import paired
from hoijax.optim.fitting import ContactEvidence


@pytest.fixture
def case():
    """A plate of points 1 cm above another, side by side with one that touches nothing."""
    grid = np.stack(np.meshgrid(np.arange(30), np.arange(30), [0.0]), axis=-1).reshape(-1, 3) * 0.02
    body = np.concatenate([grid + [0, 0, 2.0], grid + [2.0, 0, 2.0]])
    pose = RigidPose(Rotation.from_rotvec([0, 0.3, 0]).as_matrix(), np.array([0, 0, 2.01]), np.float64(1))
    surface = np.concatenate([grid, grid + [0, 0, 1.0]]) @ Rotation.from_rotvec([0, 0.3, 0]).as_matrix()
    case = object.__new__(table.Case)  # contacts need no body's parameters, template or picture
    case.__dict__.update(body=body, surface=surface, pose=pose)
    return case


@pytest.fixture
def reader():
    reader = table.Reader.__new__(table.Reader)
    reader._rng = np.random.default_rng(0)
    return reader


def test_contacts_of_every_kind(case, reader):
    placed = table.place(case.pose, case.surface)
    np.testing.assert_allclose(placed[:900], case.body[:900] + [0, 0, 0.01], atol=1e-9)
    true = reader.evidence(case, "true")
    np.testing.assert_array_equal(true.body, np.repeat([1.0, 0.0], 900))
    np.testing.assert_array_equal(true.object, np.repeat([1.0, 0.0], 900))
    np.testing.assert_array_equal(true.pairs[0], np.arange(900))
    np.testing.assert_allclose(true.pairs[1], case.surface[:900], atol=1e-6)
    flipped = reader.evidence(case, "flipped")
    for one, other in ((flipped.body, true.body), (flipped.object, true.object)):
        for half in (slice(0, 900), slice(900, None)):
            assert 0.25 < (one[half] != other[half]).mean() < 0.35
    assert flipped.pairs is None
    wrong = reader.evidence(case, "perturbed")
    off = np.linalg.norm(wrong.pairs[1] - true.pairs[1], axis=1)
    assert 0.01 < off.mean() < 0.06
    lost = (true.body > 0) & (wrong.body == 0)
    assert 200 < lost.sum() <= 300


def test_pairs_are_of_the_pose_that_is_given():
    body = np.array([[0, 0, 1.0], [0.5, 0, 1.0], [9, 9, 9]])
    points = np.array([[0, 0, 0], [0, 0.5, 0], [0, -0.45, 0], [0, 0.49, 0.0]])
    turn = Rotation.from_rotvec([0, 0, np.pi / 2]).as_matrix()  # y becomes -x
    given = ContactEvidence(np.array([0.5, 0.9, 0.4]), np.array([1.0, 0.3, 0.3, 0.29]), points)
    found = paired(given, body, RigidPose(turn, np.array([0.0, 0, 1]), np.float64(1)))
    np.testing.assert_array_equal(found.pairs[0], [0, 1])
    np.testing.assert_allclose(found.pairs[1], points[[0, 2]])
    nothing = dataclasses.replace(given, object=np.zeros(4))
    assert paired(nothing, body, RigidPose(turn, np.zeros(3), np.float64(1))).pairs is None


def test_gains_are_over_the_same_samples():
    row = lambda *x: dict(zip(table.METRICS, x)) | {"cpu_s": 1.0}  # noqa: E731
    rows = {"joint": [row(1.0, 0.9, 0.0), row(3.0, 0.7, 2.0)], "pico": [row(5.0, 0.5, 1.0), row(9.0, 0.1, 3.0)]}
    found = table.score(rows)
    assert found["joint"]["chamfer_cm"] == 2 and found["pico"]["chamfer_cm"] == 7 and found["pico"]["samples"] == 2
    assert "gain_chamfer_cm" not in found["joint"]
    mean, low, high = found["pico"]["gain_chamfer_cm"]
    assert mean == -5 and low >= -6.001 and high <= -3.999
    np.testing.assert_allclose(found["pico"]["gain_contact_f"][0], 0.5)
    np.testing.assert_allclose(found["pico"]["gain_penetration_cm"], [-1, -1, -1])


def test_chamfer_is_there_and_back():
    a, b = np.zeros((4, 3)), np.array([[0.1, 0, 0], [0.3, 0, 0]])
    np.testing.assert_allclose(table._chamfer(a, b), 0.2 + 0.1)
