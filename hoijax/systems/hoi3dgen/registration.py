"""The body in the person that was cut out: what is fitted, how near it comes, and the release's own way.

`optim.fitting.surface` fits seven unknowns as the paper (`SurfaceFitConfig(pose=False)`, from an initial body), and
pose and shape after them. `register_released` does what the release's script does, sheared proportions included.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import Mesh, closest_on_mesh_host, nearest, nearest_host, rotation_from_axis_angle
from hoijax.geometry.cutting import CutPart
from hoijax.optim.fitting.surface import (
    SurfaceBody,
    SurfaceFit,
    SurfaceFitConfig,
    fit_surface,
    prepare_surface_body,
    surface_target,
)

HEIGHT = 1.7
"""Metres to which a body is scaled before its distance from the person is told."""
SAMPLES = 5000
"""Points of the person's surface that distances are measured to."""


@dataclasses.dataclass(frozen=True)
class Distances:
    """Mean distances between a body and the person's surface, centimetres of a body 1.7 m tall, not squared."""

    points: float
    """Both ways between the body's vertices and 5,000 points of the person, the mean of the two: the paper's Chamfer
    distance, as far as it is known. Of two equal surfaces it is about 0.9: what the points are apart."""
    surface: float
    """The same from points to the other's faces, which is 0 for equal surfaces."""


@dataclasses.dataclass(frozen=True)
class Registered:
    """A body in a person's surface."""

    fit: SurfaceFit
    vertices: Float[np.ndarray, "V 3"]
    """Of the body, in the surface's frame."""
    distances: Distances


def register(
    part: CutPart,
    model: BodyModel,
    *,
    body: SurfaceBody | None = None,
    initial: BodyParams | None = None,
    config: SurfaceFitConfig | None = None,
    quick: bool = False,
) -> Registered:
    """Fits a body to the person of a segmentation.

    Args:
      part: `Segmentation.parts[0]`; y up.
      model: free body, SMPL, SMPL-H or SMPL-X.
      body: of `prepare_surface_body(model)`; None: made here.
      initial: a body to begin with; None: standing, sitting, lying and other bodies all round.
      config: how; `SurfaceFitConfig(pose=False)` keeps pose and shape.
      quick: compile fast rather than well, for few people.

    Raises:
      InputError: there is no person, or nothing could be fitted.
    """
    if not len(part.faces):
        raise InputError("no part of the surface was labelled as the person; there is nothing to fit a body to")
    body = prepare_surface_body(model) if body is None else body
    fit = fit_surface(body, surface_target(part.vertices, part.faces), initial, config, quick=quick)
    vertices = np.asarray(pose_body_compiled(model, fit.params).vertices) * float(fit.scale)
    return Registered(fit, vertices, distances(model, fit.params, vertices, part))


def distances(model: BodyModel, params: BodyParams, vertices: Float[np.ndarray, "V 3"], part: CutPart) -> Distances:
    """How far a placed body is from a person's surface.

    Args:
      model: of the body.
      params: whose betas say how tall it is.
      vertices: of the body in the surface's frame.
      part: the person.
    """
    rest = np.asarray(model.v_template) + np.asarray(model.shape_dirs) @ np.asarray(params.betas)
    own, faces = np.asarray(vertices, np.float64), np.asarray(model.faces)
    # The body's own unit: edges keep their length in every pose, up to skinning.
    size = _edge_length(own, faces) / _edge_length(rest, faces) * float(np.ptp(rest[:, 1]))
    points = np.asarray(surface_target(part.vertices, part.faces, count=SAMPLES, seed=1).points)
    pair = own.astype(np.float32)
    to_points = (nearest_host(pair, points).distance.mean() + nearest_host(points, pair).distance.mean()) / 2
    to_faces = (
        closest_on_mesh_host(pair, Mesh(part.vertices, part.faces)).distance.mean()
        + closest_on_mesh_host(points, Mesh(pair, faces)).distance.mean()
    ) / 2
    unit = 100 * HEIGHT / size
    return Distances(float(unit * to_points), float(unit * to_faces))


