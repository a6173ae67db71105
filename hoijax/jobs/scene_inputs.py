"""Scenes for `hoijax refine --scene`: meshes, point clouds and depth maps, as points with normals in metres."""

import dataclasses
import pathlib

import numpy as np
import trimesh

from hoijax.errors import InputError
from hoijax.io import MESH_FORMATS, UNITS, LoadedMesh, read_mesh
from hoijax.io.scenes import format_of, open_scene
from hoijax.systems.graft import normals_of_point_map
from hoijax.systems.graft.estimates import read_scene_estimate

SIZES = (0.3, 300.0)
"""Metres between which the larger part of a scene is believed to be in metres."""
DENSITY = 20_000
"""Points per square metre that a mesh is sampled with, as far as the number of points allows."""


@dataclasses.dataclass(frozen=True)
class SceneGeometry:
    """A scene as read."""

    points: np.ndarray
    """`(N, 3)` float32, metres, finite."""
    normals: np.ndarray | None
    """`(N, 3)` unit vectors towards free space; None: to be estimated."""
    mesh: LoadedMesh | None
    """Of a mesh file, in metres."""
    from_camera: bool
    """A depth or point map: the points are in its camera's frame."""
    notes: tuple[str, ...]
    """What a person should know."""
    intrinsics: np.ndarray | None = None
    """Of the camera, pixels, where the file has some."""


def read_scene(path: pathlib.Path, *, units: str | None = None, points: int = 400_000) -> SceneGeometry:
    """Reads a scene: a mesh, a cloud (PLY without faces), or an `.npz` with a depth map, a point map or points.

    Args:
      path: the file.
      units: "m", "cm", "mm" or "in"; None: metres, refused if a room of that size is not believable.
      points: most points that a mesh is sampled with, or that are kept of a cloud.

    Raises:
      InputError: no such file, nothing in it, no finite points, or a size that cannot be in metres.
    """
    kind = format_of(path)
    if not path.is_file():
        raise InputError(f"there is no scene file {path}")
    if kind == "npz":
        geometry = _from_arrays(path)
    elif kind not in MESH_FORMATS:
        raise InputError(f"{path}: '{path.suffix}' is no scene; wanted {', '.join((*MESH_FORMATS, 'npz'))}")
    else:
        geometry = (_cloud(path) if kind == "ply" else None) or _from_mesh(path, points)
    geometry = _finite(path, geometry)
    if units is not None:
        factor = UNITS[units]
        mesh = geometry.mesh and dataclasses.replace(
            geometry.mesh, vertices=geometry.mesh.vertices * np.float32(factor)
        )
        geometry = dataclasses.replace(geometry, points=geometry.points * np.float32(factor), mesh=mesh)
    _check_size(path, geometry.points, units)
    if len(geometry.points) > points:
        chosen = np.sort(np.random.default_rng(0).choice(len(geometry.points), points, replace=False))
        normals = None if geometry.normals is None else geometry.normals[chosen]
        note = f"{len(geometry.points):,} points were thinned to {points:,}"
        geometry = dataclasses.replace(
            geometry, points=geometry.points[chosen], normals=normals, notes=(*geometry.notes, note)
        )
    return geometry


def _from_arrays(path: pathlib.Path) -> SceneGeometry:
    estimate = read_scene_estimate(path)
    if not estimate.is_map:
        return SceneGeometry(estimate.points, estimate.normals, None, False, ())
    normals, kept = normals_of_point_map(estimate.points)
    holes = int((~np.isfinite(estimate.points).all(axis=-1)).sum())
    edges = int((~kept).sum()) - holes
    notes = (f"{holes:,} pixels hold no point and {edges:,} lie on depth edges; they were left out",)
    if not kept.any():
        raise InputError(f"{path}: the map holds no surface: {holes:,} of {kept.size:,} pixels have no point")
    return SceneGeometry(estimate.points[kept], normals[kept], None, True, notes, estimate.intrinsics)


def _cloud(path: pathlib.Path) -> SceneGeometry | None:
    """A PLY without faces; None if it has some."""
    opened = open_scene(path, materials=False)
    loaded = next(iter(opened.scene.geometry.values()), None)
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        return None
    vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float32).reshape(-1, 3)
    if not len(vertices):
        raise InputError(f"{path}: the scene is empty, it has no points and no faces")
    if opened.kind != "ply":
        return None
    raw = loaded.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
    normals = None
    names = getattr(getattr(raw, "dtype", None), "names", None) or (raw.keys() if isinstance(raw, dict) else ())
    if all(name in names for name in ("nx", "ny", "nz")):
        normals = np.stack([np.asarray(raw[name], np.float32).reshape(-1) for name in ("nx", "ny", "nz")], axis=1)
    return SceneGeometry(vertices, normals, None, False, opened.notes)


def _from_mesh(path: pathlib.Path, points: int) -> SceneGeometry:
    mesh = read_mesh(path, units="m", sizes=None)
    # An object's closed surface is turned outward; a room's closed surface faces inward and must.
    faces = mesh.faces[:, ::-1] if mesh.report.turned else mesh.faces
    mesh = dataclasses.replace(mesh, faces=np.ascontiguousarray(faces))
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    count = points if surface.area > points / DENSITY else max(20_000, int(surface.area * DENSITY))
    places, index = trimesh.sample.sample_surface(surface, min(count, points), seed=0)
    notes = tuple(note for note in mesh.report.notes() if "turned" not in note and "open" not in note)
    return SceneGeometry(
        np.asarray(places, np.float32), np.asarray(surface.face_normals[index], np.float32), mesh, False, notes
    )


def _finite(path: pathlib.Path, geometry: SceneGeometry) -> SceneGeometry:
    if not len(geometry.points):
        raise InputError(f"{path}: the scene is empty, it has no points")
    kept = np.isfinite(geometry.points).all(axis=1)
    if kept.all():
        return geometry
    if not kept.any():
        raise InputError(f"{path}: none of the {len(kept):,} points of the scene is finite")
    note = f"{int((~kept).sum()):,} of {len(kept):,} points are not finite; they were left out"
    normals = None if geometry.normals is None else geometry.normals[kept]
    return dataclasses.replace(geometry, points=geometry.points[kept], normals=normals, notes=(*geometry.notes, note))


def _check_size(path: pathlib.Path, points: np.ndarray, units: str | None) -> None:
    """Refuses a scene whose larger part is too big or too small for metres."""
    low, high = np.percentile(points, [5, 95], axis=0)
    size = float((high - low).max())
    if SIZES[0] <= size <= SIZES[1]:
        return
    given = f"in {units} " if units else ""
    other = "mm" if size > SIZES[1] else "m"
    hint = f"the file looks like millimetres: give --units {other}" if size > SIZES[1] else "which unit is it in?"
    raise InputError(
        f"{path}: the scene is {size:,.3g} metres wide {given}and wanted is {SIZES[0]:g} to {SIZES[1]:g}; {hint}"
    )
