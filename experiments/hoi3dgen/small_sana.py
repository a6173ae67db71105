"""A small SANA: its texts, its pictures, its sizes, and how it is trained, from nothing to weights of three megabytes.

    python -m hoijax.experiments.hoi3dgen.small_sana --out runs/small_sana

Two to three minutes on one idle core: pictures, principal components, text features, then the training.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.hoi3dgen import autoencoder, pictures, train
from hoijax.nets import sana
from hoijax.nets.blocks.streams import describe
from hoijax.nets.sana.small import SmallSana, small_facts
from hoijax.nets.sana.words import WordTokenizer, words_of
from hoijax.nets.weights import to_flat, write_tensors
from hoijax.nets.weights.files import notes_of
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
STRENGTH = 2.0
"""Of guidance."""
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
    settings = {"steps": 900, "batch": 24, "rate": 2e-3, "warmup": 50, "clip": 1.0, "shift": SHIFT,
                "compute": "float32", "average": 0.995, "save_every": 100, "log_every": 25}  # fmt: skip
    return train.Config(out=out, **(settings | changes))


def pictures_of(examples: list[Example]) -> UInt8[np.ndarray, "N S S 3"]:
    """All pictures."""
    return np.stack([example.picture for example in examples])


WEIGHTS = "weights.safetensors"
"""File of a finished run."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A run from nothing."""

    out: pathlib.Path = pathlib.Path("runs/small_sana")
    """Its folder."""
    steps: int = 900
    """Of the transformer's training."""
    colourings: int = 120
    """Of each scene."""
    seed: int = 0
    """Of scenes; the one after it of colours and words."""
    average: float = 0.995
    """Decay of the transformer's running mean."""

    def __post_init__(self):
        if self.steps < 1 or self.colourings < 1:
            raise InputError(f"steps and colourings must be at least 1, got {self.steps} and {self.colourings}")


def make(config: Config) -> pathlib.Path:
    """Draws, analyses, encodes, trains, and writes the weights; a training that was stopped goes on.

    Returns:
      The file.
    """
    scenes = pictures.every_scene(config.seed)
    layers = pictures.draw_layers(scenes, PICTURE)
    examples = make_examples(layers, scenes, config.colourings, config.seed + 1)
    shown = pictures_of(examples)
    compressor = autoencoder.principal(shown)
    encoder, tokenizer = make_text_encoder()
    told = encode(encoder, tokenizer, [example.text for example in examples])
    null = encode(encoder, tokenizer, [""])
    settings = training(config.out / "training", steps=config.steps, average=config.average)
    samples = samples_of(autoencoder.encode(compressor, shown), told)
    state = train.train(settings, SIZES, samples, null)
    return write(config.out / WEIGHTS, train.finished(state, SIZES, settings), compressor, encoder, tokenizer)


def write(
    path: pathlib.Path,
    transformer: sana.Sana,
    compressor: sana.AutoencoderDC,
    encoder: sana.Gemma2,
    tokenizer: WordTokenizer,
) -> pathlib.Path:
    """Writes the three networks in float16, as `hoijax.nets.sana.small.load_small` reads them."""
    configs = (transformer.config, compressor.config, encoder.config)
    network = describe(lambda rngs: SmallSana(*configs, rngs))
    network.transformer, network.autoencoder, network.text_encoder = transformer, compressor, encoder
    arrays = {name: np.asarray(array, np.float16) for name, array in to_flat(network).items()}
    draw = {"size": PICTURE, "steps": 20, "strength": STRENGTH, "shift": SHIFT, "length": LENGTH}
    write_tensors(path, arrays, notes_of({"name": "sana_small", **small_facts(network, tokenizer.words, draw)}))
    return path


if __name__ == "__main__":
    run_command(make, Config)
