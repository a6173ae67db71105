"""SANA's three networks in one file of weights, for sizes where that is a megabyte."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx

from hoijax.nets.sana.autoencoder import AutoencoderDC, AutoencoderDCConfig
from hoijax.nets.sana.config import SanaConfig
from hoijax.nets.sana.gemma import Gemma2, Gemma2Config
from hoijax.nets.sana.transformer import Sana
from hoijax.nets.weights import load as load_entry


class SmallSana(nnx.Module):
    """Text encoder, transformer and autoencoder.

    Args:
      transformer: its sizes.
      autoencoder: its sizes.
      text_encoder: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(
        self, transformer: SanaConfig, autoencoder: AutoencoderDCConfig, text_encoder: Gemma2Config, rngs: nnx.Rngs
    ):
        self.transformer = Sana(transformer, rngs)
        self.autoencoder = AutoencoderDC(autoencoder, rngs)
        self.text_encoder = Gemma2(text_encoder, rngs)


_PARTS = {"transformer": SanaConfig, "autoencoder": AutoencoderDCConfig, "text_encoder": Gemma2Config}


def small_facts(network: SmallSana, words: tuple[str, ...], draw: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of the three says beside its arrays: sizes, the words that are known, how pictures are drawn."""
    sizes = {name: dataclasses.asdict(getattr(network, name).config) for name in _PARTS}
    return {**sizes, "words": list(words), "draw": dict(draw)}


def build_small(facts: Mapping[str, Any], rngs: nnx.Rngs) -> SmallSana:
    """The networks that facts describe."""

    def sizes(kind: type, values: Mapping[str, Any]) -> Any:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    return SmallSana(**{name: sizes(kind, facts[name]) for name, kind in _PARTS.items()}, rngs=rngs)


def load_small(path: pathlib.Path | None = None) -> tuple[SmallSana, dict[str, Any]]:
    """The networks of a file and its facts; None: those that come with hoijax.

    Raises:
      InputError: no such file, or other weights.
    """
    return load_entry("sana_small", path)
