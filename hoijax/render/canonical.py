"""The images that InteractVLM's localisation network sees: canonical views of a body or an object, plainly shaded."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.geometry.mesh import vertex_normals
from hoijax.render.fragments import Fragments
from hoijax.render.interpolate import interpolate
from hoijax.render.rasterize import rasterize
from hoijax.render.rigs import CameraRig
from hoijax.render.shading import Lights, Material, camera_center, nocs_colors, normal_colors, over_background, phong
from hoijax.render.splat import splat

ArrayLike = jax.Array | np.ndarray

__all__ = ["CanonicalPoints", "CanonicalViews", "render_canonical", "render_canonical_points"]


@struct.dataclass
class CanonicalViews:
    """Images of all views of a rig and what their pixels show."""

    images: Float[ArrayLike, "*B N H W 3"]
    """Colours in [0, 1], white background. The published 8-bit images are `floor(255 x)`."""
    fragments: Fragments
    """Of all views, for `lift` and `project_labels`. The valid region of the masks is `fragments.mask`."""


def render_canonical(
    vertices: Float[ArrayLike, "V 3"],
    faces: Int[ArrayLike, "F 3"],
    rig: CameraRig,
    colors: Float[ArrayLike, "V 3"] | None = None,
) -> CanonicalViews:
    """Renders every view of a rig with one point light per view, as InteractVLM does.

    Per-pixel Phong with ambient 0.5, diffuse 0.3, specular 0.2 and exponent 64 on interpolated vertex normals: the
    defaults of PyTorch3D, which the published images were made with.

    Args:
      vertices: a body in the canonical pose (`vitruvian_rotations`) with `interactvlm_body_rig`, or an object brought
        to `unit_extent` with `interactvlm_object_rig`.
      faces: of the mesh.
      rig: views and lights.
      colors: of the vertices; None: their normals as colours, as for bodies. Objects take `nocs_colors(vertices)`.
    """
    vertices, faces = jnp.asarray(vertices), jnp.asarray(faces)
    dtype = vertices.dtype
    normals = vertex_normals(vertices, faces)
    colors = normal_colors(normals) if colors is None else jnp.asarray(colors).astype(dtype)
    attributes = jnp.concatenate([vertices, normals, colors], axis=1)
    material, ones = Material(diffuse=0.3, specular=0.2, shininess=64), jnp.ones((3,), dtype)
    cameras = jax.tree.map(lambda x: x.astype(dtype), rig.cameras)
    fragments = jax.vmap(lambda camera: rasterize(vertices, faces, camera))(cameras)

    def shade(view: tuple) -> jax.Array:
        """One image."""
        fragments, camera, position = view
        values = interpolate(fragments, faces, attributes)
        points, normals, colors = values[..., :3], values[..., 3:6], values[..., 6:]
        lights = Lights(position[None], ones[None], 0.5 * ones, 0.5 * ones)
        image = phong(points, normals, colors, camera_center(camera), lights, material)
        return over_background(jnp.clip(image, 0.0, 1.0), fragments.mask, 1.0)

    images = jax.lax.map(shade, (fragments, cameras, jnp.asarray(rig.lights).astype(dtype)))
    return CanonicalViews(images, fragments)


@struct.dataclass
class CanonicalPoints:
    """Images of a point cloud and the point that each pixel belongs to."""

    images: Float[ArrayLike, "*B N H W 3"]
    """Colours in [0, 1], white background."""
    point_id: Int[ArrayLike, "*B N H W"]
    """The nearest point in each pixel, -1 for none; for `lift_points`."""


def render_canonical_points(
    points: Float[ArrayLike, "P 3"],
    rig: CameraRig,
    colors: Float[ArrayLike, "P 3"] | None = None,
    *,
    radius: float = 0.05,
    layers: int = 10,
) -> CanonicalPoints:
    """Renders a point cloud as InteractVLM does for affordances: unlit discs, the nearest ten blended over white.

    Args:
      points: a cloud brought to `unit_sphere`, with `interactvlm_object_rig(distance=2.0)`.
      rig: the views.
      colors: of the points; None: `nocs_colors(points)`.
      radius: of a disc, in half image sides (0.05 in the paper; the LEMON scripts have 0.03, at distance 1.5).
      layers: discs blended per pixel.
    """
    points = jnp.asarray(points)
    dtype = points.dtype
    colors = nocs_colors(points) if colors is None else jnp.asarray(colors).astype(dtype)
    pixels = radius * rig.cameras.image_size[0] / 2
    cameras = jax.tree.map(lambda x: x.astype(dtype), rig.cameras)
    splats = jax.vmap(lambda camera: splat(points, colors, camera, radius=pixels, layers=layers))(cameras)
    return CanonicalPoints(splats.image + (1.0 - splats.alpha)[..., None], splats.point_id[..., 0])
