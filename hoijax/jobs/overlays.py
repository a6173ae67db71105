"""A reconstruction drawn over its picture, and how well its outlines agree with the masks."""

import functools
import io
import pathlib

import jax
import numpy as np
from PIL import Image

from hoijax.camera import Camera
from hoijax.io import write_bytes
from hoijax.render import rasterize

SIZE = 384
"""Pixels of a side of the crop that is drawn."""
_COLORS = np.array([[0.45, 0.62, 0.90], [0.95, 0.70, 0.30]])  # body, object
_OPACITY = 0.75
_LIGHT = np.array([-0.4, -0.7, -0.6]) / np.linalg.norm([-0.4, -0.7, -0.6])
"""Where the light comes from, camera frame."""


@functools.partial(jax.jit, static_argnums=3)
def _visible_faces(vertices: jax.Array, faces: jax.Array, intrinsics: jax.Array, size: int) -> jax.Array:
    """The face that each pixel of a crop sees, -1 for none."""
    pose = jax.numpy.eye(4, dtype=vertices.dtype)
    return rasterize(vertices, faces, Camera(intrinsics, pose, (size, size))).face_id


def crop_intrinsics(focal: float, size: int) -> np.ndarray:
    """Of the regressor's camera on a crop of `size` pixels (3, 3), float32; `focal` belongs to 256 pixels."""
    return np.array([[focal * size / 256, 0, size / 2], [0, focal * size / 256, size / 2], [0, 0, 1]], np.float32)


def draw_crop(
    body: tuple[np.ndarray, np.ndarray], obj: tuple[np.ndarray, np.ndarray], focal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draws body and object on the crop.

    Args:
      body: vertices (V, 3) in the crop's camera, metres, and faces.
      obj: likewise.
      focal: of the regressor's camera.

    Returns:
      As `draw_view`.
    """
    return draw_view(body, obj, crop_intrinsics(focal, SIZE))


def draw_view(
    body: tuple[np.ndarray, np.ndarray], obj: tuple[np.ndarray, np.ndarray], intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draws body and object as a camera sees them.

    Args:
      body: vertices (V, 3) in the camera's frame, metres, and faces.
      obj: likewise.
      intrinsics: (3, 3), of a picture of `SIZE` pixels a side.

    Returns:
      Label of each pixel (S, S): -1 nothing, 0 body, 1 object; and colours (S, S, 4) uint8 with alpha.
    """
    vertices = np.concatenate([body[0], obj[0]]).astype(np.float32)
    faces = np.concatenate([body[1], obj[1] + len(body[0])]).astype(np.int32)
    face = np.asarray(_visible_faces(vertices, faces, np.asarray(intrinsics, np.float32), SIZE))
    seen = face >= 0
    label = np.where(seen, (face >= len(body[1])).astype(int), -1)
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    normals *= -np.sign(normals[:, 2:] + 1e-9)  # towards the camera
    shade = 0.35 + 0.65 * np.clip(normals @ _LIGHT, 0, 1)
    picture = np.zeros((SIZE, SIZE, 4))
    picture[seen, :3] = (_COLORS[label[seen]] * shade[face[seen], None]).clip(0, 1)
    picture[seen, 3] = _OPACITY
    return label, np.round(255 * picture).astype(np.uint8)


def write_overlay(path: pathlib.Path, image: np.ndarray, drawn: np.ndarray, low: np.ndarray, side: float) -> None:
    """Lays a drawn crop over its picture and writes a PNG.

    Args:
      path: of the PNG.
      image: (H, W, 3) uint8.
      drawn: of `draw_crop`.
      low: upper left corner of the crop in the picture (x, y), pixels.
      side: of the crop, pixels.
    """
    zoom = drawn.shape[0] / side
    affine = (zoom, 0.0, -float(low[0]) * zoom, 0.0, zoom, -float(low[1]) * zoom)
    layer = Image.fromarray(drawn).transform(
        (image.shape[1], image.shape[0]), Image.Transform.AFFINE, affine, resample=Image.Resampling.BILINEAR
    )
    whole = Image.alpha_composite(Image.fromarray(image).convert("RGBA"), layer).convert("RGB")
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def mask_agreement(label: np.ndarray, human: np.ndarray, obj: np.ndarray) -> dict[str, float | None]:
    """Intersection over union of what is drawn and the masks on the crop, both (S, S); None where nothing is masked."""

    def ratio(drawn: np.ndarray, mask: np.ndarray) -> float | None:
        union = (drawn | mask).sum()
        return float((drawn & mask).sum() / union) if mask.any() else None

    return {"body": ratio(label == 0, human), "object": ratio(label == 1, obj)}
