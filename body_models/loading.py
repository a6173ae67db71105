"""Body files in and out: `load` reads every layout in circulation, `save` writes hoijax's own, which loads at once."""

import os
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from hoijax.body_models.keypoints import find_landmarks, standard_landmarks
from hoijax.body_models.layouts import KEYS, SITES, TITLES, interpret
from hoijax.body_models.model import BodyModel
from hoijax.body_models.skeleton import JOINT_NAMES, PARENTS, mano_joints
from hoijax.errors import InputError
from hoijax.io.files import write_npz
from hoijax.io.pickles import loads, read_object_npz

PathLike = str | os.PathLike[str]

_FORMAT = "hoijax_body_model"
_ARRAYS = (
    "v_template", "shape_dirs", "pose_basis", "joint_template", "joint_shape_dirs", "skin_weights", "faces",
    "hand_mean", "hand_components", "colors",
)  # fmt: skip


def load(
    path: PathLike,
    *,
    kind: str | None = None,
    gender: str | None = None,
    side: str | None = None,
    num_betas: int | None = None,
    num_expression: int | None = None,
    flat_hand_mean: bool = False,
    hand_pca: int | None = None,
    dtype: Any = np.float32,
) -> BodyModel:
    """Reads a body model: SMPL, SMPL-H, SMPL-X, MANO in any layout of the field, or a file of `save`.

    What the file is shows in its contents, not its name. Pickles are not executed and chumpy is not needed.

    Args:
      path: the file; or a folder as the sites' archives and smplx arrange them, of which `kind`, `gender` and `side`
        choose one file.
      kind: "smpl", "smplh", "smplx" or "mano": refuse any other. None takes what the file is.
      gender: "neutral", "male" or "female", to choose in a folder. A file says nothing about its gender.
      side: "left" or "right", of a MANO file; None finds it from the template, or chooses in a folder.
      num_betas: keep the first so many shape coefficients; None keeps all of the file (10, 16 or 300).
      num_expression: keep the first so many expression coefficients of SMPL-X; None keeps all (10 or 100).
      flat_hand_mean: what a hand pose of zero is: False (as smplx's default), MANO's mean hand; True, the flat hand of
        the template, as in the poses of AMASS.
      hand_pca: how many principal components make a hand pose; None: hand poses are axis-angle.
      dtype: of the tables.

    Returns:
      The model, its arrays on JAX's default device.

    Raises:
      InputError: the file is missing, damaged, refused (see `hoijax.io.pickles`), no body model, of another kind, or
        lacks what the options need.
    """
    path = pathlib.Path(path)
    if kind not in (None, *SITES):
        raise InputError(f"kind {kind!r}; there are {', '.join(SITES)}")
    if side not in (None, "left", "right"):
        raise InputError(f"side {side!r}; a hand is left or right")
    if path.is_dir():
        path = _choose(path, kind, gender, side)
    elif gender is not None:
        raise InputError(f"{path} is a file; gender chooses among the files of a folder")
    raw = _read(path, kind)
    model = _restore(raw, path.name) if _FORMAT in raw else _build(raw, path.name, side)
    if kind is not None and model.kind != kind:
        raise InputError(
            f"{path.name} is {TITLES[model.kind]} ({model.num_joints} joints), wanted is {TITLES[kind]}; "
            f"people get it at {SITES[kind]}"
        )
    model = _cut(model, num_betas, num_expression, path.name)
    if flat_hand_mean is False and model.kind in ("smplh", "smplx", "mano") and model.hand_mean is None:
        raise InputError(
            f"{path.name} has no mean hand pose (the SMPL-H files of AMASS do not). With poses of AMASS pass "
            "flat_hand_mean=True; for poses relative to the mean hand use a file that has it, such as SMPLH_*.pkl "
            f"of {SITES['mano']}"
        )
    if hand_pca is not None:
        available = 0 if model.hand_components is None else model.hand_components.shape[1]
        if not 1 <= hand_pca <= available:
            raise InputError(f"hand_pca={hand_pca}, but {path.name} has {available} hand components")
    has_hands = model.hand_mean is not None
    model = model.replace(flat_hand_mean=flat_hand_mean or not has_hands, hand_pca=hand_pca)
    floats = {key: getattr(model, key) for key in _ARRAYS if key != "faces" and getattr(model, key) is not None}
    return model.replace(
        faces=jnp.asarray(model.faces, jnp.int32), **{key: jnp.asarray(value, dtype) for key, value in floats.items()}
    )


def save(path: PathLike, model: BodyModel) -> None:
    """Writes a model as one `.npz` that `load` reads in a moment, with every shape coefficient the model holds.

    The choices of `load` about hands are not part of the file; they are made again when it is loaded. The licence of
    the original stays with it.
    """
    arrays = {key: np.asarray(getattr(model, key)) for key in _ARRAYS if getattr(model, key) is not None}
    names, vertices = zip(*model.landmarks) if model.landmarks else ((), ())
    write_npz(
        path,
        arrays
        | {
            _FORMAT: np.array(1),
            "kind": np.array(model.kind),
            "joint_names": np.array(model.joint_names),
            "parents": np.array(model.parents),
            "num_expression": np.array(model.num_expression),
            "landmark_names": np.array(names, dtype=str),
            "landmark_vertices": np.array(vertices, dtype=np.int64),
        },
    )


