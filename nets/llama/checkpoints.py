"""LLaMA's entry in the registry: checkpoints as `transformers` keeps them, of any size."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hoijax.nets.llama.config import Config
from hoijax.nets.llama.model import Model
from hoijax.nets.weights.convert import Rule
from hoijax.nets.weights.registry import Entry

LAYER = {
    r"attention\.query": "self_attn.q_proj", r"attention\.key": "self_attn.k_proj",
    r"attention\.value": "self_attn.v_proj", r"attention\.out": "self_attn.o_proj",
    r"perceptron\.gate": "mlp.gate_proj", r"perceptron\.up": "mlp.up_proj", r"perceptron\.down": "mlp.down_proj",
    "attention_norm": "input_layernorm", "perceptron_norm": "post_attention_layernorm",
}  # fmt: skip
"""Parts of a layer, ours and theirs."""

IGNORED = ("*rotary_emb.inv_freq",)
"""What old files keep of no use."""


def rules(ours: str = "") -> tuple[Rule, ...]:
    """The decoder's names, below a name of ours."""
    return (
        *(Rule(rf"{ours}layers\.(\d+)\.{part}\.(.*)", rf"model.layers.\1.{name}.\2") for part, name in LAYER.items()),
        Rule(rf"{ours}(embed_tokens|norm)\.(.*)", r"model.\1.\2"),
        Rule(rf"{ours}lm_head\.(.*)", r"lm_head.\1"),
    )


def facts_of(config: Config) -> dict[str, Any]:
    """The sizes as a file of weights says them."""
    return {"language": dataclasses.asdict(config)}


def describe(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Sizes of a checkpoint, from its `config.json` or else from its arrays."""
    return facts_of(Config.of_shapes(shapes) if config is None else Config.published(config))


WEIGHTS = {
    "llama": Entry(
        "LLaMA, of any size",
        lambda facts, rngs: Model(Config(**facts["language"]), rngs),
        published=facts_of(Config()),
        ignore=IGNORED,
        rules=rules(),
        describe=describe,
    )
}
