"""What one depth camera sees of a room without its person: a picture, noise, then points and normals."""

import dataclasses

import numpy as np

from hoijax.experiments.graft.furniture import Solid, cast_mesh
from hoijax.geometry import RigidPose
from hoijax.systems.graft import normals_of_point_map

NOISE, WARP, DROPOUT = 0.003, 0.02, 0.2
"""Errors of the noisiest depth map (specs/graft.md section 13): of a pixel and of a smooth warp, shares of the depth,
and the share of pixels that are missing."""
OPENING = (45.0, 75.0)
"""Horizontal opening angle of the cameras, degrees."""
_NEAREST = 0.05
"""Surfaces nearer than this are not seen, metres."""


@dataclasses.dataclass(frozen=True)
class Flat:
    """A rectangle, or the ellipse inside it."""

    corner: np.ndarray
    a: np.ndarray
    """One side, metres."""
    b: np.ndarray
    """The other, at right angles."""
    ellipse: bool = False


@dataclasses.dataclass(frozen=True)
class Side:
    """The side of an upright elliptic cylinder."""

    middle: np.ndarray
    """Of its foot."""
    size: np.ndarray
    """Half axes along x and z, and the height between them: (a, height, b)."""


Shape = Flat | Side | Solid


def cast(shapes: list[Shape], eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """How far along each ray the first of some surfaces is; infinite where there is none.

    Args:
      shapes: the surfaces, seen from both sides.
      eye: where all rays begin.
      rays: directions (P, 3) of any length; distances count in it.

    Returns:
      (P,) float32.
    """
    rays = np.asarray(rays, np.float32)
    nearest = np.full(len(rays), np.inf, np.float32)
    flats = [shape for shape in shapes if isinstance(shape, Flat)]
    with np.errstate(divide="ignore", invalid="ignore"):
        if flats:
            corner, a, b = (np.stack([getattr(f, name) for f in flats]).astype(float) for name in ("corner", "a", "b"))
            across, away = np.cross(a, b), np.asarray(eye, float) - corner
            # Coordinates along the sides, from 0 to 1 inside.
            a, b = (x / np.sum(x * x, axis=1, keepdims=True) for x in (a, b))
            slope, start = (
                [np.float32(y) for y in (f(across), f(a), f(b))]
                for f in (lambda x: rays @ x.T.astype(np.float32), lambda x: np.sum(x * away, axis=1))
            )
            t = -start[0] / slope[0]
            u, v = (start[k] + t * slope[k] for k in (1, 2))
            inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
            round_ones = np.array([f.ellipse for f in flats])
            if round_ones.any():
                inside &= ~round_ones | ((u - 0.5) ** 2 + (v - 0.5) ** 2 <= 0.25)
            nearest = np.where(inside & (t > _NEAREST), t, np.inf).min(axis=1)
        for shape in shapes:
            if isinstance(shape, Side):
                nearest = np.minimum(nearest, _cast_side(shape, np.asarray(eye, float), rays))
            elif isinstance(shape, Solid):
                nearest = np.minimum(nearest, cast_mesh(shape.vertices, shape.faces, eye, rays))
    return nearest.astype(np.float32)


def _cast_side(side: Side, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The nearer of two intersections where it is on the cylinder, else the farther one."""
    start, slope = ((x / side.size)[..., [0, 2]] for x in (eye - side.middle, rays))
    square, half = np.sum(slope**2, axis=-1), slope @ start
    root = np.sqrt(half**2 - square * (start @ start - 1))
    distance = np.full(len(rays), np.inf)
    for t in ((-half + root) / square, (-half - root) / square):
        height = eye[1] - side.middle[1] + t * rays[:, 1]
        distance = np.where((t > _NEAREST) & (height >= 0) & (height <= side.size[1]), t, distance)
    return distance


def one_view(
    rng: np.random.Generator, shapes: list[Shape], camera: RigidPose, middle: np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a depth map of simple shapes, as `hoijax refine --scene depth.npz` would take them from a file.

    A picture of twice as many pixels as points; its errors are those of `noisy_points`.

    Args:
      rng: source of chance.
      shapes: the room, in the world.
      camera: world to camera.
      middle: of the person, in the world.
      points: most points; fewer if the room does not fill the picture.

    Returns:
      Points and unit normals (P, 3), camera frame, float32.
    """
    rotation, translation = np.asarray(camera.rotation, float), np.asarray(camera.translation, float)
    rows, columns, focal = _picture(rng, points)
    x, y = np.meshgrid(np.arange(columns) + 0.5 - columns / 2, np.arange(rows) + 0.5 - rows / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], axis=-1).astype(np.float32)
    depth = cast(shapes, -translation @ rotation, rays.reshape(-1, 3) @ rotation.astype(np.float32))
    depth = depth.reshape(rows, columns)
    point_map = rays * np.where(np.isfinite(depth), depth, np.nan)[..., None]
    place = rotation @ middle + translation
    return noisy_points(rng, point_map, focal * place[:2] / place[2] + [columns / 2, rows / 2], points)


def one_view_of_cloud(
    rng: np.random.Generator, cloud: np.ndarray, middle: np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same of a dense cloud: each pixel of a picture around the person keeps the nearest of its points.

    Args:
      rng: source of chance.
      cloud: points (N, 3) of surfaces, camera frame; several per pixel, or what is behind shows through.
      middle: of the person, camera frame.
      points: most points.

    Returns:
      Points and unit normals (P, 3), camera frame, float32.
    """
    rows, columns, focal = _picture(rng, points)
    cloud = cloud[cloud[:, 2] > _NEAREST]
    pixels = focal * (cloud[:, :2] / cloud[:, 2:] - middle[:2] / middle[2]) + [columns / 2, rows / 2]
    inside = ((pixels >= 0) & (pixels < [columns, rows])).all(axis=1)
    cloud, (column, row) = cloud[inside], pixels[inside].astype(int).T
    farthest_first = np.argsort(-cloud[:, 2], kind="stable")
    point_map = np.full((rows, columns, 3), np.nan, np.float32)
    # Of several values for one place NumPy keeps the last.
    point_map[row[farthest_first], column[farthest_first]] = cloud[farthest_first]
    return noisy_points(rng, point_map, np.array([columns / 2, rows / 2]), points)


def _picture(rng: np.random.Generator, points: int) -> tuple[int, int, float]:
    """Rows, columns, focal length in pixels of a picture with twice as many pixels as points."""
    rows = round(np.sqrt(1.5 * points))
    columns = round(2 * points / rows)
    return rows, columns, columns / 2 / np.tan(np.radians(rng.uniform(*OPENING)) / 2)


def noisy_points(
    rng: np.random.Generator, point_map: np.ndarray, middle: np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals of a point map with the errors of a depth camera.

    From none to those of specs/graft.md section 13, less the bleeding of edges, since pixels at edges are left out. The
    smooth warp is none at the person: body and scene must agree there, or there is nothing to learn about their
    contact.

    Args:
      rng: source of chance.
      point_map: (H, W, 3), camera frame; NaN where there is nothing.
      middle: pixel (x, y) of the person.
      points: most points.

    Returns:
      Points and unit normals (P, 3), camera frame, float32.
    """
    rows, columns = point_map.shape[:2]
    level = rng.random() ** 2
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    at = np.clip(middle, 0, [columns, rows])
    errors = 1 + level * (_warp(rng, x, y, at) + NOISE * rng.normal(size=(rows, columns)))
    point_map = (point_map * errors[..., None]).astype(np.float32)
    normals, kept = normals_of_point_map(point_map)
    chosen = np.flatnonzero(kept.reshape(-1) & (rng.random(kept.size) >= level * DROPOUT))
    if len(chosen) > points:
        chosen = np.sort(rng.choice(chosen, points, replace=False))
    return point_map.reshape(-1, 3)[chosen], normals.reshape(-1, 3)[chosen]


def _warp(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A sum of slow waves, at most `WARP`, less its value at one pixel."""
    width, height = x.max(), y.max()
    out = np.zeros_like(x)
    for _ in range(3):
        wave, phase = rng.uniform(-1.5, 1.5, 2) * 2 * np.pi / [width, height], rng.uniform(0, 2 * np.pi)
        here = np.sin(wave @ at + phase)
        out += WARP / 6 * (np.sin(wave[0] * x + wave[1] * y + phase) - here)
    return out
