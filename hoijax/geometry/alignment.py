"""The similarity that best maps one cloud of points onto another, point by point (Procrustes, Umeyama)."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, cross, einsum, safe_divide
from hoijax.geometry.transforms import RigidPose


def umeyama(
    source: Float[ArrayLike, "*B N 3"],
    target: Float[ArrayLike, "*B N 3"],
    weights: Float[ArrayLike, "*B N"] | None = None,
    *,
    with_scale: bool = True,
) -> RigidPose:
    """Pose minimising sum_i w_i |scale R source_i + t - target_i|^2 with det R = +1.

    Umeyama 1991 ("Least-squares estimation of transformation parameters between two point patterns"), eq. 40-43,
    with weights. Differentiable, planar clouds and clouds with repeated singular values included: the rotation has
    its own derivative (see `procrustes_rotation`).

    Args:
      source: points to move, metres.
      target: where each of them should go.
      weights: non-negative; equal if None. Points of weight zero must still be finite.
      with_scale: estimate the scale too; 1 otherwise.

    Returns:
      The pose. If all source points coincide the scale is 1; if all weights are zero it is the identity.
    """
    source, target = jnp.asarray(source), jnp.asarray(target)
    if source.shape[-2] == 0:
        raise ValueError("umeyama needs at least one pair of points, got 0")
    if weights is None:
        weights = jnp.full(source.shape[:-1], 1.0 / source.shape[-2], source.dtype)
    else:
        weights = jnp.asarray(weights)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        weights = safe_divide(weights, jnp.broadcast_to(total, weights.shape))
    source_mean = einsum("...n,...ni->...i", weights, source)
    target_mean = einsum("...n,...ni->...i", weights, target)
    source = source - source_mean[..., None, :]
    target = target - target_mean[..., None, :]
    covariance = einsum("...n,...ni,...nj->...ij", weights, target, source)
    rotation = procrustes_rotation(covariance)
    if with_scale:
        variance = einsum("...n,...ni,...ni->...", weights, source, source)
        flat = variance == 0
        scale = jnp.where(flat, 1.0, jnp.sum(rotation * covariance, axis=(-2, -1)) / jnp.where(flat, 1.0, variance))
    else:
        scale = jnp.ones(source.shape[:-2], source.dtype)
    translation = target_mean - scale[..., None] * einsum("...ij,...j->...i", rotation, source_mean)
    return RigidPose(rotation=rotation, translation=translation, scale=scale)


@jax.custom_jvp
def procrustes_rotation(matrix: Float[ArrayLike, "*B 3 3"]) -> Float[jax.Array, "*B 3 3"]:
    """The rotation R, det +1, that maximises trace(R^T M).

    Kabsch's formula by SVD; its derivative does not pass through the SVD, whose own is infinite at repeated singular
    values. With M = R H (H symmetric) and dR = R [w]x, differentiating the symmetry of H gives

        (trace(H) I - H) w = vee(R^T dM - dM^T R),

    which is singular only where R itself is not unique: rank below 2, or a reflected cloud whose two smallest
    singular values are equal. There the undetermined part of the derivative is given as zero.
    """
    return _procrustes(jnp.asarray(matrix))[0]


def _procrustes(matrix: Float[jax.Array, "*B 3 3"]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """R, the right singular vectors as columns, the eigenvalues of H = R^T M (the last negative if reflected)."""
    u, s, vt = jnp.linalg.svd(matrix)
    sign = jnp.where(jnp.linalg.det(u) * jnp.linalg.det(vt) < 0, -1.0, 1.0).astype(matrix.dtype)
    flip = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], axis=-1)
    rotation = einsum("...ij,...j,...jk->...ik", u, flip, vt)
    return rotation, jnp.swapaxes(vt, -1, -2), s * flip


@procrustes_rotation.defjvp
def _procrustes_jvp(primals, tangents):
    (matrix,), (d_matrix,) = primals, tangents
    rotation = procrustes_rotation(matrix)
    symmetric = einsum("...ji,...jk->...ik", rotation, matrix)
    trace = jnp.trace(symmetric, axis1=-2, axis2=-1)
    system = trace[..., None, None] * jnp.eye(3, dtype=matrix.dtype) - symmetric
    _, v, h = _procrustes(jax.lax.stop_gradient(matrix))
    gaps = jnp.sum(h, axis=-1, keepdims=True) - h  # eigenvalues of `system`
    usable = gaps > 8 * jnp.finfo(matrix.dtype).eps * h[..., :1]
    inverse = einsum("...ij,...j,...kj->...ik", v, jnp.where(usable, 1.0 / jnp.where(usable, gaps, 1.0), 0.0), v)
    # One Newton step on the inverse, P <- 2P - P K P: no change of value, and the right derivative of K^-1,
    # so that second derivatives exist without passing through the eigenvectors.
    inverse = 2.0 * inverse - einsum("...ij,...jk,...kl->...il", inverse, system, inverse)
    skew = einsum("...ji,...jk->...ik", rotation, d_matrix)
    skew = skew - jnp.swapaxes(skew, -1, -2)
    axis = jnp.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=-1)
    omega = einsum("...ij,...j->...i", inverse, axis)
    # R [w]x: row i of the product is the cross product of row i of R with w.
    d_rotation = cross(rotation, jnp.broadcast_to(omega[..., None, :], rotation.shape))
    return rotation, d_rotation
