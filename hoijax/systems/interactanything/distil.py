"""Stage C by score distillation: a radiance field beside an embedded object, until a diffusion model likes its views.

The networks are the caller's: a denoiser of views of one scene that knows their cameras (MVDream, or any `UNet` of
`hoijax.nets.stable_diffusion` with `camera=16`), and what encodes pictures for it. The object is drawn by the caller
and hides what of the field is behind it (DreamHOI); the field's density inside the object and too much of it anywhere
cost. What comes out are pictures of the person alone, from which a detector's landmarks are triangulated and a body is
fitted.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from jaxtyping import Bool, Float

from hoijax.body_models import BodyModel, BodyParams
from hoijax.camera import Camera, intrinsics_from_fov, look_at
from hoijax.diffusion import DistillationConfig, Schedule, distillation_loss, distillation_times
from hoijax.errors import InputError
from hoijax.geometry.triangulation import triangulate_robustly
from hoijax.nets.interactanything.radiance import FieldConfig, RadianceField
from hoijax.nets.stable_diffusion import camera_numbers
from hoijax.optim.fitting import FitConfig, fit_people, given_intrinsics, observe, prepare_body
from hoijax.render.volume import camera_rays, composite, sample_depths

ArrayLike = jax.Array | np.ndarray
Denoiser = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""`(noisy, time, camera numbers) -> noise with the text, noise without it`, a view a row."""
Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`(V, H, W, 3) pictures in [0, 1] -> (V, J, 2) pixels, (V, J) confidence`."""


@struct.dataclass
class Drawn:
    """The object as the cameras of a step see it."""

    color: Float[ArrayLike, "V H W 3"] | Any
    """In [0, 1], the ground's where the object is not."""
    depth: Float[ArrayLike, "V H W"] | Any
    """Camera z, metres; infinite where it is not."""


@dataclasses.dataclass(frozen=True)
class Embedded:
    """An object in the scene; world y up, metres."""

    draw: Callable[[Camera], Drawn]
    """What cameras, with a leading axis, see of it; traced."""
    inside: Callable[[jax.Array], jax.Array]
    """Which points (..., 3) are in it, booleans; traced."""


@dataclasses.dataclass(frozen=True)
class DistilConfig:
    """How the field is distilled; lengths in metres, angles in degrees."""

    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    steps: int = 10000
    views: int = 4
    """Of one scene in a step, at equal angles."""
    size: int = 64
    """Of a picture's side, pixels."""
    samples: int = 96
    """Along a ray."""
    centre: tuple[float, float, float] = (0.0, 0.9, 0.0)
    radius: float = 1.1
    """Of the ball that the field fills."""
    distance: tuple[float, float] = (3.2, 3.8)
    fov: tuple[float, float] = (40.0, 40.0)
    elevation: tuple[float, float] = (0.0, 30.0)
    loss: DistillationConfig = dataclasses.field(default_factory=lambda: DistillationConfig(form="x0", views=4))
    high: tuple[float, float] = (0.98, 0.5)
    low: tuple[float, float] = (0.98, 0.02)
    """Largest and least time, at first and at the end of the fall."""
    fall: float = 0.8
    """Share of the steps over which they fall."""
    inside: float = 1.0
    """Weight of density inside the object."""
    crowded: float = 1.0
    """Weight of a mean opacity above"""
    opacity: float = 0.2
    """this."""
    rates: tuple[float, float] = (0.01, 0.001)
    """Of the grid and of the perceptrons."""
    ground: float = 1.0
    """Grey of what is behind everything."""

    def __post_init__(self):
        if min(self.steps, self.views, self.size, self.samples) < 1 or self.radius <= 0:
            raise InputError(f"steps, views, size and samples are at least 1 and the radius above 0; got {self}")
        if self.loss.views != self.views:
            raise InputError(f"the loss is of {self.loss.views} views, pictures of {self.views}")


