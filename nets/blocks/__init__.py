"""What networks are built of: attention, normalisation, perceptrons, convolutions, low-rank adaptation, backbones."""

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.convolutions import (
    bilinear_sample,
    conv,
    depthwise,
    double_conv_transpose,
    double_exactly,
    max_pool,
    nearest_upsample,
    pixel_shuffle,
    pixel_unshuffle,
)
from hoijax.nets.blocks.lora import LoRALinear, add_lora, merge_lora
from hoijax.nets.blocks.norms import Norm, RMSNorm, batch_norm, group_norm, layer_norm
from hoijax.nets.blocks.perceptrons import GatedPerceptron, Perceptron, gelu, linear, look_up, quick_gelu, tanh_gelu
from hoijax.nets.blocks.positions import random_fourier, rotate, sinusoid
from hoijax.nets.blocks.products import attend, attend_linearly, causal_mask, join_heads, split_heads
from hoijax.nets.blocks.residual import GatedConvolution, ResidualConvolution
from hoijax.nets.blocks.stack import Row, Stack
from hoijax.nets.blocks.transformer import BlockConfig, TransformerBlock

__all__ = [
    "Attention",
    "AttentionConfig",
    "BlockConfig",
    "GatedConvolution",
    "GatedPerceptron",
    "LoRALinear",
    "Norm",
    "Perceptron",
    "RMSNorm",
    "ResidualConvolution",
    "Row",
    "Stack",
    "TransformerBlock",
    "add_lora",
    "attend",
    "attend_linearly",
    "batch_norm",
    "bilinear_sample",
    "causal_mask",
    "conv",
    "depthwise",
    "double_conv_transpose",
    "double_exactly",
    "gelu",
    "group_norm",
    "join_heads",
    "layer_norm",
    "linear",
    "look_up",
    "max_pool",
    "merge_lora",
    "nearest_upsample",
    "pixel_shuffle",
    "pixel_unshuffle",
    "quick_gelu",
    "random_fourier",
    "rotate",
    "sinusoid",
    "split_heads",
    "tanh_gelu",
]
