"""Files of other methods on a body model: whose shape, whose origin, whose frame; and an object from another file.

`hoijax.io.sources` says what a file holds; what follows needs the body that is refined.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel
from hoijax.body_models.host import host_joints, host_vertices
from hoijax.body_models.mhr import mhr_faces, mhr_keypoints
from hoijax.errors import InputError
from hoijax.io import ParameterFile, read_parameters
from hoijax.io.params import in_own_keys, object_of, parameters_of, with_object
from hoijax.io.scenes import format_of
from hoijax.io.sources import NAMES, SUFFIXES, SourceEstimate, find_source, people_of, read_estimate, source_by_name
from hoijax.jobs.bodies import RefinerStart, start_of
from hoijax.jobs.directions import AXES, Direction, direction_name
from hoijax.jobs.surfaces import align_object, check_projection, kept_fit, told_alignment
from hoijax.optim.fitting.layouts import MHR_70

PELVIS: dict[str, tuple[float, float, float]] = {
    "smpl": (-0.0022, -0.2408, 0.0286), "smplh": (-0.0022, -0.2408, 0.0286), "smplx": (0.0031, -0.3514, 0.0120),
}  # fmt: skip
"""Where the pelvis of each body's neutral mean shape lies at rest, metres, as several public programs print it to five
digits for SMPL and SMPL-X; no licensed file was at hand to take it from. SMPL-H's male file has it 1.8 cm higher; it
moves by centimetres with gender and shape: what is placed by it is told to be approximate."""
_SAME = {"smpl": "smpl", "smplh": "smpl"}
_UP = {"cv": "-y", "opengl": "-y", "y-up": "+y", "z-up": "+z"}


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are to be read: options of the command line."""

    source: str | None = None
    """Row of the table of sources."""
    person: str | None = None
    """Who of a file."""
    ignore: tuple[str, ...] = ()
    """Keys to leave out."""
    betas: str = "auto"
    """Shape of a licensed body on another one: "auto" and "mean" take the mean shape, "keep" the numbers as they are;
    "mean" does so for files in hoijax's own keys too."""
    object_pose: pathlib.Path | None = None
    """File with the object's pose."""
    object_name: str | None = None
    """Which object of it."""
    cache: pathlib.Path | None = None
    """Folder that keeps fits to surfaces; None: they are made every time."""


FEWEST = 4
"""Frames below which rows are refined one by one."""
FARTHEST_MESH = 2.0
"""Metres between a body and a mesh that nothing places, beyond which they are not of one frame."""
BY_KEYS = Reading()
"""Everything as the files' keys say."""


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of bodies in a folder: its .npz files, or those of other kinds where there are none, by their names."""
    paths = sorted(folder.glob("*.npz"))
    return paths or sorted(path for path in folder.glob("*.*") if format_of(path) in SUFFIXES)


def up_of(body: pathlib.Path, reading: Reading = BY_KEYS) -> str | None:
    """Which way is up in the frame of a file, or else of its object's, as `--up` names it; None: neither says.

    Args:
      body: the file, or a folder, of which the first file that can be read is asked.
      reading: how it is read.

    Raises:
      InputError: a file that cannot be read.
    """
    said = _up_of_body(body, reading)
    if said is None and reading.object_pose is not None:
        said = _UP.get(read_object(reading).source.frame)
    return said


def _up_of_body(body: pathlib.Path, reading: Reading) -> str | None:
    if body.is_dir():
        for path in files_of(body):
            with contextlib.suppress(InputError):  # one bad file of a folder is named later
                return _up_of_body(path, reading)
        return None
    person = reading.person
    if person == "all":  # they share a frame
        person = next(iter(people_of(body, reading.source)), "") or None
    file = read_parameters(body, source=reading.source, person=person, ignore=reading.ignore, keep_broken=True)
    return up_in(file)


def up_in(file: ParameterFile) -> str | None:
    """Which way is up in a file's frame, as `--up` names it; None: it does not say."""
    file = with_frame(file)
    return None if file.estimate is None else _UP.get(file.estimate.source.frame)


