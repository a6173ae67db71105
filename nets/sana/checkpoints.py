"""Where SANA's weights, its autoencoder's and its text encoder's lie in published files."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx

from hoijax.nets.sana.autoencoder import AutoencoderDC, AutoencoderDCConfig
from hoijax.nets.sana.config import SIZES, SanaConfig, authors_layout
from hoijax.nets.sana.gemma import Gemma2, Gemma2Config
from hoijax.nets.sana.transformer import Sana
from hoijax.nets.weights import Entry, Rule
from hoijax.nets.weights import load as load_entry

LEAF = r"(weight|bias)"

DIFFUSERS = (
    Rule(rf"patch_embed\.{LEAF}", r"patch_embed.proj.\1"),
    Rule(rf"time_perceptron\.first\.{LEAF}", r"time_embed.emb.timestep_embedder.linear_1.\1"),
    Rule(rf"time_perceptron\.second\.{LEAF}", r"time_embed.emb.timestep_embedder.linear_2.\1"),
    Rule(rf"time_modulation\.{LEAF}", r"time_embed.linear.\1"),
    Rule(rf"text_perceptron\.first\.{LEAF}", r"caption_projection.linear_1.\1"),
    Rule(rf"text_perceptron\.second\.{LEAF}", r"caption_projection.linear_2.\1"),
    Rule(r"text_norm\.weight", "caption_norm.weight"),
    Rule(rf"out\.{LEAF}", r"proj_out.\1"),
    Rule(rf"blocks\.(\d+)\.attention\.query\.{LEAF}", r"transformer_blocks.\1.attn1.to_q.\2"),
    Rule(rf"blocks\.(\d+)\.attention\.key\.{LEAF}", r"transformer_blocks.\1.attn1.to_k.\2"),
    Rule(rf"blocks\.(\d+)\.attention\.value\.{LEAF}", r"transformer_blocks.\1.attn1.to_v.\2"),
    Rule(rf"blocks\.(\d+)\.attention\.out\.{LEAF}", r"transformer_blocks.\1.attn1.to_out.0.\2"),
    Rule(r"blocks\.(\d+)\.attention\.query_norm\.weight", r"transformer_blocks.\1.attn1.norm_q.weight"),
    Rule(r"blocks\.(\d+)\.attention\.key_norm\.weight", r"transformer_blocks.\1.attn1.norm_k.weight"),
    Rule(rf"blocks\.(\d+)\.cross\.query\.{LEAF}", r"transformer_blocks.\1.attn2.to_q.\2"),
    Rule(rf"blocks\.(\d+)\.cross\.key\.{LEAF}", r"transformer_blocks.\1.attn2.to_k.\2"),
    Rule(rf"blocks\.(\d+)\.cross\.value\.{LEAF}", r"transformer_blocks.\1.attn2.to_v.\2"),
    Rule(rf"blocks\.(\d+)\.cross\.out\.{LEAF}", r"transformer_blocks.\1.attn2.to_out.0.\2"),
    Rule(r"blocks\.(\d+)\.cross\.query_norm\.weight", r"transformer_blocks.\1.attn2.norm_q.weight"),
    Rule(r"blocks\.(\d+)\.cross\.key_norm\.weight", r"transformer_blocks.\1.attn2.norm_k.weight"),
    Rule(rf"blocks\.(\d+)\.convolutions\.(.*)\.{LEAF}", r"transformer_blocks.\1.ff.\2.\3"),
    Rule(r"blocks\.(\d+)\.scale_shift_table", r"transformer_blocks.\1.scale_shift_table"),
)
"""Names of `diffusers`' SanaTransformer2DModel."""

_OWN = tuple(rf"blocks.\g<1>.attention.{part}.weight" for part in ("query", "key", "value"))
_CROSS = tuple(rf"blocks.\g<1>.cross.{part}.\g<3>" for part in ("key", "value"))

AUTHORS = (
    Rule(rf"patch_embed\.{LEAF}", r"x_embedder.proj.\1"),
    Rule(rf"time_perceptron\.first\.{LEAF}", r"t_embedder.mlp.0.\1"),
    Rule(rf"time_perceptron\.second\.{LEAF}", r"t_embedder.mlp.2.\1"),
    Rule(rf"time_modulation\.{LEAF}", r"t_block.1.\1"),
    Rule(rf"text_perceptron\.first\.{LEAF}", r"y_embedder.y_proj.fc1.\1"),
    Rule(rf"text_perceptron\.second\.{LEAF}", r"y_embedder.y_proj.fc2.\1"),
    Rule(r"text_norm\.weight", "attention_y_norm.weight"),
    Rule(r"null_text", "y_embedder.y_embedding"),
    Rule(rf"out\.{LEAF}", r"final_layer.linear.\1"),
    Rule(r"scale_shift_table", "final_layer.scale_shift_table"),
    Rule(r"blocks\.(\d+)\.attention\.(query|key|value)\.weight", r"blocks.\1.attn.qkv.weight", _OWN),
    Rule(rf"blocks\.(\d+)\.attention\.out\.{LEAF}", r"blocks.\1.attn.proj.\2"),
    Rule(r"blocks\.(\d+)\.attention\.query_norm\.weight", r"blocks.\1.attn.q_norm.weight"),
    Rule(r"blocks\.(\d+)\.attention\.key_norm\.weight", r"blocks.\1.attn.k_norm.weight"),
    Rule(rf"blocks\.(\d+)\.cross\.query\.{LEAF}", r"blocks.\1.cross_attn.q_linear.\2"),
    Rule(rf"blocks\.(\d+)\.cross\.(key|value)\.{LEAF}", r"blocks.\1.cross_attn.kv_linear.\3", _CROSS),
    Rule(rf"blocks\.(\d+)\.cross\.out\.{LEAF}", r"blocks.\1.cross_attn.proj.\2"),
    Rule(r"blocks\.(\d+)\.cross\.query_norm\.weight", r"blocks.\1.cross_attn.q_norm.weight"),
    Rule(r"blocks\.(\d+)\.cross\.key_norm\.weight", r"blocks.\1.cross_attn.k_norm.weight"),
    Rule(rf"blocks\.(\d+)\.convolutions\.conv_(inverted|depth|point)\.{LEAF}", r"blocks.\1.mlp.\2_conv.conv.\3"),
)
"""Names of the authors' own files, HOI3DGen's fine-tuned one among them; entry "state_dict"."""

