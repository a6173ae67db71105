"""SANA (Xie et al. 2024), HOI3DGen's generator of pictures: transformer, autoencoder, text encoder, sampler."""

from hoijax.nets.sana.autoencoder import AutoencoderDC, AutoencoderDCConfig
from hoijax.nets.sana.checkpoints import load, load_autoencoder, load_text_encoder
from hoijax.nets.sana.config import SIZES, SanaConfig, authors_layout
from hoijax.nets.sana.gemma import Gemma2, Gemma2Config
from hoijax.nets.sana.sampling import TextFeatures, sample
from hoijax.nets.sana.texts import VIEWS, FeatureCache, Tokenizer, encode_texts, text_tokens, view_text
from hoijax.nets.sana.transformer import Sana

Config = SanaConfig
Model = Sana

__all__ = [
    "SIZES",
    "VIEWS",
    "AutoencoderDC",
    "AutoencoderDCConfig",
    "Config",
    "FeatureCache",
    "Gemma2",
    "Gemma2Config",
    "Model",
    "Sana",
    "SanaConfig",
    "TextFeatures",
    "Tokenizer",
    "authors_layout",
    "encode_texts",
    "load",
    "load_autoencoder",
    "load_text_encoder",
    "sample",
    "text_tokens",
    "view_text",
]
