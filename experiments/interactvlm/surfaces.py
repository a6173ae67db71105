"""Surfaces as a training sees them: embedded views, the way to their vertices, and the masks that are true on them."""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.experiments.interactvlm.data import Example
from hoijax.geometry import Mesh
from hoijax.io import value_digest
from hoijax.metrics import geodesic_distances_host
from hoijax.nets import sam
from hoijax.nets.interactvlm import Model
from hoijax.nets.weights import to_flat
from hoijax.render import Fragments, interactvlm_object_rig, render_canonical_points, unit_sphere
from hoijax.systems.interactvlm import LiftOperator, Surface, Views, body_views, cached_embedding, object_views

ArrayLike = jax.Array | np.ndarray

POINTS_DISTANCE = 2.0
"""Of the cameras that see clouds, in radii of the unit sphere."""


@struct.dataclass
class Canvas:
    """A surface of V vertices (or points) in N views, with what is needed to draw true masks on it."""

    surface: Surface
    """Embedding, cameras, lift."""
    face_id: Int[ArrayLike, "*B N S S"] | Any
    """Face, or point, that each pixel shows; -1 for none."""
    faces: Int[ArrayLike, "*B F 3"] | Any
    """Vertices of the faces; of points each its own three times."""


def canvas_of(views: Views, embedding: ArrayLike) -> Canvas:
    """A mesh's views as a canvas."""
    surface = Surface(np.asarray(embedding), np.asarray(views.cameras), views.lift)
    return Canvas(surface, np.asarray(views.fragments.face_id, np.int32), np.asarray(views.faces, np.int32))


def true_masks(
    canvas: Canvas, contact: Float[ArrayLike, "V"], *, min_vertices: int = 2, soft: bool = False
) -> Float[jax.Array, "N S S"]:
    """The true masks of one surface.

    Args:
      canvas: without a leading axis.
      contact: of its vertices, or likelihoods of its points.
      min_vertices: touching vertices from which a face is in the mask.
      soft: likelihoods instead: the mean of a face's vertices.
    """
    contact, face_id = jnp.asarray(contact), jnp.asarray(canvas.face_id)
    corners = contact[jnp.asarray(canvas.faces)]
    if soft:
        value = jnp.mean(corners, axis=1)
    else:
        value = (jnp.sum(corners > 0.5, axis=1) >= min_vertices).astype(contact.dtype)
    return jnp.where(face_id >= 0, value[jnp.maximum(face_id, 0)], jnp.zeros((), contact.dtype))


def point_views(points: Float[ArrayLike, "P 3"], size: int) -> Views:
    """The four views of a cloud, as InteractVLM draws it: discs, coloured by place.

    Args:
      points: in any unit; they are brought into the unit sphere.
      size: S.

    Raises:
      InputError: fewer than two points, or numbers that are not finite.
    """
    points = np.asarray(points, np.float32)
    if len(points) < 2 or not np.isfinite(points).all():
        raise InputError(f"a cloud wants two points at least, all of them finite; got {points.shape}")
    points = np.asarray(unit_sphere(points))
    rig = interactvlm_object_rig(size, POINTS_DISTANCE)
    seen = _render_points(points, rig)
    images, ids = np.asarray(seen.images), np.asarray(seen.point_id, np.int32)
    each = np.repeat(np.arange(len(points), dtype=np.int32)[:, None], 3, axis=1)
    shown = np.where(ids >= 0, 1.0, np.inf).astype(np.float32)
    fragments = Fragments(ids, shown, np.zeros((len(ids), 0, 3, 3), np.float32), np.zeros(len(ids), bool))
    return Views(
        images, fragments, np.asarray(rig.network_vector()), points_lift(ids, len(points)), points, each, rig.names
    )


_render_points = jax.jit(render_canonical_points)


def points_lift(point_id: Int[np.ndarray, "N S S"], count: int) -> LiftOperator:
    """The lift of clouds as an operator: the mean of a point's pixels per view, then over the views that show it.

    Args:
      point_id: of the pixels, -1 for none.
      count: of the points.
    """
    views = len(point_id)
    pixel = np.flatnonzero(point_id.reshape(-1) >= 0)
    row = pixel // point_id[0].size * count + point_id.reshape(-1)[pixel]
    order = np.argsort(row, kind="stable")
    pixel, row = pixel[order], row[order]
    own = np.bincount(row, minlength=views * count)
    shown = (own.reshape(views, count) > 0).sum(axis=0)
    soft = 1.0 / own[row] / shown[row % count]
    return LiftOperator(
        pixel=pixel.astype(np.int32), row=row.astype(np.int32), bary=np.ones(len(row), np.float32),
        soft=soft.astype(np.float32), visible=shown > 0, views=tuple(int(n) for n in point_id.shape),
    )  # fmt: skip


