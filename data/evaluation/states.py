"""What is compared: a body and an object in one frame, from parameters or from finished arrays."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.data.evaluation.predictions import Record
from hoijax.errors import InputError
from hoijax.geometry import Mesh

_BODY_KEYS = (
    "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "betas",
    "expression", "transl",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EvaluationState:
    """A prediction or a truth; None is what it does not say. Metres, in the dataset's frame."""

    body: np.ndarray | None = None
    """Posed vertices (V, 3)."""
    joints: np.ndarray | None = None
    """(J, 3), the first is the pelvis."""
    object: np.ndarray | None = None
    """Posed vertices of the object's template (N, 3)."""
    object_rotation: np.ndarray | None = None
    """(3, 3)."""
    object_translation: np.ndarray | None = None
    """(3,)."""
    contact_body: np.ndarray | None = None
    """Probability, or label, per body vertex (V,)."""
    contact_object: np.ndarray | None = None
    """The same per object vertex or point (N,)."""


@dataclasses.dataclass(frozen=True)
class SceneTruth:
    """The static scene of a sample."""

    points: np.ndarray
    """(N, 3) metres, in the frame of the body."""
    normals: np.ndarray | None
    """(N, 3) unit, pointing to free space."""
    contact_set: np.ndarray
    """Vertex ids (K,) of the body that take part."""
    weights: np.ndarray
    """(K,) square metres."""
    faces: np.ndarray | None = None
    """(F, 3) of the scan, for pictures."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """One sample of a dataset: its truth, and what predictions are posed with."""

    key: str
    """The sample's id."""
    group: str
    """Samples of one group are alike: the sequence."""
    truth: EvaluationState
    model: BodyModel | None = None
    """What body parameters belong to."""
    template: Mesh | None = None
    """The object in its own frame."""
    body_faces: np.ndarray | None = None
    """(F, 3) of the truth's body."""
    object_faces: np.ndarray | None = None
    """(F, 3) of the truth's object."""
    scene: SceneTruth | None = None


def state_of(
    record: Record, model: BodyModel | None, template: Mesh | None, where: str = "prediction"
) -> EvaluationState:
    """Poses what a record holds.

    Finished arrays go before parameters: with `vertices` in it, body parameters only give the joints, and those only
    where there is no `joints`.

    Args:
      record: parameters and arrays.
      model: that the parameters belong to; None where the dataset's body is not at hand.
      template: of the object.
      where: what messages call it.

    Returns:
      The state.

    Raises:
      InputError: parameters that do not fit the model.
    """
    body, joints = record.arrays.get("vertices"), record.arrays.get("joints")
    if "body_pose" in record.values and model is not None and (body is None or joints is None):
        posed = _pose(record, model, where)
        body = posed[0] if body is None else body
        joints = posed[1] if joints is None else joints
    rotation = translation = None
    obj = record.arrays.get("object_vertices")
    if "obj_trans" in record.values:
        rotation = Rotation.from_rotvec(record.values.get("obj_rot", np.zeros(3))).as_matrix()
        translation = record.values["obj_trans"]
        if obj is None and template is not None:
            scale = float(record.values.get("obj_scale", np.ones(1))[0])
            vertices = np.asarray(template.vertices, np.float64)
            obj = (scale * vertices @ rotation.T + translation).astype(np.float32)
    return EvaluationState(
        body, joints, obj, rotation, translation,
        record.arrays.get("contact_body"), record.arrays.get("contact_object"),
    )  # fmt: skip


def _pose(record: Record, model: BodyModel, where: str) -> tuple[np.ndarray, np.ndarray]:
    given = {key: record.values[key].astype(np.float32) for key in _BODY_KEYS if key in record.values}
    for key in ("left_hand_pose", "right_hand_pose"):
        if key in given and given[key].size == 45:
            given[key] = given[key].reshape(15, 3)  # axis-angle also where the model takes components
        elif key in given and model.hand_pca != given[key].size:
            expected = f" or {model.hand_pca} components" if model.hand_pca else ""
            raise InputError(f"{where}: {key} has {given[key].size} numbers, wanted 45 axis-angle numbers{expected}")
    try:
        params = BodyParams.from_axis_angle(model, **given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    posed = pose_body_compiled(model, params)
    return np.asarray(posed.vertices), np.asarray(posed.joints)
