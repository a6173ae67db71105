"""Named points of a posed body: its joints, and surface points such as finger tips, nose, eyes, ears and toes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hoijax.body_models.model import BodyModel, PosedBody
from hoijax.body_models.parts import part_labels, part_names
from hoijax.body_models.skeleton import FINGERS

_TIPS = ("thumb", "index", "middle", "ring", "pinky")
_NAMES = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear",
    *(f"{side}_{place}" for side in ("left", "right") for place in ("big_toe", "small_toe", "heel")),
    *(f"{side}_{tip}" for side in ("left", "right") for tip in _TIPS),
)  # fmt: skip
_SMPL = (
    332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787,
    2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133,
)  # fmt: skip
_SMPLX = (
    9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635,
    5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022,
)  # fmt: skip
_MANO = (744, 320, 443, 554, 671)


def standard_landmarks(kind: str, num_vertices: int, side: str | None = None) -> tuple[tuple[str, int], ...] | None:
    """The vertices that the field uses as keypoints of an official mesh, in smplx's order; None for other meshes.

    Args:
      kind: kind of model.
      num_vertices: of its mesh.
      side: "left" or "right" for MANO.
    """
    if kind in ("smpl", "smplh") and num_vertices == 6890:
        return tuple(zip(_NAMES, _SMPL))
    if kind == "smplx" and num_vertices == 10475:
        return tuple(zip(_NAMES, _SMPLX))
    if kind == "mano" and num_vertices == 778:
        return tuple((f"{side}_{tip}", vertex) for tip, vertex in zip(_TIPS, _MANO))
    return None


def find_landmarks(model: BodyModel) -> tuple[tuple[str, int], ...]:
    """The same keypoints on a mesh without a table, from the rest pose (T-pose, y up, facing +z).

    Finger tips lie farthest along their last bone, ears farthest to the side of the head, heels farthest back; nose and
    toes farthest forward. Eyes are placed by the proportions of the face, to about two centimetres. Points of joints
    that the model does not have are left out.
    """
    position = np.asarray(model.v_template, np.float64)
    labels, names = part_labels(model, "24"), part_names("24")
    joints = dict(zip(model.joint_names, np.asarray(model.joint_template, np.float64)))
    vertex_ids: dict[str, int] = {}

    def farthest(name: str, mask: np.ndarray, score: np.ndarray) -> None:
        if mask.any():
            vertex_ids[name] = int(np.where(mask, score, -np.inf).argmax())

    _find_on_head(position, labels == names.index("head"), farthest)
    for side, outward in (("left", 1.0), ("right", -1.0)):
        foot = np.isin(labels, [names.index(f"{side}_ankle"), names.index(f"{side}_foot")])
        if foot.any():
            across, forward = outward * position[:, 0], position[:, 2]
            middle = np.median(across[labels == names.index(f"{side}_foot")])
            farthest(f"{side}_big_toe", foot & (across < middle), forward)
            farthest(f"{side}_small_toe", foot, forward + across)
            farthest(f"{side}_heel", foot, -forward)
        for finger in FINGERS:
            last = f"{side}_{finger}3"
            if last in joints:
                weight = np.asarray(model.skin_weights)[:, model.joint_names.index(last)]
                bone = joints[last] - joints[f"{side}_{finger}2"]
                farthest(f"{side}_{finger}", weight > 0.5, position @ bone)
    return tuple((name, vertex_ids[name]) for name in _NAMES if name in vertex_ids)


def _find_on_head(position: np.ndarray, head: np.ndarray, farthest) -> None:
    if not head.any():
        return
    width, height = np.abs(position[head, 0]).max(), np.ptp(position[head, 1])
    middle = head & (np.abs(position[:, 0]) < 0.15 * width)
    farthest("nose", middle, position[:, 2])
    nose = position[int(np.where(middle, position[:, 2], -np.inf).argmax())]
    for side, outward in (("left", 1.0), ("right", -1.0)):
        farthest(f"{side}_ear", head, outward * position[:, 0])
        eye = nose + np.array([outward * 0.42 * width, 0.15 * height, -0.1 * width])
        farthest(f"{side}_eye", head, -np.linalg.norm(position - eye, axis=1))


def keypoint_names(model: BodyModel) -> tuple[str, ...]:
    """All named points of a model: its joints, then its landmarks, as smplx names them.

    A finger's name without a number is its tip. SMPL-X's eye joints are `left_eye_smplhf` and `right_eye_smplhf`.
    """
    return (*model.joint_names, *(name for name, _ in model.landmarks))


def keypoints(model: BodyModel, body: PosedBody, names: Sequence[str] | None = None) -> Float[jax.Array, "*B K 3"]:
    """Named points of a posed body, metres. Any leading axes.

    Args:
      model: the model that was posed.
      body: the result of `pose_body`.
      names: which points, in the order wanted; None takes all of `keypoint_names(model)`.

    Raises:
      ValueError: the model has no point of that name.
    """
    known = keypoint_names(model)
    names = known if names is None else tuple(names)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"the {model.kind} model has no keypoint {missing}; it has {', '.join(known)}")
    places = np.array([known.index(name) for name in names], np.int32)
    vertices = np.array([vertex for _, vertex in model.landmarks], np.int32)
    points = jnp.concatenate([jnp.asarray(body.joints), jnp.asarray(body.vertices)[..., vertices, :]], axis=-2)
    return points[..., places, :]
