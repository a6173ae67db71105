"""Where the truth comes from: SynthHOI, the field's datasets on disk, or files in the format of predictions."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel, free_body, load, scene_contact_vertices
from hoijax.data.evaluation.predictions import Record, parse_record, read_predictions
from hoijax.data.evaluation.rooms import room_scene
from hoijax.data.evaluation.states import EvaluationState, SceneTruth, Subject, state_of
from hoijax.data.objects import random_object
from hoijax.data.real import DATASETS, HOIFrame, SceneFrame, behave, imhd, intercap, prox
from hoijax.data.real.reading import read_template
from hoijax.data.real.schema import ContactSample, DatasetItem, Index
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_mesh
from hoijax.metrics import contact_set_weights


@dataclasses.dataclass(frozen=True)
class TruthSource:
    """The samples of one split."""

    name: str
    split: str
    ids: tuple[str, ...]
    load: Callable[[str], Subject]
    """Raises `InputError` for a sample that cannot be used."""
    digest: str = ""
    """Tells this truth from others: where it lies and which body it is posed with."""


def open_truth(
    name: str, *, root: str | pathlib.Path, split: str = "test", body_model: str | pathlib.Path | None = None
) -> TruthSource:
    """The truth of a dataset's split.

    Args:
      name: one of `TRUTHS`.
      root: where the dataset lies; for "files" the folder or `.npz` of the truth.
      split: of the dataset.
      body_model: file or folder of the licensed body that the dataset's parameters belong to. With a folder the gender
        of each sample chooses the file. SynthHOI's is the free body; "files" takes the free body unless one is given.

    Returns:
      The samples.

    Raises:
      InputError: unknown name, nothing there, no such split, or a body model is needed.
    """
    if name not in TRUTHS:
        raise InputError(f"no dataset is called {name!r}; there are {', '.join(TRUTHS)}")
    root = pathlib.Path(root)
    model = None if body_model is None else pathlib.Path(body_model)
    if name == "synth_hoi":
        if model is not None:
            raise InputError("SynthHOI's body is the free body; leave --body-model out")
        source = _synth(root, split)
    else:
        if name == "files" and split != "test":
            raise InputError(f"'files' has no splits, got {split!r}; leave --split out")
        source = _files(root, split, model) if name == "files" else _real(name, root, split, model)
    return dataclasses.replace(source, digest=f"{name} {root.resolve()} {split} {model and model.resolve()}")


TRUTHS: tuple[str, ...] = ("synth_hoi", *DATASETS, "files")
"""Datasets that predictions can be scored on."""


def _synth(root: pathlib.Path, split: str) -> TruthSource:
    from hoijax.data.synth import open_split

    samples = open_split(root, split)
    model = free_body()
    place = {samples[i]["key"]: i for i in range(len(samples))}

    def one(key: str) -> Subject:
        sample = samples[place[key]]
        if "room" in sample:
            return synth_scene(sample, model)
        mesh = random_object(sample["category"], int(sample["object_seed"])).mesh
        template = Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))
        values = {**sample["body"], "obj_rot": sample["obj_rot"], "obj_trans": sample["obj_trans"]}
        labels = {"contact_body": sample["body_contact"], "contact_object": sample["object_contact"]}
        record = parse_record({**values, **{k: v for k, v in labels.items() if v.size}}, root)
        group = f"{sample['category']}/{sample['object_seed']}"
        return _subject(key, group, record, model, template)

    return TruthSource("synth_hoi", split, tuple(place), one)


def _real(name: str, root: pathlib.Path, split: str, path: pathlib.Path | None) -> TruthSource:
    dataset = DATASETS[name]
    if dataset.kind is not ContactSample and path is None:
        raise InputError(f"{name}'s truth is body parameters: give --body-model, the file or folder of its body")
    index = dataset.scan(root)
    items = {item.key: item for item in index.items if item.split == split}
    if not items:
        have = sorted({item.split for item in index.items})
        raise InputError(f"{name} in {root} has no split {split!r}; it has {', '.join(have) or 'nothing usable'}")

    templates: dict[str, Mesh | None] = {}

    def template(item: DatasetItem, sample: HOIFrame) -> Mesh | None:
        file = item.files[0] if name == "intercap" else sample.object_name
        if file not in templates:
            templates[file] = sample_template(name, index, item, sample)
        return templates[file]

    def one(key: str) -> Subject:
        item = items[key]
        sample = dataset.read(index, item)
        if isinstance(sample, ContactSample):
            return _contact_subject(sample)
        model = sample_model(path, sample)
        if isinstance(sample, SceneFrame):
            return _scene_subject(root, sample, model)
        arrays = {**sample.body, "obj_rot": sample.obj_rot, "obj_trans": sample.obj_trans}
        record = parse_record(arrays, index.root / item.files[0])
        return _subject(key, sample.sequence, record, model, template(item, sample))

    return TruthSource(name, split, tuple(items), one)


def _files(root: pathlib.Path, split: str, path: pathlib.Path | None) -> TruthSource:
    """Files like those of predictions, with what the truth must add: `object_mesh`, or faces, and `group`."""
    records = read_predictions(root)
    model = free_body() if path is None else load(path)
    folder = root if root.is_dir() else root.parent

    @functools.cache
    def mesh(name: str) -> Mesh:
        surface = read_mesh(folder / name)
        return Mesh(np.asarray(surface.vertices, np.float32), np.asarray(surface.faces, np.int32))

    def one(key: str) -> Subject:
        raw = records.raw(key)
        template = mesh(str(raw["object_mesh"])) if "object_mesh" in raw else None
        record = parse_record({k: v for k, v in raw.items() if v.dtype.kind in "fiub"}, records.where)
        subject = _subject(key, str(raw.get("group", key)), record, model, template)
        given = {k: np.asarray(raw[k], np.int32) for k in ("body_faces", "object_faces") if k in raw}
        return dataclasses.replace(subject, **given)

    return TruthSource("files", split, tuple(records), one)


def _subject(key: str, group: str, record: Record, model: BodyModel, template: Mesh | None) -> Subject:
    truth = state_of(record, model, template, key)
    own = truth.body is not None and len(truth.body) == model.num_vertices
    return Subject(
        key, group, truth, model, template,
        body_faces=np.asarray(model.faces) if own else None,
        object_faces=None if template is None else np.asarray(template.faces),
    )  # fmt: skip


def synth_scene(sample: dict[str, Any], model: BodyModel) -> Subject:
    """One of SynthHOI's human-scene samples: the body in its furnished room; its label is contact with any of it."""
    contact = sample["body_contact"] | sample["body_floor_contact"]
    record = parse_record({**sample["body"], "contact_body": contact}, pathlib.Path(sample["key"]))
    subject = _subject(sample["key"], sample["key"], record, model, None)
    return dataclasses.replace(subject, scene=room_scene(sample, model))


