"""InteractVLM whole: images and questions to contact on the vertices of a body and of an object."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Key

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import Contacts
from hoijax.nets.interactvlm import HUMAN, OBJECT, Contact, Model, Prompts, probabilities
from hoijax.nets.llama import Generated
from hoijax.systems.interactvlm.lifting import LiftOperator, apply_lift
from hoijax.systems.interactvlm.views import Views, body_views, object_views


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """How contact is asked for and read."""

    stop: int = 2
    """Id that ends an answer, of the tokenizer (`</s>`)."""
    steps: int = 64
    """Most tokens of an answer."""
    body_lift: str = "soft"
    """Rule by which a body's pixels become vertices, see `apply_lift`."""
    object_lift: str = "kept_mean"
    """Likewise of an object's."""


@struct.dataclass
class Surface:
    """A surface as the networks see it, or several with leading axes."""

    embedding: Float[ArrayLike, "*B N S S C"] | Any
    """Of its views, by the segmenter's encoder."""
    cameras: Float[ArrayLike, "*B N 5"] | Any
    """Of its views."""
    lift: LiftOperator
    """From their pixels to its vertices."""

    @classmethod
    def of(cls, network: Model, views: Views, embedding: ArrayLike | None = None) -> "Surface":
        """A surface's views; the embedding may come from `cached_embedding`, else it is found view by view."""
        if embedding is None:
            encode = jax.jit(lambda picture: network.embed_views(picture[None])[0])
            embedding = jnp.stack([encode(jnp.asarray(picture)) for picture in np.asarray(views.images)])
        return cls(embedding, views.cameras, views.lift)


@struct.dataclass
class Prepared:
    """What contact is looked for on."""

    body: Surface | None
    """A body in its canonical pose; None: not asked for."""
    object: Surface | None
    """An object; None: not asked for."""


@struct.dataclass
class Inputs:
    """Images and what is asked about them, B each."""

    images: Float[ArrayLike, "B H W 3"] | Float[ArrayLike, "B P C"]
    """`clip.normalise(clip.crop(image))`, or features of patches where the network has no image tower."""
    body: Prompts | None = None
    """Questions about the body, without answers."""
    object: Prompts | None = None
    """Questions about the object."""


@struct.dataclass
class Stages:
    """What was said and seen about one surface on the way."""

    answer: Generated
    """Words, and the states they were read off."""
    contact: Contact
    """The contact token's."""
    logits: Float[ArrayLike, "B N M M"]
    """Of the masks of its views."""


@struct.dataclass
class Result:
    """Contact of B images."""

    interaction: Contacts
    """Probabilities on the vertices of body and object; zeros where no contact token was said, none where not asked."""
    metrics: dict[str, Float[ArrayLike, "B"]]
    """`body_found`, `object_found`: whether a contact token was said; `body_share`, `object_share`: of the vertices
    that the views see, those with a probability of a half or more."""
    stages: dict[str, Stages]
    """By surface."""


def prepare(
    network: Model, body: BodyModel | None = None, object: Mesh | None = None, *, embedding: ArrayLike | None = None
) -> Prepared:
    """Renders the surfaces and finds their embeddings; on the host.

    Args:
      network: whose segmenter looks at them; its images' side is that of the renders.
      body: SMPL and its kin or the free body.
      object: a mesh, y up.
      embedding: of the body's views where it is at hand (`cached_embedding`).

    Raises:
      InputError: neither body nor object, a body without hips, or a mesh without faces.
    """
    if body is None and object is None:
        raise InputError("contact is looked for on a body, on an object, or on both; neither was given")
    size = network.config.segmenter.image
    parts: dict[str, Surface | None] = {"body": None, "object": None}
    if body is not None:
        parts["body"] = Surface.of(network, body_views(body, size), embedding)
    if object is not None:
        parts["object"] = Surface.of(network, object_views(object.vertices, object.faces, size))
    return Prepared(**parts)


