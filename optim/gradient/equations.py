"""InteractAnything's equations 6 to 9 as terms of the refiner: as the paper writes them, or force closure proper.

In the place of, or beside, the house's own terms (`energy.Terms`). Interaction is a set distance between the asked
parts and the contact area of each, weighted by the affordance and by how near the part is now (the dynamic region);
normals, penetration, floor and scale are the paper's; force closure is equation 9 as written, which is the squared
distance of a part to the tangent planes of its area, or the residual wrench of Liu et al. (2021).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry import RigidPose, einsum, inverse, safe_norm, transform_points
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import normal_loss, object_sdf, wrench_loss
from hoijax.interaction.cone import Cones, cone_penetration
from hoijax.interaction.set_distance import set_distance
from hoijax.optim.fields import ObjectField
from hoijax.optim.gradient.energy import Cloud
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.state import State

SCALE = 1e3
"""From the paper's metres to the refiner's energy, in which one is a centimetre off: 10 x (1 cm)^2 counts 1."""
DYNAMIC = 0.1
"""Distance at which a point of the area counts 1/e, metres."""


CONE_HEIGHT, CONE_DEPTH = 0.02, 0.01
"""Height of the cones of `Cones`, metres, and the depth that one unit of their field counts as, metres."""


@struct.dataclass
class EquationWeights:
    """Weights of the terms, arrays or numbers; the paper gives none, the defaults are ours."""

    interaction: Float[ArrayLike, ""] | Any = 10.0
    """Equation 7's set distance, per square metre."""
    normals: Float[ArrayLike, ""] | Any = 0.05
    scale: Float[ArrayLike, ""] | Any = 1.0
    """Squared relative change of the object's size."""
    penetration: Float[ArrayLike, ""] | Any = 20.0
    """Mean depth of the body's points, per metre."""
    ground: Float[ArrayLike, ""] | Any = 10.0
    """s' of equation 6: 0 for what is not meant to stand on the floor."""
    literal_closure: Float[ArrayLike, ""] | Any = 0.0
    """Equation 9 as written."""
    wrench_closure: Float[ArrayLike, ""] | Any = 0.0
    """Force closure by the residual wrench, of the parts that grasp."""


@struct.dataclass
class EquationTargets:
    """What the equations speak of, of one interaction or with leading axes; R parts, A points of a contact area."""

    points: Float[ArrayLike, "*B R A 3"] | Any
    """Contact area of each part, canonical frame, metres."""
    normals: Float[ArrayLike, "*B R A 3"] | Any
    """Outward unit normals there."""
    affordance: Float[ArrayLike, "*B R A"] | Any
    """Weights of the points, zero: padding."""
    grasps: Float[ArrayLike, "*B R"] | Any
    """1 for parts whose contact is a grasp."""
    centre: Float[ArrayLike, "*B 3"] | Any
    """Middle of the object, canonical frame, metres."""
    radius: Float[ArrayLike, "*B"] | Any
    """Half the diagonal of its box, metres."""
    weights: EquationWeights
    cones: Cones | None = None
    """Of the object's triangles, canonical frame: penetration is their field in the place of the grid's depth."""


def equation_energy(
    points: Float[jax.Array, "M 3"],
    normals: Callable[[], Float[jax.Array, "P 3"]],
    state: State,
    start: State,
    field: ObjectField,
    cloud: Cloud,
    targets: EquationTargets,
    floor: Floor | None,
) -> Float[jax.Array, ""]:
    """The weighted sum of the terms.

    Args:
      points: the cloud's, under `state`, metres.
      normals: outward unit normals of the contact parts' points.
      state: the variables.
      start: the estimate, whose scale is the object's own.
      field: the object.
      cloud: layout of `points`.
      targets: what the equations speak of.
      floor: None for no floor.
    """
    w, pose = targets.weights, state.pose
    rows, size = cloud.part_weight.shape
    own = points[cloud.parts].reshape(rows, size, 3)
    area = transform_points(pose, targets.points.reshape(-1, 3)).reshape(targets.points.shape)
    outward = einsum("ij,raj->rai", pose.rotation, targets.normals)
    weight = jax.vmap(dynamic)(own, area, targets.affordance, cloud.part_weight)
    reach = jnp.sum(jax.vmap(set_distance)(own, area, weight, cloud.part_weight))
    look = normals().reshape(rows, size, 3)
    facing = jnp.sum(
        jax.vmap(lambda b, nb, o, no, m, v: normal_loss(b, nb, o, no, body_mask=m, object_valid=v))(
            own, look, area, outward, cloud.part_weight, weight > 0
        )
    )
    scale = (state.object_scale / start.object_scale - 1.0) ** 2
    distance = object_sdf(field.sdf, pose, points[: cloud.index.shape[0]])
    inside = depth_term(points[: cloud.index.shape[0]], distance, pose, targets.cones)
    planes = jnp.sum(jax.vmap(plane_loss)(own, area, outward, weight, cloud.part_weight))
    closed = _closure(own.reshape(-1, 3), pose, field, targets, cloud)
    total = (
        w.interaction * reach
        + w.normals * facing
        + w.scale * scale
        + w.penetration * inside
        + w.ground * ground_loss(transform_points(pose, field.points), floor)
        + w.literal_closure * planes
        + w.wrench_closure * closed
    )
    return SCALE * total


