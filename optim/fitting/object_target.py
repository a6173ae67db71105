"""What a fit sees of an object: its mask in a square, what hides it, the person's depth, and its mesh made small."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int
from scipy import ndimage

from hoijax.camera import Camera, crop
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction.template import surface_points
from hoijax.io import simplify
from hoijax.io.meshes import LoadedMesh, MeshReport
from hoijax.optim.fitting.outline import cut_square
from hoijax.render import edge_neighbours, rasterize

ArrayLike = jax.Array | np.ndarray

MAX_FACES, LEAST_FACES = 700, 1024
"""Faces that an object's mesh is decimated to, and the least that its arrays are filled up to."""
OBJECT_POINTS, BODY_POINTS = 96, 256
"""Points of an object's surface, and of a body's, that distances are taken between."""
SIDE = 96
"""Pixels of a target's side where nothing else is asked for."""
SPECK, CAPTION = 0.02, 0.15
"""Pieces of a mask with less than these shares of its largest piece are specks, or captions if they lie apart."""
LEAST_PIXELS = 30
"""Pixels of a mask below which nothing can be fitted."""


@struct.dataclass
class ObjectShape:
    """An object's mesh as a fit draws it, filled up so that one program serves many objects."""

    vertices: Float[ArrayLike, "V 3"] | Any
    """Metres about `centre`."""
    faces: Int[ArrayLike, "F 3"] | Any
    """Rows (0, 0, 0) fill up."""
    neighbours: Int[ArrayLike, "F 3"] | Any
    """Of `render.edge_neighbours`."""
    points: Float[ArrayLike, "P 3"] | Any
    """On the surface, about `centre`."""
    centre: Float[ArrayLike, "3"] | Any
    """Middle of the mesh's box in its own frame, metres."""
    diagonal: Float[ArrayLike, ""] | Any
    """Of the box, metres."""
    spacing: Float[ArrayLike, ""] | Any
    """Half of what neighbours among `points` are apart, metres."""


@struct.dataclass
class ObjectTarget:
    """An object's mask, cut to a square of S pixels about it, and what is known of the other pixels."""

    covered: Float[ArrayLike, "S S"] | Any
    """Share of each pixel that is the object as seen."""
    valid: Float[ArrayLike, "S S"] | Any
    """Share of each pixel of which that is known: 0 outside of the picture and on what hides the object."""
    hidden: Float[ArrayLike, "S S"] | Any
    """Share of each pixel that is the person, who may stand before the object."""
    edges: Float[ArrayLike, "S S"] | Any
    """How strong the picture's edges are, 0 to 1."""
    inside: Float[ArrayLike, "S S"] | Any
    """1 where these are the object's own and not its outline's, else 0; 0 everywhere without a picture."""
    box: Float[ArrayLike, "4"] | Any
    """Left, top, width and height of the square, pixels of the picture."""
    matrix: Float[ArrayLike, "3 3"] | Any
    """Intrinsics of the square."""


@struct.dataclass
class ObjectScene:
    """What a body says about where an object can be; camera frame (x right, y down, z forward), metres."""

    depth: Float[ArrayLike, "S S"] | Any
    """Of the body at the target's pixels, infinite where it is not."""
    points: Float[ArrayLike, "Q 3"] | Any
    """On the body's skin."""
    present: Float[ArrayLike, ""] | Any
    """1 where a body is known, else 0: then only the mask and the size's prior speak."""
    up: Float[ArrayLike, "3"] | Any
    """Upwards, a guess."""
    floor: Float[ArrayLike, ""] | Any
    """Height of the floor along `up` from the camera."""


