"""Samples that can be annotated: SynthHOI, BEHAVE and ProciGen, each as one posed body and one object, y up."""

import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, free_body
from hoijax.data.evaluation.truths import sample_model
from hoijax.data.objects import random_object
from hoijax.data.real import DATASETS as REAL
from hoijax.data.real import behave, procigen
from hoijax.data.real.schema import DatasetItem, HOIFrame, Index
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io.reading import reason
from hoijax.systems.hoi3dgen.annotation.posing import body_vertices, facing_of, rotated_fields

DATASETS: tuple[str, ...] = ("procigen", "behave", "synth_hoi")
"""Datasets that can be annotated."""
_FLIP = np.diag([1.0, -1.0, -1.0])
"""From the y-down frames of BEHAVE and ProciGen to y up."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a sample and where its body is in it."""

    image: np.ndarray
    """(H, W, 3) uint8."""
    human: np.ndarray | None
    """(H, W) bool, where the person is seen; None: not known."""
    object: np.ndarray | None
    """The same of the object."""
    pixels: np.ndarray | None
    """(V, 2) where body vertices are; None: no camera."""
    depths: np.ndarray | None
    """(V,) metres."""
    depth: np.ndarray | None
    """(H, W) metres, 0 where nothing is; None: not known."""


@dataclasses.dataclass(frozen=True)
class PosedSample:
    """One interaction, world y up, metres."""

    key: str
    sequence: str
    frame: str
    gender: str
    model: BodyModel
    body: dict[str, np.ndarray]
    """The field's keys, y up."""
    vertices: np.ndarray
    """(V, 3) float64."""
    object_name: str
    object_source: str
    """Where the object's mesh comes from, such as "behave"."""
    object_uid: str
    """Which one of there."""
    object: Mesh
    """In the world."""
    solid: Mesh
    """What of it nothing may enter: without the straps of a SynthHOI backpack, which are soft."""
    obj_rot: np.ndarray
    """(3, 3) from the object's own frame, y up."""
    obj_trans: np.ndarray
    """(3,)."""
    facing: np.ndarray
    """(3,) where the body looks, horizontal, unit."""
    floor: float | None
    """Height of the floor, metres; None: not known."""
    action: str | None = None
    """The dataset's own word for what is done."""
    contact_parts: tuple[str, ...] = ()
    """Regions that SynthHOI's construction asked to touch."""
    body_contact: np.ndarray | None = None
    """(V,) vertices that the dataset labels as touching the object."""
    picture: Picture | None = None


@dataclasses.dataclass(frozen=True)
class SampleSource:
    """The samples of a dataset."""

    name: str
    keys: tuple[str, ...]
    load: Callable[[str], PosedSample]
    """Raises `InputError` for a sample that cannot be used."""
    stamp: Callable[[str], str]
    """Tells a sample's data from another's."""
    rule: str
    """The rule of contact that suits its fits, of `hoijax.systems.hoi3dgen.annotation.RULES`."""


def open_samples(
    name: str, root: pathlib.Path, *, split: str | None = None, body_model: pathlib.Path | None = None
) -> SampleSource:
    """The samples of a dataset.

    Args:
      name: one of `DATASETS`.
      root: where it lies.
      split: of the dataset; None: all.
      body_model: file or folder of the licensed body that the parameters of BEHAVE and ProciGen belong to.

    Raises:
      InputError: another dataset, nothing there, no such split, a body that is missing or not wanted.
    """
    if name not in DATASETS:
        raise InputError(f"no dataset {name!r} can be annotated; there are {', '.join(DATASETS)}")
    if name == "synth_hoi":
        if body_model is not None:
            raise InputError("SynthHOI's body is the free body; leave --body-model out")
        return _synth(root, split)
    if body_model is None:
        raise InputError(f"{name} stores body parameters: give --body-model, the file or folder of its SMPL-H body")
    return _real(name, root, split, body_model)


def _synth(root: pathlib.Path, split: str | None) -> SampleSource:
    from hoijax.data.synth import SPLITS, SynthSplit, open_split  # needs the extra [data]

    if split is not None and split not in SPLITS:
        raise InputError(f"SynthHOI's interactions have the splits {', '.join(SPLITS)}; got {split!r}")
    splits: dict[str, SynthSplit] = {}
    for one in SPLITS if split is None else (split,):
        try:
            splits[one] = open_split(root, one)
        except InputError:
            if split is not None or (one == SPLITS[-1] and not splits):
                raise
    place = {f"{one}-{i:06d}": (one, i) for one, samples in splits.items() for i in range(len(samples))}
    # The configuration decides every sample.
    first = next(iter(splits.values()))
    digest = (first.folder / "config.json").read_text()

    def load(key: str) -> PosedSample:
        one, index = place[key]
        try:
            sample = splits[one][index]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{key}: damaged: {reason(error)}") from error
        return synth_sample(sample)

    return SampleSource("synth_hoi", tuple(place), load, lambda key: f"{digest} {key}", "exact")


