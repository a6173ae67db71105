"""A differentiable rasterizer in pure JAX."""

from hoijax.render.adjacency import edge_neighbours
from hoijax.render.antialias import antialias
from hoijax.render.canonical import CanonicalPoints, CanonicalViews, render_canonical, render_canonical_points
from hoijax.render.fragments import Fragments
from hoijax.render.framing import frame_points, turntable
from hoijax.render.interpolate import interpolate
from hoijax.render.lift import (
    Lifted,
    PixelMap,
    lift,
    lift_points,
    pixel_map,
    project_labels,
    project_scores,
    vertex_visibility,
)
from hoijax.render.outline import blur_images, outline_mask
from hoijax.render.rasterize import rasterize
from hoijax.render.rigs import (
    CameraRig,
    interactvlm_body_rig,
    interactvlm_object_rig,
    interactvlm_rig,
    unit_extent,
    unit_sphere,
    vitruvian_rotations,
)
from hoijax.render.scene import Scene, Textures
from hoijax.render.shading import (
    Lights,
    Material,
    camera_center,
    depth_image,
    id_colors,
    id_image,
    mask_image,
    nocs_colors,
    normal_colors,
    over_background,
    phong,
)
from hoijax.render.shadows import ShadowMap, light_reaching, shadow_map
from hoijax.render.silhouette import soft_silhouette
from hoijax.render.splat import Splats, splat
from hoijax.render.studio import Picture, Studio, render_studio, sky_maps
from hoijax.render.texture import sample_texture

__all__ = [
    "CameraRig",
    "CanonicalPoints",
    "CanonicalViews",
    "Fragments",
    "Lifted",
    "Lights",
    "Material",
    "Picture",
    "PixelMap",
    "Scene",
    "ShadowMap",
    "Splats",
    "Studio",
    "Textures",
    "antialias",
    "blur_images",
    "camera_center",
    "depth_image",
    "edge_neighbours",
    "frame_points",
    "id_colors",
    "id_image",
    "interactvlm_body_rig",
    "interactvlm_object_rig",
    "interactvlm_rig",
    "interpolate",
    "lift",
    "lift_points",
    "light_reaching",
    "mask_image",
    "nocs_colors",
    "normal_colors",
    "outline_mask",
    "over_background",
    "phong",
    "pixel_map",
    "project_labels",
    "project_scores",
    "rasterize",
    "render_canonical",
    "render_canonical_points",
    "render_studio",
    "sample_texture",
    "shadow_map",
    "sky_maps",
    "soft_silhouette",
    "splat",
    "turntable",
    "unit_extent",
    "unit_sphere",
    "vertex_visibility",
    "vitruvian_rotations",
]
