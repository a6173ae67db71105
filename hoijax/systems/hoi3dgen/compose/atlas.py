"""A texture atlas for a surface that has none: charts by the way faces look, packed side by side.

Faces that hang together, belong to one group (a part of the body or of the object) and look about the same way are one
chart, drawn as it is seen from that side. Where charts meet, vertices are doubled, as every format with one coordinate
for each vertex needs.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

AXES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
"""The six sides from which charts are drawn."""
SMOOTHING, LEAST_COSINE = 3, 0.35
"""Rounds in which a face takes the side of most of its neighbours, and how much it must look that way."""
GUTTER = 2
"""Texels free around each chart."""


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Texture coordinates of a surface."""

    source: Int[np.ndarray, "N"]
    """Vertex of the surface that each vertex of the atlas is."""
    faces: Int[np.ndarray, "F 3"]
    """The surface's faces, in their order, by vertices of the atlas."""
    uv: Float[np.ndarray, "N 2"]
    """In [0, 1], `u` to the right and `v` upward."""
    charts: Int[np.ndarray, "F"]
    """Chart of each face."""
    size: int
    """Side of the texture for which charts keep their distance."""


@dataclasses.dataclass(frozen=True)
class Texels:
    """Which place of the surface every texel of a square texture shows."""

    face: Int[np.ndarray, "H W"]
    """Of texels that no face covers that of the nearest one that is covered."""
    weights: Float[np.ndarray, "H W 3"]
    """Barycentric."""
    covered: Bool[np.ndarray, "H W"]

    def spread(self, values: Float[np.ndarray, "V C"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "H W C"]:
        """What vertices have, at each texel.

        Args:
          values: of the surface's vertices.
          faces: of the surface.
        """
        return np.einsum("hwk,hwkc->hwc", self.weights, np.asarray(values)[np.asarray(faces)[self.face]])


def make_atlas(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], groups: Int[np.ndarray, "F"], size: int = 512
) -> Atlas:
    """Makes charts and packs them. Host function; the same surface has the same atlas.

    Args:
      vertices: metres.
      faces: of a surface that need not be closed.
      groups: of each face; no chart holds two.
      size: side of the texture, texels.

    Raises:
      ValueError: no faces, or so many charts that `size` has no room for them.
    """
    vertices, faces, groups = np.asarray(vertices, np.float64), np.asarray(faces), np.asarray(groups)
    if not len(faces):
        raise ValueError("a surface without faces has no atlas")
    sides, pairs = _sides(vertices, faces, groups)
    kept = pairs[(sides[pairs[:, 0]] == sides[pairs[:, 1]]) & (groups[pairs[:, 0]] == groups[pairs[:, 1]])]
    graph = coo_array((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), shape=(len(faces), len(faces)))
    count, charts = connected_components(graph, directed=False)
    keys, corner = np.unique(charts[:, None] * len(vertices) + faces, return_inverse=True)
    source, chart_of = keys % len(vertices), keys // len(vertices)
    side_of = np.zeros(count, int)
    side_of[charts] = sides
    flat = _flatten(vertices[source], side_of[chart_of])
    low = np.full((count, 2), np.inf)
    high = np.full((count, 2), -np.inf)
    np.minimum.at(low, chart_of, flat)
    np.maximum.at(high, chart_of, flat)
    scale, place = _pack(high - low, size)
    texel = (flat - low[chart_of]) * scale + place[chart_of] + GUTTER
    return Atlas(source, corner.reshape(faces.shape).astype(np.int32), (texel / size).astype(np.float32), charts, size)


