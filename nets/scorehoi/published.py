"""What the authors of ScoreHOI keep beside their checkpoints: the betas' range, resampling matrices, PointNeXt."""

import pathlib
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.pickles import read_object_npz, read_pickle
from hoijax.io.torch_checkpoints import read_state_dict
from hoijax.nets.scorehoi.state import NUM_BETAS
from hoijax.nets.weights import registry
from hoijax.nets.weights.files import Tensors, open_tensors
from hoijax.nets.weights.modules import COMPANION, own_arrays

BETAS, DOWN, UP = "betas_stats.pkl", "smpl_downsampling.npz", "smpl_upsampling.npz"
"""Files of the authors' folder `base_data`, wherever they lie below it."""


def find_file(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The one file of a name below a folder.

    Raises:
      InputError: none, or several.
    """
    if not folder.is_dir():
        raise InputError(f"--base-data {folder}: no such folder")
    matches = sorted(folder.rglob(name))
    if len(matches) != 1:
        shown = ", ".join(str(path.relative_to(folder)) for path in matches[:5]) or "none"
        raise InputError(f"--base-data {folder}: wanted one {name} below it, found {shown}")
    return matches[0]


def read_betas_range(path: pathlib.Path) -> dict[str, list[float]]:
    """Smallest and largest betas of the authors' training set, as facts: "low" and "high".

    Raises:
      InputError: not ten finite numbers of each, or a smallest that is not below its largest.
    """
    content = read_pickle(path)
    names = {"low": "betas_min", "high": "betas_max"}
    if not isinstance(content, dict) or not set(names.values()) <= content.keys():
        raise InputError(f"{path.name}: wanted a table with {' and '.join(names.values())}")
    try:
        bounds = {ours: np.asarray(content[theirs], np.float64).ravel() for ours, theirs in names.items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path.name}: {' or '.join(names.values())} are no numbers") from error
    low, high = bounds["low"], bounds["high"]
    if low.shape != (NUM_BETAS,) or high.shape != low.shape or not np.all(np.isfinite(low) & np.isfinite(high)):
        raise InputError(f"{path.name}: wanted {NUM_BETAS} finite numbers of each, got {low.shape} and {high.shape}")
    if not np.all(low < high):
        raise InputError(f"{path.name}: a smallest coefficient is not below its largest")
    return {name: value.tolist() for name, value in bounds.items()}


def read_resampling(down: pathlib.Path, up: pathlib.Path) -> dict[str, np.ndarray]:
    """The authors' matrices as one map each way: "down" (K, V) and "up" (V, K), float32.

    Both are published in two steps: vertices of all, of a coarser mesh, of the one that the networks see.

    Raises:
      InputError: other contents, or matrices that do not follow each other.
    """
    raw = read_object_npz(down, keys=("D",))
    if "D" not in raw:
        raise InputError(f"{down.name}: wanted downsampling matrices under D")
    steps = [np.asarray(m, np.float64) for m in np.asarray(raw["D"], dtype=object).ravel()[:2]]
    raw = read_object_npz(up, keys=("U1", "U2"))
    if set(raw) != {"U1", "U2"}:
        raise InputError(f"{up.name}: wanted upsampling matrices under U1 and U2")
    back = [np.asarray(raw[name], np.float64) for name in ("U1", "U2")]
    for name, parts in ((down.name, steps), (up.name, back)):
        if len(parts) != 2 or any(m.ndim != 2 for m in parts) or parts[1].shape[1] != parts[0].shape[0]:
            raise InputError(f"{name}: its matrices of shapes {[m.shape for m in parts]} do not follow each other")
    matrices = {"down": steps[1] @ steps[0], "up": back[1] @ back[0]}
    if matrices["down"].shape != matrices["up"].shape[::-1]:
        raise InputError(f"{down.name} is of shape {matrices['down'].shape}, {up.name} of {matrices['up'].shape}")
    return {name: matrix.astype(np.float32) for name, matrix in matrices.items()}


def read_pointnext(path: pathlib.Path) -> Tensors:
    """PointNeXt's arrays in our layout: of a file that `hoijax convert` wrote, or of openpoints' checkpoint.

    Raises:
      InputError: not PointNeXt.
    """
    if path.suffix != ".safetensors":
        return registry.convert_published("pointnext_s", read_state_dict(path))
    tensors = open_tensors(path, what="PointNeXt")
    if tensors.facts().get("name") != "pointnext_s":
        return registry.convert_published("pointnext_s", tensors)
    return own_arrays(tensors)


def regressor_companions(base_data: pathlib.Path | None = None, pointnext: pathlib.Path | None = None):
    """What the regressor needs: the encoder of the object's geometry, and the matrices of the body's vertices."""
    facts: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    if base_data is not None:
        matrices = read_resampling(find_file(base_data, DOWN), find_file(base_data, UP))
        facts["vertices"] = len(matrices["down"])
        arrays |= {f"resampling{COMPANION}{name}": matrix for name, matrix in matrices.items()}
    if pointnext is not None:
        arrays |= {f"pointnext{COMPANION}{name}": array for name, array in read_pointnext(pointnext).items()}
    return facts, arrays


def denoiser_companions(base_data: pathlib.Path | None = None, pointnext: pathlib.Path | None = None):
    """What the denoiser needs: by which range betas were normalised."""
    return ({} if base_data is None else {"betas_range": read_betas_range(find_file(base_data, BETAS))}), {}
