"""The comparison of prior and gradients: its perturbations, its files, its table."""

import pathlib

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.data.evaluation.predictions import parse_record
from hoijax.experiments.scorehoi.prior_table import METHODS, Config, markdown, perturb_estimates, records


@pytest.fixture(autouse=True)
def single_precision():
    """As outside this suite."""
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    sizes = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "betas": 10, "transl": 3}
    body = {name: 0.1 * rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    return [{"body": body, "obj_rot": np.float32([0, 0.3, 0]), "obj_trans": np.float32([0, 0.5, 1])}] * 40


def test_perturbations_have_the_stated_size_and_are_the_samples_own(samples):
    config = Config(root=pathlib.Path())
    params, pose = perturb_estimates(samples, config, 0)
    shift = np.linalg.norm(pose.translation - samples[0]["obj_trans"], axis=1)
    np.testing.assert_allclose(np.sqrt(np.mean(shift**2)), config.perturbation.shift, rtol=0.3)
    truth = Rotation.from_rotvec(samples[0]["obj_rot"])
    turned = (Rotation.from_matrix(pose.rotation) * truth.inv()).magnitude()
    np.testing.assert_allclose(np.degrees(np.sqrt(np.mean(turned**2))), config.perturbation.turn, rtol=0.3)
    np.testing.assert_array_equal(params.betas, np.tile(samples[0]["body"]["betas"], (40, 1)))
    # Batches may be cut anywhere.
    later, _ = perturb_estimates(samples[:3], config, 7)
    np.testing.assert_array_equal(later.rotations, params.rotations[7:10])


def test_what_is_written_is_what_the_harness_reads(samples):
    params, pose = perturb_estimates(samples[:2], Config(root=pathlib.Path()), 0)
    row = parse_record(records(free_body("test"), params, pose)[1], pathlib.Path("row"))
    assert not row.ignored
    np.testing.assert_allclose(Rotation.from_rotvec(row.values["obj_rot"]).as_matrix(), pose.rotation[1], atol=1e-5)
    pose_of = Rotation.from_rotvec(row.values["body_pose"].reshape(21, 3)).as_matrix()
    np.testing.assert_allclose(pose_of, params.rotations[1, 1:22], atol=1e-5)


def test_the_table_says_what_it_compares():
    row = {"mean": 4.2, "low": 4.0, "high": 30.5, "count": 7}
    result = {
        "config": {"perturbation": {"shift": 0.1, "turn": 15.0, "joint": 5.0}, "given": False, "batch": 5},
        "weights": {"states": {"scripted": 2000, "solved": 3}}, "device": "cpu", "per_second": {"gradients": 1.25},
        "splits": {"test": {method: {"mpjpe_root_mm": row, "contact_5cm_f1": row} for method in METHODS}},
    }  # fmt: skip
    text = markdown(result)
    assert "test, 7 interactions" in text and "| prior, then gradients | 4.20 (4.00 to 30.50) |" in text
    assert "not told but proposed" in text and "2,000 scripted and 3" in text and "gradients 1.25" in text
