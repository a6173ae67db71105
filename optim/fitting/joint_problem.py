"""What a joint fit of body and object is told, as arrays of fixed size: one program serves all pictures, in batches.

Everything is in the camera's frame (x right, y down, z forward), metres; the object's own arrays are about the middle
of its mesh's box.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, BodyParams, part_labels, part_names, pose_body_compiled, subset
from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid, farthest_points, query_sdf, stratified_samples
from hoijax.geometry.mesh import vertex_normals
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.fitting.object_target import ObjectScene, ObjectShape, ObjectTarget, object_scene, object_shape
from hoijax.optim.fitting.outline import cut_square

BODY_CONTACT, BODY_SPREAD, OBJECT_CONTACT, PAIRS = 128, 448, 128, 96
"""Points: of the body's contact, of all of the body, of the object's contact; pairs of them. The first `BODY_CONTACT +
PAIRS` of the body's points hold all that touch."""
AROUND = 0.2
"""Metres about the contact from which two thirds of the other points are taken."""
GRID = 72
"""Samples of the distance grid along each side of a cube about the object."""
OUTLINE = 64
"""Pixels of the side of the square about the person."""
BODY_LEVEL, OBJECT_LEVEL, TOP_SHARE = 0.5, 0.3, 0.01
"""Probabilities from which body and object touch, and the share of the likeliest that does where too few reach them."""
LEAST_CONTACT = 4
"""Points of contact on either side below which there is nothing to align by."""
_LIMBS = {
    "hand": ("wrist", "elbow", "shoulder"), "wrist": ("wrist", "elbow", "shoulder"), "elbow": ("elbow", "shoulder"),
    "shoulder": ("shoulder",), "foot": ("foot", "ankle", "knee", "hip"), "ankle": ("foot", "ankle", "knee", "hip"),
    "knee": ("knee", "hip"), "hip": ("hip",),
}  # fmt: skip


@struct.dataclass
class JointProblem:
    """One body, one object, one picture. J joints, Q body points, P object points, K pairs, S pixels of a side."""

    model: BodyModel
    """The body with Q vertices: those in contact, then some of all of it."""
    params: BodyParams
    """Of the body as it was estimated."""
    normals: Float[ArrayLike, "Q 3"] | Any
    """Outward, of the points as estimated."""
    touching: Float[ArrayLike, "Q"] | Any
    """Probability of contact; 0 for points that only stand for the body."""
    movable: Float[ArrayLike, "J"] | Any
    """1 for joints of limbs that touch."""
    shape: ObjectShape
    """The object as it is drawn."""
    points: Float[ArrayLike, "P 3"] | Any
    """Of the object's contact."""
    point_normals: Float[ArrayLike, "P 3"] | Any
    """Outward."""
    likely: Float[ArrayLike, "P"] | Any
    """Probability of contact; 0 for what fills up."""
    known: Float[ArrayLike, ""] | Any
    """1 where the object's contact is known; 0: it may be anywhere on the surface."""
    pair_body: Int[ArrayLike, "K"] | Any
    """Which of the body's points."""
    pair_object: Float[ArrayLike, "K 3"] | Any
    """Where it touches."""
    pair_weight: Float[ArrayLike, "K"] | Any
    """1, or 0 for what fills up."""
    grid: SDFGrid
    """Distance to the object."""
    target: ObjectTarget
    """The object's mask."""
    scene: ObjectScene
    """What the body hides of it, and the floor."""
    unit: Float[ArrayLike, ""] | Any
    """Pixels of the target to half the picture's shorter side: the unit of published blurs."""
    zoom: Float[ArrayLike, ""] | Any
    """Pixels of the target to one of the picture."""
    height: Float[ArrayLike, ""] | Any
    """Of the picture, pixels."""
    surface: BodyModel
    """A body to draw."""
    person: Float[ArrayLike, "T T"] | Any
    """Share of each pixel of a square about the person that is the person."""
    person_valid: Float[ArrayLike, "T T"] | Any
    """Share of it of which that is known."""
    person_matrix: Float[ArrayLike, "3 3"] | Any
    """Intrinsics of that square."""