@struct.dataclass
class Shown:
    """What cameras see of a field; pictures in [0, 1]."""

    color: Float[ArrayLike, "V H W 3"] | Any
    opacity: Float[ArrayLike, "V H W"] | Any
    """Of the field."""
    inside: Float[ArrayLike, ""] | Any
    """Mean of `sqrt(density^2 + 0.01)` over samples, where density counts within the object alone (DreamHOI)."""


def group_cameras(key: jax.Array, config: DistilConfig) -> Camera:
    """Cameras of a step: one elevation, distance and field of view, azimuths at equal angles from a drawn one."""
    keys = jax.random.split(key, 4)
    bounds = (config.elevation, config.distance, config.fov)
    elevation, distance, fov = (
        jax.random.uniform(k, (), jnp.float32, low, high) for k, (low, high) in zip(keys[1:], bounds)
    )
    turn = jax.random.uniform(keys[0], (), jnp.float32)
    azimuth = 360.0 / config.views * (turn + jnp.arange(config.views, dtype=jnp.float32))
    return ring(azimuth, elevation, distance, fov, config)


def ring(azimuth: Any, elevation: Any, distance: Any, fov: Any, config: DistilConfig) -> Camera:
    """Cameras that look at the field's middle; azimuth 0 looks at what faces +z, 90 from +x. Degrees, metres."""
    azimuth, elevation = (jnp.radians(jnp.asarray(x, jnp.float32)) for x in (azimuth, elevation))
    elevation = jnp.broadcast_to(elevation, azimuth.shape)
    centre = jnp.asarray(config.centre, jnp.float32)
    away = jnp.stack(
        [jnp.cos(elevation) * jnp.sin(azimuth), jnp.sin(elevation), jnp.cos(elevation) * jnp.cos(azimuth)], axis=-1
    )
    centre = jnp.broadcast_to(centre, away.shape)
    eye = centre + jnp.asarray(distance, jnp.float32) * away
    size = (config.size, config.size)
    lens = intrinsics_from_fov(jnp.broadcast_to(jnp.radians(jnp.asarray(fov, jnp.float32)), azimuth.shape), size)
    return Camera(lens, look_at(eye, centre), size)


def mvdream_cameras(camera: Camera, config: DistilConfig) -> Float[jax.Array, "V 16"]:
    """`camera_numbers` of cameras: about the field's middle, z up, what faces our +z at MVDream's front, its +x."""
    pose = jnp.asarray(camera.T_camera_world)
    rotation = jnp.swapaxes(pose[..., :3, :3], -1, -2)
    eye = -jnp.einsum("...ij,...j->...i", rotation, pose[..., :3, 3], precision="highest")
    eye = eye - jnp.broadcast_to(jnp.asarray(config.centre, eye.dtype), eye.shape)
    # Ours (x, y, z), y up and front +z, is (z, x, y) there; OpenGL's camera looks along -z with y up.
    to_theirs = jnp.asarray([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], eye.dtype)
    flip = jnp.broadcast_to(jnp.asarray([1.0, -1.0, -1.0], eye.dtype), rotation.shape)
    rotation = jnp.einsum("ij,...jk->...ik", to_theirs, rotation) * flip
    top = jnp.concatenate([rotation, jnp.einsum("ij,...j->...i", to_theirs, eye)[..., None]], axis=-1)
    bottom = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 0.0, 1.0], eye.dtype), (*top.shape[:-2], 1, 4))
    return camera_numbers(jnp.concatenate([top, bottom], axis=-2))


