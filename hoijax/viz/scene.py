"""The scenes that figures and pages show: named coloured triangle meshes on the host."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hoijax.errors import InputError

BODY_COLOR = (0.66, 0.72, 0.80)
OBJECT_COLOR = (0.83, 0.63, 0.33)
OTHER_COLORS = ((0.56, 0.66, 0.44), (0.72, 0.50, 0.46), (0.58, 0.48, 0.66), (0.45, 0.62, 0.62))
_LARGEST_FAN = 512


@dataclasses.dataclass(frozen=True)
class NamedMesh:
    """One part of a scene: a triangle mesh with a name and colours.

    Raises:
      InputError: the arrays do not form a mesh, or the colours do not fit it.
    """

    name: str
    """What legends and the viewer's switches call it; "body" and "object" have colours of their own."""
    vertices: np.ndarray
    """`(V, 3)`, metres, world coordinates, y up."""
    faces: np.ndarray
    """`(F, 3)` vertex indices, counter-clockwise seen from outside."""
    colors: np.ndarray | tuple[float, float, float] | None = None
    """sRGB in [0, 1]: one colour `(3,)`, one per vertex `(V, 3)`, or None for a default that goes by the name."""
    texture: np.ndarray | None = None
    """Image `(H, W, 3)`, sRGB in [0, 1], row 0 on top, multiplied with the colours; needs `uv`."""
    uv: np.ndarray | None = None
    """`(V, 2)` texture coordinates, `u` right and `v` up."""

    def __post_init__(self):
        vertices = np.asarray(self.vertices, np.float32)
        faces = np.asarray(self.faces, np.int32)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
            raise InputError(f"mesh '{self.name}': wanted finite vertices of shape (V, 3), got {vertices.shape}")
        if faces.ndim != 2 or faces.shape[1] != 3:
            raise InputError(f"mesh '{self.name}': wanted triangles of shape (F, 3), got {faces.shape}")
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise InputError(
                f"mesh '{self.name}': faces name vertices {faces.min()} to {faces.max()}, but it has {len(vertices)}"
            )
        colors = self.colors
        if colors is not None:
            colors = np.asarray(colors, np.float32)
            if colors.shape not in ((3,), (len(vertices), 3)):
                raise InputError(
                    f"mesh '{self.name}': wanted one colour (3,) or one per vertex ({len(vertices)}, 3), "
                    f"got {colors.shape}"
                )
        if (self.texture is None) != (self.uv is None):
            raise InputError(f"mesh '{self.name}': a texture and its coordinates go together, got one of the two")
        if self.texture is not None:
            texture, uv = np.asarray(self.texture, np.float32), np.asarray(self.uv, np.float32)
            if texture.ndim != 3 or texture.shape[2] != 3 or uv.shape != (len(vertices), 2):
                raise InputError(
                    f"mesh '{self.name}': wanted a texture (H, W, 3) and coordinates ({len(vertices)}, 2), "
                    f"got {texture.shape} and {uv.shape}"
                )
            object.__setattr__(self, "texture", texture)
            object.__setattr__(self, "uv", uv)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "colors", colors)


SceneMeshes = Sequence[NamedMesh]
"""What every writer of this package takes as a scene."""


def vertex_colors(scene: SceneMeshes, *, bake: bool = False) -> list[np.ndarray]:
    """The sRGB colours `(V, 3)` of each mesh, float32 in [0, 1], defaults filled in.

    Args:
      scene: the meshes.
      bake: multiply with the texture at each vertex, for viewers without textures.
    """
    colors, others = [], 0
    for mesh in scene:
        color = mesh.colors
        if color is None and mesh.texture is not None:
            color = (1.0, 1.0, 1.0)
        elif color is None:
            if mesh.name.startswith(("body", "human")):
                color = BODY_COLOR
            elif mesh.name.startswith("object"):
                color = OBJECT_COLOR
            else:
                color = OTHER_COLORS[others % len(OTHER_COLORS)]
                others += 1
        color = np.asarray(color, np.float32)
        if bake and mesh.texture is not None:
            height, width = mesh.texture.shape[:2]
            column = np.floor(np.mod(mesh.uv[:, 0], 1.0) * width).astype(int).clip(0, width - 1)
            row = np.floor(np.mod(1.0 - mesh.uv[:, 1], 1.0) * height).astype(int).clip(0, height - 1)
            color = color * mesh.texture[row, column]
        colors.append(np.array(np.broadcast_to(np.clip(color, 0.0, 1.0), mesh.vertices.shape), np.float32))
    return colors


def scene_bounds(*scenes: SceneMeshes) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of the box around all meshes of all scenes, metres.

    Raises:
      InputError: there is nothing to see.
    """
    points = [mesh.vertices for scene in scenes for mesh in scene if len(mesh.vertices)]
    if not points:
        raise InputError("the scene has no vertices; give at least one mesh")
    points = np.concatenate(points)
    return points.min(axis=0), points.max(axis=0)


def corner_normals(vertices: np.ndarray, faces: np.ndarray, crease: float = 60.0) -> np.ndarray:
    """Normals per face corner that are smooth on round parts and sharp on edges.

    A corner's normal is the area-weighted mean over those faces at its vertex whose normal lies within `crease` of
    its own face's. Vertices at one position count as one, so that texture seams do not show.

    Args:
      vertices: `(V, 3)`.
      faces: `(F, 3)`.
      crease: angle in degrees above which an edge is sharp.

    Returns:
      Unit normals `(F, 3, 3)`, float32; (0, 0, 1) for faces without area.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    if not len(faces):
        return np.zeros((0, 3, 3), np.float32)
    _, welded = np.unique(vertices, axis=0, return_inverse=True)
    triangles = vertices[faces]
    area = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(area, axis=1, keepdims=True)
    unit = np.divide(area, length, out=np.zeros_like(area), where=length > 0)

    vertex = welded.reshape(-1)[faces].reshape(-1)  # of each corner
    order = np.argsort(vertex, kind="stable")
    valence = np.bincount(vertex)
    start = np.cumsum(valence) - valence
    # All pairs of corners at one vertex; the hub of an enormous fan keeps flat corners instead of valence^2 pairs.
    partners = np.where(valence <= _LARGEST_FAN, valence, 0)[vertex]
    left = np.repeat(np.arange(len(vertex)), partners)
    within = np.arange(len(left)) - np.repeat(np.cumsum(partners) - partners, partners)
    right = order[start[vertex[left]] + within]
    smooth = np.einsum("ij,ij->i", unit[left // 3], unit[right // 3]) > np.cos(np.radians(crease))
    left, right = left[smooth], right[smooth]
    normals = np.stack([np.bincount(left, area[right // 3, k], len(vertex)) for k in range(3)], axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    own = np.repeat(unit, 3, axis=0)
    own[np.linalg.norm(own, axis=1) == 0] = (0.0, 0.0, 1.0)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1.0), own)
    return normals.reshape(-1, 3, 3).astype(np.float32)
