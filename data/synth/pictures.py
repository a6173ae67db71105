"""Pictures of a sample: one jitted program of fixed shapes draws body, object, furniture and occluder in a room.

Everything about a picture is drawn at random: the light, the colours of skin, clothes and things, the patterns of floor
and walls, the camera. The floor and the walls are found by intersecting each pixel's ray with the room.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int, Shaped, UInt8, UInt32

from hoijax.camera import Camera
from hoijax.geometry import einsum, safe_normalize
from hoijax.geometry.safe import ArrayLike
from hoijax.render import camera_center, interpolate, light_reaching, rasterize, shadow_map
from hoijax.render.scene import linear_from_srgb, srgb_from_linear

VERTICES, FACES = 40960, 65536
"""Capacities: vertices and faces of everything that is drawn."""
HUMAN, OBJECT, SUPPORT, OCCLUDER = range(4)
"""Labels of faces."""
PATTERNS = 6
"""Rows of the table of patterns: the four labels, the floor, the walls."""


@struct.dataclass
class Appearance:
    """Everything about light and surfaces; arrays, so that one program serves all pictures."""

    light: Float[ArrayLike, "3"] | Any
    """Direction to the main light."""
    light_color: Float[ArrayLike, "3"] | Any
    """Its colour."""
    shade: Float[ArrayLike, ""] | Any
    """How much of it a shadow takes."""
    above: Float[ArrayLike, "3"] | Any
    """Light from above."""
    below: Float[ArrayLike, "3"] | Any
    """Light from below."""
    second: Float[ArrayLike, "P 3"] | Any
    """Second colour of each label."""
    scale: Float[ArrayLike, "P"] | Any
    """Scale of each label's pattern, metres."""
    strength: Float[ArrayLike, "P"] | Any
    """How much of the second colour it mixes in."""
    kind: Shaped[ArrayLike, "P"] | Any
    """0 stripes, 1 checks, 2 blotches."""
    specular: Float[ArrayLike, "P"] | Any
    """Strength of highlights."""
    shininess: Float[ArrayLike, "P"] | Any
    """Their exponent."""
    room_colors: Float[ArrayLike, "2 3"] | Any
    """First colours of floor and walls."""
    room: Float[ArrayLike, "5"] | Any
    """Room: x from, x to, z from, z to, height, metres."""
    gain: Float[ArrayLike, "3"] | Any
    """Exposure times white balance."""
    noise: Float[ArrayLike, ""] | Any
    """Standard deviation of the noise."""
    key: UInt32[ArrayLike, "2"] | Any
    """Of the noise, raw."""


@struct.dataclass
class PictureMeshes:
    """The meshes of a picture, joined and filled up to the capacities."""

    vertices: Float[ArrayLike, "V 3"] | Any
    """Metres."""
    faces: Int[ArrayLike, "F 3"] | Any
    """Indices into the vertices."""
    normals: Float[ArrayLike, "F 3 3"] | Any
    """At each face's corners."""
    colors: Float[ArrayLike, "V 3"] | Any
    """sRGB."""
    places: Float[ArrayLike, "V 3"] | Any
    """Coordinates for the patterns."""
    labels: Int[ArrayLike, "F"] | Any
    """Of each face."""


@struct.dataclass
class Drawn:
    """A picture and what is known about each pixel."""

    image: UInt8[ArrayLike, "H W 3"] | Any
    """sRGB."""
    label: Int[ArrayLike, "H W"] | Any
    """Label of what is seen, -1 for the room."""
    depth: Float[ArrayLike, "H W"] | Any
    """Distance along the viewing axis, metres."""
    mesh_depth: Float[ArrayLike, "H W"] | Any
    """The same without the room, infinite where nothing is."""


