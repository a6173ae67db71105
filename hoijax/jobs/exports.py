"""Results as files for other programs: a moving scene, a skeleton's motion, another method's keys, a report."""

import dataclasses
import pathlib

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io import ScenePart, write_npz, write_text
from hoijax.io.bvh import UNITS, write_bvh
from hoijax.io.motion import Motion
from hoijax.io.skinned_glb import INFLUENCES, strongest, write_skinned_glb
from hoijax.io.sources import NAMES
from hoijax.io.sources.layouts_out import LAYOUTS, Layout
from hoijax.jobs.bodies import HANDS, hand_offset, joint_ranges
from hoijax.jobs.contact_report import nearest_to_object, report_lines
from hoijax.jobs.directions import direction_name, turn_between
from hoijax.jobs.estimates import PELVIS
from hoijax.jobs.export_result import ExportRequest, Result, read_result
from hoijax.jobs.refinement_files import BODY_COLOR, OBJECT_COLOR
from hoijax.viz.contact_paint import contact_colors

FORMATS: dict[str, str] = {"glb": ".glb", "bvh": ".bvh", "npz": ".npz", "report": ".txt"}
"""Formats to the suffix of their files."""
GAIN = 1e-3
"""Metres by which eight joints a vertex must bring the skin nearer than four, where nobody says how many."""
MEASURED = 100
"""Most frames, evenly spaced, on which what the skin loses is measured."""


def export(request: ExportRequest) -> tuple[str, ...]:
    """Reads a result and writes one file of it.

    Args:
      request: what.

    Returns:
      What was written and what of the result is not in it, a line each.

    Raises:
      InputError: the result cannot be read, or does not hold what the file needs.
    """
    layout = _layout(request)
    result = read_result(request)
    write = {"glb": _write_glb, "bvh": _write_bvh, "report": _write_report}
    lines = _write_npz(request, result, layout) if layout else write[request.format](request, result)
    return (*lines, *(f"note: {note}" for note in dict.fromkeys(result.notes)))


def _layout(request: ExportRequest) -> Layout | None:
    """How an `.npz` is written, with everything that can be refused before a file is read."""
    suffix = request.out.suffix.lower()
    if request.format not in FORMATS:
        raise InputError(f"there is no format {request.format!r}; there are {', '.join(FORMATS)}")
    if suffix != FORMATS[request.format]:
        raise InputError(
            f"--out {request.out}: the name of a file of --format {request.format} ends in {FORMATS[request.format]}"
        )
    if not (np.isfinite(request.fps) and 0.01 <= request.fps <= 1000):
        raise InputError(f"--fps {request.fps:g}: wanted 0.01 to 1000 frames a second")
    if request.length not in UNITS:
        raise InputError(f"--length {request.length}: wanted {' or '.join(UNITS)}")
    if request.influences not in (None, *INFLUENCES):
        raise InputError(f"--influences {request.influences}: wanted 4 or 8")
    if request.out.exists() and request.result.exists() and request.out.samefile(request.result):
        raise InputError(f"--out {request.out} is the result itself; name another file")
    if request.method is not None and request.format != "npz":
        raise InputError(f"--as {request.method} goes with --format npz, not {request.format}")
    if request.format != "npz":
        return None
    name = request.method or "hoijax"
    layout = next((row for row in LAYOUTS if row.name == name), None)
    if layout is None:
        raise InputError(f"--as {name}: wanted one of {', '.join(row.name for row in LAYOUTS)}")
    return layout


def _motion(result: Result) -> tuple[Motion, np.ndarray, tuple[str, ...]]:
    """The skeleton of one shape, with y up; that shape; and what is lost by taking one for all frames."""
    betas, lost = result.betas.mean(axis=0), ()
    if np.abs(result.betas - betas).max() > 1e-6:
        lost = ("the shape changes from frame to frame (betas, expression); the mean one is written",)
    model = result.model
    rest = np.asarray(model.joint_template, np.float64) + np.asarray(model.joint_shape_dirs, np.float64) @ betas
    rests = (
        np.asarray(model.joint_template, np.float64)[0]
        + result.betas @ np.asarray(model.joint_shape_dirs, np.float64)[0].T
    )
    motion = Motion(model.joint_names, model.parents, rest, result.rotations, rests + result.translations)
    return motion.rotate(_turn(result)), betas, lost


def _turn(result: Result) -> np.ndarray:
    return turn_between(result.up, (0.0, 1.0, 0.0))


def _frames(result: Result) -> str:
    return f"{result.count} frame{'s' * (result.count != 1)}"


def _turned_note(result: Result) -> tuple[str, ...]:
    return (
        () if result.up == (0.0, 1.0, 0.0) else (f"turned: {direction_name(result.up)} was up, +y is up in the file",)
    )


def _write_glb(request: ExportRequest, result: Result) -> list[str]:
    return write_scene(
        request.out, result, fps=request.fps, influences=request.influences, by_contact=request.colors == "contact"
    )  # fmt: skip


