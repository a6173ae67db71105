"""Views around a surface: eight cameras on a ring, pictures and depth, and the files of the stage `render`.

The surface is brought to the unit cube: longest side 1, middle of the box at the origin, y up. View i stands at azimuth
i / N of a turn, from +z towards +x, at distance 2 and the surface's middle height, with a field of view of 40 degrees.
`transforms.json` says the same as the release: camera to world with OpenGL's axes (y up, z backward) in a world that
has z up, depth range, offset and scale.
"""

import dataclasses
import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from hoijax.camera import Camera, intrinsics_from_fov, look_at, project, unproject
from hoijax.errors import InputError
from hoijax.geometry import Mesh, vertex_normals
from hoijax.io import output_directory, read_json, write_json
from hoijax.io.reading import PathLike, shown
from hoijax.render import interpolate, rasterize
from hoijax.systems.hoi3dgen.layout import read_depth, read_picture, write_depth, write_picture
from hoijax.viz.scene import NamedMesh

DISTANCE, FOV = 2.0, math.radians(40.0)
"""From the middle of the unit cube, and of the whole picture."""
DEPTH_RANGE = (DISTANCE - math.sqrt(3) / 2, DISTANCE + math.sqrt(3) / 2)
"""Depths that a unit cube can have, which the depth pictures span."""
_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # y up to z up
_FLIP = np.diag([1.0, -1.0, -1.0])  # camera axes of OpenCV and OpenGL
_LIGHT = 0.45  # how much of a colour is shaded; enough to see the shape, little enough to keep the colour


