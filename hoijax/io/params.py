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
Everything else in the file is kept and written back byte for byte. A file with other keys, or of another kind, is read
by the table of sources (`hoijax.io.sources`) and written in the names above. A key that looks like a pose by its name
and shape and that no row of that table understands is refused, since what it says would be lost.
"""

import dataclasses
import io
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io.archives import open_npz
from hoijax.io.files import PathLike
from hoijax.io.layouts import KEYS, REQUIRED, ROTATIONS, Slot, interpret
from hoijax.io.scenes import format_of
from hoijax.io.sources import SUFFIXES, SourceEstimate, find_source, looks_like_a_pose, read_estimate
from hoijax.io.sources.records import frames_of_times

_BODY_MODEL_KEYS = ("v_template", "shapedirs", "weights", "J_regressor", "kintree_table", "posedirs")

# 300,000 frames of SMPL-X; checking them takes eight times the bytes of their float64 form.
_MOST_NUMBERS = 50_000_000

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
    estimate: SourceEstimate | None = None
    """How another method's file was read; None for a file in the keys above."""
    notes: tuple[str, ...] = ()
    """What its user should know."""
    frames: np.ndarray | None = None
    """`(T,)` numbers of the frames, rising, where the file says that rows are frames; None: it does not."""
    fps: float | None = None
    """Frames a second, where the file says them."""

    def item(self, index: int) -> dict[str, np.ndarray]:
        """Quantities of one interaction, without leading axis."""
        return {name: value[index] for name, value in self.values.items()}


def read_parameters(
    path: PathLike,
    *,
    keep_broken: bool = False,
    source: str | None = None,
    person: str | None = None,
    ignore: Sequence[str] = (),
) -> ParameterFile:
    """Reads a parameter file, or one of another method; nothing in it is executed.

    Args:
      path: an `.npz`, see the module's table, or a file of `hoijax.io.sources`.
      keep_broken: True: rows with NaN, infinity or absurd numbers (degrees, millimetres, a scale of 1e30) are listed
        in `broken` as long as others are whole. False: they are an error.
      source: row of the table of sources; "hoijax" for the module's own; None: found by the file's keys.
      person: whose, where the file has several people.
      ignore: keys that are left out.

    Returns:
      Its quantities, checked.

    Raises:
      InputError: missing or unreadable file; no body pose in it; an unexpected shape, dtype or number; leading axes
        that disagree; two keys that give one quantity different values; a key that looks like a pose and is not
        understood.
    """
    path = pathlib.Path(path)
    own = _read_own(path, source, person, ignore)
    if own is not None:
        file = _build(path, *own, keep_broken=keep_broken)
        frames, fps = _video(file)
        return dataclasses.replace(file, frames=frames, fps=fps)
    estimate = read_estimate(path, source=source, person=person, ignore=ignore)
    return parameters_of(estimate, keep_broken=keep_broken)


def parameters_of(estimate: SourceEstimate, *, keep_broken: bool = False) -> ParameterFile:
    """A body of another method as a parameter file, axis-angle and float32, checked like any other.

    Where the file has the body's surface alone, or says where another point than the model's origin is, pose and
    translation are zero until `hoijax.jobs.estimates.settle` knows the body model.

    Args:
      estimate: what the file says.
      keep_broken: see `read_parameters`.

    Raises:
      InputError: no body in it; see `read_parameters`.
    """
    if not estimate.has_body:
        what = "the pose of an object; give it as --object-pose beside --body" if estimate.has_object else "nothing"
        raise InputError(f"{estimate.path} ({estimate.source.title}) has no body, but {what}")
    arrays, count = dict(estimate.arrays), estimate.count
    if estimate.vertices is not None:
        joints = 23 if estimate.body == "smpl" else 21
        arrays |= {"global_orient": np.zeros((count, 3)), "body_pose": np.zeros((count, 3 * joints))}
    if estimate.vertices is not None or estimate.anchors is not None:
        arrays["transl"] = np.zeros((count, 3))
    found = _build(estimate.path, arrays, {}, keep_broken=keep_broken)
    frames = estimate.frames if estimate.frames is not None and len(estimate.frames) == found.count else None
    if frames is None and estimate.source.video and found.count > 1:
        frames = np.arange(found.count)
    found = dataclasses.replace(in_own_keys(found), estimate=estimate, notes=estimate.notes)
    return found if frames is None else with_frames(found, frames)


