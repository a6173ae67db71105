"""Cutting a closed surface into parts that are closed themselves; on the host, in NumPy and SciPy.

Where a part ends, its border is a set of loops. Each is closed by a cap: rings of new vertices between the loop and its
middle, drawn taut. New vertices alone keep the cap from using an edge that the surface has already, so every edge joins
two faces whatever the loop's shape. Two parts that meet in a loop get the same cap, facing opposite ways: together they
fill what the surface enclosed.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from hoijax.errors import InputError
from hoijax.geometry.orientation import position_ids

_MOST_RINGS = 6


@dataclasses.dataclass(frozen=True)
class CutPart:
    """One part of a surface that was cut."""

    vertices: Float[np.ndarray, "V 3"]
    """The surface's, then those of the caps, float32."""
    faces: Int[np.ndarray, "F 3"]
    """The surface's, then those of the caps."""
    source: Int[np.ndarray, "V"]
    """The vertex of the surface, -1 for those of caps."""
    capped: Bool[np.ndarray, "F"]
    """Faces of caps."""
    closed: bool
    """Whether every edge joins two faces that wind the same way."""


def is_watertight(faces: Int[np.ndarray, "F 3"]) -> bool:
    """Whether every edge is run through once in each direction: closed, oriented, and no edge with more faces."""
    faces = np.asarray(faces)
    if not len(faces):
        return False
    directed = _directed(faces)
    count = np.int64(faces.max()) + 1
    forward, backward = (np.sort(edges[:, 0] * count + edges[:, 1]) for edges in (directed, directed[:, ::-1]))
    return bool((forward == backward).all() and (forward[1:] != forward[:-1]).all())


def border_edges(faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "E 2"]:
    """Directed edges of faces without a face that runs through them the other way."""
    directed = _directed(np.asarray(faces))
    size = int(directed.max(initial=0)) + 1
    code, back = directed @ [size, 1], directed[:, ::-1] @ [size, 1]
    return directed[~np.isin(code, back)]


def border_loops(faces: Int[np.ndarray, "F 3"]) -> list[Int[np.ndarray, "N"]]:
    """The border as closed walks that meet no vertex twice, each in the direction of its faces.

    Where a border touches itself at a vertex it is taken apart there.

    Raises:
      InputError: a border does not close, since faces wind against their neighbours.
    """
    edges = border_edges(faces)
    following: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        following.setdefault(a, []).append(b)
    loops: list[np.ndarray] = []
    for first in list(following):
        while following[first]:
            walk, place = [first], {first: 0}
            while True:
                here = walk[-1]
                if not following.get(here):
                    raise InputError("a border does not close: faces wind against their neighbours")
                there = following[here].pop()
                if there not in place:
                    place[there] = len(walk)
                    walk.append(there)
                    continue
                start = place[there]
                loops.append(np.asarray(walk[start:]))
                for vertex in walk[start + 1 :]:
                    del place[vertex]
                walk = walk[: start + 1]
                if len(walk) == 1:
                    break
    return loops


