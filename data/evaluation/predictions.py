"""Predictions as files: a folder with one `.npz` per sample, or one `.npz` of stacked arrays with `ids`.

A file holds any of: the field's parameter keys (`hoijax.io.params` lists them with their aliases), and the finished
arrays of `ARRAYS` for methods that output no parameters, or not those of the dataset's body.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io.archives import PLAIN, read_npz
from hoijax.io.layouts import KEYS, interpret

ARRAYS: dict[str, tuple[int | None, ...]] = {
    "vertices": (None, 3),
    "joints": (None, 3),
    "object_vertices": (None, 3),
    "contact_body": (None,),
    "contact_object": (None,),
}
"""Finished arrays of one sample and their shapes: posed body, its joints, the posed object, contact probabilities."""

IDS = "ids"


@dataclasses.dataclass(frozen=True)
class Record:
    """One sample's file, checked: numbers, finite, of known shapes."""

    values: dict[str, np.ndarray]
    """Quantities of `hoijax.io.params`, flat float64: rotations as axis-angle."""
    arrays: dict[str, np.ndarray]
    """Those of `ARRAYS`, float32."""
    ignored: tuple[str, ...] = ()
    """Keys that mean nothing here."""


class Predictions(Mapping):
    """Sample id to `Record`, read when asked for.

    Args:
      where: the file or folder, for messages.
      files: id to its own file; or
      stacked: arrays with a leading axis, in the order of `ids`.
      ids: of the stacked arrays.
    """

    def __init__(
        self,
        where: pathlib.Path,
        *,
        files: Mapping[str, pathlib.Path] | None = None,
        stacked: Mapping[str, np.ndarray] | None = None,
        ids: tuple[str, ...] = (),
    ):
        self.where, self._files, self._stacked = where, dict(files or {}), dict(stacked or {})
        self._rows = {key: row for row, key in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._files) + len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._files, *self._rows])

    def __contains__(self, key: object) -> bool:
        return key in self._files or key in self._rows

    def __getitem__(self, key: str) -> Record:
        """One sample's prediction.

        Raises:
          KeyError: no such id.
          InputError: the file is damaged, an array has another shape, or a number is not finite.
        """
        return parse_record(self.raw(key), self._files.get(key, self.where))

    def raw(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of one sample as they are in the file."""
        if key in self._files:
            return read_arrays(self._files[key])
        return {name: np.asarray(array[self._rows[key]]) for name, array in self._stacked.items()}


def read_predictions(path: str | pathlib.Path) -> Predictions:
    """Opens predictions.

    Args:
      path: a folder, in which `<id>.npz` is the sample `id` (ids with slashes lie in sub-folders); or one `.npz` with
        `ids (N,)` and arrays that all have N rows.

    Returns:
      The predictions; the files of a folder are read later, one by one.

    Raises:
      InputError: nothing there, no `ids`, ids twice, or arrays of different lengths.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = {p.relative_to(path).with_suffix("").as_posix(): p for p in sorted(path.rglob("*.npz"))}
        if not files:
            raise InputError(f"the folder {path} holds no .npz files; wanted one per sample, named by the sample's id")
        return Predictions(path, files=files)
    arrays = read_arrays(path)
    if IDS not in arrays:
        raise InputError(
            f"{path} has no '{IDS}'; stacked predictions name their samples (it has {', '.join(sorted(arrays))}). "
            "For one file per sample give their folder"
        )
    try:
        ids = tuple(str(i.decode() if isinstance(i, bytes) else i) for i in np.ravel(arrays.pop(IDS)))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: '{IDS}' holds text that is not UTF-8: {error.object[:40]!r}") from error
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise InputError(f"{path}: '{IDS}' has {twice!r} twice")
    wrong = [f"'{k}' {a.shape}" for k, a in arrays.items() if a.shape[:1] != (len(ids),)]
    if wrong:
        raise InputError(f"{path}: {', '.join(wrong)} of {len(ids)} ids; wanted one row per id")
    return Predictions(path, stacked=arrays, ids=ids)


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Every array of an `.npz`; pickled ones are refused.

    Raises:
      InputError: missing, damaged, or not an `.npz`.
    """
    return read_npz(path, kinds=PLAIN)


def parse_record(arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> Record:
    """One sample's arrays, sorted and checked.

    Raises:
      InputError: not numbers, not finite, another shape than the key has.
    """
    values, finished = {}, {}
    for key in arrays:
        if key not in KEYS and key not in ARRAYS:
            continue
        array = np.asarray(arrays[key])
        if array.dtype.kind not in "fiub":
            raise InputError(f"{path}: '{key}' has dtype {array.dtype}, wanted numbers")
        bad = ~np.isfinite(array.astype(np.float64))
        if bad.any():
            raise InputError(f"{path}: '{key}' holds {int(bad.sum())} numbers that are not finite")
        if key in ARRAYS:
            wanted = ARRAYS[key]
            if array.ndim != len(wanted) or any(n not in (None, m) for n, m in zip(wanted, array.shape)):
                shown = ", ".join("N" if n is None else str(n) for n in wanted)
                raise InputError(f"{path}: '{key}' has shape {array.shape}, wanted ({shown})")
            finished[key] = array.astype(np.float32)
        else:
            values |= _quantities(path, key, array)
    return Record(values, finished, tuple(k for k in arrays if k not in KEYS and k not in ARRAYS))


def _quantities(path: pathlib.Path, key: str, array: np.ndarray) -> dict[str, np.ndarray]:
    slots, leading = interpret(path, key, array.shape, 1)
    if leading not in (None, 1):
        raise InputError(f"{path}: '{key}' has shape {array.shape}: {leading} samples where one is wanted")
    flat, out = array.astype(np.float64).reshape(-1), {}
    for slot in slots:
        value = flat[slot.start : slot.stop]
        if slot.matrix:
            matrices = value.reshape(-1, 3, 3)
            off = np.abs(matrices @ np.swapaxes(matrices, 1, 2) - np.eye(3)).max()
            if off > 1e-3 or (np.linalg.det(matrices) < 0).any():
                raise InputError(f"{path}: '{key}' is no rotation matrix")
            value = Rotation.from_matrix(matrices).as_rotvec().reshape(-1)
        out[slot.quantity] = value
    return out
