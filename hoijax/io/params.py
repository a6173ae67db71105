"""The field's parameter files: a body and an object in one `.npz`, read with care and written back in kind.

Quantities; `T` is an optional leading axis, the same for all keys that have it; J is 21 for SMPL-H, SMPL-X and the free
body, 23 for SMPL:

| quantity | keys | shapes |
|---|---|---|
| `global_orient` | `global_orient`, `root_orient` | `(T, 3)`, `(T, 1, 3)`, matrices `(T, 3, 3)`, `(T, 1, 3, 3)` |
| `body_pose` | `body_pose`, `pose_body` | `(T, 3 J)`, `(T, J, 3)`, matrices `(T, J, 3, 3)` |
| `left_hand_pose`, `right_hand_pose` | the same, `pose_hand` for both | as `body_pose` with 15 joints; PCA `(T, N)` |
| `jaw_pose`, `leye_pose`, `reye_pose` | the same, `pose_jaw`, `pose_eye` for both eyes | as `global_orient` |
| all of the above | `poses`, `pose`, `fullpose`, `full_pose` | 156 (SMPL-H), 165 (SMPL-X), 72 (SMPL), 66 numbers |
| `betas`, `expression` | the same | `(T, S)` |
| `transl` | `transl`, `trans` | `(T, 3)` metres |
| `obj_rot` | `obj_rot`, `obj_angles`, `obj_R` | as `global_orient` |
| `obj_trans` | `obj_trans`, `obj_transl`, `obj_t` | `(T, 3)` metres |
| `obj_scale` | `obj_scale` | `(T,)` |

Rotations are axis-angle, radians, or matrices. One array without the leading axis is shared by all `T`. A `(3, 3)`
array is three axis-angles when the file's leading axis is 3, otherwise one matrix. A point p of the object's mesh is at
`obj_scale * obj_rot p + obj_trans`.
A key that is not in the table and looks like a pose by its name and shape (`cam_t`, `global_pose`, a 4 x 4 `obj_pose`)
is refused, since what it says would be lost; everything else in the file is kept and written back byte for byte.
"""

import dataclasses
import math
import pathlib
import re

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io.archives import Header, open_npz
from hoijax.io.files import PathLike
from hoijax.io.layouts import KEYS, REQUIRED, ROTATIONS, Slot, interpret

_BODY_MODEL_KEYS = ("v_template", "shapedirs", "weights", "J_regressor", "kintree_table", "posedirs")

# 300,000 frames of SMPL-X; checking them takes eight times the bytes of their float64 form.
_MOST_NUMBERS = 50_000_000

# Words of a key that say where something is or how it is turned.
_POSE_NAME = re.compile(
    r"(?:^|_)(?:rot|rots|rotmat|rotation|rotvec|R|t|T|pose|orient|trans|transl|translation|angles|quat)(?:_|$)"
)

# What numbers of a body and an object can be. Poses of two turns are met, of a hundred radians are not.
_FARTHEST = 100.0
_MOST_TURNED = 4 * np.pi + 1e-3
_MOST_COEFFICIENT = 50.0
_SCALES = (1e-3, 1e3)


@dataclasses.dataclass(frozen=True)
class ParameterFile:
    """What a parameter file holds, in one form, and how to write it back in its own."""

    path: pathlib.Path
    """Where it came from."""
    values: dict[str, np.ndarray]
    """Quantity to float64 array with leading axis: rotations as axis-angle `(T, 3 N)`, the rest `(T, N)`;
    `obj_scale` is `(T, 1)`. Only what the file has."""
    slots: dict[str, tuple[Slot, ...]]
    """Where each key of the file keeps which quantities."""
    raw: dict[str, np.ndarray]
    """The arrays of those keys as they were."""
    count: int
    """T; 1 without a leading axis."""
    leading: bool
    """Whether the body has a leading axis in the file."""
    shared: frozenset[str]
    """Quantities that one array without leading axis gives to all T of a file that has one."""
    extras: dict[str, bytes]
    """The other members of the archive, as their bytes."""
    broken: dict[int, str] = dataclasses.field(default_factory=dict)
    """What is wrong with the rows that hold numbers which are not finite or of no body; see `read_parameters`."""

    def item(self, index: int) -> dict[str, np.ndarray]:
        """Quantities of one interaction, without leading axis."""
        return {name: value[index] for name, value in self.values.items()}


