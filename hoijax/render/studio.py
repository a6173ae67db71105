"""Pictures for people: three lights, soft shadows, a sky, a floor, smooth edges.

`render_studio` averages a few renders that differ by a fraction of a pixel, by the place on the key light and by the
part of the sky that shines, each with shadow maps from the rasterizer. Edges, penumbrae and the dark of creases and
contacts all come from that one average, and memory stays that of a single render. The result is deterministic.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Float

from hoijax.camera import Camera
from hoijax.geometry.safe import einsum, safe_normalize
from hoijax.render.interpolate import interpolate
from hoijax.render.rasterize import rasterize
from hoijax.render.scene import Scene, corner_attributes, linear_from_srgb, srgb_from_linear, texture_colors
from hoijax.render.shading import Lights, Material, camera_center, phong
from hoijax.render.shadows import ShadowMap, light_reaching, shadow_map

ArrayLike = jax.Array | np.ndarray

__all__ = [
    "Picture",
    "Studio",
    "render_studio",
    "sky_maps",
]
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@struct.dataclass
class Studio:
    """Lights, floor and background. Intensities are linear; 1 on a white surface facing the light is white."""

    key: float | Float[ArrayLike, "*B"] = 0.70
    """Main light, over the camera's left shoulder; throws shadows."""
    fill: float | Float[ArrayLike, "*B"] = 0.14
    """Weak light from the camera's right."""
    rim: float | Float[ArrayLike, "*B"] = 0.22
    """Light from behind, which draws the outline."""
    sky: float | Float[ArrayLike, "*B"] = 0.50
    """Light from the whole upper hemisphere; its shadows darken creases and contacts."""
    bounce: float | Float[ArrayLike, "*B"] = 0.20
    """Light from below, as off a bright floor."""
    softness: float | Float[ArrayLike, "*B"] = 0.05
    """Radius of the key light over its distance: 0 for sharp shadows."""
    specular: float | Float[ArrayLike, "*B"] = 0.06
    """Strength of highlights."""
    background: Float[ArrayLike, "*B 2 3"] | tuple = ((0.965, 0.968, 0.972), (0.875, 0.882, 0.895))
    """sRGB on top and at the bottom of the picture; the floor has the same colour."""
    floor: float | Float[ArrayLike, "*B"] | None = None
    """Height of the floor, metres; None: the lowest vertex."""
    floor_shadow: float | Float[ArrayLike, "*B"] = 0.85
    """How dark shadows on the floor are: 0 hides the floor."""
    samples: int = struct.field(pytree_node=False, default=8)
    """Renders averaged; time goes with it, edges and penumbrae get finer."""
    key_lights: int = struct.field(pytree_node=False, default=3)
    """Places on the key light in each of the renders: penumbrae are an average over `samples * key_lights`."""
    sky_lights: int = struct.field(pytree_node=False, default=6)
    """Directions of the sky in each of the renders."""
    shadow_size: int = struct.field(pytree_node=False, default=512)
    """Side of the shadow maps, pixels."""


@struct.dataclass
class Picture:
    """What `render_studio` returns."""

    color: Float[ArrayLike, "*B H W 3"]
    """sRGB in [0, 1], background and floor included."""
    alpha: Float[ArrayLike, "*B H W"]
    """Share of each pixel that shows the scene's meshes."""


def sky_maps(scene: Scene, studio: Studio | None = None) -> ShadowMap:
    """What each direction of the sky sees; the same for all cameras, so a turntable computes it once.

    Returns:
      `studio.samples * studio.sky_lights` shadow maps with the directions as the leading axis of all arrays.
    """
    studio = Studio() if studio is None else studio
    vertices, faces = jnp.asarray(scene.vertices), jnp.asarray(scene.faces)
    center, radius = _ball(vertices)
    directions = jnp.asarray(_sky_directions(studio), vertices.dtype)
    return jax.lax.map(lambda d: shadow_map(vertices, faces, d, center, radius, studio.shadow_size), directions)


