"""Named sets of cameras, and InteractVLM's canonical views.

A rig is one `Camera` whose arrays have a leading axis of views; `jax.vmap` or `rig.camera(i)` takes it apart.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Float

from hoijax.camera import Camera

ArrayLike = jax.Array | np.ndarray

__all__ = [
    "CameraRig",
    "interactvlm_body_rig",
    "interactvlm_object_rig",
    "interactvlm_rig",
    "unit_extent",
    "unit_sphere",
    "vitruvian_rotations",
]

INTERACTVLM_BODY_VIEWS: dict[str, tuple[float, float, float, float, float]] = {
    "topfront": (2.0, 45.0, 315.0, 0.0, 0.0),
    "bottomfront": (2.0, 315.0, 315.0, 0.0, 0.3),
    "topback": (2.0, 45.0, 135.0, 0.0, 0.0),
    "bottomback": (2.0, 315.0, 135.0, 0.0, 0.3),
}
"""Distance, elevation and azimuth in degrees, shift in x and y, of InteractVLM's body views in network order."""

INTERACTVLM_OBJECT_VIEWS: dict[str, tuple[float, float, float, float, float]] = {
    "frontleft": (2.0, 45.0, 315.0, 0.0, 0.0),
    "frontright": (2.0, 45.0, 45.0, 0.0, 0.0),
    "backleft": (2.0, 330.0, 135.0, 0.0, 0.0),
    "backright": (2.0, 330.0, 225.0, 0.0, 0.0),
}
"""The same for objects; point clouds are seen from distance 2, meshes from 1.5."""


@struct.dataclass
class CameraRig:
    """Several named views of one thing."""

    cameras: Camera
    """`N` cameras: `intrinsics (N 3 3)`, `T_camera_world (N 4 4)`, one image size."""
    lights: Float[ArrayLike, "*B N 3"]
    """World position of the point light that goes with each view, metres."""
    parameters: Float[ArrayLike, "*B N 5"]
    """Distance (m), elevation (degrees), azimuth (degrees), shift x, shift y (m) of each view."""
    names: tuple[str, ...] = struct.field(pytree_node=False)
    """Names of the views, in the order of the leading axis."""

    def camera(self, view: int | str) -> Camera:
        """One view by its name or index.

        Raises:
          ValueError: the rig has no such view.
        """
        if isinstance(view, str):
            if view not in self.names:
                raise ValueError(f"the rig has no view '{view}'; its views are {', '.join(self.names)}")
            view = self.names.index(view)
        return jax.tree.map(lambda x: x[view], self.cameras)

    def network_vector(self) -> Float[jax.Array, "N 5"]:
        """The camera vector that InteractVLM's FeatLift takes, `[d/10, el/360, az/360, (x+1)/2, (y+1)/2]`."""
        p = jnp.asarray(self.parameters)
        columns = [p[:, 0] / 10.0, p[:, 1] / 360.0, p[:, 2] / 360.0, (p[:, 3] + 1.0) / 2.0, (p[:, 4] + 1.0) / 2.0]
        return jnp.stack(columns, axis=1)


def interactvlm_rig(
    parameters: Float[ArrayLike, "N 5"],
    names: Sequence[str],
    lights: Float[ArrayLike, "N 3"],
    image_size: int = 1024,
    fov: float = math.radians(60.0),
) -> CameraRig:
    """Cameras on a sphere about the world's origin, in InteractVLM's parameters.

    The camera's centre is `d (cos el sin az, sin el, cos el cos az)`; it looks at the origin with +y up, and the
    shift is then added in camera space, +x left and +y up in the image: the axes of PyTorch3D, in which the
    parameters were published. The cameras returned are OpenCV ones (x right, y down).

    Args:
      parameters: distance (m), elevation, azimuth (degrees), shift x, shift y (m) per view; elevations within a
        right angle of the horizon.
      names: one name per view.
      lights: position of each view's point light.
      image_size: side of the square image, pixels.
      fov: vertical field of view, radians; PyTorch3D's default of 60 degrees is InteractVLM's.

    Raises:
      ValueError: the number of names or lights differs from the number of views.
    """
    parameters, lights = jnp.asarray(parameters), jnp.asarray(lights)
    if len(names) != len(parameters) or len(lights) != len(parameters):
        raise ValueError(f"got {len(parameters)} views, but {len(names)} names and {len(lights)} lights")
    dtype = parameters.dtype
    distance, elevation, azimuth = parameters[:, 0], jnp.deg2rad(parameters[:, 1]), jnp.deg2rad(parameters[:, 2])
    forward = -jnp.stack(
        [jnp.cos(elevation) * jnp.sin(azimuth), jnp.sin(elevation), jnp.cos(elevation) * jnp.cos(azimuth)], axis=1
    )
    left = jnp.stack([-jnp.cos(azimuth), jnp.zeros_like(azimuth), jnp.sin(azimuth)], axis=1)  # unit of up x forward
    down = -jnp.cross(forward, left)
    rotation = jnp.stack([-left, down, forward], axis=1)
    # The centre lies on the viewing axis, so that only the shift is off it.
    translation = jnp.stack([-parameters[:, 3], -parameters[:, 4], distance], axis=1)
    top = jnp.concatenate([rotation, translation[:, :, None]], axis=2)
    last = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 0.0, 1.0], dtype), (len(names), 1, 4))
    half = image_size / 2
    focal = half / math.tan(fov / 2)
    intrinsics = jnp.asarray([[focal, 0.0, half], [0.0, focal, half], [0.0, 0.0, 1.0]], dtype)
    cameras = Camera(
        jnp.broadcast_to(intrinsics, (len(names), 3, 3)),
        jnp.concatenate([top, last], axis=1),
        (image_size, image_size),
    )
    return CameraRig(cameras, lights, parameters, tuple(names))


