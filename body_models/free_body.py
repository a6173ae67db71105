"""The free body: a licence-free default with SMPL-H's interface (joints, order, T-pose), not its geometry.

It derives from MakeHuman's CC0 base mesh and targets; `hoijax/assets/free_body/README.md` says how. Betas, vertex ids
and contact labels made for SMPL or SMPL-H mean nothing on it: `require_vertex_values` refuses them by their length.

All levels of detail share one vertex order: vertex i of a coarser level is vertex i of every finer one.
"""

import functools
import importlib.resources
import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from hoijax.body_models.model import BodyModel
from hoijax.errors import InputError

FREE_BODY_LEVELS: tuple[str, ...] = ("render", "default", "light", "test")
"""Levels of detail, finest first."""

VERTEX_COUNTS: dict[int, str] = {6890: "SMPL and SMPL-H", 10475: "SMPL-X", 778: "MANO"}
"""Number of vertices -> the bodies that have it."""

FREE_BODY_PALETTE: dict[str, tuple[float, float, float]] = {
    "skin": (0.82, 0.64, 0.54),
    "hair": (0.24, 0.17, 0.13),
    "brows": (0.30, 0.21, 0.16),
    "eyes": (0.87, 0.85, 0.82),
    "irises": (0.25, 0.19, 0.15),
    "lips": (0.73, 0.47, 0.42),
    "shirt": (0.30, 0.47, 0.60),
    "trousers": (0.24, 0.27, 0.33),
    "shoes": (0.86, 0.85, 0.83),
}
"""Default colour of each region, sRGB in [0, 1]."""


@functools.cache
def free_body_info() -> dict:
    """Names, landmarks, presets and provenance of the asset (free_body.json)."""
    return json.loads(_asset("free_body.json").read_text())


@functools.cache
def _tables() -> dict[str, np.ndarray]:
    with _asset("free_body.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def _asset(name: str):
    return importlib.resources.files("hoijax.assets") / "free_body" / name


def _check_level(lod: str) -> None:
    if lod not in FREE_BODY_LEVELS:
        raise InputError(f"the free body has no level of detail {lod!r}; choose one of {', '.join(FREE_BODY_LEVELS)}")


@functools.cache
def free_body(lod: str = "default") -> BodyModel:
    """The shipped body: mean adult in T-pose, pelvis at the origin, y up, facing +z, left on +x, metres.

    SMPL-H's 52 joints in its order, 10 betas of unit variance (the first grows taller), no pose correctives,
    watertight, mirror-symmetric. Tables are read-only float32 NumPy arrays, read from disk once.

    Args:
      lod: "render" (12.4k vertices), "default" (6.9k), "light" (3k) or "test" (1.5k).

    Returns:
      A `BodyModel` of kind "free", with clothing colours and landmarks.

    Raises:
      InputError: no such level of detail.
    """
    _check_level(lod)
    info, tables = free_body_info(), _tables()
    count, joints = info["levels"][lod], len(info["joints"])
    values = tables["weight_values"][:count].astype(np.float64)
    weights = np.zeros((count, joints))
    np.add.at(weights, (np.arange(count)[:, None], tables["weight_joints"][:count]), values)
    weights /= weights.sum(axis=1, keepdims=True)
    model = BodyModel(
        v_template=tables["v_template"][:count],
        shape_dirs=tables["shape_dirs"][:count].astype(np.float32),
        pose_basis=None,
        joint_template=tables["joints"],
        joint_shape_dirs=tables["joint_shape_dirs"],
        skin_weights=weights.astype(np.float32),
        faces=tables[f"faces_{lod}"].astype(np.int32),
        parents=tuple(info["parents"]),
        joint_names=tuple(info["joints"]),
        kind="free",
        colors=free_body_colors(lod),
        landmarks=tuple(sorted(info["landmarks"].items())),
    )
    for array in (model.v_template, model.shape_dirs, model.joint_template, model.joint_shape_dirs):
        array.setflags(write=False)  # one copy serves every caller
    for array in (model.skin_weights, model.faces, model.colors):
        array.setflags(write=False)
    return model


def free_body_regions(lod: str = "default") -> tuple[np.ndarray, tuple[str, ...]]:
    """Clothing region of every vertex.

    Borders are rows of edges a few millimetres apart, so that colours interpolated over a triangle still look crisp.

    Args:
      lod: level of detail.

    Returns:
      Region index (V,) and the region names it indexes, the keys of `FREE_BODY_PALETTE`.
    """
    _check_level(lod)
    info = free_body_info()
    return _tables()["regions"][: info["levels"][lod]].astype(np.int32), tuple(info["regions"])


def free_body_colors(
    lod: str = "default", palette: Mapping[str, tuple[float, float, float]] | None = None
) -> Float[np.ndarray, "V 3"]:
    """Colour of every vertex of the dressed body.

    Args:
      lod: level of detail.
      palette: colours by region name, sRGB in [0, 1]; regions left out keep their default.

    Returns:
      RGB (V, 3) float32.

    Raises:
      InputError: a name in the palette is not a region.
    """
    unknown = sorted(set(palette or {}) - set(FREE_BODY_PALETTE))
    if unknown:
        raise InputError(f"no such region of the free body: {unknown}; the regions are {list(FREE_BODY_PALETTE)}")
    regions, names = free_body_regions(lod)
    chosen = FREE_BODY_PALETTE | dict(palette or {})
    return np.array([chosen[name] for name in names], np.float32)[regions]


def free_body_mirror(lod: str = "default") -> np.ndarray:
    """Index (V,) of every vertex's mirror image in the plane x = 0; an involution."""
    _check_level(lod)
    return _tables()["mirror"][: free_body_info()["levels"][lod]].astype(np.int32)


def require_vertex_values(model: BodyModel, values: np.ndarray, what: str = "per-vertex values") -> None:
    """Refuses arrays made for the vertices of another body, such as contact labels of SMPL used with the free body.

    Args:
      model: the body they are to be used with.
      values: array whose first axis should be the model's vertices.
      what: how the message names them.

    Raises:
      InputError: the first axis is not V long; the message names the body that it fits.
    """
    given, wanted = np.shape(values)[0] if np.ndim(values) else 0, model.num_vertices
    if given == wanted:
        return
    owners = dict(VERTEX_COUNTS) | {n: f'free_body("{lod}")' for lod, n in free_body_info()["levels"].items()}
    hint = f"; {given} is the vertex count of {owners.get(given)}, and vertices do not correspond between bodies"
    raise InputError(
        f"{what} have {given} rows, the {model.kind} body has {wanted} vertices{hint if given in owners else ''}"
    )


def free_body_betas(name: str) -> Float[np.ndarray, "10"]:
    """Shape coefficients of a preset: "mean", "male" or "female" (means of the sampled men and women)."""
    presets = {"mean": [0.0] * 10} | free_body_info()["betas"]
    if name not in presets:
        raise InputError(f"no preset shape {name!r}; choose one of {', '.join(presets)}")
    return np.array(presets[name], np.float32)
