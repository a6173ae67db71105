"""Made-up interactions for training on from a clean checkout: the free body with a box before it, drawn as points."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, keypoints, named_pose, pose_body
from hoijax.experiments.scorehoi.samples import Truth, training_sample
from hoijax.systems.scorehoi.inputs import Layout

_PIXELS, _FOCAL = 128, 160.0
_REACH = 0.05
"""Distance of contact, metres."""


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """Samples by index: standing or carrying bodies of random shape and heading, each with a box of random size.

    Pictures hold the surface's points, brighter the nearer: enough to learn from, and to test with. SynthHOI is the
    real thing.
    """

    layout: Layout
    count: int = 256
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return training_sample(self.truth(index), self.layout)

    @functools.cached_property
    def _pose(self):
        model = self.layout.model

        def run(rotations, betas):
            posed = pose_body(model, BodyParams(rotations, betas, jnp.zeros(3, jnp.float32)))
            return posed.vertices, keypoints(model, posed)

        return jax.jit(run)

    def truth(self, index: int) -> Truth:
        """The interaction of an index."""
        rng = np.random.default_rng([self.seed, index])
        model = self.layout.model
        given = named_pose("carry" if rng.random() < 0.5 else "stand")
        parts = [given[name].reshape(-1, 3) for name in ("body_pose", "left_hand_pose", "right_hand_pose")]
        pose = np.concatenate([np.zeros((1, 3)), *parts]).astype(np.float64)
        pose[1:22] += 0.1 * rng.normal(size=(21, 3))
        local = Rotation.from_rotvec(pose).as_matrix()
        heading = Rotation.from_rotvec([0, rng.uniform(-1.0, 1.0), 0])
        local[0] = np.diag([1.0, -1.0, -1.0]) @ heading.as_matrix()
        betas = np.clip(rng.normal(size=model.num_betas), -2, 2)
        vertices, points = (np.asarray(x, np.float64) for x in self._pose(np.float32(local), np.float32(betas)))
        camera = np.array([0.1 * rng.normal(), 0.1 * rng.normal(), 3.5]) - points[0]
        vertices, points = vertices + camera, points + camera
        half = rng.uniform(0.08, 0.2, 3)
        template = _box(rng, half, 64)
        place = points[0] + local[0] @ np.array([0.0, 0.2, 0.25 + half[2]]) + 0.05 * rng.normal(size=3)
        turn = local[0] @ Rotation.from_rotvec(0.3 * rng.normal(size=3)).as_matrix()
        box = template @ turn.T + place
        drawn, human, obj = _draw(vertices, _box(rng, half, 4000) @ turn.T + place)
        return Truth(
            image=drawn,
            human=human,
            object=obj,
            rotations=local,
            betas=betas,
            object_rotation=turn,
            object_translation=place,
            keypoints=points,
            pixels=_project(points),
            points=template,
            body_contact=cKDTree(box).query(vertices)[0] < _REACH,
            object_contact=cKDTree(vertices).query(box)[0] < _REACH,
            object_floor=box[:, 1] > max(vertices[:, 1].max(), box[:, 1].max()) - _REACH,
        )


def _box(rng: np.random.Generator, half: np.ndarray, count: int) -> np.ndarray:
    """Random points on the faces of a box."""
    points = rng.uniform(-1, 1, (count, 3))
    axis = rng.integers(3, size=count)
    points[np.arange(count), axis] = rng.choice([-1.0, 1.0], count)
    return points * half


def _project(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:] * _FOCAL + _PIXELS / 2


def _draw(human: np.ndarray, obj: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture and masks of two clouds of points; the nearest point of a pixel is seen."""
    points = np.concatenate([human, obj])
    order = np.argsort(-points[:, 2])  # far ones first
    column, row = np.clip(_project(points[order]).astype(int), 0, _PIXELS - 1).T
    label = np.zeros((_PIXELS, _PIXELS), np.uint8)
    label[row, column] = np.where(order < len(human), 1, 2)
    light = np.zeros((_PIXELS, _PIXELS), np.uint8)
    light[row, column] = np.clip(255 * (4.5 - points[order, 2]) / 2, 40, 255)
    image = np.stack([light, np.where(label == 1, light, 0), np.where(label == 2, light, 0)], axis=-1)
    return image, label == 1, label == 2
