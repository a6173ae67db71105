"""What one depth camera sees of a made-up room without its person: a ray per pixel, noise, then points and normals."""

import dataclasses

import numpy as np

from hoijax.geometry import RigidPose
from hoijax.optim.graft import normals_of_point_map

#: Errors of the noisiest depth map (specs/graft.md section 13): of a pixel and of a smooth warp, shares of the depth,
#: and the share of pixels that are missing.
NOISE, WARP, DROPOUT = 0.003, 0.02, 0.2
#: Horizontal opening angle of the cameras, degrees.
OPENING = (45.0, 75.0)
#: Surfaces nearer than this are not seen, metres.
_NEAREST = 0.05


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


Shape = Flat | Side


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
        for side in shapes:
            if isinstance(side, Side):
                nearest = np.minimum(nearest, _cast_side(side, np.asarray(eye, float), rays))
    return nearest.astype(np.float32)


def _cast_side(side: Side, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The nearer of two intersections where it is on the cylinder, else the farther one."""
    start, slope = ((x / side.size)[..., [0, 2]] for x in (eye - side.middle, rays))
    square, half = np.sum(slope**2, axis=-1), slope @ start
    root = np.sqrt(half**2 - square * (start @ start - 1))
    found = np.full(len(rays), np.inf)
    for t in ((-half + root) / square, (-half - root) / square):
        height = eye[1] - side.middle[1] + t * rays[:, 1]
        found = np.where((t > _NEAREST) & (height >= 0) & (height <= side.size[1]), t, found)
    return found


def one_view(
    rng: np.random.Generator, shapes: list[Shape], camera: RigidPose, middle: np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a depth map, as `hoijax refine --scene depth.npz` would take them from a file.

    A picture of twice as many pixels as points; its errors lead from none to those of specs/graft.md section 13, less
    the bleeding of edges, since pixels at edges are left out. The smooth warp is none at the person: body and scene
    must agree there, or there is nothing to learn about their contact.

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
    rows = round(np.sqrt(1.5 * points))
    columns = round(2 * points / rows)
    focal = columns / 2 / np.tan(np.radians(rng.uniform(*OPENING)) / 2)
    x, y = np.meshgrid(np.arange(columns) + 0.5 - columns / 2, np.arange(rows) + 0.5 - rows / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], axis=-1).astype(np.float32)
    depth = cast(shapes, -translation @ rotation, rays.reshape(-1, 3) @ rotation.astype(np.float32))
    depth = depth.reshape(rows, columns)
    level = rng.random() ** 2
    place = rotation @ middle + translation
    at = np.clip(focal * place[:2] / place[2] + [columns / 2, rows / 2], 0, [columns, rows])
    depth = depth * (1 + level * (_warp(rng, x + columns / 2, y + rows / 2, at) + NOISE * rng.normal(size=depth.shape)))
    point_map = (rays * np.where(np.isfinite(depth), depth, np.nan)[..., None]).astype(np.float32)
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
