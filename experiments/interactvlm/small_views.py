"""Teaches the small InteractVLM's encoder of views what they show: dense targets, part labels and places.

SAM's image encoder stays as it is while contact is learned, so that its embeddings are kept; one with random weights
leaves all of where a cell is to the mask decoder. Here it learns, with a linear head that is dropped afterwards, which
of the body's 24 parts each mask pixel shows, and of any surface the place in its box. A body's views never change and
objects' are few: it takes seconds.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from hoijax.body_models import BodyModel, part_labels, part_names
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.geometry import Mesh
from hoijax.io import output_directory
from hoijax.nets import sam
from hoijax.nets.interactvlm import Model
from hoijax.nets.weights import fill, open_tensors, own_arrays, save_network
from hoijax.systems.interactvlm import Views, body_views, object_views

PARTS = len(part_names("24"))
FINER = 4
"""Mask pixels along a cell's side."""


def pixel_targets(views: Views, labels: np.ndarray | None, side: int) -> tuple[np.ndarray, np.ndarray]:
    """What each mask pixel's middle shows: part (N, side, side), -1 where none is taught, and colour
    (N, side, side, 3), which is the place in the surface's box; that of the background is not taught (NaN).

    Args:
      views: of a surface.
      labels: part of each vertex; None: parts are not taught.
      side: mask pixels of a view.
    """
    step = views.images.shape[1] // side
    middle = slice(step // 2, None, step)
    face = np.asarray(views.fragments.face_id)[:, middle, middle]
    shown = face >= 0
    places = np.where(shown[..., None], np.asarray(views.images)[:, middle, middle], np.nan)
    if labels is None:
        return np.full(face.shape, -1, np.int32), places.astype(np.float32)
    corner = labels[np.asarray(views.faces)[np.maximum(face, 0), 0]]
    return np.where(shown, corner, -1).astype(np.int32), places.astype(np.float32)


def teach_encoder(
    network: Model, body: BodyModel, meshes: Sequence[Mesh], path: pathlib.Path, *, steps: int = 300, rate: float = 2e-3
) -> dict[str, float]:
    """Trains the image encoder in place, or reads what was trained from a file.

    Args:
      network: whose encoder learns.
      body: whose parts are taught.
      meshes: whose places are.
      path: where the encoder is kept.
      steps: of Adam, each on all views of the body and those of one mesh.
      rate: largest step size.

    Returns:
      Share of the body's mask pixels whose part the head gets right, and the mean error of places in the box; of an
      encoder that was read nothing.
    """
    encoder = network.segmenter.image_encoder
    if path.exists():
        nnx.update(encoder, nnx.state(fill(lambda rngs: _encoder(network, rngs), own_arrays(open_tensors(path)))))
        return {}
    size, channels = network.config.segmenter.image, network.config.segmenter.channels
    own = body_views(body, size)
    surfaces = [(own, part_labels(body, "24"))]
    surfaces += [(object_views(np.asarray(m.vertices), np.asarray(m.faces), size), None) for m in meshes]
    cells = size // network.config.segmenter.patch
    images = np.stack([np.asarray(views.images) for views, _ in surfaces])
    parts, places = (np.stack(rows) for rows in zip(*(pixel_targets(v, l, cells * FINER) for v, l in surfaces)))
    head = nnx.Linear(channels, FINER * FINER * (PARTS + 3), rngs=nnx.Rngs(0))
    graph, state = nnx.split((encoder, head), nnx.Param, ...)[0], nnx.state((encoder, head), nnx.Param)
    rest = nnx.state((encoder, head), nnx.Not(nnx.Param))
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(rate, steps)))

    def loss(state: Any, images: jax.Array, parts: jax.Array, places: jax.Array) -> tuple[jax.Array, dict[str, Any]]:
        encode, read = nnx.merge(graph, state, rest)
        said = _finer(read(encode(sam.normalise(255.0 * images))))
        taught, shown = (parts >= 0).astype(jnp.float32), jnp.isfinite(places[..., 0]).astype(jnp.float32)
        entropy = optax.softmax_cross_entropy_with_integer_labels(said[..., :PARTS], jnp.maximum(parts, 0))
        right = (jnp.argmax(said[..., :PARTS], axis=-1) == parts).astype(jnp.float32)
        off = jnp.abs(said[..., PARTS:] - jnp.nan_to_num(places)).mean(axis=-1)
        part = (entropy * taught).sum() / jnp.maximum(taught.sum(), 1)
        place = (off * shown).sum() / jnp.maximum(shown.sum(), 1)
        return part + 5 * place, {"parts": (right * taught).sum() / jnp.maximum(taught.sum(), 1), "places": place}

    def step(state: Any, moments: Any, *batch: jax.Array) -> tuple[Any, Any, dict[str, Any]]:
        (_, numbers), gradient = jax.value_and_grad(loss, has_aux=True)(state, *batch)
        updates, moments = optimiser.update(gradient, moments)
        return optax.apply_updates(state, updates), moments, numbers

    compiled, moments = jax.jit(step, compiler_options=COMPILE_FAST), optimiser.init(state)
    numbers: dict[str, Any] = {}
    for number in range(steps):
        some = np.array([0, 1 + number % max(len(meshes), 1)][: len(surfaces)])
        batch = (np.concatenate(rows[some]) for rows in (images, parts, places))
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to whole powers
            state, moments, numbers = compiled(state, moments, *batch)
    nnx.update((encoder, head), state)
    output_directory(path.parent)
    save_network(path, encoder, {})
    return {name: float(value) for name, value in numbers.items()}


def _finer(said: jax.Array) -> jax.Array:
    """What the head says of cells (N, S, S, 16 K) as of mask pixels (N, 4 S, 4 S, K)."""
    count, side = said.shape[:2]
    blocks = said.reshape(count, side, side, FINER, FINER, -1)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(count, side * FINER, side * FINER, -1)


def _encoder(network: Model, rngs: nnx.Rngs) -> nnx.Module:
    return Model(network.config, rngs).segmenter.image_encoder
