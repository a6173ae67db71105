"""What `diffusers` and `transformers` answer on the cases' weights and inputs.

    python tests/nets/generative/references.py

writes answers.npz anew; made with diffusers 0.42.1, transformers 5.24.0 and torch 2.13 on a CPU, float32.
"""

import pathlib

import numpy as np
import torch
from cases import CASES, DC_AE, GEMMA, VAE, Case

HERE = pathlib.Path(__file__).parent


def nchw(x: np.ndarray) -> torch.Tensor:
    """Channels last to channels second."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    """The way back."""
    return np.moveaxis(x.numpy(), 1, -1)


def filled(module: torch.nn.Module, case: Case, without: str = "-") -> torch.nn.Module:
    """The case's checkpoint in a module of the reference: every key of both, no other."""
    state = {k: torch.from_numpy(v) for k, v in case.state_dict().items() if not k.startswith(without)}
    module.load_state_dict(state)
    return module.eval()


def sana(case: Case) -> np.ndarray:
    """diffusers.SanaTransformer2DModel."""
    from diffusers import SanaTransformer2DModel

    config = case.network.config
    module = filled(
        SanaTransformer2DModel(
            in_channels=config.latent_channels, out_channels=config.latent_channels,
            num_attention_heads=config.width // config.head_width, attention_head_dim=config.head_width,
            num_layers=config.depth, num_cross_attention_heads=config.cross_heads,
            cross_attention_head_dim=config.width // config.cross_heads, cross_attention_dim=config.width,
            caption_channels=config.text_channels, mlp_ratio=config.hidden / config.width, sample_size=8,
            qk_norm="rms_norm_across_heads" if config.norm else None,
        ),
        case,
    )  # fmt: skip
    x = case.inputs
    out = module(nchw(x["latent"]), torch.from_numpy(x["text"]), torch.from_numpy(x["time"]),
                 encoder_attention_mask=torch.from_numpy(x["mask"]).float())  # fmt: skip
    return nhwc(out.sample)


def dc_ae(case: Case) -> np.ndarray:
    """diffusers.AutoencoderDC."""
    from diffusers import AutoencoderDC

    kinds = ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3
    module = filled(
        AutoencoderDC(
            latent_channels=DC_AE.latent_channels, encoder_block_types=kinds, decoder_block_types=kinds,
            encoder_block_out_channels=DC_AE.channels, decoder_block_out_channels=DC_AE.channels,
            encoder_layers_per_block=DC_AE.encoder_depths, decoder_layers_per_block=DC_AE.decoder_depths,
            downsample_block_type="conv", upsample_block_type="interpolate",
        ),
        case,
    )  # fmt: skip
    if case.method == "encode":
        return nhwc(module.encode(nchw(case.inputs["pictures"])).latent)
    return nhwc(module.decode(nchw(case.inputs["latents"])).sample)


def gemma(case: Case) -> np.ndarray:
    """transformers.Gemma2Model, its attention spelt out: other kernels leave the cap away."""
    from transformers import Gemma2Config, Gemma2Model

    config = Gemma2Config(
        vocab_size=GEMMA.vocabulary, hidden_size=GEMMA.width, num_hidden_layers=GEMMA.depth,
        num_attention_heads=GEMMA.heads, num_key_value_heads=GEMMA.groups, head_dim=GEMMA.head_width,
        intermediate_size=GEMMA.hidden, query_pre_attn_scalar=GEMMA.query_width, sliding_window=GEMMA.window,
        attn_logit_softcapping=GEMMA.cap, attn_implementation="eager",
    )  # fmt: skip
    tokens, mask = (torch.from_numpy(case.inputs[name]) for name in ("tokens", "mask"))
    return filled(Gemma2Model(config), case)(tokens, attention_mask=mask.long()).last_hidden_state.numpy()


def unet(case: Case) -> np.ndarray:
    """diffusers.UNet2DConditionModel; what it calls an attention head's width is the number of heads."""
    from diffusers import UNet2DConditionModel

    config = case.network.config
    attends = [count > 0 for count in config.transformers]
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": config.number_width,
             "projection_class_embeddings_input_dim": config.pooled + config.numbers * config.number_width}  # fmt: skip
    module = filled(
        UNet2DConditionModel(
            in_channels=config.inputs, out_channels=config.outputs, block_out_channels=config.channels,
            down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends],
            up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in attends[::-1]],
            layers_per_block=config.depth, attention_head_dim=config.heads, cross_attention_dim=config.context,
            transformer_layers_per_block=[*(max(count, 1) for count in config.transformers[:-1]), config.middle],
            norm_num_groups=config.groups, use_linear_projection=not config.convolved,
            **(added if config.numbers else {}),
        ),
        case,
        without="camera_embedding",
    )  # fmt: skip
    x, condition = case.inputs, None
    if config.camera:
        see_views(module, case)
    if config.numbers:
        condition = {
            "text_embeds": torch.from_numpy(x["added"].pooled),
            "time_ids": torch.from_numpy(x["added"].numbers),
        }
    out = module(nchw(x["latent"]), torch.from_numpy(x["time"]), torch.from_numpy(x["text"]),
                 added_cond_kwargs=condition)  # fmt: skip
    return nhwc(out.sample)


def see_views(module: torch.nn.Module, case: Case) -> None:
    """What MVDream changes: views of a scene attend to each other's cells, and a camera is added to the time."""
    from diffusers.models.attention_processor import AttnProcessor

    views, state = case.more["views"], {k: torch.from_numpy(v) for k, v in case.state_dict().items()}

    class Together(AttnProcessor):
        def __call__(self, attn, x, *args, **named):
            return super().__call__(attn, x.reshape(-1, views * x.shape[1], x.shape[2])).reshape(x.shape)

    for name, layer in module.named_modules():
        if name.endswith("attn1"):
            layer.set_processor(Together())
    first, second = ([state[f"camera_embedding.linear_{i}.{leaf}"] for leaf in ("weight", "bias")] for i in (1, 2))
    linear = torch.nn.functional.linear
    camera = linear(torch.nn.functional.silu(linear(torch.from_numpy(case.inputs["camera"]), *first)), *second)
    module.time_embedding.register_forward_hook(lambda module, given, out: out + camera)


def vae(case: Case) -> np.ndarray:
    """diffusers.AutoencoderKL; means and standard deviations one behind the other."""
    from diffusers import AutoencoderKL

    levels = len(VAE.channels)
    module = filled(
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
            block_out_channels=VAE.channels, layers_per_block=VAE.depth, latent_channels=VAE.latent_channels,
            norm_num_groups=VAE.groups,
        ),
        case,
    )  # fmt: skip
    if case.method == "encode":
        known = module.encode(nchw(case.inputs["pictures"])).latent_dist
        return np.concatenate([nhwc(known.mean), nhwc(known.std)], axis=-1)
    return nhwc(module.decode(nchw(case.inputs["latents"])).sample)


REFERENCES = {"sana": sana, "dc_ae": dc_ae, "gemma": gemma, "unet": unet, "vae": vae}
"""By the start of a case's name."""


@torch.no_grad()
def answer(name: str) -> np.ndarray:
    """The reference's answer on a case."""
    return next(make for start, make in REFERENCES.items() if name.startswith(start))(CASES[name])


if __name__ == "__main__":
    np.savez_compressed(HERE / "answers.npz", **{name: answer(name) for name in CASES})
