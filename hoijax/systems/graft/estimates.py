"""What other methods write, as GRAFT's inputs: people as parameters, scenes as point maps. `.npz`, nothing executed.

| method | people | scene |
|---|---|---|
| NLF (`detect_smpl_batched`) | `pose` (N, 165 or 156), `betas`, `trans` | |
| MapAnything (`infer`) | | `pts3d_cam` or `pts3d`, or `depth_z` with `intrinsics`; `mask`, `conf` |
| Human3R (its `smpl/` and `camera/` files) | `rotvec` (N, 53, 3), `shape`, `transl`, `expression` | `intrinsics` |
| anything else | the keys of `hoijax.io.read_parameters` | `points` (N, 3), `normals` |

A method's own files are often several; save what they hold into one with `np.savez(path, **output)`.
"""

import dataclasses
import pathlib

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_joints
from hoijax.errors import InputError
from hoijax.io import ParameterFile, read_npz, read_parameters
from hoijax.io.files import PathLike

_MULTI_HMR = {
    "global_orient": (0, 1),
    "body_pose": (1, 22),
    "left_hand_pose": (22, 37),
    "right_hand_pose": (37, 52),
    "jaw_pose": (52, 53),
}
"""Human3R's 53 rotations, after Multi-HMR: root, 21 body joints, left hand, right hand, jaw."""
_FARTHEST = 200.0
"""Translations beyond this are no metres."""


@dataclasses.dataclass(frozen=True)
class PeopleEstimate:
    """People of one image or frame."""

    params: BodyParams
    """With one leading axis, float32."""
    method: str
    """How the file was understood: "human3r" or "parameters"."""


@dataclasses.dataclass(frozen=True)
class SceneEstimate:
    """A scene of one image, or a cloud."""

    points: np.ndarray
    """Metres: (H, W, 3) in the camera frame, or (N, 3) as the file has it; NaN where there is none."""
    normals: np.ndarray | None
    """Of a cloud."""
    intrinsics: np.ndarray | None
    """(3, 3), pixels of the point map."""
    confidence: np.ndarray | None
    """(H, W), as the method gives it."""

    @property
    def is_map(self) -> bool:
        """Whether the points are the pixels of an image."""
        return self.points.ndim == 3


def read_people(path: PathLike, model: BodyModel, *, transl: str = "auto") -> PeopleEstimate:
    """Reads the people that a method found.

    Args:
      path: an `.npz`, see the module's table.
      model: the body that the parameters are for.
      transl: what the file's translation is: "smplx", added to the surface; "head", where the head's joint is, as
        Multi-HMR and Human3R have it; "auto": "head" for their files, "smplx" otherwise.

    Returns:
      The people, one row each.

    Raises:
      InputError: no such file, nobody in it, parameters of another body, or a translation that cannot be metres.
    """
    if transl not in ("auto", "smplx", "head"):
        raise ValueError(f'transl must be "auto", "smplx" or "head", got {transl!r}')
    path = pathlib.Path(path)
    arrays = _arrays(path, ("rotvec", "smpl_rotvec", "shape", "smpl_shape", "transl", "smpl_transl", "expression",
                            "smpl_expression"))  # fmt: skip
    own = {name.removeprefix("smpl_"): value for name, value in arrays.items()}
    if "rotvec" in own:
        params, method = _human3r(path, own, model), "human3r"
    else:
        file = read_parameters(path)
        _check_source(file, model)
        values = file.values
        values = {k: v for k, v in values.items() if not k.startswith("obj_")}
        params, method = BodyParams.from_axis_angle(model, **_fit_layout(path, values, model)), "parameters"
    count = params.rotations.shape[0]
    if not count:
        raise InputError(f"{path}: nobody in it, the arrays have 0 rows")
    far = float(np.abs(np.asarray(params.translation)).max())
    if far > _FARTHEST:
        raise InputError(f"{path}: a person {far:.0f} away; hoijax wants metres, this looks like millimetres")
    if transl == "head" or (transl == "auto" and method == "human3r"):
        head = pose_joints(model, params.replace(translation=np.zeros_like(params.translation))).joints
        params = params.replace(translation=params.translation - head[:, model.joint_names.index("head")])
    return PeopleEstimate(params=jax.tree.map(np.asarray, params), method=method)


def _check_source(file: ParameterFile, model: BodyModel) -> None:
    """Refuses files of other methods that only `hoijax refine --object` brings to another body."""
    estimate = file.estimate
    if estimate is None:
        return
    kinds = {"smplh": "smpl"}
    other = estimate.body is not None and kinds.get(estimate.body, estimate.body) != kinds.get(model.kind, model.kind)
    if other or estimate.vertices is not None or estimate.anchors is not None:
        raise InputError(
            f"{file.path} ({estimate.source.title}) has no parameters of the {model.kind} body; in a scene give the "
            "method's own body as --body-model, or what `hoijax refine --object` wrote as refined.npz"
        )


