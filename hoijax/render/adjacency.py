"""Which faces meet at which edges: computed once per mesh, on the host."""

import numpy as np
from jaxtyping import Float, Int

from hoijax.geometry.safe import ArrayLike


def edge_neighbours(
    faces: Int[ArrayLike, "F 3"], vertices: Float[ArrayLike, "V 3"] | None = None
) -> Int[np.ndarray, "F 3"]:
    """Across each edge of each face, the far corner of the neighbour; NumPy, not to be traced.

    Edge k of a face joins its corners k and k + 1 (mod 3).

    Args:
      faces: rows of `vertices`.
      vertices: if given, vertices at equal positions count as one, so that texture seams are no borders.

    Returns:
      int32; `3 g + c` where the edge belongs to exactly one other face g, whose corner c is not on it; -1 where it
      belongs to no other face or to several.
    """
    faces = np.asarray(faces)
    corners = faces
    if vertices is not None:
        _, merged = np.unique(np.asarray(vertices), axis=0, return_inverse=True)
        corners = merged.reshape(-1)[faces]
    first, second = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    _, edge, count = np.unique(low * (corners.max(initial=0) + 1) + high, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1)
    order = np.argsort(edge, kind="stable")
    pairs = order[count[edge[order]] == 2].reshape(-1, 2)
    pairs = pairs[low[pairs[:, 0]] != high[pairs[:, 0]]]
    neighbours = np.full(faces.size, -1, np.int32)
    for one, other in ((0, 1), (1, 0)):
        face, k = np.divmod(pairs[:, other], 3)
        neighbours[pairs[:, one]] = 3 * face + (k + 2) % 3
    return neighbours.reshape(faces.shape)
