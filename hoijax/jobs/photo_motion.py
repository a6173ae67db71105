"""What becomes of a video's fitted frames together: parameters over time, an animated scene, a film of the overlays."""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hoijax.io import write_npz
from hoijax.jobs.export_result import ExportRequest
from hoijax.jobs.exports import export
from hoijax.jobs.videos import write_film

KEYS = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl",
        "obj_rot", "obj_trans", "obj_scale")  # fmt: skip
"""Of `reconstruction.npz`, what has a row per frame."""
LONGEST = 960
"""Longer side of the film, pixels."""


def write_motion(
    out: pathlib.Path,
    folders: Sequence[pathlib.Path],
    fps: float,
    every: int,
    mesh: pathlib.Path,
    units: str | None,
) -> None:
    """Writes `motion.npz`, `motion.glb` and `overlay.mp4`.

    Args:
      out: folder of the whole video.
      folders: results of the frames, in their order.
      fps: of the video.
      every: distance of the frames in it.
      mesh: the object's file.
      units: its unit.

    Raises:
      InputError: ffmpeg is not installed.
    """
    rows: dict[str, list[np.ndarray]] = {key: [] for key in KEYS}
    for folder in folders:
        with np.load(folder / "reconstruction.npz", allow_pickle=False) as arrays:
            for key in KEYS:
                rows[key].append(arrays[key].reshape(-1))
    arrays = {key: np.stack(values) for key, values in rows.items()}
    arrays["obj_scale"] = arrays["obj_scale"][:, 0]
    numbers = np.array([int(folder.name) for folder in folders])
    write_npz(out / "motion.npz", arrays | {"frames": numbers, "fps": np.float64(fps)})
    export(ExportRequest(
        result=out / "motion.npz", out=out / "motion.glb", format="glb", fps=fps, lod="default", object=mesh,
        units=units, up="-y", colors="plain",
    ))  # fmt: skip
    write_film(out / "overlay.mp4", (_overlay(folder) for folder in folders), fps / every)


def _overlay(folder: pathlib.Path) -> np.ndarray:
    """The picture of a frame, at a size that a film can have."""
    with Image.open(folder / "overlay.png") as picture:
        shrink = min(1.0, LONGEST / max(picture.size))
        size = tuple(max(2, 2 * round(side * shrink / 2)) for side in picture.size)
        return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))