def render_studio(scene: Scene, camera: Camera, studio: Studio | None = None, sky: ShadowMap | None = None) -> Picture:
    """One picture of a scene. Batch by `jax.vmap`, or `jax.lax.map` on a CPU.

    The key, fill and rim lights stand where the camera does, turned about the vertical: every view is lit alike, as
    on a turntable. All surfaces are two-sided.

    Args:
      scene: the joined meshes.
      camera: image size and view.
      studio: lights and quality; default `Studio()`.
      sky: of `sky_maps` for the same scene and studio; default: computed here.
    """
    studio = Studio() if studio is None else studio
    sky = sky_maps(scene, studio) if sky is None else sky
    vertices, faces = jnp.asarray(scene.vertices), jnp.asarray(scene.faces)
    dtype, (height, width) = vertices.dtype, camera.image_size
    corner_faces = jnp.arange(3 * faces.shape[0], dtype=faces.dtype).reshape(-1, 3)
    attributes = corner_attributes(scene)
    center, radius = _ball(vertices)
    floor = jnp.min(vertices[:, 1]) if studio.floor is None else jnp.asarray(studio.floor).astype(dtype)
    eye = camera_center(camera).astype(dtype)
    rotation = jnp.asarray(camera.T_camera_world)[:3, :3].astype(dtype)
    axes = _stand(rotation)
    far_lights = [1e3 * radius * direction + center for direction in _directions(axes)]
    strength = jnp.stack([jnp.asarray(s, dtype) for s in (studio.key, studio.fill, studio.rim)])
    strength, dark = jnp.broadcast_to(strength[:, None], (3, 3)), jnp.zeros((3,), dtype)
    backdrop = _backdrop(studio, height, width, dtype)

    def one(offset: jax.Array, key_directions: jax.Array, sky: ShadowMap) -> tuple[jax.Array, jax.Array]:
        """One of the renders that are averaged: linear colour and mask."""
        view = camera.replace(intrinsics=jnp.asarray(camera.intrinsics).astype(dtype).at[:2, 2].add(offset))
        fragments = rasterize(vertices, faces, view)
        values = interpolate(fragments, corner_faces, attributes)
        points, normals, colors = values[..., :3], safe_normalize(values[..., 3:6]), values[..., 6:9]
        seen = fragments.face_id >= 0
        if scene.textures is not None:
            colors = colors * texture_colors(scene.textures, fragments.face_id, values[..., 9:11])
        facing = _dot(normals, eye[None, None] - points) >= 0
        normals = jnp.where(facing[..., None], normals, -normals)

        # The floor fills the rest, so that both are lit by the same code.
        rays = _world_rays(view, rotation)
        steps = (floor - eye[1]) / jnp.where(rays[..., 1] == 0, 1.0, rays[..., 1])
        on_floor = (rays[..., 1] < 0) & (steps > 0) & (steps < jnp.where(seen, fragments.depth, jnp.inf))
        ground = eye[None, None] + jnp.where(on_floor, steps, 0.0)[..., None] * rays
        up = jnp.broadcast_to(jnp.asarray([0.0, 1.0, 0.0], dtype), ground.shape)
        points = jnp.where(on_floor[..., None], ground, points)
        normals = jnp.where(on_floor[..., None], up, normals)

        def add_key(total: jax.Array, direction: jax.Array) -> tuple[jax.Array, None]:
            """Adds one place on the key light."""
            shadow = shadow_map(vertices, faces, direction, center, radius, studio.shadow_size)
            return total + light_reaching(shadow, points, normals), None

        key, _ = jax.lax.scan(add_key, jnp.zeros((height, width), dtype), key_directions)
        key, key_direction = key / studio.key_lights, safe_normalize(jnp.mean(key_directions, axis=0))

        def add_sky(total: jax.Array, shadow: ShadowMap) -> tuple[jax.Array, None]:
            """Adds what one direction of the sky sends."""
            cosine = -_dot(normals, shadow.rotation[2][None, None])
            return total + light_reaching(shadow, points, normals, smooth=False) * jnp.maximum(cosine, 0.0), None

        # Uniform directions on the hemisphere: irradiance of a white sky is twice the mean of the cosines.
        light, _ = jax.lax.scan(add_sky, jnp.zeros((height, width), dtype), sky)
        light = 2.0 * light / studio.sky_lights

        lights = Lights(jnp.stack([1e3 * radius * key_direction + center, *far_lights]), strength, dark, dark)
        visible = jnp.stack([key, jnp.ones_like(key), _sky_share(light, normals)], axis=-1)
        direct = phong(points, normals, colors, eye, lights, Material(1.0, studio.specular, 24), visible)
        ambient = studio.sky * light + studio.bounce * 0.5 * (1.0 - normals[..., 1])
        surface = direct + colors * ambient[..., None]

        full = studio.key * key_direction[1] + studio.sky
        share = (studio.key * key_direction[1] * key + studio.sky * light) / full
        ground_color = backdrop * (1.0 - studio.floor_shadow * (1.0 - share))[..., None]
        color = jnp.where(seen[..., None], surface, backdrop)
        color = jnp.where(on_floor[..., None], ground_color, color)
        return jnp.clip(color, 0.0, 1.0), (seen & ~on_floor).astype(dtype)

    def add(total: tuple[jax.Array, jax.Array], sample: tuple) -> tuple[tuple[jax.Array, jax.Array], None]:
        """Accumulates one render."""
        color, mask = one(*sample)
        return (total[0] + color, total[1] + mask), None

    start = jnp.zeros((height, width, 3), dtype), jnp.zeros((height, width), dtype)
    dealt = jax.tree.map(lambda x: x.reshape(studio.samples, studio.sky_lights, *x.shape[1:]), sky)
    (color, alpha), _ = jax.lax.scan(add, start, (*_samples(studio, axes), dealt))
    return Picture(srgb_from_linear(color / studio.samples), alpha / studio.samples)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """Inner product over the last axis, written out so that it fuses with what surrounds it."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _ball(vertices: Float[jax.Array, "V 3"]) -> tuple[Float[jax.Array, "3"], Float[jax.Array, ""]]:
    """Centre and radius of a ball that holds the scene."""
    center = 0.5 * (jnp.min(vertices, axis=0) + jnp.max(vertices, axis=0))
    return center, jnp.sqrt(jnp.max(jnp.sum((vertices - center[None]) ** 2, axis=1)))


def _backdrop(studio: Studio, height: int, width: int, dtype: DTypeLike) -> Float[jax.Array, "H W 3"]:
    """Linear background colours."""
    back = jnp.asarray(studio.background, dtype)
    ramp = ((jnp.arange(height, dtype=dtype) + 0.5) / height)[:, None]
    rows = linear_from_srgb(back[:1] * (1.0 - ramp) + back[1:] * ramp)
    return jnp.broadcast_to(rows[:, None], (height, width, 3))


def _sky_share(sky: Float[jax.Array, "*B"], normals: Float[jax.Array, "*B 3"]) -> Float[jax.Array, "*B"]:
    """Share of the open sky that a point sees; dims the rim light, which has no shadow map, in hidden places."""
    open_sky = 0.5 * (1.0 + normals[..., 1])
    return jnp.clip((sky + 0.05) / (open_sky + 0.05), 0.0, 1.0)


def _stand(rotation: Float[jax.Array, "3 3"]) -> Float[jax.Array, "3 3"]:
    """Rows: the camera's right, up and backward directions, turned upright."""
    right = safe_normalize(rotation[0].at[1].set(0.0))
    up = jnp.asarray([0.0, 1.0, 0.0], rotation.dtype)
    return jnp.stack([right, up, jnp.cross(right, up)])


