"""What should touch what: targets from part names or probabilities, or proposed from the estimate."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

from hoijax.body_models import BodyModel, contact_regions
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose, SDFGrid, vertex_normals
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import Contacts, ObjectRegion, ObjectTemplate, object_sdf, region_masks
from hoijax.interaction.regions import POINTS
from hoijax.optim.fields import facing_air
from hoijax.optim.gradient.floor import Floor

PROPOSED_PARTS: dict[str, float] = {
    "left_hand": 0.12, "right_hand": 0.12, "buttocks": 0.15, "back": 0.1, "left_thigh": 0.06, "right_thigh": 0.06,
    "left_sole": 0.06, "right_sole": 0.06,
}  # fmt: skip
"""Parts that `propose_parts` considers, each with the distance in metres up to which it is thought to touch."""
MOST_PROPOSED = 6
"""So many of them are proposed at most."""
LOOK_DOWN = ("left_sole", "right_sole")
"""Parts that must look straight at what they touch to be proposed: a sole beside a chair's leg does not stand on it.
"""
REST_POINTS = 8
"""Points on which an object can rest."""
STRAIGHT = 0.15
"""What it counts, as a cosine, that a face of an object's hull is square to an axis of its file: bases mostly are, and
an armchair that is tilted by 16 degrees does not stand on the slope between its feet and its back."""
BELONGS = 1e-3
"""Weight of vertices that belong to a part, and count when its distance is measured, but are not drawn to the object.
"""
DOUBTED = 0.15
"""Distance of a part from the object at which a soft label on it is believed by half, metres."""
DISBELIEVED = 0.1
"""Weight below which a softly asked part is not asked at all."""
_INNER = {
    "left_hand": ("left_palm", "left_finger_pads"),
    "right_hand": ("right_palm", "right_finger_pads"),
    "hands": ("palms", "finger_pads"),
}
"""Regions of a part that are drawn to the object, of a hand its inner side; other parts touch anywhere."""
FEET = ("left_sole", "right_sole")


@struct.dataclass
class ContactTargets:
    """What should touch, for one interaction or with leading axes; weights in [0, 1], zero for padding.

    R parts of the body, V vertices, N template points, Q feet, M points on which the object rests.
    """

    parts: Float[ArrayLike, "*B R V"] | Any
    """Which vertices belong to each part that should touch the object."""
    object: Float[ArrayLike, "*B N"] | Any
    """Which template points should touch the body; all zero: any may."""
    feet: Float[ArrayLike, "*B Q V"] | Any
    """Which vertices belong to each foot that stands on the floor."""
    rest_points: Float[ArrayLike, "*B M 3"] | Any
    """Points of the object that lie on the floor, canonical frame, metres."""
    rest_weight: Float[ArrayLike, "*B M"] | Any
    """Weights of these."""
    base: Float[ArrayLike, "*B 3"] | Any = None
    """Which way the base of an object that stands on the floor looks, canonical frame: a unit vector, down when it is
    upright. Zero, or None for all: the object may turn any way."""
    regions: "RegionTargets | None" = None
    """Where on the object each part should touch; None: anywhere. See `touch_within`."""


@struct.dataclass
class RegionTargets:
    """Regions of an object, one for each of R parts, canonical frame; K points each."""

    points: Float[ArrayLike, "*B R K 3"] | Any
    """Points of the region's surface, metres."""
    normals: Float[ArrayLike, "*B R K 3"] | Any
    """Outward unit normals there."""
    spacing: Float[ArrayLike, "*B R"] | Any
    """How far the region's surface is from the nearest point on average, metres."""
    given: Float[ArrayLike, "*B R"] | Any
    """1 where the part has a region, 0 where it may touch anywhere."""


def part_targets(model: BodyModel, parts: Sequence[Sequence[str]], template_points: int = 64) -> ContactTargets:
    """Targets from part names, one sequence of names per interaction; no floor. Host function.

    Args:
      model: the body, whose `contact_regions` are named.
      parts: names for each of B interactions; may be empty.
      template_points: number of the object's template points.

    Returns:
      Targets with leading axis B; R is the largest number of names.

    Raises:
      InputError: an unknown name.
    """
    regions = contact_regions(model)
    rows, vertices = max([len(p) for p in parts] + [1]), model.num_vertices
    masks = np.zeros((len(parts), rows, vertices), np.float32)
    for mask, names in zip(masks, parts, strict=True):
        mask[: len(names)] = region_masks(regions, names, vertices)
        for row, name in zip(mask, names):
            meant = [ids for inner in _INNER.get(name, ()) if len(ids := regions.get(inner, ()))]
            if meant:
                row[row > 0] = BELONGS
                row[np.concatenate(meant)] = 1.0
    count = len(parts)
    return ContactTargets(
        parts=masks,
        object=np.zeros((count, template_points), np.float32),
        feet=np.zeros((count, len(FEET), vertices), np.float32),
        rest_points=np.zeros((count, REST_POINTS, 3), np.float32),
        rest_weight=np.zeros((count, REST_POINTS), np.float32),
        base=np.zeros((count, 3), np.float32),
    )


