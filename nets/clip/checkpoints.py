"""CLIP's entries in the registry: OpenAI's and OpenCLIP's checkpoints as `transformers` keeps them.

One checkpoint of both towers fills either tower or both; files of one tower, with or without its name before their
keys, do as well.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hoijax.nets.clip.config import Config, TextConfig, VisionConfig
from hoijax.nets.clip.model import facts_of, of_facts
from hoijax.nets.weights.convert import Rule, StateDict, renamed
from hoijax.nets.weights.registry import Entry

TITLES = {"l": "ViT-L/14", "l_336": "ViT-L/14 at 336 pixels", "h": "ViT-H/14", "bigg": "ViT-bigG/14"}


LAYER = {
    r"attention\.query": "self_attn.q_proj", r"attention\.key": "self_attn.k_proj",
    r"attention\.value": "self_attn.v_proj", r"attention\.out": "self_attn.out_proj",
    "attention_norm": "layer_norm1", "perceptron_norm": "layer_norm2",
    r"perceptron\.first": "mlp.fc1", r"perceptron\.second": "mlp.fc2",
}  # fmt: skip
"""Parts of a block, ours and theirs."""


def layer_rules(ours: str, theirs: str) -> list[Rule]:
    """The names of a tower's blocks."""
    return [
        Rule(rf"{ours}layers\.(\d+)\.{part}\.(.*)", rf"{theirs}encoder.layers.\1.{name}.\2")
        for part, name in LAYER.items()
    ]


def text_rules(ours: str = "", theirs: str = "text_model.") -> tuple[Rule, ...]:
    """The text tower's names."""
    return (
        Rule(rf"{ours}(token_embedding|position_embedding)\.(.*)", rf"{theirs}embeddings.\1.\2"),
        *layer_rules(ours, theirs),
        Rule(rf"{ours}(final_layer_norm\..*)", rf"{theirs}\1"),
        Rule(rf"{ours}projection\.weight", "text_projection.weight"),
    )


def vision_rules(ours: str = "", theirs: str = "vision_model.") -> tuple[Rule, ...]:
    """The image tower's names."""
    return (
        Rule(rf"{ours}(class_embedding|patch_embedding.*|position_embedding.*)", rf"{theirs}embeddings.\1"),
        *layer_rules(ours, theirs),
        Rule(rf"{ours}pre_norm\.(.*)", rf"{theirs}pre_layrnorm.\1"),
        Rule(rf"{ours}post_norm\.(.*)", rf"{theirs}post_layernorm.\1"),
        Rule(rf"{ours}projection\.weight", "visual_projection.weight"),
    )


def _named(tower: str):
    """Puts a tower's name before keys that lack it."""

    def prepare(state: StateDict) -> StateDict:
        if any(key.startswith(f"{tower}.") for key in state):
            return state
        outside = ("text_projection", "visual_projection", "logit_scale")
        return renamed(state, {key if key.startswith(outside) else f"{tower}.{key}": key for key in state})

    return prepare


def _entry(kind: str, title: str, config: Config | TextConfig | VisionConfig) -> Entry:
    rules, ignore, prepare = {
        "text": (text_rules(), ("vision_model.*", "visual_projection.*", "logit_scale"), _named("text_model")),
        "vision": (vision_rules(), ("text_model.*", "text_projection.*", "logit_scale"), _named("vision_model")),
        "both": ((*text_rules(r"text\."), *vision_rules(r"vision\.")), (), None),
    }[kind]
    if kind != "both" and getattr(config, "projection", None) is None:
        ignore = (*ignore, "text_projection.*", "visual_projection.*")

    def build(facts: Mapping[str, Any], rngs: Any) -> Any:
        return of_facts(kind, facts, rngs)

    return Entry(title, build, published=facts_of(config), ignore=(*ignore, "*position_ids"), rules=rules,
                 prepare=prepare)  # fmt: skip


WEIGHTS = {
    **{f"clip_{size}": _entry("both", f"CLIP {title}", Config.of_size(size)) for size, title in TITLES.items()},
    **{f"clip_text_{size}": _entry("text", f"CLIP {title}, texts", TextConfig.of_size(size))
       for size, title in TITLES.items() if size != "l_336"},
    # Features alone, which is what language models look at; files of one tower have no projection.
    **{f"clip_vision_{size}": _entry("vision", f"CLIP {title}, features of images",
                                     dataclasses.replace(VisionConfig.of_size(size), projection=None))
       for size, title in TITLES.items()},
    # What diffusion models keep beside their UNet: the tower as it is, without the joint space.
    "clip_words_l": _entry("text", "CLIP ViT-L/14, texts without projection (Stable Diffusion 1, SDXL's first)",
                           dataclasses.replace(TextConfig.of_size("l"), projection=None)),
    "clip_words_h": _entry("text", "CLIP ViT-H/14, texts without projection, 23 layers (Stable Diffusion 2)",
                           dataclasses.replace(TextConfig.of_size("h"), projection=None, layers=23)),
}  # fmt: skip
