"""Bodies of datasets' parameters: posed, turned to another frame, and where they look."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled


def body_vertices(model: BodyModel, fields: Mapping[str, np.ndarray]) -> Float[np.ndarray, "V 3"]:
    """Posed vertices, float64, of a body in the field's keys.

    Raises:
      InputError: the fields do not fit the model.
    """
    return np.asarray(pose_body_compiled(model, _params(model, fields)).vertices, np.float64)


def rotated_fields(
    model: BodyModel, fields: Mapping[str, np.ndarray], turn: Float[np.ndarray, "3 3"]
) -> dict[str, np.ndarray]:
    """The fields of the same body in a turned frame: bodies turn about their pelvis, not about the origin."""
    root = Rotation.from_matrix(turn @ Rotation.from_rotvec(np.asarray(fields["global_orient"], float)).as_matrix())
    pelvis = np.asarray(model.joint_template, float)[0]
    betas = np.asarray(fields["betas"], float)
    pelvis = pelvis + np.asarray(model.joint_shape_dirs, float)[0][:, : len(betas)] @ betas
    moved = turn @ (pelvis + np.asarray(fields["transl"], float)) - pelvis
    return {**fields, "global_orient": root.as_rotvec().astype(np.float32), "transl": moved.astype(np.float32)}


def facing_of(fields: Mapping[str, np.ndarray]) -> Float[np.ndarray, "3"]:
    """Where a body looks, horizontal and unit, y up: its front.

    Of who lies on the back that is where the feet are, on the belly where the head is.
    """
    root = Rotation.from_rotvec(np.asarray(fields["global_orient"], float).reshape(3)).as_matrix()
    for axis in (root[:, 2], root[:, 1] * -np.sign(root[1, 2])):
        level = axis * np.array([1.0, 0.0, 1.0])
        if np.linalg.norm(level) > 0.3:
            break
    return level / max(np.linalg.norm(level), 1e-9)


def _params(model: BodyModel, fields: Mapping[str, np.ndarray]) -> BodyParams:
    given = {name: np.asarray(value, np.float32) for name, value in fields.items()}
    for key in ("left_hand_pose", "right_hand_pose"):
        if key in given and given[key].size == 45:
            given[key] = given[key].reshape(15, 3)
    return BodyParams.from_axis_angle(model, **given)
