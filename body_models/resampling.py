"""A few vertices that stand for a body, and the way back to all of them (the 431 of CONTHO and ScoreHOI, spec 2.3).

The published matrices of 6890 and 431 vertices are licensed data, and fit one mesh. This is a construction for any
body: the few are vertices of the mesh, spread by farthest-point sampling, so that fingertips, toes and the head are
among them; the others follow them as smoothly as the mesh's graph allows.
"""

import dataclasses

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from jaxtyping import Float, Int

from hoijax.body_models.model import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import farthest_points

NUM_RESAMPLED = 431
"""Vertices that stand for a body in CONTHO and ScoreHOI."""

# Points that a vertex follows, and how much it prefers near ones over reproducing its place.
_NEIGHBOURS, _REGULARISATION = 8, 1e-3


@dataclasses.dataclass(frozen=True)
class Resampling:
    """Linear maps between a body's V vertices and K of them; rows sum to one."""

    ids: Int[np.ndarray, "K"]
    """Which vertices, increasing."""
    up: Float[np.ndarray, "V K"]
    """From the few to all; the identity on the few."""

    @property
    def down(self) -> Float[np.ndarray, "K V"]:
        """From all to the few: one 1 per row."""
        down = np.zeros(self.up.shape[::-1], self.up.dtype)
        down[np.arange(len(self.ids)), self.ids] = 1.0
        return down


def resample_vertices(model: BodyModel, count: int = NUM_RESAMPLED) -> Resampling:
    """Resamples a body. Host function, seconds for 7,000 vertices; deterministic, keep the result.

    The hands (wrists and what hangs on them) get as large a share of the points as they have of the mesh's vertices,
    a fifth on the SMPL family, because most contact is theirs and their area alone would leave them eight points
    each. On each part farthest-point sampling in the rest pose starts at the vertex farthest from the part's middle.

    On the way back each vertex is the affine combination of its eight nearest points along the mesh that reproduces
    its place in the rest pose, nearer ones preferred (the weights of locally linear embedding, Roweis and Saul 2000).
    Such combinations follow every rigid motion of the neighbourhood exactly; an average would shrink the ends.

    Args:
      model: any body.
      count: K.

    Returns:
      The maps, float32.

    Raises:
      InputError: `count` is not between 4 and the number of vertices.
    """
    vertices = np.asarray(model.v_template, np.float64)
    if not 4 <= count <= len(vertices):
        raise InputError(f"a body of {len(vertices)} vertices can be resampled to 4 to that many, asked for {count}")
    ids = _choose(model, vertices, count)
    return Resampling(ids=ids, up=_interpolation(vertices, np.asarray(model.faces), ids).astype(np.float32))


def selected_vertices(down: Float[np.ndarray, "K V"]) -> Int[np.ndarray, "K"] | None:
    """The vertices that a downsampling matrix picks, or None where it mixes any.

    A body of the picked vertices alone (`subset`) then answers the same for a fraction of the work.
    """
    down = np.asarray(down)
    ids = np.argmax(down, axis=1)
    picked = np.zeros_like(down)
    picked[np.arange(len(down)), ids] = 1.0
    return ids if np.array_equal(picked, down) and len(np.unique(ids)) == len(ids) else None


def _choose(model: BodyModel, vertices: np.ndarray, count: int) -> np.ndarray:
    parts = _parts(model)
    sizes = [len(part) for part in parts]
    shares = [round(count * size / len(vertices)) for size in sizes[1:]]
    shares = [count - sum(shares), *shares]
    chosen = []
    for part, share in zip(parts, shares):
        if share:
            place = vertices[part].astype(np.float32)
            start = int(np.argmax(np.sum((place - place.mean(0)) ** 2, axis=1)))
            chosen.append(part[np.asarray(farthest_points(place, share, start=start))])
    return np.sort(np.concatenate(chosen))


def _parts(model: BodyModel) -> list[np.ndarray]:
    """Vertices of everything but the hands, of the left hand, of the right hand; what is empty is left out."""
    owner = np.argmax(np.asarray(model.skin_weights), axis=1)
    label = np.zeros(model.num_joints, int)
    for number, wrist in enumerate(("left_wrist", "right_wrist"), 1):
        if wrist in model.joint_names[1:]:  # a MANO hand, whose root is its wrist, is one part
            label[model.joint_names.index(wrist)] = number
    for joint, parent in enumerate(model.parents):
        if parent >= 0 and not label[joint]:
            label[joint] = label[parent]
    parts = [np.flatnonzero(label[owner] == k) for k in range(3)]
    return [part for part in parts if len(part)]


def _interpolation(vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Weights (V, K) of the few in each vertex."""
    number = len(vertices)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    graph = scipy.sparse.coo_matrix((np.maximum(length, 1e-9), (edges[:, 0], edges[:, 1])), (number, number))
    along = scipy.sparse.csgraph.dijkstra(graph.tocsr(), directed=False, indices=ids).T
    # Pieces of the mesh without any of the few follow those that are nearest through the air.
    straight = np.linalg.norm(vertices[:, None] - vertices[None, ids], axis=-1)
    along = np.where(np.isfinite(along), along, 1e3 + straight)
    near = np.argsort(along, axis=1, kind="stable")[:, : min(_NEIGHBOURS, len(ids))]
    offset = vertices[ids][near] - vertices[:, None]
    gram = np.einsum("vic,vjc->vij", offset, offset)
    spread = np.sum(offset**2, axis=-1) + 1e-12
    gram += _REGULARISATION * np.einsum("vi,ij->vij", spread, np.eye(near.shape[1]))
    weight = np.linalg.solve(gram, np.ones((*near.shape, 1)))[..., 0]
    up = np.zeros((number, len(ids)))
    np.put_along_axis(up, near, weight / weight.sum(axis=1, keepdims=True), axis=1)
    up[ids] = np.eye(len(ids))
    return up