def interactvlm_body_rig(image_size: int = 1024, dtype: DTypeLike = jnp.float32) -> CameraRig:
    """The four views of the body: topfront, bottomfront, topback, bottomback.

    The body stands in the vitruvian pose (`vitruvian_rotations`) with its own origin at the world's. Each view is
    lit from its own side (the published scripts light the bottom views from behind).
    """
    views = INTERACTVLM_BODY_VIEWS
    sides = [3.0 if name.endswith("front") else -3.0 for name in views]
    lights = jnp.asarray([[0.0, 0.0, side] for side in sides], dtype)
    return interactvlm_rig(jnp.asarray(list(views.values()), dtype), list(views), lights, image_size)


def interactvlm_object_rig(image_size: int = 1024, distance: float = 1.5, dtype: DTypeLike = jnp.float32) -> CameraRig:
    """The four views of the object: frontleft, frontright, backleft, backright.

    Args:
      image_size: side of the square image, pixels.
      distance: 1.5 for meshes brought to `unit_extent`, 2 for point clouds brought to `unit_sphere`.
      dtype: of the cameras.
    """
    views = INTERACTVLM_OBJECT_VIEWS
    sides = [3.0 if name.startswith("front") else -3.0 for name in views]
    lights = jnp.asarray([[0.0, 0.0, side] for side in sides], dtype)
    parameters = np.asarray(list(views.values()))
    parameters[:, 0] = distance
    return interactvlm_rig(jnp.asarray(parameters, dtype), list(views), lights, image_size)


def vitruvian_rotations(num_joints: int = 52, dtype: DTypeLike = jnp.float32) -> Float[jax.Array, "J 3 3"]:
    """Joint rotations of InteractVLM's canonical body: arms of the rest pose, each leg spread by 30 degrees.

    Args:
      num_joints: of the body model; joints 1 and 2 must be the left and the right hip, as in SMPL and its kin.
      dtype: of the rotations.
    """
    cosine, sine = math.cos(math.pi / 6), math.sin(math.pi / 6)
    left = [[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]
    right = [[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]]
    rotations = np.broadcast_to(np.eye(3), (num_joints, 3, 3)).copy()
    rotations[1], rotations[2] = left, right
    return jnp.asarray(rotations, dtype)


def unit_extent(vertices: Float[ArrayLike, "V 3"]) -> Float[jax.Array, "V 3"]:
    """A mesh as InteractVLM shows it: vertex mean at the origin, longest side of the box 1."""
    vertices = jnp.asarray(vertices)
    extent = jnp.max(jnp.max(vertices, axis=0) - jnp.min(vertices, axis=0))
    return (vertices - jnp.mean(vertices, axis=0)[None]) / extent


def unit_sphere(points: Float[ArrayLike, "N 3"]) -> Float[jax.Array, "N 3"]:
    """A point cloud as InteractVLM shows it: mean at the origin, farthest point at distance 1."""
    points = jnp.asarray(points)
    centred = points - jnp.mean(points, axis=0)[None]
    return centred / jnp.sqrt(jnp.max(jnp.sum(centred * centred, axis=1)))
