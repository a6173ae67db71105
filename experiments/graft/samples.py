"""Training samples: a true body in a scene, from SynthHOI or made up on the spot; by index, so that runs resume."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization, struct
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, named_pose, pose_body
from hoijax.errors import InputError
from hoijax.geometry import PointBlocks, RigidPose
from hoijax.optim.graft import BodySpec, GraftState, Scene, apply_similarity, make_scene, normals_of_point_map
from hoijax.optim.graft.estimates import points_from_depth


@struct.dataclass
class GraftSample:
    """A scene without its people, and one true body in it; camera frame, metres."""

    scene: Scene
    truth: BodyParams | Any


def fields_of(sample: GraftSample) -> dict[str, Any]:
    """A sample as nested dictionaries of arrays, which `hoijax.data.loading` stacks to batches."""
    return serialization.to_state_dict(sample)


def sample_of(fields: Mapping[str, Any]) -> GraftSample:
    """The sample, or batch of samples, of such dictionaries."""
    scene, truth = fields["scene"], fields["truth"]
    blocks = PointBlocks(**scene["blocks"])
    return GraftSample(scene=Scene(blocks=blocks, normals=scene["normals"]), truth=BodyParams(**truth))


@dataclasses.dataclass(frozen=True)
class Rooms:
    """Made-up samples: the free body standing on a floor or sitting on a box, before a wall, seen by a camera.

    Points lie on the surfaces themselves, with their normals, as if everything were visible. Enough to train and test
    on from a clean checkout; SynthHOI is the real thing.
    """

    model: BodyModel
    spec: BodySpec
    count: int = 64
    points: int = 2048
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> GraftSample:
        rng = np.random.default_rng([self.seed, index])
        sitting = bool(rng.random() < 0.5)
        pose = named_pose("sit" if sitting else "stand")
        pose["body_pose"] = pose["body_pose"] + 0.08 * rng.normal(size=63).astype(np.float32)
        betas = rng.normal(size=self.model.num_betas).astype(np.float32)
        params = BodyParams.from_axis_angle(self.model, **pose, betas=betas)
        surface = np.asarray(pose_body(self.model, params).vertices)
        floor = float(surface[:, 1].min())
        walls = [_rectangle(rng, self.points // 2, [-2.5, floor, -2.5], [5, 0, 0], [0, 0, 5], [0, 1, 0])]
        hips = surface[self.spec.contact_vertices]
        if sitting:
            seat = hips[np.abs(hips[:, 1] - np.median(hips[:, 1])) < 0.5]
            pelvis = np.asarray(params.translation) + np.asarray(self.model.joint_template)[0]
            near = seat[np.linalg.norm(seat[:, [0, 2]] - pelvis[[0, 2]], axis=1) < 0.25]
            top = float(near[:, 1].min())
            half = 0.25 + 0.15 * rng.random()
            corner = [pelvis[0] - half, top, pelvis[2] - half - 0.1]
            walls += [_rectangle(rng, self.points // 4, corner, [2 * half, 0, 0], [0, 0, 2 * half], [0, 1, 0])]
            front = [corner[0], floor, corner[2] + 2 * half]
            walls += [_rectangle(rng, self.points // 8, front, [2 * half, 0, 0], [0, top - floor, 0], [0, 0, 1])]
        left = self.points - sum(len(p) for p, _ in walls)
        back = -0.8 - rng.random()
        walls += [_rectangle(rng, left, [-2.5, floor, back], [5, 0, 0], [0, 2.5, 0], [0, 0, 1])]
        points, normals = (np.concatenate(x) for x in zip(*walls))
        camera = _camera(rng, floor)
        return GraftSample(
            scene=make_scene(_moved(camera, points), normals @ np.asarray(camera.rotation).T, capacity=self.points),
            truth=_in_camera(self.spec, params, camera),
        )


@dataclasses.dataclass(frozen=True)
class SynthScenes:
    """SynthHOI's human-scene samples (`hoijax.data.synth.open_split`, splits "scenes...")."""

    split: Any
    model: BodyModel
    spec: BodySpec
    points: int = 16384
    seed: int = 0

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> GraftSample:
        return sample_from_synth(
            self.split[index], self.model, self.spec, points=self.points, rng=np.random.default_rng([self.seed, index])
        )


def sample_from_synth(
    sample: Mapping[str, Any], model: BodyModel, spec: BodySpec, *, points: int, rng: np.random.Generator
) -> GraftSample:
    """One of SynthHOI's human-scene samples: the point map of the image without the person, and the person.

    Args:
      sample: as `SynthSplit` decodes it.
      model: the free body.
      spec: of that body.
      points: scene points kept, drawn at random where the image has more.
      rng: for that.

    Raises:
      InputError: no scene sample.
    """
    missing = [name for name in ("body", "depth_empty", "intrinsics", "T_camera_world") if name not in sample]
    if missing:
        raise InputError(f"a SynthHOI sample without {', '.join(missing)}; GRAFT wants the scene splits")
    point_map = points_from_depth(np.asarray(sample["depth_empty"]), np.asarray(sample["intrinsics"]))
    normals, kept = normals_of_point_map(point_map)
    cloud, normals = point_map[kept], normals[kept]
    if len(cloud) > points:
        chosen = rng.choice(len(cloud), points, replace=False)
        cloud, normals = cloud[chosen], normals[chosen]
    body = {name: np.asarray(value, np.float32) for name, value in sample["body"].items()}
    pose = np.asarray(sample["T_camera_world"], np.float32)
    camera = RigidPose(rotation=pose[:3, :3], translation=pose[:3, 3], scale=np.float32(1.0))
    params = BodyParams.from_axis_angle(model, **body)
    return GraftSample(scene=make_scene(cloud, normals, capacity=points), truth=_in_camera(spec, params, camera))


def _in_camera(spec: BodySpec, params: BodyParams, camera: RigidPose) -> BodyParams:
    camera = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), camera)
    moved = apply_similarity(spec, GraftState.of(params), camera).params
    return jax.tree.map(np.asarray, moved)


def _camera(rng: np.random.Generator, floor: float) -> RigidPose:
    """A camera 2 to 4 m in front of the body, 0.8 to 1.8 m above the floor, looking at it with some slack."""
    yaw = rng.uniform(-0.9, 0.9)
    eye = rng.uniform(2.0, 4.0) * np.array([np.sin(yaw), 0.0, np.cos(yaw)])
    eye[1] = floor + rng.uniform(0.8, 1.8)
    forward = np.array([0.0, floor + 0.8, 0.0]) + 0.2 * rng.normal(size=3) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    rotation = Rotation.from_rotvec([0, 0, rng.normal() * 0.05]).as_matrix() @ rotation
    return RigidPose(
        rotation=rotation.astype(np.float32),
        translation=(-rotation @ eye).astype(np.float32),
        scale=np.float32(1.0),
    )


def _moved(camera: RigidPose, points: np.ndarray) -> np.ndarray:
    return (points @ np.asarray(camera.rotation).T + np.asarray(camera.translation)).astype(np.float32)


def _rectangle(rng, count, corner, a, b, normal) -> tuple[np.ndarray, np.ndarray]:
    """Random points on a parallelogram, and its normal at each."""
    u, v = rng.random((2, count, 1))
    points = np.asarray(corner) + u * np.asarray(a) + v * np.asarray(b)
    return points.astype(np.float32), np.tile(np.asarray(normal, np.float32), (count, 1))
