"""Software pictures of the body, for looking at what the builder made (PNG)."""

import numpy as np
from PIL import Image

from .surface import turn, vertex_normals, zbuffer

_KEY = np.array([0.5, 0.6, 0.65]) / np.linalg.norm([0.5, 0.6, 0.65])
_FILL = np.array([-0.8, 0.1, 0.4]) / np.linalg.norm([-0.8, 0.1, 0.4])


def picture(
    vertices,
    faces,
    azimuth=0.0,
    elevation=0.0,
    *,
    size=(640, 480),
    centre=None,
    scale=None,
    colors=None,
    wire=False,
    oversample=2,
):
    """Shaded orthographic picture (H, W, 3) uint8; back faces show magenta.

    Args:
      vertices: (V, 3) metres.
      faces: (F, 3).
      azimuth: degrees about y; 0 looks at the front.
      elevation: degrees; positive looks from above.
      size: height and width in pixels.
      centre: world point in the middle of the picture; default the middle of the bounding box.
      scale: pixels per metre; default fits the mesh.
      colors: (V, 3) or (F, 3) RGB in [0, 1].
      wire: draw the edges.
      oversample: supersampling factor.
    """
    height, width = size[0] * oversample, size[1] * oversample
    q = turn(vertices, azimuth, elevation)
    c = (q.min(0) + q.max(0)) / 2 if centre is None else turn(np.asarray(centre, float), azimuth, elevation)
    scale = 0.92 * min(width / np.ptp(q[:, 0]), height / np.ptp(q[:, 1])) if scale is None else scale * oversample
    xy = np.stack([width / 2 + (q[:, 0] - c[0]) * scale, height / 2 - (q[:, 1] - c[1]) * scale], axis=1)
    face, _, bary = zbuffer(xy, q[:, 2], faces, height, width)
    hit = face >= 0
    f, b = face[hit], bary[hit][:, :, None]
    normal = np.sum(vertex_normals(q, faces)[faces[f]] * b, axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    shade = 0.28 + 0.62 * np.clip(normal @ _KEY, 0, 1) + 0.25 * np.clip(normal @ _FILL, 0, 1)
    if colors is None:
        albedo = np.array([0.8, 0.71, 0.63])
    elif len(colors) == len(vertices):
        albedo = np.sum(np.asarray(colors)[faces[f]] * b, axis=1)
    else:
        albedo = np.asarray(colors)[f]
    rgb = albedo * np.minimum(shade, 1.12)[:, None]
    if wire:
        rgb = np.where((bary[hit].min(1) < 0.04)[:, None], rgb * 0.45, rgb)
    corner = q[faces[f]]
    facing = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 2]
    rgb = np.where((facing < 0)[:, None], np.array([0.9, 0.2, 0.9]), rgb)
    image = np.ones((height, width, 3))
    image[hit] = np.clip(rgb, 0, 1)
    image = image.reshape(size[0], oversample, size[1], oversample, 3).mean((1, 3))
    return (255 * image).astype(np.uint8)


def save_sheet(path, rows):
    """Writes a grid of equally high pictures per row."""
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)).save(path)
