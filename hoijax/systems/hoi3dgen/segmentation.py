"""Which part of a fused surface is the person: masks of several views, a vote of the vertices, and a cut.

The paper's equations 2 and 3 are not available to us; the vote here is, for part c and vertex v,

    S_c(v) = sum_i w_i(v) m_i^c(pi_i(v)),   w_i = max(0, n . view) where view i sees v, else 0,

with m the masks as they are in a small window around the pixel (their mean), which a border or a speckled mask makes
small instead of wrong. What no view sees takes the label of the nearest vertex along the surface that one does, where
ways over creases that open outward, as between a hand and what it holds, count as longer.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from hoijax.errors import InputError
from hoijax.geometry import Mesh, position_ids
from hoijax.geometry.cutting import CutPart, small_components, split_surface, weld
from hoijax.systems.hoi3dgen.layout import PARTS
from hoijax.systems.hoi3dgen.views import (
    SurfaceViews,
    camera_at,
    padded,
    render_surface,
    surface_normals,
    unproject_view,
    visible_pixels,
)
from hoijax.viz.scene import NamedMesh

HUMAN, OBJECT = 0, 1
"""Labels; `PARTS` are their names."""


@dataclasses.dataclass(frozen=True)
class VoteConfig:
    """How views vote."""

    window: int = 5
    """Side of the square over which a mask is averaged, pixels; 1 takes it as it is."""
    tolerance: float = 0.01
    """A view sees a vertex whose depth differs by less from its depth picture, in sides of the unit cube."""
    rounds: int = 2
    """Times that votes are counted again with each view's weight by how far it agrees with the count before."""
    smooth: int = 3
    """Times that votes are averaged with those of neighbours."""
    crease: float = 4.0
    """How much longer ways count across a right-angled crease that opens outward."""
    color: float = 4.0
    """How much longer ways count between vertices whose colours differ by 1."""
    smallest: float = 0.01
    """Regions of one label that are a smaller share of the vertices take the label around them."""


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A surface and the part of each of its vertices."""

    mesh: Mesh
    """The surface, its vertices shared across seams; their order and number are the input's."""
    labels: Int[np.ndarray, "V"]
    """`HUMAN` or `OBJECT`."""
    seen: Bool[np.ndarray, "V"]
    """Vertices that some view voted on."""
    parts: tuple[CutPart, CutPart]
    """Human and object, each closed where the surface can be cut (`CutPart.closed`)."""

    def named(self, colors: Float[np.ndarray, "V 3"] | None = None) -> list[NamedMesh]:
        """Parts that have faces, as meshes called `human` and `object`; caps take the colour of what they close."""
        meshes = []
        for name, part in zip(PARTS, self.parts):
            if not len(part.faces):
                continue
            shade = None
            if colors is not None:
                nearest = part.source.copy()
                new = nearest < 0
                if new.any():
                    nearest[new] = part.source[~new][cKDTree(part.vertices[~new]).query(part.vertices[new])[1]]
                shade = np.asarray(colors)[nearest]
            meshes.append(NamedMesh(name, part.vertices, part.faces, shade))
        return meshes


def segment(
    surface: NamedMesh,
    views: SurfaceViews,
    masks: Bool[np.ndarray, "2 N H W"],
    given: Bool[np.ndarray, "2 N"] | None = None,
    config: VoteConfig | None = None,
) -> Segmentation:
    """Labels a fused surface by the masks of its views and cuts it.

    Args:
      surface: y up; a closed one is cut into closed parts, and holes of an open one are closed too.
      views: of `render_surface`, or read from files.
      masks: of human and object in each view.
      given: which masks there are. Where one of a view's two is missing, what is seen and not in the other is taken
        for it; a view without any has no vote. None: all.
      config: how views vote.

    Raises:
      InputError: masks of another shape, no mask that shows anything, or a surface whose faces wind against their
        neighbours.
    """
    config = VoteConfig() if config is None else config
    mesh = Mesh(np.asarray(surface.vertices, np.float32), weld(surface.vertices, surface.faces).astype(np.int32))
    scores, seen = vote(mesh, views, masks, given, config)
    labels = spread_labels(mesh, np.argmax(scores, axis=0), seen, surface.colors, config)
    small = small_components(mesh.faces, labels, config.smallest)
    labels = np.where(small, 1 - labels, labels)
    # Seams: vertices that faces do not name share the place of one that they do.
    labels = labels[weld_ids(mesh)]
    face_labels = (labels[mesh.faces].sum(axis=1) >= 2).astype(int)
    parts = split_surface(mesh.vertices, mesh.faces, face_labels)
    return Segmentation(mesh, labels, seen, (parts[HUMAN], parts[OBJECT]))


