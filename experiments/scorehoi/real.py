"""BEHAVE, InterCap and IMHD as training samples of ScoreHOI: pictures with masks beside the fits (specs/datasets.md).

Where the pictures of a frame lie, below the data set's root:

| data set | picture | masks |
|---|---|---|
| behave | sequences/SEQ/FRAME/k1.color.jpg | k1.person_mask, k1.obj_rend_mask or k1.obj_mask, jpg or png |
| intercap | RGBD_Images/S/O/SEG/Frames_Cam1/color/F.jpg | mask/F_human.png, mask/F_object.png beside color/ |
| imhd | frames/KEY.jpg, taken from its videos | frames/KEY_human.png and frames/KEY_object.png |

Cameras come from calibs/ (BEHAVE), calibration_first/ and so on (InterCap), calibrations/ (IMHD); frames without
picture or masks are left out and counted. States are those of the networks' body, SMPL-H with absolute hands: the
sample's 52 rotations, taken over one by one from SMPL-X too, whose betas mean another shape and count as unknown.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, keypoint_names, keypoints, pose_body_compiled
from hoijax.camera import Camera
from hoijax.data.evaluation.truths import sample_model, sample_template
from hoijax.data.real import DATASETS, HOIFrame, behave, imhd, intercap
from hoijax.data.real.schema import DatasetItem, Index
from hoijax.errors import InputError
from hoijax.experiments.scorehoi.samples import Truth, random_surface, training_sample
from hoijax.geometry import Mesh
from hoijax.interaction import CONTACT_THRESHOLD, surface_points
from hoijax.nets.scorehoi.state import NUM_JOINTS
from hoijax.systems.scorehoi.inputs import Layout

POINTS = 64
_DENSE = 4000
"""Points that stand for an object's surface where contact is measured."""
_WITHOUT_FACE = (*range(22), *range(25, 55))
"""Joints of SMPL-X without jaw and eyes."""


@dataclasses.dataclass(frozen=True)
class View:
    """What a camera saw of a frame."""

    image: pathlib.Path
    human: pathlib.Path
    object: pathlib.Path
    camera: Camera


def _behave(root: pathlib.Path, item: DatasetItem, frame: HOIFrame) -> View:
    folder, kinect = root / "sequences" / item.key, "k1"
    human, obj = (
        _first(folder, [f"{kinect}.{name}.{end}" for name in names for end in ("jpg", "png")])
        for names in (("person_mask",), ("obj_rend_mask", "obj_mask"))
    )
    return View(folder / f"{kinect}.color.jpg", human, obj, behave.camera(root, frame.sequence.split("_")[0], kinect))


def _intercap(root: pathlib.Path, item: DatasetItem, frame: HOIFrame) -> View:
    image = root / frame.images["cam1"]
    masks = image.parent.parent / "mask"
    subject, obj, _, _ = item.key.split("/")
    folder = root / f"calibration_{intercap.calibration_set(subject, obj)}"
    human, other = (masks / f"{image.stem}_{name}.png" for name in ("human", "object"))
    return View(image, human, other, intercap.camera(folder, 1))


def _imhd(root: pathlib.Path, item: DatasetItem, frame: HOIFrame) -> View:
    base = root if (root / "frames").is_dir() else root / "data"
    image = base / "frames" / f"{item.key}.jpg"
    human, obj = (image.with_name(f"{image.stem}_{name}.png") for name in ("human", "object"))
    with Image.open(image) as picture:
        width, height = picture.size
    folder = base / "calibrations" / item.key.split("/")[0]
    return View(image, human, obj, imhd.camera(folder, 1, width=width, height=height))


VIEWS: Mapping[str, Callable[[pathlib.Path, DatasetItem, HOIFrame], View]] = {
    "behave": _behave, "intercap": _intercap, "imhd": _imhd,
}  # fmt: skip
"""Data sets with pictures, and where the main camera's lie."""


def _first(folder: pathlib.Path, names: list[str]) -> pathlib.Path:
    return next((folder / name for name in names if (folder / name).exists()), folder / names[0])


