"""People of known pose before known cameras, and what a perfect detector would say about them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyParams, named_pose
from hoijax.geometry import rotation_from_axis_angle
from hoijax.optim.fitting import MEDIAPIPE_BODY, observe, place_points, point_table

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
SIZE = (600, 800)
MATRIX = np.array([[700.0, 0, 400], [0, 700, 300], [0, 0, 1]], np.float32)


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