@dataclasses.dataclass(frozen=True)
class ContactEvidence:
    """Who touches what; numbers in [0, 1]. V vertices of the body, M points of the object."""

    body: np.ndarray
    """(V,)."""
    object: np.ndarray | None = None
    """(M,) of `points`, or of the mesh's vertices; None: anywhere on the object."""
    points: np.ndarray | None = None
    """(M, 3) on the mesh, its own frame; None: its vertices."""
    pairs: tuple[np.ndarray, np.ndarray] | None = None
    """Numbers of the body's vertices (K,) and the places on the object (K, 3), its own frame, that touch there."""


def joint_problem(
    model: BodyModel,
    params: BodyParams,
    mesh: Mesh,
    grid: SDFGrid,
    contact: ContactEvidence,
    target: ObjectTarget,
    *,
    picture: tuple[int, int],
    matrix: Float[ArrayLike, "3 3"],
    person: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
    surface: BodyModel | None = None,
    up: ArrayLike | None = None,
) -> JointProblem:
    """Gathers everything; on the host, once per picture.

    Args:
      model: the body.
      params: of the body, camera frame.
      mesh: the object, metres.
      grid: distance to it, its own frame.
      contact: probabilities and pairs.
      target: of `object_target`, with the person's mask.
      picture: height and width, pixels.
      matrix: intrinsics of the picture.
      person: (H, W), where the person is seen; None: their outline is not looked at.
      hidden: (H, W), pixels of which nothing is known: the object before the person.
      surface: the same body with fewer vertices, for drawing; None: `model`.
      up: upwards in the camera's frame; None: guessed from the body.

    Raises:
      InputError: numbers that do not fit the body or the object, or that are not finite.
    """
    surface = model if surface is None else surface
    params = jax.tree.map(lambda x: np.asarray(x, np.float32), params)
    vertices = np.asarray(pose_body_compiled(model, params).vertices)
    if not np.isfinite(vertices).all():
        raise InputError("the body's parameters are not finite")
    body = np.asarray(contact.body, np.float32)
    if body.shape != (len(vertices),):
        raise InputError(f"contact of {len(body)} vertices of a body, which has {len(vertices)}")
    normals = np.asarray(vertex_normals(vertices, np.asarray(model.faces)))
    shape = object_shape(mesh)
    pairs = ([], np.zeros((0, 3), np.float32)) if contact.pairs is None else contact.pairs
    paired = np.asarray(pairs[0], int)
    if len(paired) > PAIRS:
        some = np.linspace(0, len(paired) - 1, PAIRS).astype(int)
        paired, pairs = paired[some], (paired[some], np.asarray(pairs[1])[some])
    chosen, touching = _body_points(vertices, body, np.unique(paired))
    place = {vertex: row for row, vertex in enumerate(chosen)}
    points, point_normals, likely, known = _object_points(mesh, contact, np.asarray(shape.centre))
    outlined = person is not None
    square = _person_square(person, hidden, matrix) if outlined else _no_square()
    drawn = np.asarray(pose_body_compiled(surface, params).vertices), np.asarray(surface.faces)
    scene = object_scene(target, drawn, up=None if up is None else np.asarray(up))
    zoom = np.float32(target.covered.shape[0] / float(target.box[2]))
    return JointProblem(
        # Faces among chosen points differ from problem to problem, which then share no batch; nothing reads them.
        model=_plain(subset(model, chosen)).replace(faces=np.zeros((0, 3), np.int32)),
        params=params,
        normals=normals[chosen].astype(np.float32),
        touching=touching,
        movable=movable_joints(model, body),
        shape=shape,
        points=points,
        point_normals=point_normals,
        likely=likely,
        known=np.float32(known),
        pair_body=np.asarray([place[v] for v in paired] + [0] * (PAIRS - len(paired)), np.int32),
        pair_object=np.concatenate([
            np.asarray(pairs[1], np.float32).reshape(-1, 3) - np.asarray(shape.centre),
            np.zeros((PAIRS - len(paired), 3), np.float32),
        ]).astype(np.float32),
        pair_weight=(np.arange(PAIRS) < len(paired)).astype(np.float32),
        grid=_cube(grid, shape),
        target=target,
        scene=scene,
        unit=np.float32(0.5 * min(picture) * zoom),
        zoom=zoom,
        height=np.float32(picture[0]),
        surface=_plain(surface),
        person=square[0],
        person_valid=square[1],
        person_matrix=square[2],
    )  # fmt: skip