def read_scene_estimate(path: PathLike) -> SceneEstimate:
    """Reads the scene that a method reconstructed.

    Args:
      path: an `.npz`, see the module's table; leading axes of size one are dropped.

    Returns:
      The scene; masked pixels are NaN.

    Raises:
      InputError: no such file, nothing of a scene in it, or arrays that do not fit together.
    """
    path = pathlib.Path(path)
    keys = ("pts3d_cam", "pts3d", "point_map", "points", "normals", "depth_z", "depth", "intrinsics", "mask", "conf",
            "confidence")  # fmt: skip
    arrays = {name: _drop_unit_axes(value, name) for name, value in _arrays(path, keys).items()}
    for name in ("pts3d_cam", "point_map", "pts3d", "points"):
        if name in arrays:
            points = arrays[name].astype(np.float32)
            break
    else:
        depth = arrays.get("depth_z", arrays.get("depth"))
        if depth is None or "intrinsics" not in arrays:
            raise InputError(
                f"{path}: no scene in it; wanted pts3d_cam, pts3d, point_map or points, or depth with intrinsics; it "
                f"has {', '.join(sorted(arrays)) or 'none of the known keys'}"
            )
        if depth.ndim != 2:
            raise InputError(f"{path}: the depth has the shape {depth.shape}, wanted (H, W)")
        _check_intrinsics(path, arrays["intrinsics"])
        points = points_from_depth(depth, arrays["intrinsics"])
    if points.ndim not in (2, 3) or points.shape[-1] != 3:
        raise InputError(f"{path}: points have the shape {points.shape}, wanted (H, W, 3) or (N, 3)")
    if "mask" in arrays:
        mask = arrays["mask"]
        if mask.shape != points.shape[:-1]:
            raise InputError(f"{path}: the mask has the shape {mask.shape}, the points {points.shape}")
        points = np.where(mask[..., None] > 0, points, np.nan)
    if "intrinsics" in arrays:
        _check_intrinsics(path, arrays["intrinsics"])
    normals = arrays.get("normals")
    if normals is not None and normals.shape != points.shape:
        raise InputError(f"{path}: normals have the shape {normals.shape}, the points {points.shape}")
    return SceneEstimate(
        points=points,
        normals=normals,
        intrinsics=arrays.get("intrinsics"),
        confidence=arrays.get("conf", arrays.get("confidence")),
    )


def points_from_depth(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """The point map (H, W, 3) of a depth map: camera frame, float32; NaN where the depth is not positive.

    Args:
      depth: (H, W), camera z, metres.
      intrinsics: (3, 3), pixels; pixel centres are at +0.5.
    """
    height, width = depth.shape
    depth = np.where(np.isfinite(depth) & (np.nan_to_num(depth) > 0), depth, np.nan).astype(np.float64)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(np.asarray(intrinsics, np.float64)).T
    return (rays * depth[..., None]).astype(np.float32)


def _human3r(path: pathlib.Path, own: dict[str, np.ndarray], model: BodyModel) -> BodyParams:
    missing = [name for name in ("shape", "transl") if name not in own]
    if missing:
        raise InputError(f"{path}: rotvec without {', '.join(missing)}")
    rotvec = own["rotvec"]
    if rotvec.ndim != 3 or rotvec.shape[1:] != (53, 3):
        raise InputError(f"{path}: rotvec has the shape {rotvec.shape}, wanted (people, 53, 3)")
    for name, columns in (("shape", None), ("transl", 3)):
        value = own[name]
        if value.ndim != 2 or len(value) != len(rotvec) or columns not in (None, value.shape[1]):
            raise InputError(
                f"{path}: {name} has the shape {value.shape}, wanted one row for each of {len(rotvec)} people"
            )
    values = {name: rotvec[:, a:b].reshape(len(rotvec), -1) for name, (a, b) in _MULTI_HMR.items()}
    values |= {"betas": own["shape"], "transl": own["transl"]}
    if "expression" in own and own["expression"].ndim == 2:
        values["expression"] = own["expression"]
    return BodyParams.from_axis_angle(model, **_fit_layout(path, values, model))


def _fit_layout(path: pathlib.Path, values: dict[str, np.ndarray], model: BodyModel) -> dict[str, np.ndarray]:
    """Float32 values without what the body has no place for: faces on SMPL-H, coefficients beyond the model's."""
    values = {name: np.asarray(value, np.float32) for name, value in values.items()}
    for name, value in values.items():
        if not np.isfinite(value).all():  # after the cast: 1e300 is infinite here
            raise InputError(f"{path}: {name} holds numbers that are not finite")
    if model.kind != "smplx":
        for name in ("jaw_pose", "leye_pose", "reye_pose", "expression"):
            values.pop(name, None)
    limits = {"betas": model.num_betas - model.num_expression, "expression": model.num_expression}
    return {name: value[:, : limits[name]] if name in limits else value for name, value in values.items()}


def _arrays(path: pathlib.Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    arrays = read_npz(path, keys=keys, kinds="biuf")
    for name, value in arrays.items():
        if not value.size:
            raise InputError(f"{path}: '{name}' is empty, its shape is {value.shape}")
    return arrays


def _check_intrinsics(path: pathlib.Path, intrinsics: np.ndarray) -> None:
    """Refuses what is no pinhole camera."""
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise InputError(f"{path}: intrinsics have the shape {intrinsics.shape}, wanted (3, 3) finite numbers")
    if not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0) or np.abs(intrinsics[2] - [0, 0, 1]).max() > 1e-6:
        raise InputError(
            f"{path}: intrinsics are no camera's: wanted [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with positive focal "
            f"lengths in pixels, got {np.array2string(np.asarray(intrinsics, np.float32), precision=4)}"
        )


def _drop_unit_axes(array: np.ndarray, name: str) -> np.ndarray:
    """Without batch axes, and without the channel axis that some methods give a depth map or mask."""
    if name in ("depth_z", "depth", "mask", "conf", "confidence") and array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    most = {"intrinsics": 2, "mask": 2, "conf": 2, "confidence": 2, "depth": 2, "depth_z": 2}.get(name, 3)
    while array.ndim > most and array.shape[0] == 1:
        array = array[0]
    return array
