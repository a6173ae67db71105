"""Furniture meshes for made-up rooms: the CC0 shapes that ship, put where a room would have a box of the same use."""

import dataclasses
import functools

import numpy as np

from hoijax.data.objects.real import Shape, shipped
from hoijax.geometry import closest_on_mesh_host
from hoijax.geometry.mesh import Mesh

KINDS = {
    "sit": ("armchair", "bench", "chair", "sofa", "stool"),
    "lean": ("desk", "table", "cabinet"),
    "lie": ("bed",),
    "around": ("armchair", "bed", "bench", "cabinet", "chair", "desk", "lamp", "sofa", "stool", "table"),
}
"""What a box of each use may be instead."""
MIDDLE = 0.12
"""Half the side of the square about the middle of a footprint whose height is that of the seat or the top, shares."""
SHRINK = (0.7, 1.4)
"""A shape is made no lower and no higher than by these factors to have the height that is wanted."""
DEEP = 0.05
"""A body that reaches deeper into furniture than this, away from what carries it, does not fit it; metres."""


@dataclasses.dataclass(frozen=True)
class Solid:
    """A mesh that is in a room; world, metres."""

    vertices: np.ndarray
    faces: np.ndarray


@functools.cache
def _choices(use: str, split: str) -> tuple[tuple[Shape, float], ...]:
    """Shapes of a use, and the height of each one's seat or top."""
    shapes = [shape for shape in shipped(split) if shape.kind in KINDS[use]]
    return tuple((shape, carrying_height(shape.mesh)) for shape in shapes)


def carrying_height(mesh: Mesh) -> float:
    """How high the seat or the top is over the lowest point: the median height that falls onto the footprint's middle.

    Args:
      mesh: y up.
    """
    vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle, side = (low + high) / 2, high - low
    steps = np.linspace(-MIDDLE, MIDDLE, 5)
    x, z = (g.ravel() for g in np.meshgrid(middle[0] + steps * side[0], middle[2] + steps * side[2]))
    eye = np.stack([x, np.full(x.size, high[1] + 1.0), z], axis=1)
    falls = np.array([cast_mesh(vertices, faces, e, np.array([[0.0, -1.0, 0.0]]))[0] for e in eye])
    falls = falls[np.isfinite(falls)]
    return float(high[1] + 1.0 - np.median(falls) - low[1]) if falls.size else float(side[1])


def furnish(
    rng: np.random.Generator, use: str, split: str, corner: np.ndarray, size: np.ndarray, body: np.ndarray
) -> Solid | None:
    """A mesh in the place of a box.

    It stands where the box does, its seat or top as high as the box, its front to +z as the body that uses it.

    Args:
      rng: source of chance.
      use: of `KINDS`.
      split: of the shapes.
      corner: lowest corner of the box, metres.
      size: of the box.
      body: vertices (V, 3) of who is in the room.

    Returns:
      The mesh; None where none of that use has this height, or the body would be inside.
    """
    choices = _choices(use, split)
    shape, height = choices[int(rng.integers(len(choices)))]
    corner, size = np.asarray(corner, float), np.asarray(size, float)
    vertices, faces = np.asarray(shape.mesh.vertices, float), np.asarray(shape.mesh.faces)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    vertices = vertices - [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2]
    if use == "around":
        angle = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(angle), np.sin(angle)
        vertices = vertices @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    else:
        factor = size[1] / height
        if not SHRINK[0] < factor < SHRINK[1]:
            return None
        wide = factor if use == "sit" else max(factor, *(size[[0, 2]] / np.ptp(vertices, axis=0)[[0, 2]]))
        vertices = vertices * [min(wide, SHRINK[1]), factor, min(wide, SHRINK[1])]
    vertices = (vertices + corner + [size[0] / 2, 0, size[2] / 2]).astype(np.float32)
    body = body[::5]
    found = closest_on_mesh_host(body, Mesh(vertices, faces))
    across = np.asarray(faces)[np.asarray(found.face)]
    a, b, c = (vertices[across[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    height_above = np.sum((body - np.asarray(found.point)) * normal, axis=1)
    # Behind a face and near it, and not by what flesh gives way to below.
    inside = (height_above < -DEEP) & (np.asarray(found.distance) < 4 * DEEP)
    return None if inside.mean() > 0.002 else Solid(vertices, faces)


def sample_mesh(rng: np.random.Generator, solid: Solid, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points even by area, and unit normals."""
    corners = solid.vertices[solid.faces].astype(float)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double = np.linalg.norm(cross, axis=1)
    face = rng.choice(len(double), count, p=double / double.sum())
    u, v = np.sqrt(rng.random(count)), rng.random(count)
    share = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    points = np.einsum("nk,nkc->nc", share, corners[face])
    return points.astype(np.float32), (cross[face] / double[face, None]).astype(np.float32)


def cast_mesh(vertices: np.ndarray, faces: np.ndarray, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """How far along each ray the first face is (Möller and Trumbore 1997); infinite where there is none.

    Args:
      vertices: (V, 3).
      faces: (F, 3), seen from both sides.
      eye: where all rays begin.
      rays: directions (P, 3) of any length; distances count in it.
    """
    a, b, c = (np.asarray(vertices, np.float32)[faces[:, k]] for k in range(3))
    one, two, away = b - a, c - a, np.float32(eye) - a
    q = np.cross(away, one)
    t0 = np.sum(two * q, axis=1)
    out = np.full(len(rays), np.inf, np.float32)
    hopeful = np.flatnonzero(_meets_box(vertices, eye, rays))
    # Products of each ray with what belongs to the faces alone: rays . (two x one) and so on.
    normal, along_v, along_u = np.cross(one, two), q, np.cross(two, away)
    for start in range(0, len(hopeful), 1024):
        some = hopeful[start : start + 1024]
        ray = np.float32(rays[some])
        with np.errstate(divide="ignore", invalid="ignore"):
            det = -ray @ normal.T
            u, v, t = ray @ along_u.T / det, ray @ along_v.T / det, t0 / det
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0.05)
        out[some] = np.where(hit, t, np.inf).min(axis=1)
    return out


def _meets_box(vertices: np.ndarray, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Whether each ray meets the box around a mesh (P,)."""
    low, high = vertices.min(axis=0) - 1e-4, vertices.max(axis=0) + 1e-4
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (low - eye) / rays, (high - eye) / rays
    return np.fmin(first, second).max(axis=1) <= np.fmax(first, second).min(axis=1)
