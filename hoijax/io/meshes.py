"""Reading object meshes as people have them: many formats, all units, seldom clean.

What is repaired is counted in the mesh's report; what cannot be known (the unit of the coordinates) is asked for and
never guessed.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import SolidReport, face_outward, likely_up, position_ids, wind_consistently
from hoijax.geometry.cutting import is_watertight
from hoijax.io.files import PathLike
from hoijax.io.glb import linear_to_srgb
from hoijax.io.obj import parse_obj
from hoijax.io.reading import existing_file, reading
from hoijax.io.scenes import FORMATS, OpenedScene, format_of, open_scene, read_contents

MESH_FORMATS: tuple[str, ...] = FORMATS
"""Suffixes that `read_mesh` takes; each may be followed by `.gz`."""

UNITS: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
"""Metres per unit, by the name that `units` takes."""

OBJECT_SIZES = (0.005, 5.0)
"""Longest side, metres, between which an object is believed to be in metres without being told."""

_UNIT_WORDS = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}


@dataclasses.dataclass(frozen=True)
class MeshReport:
    """What was found in a mesh file and what was done about it."""

    source: str
    """The file's name."""
    vertices: int
    """Vertices kept."""
    faces: int
    """Faces kept."""
    parts: int = 1
    """Meshes in the file's scene graph that were joined, each with its transform."""
    metres_per_unit: float = 1.0
    """Factor that the file's coordinates were multiplied with."""
    degenerate: int = 0
    """Faces removed because they have no area."""
    duplicate: int = 0
    """Faces removed because another face has the same three corners, in whichever order."""
    turned: bool = False
    """The closed surface faced inward and was turned outward."""
    rewound: int = 0
    """Faces turned because they wound the other way than their neighbours, or their closed part faced inward."""
    likely_up: str = "+y"
    """Which axis of the file seems to point up (`hoijax.geometry.likely_up`); the mesh is taken as it is, with y up."""
    turned_from: str | None = None
    """Which direction of the file was turned upward, because that was asked for."""
    solid: SolidReport | None = None
    """What was found of inside and outside, once a distance field was built."""
    watertight: bool = True
    """Every part is closed: each of its edges joins two of its faces. Otherwise "inside" is what cannot be reached from
    outside, or what an open part goes round."""
    decimated_from: int | None = None
    """Number of faces before decimation."""
    remarks: tuple[str, ...] = ()
    """What the file's reader remarked."""
    deviation: float | None = None
    """Largest measured distance from the original's vertices to the decimated surface, metres."""

    def notes(self) -> list[str]:
        """One sentence per thing a person should know; empty for a clean mesh in metres."""
        notes = list(self.remarks)
        if self.parts > 1:
            notes.append(f"{self.parts} meshes of the scene were joined")
        if self.metres_per_unit != 1.0:
            notes.append(f"coordinates were multiplied with {self.metres_per_unit:g} to be metres")
        if self.degenerate:
            notes.append(f"{self.degenerate} degenerate faces were removed")
        if self.duplicate:
            notes.append(f"{self.duplicate} duplicate faces were removed")
        if self.turned:
            notes.append("the surface faced inward and was turned outward")
        if self.rewound:
            notes.append(f"{self.rewound:,} faces wound against their neighbours, or inward, and were turned")
        if not self.watertight:
            notes.append(
                "the surface is open: inside is what cannot be reached from outside, or what a part goes round"
            )
        if self.turned_from is not None:
            notes.append(
                f"the mesh was turned so that its {self.turned_from} points up; obj_rot and obj_trans, before and "
                "after, place the turned mesh"
            )
        elif self.likely_up != "+y":
            seems = "it stood on its head" if self.likely_up == "-y" else f"{self.likely_up} were up in its file"
            notes.append(
                f"the mesh looks as if {seems}; it is taken as it is, with y up (refine --object-up={self.likely_up} "
                "would turn it)"
            )
        if self.solid is not None:
            notes += self.solid.notes()
        if self.decimated_from is not None:
            far = "" if self.deviation is None else f", within {1000 * self.deviation:.2g} mm of the original"
            notes.append(f"{self.decimated_from:,} faces were decimated to {self.faces:,} for the distance field{far}")
        return notes


@dataclasses.dataclass(frozen=True)
class LoadedMesh:
    """A triangle mesh in metres, with the story of how it became one."""

    vertices: np.ndarray
    """`(V, 3)` float32, metres. From OBJ, PLY and OFF in the file's order and number, unused ones included."""
    faces: np.ndarray
    """`(F, 3)` int32, no degenerate or duplicate ones; the file's order otherwise."""
    report: MeshReport
    """What was found and done."""
    colors: np.ndarray | None = None
    """`(V, 3)` sRGB in [0, 1] where the file colours its vertices, or None."""


