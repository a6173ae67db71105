"""SAM whole: what is meant by points and boxes in an image."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from hoijax.nets import weights
from hoijax.nets.sam.config import Config
from hoijax.nets.sam.decoder import MaskDecoder, Masks
from hoijax.nets.sam.encoder import ImageEncoder
from hoijax.nets.sam.prompts import PromptEncoder

ArrayLike = jax.Array | np.ndarray


class Model(nnx.Module):
    """Image encoder, prompt encoder and mask decoder.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        self.image_encoder = ImageEncoder(config, rngs)
        self.prompt_encoder = PromptEncoder(config, rngs)
        self.mask_decoder = MaskDecoder(config, rngs)

    def __call__(
        self,
        embedding: Float[ArrayLike, "B S S C"],
        points: Float[ArrayLike, "B N 2"] | None = None,
        labels: Int[ArrayLike, "B N"] | None = None,
        boxes: Float[ArrayLike, "B 4"] | None = None,
        masks: Float[ArrayLike, "B M M 1"] | None = None,
    ) -> Masks:
        """Masks of one thing in each image; the first is for prompts that say one thing (boxes, several points).

        Args:
          embedding: `image_encoder(images)`, which many prompts may share.
          points: pixels (x, y) of the prepared image.
          labels: 1 on the thing, 0 beside it.
          boxes: (x0, y0, x1, y1), likewise.
          masks: logits of an earlier answer.

        Raises:
          ValueError: neither points nor boxes, or points without labels.
        """
        if (points is None) != (labels is None) or (points is None and boxes is None):
            raise ValueError("SAM wants boxes, or points with labels, or both")
        encoder, tokens = self.prompt_encoder, []
        if points is not None:
            points, labels = jnp.asarray(points), jnp.asarray(labels)
            if boxes is None:
                points = jnp.pad(points, ((0, 0), (0, 1), (0, 0)))
                labels = jnp.pad(labels, ((0, 0), (0, 1)), constant_values=-1)
            tokens.append(encoder.points(points, labels))
        if boxes is not None:
            tokens.append(encoder.boxes(boxes))
        dense = encoder.no_mask() if masks is None else encoder.masks(masks)
        return self.mask_decoder(embedding, encoder.grid(), jnp.concatenate(tokens, axis=-2), dense)


def load(path: pathlib.Path, size: str = "h", **how: Any) -> Model:
    """The network of a file that `hoijax convert sam_h` (or sam_b, sam_l) wrote, in evaluation mode.

    Args:
      path: the file.
      size: which.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or weights of another network.
    """
    return weights.load(f"sam_{size}", path, **how)[0]


def config_of(facts: Mapping[str, Any]) -> Config:
    """The sizes that a file's facts say."""
    sizes = dict(facts["sam"])
    return Config(**{**sizes, "everywhere": tuple(sizes["everywhere"])})


def facts_of(config: Config) -> dict[str, Any]:
    """The sizes as a file of weights says them."""
    return {"sam": {**dataclasses.asdict(config), "everywhere": list(config.everywhere)}}
