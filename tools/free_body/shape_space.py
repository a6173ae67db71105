"""T-posed population -> mean shape, principal shape directions, joints that are linear in the betas."""

import dataclasses

import numpy as np

from .skeleton import JOINT_MIRROR
from .surface import vertex_normals

FLIP = np.array([-1.0, 1.0, 1.0])
BETAS = 10


@dataclasses.dataclass(frozen=True)
class ShapeSpace:
    """Mean (row 0) and principal directions (rows 1..10) of body vertices, eyeball vertices and joints."""

    body: np.ndarray
    """(11, 13380, 3)."""
    eyes: np.ndarray
    """(11, E, 3)."""
    joints: np.ndarray
    """(11, 52, 3)."""
    betas: np.ndarray
    """Of unit variance, (samples, 10)."""
    explained: np.ndarray
    """Share of variance of each direction."""
    joint_residual: float
    """Mean distance of sampled joints from the linear model, metres."""


def symmetrize(x, mirror):
    """Mean of fields (..., V, 3) and their mirror images."""
    return 0.5 * (x + x[..., mirror, :] * FLIP.astype(x.dtype))


def fit_shape_space(bodies, joints, eyes, faces, mirror, eye_mirror):
    """Principal components of symmetrised samples, scaled so that betas have unit variance.

    The sign of each direction is fixed: the first grows taller, the others grow larger.
    """
    samples = len(bodies)
    bodies, eyes = symmetrize(bodies, mirror), symmetrize(eyes, eye_mirror)
    joints = symmetrize(joints, JOINT_MIRROR)
    mean = bodies.mean(0, dtype=np.float64)
    centred = (bodies - mean).reshape(samples, -1)
    gram = (centred @ centred.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    betas = vectors[:, :BETAS] * np.sqrt(samples - 1)

    def directions(x):
        flat = (x - x.mean(0, dtype=np.float64)).reshape(samples, -1)
        return (betas.T @ flat / (samples - 1)).reshape(BETAS, *x.shape[1:])

    shape = directions(bodies)
    normals = vertex_normals(mean, faces)
    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    signs = np.sign(np.einsum("kvi,vi->k", shape, normals))
    signs[0] = np.sign(shape[0, top, 1] - shape[0, bottom, 1])
    betas = betas * signs
    shape = shape * signs[:, None, None]
    joint_shape = directions(joints)
    linear = joints.mean(0) + np.einsum("nk,kjc->njc", betas, joint_shape)
    stack = lambda x, d: np.concatenate([x.mean(0, dtype=np.float64)[None], d])  # noqa: E731
    return ShapeSpace(
        body=symmetrize(stack(bodies, shape), mirror),
        eyes=symmetrize(stack(eyes, directions(eyes)), eye_mirror),
        joints=symmetrize(stack(joints, joint_shape), JOINT_MIRROR),
        betas=betas,
        explained=values[:BETAS] / values.sum(),
        joint_residual=float(np.linalg.norm(linear - joints, axis=-1).mean()),
    )
