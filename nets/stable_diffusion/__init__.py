"""Stable Diffusion (Rombach et al. 2022), SDXL and MVDream: UNet, autoencoder and their published files."""

from hoijax.nets.stable_diffusion.autoencoder import AutoencoderKL, Gaussian
from hoijax.nets.stable_diffusion.checkpoints import load, load_autoencoder
from hoijax.nets.stable_diffusion.config import UNETS, AutoencoderKLConfig, UNetConfig
from hoijax.nets.stable_diffusion.inpainting import Filled, InpaintingConfig, inpaint, shrink
from hoijax.nets.stable_diffusion.unet import Added, UNet, camera_numbers

Config = UNetConfig
Model = UNet

__all__ = [
    "UNETS",
    "Added",
    "AutoencoderKL",
    "AutoencoderKLConfig",
    "Config",
    "Filled",
    "Gaussian",
    "InpaintingConfig",
    "Model",
    "UNet",
    "UNetConfig",
    "camera_numbers",
    "inpaint",
    "load",
    "load_autoencoder",
    "shrink",
]