def write_scene(
    out: pathlib.Path, result: Result, *, fps: float, influences: int | None = None, by_contact: bool = False
) -> list[str]:
    """Writes a GLB with the body on its skeleton and the object, both moving.

    Args:
      out: the file.
      result: what it shows.
      fps: frames a second; frames that are missing are passed over.
      influences: joints that move a vertex; None: 4, or 8 where that brings the skin nearer by `GAIN`.
      by_contact: the body is coloured by its distance to the object.

    Returns:
      What was written and what of the result is not in it, a line each.
    """
    motion, betas, lost = _motion(result)
    model = result.model
    surface = np.asarray(model.v_template, np.float64) + np.asarray(model.shape_dirs, np.float64) @ betas
    weights = np.asarray(model.skin_weights, np.float64)
    plain = BODY_COLOR if model.colors is None else np.asarray(model.colors)
    colors, told = plain, "plain colours"
    if by_contact and result.mesh is not None:
        colors = contact_colors(nearest_to_object(result.vertices, result.count, result.track, result.mesh))
        told = "coloured by its smallest distance to the object over the frames"
    object = None
    if result.mesh is not None:
        mesh, track = result.mesh, result.track.rotate(_turn(result))
        color = OBJECT_COLOR if mesh.colors is None else mesh.colors
        object = ScenePart("object", mesh.vertices, mesh.faces, color, smooth=False), track
    asked, influences = influences, influences or 4
    worst, mean, measured = _skin_error(result, motion, surface, weights, influences)
    if asked is None:
        more = _skin_error(result, motion, surface, weights, 8)
        if more[0] < worst - GAIN:
            influences, (worst, mean, measured) = 8, more
    facts = {
        "fps": fps, "units": "metres", "body": model.kind, "influences": influences,
        "skin_error_max": worst, "skin_error_mean": mean,
    }  # fmt: skip
    write_skinned_glb(
        out, ScenePart("body", surface, np.asarray(model.faces), colors), weights, motion, times=result.times / fps,
        influences=influences, object=object, extras={"hoijax": facts},
    )  # fmt: skip
    lines = [f"wrote {out}: {_frames(result)} at {fps:g} a second, body on {len(motion.names)} joints, {told}"]
    if object is None:
        lines.append("no object: nothing says which mesh it is; give it with --object MESH")
    if model.pose_basis is not None:
        lost = (*lost, "the model's pose correctives are not in the skin")
    most = int((weights > 0).sum(axis=1).max())
    if most > influences:
        lost = (*lost, f"vertices hang on up to {most} joints, the {influences} strongest are written")
    lines += [f"lost: {text}" for text in lost]
    among = "" if measured == result.count else f" (of {measured} frames)"
    lines.append(f"the skin is at most {1000 * worst:.3g} mm, on average {1000 * mean:.3g} mm from the body{among}")
    if influences > 4:
        lines.append(f"{influences} joints move a vertex; viewers that read 4 need --influences 4")
    return [*lines, *_turned_note(result)]


def _skin_error(
    result: Result, motion: Motion, surface: np.ndarray, weights: np.ndarray, influences: int
) -> tuple[float, float, int]:
    """Largest and mean distance of the written skin from the body, metres, and on how many frames."""
    frames = np.unique(np.linspace(0, result.count - 1, min(result.count, MEASURED)).round().astype(int)).tolist()
    joints, kept = strongest(weights, influences)
    written = np.zeros_like(weights)
    np.add.at(written, (np.arange(len(weights))[:, None], joints), kept)
    part = dataclasses.replace(motion, rotations=motion.rotations[frames], places=motion.places[frames])
    worst, total = 0.0, 0.0
    for frame, world, place in zip(frames, *part.joints()):
        offset = place - np.einsum("jab,jb->ja", world, motion.rest)
        blend = (written @ world.reshape(-1, 9)).reshape(-1, 3, 3)
        skin = np.einsum("vab,vb->va", blend, surface) + written @ offset
        gap = np.linalg.norm(skin - result.vertices(frame) @ _turn(result).T, axis=1)
        worst, total = max(worst, float(gap.max())), total + float(gap.mean())
    return worst, total / len(frames), len(frames)


def _write_bvh(request: ExportRequest, result: Result) -> list[str]:
    motion, _, lost = _motion(result)
    write_bvh(request.out, motion, fps=request.fps, unit=request.length)
    if result.times[-1] != result.count - 1:
        lost = (*lost, "times of frames: those that are missing close up in a BVH")
    lost = (*lost, "a BVH has no surface and no object, and does not say its unit")
    return [
        f"wrote {request.out}: {_frames(result)} at {request.fps:g} a second, {len(motion.names)} joints, lengths in "
        f"{request.length}, angles in degrees (z, x, y)",
        *(f"lost: {text}" for text in lost),
        *_turned_note(result),
    ]


