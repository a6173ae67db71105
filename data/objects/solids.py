"""Closed surfaces that procedural objects are put together from: boxes, lathed profiles, swept tubes.

Every function returns `(vertices (V, 3), faces (F, 3))` as NumPy arrays in metres: a watertight surface whose triangles
are counter-clockwise from outside, with edges short enough for per-vertex quantities to mean something.
"""

import itertools

import numpy as np

Surface = tuple[np.ndarray, np.ndarray]


def block(size: tuple[float, float, float], *, bevel: float = 0.006, edge: float = 0.08) -> Surface:
    """A box centred at the origin, its edges rounded by one facet of radius `bevel`.

    Args:
      size: extents along x, y, z.
      bevel: radius of the edges, cut to a quarter of the smallest extent.
      edge: largest edge length of the grid on the faces.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    bevel = min(bevel, 0.5 * float(half.min()))
    ticks = []
    for h in half:
        inner = np.linspace(-(h - bevel), h - bevel, max(1, int(np.ceil(2 * (h - bevel) / edge))) + 1)
        ticks.append(np.concatenate([[-h], inner, [h]]))
    points, quads, offset = [], [], 0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        a, b = np.meshgrid(ticks[u], ticks[v], indexing="ij")
        index = np.arange(a.size).reshape(a.shape)
        grid = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4)
        for side in (-1, 1):
            p = np.empty((a.size, 3))
            p[:, axis], p[:, u], p[:, v] = side * half[axis], a.ravel(), b.ravel()
            points.append(p)
            quads.append(offset + (grid if side > 0 else grid[:, ::-1]))
            offset += a.size
    points, quads = np.concatenate(points), np.concatenate(quads)
    _, first, inverse = np.unique(np.round(points, 9), axis=0, return_index=True, return_inverse=True)
    points, quads = points[first], inverse.reshape(-1)[quads]
    # Points of the sharp box go to the sphere of radius `bevel` around the nearest point of the shrunken box.
    core = np.clip(points, -(half - bevel), half - bevel)
    out = points - core
    points = core + bevel * out / np.linalg.norm(out, axis=1, keepdims=True)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _subdivide(path: np.ndarray, edge: float) -> np.ndarray:
    """The polyline with points put in, so that no piece is longer than `edge`."""
    pieces = [path[:1]]
    for a, b in itertools.pairwise(path):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / edge)))
        pieces.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(pieces)


def lathe(profile: list[tuple[float, float]], *, segments: int = 32, edge: float = 0.08) -> Surface:
    """A profile turned about the y axis.

    Args:
      profile: (radius, height) pairs from the bottom of the axis, round the outside, to the top of the axis (or, for a
        hollow vessel, back down to the floor of its inside). The first and the last radius are zero.
      segments: number of facets around.
      edge: longer pieces of the profile are divided.

    Raises:
      ValueError: the profile does not start and end on the axis.
    """
    profile = np.asarray(profile, dtype=np.float64)
    if profile[0, 0] != 0 or profile[-1, 0] != 0 or (profile[1:-1, 0] <= 0).any():
        raise ValueError(f"a profile starts and ends at radius 0 and is positive in between, got {profile[:, 0]}")
    profile = _subdivide(profile, edge)
    rings = len(profile) - 2
    angle = np.arange(segments) * (2 * np.pi / segments)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    ring = np.empty((rings, segments, 3))
    ring[..., 1] = profile[1:-1, 1, None]
    ring[..., [0, 2]] = profile[1:-1, 0, None, None] * circle
    poles = np.array([[0, profile[0, 1], 0], [0, profile[-1, 1], 0]])
    vertices = np.concatenate([ring.reshape(-1, 3), poles])
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    bottom, top, last = rings * segments, rings * segments + 1, (rings - 1) * segments
    faces = [np.stack([np.full(segments, bottom), after, here], axis=-1)]
    for k in range(rings - 1):
        a, b, c, d = k * segments + here, k * segments + after, (k + 1) * segments + after, (k + 1) * segments + here
        faces += [np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]
    faces.append(np.stack([last + here, last + after, np.full(segments, top)], axis=-1))
    return vertices, np.concatenate(faces).astype(np.int32)


def cylinder(radius: float, height: float, *, bevel: float = 0.004, edge: float = 0.08, segments: int = 32) -> Surface:
    """A disc or pillar about the y axis, centred at the origin, with rounded rims."""
    bevel, half = min(bevel, radius / 2, height / 4), height / 2
    rim = [(radius - bevel, half), (radius, half - bevel)]
    profile = [(0.0, -half)] + [(r, -h) for r, h in rim] + rim[::-1] + [(0.0, half)]
    return lathe(profile, segments=segments, edge=edge)


def ball(radius: float, *, rings: int = 20, segments: int = 32) -> Surface:
    """A sphere centred at the origin."""
    angle = np.linspace(0, np.pi, rings + 1)
    profile = [(float(radius * np.sin(a)), float(-radius * np.cos(a))) for a in angle]
    profile[0], profile[-1] = (0.0, -radius), (0.0, radius)
    return lathe(profile, segments=segments)


def tube(path: np.ndarray, radius: float | np.ndarray, *, segments: int = 12, edge: float = 0.08) -> Surface:
    """A round bar along a polyline, with flat caps.

    Args:
      path: (N, 3) points, at least two; neighbours differ.
      radius: one radius, or one per point.
      segments: number of facets around.
      edge: longer pieces of the path are divided.
    """
    path = np.asarray(path, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    both = _subdivide(np.concatenate([path, radius[:, None]], axis=1), edge)
    path, radius = both[:, :3], both[:, 3]
    tangent = np.vstack([path[1:], path[-1:]]) - np.vstack([path[:1], path[:-1]])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.eye(3)[np.abs(tangent[0]).argmin()]
    angle = np.arange(segments) * (2 * np.pi / segments)
    rings = []
    for point, r, t in zip(path, radius, tangent):  # each frame is the last one, turned as little as possible
        normal = normal - (normal @ t) * t
        normal /= np.linalg.norm(normal)
        rings.append(point + r * (np.cos(angle)[:, None] * normal + np.sin(angle)[:, None] * np.cross(t, normal)))
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    start, end, last = len(path) * segments, len(path) * segments + 1, (len(path) - 1) * segments
    faces = [np.stack([np.full(segments, start), after, here], axis=-1)]
    for k in range(len(path) - 1):
        a, b, c, d = k * segments + here, k * segments + after, (k + 1) * segments + after, (k + 1) * segments + here
        faces += [np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]
    faces.append(np.stack([last + here, last + after, np.full(segments, end)], axis=-1))
    return np.concatenate([*rings, path[:1], path[-1:]]), np.concatenate(faces).astype(np.int32)


def move(surface: Surface, offset: tuple[float, float, float], tilt: tuple[float, float, float] = (0, 0, 0)) -> Surface:
    """The surface turned about x, then y, then z by the angles `tilt` (radians), then shifted by `offset`."""
    vertices, faces = surface
    cos, sin = np.cos(tilt), np.sin(tilt)
    about_x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    about_y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    about_z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    return vertices @ (about_z @ about_y @ about_x).T + np.asarray(offset, dtype=np.float64), faces
