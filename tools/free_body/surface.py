"""Small mesh toolbox of the builder: normals, adjacency, linear smoothing maps, a z-buffer."""

import dataclasses

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from .cuts import cut

FLIP = np.array([-1.0, 1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class BodySurface:
    """The body while it is being made: everything is per vertex and follows linear maps together."""

    fields: np.ndarray
    """Mean shape and shape directions, (11, V, 3)."""
    weights: np.ndarray
    """Skinning weights, (V, 52)."""
    faces: np.ndarray
    """Mirror-symmetric triangles, (F, 3)."""
    mirror: np.ndarray
    """Mirror image of each vertex, (V,)."""
    mouth: np.ndarray
    """Membranes that close mouth and nostrils, (V,)."""
    eye: np.ndarray
    """Eye patches, (V,)."""

    @property
    def mean(self):
        """Vertices of the mean shape."""
        return self.fields[0]

    @property
    def adjacent(self):
        """Vertex adjacency."""
        return adjacency(self.faces, len(self.mirror))

    def cut(self, field, mask, gap):
        """The surface cut along a line (see `cuts.cut`), sides of the new vertices and their outside neighbours."""
        matrix, faces, mirror, side, parent = cut(self.mean, self.faces, self.mirror, field, mask, gap)
        fields = apply(matrix, self.fields)
        new = BodySurface(
            fields=0.5 * (fields + fields[:, mirror] * FLIP),
            weights=matrix @ self.weights,
            faces=faces,
            mirror=mirror,
            mouth=matrix @ self.mouth.astype(float) > 0.999,
            eye=matrix @ self.eye.astype(float) > 0.999,
        )
        return new, side, parent


def triangulate(quads):
    """Two triangles per quad; the first half of the rows holds the first triangles."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def vertex_normals(vertices, faces):
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    cross = np.cross(b - a, c - a)
    for k in range(3):
        np.add.at(normals, faces[:, k], cross)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def adjacency(faces, count):
    """Symmetric 0/1 vertex adjacency matrix (sparse)."""
    ones = np.ones(faces.size)
    matrix = sp.coo_matrix((ones, (faces.ravel(), np.roll(faces, 1, axis=1).ravel())), shape=(count, count)).tocsr()
    matrix = matrix + matrix.T
    matrix.data[:] = 1.0
    return matrix


def grow(adjacent, mask, rings=1):
    """Mask widened by `rings` neighbourhoods."""
    for _ in range(rings):
        mask = mask | (adjacent @ mask.astype(float) > 0)
    return mask


def ring_distance(adjacent, mask, limit):
    """Number of edges (up to `limit`) from each vertex to the masked set."""
    distance = np.full(len(mask), limit, int)
    reached = mask.copy()
    distance[reached] = 0
    for k in range(1, limit):
        wider = grow(adjacent, reached)
        distance[wider & ~reached] = k
        reached = wider
    return distance


def fill_smooth(adjacent, mask, order=1):
    """Linear map that refills masked vertices from the rest: membrane (`order` 1) or thin plate (2).

    Solves L^order x = 0 on the mask with the graph Laplacian L; being linear with fixed coefficients, it holds for
    every shape of the body at once.

    Returns:
      Sparse (V, V) matrix, the identity outside the mask.
    """
    count = len(mask)
    laplacian = sp.diags(np.asarray(adjacent.sum(1)).ravel()) - adjacent
    operator = laplacian
    for _ in range(order - 1):
        operator = operator @ laplacian
    inside, outside = np.flatnonzero(mask), np.flatnonzero(~mask)
    right = operator[inside][:, outside].tocsc()
    used = np.flatnonzero(np.diff(right.indptr))
    solved = spl.splu(operator[inside][:, inside].tocsc()).solve(-right[:, used].toarray())
    solved[np.abs(solved) < 1e-7] = 0
    block = sp.coo_matrix(solved)
    rows = np.concatenate([outside, inside[block.row]])
    columns = np.concatenate([outside, outside[used][block.col]])
    values = np.concatenate([np.ones(len(outside)), block.data])
    return sp.csr_matrix((values, (rows, columns)), shape=(count, count))


def smoothing(adjacent, strength):
    """One step x <- x + s (mean of neighbours - x), `strength` s per vertex, as a sparse (V, V) matrix."""
    degree = np.asarray(adjacent.sum(1)).ravel()
    s = sp.diags(strength)
    return (sp.identity(len(strength)) - s + s @ sp.diags(1 / np.maximum(degree, 1)) @ adjacent).tocsr()


def apply(matrix, fields):
    """Applies a (W, V) map to fields (..., V, 3)."""
    flat = np.moveaxis(fields, -2, 0)
    return np.moveaxis((matrix @ flat.reshape(len(flat), -1)).reshape(-1, *flat.shape[1:]), 0, -2)


def turn(vertices, azimuth, elevation=0.0):
    """View coordinates: x right, y up, z towards the viewer; azimuth 0 looks at the front. Degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return vertices @ (about_x @ about_y).T


def zbuffer(xy, z, faces, height, width):
    """Hard rasterization of triangles given in pixels (y down), larger z nearer.

    Returns:
      Face id (H, W), -1 for background; depth (H, W); barycentric coordinates (H, W, 3).
    """
    p, pz = xy[faces], z[faces]
    low, high = np.floor(p.min(1)).astype(int), np.ceil(p.max(1)).astype(int)
    extent = (high - low).max(1) + 1
    depth = np.full(height * width, -np.inf)
    face = np.full(height * width, -1)
    bary = np.zeros((height * width, 3))
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    drawn = (np.abs(area) > 1e-9) & (high > 0).all(1) & (low < (width, height)).all(1)
    for smallest, largest in ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 10**6)):
        chosen = np.flatnonzero(drawn & (extent > smallest) & (extent <= largest))
        if not len(chosen):
            continue
        size = int(extent[chosen].max())
        oy, ox = np.mgrid[0:size, 0:size]
        chunk = max(1, 2_000_000 // size**2)
        for start in range(0, len(chosen), chunk):
            t = chosen[start : start + chunk]
            x, y = low[t, 0][:, None] + ox.ravel(), low[t, 1][:, None] + oy.ravel()
            dx, dy = x + 0.5 - p[t, 0, 0][:, None], y + 0.5 - p[t, 0, 1][:, None]
            b1 = (dx * e2[t, 1][:, None] - dy * e2[t, 0][:, None]) / area[t][:, None]
            b2 = (dy * e1[t, 0][:, None] - dx * e1[t, 1][:, None]) / area[t][:, None]
            b0 = 1 - b1 - b2
            hit = np.nonzero(
                (np.minimum(np.minimum(b0, b1), b2) >= -1e-6) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            )
            zs = b0[hit] * pz[t][hit[0], 0] + b1[hit] * pz[t][hit[0], 1] + b2[hit] * pz[t][hit[0], 2]
            pixel = (y * width + x)[hit]
            order = np.argsort(zs, kind="stable")
            order = order[zs[order] > depth[pixel[order]]]
            depth[pixel[order]], face[pixel[order]] = zs[order], t[hit[0][order]]
            bary[pixel[order]] = np.stack([b0[hit], b1[hit], b2[hit]], axis=1)[order]
    return face.reshape(height, width), depth.reshape(height, width), bary.reshape(height, width, 3)
