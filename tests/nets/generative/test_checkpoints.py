"""Published files: how many arrays and numbers they hold, and the ways between their layouts."""

import dataclasses
import math

import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import sana, weights
from hoijax.nets.blocks.streams import StillStream, describe

COUNTS = {
    "sana_0.6b": (591_747_872, None),
    "sana_1.6b": (1_604_462_752, None),
    "sana_1.5_1.6b": (1_604_641_952, None),
    "sana_1.5_4.8b": (4_721_825_952, None),
    "dc_ae_f32c32": (312_250_275, None),
    "gemma_2_2b": (2_614_341_888, None),
    "sd_1.5_unet": (859_520_964, 686),
    "sd_2.1_unet": (865_910_724, 686),
    "sdxl_unet": (2_567_463_684, 1680),
    "sdxl_inpainting_unet": (2_567_478_084, 1680),
    "sd_autoencoder": (83_653_863, 248),
}
"""Numbers and arrays of the published files (specs hoi3dgen 6 and interactanything 11)."""


def numbers(table):
    return sum(math.prod(shape) for shape in table.values())


@pytest.mark.parametrize("name", COUNTS)
def test_published_sizes(name):
    count, arrays = COUNTS[name]
    table = weights.key_table(name)
    assert numbers(table) == count
    assert arrays is None or len(table) == arrays


def test_the_authors_layout_holds_the_same_and_a_text_of_nothing():
    ours, theirs = weights.key_table("sana_1.5_1.6b"), weights.key_table("hoi3dgen_sana")
    assert numbers(theirs) == numbers(ours) + 300 * 2304
    assert theirs["y_embedder.y_embedding"] == (300, 2304)
    assert theirs["blocks.0.attn.qkv.weight"] == (3 * 2240, 2240)
    assert theirs["blocks.0.cross_attn.kv_linear.bias"] == (2 * 2240,)


def random_state(table):
    return {key: np.random.default_rng(i).normal(size=shape).astype(np.float32)
            for i, (key, shape) in enumerate(table.items())}  # fmt: skip


def filled(build, rules, state):
    module = weights.abstract(build)
    weights.load_state_dict(module, state, rules=rules)
    return module


def test_from_the_authors_layout_to_the_other_and_back_bit_by_bit(cases):
    config = cases.SANA_NORMED
    build = lambda rngs: sana.Sana(config, rngs)  # noqa: E731
    authors, diffusers = cases.sana_files.AUTHORS, cases.sana_files.DIFFUSERS
    shapes = weights.abstract(build)
    state = random_state(weights.published_keys(shapes, authors))
    middle = weights.state_dict_of(filled(build, authors, state), diffusers)
    assert middle.keys() == weights.published_keys(shapes, diffusers).keys()
    # The split is by rows, queries first, and by keys before values.
    rows = state["blocks.0.attn.qkv.weight"]
    for i, part in enumerate("qkv"):
        got = middle[f"transformer_blocks.0.attn1.to_{part}.weight"]
        np.testing.assert_array_equal(got, rows[64 * i : 64 * i + 64])
    np.testing.assert_array_equal(
        middle["transformer_blocks.0.attn2.to_v.bias"], state["blocks.0.cross_attn.kv_linear.bias"][64:]
    )
    named = {"x_embedder.proj.weight": "patch_embed.proj.weight", "t_block.1.bias": "time_embed.linear.bias",
             "t_embedder.mlp.2.weight": "time_embed.emb.timestep_embedder.linear_2.weight",
             "y_embedder.y_proj.fc1.weight": "caption_projection.linear_1.weight",
             "attention_y_norm.weight": "caption_norm.weight", "final_layer.linear.bias": "proj_out.bias",
             "blocks.0.cross_attn.k_norm.weight": "transformer_blocks.0.attn2.norm_k.weight",
             "blocks.0.attn.q_norm.weight": "transformer_blocks.0.attn1.norm_q.weight",
             "blocks.0.mlp.point_conv.conv.weight": "transformer_blocks.0.ff.conv_point.weight",
             "final_layer.scale_shift_table": "scale_shift_table",
             "blocks.0.scale_shift_table": "transformer_blocks.0.scale_shift_table"}  # fmt: skip
    for theirs, other in named.items():
        np.testing.assert_array_equal(middle[other], state[theirs])
    back = weights.state_dict_of(filled(build, diffusers, middle), authors)
    assert back.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value)


