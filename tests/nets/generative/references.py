"""What `diffusers` and `transformers` answer on the cases' weights and inputs.

    python tests/nets/generative/references.py

writes answers.npz anew; made with diffusers 0.42.1, transformers 5.24.0 and torch 2.13 on a CPU, float32.
"""

import pathlib

import numpy as np
import torch
from cases import CASES, DC_AE, GEMMA, Case

HERE = pathlib.Path(__file__).parent


def nchw(x: np.ndarray) -> torch.Tensor:
    """Channels last to channels second."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    """The way back."""
    return np.moveaxis(x.numpy(), 1, -1)


def filled(module: torch.nn.Module, case: Case, start: str = "") -> torch.nn.Module:
    """The case's checkpoint in a module of the reference: every key of both, no other."""
    module.load_state_dict({start + key: torch.from_numpy(value) for key, value in case.state_dict().items()})
    return module.eval()


def sana(case: Case) -> np.ndarray:
    """diffusers.SanaTransformer2DModel."""
    from diffusers import SanaTransformer2DModel

    config = case.network().config
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


REFERENCES = {"sana": sana, "dc_ae": dc_ae, "gemma": gemma}
"""By the start of a case's name."""


@torch.no_grad()
def answer(name: str) -> np.ndarray:
    """The reference's answer on a case."""
    return next(make for start, make in REFERENCES.items() if name.startswith(start))(CASES[name])


if __name__ == "__main__":
    np.savez_compressed(HERE / "answers.npz", **{name: answer(name) for name in CASES})
