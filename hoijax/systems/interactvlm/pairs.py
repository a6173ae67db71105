"""What the light contact network reads of a picture and of two surfaces, and what it answers about them.

The person comes as landmarks (`hoijax.nets.blaze`, which has seen photographs), the object as its mask in the picture,
its label and its mesh. Both surfaces are asked about at their vertices; bodies of SMPL's kin by the maps of
`hoijax.body_models.vertices_from`.
"""

import difflib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body
from hoijax.body_models.mhr import vertices_from
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.nets.pair_contact import Answer, Pair, Points
from hoijax.optim.fitting.layouts import MEDIAPIPE_BODY
from hoijax.optim.fitting.points import place_points, point_table

ArrayLike = jax.Array | np.ndarray

COLUMNS: tuple[int, ...] = tuple(i for i, name in enumerate(MEDIAPIPE_BODY) if name)
"""Which of MediaPipe's 33 points the network is told."""
JOINTS: tuple[str, ...] = tuple(MEDIAPIPE_BODY[i] for i in COLUMNS)
"""Their names on a body."""
MARGIN = 0.1
"""Free space about person and object in their square, as a share of its side, on each side."""
OBJECT_POINTS = 32
"""Points of an object's surface among the tokens of a pair."""
_WORDS = {
    "armchair": "sofa", "couch": "sofa", "settee": "sofa", "bike": "bicycle", "mug": "cup", "carton": "box",
    "football": "ball", "basketball": "ball", "cart": "trolley", "rucksack": "backpack", "screen": "monitor",
}  # fmt: skip
"""Other words for what the network knows."""


def label_number(label: str, words: Sequence[str]) -> int:
    """The number of a label for the network: of the last of its words that is known; 0 if none is.

    "office chair", "chairs", "Dining_Table" are known where "chair" and "table" are.

    Args:
      label: what the object is.
      words: `Config.words`.

    Raises:
      InputError: a label without a letter.
    """
    text = "".join(c if c.isalpha() else " " for c in label).lower().split()
    if not text:
        raise InputError(f"label {label!r} has no word; wanted is what the object is, such as chair or tennis racket")
    for word in reversed(text):
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            form = _WORDS.get(form, form)
            if form in words:
                return words.index(form) + 1
    for word in words:  # "chairblack", "yogaball"
        if any(len(word) > 3 and (t.startswith(word) or t.endswith(word)) for t in text):
            return words.index(word) + 1
    return 0


def nearest_words(label: str, words: Sequence[str]) -> list[str]:
    """Known words that are spelled like an unknown label."""
    return difflib.get_close_matches(label.lower(), words, 3, 0.7)


def label_notes(label: str, words: Sequence[str], instead: str) -> tuple[str, ...]:
    """What a person should know about a label: nothing where a network knows it.

    Args:
      label: what the object is called.
      words: that the network knows.
      instead: what it does with another one.
    """
    if label_number(label, words):
        return ()
    near = nearest_words(label, words)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return (f"the network has not been taught {label!r} and {instead}{hint} It knows {', '.join(words)}",)


def square_about(places: Float[np.ndarray, "N 2"], mask: Bool[np.ndarray, "H W"]) -> tuple[np.ndarray, float]:
    """Middle and half side, pixels, of the square that holds a person's points and an object's mask with `MARGIN`."""
    points = [np.asarray(places, float)]
    if mask.any():
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        points.append(np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], float))
    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 / (1 - 2 * MARGIN)


def mask_cells(mask: Bool[np.ndarray, "H W"], middle: np.ndarray, half: float, cells: int) -> np.ndarray:
    """Share of each cell of a square in which a mask is set, (cells, cells) float32; outside of the picture none is."""
    height, width = mask.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = np.cumsum(np.cumsum(mask, axis=0, dtype=np.float64), axis=1)
    edges = [middle[k] + half * np.linspace(-1, 1, cells + 1) for k in (0, 1)]
    columns, rows = (np.clip(e, 0, n) for e, n in zip(edges, (width, height)))
    across = _between(total.T, columns).T
    sums = np.diff(np.diff(_between(across, rows), axis=0), axis=1)
    return (sums / (2 * half / cells) ** 2).clip(0, 1).astype(np.float32)