def object_shape(mesh: LoadedMesh | Mesh) -> ObjectShape:
    """Makes a mesh ready to be fitted; on the host, once.

    Args:
      mesh: metres, y up.

    Raises:
      InputError: nothing is left of the surface when it is decimated.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
    if len(vertices) == 0 or len(faces) == 0 or not np.isfinite(vertices).all():
        raise InputError(
            f"a mesh of {len(vertices)} vertices and {len(faces)} faces; wanted are faces and finite vertices"
        )
    if len(faces) > MAX_FACES:
        report = MeshReport("the object", len(vertices), len(faces))
        mesh = simplify(LoadedMesh(vertices=vertices, faces=faces, report=report), MAX_FACES)
        vertices, faces = mesh.vertices, mesh.faces
    # One vertex for each place: seams would be borders.
    used, faces = np.unique(vertices[faces.reshape(-1)], axis=0, return_inverse=True)
    faces = faces.reshape(-1, 3).astype(np.int32)
    low, high = used.min(axis=0), used.max(axis=0)
    centre, diagonal = 0.5 * (low + high), float(np.linalg.norm(high - low))
    if not diagonal > 0:
        raise InputError("the object's mesh has no extent")
    size = LEAST_FACES
    while size < max(len(faces), len(used)):
        size *= 2
    neighbours = edge_neighbours(faces)
    points = surface_points(used - centre, faces, OBJECT_POINTS)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return ObjectShape(
        vertices=_fill(used - centre, size, 0.0).astype(np.float32),
        faces=_fill(faces, size, 0),
        neighbours=_fill(neighbours, size, -1),
        points=points.astype(np.float32),
        centre=centre.astype(np.float32),
        diagonal=np.float32(diagonal),
        spacing=np.float32(0.5 * np.median(apart.min(axis=1))),
    )


def _fill(rows: np.ndarray, size: int, value: float) -> np.ndarray:
    return np.concatenate([rows, np.full((size - len(rows), *rows.shape[1:]), value, rows.dtype)])


def clean_mask(mask: np.ndarray) -> np.ndarray:
    """A mask without specks and captions: what is not a piece of the object.

    Dropped are pieces smaller than `SPECK` of the largest one, and those smaller than `CAPTION` of it that lie farther
    from its box than half its longer side.

    Args:
      mask: booleans (H, W).
    """
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(pieces)
    largest = boxes[int(np.argmax(sizes))]
    reach = 0.5 * max(side.stop - side.start for side in largest)
    away = np.array([max(max(b.start - a.stop, a.start - b.stop) for a, b in zip(largest, box)) for box in boxes])
    kept = (sizes >= np.where(away > reach, CAPTION, SPECK) * sizes.max()) & (sizes > 0)
    return np.concatenate([[False], kept])[pieces]


def object_target(
    mask: np.ndarray,
    matrix: Float[ArrayLike, "3 3"],
    *,
    person: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
    image: np.ndarray | None = None,
    size: int = SIDE,
    margin: float = 0.45,
) -> ObjectTarget:
    """Cuts an object's mask to the square that a fit looks at; on the host.

    Args:
      mask: booleans (H, W), where the object is seen.
      matrix: intrinsics of the picture.
      person: booleans (H, W), where the person is seen.
      hidden: booleans (H, W), other pixels of which nothing is known: captions, things before the object.
      image: the picture (H, W, 3), uint8, whose edges inside of the mask are looked at; None: the mask alone.
      size: S, a multiple of 2.
      margin: share of the mask's longer side left free on each side.

    Raises:
      InputError: an empty or tiny mask, masks of different sizes.
    """
    mask = np.asarray(mask, bool)
    for name, other in (("person's", person), ("hidden", hidden)):
        if other is not None and np.shape(other) != mask.shape:
            raise InputError(
                f"the object's mask is {mask.shape}, the {name} {np.shape(other)}; wanted is the picture's size"
            )
    if image is not None and (np.ndim(image) != 3 or image.shape[:2] != mask.shape or image.shape[2] != 3):
        raise InputError(f"the picture is {np.shape(image)}; wanted is the mask's {mask.shape} with three colours")
    if size < 16 or size % 2:
        raise InputError(f"a target of {size} pixels; wanted is an even number from 16 on")
    mask = clean_mask(mask)
    if mask.sum() < LEAST_PIXELS:
        raise InputError(f"the object's mask has {mask.sum()} pixels; wanted are at least {LEAST_PIXELS}")
    person = np.zeros_like(mask) if person is None else np.asarray(person, bool) & ~mask
    known = ~person if hidden is None else ~person & ~(np.asarray(hidden, bool) & ~mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    side = float((1 + 2 * margin) * max(bottom - top, right - left, 2))
    box = (0.5 * (left + right - side), 0.5 * (top + bottom - side), side, side)
    valid = cut_square(known.astype(np.float32), box, size)
    covered = cut_square((mask & known).astype(np.float32), box, size)
    view = crop(Camera(np.asarray(matrix, np.float32), np.eye(4, dtype=np.float32), mask.shape), box, (size, size))
    covered = np.where(valid > 1e-3, covered / np.maximum(valid, 1e-3), 0.0).astype(np.float32)
    edges, inside = _edges_inside(image, covered * valid, box)
    return ObjectTarget(
        covered=covered,
        valid=valid,
        hidden=cut_square(person.astype(np.float32), box, size),
        edges=edges,
        inside=inside,
        box=np.asarray(box, np.float32),
        matrix=np.asarray(view.intrinsics, np.float32),
    )


def _edges_inside(image: np.ndarray | None, covered: np.ndarray, box: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Strength of a picture's edges in the square, as a share of the strong ones inside of the mask, and where inside
    is: two pixels from the outline on."""
    size = covered.shape[0]
    if image is None:
        return np.zeros_like(covered), np.zeros_like(covered)
    colours = [cut_square(image[..., k].astype(np.float32) / 255, box, size) for k in range(3)]
    slopes = [np.gradient(ndimage.gaussian_filter(colour, 0.7)) for colour in colours]
    strength = np.sqrt(np.sum(np.square(slopes), axis=(0, 1)))
    inside = ndimage.binary_erosion(covered > 0.9, iterations=2)
    if not inside.any():
        return np.zeros_like(covered), np.zeros_like(covered)
    strong = np.percentile(strength[inside], 95) + 1e-3
    return np.minimum(strength / strong, 1).astype(np.float32), inside.astype(np.float32)


