"""Rotations, transforms, alignment, meshes, nearest neighbours, distances, winding numbers, signed distance grids."""

from hoijax.geometry.alignment import procrustes_rotation, umeyama
from hoijax.geometry.box import Box, bounding_box, box_corners, box_distance, clamp_to_box
from hoijax.geometry.closest_host import closest_on_mesh_host
from hoijax.geometry.mesh import (
    Mesh,
    face_areas,
    face_corners,
    face_normals,
    mesh_volume,
    surface_centroid,
    vertex_normals,
    voronoi_areas,
)
from hoijax.geometry.nearest import Chamfer, Nearest, chamfer, nearest, nearest_host
from hoijax.geometry.orientation import Patches, face_outward, position_ids, wind_consistently
from hoijax.geometry.plane_fit import FloorPlane, fit_floor
from hoijax.geometry.point_blocks import PointBlocks, nearest_in_blocks, point_blocks
from hoijax.geometry.quaternions import (
    axis_angle_from_quaternion,
    quaternion_from_axis_angle,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from hoijax.geometry.rotations import (
    axis_angle_from_rotation,
    random_rotation,
    rotation_angle,
    rotation_from_6d,
    rotation_from_6d_columns,
    rotation_from_axis_angle,
    sixd_columns_from_rotation,
    sixd_from_rotation,
)
from hoijax.geometry.safe import cross, dot, einsum, safe_divide, safe_norm, safe_normalize
from hoijax.geometry.sampling import SurfaceSamples, farthest_points, sample_surface, stratified_samples
from hoijax.geometry.sdf import SDFGrid, query_sdf
from hoijax.geometry.sdf_build import build_sdf
from hoijax.geometry.solid import SolidReport, build_solid_sdf, closed_and_outward
from hoijax.geometry.transforms import RigidPose, compose, inverse, transform_points
from hoijax.geometry.triangles import ClosestPoint, closest_on_mesh, closest_on_triangle, point_triangle_distance
from hoijax.geometry.up_axis import likely_up
from hoijax.geometry.winding import contains, solid_angle, winding_number
from hoijax.geometry.winding_host import winding_number_host

__all__ = [
    "Box",
    "Chamfer",
    "ClosestPoint",
    "FloorPlane",
    "Mesh",
    "Nearest",
    "Patches",
    "PointBlocks",
    "RigidPose",
    "SDFGrid",
    "SolidReport",
    "SurfaceSamples",
    "axis_angle_from_quaternion",
    "axis_angle_from_rotation",
    "bounding_box",
    "box_corners",
    "box_distance",
    "build_sdf",
    "build_solid_sdf",
    "chamfer",
    "clamp_to_box",
    "closed_and_outward",
    "closest_on_mesh",
    "closest_on_mesh_host",
    "closest_on_triangle",
    "compose",
    "contains",
    "cross",
    "dot",
    "einsum",
    "face_areas",
    "face_corners",
    "face_normals",
    "face_outward",
    "farthest_points",
    "fit_floor",
    "inverse",
    "likely_up",
    "mesh_volume",
    "nearest",
    "nearest_host",
    "nearest_in_blocks",
    "point_blocks",
    "point_triangle_distance",
    "position_ids",
    "procrustes_rotation",
    "quaternion_from_axis_angle",
    "quaternion_from_rotation",
    "query_sdf",
    "random_rotation",
    "rotation_angle",
    "rotation_from_6d",
    "rotation_from_6d_columns",
    "rotation_from_axis_angle",
    "rotation_from_quaternion",
    "safe_divide",
    "safe_norm",
    "safe_normalize",
    "sample_surface",
    "sixd_columns_from_rotation",
    "sixd_from_rotation",
    "solid_angle",
    "stratified_samples",
    "surface_centroid",
    "transform_points",
    "umeyama",
    "vertex_normals",
    "voronoi_areas",
    "wind_consistently",
    "winding_number",
    "winding_number_host",
]
