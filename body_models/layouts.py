"""The layouts in which body files circulate: what a file is, from its contents, and whether it is whole.

| kind | joints | files |
|---|---|---|
| SMPL | 24 | official `.pkl` (with chumpy arrays), cleaned `.pkl` and `.npz` |
| SMPL-H | 52 | MANO's `SMPLH_*.pkl`, AMASS's `model.npz` (16 betas, no mean hand), the `.pkl`, `.npz` merged of both |
| SMPL-X | 55 | `SMPLX_*.npz` and `.pkl`: 300 + 100 or 10 + 10 shape and expression directions |
| MANO | 16 | `MANO_LEFT.pkl`, `MANO_RIGHT.pkl` |

All share one set of keys; they differ in the number of joints and in what they add for hands.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.body_models.skeleton import PARENTS
from hoijax.errors import InputError

TITLES = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X", "mano": "MANO", "free": "free body"}
_KIND_OF_JOINTS = {24: "smpl", 52: "smplh", 55: "smplx", 16: "mano"}

SITES = {
    "smpl": "https://smpl.is.tue.mpg.de",
    "smplh": "https://mano.is.tue.mpg.de (with or without the 16 betas of AMASS)",
    "smplx": "https://smpl-x.is.tue.mpg.de",
    "mano": "https://mano.is.tue.mpg.de",
}
"""Where people get each kind, after registering; the licences forbid passing the files on."""

_REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_HANDS = ("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr", "hands_mean", "hands_components")
KEYS: tuple[str, ...] = _REQUIRED + _HANDS
"""The keys of body files that hoijax reads; everything else in them is passed over."""

_PARAMETER_KEYS = ("poses", "pose", "body_pose", "global_orient", "betas", "trans", "transl")
_ROOT = 2**32 - 1  # how unsigned files write the parent -1


@dataclasses.dataclass(frozen=True)
class Tables:
    """One body file in one form; float64."""

    kind: str
    side: str | None
    v_template: np.ndarray
    shape_dirs: np.ndarray
    """(V, 3, S): shape, then expression."""
    num_expression: int
    pose_dirs: np.ndarray
    joint_regressor: np.ndarray
    skin_weights: np.ndarray
    faces: np.ndarray
    hand_mean: np.ndarray | None
    hand_components: np.ndarray | None


def interpret(raw: Mapping[str, Any], name: str, side: str | None = None) -> Tables:
    """The tables of a body file.

    Args:
      raw: its keys and arrays.
      name: what messages call it.
      side: of a MANO file; None finds it from the template.

    Raises:
      InputError: keys are missing, it is no body file of a known kind, or its arrays do not fit together.
    """
    missing = [key for key in _REQUIRED if key not in raw]
    if missing:
        _refuse_keys(raw, missing, name)
    arrays = {key: _numbers(raw[key], f"{name}: {key}") for key in KEYS if key in raw}
    weights = arrays["weights"]
    if weights.ndim != 2:
        raise InputError(f"{name}: weights must be (vertices, joints), got the shape {weights.shape}")
    count, joints = weights.shape
    if joints not in _KIND_OF_JOINTS:
        known = ", ".join(f"{TITLES[kind]} {n}" for n, kind in _KIND_OF_JOINTS.items())
        looks = " (5 is FLAME, a head alone)" if joints == 5 else ""
        raise InputError(f"{name}: a body of {joints} joints{looks}; hoijax reads those with {known}")
    kind = _KIND_OF_JOINTS[joints]
    shapes = {
        "v_template": (count, 3), "posedirs": (count, 3, 9 * (joints - 1)), "J_regressor": (joints, count),
        "shapedirs": (count, 3, None), "f": (None, 3), "kintree_table": (2, joints),
    }  # fmt: skip
    for key, shape in shapes.items():
        got = arrays[key].shape
        if len(got) != len(shape) or any(want not in (None, n) for want, n in zip(shape, got)):
            wanted = str(shape).replace("None", "any")
            raise InputError(f"{name}: looks like {TITLES[kind]}, but {key} has the shape {got} instead of {wanted}")
    _check_tree(arrays["kintree_table"], kind, name)
    faces = arrays["f"].astype(np.int64)
    if faces.min(initial=0) < 0 or faces.max(initial=0) >= count:
        raise InputError(f"{name}: faces name the vertex {faces.max()}, there are {count}")
    if not np.allclose(weights.sum(axis=1), 1.0, atol=1e-3):
        raise InputError(f"{name}: skinning weights do not sum to one; the file is damaged")
    if kind == "mano":
        side = side or _side(arrays, name)
    mean, components = _hands(arrays, kind, name)
    return Tables(
        kind=kind,
        side=side if kind == "mano" else None,
        v_template=arrays["v_template"],
        shape_dirs=arrays["shapedirs"],
        num_expression=_num_expression(arrays["shapedirs"].shape[-1], name) if kind == "smplx" else 0,
        pose_dirs=arrays["posedirs"],
        joint_regressor=arrays["J_regressor"],
        skin_weights=weights,
        faces=faces,
        hand_mean=mean,
        hand_components=components,
    )


def _refuse_keys(raw: Mapping[str, Any], missing: list[str], name: str) -> None:
    present = sorted(str(key) for key in raw)
    shown = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
    if len(missing) < len(_REQUIRED):
        raise InputError(f"{name}: a body file without {', '.join(missing)}; it has {shown}")
    if any(key in raw for key in _PARAMETER_KEYS):
        raise InputError(
            f"{name}: these are parameters of a body ({shown}), not a body model; models come from {_sites()}"
        )
    raise InputError(f"{name}: no body model; it has {shown or 'no arrays'}, wanted are {', '.join(_REQUIRED)}")


def _sites() -> str:
    return "; ".join(f"{TITLES[kind]}: {site}" for kind, site in SITES.items())


def _numbers(value: Any, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype == object and array.shape == ():  # an .npz that holds a sparse matrix as an object
        array = np.asarray(array.item())
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds no numbers but {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds {np.count_nonzero(~np.isfinite(array))} numbers that are not finite")
    return array


def _check_tree(table: np.ndarray, kind: str, name: str) -> None:
    ids = table[1].astype(np.int64)
    column = {int(j): i for i, j in enumerate(ids)}
    parents = tuple(-1 if p in (-1, _ROOT) else column.get(int(p), -2) for p in table[0].astype(np.int64))
    if parents != PARENTS[kind]:
        raise InputError(
            f"{name}: {len(parents)} joints as {TITLES[kind]} has, but joined otherwise: parents {parents} instead of "
            f"{PARENTS[kind]}"
        )


def _num_expression(count: int, name: str) -> int:
    known = {400: 100, 20: 10}
    if count not in known:
        raise InputError(
            f"{name}: SMPL-X with {count} shape directions; known are 400 (300 shape, 100 expression) and 20 "
            "(10 and 10), of others it is not known which are expression"
        )
    return known[count]


def _side(arrays: Mapping[str, np.ndarray], name: str) -> str:
    """The side of a MANO file: fingers of the left hand point to +x, those of the right one to -x."""
    template = arrays["v_template"]
    wrist = (arrays["J_regressor"] @ template)[0]
    reach = template[:, 0] - wrist[0]
    if abs(reach.max() + reach.min()) < 0.1 * np.ptp(reach):
        raise InputError(f"{name}: cannot tell whether this MANO hand is left or right; say so with side=")
    return "left" if reach.max() + reach.min() > 0 else "right"


def _hands(arrays: Mapping[str, np.ndarray], kind: str, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    endings = {"smplh": ("l", "r"), "smplx": ("l", "r"), "mano": ("",)}.get(kind, ())
    if not endings or f"hands_mean{endings[0]}" not in arrays:
        return None, None
    keys = [f"hands_{what}{end}" for what in ("mean", "components") for end in endings]
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise InputError(f"{name}: has {keys[0]} but not {', '.join(missing)}")
    mean = np.stack([arrays[f"hands_mean{end}"].reshape(-1) for end in endings])
    components = np.stack([arrays[f"hands_components{end}"] for end in endings])
    if mean.shape[1] != 45 or components.ndim != 3 or components.shape[2] != 45:
        raise InputError(
            f"{name}: hands of {mean.shape[1]} numbers and components of the shape {components.shape[1:]}; wanted "
            "are 45 (15 joints) and (any, 45)"
        )
    return mean, components
