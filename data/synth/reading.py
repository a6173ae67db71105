"""Reading a built SynthHOI: a sequence of samples as NumPy arrays, without TensorFlow."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds

from hoijax.data.synth.config import SCENE_SPLITS, SPLITS, SynthConfig
from hoijax.data.synth.schema import VERSION, dataset_name, decode
from hoijax.errors import InputError


class SynthSplit(Sequence):
    """One split; `split[i]` is sample i, decoded (docs/synth_hoi.md lists its fields). Reading is random access."""

    def __init__(self, root: str | pathlib.Path, split: str):
        folder = pathlib.Path(root) / dataset_name(split) / VERSION
        if not (folder / "dataset_info.json").is_file():
            raise InputError(
                f"no finished SynthHOI at {folder}; build it with: hoijax data build synth_hoi --root {root}"
            )
        builder = tfds.builder_from_directory(str(folder))
        if split not in builder.info.splits:
            raise InputError(f"{folder} has no split {split!r}; it has {', '.join(sorted(builder.info.splits))}")
        self.split = split
        self._source = builder.as_data_source(split=split)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return decode(self._source[index % len(self)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))


def read_config(root: str | pathlib.Path) -> SynthConfig | None:
    """What a build was asked to make, `workers` apart; None where no build was begun.

    Raises:
      InputError: its file is damaged.
    """
    for name in ("synth_hoi", "synth_scene"):
        path = pathlib.Path(root) / name / VERSION / "config.json"
        if path.is_file():
            try:
                values = json.loads(path.read_text())
                return SynthConfig(**values | {"actions": tuple(values["actions"])})
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{path} is damaged: {error}") from error
    return None


def open_split(root: str | pathlib.Path, split: str) -> SynthSplit:
    """Opens a split of a built SynthHOI.

    Args:
      root: the folder that was given to `build`.
      split: one of `SPLITS` or `SCENE_SPLITS`.

    Returns:
      A sequence with `len` and `[i]`, each sample a dictionary of NumPy arrays, strings and numbers.

    Raises:
      InputError: no such split, or the build is not finished.
    """
    if split not in SPLITS + SCENE_SPLITS:
        raise InputError(f"SynthHOI has no split {split!r}; its splits are {', '.join(SPLITS + SCENE_SPLITS)}")
    return SynthSplit(root, split)