def run(
    network: Model,
    prepared: Prepared,
    inputs: Inputs,
    *,
    config: RunConfig = RunConfig(),
    key: Key[jax.Array, ""] | None = None,
) -> Result:
    """Asks about each image, and shows the answers on the surfaces; pure, jit it.

    The networks write their answers themselves: nothing of a true answer goes in.

    Args:
      network: the networks.
      prepared: the surfaces.
      inputs: images and questions about them.
      config: how it is asked and read.
      key: unused; nothing here is random.

    Raises:
      ValueError: a question about a surface that was not prepared, or no question at all.
    """
    del key
    asked = {name: getattr(inputs, name) for name in ("body", "object") if getattr(inputs, name) is not None}
    if not asked or any(getattr(prepared, name) is None for name in asked):
        raise ValueError(f"asked about {', '.join(asked) or 'nothing'}; each surface asked about is to be prepared")
    patches = network.see(inputs.images)
    empty = jnp.zeros((len(patches), 0), jnp.float32)
    found = {"body": empty, "object": empty}
    metrics, stages = {}, {}
    for name, prompts in asked.items():
        surface, kind, mode = {
            "body": (prepared.body, HUMAN, config.body_lift), "object": (prepared.object, OBJECT, config.object_lift),
        }[name]  # fmt: skip
        found[name], stages[name] = ask(network, patches, prompts, surface, kind=kind, mode=mode, config=config)
        visible = jnp.asarray(surface.lift.visible).astype(found[name].dtype)
        half = (found[name] >= 0.5).astype(visible.dtype) * jnp.broadcast_to(visible, found[name].shape)
        said = stages[name].contact.found.astype(visible.dtype)
        metrics |= {f"{name}_found": said, f"{name}_share": jnp.sum(half, axis=1) / jnp.maximum(jnp.sum(visible), 1)}
    return Result(Contacts(found["body"], found["object"], empty), metrics, stages)


def ask(
    network: Model,
    patches: Float[ArrayLike, "B P W"],
    prompts: Prompts,
    surface: Surface,
    *,
    kind: int,
    mode: str,
    config: RunConfig = RunConfig(),
    each: bool = False,
) -> tuple[Float[jax.Array, "B V"], Stages]:
    """Contact on one surface, or on one for each image, from answers that the network writes itself.

    Args:
      network: the networks.
      patches: of `network.see`.
      prompts: questions without answers.
      surface: where contact is shown.
      kind: HUMAN or OBJECT.
      mode: of the lift.
      config: how it is asked.
      each: the surface's arrays have a leading axis of images.

    Returns:
      Probabilities of the vertices, zeros where no contact token was said; what was said and seen.
    """
    answer, contact = network.write(patches, prompts, stop=config.stop, steps=config.steps)
    logits = localise(network, contact, surface, kind, each=each)
    lifted = lift_masks(logits, surface.lift, mode, each=each)
    said = contact.found.astype(lifted.dtype)
    return lifted * jnp.broadcast_to(said[:, None], lifted.shape), Stages(answer, contact, logits)


def lift_masks(
    logits: Float[ArrayLike, "B N M M"], operator: LiftOperator, mode: str, *, each: bool = False
) -> Float[jax.Array, "B V"]:
    """Probabilities of vertices from the logits of views, image by image.

    Args:
      logits: of the masks, of any size.
      operator: from the views' pixels to the vertices.
      mode: of the lift.
      each: the operator's arrays have a leading axis of images.
    """
    valid = jnp.ones(operator.views, bool)  # the lift takes pixels that show the surface, no others

    def lift(item: tuple[jax.Array, LiftOperator]) -> jax.Array:
        return apply_lift(item[1], probabilities(item[0], valid), mode).scores

    if each:
        return jax.lax.map(lift, (jnp.asarray(logits), jax.tree.map(jnp.asarray, operator)))
    return jax.lax.map(lambda x: lift((x, operator)), jnp.asarray(logits))


def localise(
    network: Model, contact: Contact, surface: Surface, kind: int, *, each: bool = False
) -> Float[jax.Array, "B N M M"]:
    """Logits of a surface's views for every image; a token that means contact of any kind asks for this surface's only
    where the networks tell body and object apart by one token.

    Args:
      network: the networks.
      contact: what was found out about contact in B images.
      surface: where it is shown.
      kind: HUMAN or OBJECT.
      each: the surface's arrays have a leading axis of images.
    """
    count = len(contact.state)

    def spread(array: ArrayLike) -> jax.Array:
        array = jnp.asarray(array).astype(contact.state.dtype)
        return array if each else jnp.broadcast_to(array, (count, *array.shape))

    shared = network.config.human is not None and network.config.human == network.config.object
    kinds = jnp.full((count,), kind, jnp.int32) if shared else contact.kind
    return network.localise(contact, spread(surface.cameras), spread(surface.embedding), kinds)