def show(
    field: RadianceField, camera: Camera, config: DistilConfig, thing: Embedded | None = None,
    key: jax.Array | None = None,
) -> Shown:  # fmt: skip
    """Pictures of a field.

    Args:
      field: over the ball of the config, in units of its radius.
      camera: V cameras.
      config: the ball, samples, ground.
      thing: beside it, hiding what is behind its surface; None: the field alone.
      key: of the samples' places; None: the middles of equal steps.
    """
    rays = camera_rays(camera)
    eyes = rays.origins[..., 0, 0, :]
    centre = jnp.asarray(config.centre, eyes.dtype)
    away = jnp.linalg.norm(eyes - jnp.broadcast_to(centre, eyes.shape), axis=-1)
    near, far = jnp.maximum(away.min() - 1.05 * config.radius, 0.05), away.max() + 1.05 * config.radius
    depth = sample_depths(near, far, config.samples, rays.origins.shape[:-1], key)
    points = rays.origins[..., None, :] + depth[..., None] * rays.directions[..., None, :]
    density, color = field((points - jnp.broadcast_to(centre, points.shape)) / config.radius)
    length = jnp.linalg.norm(rays.directions, axis=-1)[..., None] * (far - near) / config.samples / config.radius
    seen, behind = None, jnp.full(rays.origins.shape, config.ground, density.dtype)
    inside = jnp.zeros((), density.dtype)
    if thing is not None:
        drawn = thing.draw(camera)
        behind = jnp.asarray(drawn.color, density.dtype)
        seen = depth <= jnp.asarray(drawn.depth, depth.dtype)[..., None]
        within = jnp.where(thing.inside(points), density, 0.0)
        inside = jnp.mean(jnp.sqrt(within**2 + 0.01)) - 0.1
    made = composite(density, color, depth, jnp.broadcast_to(length, depth.shape), seen)
    return Shown(made.color + (1.0 - made.opacity)[..., None] * behind, made.opacity, inside)


@struct.dataclass
class Distilled:
    """A finished field."""

    field: RadianceField = struct.field(pytree_node=False)
    losses: Float[np.ndarray, "T 3"] | Any
    """Of the score, of what is inside the object, of opacity, at each step."""


def distil(
    denoise: Denoiser,
    schedule: Schedule,
    thing: Embedded | None,
    config: DistilConfig,
    key: jax.Array,
    *,
    encode: Callable[[jax.Array], jax.Array] = lambda pictures: 2.0 * pictures - 1.0,
    watch: Callable[[int, np.ndarray, RadianceField], None] | None = None,
) -> Distilled:
    """Distils a field. Host function around one compiled step.

    Args:
      denoise: the diffusion model with and without the text; it gets no gradient.
      schedule: how it was trained.
      thing: the object; None: a person alone.
      config: how.
      key: of everything drawn.
      encode: pictures in [0, 1] to what the model diffuses; gradients pass it.
      watch: called after each step with its number, its losses and the field.
    """
    first, key = jax.random.split(key)
    graph, weights = nnx.split(RadianceField(config.field, nnx.Rngs(first)))
    labels = nnx.map_state(lambda path, _: "grid" if path[0] == "tables" else "rest", weights)
    adam = [optax.adamw(rate, b1=0.9, b2=0.99, eps=1e-15, weight_decay=0.0) for rate in config.rates]
    optimiser = optax.multi_transform(dict(zip(("grid", "rest"), adam)), labels)

    def loss_of(weights: Any, bounds: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, 4)
        camera = group_cameras(keys[0], config)
        shown = show(nnx.merge(graph, weights), camera, config, thing, keys[1])
        x = encode(shown.color)
        numbers = mvdream_cameras(camera, config)
        t = jnp.round(bounds[0] + (bounds[1] - bounds[0]) * jax.random.uniform(keys[2], (), bounds.dtype)).astype(
            jnp.int32
        )
        noise = jax.random.normal(keys[3], x.shape, x.dtype)
        both = denoise(*_noisy(schedule, x, t, noise), numbers)
        known, unknown = (lambda x, t, answer=answer: answer for answer in both)
        score = distillation_loss(x, known, unknown, schedule, t, noise, config.loss)
        crowd = jnp.mean(jnp.sqrt(shown.opacity**2 + 0.01))
        crowd = jax.nn.softplus(50.0 * (crowd - config.opacity)) / 50.0
        parts = jnp.stack([score, shown.inside, crowd])
        size = x[0].size
        return score / size + config.inside * shown.inside + config.crowded * crowd, parts

    @jax.jit
    def step(weights: Any, moments: Any, bounds: jax.Array, key: jax.Array):
        (_, parts), slope = jax.value_and_grad(loss_of, has_aux=True)(weights, bounds, key)
        update, moments = optimiser.update(slope, moments, weights)
        return optax.apply_updates(weights, update), moments, parts

    moments, losses = optimiser.init(weights), []
    for k in range(config.steps):
        times = distillation_times(k, steps=max(1, int(config.fall * config.steps)), high=config.high, low=config.low)
        bounds = jnp.asarray([int(schedule.num_steps * share) for share in times], jnp.float32)
        weights, moments, parts = step(weights, moments, bounds, jax.random.fold_in(key, k))
        losses.append(np.asarray(parts))
        if watch is not None:
            watch(k, losses[-1], nnx.merge(graph, weights))
    return Distilled(nnx.merge(graph, weights), np.array(losses))


