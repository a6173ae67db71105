"""What `hoijax refine --scene` writes: GLB, parameters, metrics, pictures and a page."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams
from hoijax.geometry import nearest_host
from hoijax.io import ScenePart, output_directory, write_glb, write_json, write_npz
from hoijax.jobs.refinement_files import STUDIO
from hoijax.jobs.scene_inputs import SceneGeometry
from hoijax.systems.graft import estimate_normals
from hoijax.viz import Metric, NamedMesh, write_comparison, write_report

BODY_COLOR, SCENE_COLOR = (0.80, 0.62, 0.52), (0.62, 0.66, 0.70)
SHOWN = 1.3
"""Pictures show scene points up to this far from a body, metres; walls farther off would hide people."""
SURFELS = 12_000
"""Most points shown."""


@dataclasses.dataclass(frozen=True)
class PersonResult:
    """One person before and after."""

    name: str
    """What messages and tables call them."""
    before: np.ndarray
    """`(V, 3)` metres."""
    after: np.ndarray
    """`(V, 3)` metres."""
    params: BodyParams
    """Refined."""
    metrics: dict[str, Any]
    """Before, after, moved."""
    row: int = 0
    """Number among all people."""


axis_angle_keys = jax.jit(lambda model, params: params.to_axis_angle(model))
"""A body's parameters in the field's keys, or those of several with a leading axis."""


def write_results(
    out: pathlib.Path,
    model: BodyModel,
    people: BodyParams,
    done: Sequence[PersonResult],
    geometry: SceneGeometry,
    up: np.ndarray,
    record: Mapping[str, Any],
    *,
    pictures: bool,
) -> None:
    """Writes `scene.glb`, `refined.npz`, `metrics.json`, and with pictures `before_after.png` and `report.html`.

    Args:
      out: the folder.
      model: the body.
      people: as read, with a leading axis; who could not be refined stays so.
      done: who was refined.
      geometry: the scene.
      up: against gravity, for pictures.
      record: what else `metrics.json` keeps.
      pictures: whether there are pictures and a page.
    """
    output_directory(out)
    faces = np.asarray(model.faces)
    colors = BODY_COLOR if model.colors is None else np.asarray(model.colors)
    parts = [ScenePart(person.name.replace(" ", "_"), person.after, faces, colors) for person in done]
    surface, corners = _surface(geometry, done, near=geometry.mesh is None)
    if geometry.mesh is not None:
        surface, corners = geometry.mesh.vertices, geometry.mesh.faces
    write_glb(out / "scene.glb", [*parts, ScenePart("scene", surface, corners, SCENE_COLOR, smooth=False)])
    params = jax.tree.map(np.array, people)
    for person in done:
        jax.tree.map(lambda all_, one, row=person.row: all_.__setitem__(row, one), params, person.params)
    write_npz(out / "refined.npz", axis_angle_keys(model, params))
    metrics = {"units": "metres; touching is a share of the contact set", "people": {p.name: p.metrics for p in done}}
    write_json(out / "metrics.json", metrics | dict(record))
    if pictures:
        _write_page(out, faces, colors, done, geometry, up, record)


def _write_page(out, faces, colors, done, geometry, up, record) -> None:
    turn = Rotation.align_vectors([[0, 1, 0]], [up])[0].as_matrix().astype(np.float32)
    surface, corners = _surface(geometry, done, near=True)
    ground = NamedMesh("scene", surface @ turn.T, corners, SCENE_COLOR)
    both = [
        [*(NamedMesh(f"body {p.name}", getattr(p, state) @ turn.T, faces, colors) for p in done), ground]
        for state in ("before", "after")
    ]
    picture = out / "before_after.png"
    write_comparison(picture, *both, studio=STUDIO)
    rows = {}
    for person in done:
        a, b = person.metrics["before"], person.metrics["after"]
        rows[f"{person.name}: deepest point"] = Metric(1000 * a["deepest"], 1000 * b["deepest"], "mm", "lower")
        rows[f"{person.name}: contact set that touches"] = Metric(100 * a["touching"], 100 * b["touching"], "%")
        rows[f"{person.name}: moved"] = Metric(None, 1000 * person.metrics["moved"], "mm")
    text = " ".join([*record["notes"], *(f"{k}: {v}." for k, v in record["failed"].items())])
    write_report(
        out / "report.html", "hoijax refine --scene", *both, rows, pictures=[("before and after", picture)], text=text
    )


def _surface(geometry: SceneGeometry, done: Sequence[PersonResult], *, near: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scene points as small triangles in their tangent planes: vertices and faces."""
    points, normals = geometry.points, geometry.normals
    if near:
        bodies = np.concatenate([p.after[::10] for p in done])
        chosen = np.flatnonzero(np.asarray(nearest_host(points, bodies).distance) < SHOWN)
        chosen = chosen if len(chosen) else np.arange(len(points))
        points, normals = points[chosen], None if normals is None else normals[chosen]
    if len(points) > SURFELS:
        chosen = np.random.default_rng(0).choice(len(points), SURFELS, replace=False)
        points, normals = points[chosen], None if normals is None else normals[chosen]
    if normals is None:
        normals = estimate_normals(points, viewpoint=np.mean([p.after.mean(axis=0) for p in done], axis=0))
    gaps = (
        np.asarray(nearest_host(points[::7], np.delete(points, np.s_[::7], axis=0)).distance)
        if len(points) > 7
        else [0]
    )
    size = np.clip(2.0 * np.median(gaps), 0.005, 0.1)
    helper = np.where(np.abs(normals[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(normals, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
    second = np.cross(normals, first)
    angles = np.array([0.0, 2.0, 4.0]) * np.pi / 3
    corners = points[:, None] + size * (
        np.cos(angles)[:, None] * first[:, None] + np.sin(angles)[:, None] * second[:, None]
    )
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * len(points), dtype=np.int32).reshape(-1, 3)
