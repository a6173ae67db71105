"""What `hoijax reconstruct` writes of one picture."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.geometry import query_sdf
from hoijax.interaction import ObjectTemplate
from hoijax.io import LoadedMesh, ScenePart, write_glb, write_npz
from hoijax.jobs.objects import place_mesh
from hoijax.jobs.overlays import SIZE, crop_intrinsics, draw_crop, mask_agreement, write_overlay
from hoijax.jobs.reconstruction import Reconstructed, ReconstructionStage, Reconstructor
from hoijax.jobs.record import plain_options
from hoijax.jobs.refinement_files import BODY_COLOR, OBJECT_COLOR
from hoijax.viz import Case, Metric, NamedMesh
from hoijax.viz.read import read_scene

UPRIGHT = np.diag([1.0, -1.0, -1.0])
"""From the camera's frame (y down, z forward) to that of GLB viewers (y up, z to the viewer)."""
FILES = ("interaction.glb", "reconstruction.npz", "overlay.png")
_distance = jax.jit(query_sdf)


def write_reconstruction(
    folder: pathlib.Path,
    reconstructed: Reconstructed,
    reconstructor: Reconstructor,
    mesh: LoadedMesh,
    template: ObjectTemplate,
    show: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes `interaction.glb`, `reconstruction.npz`, `overlay.png`.

    Args:
      folder: where.
      reconstructed: the networks' answers.
      reconstructor: the networks.
      mesh: the object, as it is shown.
      template: the object, as it is computed with.
      show: the stage that the GLB and the overlay show.
      options: what the command was, for the record.

    Returns:
      The contents of the record.
    """
    faces, focal = np.asarray(reconstructor.model.faces), reconstructor.focal
    low, side = reconstructed.photograph.box()
    masks = [reconstructed.photograph.crop(SIZE)[..., k] > 0.5 for k in (3, 4)]
    stages, drawn = {}, {}
    for name, stage in reconstructed.stages.items():
        label, drawn[name] = draw_crop((stage.vertices, faces), (place_mesh(mesh, stage.pose), mesh.faces), focal)
        stages[name] = _measure(stage, template) | {"mask_iou": mask_agreement(label, *masks)}
    shown = reconstructed.stages[show]
    colors = reconstructor.model.colors
    write_glb(
        folder / "interaction.glb",
        [
            ScenePart("body", _upright(shown.vertices), faces, BODY_COLOR if colors is None else np.asarray(colors)),
            ScenePart(
                "object", _upright(place_mesh(mesh, shown.pose)), mesh.faces,
                OBJECT_COLOR if mesh.colors is None else mesh.colors, smooth=False,
            ),
        ],
    )  # fmt: skip
    write_npz(folder / "reconstruction.npz", _arrays(reconstructed, reconstructor, low, side))
    write_overlay(folder / "overlay.png", reconstructed.photograph.image, drawn[show], low, side)
    return {
        "name": reconstructed.photograph.name,
        "units": "metres",
        "shown": show,
        "stages": stages,
        "losses": reconstructed.losses,
        "notes": [*reconstructed.photograph.notes, *mesh.report.notes()],
        "options": plain_options(options),
        "weights": dict(reconstructor.facts),
    }


def _upright(points: np.ndarray) -> np.ndarray:
    return (points @ UPRIGHT).astype(np.float32)


def _arrays(
    reconstructed: Reconstructed, reconstructor: Reconstructor, low: np.ndarray, side: float
) -> dict[str, np.ndarray]:
    """The field's keys of the guided stage, those of the estimate with a prefix, the refined meshes, the camera."""
    out: dict[str, Any] = {}
    for name, prefix in (("guided", ""), ("estimate", "estimate_")):
        stage = reconstructed.stages[name]
        keys = jax.tree.map(np.asarray, stage.params.to_axis_angle(reconstructor.model))
        out |= {f"{prefix}{k}": v for k, v in (keys | _object(stage)).items()}
    refined = reconstructed.stages["refined"]
    out |= {"refined_vertices": refined.vertices} | {f"refined_{k}": v for k, v in _object(refined).items()}
    out |= {f"contact_{name}": value for name, value in reconstructed.contacts.items()}
    # Of the whole picture, with the principal point in the middle of the crop.
    intrinsics = crop_intrinsics(reconstructor.focal, 1) * np.array([[side], [side], [1.0]])
    intrinsics[:2, 2] += low
    return out | {"intrinsics": intrinsics.astype(np.float32)}


def _object(stage: ReconstructionStage) -> dict[str, np.ndarray]:
    vector = Rotation.from_matrix(np.asarray(stage.pose.rotation, np.float64)).as_rotvec()
    return {"obj_rot": vector.astype(np.float32), "obj_trans": np.asarray(stage.pose.translation, np.float32)}


def _measure(stage: ReconstructionStage, template: ObjectTemplate) -> dict[str, float]:
    """Depth of the deepest body vertex in the object and distance of the nearest, by the object's distance grid."""
    rotation, move = (np.asarray(x, np.float32) for x in (stage.pose.rotation, stage.pose.translation))
    distance = np.asarray(_distance(template.sdf, ((stage.vertices - move) @ rotation).astype(np.float32)))
    return {"max_penetration": float(max(0.0, -distance.min())), "nearest": float(np.abs(distance).min())}


def page_case(folder: pathlib.Path, name: str, record: dict[str, Any]) -> Case:
    """The section of a page about one picture."""
    scene = [NamedMesh(m.name, m.vertices, m.faces, m.colors) for m in read_scene(folder / "interaction.glb")]
    first, last = record["stages"]["estimate"], record["stages"][record["shown"]]
    rows = {
        "max penetration": Metric(1000 * first["max_penetration"], 1000 * last["max_penetration"], "mm", "lower"),
        "body to object": Metric(1000 * first["nearest"], 1000 * last["nearest"], "mm", "lower"),
    }
    for part in ("body", "object"):
        rows[f"{part}: overlap with its mask"] = Metric(first["mask_iou"][part], last["mask_iou"][part], "", "higher")
    text = " ".join(f"{note[0].upper()}{note[1:]}." for note in record["notes"])
    return Case(name, None, scene, rows, [("over the picture", folder / "overlay.png")], text)
