"""PROX's and RICH's frames as GRAFT's samples: a body fitted to a picture, in the scan of the room around it."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from hoijax.body_models import BodyModel, BodyParams, pose_body, pose_body_compiled, subset
from hoijax.data.evaluation.truths import sample_model
from hoijax.data.real import DATASETS, Defect, SceneFrame, read_all, rich
from hoijax.data.real.reading import read_template
from hoijax.data.real.schema import DatasetItem, Index
from hoijax.errors import InputError
from hoijax.experiments.graft.samples import GraftSample, in_camera
from hoijax.experiments.graft.views import one_view_of_cloud
from hoijax.geometry import RigidPose
from hoijax.nets.graft import NUM_BETAS
from hoijax.systems.graft import BodySpec, make_scene

SCANS = tuple(name for name, dataset in DATASETS.items() if dataset.kind is SceneFrame)
"""Data sets of people in scans."""
REACH, NEAR = 3.5, 1.2
"""Surfaces farther than this from the pelvis are left out, and half of the points are nearer than the other, metres."""
FEWEST = 0.05
"""Share of the points asked for that a picture must show."""
DENSITY = 20_000
"""Points per square metre that a picture is made of."""


@dataclasses.dataclass(frozen=True)
class ScannedScenes:
    """The frames of a split; the same seed and index give the same sample.

    The points are the scan's, denser near the person, or of a share of the samples those that one noisy depth camera
    would see (`views.one_view_of_cloud`). RICH's frames are seen by a random one of its cameras, PROX's by their own.
    The fits belong to SMPL-X of each subject's gender; the body that is trained keeps their rotations, and its shape
    and translation are those whose surface is nearest to the fit's (`nearest_shape`).

    Args:
      name: one of `SCANS`.
      root: of the data set.
      split: "train", "val" or "test".
      files: SMPL-X, a file or a folder in which the subject's gender chooses.
      model: the body that is trained.
      spec: of that body.
      points: most scene points of a sample.
      seed: of points and cameras.
      views: share of the samples that are seen by one camera.

    Raises:
      InputError: another data set, no SMPL-X to be trained, or no frame of the split can be used.
    """

    name: str
    root: pathlib.Path
    split: str
    files: pathlib.Path
    model: BodyModel
    spec: BodySpec
    points: int = 16384
    seed: int = 0
    views: float = 0.0

    def __post_init__(self):
        if self.name not in SCANS:
            raise InputError(f"scanned scenes are read of {', '.join(SCANS)}; got {self.name!r}")
        if self.model.kind != "smplx":
            raise InputError(f"{self.name} has SMPL-X bodies; a {self.model.kind} body cannot be trained on them")
        if not self.items:
            first = f", first {self.problems[0]}" if self.problems else ""
            raise InputError(f"{self.name} in {self.root}: no frame of {self.split!r} can be used{first}")

    @functools.cached_property
    def index(self) -> Index:
        """What lies on disk."""
        return DATASETS[self.name].scan(self.root)

    @functools.cached_property
    def _found(self) -> tuple[list[DatasetItem], list[Defect]]:
        """Frames whose parameters can be read, and what is wrong with the others."""
        total = sum(item.split == self.split for item in self.index.items)
        items, problems = [], list(self.index.problems)
        frames = read_all(DATASETS[self.name], self.index, self.split)
        for item, frame in tqdm(frames, total=total, desc=f"{self.name} {self.split}", disable=None):
            if isinstance(frame, Defect):
                problems.append(frame)
            else:
                items.append(item)
        return items, problems

    @property
    def items(self) -> list[DatasetItem]:
        """The frames that are used."""
        return self._found[0]

    @property
    def problems(self) -> list[Defect]:
        """What was left out."""
        return self._found[1]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> GraftSample:
        rng = np.random.default_rng([self.seed, index])
        frame = DATASETS[self.name].read(self.index, self.items[index])
        params, pelvis = self._truth(frame)
        places, normals = _surface_near(self.root, frame, pelvis, rng)
        camera = self._camera(rng, frame, pelvis)
        truth = in_camera(self.spec, params, camera)
        turn, move = np.asarray(camera.rotation), np.asarray(camera.translation)
        places, pelvis = (np.asarray(x @ turn.T + move, np.float32) for x in (places, pelvis))
        if rng.random() < self.views:
            seen = one_view_of_cloud(rng, places, pelvis, self.points)
            # A scan that a picture shows next to nothing of, a floor at a grazing angle, is taken as it is.
            if len(seen[0]) >= FEWEST * self.points:
                return GraftSample(scene=make_scene(*seen, capacity=self.points), truth=truth)
        chosen = _denser(rng, np.linalg.norm(places - pelvis, axis=1) < NEAR, self.points)
        scene = make_scene(places[chosen], normals[chosen] @ turn.T, capacity=self.points)
        return GraftSample(scene=scene, truth=truth)

    def _truth(self, frame: SceneFrame) -> tuple[BodyParams, np.ndarray]:
        """The body that is trained as the fit has it, and its pelvis."""
        own = sample_model(self.files, frame)
        params = BodyParams.from_axis_angle(own, **frame.body)
        posed = pose_body_compiled(own, params)
        chosen, small = self._fitted_vertices
        shape = nearest_shape(small, np.asarray(params.rotations), np.asarray(posed.vertices)[chosen])
        return shape, np.asarray(posed.joints)[0]

    @functools.cached_property
    def _fitted_vertices(self) -> tuple[np.ndarray, BodyModel]:
        """Vertices that shape and translation are fitted to, the contact set and some others, and their model."""
        others = np.arange(0, self.model.num_vertices, 16)
        chosen = np.union1d(np.asarray(self.spec.contact_vertices), others)
        return chosen, subset(self.model.replace(colors=None, landmarks=()), chosen)

    def _camera(self, rng: np.random.Generator, frame: SceneFrame, pelvis: np.ndarray) -> RigidPose:
        """From the body's frame to the camera's: of RICH one of those that have the person before them."""
        pose = np.eye(4, dtype=np.float32)
        if self.name == rich.RICH_SCENES.name:
            poses = [np.asarray(camera.T_camera_world) for camera in rich.cameras(self.root, frame.sequence)]
            before = [p for p in poses if p[2, :3] @ pelvis + p[2, 3] > 0.5]
            pose = before[int(rng.integers(len(before)))] if before else poses[0]
        return RigidPose(rotation=pose[:3, :3], translation=pose[:3, 3], scale=np.float32(1.0))


def check_scans(scans: str | None, root: Any, body_model: Any, synth: Any) -> None:
    """Refuses scans without what they want, and other bodies than the free one beside SynthHOI.

    Raises:
      InputError: one of these.
    """
    if scans is not None and (root is None or body_model is None):
        raise InputError(f"--scans {scans} wants --root, where it lies, and --body-model, SMPL-X")
    if synth is not None and (scans is not None or body_model is not None):
        raise InputError("SynthHOI's people are the free body; leave --scans and --body-model out, or --synth")


def nearest_shape(model: BodyModel, rotations: np.ndarray, vertices: np.ndarray) -> BodyParams:
    """Another gender's posed body as one of `model`: the same rotations, shape and translation by least squares.

    With given rotations the surface is linear in the first ten shape coefficients and the translation, so this is the
    best there is. On the host.

    Args:
      model: whose parameters are wanted; all of its vertices count.
      rotations: (J, 3, 3).
      vertices: (V, 3), the same vertices of the other body, metres.
    """
    base, slopes = (np.asarray(x, np.float64) for x in _linear(model, np.asarray(rotations, np.float32)))
    solution = np.linalg.lstsq(slopes, np.asarray(vertices, np.float64).reshape(-1) - base, rcond=None)[0]
    betas = np.zeros(model.num_betas, np.float32)
    betas[:NUM_BETAS] = solution[:NUM_BETAS]
    return BodyParams(rotations=rotations, betas=betas, translation=solution[NUM_BETAS:].astype(np.float32))


@jax.jit
def _linear(model: BodyModel, rotations: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The surface (V * 3,) of no shape at the origin, and its derivative by ten coefficients and the translation."""

    def surface(x: jax.Array) -> jax.Array:
        betas = jnp.pad(x[:NUM_BETAS], (0, model.num_betas - NUM_BETAS))
        return pose_body(model, BodyParams(rotations, betas, x[NUM_BETAS:])).vertices.reshape(-1)

    nothing = jnp.zeros(NUM_BETAS + 3, rotations.dtype)
    return surface(nothing), jax.jacfwd(surface)(nothing)


