"""The refiner's energy, for one sample: matches between body and object, and the terms they enter.

Every term is dimensionless. Lengths are measured in centimetres (`UNIT`), so that a term is near one when what it is
about is off by one centimetre.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import JointLimits, joint_limit_penalty
from hoijax.geometry import RigidPose, einsum, nearest, safe_norm, transform_points
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import object_sdf
from hoijax.optim.fields import ObjectField
from hoijax.optim.gradient.contacts import ContactTargets, RegionTargets
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.state import State

UNIT = 0.01
"""The length that costs one, metres."""
REACH = 0.05
"""Residuals of contact grow linearly, not quadratically, beyond about this length, metres: an asked-for contact that
cannot be reached must not tear the rest apart."""
LIMIT = 0.1
"""Excess over a joint's range that costs one, radians."""
SOLE = 0.02
"""Points of a foot this much above its lowest point are pulled to the floor a third as hard, metres."""
PROBES = 96
"""How many object points a round watches for being inside the body, or touching it."""
DETOUR = 0.03
"""How much longer than the shortest way out of the body that through a contact part may be, metres: a hand's thickness.
"""
NOT_A_CONTACT = 0.2
"""What an object point that is known not to touch costs a match, as a distance in metres."""


@struct.dataclass
class Terms:
    """The value, or the weight, of each term of `Weights`, which says what each is about."""

    contact: Float[ArrayLike, ""] | Any
    penetration: Float[ArrayLike, ""] | Any
    interior: Float[ArrayLike, ""] | Any
    floor: Float[ArrayLike, ""] | Any
    limits: Float[ArrayLike, ""] | Any
    stay: Float[ArrayLike, ""] | Any
    landmarks: Float[ArrayLike, ""] | Any
    outline: Float[ArrayLike, ""] | Any
    order: Float[ArrayLike, ""] | Any


@struct.dataclass
class Cloud:
    """Which points a stage looks at; of the body K spread or near, R x C of the contact parts, Q x C of the feet."""

    index: Int[ArrayLike, "M"] | Any
    """Vertex ids, M = K + R C + Q C."""
    part_weight: Float[ArrayLike, "R C"] | Any
    """In [0, 1]; zero rows and entries are padding."""
    foot_weight: Float[ArrayLike, "Q C"] | Any
    """In [0, 1]; zero rows and entries are padding."""
    object_index: Int[ArrayLike, "N"] | Any
    """Points of the object's field: the template's, others spread, and the nearest to the body."""

    @property
    def parts(self) -> slice:
        """Where the contact parts are among the points."""
        end = self.index.shape[0] - self.foot_weight.size
        return slice(end - self.part_weight.size, end)

    @property
    def feet(self) -> slice:
        """Where the feet are among the points."""
        return slice(self.parts.stop, self.index.shape[0])


@struct.dataclass
class Matches:
    """What is held fixed between two updates of the correspondences; E = R C contact vertices, T probes."""

    touched: Int[ArrayLike, "E"] | Any
    """For each contact vertex the object point that it should touch, an index into `touchable`."""
    radius: Float[ArrayLike, "*E"] | Any
    """How far the surface goes on around that point, metres; one number for all, or one each."""
    pull: Float[ArrayLike, "E"] | Any
    """How much each contact vertex is pulled, sums to the part's weight over C."""
    probe: Int[ArrayLike, "T"] | Any
    """Object points that are inside the body or should touch it, indices into the object's field."""
    scout: Int[ArrayLike, "T"] | Any
    """For each of them the nearest scout."""
    normal: Float[ArrayLike, "T 3"] | Any
    """The outward normal there, world frame."""
    inside: Float[ArrayLike, "T"] | Any
    """1 where the probe is inside the body, else 0."""
    asked: Float[ArrayLike, "T"] | Any
    """How much each probe should touch the body."""