@dataclasses.dataclass(frozen=True)
class UnitFrame:
    """Where the unit cube is: a point p of the surface is at `scale * (p - center)`."""

    center: Float[np.ndarray, "3"]
    scale: float

    def apply(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Points of the surface in the unit cube."""
        return ((np.asarray(points, np.float64) - self.center) * self.scale).astype(np.float32)

    def undo(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Points of the unit cube in the surface's own frame."""
        return (np.asarray(points, np.float64) / self.scale + self.center).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class SurfaceViews:
    """What a ring of cameras sees of a surface."""

    images: UInt8[np.ndarray, "N H W 3"]
    """White where nothing is seen."""
    depth: Float[np.ndarray, "N H W"]
    """Camera z in the unit cube's unit, infinite where nothing is seen."""
    cameras: Camera
    """With a leading axis N; world is the unit cube."""
    frame: UnitFrame
    """Where the unit cube is."""
    face_id: Int[np.ndarray, "N H W"] | None = None
    """The face that each pixel sees, -1 for none; None for views that were read from files."""


def unit_frame(vertices: Float[np.ndarray, "V 3"]) -> UnitFrame:
    """The frame in which a surface has a longest side of 1.

    Raises:
      InputError: it has no extent, or is not finite.
    """
    vertices = np.asarray(vertices, np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    side = float((high - low).max())
    if not np.isfinite(side) or side <= 0:
        raise InputError(f"the surface's longest side is {side:g}; wanted finite vertices that do not coincide")
    return UnitFrame((low + high) / 2, 1.0 / side)


def ring_cameras(count: int = 8, size: int = 512, elevations: tuple[float, ...] = (0.0,)) -> Camera:
    """Cameras around the unit cube, leading axis `count * len(elevations)`.

    Args:
      count: azimuths.
      size: side of the pictures, pixels.
      elevations: of each ring, degrees above the horizon, short of 90.
    """
    azimuth, height = (x.reshape(-1) for x in np.meshgrid(2 * np.pi * np.arange(count) / count, np.radians(elevations)))
    away = np.stack([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)], axis=-1)
    pose = look_at(np.float32(DISTANCE * away), np.zeros((len(away), 3), np.float32))
    matrix = np.broadcast_to(np.asarray(intrinsics_from_fov(FOV, (size, size)), np.float32), (len(away), 3, 3))
    return Camera(np.asarray(matrix), np.asarray(pose), (size, size))


def camera_at(cameras: Camera, view: int) -> Camera:
    """One of several cameras."""
    return Camera(np.asarray(cameras.intrinsics)[view], np.asarray(cameras.T_camera_world)[view], cameras.image_size)


def render_surface(
    surface: NamedMesh, *, count: int = 8, size: int = 512, elevations: tuple[float, ...] = (0.0,)
) -> SurfaceViews:
    """Pictures and depth of a surface from a ring of cameras.

    Args:
      surface: y up, any unit; without colours it is grey.
      count: views around it.
      size: side of the pictures, pixels.
      elevations: of further rings, degrees; the paper has one, level.

    Raises:
      InputError: a surface of no extent.
    """
    frame = unit_frame(surface.vertices[surface.faces].reshape(-1, 3))
    cameras = ring_cameras(count, size, elevations)
    colors = np.full(surface.vertices.shape, 0.7, np.float32)
    if surface.colors is not None:
        colors = np.array(np.broadcast_to(surface.colors, colors.shape), np.float32)
    vertices, faces, colors = padded(frame.apply(surface.vertices), surface.faces, colors)
    normals = _normals(vertices, faces)
    seen = [_view(vertices, faces, colors, normals, camera_at(cameras, i)) for i in range(len(cameras.intrinsics))]
    image, depth, face = (np.stack([np.asarray(view[k]) for view in seen]) for k in range(3))
    return SurfaceViews(image, depth, cameras, frame, face)


def padded(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], colors: Float[np.ndarray, "V 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of rounded-up sizes, so that surfaces of about one size share a program; the new faces have no area."""

    def size(count: int) -> int:
        """The next power of two, or three quarters of it."""
        power = 1 << max(10, (count - 1).bit_length())
        return power * 3 // 4 if count <= power * 3 // 4 else power

    more, extra = size(len(vertices)) - len(vertices), size(len(faces)) - len(faces)
    return (
        np.pad(vertices, ((0, more), (0, 0)), mode="edge").astype(np.float32),
        np.pad(faces, ((0, extra), (0, 0))).astype(np.int32),
        np.pad(colors, ((0, more), (0, 0)), mode="edge").astype(np.float32),
    )


@jax.jit
def _normals(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return vertex_normals(vertices, faces)


@jax.jit
def _view(
    vertices: jax.Array, faces: jax.Array, colors: jax.Array, normals: jax.Array, camera: Camera
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Picture, depth and faces of one camera."""
    fragments = rasterize(vertices, faces, camera)
    values = interpolate(fragments, faces, jnp.concatenate([colors, normals], axis=1))
    toward = jnp.abs(jnp.einsum("hwc,c->hw", values[..., 3:], camera.T_camera_world[2, :3], precision="highest"))
    color = values[..., :3] * (1 - _LIGHT + _LIGHT * jnp.clip(toward, 0, 1))[..., None]
    color = jnp.where(fragments.mask[..., None], jnp.clip(color, 0, 1), 1.0)
    return jnp.round(255 * color).astype(jnp.uint8), fragments.depth, fragments.face_id


def write_views(folder: PathLike, views: SurfaceViews) -> None:
    """Writes the stage `render`: pictures, depth pictures, and at last `transforms.json`."""
    folder = output_directory(folder)
    frames = []
    for i, (image, depth) in enumerate(zip(views.images, views.depth)):
        write_picture(folder / f"{i:03d}.png", image)
        write_depth(folder / f"{i:03d}_depth.png", depth, DEPTH_RANGE)
        pose = np.asarray(views.cameras.T_camera_world[i], np.float64)
        matrix = np.eye(4)
        matrix[:3, :3] = _UP @ pose[:3, :3].T @ _FLIP
        matrix[:3, 3] = -_UP @ pose[:3, :3].T @ pose[:3, 3]
        frames.append({"file_path": f"{i:03d}.png", "depth_path": f"{i:03d}_depth.png", "transform_matrix": matrix})
    focal = float(np.asarray(views.cameras.intrinsics)[0, 0, 0])
    record = {
        "camera_angle_x": 2 * math.atan(views.cameras.image_size[1] / (2 * focal)),
        "depth_range": DEPTH_RANGE,
        "offset": _UP @ views.frame.center,
        "scale": views.frame.scale,
        "frames": frames,
    }
    write_json(folder / "transforms.json", record)


def read_views(folder: PathLike) -> SurfaceViews:
    """Reads the stage `render`, ours or another program's of the same layout.

    Raises:
      InputError: a file is missing or damaged, or the pictures differ in size.
    """
    folder = pathlib.Path(folder)
    path = folder / "transforms.json"
    record = read_json(path)
    try:
        near, far = (float(x) for x in record.get("depth_range", DEPTH_RANGE))
        offset, scale = np.array(record["offset"], np.float64).reshape(3), float(record["scale"])
        angle = float(record["camera_angle_x"])
        frames = [
            (pathlib.PurePath(f["file_path"]).name, pathlib.PurePath(f["depth_path"]).name,
             np.array(f["transform_matrix"], np.float64).reshape(4, 4))
            for f in record["frames"]
        ]  # fmt: skip
        numbers = np.concatenate([[near, far, scale, angle], offset, *(m.reshape(-1) for _, _, m in frames)])
        if not frames or not np.isfinite(numbers).all() or not (0 < near < far and scale > 0 and 0 < angle < math.pi):
            raise ValueError("numbers out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{shown(path)} does not say what is needed ({type(error).__name__}: {error}); wanted camera_angle_x, "
            "offset, scale and frames with file_path, depth_path and transform_matrix"
        ) from error
    images = [read_picture(folder / name)[..., :3] for name, _, _ in frames]
    depth = [read_depth(folder / name, (near, far)) for _, name, _ in frames]
    shapes = {x.shape[:2] for x in (*images, *depth)}
    if len(shapes) > 1:
        raise InputError(f"the pictures in {shown(folder)} have several sizes: {sorted(shapes)}")
    height, width = shapes.pop()
    focal = width / (2 * math.tan(angle / 2))
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    for pose, (_, _, matrix) in zip(poses, frames):
        pose[:3, :3] = (_UP.T @ matrix[:3, :3] @ _FLIP).T
        pose[:3, 3] = -pose[:3, :3] @ _UP.T @ matrix[:3, 3]
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    cameras = Camera(np.repeat(intrinsics[None], len(frames), axis=0), poses.astype(np.float32), (height, width))
    return SurfaceViews(np.stack(images), np.stack(depth), cameras, UnitFrame(_UP.T @ offset, scale))


def front_view(facing: Float[np.ndarray, "3"], count: int = 8) -> int:
    """The view of a ring that looks at a body's front.

    Args:
      facing: where the body looks, the surface's frame; its height does not matter.
      count: views of the ring.

    Raises:
      InputError: straight up, down, or nowhere.
    """
    x, _, z = (float(value) for value in facing)
    if not math.isfinite(x + z) or math.hypot(x, z) < 1e-6:
        raise InputError(f"a body that faces {tuple(facing)} has no front view: wanted a direction along the ground")
    return round(math.atan2(x, z) / (2 * math.pi / count)) % count


def unproject_view(views: SurfaceViews, view: int, chosen: np.ndarray) -> Float[np.ndarray, "P 3"]:
    """Points of the unit cube that chosen pixels (H, W) of a view see."""
    rows, columns = np.nonzero(chosen & np.isfinite(views.depth[view]))
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=1).astype(np.float32)
    return np.asarray(unproject(camera_at(views.cameras, view), pixels, views.depth[view][rows, columns]))


@functools.partial(jax.jit, static_argnames="tolerance")
def visible_pixels(
    vertices: jax.Array, normals: jax.Array, depth: jax.Array, camera: Camera, tolerance: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Row and column of the pixel that each vertex falls on, and how well a view sees it: the cosine between normal and
    line of sight, zero where it is hidden, turned away, or outside of the picture."""
    place, z = project(camera, vertices)
    height, width = camera.image_size
    column, row = (jnp.floor(place[:, k]).astype(jnp.int32) for k in (0, 1))
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (z > 0)
    row, column = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
    eye = -jnp.matmul(camera.T_camera_world[:3, :3].T, camera.T_camera_world[:3, 3], precision="highest")
    toward = eye[None] - vertices
    toward = toward / jnp.linalg.norm(toward, axis=1, keepdims=True)
    cosine = jnp.clip(jnp.sum(toward * normals, axis=1), 0, 1)
    seen = within & (jnp.abs(z - depth[row, column]) < tolerance)
    return row, column, jnp.where(seen, cosine, 0.0)


def surface_normals(mesh: Mesh) -> Float[np.ndarray, "V 3"]:
    """Unit normals of a host mesh's vertices."""
    vertices, faces, _ = padded(np.asarray(mesh.vertices), np.asarray(mesh.faces), np.asarray(mesh.vertices))
    return np.asarray(_normals(vertices, faces))[: len(mesh.vertices)]
