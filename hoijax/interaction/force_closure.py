"""Whether contacts can hold an object: the grasp map, differentiable force closure, and exact tests of it.

Contacts are points on an object with unit normals c that point into it: the direction in which a contact pushes. Closed
means that friction at the contacts can resist any wrench. The differentiable form is that of Liu et al. (2021): forces
are replaced by the normals themselves, whose residual wrench has to vanish, and the grasp map has to have full rank.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog, nnls
from scipy.spatial import ConvexHull, QhullError

from hoijax.geometry.safe import ArrayLike, einsum

RANK_FLOOR = 0.01
"""Least eigenvalue of the grasp map's square that is rank enough."""
REACH = 0.03
"""Distance to the surface over which a contact loses its say, metres."""


def grasp_map(points: Float[ArrayLike, "N 3"], origin: Float[ArrayLike, "3"] | None = None) -> Float[jax.Array, "6 M"]:
    """What forces at contacts do together: G f is the wrench (force, torque) of the forces f (3N,).

    Args:
      points: of the contacts.
      origin: about which torques are taken; None: zero.
    """
    points = jnp.asarray(points)
    arm = points if origin is None else points - jnp.asarray(origin)[None]
    x, y, z = jnp.moveaxis(arm, -1, 0)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    eye = jnp.broadcast_to(jnp.eye(3, dtype=points.dtype), cross.shape)
    return jnp.concatenate([eye, cross], axis=1).transpose(1, 0, 2).reshape(6, -1)


def residual_wrench(
    points: Float[ArrayLike, "N 3"],
    normals: Float[ArrayLike, "N 3"],
    weights: Float[ArrayLike, "N"] | None = None,
    origin: Float[ArrayLike, "3"] | None = None,
) -> Float[jax.Array, "6"]:
    """G c: the wrench of unit pushes along the normals, which force closure wants to vanish.

    Args:
      points: of the contacts.
      normals: unit, into the object.
      weights: of each push; None: 1.
      origin: about which torques are taken; None: zero.
    """
    push = jnp.asarray(normals)
    push = push if weights is None else push * jnp.asarray(weights)[:, None]
    return einsum("ij,j->i", grasp_map(points, origin), push.reshape(-1))


def rank_energy(
    points: Float[ArrayLike, "N 3"], floor: float = RANK_FLOOR, mask: Float[ArrayLike, "N"] | None = None
) -> Float[jax.Array, ""]:
    """Sum of squares of what the eigenvalues of G G^T lack to `floor`: zero where the grasp map has full rank.

    Args:
      points: of the contacts.
      floor: see `RANK_FLOOR`.
      mask: weights of the contacts; None: 1.
    """
    g = grasp_map(points)
    g = g if mask is None else g * jnp.repeat(jnp.asarray(mask), 3)[None]
    values = jnp.linalg.eigvalsh(einsum("ij,kj->ik", g, g))
    return jnp.sum(jax.nn.relu(floor - values) ** 2)


def wrench_loss(
    points: Float[ArrayLike, "N 3"],
    normals: Float[ArrayLike, "N 3"],
    distances: Float[ArrayLike, "N"],
    centre: Float[ArrayLike, "3"],
    radius: Float[ArrayLike, ""] | float,
    *,
    rank: float = 1.0,
    reach: float = REACH,
    mask: Float[ArrayLike, "N"] | None = None,
) -> Float[jax.Array, ""]:
    """Differentiable force closure of body points near an object; free of scale, place and turn of both together.

    Args:
      points: the nearest point of the surface to each body point, metres.
      normals: unit normals there, into the object.
      distances: of each body point from the surface, metres.
      centre: of the object.
      radius: half the diagonal of its box.
      rank: weight of `rank_energy` in units of the radius; it counts from three points on.
      reach: see `REACH`.
      mask: 1 for points that count, 0 for padding, and anything between; None: all. Without any the loss is 0.
    """
    points, distances = jnp.asarray(points), jnp.asarray(distances)
    counts = jnp.ones(points.shape[0], points.dtype) if mask is None else jnp.asarray(mask)
    count = jnp.sum(counts)
    some = jnp.where(count > 0, count, 1.0)
    weight = counts * jnp.exp(-(distances**2) / (2 * reach**2))
    weight = weight * count / jnp.maximum(jnp.sum(weight), 1e-12)
    arm = (points - jnp.asarray(centre)[None]) / radius
    wrench = residual_wrench(arm, normals, weight)
    rank_term = rank * rank_energy(arm, mask=mask) if rank and points.shape[0] >= 3 else 0.0
    return jnp.where(count > 0, jnp.sum(wrench**2) / some**2 + rank_term + jnp.sum(counts * distances**2) / some, 0.0)