def find_matches(
    points: Float[jax.Array, "S 3"],
    normals: Float[jax.Array, "S 3"],
    pose: RigidPose,
    field: ObjectField,
    cloud: Cloud,
    targets: ContactTargets,
    spread: Float[jax.Array, ""] | float,
    facing: Float[jax.Array, ""] | float,
    area: Float[jax.Array, ""] | float,
    let_go: Float[jax.Array, ""] | float = jnp.inf,
) -> Matches:
    """Correspondences of the present configuration; nothing here is differentiated.

    A contact vertex is matched with the object point that is near and faces it, so that a body that starts inside the
    object, or on its other side, is pulled to the side it belongs to. An object point is matched with the nearest of
    many body points, the scouts; it is inside if the way to that one leads out along its normal.

    Args:
      points: scouts: the cloud's points, then points spread evenly over the body, metres.
      normals: outward unit normals there.
      pose: of the object.
      field: the object.
      cloud: layout of the first of `points`.
      targets: what should touch.
      spread: see `RefineConfig.contact_spread`.
      facing: see `RefineStage.facing`.
      area: of the body, square metres.
      let_go: see `RefineStage.let_go`.
    """
    place = transform_points(pose, field.points[cloud.object_index])
    outward = einsum("ij,nj->ni", pose.rotation, field.normals[cloud.object_index])
    known = _not_contacts(targets.object, place.shape[0])[None]
    opposed = 0.5 * (1.0 + einsum("mi,ni->mn", normals[cloud.parts], outward))
    cost = squared_distances(points[cloud.parts], place) + (facing * opposed) ** 2 + known
    touched, least, radius = cloud.object_index[jnp.argmin(cost, axis=1)], jnp.min(cost, axis=1), field.spacing
    if targets.regions is not None:
        touched, least, radius = _within_regions(
            points[cloud.parts], normals[cloud.parts], pose, field, targets.regions, facing, (touched, least, radius)
        )
    pull = _pull(jnp.sqrt(least).reshape(cloud.part_weight.shape), cloud.part_weight, spread, let_go)

    scout = nearest(place, points).index.astype(jnp.int32)
    depth, length = _way_out(place, points, normals, scout)
    # Out along the normal within about 70 degrees, and not from the other side of the room.
    inside = (depth > 0.3 * length) & (length < 0.2)
    # Out of thin parts, as hands are, to the side that is meant to touch: nearest would be one side for one half of the
    # points and the other for the other half, and the object would stay within.
    meant = _nearest_of_parts(place, points, cloud)
    if meant is not None:
        depth_meant, length_meant = _way_out(place, points, normals, meant)
        better = inside & (depth_meant > 0.5 * length_meant) & (length_meant < length + DETOUR)
        scout, depth = jnp.where(better, meant, scout), jnp.where(better, depth_meant, depth)
    asked = jnp.zeros_like(depth).at[: targets.object.shape[0]].set(targets.object)
    probe = jax.lax.top_k(asked + jnp.where(inside, depth, 0), min(PROBES, depth.shape[0]))[1]
    known = cloud.index.shape[0]
    winding = point_winding(place[probe], points[known:], normals[known:], area)
    # Where scouts are sparse the nearest one's normal can mislead; close to it the winding number of points is rough.
    inside = inside[probe] & ((winding > 0.4) | (length[probe] < 0.02))
    return jax.lax.stop_gradient(
        Matches(
            touched=touched,
            radius=radius,
            pull=pull.reshape(-1),
            probe=cloud.object_index[probe],
            scout=scout[probe],
            normal=normals[scout[probe]],
            inside=inside.astype(depth.dtype),
            asked=asked[probe],
        )
    )


