"""Bodies of each kind with human proportions, people of known pose before known cameras, and perfect detectors."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyParams, free_body, named_pose
from hoijax.geometry import rotation_from_axis_angle
from hoijax.optim.fitting import MEDIAPIPE_BODY, FitConfig, observe, place_points, point_table, prepare_body

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
SIZE = (600, 800)
MATRIX = np.array([[700.0, 0, 400], [0, 700, 300], [0, 0, 1]], np.float32)
CONFIG = FitConfig(azimuths=4, starts=2, first_steps=10, steps=20)
"""One configuration serves all tests, so that they share programs."""
_EXTRA = {"jaw": (0.0, -0.04, 0.06), "left_eye_smplhf": (0.03, 0.02, 0.08), "right_eye_smplhf": (-0.03, 0.02, 0.08)}


def recast(kind):
    """A body of a kind made from the free body's "test" level: nothing in it comes from a licensed file."""
    source = free_body("test")
    if kind == "free":
        return source
    names, known = JOINT_NAMES[kind], source.joint_names
    count = source.num_vertices
    rows = [known.index(_source(name)) for name in names]
    place = np.asarray(source.joint_template)[rows].copy()
    for name, offset in _EXTRA.items():
        if name in names:
            place[names.index(name)] += offset
    weights = np.zeros((count, len(names)), np.float32)
    for joint, name in enumerate(known):
        owner = name if name in names else f"{name.split('_')[0]}_hand"  # SMPL's hands are of one piece
        weights[:, names.index(owner)] += np.asarray(source.skin_weights)[:, joint]
    rng = np.random.default_rng(0)
    dirs, joint_dirs, expression = np.asarray(source.shape_dirs), np.asarray(source.joint_shape_dirs)[rows], 0
    basis = None
    if kind == "smplx":
        expression = 10
        dirs = np.concatenate([dirs, 1e-3 * rng.normal(size=(count, 3, 10)).astype(np.float32)], axis=-1)
        joint_dirs = np.concatenate([joint_dirs, np.zeros((len(names), 3, 10), np.float32)], axis=-1)
        basis = (2e-4 * rng.normal(size=(9 * (len(names) - 1), 3, count))).astype(np.float32)
    tips = [(name, vertex) for name, vertex in source.landmarks if name != "head_top"]
    return source.replace(
        joint_template=place, joint_shape_dirs=joint_dirs, shape_dirs=dirs, skin_weights=weights, pose_basis=basis,
        parents=PARENTS[kind], joint_names=names, kind=kind, num_expression=expression, landmarks=tuple(tips),
    )  # fmt: skip


def _source(name):
    if name in _EXTRA:
        return "head"
    return f"{name.split('_')[0]}_middle1" if name.endswith("_hand") else name


@pytest.fixture(scope="session")
def body_of():
    return functools.cache(recast)


@dataclasses.dataclass(frozen=True)
class Scene:
    """One person in the camera's frame."""

    joints: np.ndarray
    points: np.ndarray
    pixels: np.ndarray
    params: BodyParams

    def observe(self, pixels=None, weights=None, *, noise=0.5, metric=False, metric_std=0.01, **options):
        """The points as a detector with this error would claim them."""
        return observe(
            NAMES,
            self.pixels if pixels is None else pixels,
            weights,
            metric=self.points if metric else None,
            pixel_std=noise,
            metric_std=metric_std,
            spread=0.0,
            **options,
        )


def stand_before_camera(model, pose="stand", *, yaw=0.3, seed=0, jitter=0.15, position=(0.1, 0.0, 3.5), names=NAMES):
    """A named pose, shaken, of a person of random shape, turned by `yaw` from facing the camera."""
    rng = np.random.default_rng(seed)
    vectors = named_pose(pose)["body_pose"].reshape(21, 3) + jitter * rng.normal(size=(21, 3)) * [1, 0.5, 0.5]
    turn = rotation_from_axis_angle(np.array([0.0, yaw, 0.0]))
    facing = np.diag([1.0, -1.0, -1.0]) @ np.asarray(turn)
    whole = np.zeros((model.num_joints - 1, 3))
    whole[:21] = vectors
    rotations = np.concatenate([facing[None], rotation_from_axis_angle(whole)]).astype(np.float32)
    betas = np.zeros(model.num_betas, np.float32)
    betas[:10] = np.clip(rng.normal(0, 0.8, 10), -2, 2)
    pelvis = np.asarray(model.joint_template)[0] + np.asarray(model.joint_shape_dirs)[0] @ betas
    params = BodyParams(rotations, betas, (np.asarray(position) - pelvis).astype(np.float32))
    params = jax.tree.map(jnp.asarray, params)
    points, joints = (np.asarray(x) for x in place_points(point_table(model, names), params))
    pixels = points[:, :2] / points[:, 2:] * 700.0 + MATRIX[:2, 2]
    return Scene(joints, points, pixels, params)


def joint_error(fit, scene, row=None, *, rooted=False):
    """Mean distance of the 22 body joints from the truth, metres."""
    joints = np.asarray(fit.joints if row is None else fit.joints[row])[:22]
    truth = scene.joints[:22]
    if rooted:
        joints, truth = joints - joints[0], truth - truth[0]
    return float(np.linalg.norm(joints - truth, axis=1).mean())


@pytest.fixture(scope="session")
def scenes():
    """What the test modules share."""
    return types.SimpleNamespace(
        NAMES=NAMES, SIZE=SIZE, MATRIX=MATRIX, CONFIG=CONFIG, stand_before_camera=stand_before_camera,
        joint_error=joint_error,
    )  # fmt: skip


@pytest.fixture(scope="session")
def prepared():
    """The free body's "test" level, for MediaPipe's points."""
    return prepare_body(free_body("test"), NAMES)