def depth_term(
    points: Float[ArrayLike, "N 3"], distance: Float[ArrayLike, "N"], pose: RigidPose, cones: Cones | None
) -> Float[jax.Array, ""]:
    """How deep points are in the object, on average, metres: by its grid, or by the cones of the triangles near to what
    the grid calls inside."""
    points, distance = jnp.asarray(points), jnp.asarray(distance)
    if cones is None:
        return jnp.mean(jax.nn.relu(-distance))
    local = transform_points(inverse(pose), points)
    colliding = jax.lax.stop_gradient(distance < 0).astype(points.dtype)
    return CONE_DEPTH * cone_penetration(local, cones, colliding, height=CONE_HEIGHT)


def dynamic(
    part: Float[ArrayLike, "C 3"],
    area: Float[ArrayLike, "A 3"],
    affordance: Float[ArrayLike, "A"],
    part_weight: Float[ArrayLike, "C"],
) -> Float[jax.Array, "A"]:
    """The affordance weighted by how near each point is to the part now, sum 1 or 0; not differentiated."""
    part, area, affordance, part_weight = (jnp.asarray(x) for x in (part, area, affordance, part_weight))
    d = [part[:, None, k] - area[None, :, k] for k in range(3)]
    square = jnp.where(part_weight[:, None] > 0, d[0] * d[0] + d[1] * d[1] + d[2] * d[2], jnp.inf)
    near = jnp.sqrt(jnp.min(square, axis=0))
    near = jnp.where(jnp.isfinite(near), near, 0.0)
    weight = affordance * jnp.exp(-(near - jnp.min(near)) / DYNAMIC)
    return jax.lax.stop_gradient(weight / jnp.maximum(jnp.sum(weight), 1e-30))


def plane_loss(
    part: Float[ArrayLike, "C 3"],
    area: Float[ArrayLike, "A 3"],
    normals: Float[ArrayLike, "A 3"],
    weight: Float[ArrayLike, "A"],
    part_weight: Float[ArrayLike, "C"],
) -> Float[jax.Array, ""]:
    """Equation 9 with f(i, j) = h_i - o_j, means in the place of sums: at each point of the area the mean height of the
    part over its tangent plane, squared. Square metres."""
    part, area, normals, weight, part_weight = (jnp.asarray(x) for x in (part, area, normals, weight, part_weight))
    share = part_weight / jnp.maximum(jnp.sum(part_weight), 1e-30)
    middle = jnp.sum(share[:, None] * part, axis=0)
    height = jnp.sum((middle[None] - area) * normals, axis=1)
    return jnp.sum(weight * height**2)


def ground_loss(points: Float[ArrayLike, "N 3"], floor: Floor | None) -> Float[jax.Array, ""]:
    """L_g: the mean depth of an object's points below the floor, metres, and the square of how high its lowest is."""
    points = jnp.asarray(points)
    if floor is None:
        return jnp.zeros((), points.dtype)
    height = -jnp.sum(points * floor.gravity[None], axis=-1) - floor.level
    return jnp.mean(jax.nn.relu(-height)) + jnp.min(height) ** 2


def _closure(
    points: Float[jax.Array, "P 3"], pose: RigidPose, field: ObjectField, targets: EquationTargets, cloud: Cloud
) -> Float[jax.Array, ""]:
    """Force closure of all points of the parts that grasp, each at its nearest point of the surface."""

    def one(point: jax.Array) -> jax.Array:
        return object_sdf(field.sdf, pose, point[None])[0]

    distance, slope = jax.vmap(jax.value_and_grad(one))(points)
    outward = slope / jnp.maximum(safe_norm(slope), 1e-6)[:, None]
    asked = (cloud.part_weight * targets.grasps[:, None]).reshape(-1)
    centre = transform_points(pose, targets.centre[None])[0]
    return wrench_loss(
        points - distance[:, None] * outward, -outward, distance, centre, pose.scale * targets.radius, mask=asked,
        rank=0.0,
    )  # fmt: skip