def vote(
    mesh: Mesh,
    views: SurfaceViews,
    masks: Bool[np.ndarray, "2 N H W"],
    given: Bool[np.ndarray, "2 N"] | None = None,
    config: VoteConfig | None = None,
) -> tuple[Float[np.ndarray, "2 V"], Bool[np.ndarray, "V"]]:
    """The votes of the views for human and object at each vertex, and which vertices have any; see `segment`."""
    config = VoteConfig() if config is None else config
    shape = (2, *views.depth.shape)
    masks = np.asarray(masks, bool)
    given = np.ones(shape[:2], bool) if given is None else np.asarray(given, bool)
    if masks.shape != shape or given.shape != shape[:2]:
        raise InputError(f"masks have the shape {masks.shape}, the views want {shape}; given has {given.shape}")
    if not (masks & given[..., None, None]).any():
        raise InputError("no mask shows anything: there is nothing to label the surface by")
    whole = masks_of_all(masks, given, views)
    vertices, faces = views.frame.apply(mesh.vertices), np.asarray(mesh.faces)
    normals = surface_normals(Mesh(vertices, faces))
    points, _, directions = padded(vertices, faces, normals)
    ballots = []
    for view in np.flatnonzero(given.any(axis=0)).tolist():
        shares = [ndimage.uniform_filter(part[view].astype(np.float32), config.window) for part in whole]
        row, column, weight = (
            np.asarray(x)[: len(vertices)]
            for x in visible_pixels(
                points, directions, views.depth[view], camera_at(views.cameras, view), config.tolerance
            )
        )
        ballots.append(np.stack([weight * part[row, column] for part in shares]))
    scores = np.sum(ballots, axis=0)
    for _ in range(config.rounds if len(ballots) > 2 else 0):
        # A view that says the opposite of the others, such as one whose masks were swapped, loses its vote.
        leading = np.sign(scores[HUMAN] - scores[OBJECT])
        agreed = [
            np.sum(leading * (b[HUMAN] - b[OBJECT])) / max(np.abs(b[HUMAN] - b[OBJECT]).sum(), 1e-9) for b in ballots
        ]
        scores = np.sum([max(share, 0.0) * ballot for share, ballot in zip(agreed, ballots)], axis=0)
    if config.smooth:
        average = _averaging(faces, len(vertices))
        for _ in range(config.smooth):
            scores = np.stack([average @ part for part in scores])
    return scores, np.abs(scores[HUMAN] - scores[OBJECT]) > 1e-6


def masks_of_all(
    masks: Bool[np.ndarray, "2 N H W"], given: Bool[np.ndarray, "2 N"], views: SurfaceViews
) -> Bool[np.ndarray, "2 N H W"]:
    """Masks with the missing one of a view's two filled in, nothing where the surface is not seen."""
    seen = np.isfinite(views.depth)
    filled = np.where(given[..., None, None], masks, ~masks[::-1] & given[::-1, :, None, None])
    return filled & seen


def spread_labels(
    mesh: Mesh,
    labels: Int[np.ndarray, "V"],
    known: Bool[np.ndarray, "V"],
    colors: Float[np.ndarray, "V 3"] | None = None,
    config: VoteConfig | None = None,
) -> Int[np.ndarray, "V"]:
    """Labels of all vertices from those of the known ones, along the surface; across gaps by distance.

    Raises:
      InputError: none is known.
    """
    config = VoteConfig() if config is None else config
    known = np.asarray(known, bool)
    if not known.any():
        raise InputError("no view sees a vertex whose label a mask tells; do the masks belong to these views?")
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    graph = _ways(vertices, faces, colors, config)
    _, _, source = dijkstra(graph, directed=False, indices=np.flatnonzero(known), min_only=True,
                            return_predecessors=True)  # fmt: skip
    reached = source >= 0
    result = np.where(reached, labels[np.maximum(source, 0)], 0)
    if not reached.all():
        nearest = cKDTree(vertices[reached]).query(vertices[~reached])[1]
        result[~reached] = result[reached][nearest]
    return result


def track_masks(
    surface: NamedMesh,
    views: SurfaceViews,
    masks: Bool[np.ndarray, "2 H W"],
    view: int,
    config: VoteConfig | None = None,
) -> Bool[np.ndarray, "2 N H W"]:
    """Masks of all views from those of one: carried over the surface, where creases and colours hold them back.

    Args:
      surface: what the views show.
      views: of `render_surface` (with `face_id`).
      masks: of human and object in the one view.
      view: which.
      config: as of `segment`.

    Raises:
      InputError: the masks show nothing of the surface, or the views were read from files.
    """
    if views.face_id is None:
        raise InputError("views that were read from files do not say which face a pixel sees; render the surface again")
    count = len(views.depth)
    given = np.zeros((2, count), bool)
    given[:, view] = True
    every = np.zeros((2, count, *np.shape(masks)[1:]), bool)
    every[:, view] = masks
    labels = segment(surface, views, every, given, config).labels
    faces = (labels[np.asarray(surface.faces)].sum(axis=1) >= 2).astype(int)
    face = np.maximum(views.face_id, 0)
    return np.stack([(views.face_id >= 0) & (faces[face] == part) for part in (HUMAN, OBJECT)])


