"""Object templates: a few well-spread surface points and a signed distance grid from any mesh. Host functions."""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.geometry import (
    Mesh,
    SolidReport,
    build_sdf,
    build_solid_sdf,
    closed_and_outward,
    farthest_points,
    stratified_samples,
)
from hoijax.interaction.types import ObjectTemplate

_DENSITY = 128  # surface samples per template point


def make_template(
    mesh: Mesh,
    *,
    count: int = 64,
    method: Literal["surface", "bps"] = "surface",
    resolution: int = 64,
    padding: float = 0.1,
    max_sdf_faces: int = 20_000,
) -> ObjectTemplate:
    """The template of an object: its mesh, `count` surface points, its signed distance grid.

    Deterministic: the same mesh gives the same template on every machine. Meshes need not be watertight, connected or
    clean: degenerate faces, repeated faces (back sides too, of which the first is kept) and unused vertices change
    nothing. A mesh that is inside out as a whole is turned.

    The points stand for the object in ScoreHOI's losses and networks. "surface" (see `surface_points`) spreads them
    evenly over the surface whatever its triangulation. "bps" (see `bps_points`) is how ScoreHOI treats new objects;
    networks trained on BEHAVE or InterCap need the points published with those data sets, which no rule reproduces.

    Args:
      mesh: in the object's canonical frame, metres.
      count: number of points.
      method: "surface" or "bps".
      resolution: samples of the distance grid along the longest side.
      padding: margin of the grid around the mesh, as a fraction of its longest side.
      max_sdf_faces: a mesh with more faces is decimated to this number for the distance grid only.

    Returns:
      The template; `mesh` has the given vertices in their order, in float32 and int32.

    Warns:
      UserWarning: the mesh was turned, or decimated for the grid.

    Raises:
      InputError: no faces, faces beyond the vertices, coordinates that are not finite, or no surface area.
    """
    solid, template = _prepare(mesh, count, method, max_sdf_faces)
    return template(build_sdf(solid, resolution=resolution, padding=padding))


def make_solid_template(
    mesh: Mesh,
    *,
    count: int = 64,
    method: Literal["surface", "bps"] = "surface",
    resolution: int = 64,
    padding: float = 0.1,
    max_sdf_faces: int = 20_000,
) -> tuple[ObjectTemplate, SolidReport]:
    """`make_template` for meshes as people model them, and what was found of their inside and outside.

    Parts may wind any way, lie within each other, be open or sheets: inside is what cannot be touched
    (`hoijax.geometry.build_solid_sdf`), and sheets have a thickness. Where every part is closed and faces outward the
    grid is that of `make_template`. Arguments and errors as of `make_template`.
    """
    solid, template = _prepare(mesh, count, method, max_sdf_faces)
    report = closed_and_outward(solid)
    if report is not None:
        # Exact between parts that lie closer together than the flood of a grid gets through.
        return template(build_sdf(solid, resolution=resolution, padding=padding)), report
    sdf, report = build_solid_sdf(solid, resolution=resolution, padding=padding)
    return template(sdf), report


def _prepare(mesh: Mesh, count: int, method: str, max_sdf_faces: int) -> tuple[Mesh, Callable]:
    """The mesh that the grid is built from, and the template as a function of the grid."""
    vertices, faces = _check_mesh(mesh)
    distinct = _distinct(vertices, faces)
    if _inside_out(vertices, distinct):
        warnings.warn("the mesh is inside out (its volume is negative); its faces were turned", stacklevel=3)
        faces, distinct = faces[:, ::-1], distinct[:, ::-1]
    if method == "surface":
        points = surface_points(vertices, faces, count)
    elif method == "bps":
        points = bps_points(vertices[np.unique(faces)], count)
    else:
        raise ValueError(f"method must be 'surface' or 'bps', got {method!r}")
    single = vertices.astype(np.float32)
    solid = Mesh(single, distinct)
    if len(distinct) > max_sdf_faces:
        solid = _decimate(solid, max_sdf_faces)
        warnings.warn(
            f"the mesh has {len(distinct)} faces; its distance grid is built from a copy decimated to "
            f"{len(solid.faces)} faces",
            stacklevel=3,
        )
    shown, points = Mesh(single, np.ascontiguousarray(faces)), points.astype(np.float32)
    return solid, lambda sdf: ObjectTemplate(shown, points, sdf)