@dataclasses.dataclass(frozen=True)
class RealInteractions:
    """The frames of a split that have picture and masks, as training samples.

    Args:
      name: one of `VIEWS`.
      root: of the data set.
      split: "train", "val" or "test".
      body_model: file or folder of the body that its parameters belong to.
      layout: sizes; its model is the networks' body.

    Raises:
      InputError: unknown name, no data set, or no frame of the split has picture and masks.
    """

    name: str
    root: pathlib.Path
    split: str
    body_model: pathlib.Path
    layout: Layout

    def __post_init__(self):
        if self.name not in VIEWS:
            raise InputError(f"pictures are read of {', '.join(VIEWS)}, got {self.name!r}")
        if not self.items:
            known = [item for item in self.index.items if item.split == self.split]
            raise InputError(
                f"none of the {len(known)} frames of {self.name}'s split {self.split!r} in {self.root} has a picture "
                f"and both masks where hoijax.experiments.scorehoi.real looks for them; the first it misses: "
                f"{self.missing[0] if self.missing else 'no frame at all'}"
            )

    @functools.cached_property
    def index(self) -> Index:
        """What lies on disk."""
        return DATASETS[self.name].scan(self.root)

    @functools.cached_property
    def _found(self) -> tuple[dict[str, DatasetItem], list[str]]:
        items, missing = {}, []
        for item in self.index.items:
            if item.split != self.split:
                continue
            try:
                view = VIEWS[self.name](self.root, item, DATASETS[self.name].read(self.index, item))
                absent = [path for path in (view.image, view.human, view.object) if not path.exists()]
            except (InputError, OSError) as error:
                missing.append(f"{item.key}: {error}")
                continue
            if absent:
                missing.append(str(absent[0]))
            else:
                items[item.key] = item
        return items, missing

    @property
    def items(self) -> dict[str, DatasetItem]:
        """The frames that can be used, by key."""
        return self._found[0]

    @property
    def missing(self) -> list[str]:
        """What the others lack."""
        return self._found[1]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.sample(list(self.items)[index])

    def sample(self, key: str) -> dict[str, np.ndarray]:
        """One frame by its key."""
        return training_sample(self.truth(key), self.layout)

    def template(self, key: str) -> Mesh:
        """The object's mesh in the frame that the sample's pose applies to."""
        item = self.items[key]
        return self._template(item, DATASETS[self.name].read(self.index, item))

    def _template(self, item: DatasetItem, frame: HOIFrame) -> Mesh:
        return sample_template(self.name, self.index, item, frame)

    def truth(self, key: str) -> Truth:
        """One frame in its camera's frame.

        Raises:
          InputError: a file is damaged, or masks and picture differ in size.
        """
        item = self.items[key]
        frame = DATASETS[self.name].read(self.index, item)
        view = VIEWS[self.name](self.root, item, frame)
        image = _picture(view.image)
        human, obj = (_picture(path)[..., 0] > 127 for path in (view.human, view.object))
        if not human.shape == obj.shape == image.shape[:2]:
            raise InputError(f"{view.image}: picture {image.shape[:2]}, masks {human.shape} and {obj.shape}")
        rotations, betas, points, vertices = self._body(frame)
        turn, move = (np.asarray(x, np.float64) for x in np.split(view.camera.T_camera_world[:3], [3], axis=1))
        move = move[:, 0]
        rotations[0] = turn @ rotations[0]
        place = Rotation.from_rotvec(np.asarray(frame.obj_rot, np.float64)).as_matrix()
        mesh = self._template(item, frame)
        corners, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
        template = _template_points(corners.tobytes(), faces.tobytes()).astype(np.float64)
        dense = random_surface(corners, faces, _DENSE, seed=0)
        offset = np.asarray(frame.obj_trans, np.float64)
        world, surface = (p @ place.T + offset for p in (template, dense))
        points, vertices, world, surface = (p @ turn.T + move for p in (points, vertices, world, surface))
        pixels = points @ np.asarray(view.camera.intrinsics, np.float64).T
        lowest = max(vertices[:, 1].max(), surface[:, 1].max())  # the camera counts as level, as in ScoreHOI
        return Truth(
            image=image,
            human=human,
            object=obj,
            rotations=rotations,
            betas=betas,
            object_rotation=turn @ place,
            object_translation=turn @ offset + move,
            keypoints=points,
            pixels=pixels[:, :2] / pixels[:, 2:],
            points=template,
            body_contact=cKDTree(surface).query(vertices)[0] < CONTACT_THRESHOLD,
            object_contact=cKDTree(vertices).query(world)[0] < CONTACT_THRESHOLD,
            object_floor=world[:, 1] > lowest - CONTACT_THRESHOLD,
        )

    def _body(self, frame: HOIFrame) -> tuple[np.ndarray, ...]:
        """Rotations (52, 3, 3), betas (10,), named points of the networks' body and its vertices, in the world."""
        model, networks = sample_model(self.body_model, frame), self.layout.model
        params = BodyParams.from_axis_angle(model, **_field_keys(model, frame.body))
        posed = pose_body_compiled(model, params)
        joints = list(range(NUM_JOINTS)) if model.num_joints == NUM_JOINTS else list(_WITHOUT_FACE)
        rotations = np.asarray(params.rotations, np.float64)[joints]
        points = np.asarray(keypoints(model, posed, keypoint_names(networks)), np.float64)
        own = model.num_vertices == networks.num_vertices
        betas = np.asarray(params.betas, np.float64)[:10] if own else np.zeros(10)
        vertices = np.asarray(posed.vertices, np.float64)
        if not own:
            other = pose_body_compiled(
                networks, BodyParams.identity(networks).replace(rotations=jnp.asarray(rotations, jnp.float32))
            )
            vertices = np.asarray(other.vertices, np.float64) - np.asarray(other.joints[0]) + points[0]
        return rotations, betas, points, vertices


def _picture(path: pathlib.Path) -> np.ndarray:
    """(H, W, 3) uint8.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise InputError(f"cannot read the picture {path}: {error}") from error


def _field_keys(model: BodyModel, body: dict[str, np.ndarray]) -> dict[str, Any]:
    """The field's keys, hands of 45 numbers as axis-angle also where the model takes components."""
    out = dict(body)
    for key in ("left_hand_pose", "right_hand_pose"):
        if key in out and np.size(out[key]) == 45:
            out[key] = np.reshape(out[key], (15, 3))
    return out


@functools.lru_cache(maxsize=256)
def _template_points(vertices: bytes, faces: bytes) -> np.ndarray:
    return surface_points(np.frombuffer(vertices).reshape(-1, 3), np.frombuffer(faces, np.int64).reshape(-1, 3), POINTS)