def touch_within(
    targets: ContactTargets, regions: Sequence[Sequence[ObjectRegion | None]], grids: Sequence[SDFGrid]
) -> ContactTargets:
    """Targets whose parts touch the object within a region each: a hand on an armrest, not on the seat. Host function.

    Args:
      targets: of B interactions.
      regions: for each interaction and each of its parts the region in the object's canonical frame, or None for
        anywhere.
      grids: distance grid of each object, which tells the side of a region that can be touched.

    Raises:
      InputError: more regions than parts, or a region that nothing of can be touched.
    """
    shape = np.shape(targets.parts)[:2]
    points, normals = np.zeros((2, *shape, POINTS, 3), np.float32)
    spacing, given = np.zeros((2, *shape), np.float32)
    for b, (row, grid) in enumerate(zip(regions, grids, strict=True)):
        if len(row) > shape[1]:
            raise InputError(f"got {len(row)} regions for {shape[1]} parts; give one for each part, or None")
        for r, region in enumerate(row):
            if region is None:
                continue
            points[b, r], normals[b, r] = open_side(region, grid)
            spacing[b, r], given[b, r] = region.spacing, 1.0
    return targets.replace(regions=RegionTargets(*map(jnp.asarray, (points, normals, spacing, given))))


def open_side(region: ObjectRegion, grid: SDFGrid) -> tuple[np.ndarray, np.ndarray]:
    """Points of a region that can be touched, (`POINTS`, 3), and the outward normals there. Host function.

    Raises:
      InputError: none can.
    """
    facing, free = (np.asarray(x) for x in _facing_air(grid, region.points, region.normals))
    if not free.any():
        raise InputError(f"the region '{region.name}' lies within the object, where nothing can touch it")
    # What is buried is stood for by what is not.
    kept = np.resize(np.flatnonzero(free), POINTS)
    return region.points[kept], facing[kept]


def touch_softly(
    targets: ContactTargets,
    names: Sequence[Sequence[str]],
    soft: Sequence[Mapping[str, Any]],
    vertices: Any,
    templates: Sequence[ObjectTemplate],
    pose: RigidPose,
) -> ContactTargets:
    """Targets whose parts are asked for vertex by vertex, as far as they are believed. Host function.

    A part that starts far away is believed less, by half at `DOUBTED`, and not at all below `DISBELIEVED`: wrong
    labels must not tear the rest apart, nor make the refiner try other starts until they are reached.

    Args:
      targets: of B interactions.
      names: of their parts.
      soft: for each interaction, by the name of a part, weights (V,) in [0, 1] in the place of its own; parts without
        stay as they are.
      vertices: posed vertices of the estimates, (B, V, 3).
      templates: one object per interaction.
      pose: estimated poses, leading axis B.

    Raises:
      InputError: weights of another number of vertices, or beyond [0, 1].
    """
    parts = np.array(targets.parts)
    for b, (row, own) in enumerate(zip(names, soft, strict=True)):
        dtype = templates[b].sdf.values.dtype
        one = jax.tree.map(lambda x, b=b, dtype=dtype: jnp.asarray(x, dtype)[b], pose)
        away = None
        for r, name in enumerate(row):
            if name not in own:
                continue
            weight = np.asarray(own[name], np.float32)
            if weight.shape != parts.shape[2:] or not (weight >= 0).all() or weight.max() > 1:
                raise InputError(
                    f"the weights of {name} have the shape {weight.shape} and reach from {weight.min():.3g} to "
                    f"{weight.max():.3g}; wanted {parts.shape[2:]} from 0 to 1"
                )
            if away is None:
                away = np.abs(np.asarray(_distances(jnp.asarray(vertices[b], dtype), templates[b].sdf, one)))
            marked = weight > 0.5 * weight.max()
            near = np.quantile(away[marked], 0.1) if marked.any() else np.inf
            believed = weight / (1.0 + (near / DOUBTED) ** 2)
            if believed.max() < DISBELIEVED:
                parts[b, r] = 0.0
                continue
            parts[b, r] = np.where(believed > BELONGS, believed, np.where(parts[b, r] > 0, BELONGS, 0))
    return targets.replace(parts=jnp.asarray(parts))


