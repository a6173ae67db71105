"""What `hoijax reconstruct --method fit` writes of one picture, and the verdict on it."""

import io
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.geometry import query_sdf
from hoijax.io import ScenePart, write_bytes, write_glb, write_npz
from hoijax.jobs.objects import ObjectAsset, place_mesh
from hoijax.jobs.overlays import write_overlay
from hoijax.jobs.photo_fit import PhotoFit, PhotoFitter
from hoijax.jobs.photo_objects import FrameBefore
from hoijax.jobs.photographs import Photograph
from hoijax.jobs.record import plain_options, read_record
from hoijax.jobs.refinement_files import BODY_COLOR, OBJECT_COLOR
from hoijax.nets.blaze import Region
from hoijax.viz import Case, Metric, NamedMesh
from hoijax.viz.read import read_scene

UPRIGHT = np.diag([1.0, -1.0, -1.0])
"""From the camera's frame (y down, z forward) to that of GLB viewers (y up, z to the viewer)."""
FILES = ("interaction.glb", "reconstruction.npz", "overlay.png", "object_mask.png")
LEAST_OVERLAP = 0.5
"""Overlap with a mask below which an answer is called poor."""
NEAR, DEEP = 0.05, 0.05
"""Metres: farther apart than this body and object do not touch; deeper than this they lie inside each other."""
BACKDROP = 120
"""Vertices along the longer side of the photograph behind the scene."""
_distance = jax.jit(query_sdf)


def judge_fit(overlap: Mapping[str, float], nearest: float, depth: float) -> tuple[bool, str]:
    """Whether an answer can be believed, and what a person is told.

    Args:
      overlap: of body and object with their masks.
      nearest: distance between body and object, metres.
      depth: of the deepest body point in the object, metres.
    """
    poor = [name for name in ("body", "object") if not overlap[name] >= LEAST_OVERLAP]
    said = [f"the {name} covers its mask only to {overlap[name]:.2f}" for name in poor]
    if not nearest <= NEAR:
        said.append(f"body and object are {100 * nearest:.0f} cm apart")
    if not depth <= DEEP:
        said.append(f"the body is {100 * depth:.0f} cm inside the object")
    if poor:
        return False, f"poor: {'; '.join(said)}"
    return True, f"fits the picture, but {'; '.join(said)}" if said else "fits the picture, body and object touch"


