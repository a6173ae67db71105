"""Object meshes as jobs use them: as read, decimated, with their distance grid, which a cache may keep."""

import dataclasses
import functools
import pathlib
import warnings

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose, SDFGrid, SolidReport
from hoijax.interaction import ObjectTemplate, make_solid_template
from hoijax.io import LoadedMesh, file_digest, output_directory, read_mesh, read_npz, simplify, value_digest, write_npz
from hoijax.io.scenes import format_of
from hoijax.jobs.directions import Direction, direction_name, turn_between
from hoijax.optim.fields import SDF_RESOLUTION

MAX_FACES = 20_000
"""Faces of the mesh that the distance grid is built from and that pictures show."""
CACHE_LIMIT = 256
"""Distance grids that the cache keeps; those unused for longest go first."""
RULE = 3
"""Version of how templates are made; another one makes the grids of a cache anew."""
_SOLID = (int, int, int, float, float, float)
"""Types of a `SolidReport`'s fields, in their order."""
SHELF = 64
"""Objects of a job with many that are kept in memory."""
LARGEST = 4096
"""Most samples of a cached grid along one side; more are a damaged file."""


@dataclasses.dataclass(frozen=True)
class ObjectAsset:
    """An object as it is shown and as it is computed with."""

    mesh: LoadedMesh
    """As read; goes to the GLB."""
    light: LoadedMesh
    """Decimated where `mesh` is large."""
    template: ObjectTemplate
    """Of `light`."""

    @classmethod
    def read(cls, path: pathlib.Path, units: str | None, cache: pathlib.Path | None = None) -> "ObjectAsset":
        """Reads and checks a mesh, then builds its distance grid.

        Raises:
          InputError: see `hoijax.io.read_mesh`.
        """
        return cls.of(read_mesh(path, units=units), cache)

    @classmethod
    def of(cls, mesh: LoadedMesh, cache: pathlib.Path | None = None) -> "ObjectAsset":
        """The asset of a mesh that has been read.

        Args:
          mesh: metres.
          cache: folder that keeps distance grids; None: they are built every time.
        """
        light = simplify(mesh, MAX_FACES)
        shape = Mesh(vertices=light.vertices, faces=light.faces)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            template, solid = cached_template(shape, SDF_RESOLUTION, cache)
        told = (str(w.message) for w in found if issubclass(w.category, UserWarning))
        report = dataclasses.replace(
            light.report, solid=solid, remarks=tuple(dict.fromkeys((*light.report.remarks, *told)))
        )
        return cls(mesh, dataclasses.replace(light, report=report), template)


@dataclasses.dataclass(frozen=True)
class StoredAsset:
    """An `ObjectAsset` that is read when it is asked for, so that a job may have more objects than memory holds."""

    path: pathlib.Path
    """The mesh."""
    units: str | None
    """Its unit; None: metres."""
    object_up: Direction | None
    """See `set_up`."""
    up: Direction
    """See `set_up`."""
    cache: pathlib.Path | None
    """Folder that keeps distance grids."""
    digest: str = ""
    """Of the mesh (`mesh_digest`): another file in its place is another object."""

    @property
    def mesh(self) -> LoadedMesh:
        """See `ObjectAsset.mesh`."""
        return _load_stored(self).mesh

    @property
    def light(self) -> LoadedMesh:
        """See `ObjectAsset.light`."""
        return _load_stored(self).light

    @property
    def template(self) -> ObjectTemplate:
        """See `ObjectAsset.template`."""
        return _load_stored(self).template


@functools.lru_cache(maxsize=SHELF)
def _load_stored(asset: StoredAsset) -> ObjectAsset:
    mesh = set_up(read_mesh(asset.path, units=asset.units), asset.object_up, asset.up)
    return ObjectAsset.of(mesh, asset.cache)


