"""What of InteractVLM is trained: low-rank products in the decoder, and all of what is small or new."""

import re
from typing import Any

from flax import nnx

from hoijax.nets.blocks import add_lora
from hoijax.nets.interactvlm.model import Model

RANK, ALPHA, DROPOUT = 8, 16.0, 0.05
"""Of the released training."""
WHERE = r"language\.layers\.block\.attention\.(query|value)"
"""Layers that it adapted; `query|key|value|out` and `perceptron\\.(gate|up|down)` are there too."""
WHOLE = (
    "language.lm_head", "language.embed_tokens", "text_hidden_fcs", "segmenter.mask_decoder", "human_mask_decoder",
    "object_mask_decoder", "cam_pose_encoder", "attention_splitter",
)  # fmt: skip
"""What is trained whole; CLIP, the projector, SAM's image and prompt encoders stay."""


def adapt(
    model: Model, rngs: nnx.Rngs, *, where: str = WHERE, rank: int = RANK, alpha: float = ALPHA,
    dropout: float = DROPOUT,
) -> list[str]:  # fmt: skip
    """Adds low-rank products to the decoder's layers in place; returns the paths of those.

    Args:
      model: the network.
      rngs: where the products' first factors, and dropout's masks, come from.
      where: regular expression of the layers' paths.
      rank: of each product.
      alpha: the products count alpha / rank.
      dropout: share of a layer's inputs that its product does not see, in training.
    """
    return add_lora(model, where, rank=rank, alpha=alpha, rngs=rngs, dropout=dropout)


def patterns() -> tuple[str, ...]:
    """Regular expressions that find what is trained whole by its dotted name."""
    return tuple(rf"{re.escape(start)}\." for start in WHOLE)


def is_trained(path: tuple[Any, ...], leaf: Any) -> bool:
    """Whether a variable is among those that training changes: a filter for `nnx.split` and `nnx.state`."""
    name = ".".join(map(str, path))
    whole = any(re.match(pattern, name) for pattern in patterns())
    return isinstance(leaf, nnx.LoRAParam) or (whole and isinstance(leaf, nnx.Param))
