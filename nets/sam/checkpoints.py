"""SAM's entries in the registry: the published `.pth` files, and what `transformers` makes of them."""

import re

from hoijax.nets.sam.config import Config
from hoijax.nets.sam.model import Model, config_of, facts_of
from hoijax.nets.weights.convert import Rule, StateDict, renamed
from hoijax.nets.weights.registry import Entry

RULES = (
    *(Rule(rf"(.*attn.*)\.{ours}\.(.*)", rf"\1.{theirs}_proj.\2")
      for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "out"))),
    *(Rule(rf"(.*\.mlp)\.{ours}\.(.*)", rf"\1.{theirs}.\2")
      for ours, theirs in (("first", "lin1"), ("second", "lin2"))),
)  # fmt: skip
"""Where our names differ from the published ones."""

# Patterns of `transformers`' keys and what stands for them in the published files.
_OTHERS = (
    (r"shared_image_embedding\.positional_embedding",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"vision_encoder\.layers\.(\d+)\.(.*)", r"image_encoder.blocks.\1.\2"),
    (r"vision_encoder\.neck\.conv1\.(.*)", r"image_encoder.neck.0.\1"),
    (r"vision_encoder\.neck\.layer_norm1\.(.*)", r"image_encoder.neck.1.\1"),
    (r"vision_encoder\.neck\.conv2\.(.*)", r"image_encoder.neck.2.\1"),
    (r"vision_encoder\.neck\.layer_norm2\.(.*)", r"image_encoder.neck.3.\1"),
    (r"vision_encoder\.(.*)", r"image_encoder.\1"),
    (r"prompt_encoder\.mask_embed\.conv1\.(.*)", r"prompt_encoder.mask_downscaling.0.\1"),
    (r"prompt_encoder\.mask_embed\.layer_norm1\.(.*)", r"prompt_encoder.mask_downscaling.1.\1"),
    (r"prompt_encoder\.mask_embed\.conv2\.(.*)", r"prompt_encoder.mask_downscaling.3.\1"),
    (r"prompt_encoder\.mask_embed\.layer_norm2\.(.*)", r"prompt_encoder.mask_downscaling.4.\1"),
    (r"prompt_encoder\.mask_embed\.conv3\.(.*)", r"prompt_encoder.mask_downscaling.6.\1"),
    (r"prompt_encoder\.point_embed\.(.*)", r"prompt_encoder.point_embeddings.\1"),
    (r"mask_decoder\.upscale_conv1\.(.*)", r"mask_decoder.output_upscaling.0.\1"),
    (r"mask_decoder\.upscale_layer_norm\.(.*)", r"mask_decoder.output_upscaling.1.\1"),
    (r"mask_decoder\.upscale_conv2\.(.*)", r"mask_decoder.output_upscaling.3.\1"),
    (r"(mask_decoder\.(?:output_h|iou_p).*)\.proj_in\.(.*)", r"\1.layers.0.\2"),
    (r"(mask_decoder\.(?:output_h|iou_p).*)\.layers\.0\.(.*)", r"\1.layers.1.\2"),
    (r"(mask_decoder\.(?:output_h|iou_p).*)\.proj_out\.(.*)", r"\1.layers.2.\2"),
)  # fmt: skip


def published_name(key: str) -> str:
    """The published key of a key of `transformers`."""
    for pattern, name in _OTHERS:
        fit = re.fullmatch(pattern, key)
        if fit:
            key = fit.expand(name)
            break
    key = key.replace("patch_embed.projection.", "patch_embed.proj.")
    return re.sub(r"\blayer_norm(\d|_final_attn)", r"norm\1", key)


def prepare(state: StateDict) -> StateDict:
    """A checkpoint of `transformers` under the published keys; any other as it is."""
    if not any(key.startswith("vision_encoder.") for key in state):
        return state
    twice = "prompt_encoder.shared_embedding.positional_embedding"
    return renamed(state, {published_name(key): key for key in state if key != twice})


WEIGHTS = {
    f"sam_{size}": Entry(
        f"SAM ViT-{size.upper()}",
        lambda facts, rngs: Model(config_of(facts), rngs),
        published=facts_of(Config.of_size(size)),
        rules=RULES,
        prepare=prepare,
    )
    for size in ("b", "l", "h")
}
