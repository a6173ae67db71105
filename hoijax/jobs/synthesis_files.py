"""What `hoijax synthesize` writes: the best interaction, all candidates, pictures, the affordance, a page."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.data.sheet import contact_sheet
from hoijax.io import ScenePart, write_bytes, write_glb, write_npz
from hoijax.jobs.objects import ObjectAsset, place_mesh
from hoijax.jobs.record import plain_options
from hoijax.jobs.refinement_files import BODY_COLOR, OBJECT_COLOR, STUDIO
from hoijax.render.framing import frame_points
from hoijax.systems.interactanything import Candidate, Prepared, Result, blend
from hoijax.systems.interactanything.physics import MOVED
from hoijax.systems.interactanything.relations import Relations
from hoijax.viz import Case, Metric, NamedMesh, render_views, write_page

FILES = ("interaction.glb", "interaction.npz", "affordance.glb", "relations.json", "candidates.png", "report.html")
"""Of a result, beside the folder `candidates`."""
SIZE, AZIMUTH, ELEVATION = 320, 40.0, 12.0
"""Side of a candidate's picture, pixels, and where it is seen from, degrees."""


@dataclasses.dataclass(frozen=True)
class Synthesized:
    """A result with its judge's words and the object as it is shown."""

    prepared: Prepared
    result: Result
    verdicts: tuple[Any, ...]
    """Of the physics judge, in the order of the candidates; None where nobody judged."""
    asset: ObjectAsset


def write_synthesis(folder: pathlib.Path, made: Synthesized, options: Mapping[str, Any]) -> dict[str, Any]:
    """Writes everything of one sentence.

    Args:
      folder: where.
      made: the result.
      options: what the command was, for the record.

    Returns:
      The contents of the record.
    """
    _model, relations = made.prepared.model, made.prepared.relations
    _clear_candidates(folder / "candidates")
    rows, cells, cases = [], [], []
    for k, (candidate, physics) in enumerate(zip(made.result.candidates, made.verdicts)):
        name = f"{k:02d}"
        scene = _parts(made, candidate)
        arrays = _arrays(made, candidate)
        write_glb(folder / "candidates" / f"{name}.glb", scene)
        write_npz(folder / "candidates" / f"{name}.npz", arrays)
        if k == 0:
            write_glb(folder / "interaction.glb", scene)
            write_npz(folder / "interaction.npz", arrays)
        named = _scene(made, candidate)
        picture = _picture(named)
        path = folder / "candidates" / f"{name}.png"
        _write_png(path, picture)
        row = _row(candidate, physics)
        rows.append(row)
        cells.append((picture, f"{k + 1}: score {candidate.score:.2f}"))
        text = f"Score {candidate.score:.2f}. {candidate.reason}."
        cases.append(
            Case(f"candidate {k + 1}", None, named, _table(row), [(f"candidate {k + 1}", path)], text, floor=0.0)
        )
    _write_png(folder / "candidates.png", contact_sheet(cells, cell=SIZE, columns=4))
    cases[0] = dataclasses.replace(
        cases[0], pictures=[("all candidates, the best first", folder / "candidates.png"), *cases[0].pictures]
    )
    write_affordance(folder / "affordance.glb", made)
    relations.save(folder / "relations.json")
    notes = " ".join(f"{n.kind.capitalize()}: {n.text}." for n in relations.notes)
    write_page(folder / "report.html", relations.sentence, cases, text=f"{in_words(relations)}. {notes}".strip())
    return {
        "sentence": relations.sentence,
        "units": "metres, radians, seconds",
        "candidates": rows,
        "good": sum(r["valid"] for r in rows),
        "relations": json.loads(json.dumps({k: v for k, v in relations.to_json().items() if k != "transcript"})),
        "notes": [*(f"{n.kind}: {n.text}" for n in relations.notes), *made.asset.light.report.notes()],
        "options": plain_options(options),
    }