@functools.partial(jax.jit, static_argnums=3)
def draw(meshes: PictureMeshes, camera: tuple[jax.Array, jax.Array], look: Appearance, size: int) -> Drawn:
    """Draws one picture.

    Args:
      meshes: of the objects and the person.
      camera: intrinsics (3, 3) and T_camera_world (4, 4).
      look: light and surfaces.
      size: side of the picture, pixels.
    """
    view = Camera(camera[0], camera[1], (size, size))
    fragments = rasterize(meshes.vertices, meshes.faces, view)
    corners = meshes.faces.reshape(-1)
    table = jnp.concatenate(
        [meshes.vertices[corners], meshes.normals.reshape(-1, 3), meshes.colors[corners], meshes.places[corners]],
        axis=1,
    )
    values = interpolate(fragments, jnp.arange(3 * FACES, dtype=jnp.int32).reshape(-1, 3), table)
    seen = fragments.face_id >= 0
    label = jnp.where(seen, meshes.labels[jnp.maximum(fragments.face_id, 0)], -1)
    eye = camera_center(view)
    normals = safe_normalize(values[..., 3:6])
    facing = jnp.sum(normals * (eye[None, None] - values[..., :3]), axis=-1) >= 0
    normals = jnp.where(facing[..., None], normals, -normals)

    distance, room_point, room_normal, is_floor = _room(view, eye, look.room)
    behind = seen & (fragments.depth <= distance + 0.02)
    point = jnp.where(behind[..., None], values[..., :3], room_point)
    normal = jnp.where(behind[..., None], normals, room_normal)
    label = jnp.where(behind, label, -1)
    row = jnp.where(behind, label, jnp.where(is_floor, 4, 5))
    color = jnp.where(
        behind[..., None],
        values[..., 6:9],
        jnp.where(is_floor[..., None], look.room_colors[0][None, None], look.room_colors[1][None, None]),
    )
    # Walls are patterned along themselves: their own two coordinates.
    flat = jnp.where(is_floor[..., None], room_point[..., (0, 2, 1)],
                     jnp.stack([jnp.where(jnp.abs(room_normal[..., 0]) > 0.5, room_point[..., 2], room_point[..., 0]),
                                room_point[..., 1], 0 * room_point[..., 0]], axis=-1))  # fmt: skip
    place = jnp.where(behind[..., None], values[..., 9:12], flat)
    color = linear_from_srgb(_add_pattern(color, place, row, look))

    centre, radius = jnp.asarray([0.0, 0.9, 0.0], jnp.float32), 2.2
    shadow = shadow_map(meshes.vertices, meshes.faces, look.light, centre, radius, 512)
    reached = 1 - look.shade * (1 - light_reaching(shadow, point, normal))
    toward = safe_normalize(eye[None, None] - point)
    half = safe_normalize(toward + look.light[None, None])
    cosine = jnp.maximum(jnp.sum(normal * look.light[None, None], axis=-1), 0)
    up = 0.5 * (normal[..., 1:2] + 1)
    ambient = look.below[None, None] * (1 - up) + look.above[None, None] * up
    gloss = jnp.maximum(jnp.sum(normal * half, axis=-1), 1e-4) ** look.shininess[row] * look.specular[row]
    lit = (cosine * reached)[..., None] * look.light_color[None, None]
    light = color * (ambient + lit) + (gloss * reached)[..., None] * look.light_color[None, None]
    light = light * look.gain[None, None]
    image = srgb_from_linear(light / (1 + 0.25 * light))
    image = image + look.noise * jax.random.normal(look.key, image.shape, image.dtype)
    depth = jnp.where(behind, fragments.depth, distance)
    things_depth = jnp.where(behind, fragments.depth, jnp.inf)
    return Drawn(jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8), label, depth, things_depth)


@functools.partial(jax.jit, static_argnums=4)
def depth_in_room(
    vertices: jax.Array, faces: jax.Array, camera: tuple[jax.Array, jax.Array], room: jax.Array, size: int
) -> jax.Array:
    """Distance of things in a room along the viewing axis (H, W), metres: `Drawn.depth` without a picture.

    Args:
      vertices: of the things.
      faces: theirs; rows of zeros are nothing.
      camera: intrinsics (3, 3) and T_camera_world (4, 4).
      room: see `Appearance.room`.
      size: side of the picture, pixels.
    """
    view = Camera(camera[0], camera[1], (size, size))
    things, wall = rasterize(vertices, faces, view).depth, _room(view, camera_center(view), room)[0]
    return jnp.where(things <= wall + 0.02, things, wall)


