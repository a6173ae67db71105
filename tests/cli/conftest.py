"""Inputs for the command line: small bodies and boxes, the test level of detail, few steps."""

import importlib.util
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.cli import main


def estimate(lead=(), seed=0, **extra):
    """A body with lowered arms beside a box that its left hand is stuck in."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((21, 3), np.float32)
    pose[15, 2], pose[16, 2] = -1.0, 1.0
    jitter = rng.normal(0, 0.03, (*lead, 21, 3)).astype(np.float32)
    return {
        "global_orient": np.zeros((*lead, 3), np.float32),
        "body_pose": (np.broadcast_to(pose, (*lead, 21, 3)) + jitter).reshape(*lead, 63),
        "left_hand_pose": np.zeros((*lead, 45), np.float32),
        "right_hand_pose": np.zeros((*lead, 45), np.float32),
        "betas": np.zeros((*lead, 10), np.float32),
        "transl": np.broadcast_to(np.array([0, 0.9, 0], np.float32), (*lead, 3)),
        "obj_rot": np.zeros((*lead, 3), np.float32),
        "obj_trans": np.array([0.45, 0.75, 0.1], np.float32) + rng.normal(0, 0.01, (*lead, 3)).astype(np.float32),
        "obj_scale": np.ones(lead, np.float32),
    } | extra


@pytest.fixture(scope="session", name="estimate")
def _estimate():
    return estimate


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    """A box of 30 cm in metres."""
    path = tmp_path_factory.mktemp("meshes") / "box.obj"
    trimesh.creation.box((0.3, 0.3, 0.3)).export(path)
    return path


@pytest.fixture
def save(tmp_path):
    """Writes arrays to an .npz in the test's folder."""

    def write(name, arrays):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture(scope="session")
def fake():
    """The module of the fake refiner."""
    spec = importlib.util.spec_from_file_location("fake_refiner", pathlib.Path(__file__).parent / "fake_refiner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def refine(fake, box, monkeypatch, tmp_path, capsys):
    """Runs `hoijax refine` with the fake refiner; returns exit code, stdout, stderr and the refiner's calls."""
    fake.patch(monkeypatch.setattr)

    def run(body, *options, out="out", mesh=box, pictures=0):
        fake.CALLS.clear()
        code = main([
            "refine", "--body", str(body), "--object", str(mesh), "--out", str(tmp_path / out), "--lod", "test",
            "--pictures", str(pictures), *options,
        ])  # fmt: skip
        told = capsys.readouterr()
        return code, told.out, told.err, list(fake.CALLS)

    return run