def read_parameters(path: PathLike, *, keep_broken: bool = False) -> ParameterFile:
    """Reads a parameter file; nothing in it is executed.

    Args:
      path: an `.npz`, see the module's table.
      keep_broken: True: rows with NaN, infinity or absurd numbers (degrees, millimetres, a scale of 1e30) are listed
        in `broken` as long as others are whole. False: they are an error.

    Returns:
      Its quantities, checked.

    Raises:
      InputError: missing or unreadable file; no body pose in it; an unexpected shape, dtype or number; leading axes
        that disagree; two keys that give one quantity different values.
    """
    path = pathlib.Path(path)
    arrays, extras = _read_archive(path)
    if not any(key in arrays for key in REQUIRED):
        _refuse_keys(path, sorted([*arrays, *extras]))
    slots, leading = {}, {}
    for key, array in arrays.items():
        if not array.size:
            raise InputError(f"{path}: '{key}' is empty, its shape is {array.shape}")
        slots[key], leading[key] = interpret(path, key, array.shape, None)
    count = _common_count(path, {key: length for key, length in leading.items() if key not in _ambiguous(arrays)})
    for key in _ambiguous(arrays):
        slots[key], leading[key] = interpret(path, key, arrays[key].shape, count)
    _common_count(path, leading)
    broken: dict[int, str] = {}
    for key, array in arrays.items():
        found = _not_finite(path, key, array, own_axis=leading[key] not in (None, 1))
        if found and (not keep_broken or -1 in found):
            raise InputError(next(iter(found.values())))
        broken = found | broken
    if len(broken) == count:
        raise InputError(broken[min(broken)])
    values: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    for key, parts in slots.items():
        for slot in parts:
            value = _take(path, key, arrays[key], slot, leading[key], count)
            absurd = _out_of_range(path, key, slot.quantity, value)
            if absurd and (not keep_broken or len(absurd | broken) == count):
                raise InputError(absurd[min(absurd)])
            broken = absurd | broken
            if slot.quantity in values and not np.allclose(values[slot.quantity], value, atol=1e-4, equal_nan=True):
                other = origin[slot.quantity]
                raise InputError(f"{path}: '{other}' and '{key}' both give {slot.quantity} and disagree; leave one out")
            values.setdefault(slot.quantity, value)
            origin.setdefault(slot.quantity, key)
    has_axis = count > 1 or any(leading[key] is not None for key in slots if key in REQUIRED)
    shared = frozenset(s.quantity for key in slots for s in slots[key] if leading[key] in (None, 1) and count > 1)
    return ParameterFile(path, values, slots, arrays, count, has_axis, shared, extras, broken)


def single(source: ParameterFile, index: int) -> ParameterFile:
    """One interaction of a file as a file of its own: the same keys without leading axis, without the extras."""
    raw, slots = {}, {}
    for key, array in source.raw.items():
        own = interpret(source.path, key, array.shape, source.count)[1] is not None
        row = 0 if array.shape[:1] == (1,) else index
        raw[key] = np.asarray(array[row] if own else array)
        slots[key] = interpret(source.path, key, raw[key].shape, 1)[0]
    values = {name: value[index : index + 1] for name, value in source.values.items()}
    return ParameterFile(source.path, values, slots, raw, 1, False, frozenset(), {})


def _read_archive(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
    """The known keys as arrays, all other members as bytes."""
    if path.suffix in (".pkl", ".pickle") and path.is_file():
        raise InputError(
            f"{path} is not an .npz archive; wanted body parameters saved with np.savez (pickles are not read; save "
            "the arrays with np.savez)"
        )
    with open_npz(path, what="parameter file") as archive:
        known = [key for key in archive.members if key in KEYS]
        total = sum(math.prod(archive.header(key).shape) for key in known)
        if total > _MOST_NUMBERS:
            raise InputError(
                f"{path} has {total:,} numbers of parameters, wanted at most {_MOST_NUMBERS:,}; split it into files of "
                "fewer frames"
            )
        _refuse_poses(path, {key: archive.header(key) for key in archive.members if key not in KEYS}, known)
        arrays = {key: archive.array(key, kinds="fiu") for key in known}
        others = [archive.members[key].filename for key in archive.members if key not in KEYS]
        return arrays, {name: archive.contents(name) for name in (*others, *archive.others)}


def _refuse_poses(path: pathlib.Path, others: dict[str, Header], known: list[str]) -> None:
    """Names keys that look like a pose and are none that is understood; without a body pose another message serves."""
    if not any(key in known for key in REQUIRED):
        return
    lost = [
        key
        for key, header in others.items()
        if _POSE_NAME.search(key) and header.dtype.kind in "fiu" and header.shape[-1:] in ((3,), (4,), (6,), (9,))
    ]
    if lost:
        raise InputError(
            f"{path}: {', '.join(f'{key!r} {others[key].shape}' for key in lost[:6])} look like a pose and are not "
            "understood, so what they say would be lost; rename them to what docs/refine.md lists (transl, "
            "global_orient, obj_rot, obj_trans, ...), or leave them out of the file"
        )


def _refuse_keys(path: pathlib.Path, names: list[str]) -> None:
    keys = [name.removesuffix(".npy") for name in names]
    if any(key in keys for key in _BODY_MODEL_KEYS):
        raise InputError(
            f"{path} is a body model (it has {', '.join(k for k in keys if k in _BODY_MODEL_KEYS)}), wanted the "
            "parameters of a body; give this file as --body-model"
        )
    shown = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "") if keys else "nothing"
    raise InputError(
        f"{path} has no body pose: wanted 'body_pose' with 'global_orient', or 'poses' (one vector for all joints); it "
        f"has {shown}"
    )


