"""What `refine` writes of a sequence: all frames in one file, a scene that moves, a film, and a page that plays."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hoijax import viz
from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.io import LoadedMesh, read_parameters, write_bytes, write_parameters
from hoijax.io.skinned_glb import Track
from hoijax.jobs import refinement_files as files
from hoijax.jobs.bodies import quantities_of, start_of
from hoijax.jobs.directions import turn_between
from hoijax.jobs.engine import Item
from hoijax.jobs.export_result import Result
from hoijax.jobs.exports import write_scene
from hoijax.jobs.refinement import FAR_APART
from hoijax.jobs.sequences import GOOD, RefinedSequence, SequenceInputs, jitter, mean_metrics
from hoijax.viz import Case, Metric, Motion3D, MovingMesh, NamedMesh, film

FILM = "motion.mp4"
"""A sequence's film, where an encoder is there (extra [video])."""
SHOWN = 100
"""Most frames of the page."""
FILMED = 120
"""Most frames of the film; of longer sequences every second, third, ... one."""
SIDE = 384
"""Of the film, pixels."""


def write_sequence(
    model: BodyModel, item: Item, refined: RefinedSequence, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `refined.npz` and the moving `interaction.glb` of one sequence.

    Args:
      model: the body.
      item: of a job of sequences.
      refined: its result.
      options: what was asked for, for the record.

    Returns:
      The contents of its record.
    """
    own: SequenceInputs = item.inputs
    for name in (files.PICTURE, FILM):
        (item.folder / name).unlink(missing_ok=True)  # of what was here before
    track = refined.track
    added = write_parameters(item.folder / "refined.npz", own.source, _values(model, own, track))
    write_scene(item.folder / "interaction.glb", _result(model, own, track), fps=own.fps)
    asked, floor = np.asarray(track.asked), own.gravity is not None
    before, after = (mean_metrics(m, asked, track.parts, floor) for m in (track.before, track.after))
    shake = [(jitter(j, own.frames), jitter(c, own.frames)) for j, c in zip(refined.joints, refined.corners)]
    numbers = own.frames
    return {
        "name": item.name,
        "units": "metres, degrees, seconds",
        "sequence": {
            "frames": len(numbers), "first": int(numbers[0]), "last": int(numbers[-1]), "fps": own.fps,
            "jitter": [{"joints": j, "object": c} for j, c in shake],
            "noise": {name: float(np.degrees(x) if name == "turns" else x) for name, x in track.noise.items()},
            "still": [[int(numbers[a]), int(numbers[b - 1])] for a, b in track.still],
            "asked": {name: int((asked[:, r] > 0).sum()) for r, name in enumerate(track.parts)},
            "good": int(refined.good.sum()),
        },
        "before": before,
        "after": after,
        "moved": {"body_mean": float(refined.moved.mean()), "most": float(refined.moved.max()), "tilt": 0.0},
        "verdict": list(refined.words),
        "good": bool(refined.good.mean() >= GOOD),
        "seconds": round(refined.seconds, 3),
        "notes": [*_told(track, numbers), *_far_apart(refined), *own.notes, *own.object.light.report.notes()],
        "keys_added": list(added),
        "options": dict(options),
    }  # fmt: skip


def _told(track: Any, numbers: np.ndarray) -> list[str]:
    noise = track.noise
    lines = [
        f"noise of the estimates: body {1000 * noise['body']:.0f} mm, object {1000 * noise['object']:.0f} mm, joints "
        f"{np.degrees(noise['turns']):.1f} degrees"
    ]
    spans = ", ".join(f"{numbers[a]} to {numbers[b - 1]}" for a, b in track.still)
    if spans:
        lines.append(f"the object is taken to stand still in frames {spans}")
    return lines


def _far_apart(refined: RefinedSequence) -> tuple[str, ...]:
    """A note if body and object are too far apart in most frames to share one frame of coordinates."""
    body, object = refined.joints[0], refined.corners[0]
    gap = np.maximum(object.min(axis=1) - body.max(axis=1), body.min(axis=1) - object.max(axis=1))
    far = float(np.median(np.linalg.norm(np.maximum(gap, 0), axis=1)))
    if far < FAR_APART:
        return ()
    return (f"the object is {far:.1f} m away from the body in most frames: are both in one frame of coordinates?",)


def _values(model: BodyModel, own: SequenceInputs, track: Any) -> dict[str, np.ndarray]:
    """The refined quantities in the file's form; rows that could not be used stay as they are."""
    rows = {}
    for k, row in enumerate(own.rows):
        params = jax.tree.map(lambda x, k=k: np.asarray(x)[k], track.params)
        pose = jax.tree.map(lambda x, k=k: np.asarray(x)[k], track.pose)
        rows[row] = quantities_of(model, own.starts[row], params, pose, own.source.item(row))
    return files.join_values(rows, own.source)


def _result(model: BodyModel, own: SequenceInputs, track: Any) -> Result:
    """The sequence as an export has it."""
    return Result(
        file=own.source, model=model, rotations=np.asarray(track.params.rotations, np.float64),
        betas=np.asarray(track.params.betas, np.float64),
        translations=np.asarray(track.params.translation, np.float64),
        track=Track(*(np.asarray(getattr(track.pose, n), np.float64) for n in ("rotation", "translation", "scale"))),
        mesh=own.object.mesh, up=own.up, records=(), notes=(), frames=own.frames,
    )  # fmt: skip


def moving_case(model: BodyModel, item: Item, record: Mapping[str, Any], title: str) -> Case:
    """The section of the page about a finished sequence: it plays, before beside after.

    Args:
      model: the body.
      item: the sequence.
      record: its record.
      title: of the section.
    """
    own: SequenceInputs = item.inputs
    shown = _spread(len(own.rows), SHOWN)
    states = [_states(model, own, kind, item, shown) for kind in ("before", "after")]
    still = [[mesh.at(0) for mesh in state] for state in states]
    times = (own.frames[shown] - own.frames[0]) / own.fps
    pictures = [("frames, before and after", item.folder / files.PICTURE)]
    rows = _table(record)
    text = " ".join(f"{note[0].upper()}{note[1:]}." for note in ("; ".join(record["verdict"]), *record["notes"]))
    have = pictures if (item.folder / files.PICTURE).is_file() else []
    return Case(title, *still, rows, have, text, motion=Motion3D(times, *states))


def _spread(count: int, most: int) -> np.ndarray:
    """At most so many rows, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _states(model: BodyModel, own: SequenceInputs, kind: str, item: Item, shown: np.ndarray) -> list[MovingMesh]:
    """The body and the object of some frames, turned so that what is up is y."""
    rows = [own.rows[k] for k in shown]
    if kind == "before":
        starts = [own.starts[row] for row in rows]
    else:
        file = read_parameters(item.folder / "refined.npz", source="hoijax", keep_broken=True)
        starts = [start_of(model, file.item(row), item.name) for row in rows]
    turn = turn_between(own.up, (0.0, 1.0, 0.0))
    body = np.stack([vertices @ turn.T for vertices in _vertices(model, starts)]).astype(np.float32)
    light: LoadedMesh = own.object.light
    colors = None if model.colors is None else np.asarray(model.colors)
    scale, rotation, place = (np.stack([np.asarray(getattr(s.pose, n), np.float64) for s in starts])
                              for n in ("scale", "rotation", "translation"))  # fmt: skip
    rigid = np.concatenate([turn @ (scale[:, None, None] * rotation), (place @ turn.T)[:, :, None]], axis=2)
    return [
        MovingMesh(NamedMesh("body", body[0], np.asarray(model.faces), colors), points=body),
        MovingMesh(NamedMesh("object", light.vertices, light.faces, light.colors), rigid=rigid),
    ]


def _vertices(model: BodyModel, starts: Sequence[Any]) -> list[np.ndarray]:
    """Posed vertices of each; chunks of one shape."""
    out: list[np.ndarray] = []
    for first in range(0, len(starts), 16):
        some = [starts[min(k, len(starts) - 1)].params for k in range(first, first + 16)]
        params: BodyParams = jax.tree.map(lambda *x: np.stack([np.asarray(y) for y in x]), *some)
        out += list(np.asarray(pose_body_compiled(model, params).vertices))[: len(starts) - first]
    return out


def write_pictures(model: BodyModel, item: Item) -> None:
    """Three frames before and after, and the film of the result if an encoder is there.

    Args:
      model: the body.
      item: a finished sequence.
    """
    own: SequenceInputs = item.inputs
    three = _spread(len(own.rows), 3)
    before, after = (_states(model, own, kind, item, three) for kind in ("before", "after"))
    columns = [[[mesh.at(k) for mesh in state] for k in range(len(three))] for state in (before, after)]
    viz.write_moments(item.folder / files.PICTURE, *columns, studio=files.STUDIO)
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return
    step = -(-len(own.rows) // FILMED)
    shown = np.arange(0, len(own.rows), step)
    state = _states(model, own, "after", item, shown)
    images = viz.render_moments([[mesh.at(k) for mesh in state] for k in range(len(shown))], size=SIDE)
    write_bytes(item.folder / FILM, film.mp4(images, max(1, round(own.fps / step))))


def _table(record: Mapping[str, Any]) -> dict[str, Metric]:
    """The rows of a page's table."""
    rows = files.table(record)
    rows.pop("object leans")
    sequence = record["sequence"]
    for name in ("joints", "object"):
        before, after = (1000 * row[name] for row in sequence["jitter"])
        rows[f"jitter, {name}"] = Metric(before, after, "mm a squared frame", "lower")
    rows["good frames"] = Metric(None, float(sequence["good"]), f"of {sequence['frames']}")
    return rows