def mesh_digest(path: pathlib.Path, mesh: LoadedMesh) -> str:
    """What tells one mesh's file from another; of a glTF also by what is in the files beside it."""
    if format_of(path) != "gltf":
        return file_digest(path)
    return value_digest([file_digest(path), mesh.vertices, mesh.faces, mesh.colors])


def set_up(mesh: LoadedMesh, object_up: Direction | None, up: Direction) -> LoadedMesh:
    """The mesh turned, about its origin and by the least angle, so that what is up in its file is up in the world.

    Args:
      mesh: as read.
      object_up: which direction of the mesh points up; None: the mesh as it is.
      up: against gravity, in the world that the object's pose is given in.
    """
    if object_up is None:
        return mesh
    turn = turn_between(object_up, up)
    if np.array_equal(turn, np.eye(3)):
        return dataclasses.replace(mesh, report=dataclasses.replace(mesh.report, likely_up="+y"))
    turned = mesh.vertices.astype(np.float64) @ turn.T
    report = dataclasses.replace(mesh.report, turned_from=direction_name(object_up))
    return dataclasses.replace(mesh, vertices=turned.astype(np.float32), report=report)


def cached_template(mesh: Mesh, resolution: int, cache: pathlib.Path | None) -> tuple[ObjectTemplate, SolidReport]:
    """`make_solid_template`, or what an earlier call with the same mesh has left in the cache.

    Args:
      mesh: metres.
      resolution: samples of the grid along the longest side.
      cache: the folder; None: nothing is kept. One that cannot be read or written is done without.
    """
    if cache is None:
        return make_solid_template(mesh, resolution=resolution)
    digest = value_digest({"rule": RULE, "vertices": mesh.vertices, "faces": mesh.faces, "resolution": resolution})
    path = cache / f"{digest}.npz"
    template = _read_template(path)
    if template is None:
        template = make_solid_template(mesh, resolution=resolution)
        _keep_template(path, *template)
    return template


def _read_template(path: pathlib.Path) -> tuple[ObjectTemplate, SolidReport] | None:
    """A template of the cache and what was found of the mesh; None if it is not there or damaged."""
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path)
        mesh = Mesh(vertices=arrays["vertices"], faces=arrays["faces"])
        grid = SDFGrid(values=arrays["values"], origin=arrays["origin"], spacing=arrays["spacing"])
        points = arrays["points"]
        solid = SolidReport(*(kind(value) for kind, value in zip(_SOLID, arrays["solid"], strict=True)))
        path.touch()
    except (InputError, KeyError, OSError, TypeError, ValueError, OverflowError):
        return None
    usable = grid.values.ndim == 3 and max(grid.values.shape) <= LARGEST and np.isfinite(grid.values).all()
    return (ObjectTemplate(mesh, points, grid), solid) if usable else None


def _keep_template(path: pathlib.Path, template: ObjectTemplate, solid: SolidReport) -> None:
    """Writes a template to the cache and removes the oldest beyond `CACHE_LIMIT`; trouble with the disk is ignored."""
    grid = template.sdf
    arrays = {
        "vertices": template.mesh.vertices, "faces": template.mesh.faces, "points": template.points,
        "values": grid.values, "origin": grid.origin, "spacing": grid.spacing,
        "solid": np.asarray(dataclasses.astuple(solid), np.float64),
    }  # fmt: skip
    try:
        write_npz(output_directory(path.parent) / path.name, arrays)
        kept = sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime)
        for old in kept[:-CACHE_LIMIT]:
            old.unlink(missing_ok=True)
    except (InputError, OSError):
        return


def place_mesh(mesh: LoadedMesh, pose: RigidPose) -> np.ndarray:
    """An object's vertices `(V, 3)` where a pose puts them, metres."""
    rotation, move = np.asarray(pose.rotation, np.float64), np.asarray(pose.translation, np.float64)
    return (float(pose.scale) * mesh.vertices.astype(np.float64) @ rotation.T + move).astype(np.float32)