def _not_finite(path: pathlib.Path, key: str, array: np.ndarray, *, own_axis: bool) -> dict[int, str]:
    """What is wrong with each row that holds NaN or infinity; -1 is the row of an array without rows."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return {}
    found = {}
    for row in np.unique(np.argwhere(bad)[:, 0]) if own_axis else [-1]:
        here = bad[row] if own_axis else bad
        first = [int(i) for i in np.argwhere(here)[0]] if here.ndim else []
        place = f"'{key}'{[int(row), *first] if own_axis else first}" if own_axis or first else f"'{key}'"
        value = array[row][tuple(first)] if own_axis else array[tuple(first)]
        found[int(row)] = (
            f"{path}: {place} is {value} ({int(here.sum())} numbers that are not finite); estimate it again or "
            "leave it out"
        )
    return found


def _out_of_range(path: pathlib.Path, key: str, quantity: str, value: np.ndarray) -> dict[int, str]:
    """What is wrong with each row whose numbers are finite and yet none of a body or an object."""
    value = np.where(np.isfinite(value), value, 1.0)
    if quantity == "obj_scale":
        low, high = _SCALES
        bad = ~((value >= low) & (value <= high)).all(axis=1)
        if (value <= 0).any():
            say = "obj_scale must be positive, got {:g}"
        else:
            say = f"obj_scale is {{:g}}, wanted {low:g} to {high:g}; scale the mesh instead"
        worst = np.where(bad, value[:, 0], 1.0)
    elif value.shape[1] in [3 * joints for joints in ROTATIONS.get(quantity, ())]:  # not components of a hand
        worst = np.linalg.norm(value.reshape(len(value), -1, 3), axis=2).max(axis=1)
        bad, say = (
            worst > _MOST_TURNED,
            "a rotation by {:.4g} radians, which looks like degrees; wanted radians",
        )
    elif quantity in ("transl", "obj_trans"):
        worst = np.abs(value).max(axis=1)
        bad, say = worst > _FARTHEST, "a position {:,.4g} metres away, it looks like millimetres; wanted metres"
    else:
        worst = np.abs(value).max(axis=1)
        bad, say = worst > _MOST_COEFFICIENT, "a coefficient of {:.4g}, wanted standard deviations of a few"
    return {int(row): f"{path}: {_sentence(key, say.format(float(worst[row])))}" for row in np.flatnonzero(bad)}


def _sentence(key: str, text: str) -> str:
    """What is wrong with a key; obj_scale's messages name it themselves."""
    return text if text.startswith("obj_scale") else f"'{key}' has {text}"


def _ambiguous(arrays: dict[str, np.ndarray]) -> list[str]:
    """Keys whose `(3, 3)` is one matrix or three axis-angles."""
    return [key for key, array in arrays.items() if array.shape == (3, 3) and KEYS[key][0][0] in ROTATIONS]


def _common_count(path: pathlib.Path, leading: dict[str, int | None]) -> int:
    lengths = {key: length for key, length in leading.items() if length not in (None, 1)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"'{key}' {length}" for key, length in lengths.items())
        raise InputError(f"{path}: the leading axes disagree: {told}; wanted one length, or 1 for what all share")
    return next(iter(lengths.values()), 1)


def _take(path: pathlib.Path, key: str, array: np.ndarray, slot: Slot, leading: int | None, count: int) -> np.ndarray:
    """One quantity of one key as `(T, N)`, rotations as axis-angle."""
    rows = array.reshape(leading or 1, -1).astype(np.float64)[:, slot.start : slot.stop]
    if slot.matrix:
        rows = _axis_angles(path, key, rows)
    return np.broadcast_to(rows, (count, rows.shape[1])).copy()


def _axis_angles(path: pathlib.Path, key: str, rows: np.ndarray) -> np.ndarray:
    """Matrices `(T, 9 N)`, checked, as axis-angles `(T, 3 N)`."""
    whole = np.isfinite(rows).all(axis=1)
    matrices = np.where(whole[:, None], rows, np.tile(np.eye(3).ravel(), rows.shape[1] // 9)).reshape(
        len(rows), -1, 3, 3
    )
    off = np.abs(np.einsum("tnij,tnkj->tnik", matrices, matrices) - np.eye(3)).max(axis=(2, 3))
    if off.max() > 1e-3 or (np.linalg.det(matrices) < 0).any():
        raise InputError(
            f"{path}: '{key}' is no rotation matrix (R times its transpose is off the identity by {off.max():.2g}, "
            f"determinant {np.linalg.det(matrices).min():.3g}); wanted a rotation, its scale goes to obj_scale"
        )
    angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec().reshape(len(rows), -1)
    return np.where(whole[:, None], angles, np.nan)
