"""The learned affordance: a point network in the place of painted people (`hoijax.nets.interactanything`)."""

import functools
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from scipy.spatial import cKDTree

from hoijax.geometry import Mesh, stratified_samples
from hoijax.interaction import ObjectRegion
from hoijax.nets.interactanything import POINTS, Model, describe, load, part_of, verb_of

GEOMETRIC, LEARNED = "geometric", "learned"
"""Names of affordances; other names are files of a network's weights."""
KEPT = 0.5
"""Of a region's points, how many stay: those that are likeliest to be touched."""


@functools.lru_cache(maxsize=4)
def affordance_network(name: str) -> Model | None:
    """The network of an affordance; None: the geometric one has none.

    Args:
      name: "geometric", "learned" for the weights that come with hoijax, or a file of weights.

    Raises:
      InputError: no such file, weights of another network, or none that come with hoijax.
    """
    if name == GEOMETRIC:
        return None
    return load(None if name == LEARNED else pathlib.Path(name))


def likeliest(
    region: ObjectRegion, vertices: Float[np.ndarray, "V 3"], weights: Float[np.ndarray, "V"]
) -> ObjectRegion:
    """A region without the points that are least likely to be touched; the others fill their places.

    Args:
      region: of the object.
      vertices: of its mesh, the same frame.
      weights: of each vertex.
    """
    chance = weights[cKDTree(vertices).query(region.points)[1]]
    kept = np.argsort(-chance, kind="stable")[: max(1, round(KEPT * len(chance)))]
    index = np.resize(kept, len(chance))
    return ObjectRegion(region.name, region.points[index], region.normals[index], region.spacing)


def surface_cloud(mesh: Mesh) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P 3"]]:
    """The points that the network sees of a mesh, spread evenly, and the normals of their faces. Host function."""
    corners = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)]
    points, face = stratified_samples(corners, POINTS)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    return points, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)


def touch_probability(
    network: Model,
    points: Float[np.ndarray, "B P 3"],
    normals: Float[np.ndarray, "B P 3"],
    parts: Sequence[str],
    verbs: Sequence[str],
) -> Float[np.ndarray, "B P"]:
    """How likely each point of a surface is touched. Host function around one compiled program.

    Args:
      network: the point network.
      points: of each surface, its own frame, y up, front towards +z, metres.
      normals: unit.
      parts: of the body, one for each surface.
      verbs: what is done, one for each.
    """
    known = [part_of(part) for part in parts]
    features = describe(points, normals, np.array([left for _, left in known]))
    state = nnx.split(network)
    index = np.array([k for k, _ in known], np.int32), np.array([verb_of(v) for v in verbs], np.int32)
    return np.asarray(_probability(*state, features, *index))


@jax.jit
def _probability(graph, state, features, part, verb):
    return jax.nn.sigmoid(nnx.merge(graph, state)(features, part, verb).astype(jnp.float32))


def learned_weights(
    network: Model, mesh: Mesh, parts: Sequence[str], verb: str, places: Float[np.ndarray, "S 3"]
) -> Float[np.ndarray, "R S"]:
    """The learned affordance of each part at some places of a mesh: of the three nearest points of the cloud.

    Args:
      network: the point network.
      mesh: the object at its size, its own frame, metres.
      parts: of the body.
      verb: what is done.
      places: on the surface, the same frame.
    """
    points, normals = surface_cloud(mesh)
    shape = (len(parts), *points.shape)
    chance = touch_probability(
        network, np.broadcast_to(points, shape), np.broadcast_to(normals, shape), parts, [verb] * len(parts)
    )
    distance, index = cKDTree(points).query(places, k=3)
    near = 1.0 / np.maximum(distance, 1e-9)
    return (near[None] * chance[:, index]).sum(axis=2) / near.sum(axis=1)[None]