def _noisy(schedule: Schedule, x: jax.Array, t: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
    signal, sigma = schedule.coefficients(t, x.dtype)
    return jax.lax.stop_gradient(signal * x + sigma * noise), t


_FIT = FitConfig()


@dataclasses.dataclass(frozen=True)
class Recovered:
    """A body from pictures of a field."""

    params: BodyParams
    """World, y up, metres."""
    points: Float[np.ndarray, "J 3"]
    """Triangulated landmarks; not a number where too few views agree."""
    found: Bool[np.ndarray, "J"]
    pixels: Float[np.ndarray, "V J 2"]
    """Where the detector saw them."""


def recover_body(
    pictures: Float[np.ndarray, "V H W 3"],
    camera: Camera,
    detect: Detector,
    names: tuple[str, ...],
    model: BodyModel,
    *,
    threshold: float = 0.06,
    std: float = 0.04,
    config: FitConfig = _FIT,
) -> Recovered:
    """Landmarks of pictures, triangulated, and the body that fits them. Host function.

    Args:
      pictures: of one person from all around.
      camera: of each.
      detect: finds the landmarks.
      names: of the landmarks, from `optim.fitting`'s points.
      model: the body.
      threshold: what a view that agrees is off at most, share of a picture's side.
      std: error of a triangulated landmark, metres.
      config: of the fit.

    Raises:
      InputError: fewer than four landmarks were found by two views or more.
    """
    pixels, confidence = detect(np.asarray(pictures))
    pose = np.asarray(camera.T_camera_world, np.float64)
    projections = np.asarray(camera.intrinsics, np.float64) @ pose[:, :3]
    side = pictures.shape[1]
    points, found = triangulate_robustly(pixels, confidence, projections, threshold=threshold * side)
    if found.sum() < 4:
        raise InputError(f"{int(found.sum())} of {len(names)} landmarks were found by two views; four are wanted")
    # The fit is that of one picture with metres, so the points are given as a camera before the person sees them.
    middle = points[found].mean(axis=0)
    flip, away = np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 4.0])
    local = np.where(found[:, None], (np.nan_to_num(points) - middle) @ flip + away, away)
    lens = given_intrinsics(1000.0, (1000, 1000))
    plane = 1000.0 * local[:, :2] / local[:, 2:] + 500.0
    seen = observe(
        names, plane, found.astype(float), metric=local, metric_weights=found.astype(float),
        pixel_std=1000.0 * std / away[2], metric_std=std, spread=0.0,
    )  # fmt: skip
    fit = fit_people(prepare_body(model, seen.names), seen, lens, config)
    rotations = np.array(fit.params.rotations)
    rotations[0] = flip @ rotations[0]
    rest = np.asarray(model.joint_template)[0] + np.asarray(model.joint_shape_dirs)[0] @ np.asarray(fit.params.betas)
    pelvis = (np.asarray(fit.params.translation) + rest - away) @ flip + middle
    params = BodyParams(rotations, np.asarray(fit.params.betas), (pelvis - rest).astype(np.float32))
    return Recovered(params, points, found, pixels)
