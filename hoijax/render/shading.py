"""From fragments to images: masks, ids, depth, normals, NOCS colours and Phong shading.

The rasterizer says which face a pixel sees and where on it; everything here is an array formula on top of that, so
it is differentiable in colours, normals, positions and lights, runs under `jit`, and batches by `vmap`. Colours are
plain numbers in [0, 1]: nothing here knows of gamma (see `hoijax.render.studio` for pictures for people).
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.camera import Camera
from hoijax.geometry.safe import einsum, safe_normalize

ArrayLike = jax.Array | np.ndarray

__all__ = [
    "Lights",
    "Material",
    "camera_center",
    "depth_image",
    "id_colors",
    "id_image",
    "mask_image",
    "nocs_colors",
    "normal_colors",
    "over_background",
    "phong",
]


@struct.dataclass
class Lights:
    """Point lights without falloff, plus light from above and from below."""

    position: Float[ArrayLike, "*B L 3"]
    """World positions, metres. A light very far away is a directional one."""
    color: Float[ArrayLike, "*B L 3"]
    """Intensity that each light adds to a surface facing it."""
    above: Float[ArrayLike, "*B 3"]
    """Ambient intensity on a surface whose normal points up (+y)."""
    below: Float[ArrayLike, "*B 3"]
    """Ambient intensity on a surface whose normal points down; equal to `above`: uniform ambient light."""

    @classmethod
    def single(cls, position: Float[ArrayLike, "3"], ambient: float = 0.5, diffuse: float = 0.5) -> "Lights":
        """One white point light and uniform ambient light."""
        position = jnp.asarray(position)
        ones = jnp.ones((3,), position.dtype)
        return cls(position[None], diffuse * ones[None], ambient * ones, ambient * ones)


@struct.dataclass
class Material:
    """How a surface answers to light; one for the whole image."""

    diffuse: float | Float[ArrayLike, "*B"] = 1.0
    """Factor on the lights' diffuse term."""
    specular: float | Float[ArrayLike, "*B"] = 0.0
    """Factor on the highlights; they take the light's colour, not the surface's."""
    shininess: float | Float[ArrayLike, "*B"] = 64
    """Phong's exponent: larger is a smaller highlight. A Python int outside of `jit`'s arguments is much faster."""


def camera_center(camera: Camera) -> Float[jax.Array, "3"]:
    """World position of the camera's centre, metres."""
    transform = jnp.asarray(camera.T_camera_world)
    rotation, translation = transform[:3, :3], transform[:3, 3]
    return -einsum("ji,j->i", rotation, translation)


def mask_image(face_id: Int[ArrayLike, "*B H W"]) -> Bool[jax.Array, "*B H W"]:
    """True where any face is seen."""
    return jnp.asarray(face_id) >= 0


def id_image(face_id: Int[ArrayLike, "*B H W"], face_labels: Int[ArrayLike, "F"]) -> Int[jax.Array, "*B H W"]:
    """The label of the face each pixel sees: parts, instances, materials.

    Args:
      face_id: faces seen, -1 for none.
      face_labels: one label per face; the labels of vertices become those of faces by `labels[faces[:, 0]]`.

    Returns:
      Labels, -1 where nothing is seen.
    """
    face_id, face_labels = jnp.asarray(face_id), jnp.asarray(face_labels)
    seen = face_id >= 0
    return jnp.where(seen, face_labels[jnp.where(seen, face_id, 0)], -1)


def id_colors(ids: Int[ArrayLike, "*B"]) -> Float[jax.Array, "*B 3"]:
    """A distinct colour for each label, black for -1.

    Hues step by the golden ratio, so that neighbouring labels differ most; lightness and saturation cycle through
    three levels each. The colours of a label never change with the number of labels.
    """
    ids = jnp.asarray(ids)
    step = ids.astype(jnp.float32)
    hue = jnp.mod(step * 0.618034, 1.0)
    value = 0.95 - 0.2 * jnp.mod(step, 3.0) / 2.0
    saturation = 0.75 - 0.3 * jnp.mod(jnp.floor(step / 3.0), 3.0) / 2.0
    phase = jnp.asarray([5.0, 3.0, 1.0], jnp.float32)
    k = jnp.mod(jnp.expand_dims(6.0 * hue, -1) + jnp.broadcast_to(phase, (*ids.shape, 3)), 6.0)
    wheel = jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0)
    colors = value[..., None] * (1.0 - saturation[..., None] * wheel)
    return jnp.where((ids >= 0)[..., None], colors, 0.0)


def depth_image(depth: Float[ArrayLike, "*B H W"], background: float = 0.0) -> Float[jax.Array, "*B H W"]:
    """Depth in metres with a finite value where nothing is seen; gradients of unseen pixels are zero."""
    depth = jnp.asarray(depth)
    return jnp.where(jnp.isfinite(depth), depth, background)


