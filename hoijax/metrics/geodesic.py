"""Contact scores of one sample as DECO and InteractVLM report them: precision, recall, F1, geodesic error. Host.

`ContactCounts` and `summarize_contact` average precision and recall first and take F of the means; these papers take F
of each sample and average that.
"""

import dataclasses
from typing import Literal

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from jaxtyping import Bool, Float, Int

from hoijax.geometry.safe import ArrayLike


@dataclasses.dataclass(frozen=True)
class VertexScores:
    """Of one sample, in [0, 1]."""

    f1: float
    precision: float
    recall: float


@dataclasses.dataclass(frozen=True)
class GeodesicError:
    """How far along the surface contact is from where it should be, centimetres."""

    false_positive_cm: float
    """Mean distance of the predicted vertices from the true set: the number that the papers report."""
    false_negative_cm: float
    """Mean distance of the true vertices from the predicted set."""


def vertex_scores_host(
    predicted: Bool[ArrayLike, "V"], true: Bool[ArrayLike, "V"], *, empty: Literal["zero", "deco"] = "zero"
) -> VertexScores:
    """Precision, recall and F1 of a set of vertices.

    Args:
      predicted: vertices called in contact; of probabilities those from 0.5 on.
      true: vertices in contact.
      empty: where nothing is predicted or nothing is true, "zero" leaves what is not defined at 0, "deco" is DECO's
        scorer: precision 1 where nothing is predicted, else recall 1 where nothing is true.
    """
    predicted, true = np.asarray(predicted, bool), np.asarray(true, bool)
    hit, guessed, actual = int((predicted & true).sum()), int(predicted.sum()), int(true.sum())
    if empty == "deco" and not guessed:
        return VertexScores(0.0, 1.0, 0.0)
    if empty == "deco" and not actual:
        return VertexScores(0.0, 0.0, 1.0)
    precision, recall = hit / max(guessed, 1), hit / max(actual, 1)
    return VertexScores(2 * hit / max(guessed + actual, 1), precision, recall)


def geodesic_distances_host(
    vertices: Float[ArrayLike, "V 3"], faces: Int[ArrayLike, "F 3"], sources: Int[ArrayLike, "N"] | None = None
) -> Float[np.ndarray, "N V"]:
    """Lengths of the shortest paths along a mesh's edges, metres; infinite between pieces that do not hang together.

    Paths along edges are longer than those across faces, by some percent on a body.

    Args:
      vertices: metres, in the pose in which lengths are measured.
      faces: of the mesh.
      sources: vertices that paths begin at; None: all, V x V numbers.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    # A length of exactly zero would be no edge to SciPy.
    graph = scipy.sparse.coo_matrix((np.maximum(lengths, 1e-12), edges.T), shape=(len(vertices),) * 2).tocsr()
    return scipy.sparse.csgraph.dijkstra(
        graph, directed=False, indices=None if sources is None else np.asarray(sources)
    )


def geodesic_error_host(
    predicted: Bool[ArrayLike, "V"], true: Bool[ArrayLike, "V"], distances: Float[ArrayLike, "V V"]
) -> GeodesicError:
    """Mean distance of each set from the other; an empty set stands for all vertices, as in DECO's scorer.

    The published evaluator of InteractVLM has the two sets exchanged.

    Args:
      predicted: vertices called in contact.
      true: vertices in contact.
      distances: along the surface, metres; `geodesic_distances_host`.
    """
    distances = np.asarray(distances)
    guess, truth = (np.flatnonzero(x) if np.any(x) else np.arange(len(distances)) for x in (predicted, true))
    between = distances[np.ix_(guess, truth)]
    return GeodesicError(100 * float(between.min(axis=1).mean()), 100 * float(between.min(axis=0).mean()))