def _read(path: pathlib.Path, kind: str | None) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            start = file.read(64)
            if not start.startswith(b"PK"):
                data = start + file.read()
    except OSError as error:
        sites = SITES[kind] if kind else "; ".join(f"{TITLES[k]}: {site}" for k, site in SITES.items())
        raise InputError(
            f"cannot read {path}: {error.strerror or error}. Body models are licensed and people download them "
            f"themselves ({sites}); free_body() needs no file"
        ) from error
    if start.startswith(b"PK"):
        own = (
            _FORMAT,
            *_ARRAYS,
            "kind",
            "joint_names",
            "parents",
            "num_expression",
            "landmark_names",
            "landmark_vertices",
        )
        arrays = read_object_npz(path, keys=(*KEYS, *own))
        return arrays or dict.fromkeys(_keys_of(path), None)
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise InputError(f"{path.name} is a web page: the download wanted a login. Fetch it again with a browser")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path.name} is a pointer of Git LFS, not the file itself; run `git lfs pull`")
    content = loads(data, path.name)
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds a {type(content).__name__}, not the keys of a body model")
    return content


def _keys_of(path: pathlib.Path) -> list[str]:
    with np.load(path, allow_pickle=False) as archive:
        return archive.files


def _build(raw: dict[str, Any], name: str, side: str | None) -> BodyModel:
    tables = interpret(raw, name, side)
    joints = mano_joints(tables.side) if tables.kind == "mano" else JOINT_NAMES[tables.kind]
    regressor = tables.joint_regressor
    model = BodyModel(
        v_template=tables.v_template,
        shape_dirs=tables.shape_dirs,
        pose_basis=np.ascontiguousarray(tables.pose_dirs.transpose(2, 1, 0)),
        joint_template=regressor @ tables.v_template,
        joint_shape_dirs=np.tensordot(regressor, tables.shape_dirs, axes=1),
        skin_weights=tables.skin_weights,
        faces=tables.faces,
        parents=PARENTS[tables.kind],
        joint_names=joints,
        kind=tables.kind,
        hand_mean=tables.hand_mean,
        hand_components=tables.hand_components,
        num_expression=tables.num_expression,
    )
    landmarks = standard_landmarks(model.kind, model.num_vertices, tables.side)
    return model.replace(landmarks=find_landmarks(model) if landmarks is None else landmarks)


def _restore(raw: dict[str, Any], name: str) -> BodyModel:
    try:
        arrays = {key: raw.get(key) for key in _ARRAYS}
        return BodyModel(
            **arrays,
            parents=tuple(raw["parents"].tolist()),
            joint_names=tuple(raw["joint_names"].tolist()),
            kind=str(raw["kind"]),
            num_expression=int(raw["num_expression"]),
            landmarks=tuple(zip(raw["landmark_names"].tolist(), raw["landmark_vertices"].tolist())),
        )
    except KeyError as error:
        raise InputError(f"{name}: a file of hoijax's save() without {error}; convert the original again") from error


def _cut(model: BodyModel, num_betas: int | None, num_expression: int | None, name: str) -> BodyModel:
    """Keeps the first shape and expression coefficients."""
    shape = model.num_betas - model.num_expression
    for what, wanted, there in (
        ("num_betas", num_betas, shape),
        ("num_expression", num_expression, model.num_expression),
    ):
        if wanted is not None and not 0 <= wanted <= there:
            raise InputError(f"{what}={wanted}, but {name} has {there}")
    keep_shape = shape if num_betas is None else num_betas
    keep_face = model.num_expression if num_expression is None else num_expression
    keep = np.r_[:keep_shape, shape : shape + keep_face]
    return model.replace(
        shape_dirs=model.shape_dirs[..., keep],
        joint_shape_dirs=model.joint_shape_dirs[..., keep],
        num_expression=keep_face,
    )


def _choose(folder: pathlib.Path, kind: str | None, gender: str | None, side: str | None) -> pathlib.Path:
    """The one file of a folder that fits what was asked."""
    if gender not in (None, "neutral", "male", "female"):
        raise InputError(f"gender {gender!r}; there are neutral, male and female")
    candidates = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".npz", ".pkl") and p.is_file()):
        marks = _marks(path.relative_to(folder))
        wanted = {"kind": kind, "gender": gender, "side": side}
        if marks["kind"] and all(marks[key] == value for key, value in wanted.items() if value is not None):
            candidates[path] = marks
    if len(candidates) == 1:
        return next(iter(candidates))
    asked = ", ".join(f"{key}={value}" for key, value in (("kind", kind), ("gender", gender), ("side", side)) if value)
    if not candidates:
        raise InputError(f"no body file for {asked or 'any kind'} in {folder}; give the path of the file itself")
    listed = ", ".join(str(path.relative_to(folder)) for path in list(candidates)[:8])
    raise InputError(
        f"{folder} has {len(candidates)} body files ({listed}); choose by kind=, gender=, side=, or give a file"
    )


def _marks(path: pathlib.Path) -> dict[str, str | None]:
    """Kind, gender and side that the official archives put into names and folders."""
    name = path.as_posix().lower()
    if "dmpl" in name:  # AMASS keeps its soft-tissue files, which are no bodies, under the same names
        return dict.fromkeys(("kind", "gender", "side"))
    kind = None
    for key, marks in (
        ("smplx", ("smplx",)),
        ("smplh", ("smplh", "smpl+h")),
        ("mano", ("mano_",)),
        ("smpl", ("smpl", "basicmodel")),
    ):
        if kind is None and any(mark in name for mark in marks):
            kind = key
    if kind is None and path.name.lower() == "model.npz":  # AMASS: female/model.npz
        kind = "smplh"
    stem = path.as_posix().lower().replace("basicmodel_f_", "female").replace("basicmodel_m_", "_male")
    gender = next((g for g in ("female", "neutral", "male") if g in stem), None)
    return {
        "kind": kind,
        "gender": gender,
        "side": next((s for s in ("left", "right") if s in path.name.lower()), None),
    }
