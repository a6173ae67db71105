"""Both towers and how alike a text and an image are."""

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
from hoijax.nets.clip.config import Config, TextConfig, VisionConfig
from hoijax.nets.clip.towers import TextTower, VisionTower

ArrayLike = jax.Array | np.ndarray


class Model(nnx.Module):
    """CLIP.

    Args:
      config: sizes of both towers, of one joint space.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        if config.text.projection is None or config.text.projection != config.vision.projection:
            raise ValueError(f"towers project to {config.text.projection} and {config.vision.projection} channels")
        self.text, self.vision = TextTower(config.text, rngs), VisionTower(config.vision, rngs)
        self.logit_scale = nnx.Param(jnp.asarray(np.log(1 / 0.07), jnp.float32))

    def __call__(self, images: Float[ArrayLike, "B H W 3"], ids: Int[ArrayLike, "N T"]) -> Float[jax.Array, "B N"]:
        """How alike each image and each text are; the softmax over texts says which one describes the image."""
        image, text = (_unit(x.projected) for x in (self.vision(images), self.text(ids)))
        return jnp.exp(self.logit_scale[...]).astype(image.dtype) * (image @ text.T)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.broadcast_to(jnp.linalg.norm(x, axis=-1, keepdims=True), x.shape)


def load(path: pathlib.Path, name: str = "clip_l", **how: Any) -> Model | TextTower | VisionTower:
    """The network of a file that `hoijax convert` wrote, in evaluation mode.

    Args:
      path: the file.
      name: of the registry: "clip_l" for both towers, "clip_text_l", "clip_vision_l", ...
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or weights of another network.
    """
    return weights.load(name, path, **how)[0]


def of_facts(kind: str, facts: Mapping[str, Any], rngs: nnx.Rngs) -> nnx.Module:
    """A network of the sizes that a file of weights says."""
    if kind == "text":
        return TextTower(TextConfig(**facts["text"]), rngs)
    if kind == "vision":
        return VisionTower(VisionConfig(**facts["vision"]), rngs)
    return Model(Config(TextConfig(**facts["text"]), VisionConfig(**facts["vision"])), rngs)


def facts_of(config: Config | TextConfig | VisionConfig) -> dict[str, Any]:
    """The sizes as a file of weights says them."""
    if isinstance(config, Config):
        return dataclasses.asdict(config)
    return {"text" if isinstance(config, TextConfig) else "vision": dataclasses.asdict(config)}
