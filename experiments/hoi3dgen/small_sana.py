"""A small SANA: its texts, its pictures, its sizes, and how it is trained, from nothing to weights of a megabyte."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from hoijax.experiments.hoi3dgen import pictures, train
from hoijax.nets import sana, weights
from hoijax.nets.sana.words import WordTokenizer, words_of
from hoijax.systems.hoi3dgen.small import COLORS, LENGTH

SIZES = sana.SanaConfig(
    width=96, depth=2, head_width=16, cross_heads=6, text_channels=64, hidden=192, latent_channels=64,
)  # fmt: skip
"""Of the transformer: two blocks, so that each of 4 x 4 cells is reached from a border and knows where it is."""
TEXT_SIZES = sana.Gemma2Config(
    vocabulary=64, width=64, depth=1, heads=4, groups=2, head_width=16, hidden=128, query_width=16, window=3
)
"""Of the text encoder, which keeps its random weights: each word's feature holds the two before it, so that a colour
and what has it are one."""
PICTURE = 32
"""Side of a picture, pixels."""
SHIFT = 1.0
"""Of the flow's times: so few cells want no shift towards noise."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture and all its words."""

    text: str
    """With its view."""
    picture: np.ndarray
    """(S, S, 3), 8 bits."""
    view: int
    """Its place in `VIEWS`."""


def vocabulary() -> tuple[str, ...]:
    """Every word that a text can have, and marks."""
    words = set(words_of(" ".join([*pictures.PEOPLE, *pictures.TOPS, *pictures.BOTTOMS, *COLORS])))
    for phrase, things in pictures.ACTS.values():
        words |= set(words_of(phrase.format(thing=" ".join(things), hands=" ".join(pictures.HANDS.values()))))
    words |= {word for view in sana.VIEWS for word in words_of(sana.view_text("A an in and.", view))}
    return tuple(sorted(words))


def make_examples(layers: np.ndarray, scenes: list[pictures.Scene], count: int, seed: int) -> list[Example]:
    """Examples of every scene in drawn colours, all views of a colouring one after the other.

    Args:
      layers: of the scenes, `draw_layers`.
      scenes: what is done.
      count: colourings of each scene.
      seed: of the colours and words.
    """
    rng, examples = np.random.default_rng(seed), []
    for scene, layer in zip(scenes, layers):
        for _ in range(count):
            text, colors = pictures.draw_words(rng, scene)
            for number, (view, picture) in enumerate(zip(sana.VIEWS, pictures.paint(layer, colors))):
                examples.append(Example(sana.view_text(text, view), picture, number))
    return examples


def make_text_encoder(seed: int = 0) -> tuple[sana.Gemma2, WordTokenizer]:
    """The text encoder, at its random weights, and its words."""
    encoder = sana.Gemma2(TEXT_SIZES, nnx.Rngs(seed))
    encoder.eval()
    return encoder, WordTokenizer(vocabulary())


def encode(encoder: sana.Gemma2, tokenizer: WordTokenizer, texts: list[str]) -> sana.TextFeatures:
    """Features of any number of texts."""
    graph, state = nnx.split(encoder)
    call = jax.jit(lambda tokens, mask: nnx.merge(graph, state)(tokens, mask))
    return jax.tree.map(np.asarray, sana.encode_texts(call, tokenizer, texts, length=LENGTH))


def samples_of(latents: np.ndarray, features: sana.TextFeatures) -> list[dict[str, np.ndarray]]:
    """Examples as `train` reads them."""
    return [{"latent": latent, "features": feature, "mask": mask}
            for latent, feature, mask in zip(latents, features.features, features.mask)]  # fmt: skip


def training(out: pathlib.Path, **changes: Any) -> train.Config:
    """Settings of the training of the small SANA."""
    settings = {"steps": 2000, "batch": 24, "rate": 2e-3, "warmup": 50, "clip": 1.0, "shift": SHIFT,
                "compute": "float32", "average": 0.995, "save_every": 100, "log_every": 25}  # fmt: skip
    return train.Config(out=out, **(settings | changes))


def save_text_encoder(
    path: pathlib.Path, encoder: sana.Gemma2, tokenizer: WordTokenizer, facts: dict[str, Any]
) -> None:
    """Writes weights that `hoijax.nets.sana.load_text_encoder` reads, with the words."""
    weights.save_network(
        path, encoder, {**facts, "config": dataclasses.asdict(encoder.config), "words": list(tokenizer.words)}
    )


def pictures_of(examples: list[Example]) -> UInt8[np.ndarray, "N S S 3"]:
    """All pictures."""
    return np.stack([example.picture for example in examples])
