"""Views and cameras of MVDream, and files in the layout of Latent Diffusion's code."""

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import stable_diffusion, weights
from hoijax.nets.stable_diffusion import checkpoints, latent_diffusion
from hoijax.nets.stable_diffusion.latent_diffusion import prepare_autoencoder, prepare_unet


@pytest.fixture(scope="module")
def unet(cases):
    """The UNet of views as one program of its inputs, for one count of views at a time."""
    graph, state = nnx.split(cases.CASES["unet_views"].network)
    program = jax.jit(lambda state, views, inputs: nnx.merge(graph, state)(**inputs, views=views), static_argnums=1)
    return lambda views, **inputs: np.asarray(program(state, views, inputs))


@pytest.fixture(scope="module")
def inputs(cases):
    return cases.CASES["unet_views"].inputs


def test_equal_views_see_what_one_sees(unet, inputs):
    same = {name: np.repeat(x[:1], 4, axis=0) for name, x in inputs.items()}
    alone = unet(1, **same)
    np.testing.assert_allclose(unet(2, **same), alone, atol=5e-6)
    assert np.abs(unet(2, **inputs) - unet(1, **inputs)).max() > 1e-2


def test_views_in_another_order_answer_in_that_order(unet, inputs):
    swapped = {name: x[[1, 0, 3, 2]] for name, x in inputs.items()}
    np.testing.assert_allclose(unet(2, **swapped), unet(2, **inputs)[[1, 0, 3, 2]], atol=5e-6)
    scenes = {name: x[[2, 3, 0, 1]] for name, x in inputs.items()}
    np.testing.assert_allclose(unet(2, **scenes), unet(2, **inputs)[[2, 3, 0, 1]], atol=5e-6)


def test_wrong_conditions_are_refused(cases):
    network = cases.CASES["unet_views"].network
    x = {name: value[:3] for name, value in cases.CASES["unet_views"].inputs.items()}
    with pytest.raises(ValueError, match="3 pictures are no multiple of 2 views"):
        network(**x, views=2)
    added = stable_diffusion.Added(pooled=np.zeros((3, 10), np.float32), numbers=np.zeros((3, 6), np.float32))
    with pytest.raises(ValueError, match="takes 0 added numbers"):
        network(**x, added=added)
    with pytest.raises(ValueError, match="2 levels need as many"):
        stable_diffusion.UNetConfig(channels=(8, 16))


