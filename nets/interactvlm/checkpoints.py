"""InteractVLM's and LLaVA's entries in the registry: Hugging Face folders, merged or with low-rank products beside."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import llama, sam
from hoijax.nets.interactvlm.config import Config
from hoijax.nets.interactvlm.model import Model, VisionLanguage
from hoijax.nets.llama.checkpoints import IGNORED
from hoijax.nets.llama.checkpoints import rules as llama_rules
from hoijax.nets.sam.checkpoints import RULES as SAM_RULES
from hoijax.nets.weights.convert import Rule, StateDict, renamed
from hoijax.nets.weights.files import Tensors
from hoijax.nets.weights.registry import Entry

ALPHA = 16.0
"""Of the low-rank products in training states, which do not say it: a product counts 16 / rank."""
_WRAPPED = ("module.", "base_model.model.")
_SEGMENTER = "model.visual_model."
_ENCODER = f"{_SEGMENTER}image_encoder."


def _below(ours: str, theirs: str) -> list[Rule]:
    """SAM's names below other names."""
    rules = [Rule(rf"{re.escape(ours)}{rule.ours}", f"{theirs}{rule.theirs}") for rule in SAM_RULES]
    return [*rules, Rule(rf"{re.escape(ours)}(.*)", rf"{theirs}\1")]


RULES = (
    *llama_rules(r"language\."),
    *(Rule(rf"(mm_projector)\.{ours}\.(.*)", rf"model.\1.{theirs}.\2")
      for ours, theirs in (("first", 0), ("second", 2))),
    Rule(r"(mm_projector\..*)", r"model.\1"),
    *(Rule(rf"(text_hidden_fcs)\.{ours}\.(.*)", rf"model.\1.0.{theirs}.\2")
      for ours, theirs in (("first", 0), ("second", 2))),
    *_below("segmenter.", _SEGMENTER),
    *_below("human_mask_decoder.", f"{_SEGMENTER}human_mask_decoder."),
    *_below("object_mask_decoder.", f"{_SEGMENTER}object_mask_decoder."),
)  # fmt: skip


def prepare(state: StateDict) -> StateDict:
    """A checkpoint as the rules know it: prefixes of wrappers gone, low-rank products in their matrices, and
    `llava-hf`'s names those of LLaVA's authors.

    Raises:
      InputError: half of a product, or one without its matrix.
    """
    names = {}
    for key in state:
        new = key
        for start in _WRAPPED:
            new = new.removeprefix(start)
        if ".original_module." not in new:
            names[_authors(new.replace(".modules_to_save.default", "").replace(".base_layer.", "."))] = key
    return merge_products(renamed(state, names))


_OTHERS = (
    (r"(?:model\.)?language_model\.model\.(.*)", r"model.\1"),
    (r"(?:model\.)?language_model\.lm_head\.(.*)", r"lm_head.\1"),
    (r"model\.language_model\.(.*)", r"model.\1"),
    (r"(?:model\.)?multi_modal_projector\.linear_1\.(.*)", r"model.mm_projector.0.\1"),
    (r"(?:model\.)?multi_modal_projector\.linear_2\.(.*)", r"model.mm_projector.2.\1"),
    (r"(?:model\.)?vision_tower\.(vision_model\..*)", r"model.vision_tower.vision_tower.\1"),
)  # fmt: skip


def _authors(key: str) -> str:
    for pattern, name in _OTHERS:
        fit = re.fullmatch(pattern, key)
        if fit:
            return fit.expand(name)
    return key


def merge_products(state: Tensors, alpha: float = ALPHA) -> Tensors:
    """Matrices with their low-rank products (alpha / rank) B A added, each when it is asked for; the products gone.

    Raises:
      InputError: half of a product, or one without its matrix, or of another size.
    """
    fits = {key: re.fullmatch(r"(.*)\.lora_([AB])(?:\.default)?\.weight", key) for key in state}
    parts = {(fit[1], fit[2]): key for key, fit in fits.items() if fit}
    layers = sorted({layer for layer, _ in parts})
    for layer in layers:
        lacking = [name for name in "AB" if (layer, name) not in parts]
        if lacking or f"{layer}.weight" not in state:
            what = f"lora_{lacking[0]}" if lacking else "the matrix itself"
            raise InputError(f"the low-rank product of {layer} is not whole: {what} is missing")
        down, up = (state.table[parts[layer, name]].shape for name in "AB")
        want = state.table[f"{layer}.weight"].shape
        if (up[:1] + down[1:], up[1:]) != (want, down[:1]):
            raise InputError(f"the low-rank product of {layer} is of {up} and {down}, its matrix of {want}")
    kept = {key: info for key, info in state.table.items() if not fits[key]}

    def read(key: str) -> np.ndarray:
        array, layer = state[key], key.removesuffix(".weight")
        if (layer, "A") not in parts:
            return array
        down, up = (np.asarray(state[parts[layer, name]], np.float32) for name in "AB")
        whole = np.asarray(array, np.float32) + (alpha / len(down)) * (up @ down)
        return whole.astype(kept[key].dtype)

    return Tensors(kept, read, where=state.where)


def _ignored() -> tuple[str, ...]:
    return (*IGNORED, "model.vision_tower.*", "vision_tower.*", f"{_SEGMENTER}pixel_mean", f"{_SEGMENTER}pixel_std")


