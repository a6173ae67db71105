"""From a file of any method to quantities in hoijax's own keys, with what was used of it, what not, and why."""

import dataclasses
import fnmatch
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io.reading import PathLike, reading, shown
from hoijax.io.sources.containers import MATRIX, MESH, read_tree
from hoijax.io.sources.records import Record, flat, in_order, numbers, numbers_in
from hoijax.io.sources.table import NAMES, SOURCES, VERTICES, Source, source_by_name

POSE_NAME = re.compile(
    r"(?:^|_|/)(?:R|t|T|(?i:rots?|rotmats?|rotations?|rotvecs?|rvecs?|tvecs?|poses?|orient|orientations?|trans|transl|"
    r"translations?|translate|location|positions?|angles|euler|quats?|quaternions?|thetas?|transforms?))(?:_|\d|$)"
)
"""Words of a key that say where something is or how it is turned."""
POSE_SIZES = (3, 4, 6, 9, 63, 66, 69, 72, 135, 144, 156, 159, 165)
"""Last axes that places, rotations and poses have."""

_FARTHEST = 100.0
_EXTENT = (0.5, 3.0)
# PyTorch3D's camera to OpenCV's, and a GLB's y up to the z up of SAM 3D Objects' own frame.
_FROM_PYTORCH3D = np.diag([-1.0, -1.0, 1.0])
_GLB_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_DIRECT = (
    "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "poses",
    "pose_hand", "pose_eye", "betas", "expression", "transl", "obj_rot", "obj_trans", "obj_scale",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SourceEstimate:
    """What a file says, in metres and radians."""

    path: pathlib.Path
    """The file."""
    source: Source
    """The row of the table that it was read by."""
    person: str
    """Who of the file; "" where it has one."""
    people: tuple[str, ...]
    """All of them."""
    arrays: dict[str, np.ndarray]
    """Key of `hoijax.io.layouts.KEYS` to array as the file has it, rotations as axis-angle or matrices."""
    body: str | None
    """Body that the parameters belong to: "smpl", "smplh", "smplx", "mhr"; None: the file does not say."""
    used: tuple[str, ...]
    """Keys that were understood and are used."""
    unused: dict[str, str]
    """Keys that were understood and are not used, to why."""
    vertices: np.ndarray | None = None
    """`(T, V, 3)` of a body given by its surface."""
    keypoints: np.ndarray | None = None
    """`(T, 70, 3)` of MHR, in the frame of the vertices."""
    pixels: np.ndarray | None = None
    """`(T, 70, 2)` of the same in the picture."""
    anchor: str = ""
    """"pelvis" or "head" where the file says where that joint is; "": `transl` is the model's."""
    anchors: np.ndarray | None = None
    """`(T, 3)` of that joint."""
    intrinsics: np.ndarray | None = None
    """`(3, 3)` of the camera, pixels."""
    pointmap: np.ndarray | None = None
    """`(H, W, 3)` of SAM 3D Objects, turned to OpenCV's axes."""
    mask: np.ndarray | None = None
    """`(H, W)` of the person in the picture."""
    frames: np.ndarray | None = None
    """`(T,)` numbers of the frames in their video, rising; None: rows are not said to be frames."""
    notes: tuple[str, ...] = ()
    """What its user should know."""

    @property
    def count(self) -> int:
        """Frames, as far as the places of body and object tell."""
        for value in (self.vertices, self.anchors):
            if value is not None:
                return len(value)
        places = [self.arrays[name].size // 3 for name in ("transl", "obj_trans") if name in self.arrays]
        return max(places, default=1)

    @property
    def has_body(self) -> bool:
        """Whether it holds a body."""
        return self.vertices is not None or bool({"body_pose", "poses"} & self.arrays.keys())

    @property
    def has_object(self) -> bool:
        """Whether it holds an object's pose."""
        return bool({"obj_rot", "obj_trans", "obj_scale"} & self.arrays.keys())


def read_estimate(
    path: PathLike, *, source: str | None = None, person: str | None = None, ignore: Sequence[str] = ()
) -> SourceEstimate:
    """Reads a file of any method of the table; nothing in it is executed.

    Args:
      path: the file, or a folder of 4 x 4 poses as text, one a frame.
      source: name of the row; None: found by the file's keys.
      person: whose; needed where the file has several.
      ignore: keys to leave out.

    Raises:
      InputError: nothing there, damaged, of no method that is known; several people and none chosen; a key that looks
        like a pose and is not understood; rotations, places or sizes that cannot be.
    """
    path = pathlib.Path(path)
    tree = _folder(path) if path.is_dir() else read_tree(path)
    row = _row(path, tree, source)
    people = _people(path, row, tree)
    chosen = _person(path, row, people, person)
    record = {key: value for key, value in people[chosen].items() if key not in ignore}
    beside = {key: value for key, value in _beside(tree, row).items() if key not in ignore}
    used, unused = _sort_keys(path, row, record, beside)
    estimate = SourceEstimate(path, row, chosen, tuple(people), {}, row.body, tuple(used), unused, notes=_notes(row))
    with reading(path, f"a file of {row.title}"):  # arrays of any shape may stand under a known key
        return _fill_from_beside(estimate, record, beside)


def find_source(path: PathLike) -> Source | None:
    """The row whose keys a file has; None where there is none.

    Raises:
      InputError: nothing there, damaged, or a kind of file that is not read.
    """
    tree = read_tree(path)
    return next((row for row in SOURCES if _detects(row, tree)), None)


def people_of(path: PathLike, source: str | None = None) -> dict[str, str]:
    """The people, or objects, of a file, each with how many frames it has.

    Args:
      path: the file.
      source: name of the row; None: found by the file's keys.

    Raises:
      InputError: see `read_estimate`.
    """
    path = pathlib.Path(path)
    tree = _folder(path) if path.is_dir() else read_tree(path)
    row = _row(path, tree, source)
    people = _people(path, row, tree)
    return {name: _frames(record, row) for name, record in people.items() if record}


def _people(path: pathlib.Path, row: Source, tree: Any) -> dict[str, Record]:
    try:
        return row.split(tree)
    except InputError as error:
        raise InputError(f"{shown(path)}: {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{shown(path)} is not laid out as {row.title} writes it ({type(error).__name__})") from error


def _folder(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The 4 x 4 poses of a folder as one array, in the order of their names."""
    files = in_order(path.glob("*.txt"))
    if not files:
        raise InputError(f"the folder {shown(path)} holds no .txt files; wanted 4 x 4 poses, one a frame")
    frames = np.asarray(numbers_in(file.name for file in files))
    poses = [read_tree(file)[MATRIX] for file in files]
    wrong = [file.name for file, pose in zip(files, poses) if pose.shape != (4, 4)]
    if wrong:
        raise InputError(f"{shown(path)}: {', '.join(wrong[:4])}: no 4 x 4 pose")
    return {MATRIX: np.stack(poses), "frames": frames}


def _row(path: pathlib.Path, tree: Any, name: str | None) -> Source:
    if name is not None:
        row = source_by_name(name)
        if row is None:
            raise InputError(f"there is no source {name!r}; there are {', '.join(s.name for s in SOURCES)}")
        return row
    found = next((row for row in SOURCES if _detects(row, tree)), None)
    if found is None:
        raise InputError(f"{shown(path)} is of no method that is known: {_shown_keys(tree)}{_advice(tree)}")
    return found


def _detects(row: Source, tree: Any) -> bool:
    try:
        return row.detect(tree)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False


def _advice(tree: Any) -> str:
    keys = set(tree) if isinstance(tree, Mapping) else set()
    if MESH in keys:
        known = ", ".join(f"{count:,} ({NAMES[name]})" for count, name in VERTICES.items())
        return (
            f"; as a body it would have {known} vertices, this mesh has {len(tree[MESH]):,}; an object goes to --object"
        )
    if "phenotype" in keys or (
        isinstance(tree, list) and tree and isinstance(tree[0], Mapping) and "phenotype" in tree[0]
    ):
        return "; phenotypes of Anny are not read, only Multi-HMR's SMPL-X checkpoints"
    if {"pred_contact_3d", "contact_label", "contacts"} & keys:
        return "; labels of contact go to --contacts"
    if {"rotmat", "trans", "betas"} & keys or {"v_template", "shapedirs"} & keys:
        return "; if it is a body model, give it as --body-model"
    return "; wanted a body pose (body_pose with global_orient, poses, vertices) or an object's (obj_rot, obj_trans)"


def _shown_keys(tree: Any) -> str:
    if isinstance(tree, Mapping):
        keys = [shown(str(key)) for key in list(tree)[:12]]
        return f"it has {', '.join(keys) or 'nothing'}{', ...' if len(tree) > 12 else ''}"
    shape = getattr(tree, "shape", None)
    return f"it holds {'an array of ' + str(shape) if shape is not None else 'a ' + type(tree).__name__}"


def _person(path: pathlib.Path, row: Source, people: Mapping[str, Record], person: str | None) -> str:
    people = {name: record for name, record in people.items() if record}
    if not people:
        raise InputError(f"{shown(path)} holds nobody (read as {row.title})")
    if person is not None:
        if person not in people:
            raise InputError(
                f"{shown(path)} has no person {person!r}; it has {', '.join(map(repr, list(people)[:20]))}"
            )
        return person
    if len(people) > 1:
        told = ", ".join(f"{shown(name)} ({_frames(record, row)})" for name, record in list(people.items())[:12])
        what = "objects" if row.holds == "object" else "people"
        raise InputError(
            f"{shown(path)} has {len(people)} {what}: {told}; choose one with --person {next(iter(people))}"
        )
    return next(iter(people))


def _frames(record: Record, row: Source) -> str:
    """How many frames a record has, by the places in it."""
    sizes = {"transl": 3, "pelvis": 3, "head": 3, "obj_trans": 3, "sam3d_translation": 3, "obj_pose": 16}
    found = [value.size // sizes[row.keys[key]] for key, value in record.items() if row.keys.get(key) in sizes]
    count = max(found, default=1)
    return f"{count} frame{'s' * (count != 1)}"


def _beside(tree: Any, row: Source) -> Record:
    """What lies beside the records of people."""
    if not row.prefix or not isinstance(tree, Mapping):
        return {}
    return flat({key: value for key, value in tree.items() if key != row.prefix})[""]


def _sort_keys(path: pathlib.Path, row: Source, record: Record, beside: Record) -> tuple[list[str], dict[str, str]]:
    """Keys that are used; keys that are not, to why."""
    used, unused, lost = [], {}, []
    for key, array in {**beside, **record}.items():
        meaning = row.keys.get(key) if key in record else None
        camera = key in beside and row.keys.get(key) == "intrinsics"
        why = next((text for name, text in row.skip.items() if _matches(key, name)), None)
        if meaning is not None or camera:
            used.append(key)
        elif why is not None:
            unused[key] = why
        elif looks_like_a_pose(key, array.shape):
            lost.append(f"{key!r} {array.shape}")
        else:
            unused[key] = "no pose"
    if lost:
        raise InputError(
            f"{shown(path)}, read as {row.title}: {', '.join(lost[:6])} look like a pose and are not understood, so "
            "what they say would be lost; rename them to what docs/refine.md lists (transl, global_orient, obj_rot, "
            "obj_trans, ...), name the method with --source, or leave them out with --ignore "
            f"{lost[0].split()[0].strip(chr(39))}"
        )
    return used, unused


def looks_like_a_pose(key: str, shape: tuple[int, ...]) -> bool:
    """Whether a key that is not understood may say where something is or how it is turned."""
    return bool(POSE_NAME.search(key)) and (shape[-1:] and shape[-1] in POSE_SIZES)


def _matches(key: str, name: str) -> bool:
    return fnmatch.fnmatchcase(key, name) or key.startswith(f"{name}/")


def _notes(row: Source) -> tuple[str, ...]:
    return (row.note,) if row.note else ()


def _fill_from_beside(estimate: SourceEstimate, record: Record, beside: Record) -> SourceEstimate:
    """The estimate with its quantities, of which each comes from one key."""
    path, row = estimate.path, estimate.source
    meanings: dict[str, tuple[str, np.ndarray]] = {}
    unused = dict(estimate.unused)
    for key in row.keys:
        value = record.get(key, beside.get(key) if row.keys[key] == "intrinsics" else None)
        if value is None:
            continue
        meaning = row.keys[key]
        if meaning in meanings:
            other, first = meanings[meaning]
            if first.shape != value.shape or not np.allclose(first, value, atol=1e-4):
                raise InputError(
                    f"{shown(path)}: {other!r} and {key!r} both give {meaning} and disagree; leave one out with "
                    f"--ignore {key}"
                )
            unused[key] = f"the same as {other}"
        else:
            meanings[meaning] = key, value
    used = tuple(key for key in estimate.used if key not in unused)
    estimate = dataclasses.replace(estimate, used=used, unused=unused)
    arrays = {m: value for m, (_, value) in meanings.items() if m in _DIRECT}
    get = {m: (key, np.asarray(value, np.float64)) for m, (key, value) in meanings.items()}
    fields: dict[str, Any] = {}
    if "pose53" in get:
        arrays |= _pose53(path, *get["pose53"])
    arrays |= _object(path, get)
    for joint in ("pelvis", "head"):
        if joint in get:
            fields |= {"anchor": joint, "anchors": _places(path, *get[joint])}
    if "vertices" in get:
        fields |= _surface(estimate, get)
    if "intrinsics" in get:
        fields["intrinsics"] = _intrinsics(path, *get["intrinsics"])
    if "mask" in get:
        fields["mask"] = _mask(path, *get["mask"])
    if "pointmap" in get:
        fields["pointmap"] = get["pointmap"][1] @ _FROM_PYTORCH3D
    found = dataclasses.replace(estimate, arrays=arrays, **fields)
    found = dataclasses.replace(found, body=found.body or _kind(arrays))
    return dataclasses.replace(found, frames=_frame_numbers(found, get.get("frames")))


def _frame_numbers(estimate: SourceEstimate, given: tuple[str, np.ndarray] | None) -> np.ndarray | None:
    """Numbers of the frames, as the file has them, or as a video's rows count."""
    count = estimate.count
    if given is not None:
        key, value = given
        value = value.reshape(-1)
        if value.size == count and (value == value.round()).all() and np.abs(value).max(initial=0) < 2**31:
            if (np.diff(value) <= 0).any():
                raise InputError(
                    f"{shown(estimate.path)}: the numbers of frames in {key!r} do not rise; sort the rows, or leave "
                    f"key out with --ignore {key}"
                )
            return value.astype(np.int64)
    return np.arange(count) if estimate.source.video and count > 1 else None


def _pose53(path: pathlib.Path, key: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """SMPL-X's joints without the eyes: root, 21 of the body, both hands, jaw."""
    value = value.reshape(value.shape[:-1] + (3,)) if value.shape[-2:] == (53, 3) else value
    if value.shape[-1] == 159 and value.ndim < 3:
        value = value.reshape(*value.shape[:-1], 53, 3)
    if value.shape[-2:] != (53, 3) or value.ndim > 3:
        raise InputError(f"{shown(path)}: {key!r} has the shape {value.shape}, wanted 53 joints of 3 numbers")
    parts = {"global_orient": (0, 1), "body_pose": (1, 22), "left_hand_pose": (22, 37), "right_hand_pose": (37, 52),
             "jaw_pose": (52, 53)}  # fmt: skip
    return {name: value[..., a:b, :].reshape(*value.shape[:-2], -1) for name, (a, b) in parts.items()}


def _object(path: pathlib.Path, get: Mapping[str, tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The object's pose of whatever form."""
    out: dict[str, np.ndarray] = {}
    if "obj_pose" in get:
        out |= _of_matrix(path, *get["obj_pose"])
    for name, order in (("obj_quat_wxyz", "wxyz"), ("obj_quat_xyzw", "xyzw")):
        if name in get:
            out["obj_rot"] = _of_quaternion(path, *get[name], order)
    if "sam3d_rotation" in get:
        out |= _of_sam3d(path, get)
    return out


def _of_matrix(path: pathlib.Path, key: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Rotation, translation and, where it is not one, scale of `(T, 4, 4)`."""
    value = value[:, 0] if value.ndim == 4 and value.shape[1] == 1 else value
    if value.shape[-2:] != (4, 4) or value.ndim > 3:
        raise InputError(f"{shown(path)}: {key!r} has the shape {value.shape}, wanted (4, 4) or (T, 4, 4)")
    if not np.isfinite(value).all():
        raise InputError(f"{shown(path)}: {key!r} holds numbers that are not finite")
    if not np.allclose(value[..., 3, :], [0, 0, 0, 1], atol=1e-4):
        hint = "; it looks transposed" if np.allclose(value[..., :, 3], [0, 0, 0, 1], atol=1e-4) else ""
        raise InputError(
            f"{shown(path)}: the last row of {key!r} is {value[..., 3, :].reshape(-1, 4)[0]}, wanted 0 0 0 1{hint}"
        )
    linear, place = value[..., :3, :3], value[..., :3, 3]
    size = np.cbrt(np.linalg.det(linear))
    if (size <= 1e-6).any():
        raise InputError(
            f"{shown(path)}: {key!r} mirrors, or has no size (determinant {np.linalg.det(linear).min():.3g})"
        )
    out = {"obj_rot": (linear / size[..., None, None]).reshape(-1, 3, 3), "obj_trans": place}
    if np.abs(size - 1).max() > 1e-4:
        out["obj_scale"] = np.asarray(size)
    return out


def _of_quaternion(path: pathlib.Path, key: str, value: np.ndarray, order: str) -> np.ndarray:
    """Matrices of `(T, 4)` quaternions whose order the source names."""
    value = value[:, 0] if value.ndim == 3 and value.shape[1] == 1 else value
    norm = np.linalg.norm(value, axis=-1)
    if value.shape[-1] != 4 or value.ndim > 2 or not np.isfinite(value).all() or np.abs(norm - 1).max() > 1e-2:
        raise InputError(
            f"{shown(path)}: {key!r} is no quaternion ({order}): shape {value.shape}, length {norm.min():.4g}"
        )
    return Rotation.from_quat(value, scalar_first=order == "wxyz").as_matrix().reshape(-1, 3, 3)


def _of_sam3d(path: pathlib.Path, get: Mapping[str, tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """SAM 3D Objects: p = (scale * A v) R + t in rows, PyTorch3D's camera; as p = s R' v + t' in OpenCV's."""
    key, scale = get.get("sam3d_scale", ("scale", np.ones(3)))
    scale = scale.reshape(-1)
    if np.ptp(scale) > 1e-4 * np.abs(scale).max():
        raise InputError(f"{shown(path)}: {key!r} is {scale}, wanted one scale for all axes")
    turn = _of_quaternion(path, *get["sam3d_rotation"], "wxyz")[0]
    place = get["sam3d_translation"][1].reshape(-1)
    if place.size != 3:
        raise InputError(f"{shown(path)}: 'translation' has {place.size} numbers, wanted 3")
    return {
        "obj_rot": (_FROM_PYTORCH3D @ turn.T @ _GLB_TO_Z_UP)[None],
        "obj_trans": _FROM_PYTORCH3D @ place,
        "obj_scale": np.asarray(scale[0]),
    }


def _places(path: pathlib.Path, key: str, value: np.ndarray) -> np.ndarray:
    if value.size % 3 or value.shape[-1] != 3:
        raise InputError(f"{shown(path)}: {key!r} has the shape {value.shape}, wanted (3,) or (T, 3)")
    return _metres(path, key, value.reshape(-1, 3))


def _metres(path: pathlib.Path, key: str, value: np.ndarray) -> np.ndarray:
    if not np.isfinite(value).all():
        raise InputError(f"{shown(path)}: {key!r} holds numbers that are not finite")
    if np.abs(value).max(initial=0) > _FARTHEST:
        raise InputError(
            f"{shown(path)}: {key!r} has a position {np.abs(value).max():,.4g} metres away, it looks like millimetres "
            "or centimetres; wanted metres"
        )
    return value


def _surface(estimate: SourceEstimate, get: Mapping[str, tuple[str, np.ndarray]]) -> dict[str, Any]:
    """Vertices, keypoints, pixels and camera of a body that is given by its surface."""
    path, row = estimate.path, estimate.source
    key, vertices = get["vertices"]
    vertices = vertices[None] if vertices.ndim == 2 else vertices
    kind = VERTICES.get(vertices.shape[-2]) if vertices.ndim == 3 and vertices.shape[-1] == 3 else None
    if kind is None:
        known = ", ".join(f"{count} ({NAMES[name]})" for count, name in VERTICES.items())
        raise InputError(
            f"{shown(path)}: {key!r} has the shape {vertices.shape}, wanted the vertices of a body: {known}"
        )
    _metres(path, key, vertices)
    high = float(np.linalg.norm(np.ptp(vertices, axis=1), axis=-1).max())
    if not _EXTENT[0] <= high <= _EXTENT[1]:
        raise InputError(
            f"{shown(path)}: the body of {key!r} is {high:.3g} m across, wanted that of a person in metres"
        )
    out: dict[str, Any] = {"body": kind}
    offset = _places(path, *get["offset"])[:, None] if "offset" in get else np.zeros((1, 1, 3))
    out["vertices"] = vertices + offset
    if "keypoints" in get:
        out["keypoints"] = _metres(path, *get["keypoints"]).reshape(len(vertices), -1, 3) + offset
    if "pixels" in get:
        out["pixels"] = get["pixels"][1].reshape(len(vertices), -1, 2)
    if row.frame == "opengl":
        out["vertices"] = out["vertices"] * [1, -1, -1]
    if "focal" in get:
        focal = float(get["focal"][1].reshape(-1)[0])
        out["intrinsics"] = np.diag([focal, focal, 1.0])
    return out


def _mask(path: pathlib.Path, key: str, value: np.ndarray) -> np.ndarray:
    value = value.reshape(value.shape[-3:-1] if value.shape[-1:] == (1,) and value.ndim > 2 else value.shape[-2:])
    return value > 0.5


def _intrinsics(path: pathlib.Path, key: str, value: np.ndarray) -> np.ndarray:
    if value.shape[-2:] != (3, 3):
        raise InputError(f"{shown(path)}: {key!r} has the shape {value.shape}, wanted (3, 3)")
    matrix = value.reshape(-1, 3, 3)[0]
    if not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise InputError(f"{shown(path)}: {key!r} is no camera's matrix: {matrix.tolist()}")
    return matrix


def _kind(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The body whose joints these are, where only one has so many."""
    pose, whole, betas = (numbers(arrays.get(key)) for key in ("body_pose", "poses", "betas"))
    if pose is not None and _has_joints(pose.shape, 23):
        return "smpl"
    for count, kind in ((24, "smpl"), (52, "smplh"), (55, "smplx")):
        if whole is not None and _has_joints(whole.shape, count):
            return kind
    face = {"jaw_pose", "leye_pose", "expression"} & arrays.keys()
    many = betas is not None and betas.shape[-1:] in ((100,), (200,), (300,))
    return "smplx" if face or many else None


def _has_joints(shape: tuple[int, ...], count: int) -> bool:
    """Whether an array's last axes are so many rotations, as one vector, vectors or matrices."""
    return shape[-1:] == (3 * count,) or shape[-2:] == (count, 3) or shape[-3:] == (count, 3, 3)
