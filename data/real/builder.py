"""Parameter-only TFDS builds of the field's datasets: no image is read, nothing is downloaded.

One builder class per dataset, written as array_record, so that neither building nor reading needs TensorFlow:

    builder = tfds_builder("behave", root="/data/behave", data_dir="/data/tfds")
    builder.download_and_prepare()
    source = builder.as_data_source(split="train")
"""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from hoijax.data.real.schema import ContactSample, Dataset, Defect, HOIFrame, Index, Sample, SceneFrame, read_all
from hoijax.errors import InputError
from hoijax.io import write_json

VERSION = "1.1.0"

_BODY = {
    name: tfds.features.Tensor(shape=(None,), dtype=np.float32)
    for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
}
_TEXT = tfds.features.Text()

FEATURES: dict[type, dict[str, Any]] = {
    HOIFrame: {
        **{name: _TEXT for name in ("key", "sequence", "frame", "gender", "object_name", "body_kind")},
        "flat_hands": np.bool_,
        "body": _BODY,
        "obj_rot": tfds.features.Tensor(shape=(3,), dtype=np.float32),
        "obj_trans": tfds.features.Tensor(shape=(3,), dtype=np.float32),
        "images": tfds.features.Sequence({"camera": _TEXT, "path": _TEXT}),
    },
    SceneFrame: {
        **{name: _TEXT for name in ("key", "sequence", "frame", "gender", "body_kind", "scene", "image")},
        "mirrored": np.bool_,
        "body": _BODY,
        "T_scene_camera": tfds.features.Tensor(shape=(4, 4), dtype=np.float64),
    },
    ContactSample: {
        **{name: _TEXT for name in ("key", "image", "object_name", "affordance", "body_kind")},
        "body": _BODY,
        "body_contact": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
        "object_points": tfds.features.Tensor(shape=(None, 3), dtype=np.float32),
        "object_scores": tfds.features.Tensor(shape=(None,), dtype=np.float32),
    },
}
"""Features by kind of sample; a part that a dataset does not have is an empty array."""

_EMPTY = {
    "body_contact": np.zeros(0, bool),
    "object_points": np.zeros((0, 3), np.float32),
    "object_scores": np.zeros(0, np.float32),
}


def tfds_builder(name: str, *, root: str | pathlib.Path, data_dir: str | pathlib.Path) -> tfds.core.DatasetBuilder:
    """The TFDS builder of one dataset.

    After `download_and_prepare()` what was left out stands in `problems.json` beside the records.

    Args:
      name: one of `hoijax.data.real.DATASETS`.
      root: where the dataset was unpacked; only needed to build.
      data_dir: where TFDS keeps its datasets.

    Raises:
      InputError: the name is unknown, or `root` is not that dataset.
    """
    from hoijax.data.real import DATASETS

    if name not in DATASETS:
        raise InputError(f"no dataset is called {name!r}; known are {', '.join(DATASETS)}")
    return _builder_class(DATASETS[name])(root, data_dir=str(data_dir), file_format="array_record")


@functools.cache
def _builder_class(dataset: Dataset) -> type[tfds.core.GeneratorBasedBuilder]:
    """A class whose name TFDS turns into the dataset's: behave_30fps from Behave30fps."""
    class_name = "".join(part.capitalize() for part in dataset.name.split("_"))
    return type(class_name, (_ParameterBuilder,), {"dataset": dataset, "name": dataset.name, "__module__": __name__})


class _ParameterBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version(VERSION)
    dataset: Dataset

    def __init__(self, root, **kwargs):
        self._index = self.dataset.scan(pathlib.Path(root))
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.dataset.title,
            homepage=self.dataset.source,
            features=tfds.features.FeaturesDict(FEATURES[self.dataset.kind]),
        )

    def _split_generators(self, dl_manager):
        splits = sorted({item.split for item in self._index.items})
        if not splits:
            shown = "; ".join(str(p) for p in self._index.problems[:5])
            raise InputError(f"nothing usable in {self._index.root}: {shown}")
        self._left_out = list(self._index.problems)
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split):
        for item, sample in read_all(self.dataset, self._index, split):
            if isinstance(sample, Defect):
                self._left_out.append(sample)
            else:
                yield item.key, encode(sample)

    def _download_and_prepare(self, *args, **kwargs):
        super()._download_and_prepare(*args, **kwargs)
        problems = [dataclasses.asdict(p) for p in self._left_out]
        write_json(pathlib.Path(self.data_dir) / "problems.json", problems)


def encode(sample: Sample) -> dict[str, Any]:
    """A sample as the nested dictionary that its features describe."""
    example = {name: getattr(sample, name) for name in FEATURES[type(sample)]}
    body = sample.body or {}
    example["body"] = {name: np.asarray(body.get(name, ()), np.float32) for name in _BODY}
    if isinstance(sample, HOIFrame):
        example["images"] = [{"camera": k, "path": v} for k, v in sample.images.items()]
    return {name: _EMPTY[name] if value is None else value for name, value in example.items()}


def check(
    dataset: Dataset, root: str | pathlib.Path, *, read: bool = True
) -> tuple[Index, dict[str, int], list[Defect]]:
    """What is there, what is missing, what is inconsistent; reads parameters, never images.

    Args:
      dataset: the dataset.
      root: where it was unpacked.
      read: also read every sample's parameters.

    Returns:
      The scan, the number of usable samples per split, and every problem.
    """
    index = dataset.scan(pathlib.Path(root))
    problems, counts = list(index.problems), {}
    if not read:
        for item in index.items:
            counts[item.split] = counts.get(item.split, 0) + 1
        return index, counts, problems
    for item, sample in read_all(dataset, index):
        if isinstance(sample, Defect):
            problems.append(sample)
        else:
            counts[item.split] = counts.get(item.split, 0) + 1
    return index, counts, problems