UPRIGHT = 0.7
"""Cosine between the way from the ankles to the nose and an axis from which on a body stands along it."""


def with_frame(file: ParameterFile) -> ParameterFile:
    """The file; of vertices about the origin, whose camera nobody says, with the frame in which the body stands."""
    estimate = file.estimate
    if estimate is None or estimate.source.name != "mesh" or estimate.vertices is None or estimate.body is None:
        return file
    points = estimate.keypoints if estimate.keypoints is not None else mhr_keypoints(estimate.body, estimate.vertices)
    nose, *ankles = (MHR_70.index(name) for name in ("nose", "left_ankle", "right_ankle"))
    up = np.median(points[:, nose] - points[:, ankles].mean(axis=1), axis=0)
    cosine = float(up[1] / max(np.linalg.norm(up), 1e-9))
    frame = "y-up" if cosine > UPRIGHT else "cv" if cosine < -UPRIGHT else "free"
    said = {
        "y-up": "the body stands about the origin with y up: it is taken to be in a world, not in a camera",
        "cv": "the body stands about the origin with y down, as in a camera, which the file has not",
        "free": "the body lies about the origin, and nothing says which way is up: give --up",
    }[frame]
    source = dataclasses.replace(estimate.source, frame=frame)
    notes = tuple(dict.fromkeys((*file.notes, said)))
    return dataclasses.replace(file, estimate=dataclasses.replace(estimate, source=source), notes=notes)


def read_object(reading: Reading) -> SourceEstimate | None:
    """The object's pose of a file of its own.

    Raises:
      InputError: see `hoijax.io.sources.read_estimate`.
    """
    if reading.object_pose is None:
        return None
    return read_estimate(reading.object_pose, person=reading.object_name, ignore=reading.ignore)


def settle(
    model: BodyModel, file: ParameterFile, reading: Reading = BY_KEYS, object: SourceEstimate | None = None
) -> ParameterFile:
    """A file in the terms of a body model, with the object of another file.

    Args:
      model: the body.
      file: what was read.
      reading: how.
      object: the object's pose, if it comes from another file.

    Returns:
      The file with `transl` as the model means it, and shape coefficients that belong to the model.

    Raises:
      InputError: body and object are in different frames, the body is behind its camera.
    """
    file = with_frame(file)
    if file.estimate is not None:
        _check_camera(file)
        file = _check_given(file, object)
        if file.estimate.vertices is not None:
            file = _fit_surface(model, file, reading.cache)
        else:
            file = _place_anchor(model, _match_shape(model, file, reading))
    elif "betas" in file.values and reading.betas == "mean":
        file = in_own_keys(file, {"betas": np.zeros_like(file.values["betas"])})
    elif model.kind == "free" and np.abs(file.values.get("betas", np.zeros(1))).max() > 0:
        note = "betas are taken as the free body's; those of SMPL, SMPL-H or SMPL-X mean another shape: --betas mean"
        file = dataclasses.replace(file, notes=(*file.notes, note))
    if file.estimate is None and model.kind == "free" and "transl" in file.values and _of_licensed_body(file):
        note = (
            "transl is taken as the free body's, whose origin is its pelvis; that of SMPL, SMPL-H or SMPL-X is 24 to 35"
            " cm above it. If the file is of these, and not written by hoijax, --source named moves the body by as much"
        )
        file = dataclasses.replace(file, notes=(*file.notes, note))
    if object is None:
        return file
    body = "free" if file.estimate is None else file.estimate.source.frame
    frames = {_UP.get(frame) for frame in (body, object.source.frame)} - {None}
    if len(frames) > 1:
        raise InputError(
            f"{file.path} is in the frame '{body}' and {object.path} in '{object.source.frame}': one is in the camera, "
            "the other in the world; choose the same with --source (such as gvhmr instead of gvhmr-world)"
        )
    return with_object(file, _align_object(model, file, object))


