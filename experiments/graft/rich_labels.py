"""Whether hoijax's way from a body to a scan is RICH's: displacements against its labels (specs/graft.md 17.15).

    python -m hoijax.experiments.graft.rich_labels --root data/rich --body-model data/smplx --out results

RICH ships, for each vertex of each body, the way to the nearest point of the scan. The same way is found here from the
fit's parameters and the scan's mesh, exactly. Agreement says that bodies, genders, hands, scans and frames are read
as they are meant. Writes `graft_rich_labels.json`.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
from tqdm import tqdm

from hoijax.body_models import BodyParams, pose_body_compiled
from hoijax.data.evaluation.truths import sample_model
from hoijax.data.real import rich
from hoijax.data.real.reading import read_template
from hoijax.data.sheet import spread_indices
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.graft.scans import REACH
from hoijax.geometry import Mesh, closest_on_mesh_host
from hoijax.io import output_directory, write_json

LONGEST = 2.0
"""Labels of greater length may point beyond the part of the scan that is looked at, metres."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """RICH, as `hoijax.data.real.rich` reads it."""
    body_model: pathlib.Path
    """Folder with SMPL-X of both genders."""
    out: pathlib.Path
    """Folder for the result."""
    split: str = "test"
    count: int = 100
    """Bodies, spread over the split."""


def run(config: Config) -> None:
    """Measures and writes."""
    output_directory(config.out)
    write_json(config.out / "graft_rich_labels.json", measure(config))


def measure(config: Config) -> dict[str, Any]:
    """Lengths of the differences over all vertices and bodies, millimetres.

    Raises:
      InputError: not RICH, or nothing of the split has a label.
    """
    index = rich.scan(config.root)
    items = [item for item in index.items if item.split == config.split]
    errors, missing = [], 0
    for item in tqdm([items[i] for i in spread_indices(len(items), config.count)], desc="RICH", disable=None):
        try:
            label = rich.scene_contact(index, item)[1]
        except InputError:
            missing += 1
            continue
        frame = rich.read(index, item)
        model = sample_model(config.body_model, frame)
        posed = pose_body_compiled(model, BodyParams.from_axis_angle(model, **frame.body))
        vertices, pelvis = np.asarray(posed.vertices), np.asarray(posed.joints)[0]
        corners, faces = _scan(config.root / frame.scene)
        near = np.linalg.norm(corners - pelvis, axis=1) < REACH
        closest = closest_on_mesh_host(vertices, Mesh(corners, faces[near[faces].any(axis=1)]))
        gap = np.linalg.norm(np.asarray(closest.point) - vertices - label, axis=1)
        errors.append(gap[np.linalg.norm(label, axis=1) < LONGEST])
    if not errors:
        raise InputError(f"no label of the {len(items)} bodies of {config.split!r} in {config.root}; wanted hsc/")
    gap = 1000 * np.concatenate(errors)
    return {
        "bodies": len(errors),
        "without label": missing,
        "median, mm": float(np.median(gap)),
        "95 %, mm": float(np.percentile(gap, 95)),
        "below 1 mm": float((gap < 1).mean()),
    }


@functools.lru_cache(maxsize=4)
def _scan(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces; many bodies share a scan."""
    mesh = read_template(path)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces)


if __name__ == "__main__":
    run_command(run, Config)