def write_fit(
    folder: pathlib.Path, fitted: PhotoFit, fitter: PhotoFitter, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `interaction.glb`, `reconstruction.npz`, `overlay.png`, `object_mask.png`.

    Args:
      folder: where.
      fitted: the answer.
      fitter: what it was made with.
      options: what the command was, for the record.

    Returns:
      The contents of the record.
    """
    model, asset = fitter.model, fitter.asset
    placed = place_mesh(asset.mesh, fitted.pose)
    write_glb(
        folder / "interaction.glb",
        [
            ScenePart("body", _upright(fitted.vertices), np.asarray(model.faces),
                      BODY_COLOR if model.colors is None else np.asarray(model.colors)),
            ScenePart("object", _upright(placed), asset.mesh.faces,
                      OBJECT_COLOR if asset.mesh.colors is None else asset.mesh.colors, smooth=False),
        ],
    )  # fmt: skip
    write_npz(folder / "reconstruction.npz", _arrays(fitted, fitter))
    low, side = fitted.box
    write_overlay(folder / "overlay.png", fitted.photograph.image, fitted.drawn, low, side)
    buffer = io.BytesIO()
    Image.fromarray(fitted.photograph.object).save(buffer, "PNG")
    write_bytes(folder / "object_mask.png", buffer.getvalue())
    nearest, depth = closeness(fitted, asset)
    good, said = judge_fit(fitted.overlap, nearest, depth)
    object_fit = fitted.object
    return {
        "name": fitted.photograph.name,
        "units": "metres",
        "method": "fit",
        "good": good,
        "verdict": said,
        "overlap": fitted.overlap,
        "confidence": float(object_fit.confidence),
        "margin": float(min(object_fit.margin, 1e3)),
        "nearest": nearest,
        "max_penetration": depth,
        "object_size": float(fitted.pose.scale),
        "focal": {"pixels": float(fitted.intrinsics[0, 0]), "source": fitted.body.source},
        "people": fitted.people,
        "person_square": {key: np.asarray(getattr(fitted.region, key)).tolist() for key in ("centre", "size", "angle")},
        "notes": [*fitted.notes, *asset.light.report.notes()],
        "options": plain_options(options),
    }


def frame_before(folder: pathlib.Path, key: str) -> FrameBefore | None:
    """What a finished frame hands to the next; None if it is not finished.

    Args:
      folder: of its results.
      key: of its item; what another command has left there is of another video, object or mask.
    """
    record = read_record(folder / "metrics.json")
    if record.get("key") != key or not (folder / "object_mask.png").is_file():
        return None
    region = Region(**{key: np.float32(value) for key, value in record["person_square"].items()})
    mask = np.asarray(Image.open(folder / "object_mask.png").convert("L")) > 127
    return FrameBefore(region, mask, record["focal"]["pixels"], record["focal"]["source"])


def closeness(fitted: PhotoFit, asset: ObjectAsset) -> tuple[float, float]:
    """Distance of the nearest body vertex from the object, and depth of the deepest in it, metres."""
    pose = fitted.pose
    size = float(pose.scale)
    local = (fitted.vertices - np.asarray(pose.translation)) @ np.asarray(pose.rotation) / size
    distance = size * np.asarray(_distance(asset.template.sdf, local.astype(np.float32)))
    return float(max(0.0, distance.min())), float(max(0.0, -distance.min()))


def _upright(points: np.ndarray) -> np.ndarray:
    return (points @ UPRIGHT).astype(np.float32)


def _arrays(fitted: PhotoFit, fitter: PhotoFitter) -> dict[str, np.ndarray]:
    """The field's keys, the object's other answers, joints and how sure they are, the camera."""
    out = {k: np.asarray(v) for k, v in fitted.params.to_axis_angle(fitter.model).items()}
    vectors = Rotation.from_matrix(np.asarray(fitted.object.pose.rotation, np.float64)).as_rotvec().astype(np.float32)
    rows = {"rot": vectors, "trans": fitted.object.pose.translation, "scale": fitted.object.pose.scale}
    out |= {f"obj_{name}": np.asarray(value[0], np.float32) for name, value in rows.items()}
    out |= {f"other_obj_{name}": np.asarray(value[1:], np.float32) for name, value in rows.items()}
    out |= {
        "other_obj_cost": np.asarray(fitted.object.cost[1:]), "other_obj_same": np.asarray(fitted.object.same[1:]),
        "joints": np.asarray(fitted.body.joints), "joint_std": np.asarray(fitted.body.joint_std),
        "intrinsics": fitted.intrinsics,
    }  # fmt: skip
    return out


def backdrop(image: np.ndarray, matrix: np.ndarray, distance: float) -> NamedMesh:
    """The photograph as a coloured grid that the camera sees exactly where the picture is; GLB viewers' frame.

    Args:
      image: (H, W, 3) uint8.
      matrix: intrinsics.
      distance: of the grid from the camera, metres.
    """
    height, width = image.shape[:2]
    step = max(height, width) / BACKDROP
    rows, columns = max(2, round(height / step)) + 1, max(2, round(width / step)) + 1
    small = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX), np.float32) / 255
    y, x = np.meshgrid(np.linspace(0, height, rows), np.linspace(0, width, columns), indexing="ij")
    rays = np.stack([(x - matrix[0, 2]) / matrix[0, 0], (y - matrix[1, 2]) / matrix[1, 1], np.ones_like(x)], axis=-1)
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (corner[i : rows - 1 + i, j : columns - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32)
    return NamedMesh("photograph", _upright(distance * rays.reshape(-1, 3)), faces, small.reshape(-1, 3))


def page_case(folder: pathlib.Path, name: str, record: dict[str, Any], photograph: Photograph) -> Case:
    """The section of a page about one picture: its overlay, and a view to orbit with the photograph behind.

    Args:
      folder: of the results.
      name: heading.
      record: of `write_fit`.
      photograph: the picture.
    """
    scene = [NamedMesh(m.name, m.vertices, m.faces, m.colors) for m in read_scene(folder / "interaction.glb")]
    farthest = max(float(-m.vertices[:, 2].min()) for m in scene)
    with np.load(folder / "reconstruction.npz", allow_pickle=False) as arrays:
        matrix = arrays["intrinsics"]
    scene.append(backdrop(photograph.image, matrix, 1.15 * farthest))
    rows = {
        "body: overlap with its mask": Metric(None, record["overlap"]["body"], "", "higher", LEAST_OVERLAP),
        "object: overlap with its mask": Metric(None, record["overlap"]["object"], "", "higher", LEAST_OVERLAP),
        "object: confidence": Metric(None, record["confidence"]),
        "object: size over its mesh's": Metric(None, record["object_size"]),
        "body to object": Metric(None, 1000 * record["nearest"], "mm", "lower", 1000 * NEAR),
        "max penetration": Metric(None, 1000 * record["max_penetration"], "mm", "lower", 1000 * DEEP),
    }
    text = " ".join(f"{note[0].upper()}{note[1:]}." for note in [record["verdict"], *record["notes"]])
    return Case(name, None, scene, rows, [("over the picture", folder / "overlay.png")], text)
