"""Writing refined parameters in the keys, shapes and dtypes of the file they came from."""

import zipfile
from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.io.files import PathLike, atomic_file
from hoijax.io.layouts import ROTATIONS, Slot, interpret
from hoijax.io.params import ParameterFile


def write_parameters(path: PathLike, source: ParameterFile, refined: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Writes refined quantities in the keys, shapes and dtypes of the file they came from.

    Quantities that are equal to the file's stay bit for bit. Of the axis-angles of one rotation the one nearest to the
    file's is written. Integer keys become float64. A quantity that the file lacks is added under its own name, as
    float32; a shared one (see `ParameterFile.shared`) gets a leading axis if its rows now differ.

    Args:
      path: the `.npz` to write, whole or not at all.
      source: the file that was read.
      refined: quantity to array `(T, N)` in the form of `ParameterFile.values`; what is absent stays as it was.

    Returns:
      The keys that were added.

    Raises:
      ValueError: a quantity has another shape than the source's.
    """
    arrays, written = {}, set()
    for key, parts in source.slots.items():
        arrays[key] = _put(source, key, parts, refined)
        written.update(slot.quantity for slot in parts)
    added = tuple(name for name in refined if name not in written)
    for name in added:
        value = np.asarray(refined[name], np.float32)
        value = value[:, 0] if name == "obj_scale" else value
        arrays[name] = value if source.leading else value[0]
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in source.extras.items():
            archive.writestr(name, data)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return added


def nearest_axis_angle(rotation: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The axis-angle `(..., 3)` of the same rotation that lies nearest to another axis-angle.

    A rotation by angle a about an axis is one by a + 2 pi k about it; estimates beyond half a turn are common.

    Args:
      rotation: axis-angle, radians.
      near: axis-angle to stay close to, radians; the same shape.

    Returns:
      Axis-angle, radians.
    """
    rotation, near = np.asarray(rotation, np.float64), np.asarray(near, np.float64)
    angle = np.linalg.norm(rotation, axis=-1, keepdims=True)
    other = np.linalg.norm(near, axis=-1, keepdims=True)
    # At the identity every axis serves: take that of `near`.
    axis = np.where(angle > 1e-9, rotation / np.where(angle > 1e-9, angle, 1), near / np.where(other > 0, other, 1))
    turns = np.round(((near * axis).sum(-1, keepdims=True) - angle) / (2 * np.pi))
    return np.where(turns == 0, rotation, axis * (angle + 2 * np.pi * turns))


def _put(source: ParameterFile, key: str, parts: tuple[Slot, ...], refined: Mapping[str, np.ndarray]) -> np.ndarray:
    """One key's array with its refined quantities in place."""
    old = source.raw[key]
    own = interpret(source.path, key, old.shape, source.count)[1]
    rows = old.reshape(own or 1, -1)
    new = np.array(np.broadcast_to(rows, (source.count, rows.shape[1])), np.float64)
    for slot in parts:
        if slot.quantity not in refined:
            continue
        before, after = source.values[slot.quantity], np.asarray(refined[slot.quantity], np.float64)
        if before.shape != after.shape:
            raise ValueError(f"{slot.quantity} has shape {after.shape}, the file's is {before.shape}")
        same = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
        moved = ~same
        if not moved.any():
            continue
        fresh = after[moved]
        if slot.matrix:
            fresh = Rotation.from_rotvec(fresh.reshape(-1, 3)).as_matrix().reshape(len(fresh), -1)
        elif slot.quantity in ROTATIONS and fresh.shape[1] % 3 == 0:
            joints = (len(fresh), fresh.shape[1] // 3, 3)
            fresh = nearest_axis_angle(fresh.reshape(joints), before[moved].reshape(joints)).reshape(len(fresh), -1)
        new[moved, slot.start : slot.stop] = fresh
    dtype = old.dtype if old.dtype.kind == "f" else np.float64
    if np.array_equal(new, np.broadcast_to(rows, new.shape)):
        return old
    if (own or 1) == 1 and (new == new[:1]).all():
        return new[0].astype(dtype).reshape(old.shape)
    inner = old.shape[1:] if own is not None else old.shape
    return new.astype(dtype).reshape((source.count, *inner))