def filled(operator: LiftOperator, capacity: int) -> LiftOperator:
    """An operator with entries that say nothing behind its own.

    Raises:
      InputError: it has more entries.
    """
    more = capacity - len(operator.pixel)
    if more < 0:
        raise InputError(f"a surface's lift has {len(operator.pixel):,} weights, there is room for {capacity:,}")
    last = operator.views[0] * len(operator.visible)
    return operator.replace(
        pixel=np.pad(operator.pixel, (0, more)), row=np.pad(operator.row, (0, more), constant_values=last),
        bary=np.pad(operator.bary, (0, more)), soft=np.pad(operator.soft, (0, more)),
    )  # fmt: skip


class Surfaces:
    """Canvases of a network's segmenter: each is drawn and embedded once, and its embedding kept on disk.

    Args:
      network: whose image encoder looks at them. It must stay as it is: it is frozen in training.
      body: the body whose contact is learned, or the views of any surface in its place; None: none.
      capacity: vertices and faces of meshes, which are filled up to it.
      folder: where embeddings are kept; None: in memory alone.
    """

    def __init__(
        self, network: Model, body: BodyModel | Views | None, *, capacity: tuple[int, int] = (5000, 9000),
        folder: pathlib.Path | None = None,
    ):  # fmt: skip
        self.size, self.capacity, self.folder = network.config.segmenter.image, capacity, folder
        encoder = network.segmenter.image_encoder
        graph, state = nnx.split(encoder)
        self.digest = encoder_digest(network)
        embed = jax.jit(lambda state, image: _embed(nnx.merge(graph, state), image))
        self._encode = lambda image: embed(state, image)
        self._known: dict[str, Canvas] = {}
        self._views = body_views(body, self.size) if isinstance(body, BodyModel) else body
        self.body = None if body is None else self._canvas(self._views)

    def _canvas(self, views: Views) -> Canvas:
        return canvas_of(views, cached_embedding(self._encode, views, self.digest, self.folder))

    def distances(self) -> Float[np.ndarray, "V V"]:
        """Lengths of the shortest paths on the body as it is drawn, metres.

        Raises:
          InputError: there is no body.
        """
        if self._views is None:
            raise InputError("geodesic errors want a body")
        return geodesic_distances_host(self._views.vertices, self._views.faces)

    def object(self, example: Example) -> Canvas:
        """The canvas of an example's mesh, or of its points.

        Raises:
          InputError: a mesh without surface, or a larger one than there is room for.
        """
        name, mesh = example.surface, example.mesh
        if not name or name not in self._known:
            points = not len(mesh.faces)
            views = point_views(mesh.vertices, self.size) if points else self._mesh_views(mesh)
            canvas = self._canvas(views)
            if not name:
                return canvas
            self._known[name] = canvas
        return self._known[name]

    def _mesh_views(self, mesh: Mesh) -> Views:
        return object_views(np.asarray(mesh.vertices), np.asarray(mesh.faces), self.size, capacity=self.capacity)

    def objects(self, examples: Sequence[Example]) -> tuple[Canvas, np.ndarray]:
        """Canvases of several objects with a leading axis, and their contact (B, V), filled up with zeros.

        Raises:
          InputError: labels of another number of vertices than the object has.
        """
        canvases = [self.object(example) for example in examples]
        count = len(canvases[0].surface.lift.visible)
        contact = np.zeros((len(examples), count), np.float32)
        for row, example in zip(contact, examples):
            size = len(example.mesh.vertices)
            if example.contact is not None and len(example.contact) != size:
                raise InputError(f"{example.key}: {len(example.contact)} labels for {size} vertices of the object")
            row[:size] = 0 if example.contact is None else example.contact
        room = max(_room(len(c.surface.lift.pixel)) for c in canvases)
        filled_up = [c.replace(surface=c.surface.replace(lift=filled(c.surface.lift, room))) for c in canvases]
        return jax.tree.map(lambda *rows: np.stack(rows), *filled_up), contact


def encoder_digest(network: Model) -> str:
    """What tells one image encoder of views from another."""
    return value_digest(to_flat(network.segmenter.image_encoder))


def _room(entries: int) -> int:
    """A capacity of few different sizes, since each is a program of its own: powers of two."""
    return 1 << max(entries - 1, 1).bit_length()


def _embed(encoder: nnx.Module, image: jax.Array) -> jax.Array:
    return encoder(sam.normalise(255.0 * image)[None])[0]