def _surface_near(
    root: pathlib.Path, frame: SceneFrame, pelvis: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random points and normals (N, 3) of the scan about a person, in the frame of the person's body."""
    corners, across, middles = _scan(root / frame.scene)
    rotation, move = frame.T_scene_camera[:3, :3], frame.T_scene_camera[:3, 3]
    near = np.flatnonzero(np.linalg.norm(middles - (rotation @ pelvis + move), axis=1) < REACH)
    area = np.linalg.norm(across[near], axis=1) / 2
    if not area.sum() > 0:
        raise InputError(f"{frame.key}: nothing of {frame.scene} is within {REACH} m of the person")
    chosen = near[rng.choice(len(near), int(DENSITY * area.sum()) + 1, p=area / area.sum())]
    # Uniform on a triangle.
    u, v = np.sort(rng.random((2, len(chosen), 1)), axis=0)
    a, b, c = np.moveaxis(corners[chosen], 1, 0)
    places = u * a + (v - u) * b + (1 - v) * c
    normals = across[chosen] / np.linalg.norm(across[chosen], axis=1, keepdims=True)
    return (places - move) @ rotation, normals @ rotation


@functools.lru_cache(maxsize=16)
def _scan(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (F, 3, 3), normals of the length of twice the area (F, 3) and middles (F, 3) of a scan's triangles."""
    mesh = read_template(path)
    faces = np.asarray(mesh.faces)
    if not len(faces):
        raise InputError(f"{path} has no faces; wanted is the scan's mesh")
    corners = np.asarray(mesh.vertices, np.float32)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return corners, across, corners.mean(axis=1)


def _denser(rng: np.random.Generator, near: np.ndarray, points: int) -> np.ndarray:
    """At most so many indices, half of them where `near`."""
    inner, outer = (rng.permutation(np.flatnonzero(x)) for x in (near, ~near))
    few = min(len(inner), max(points // 2, points - len(outer)))
    return np.concatenate([inner[:few], outer[: points - few]])