def _directions(axes: Float[jax.Array, "3 3"]) -> tuple[Float[jax.Array, "3"], Float[jax.Array, "3"]]:
    """Unit directions to the fill and the rim light."""
    local = jnp.asarray([[0.85, 0.25, 0.6], [0.55, 0.55, -0.75]], axes.dtype)
    fill, rim = safe_normalize(einsum("ij,jk->ik", local, axes))
    return fill, rim


def _samples(
    studio: Studio, axes: Float[jax.Array, "3 3"]
) -> tuple[Float[jax.Array, "S 2"], Float[jax.Array, "S K 3"]]:
    """Per render: the offset in pixels and the directions of the key light."""
    dtype, count, lights = axes.dtype, studio.samples, studio.samples * studio.key_lights
    number = np.arange(count)
    # Additive recurrences with the plastic number (R2 sequence): well spread at every length.
    pixel = np.stack([(0.5 + number * 0.7548776662) % 1.0, (0.5 + number * 0.5698402910) % 1.0], axis=1) - 0.5
    # A sunflower over the disc; each render gets places of every radius.
    number = np.arange(lights).reshape(studio.key_lights, count).T.reshape(-1)
    angle, reach = number * _GOLDEN_ANGLE, np.sqrt((number + 0.5) / lights)
    disc = jnp.asarray(np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1), dtype)
    key = safe_normalize(einsum("j,jk->k", jnp.asarray([-0.55, 1.05, 0.60], dtype), axes))
    side = safe_normalize(jnp.cross(key, axes[1]))
    spread = einsum("sd,dk->sk", disc, jnp.stack([side, jnp.cross(side, key)])) * jnp.asarray(studio.softness, dtype)
    directions = safe_normalize(key[None] + spread).reshape(count, studio.key_lights, 3)
    return jnp.asarray(pixel, dtype), directions


def _sky_directions(studio: Studio) -> np.ndarray:
    """A Fibonacci spiral over the upper hemisphere, ordered so that each render gets an even share of it."""
    total = studio.samples * studio.sky_lights
    deal = np.arange(total).reshape(studio.sky_lights, studio.samples).T.reshape(-1)
    height, azimuth = (deal + 0.5) / total, deal * _GOLDEN_ANGLE
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(azimuth), height, level * np.sin(azimuth)], axis=1)


def _world_rays(camera: Camera, rotation: Float[jax.Array, "3 3"]) -> Float[jax.Array, "H W 3"]:
    """World direction of every pixel's ray, of length 1 along the viewing axis: depth times it is the way."""
    height, width = camera.image_size
    k = jnp.asarray(camera.intrinsics).astype(rotation.dtype)
    y = (jnp.arange(height, dtype=rotation.dtype) + 0.5 - k[1, 2]) / k[1, 1]
    x = jnp.broadcast_to(jnp.arange(width, dtype=rotation.dtype) + 0.5 - k[0, 2], (height, width))
    x = (x - k[0, 1] * y[:, None]) / k[0, 0]
    rays = jnp.stack([x, jnp.broadcast_to(y[:, None], (height, width)), jnp.ones((height, width), rotation.dtype)], -1)
    return einsum("hwi,ij->hwj", rays, rotation)