def test_a_wrong_key_or_a_missing_one_is_named(cases):
    case = cases.CASES["sana"]
    state = case.state_dict()
    value = state.pop("caption_norm.weight")
    state["caption_norm.scale"] = value
    with pytest.raises(InputError, match=r"(?s)missing: caption_norm.weight.*unexpected: caption_norm.scale"):
        weights.load_state_dict(weights.abstract(case.build), state, rules=case.rules)


def test_the_fine_tuned_file_drops_what_means_nothing(cases):
    entry, like = weights.find_checkpoint("hoi3dgen_sana"), weights.find("sana_1.5_1.6b_authors")
    assert entry.rules is like.rules and entry.ignore == like.ignore and entry.published == like.published
    config = entry.published["config"]
    assert config["norm"] and config["cross_norm_epsilon"] == 1e-6 and config["linear_epsilon"] == 1e-8
    assert config["depth"] == 20 and config["null_tokens"] == 300

    small = dataclasses.replace(cases.SANA_NORMED, null_tokens=5)
    shapes = weights.abstract(lambda rngs: sana.Sana(small, rngs))
    state = random_state(weights.published_keys(shapes, entry.rules))
    extra = {"pos_embed": np.zeros((1, 64, 64)), "logvar_linear.weight": np.zeros((1, 64)),
             "logvar_linear.bias": np.zeros(1)}  # fmt: skip
    arrays = weights.convert_state_dict(shapes, state | extra, ignore=entry.ignore, rules=entry.rules)
    np.testing.assert_array_equal(arrays["null_text"], state["y_embedder.y_embedding"])
    with pytest.raises(InputError, match=r"unexpected: t_block.2.bias"):
        weights.convert_state_dict(shapes, state | {"t_block.2.bias": np.zeros(3)}, ignore=entry.ignore,
                                   rules=entry.rules)  # fmt: skip


def test_the_authors_constants_reach_the_layers(cases):
    config = sana.authors_layout(cases.SANA_NORMED)
    network = weights.abstract(lambda rngs: sana.Sana(config, rngs))
    block = network.blocks.block
    assert block.cross.config.norm_epsilon == block.cross.key_norm.epsilon == 1e-6
    assert block.attention.config.linear_epsilon == 1e-8 and block.attention.config.norm_epsilon == 1e-5
    assert network.null_text.shape == (300, config.text_channels)


def test_a_described_network_has_usual_streams_of_random_numbers():
    network = describe(lambda rngs: nnx.Dropout(0.5, rngs=rngs))
    kinds = {type(node) for _, node in nnx.iter_graph(network)}
    assert nnx.RngStream in kinds and StillStream not in kinds


def test_constants_that_answers_of_order_one_do_not_show(cases):
    unet, vae = cases.CASES["unet"].network, cases.CASES["vae_encode"].network
    level = unet.down_blocks[0]
    assert level.resnets[0].norm1.epsilon == level.resnets[0].norm2.epsilon == unet.conv_norm_out.epsilon == 1e-5
    assert level.attentions[0].norm.epsilon == 1e-6
    assert level.attentions[0].transformer_blocks.block.norm1.epsilon == 1e-5
    middle = vae.decoder.mid_block
    assert middle.resnets[0].norm1.epsilon == middle.attentions[0].group_norm.epsilon == 1e-6
    assert vae.encoder.conv_norm_out.epsilon == vae.decoder.conv_norm_out.epsilon == 1e-6
    transformer = cases.CASES["sana"].network
    assert transformer.norm.epsilon == transformer.blocks.block.norm.epsilon == 1e-6
    assert transformer.text_norm.epsilon == 1e-5 and cases.CASES["gemma"].network.norm.epsilon == 1e-6