def _of_licensed_body(file: ParameterFile) -> bool:
    """Whether a file in hoijax's own keys has what files of SMPL's family have: a gender, a video's times, a face."""
    own = {f"{key}.npy" for key in ("gender", "frame_times", "mocap_framerate", "mocap_frame_rate")}
    return bool(own & file.extras.keys() or {"jaw_pose", "leye_pose", "expression"} & file.values.keys())


def _fit_surface(model: BodyModel, file: ParameterFile, cache: pathlib.Path | None = None) -> ParameterFile:
    """With a model's parameters for a surface."""
    estimate, notes = file.estimate, list(file.notes)
    camera = check_projection(estimate)
    if camera is not None:
        notes.append(
            f"keypoints fall on their pixels to {camera.error:.2g} px with a focal length of "
            f"{camera.intrinsics[0, 0]:.1f} px"
        )
    found = kept_fit(model, estimate, cache)
    title = {"free": "free body"}.get(model.kind, NAMES.get(model.kind, model.kind))
    notes.append(
        f"the {title} was fitted to {found.points} of {NAMES[estimate.body]}'s surface, to {1000 * found.error:.2g} mm "
        "(root mean square)"
    )
    return dataclasses.replace(in_own_keys(file, found.values), notes=tuple(notes))


def _align_object(model: BodyModel, file: ParameterFile, object: SourceEstimate) -> SourceEstimate:
    """SAM 3D Objects' object in the body's camera, where its point map and the camera are known."""
    if object.source.name != "sam-3d-objects":
        return object
    estimate = file.estimate
    if object.pointmap is None or estimate is None or estimate.source.frame not in ("cv", "opengl"):
        why = "its file has no pointmap" if object.pointmap is None else "the body's file does not say its camera"
        note = f"the object keeps MoGe's scale, which is not the body's, since {why}: see docs/sources.md"
        return dataclasses.replace(object, notes=(*object.notes, note))
    camera = check_projection(estimate)
    intrinsics = estimate.intrinsics if camera is None else camera.intrinsics
    if intrinsics is None:
        note = "the object keeps MoGe's scale, which is not the body's, since the body's camera has no focal length"
        return dataclasses.replace(object, notes=(*object.notes, note))
    vertices, faces = _surface_of(model, file)
    found = align_object(object, vertices, faces, intrinsics, estimate.mask)
    arrays = object.arrays | {"obj_trans": found.translation, "obj_scale": np.asarray(found.scale)}
    notes = (*object.notes, told_alignment(found))
    return dataclasses.replace(object, arrays=arrays, notes=notes)