def describe(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Sizes of an InteractVLM, from its arrays and the `config.json` beside them.

    Raises:
      InputError: what makes an InteractVLM is missing, or ids of contact tokens outside the vocabulary.
    """
    base = _language_part(shapes, config)
    said = config or {}
    position = shapes.get(f"{_ENCODER}pos_embed")
    gate, kind = shapes.get("cam_pose_encoder.spatial_encoder.0.weight"), "none"
    views = sum(bool(re.fullmatch(r"cam_pose_encoder\.view_transforms\.\d+\.weight", key)) for key in shapes)
    if position is None or len(position) != 4 or "model.text_hidden_fcs.0.0.weight" not in shapes:
        raise InputError("no InteractVLM's checkpoint: it lacks model.text_hidden_fcs or model.visual_model")
    if gate is not None:
        kind = "simple" if not views else ("vi_v1" if 2 * gate[0] == position_channels(shapes) else "view_index")
    human = object_ = None
    contact = int(said.get("seg_token_idx", 32000))
    if "attention_splitter.input_proj.weight" in shapes:
        human = int(said.get("hseg_token_idx", said.get("iseg_token_idx", 32003)))
        object_ = int(said.get("oseg_token_idx", said.get("iseg_token_idx", 32004)))
    try:
        config_ = dataclasses.replace(
            base, segmenter=_segmenter(shapes, position), gate=kind, views=views or 4, contact=contact, human=human,
            object=object_, apart=any(key.startswith(f"{_SEGMENTER}human_mask_decoder.") for key in shapes),
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"the checkpoint's configuration does not fit its arrays: {error}") from error
    return config_.facts()


def position_channels(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Channels of SAM's embedding in a checkpoint."""
    return shapes.get(f"{_ENCODER}neck.0.weight", (256,))[0]


def _segmenter(shapes: Mapping[str, tuple[int, ...]], position: tuple[int, ...]) -> sam.Config:
    """SAM's sizes by its image encoder's arrays."""
    cells, width = position[1], position[-1]
    places = {}
    for key, shape in shapes.items():
        fit = re.fullmatch(rf"{re.escape(_ENCODER)}blocks\.(\d+)\.attn\.rel_pos_h", key)
        if fit:
            places[int(fit[1])] = shape
    hidden = shapes.get(f"{_ENCODER}blocks.0.mlp.lin1.weight", (4 * width,))[0]
    patch = shapes.get(f"{_ENCODER}patch_embed.proj.weight", (0, 0, 16))[2]
    if not places:
        raise InputError("no InteractVLM's checkpoint: SAM's image encoder has no blocks")
    everywhere = tuple(sorted(i for i, shape in places.items() if shape[0] == 2 * cells - 1))
    window = next(((shape[0] + 1) // 2 for i, shape in places.items() if i not in everywhere), cells)
    decoder = f"{_SEGMENTER}mask_decoder."
    layers = sum(
        bool(re.fullmatch(rf"{re.escape(decoder)}transformer\.layers\.\d+\.norm1\.bias", key)) for key in shapes
    )
    return dataclasses.replace(
        sam.Config(), image=cells * patch, patch=patch, width=width, layers=len(places),
        heads=width // places[0][1], hidden=hidden, window=window, everywhere=everywhere,
        channels=position_channels(shapes), decoder_layers=layers or 2,
        decoder_hidden=shapes.get(f"{decoder}transformer.layers.0.mlp.lin1.weight", (2048,))[0],
        masks=shapes.get(f"{decoder}mask_tokens.weight", (4,))[0],
        mask_channels=shapes.get(f"{_SEGMENTER}prompt_encoder.mask_downscaling.3.weight", (16,))[0],
    )  # fmt: skip


def _language_part(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None) -> Config:
    """Sizes of decoder and projector; the image tower is a file of its own."""
    language = llama.Config.of_shapes(shapes) if config is None else llama.Config.published(config)
    held = shapes.get("model.embed_tokens.weight", (language.vocabulary,))[0]
    language = dataclasses.replace(language, vocabulary=held)  # configurations often do not count what was added
    matrix = shapes.get("model.mm_projector.weight", shapes.get("model.mm_projector.0.weight"))
    if matrix is None:
        raise InputError("no vision-language model's checkpoint: it lacks model.mm_projector")
    kind = "linear" if "model.mm_projector.weight" in shapes else "perceptron"
    return Config(language=language, vision=None, image_width=matrix[1], projector=kind, contact=0)


def describe_llava(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Sizes of a LLaVA."""
    return _language_part(shapes, config).facts()


def _model(facts: Mapping[str, Any], rngs: nnx.Rngs) -> Model:
    """The network of the sizes that a file's facts say."""
    return Model(Config.of_facts(facts), rngs)


WEIGHTS = {
    "interactvlm": Entry(
        "InteractVLM, of any size, without its image tower",
        _model,
        published=dataclasses.replace(Config(), vision=None).facts(),
        ignore=_ignored(),
        rules=RULES,
        prepare=prepare,
        describe=describe,
    ),
    "interactvlm_small": Entry(
        "small InteractVLM, of crops about a person",
        _model,
        shipped="interactvlm/small.safetensors",
        sha256="39feaa884d58d4634daa75e52a064e83a218310fa452d4fcd7e643453759fc44",
    ),
    "llava": Entry(
        "LLaVA, of any size, without its image tower",
        lambda facts, rngs: VisionLanguage(Config.of_facts(facts), rngs),
        published=dataclasses.replace(Config(), vision=None).facts(),
        ignore=_ignored(),
        rules=RULES,
        prepare=prepare,
        describe=describe_llava,
    ),
}
