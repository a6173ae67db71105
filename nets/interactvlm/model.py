"""InteractVLM's networks: a question about an image to a contact token, and the token to masks of a surface's views."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Bool, Float, Int

from hoijax.errors import InputError
from hoijax.nets import clip, llama, sam
from hoijax.nets.blocks import Perceptron
from hoijax.nets.interactvlm.config import HUMAN, OBJECT, Config
from hoijax.nets.interactvlm.gates import CameraGate, Splitter
from hoijax.nets.interactvlm.prompts import IMAGE, Prompts, merge
from hoijax.nets.weights import Tensors, fill, open_tensors, own_arrays

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Contact:
    """What was found out about contact, before it is shown on a surface."""

    state: Float[ArrayLike, "B W"]
    """The decoder's state that the contact token was read off."""
    found: Bool[ArrayLike, "B"]
    """Whether there was one; where not, the state means nothing."""
    kind: Int[ArrayLike, "B"]
    """ANY, HUMAN or OBJECT, by the token."""


class VisionLanguage(nnx.Module):
    """LLaVA (Liu et al. 2023): a decoder that reads the patches of an image as if they were words.

    Args:
      config: sizes; those of the segmenter do not matter.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        wide, width = config.image_width, config.language.width
        self.vision = None if config.vision is None else clip.VisionTower(config.vision, rngs)
        if config.projector == "linear":
            self.mm_projector = nnx.Linear(wide, width, rngs=rngs)
        else:
            self.mm_projector = Perceptron(wide, width, width, rngs)
        self.language = llama.Model(config.language, rngs)

    def see(self, images: Float[ArrayLike, "B H W 3"] | Float[ArrayLike, "B P C"]) -> Float[jax.Array, "B P W"]:
        """Patches of images as tokens: what the image tower finds before its last block.

        Args:
          images: `clip.normalise(clip.crop(image))`, or the C features of patches that another network found.

        Raises:
          InputError: images, but the network has no image tower.
        """
        if images.ndim == 3:
            return self.mm_projector(jnp.asarray(images))
        if self.vision is None:
            raise InputError("this network came without its image tower; load it with one: load(path, vision=...)")
        return self.mm_projector(self.vision(images).penultimate[:, 1:])

    def words(self, ids: Int[ArrayLike, "*B"]) -> Float[jax.Array, "*B W"]:
        """Embeddings of ids; of `IMAGE` anything."""
        return self.language.embed(jnp.where(jnp.asarray(ids) == IMAGE, 0, jnp.asarray(ids)))

    def read(
        self, patches: Float[ArrayLike, "B P W"], prompts: Prompts, *, remat: bool = False
    ) -> tuple[Float[jax.Array, "B T W"], Int[jax.Array, "B T"], Contact]:
        """Reads conversations with their answers, in one pass.

        Args:
          patches: of `see`.
          prompts: of `make_prompts`.
          remat: see `llama.Model`.

        Returns:
          States of all places, their labels (`next_token_loss`), and what the answers' contact tokens were read off.
        """
        merged = merge(prompts, self.words(prompts.ids), patches, self.config.tokens)
        states = self.language(merged.embeddings, remat=remat)
        state = jnp.take_along_axis(states, merged.contact[:, None, None], axis=1)[:, 0]
        return states, jnp.asarray(merged.labels), Contact(state, merged.found, self._kind(merged.token))

    def write(
        self, patches: Float[ArrayLike, "B P W"], prompts: Prompts, *, stop: int, steps: int
    ) -> tuple[llama.Generated, Contact]:
        """Answers questions, greedily.

        Args:
          patches: of `see`.
          prompts: without answers.
          stop: id that ends an answer.
          steps: most tokens of an answer.
        """
        merged = merge(prompts, self.words(prompts.ids), patches, self.config.tokens)
        got = llama.generate(self.language, merged.embeddings, merged.lengths, stop=stop, steps=steps)
        is_contact = jnp.isin(got.ids, jnp.asarray(self.config.tokens, got.ids.dtype))
        is_contact &= jnp.arange(steps, dtype=got.count.dtype)[None] < got.count[:, None]
        first = jnp.argmax(is_contact, axis=1)
        token = jnp.take_along_axis(got.ids, first[:, None], axis=1)[:, 0]
        state = jnp.take_along_axis(got.states, first[:, None, None], axis=1)[:, 0]
        return got, Contact(state, jnp.any(is_contact, axis=1), self._kind(token))

    def _kind(self, token: jax.Array) -> jax.Array:
        """What contact tokens mean; one that body and object share is told apart by who asks."""
        config, kind = self.config, jnp.zeros(token.shape, jnp.int32)
        if config.human is None or config.human == config.object:
            return kind
        return jnp.where(token == config.human, HUMAN, jnp.where(token == config.object, OBJECT, kind))


class Model(VisionLanguage):
    """InteractVLM.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        super().__init__(config, rngs)
        width, channels = config.language.width, config.segmenter.channels
        self.text_hidden_fcs = Perceptron(width, width, channels, rngs, activation="relu")
        self.cam_pose_encoder = CameraGate(config.gate, channels, config.views, rngs)
        self.attention_splitter = None if config.human is None else Splitter(channels, rngs)
        self.segmenter = sam.Model(config.segmenter, rngs)
        self.human_mask_decoder = sam.MaskDecoder(config.segmenter, rngs) if config.apart else None
        self.object_mask_decoder = sam.MaskDecoder(config.segmenter, rngs) if config.apart else None

    def embed_views(self, views: Float[ArrayLike, "V H W 3"]) -> Float[jax.Array, "V S S C"]:
        """Embeddings of a surface's views, to be kept: a body's never change.

        Args:
          views: colours from 0 to 1, of the side that the segmenter was built for.
        """
        return self.segmenter.image_encoder(sam.normalise(255.0 * jnp.asarray(views)))

    def lift_token(
        self,
        state: Float[ArrayLike, "B W"],
        cameras: Float[ArrayLike, "B V 5"],
        kind: Int[ArrayLike, "B"] | None = None,
    ) -> Float[jax.Array, "B V C"]:
        """A contact token for each view.

        Args:
          state: of `Contact`.
          cameras: of the views.
          kind: ANY (the default), HUMAN or OBJECT; tells the splitter what is asked for.
        """
        token = self.text_hidden_fcs(state)
        tokens = self.cam_pose_encoder(token, jnp.asarray(cameras).astype(token.dtype))
        if kind is None or self.attention_splitter is None:
            return tokens
        human, object_ = self.attention_splitter(tokens)
        return _choose(jnp.asarray(kind), tokens, human, object_)

    def decode(
        self,
        tokens: Float[ArrayLike, "B V C"],
        embedding: Float[ArrayLike, "B V S S C"],
        kind: Int[ArrayLike, "B"] | None = None,
    ) -> Float[jax.Array, "B V M M"]:
        """Logits of each view's contact mask, four times as fine as the embedding.

        Every view is shown the tokens of all views; nothing says which is its own, as in the released code.

        Args:
          tokens: of `lift_token`.
          embedding: of the views.
          kind: chooses the mask decoder, where body and object have their own.
        """
        tokens, encoder = jnp.asarray(tokens), self.segmenter.prompt_encoder
        count = tokens.shape[1]
        prompt = jnp.broadcast_to(tokens[:, None], (len(tokens), count, *tokens.shape[1:]))

        def masks(decoder: sam.MaskDecoder) -> jax.Array:
            return decoder(embedding, encoder.grid(), prompt, encoder.no_mask()).logits[..., 0, :, :]

        shared = masks(self.segmenter.mask_decoder)
        if kind is None or self.human_mask_decoder is None:
            return shared
        return _choose(jnp.asarray(kind), shared, masks(self.human_mask_decoder), masks(self.object_mask_decoder))

    def localise(
        self,
        contact: Contact,
        cameras: Float[ArrayLike, "B V 5"],
        embedding: Float[ArrayLike, "B V S S C"],
        kind: Int[ArrayLike, "B"] | None = None,
    ) -> Float[jax.Array, "B V M M"]:
        """Logits of contact in the views of surfaces; those of samples without a contact token mean nothing.

        Args:
          contact: of `read` or `write`.
          cameras: of the views.
          embedding: of the views.
          kind: of each surface; by default what the contact token says.
        """
        kind = jnp.asarray(contact.kind if kind is None else kind)
        return self.decode(self.lift_token(contact.state, cameras, kind), embedding, kind)

    def __call__(
        self,
        images: Float[ArrayLike, "B H W 3"],
        prompts: Prompts,
        cameras: Float[ArrayLike, "B V 5"],
        embedding: Float[ArrayLike, "B V S S C"],
        kind: Int[ArrayLike, "B"] | None = None,
        *,
        remat: bool = False,
    ) -> tuple[Float[jax.Array, "B V M M"], Float[jax.Array, "B T W"], Int[jax.Array, "B T"]]:
        """What training needs of conversations with answers: logits of masks, states and labels (`next_token_loss`)."""
        states, labels, contact = self.read(self.see(images), prompts, remat=remat)
        return self.localise(contact, cameras, embedding, kind), states, labels