def _surface_of(model: BodyModel, file: ParameterFile) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the first frame, of MHR where the file has it."""
    estimate = file.estimate
    if estimate.vertices is not None and estimate.body == "mhr":
        return estimate.vertices[0], mhr_faces()
    params = start_of(model, file.item(0), str(file.path)).params
    parts = (np.asarray(x, np.float64) for x in (params.rotations, params.betas, params.translation))
    return host_vertices(model, *parts), np.asarray(model.faces)


def _check_camera(file: ParameterFile) -> None:
    """Refuses a body behind its camera, or names one that stands on its head in it."""
    estimate = file.estimate
    place = estimate.anchors if estimate.anchors is not None else file.values.get("transl", np.zeros((1, 3)))
    given = estimate.anchors is not None or "transl" in estimate.arrays
    if estimate.source.frame == "cv" and estimate.source.name != "mesh" and given and np.median(place[:, 2]) < 0:
        raise InputError(
            f"{file.path}, read as {estimate.source.title}: the body is {-np.median(place[:, 2]):.2f} m behind the "
            "camera, which looks along +z (y down); a file in OpenGL's axes has y and z negated. Turn it, or name "
            "another method with --source"
        )


def _check_given(file: ParameterFile, object: SourceEstimate | None) -> ParameterFile:
    """Names, and beside an object refuses, a body that no key places in its camera."""
    estimate = file.estimate
    placed = estimate.anchors is not None or estimate.vertices is not None or "transl" in estimate.arrays
    if placed or estimate.source.frame not in ("cv", "opengl"):
        return file
    what = (
        f"no key says where the body is in the camera, so it is put at the camera itself (read as {_title(estimate)})"
    )
    if object is not None or {"obj_rot", "obj_trans"} & file.values.keys():
        raise InputError(f"{file.path}: {what}, and its object elsewhere; wanted a key such as transl or trans")
    return dataclasses.replace(file, notes=(*file.notes, what))


def _title(estimate: SourceEstimate) -> str:
    return estimate.source.title


def _match_shape(model: BodyModel, file: ParameterFile, reading: Reading) -> ParameterFile:
    """Without the shape of another body."""
    kind = file.estimate.body
    if kind is None or kind == model.kind or _SAME.get(kind) == _SAME.get(model.kind, "") or kind == "mhr":
        return file
    moved, notes = {}, list(file.notes)
    title = {"free": "free body"}.get(model.kind, NAMES.get(model.kind, model.kind))
    if "betas" in file.values and reading.betas != "keep":
        notes.append(
            f"betas are {NAMES[kind]}'s and mean another shape on the {title}: its mean shape is used (--betas keep "
            "takes the numbers as they are, --body-model the body they belong to)"
        )
        moved["betas"] = np.zeros((file.count, 10))
    elif "betas" in file.values and model.kind == "free":
        moved["betas"] = file.values["betas"][:, : model.num_betas]
    if file.estimate.anchors is None and file.estimate.vertices is None and "transl" in file.values:
        rest = np.asarray(model.joint_template, np.float64)[0]
        moved["transl"] = file.values["transl"] + np.asarray(PELVIS[kind]) - rest
        notes.append(
            f"where the {title} stands is approximate, by some centimetres: its pelvis is put about where "
            f"{NAMES[kind]}'s mean shape has it (--body-model with the file of that body is exact)"
        )
    file = in_own_keys(file, moved)
    if "expression" in file.values:
        file = _drop_quantity(file, "expression")
    return dataclasses.replace(file, notes=tuple(notes))


def _drop_quantity(file: ParameterFile, name: str) -> ParameterFile:
    keep = lambda table: {key: value for key, value in table.items() if key != name}  # noqa: E731
    return dataclasses.replace(file, values=keep(file.values), raw=keep(file.raw), slots=keep(file.slots))


def _place_anchor(model: BodyModel, file: ParameterFile) -> ParameterFile:
    """With the translation of the model where the file says where a joint is."""
    estimate = file.estimate
    if estimate.anchors is None:
        return file
    joint = model.joint_names.index(estimate.anchor)
    anchors = np.broadcast_to(estimate.anchors, (file.count, 3))
    moves = []
    for row in range(file.count):
        params = start_of(model, file.item(row), str(file.path)).params
        joints = host_joints(model, np.asarray(params.rotations, np.float64), np.asarray(params.betas, np.float64))[0]
        moves.append(anchors[row] - joints[joint])
    file = in_own_keys(file, {"transl": np.stack(moves)})
    if estimate.anchor == "head" and estimate.body not in (None, model.kind):
        note = (
            "where the body stands is approximate, by some centimetres: its head is where the file has it, and its "
            f"spine is not as long as {NAMES[estimate.body]}'s"
        )
        file = dataclasses.replace(file, notes=(*file.notes, note))
    return file


def check_place(file: ParameterFile, start: RefinerStart, vertices: np.ndarray) -> None:
    """Refuses a body of another method with a mesh that nothing places and that lies elsewhere, before any work.

    Args:
      file: of the body, settled.
      start: its first frame.
      vertices: of the mesh before it is placed, metres.

    Raises:
      InputError: it lies more than `FARTHEST_MESH` away.
    """
    if file.estimate is None or {"obj_rot", "obj_trans"} & file.values.keys():
        return
    body = np.asarray(start.params.translation, np.float64)
    gap = np.linalg.norm(body - np.clip(body, vertices.min(axis=0), vertices.max(axis=0)))
    if gap > FARTHEST_MESH:
        raise InputError(
            f"{file.path} ({file.estimate.source.title}) places no object, and the mesh lies {gap:.1f} m "
            "from the body in its own coordinates; give its pose with --object-pose FILE (docs/sources.md), or a mesh "
            "in the body's frame"
        )


def upside_down(file: ParameterFile) -> str | None:
    """A note if the person stands on their head in a camera whose y points down."""
    if file.estimate is None or file.estimate.source.frame != "cv" or "global_orient" not in file.values:
        return None
    up = Rotation.from_rotvec(file.values["global_orient"]).as_matrix()[:, 1, 1]
    if file.estimate.vertices is None and np.median(up) > 0.7:
        return "the person stands on their head in this camera (y down): is the pose in a frame whose y points up?"
    return None


def doubtful_up(file: ParameterFile, up: Direction) -> str | None:
    """A note if by their pose the person stands on their head, or along z where nothing says what is up.

    Args:
      file: of a body.
      up: what is taken to be up.
    """
    if "global_orient" not in file.values or (file.estimate is not None and file.estimate.vertices is not None):
        return None
    good = [row for row in range(file.count) if row not in file.broken]
    body = np.median(Rotation.from_rotvec(file.values["global_orient"][good]).as_matrix()[:, :, 1], axis=0)
    axis, cosine = max(((name, float(body @ np.asarray(way))) for name, way in AXES.items()), key=lambda pair: pair[1])
    if cosine < UPRIGHT:
        return None
    if body @ np.asarray(up) < -UPRIGHT:
        return (
            f"the person stands on their head: {direction_name(up)} is taken to be up; if {axis} is, give --up={axis}"
        )
    lies = abs(body @ np.asarray(up)) < 1 - UPRIGHT
    if lies and axis[1] == "z" and (file.estimate is None or file.estimate.source.frame == "free"):
        return f"the person lies along {axis}: {direction_name(up)} is taken to be up; if {axis} is, give --up={axis}"
    return None


def keys_of(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def summary(file: ParameterFile | None, estimate: SourceEstimate | None) -> Sequence[str]:
    """What `hoijax inspect` says of a file; the first line says what it is."""
    if estimate is None:
        return _own_summary(file)
    if file is None and estimate.has_object:
        object_of(estimate)  # names what cannot be
    row = estimate.source
    what = []
    if estimate.has_body:
        body = NAMES.get(estimate.body or "", "a body of the SMPL family")
        hands = "" if "left_hand_pose" in (file.values if file is not None else {}) or estimate.body == "smpl" else (
            " without hands")  # fmt: skip
        what.append("surface of " + body if estimate.vertices is not None else body + hands)
    if estimate.has_object:
        what.append("an object's pose")
    count = estimate.count if file is None else file.count
    frames = f"{count} frame{'s' * (count != 1)}"
    who = f" of {estimate.person!r} (one of {len(estimate.people)})" if len(estimate.people) > 1 else ""
    assumed = "scale of its point map" if row.holds == "object" else "metres by an assumed focal length"
    metres = "metres" if row.metric else assumed
    camera = {"cv": "camera (x right, y down, z forward)", "opengl": "OpenGL's camera, turned to OpenCV's",
              "y-up": "world, y up", "z-up": "world, z up", "free": "frame not said"}[row.frame]  # fmt: skip
    lines = [f"{estimate.path.name}: {row.title}: {frames}{who}, {' and '.join(what) or 'nothing'}, {metres}, {camera}"]
    if estimate.used:
        lines.append(f"used: {', '.join(estimate.used)}")
    groups: dict[str, list[str]] = {}
    for key, why in estimate.unused.items():
        if key.startswith("("):
            continue
        groups.setdefault(why, []).append(key)
    lines += [f"not used ({why}): {', '.join(keys)}" for why, keys in groups.items()]
    return [*lines, *(f"note: {note}" for note in (file.notes if file is not None else estimate.notes))]


def _own_summary(file: ParameterFile) -> list[str]:
    joints = {63: "21 joints", 69: "SMPL's 23 joints"}.get(file.values["body_pose"].shape[1], "")
    pose = " and an object's pose" if {"obj_rot", "obj_trans"} & file.values.keys() else ""
    frames = f"{file.count} frame{'s' * (file.count != 1)}"
    lines = [f"{file.path.name}: hoijax's own keys: {frames}, a body of {joints}{pose}, metres, frame not said"]
    lines.append(f"used: {', '.join(file.slots)}")
    if file.extras:
        lines.append(f"kept as they are: {', '.join(name.removesuffix('.npy') for name in file.extras)}")
    return lines


def inspect_file(
    path: pathlib.Path, source: str | None = None, person: str | None = None, ignore: Sequence[str] = ()
) -> Sequence[str]:
    """The lines of `hoijax inspect`.

    Args:
      path: the file.
      source: row of the table of sources.
      person: who of it.
      ignore: keys that are left out.

    Raises:
      InputError: it cannot be read.
    """
    if path.is_dir() and not any(path.glob("*.txt")) and (files := files_of(path)):
        told = f"{path.name}: {len(files)} files of bodies, each refined by itself; frames of one person: --sequence"
        return [told, *inspect_file(files[0], source, person, ignore)]
    people = {}
    if person is None and source != "hoijax" and (path.is_dir() or find_source(path) is not None):
        people = people_of(path, source)
        person = next(iter(people)) if len(people) > 1 else None
    lines = _one_summary(path, source, person, ignore)
    if len(people) > 1:
        told = ", ".join(f"{name} ({frames})" for name, frames in list(people.items())[:20])
        how = "choose one with --person, an object with --object-name; --person all takes each"
        lines.insert(1, f"several in one file: {told}; {how}")
    return lines


def _one_summary(path: pathlib.Path, source: str | None, person: str | None, ignore: Sequence[str]) -> list[str]:
    """The lines about one person or object of a file."""
    row = None if source in (None, "hoijax") or path.is_dir() else source_by_name(source)
    if path.is_dir() or (row is not None and row.holds == "object"):
        return list(summary(None, read_estimate(path, source=source, person=person, ignore=ignore)))
    if source is None and format_of(path) in SUFFIXES and path.suffix != ".npz":
        estimate = read_estimate(path, person=person, ignore=ignore)
        file = parameters_of(estimate, keep_broken=True) if estimate.has_body else None
    elif source is None and (found := find_source(path)) is not None and found.holds == "object":
        file, estimate = None, read_estimate(path, person=person, ignore=ignore)
    else:
        file = read_parameters(path, source=source, person=person, ignore=ignore, keep_broken=True)
        estimate = file.estimate
    if file is not None:
        file = with_frame(file)
        estimate = estimate if file.estimate is None else file.estimate
    lines = list(summary(file, estimate))
    if estimate is not None and (camera := check_projection(estimate)) is not None:
        lines.append(
            f"check: keypoints fall on their pixels to {camera.error:.2g} px, focal length "
            f"{camera.intrinsics[0, 0]:.1f} px"
        )
    if file is None:
        return lines
    doubt = upside_down(file) or doubtful_up(file, AXES[up_in(file) or "+y"])
    lines += [f"doubt: {doubt}"] if doubt else []
    if file.broken:
        first = file.broken[min(file.broken)].removeprefix(f"{path}: ")
        lines.append(
            f"rows without usable numbers, which stay as they are: {len(file.broken)} of {file.count}: {first}"
        )
    if file.frames is not None and file.count > 1:
        first, last = int(file.frames[0]), int(file.frames[-1])
        missing = last - first + 1 - file.count
        gaps = f", {missing} of them missing" if missing else ""
        how = "as a sequence (--each-frame: one by one)" if file.count >= FEWEST else f"one by one, fewer than {FEWEST}"
        lines.append(f"frames {first} to {last} of one person{gaps}: refined {how}")
    return lines