def _way_out(place: jax.Array, points: jax.Array, normals: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of each place to its point: height of the point above it along the point's normal, and distance; (N,)."""
    offset = points[index] - place
    return jnp.sum(offset * normals[index], axis=-1), safe_norm(offset)


def _nearest_of_parts(place: jax.Array, points: jax.Array, cloud: Cloud) -> jax.Array | None:
    """Index of the nearest contact vertex, (N,); None where there is none."""
    if cloud.part_weight.size == 0:
        return None
    unasked = jnp.where(cloud.part_weight.reshape(-1) > 0, 0.0, 1e6)
    away = squared_distances(place, points[cloud.parts]) + unasked[None].astype(place.dtype)
    return (cloud.parts.start + jnp.argmin(away, axis=1)).astype(jnp.int32)


def point_winding(
    queries: Float[jax.Array, "Q 3"],
    points: Float[jax.Array, "S 3"],
    normals: Float[jax.Array, "S 3"],
    area: Float[jax.Array, ""] | float,
) -> Float[jax.Array, "Q"]:
    """Winding number from points that share a closed surface's area evenly: about 1 inside, 0 outside.

    Barill et al. 2018, the first-order term, A n . (p - q) / (4 pi |p - q|^3) summed over the points; rough nearer to
    the surface than the points are to each other.

    Args:
      queries: metres.
      points: on the surface, metres.
      normals: outward unit normals there.
      area: of the whole surface, square metres.
    """
    d = [points[None, :, k] - queries[:, k, None] for k in range(3)]
    square = jnp.maximum(d[0] * d[0] + d[1] * d[1] + d[2] * d[2], 1e-6)
    flux = d[0] * normals[None, :, 0] + d[1] * normals[None, :, 1] + d[2] * normals[None, :, 2]
    return area / (4 * jnp.pi * max(points.shape[0], 1)) * jnp.sum(flux / (square * jnp.sqrt(square)), axis=1)


def _not_contacts(asked: jax.Array, count: int) -> Float[jax.Array, "N"]:
    """What each object point costs a match: nothing, unless others are asked for."""
    known = jnp.full(count, NOT_A_CONTACT**2, asked.dtype)
    known = known.at[: asked.shape[0]].set(NOT_A_CONTACT**2 * (1.0 - asked))
    return jnp.where(jnp.any(asked > 0), known, 0)


def held(distance: jax.Array, let_go: jax.Array | float) -> jax.Array:
    """How hard what is this far away is still pulled, 1 to 0; `let_go` is where it is a half."""
    return 1.0 / (1.0 + (distance / let_go) ** 2)


def touchable(field: ObjectField, regions: RegionTargets | None) -> tuple[jax.Array, jax.Array]:
    """Points that can be asked for and the normals there, canonical frame: the field's, then those of the regions."""
    if regions is None:
        return field.points, field.normals
    both = ((field.points, regions.points), (field.normals, regions.normals))
    return tuple(jnp.concatenate([whole, part.reshape(-1, 3)]) for whole, part in both)


def _within_regions(
    points: Float[jax.Array, "P 3"],
    normals: Float[jax.Array, "P 3"],
    pose: RigidPose,
    field: ObjectField,
    regions: RegionTargets,
    facing: jax.Array | float,
    anywhere: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Touched point, its cost and its radius of each contact vertex: of parts with a region within it."""
    rows, size = regions.points.shape[:2]
    place = transform_points(pose, regions.points.reshape(-1, 3)).reshape(rows, size, 3)
    outward = einsum("ij,rkj->rki", pose.rotation, regions.normals)
    own, look = points.reshape(rows, -1, 3), normals.reshape(rows, -1, 3)
    opposed = 0.5 * (1.0 + einsum("rci,rki->rck", look, outward))
    cost = jax.vmap(squared_distances)(own, place) + (facing * opposed) ** 2
    index = field.points.shape[0] + size * jnp.arange(rows)[:, None] + jnp.argmin(cost, axis=2)
    found = index, jnp.min(cost, axis=2), jnp.broadcast_to(regions.spacing[:, None], index.shape)
    given = jnp.broadcast_to(regions.given[:, None] > 0, index.shape).reshape(-1)
    return tuple(jnp.where(given, a.reshape(-1).astype(b.dtype), b) for a, b in zip(found, anywhere))


def _pull(
    reach: jax.Array, weight: jax.Array, spread: jax.Array | float, let_go: jax.Array | float
) -> Float[jax.Array, "R C"]:
    """Shares of a part's pull: vertices that are about as near as its nearest one.

    Each part sums to its weight, less what is let go of it.
    """
    asked = weight > 0
    nearest = jnp.min(jnp.where(asked, reach, jnp.inf), axis=1, keepdims=True, initial=jnp.inf)
    excess = jnp.where(asked, reach - nearest, 0) / spread
    pull = jnp.where(asked, weight * jnp.exp(-0.5 * excess**2), 0)
    total = jnp.sum(pull, axis=1, keepdims=True)
    share = jnp.max(weight, axis=1, keepdims=True, initial=0.0) / jnp.where(total > 0, total, 1)
    return pull * share * held(jnp.where(total > 0, nearest, 0), let_go)


def squared_distances(a: Float[jax.Array, "A 3"], b: Float[jax.Array, "B 3"]) -> Float[jax.Array, "A B"]:
    """Between all pairs of points of two clouds; from differences, so that nothing cancels."""
    d = [a[:, k, None] - b[None, :, k] for k in range(3)]
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2]


def evaluate(
    points: Float[jax.Array, "M 3"],
    state: State,
    start: State,
    field: ObjectField,
    cloud: Cloud,
    targets: ContactTargets,
    matches: Matches,
    floor: Floor | None,
    inverse_width: Float[jax.Array, "D"],
    limits: JointLimits,
    let_go: Float[jax.Array, ""] | float = jnp.inf,
) -> Terms:
    """All terms at one configuration; differentiable in `points` and `state`.

    Args:
      points: the cloud's points, then the scout of each probe, under `state`, metres.
      state: the variables.
      start: the estimate.
      field: the object.
      cloud: layout of `points`.
      targets: what should touch.
      matches: from `find_matches`.
      floor: None for no floor.
      inverse_width: 1 / width of each tangent coordinate, 0 where it costs nothing to move.
      limits: ranges of the joints.
      let_go: see `RefineStage.let_go`.
    """
    pose = state.pose
    surface, outward = touchable(field, targets.regions)
    touched, normal = transform_points(pose, surface[matches.touched]), outward[matches.touched]
    probes = field.points[matches.probe]
    zero = jnp.zeros((), points.dtype)
    own = points[: cloud.index.shape[0]]
    depth = jax.nn.relu(-object_sdf(field.sdf, pose, own)) / UNIT
    gap = points[cloud.index.shape[0] :] - transform_points(pose, probes)
    sunk = matches.inside * jax.nn.relu(jnp.sum(gap * matches.normal, axis=-1)) / UNIT
    return Terms(
        contact=contact_term(own[cloud.parts], touched, normal, pose, matches) + probe_term(gap, matches),
        penetration=0.25 * jnp.sum(depth**2),
        interior=0.25 * jnp.sum(sunk**2),
        floor=zero if floor is None else floor_term(own, pose, field, cloud, targets, floor, let_go),
        limits=joint_limit_penalty(state.rotations, limits) / LIMIT**2,
        stay=stay_term(state, start, inverse_width),
        landmarks=zero,
        outline=zero,
        order=zero,
    )


def contact_term(
    points: Float[jax.Array, "P 3"],
    touched: Float[jax.Array, "P 3"],
    normal: Float[jax.Array, "P 3"],
    pose: RigidPose,
    matches: Matches,
) -> Float[jax.Array, ""]:
    """Asked-for vertices on the tangent planes of their object points, whose normals are of the canonical frame.

    Distance along the plane is free within the radius that the object point stands for: the plane, not the sampled
    point, is what should be touched.
    """
    gap = points - touched
    normal = einsum("ij,nj->ni", pose.rotation, normal)
    out = jnp.sum(gap * normal, axis=-1)
    along = jax.nn.relu(safe_norm(gap - out[:, None] * normal) - pose.scale * matches.radius)
    return jnp.sum(matches.pull * _robust(out**2 + 0.25 * along**2))


def probe_term(gap: Float[jax.Array, "T 3"], matches: Matches) -> Float[jax.Array, ""]:
    """Asked-for object points at their scouts, within the half centimetre that scouts are apart."""
    reach = jax.nn.relu(safe_norm(gap) - 0.5 * UNIT)
    asked = jnp.sum(matches.asked)
    return jnp.sum(matches.asked * _robust(reach**2)) / jnp.where(asked > 0, asked, 1)


def _robust(square: jax.Array) -> jax.Array:
    """Squared length in units, growing linearly beyond `REACH` (pseudo-Huber)."""
    return 2.0 * (REACH / UNIT) ** 2 * (jnp.sqrt(1.0 + square / REACH**2) - 1.0)


def floor_term(
    points: Float[jax.Array, "M 3"],
    pose: RigidPose,
    field: ObjectField,
    cloud: Cloud,
    targets: ContactTargets,
    floor: Floor,
    let_go: Float[jax.Array, ""] | float = jnp.inf,
) -> Float[jax.Array, ""]:
    """Lowest points of the feet and resting points of the object on the floor; nothing below it."""

    def height(x: jax.Array) -> jax.Array:
        return -jnp.sum(x * floor.gravity[None], axis=-1) - floor.level

    body, thing = height(points), height(transform_points(pose, field.points[: 2 * PROBES]))
    below = jnp.sum(jax.nn.relu(-body) ** 2) + jnp.sum(jax.nn.relu(-thing) ** 2)
    foot = body[cloud.feet].reshape(cloud.foot_weight.shape)
    asked = cloud.foot_weight > 0
    # The lowest points of a foot, within some centimetres: soles land flat, a raised heel stays raised.
    base = jax.lax.stop_gradient(jnp.min(jnp.where(asked, foot, jnp.inf), axis=1, keepdims=True))
    share = jnp.where(asked, jnp.exp(-jnp.where(asked, jax.lax.stop_gradient(foot) - base, 0) / SOLE), 0)
    total = jnp.sum(share, axis=1)
    sole = jnp.sum(share * _robust(foot**2), axis=1) / jnp.where(total > 0, total, 1)
    above = jnp.where(jnp.any(asked, axis=1), jax.nn.relu(base[:, 0]), 0)
    stand = jnp.sum(jnp.max(cloud.foot_weight, axis=1) * held(above, let_go) * sole)
    rest = height(transform_points(pose, targets.rest_points))
    number = jnp.sum(targets.rest_weight)
    rest = jnp.sum(targets.rest_weight * _robust(rest**2)) / jnp.where(number > 0, number, 1)
    return 4.0 * below / UNIT**2 + stand + rest


def stay_term(state: State, start: State, inverse_width: Float[jax.Array, "D"]) -> Float[jax.Array, ""]:
    """Squared departure from the estimate in widths; rotations by 4 sin^2(angle / 2), the squared chord."""
    joints, betas = state.rotations.shape[0], state.betas.shape[0]

    def chord(a: jax.Array, b: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum((a - b) ** 2, axis=(-1, -2))

    joint_width = inverse_width[: 3 * joints : 3]
    rest = inverse_width[3 * joints :]
    log_scale = jnp.log(state.object_scale / start.object_scale)
    straight = jnp.concatenate([
        state.betas - start.betas, state.translation - start.translation,
        state.object_translation - start.object_translation, log_scale[None],
    ])  # fmt: skip
    straight_width = jnp.concatenate([rest[: betas + 3], rest[betas + 6 :]])
    turned = chord(state.object_rotation, start.object_rotation) * rest[betas + 3] ** 2
    return (
        jnp.sum(chord(state.rotations, start.rotations) * joint_width**2)
        + turned
        + jnp.sum((straight * straight_width) ** 2)
    )
