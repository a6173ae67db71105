"""Between the quantities of a parameter file and the arrays that a body model takes.

On the host and in float64, one interaction at a time: files of different layouts share a batch, and what the refiner
did not touch goes back bit for bit, which `BodyParams.to_axis_angle` cannot promise.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax import body_models
from hoijax.body_models import POSE_GROUPS, BodyModel, BodyParams, named_hand_pose
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.io import ParameterFile, file_digest, nearest_axis_angle

HANDS = ("left_hand_pose", "right_hand_pose")
"""Quantities of the hands."""


@dataclasses.dataclass(frozen=True)
class BodyChoice:
    """Which body model parameters belong to."""

    file: pathlib.Path | None = None
    """SMPL, SMPL-H or SMPL-X model file; None: the free body."""
    flat_hands: bool = True
    """What a hand pose of zero is: the flat hand, or the model's mean hand."""
    lod: str = "default"
    """Level of detail of the free body."""


@dataclasses.dataclass(frozen=True)
class RefinerStart:
    """One estimate in the form of the refiner, float32, without leading axes."""

    params: BodyParams
    """The body."""
    pose: RigidPose
    """The object; the identity where the file has none."""
    freeze: tuple[str, ...]
    """Groups of the refiner that must not move, because the file's layout could not hold their result."""
    notes: tuple[str, ...]
    """What a person should know about how the file fits the model."""


def joint_ranges(model: BodyModel) -> dict[str, tuple[int, int]]:
    """Quantity to the range of the model's joints it poses, in file order.

    Raises:
      InputError: the model is not a whole body.
    """
    if model.kind not in ("smpl", "smplh", "smplx", "free"):
        raise InputError(f"the body model is {model.kind.upper()}, wanted a whole body: SMPL, SMPL-H or SMPL-X")
    return POSE_GROUPS[model.kind]


def load_body(choice: BodyChoice, files: Iterable[ParameterFile]) -> tuple[BodyModel, str]:
    """A body model with the shape coefficients that some files have, and a digest of it.

    Args:
      choice: which.
      files: parameters that belong to it.

    Raises:
      InputError: a file that is no body model, or not a whole body's.
    """
    if choice.file is None:
        return body_models.free_body(choice.lod), f"free {choice.lod}"
    model = body_models.load(choice.file, flat_hand_mean=choice.flat_hands)
    joint_ranges(model)
    betas, expression = (
        max((file.values[name].shape[1] for file in files if name in file.values), default=default)
        for name, default in (("betas", 10), ("expression", 0))
    )
    hands = "flat" if choice.flat_hands else "mean"
    return with_coefficients(model, betas, expression), f"{file_digest(choice.file)} {hands}"


def with_coefficients(model: BodyModel, betas: int, expression: int) -> BodyModel:
    """The model with at most so many shape coefficients of each sort; SMPL-X has 300 and 100.

    What a file has no place for would otherwise be refined and then lost.
    """
    split, total = model.num_betas - model.num_expression, model.num_betas
    expression = min(expression, model.num_expression)
    kept = np.r_[0 : min(betas, split), split : split + expression]
    if len(kept) == total:
        return model
    return model.replace(
        shape_dirs=model.shape_dirs[..., kept],
        joint_shape_dirs=model.joint_shape_dirs[..., kept],
        num_expression=expression,
    )


def start_of(model: BodyModel, values: Mapping[str, np.ndarray], where: str) -> RefinerStart:
    """What the refiner starts from.

    Args:
      model: the body.
      values: quantities of one interaction, as in `hoijax.io.ParameterFile.item`.
      where: what messages call the interaction.

    Returns:
      The estimate.

    Raises:
      InputError: shape coefficients or hand components that the model does not have.
    """
    angles = np.zeros((model.num_joints, 3))
    freeze, notes = [], []
    for quantity, (start, stop) in joint_ranges(model).items():
        if quantity in values:
            pose, fixed = _pose_of(model, quantity, values[quantity], where)
            count = min(len(pose), stop - start)
            angles[start : start + count] = pose[:count]
            freeze += fixed
        elif quantity in HANDS:
            angles[start:stop], name = _absent_hand(model, quantity)
            notes.append(f"the file has no {quantity}: the hand starts {name}")
    if len(values["body_pose"]) == 69 and model.kind != "smpl":
        notes.append(
            f"the file's pose is SMPL's: its two hand joints are kept, the {model.kind} model has fingers instead"
        )
    elif len(values["body_pose"]) == 63 and model.kind == "smpl":
        freeze += ["left_hand", "right_hand"]
    unknown = sorted(q for q in values if q.endswith("_pose") and q not in joint_ranges(model))
    if unknown:
        notes.append(f"the {model.kind} model has no {', '.join(unknown)}: kept as they are")
    betas, fixed = _betas_of(model, values, where)
    if fixed:
        freeze.append("betas")
    params = BodyParams(
        rotations=Rotation.from_rotvec(angles).as_matrix().astype(np.float32),
        betas=betas.astype(np.float32),
        translation=np.asarray(values.get("transl", np.zeros(3)), np.float32),
    )
    pose = RigidPose(
        rotation=Rotation.from_rotvec(values.get("obj_rot", np.zeros(3))).as_matrix().astype(np.float32),
        translation=np.asarray(values.get("obj_trans", np.zeros(3)), np.float32),
        scale=np.asarray(values.get("obj_scale", np.ones(1))[0], np.float32),
    )
    return RefinerStart(params, pose, tuple(dict.fromkeys(freeze)), tuple(notes))


