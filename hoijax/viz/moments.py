"""Scenes that move: their meshes frame by frame, and pictures of some frames."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.render.studio import Studio
from hoijax.viz.figures import make_rig, render_views, write_png
from hoijax.viz.scene import NamedMesh, SceneMeshes, scene_bounds

__all__ = ["Motion3D", "MovingMesh", "render_moments", "write_moments"]

_VIEW = ((np.radians(35.0), np.radians(14.0)),)


@dataclasses.dataclass(frozen=True)
class MovingMesh:
    """A mesh and where it is in each of T frames: by its points, or as a rigid (or scaled) whole.

    Raises:
      InputError: neither or both are given, or they do not fit the mesh.
    """

    mesh: NamedMesh
    """Faces and colours; of one that moves as a whole also its vertices, in its own coordinates."""
    points: np.ndarray | None = None
    """`(T, V, 3)` metres, y up."""
    rigid: np.ndarray | None = None
    """`(T, 3, 4)` from its own coordinates to the world's."""

    def __post_init__(self):
        if (self.points is None) == (self.rigid is None):
            raise InputError("a mesh moves by its points or as a whole; give one of the two")
        shape = np.shape(self.points if self.rigid is None else self.rigid)
        wanted = (len(self.mesh.vertices), 3) if self.rigid is None else (3, 4)
        if len(shape) != 3 or shape[1:] != wanted or not shape[0]:
            raise InputError(
                f"the motion of {self.mesh.name!r} has the shape {shape}, wanted (T, {wanted[0]}, {wanted[1]})"
            )

    @property
    def count(self) -> int:
        """Frames, T."""
        return len(self.rigid if self.points is None else self.points)

    def at(self, frame: int) -> NamedMesh:
        """The mesh in one frame."""
        if self.points is not None:
            return dataclasses.replace(self.mesh, vertices=self.points[frame])
        matrix = np.asarray(self.rigid[frame], np.float64)
        vertices = self.mesh.vertices @ matrix[:, :3].T + matrix[:, 3]
        return dataclasses.replace(self.mesh, vertices=vertices.astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Motion3D:
    """How the two states of a case move.

    Raises:
      InputError: meshes with other numbers of frames than there are times.
    """

    times: np.ndarray
    """`(T,)` seconds, rising."""
    before: Sequence[MovingMesh]
    """Meshes of the state before; empty if there is one state."""
    after: Sequence[MovingMesh]
    """Meshes of the state after."""

    def __post_init__(self):
        for mesh in (*self.before, *self.after):
            if mesh.count != len(self.times):
                raise InputError(f"{mesh.mesh.name!r} has {mesh.count} frames, and there are {len(self.times)} times")


def write_moments(
    path: pathlib.Path | str,
    before: Sequence[SceneMeshes],
    after: Sequence[SceneMeshes],
    *,
    size: int = 512,
    studio: Studio | None = None,
) -> pathlib.Path:
    """Writes one PNG: frames side by side, before above after, seen by one camera.

    Args:
      path: the PNG.
      before: scenes of some frames.
      after: of the same.
      size: side of each picture, pixels.
      studio: lights and quality.
    """
    every = [*before, *after]
    rig, floor = make_rig(_VIEW, size, *every), float(scene_bounds(*every)[0][1])
    rows = [
        np.concatenate([render_views(scene, rig, floor=floor, studio=studio)[0] for scene in row], axis=1)
        for row in (before, after)
    ]
    return write_png(path, np.concatenate(rows, axis=0))


def render_moments(scenes: Sequence[SceneMeshes], *, size: int = 384, studio: Studio | None = None) -> list[np.ndarray]:
    """Pictures `(H, W, 3)` uint8 of the frames of one scene, seen by one camera.

    Args:
      scenes: of the frames.
      size: side, pixels.
      studio: lights and quality.
    """
    rig, floor = make_rig(_VIEW, size, *scenes), float(scene_bounds(*scenes)[0][1])
    return [render_views(scene, rig, floor=floor, studio=studio)[0] for scene in scenes]
