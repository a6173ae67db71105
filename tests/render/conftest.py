"""Meshes, cameras and a brute-force float64 rasterizer in NumPy that shares no formula with the library's."""

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.camera import Camera


def pinhole(image_size, focal=None, dtype=np.float32, pose=None):
    """A camera at the origin looking along +z, principal point off-centre by a third of a pixel."""
    height, width = image_size
    focal = focal or 0.9 * max(height, width)
    intrinsics = np.array([[focal, 0, width / 2 + 0.3], [0, 1.1 * focal, height / 2 - 0.2], [0, 0, 1]])
    pose = np.eye(4) if pose is None else pose
    return Camera(jnp.asarray(intrinsics, dtype), jnp.asarray(pose, dtype), image_size)


def pixel_camera(image_size, dtype=np.float32):
    """A camera for vertices (z x, z y, z), whose pixel coordinates are x and y without rounding."""
    return Camera(jnp.eye(3, dtype=dtype), jnp.eye(4, dtype=dtype), image_size)


def blob(subdivisions=3, seed=0, roughness=0.25, centre=(0.0, 0.0, 3.0), dtype=np.float32):
    """A closed, bumpy, star-shaped mesh of radius about one; 20 * 4^subdivisions faces, normals outwards."""
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    directions = np.random.default_rng(seed).normal(size=(6, 3))
    waves = np.sin(2.3 * sphere.vertices @ directions.T + np.arange(6)).sum(1, keepdims=True)
    vertices = sphere.vertices * (1 + roughness * waves / 6) + np.asarray(centre)
    return vertices.astype(dtype), sphere.faces.astype(np.int32)


def clip_polygon(polygon, near):
    """Sutherland-Hodgman against z = near."""
    kept = []
    for p, q in zip(polygon, np.roll(polygon, -1, axis=0)):
        if p[2] > near:
            kept.append(p)
        if (p[2] > near) != (q[2] > near):
            kept.append(p + (near - p[2]) / (q[2] - p[2]) * (q - p))
    return np.array(kept)


def segment_distance(px, py, a, b):
    """Distance of pixel centres from the segment ab."""
    d = b - a
    t = np.clip(((px - a[0]) * d[0] + (py - a[1]) * d[1]) / max(d @ d, 1e-300), 0, 1)
    return np.hypot(px - a[0] - t * d[0], py - a[1] - t * d[1])


def reference_raster(vertices, faces, camera, near=0.01, cull="none"):
    """Every face against every pixel of its box, in float64 pixel coordinates after polygon clipping.

    Returns ids, depths, barycentrics (from a 3x3 solve per pixel), the change of depth per pixel, and the mask of
    pixels whose answer is not certain: an edge within 1e-4 px of the centre, or two depths within 1e-5 of each other.
    """
    height, width = camera.image_size
    k = np.asarray(camera.intrinsics, np.float64)
    pose = np.asarray(camera.T_camera_world, np.float64)
    local = np.asarray(vertices, np.float64) @ pose[:3, :3].T + pose[:3, 3]
    ids, depth, second = (
        np.full((height, width), -1),
        np.full((height, width), np.inf),
        np.full((height, width), np.inf),
    )
    edge, slope = np.full((height, width), np.inf), np.zeros((height, width))
    for index, face in enumerate(np.asarray(faces)):
        corners = local[face]
        if not np.isfinite(corners).all():
            continue
        polygon = clip_polygon(corners, near)
        if len(polygon) < 3:
            continue
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        seen_from_front = normal @ corners[0] < 0
        if (cull == "back" and not seen_from_front) or (cull == "front" and seen_from_front):
            continue
        pixels = (polygon @ k.T)[:, :2] / polygon[:, 2:]
        low, high = pixels.min(0) - 1, pixels.max(0) + 1
        c0, r0 = max(int(np.floor(low[0])), 0), max(int(np.floor(low[1])), 0)
        c1, r1 = min(int(np.ceil(high[0])), width), min(int(np.ceil(high[1])), height)
        if c1 <= c0 or r1 <= r0:
            continue
        px, py = np.arange(c0, c1)[None] + 0.5, np.arange(r0, r1)[:, None] + 0.5
        area = sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(pixels, np.roll(pixels, -1, axis=0)))
        if area == 0:
            continue
        ring = pixels if area > 0 else pixels[::-1]
        inside = np.ones((r1 - r0, c1 - c0), bool)
        window = np.s_[r0:r1, c0:c1]
        for p, q in zip(ring, np.roll(ring, -1, axis=0)):
            d = q - p
            side = d[0] * (py - p[1]) - d[1] * (px - p[0])
            top_or_left = d[1] < 0 or (d[1] == 0 and d[0] > 0)
            inside &= (side > 0) | ((side == 0) & top_or_left)
            edge[window] = np.minimum(edge[window], segment_distance(px, py, p, q))
        # Depth where the pixel's ray meets the face's plane.
        rays = np.stack(np.broadcast_arrays(px, py, 1.0), -1) @ np.linalg.inv(k).T
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(inside, (normal @ corners[0]) / (rays @ normal), np.inf)
            dz = np.where(
                inside, np.abs(z) * np.linalg.norm(normal[:2] @ np.linalg.inv(k)[:2, :2]) / np.abs(rays @ normal), 0
            )
        closer = z < depth[window]
        slope[window] = np.where(closer, dz, slope[window])
        second[window] = np.where(closer, depth[window], np.minimum(second[window], z))
        ids[window] = np.where(closer, index, ids[window])
        depth[window] = np.where(closer, z, depth[window])
    bary = np.zeros((height, width, 3))
    for r, c in zip(*np.nonzero(ids >= 0)):
        point = np.linalg.inv(k) @ [c + 0.5, r + 0.5, 1] * depth[r, c]
        bary[r, c] = np.linalg.lstsq(local[faces[ids[r, c]]].T, point, rcond=None)[0]
    with np.errstate(invalid="ignore"):
        doubtful = (edge < 1e-4) | ((ids >= 0) & (second - depth < 1e-5 * depth))
    return ids, depth, bary, slope, doubtful


@pytest.fixture(scope="session")
def reference():
    return reference_raster


@pytest.fixture(scope="session")
def make_blob():
    return blob


@pytest.fixture(scope="session")
def make_camera():
    return pinhole


@pytest.fixture(scope="session")
def make_pixel_camera():
    return pixel_camera
