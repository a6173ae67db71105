"""Bodies and objects in other methods' own keys, as `.npz` that the table of sources reads back."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from scipy.spatial.transform import Rotation

Quantities = Mapping[str, np.ndarray]
"""Quantity to `(T, N)`, axis-angle and metres: `hoijax.io.params`' table."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one method's keys are written."""

    name: str
    """What `--as` takes, and `--source` where `source` is empty."""
    arrays: Callable[[Quantities], dict[str, np.ndarray]]
    """From quantities to arrays."""
    body: str | None
    """Body whose parameters the method writes: "smpl" or "smplx"; None: any."""
    source: str = ""
    """Row of the table of sources that reads it, if it has another name."""
    holds: str = "body"
    """"body", "object" or "both"."""


def _matrices(pose: np.ndarray) -> np.ndarray:
    """(T, N, 3, 3) of axis-angles (T, 3 N)."""
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(len(pose), -1, 3, 3)


def _rename_keys(names: Mapping[str, str]) -> Callable[[Quantities], dict[str, np.ndarray]]:
    """Quantities under other names, those that are there."""
    return lambda found: {key: found[quantity] for quantity, key in names.items() if quantity in found}


def _own_keys(found: Quantities) -> dict[str, np.ndarray]:
    return {name: value[:, 0] if name == "obj_scale" else value for name, value in found.items()}


_WHOLE = (
    "global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose",
)  # fmt: skip


def _amass(found: Quantities) -> dict[str, np.ndarray]:
    poses = np.concatenate([found[name] for name in _WHOLE if name in found], axis=1)
    return {"poses": poses, "trans": found["transl"], "betas": found["betas"]}


def _hmr2(found: Quantities) -> dict[str, np.ndarray]:
    turns = {name: _matrices(found[name]) for name in ("global_orient", "body_pose")}
    return turns | {"betas": found["betas"], "pred_cam_t_full": found["transl"]}


def _tram(found: Quantities) -> dict[str, np.ndarray]:
    pose = np.concatenate([found["global_orient"], found["body_pose"]], axis=1)
    return {"pred_rotmat": _matrices(pose), "pred_trans": found["transl"][:, None], "pred_shape": found["betas"]}


LAYOUTS: tuple[Layout, ...] = (
    Layout("hoijax", _own_keys, None, holds="both"),
    Layout("amass", _amass, None, source="hoijax"),
    Layout("hmr2", _hmr2, "smpl"),
    Layout("tram", _tram, "smpl"),
    Layout(
        "smplest-x",
        _rename_keys({
            "global_orient": "smplx_root_pose", "body_pose": "smplx_body_pose", "left_hand_pose": "smplx_lhand_pose",
            "right_hand_pose": "smplx_rhand_pose", "jaw_pose": "smplx_jaw_pose", "betas": "smplx_shape",
            "expression": "smplx_expr", "transl": "cam_trans",
        }),
        "smplx",
    ),
    Layout(
        "pico",
        _rename_keys({name: f"hps_{name}" for name in (*_WHOLE, "betas", "expression", "transl")}),
        "smplx",
    ),
    Layout(
        "open3dhoi",
        _rename_keys({
            "global_orient": "root_pose", "body_pose": "body_pose", "left_hand_pose": "lhand_pose",
            "right_hand_pose": "rhand_pose", "jaw_pose": "jaw_pose", "betas": "shape", "expression": "expr",
            "transl": "cam_trans",
        }),
        "smplx",
    ),
    Layout("interact-object", _rename_keys({"obj_rot": "angles", "obj_trans": "trans"}), None, holds="object"),
)  # fmt: skip
"""In the order in which they are listed."""