def probabilities(logits: Float[ArrayLike, "*B M M"], valid: Bool[ArrayLike, "*B H W"]) -> Float[jax.Array, "*B H W"]:
    """Contact probabilities of a view's pixels: logits enlarged, in float32, none where the surface is not seen."""
    valid = jnp.asarray(valid)
    return jnp.where(valid, jax.nn.sigmoid(sam.enlarge(logits, *valid.shape[-2:])), 0)


def _choose(kind: jax.Array, *options: jax.Array) -> jax.Array:
    """Of each sample the option of its kind."""
    shape = options[0].shape
    kind = jnp.broadcast_to(kind.reshape((-1, *[1] * (len(shape) - 1))), shape)
    return jnp.select([kind == i for i in range(len(options))], list(options))


def load(path: pathlib.Path, vision: pathlib.Path | None = None, **how: Any) -> Model:
    """The network of a file that `hoijax convert interactvlm` wrote, in evaluation mode.

    Args:
      path: the file.
      vision: of the image tower (`hoijax convert clip_vision_l`), which the published checkpoints lack.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or weights of another network.
    """
    tensors = open_tensors(path)
    facts = tensors.facts()
    if "interactvlm" not in facts:
        raise InputError(f"{path} holds no InteractVLM; `hoijax convert interactvlm` makes such a file")
    config, arrays = Config.of_facts(facts), own_arrays(tensors)
    if vision is not None and config.vision is None:
        tower = open_tensors(vision)
        said = tower.facts().get("vision")
        if said is None:
            raise InputError(f"{vision} holds no image tower of CLIP; `hoijax convert clip_vision_l` makes one")
        config = dataclasses.replace(config, vision=clip.VisionConfig(**said))
        own = own_arrays(tower)
        names = {f"vision.{name}": name for name in own}
        table = arrays.table | {new: own.table[old] for new, old in names.items()}
        base = arrays
        arrays = Tensors(table, lambda name: own[names[name]] if name in names else base[name], where=str(path))
    return fill(lambda rngs: Model(config, rngs), arrays, where=path, **how)