AUTHORS_IGNORED = ("pos_embed", "logvar_linear.*")
"""What the authors' files hold for nothing: positions that no size at 1024 pixels adds, a head of training."""


def _gemma_rules() -> tuple[Rule, ...]:
    letters = {"query": "q", "key": "k", "value": "v", "out": "o"}
    norms = {
        "attention_norm": "input_layernorm",
        "attention_after": "post_attention_layernorm",
        "perceptron_norm": "pre_feedforward_layernorm",
        "perceptron_after": "post_feedforward_layernorm",
    }
    rules = [Rule(rf"layers\.(\d+)\.attention\.{ours}\.weight", rf"layers.\1.self_attn.{theirs}_proj.weight")
             for ours, theirs in letters.items()]  # fmt: skip
    rules += [Rule(rf"layers\.(\d+)\.{ours}\.weight", rf"layers.\1.{theirs}.weight") for ours, theirs in norms.items()]
    return (*rules, Rule(r"layers\.(\d+)\.perceptron\.(gate|up|down)\.weight", r"layers.\1.mlp.\2_proj.weight"))


GEMMA = _gemma_rules()
"""Names of `transformers`' Gemma2Model."""


def sana_facts(config: SanaConfig) -> dict[str, Any]:
    """What a file of SANA's weights says beside them."""
    return {"config": dataclasses.asdict(config)}


def _sizes(kind: type, facts: Mapping[str, Any]) -> Any:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts["config"].items()})


def _make(network: type, kind: type) -> Any:
    def build(facts: Mapping[str, Any], rngs: nnx.Rngs) -> nnx.Module:
        return network(_sizes(kind, facts), rngs)

    return build


def _title(name: str) -> str:
    return name.removeprefix("sana_").replace("_", ", ").upper()


_sana = _make(Sana, SanaConfig)


def _small(facts: Mapping[str, Any], rngs: nnx.Rngs) -> nnx.Module:
    from hoijax.nets.sana.small import build_small

    return build_small(facts, rngs)


WEIGHTS = {
    **{
        name: Entry(f"SANA's transformer, {_title(name)}", _sana, sana_facts(config), rules=DIFFUSERS)
        for name, config in SIZES.items()
    },
    **{
        f"{name}_authors": Entry(
            f"SANA's transformer in the authors' layout, {_title(name)}", _sana, sana_facts(authors_layout(config)),
            ignore=AUTHORS_IGNORED, rules=AUTHORS,
        )
        for name, config in SIZES.items()
    },
    "hoi3dgen_sana": Entry(
        "HOI3DGen's fine-tuned SANA", _sana, sana_facts(authors_layout(SIZES["sana_1.5_1.6b"])),
        ignore=AUTHORS_IGNORED, rules=AUTHORS,
    ),
    "sana_small": Entry(
        "a small SANA with autoencoder and text encoder", _small, shipped="hoi3dgen/sana_small.safetensors",
        sha256="e98dfc1edfb1015190d315bafbe9857c06b3f3b1d0937774ca33c2a1e5599f53",
    ),
    "dc_ae_f32c32": Entry(
        "SANA's autoencoder", _make(AutoencoderDC, AutoencoderDCConfig),
        {"config": dataclasses.asdict(AutoencoderDCConfig())},
    ),
    "gemma_2_2b": Entry(
        "Gemma 2, SANA's text encoder", _make(Gemma2, Gemma2Config),
        {"config": dataclasses.asdict(Gemma2Config())}, rules=GEMMA,
    ),
}  # fmt: skip


def load(path: pathlib.Path, **how: Any) -> Sana:
    """The transformer of a file that `hoijax convert` wrote, of any size and from either layout.

    Args:
      path: the `.safetensors` file.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or not SANA's weights.
    """
    return load_entry("sana_1.5_1.6b", path, **how)[0]


def load_autoencoder(path: pathlib.Path, **how: Any) -> AutoencoderDC:
    """The autoencoder of a file; arguments and errors as of `load`."""
    return load_entry("dc_ae_f32c32", path, **how)[0]


def load_text_encoder(path: pathlib.Path, **how: Any) -> Gemma2:
    """The text encoder of a file; arguments and errors as of `load`."""
    return load_entry("gemma_2_2b", path, **how)[0]