def movable_joints(model: BodyModel, body: Float[ArrayLike, "V"]) -> Float[np.ndarray, "J"]:
    """1 for the joints of limbs in contact, from the touching part up to the trunk, hands with their fingers.

    PICO's table: a hand opens wrist, elbow and shoulder, a foot all of its leg, a thigh the hip alone.

    Args:
      model: with all its vertices.
      body: probabilities of contact.
    """
    out = np.zeros(model.num_joints, np.float32)
    labels, touches = part_labels(model), np.asarray(body) >= BODY_LEVEL
    for part in {part_names()[i] for i in np.unique(labels[touches])}:
        side, _, name = part.partition("_")
        for joint in _LIMBS.get(name, ()):
            out[model.joint_names.index(f"{side}_{joint}")] = 1
        if name in ("hand", "wrist"):
            fingers = [i for i, joint in enumerate(model.joint_names) if _finger(joint, side)]
            out[fingers] = 1
    return out


def _finger(joint: str, side: str) -> bool:
    return joint.startswith(f"{side}_") and (joint[-1].isdigit() or joint == f"{side}_hand")


def contact_set(values: Float[np.ndarray, "N"], level: float) -> Int[np.ndarray, "M"]:
    """Which of these touch: from the level on, or else the likeliest hundredth of those that are likely at all."""
    found = np.flatnonzero(values >= level)
    if len(found) >= LEAST_CONTACT:
        return found
    likely = np.flatnonzero(values > 0)
    count = max(LEAST_CONTACT, round(TOP_SHARE * len(values)))
    return likely[np.argsort(-values[likely], kind="stable")[:count]]


def _plain(model: BodyModel) -> BodyModel:
    """Without what a fit does not use."""
    return jax.tree.map(np.asarray, model.replace(colors=None, landmarks=()))


