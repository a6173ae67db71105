"""What every reader of a published dataset yields: items found on disk, problems named, samples as NumPy arrays."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import reason


@dataclasses.dataclass(frozen=True)
class Defect:
    """Something missing or inconsistent on disk."""

    where: str
    """Path relative to the dataset's root."""
    what: str
    """What was found and what was wanted."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclasses.dataclass(frozen=True)
class DatasetItem:
    """One sample on disk, not yet read."""

    key: str
    """Unique in the dataset, stable between machines: the sample's name."""
    split: str
    """"train", "val" or "test"."""
    files: tuple[str, ...]
    """Paths relative to the root that hold the sample's parameters."""
    row: int = 0
    """Which row of those files, where they hold many samples."""


@dataclasses.dataclass(frozen=True)
class Index:
    """What a scan found, without having read images."""

    dataset: str
    root: pathlib.Path
    items: tuple[DatasetItem, ...]
    problems: tuple[Defect, ...]


@dataclasses.dataclass(frozen=True)
class HOIFrame:
    """Body and object of one frame, in the dataset's world frame (metres, axis-angle in radians)."""

    key: str
    sequence: str
    frame: str
    gender: str
    """"male", "female" or "neutral"."""
    object_name: str
    body_kind: str
    """"smplh" or "smplx": the model that the parameters belong to."""
    flat_hands: bool
    """True: hand poses are absolute; False: the model's mean hand pose is added to them."""
    body: dict[str, np.ndarray]
    """`global_orient (3,)`, `body_pose (63,)`, both hand poses (45, or 12 PCA coefficients), `betas`, `transl`."""
    obj_rot: np.ndarray
    """(3,) axis-angle, applied to the template as `object_template` centres it."""
    obj_trans: np.ndarray
    """(3,) metres."""
    images: dict[str, str] = dataclasses.field(default_factory=dict)
    """Colour image per camera, relative to the root; the files need not be there."""


@dataclasses.dataclass(frozen=True)
class ContactSample:
    """Contact labels of one image, on a body, on an object, or both."""

    key: str
    image: str
    """Relative to the root; the file need not be there."""
    object_name: str
    affordance: str = ""
    body_kind: str = ""
    """"smpl" (6890 vertices, also for SMPL-H), "smplx" (10475), or empty."""
    body_contact: np.ndarray | None = None
    """(V,) bool."""
    body: dict[str, np.ndarray] | None = None
    """Body parameters in the field's keys, where the dataset has them."""
    object_points: np.ndarray | None = None
    """(N, 3) in the dataset's canonical frame."""
    object_scores: np.ndarray | None = None
    """(N,) likelihood in [0, 1] of the affordance, or contact."""


@dataclasses.dataclass(frozen=True)
class SceneFrame:
    """A body in a scanned scene, in the camera's frame (metres)."""

    key: str
    sequence: str
    frame: str
    body_kind: str
    body: dict[str, np.ndarray]
    """Body parameters in the field's keys; hand poses may be PCA coefficients."""
    scene: str
    """The scene's mesh, relative to the root."""
    T_scene_camera: np.ndarray
    """(4, 4): from the camera's frame to the scan's."""
    gender: str = "neutral"
    """"male", "female" or "neutral": whose shape the coefficients are of."""
    image: str = ""
    mirrored: bool = False
    """True: the stored image is flipped left to right."""


Sample = HOIFrame | ContactSample | SceneFrame


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A published dataset: how to find its samples and how to read one."""

    name: str
    title: str
    """What it is, in one line."""
    source: str
    """Where people get it."""
    scan: Callable[[pathlib.Path], Index]
    read: Callable[[Index, DatasetItem], Sample]
    """Raises `InputError` for an item that cannot be used."""
    kind: type
    """The type of its samples."""


def existing_root(root: str | pathlib.Path, dataset: str, *needed: str) -> pathlib.Path:
    """The dataset's folder.

    Raises:
      InputError: it is no folder, or none of the entries that tell the dataset is in it.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give the folder that {dataset} was unpacked into")
    if needed and not any((root / name).exists() for name in needed):
        raise InputError(f"{root} does not look like {dataset}: wanted {' or '.join(needed)} in it")
    return root


def read_all(dataset: Dataset, index: Index, split: str | None = None) -> Iterator[tuple[DatasetItem, Sample | Defect]]:
    """Reads every item in order; an item that cannot be used gives its problem, and the rest goes on.

    Args:
      dataset: the dataset.
      index: its scan.
      split: only this split; None: all.

    Yields:
      The item with its sample or with what is wrong with it.
    """
    for item in index.items:
        if split is None or item.split == split:
            try:
                yield item, dataset.read(index, item)
            except InputError as error:
                yield item, Defect(item.files[0], str(error))
            except Exception as error:  # whatever a damaged file does to the reader: one file never ends the rest
                yield item, Defect(item.files[0], f"damaged: {reason(error)}")


def array(values: Any, name: str, shape: tuple[int | None, ...], dtype: type = np.float32) -> np.ndarray:
    """A finite array of the shape wanted (None: any length).

    Raises:
      InputError: missing, another shape, not numbers, or not finite.
    """
    if values is None:
        raise InputError(f"'{name}' is missing")
    try:
        values = np.asarray(values, dtype)
    except (TypeError, ValueError):
        raise InputError(f"'{name}' does not hold numbers") from None
    if len(values.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, values.shape)):
        raise InputError(f"'{name}' has shape {values.shape}, wanted {tuple('any' if n is None else n for n in shape)}")
    if not np.isfinite(values).all():
        raise InputError(f"'{name}' holds values that are not finite")
    return values


def smplx_fit(fit: dict) -> dict[str, np.ndarray]:
    """The field's keys from a fit of SMPL-X as PROX and RICH keep them, arrays with a leading axis of one.

    Hands are PCA coefficients whose number the fit decides; the face is left out.

    Raises:
      InputError: an array is missing or has another size.
    """

    def row(name: str, size: int | None) -> np.ndarray:
        value = fit.get(name)
        return array(None if value is None else np.ravel(value), name, (size,))

    sizes = {"global_orient": 3, "body_pose": 63, "betas": 10, "transl": 3}
    hands = [name for name in ("left_hand_pose", "right_hand_pose") if name in fit]
    return {name: row(name, size) for name, size in sizes.items()} | {name: row(name, None) for name in hands}


def smplh_body(pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> dict[str, np.ndarray]:
    """The field's keys from the flat 156 numbers of SMPL-H."""
    return {
        "global_orient": pose[:3],
        "body_pose": pose[3:66],
        "left_hand_pose": pose[66:111],
        "right_hand_pose": pose[111:156],
        "betas": betas,
        "transl": transl,
    }