def quantities_of(
    model: BodyModel, start: RefinerStart, params: BodyParams, pose: RigidPose, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The refined quantities of one interaction in the file's form; only those that moved.

    Args:
      model: the body.
      start: what the refiner started from.
      params: the refined body, without leading axes.
      pose: the refined object.
      values: the file's quantities.

    Returns:
      Quantity to its new value, float64.
    """
    out = {}
    for quantity, (first, last) in joint_ranges(model).items():
        moved = (np.asarray(params.rotations)[first:last] != start.params.rotations[first:last]).any(axis=(1, 2))
        if quantity.removesuffix("_pose") in start.freeze or not moved.any():
            continue
        offset = hand_offset(model, quantity).reshape(-1, 3) if quantity in HANDS else np.zeros((last - first, 3))
        if quantity in values:
            angles = values[quantity].reshape(-1, 3).copy()
        else:
            angles = Rotation.from_matrix(start.params.rotations[first:last]).as_rotvec() - offset
        # Joints beyond those of both sides are neither the model's nor moved.
        rows = np.flatnonzero(moved[: len(angles)])
        turned = Rotation.from_matrix(np.asarray(params.rotations)[first:last][rows]).as_rotvec()
        angles[rows] = nearest_axis_angle(turned, angles[rows] + offset[rows]) - offset[rows]
        out[quantity] = angles.reshape(-1)
    shape = np.asarray(params.betas, np.float64)
    if "betas" not in start.freeze and not np.array_equal(params.betas, start.params.betas):
        split = len(shape) - model.num_expression
        out["betas"] = shape[:split]
        if model.num_expression:
            out["expression"] = shape[split:]
    if not np.array_equal(params.translation, start.params.translation):
        out["transl"] = np.asarray(params.translation, np.float64)
    if not np.array_equal(pose.rotation, start.pose.rotation):
        near = values.get("obj_rot", np.zeros(3))
        out["obj_rot"] = nearest_axis_angle(Rotation.from_matrix(np.asarray(pose.rotation)).as_rotvec(), near)
    if not np.array_equal(pose.translation, start.pose.translation):
        out["obj_trans"] = np.asarray(pose.translation, np.float64)
    if not np.array_equal(pose.scale, start.pose.scale):
        out["obj_scale"] = np.asarray(pose.scale, np.float64).reshape(1)
    return out


def _pose_of(model: BodyModel, quantity: str, value: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    """Axis-angles `(N, 3)` of one quantity and the groups its layout holds fixed."""
    if quantity not in HANDS:
        return value.reshape(-1, 3), []
    if len(value) == 45:
        return (value + hand_offset(model, quantity)).reshape(-1, 3), []
    side = HANDS.index(quantity)
    if model.hand_components is None or len(value) > model.hand_components.shape[1]:
        raise InputError(
            f"{where}: {quantity} has {len(value)} numbers, which would be principal components, but the {model.kind} "
            "model has none; give 45 axis-angle numbers, or --body-model with the model they belong to"
        )
    flat = value @ np.asarray(model.hand_components, np.float64)[side, : len(value)]
    return (flat + hand_offset(model, quantity)).reshape(-1, 3), [quantity.removesuffix("_pose")]


def _absent_hand(model: BodyModel, quantity: str) -> tuple[np.ndarray, str]:
    """Axis-angles `(15, 3)` of a hand that the file does not pose, and how to call them."""
    if model.kind == "free":
        return named_hand_pose("relaxed", quantity.partition("_")[0]).astype(np.float64), "relaxed"
    name = "flat" if model.flat_hand_mean else "as the model's mean hand"
    return hand_offset(model, quantity).reshape(-1, 3), name


def hand_offset(model: BodyModel, quantity: str) -> np.ndarray:
    """What the model adds to hand poses, `(45,)`: zero, or the mean hand."""
    if model.flat_hand_mean or model.hand_mean is None:
        return np.zeros(45)
    return np.asarray(model.hand_mean, np.float64)[HANDS.index(quantity)]


def _betas_of(model: BodyModel, values: Mapping[str, np.ndarray], where: str) -> tuple[np.ndarray, bool]:
    """All shape coefficients of the model, and whether the file has too few places for refined ones."""
    shape, few = np.zeros(model.num_betas), False
    first_expression = model.num_betas - model.num_expression
    for quantity, start, stop in (("betas", 0, first_expression), ("expression", first_expression, model.num_betas)):
        value = values.get(quantity, np.zeros(stop - start))
        if quantity == "expression" and not model.num_expression:
            continue
        if len(value) > stop - start:
            hint = (
                "they belong to another body: give it as --body-model, or leave betas out for the mean shape"
                if model.kind == "free"
                else "load a model with more, or cut them"
            )
            raise InputError(
                f"{where}: {quantity} has {len(value)} numbers, the {model.kind} model has {stop - start}; {hint}"
            )
        shape[start : start + len(value)] = value
        few |= len(value) < stop - start
    return shape, few