def _contact_subject(sample: ContactSample) -> Subject:
    def labels(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None or not values.size else np.asarray(values, np.float32)

    truth = EvaluationState(contact_body=labels(sample.body_contact), contact_object=labels(sample.object_scores))
    return Subject(sample.key, sample.key, truth)


def _scene_subject(root: pathlib.Path, sample: SceneFrame, model: BodyModel) -> Subject:
    record = parse_record(sample.body, root / sample.scene)
    subject = _subject(sample.key, sample.sequence, record, model, None)
    points, normals, faces = _scan(root, sample.scene)
    # PROX brings its contact set; RICH does not.
    own = (root / "body_segments").is_dir()
    ids = _prox_contacts(root) if own else scene_contact_vertices(model)
    weights = np.asarray(contact_set_weights(np.asarray(model.v_template), np.asarray(model.faces), ids))
    rotation, move = sample.T_scene_camera[:3, :3], sample.T_scene_camera[:3, 3]
    scene = SceneTruth(((points - move) @ rotation).astype(np.float32), normals @ rotation, ids, weights, faces)
    return dataclasses.replace(subject, scene=scene)


@functools.lru_cache(maxsize=4)
def _scan(root: pathlib.Path, name: str) -> tuple[np.ndarray, ...]:
    """Points, normals and faces of a scene in its own frame."""
    mesh = read_template(root / name)
    return np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals), np.asarray(mesh.faces)


_prox_contacts = functools.lru_cache(maxsize=4)(prox.contact_set)


@functools.lru_cache(maxsize=8)
def _load(path: pathlib.Path, kind: str, gender: str | None, flat_hands: bool, components: int | None) -> BodyModel:
    return load(path, kind=kind, gender=gender, flat_hand_mean=flat_hands, hand_pca=components)


def sample_model(path: pathlib.Path, sample: HOIFrame | SceneFrame) -> BodyModel:
    """The body that a sample's parameters belong to, loaded once.

    Args:
      path: its file, or a folder in which the sample's gender chooses.
      sample: of `hoijax.data.real`.

    Raises:
      InputError: see `hoijax.body_models.load`.
    """
    hand = sample.body.get("left_hand_pose")
    components = len(hand) if hand is not None and len(hand) < 45 else None
    gender = getattr(sample, "gender", "neutral") if path.is_dir() else None
    return _load(path, sample.body_kind, gender, getattr(sample, "flat_hands", False), components)


def sample_template(name: str, index: Index, item: DatasetItem, sample: HOIFrame) -> Mesh | None:
    """The object in the frame that the sample's pose applies to; None where the dataset's layout has none."""
    if name in ("behave", "behave_30fps"):
        return behave.object_template(index.root, sample.object_name)
    if name == "imhd":
        return imhd.object_template(index.root, sample.object_name)
    if name == "intercap":
        return intercap.object_template(index, item)
    return None
