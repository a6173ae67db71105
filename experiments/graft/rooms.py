"""Made-up samples: the free body with furniture under it, on a floor, before a wall, seen by a camera."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, contact_regions, named_pose, pose_body_compiled
from hoijax.experiments.graft.furniture import furnish, sample_mesh
from hoijax.experiments.graft.samples import GraftSample, in_camera
from hoijax.experiments.graft.views import Flat, Shape, Side, one_view
from hoijax.geometry import RigidPose
from hoijax.systems.graft import BodySpec, make_scene

FAMILIES = {"stand": 24, "walk": 12, "sit": 28, "squat": 8, "kneel": 6, "bend": 6, "lean": 8, "lie": 8}
"""Poses of the free body and how many of a hundred rooms have them."""
SINK_FLOOR, SINK_FURNITURE = 0.015, 0.03
"""How deep flesh gives way to what it rests on, metres: soles on a floor, seat or back on furniture."""
NOISE, LEGS = 0.08, (0, 1, 3, 4, 6, 7, 9, 10)
"""Standard deviation of each component of a joint's rotation, radians, and the hips, knees, ankles and feet among
them."""
Surface = tuple[np.ndarray, np.ndarray, Shape]
"""Surfaces: points, their unit normals, and what they lie on."""


@dataclasses.dataclass(frozen=True)
class Rooms:
    """Rooms by index; the same seed and index give the same room.

    Standing, walking, squatting, kneeling and bending bodies touch the floor with their lowest point; sitting ones a
    box with their seat; leaning ones a table with their hands; lying ones the floor or a bed. A box that nobody touches
    stands around. Flesh gives way by one to three centimetres. Points lie on the surfaces themselves, with their
    normals, as if everything were visible, and denser near the person; of a share of the rooms only those that one
    depth camera would see (`views.one_view`). Enough to train and test on from a clean checkout; SynthHOI is the real
    thing.
    """

    model: BodyModel
    spec: BodySpec
    count: int = 64
    points: int = 2048
    seed: int = 0
    furniture: str = "boxes"
    """"boxes", "meshes": CC0 furniture where it fits (`furniture.furnish`), else boxes, or "other" to test on what
    training did not see: round stools before a backrest, thin tables and beds on nothing, a column that stands
    around."""
    shapes: str = "train"
    """Split of the meshes."""
    distances: tuple[float, float] = (2.0, 4.0)
    """Of the cameras from the person, metres."""
    views: float = 0.0
    """Share of the rooms that one camera sees, without the person; the same rooms otherwise."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> GraftSample:
        rng = np.random.default_rng([self.seed, index])
        family = str(rng.choice(list(FAMILIES), p=np.array(list(FAMILIES.values())) / sum(FAMILIES.values())))
        pose = named_pose(family)
        noise = NOISE * rng.normal(size=(21, 3))
        noise[list(LEGS)] *= 0.4  # or one foot alone would reach the floor
        pose["body_pose"] = pose["body_pose"] + noise.reshape(63).astype(np.float32)
        betas = rng.normal(size=self.model.num_betas).astype(np.float32)
        params = BodyParams.from_axis_angle(self.model, **pose, betas=betas)
        surface = np.asarray(pose_body_compiled(self.model, params).vertices)
        pelvis = np.asarray(params.translation) + np.asarray(self.model.joint_template)[0]
        floor, furniture = self._furniture(rng, family, surface, pelvis)
        yaw = rng.uniform(-np.pi, np.pi)
        camera = _camera(rng, floor, yaw, self.distances)
        surfaces = self._surfaces(rng, family, floor, furniture, pelvis, yaw, surface)
        seen = np.random.default_rng([self.seed, index, 1])
        if seen.random() < self.views:
            points, normals = one_view(seen, [shape for _, _, shape in surfaces], camera, pelvis, self.points)
        else:
            points, normals = (np.concatenate(x) for x in list(zip(*surfaces))[:2])
            points, normals = _transform(camera, points), normals @ np.asarray(camera.rotation).T
        scene = make_scene(points, normals, capacity=self.points)
        return GraftSample(scene=scene, truth=in_camera(self.spec, params, camera))

    def _furniture(self, rng, family: str, surface: np.ndarray, pelvis: np.ndarray) -> tuple[float, list]:
        """Height of the floor, and boxes: lowest corner and size."""
        floor, boxes = float(surface[:, 1].min()) + SINK_FLOOR, []
        if family == "sit":
            below = surface[self.spec.contact_vertices]
            below = below[np.linalg.norm(below[:, [0, 2]] - pelvis[[0, 2]], axis=1) < 0.25]
            half = 0.25 + 0.15 * rng.random()
            corner = [pelvis[0] - half, floor, pelvis[2] - half - 0.1]
            boxes.append((corner, [2 * half, max(0.05, float(below[:, 1].min()) + SINK_FURNITURE - floor), 2 * half]))
        elif family == "lean":
            hands = surface[contact_regions(self.model)["palms"]]
            top, near = float(hands[:, 1].min()) + SINK_FLOOR, float(hands[:, 2].min()) - 0.1 * rng.random()
            corner = [hands[:, 0].mean() - rng.uniform(0.5, 0.9), floor, near]
            boxes.append((corner, [rng.uniform(1.0, 1.8), max(0.05, top - floor), rng.uniform(0.4, 0.8)]))
        elif family == "lie" and rng.random() < 0.6:
            lower, upper = surface.min(axis=0) - rng.uniform(0.05, 0.3, 3), surface.max(axis=0) + 0.2 * rng.random(3)
            top = float(surface[:, 1].min()) + SINK_FURNITURE
            floor = top - rng.uniform(0.25, 0.6)
            boxes.append(([lower[0], floor, lower[2]], [upper[0] - lower[0], top - floor, upper[2] - lower[2]]))
        angle, size = rng.uniform(-np.pi, np.pi), rng.uniform([0.3, 0.2, 0.3], [0.8, 1.2, 0.8])
        reach = np.abs(surface[:, [0, 2]] - pelvis[[0, 2]]).max() + rng.uniform(0.7, 1.2)
        corner = pelvis + reach * np.array([np.sin(angle), 0, np.cos(angle)]) - size / 2
        boxes.append(([corner[0], floor, corner[2]], size))
        return floor, boxes

    def _surfaces(
        self, rng, family: str, floor: float, boxes: list, pelvis: np.ndarray, yaw: float, body: np.ndarray
    ) -> list[Surface]:
        """Exactly `points` points."""
        x, z = pelvis[0], pelvis[2]
        parts = [_rectangle(rng, self.points * 3 // 10, [x - 1, floor, z - 1], [2, 0, 0], [0, 0, 2], [0, 1, 0])]
        parts += [_rectangle(rng, self.points // 8, [x - 2.5, floor, z - 2.5], [5, 0, 0], [0, 0, 5], [0, 1, 0])]
        for number, box in enumerate(boxes):
            stands_around = number == len(boxes) - 1
            count = self.points // (10 if stands_around else 4)
            solid = None
            if self.furniture == "meshes":
                solid = furnish(rng, "around" if stands_around else family, self.shapes, *map(np.asarray, box), body)
            if solid is not None:
                parts.append((*sample_mesh(rng, solid, count), solid))
            elif self.furniture != "other":
                parts += _box(rng, count, *box)
            else:
                parts += _other(rng, count, "column" if stands_around else family, *box)
        # The wall is on the far side of the camera.
        side = -1.0 if np.cos(yaw) > 0 else 1.0
        left = self.points - sum(len(points) for points, _, _ in parts)
        corner = [x - 2.5, floor, z + side * (1.0 + rng.random())]
        return parts + [_rectangle(rng, left, corner, [5, 0, 0], [0, 2.5, 0], [0, 0, -side])]


def _camera(rng: np.random.Generator, floor: float, yaw: float, distances: tuple[float, float]) -> RigidPose:
    """A camera some metres from the body, 0.8 to 1.8 m above the floor, looking at it with some slack."""
    eye = rng.uniform(*distances) * np.array([np.sin(yaw), 0.0, np.cos(yaw)])
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


def _transform(camera: RigidPose, points: np.ndarray) -> np.ndarray:
    return (points @ np.asarray(camera.rotation).T + np.asarray(camera.translation)).astype(np.float32)


def _rectangle(rng, count, corner, a, b, normal) -> Surface:
    """Random points on a rectangle, and its normal at each."""
    u, v = rng.random((2, count, 1))
    corner, a, b = (np.asarray(x, float) for x in (corner, a, b))
    points = (corner + u * a + v * b).astype(np.float32)
    return points, np.tile(np.asarray(normal, np.float32), (count, 1)), Flat(corner, a, b)


def _other(rng, count, use, corner, size) -> list[Surface]:
    """What stands where training has a box, with the same top."""
    corner, size = np.asarray(corner, float), np.asarray(size, float)
    if use in ("lie", "lean"):
        thick = min(0.08, size[1])
        return _box(rng, count, corner + [0, size[1] - thick, 0], [size[0], thick, size[2]])
    parts = _column(rng, count - (count // 5 if use == "sit" else 0), corner, size)
    if use == "sit":
        # Behind the body, which faces +z.
        start = corner + [0, size[1], -0.15]
        parts.append(_rectangle(rng, count // 5, start, [size[0], 0, 0], [0, 0.45, 0], [0, 0, 1]))
    return parts


def _column(rng, count, corner, size) -> list[Surface]:
    """Half of the points on the top of an upright elliptic cylinder inside a box, the others on its side."""
    angle, radius = rng.uniform(-np.pi, np.pi, (2, count // 2)), np.sqrt(rng.random(count // 2))
    middle = np.asarray(corner) + np.asarray(size) * [0.5, 0, 0.5]
    a, b = size[0] / 2, size[2] / 2
    around = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=-1)
    top = middle + [0, size[1], 0] + radius[:, None] * around[0] * [a, 0, b]
    side = middle + around[1] * [a, 0, b] + rng.random((count // 2, 1)) * [0, size[1], 0]
    out = around[1] / [a, 1, b]
    out = (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)
    up = np.tile(np.float32([0, 1, 0]), (count // 2, 1))
    corner = np.asarray(corner, float) + [0, size[1], 0]
    lid = Flat(corner, np.array([size[0], 0, 0]), np.array([0, 0, size[2]]), ellipse=True)
    return [
        (top.astype(np.float32), up, lid),
        (side.astype(np.float32), out, Side(middle, np.array([a, size[1], b]))),
    ]


def _box(rng, count, corner, size) -> list[Surface]:
    """Half of the points on the top of a box, the others on its four sides."""
    corner, (a, h, b) = np.asarray(corner, float), np.asarray(size, float)
    top = corner + [0, h, 0]
    sides = [
        (corner, [a, 0, 0], [0, 0, -1]),
        (corner + [0, 0, b], [a, 0, 0], [0, 0, 1]),
        (corner, [0, 0, b], [-1, 0, 0]),
        (corner + [a, 0, 0], [0, 0, b], [1, 0, 0]),
    ]
    parts = [_rectangle(rng, count // 2, top, [a, 0, 0], [0, 0, b], [0, 1, 0])]
    return parts + [_rectangle(rng, count // 8, start, along, [0, h, 0], normal) for start, along, normal in sides]