@jax.jit
def _body_depth(vertices, faces, matrix, like):
    view = Camera(matrix, jnp.eye(4, dtype=vertices.dtype), (int(like.shape[0]), int(like.shape[1])))
    return rasterize(vertices, faces, view).depth


def object_scene(
    target: ObjectTarget,
    body: tuple[Float[ArrayLike, "V 3"], Int[ArrayLike, "F 3"]] | None = None,
    *,
    up: ArrayLike | tuple[float, float, float] | None = None,
) -> ObjectScene:
    """What a body says about the object's place.

    Args:
      target: of `object_target`.
      body: vertices in the camera's frame, metres, and faces; None: nothing is known.
      up: upwards in the camera's frame; None: `guess_up`.
    """
    size = target.covered.shape
    if body is None:
        up = (0.0, -1.0, 0.0) if up is None else up
        far = np.zeros((BODY_POINTS, 3), np.float32)
        return ObjectScene(
            np.full(size, np.inf, np.float32), far, np.float32(0), np.asarray(up, np.float32), np.float32(0)
        )
    vertices = np.asarray(body[0], np.float32)
    up = guess_up(vertices) if up is None else np.asarray(up, np.float64)
    up = np.asarray(up / np.linalg.norm(up), np.float32)
    some = vertices[np.linspace(0, len(vertices) - 1, BODY_POINTS).astype(int)]
    depth = np.asarray(_body_depth(vertices, np.asarray(body[1], np.int32), target.matrix, target.covered))
    return ObjectScene(depth, some, np.float32(1), up, np.float32((vertices @ up).min()))


def guess_up(vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "3"]:
    """Upwards in the camera's frame: between the camera's own and the long axis of a person who is not lying down.

    Args:
      vertices: of the body, camera frame.
    """
    camera = np.array([0.0, -1.0, 0.0])
    spread = vertices - vertices.mean(axis=0)
    values, axes = np.linalg.eigh(spread.T.astype(np.float64) @ spread)
    long = axes[:, -1] * (np.sign(axes[:, -1] @ camera) or 1.0)
    # Only of a person who is clearly longer than wide, within 35 degrees of the camera's own upwards.
    if values[-1] < 4 * values[-2] or long @ camera < np.cos(np.radians(35)):
        return camera
    both = camera + long
    return both / np.linalg.norm(both)