def _clear_candidates(folder: pathlib.Path) -> None:
    """Makes the folder, without candidates of an earlier result, which may have had more of them."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if re.fullmatch(r"\d{2,4}\.(glb|npz|png)", path.name):
            path.unlink()


def write_affordance(path: pathlib.Path, made: Synthesized) -> None:
    """The object coloured by its affordance, one mesh for each part of the body and one for all."""
    mesh = made.prepared.thing.mesh
    maps = dict(made.result.affordance)
    if maps:
        maps = {"all": blend(list(maps.values())), **maps}
    else:
        maps = {"all": np.zeros(len(mesh.vertices))}
    width = 1.3 * float(np.ptp(np.asarray(mesh.vertices), axis=0)[0])
    parts = []
    for k, (name, weights) in enumerate(maps.items()):
        heat = np.clip(weights / max(float(np.max(weights)), 1e-30), 0, 1)[:, None]
        colors = (1 - heat) * np.array([0.78, 0.80, 0.84]) + heat * np.array([0.86, 0.12, 0.10])
        vertices = np.asarray(mesh.vertices, np.float32) + np.float32([k * width, 0, 0])
        parts.append(ScenePart(name, vertices, np.asarray(mesh.faces), colors.astype(np.float32), smooth=False))
    write_glb(path, parts)


def in_words(relations: Relations) -> str:
    """Who touches what, and where the object is."""
    contacts = ", ".join(f"{c.body_part.replace('_', ' ')} on {c.object_part} ({c.kind})" for c in relations.contacts)
    where = f"the object is {relations.object_side_of_human}, {relations.standing}"
    return f"{contacts or 'nothing touches'}; {where}"


def _parts(made: Synthesized, candidate: Candidate) -> list[ScenePart]:
    model, mesh = made.prepared.model, made.asset.mesh
    colors = BODY_COLOR if model.colors is None else np.asarray(model.colors)
    return [
        ScenePart("body", np.asarray(candidate.body, np.float32), np.asarray(model.faces), colors),
        ScenePart(
            "object", place_mesh(mesh, candidate.pose), mesh.faces,
            OBJECT_COLOR if mesh.colors is None else mesh.colors, smooth=False,
        ),
    ]  # fmt: skip


def _scene(made: Synthesized, candidate: Candidate) -> list[NamedMesh]:
    model, light = made.prepared.model, made.asset.light
    colors = None if model.colors is None else np.asarray(model.colors)
    return [
        NamedMesh("body", np.asarray(candidate.body, np.float32), np.asarray(model.faces), colors),
        NamedMesh("object", place_mesh(light, candidate.pose), light.faces, light.colors),
    ]


def _picture(scene: list[NamedMesh]) -> np.ndarray:
    points = np.concatenate([m.vertices[np.unique(m.faces)] for m in scene])
    azimuth, elevation = np.radians(np.array([[AZIMUTH], [ELEVATION]], np.float32))
    rig = frame_points(points, azimuth=azimuth, elevation=elevation, image_size=(SIZE, SIZE))
    return render_views(scene, rig, floor=0.0, studio=STUDIO)[0]


def _write_png(path: pathlib.Path, picture: np.ndarray) -> None:
    import io

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    write_bytes(path, out.getvalue())


def _arrays(made: Synthesized, candidate: Candidate) -> dict[str, np.ndarray]:
    """The field's keys; obj_scale is what brings the mesh of the file to its size."""
    keys = jax.tree.map(np.asarray, candidate.params.to_axis_angle(made.prepared.model))
    vector = Rotation.from_matrix(np.asarray(candidate.pose.rotation, np.float64)).as_rotvec()
    return keys | {
        "obj_rot": vector.astype(np.float32),
        "obj_trans": np.asarray(candidate.pose.translation, np.float32),
        "obj_scale": np.float32(made.prepared.relations.mesh_scale),
    }


def _row(candidate: Candidate, physics: Any) -> dict[str, Any]:
    return {
        "score": round(candidate.score, 4),
        "reason": candidate.reason,
        "verdict": list(candidate.verdict),
        "valid": bool(candidate.good and (physics is None or physics.holds)),
        "contact": candidate.contact,
        "max_penetration": candidate.max_penetration,
        "floor_distance": candidate.floor_distance,
        "before": candidate.before,
        "physics": None if physics is None else dataclasses.asdict(physics),
        "script": candidate.start.script,
    }


def _table(row: Mapping[str, Any]) -> dict[str, Metric]:
    out = {"max penetration": Metric(None, 1000 * row["max_penetration"], "mm", "lower", 10.0)}
    for part, gap in row["contact"].items():
        out[f"{part.replace('_', ' ')} to its place"] = Metric(None, 1000 * gap, "mm", "lower", 20.0)
    if row["physics"] is not None:
        moved = 100 * row["physics"]["displacement"]
        out["moves in physics"] = Metric(None, moved, "cm", "lower", 100 * MOVED)
    return out