@jax.jit
def _distances(vertices: jax.Array, sdf: SDFGrid, pose: RigidPose) -> Float[jax.Array, "V"]:
    return object_sdf(sdf, pose, vertices)


_facing_air = jax.jit(facing_air)


def probability_targets(
    contacts: Contacts, template_points: jax.Array | np.ndarray, model: BodyModel
) -> ContactTargets:
    """Targets from predicted probabilities with one leading axis; below one half nothing is asked for.

    Args:
      contacts: probabilities on body vertices and template points.
      template_points: the template points, (*B, N, 3) or (N, 3).
      model: the body.
    """
    body, on_object, on_floor = (
        jnp.where(jnp.asarray(x) > 0.5, jnp.asarray(x), 0).astype(jnp.float32)
        for x in (contacts.body, contacts.object, contacts.floor)
    )
    count = body.shape[0]
    return ContactTargets(
        parts=body[:, None],
        object=on_object,
        feet=jnp.zeros((count, len(FEET), model.num_vertices), jnp.float32),
        rest_points=jnp.broadcast_to(template_points, (count, *template_points.shape[-2:])),
        rest_weight=on_floor,
        base=jnp.zeros((count, 3), jnp.float32),
    )


def propose_parts(
    model: BodyModel, vertices: Any, template: ObjectTemplate, pose: RigidPose, *, most: int = MOST_PROPOSED
) -> tuple[str, ...]:
    """Parts that one estimate seems to mean: near the object and facing it, nearest in proportion first. Host function.

    Args:
      model: the body, whose faces give the normals.
      vertices: posed vertices, (V, 3).
      template: the object.
      pose: its estimated pose.
      most: how many parts at most.

    Returns:
      Names of `PROPOSED_PARTS` within their distances; if there is none, the one that is nearest of all.
    """
    regions = contact_regions(model)
    distance, cosine = (np.asarray(x) for x in nearness(vertices, model.faces, template.sdf, pose))
    ratio = {}
    for name, limit in PROPOSED_PARTS.items():
        ids = regions.get(name, ())
        if len(ids):
            # The fifth nearest vertex, so that no single stray one speaks for a part.
            # A palm turned away from the object, or the back of a chair seen by the chest, is no contact.
            facing = cosine[ids] < (-0.7 if name in LOOK_DOWN else 0.3)
            ratio[name] = float(np.sort(np.where(facing, distance[ids], np.inf))[: min(5, len(ids))][-1]) / limit
    if not ratio:
        raise InputError(
            f"the {model.kind} model has none of the parts {', '.join(PROPOSED_PARTS)}: name the parts that touch"
        )
    ranked = sorted(ratio, key=ratio.get)
    near = [name for name in ranked if ratio[name] <= 1.0]
    return tuple(near[:most] or ranked[:1])


@jax.jit
def nearness(
    vertices: ArrayLike, faces: ArrayLike, sdf: SDFGrid, pose: RigidPose
) -> tuple[Float[jax.Array, "V"], Float[jax.Array, "V"]]:
    """Distance of each vertex to the object, and the cosine between its normal and the way away from the object."""
    normals = vertex_normals(vertices, faces)
    distance, slope = jax.vmap(jax.value_and_grad(lambda v: object_sdf(sdf, pose, v[None])[0]))(vertices)
    return jnp.abs(distance), jnp.sum(normals * slope, axis=-1)


