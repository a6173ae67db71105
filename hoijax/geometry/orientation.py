"""Faces that wind one way: mended from the connectivity of a mesh alone. Host functions.

Two faces that share an edge wind the same way if they run through it in opposite directions. Faces joined by such edges
are a patch; a patch can be turned as a whole, and of a closed one it is known which way is right.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclasses.dataclass(frozen=True)
class Patches:
    """The patches of a mesh: faces joined across edges that exactly two faces share."""

    faces: np.ndarray
    """`(F, 3)` the faces, of one winding within each patch."""
    patch: np.ndarray
    """`(F,)` the patch of each face, 0 to P - 1."""
    closed: np.ndarray
    """`(P,)` whether every edge of the patch joins two of its faces."""
    turned: np.ndarray
    """`(F,)` faces that wind the other way than they did."""


def position_ids(vertices: Float[np.ndarray, "V 3"]) -> Int[np.ndarray, "V"]:
    """One id per distinct position: the index of the first vertex there."""
    order = np.lexsort(vertices.T)
    ordered = vertices[order] + 0.0  # -0.0 is where 0.0 is
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    ids = np.empty(len(order), np.int64)
    # lexsort is stable, so the first of each run has the lowest index.
    ids[order] = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    return ids


def wind_consistently(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Patches:
    """Faces of one winding within each patch, the majority of a patch's area staying as it is.

    The double cover decides: every face is there twice, as it is and turned, and a shared edge joins those of the two
    faces that agree. Where a face is joined with its own turned self the patch has no two sides (a Moebius strip) and
    stays as it is.

    Args:
      vertices: metres; vertices at one place count as one.
      faces: any.
    """
    count = len(faces)
    corners = position_ids(vertices)[faces]
    start, end = corners[:, [0, 1, 2]].reshape(-1), corners[:, [1, 2, 0]].reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge, uses = np.unique(low * (len(vertices) + 1) + high, return_inverse=True, return_counts=True)
    owner = np.repeat(np.arange(count), 3)
    order = np.argsort(edge, kind="stable")
    order = order[uses[edge[order]] == 2]
    a, b = order[0::2], order[1::2]
    one, two = owner[a], owner[b]
    opposed = start[a] == end[b]  # the two run through the edge in opposite directions: they agree
    rows = np.concatenate([one, one + count])
    columns = np.concatenate([np.where(opposed, two, two + count), np.where(opposed, two + count, two)])
    cover = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(2 * count, 2 * count))
    sheet = connected_components(cover, directed=False)[1]
    base = coo_matrix((np.ones(len(one), bool), (one, two)), shape=(count, count))
    number, patch = connected_components(base, directed=False)
    first = np.full(number, count)
    np.minimum.at(first, patch, np.arange(count))
    turned = sheet[:count] != sheet[first[patch]]
    one_sided = np.zeros(number, bool)
    one_sided[patch[sheet[:count] == sheet[count:]]] = True
    turned &= ~one_sided[patch]
    area = face_vectors(vertices, faces)[1]
    flipped = np.bincount(patch, np.where(turned, area, 0), number) > 0.5 * np.bincount(patch, area, number)
    turned = (turned ^ flipped[patch]) & ~one_sided[patch]
    # An edge where bodies touch has more than two faces, of each body two.
    own, times = np.unique(patch[owner] * (edge.max() + 1) + edge, return_counts=True)
    whole = np.ones(number, bool)
    whole[(own // (edge.max() + 1))[times != 2]] = False
    return Patches(
        faces=np.where(turned[:, None], faces[:, ::-1], faces), patch=patch, closed=whole & ~one_sided, turned=turned
    )


def face_outward(vertices: Float[np.ndarray, "V 3"], patches: Patches) -> Bool[np.ndarray, "P"]:
    """Closed patches that enclose a negative volume, and so are to be turned.

    One that lies within a closed patch of positive volume is the wall of its cavity and stays.

    Args:
      vertices: metres.
      patches: of the same mesh.
    """
    number = len(patches.closed)
    corners = vertices[patches.faces].astype(np.float64)
    middle = corners.mean(axis=(0, 1))
    a, b, c = np.moveaxis(corners - middle, 1, 0)
    volume = np.bincount(patches.patch, np.einsum("fi,fi->f", a, np.cross(b, c)) / 6.0, number)
    lower, upper = np.full((number, 3), np.inf), np.full((number, 3), -np.inf)
    np.minimum.at(lower, patches.patch, corners.min(axis=1))
    np.maximum.at(upper, patches.patch, corners.max(axis=1))
    negative = patches.closed & (volume < 0)
    for p in np.flatnonzero(negative):
        around = patches.closed & (volume > -volume[p]) & (lower <= lower[p]).all(1) & (upper >= upper[p]).all(1)
        inside = [
            q
            for q in np.flatnonzero(around)
            if _winds_round(corners[patches.patch == q], corners[patches.patch == p][0].mean(0))
        ]
        negative[p] = not inside
    return negative


def _winds_round(triangles: np.ndarray, point: np.ndarray) -> bool:
    """Whether a closed surface goes round a point (van Oosterom and Strackee 1983)."""
    a, b, c = np.moveaxis(triangles - point, 1, 0)
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    dot = lambda x, y: np.einsum("fi,fi->f", x, y)  # noqa: E731
    angle = np.arctan2(dot(a, np.cross(b, c)), la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb)
    return bool(abs(angle.sum() / (2 * np.pi)) > 0.5)


def face_vectors(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Float[np.ndarray, "F 3"], Float[np.ndarray, "F"]]:
    """Unit normals, zero for faces of no area, and areas."""
    a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
    vector = np.cross(b - a, c - a)
    length = np.linalg.norm(vector, axis=1)
    return vector / np.where(length > 0, length, 1)[:, None], length / 2
