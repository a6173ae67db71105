"""What a picture for people is made of: one joined mesh with colours, corner normals and textures."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry.mesh import vertex_normals
from hoijax.render.texture import sample_texture

ArrayLike = jax.Array | np.ndarray

__all__ = ["Scene", "Textures", "corner_attributes", "linear_from_srgb", "srgb_from_linear", "texture_colors"]


@struct.dataclass
class Textures:
    """Images on a scene's faces; they multiply the vertex colours."""

    images: Float[ArrayLike, "*B T H W 3"]
    """sRGB in [0, 1], row 0 on top; images smaller than the largest fill the top left corner."""
    sizes: Float[ArrayLike, "*B T 2"]
    """Height and width in use, pixels."""
    uv: Float[ArrayLike, "*B F 3 2"]
    """Coordinates of each face's corners, `u` right and `v` up."""
    index: Int[ArrayLike, "*B F"]
    """Image of each face, -1 for none."""


@struct.dataclass
class Scene:
    """Everything in a picture, joined into one mesh."""

    vertices: Float[ArrayLike, "*B V 3"]
    """World, metres, y up."""
    faces: Int[ArrayLike, "*B F 3"]
    """Counter-clockwise seen from outside; both sides are shown."""
    colors: Float[ArrayLike, "*B V 3"]
    """sRGB in [0, 1]."""
    normals: Float[ArrayLike, "*B F 3 3"] | None = None
    """Unit normals of each face's corners; None: those of the vertices, smooth everywhere."""
    textures: Textures | None = None
    """Images on the faces."""


def linear_from_srgb(color: Float[ArrayLike, "*B"]) -> Float[jax.Array, "*B"]:
    """Light intensity of a stored colour value (IEC 61966-2-1)."""
    color = jnp.asarray(color)
    return jnp.where(color <= 0.04045, color / 12.92, (jnp.maximum(color, 0.04045) + 0.055) ** 2.4 / 1.055**2.4)


def srgb_from_linear(light: Float[ArrayLike, "*B"]) -> Float[jax.Array, "*B"]:
    """Stored colour value of a light intensity (IEC 61966-2-1)."""
    light = jnp.asarray(light)
    return jnp.where(light <= 0.0031308, 12.92 * light, 1.055 * jnp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def corner_attributes(scene: Scene) -> Float[jax.Array, "C A"]:
    """Position, normal, linear colour and texture coordinate of every face corner."""
    vertices, faces = jnp.asarray(scene.vertices), jnp.asarray(scene.faces)
    dtype, corners = vertices.dtype, faces.reshape(-1)
    if scene.normals is None:
        normals = vertex_normals(vertices, faces)[corners]
    else:
        normals = jnp.asarray(scene.normals).astype(dtype).reshape(-1, 3)
    columns = [vertices[corners], normals, linear_from_srgb(scene.colors).astype(dtype)[corners]]
    if scene.textures is not None:
        columns.append(jnp.asarray(scene.textures.uv).astype(dtype).reshape(-1, 2))
    return jnp.concatenate(columns, axis=1)


def texture_colors(
    textures: Textures, face_id: Int[jax.Array, "H W"], uv: Float[jax.Array, "H W 2"]
) -> Float[jax.Array, "H W 3"]:
    """Linear texture colours of the pixels, white where there is no texture."""
    images, sizes = jnp.asarray(textures.images), jnp.asarray(textures.sizes)
    count, rows, columns = images.shape[:3]
    index = jnp.asarray(textures.index)[jnp.maximum(face_id, 0)]
    which = jnp.maximum(index, 0)
    stacked = linear_from_srgb(images).astype(uv.dtype).reshape(count * rows, columns, 3)
    size = sizes.astype(uv.dtype)[which]
    colors = sample_texture(stacked, uv, size=(size[..., 0], size[..., 1]), first_row=which * rows)
    return jnp.where((index >= 0)[..., None], colors, 1.0)
