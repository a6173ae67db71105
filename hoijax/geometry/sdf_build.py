"""Building signed distance grids on the host: from coarse to fine, exact near the surface."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.errors import InputError
from hoijax.geometry.closest_host import LEAF, distance_to_faces, guess_faces, search_faces
from hoijax.geometry.face_tree import build_face_tree, host_triangles
from hoijax.geometry.mesh import Mesh
from hoijax.geometry.sdf import SDFGrid
from hoijax.geometry.winding_host import winding_number_host

COARSEST = 17  # samples along an axis of the grid where every distance is sought exactly
BAND = 2.5  # spacings from the surface within which distances of the final grid are exact
COARSE_BAND = 3.5  # the same on the coarser grids
PASSES = 2  # exchanges of candidate faces between neighbouring samples


def build_sdf(mesh: Mesh, *, resolution: int = 64, padding: float = 0.1) -> SDFGrid:
    """Signed distance grid of one mesh, `resolution` samples along each axis of a cube; on the host, once per mesh.

    Distances are exact within `BAND` spacings of the surface. Farther out each sample takes the nearest among the
    faces nearest to the samples around it on a grid half as fine and to its neighbours: never less than the true
    distance, on a body 0.05 mm more on average (docs/geometry.md).

    The sign is that of the generalised winding number at 0.5, so open meshes, overlapping parts and vertices that are
    not shared do no harm: a hole is closed by a taut sheet, across which the value jumps from minus to plus the
    distance to the rim. A mesh so open that no point is wound round by a half (a single sheet) has no inside, and its
    grid is its unsigned distance. Faces must wind consistently; an inside-out mesh has no inside either.

    Every mesh gives a grid of the same shape, so what is compiled for one serves all. Cost: docs/geometry.md.

    Args:
      mesh: one mesh, metres.
      resolution: samples along each axis, at least 2.
      padding: free space on each side, as a fraction of the longest side of the mesh.

    Returns:
      The grid, in the float dtype of the vertices.

    Raises:
      InputError: no faces, broken faces, or a mesh of no extent.
      ValueError: `resolution` or `padding` out of range.
    """
    triangles, origin, spacing = place_grid(mesh, resolution, padding)
    points = grid_samples(origin, spacing, resolution)
    distance = distance_to_faces(triangles, points, nearest_faces(triangles, origin, spacing, resolution))
    winding = winding_number_host(points, mesh)
    values = np.where(winding > 0.5, -distance, distance).reshape((resolution,) * 3)
    dtype = np.asarray(mesh.vertices).dtype
    dtype = jax.dtypes.canonicalize_dtype(dtype if np.issubdtype(dtype, np.floating) else float)
    return SDFGrid(
        values=jnp.asarray(values, dtype), origin=jnp.asarray(origin, dtype), spacing=jnp.asarray(spacing, dtype)
    )


def place_grid(mesh: Mesh, resolution: int, padding: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The triangles of a mesh in float64, and origin and spacing of the grid around it; see `build_sdf`."""
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, got {resolution}")
    if not padding >= 0:
        raise ValueError(f"padding must not be negative, got {padding}")
    try:
        triangles = host_triangles(mesh.vertices, mesh.faces)
    except ValueError as error:
        raise InputError(f"cannot build a distance grid: {error}") from error
    lower, upper = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    side = float((upper - lower).max()) * (1 + 2 * padding)
    if side == 0:
        raise InputError("cannot build a distance grid: all vertices of the mesh coincide")
    return triangles, (lower + upper) / 2 - side / 2, side / (resolution - 1)


def grid_samples(origin: np.ndarray, spacing: float, size: int) -> np.ndarray:
    """Positions of the samples of a cubic grid, `(size^3, 3)`, z fastest."""
    axis = np.arange(size) * spacing
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + origin


def nearest_faces(triangles: np.ndarray, origin: np.ndarray, spacing: float, resolution: int) -> np.ndarray:
    """The nearest face to every sample, or one hardly farther; see `build_sdf`."""
    tree = build_face_tree(triangles, LEAF)
    sizes = [resolution]
    while sizes[-1] > COARSEST:
        sizes.append((sizes[-1] + 2) // 2)  # the coarse grid reaches as far as the fine one, or a step beyond
    step = spacing * 2 ** (len(sizes) - 1)
    points = grid_samples(origin, step, sizes[-1])
    face = search_faces(tree, triangles, points, guess_faces(triangles, points))
    for coarse, size in zip(sizes[::-1], sizes[-2::-1]):
        step /= 2
        points = grid_samples(origin, step, size)
        face, distance = _refine(triangles, points, face.reshape((coarse,) * 3), size)
        band = np.flatnonzero(distance < step * (BAND if size == resolution else COARSE_BAND))
        face[band] = search_faces(tree, triangles, points[band], face[band])
    return face


def _refine(triangles: np.ndarray, points: np.ndarray, coarse: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each sample the nearest of the faces found at the up to eight coarse samples around it, and its distance.

    Then, `PASSES` times, of those of its six neighbours: this mends most of what the coarse grid missed between two
    limbs, and takes a tenth of the time of an exact search.
    """
    below = np.arange(size) // 2
    above = (np.arange(size) + 1) // 2
    face = coarse[np.ix_(below, below, below)].reshape(-1)
    distance = distance_to_faces(triangles, points, face)
    for corner in range(1, 8):
        x, y, z = (above if corner >> k & 1 else below for k in range(3))
        _take_nearer(triangles, points, face, distance, coarse[np.ix_(x, y, z)].reshape(-1))
    for axis, shift in itertools.product((0, 1, 2) * PASSES, (1, -1)):
        # The ends wrap round: a face from the other side of the grid is no worse a candidate than any.
        neighbour = np.roll(face.reshape((size,) * 3), shift, axis=axis).reshape(-1)
        _take_nearer(triangles, points, face, distance, neighbour)
    return face, distance


def _take_nearer(triangles, points, face, distance, candidate) -> None:
    """Replaces, in place, the face and distance of each sample whose candidate is nearer."""
    changed = np.flatnonzero(candidate != face)
    new = distance_to_faces(triangles, points[changed], candidate[changed])
    nearer = new < distance[changed]
    changed = changed[nearer]
    face[changed], distance[changed] = candidate[changed], new[nearer]