@functools.partial(jax.jit, static_argnums=3)
def silhouette(vertices: jax.Array, faces: jax.Array, camera: tuple[jax.Array, jax.Array], size: int) -> jax.Array:
    """Which pixels a mesh would cover if nothing were before it, and its depth there, infinite elsewhere, (H, W)."""
    return rasterize(vertices, faces, Camera(camera[0], camera[1], (size, size))).depth


def _room(view: Camera, eye: jax.Array, room: jax.Array):
    """Where each pixel's ray leaves the room: depth, point, inward normal, whether that is the floor."""
    height, width = view.image_size
    k, rotation = view.intrinsics, view.T_camera_world[:3, :3]
    x = (jnp.arange(width, dtype=jnp.float32) + 0.5 - k[0, 2]) / k[0, 0]
    y = (jnp.arange(height, dtype=jnp.float32) + 0.5 - k[1, 2]) / k[1, 1]
    rays = jnp.stack([jnp.broadcast_to(x[None], (height, width)), jnp.broadcast_to(y[:, None], (height, width)),
                      jnp.ones((height, width), jnp.float32)], axis=-1)  # fmt: skip
    rays = einsum("hwi,ij->hwj", rays, rotation)
    low = jnp.stack([room[0], jnp.zeros((), jnp.float32), room[2]])
    high = jnp.stack([room[1], room[4], room[3]])
    safe = jnp.where(jnp.abs(rays) < 1e-6, 1e-6, rays)
    bound = jnp.where(safe > 0, high[None, None], low[None, None])
    steps = (bound - eye[None, None]) / safe
    axis = jnp.argmin(steps, axis=-1)
    distance = jnp.min(steps, axis=-1)
    normal = -jnp.sign(safe) * jax.nn.one_hot(axis, 3, dtype=jnp.float32)
    return distance, eye[None, None] + distance[..., None] * rays, normal, (axis == 1) & (rays[..., 1] < 0)


def _add_pattern(color: jax.Array, place: jax.Array, row: jax.Array, look: Appearance) -> jax.Array:
    """Mixes in the second colour of each label: stripes, checks or blotches."""
    u = place / look.scale[row][..., None]
    stripes = 0.5 + 0.5 * jnp.sin(2 * jnp.pi * u[..., 0])
    checks = (jnp.sum(jnp.floor(u + 1e-3), axis=-1) % 2 + 2) % 2
    blotches = 0.5 + 0.25 * (
        jnp.sin(5.3 * u[..., 0] + 2.1 * jnp.sin(3.7 * u[..., 1]))
        + jnp.sin(6.1 * u[..., 1] + 1.7 * jnp.sin(4.3 * u[..., 2] + u[..., 0]))
    )
    kind = look.kind[row]
    share = jnp.where(kind == 0, stripes, jnp.where(kind == 1, checks, blotches)) * look.strength[row]
    return color * (1 - share[..., None]) + look.second[row] * share[..., None]


def gather(pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]]) -> PictureMeshes:
    """Joins meshes to the capacities.

    Args:
      pieces: vertices (V, 3), faces (F, 3), corner normals (F, 3, 3), colours (V, 3), pattern places (V, 3), label.

    Raises:
      ValueError: more vertices or faces than the capacities.
    """
    vertices, faces = sum(len(p[0]) for p in pieces), sum(len(p[1]) for p in pieces)
    if vertices > VERTICES or faces > FACES:
        raise ValueError(f"a picture holds {VERTICES} vertices and {FACES} faces, got {vertices} and {faces}")
    out = PictureMeshes(
        vertices=np.zeros((VERTICES, 3), np.float32), faces=np.zeros((FACES, 3), np.int32),
        normals=np.zeros((FACES, 3, 3), np.float32), colors=np.zeros((VERTICES, 3), np.float32),
        places=np.zeros((VERTICES, 3), np.float32), labels=np.zeros(FACES, np.int32),
    )  # fmt: skip
    v = f = 0
    for points, triangles, normals, colors, places, label in pieces:
        out.vertices[v : v + len(points)], out.colors[v : v + len(points)] = points, colors
        out.places[v : v + len(points)] = places
        out.faces[f : f + len(triangles)], out.normals[f : f + len(triangles)] = triangles + v, normals
        out.labels[f : f + len(triangles)] = label
        v, f = v + len(points), f + len(triangles)
    return out