def normal_colors(
    normals: Float[ArrayLike, "*B 3"], rotation: Float[ArrayLike, "3 3"] | None = None
) -> Float[jax.Array, "*B 3"]:
    """Normals as colours, `(n + 1) / 2` after normalisation.

    Args:
      normals: world normals, any length; zero gives mid grey.
      rotation: applied first, e.g. `camera.T_camera_world[:3, :3]` for normals in camera axes.
    """
    normals = jnp.asarray(normals)
    if rotation is not None:
        rotation = jnp.asarray(rotation)
        normals = einsum("ij,...j->...i", rotation, normals)
    return 0.5 * (safe_normalize(normals) + 1.0)


def nocs_colors(
    points: Float[ArrayLike, "N 3"],
    *,
    low: float = 0.1,
    high: float = 0.9,
    bounds: tuple[Float[ArrayLike, "3"], Float[ArrayLike, "3"]] | None = None,
) -> Float[jax.Array, "N 3"]:
    """Normalised object coordinates as colours: each axis runs from `low` to `high` over its extent.

    Wang et al. 2019, "Normalized Object Coordinate Space", with the per-axis scaling and the range [0.1, 0.9] of
    InteractVLM (supplement), which keeps every colour off pure white and black.

    Args:
      points: coordinates in the object's own frame.
      low: colour at the lower bound.
      high: colour at the upper bound.
      bounds: lower and upper corner; default: those of `points`. An axis without extent gets the middle colour.
    """
    points = jnp.asarray(points)
    if bounds is None:
        lower, upper = jnp.min(points, axis=0), jnp.max(points, axis=0)
    else:
        lower, upper = (jnp.asarray(b).astype(points.dtype) for b in bounds)
    extent = upper - lower
    flat = extent <= 0
    unit = (points - lower[None]) / jnp.where(flat, 1.0, extent)[None]
    return low + (high - low) * jnp.where(flat[None], 0.5, unit)


def phong(
    points: Float[ArrayLike, "*B 3"],
    normals: Float[ArrayLike, "*B 3"],
    colors: Float[ArrayLike, "*B 3"],
    eye: Float[ArrayLike, "3"],
    lights: Lights,
    material: Material | None = None,
    visibility: Float[ArrayLike, "*B L"] | None = None,
) -> Float[jax.Array, "*B 3"]:
    """Phong's reflection at any number of surface points.

    `colors * (ambient + diffuse sum_l I_l max(n.l, 0)) + specular sum_l I_l max(r.v, 0)^shininess` (Phong 1975),
    with `l` towards light l, `v` towards the eye and `r` the mirror image of `l` about the normal.

    Args:
      points: surface points, world, metres.
      normals: their normals, any length; interpolated ones are normalised here.
      colors: surface colours.
      eye: the camera's centre.
      lights: point lights and ambient light.
      material: diffuse and specular factors.
      visibility: share of each light that reaches the point, from shadow maps; default: all of it.

    Returns:
      Colours, not clipped.
    """
    points, normals, colors = jnp.asarray(points), safe_normalize(normals), jnp.asarray(colors)
    dtype = points.dtype
    material = Material() if material is None else material
    position, intensity, above, below, eye = (
        jnp.asarray(x).astype(dtype) for x in (lights.position, lights.color, lights.above, lights.below, eye)
    )
    view = safe_normalize(_spread(eye, points) - points)
    up = 0.5 * (normals[..., 1:2] + 1.0)
    total = _spread(below, points) * (1.0 - up) + _spread(above, points) * up
    highlights = jnp.zeros_like(points)
    for i in range(position.shape[0]):  # a light at a time: no array holds all of them at every point
        towards = safe_normalize(_spread(position[i], points) - points)
        cosine = _dot(towards, normals)
        share = 1.0 if visibility is None else jnp.asarray(visibility)[..., i : i + 1]
        total = total + material.diffuse * jnp.maximum(cosine, 0.0) * share * _spread(intensity[i], points)
        glance = _dot(2.0 * cosine * normals - towards, view)
        lit = (cosine > 0) & (glance > 0)
        highlight = jnp.where(lit, jnp.where(lit, glance, 1.0) ** material.shininess, 0.0)
        highlights = highlights + highlight * share * _spread(intensity[i], points)
    return colors * total + material.specular * highlights


def _dot(a: Float[jax.Array, "*B 3"], b: Float[jax.Array, "*B 3"]) -> Float[jax.Array, "*B 1"]:
    """Inner product, written out so that it fuses with what surrounds it."""
    return a[..., 0:1] * b[..., 0:1] + a[..., 1:2] * b[..., 1:2] + a[..., 2:3] * b[..., 2:3]


def _spread(vector: Float[jax.Array, "3"], points: Float[jax.Array, "*B 3"]) -> Float[jax.Array, "*B 3"]:
    """One vector at every point."""
    return jnp.broadcast_to(vector, points.shape)


def over_background(
    image: Float[ArrayLike, "*B H W C"],
    mask: Bool[ArrayLike, "*B H W"],
    background: float | Float[ArrayLike, "C"] = 1.0,
) -> Float[jax.Array, "*B H W C"]:
    """The image where something is seen, `background` elsewhere."""
    image, mask = jnp.asarray(image), jnp.asarray(mask)
    background = jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)
    return jnp.where(mask[..., None], image, background)