def _between(table: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of a table at places between its rows."""
    low = np.minimum(at.astype(int), len(table) - 2)
    share = (at - low)[:, None]
    return (1 - share) * table[low] + share * table[low + 1]


@struct.dataclass
class ObjectSurface:
    """A mesh as the network is told of it and asked about it."""

    points: Float[np.ndarray, "N 3"]
    """Of its surface, spread evenly by area; metres, bounding box about the origin."""
    normals: Float[np.ndarray, "N 3"]
    """Unit normals there."""
    asked: Points
    """Its vertices."""


def object_surface(mesh: Mesh, reach: float, count: int = OBJECT_POINTS, boxes: int = 6) -> ObjectSurface:
    """Prepares an object's mesh: metres, y up, front towards +z, as those of SynthHOI.

    Args:
      mesh: with vertices and faces.
      reach: `Config.reach`.
      count: of its points among the tokens.
      boxes: `Config.boxes`.

    Raises:
      InputError: no faces, or all of no area.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if not len(faces):
        raise InputError("the object's mesh has no faces, so that nothing says what its surface is")
    used = vertices[np.unique(faces)]
    vertices = vertices - (used.min(axis=0) + used.max(axis=0)) / 2
    points, normals = even_points(vertices, faces, count)
    cell = box_cells(vertices, np.abs(used - (used.min(axis=0) + used.max(axis=0)) / 2).max(axis=0), boxes)
    asked = surface_points_asked(vertices, vertex_normals(vertices, faces), points, reach, cell)
    return ObjectSurface(points.astype(np.float32), normals.astype(np.float32), asked)


def box_cells(places: np.ndarray, half: np.ndarray, boxes: int) -> np.ndarray:
    """Number of the cell of a box about the origin that each place is in, x slowest, z fastest.

    Args:
      places: (..., 3).
      half: half its sides, (..., 3).
      boxes: cells along each side.
    """
    cell = ((places / np.maximum(half, 1e-6) + 1) / 2 * boxes).astype(int).clip(0, boxes - 1)
    return (cell[..., 0] * boxes + cell[..., 1]) * boxes + cell[..., 2]


def surface_points_asked(
    places: np.ndarray, normals: np.ndarray, tokens: np.ndarray, reach: float, cell: np.ndarray
) -> Points:
    """Points of a surface, their cells, and which tokens lie near each; (1, Q, ...) float32."""
    square = (np.sum(places**2, axis=1)[:, None] + np.sum(tokens**2, axis=1)[None] - 2 * places @ tokens.T).clip(0)
    square = square - square.min(axis=1, keepdims=True)
    near = np.exp(-square / (2 * reach**2))
    near /= near.sum(axis=1, keepdims=True)
    places, normals, near = (np.asarray(x, np.float32)[None] for x in (places, normals, near))
    return Points(places, normals, np.asarray(cell, np.int32)[None], near)


def even_points(vertices: np.ndarray, faces: np.ndarray, count: int, offset: float = 0.5) -> tuple:
    """Points spread over a surface and the unit normals of their faces: equal steps of area, a low-discrepancy sequence
    in each face.

    Raises:
      InputError: no face has an area.
    """
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        raise InputError("no face of the object's mesh has an area")
    total = np.cumsum(area)
    steps = (np.arange(count) + offset) / count
    face = np.searchsorted(total, steps * total[-1]).clip(0, len(a) - 1)
    u, v = ((np.arange(count)[:, None] * np.array([0.7548776662, 0.5698402910]) + offset) % 1).T[:, :, None]
    root = np.sqrt(u)
    points = (1 - root) * a[face] + root * (1 - v) * b[face] + root * v * c[face]
    return points, cross[face] / np.maximum(area[face], 1e-20)[:, None]


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals at vertices, of their faces by area; zero where there is none."""
    own = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    total = np.stack([np.bincount(faces.reshape(-1), np.repeat(own[:, k], 3), len(vertices)) for k in range(3)], axis=1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)


def body_points(model: BodyModel, reach: float) -> Points:
    """A body's vertices as the network is asked about them: places in the free body's rest pose.

    Args:
      model: the free body at any level of detail, SMPL, SMPL-H or SMPL-X.
      reach: `Config.reach`.

    Raises:
      InputError: a body without a map to the free body's vertices.
    """
    if model.kind == "free":  # coarser bodies are the first vertices of finer ones
        coarse = model.num_vertices <= free_body("default").num_vertices
        asked = _free_points(free_body("default" if coarse else "render"), reach)
        return jax.tree.map(lambda x: x[:, : model.num_vertices], asked)
    asked = _free_points(free_body("render"), reach)
    ids = vertices_from({"smplh": "smpl"}.get(model.kind, model.kind), "free")
    if len(ids) != model.num_vertices:
        raise InputError(f"the {model.kind} body has {model.num_vertices:,} vertices, its map {len(ids):,}")
    return jax.tree.map(lambda x: x[:, ids], asked)


def _free_points(free: BodyModel, reach: float) -> Points:
    rest = BodyParams.identity(free)
    vertices = np.asarray(pose_body(free, rest).vertices, np.float64)
    joints = np.asarray(place_points(point_table(free, JOINTS), rest)[0], np.float64)
    normals, count = vertex_normals(vertices, np.asarray(free.faces)), free_body("test").num_vertices
    cell = cKDTree(vertices[:count]).query(vertices)[1]
    return surface_points_asked(vertices, normals, joints, reach, cell)


def make_pair(
    landmarks: Float[np.ndarray, "33 3"] | None,
    metric: Float[np.ndarray, "33 3"] | None,
    visibility: Float[np.ndarray, "33"] | None,
    mask: Bool[np.ndarray, "H W"] | None,
    word: int,
    surface: ObjectSurface | None,
    cells: int,
) -> Pair:
    """One pair, (1, ...) arrays in float32.

    Args:
      landmarks: MediaPipe's 33 points, x and y in pixels; None: nobody was found.
      metric: the same in metres about the hips.
      visibility: probability that each is seen.
      mask: where the object is seen; None, or empty: not known.
      word: of `label_number`.
      surface: the object's; None: no mesh.
      cells: `Config.mask`.
    """
    joints, masked = landmarks is not None, mask is not None and bool(mask.any())
    columns = list(COLUMNS)
    places = np.zeros((len(columns), 2)) if not joints else np.asarray(landmarks, float)[columns, :2]
    spots = np.zeros((cells, cells), np.float32)
    if joints or masked:
        seen = mask if masked else np.zeros((1, 1), bool)
        if joints:
            middle, half = square_about(places, seen)
        else:
            rows, columns_seen = np.nonzero(seen)
            middle, half = square_about(np.stack([columns_seen, rows], axis=1).astype(float), seen)
        places = (places - middle) / half if joints else places
        if masked:
            spots = mask_cells(mask, middle, half, cells)
    none = np.zeros((OBJECT_POINTS, 3), np.float32)
    return Pair(
        places=np.float32(places)[None],
        metric=np.float32(np.zeros((len(columns), 3)) if not joints else np.asarray(metric)[columns])[None],
        visible=np.float32(np.zeros(len(columns)) if not joints else np.asarray(visibility)[columns])[None],
        mask=spots[None],
        word=np.int32([word]),
        points=(none if surface is None else surface.points)[None],
        normals=(none if surface is None else surface.normals)[None],
        known=np.float32([[joints, masked, surface is not None]]),
    )


@struct.dataclass
class PairContact:
    """Probabilities of contact of B pairs."""

    body: Float[ArrayLike, "B V"]
    """Of the body's vertices."""
    object: Float[ArrayLike, "B Q"]
    """Of the object's vertices."""


def pair_contact(
    network: Callable[..., Answer],
    pair: Pair,
    body: Points,
    object: Points,
    thresholds: tuple[float, float] = (0.5, 0.5),
) -> PairContact:
    """Contact of all pairs in one pass; pure, so that it may be jitted.

    Args:
      network: a `hoijax.nets.pair_contact.Model`.
      pair: B pairs (`make_pair`; join them along the first axis).
      body: the body's vertices (`body_points`).
      object: the objects' vertices (`ObjectSurface.asked`), a row for each pair.
      thresholds: sigmoids of body and object that count as one half (`threshold` of the facts).
    """
    answer = network(pair, body, object)

    def probability(logits: ArrayLike, threshold: float) -> jax.Array:
        return jax.nn.sigmoid(jnp.asarray(logits) - float(np.log(threshold / (1 - threshold))))

    return PairContact(probability(answer.body, thresholds[0]), probability(answer.object, thresholds[1]))