def _write_report(request: ExportRequest, result: Result) -> list[str]:
    if result.mesh is None:
        raise InputError(f"{request.result}: nothing says which mesh the object is; give it with --object MESH")
    lines = report_lines(
        result.model, result.vertices, result.count, result.track, result.mesh, result.records, str(request.result)
    )
    write_text(request.out, "\n".join(lines) + "\n")
    return [f"wrote {request.out}: {_frames(result)}"]


def _write_npz(request: ExportRequest, result: Result, layout: Layout) -> list[str]:
    values, lost = _quantities(result), []
    kind, model = layout.body, result.model.kind
    has_object = {"obj_rot", "obj_trans", "obj_scale"} & result.file.values.keys()
    if layout.holds == "object":
        if not has_object:
            raise InputError(f"{request.result} has no pose of an object, which --as {layout.name} writes")
        if np.abs(values["obj_scale"] - 1).max() > 1e-6:
            raise InputError(
                f"{request.result}: the object's scale is {values['obj_scale'].max():.4g}, for which --as "
                f"{layout.name} has no place; scale the mesh, or use --as hoijax"
            )
    if layout.holds != "both":
        lost += ["the object"] * bool(layout.holds == "body" and has_object)
        lost += ["the body"] * (layout.holds == "object")
    elif not has_object:
        values = {name: value for name, value in values.items() if not name.startswith("obj_")}
    if kind is not None:
        values, more = _of_body(result, values, kind, layout.name)
        lost += more
    arrays = {key: np.asarray(value, np.float32) for key, value in layout.arrays(values).items()}
    write_npz(request.out, arrays)
    lines = [f"wrote {request.out}: {_frames(result)} in the keys of {layout.name} ({', '.join(arrays)})"]
    lines += [f"lost: {text}" for text in lost]
    camera = kind is not None and result.up != (0.0, -1.0, 0.0)
    if camera:
        lines.append(
            f"{layout.name}'s files are in a camera whose y points down; {direction_name(result.up)} is up here, and "
            "the numbers are written as they are"
        )
    return lines if model != "free" or kind is None else [*lines, _PELVIS_NOTE]


_PELVIS_NOTE = (
    "where the body stands is approximate, by some centimetres: the other body's pelvis is put by its mean shape"
)


def _quantities(result: Result) -> dict[str, np.ndarray]:
    """Every quantity of the body and the object, `(T, N)`, axis-angle of angles up to pi."""
    model, count = result.model, result.count
    values = {}
    for name, (first, last) in joint_ranges(model).items():
        turns = Rotation.from_matrix(result.rotations[:, first:last].reshape(-1, 3, 3))
        values[name] = turns.as_rotvec().reshape(count, -1)
        if name in HANDS:
            values[name] = values[name] - hand_offset(model, name)
    split = model.num_betas - model.num_expression
    values |= {"betas": result.betas[:, :split]}
    values |= {"expression": result.betas[:, split:]} if model.num_expression else {}
    return values | {
        "transl": result.translations, "obj_rot": Rotation.from_matrix(result.track.rotations).as_rotvec(),
        "obj_trans": result.track.places, "obj_scale": result.track.scales[:, None],
    }  # fmt: skip


def _of_body(
    result: Result, values: dict[str, np.ndarray], kind: str, name: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The quantities as parameters of another body, and what is lost."""
    model, lost = result.model, []
    if model.kind not in {"smpl": ("free", "smpl", "smplh"), "smplx": ("free", "smplx")}[kind]:
        raise InputError(
            f"--as {name} holds parameters of {NAMES[kind]}, {result.file.path} those of {NAMES[model.kind]}, which "
            "mean another body; refine with that model's file, or use --as hoijax or amass"
        )
    if values["transl"][:, 2].min() < 0:
        raise InputError(
            f"--as {name} holds bodies before a camera that looks along +z; in {result.file.path} one stands at z = "
            f"{values['transl'][:, 2].min():.2f} m. --as hoijax and amass keep any frame"
        )
    if model.kind == "free":
        rest = np.asarray(model.joint_template, np.float64)[0]
        values = values | {
            "transl": values["transl"] + rest - np.asarray(PELVIS[kind]), "betas": np.zeros((result.count, 10)),
        }  # fmt: skip
        if np.abs(result.betas).max() > 0:
            lost.append(
                f"the shape: the free body's betas mean another one on {NAMES[kind]}; its mean shape is written"
            )
    if kind == "smpl":
        if model.kind != "smpl":
            hands = np.concatenate([values[hand] for hand in HANDS], axis=1)
            lost += [f"the fingers, which {NAMES[kind]} has not"] * bool(np.abs(hands).max() > 0)
            values = values | {"body_pose": np.pad(values["body_pose"], ((0, 0), (0, 6)))}
        values = {key: value for key, value in values.items() if key not in HANDS}
    return values, lost