def synth_sample(sample: dict[str, Any]) -> PosedSample:
    """A sample of SynthHOI, with or without its picture, as it is annotated.

    Args:
      sample: as `hoijax.data.synth.SynthSplit` gives it.
    """
    model = free_body()
    body = {name: np.asarray(sample["body"][name], np.float32) for name in sample["body"]}
    vertices = body_vertices(model, body)
    rotation = Rotation.from_rotvec(np.asarray(sample["obj_rot"], float)).as_matrix()
    thing = random_object(sample["category"], int(sample["object_seed"]))
    translation = np.asarray(sample["obj_trans"], float)
    placed = Mesh(np.asarray(thing.mesh.vertices) @ rotation.T + translation, np.asarray(thing.mesh.faces))
    hard = np.ones(len(placed.faces), bool)
    if sample["action"] == "wear" and "strap" in thing.part_names:
        hard = np.asarray(thing.part_labels) != thing.part_names.index("strap")
    picture = None
    if "image" in sample:
        local = vertices @ np.asarray(sample["T_camera_world"], float)[:3, :3].T + sample["T_camera_world"][:3, 3]
        pixels = local[:, :2] / np.maximum(local[:, 2:], 1e-3) * sample["intrinsics"][0, 0]
        pixels = pixels + sample["intrinsics"][:2, 2]
        picture = Picture(
            np.asarray(sample["image"]), sample["human_mask"], sample["object_mask"], pixels, local[:, 2],
            sample["depth"],
        )  # fmt: skip
    return PosedSample(
        key=sample["key"], sequence=sample["key"].rpartition("-")[0], frame=sample["key"].rpartition("-")[2],
        gender="neutral", model=model, body=body, vertices=vertices, object_name=sample["category"],
        object_source="synth_hoi", object_uid=f"{sample['category']}/{int(sample['object_seed'])}", object=placed,
        solid=Mesh(placed.vertices, placed.faces[hard]), obj_rot=rotation, obj_trans=translation,
        facing=facing_of(body), floor=0.0, action=sample["action"],
        contact_parts=tuple(sample["contact_parts"].split(",")), body_contact=np.asarray(sample["body_contact"], bool),
        picture=picture,
    )  # fmt: skip


def _real(name: str, root: pathlib.Path, split: str | None, body_model: pathlib.Path) -> SampleSource:
    dataset = REAL[name]
    index = dataset.scan(root)
    items = {item.key: item for item in index.items if split in (None, item.split)}
    if not items:
        have = sorted({item.split for item in index.items})
        problem = "" if have or not index.problems else f"; {index.problems[0]}"
        wanted = "" if split is None else f" of the split {split!r}"
        usable = ", ".join(have) or "nothing usable"
        raise InputError(f"{name} in {root} has no samples{wanted}; it has {usable}{problem}")

    @functools.lru_cache(maxsize=64)
    def template(obj: str) -> Mesh:
        return behave.object_template(index.root, obj)

    def load(key: str) -> PosedSample:
        item = items[key]
        frame = dataset.read(index, item)
        if name == "behave":
            own = template(frame.object_name)
            mesh, uid = _place(own, frame), frame.object_name
        else:
            mesh, uid = procigen.object_mesh(index, item), procigen.object_id(index, item)
        return _posed(name, index, item, frame, sample_model(body_model, frame), mesh, uid)

    def stamp(key: str) -> str:
        marks = []
        for file in items[key].files:
            status = (index.root / file).stat()
            marks.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        return " ".join(marks)

    return SampleSource(name, tuple(items), load, stamp, "loose")


def _place(template: Mesh, frame: HOIFrame) -> Mesh:
    rotation = Rotation.from_rotvec(np.asarray(frame.obj_rot, float)).as_matrix()
    return Mesh(np.asarray(template.vertices, float) @ rotation.T + frame.obj_trans, np.asarray(template.faces))


def _posed(
    name: str, index: Index, item: DatasetItem, frame: HOIFrame, model: BodyModel, mesh: Mesh, uid: str
) -> PosedSample:
    """A frame of BEHAVE or ProciGen turned so that y is up."""
    vertices = body_vertices(model, frame.body) @ _FLIP.T
    body = rotated_fields(model, frame.body, _FLIP)
    rotation = _FLIP @ Rotation.from_rotvec(np.asarray(frame.obj_rot, float)).as_matrix()
    words = frame.sequence.split("_")[3:]
    placed = Mesh(np.asarray(mesh.vertices, float) @ _FLIP.T, np.asarray(mesh.faces))
    return PosedSample(
        key=item.key, sequence=frame.sequence, frame=frame.frame, gender=frame.gender, model=model, body=body,
        vertices=vertices, object_name=frame.object_name, object_source=name, object_uid=uid,
        object=placed, solid=placed, obj_rot=rotation,
        obj_trans=_FLIP @ np.asarray(frame.obj_trans, float), facing=facing_of(body), floor=None,
        action=words[0] if name == "behave" and words else None, picture=_picture(index.root, frame),
    )  # fmt: skip


def _picture(root: pathlib.Path, frame: HOIFrame) -> Picture | None:
    """The first colour image that is on disk, with its masks beside it."""
    for camera, name in frame.images.items():
        path = root / name
        if path.is_file():
            masks = [_mask(path.parent / f"{camera}.{kind}.png") for kind in ("person_mask", "obj_rend_mask")]
            image = _image(path)
            return None if image is None else Picture(image, *masks, None, None, None)
    return None


def _image(path: pathlib.Path) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # what a picture shows is a help, not a need


def _mask(path: pathlib.Path) -> np.ndarray | None:
    image = _image(path) if path.is_file() else None
    return None if image is None else image[..., 0] > 127
