"""A folder of files with one frame each as one sequence, in the order of the numbers in their names."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.io import ParameterFile
from hoijax.io.params import in_own_keys, with_frames
from hoijax.io.sources import SourceEstimate


def are_numbered(names: Sequence[str]) -> bool:
    """Whether names differ by the number of a frame alone."""
    try:
        _numbers(pathlib.Path(), names)
    except InputError:
        return False
    return True


def join_frames(folder: pathlib.Path, files: Mapping[str, ParameterFile]) -> ParameterFile:
    """One file of parameters with a row for each file, and the numbers of their frames.

    Args:
      folder: where they lie, for messages.
      files: name without its suffix to file of one row.

    Raises:
      InputError: the names differ in no number, or in more than one; the files are of several methods or have
        different keys.
    """
    numbers = _numbers(folder, list(files))
    order = np.argsort(numbers)
    names = [list(files)[i] for i in order]
    rows = [files[name] for name in names]
    first = rows[0]
    for name, row in zip(names, rows):
        if _layout(row) != _layout(first):
            raise InputError(
                f"{folder}: {name} has other keys, or is of another method, than {names[0]}; not one person's"
            )
    values = {key: np.concatenate([row.values[key] for row in rows]) for key in first.values}
    joined = dataclasses.replace(
        first, path=folder, values=values, count=len(rows), leading=True, shared=frozenset(), extras={}, broken={},
        estimate=None if first.estimate is None else _join_estimates(folder, [row.estimate for row in rows]),
        notes=tuple(dict.fromkeys(note for row in rows for note in row.notes)),
    )  # fmt: skip
    return with_frames(in_own_keys(joined), np.asarray(numbers)[order])


def _layout(row: ParameterFile) -> tuple[object, ...]:
    shapes = {key: value.shape for key, value in row.values.items()}
    return shapes, None if row.estimate is None else (row.estimate.source.name, row.estimate.body)


def _numbers(folder: pathlib.Path, names: Sequence[str]) -> list[int]:
    """The number in which names differ."""
    digits = [re.findall(r"\d+", name) for name in names]
    texts = {re.sub(r"\d+", "#", name) for name in names}
    columns = list(zip(*digits)) if len(texts) == 1 else []
    differ = [column for column in columns if len({int(text) for text in column}) > 1]
    if len(differ) != 1 or len({int(text) for text in differ[0]}) < len(names):
        raise InputError(
            f"{folder}: the names {', '.join(names[:3])}, ... differ in more than the number of a frame; put the "
            "files of one person into a folder of their own, named such as 000001.npz"
        )
    return [int(text) for text in differ[0]]


def _join_estimates(folder: pathlib.Path, rows: Sequence[SourceEstimate]) -> SourceEstimate:
    """The estimates of single frames as one; what is of one picture is left out."""
    every = {
        name: [getattr(row, name) for row in rows] for name in ("vertices", "keypoints", "pixels", "anchors")
    }  # fmt: skip
    whole = {
        name: None if any(part is None for part in parts) else np.concatenate(parts) for name, parts in every.items()
    }
    arrays = {key: np.stack([np.asarray(row.arrays[key]) for row in rows]) for key in rows[0].arrays}
    return dataclasses.replace(rows[0], path=folder, arrays=arrays, mask=None, pointmap=None, **whole)