def with_frames(file: ParameterFile, frames: np.ndarray) -> ParameterFile:
    """The file with the numbers of its frames, which are written with it.

    Args:
      file: any.
      frames: `(T,)`, rising.
    """
    return dataclasses.replace(file, frames=frames, extras={**file.extras, "frames.npy": _as_bytes(frames)})


_FRAMES, _RATES = ("frames", "frame_ids", "frame_id", "frame"), ("fps", "mocap_framerate", "mocap_frame_rate")


# Frames a second below which times of frames do not make a motion: BEHAVE's one a second are pictures of their own.
_SLOWEST = 5.0


def _video(file: ParameterFile) -> tuple[np.ndarray | None, float | None]:
    """Numbers of the frames and frames a second, where an archive in hoijax's own keys has them."""
    frames, rates = (
        next((x for key in keys if (x := _extra(file, key)) is not None), None) for keys in (_FRAMES, _RATES)
    )
    timed = frames_of_times(_extra(file, "frame_times", "iufUS")) if frames is None else None
    if timed is not None and len(timed[0]) == file.count > 1 and timed[1] >= _SLOWEST:
        return timed
    fps = float(rates.reshape(-1)[0]) if rates is not None and rates.size == 1 else None
    fps = fps if fps is not None and 0 < fps < 1e4 else None
    if frames is not None and frames.size == file.count and (frames == np.round(frames)).all():
        frames = frames.reshape(-1).astype(np.int64)
        if (np.diff(frames) <= 0).any():
            raise InputError(f"{file.path}: its numbers of frames do not rise; sort the rows, or leave the key out")
        return (frames if file.count > 1 else None), fps
    return (np.arange(file.count) if fps is not None and file.count > 1 else None), fps