def literal_force_loss(forces: Float[ArrayLike, "N M 3"], normals: Float[ArrayLike, "M 3"]) -> Float[jax.Array, ""]:
    """Equation 9 of InteractAnything as written: at each object vertex the summed normal part of the forces, squared.

    It never couples two contacts and knows no torque, so it is no test of force closure: with forces along the normals
    it is least where nothing pushes; with f = h - o (`literal_plane_loss`) it is a squared distance to tangent planes.

    Args:
      forces: of body point i on object vertex j.
      normals: of the object's vertices.
    """
    return jnp.sum(jnp.sum(jnp.asarray(forces) * jnp.asarray(normals)[None], axis=(0, 2)) ** 2)


def literal_plane_loss(
    body: Float[ArrayLike, "N 3"], object: Float[ArrayLike, "M 3"], normals: Float[ArrayLike, "M 3"]
) -> Float[jax.Array, ""]:
    """`literal_force_loss` with f(i, j) = body point i minus object vertex j."""
    return literal_force_loss(jnp.asarray(body)[:, None] - jnp.asarray(object)[None], normals)


def friction_cone(normals: Float[np.ndarray, "N 3"], friction: float, edges: int = 8) -> Float[np.ndarray, "N E 3"]:
    """The edges of linear friction cones: forces with a unit part along the normal. Host function.

    Args:
      normals: unit.
      friction: coefficient; 0: the normals alone, repeated.
      edges: of each cone.
    """
    normals = np.asarray(normals, np.float64)
    helper = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normals, first)
    angle = 2 * np.pi * np.arange(edges) / edges
    around = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    return normals[:, None] + friction * around


def contact_wrenches(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"], friction: float, edges: int = 8
) -> Float[np.ndarray, "6 K"]:
    """Wrenches of all edges of all friction cones about the origin, as columns. Host function."""
    points = np.asarray(points, np.float64)
    cone = friction_cone(normals, friction, edges)
    torque = np.cross(points[:, None], cone)
    return np.concatenate([cone, torque], axis=-1).reshape(-1, 6).T


def is_closed(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"], friction: float, edges: int = 8
) -> bool:
    """Whether point contacts with friction resist every wrench: the exact test by a linear program. Host function.

    Some positive weights of all cone edges have to balance, and the edges have to span all six dimensions.

    Args:
      points: of the contacts.
      normals: unit, into the object.
      friction: coefficient.
      edges: of each cone; fewer are stricter than the round cone.
    """
    wrenches = contact_wrenches(points, normals, friction, edges)
    if np.linalg.matrix_rank(wrenches, tol=1e-9 * max(1.0, np.abs(wrenches).max())) < 6:
        return False
    count = wrenches.shape[1]
    # The largest least weight t of weights that sum to one and balance.
    equal = np.vstack([np.hstack([wrenches, np.zeros((6, 1))]), np.append(np.ones(count), 0.0)])
    least = np.hstack([-np.eye(count), np.ones((count, 1))])
    answer = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=least,
        b_ub=np.zeros(count),
        A_eq=equal,
        b_eq=np.append(np.zeros(6), 1.0),
        bounds=[(0, None)] * (count + 1),
    )
    return bool(answer.status == 0 and -answer.fun > 1e-9)


def ferrari_canny(
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    friction: float,
    edges: int = 8,
) -> float:
    """Radius of the largest ball of wrenches that the contacts resist with forces that sum to one; 0 if not closed.

    Host function. Torques are in the points' unit.

    Args:
      points: of the contacts.
      normals: unit, into the object.
      friction: coefficient.
      edges: of each cone.
    """
    wrenches = contact_wrenches(points, normals, friction, edges).T
    try:
        hull = ConvexHull(wrenches, qhull_options="QJ Pp")
    except QhullError:
        return 0.0
    return float(max(0.0, -hull.equations[:, -1].max()))


def support_residual(
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    centre: Float[np.ndarray, "3"],
    friction: float = 0.5,
    edges: int = 8,
) -> float:
    """What of a body's weight contacts cannot bear: the wrench that is left, over the weight. Host function.

    Args:
      points: of the contacts, metres, y up.
      normals: unit, the way in which the support pushes the body: out of the object.
      centre: the body's centre of mass.
      friction: coefficient.
      edges: of each cone.

    Returns:
      0 where the contacts bear the weight; 1 with no contact at all. Torques count by the metre.
    """
    centre = np.asarray(centre, np.float64)
    weight = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    if not len(points):
        return 1.0
    wrenches = contact_wrenches(np.asarray(points, np.float64) - centre, normals, friction, edges)
    return float(nnls(wrenches, weight)[1])