@dataclasses.dataclass(frozen=True)
class ReleasedAlignment:
    """What the release's script saves."""

    vertices: Float[np.ndarray, "V 3"]
    """Of the body, aligned."""
    matrix: Float[np.ndarray, "4 4"]
    """Affine, the body's frame to the cloud's; no similarity, since each axis has a scale of its own."""
    loss: float
    """Mean squared distance of both directions at the end."""


def register_released(
    vertices: Float[np.ndarray, "V 3"], cloud: Float[np.ndarray, "N 3"], *, steps: int = 50, seed: int = 0
) -> ReleasedAlignment:
    """The release's alignment of a body with the person's point cloud.

    A scale for each axis from the two oriented boxes, axes matched by length, then the middles on each other, then
    Adam at 0.01 on translation, axis-angle and one scale, of the mean squared distances of both directions to 5,000
    points.

    Args:
      vertices: of a posed body, turned as the camera saw it.
      cloud: of `part_clouds`.
      steps: of Adam.
      seed: of the choice of points.

    Raises:
      InputError: fewer than 4 points, or points in one plane.
    """
    vertices, cloud = np.asarray(vertices, np.float64), np.asarray(cloud, np.float64)
    if len(cloud) < 4 or not np.isfinite(cloud).all():
        raise InputError(f"{len(cloud)} points of the person cannot be aligned with; wanted at least 4 finite ones")
    own, own_axes = _box(vertices)
    aim, _ = _box(cloud)
    if min(own.min() / own.max(), aim.min() / max(aim.max(), 1e-30)) < 1e-9:
        raise InputError("the body or the person's points lie in one plane; there is no box to scale by")
    start = np.eye(4)
    start[:3, :3] = own_axes @ np.diag(aim / own) @ own_axes.T
    start[:3, 3] = cloud.mean(axis=0) - start[:3, :3] @ vertices.mean(axis=0)
    moved = vertices @ start[:3, :3].T + start[:3, 3]
    chosen = np.random.default_rng(seed).choice(len(cloud), SAMPLES, replace=len(cloud) < SAMPLES)
    values, loss = _adam(moved.astype(np.float32), cloud[chosen].astype(np.float32), steps)
    after = np.eye(4)
    after[:3, :3] = float(values["scale"]) * np.asarray(rotation_from_axis_angle(values["turn"]))
    after[:3, 3] = np.asarray(values["move"])
    matrix = after @ start
    return ReleasedAlignment((vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32), matrix, float(loss))


@jax.jit
def _released_loss(values: dict[str, Any], points: jax.Array, cloud: jax.Array) -> jax.Array:
    turn = rotation_from_axis_angle(values["turn"])
    placed = values["scale"] * jnp.matmul(points, turn.T, precision="highest") + values["move"][None]
    forth, back = nearest(placed, cloud), nearest(cloud, placed)
    return jnp.mean(jnp.square(forth.distance)) + jnp.mean(jnp.square(back.distance))


def _adam(points: np.ndarray, cloud: np.ndarray, steps: int) -> tuple[dict[str, Any], jax.Array]:
    """Kingma and Ba 2015, algorithm 1."""
    zero = jnp.zeros(3, points.dtype)
    values = {"move": zero, "turn": zero, "scale": jnp.ones((), points.dtype)}
    first, second = jax.tree.map(jnp.zeros_like, values), jax.tree.map(jnp.zeros_like, values)
    gradient = jax.jit(jax.grad(_released_loss))
    for step in range(1, steps + 1):
        slope = gradient(values, points, cloud)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slope)
        rate, size = 0.01 / (1 - 0.9**step), 1 / (1 - 0.999**step)
        values = jax.tree.map(
            lambda x, m, v, rate=rate, size=size: x - rate * m / (jnp.sqrt(size * v) + 1e-8), values, first, second
        )
    return values, _released_loss(values, points, cloud)


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Extents along the principal axes, from the shortest, and the axes as columns."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1]
    extents = np.ptp(centred @ axes, axis=0)
    order = np.argsort(extents)
    return extents[order], axes[:, order]


def _edge_length(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, axis=1)], axis=-1)))
