"""The procedural object: a labelled mesh assembled from closed surfaces."""

from typing import Any

import numpy as np
from flax import struct
from jaxtyping import Int

from hoijax.data.objects.solids import Surface
from hoijax.geometry import Mesh


@struct.dataclass
class ProceduralObject:
    """One object in its canonical frame: metres, y up, front towards +z, bounding box centred at the origin.

    The mesh is a union of closed surfaces, one or more per part, that touch or overlap where parts meet: it is
    watertight and winding numbers tell inside from outside, but faces buried in a joint belong to it.
    """

    category: str = struct.field(pytree_node=False)
    """Name of the category, a key of `CATEGORIES`."""
    mesh: Mesh
    """NumPy arrays: vertices float64, faces int32."""
    part_labels: Int[np.ndarray, "F"] | Any
    """Part of each face, an index into `part_names`, int32."""
    part_names: tuple[str, ...] = struct.field(pytree_node=False)
    """Names of the parts: "seat", "leg", "handle", ..."""
    size: tuple[float, float, float] = struct.field(pytree_node=False)
    """Extents of the bounding box along x, y, z."""
    drawn: bool = struct.field(pytree_node=False, default=True)
    """Made here, of closed surfaces with known thickness; otherwise a shipped shape (`hoijax.data.objects.real`)."""

    @property
    def vertex_labels(self) -> np.ndarray:
        """Part of each vertex, (V,) int32; parts share no vertex."""
        labels = np.zeros(len(self.mesh.vertices), np.int32)
        labels[np.asarray(self.mesh.faces)] = np.asarray(self.part_labels)[:, None]
        return labels

    @property
    def bottom(self) -> float:
        """The y of the lowest point: the object stands on a floor at this height, a negative number."""
        return -self.size[1] / 2


def assemble(category: str, parts: list[tuple[str, Surface]]) -> ProceduralObject:
    """Joins named surfaces to one object and centres its bounding box.

    Args:
      category: name of the category.
      parts: (part name, surface); a name may come several times, as for four legs.

    Returns:
      The object; parts are numbered in order of first appearance.
    """
    names = tuple(dict.fromkeys(name for name, _ in parts))
    counts = np.cumsum([0] + [len(vertices) for _, (vertices, _) in parts])
    vertices = np.concatenate([vertices for _, (vertices, _) in parts])
    faces = np.concatenate([faces + offset for (_, (_, faces)), offset in zip(parts, counts)]).astype(np.int32)
    labels = np.concatenate([np.full(len(faces), names.index(name), np.int32) for name, (_, faces) in parts])
    return centre(category, vertices, faces, labels, names)


def centre(
    category: str, vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, names: tuple[str, ...], **more: bool
) -> ProceduralObject:
    """The object of a labelled surface, its bounding box centred.

    Args:
      category: name of the category.
      vertices: `(V, 3)` metres.
      faces: `(F, 3)`.
      labels: `(F,)` index of each face's part in `names`.
      names: of the parts.
      **more: further fields of `ProceduralObject`.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return ProceduralObject(
        category=category,
        mesh=Mesh(vertices=vertices - (low + high) / 2, faces=faces),
        part_labels=labels,
        part_names=names,
        size=tuple(float(s) for s in high - low),
        **more,
    )