def read_mesh(
    path: PathLike, *, units: str | None = None, sizes: tuple[float, float] | None = OBJECT_SIZES
) -> LoadedMesh:
    """Reads an object's mesh: OBJ, PLY, STL, OFF, GLB, glTF, COLLADA (`.dae`) or 3MF, also packed (`.gz`).

    Scene graphs are flattened with their transforms. Faces without area and repeated faces are removed, a closed
    surface that faces inward is turned. The vertices of OBJ, PLY and OFF keep the file's order and number, so that
    labels by vertex index stay valid; STL repeats its corners, which are merged; GLB vertices are those of its parts
    one after the other.

    Args:
      path: the file; its suffix says the format.
      units: "m", "cm", "mm" or "in". None: what COLLADA and 3MF say, metres of the other formats; believed only if
        the longest side lies within `sizes`.
      sizes: the shortest and longest believable object, metres; None: any.

    Returns:
      The mesh in metres with its report.

    Raises:
      InputError: missing, unreadable or empty file; no faces; coordinates that are not finite; faces that name
        vertices that do not exist; a size that is not in metres.
    """
    path = pathlib.Path(path)
    if units is not None and units not in UNITS:
        raise InputError(f"unit '{units}' is not known; wanted one of {', '.join(UNITS)}")
    parsed = _parse(path)
    vertices, faces, colors, parts = parsed.vertices, parsed.faces, parsed.colors, parsed.parts
    _check(path, vertices, faces)
    ids = position_ids(vertices)
    if parsed.kind == "stl":  # three corners per face: only merging makes it a mesh
        _, first, ids = np.unique(ids, return_index=True, return_inverse=True)
        vertices, faces, ids = vertices[first], ids[faces], np.arange(len(first))
    collapsed, thin = collapsed_faces(ids[faces]), thin_faces(vertices, faces)
    duplicate = ~collapsed & ~thin & duplicate_faces(ids[faces])
    degenerate, whole = collapsed | thin, ids[faces[~collapsed & ~duplicate]]
    faces = faces[~degenerate & ~duplicate]
    if not len(faces):
        raise InputError(f"{path}: all {len(degenerate)} faces are degenerate (no area); there is no surface to use")
    # A face as thin as a line encloses nothing, but without it the edges of its neighbours may no longer match.
    patches = wind_consistently(vertices, faces)
    watertight = is_watertight(ids[faces]) or is_watertight(whole) or bool(patches.closed.all())
    factor = UNITS[units] if units is not None else parsed.metres_per_unit or 1.0
    vertices = vertices * factor
    if units is None and sizes is not None:
        _check_size(path, vertices[faces], sizes)
    flipped = patches.turned ^ face_outward(vertices, patches)[patches.patch]
    turned = bool(flipped.all()) or (watertight and not flipped.any() and _signed_volume(vertices, faces) < 0)
    if turned:
        faces = faces[:, ::-1]
    elif flipped.any():
        faces = np.where(flipped[:, None], faces[:, ::-1], faces)
    report = MeshReport(
        source=path.name,
        vertices=len(vertices),
        faces=len(faces),
        parts=parts,
        metres_per_unit=factor,
        degenerate=int(degenerate.sum()),
        duplicate=int(duplicate.sum()),
        turned=turned,
        rewound=0 if turned else int(flipped.sum()),
        likely_up=likely_up(vertices, faces),
        watertight=watertight,
        remarks=parsed.notes,
    )
    if colors is not None and len(colors) != len(vertices):
        colors = None
    return LoadedMesh(
        vertices=np.ascontiguousarray(vertices, np.float32),
        faces=np.ascontiguousarray(faces, np.int32),
        report=report,
        colors=None if colors is None else np.ascontiguousarray(colors, np.float32),
    )


