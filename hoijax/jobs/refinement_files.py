"""What `refine` writes: one folder per interaction, one page and one table for all."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel
from hoijax.interaction import THRESHOLDS
from hoijax.io import ScenePart, read_parameters, write_glb, write_parameters
from hoijax.jobs.bodies import quantities_of, start_of
from hoijax.jobs.engine import Item
from hoijax.jobs.objects import place_mesh
from hoijax.jobs.refinement import Interaction, Refined, posed_vertices
from hoijax.render import Studio
from hoijax.viz import Case, Metric, NamedMesh

STUDIO = Studio(samples=4)
"""Of the pictures of reports: half the renders of a picture by itself."""
PICTURE = "before_after.png"
"""File of an interaction's picture, where it has one."""
BODY_COLOR, OBJECT_COLOR = (0.80, 0.62, 0.52), (0.36, 0.52, 0.70)


def write_item(
    model: BodyModel, item: Item, refined: Refined, options: Mapping[str, Any], *, full: bool = True
) -> dict[str, Any]:
    """Writes `interaction.glb` and `refined.npz` of one interaction.

    Args:
      model: the body.
      item: of a refinement job.
      refined: its result.
      options: what was asked for, for the record.
      full: True writes the object as it was read, False the decimated one, so that thousands fit on a disk.

    Returns:
      The contents of its record.
    """
    inputs: Interaction = item.inputs
    (item.folder / PICTURE).unlink(missing_ok=True)  # of what was here before
    colors = BODY_COLOR if model.colors is None else np.asarray(model.colors)
    mesh = inputs.object.mesh if full else inputs.object.light
    write_glb(
        item.folder / "interaction.glb",
        [
            ScenePart("body", refined.body_after, np.asarray(model.faces), colors),
            ScenePart(
                "object",
                place_mesh(mesh, refined.pose),
                mesh.faces,
                OBJECT_COLOR if mesh.colors is None else mesh.colors,
                smooth=False,
            ),
        ],
    )
    values = inputs.source.item(0)
    rows = quantities_of(model, inputs.start, refined.params, refined.pose, values)
    added = write_parameters(
        item.folder / "refined.npz", inputs.source, {name: value[None] for name, value in rows.items()}
    )
    start = inputs.start
    turn = Rotation.from_matrix(np.asarray(refined.pose.rotation) @ start.pose.rotation.T).magnitude()
    floor_notes = () if inputs.floor is None else inputs.floor.notes
    return {
        "name": item.name,
        "units": "metres, degrees, seconds",
        "before": refined.before,
        "after": refined.after,
        "moved": refined.moved(start)
        | {"object_turn": float(np.degrees(turn)), "tilt": float(np.degrees(refined.tilt))},
        "verdict": list(refined.verdict),
        "good": refined.good,
        "grid_cell": float(np.asarray(inputs.object.template.sdf.spacing) * start.pose.scale),
        "steps": refined.steps,
        "converged": refined.converged,
        "seconds": round(refined.seconds, 3),
        "notes": [*refined.notes, *start.notes, *floor_notes, *inputs.object.light.report.notes()],
        "keys_added": list(added),
        "options": dict(options),
        "refiner": dataclasses.asdict(inputs.config),
    }


def join_rows(model: BodyModel, items: Mapping[int, Item], folder: pathlib.Path, source: Any) -> tuple[str, ...]:
    """Writes the `refined.npz` of a file with a leading axis from those of its rows, which have been written.

    Args:
      model: the body.
      items: row to item; rows that could not be refined are absent and stay as they were.
      folder: where the file goes.
      source: the `ParameterFile` that the rows came from.

    Returns:
      Keys that were added.
    """
    rows = {i: read_parameters(item.folder / "refined.npz").values for i, item in items.items()}
    first = {i: {name: value[0] for name, value in values.items()} for i, values in rows.items()}
    return write_parameters(folder / "refined.npz", source, join_values(first, source))


def join_values(rows: Mapping[int, Mapping[str, np.ndarray]], source: Any) -> dict[str, np.ndarray]:
    """Quantities of rows as those of their file, `(T, N)`.

    Args:
      rows: row to its quantities `(N,)`; rows that are absent, and quantities that a row lacks, stay as they were.
      source: the `ParameterFile` of all rows.
    """
    names = dict.fromkeys(name for values in rows.values() for name in values)
    joined = {}
    for name in names:
        rest = {"obj_scale": np.ones(1)}.get(name, np.zeros(next(len(v[name]) for v in rows.values() if name in v)))
        old = source.values.get(name, np.broadcast_to(rest, (source.count, len(rest))))
        joined[name] = np.stack([rows[i][name] if name in rows.get(i, ()) else old[i] for i in range(source.count)])
    return joined


def scenes(model: BodyModel, item: Item) -> tuple[list[NamedMesh], list[NamedMesh]]:
    """What a finished item looked like before and after, for pictures: turned so that what is up is y."""
    inputs: Interaction = item.inputs
    # A floor may lean against what is said to be up; it is drawn level.
    up = inputs.up if inputs.floor is None else -np.asarray(inputs.floor.gravity)
    turn = Rotation.align_vectors([[0, 1, 0]], [up])[0].as_matrix().astype(np.float32)
    after = start_of(model, read_parameters(item.folder / "refined.npz").item(0), item.name)
    both = []
    for start in (inputs.start, after):
        light = inputs.object.light
        colors = None if model.colors is None else np.asarray(model.colors)
        body = NamedMesh("body", posed_vertices(model, start.params) @ turn.T, np.asarray(model.faces), colors)
        both.append([body, NamedMesh("object", place_mesh(light, start.pose) @ turn.T, light.faces, light.colors)])
    return both[0], both[1]


def table(record: Mapping[str, Any]) -> dict[str, Metric]:
    """The rows of a page's table from one `metrics.json`."""
    before, after = record["before"], record["after"]
    rows = {
        "max penetration": Metric(
            _mm(before["max_penetration"]), _mm(after["max_penetration"]), "mm", "lower", _mm(THRESHOLDS.deep)
        ),
        "mean penetration": Metric(_mm(before["mean_penetration"]), _mm(after["mean_penetration"]), "mm", "lower"),
    }
    for part in after["contact"]:
        name = f"{part.replace('_', ' ')} to object"
        gaps = _mm(before["contact"].get(part)), _mm(after["contact"][part])
        rows[name] = Metric(*gaps, "mm", "lower", _mm(THRESHOLDS.far))
    if after["floor_distance"] is not None:
        rows["body above floor"] = Metric(_mm(before["floor_distance"]), _mm(after["floor_distance"]), "mm")
    rows["body moved"] = Metric(None, _mm(record["moved"]["body_mean"]), "mm", "lower", _mm(THRESHOLDS.moved))
    tilt = float(np.degrees(THRESHOLDS.tilt))
    rows["object leans"] = Metric(None, record["moved"]["tilt"], "degrees", "lower", tilt)
    return rows


def case(name: str, record: Mapping[str, Any], both: tuple, picture: pathlib.Path) -> Case:
    """One section of a page."""
    return Case(name, both[0], both[1], table(record), [("before and after", picture)], " ".join(_sentences(record)))


def _sentences(record: Mapping[str, Any]) -> list[str]:
    verdict = "; ".join(record["verdict"])
    return [f"{note[0].upper()}{note[1:]}." for note in (verdict, *record["notes"])]


def _mm(metres: float | None) -> float | None:
    return None if metres is None else 1000.0 * metres