def weld(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    """Faces by one vertex per position, those that collapse left out: seams of textures are no borders."""
    welded = position_ids(np.asarray(vertices))[np.asarray(faces)]
    flat = (welded == np.roll(welded, 1, axis=1)).any(axis=1)
    return welded[~flat]


def close_holes(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> CutPart:
    """A surface with a cap on each of its borders; of a closed one, itself."""
    return split_surface(vertices, faces, np.zeros(len(faces), int), 1)[0]


def split_surface(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], labels: Int[np.ndarray, "F"], count: int = 2
) -> list[CutPart]:
    """The parts of a surface, each closed.

    Args:
      vertices: metres.
      faces: wound consistently, vertices shared (`weld`); closed, or its own holes are closed too.
      labels: the part of each face, 0 to `count` - 1.
      count: parts; one without faces has no vertices and is not closed.

    Raises:
      InputError: faces wind against their neighbours.
    """
    vertices, faces, labels = np.asarray(vertices, np.float64), np.asarray(faces), np.asarray(labels)
    parts, caps = [], {}
    for part in range(count):
        own = faces[labels == part]
        points, new = [vertices], [own]
        total = len(vertices)
        for loop in border_loops(own) if len(own) else []:
            if len(loop) < 3:
                continue  # two faces back to back on one edge; is_watertight will tell
            key = frozenset(loop.tolist())
            if key not in caps:
                caps[key] = loop, *_cap(vertices[loop])
            of, inner, pattern = caps[key]
            names = np.concatenate([of, total + np.arange(len(inner))])
            # The cap was made against the direction of its own loop; the part on the other side runs through it back.
            turned = not _same_way(of, loop)
            new.append(names[pattern[:, ::-1] if turned else pattern])
            points.append(inner)
            total += len(inner)
        joined = np.concatenate(new)
        used, compact = np.unique(joined, return_inverse=True)
        compact = compact.reshape(-1, 3)
        source = np.where(used < len(vertices), used, -1)
        capped = np.arange(len(compact)) >= len(own)
        parts.append(
            CutPart(
                vertices=np.concatenate(points)[used].astype(np.float32),
                faces=compact.astype(np.int32),
                source=source.astype(np.int32),
                capped=capped,
                closed=is_watertight(compact),
            )
        )
    return parts


def small_components(
    faces: Int[np.ndarray, "F 3"], labels: Int[np.ndarray, "V"], least: float
) -> Bool[np.ndarray, "V"]:
    """Vertices of connected regions of one label that are smaller than a share of all vertices that faces use."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[labels[edges[:, 0]] == labels[edges[:, 1]]]
    size = len(labels)
    graph = coo_matrix((np.ones(len(edges), bool), edges.T), shape=(size, size))
    number, region = connected_components(graph, directed=False)
    used = np.zeros(size, bool)
    used[faces] = True
    members = np.bincount(region, used, number)
    return used & (members[region] < least * used.sum())


def _directed(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _same_way(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two loops through the same vertices run the same way round."""
    place = int(np.flatnonzero(two == one[0])[0])
    return bool(two[(place + 1) % len(two)] == one[1])


def _cap(loop: Float[np.ndarray, "N 3"]) -> tuple[Float[np.ndarray, "M 3"], Int[np.ndarray, "F 3"]]:
    """New vertices and faces that close a loop against its direction; of the faces' numbers the first N are the loop's.

    Rings shrink to one vertex in the middle and each new vertex is the mean of its neighbours: the membrane of a net
    of equal springs.
    """
    count = len(loop)
    middle = loop.mean(axis=0)
    edge = np.linalg.norm(loop - np.roll(loop, -1, axis=0), axis=1).mean()
    radius = np.linalg.norm(loop - middle, axis=1).mean()
    rings = int(np.clip(round(radius / max(edge, 1e-12)), 1, _MOST_RINGS))
    here = np.arange(count)
    there = np.roll(here, -1)
    faces = []
    for ring in range(rings - 1):
        a, b = ring * count + here, ring * count + there
        faces += [np.stack([b, a, a + count], axis=1), np.stack([b, a + count, b + count], axis=1)]
    last = (rings - 1) * count
    centre = rings * count
    faces.append(np.stack([last + there, last + here, np.full(count, centre)], axis=1))
    pattern = np.concatenate(faces)
    inner = centre + 1 - count
    edges = np.unique(np.sort(_directed(pattern), axis=1), axis=0)
    size = centre + 1
    graph = csr_matrix((np.ones(2 * len(edges)), np.concatenate([edges, edges[:, ::-1]]).T), shape=(size, size))
    degree = np.asarray(graph.sum(axis=1)).reshape(-1)
    system = csr_matrix((degree, (np.arange(size), np.arange(size))), shape=(size, size)) - graph
    solved = splu(system[count:, count:].tocsc()).solve(np.asarray(graph[count:, :count] @ loop))
    return solved.reshape(inner, 3), pattern
