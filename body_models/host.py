"""Bodies posed by NumPy in float64, for code that reads and checks files: no compilation, no device."""

import numpy as np
from jaxtyping import Float

from hoijax.body_models.model import BodyModel


def host_joints(
    model: BodyModel, rotations: Float[np.ndarray, "J 3 3"], betas: Float[np.ndarray, "S"]
) -> tuple[Float[np.ndarray, "J 3"], Float[np.ndarray, "J 3 3"], Float[np.ndarray, "J 3"]]:
    """Joints of one body without translation: posed, their rotations to the world, and at rest; metres.

    Args:
      model: any body.
      rotations: of each joint relative to its parent.
      betas: shape coefficients.
    """
    rest = np.asarray(model.joint_template, np.float64) + np.asarray(model.joint_shape_dirs, np.float64) @ betas
    world, place = np.empty((len(rest), 3, 3)), np.empty((len(rest), 3))
    for i, parent in enumerate(model.parents):
        if parent < 0:
            world[i], place[i] = rotations[i], rest[i]
        else:
            world[i] = world[parent] @ rotations[i]
            place[i] = place[parent] + world[parent] @ (rest[i] - rest[parent])
    return place, world, rest


def host_vertices(
    model: BodyModel,
    rotations: Float[np.ndarray, "J 3 3"],
    betas: Float[np.ndarray, "S"],
    translation: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "V 3"]:
    """Vertices of one body, metres; what `pose_body` computes.

    Args:
      model: any body.
      rotations: of each joint relative to its parent.
      betas: shape coefficients.
      translation: metres.
    """
    place, world, rest = host_joints(model, rotations, betas)
    surface = np.asarray(model.v_template, np.float64) + np.asarray(model.shape_dirs, np.float64) @ betas
    if model.pose_basis is not None:
        feature = (rotations[1:] - np.eye(3)).reshape(-1)
        surface = surface + np.tensordot(feature, np.asarray(model.pose_basis, np.float64), axes=1).T
    weights = np.asarray(model.skin_weights, np.float64)
    offset = place - np.einsum("jab,jb->ja", world, rest)
    blend = (weights @ world.reshape(-1, 9)).reshape(-1, 3, 3)
    return np.einsum("vab,vb->va", blend, surface) + weights @ offset + translation
