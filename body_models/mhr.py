"""MHR's surface, which SAM 3D Body answers in, as that of SMPL or SMPL-X, and its 70 keypoints (Apache-2.0 tables).

`hoijax/assets/mhr/README.md` says where the tables come from. MHR's own parameters are not read: the surface says the
same, and any body can be fitted to it (`hoijax.body_models.registration`).
"""

import functools
import importlib.resources

import numpy as np
from jaxtyping import Float, Int

from hoijax.errors import InputError

MHR_VERTICES = 18439
"""Of its full level of detail."""


@functools.cache
def _tables() -> dict[str, np.ndarray]:
    path = importlib.resources.files("hoijax.assets") / "mhr" / "mhr.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def mhr_faces() -> Int[np.ndarray, "36874 3"]:
    """MHR's triangles."""
    return _tables()["faces"].astype(np.int32)


def from_mhr(kind: str, vertices: Float[np.ndarray, "*B 18439 3"]) -> Float[np.ndarray, "*B V 3"]:
    """MHR's surface sampled where a body of the SMPL family has its vertices.

    Args:
      kind: "smpl", "smplh" (6,890 vertices) or "smplx" (10,475).
      vertices: of MHR, any frame.

    Raises:
      InputError: another body.
    """
    name = "smpl" if kind == "smplh" else kind
    if name not in ("smpl", "smplx"):
        raise InputError(f"MHR has published maps to SMPL and SMPL-X, none to {kind}")
    table = _tables()
    return np.einsum(
        "vk,...vkc->...vc", table[f"{name}_weights"].astype(np.float64), vertices[..., table[f"{name}_ids"], :]
    )


def mhr_keypoints(kind: str, vertices: Float[np.ndarray, "*B V 3"]) -> Float[np.ndarray, "*B 70 3"]:
    """SAM 3D Body's 70 keypoints on the surface of MHR, SMPL or SMPL-X, to about 1 mm in the poses of its samples.

    Args:
      kind: "mhr", "smpl", "smplh" or "smplx".
      vertices: of it, any frame.

    Raises:
      InputError: another body.
    """
    name = "smpl" if kind == "smplh" else kind
    if name not in ("mhr", "smpl", "smplx"):
        raise InputError(f"keypoints are known on MHR, SMPL and SMPL-X, not on {kind}")
    ids, weights = _tables()[f"{name}_keypoint_ids"], _tables()[f"{name}_keypoint_weights"].astype(np.float64)
    return np.einsum("kn,...knc->...kc", weights, vertices[..., ids, :])


def vertices_from(kind: str, source: str) -> Int[np.ndarray, "V"]:
    """For each vertex of a body the vertex of another that lies where it does, to a centimetre or two.

    Args:
      kind: "free" (at its finest level; coarser ones are its first vertices), "smpl" or "smplx".
      source: another of them.

    Raises:
      InputError: a pair without a table.
    """
    table = _tables().get(f"{kind}_from_{source}")
    if table is None:
        raise InputError(f"there is no table of vertices from {source} to {kind}")
    return table.astype(np.int64)