def _extra(file: ParameterFile, key: str, kinds: str = "iuf") -> np.ndarray | None:
    """A member of the archive as an array of these kinds; None: it is not there, or none."""
    if f"{key}.npy" not in file.extras:
        return None
    try:
        array = np.lib.format.read_array(io.BytesIO(file.extras[f"{key}.npy"]), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    known = array.dtype.kind in kinds
    return array if known and (array.dtype.kind in "US" or np.isfinite(array).all()) else None


def _as_bytes(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, allow_pickle=False)
    return data.getvalue()


def with_object(file: ParameterFile, object: SourceEstimate) -> ParameterFile:
    """The body of one file with the object of another.

    Args:
      file: the body.
      object: the object's pose: one for all frames, or as many as the body has.

    Raises:
      InputError: no object in it, the body's file has one too, or another number of frames.
    """
    names = ("obj_rot", "obj_trans", "obj_scale")
    if not object.has_object:
        raise InputError(f"{object.path} ({object.source.title}) has no pose of an object, wanted one as --object-pose")
    both = [name for name in names if name in file.values]
    if both:
        raise InputError(
            f"{file.path} has the object's {', '.join(both)} itself, and {object.path} too; leave --object-pose away, "
            f"or those keys with --ignore {','.join(key for key, s in file.slots.items() if s[0].quantity in both)}"
        )
    found, notes = object_of(object), object.notes
    if found.count not in (1, file.count) and _has_frames(file, object):
        rows = np.searchsorted(object.frames, file.frames)
        found = dataclasses.replace(
            found, count=file.count, values={name: value[rows] for name, value in found.values.items()}
        )
        notes = (*notes, f"the object's poses are taken by the numbers of the body's {file.count} frames")
    if found.count not in (1, file.count):
        raise InputError(
            f"{object.path} has {found.count} poses of the object and {file.path} {file.count} of the body; wanted one "
            "for each, or one for all"
        )
    elsewhere = file.frames is not None and object.frames is not None and found.count == object.frames.size > 1
    if elsewhere and found.count == file.count and (file.frames != object.frames).any():
        notes = (
            *notes,
            f"the object's poses are taken in their order, though their frames are {object.frames[0]} to "
            f"{object.frames[-1]} and the body's {file.frames[0]} to {file.frames[-1]}",
        )
    values = {name: np.broadcast_to(v, (file.count, v.shape[1])).copy() for name, v in found.values.items()}
    shared = frozenset(values) if found.count == 1 < file.count else frozenset()
    raw = {n: np.asarray(v if file.leading else v[0], np.float32) for n, v in values.items()}
    raw |= {n: v[..., 0] for n, v in raw.items() if n == "obj_scale"}
    slots = {name: (Slot(name, 0, value.shape[1]),) for name, value in values.items()}
    return dataclasses.replace(
        file, values=file.values | values, raw=file.raw | raw, slots=file.slots | slots, shared=file.shared | shared,
        notes=(*file.notes, *notes),
    )  # fmt: skip


def _has_frames(file: ParameterFile, object: SourceEstimate) -> bool:
    """Whether a file with poses of an object has all frames of the body's."""
    return (
        file.frames is not None
        and object.frames is not None
        and set(file.frames.tolist()) <= set(object.frames.tolist())
    )


def object_of(estimate: SourceEstimate) -> ParameterFile:
    """The object's pose of an estimate, checked.

    Args:
      estimate: with an object.

    Raises:
      InputError: shapes or numbers that cannot be.
    """
    names = ("obj_rot", "obj_trans", "obj_scale")
    return _build(estimate.path, {k: v for k, v in estimate.arrays.items() if k in names}, {}, keep_broken=False)


def in_own_keys(file: ParameterFile, values: Mapping[str, np.ndarray] | None = None) -> ParameterFile:
    """The same under hoijax's own names, axis-angle and float32, with some quantities exchanged.

    Args:
      file: any.
      values: quantity to `(T, N)` that take the place of the file's.
    """
    new = dict(values or {})
    values = file.values | new
    shared = frozenset(n for n in file.shared if n not in new or (new[n] == new[n][:1]).all())
    raw: dict[str, np.ndarray] = {}
    for name, value in values.items():
        one = not file.leading or name in shared
        array = np.asarray(value[0] if one else value, np.float32)
        raw[name] = array[..., 0] if name == "obj_scale" else array
    slots = {name: (Slot(name, 0, value.shape[1]),) for name, value in values.items()}
    return dataclasses.replace(file, values=values, raw=raw, slots=slots, shared=shared)


def _build(
    path: pathlib.Path, arrays: dict[str, np.ndarray], extras: dict[str, bytes], *, keep_broken: bool
) -> ParameterFile:
    """The quantities of known keys, checked."""
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


def _read_own(
    path: pathlib.Path, source: str | None, person: str | None, ignore: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, bytes]] | None:
    """The known keys of an archive as arrays, its other members as bytes; None: a file for the table of sources."""
    if source not in (None, "hoijax") or (source is None and format_of(path) in SUFFIXES and path.suffix != ".npz"):
        return None
    with open_npz(path, what="parameter file") as archive:
        known = [key for key in archive.members if key in KEYS and key not in ignore]
        total = sum(math.prod(archive.header(key).shape) for key in known)
        if total > _MOST_NUMBERS:
            raise InputError(
                f"{path} has {total:,} numbers of parameters, wanted at most {_MOST_NUMBERS:,}; split it into files of "
                "fewer frames"
            )
        others = {key: archive.header(key) for key in archive.members if key not in known and key not in ignore}
        lost = [k for k, h in others.items() if h.dtype.kind in "fiu" and looks_like_a_pose(k, h.shape)]
        whole = any(key in known for key in REQUIRED)
        model = any(key in archive.members for key in _BODY_MODEL_KEYS)
        if source is None and not model and (lost if whole else find_source(path) is not None):
            return None
        if not whole:
            _refuse_keys(path, sorted([*archive.members, *archive.others]))
        if lost:
            raise InputError(f"{path}: {', '.join(lost)} look like a pose and are no keys of hoijax; use --ignore")
        if person is not None:
            raise InputError(f"{path} has one person, in hoijax's own keys; leave --person away")
        arrays = {key: archive.array(key, kinds="fiu") for key in known}
        names = [archive.members[key].filename for key in archive.members if key not in known]
        return arrays, {name: archive.contents(name) for name in (*names, *archive.others)}


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
        say = "a position {:,.4g} metres away, it looks like millimetres or centimetres; wanted metres"
        bad = worst > _FARTHEST
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