def mesh_as_written(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """A file's vertices `(V, 3)` and faces `(F, 3)` in its own order and unit, nothing mended; for bodies.

    Raises:
      InputError: nothing there, no mesh format, damaged, or vertices that are not finite.
    """
    path = pathlib.Path(path)
    parsed = _parse(path)
    if not len(parsed.vertices) or not np.isfinite(parsed.vertices).all():
        raise InputError(f"{path} has no vertices, or some that are not finite; wanted a mesh")
    return np.asarray(parsed.vertices, np.float64), np.asarray(parsed.faces, np.int64)


def _parse(path: pathlib.Path) -> "_Parsed":
    """A file's mesh, as the file has it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; wanted a mesh file ({', '.join(MESH_FORMATS)})")
    existing_file(path, "mesh file")
    kind = format_of(path)
    if kind not in MESH_FORMATS:
        raise InputError(f"{path}: '{path.suffix}' is no mesh format hoijax reads; wanted {', '.join(MESH_FORMATS)}")
    if kind == "obj" and (data := read_contents(path))[:4] != b"glTF":
        with reading(path, "OBJ"):
            vertices, faces, colors = parse_obj(data, str(path))
        return _Parsed(vertices, faces, colors, 1, "obj", (), None)
    return _join(open_scene(path, materials=False))


@dataclasses.dataclass(frozen=True)
class _Parsed:
    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    parts: int
    kind: str
    notes: tuple[str, ...]
    metres_per_unit: float | None


def _join(opened: OpenedScene) -> _Parsed:
    """The scene's meshes in world coordinates, as one."""
    scene = opened.scene
    vertices, faces, colors, count = [], [], [], 0
    order = {name: i for i, name in enumerate(scene.geometry)}  # the file's; that of the nodes is arbitrary
    for node in sorted(scene.graph.nodes_geometry, key=lambda node: (order[scene.graph[node][1]], node)):
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if not len(getattr(part, "vertices", ())):
            continue
        matrix = np.asarray(transform, np.float64)
        corners = np.asarray(getattr(part, "faces", np.zeros((0, 3))), np.int64).reshape(-1, 3)
        points = np.asarray(part.vertices, np.float64)
        if not np.array_equal(matrix, np.eye(4)):
            points = points @ matrix[:3, :3].T + matrix[:3, 3]
            # A mirroring transform swaps the sides of every face.
            corners = corners[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else corners
        vertices.append(points)
        faces.append(corners + count)
        colors.append(_part_colors(part, linear=opened.kind == "gltf"))
        count += len(vertices[-1])
    rest = (opened.kind, opened.notes, opened.metres_per_unit)
    if not vertices:
        return _Parsed(np.zeros((0, 3)), np.zeros((0, 3), np.int64), None, 0, *rest)
    joined = None if any(c is None for c in colors) else np.concatenate(colors)
    return _Parsed(np.concatenate(vertices), np.concatenate(faces), joined, len(vertices), *rest)


def _part_colors(part: Any, *, linear: bool) -> np.ndarray | None:
    """sRGB `(V, 3)` of a trimesh part whose vertices are coloured, or None."""
    visual = getattr(part, "visual", None)
    if visual is None or visual.kind != "vertex":
        return None
    rgb = np.asarray(visual.vertex_colors)
    if rgb.shape[:1] != (len(part.vertices),) or rgb.ndim != 2 or rgb.shape[1] < 3:
        return None
    return linear_to_srgb(rgb[:, :3] / 255.0) if linear else rgb[:, :3] / 255.0


def _check(path: pathlib.Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    if not len(vertices):
        raise InputError(f"{path} has no vertices; is it a mesh?")
    finite = np.isfinite(vertices).all(axis=1)
    if not finite.all():
        bad = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"{path}: {int((~finite).sum())} of {len(vertices)} vertices are not finite, the first is vertex {bad} = "
            f"{vertices[bad].tolist()}; export the mesh again"
        )
    if not len(faces):
        raise InputError(f"{path} has {len(vertices)} vertices but no faces; wanted a surface, not a point cloud")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(
            f"{path}: faces name vertices {faces.min()} to {faces.max()}, but it has {len(vertices)} (0 to "
            f"{len(vertices) - 1}); the file is damaged"
        )


def _check_size(path: pathlib.Path, corners: np.ndarray, sizes: tuple[float, float]) -> None:
    """Refuses a mesh whose size in metres no object has, naming the units that would explain it."""
    corners = corners.reshape(-1, 3)
    longest = float((corners.max(axis=0) - corners.min(axis=0)).max())
    if sizes[0] <= longest <= sizes[1]:
        return
    keep = "--units m if it really is in metres"
    if longest < sizes[0]:
        raise InputError(f"{path} is {longest:.3g} m long, too small to be in metres; scale it, or say {keep}")
    # The likeliest first: half a metre is the middle of what people handle.
    fits = [unit for unit in UNITS if unit != "m" and 0.02 <= longest * UNITS[unit] <= 3.0]
    fits.sort(key=lambda unit: abs(np.log(longest * UNITS[unit] / 0.5)))
    likely = [unit for unit in fits if unit != "in"][:2] or fits
    if not likely:
        raise InputError(f"{path} is {longest:.4g} m long, too large to be in metres; scale it, or say {keep}")
    words = " or ".join(f"{_UNIT_WORDS[u]} ({longest * UNITS[u]:.3g} m)" for u in likely)
    flags = " or ".join(f"--units {u}" for u in likely)
    raise InputError(
        f"{path} is {longest:.4g} long, which in metres is no object: it looks like {words}; say {flags}, or {keep}"
    )


def collapsed_faces(faces: np.ndarray) -> np.ndarray:
    """Faces `(F,)` that name one vertex twice."""
    return (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])


def thin_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces `(F,)` so thin that float32 cannot tell them from a line, those without any extent included."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    longest = np.maximum(np.maximum(((b - a) ** 2).sum(1), ((c - b) ** 2).sum(1)), ((a - c) ** 2).sum(1))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) <= 1e-7 * longest


def duplicate_faces(faces: np.ndarray) -> np.ndarray:
    """Faces `(F,)` whose corners, in whichever order, are those of an earlier face."""
    corners = np.sort(faces, axis=1)
    order = np.lexsort(corners.T)
    ordered = corners[order]
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return repeated


def _signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume of a closed surface, negative when it faces inward."""
    a, b, c = (vertices[faces[:, k]] - vertices[faces[0, 0]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6.0)
