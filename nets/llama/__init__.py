"""LLaMA (Touvron et al. 2023): the decoder that LLaVA, LISA and InteractVLM speak with."""

from hoijax.nets.llama.config import Config
from hoijax.nets.llama.generate import Generated, generate
from hoijax.nets.llama.model import Cache, Model, apart, load

__all__ = ["Cache", "Config", "Generated", "Model", "apart", "generate", "load"]