def test_a_cameras_numbers_are_its_matrix_on_the_unit_sphere():
    matrix = np.eye(4, dtype=np.float32)[None].repeat(2, axis=0)
    matrix[:, :3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    matrix[:, :3, 3] = [[3.0, 0.0, 4.0], [0.0, -2.0, 0.0]]
    got = np.asarray(stable_diffusion.camera_numbers(matrix))
    np.testing.assert_allclose(got[0], [0, 0, 1, 0.6, 1, 0, 0, 0, 0, 1, 0, 0.8, 0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(got[1, [3, 7, 11]], [0, -1, 0], atol=1e-6)


def residual_keys(at):
    names = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    return [f"{at}.{name}" for name in names]


def ldm_layers(config):
    """The layers of the original code's UNet in the order in which it builds them, by their names there."""
    width, depth, levels = config.channels, config.depth, len(config.channels)
    layers, index, skips, now = ["time_embed.0", "time_embed.2", "input_blocks.0.0"], 1, [width[0]], width[0]
    layers += ["camera_embed.0", "camera_embed.2"] if config.camera else []
    attention = lambda at: [f"{at}.1.norm", f"{at}.1.proj_in", f"{at}.1.transformer_blocks.0.ff.net.2"]  # noqa: E731
    for level in range(levels):
        for _ in range(depth):
            at = f"input_blocks.{index}"
            layers += residual_keys(f"{at}.0") + ([f"{at}.0.skip_connection"] if now != width[level] else [])
            layers += attention(at) if config.transformers[level] else []
            now, index = width[level], index + 1
            skips.append(now)
        if level < levels - 1:
            layers.append(f"input_blocks.{index}.0.op")
            skips.append(now)
            index += 1
    layers += residual_keys("middle_block.0") + attention("middle_block") + residual_keys("middle_block.2")
    index = 0
    for level in reversed(range(levels)):
        for i in range(depth + 1):
            at = f"output_blocks.{index}"
            layers += residual_keys(f"{at}.0")
            layers += [f"{at}.0.skip_connection"] if now + skips.pop() != width[level] else []
            layers += attention(at) if config.transformers[level] else []
            if level and i == depth:
                layers.append(f"{at}.{1 + bool(config.transformers[level])}.conv")
            now, index = width[level], index + 1
    return [*layers, "out.0", "out.2"]


def test_a_file_of_the_original_layout_fills_the_same_network(cases):
    config, rules = cases.UNET_VIEWS, checkpoints.UNET_RULES
    build = lambda rngs: stable_diffusion.UNet(config, rngs)  # noqa: E731
    table = weights.published_keys(weights.abstract(build), rules)
    names = latent_diffusion.unet_names
    layers = ldm_layers(config)
    ours = names([f"{layer}.weight" for layer in layers], config)
    assert len(ours) == len(layers) and ours.keys() <= table.keys()
    outer = {
        key for key in table if "transformer_blocks" not in key and "proj_out" not in key and key.endswith("weight")
    }
    assert outer <= ours.keys()
    assert ours["down_blocks.0.downsamplers.0.conv.weight"] == "input_blocks.2.0.op.weight"
    assert ours["up_blocks.0.upsamplers.0.conv.weight"] == "output_blocks.1.1.conv.weight"

    back = names(all_keys(table, config), config)
    state = {f"model.diffusion_model.{old}": cases.weight(new, table[new]) for new, old in back.items()}
    more = {"model_ema.decay": np.zeros(()), "first_stage_model.quant_conv.bias": np.zeros(8), "betas": np.zeros(9)}
    arrays = weights.convert_state_dict(weights.abstract(build), prepare_unet(config)(state | more), rules=rules)
    want = weights.to_flat(cases.CASES["unet_views"].network)
    for key, value in want.items():
        np.testing.assert_array_equal(arrays[key], value)
    wrong = state | {"model.diffusion_model.input_blocks.9.0.in_layers.0.weight": np.zeros(3)}
    with pytest.raises(InputError, match="unexpected: input_blocks.9.0.in_layers.0.weight"):
        weights.convert_state_dict(weights.abstract(build), prepare_unet(config)(wrong), rules=rules)


def all_keys(table, config):
    """All keys of the original layout: of layers, and what is inside of transformers, where names are the same."""
    inside = [key.split(".transformer_blocks.")[1] for key in table if ".transformer_blocks.0." in key]
    layers = ldm_layers(config)
    starts = [layer.removesuffix(".norm") for layer in layers if layer.endswith(".1.norm")]
    keys = [f"{layer}.{leaf}" for layer in layers if "transformer" not in layer for leaf in ("weight", "bias")]
    keys += [f"{start}.proj_out.{leaf}" for start in starts for leaf in ("weight", "bias")]
    keys += [f"{start}.proj_in.{leaf}" for start in starts for leaf in ("weight", "bias")]
    return list(dict.fromkeys(keys + [f"{start}.transformer_blocks.{key}" for start in starts for key in inside]))


LDM_AUTOENCODER = {
    "encoder.down_blocks.0.resnets.0.conv1.weight": "encoder.down.0.block.0.conv1.weight",
    "encoder.down_blocks.1.resnets.0.conv_shortcut.bias": "encoder.down.1.block.0.nin_shortcut.bias",
    "encoder.down_blocks.0.downsamplers.0.conv.weight": "encoder.down.0.downsample.conv.weight",
    "encoder.mid_block.resnets.1.norm2.weight": "encoder.mid.block_2.norm2.weight",
    "encoder.mid_block.attentions.0.group_norm.bias": "encoder.mid.attn_1.norm.bias",
    "encoder.mid_block.attentions.0.to_q.weight": "encoder.mid.attn_1.q.weight",
    "decoder.mid_block.attentions.0.to_out.0.bias": "decoder.mid.attn_1.proj_out.bias",
    "encoder.conv_norm_out.weight": "encoder.norm_out.weight",
    "decoder.up_blocks.0.resnets.1.conv2.weight": "decoder.up.2.block.1.conv2.weight",
    "decoder.up_blocks.2.resnets.0.conv_shortcut.weight": "decoder.up.0.block.0.nin_shortcut.weight",
    "decoder.up_blocks.1.upsamplers.0.conv.bias": "decoder.up.1.upsample.conv.bias",
    "quant_conv.weight": "quant_conv.weight",
}
"""Names of `diffusers` and of the original code, one of each kind, for three levels."""


def test_an_autoencoder_of_the_original_layout_or_of_former_names(cases):
    case = cases.CASES["vae_decode"]
    build, rules, state = case.build, case.rules, case.state_dict()
    names = latent_diffusion.autoencoder_names
    assert names(LDM_AUTOENCODER.values(), cases.VAE) == LDM_AUTOENCODER
    theirs = {}
    for key, value in state.items():
        new = former(key, len(cases.VAE.channels))
        # Attention is 1x1 convolutions there.
        theirs[f"first_stage_model.{new}"] = value[..., None, None] if ".attn_1." in new and value.ndim == 2 else value
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    older = {}
    for key, value in state.items():
        for now, then in old.items():
            key = key.replace(f"attentions.0.{now}.", f"attentions.0.{then}.")
        older[key] = value
    assert older.keys() != state.keys()
    want = weights.to_flat(case.network)
    for given in (theirs | {"model.diffusion_model.out.2.bias": np.zeros(4)}, older, state):
        prepared = prepare_autoencoder(cases.VAE)(given)
        arrays = weights.convert_state_dict(weights.abstract(build), prepared, rules=rules)
        for key, value in want.items():
            np.testing.assert_array_equal(arrays[key], value)


def former(key, levels):
    """The original code's name of a key of `diffusers`."""
    import re

    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    for now, then in {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
        key = key.replace(f"mid_block.attentions.0.{now}.", f"mid.attn_1.{then}.")
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", key)
    return key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def test_latents_are_scaled_and_sampled(cases):
    case = cases.CASES["vae_encode"]
    other = weights.abstract(lambda rngs: stable_diffusion.AutoencoderKL(
        stable_diffusion.AutoencoderKLConfig(channels=(4, 8, 8), depth=1, groups=2, scaling=0.5), rngs))  # fmt: skip
    weights.load_state_dict(other, case.state_dict(), rules=case.rules)
    one, half = (jax.jit(lambda x, n=n: n.encode(x))(case.inputs["pictures"]) for n in (case.network, other))
    np.testing.assert_allclose(half.mean, 0.5 * one.mean, rtol=1e-6)
    drawn = half.sample(jax.random.key(0))
    noise = (drawn - half.mean) / half.deviation
    assert 0.5 < float(np.std(noise)) < 1.5 and np.abs(drawn - half.sample(jax.random.key(1))).max() > 0
    np.testing.assert_allclose(half.deviation, 0.5 * one.deviation, rtol=1e-6)
    with pytest.raises(ValueError, match="multiples of 4"):
        case.network.encode(np.zeros((1, 6, 8, 3), np.float32))