def surface_points(vertices: Float[np.ndarray, "V 3"], faces: np.ndarray, count: int) -> Float[np.ndarray, "count 3"]:
    """Points spread evenly over a surface: farthest-point sampling of a dense, area-uniform sampling.

    Of 128 `count` samples, uniform in area (`stratified_samples`), farthest-point sampling keeps `count`, starting at
    the one farthest from the surface's centre. So the extremities (feet, handles, corners) are among the points, no
    part of the surface is farther from a point than the points are from each other, and the result depends on the
    surface and not on its triangulation, up to the sampling. Area-weighted k-means would bring the surface 4 % nearer
    to the points on average, and pull them off the extremities.

    Args:
      vertices: metres.
      faces: (F, 3) indices; some face must have an area.
      count: number of points.

    Returns:
      Points on the surface, all distinct.
    """
    corners = np.asarray(vertices)[_distinct(vertices, faces)]
    samples = stratified_samples(corners, _DENSITY * count)[0].astype(np.float32)
    start = int(np.argmax(np.sum((samples - samples.mean(0)) ** 2, axis=-1)))
    return samples[np.asarray(farthest_points(samples, count, start=start))]


def bps_points(vertices: Float[np.ndarray, "V 3"], count: int = 64, *, seed: int = 13) -> Float[np.ndarray, "count 3"]:
    """Points by basis point sets (Prokudin et al. 2019): the mesh vertex nearest to each of `count` fixed points.

    The basis is drawn uniformly from the unit ball with NumPy's legacy generator and seed 13, the drawing of the
    bps_torch package, so that ScoreHOI's points of new objects are met. The mesh is not scaled to the ball (nor is it
    there): a small object in its middle is represented by few vertices, and points repeat.

    Args:
      vertices: those used by faces, metres.
      count: number of points.
      seed: of the basis.

    Returns:
      Vertices of the mesh, repeats possible.
    """
    random = np.random.RandomState(seed)
    direction = random.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    basis = direction * np.cbrt(random.uniform(size=(count, 1)))
    return vertices[np.argmin(_squares(basis, vertices), axis=1)]


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs, from differences."""
    out = np.zeros((len(a), len(b)))
    for k in range(3):
        out += (a[:, k, None] - b[None, :, k]) ** 2
    return out


def _distinct(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces without those that cover the same three points again, in either winding."""
    order, starts = _groups(vertices)
    place = np.empty(len(vertices), np.int64)
    place[order] = np.cumsum(starts)
    order, starts = _groups(np.sort(place[faces], axis=1))
    return faces[np.sort(order[starts])]


def _groups(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order that puts equal rows side by side, the first one first, and where in it a new row starts."""
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.ones(len(rows), bool)
    starts[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    return order, starts


def _inside_out(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether the faces enclose a negative volume, beyond what a sheet encloses by rounding."""
    a, b, c = np.moveaxis(vertices[faces] - vertices[faces].mean((0, 1)), 1, 0)
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=-1).sum() / 2
    return bool(np.sum(normal * a) / 6 < -1e-4 * area**1.5)


def _check_mesh(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"a mesh needs vertices of shape (V, 3), got {vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
        raise InputError(
            f"a template needs a mesh with faces, shape (F, 3), got shape {faces.shape}; a point cloud has none"
        )
    faces = faces.astype(np.int32)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"faces refer to vertices {faces.min()} to {faces.max()} of a mesh with {len(vertices)}")
    if not np.isfinite(vertices[np.unique(faces)]).all():
        raise InputError("the mesh has vertices that are not finite")
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    if not np.linalg.norm(np.cross(b - a, c - a), axis=-1).sum() > 0:
        raise InputError(f"the mesh has no surface area: all of its {len(faces)} faces are degenerate")
    return vertices, faces


def _decimate(mesh: Mesh, faces: int) -> Mesh:
    import fast_simplification

    vertices, kept = fast_simplification.simplify(
        np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32), target_count=faces
    )
    return Mesh(np.asarray(vertices, np.float32), np.asarray(kept, np.int32))