def _sides(vertices: np.ndarray, faces: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The side from which each face is drawn, and pairs of neighbours."""
    normal = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    looks = normal @ AXES.T
    sides = looks.argmax(axis=1)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = np.flatnonzero(np.all(edges[order][1:] == edges[order][:-1], axis=1))
    pairs = np.stack([owner[order][same], owner[order][same + 1]], axis=1)
    pairs = pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]
    for _ in range(SMOOTHING):
        votes = np.zeros((len(faces), 6))
        for a, b in ((0, 1), (1, 0)):
            np.add.at(votes, (pairs[:, a], sides[pairs[:, b]]), 1.0)
        votes[looks < LEAST_COSINE] = -1.0
        votes[np.arange(len(faces)), sides] += 0.5  # of equal votes the face keeps its own
        sides = votes.argmax(axis=1)
    return sides, pairs


def _flatten(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Points as seen from their side, the picture's axes to the right and upward."""
    across = np.array([[0, 0, -1], [0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0], [-1, 0, 0]], np.float64)
    upward = np.array([[0, 1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [0, 1, 0]], np.float64)
    return np.stack([(points * across[side]).sum(axis=1), (points * upward[side]).sum(axis=1)], axis=1)


def _pack(sizes: np.ndarray, size: int) -> tuple[float, np.ndarray]:
    """Texels per metre, the most for which all charts fit on shelves, and each chart's lower left corner."""
    order = np.argsort(-sizes[:, 1], kind="stable")
    high = size / max(float(sizes.max()), 1e-9)
    low, best = 0.0, None
    for _ in range(24):
        middle = (low + high) / 2
        place = _shelves(sizes[order], middle, size)
        if place is None:
            high = middle
        else:
            low, best = middle, (middle, place)
        if best is not None and high - low < 0.01 * low:
            break
    if best is None:
        raise ValueError(f"{len(sizes)} charts do not fit into {size} texels; take a larger texture")
    out = np.empty_like(sizes)
    out[order] = best[1]
    return best[0], out


def _shelves(sizes: np.ndarray, scale: float, size: int) -> np.ndarray | None:
    """Corners of charts, the highest first, row after row; None: they do not fit."""
    place = np.empty_like(sizes)
    x = y = row = 0.0
    for k, (wide, tall) in enumerate(np.ceil(sizes * scale) + 2 * GUTTER):
        if x + wide > size:
            x, y, row = 0.0, y + row, 0.0
        if wide > size or y + tall > size:
            return None
        place[k] = x, y
        x, row = x + wide, max(row, tall)
    return place


def rasterize_atlas(atlas: Atlas, size: int | None = None) -> Texels:
    """Finds the face under every texel.

    Args:
      atlas: of the surface.
      size: side of the texture, texels; None: the atlas's own.
    """
    size = size or atlas.size
    # Texel (row i, column j) has its centre at u = (j + 0.5) / size, v = 1 - (i + 0.5) / size.
    corners = atlas.uv[atlas.faces].astype(np.float64) * size
    corners[..., 1] = size - corners[..., 1]
    face, weights = np.full((size, size), -1), np.zeros((size, size, 3))
    first = np.floor(corners.min(axis=1) - 0.5).astype(int)
    spans = np.ceil(corners.max(axis=1) - 0.5).astype(int) - first + 1
    boxes = 2 ** np.ceil(np.log2(np.maximum(spans, 1))).astype(int)  # few sizes, each in one sweep
    for box in np.unique(boxes, axis=0):
        chosen = np.flatnonzero((boxes == box).all(axis=1))
        for part in np.array_split(chosen, max(1, len(chosen) * int(np.prod(box)) // 2_000_000)):
            _fill(part, corners[part], first[part], box, face, weights)
    covered = face >= 0
    if not covered.all():
        rows, columns = distance_transform_edt(~covered, return_distances=False, return_indices=True)
        face, weights = face[rows, columns], weights[rows, columns]
    return Texels(face, weights, covered)


def _fill(
    ids: np.ndarray, corners: np.ndarray, first: np.ndarray, box: np.ndarray, face: np.ndarray, weights: np.ndarray
):
    size = len(face)
    columns, rows = np.meshgrid(np.arange(box[0]), np.arange(box[1]))
    cells = first[:, None, :] + np.stack([columns.reshape(-1), rows.reshape(-1)], axis=1)[None]
    a, b, c = (corners[:, k, None, :] for k in range(3))
    spot = cells + 0.5
    area = _cross(b - a, c - a)
    flat = np.abs(area) < 1e-12
    area = np.where(flat, 1.0, area)
    second, third = _cross(spot - a, c - a) / area, _cross(b - a, spot - a) / area
    inside = np.stack([1 - second - third, second, third], axis=-1)
    ok = (inside.min(axis=-1) >= -1e-6) & ~flat & np.all((cells >= 0) & (cells < size), axis=-1)
    which, cell = np.nonzero(ok)
    column, row = cells[which, cell].T
    face[row, column] = ids[which]
    weights[row, column] = inside[which, cell]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