def masks_from_colors(
    images: np.ndarray, human: Sequence[Sequence[float]], object: Sequence[Sequence[float]], *, background: float = 0.04
) -> Bool[np.ndarray, "2 N H W"]:
    """Masks of pictures whose colours are known: each pixel goes to the part with the most similar hue and lightness.

    Args:
      images: (N, H, W, 3) uint8 on white.
      human: colours of the person, sRGB in [0, 1].
      object: colours of the object.
      background: pixels nearer to white than this belong to neither.

    Raises:
      InputError: a part has no colours.
    """
    if not len(human) or not len(object):
        raise InputError("masks from colours want at least one colour of the person and one of the object")
    pixels = np.asarray(images, np.float32)[..., :3] / 255
    # Shading scales a colour: compare directions, and lightness a little.
    far = [
        np.min([_color_distance(pixels, np.asarray(color, np.float32)) for color in colors], axis=0)
        for colors in (human, object)
    ]
    empty = (1 - pixels).max(axis=-1) < background
    closer = far[0] <= far[1]
    return np.stack([closer & ~empty, ~closer & ~empty])


def part_clouds(
    views: SurfaceViews, masks: Bool[np.ndarray, "2 N H W"], *, erode: int = 2, gap: float = 0.01
) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "Q 3"]]:
    """Point clouds of human and object as the release makes them: depth within the masks, unprojected.

    They carry no labels of vertices, and the last step removes exactly where the two touch.

    Args:
      views: pictures with depth.
      masks: of human and object.
      erode: times that masks are eroded by a square of three pixels.
      gap: points nearer than this to the other cloud are left out, in sides of the unit cube.

    Returns:
      Points in the surface's own frame.

    Raises:
      InputError: a cloud is empty.
    """
    square = np.ones((3, 3), bool)
    clouds = []
    for part in (HUMAN, OBJECT):
        shrunk = [ndimage.binary_erosion(m, square, iterations=erode) if erode else m for m in masks[part]]
        clouds.append(np.concatenate([unproject_view(views, i, m) for i, m in enumerate(shrunk)]))
    for name, cloud in zip(PARTS, clouds):
        if not len(cloud):
            raise InputError(f"the masks of the {name} show nothing after being eroded {erode} times")
    apart = [cKDTree(other).query(cloud)[0] > gap for cloud, other in (clouds, clouds[::-1])]
    human, thing = (views.frame.undo(cloud[keep]) for cloud, keep in zip(clouds, apart))
    return human, thing


def segment_by_rendering(surface: NamedMesh, masks: Bool[np.ndarray, "2 N H W"], *, size: int = 512) -> Segmentation:
    """`segment` with views rendered here, as many as there are masks."""
    return segment(surface, render_surface(surface, count=np.shape(masks)[1], size=size), masks)


def weld_ids(mesh: Mesh) -> Int[np.ndarray, "V"]:
    """For each vertex the one that stands for its position in welded faces."""
    return position_ids(np.asarray(mesh.vertices))


def _color_distance(pixels: np.ndarray, color: np.ndarray) -> np.ndarray:
    scale = np.sum(pixels * color, axis=-1, keepdims=True) / max(float(np.sum(color * color)), 1e-6)
    return np.linalg.norm(pixels - np.clip(scale, 0.4, 1.3) * color, axis=-1)


def _edges(faces: np.ndarray) -> np.ndarray:
    every = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(every, axis=1), axis=0)


def _averaging(faces: np.ndarray, count: int) -> csr_matrix:
    """The mean of a vertex and its neighbours."""
    edges = _edges(faces)
    rows = np.concatenate([edges[:, 0], edges[:, 1], np.arange(count)])
    columns = np.concatenate([edges[:, 1], edges[:, 0], np.arange(count)])
    weight = 1.0 / np.bincount(rows, minlength=count)[rows]
    return coo_matrix((weight, (rows, columns)), shape=(count, count)).tocsr()


def _ways(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray | None, config: VoteConfig) -> csr_matrix:
    """Lengths of edges, longer across creases and changes of colour."""
    edges = _edges(faces)
    a, b = edges.T
    length = np.linalg.norm(vertices[a] - vertices[b], axis=1)
    normals = surface_normals(Mesh(vertices.astype(np.float32), faces.astype(np.int32)))
    # Normals that lean towards each other, seen along the edge: the surface opens outward.
    along = (vertices[b] - vertices[a]) / np.maximum(length, 1e-12)[:, None]
    hollow = np.clip(np.sum((normals[a] - normals[b]) * along, axis=1) / np.sqrt(2), 0, 1)
    factor = 1 + config.crease * hollow
    if colors is not None and np.shape(colors) == vertices.shape:
        factor = factor + config.color * np.linalg.norm(np.asarray(colors)[a] - np.asarray(colors)[b], axis=1)
    cost = np.maximum(length * factor, 1e-9 * max(float(length.max(initial=0)), 1e-12))
    return coo_matrix((cost, (a, b)), shape=(len(vertices),) * 2).tocsr()
