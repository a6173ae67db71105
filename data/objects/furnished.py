"""Shipped shapes (`hoijax.data.objects.real`) as objects of the catalogue's categories, their parts found by geometry.

Seats, tops and mattresses are the height at which most area looks up, backs what stands behind and above a seat.
A shape is taken where it fits a category of the catalogue: sized for a person, and with the parts that scripts ask for.
"""

import functools

import numpy as np

from hoijax.data.objects.assembly import ProceduralObject, centre
from hoijax.data.objects.real import Shape, shipped

KINDS: dict[str, tuple[str, ...]] = {
    "ball": ("ball",), "bed": ("bed",), "bench": ("bench",), "bottle": ("bottle",), "box": ("box",),
    "chair": ("chair",), "cup": ("cup",), "desk": ("desk",), "racket": ("racket",), "sofa": ("sofa", "armchair"),
    "stool": ("stool",), "table": ("table",),
}  # fmt: skip
"""Kinds of shapes that each category takes: an armchair is a sofa for one."""

LEFT_OUT: frozenset[str] = frozenset({"chair_065", "cup_009", "desk_075", "bottle_023"})
"""Of these kinds, but not for the scripts: a lounger, a bowl, a desk under shelves, a bottle for two fingers."""

_LEVELS = {"bed": (0.25, 0.8), "desk": (0.6, 0.85), "stool": (0.35, 0.85), "table": (0.6, 1.05)}
"""Heights above the floor between which the part that bears is looked for, metres."""
_SEAT = (0.28, 0.62)
_BEARS = {"bed": "mattress", "desk": "top", "table": "top"}
_GRIP = 0.17
"""Length of a racket's grip, metres."""


def real_numbers(category: str, split: str) -> tuple[int, ...]:
    """Catalogue numbers of the shapes of a category, ascending; none where no shape fits.

    Args:
      category: a key of `hoijax.data.objects.CATEGORIES`.
      split: "train" or "test".
    """
    return tuple(sorted(shape.number for shape in _fitting(category) if shape.split == split))


@functools.cache
def real_object(category: str, number: int) -> ProceduralObject:
    """A shipped shape in the canonical frame of the drawn objects: bounding box centred, labelled parts.

    Args:
      category: a key of `KINDS`.
      number: of the shape, in the furniture catalogue.

    Returns:
      The object. Vertices where parts meet are doubled, so that parts share none, as those of drawn objects do not.

    Raises:
      ValueError: no shipped shape of this number fits the category.
    """
    shapes = {shape.number: shape for shape in _fitting(category)}
    if number not in shapes:
        raise ValueError(f"no shipped {category} has the number {number}; there are {sorted(shapes)}")
    mesh = shapes[number].mesh
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if category == "racket":
        vertices = _upright(vertices)
    names, labels = _find_parts(category, vertices, faces)
    vertices, faces = _apart(vertices, faces, labels)
    return centre(category, vertices, faces, labels, names, drawn=False)


def _fitting(category: str) -> tuple[Shape, ...]:
    return tuple(s for kind in KINDS.get(category, ()) for s in shipped(kind=kind) if s.name not in LEFT_OUT)


def _upright(vertices: np.ndarray) -> np.ndarray:
    """A long thing with its long axis along y and its narrower end, the grip, below."""
    axis = int(np.argmax(np.ptp(vertices, axis=0)))
    turned = np.roll(vertices, 1 - axis, axis=1)
    middle = (turned[:, 1].min() + turned[:, 1].max()) / 2
    ends = [np.ptp(turned[half][:, [0, 2]], axis=0).max() for half in (turned[:, 1] < middle, turned[:, 1] >= middle)]
    return turned * [1, -1, -1] if ends[0] > ends[1] else turned  # half a turn about x


def _find_parts(category: str, vertices: np.ndarray, faces: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the parts that are there, and the part of each face."""
    corners = vertices[faces]
    middle = corners.mean(axis=1)
    if category in ("ball", "bottle", "box"):
        where = {"body": np.ones(len(faces), bool)}
    elif category == "cup":
        # Handles stand out along x: the cup's own middle is where it is widest across.
        centre = vertices[[vertices[:, 2].argmin(), vertices[:, 2].argmax()], 0].mean()
        where = {"body": np.abs(corners[..., 0] - centre).max(axis=1) < 0.51 * np.ptp(vertices[:, 2])}
        where["handle"] = ~where["body"]
    elif category == "racket":
        grip = middle[:, 1] < vertices[:, 1].min() + _GRIP
        where = {"head": ~grip, "grip": grip}
    else:
        where = _furniture_parts(category, corners, middle)
    names = tuple(name for name, mask in where.items() if mask.any())
    labels = np.zeros(len(faces), np.int32)
    for i, name in enumerate(names):
        labels[where[name]] = i
    return names, labels


def _furniture_parts(category: str, corners: np.ndarray, middle: np.ndarray) -> dict[str, np.ndarray]:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    normal = normal / np.maximum(area, 1e-12)[:, None]
    height = corners[..., 1] - corners[..., 1].min()
    level = _level(height.mean(axis=1), area * (normal[:, 1] > 0.7), _LEVELS.get(category, _SEAT))
    # Cushions bulge: what bears reaches from a hand below the level to a finger above it.
    bears = (height.max(axis=1) < level + 0.025) & (height.min(axis=1) > level - 0.1)
    above = (height.mean(axis=1) > level + 0.025) & ~bears
    rear = middle[:, 2] < np.quantile(corners[bears][..., 2], 0.25) if bears.any() else np.zeros(len(area), bool)
    part = {_BEARS.get(category, "seat"): bears}
    if category == "chair":
        # The sheet that is leaned against; the rest of a back is frame.
        part["back"] = above & rear & (normal[:, 2] > 0.3)
        part["frame"] = above & ~part["back"]
    elif category == "sofa":
        part["back"] = above & rear
        part["armrest"] = above & ~rear
    else:
        part["frame"] = above
    part["leg"] = ~np.any(list(part.values()), axis=0)
    return part


def _level(height: np.ndarray, area: np.ndarray, span: tuple[float, float]) -> float:
    """The height, in steps of 1 cm, around which most area lies: within 2 cm of it."""
    steps = np.arange(span[0], span[1], 0.01)
    near = (np.abs(height[None] - steps[:, None]) < 0.02) @ area
    return float(steps[near.argmax()])


def _apart(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with a vertex for each pair of corner and part; corners of no face go."""
    keys = faces.astype(np.int64) * (labels.max() + 1) + labels[:, None]
    used, index = np.unique(keys.reshape(-1), return_inverse=True)
    return vertices[used // (labels.max() + 1)], index.reshape(-1, 3).astype(np.int32)