def _spread(points: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """At most so many of these, evenly."""
    if len(ids) <= count:
        return ids
    return ids[np.asarray(farthest_points(points[ids].astype(np.float32), count))]


def _body_points(vertices: np.ndarray, values: np.ndarray, needed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which vertices stand for the body, no two the same, and their probabilities of contact."""
    total = min(len(vertices), BODY_CONTACT + PAIRS + BODY_SPREAD)
    contact = np.union1d(_spread(vertices, contact_set(values, BODY_LEVEL), BODY_CONTACT), needed)
    rest = np.setdiff1d(np.arange(len(vertices)), contact)
    count = total - len(contact)
    if len(contact) and len(rest):  # bodies go into objects beside where they touch
        near = rest[cKDTree(vertices[contact]).query(vertices[rest])[0] < AROUND]
        near = near[np.unique(np.linspace(0, len(near) - 1, min(len(near), 2 * count // 3)).astype(int))]
        rest, others = near, np.setdiff1d(rest, near)
        rest = np.concatenate([rest, others[np.linspace(0, len(others) - 1, count - len(near)).astype(int)]])
    else:
        rest = rest[np.linspace(0, len(rest) - 1, count).astype(int)] if len(rest) else rest
    chosen = np.concatenate([contact, rest]).astype(int)
    touching = np.zeros(len(chosen), np.float32)
    touching[: len(contact)] = values[contact]
    return chosen, touching


def _object_points(
    mesh: Mesh, contact: ContactEvidence, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points (P, 3) and normals of the object's contact, probabilities, and whether anything is known of it."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    corners = vertices[faces]
    places, face = stratified_samples(corners, 8192)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-30)
    if contact.object is None:
        values, known = np.ones(len(places)), 0.0
    else:
        given = np.asarray(contact.object, np.float64)
        own = vertices if contact.points is None else np.asarray(contact.points, np.float64)
        if given.shape != (len(own),):
            raise InputError(f"contact of {len(given)} points of an object, which has {len(own)}")
        values, known = _nearest_values(own, given, vertices, faces, places, face, contact.points is None), 1.0
    ids = _spread(places, contact_set(values, OBJECT_LEVEL), OBJECT_CONTACT)
    fill = OBJECT_CONTACT - len(ids)
    out = [np.pad(x[ids], ((0, fill), *[(0, 0)] * (x.ndim - 1))) for x in (places - centre, normals, values)]
    return (*(x.astype(np.float32) for x in out), known)


def _nearest_values(own, given, vertices, faces, places, face, on_vertices):
    """Probabilities at places of the surface: those of the corners by distance, or of the nearest point."""
    if not on_vertices:
        return given[cKDTree(own).query(places)[1]]
    gap = np.linalg.norm(vertices[faces[face]] - places[:, None], axis=-1)
    weight = 1 / np.maximum(gap, 1e-9) ** 2
    return (weight * given[faces[face]]).sum(axis=1) / weight.sum(axis=1)


def _cube(grid: SDFGrid, shape: ObjectShape) -> SDFGrid:
    """The distance on a cube about the object, GRID samples each way, about `centre`."""
    span = 2 * np.abs(np.asarray(shape.vertices)).max() + 0.1
    spacing = np.float32(span / (GRID - 1))
    axis = (np.arange(GRID) - (GRID - 1) / 2) * spacing
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    values = np.asarray(_query(grid, places + np.asarray(shape.centre)))
    return SDFGrid(values.reshape(GRID, GRID, GRID), np.full(3, axis[0], np.float32), spacing)


_query = jax.jit(query_sdf)


def _person_square(person: np.ndarray, hidden: np.ndarray | None, matrix: ArrayLike):
    person = np.asarray(person, bool)
    known = np.ones(person.shape, np.float32) if hidden is None else (~np.asarray(hidden, bool)).astype(np.float32)
    rows, columns = (np.flatnonzero(person.any(axis=k)) for k in (1, 0))
    if not len(rows):
        return _no_square()
    side = 1.3 * max(np.ptp(rows) + 1.0, np.ptp(columns) + 1.0)
    left, top = 0.5 * (columns[0] + columns[-1] + 1 - side), 0.5 * (rows[0] + rows[-1] + 1 - side)
    box, zoom = (left, top, side, side), OUTLINE / side
    shift = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom], [0, 0, 1]])
    valid = cut_square(known, box, OUTLINE)
    return cut_square(person * known, box, OUTLINE), valid, (shift @ np.asarray(matrix)).astype(np.float32)


def _no_square():
    empty = np.zeros((OUTLINE, OUTLINE), np.float32)
    return empty, empty, np.array([[OUTLINE, 0, OUTLINE / 2], [0, OUTLINE, OUTLINE / 2], [0, 0, 1]], np.float32)


def stack_problems(problems: list[JointProblem]) -> JointProblem:
    """Several as one with a leading axis, for `vmap`; their bodies must be of one model.

    Raises:
      InputError: objects of unequal numbers of faces, which is filled up to powers of two from 1024 on.
    """
    sizes = {np.asarray(p.shape.faces).shape for p in problems}
    if len(sizes) > 1:
        raise InputError(f"objects of {sorted(sizes)} faces do not share a batch; simplify the larger ones")
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *problems)
