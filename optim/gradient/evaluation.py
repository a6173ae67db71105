"""How good an interaction is, on all vertices of the body and by the object's distance grid."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.body_models import pose_body
from hoijax.geometry import nearest, safe_norm, transform_points, vertex_normals
from hoijax.interaction import object_sdf
from hoijax.optim.gradient.energy import point_winding
from hoijax.optim.gradient.engine import RefineProblem, cloud_of
from hoijax.optim.gradient.result import RefineMetrics
from hoijax.optim.gradient.state import State

SPREAD = 2048
"""Body vertices, spread over the body, among which the nearest to each object point is sought at first."""
LOOKED_AT = 4096
"""Object points that are looked at, the first of its field."""
DEEPEST = 256
"""Object points that are looked at closely: those that lie deepest by the first look."""
REGION_VERTICES = 1024
"""Vertices of a part, spread over it, whose distance to a region is measured."""
SHIFTED = 256
"""Points of body and object whose shift is told."""


def measure(problem: RefineProblem, state: State) -> RefineMetrics:
    """The metrics of one state; `vmap` for more."""
    body = problem.body
    vertices = pose_body(body.model, state.params).vertices
    distance = object_sdf(problem.object.sdf, state.pose, vertices)
    depth = jax.nn.relu(-distance)
    number = jnp.sum(depth > 0).astype(depth.dtype)
    sunk = object_depth(problem, state, vertices)
    floor = problem.floor
    if floor is None:
        height = jnp.zeros((), depth.dtype)
    else:
        height = jnp.min(-jnp.sum(vertices * floor.gravity[None], axis=-1)) - floor.level
    contact = jax.vmap(lambda mask: part_distance(jnp.abs(distance), mask > 0))(problem.targets.parts)
    if problem.targets.regions is not None:
        contact = within_regions(problem, state, vertices, distance, contact)
    return RefineMetrics(
        contact=contact,
        max_penetration=jnp.maximum(jnp.max(depth), sunk),
        mean_penetration=jnp.sum(depth) / jnp.where(number > 0, number, 1),
        floor=height,
    )


def shift(problem: RefineProblem, given: State, state: State) -> Float[jax.Array, ""]:
    """Mean shift of points of the body or of the object between two states, the larger of both, metres."""

    def mean(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.mean(safe_norm(a - b))

    some, points = problem.body.order[:SHIFTED], problem.object.points[:SHIFTED]
    bodies = [cloud_of(problem.body, s, some)(s) for s in (given, state)]
    objects = [transform_points(s.pose, points) for s in (given, state)]
    return jnp.maximum(mean(*bodies), mean(*objects))


def object_depth(problem: RefineProblem, state: State, vertices: Float[jax.Array, "V 3"]) -> Float[jax.Array, ""]:
    """Depth of the deepest object point inside the body, by the nearest vertex's normal; 0 if there is none."""
    normals = vertex_normals(vertices, problem.body.model.faces)
    place, spread = transform_points(state.pose, problem.object.points[:LOOKED_AT]), problem.body.order[:SPREAD]
    rough = spread[nearest(place, vertices[spread]).index]
    likely = jnp.sum((vertices[rough] - place) * normals[rough], axis=-1)
    place = place[jax.lax.top_k(likely, min(DEEPEST, place.shape[0]))[1]]
    winding = point_winding(place, vertices[spread], normals[spread], problem.body.area)
    found = nearest(place, vertices)
    depth = jnp.sum((vertices[found.index] - place) * normals[found.index], axis=-1)
    # As in `find_matches`.
    inside = (depth > 0.3 * found.distance) & ((winding > 0.4) | (found.distance < 0.02))
    return jnp.max(jnp.where(inside, depth, 0))


def within_regions(
    problem: RefineProblem,
    state: State,
    vertices: Float[jax.Array, "V 3"],
    distance: Float[jax.Array, "V"],
    anywhere: Float[jax.Array, "R"],
) -> Float[jax.Array, "R"]:
    """Distances of parts, of those with a region to that; of at most `REGION_VERTICES` of a part's vertices.

    A vertex is as far from a region as from the object, if that is right below it, and else as from the region's
    nearest point, less how far points are apart.
    """
    regions, rank = problem.targets.regions, problem.body.rank

    def one(mask: jax.Array, points: jax.Array, spacing: jax.Array) -> jax.Array:
        count = vertices.shape[0]
        key = jnp.where(mask > 0, 1.0 * count - rank.astype(mask.dtype), -1.0)
        index = jax.lax.top_k(key, min(REGION_VERTICES, count))[1]
        gap = nearest(vertices[index], transform_points(state.pose, points)).distance
        away = jnp.maximum(jnp.abs(distance[index]), jax.nn.relu(gap - state.object_scale * spacing))
        return part_distance(away, mask[index] > 0)

    found = jax.vmap(one)(problem.targets.parts, regions.points, regions.spacing)
    return jnp.where(regions.given > 0, found, anywhere)


def part_distance(distance: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean distance of the nearest tenth of a part's vertices, at least one; 0 for an empty part."""
    size = jnp.sum(mask)
    count = (size + 9) // 10
    ranked = -jax.lax.top_k(jnp.where(mask, -distance, -jnp.inf), (distance.shape[0] + 9) // 10)[0]
    kept = jnp.arange(ranked.shape[0]) < count
    total = jnp.sum(jnp.where(kept, ranked, 0))
    return total / jnp.where(count > 0, count, 1).astype(distance.dtype)