def stand_on_floor(
    targets: ContactTargets,
    model: BodyModel,
    vertices: Any,
    templates: Sequence[ObjectTemplate],
    pose: RigidPose,
    floor: Floor,
    *,
    feet: bool | None = None,
    object_rests: bool | None = None,
) -> ContactTargets:
    """Adds to targets of B interactions what stands on the floor. Host function.

    Args:
      targets: with leading axis B.
      model: the body.
      vertices: posed vertices of the estimates, (B, V, 3).
      templates: one object per interaction.
      pose: estimated poses, leading axis B.
      floor: with leading axis B.
      feet: True puts both feet on the floor, False neither; None those within 10 cm of the lowest point of the body, if
        that is within 30 cm of the floor, and not asked to touch the object.
      object_rests: True lets the object rest on the floor, False not; None if its lowest point, or the middle of what
        it would rest on, is within 20 cm of it: of a sofa tilted by 15 degrees a corner is 25 cm below. Given floor
        contacts (`rest_weight`) are kept.

    Returns:
      The targets with feet and resting points.
    """
    regions = contact_regions(model)
    names = [name for name in FEET if name in regions]
    masks = region_masks(regions, names, model.num_vertices).astype(np.float32)
    vertices, gravity, level = np.asarray(vertices), np.asarray(floor.gravity), np.asarray(floor.level)
    rotation, translation, scale = (np.asarray(x) for x in (pose.rotation, pose.translation, pose.scale))
    stands = np.zeros((len(vertices), len(FEET), model.num_vertices), np.float32)
    points, weights = np.array(targets.rest_points), np.array(targets.rest_weight)
    base, asked = np.zeros((len(vertices), 3), np.float32), np.asarray(targets.parts)
    for b, template in enumerate(templates):
        heights = -vertices[b] @ gravity[b] - level[b]
        for row, mask in zip(stands[b], masks):
            lowest = heights[mask > 0].min()
            near = lowest - heights.min() < 0.1 and abs(heights.min()) < 0.3
            # A foot that is asked to touch the object stands on that, not on the floor.
            near &= not (asked[b][:, mask > 0] > 0.5).any()
            row[:] = mask * (near if feet is None else feet)
        corners = np.asarray(template.mesh.vertices)[np.unique(np.asarray(template.mesh.faces))]
        if object_rests is False or weights[b].any() or points.shape[1] < REST_POINTS:
            continue

        def height(x: np.ndarray, b: int = b) -> np.ndarray:
            return -(scale[b] * x @ rotation[b].T + translation[b]) @ gravity[b] - level[b]

        down = rotation[b].T @ gravity[b]
        rest, weight = resting_points(template.mesh, down)
        off = min(abs(height(corners).min()), abs(height(rest[weight > 0]).mean()))
        if object_rests or off < 0.2:
            points[b, :REST_POINTS], weights[b, :REST_POINTS] = rest, weight
            base[b] = base_normal(rest[weight > 0], down)
    return targets.replace(
        feet=jnp.asarray(stands),
        rest_points=jnp.asarray(points, jnp.float32),
        rest_weight=jnp.asarray(weights, jnp.float32),
        base=jnp.asarray(base),
    )


def base_normal(points: np.ndarray, down: np.ndarray, *, width: float = 0.03) -> np.ndarray:
    """The normal of the plane of resting points (P, 3) that looks `down`, (3,); zero if they do not span one.

    Args:
      points: on which an object rests, canonical frame.
      down: direction of gravity there.
      width: how far they must spread both ways, metres.
    """
    if len(points) < 3:
        return np.zeros(3, np.float32)
    offset = points - points.mean(axis=0)
    _, size, axes = np.linalg.svd(offset.astype(np.float64), full_matrices=False)
    if size[1] < width:
        return np.zeros(3, np.float32)
    return (axes[2] * np.sign(axes[2] @ down)).astype(np.float32)


def resting_points(mesh: Mesh, down: np.ndarray, *, tilt: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Points on which an object would rest if it were set down as it is held. Host function.

    They are corners of the face of its convex hull that looks down most nearly, among faces of some size tilted by less
    than `tilt`, those square to an axis first (`STRAIGHT`); of a ball, which has no such face, the lowest point.

    Args:
      mesh: the object, canonical frame.
      down: direction of gravity in the canonical frame, (3,).
      tilt: radians.

    Returns:
      Points (`REST_POINTS`, 3) and weights (`REST_POINTS`,), zero for padding.
    """
    vertices = np.asarray(mesh.vertices, dtype=np.float64)[np.unique(np.asarray(mesh.faces))]
    down = np.asarray(down, dtype=np.float64)
    chosen = vertices[[(vertices @ down).argmax()]]
    try:
        hull = ConvexHull(vertices)
    except QhullError:  # a flat object: its lowest point
        hull = None
    if hull is not None:
        normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
        corners = vertices[hull.simplices]
        areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        same = (normals @ normals.T > np.cos(0.02)) & (np.abs(offsets[:, None] - offsets) < 0.003)
        size = same @ areas
        fits = (normals @ down > np.cos(tilt)) & (size > 0.02 * areas.sum())
        if fits.any():
            straight = np.abs(normals).max(axis=1) > np.cos(0.03)
            best = np.where(fits, normals @ down + STRAIGHT * straight, -np.inf).argmax()
            chosen = vertices[np.abs(vertices @ normals[best] + offsets[best]) < 0.003]
    picked = chosen[_spread(chosen, REST_POINTS)]
    points, weights = np.zeros((REST_POINTS, 3), np.float32), np.zeros(REST_POINTS, np.float32)
    points[: len(picked)], weights[: len(picked)] = picked, 1.0
    return points, weights


def _spread(points: np.ndarray, most: int) -> list[int]:
    """At most so many points, each the farthest from those before; on the host, as objects differ in their number."""
    chosen, distance = [0], np.full(len(points), np.inf)
    while len(chosen) < min(most, len(points)):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return chosen
