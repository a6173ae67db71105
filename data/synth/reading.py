"""Reading a built SynthHOI: a sequence of samples as NumPy arrays, without TensorFlow.

The features are those of `hoijax.data.synth.schema`, never those of the dataset's own `features.json`: TFDS imports the
modules that such a file names, so a dataset from a stranger could run code.
"""

import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tensorflow_datasets.core.example_parser import ExampleParserNp

from hoijax.data.synth.config import SCENE_SPLITS, SPLITS, SynthConfig
from hoijax.data.synth.schema import VERSION, dataset_name, decode, features
from hoijax.errors import InputError
from hoijax.io import read_json

LARGEST = 16 << 20
"""Bytes that a compressed tensor of a sample may unfold to; those of a build have some thousand."""


class SynthSplit(Sequence):
    """One split; `split[i]` is sample i, decoded (docs/synth_hoi.md lists its fields). Reading is random access."""

    def __init__(self, root: str | pathlib.Path, split: str):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self.folder = pathlib.Path(root) / dataset_name(split) / VERSION
        if not (self.folder / "dataset_info.json").is_file():
            raise InputError(
                f"no finished SynthHOI at {self.folder}; build it with: hoijax data build synth_hoi --root {root}"
            )
        config = read_config(root)
        if config is None:
            raise InputError(f"{self.folder} has no config.json, which says how large its images are; build it again")
        shards = sorted(self.folder.glob(f"{dataset_name(split)}-{split}.array_record-*-of-*"))
        if not shards:
            splits = sorted({p.name.split(".")[0].partition("-")[2] for p in self.folder.glob("*.array_record-*")})
            raise InputError(f"{self.folder} has no split {split!r}; it has {', '.join(splits) or 'none'}")
        self.split, self._features = split, features(split, config.image_size)
        self._parser = ExampleParserNp(self._features.get_serialized_info())
        try:
            self._source = ArrayRecordDataSource([str(shard) for shard in shards])
            count = len(self._source)
        except Exception as error:  # array_record raises whatever its C++ part reports
            raise InputError(f"the records of {self.folder}, split {split}, are damaged: {error}") from error
        if count != config.count(split):
            raise InputError(
                f"{self.folder}, split {split}: {count:,} samples in {len(shards)} record files, the build was to have "
                f"{config.count(split):,}; build it again in the same folder, which makes what is missing"
            )

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        try:
            raw = self._parser.parse_example(self._source[index])
            check_unfolded(raw)
            return decode(self._features.decode_example_np(raw))
        except Exception as error:  # a damaged record fails in any of the decoders of TFDS
            raise InputError(f"{self.folder}, split {self.split}: sample {index} is damaged: {error}") from error

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))


def check_unfolded(raw: Any) -> None:
    """Refuses texts of a record that zlib would unfold to more than any tensor of a sample has; TFDS sets no limit.

    Args:
      raw: a record before its features are decoded: dictionaries, arrays and bytes.

    Raises:
      InputError: one of them does.
    """
    if isinstance(raw, dict):
        for value in raw.values():
            check_unfolded(value)
    elif isinstance(raw, np.ndarray | list | tuple):
        for value in np.asarray(raw, object).ravel() if getattr(raw, "dtype", np.dtype(object)).kind in "OS" else ():
            check_unfolded(value)
    elif isinstance(raw, bytes) and raw[:1] == b"\x78":
        try:
            size = len(zlib.decompressobj().decompress(raw, LARGEST + 1))
        except zlib.error:
            return  # a text that begins so, or a damaged tensor, which its decoder names
        if size > LARGEST:
            raise InputError(f"a tensor unfolds to more than {LARGEST >> 20} MiB")


def read_config(root: str | pathlib.Path) -> SynthConfig | None:
    """What a build was asked to make, `workers` apart; None where no build was begun.

    Raises:
      InputError: its file is damaged.
    """
    for name in ("synth_hoi", "synth_scene"):
        path = pathlib.Path(root) / name / VERSION / "config.json"
        if path.is_file():
            values = read_json(path)
            try:
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
