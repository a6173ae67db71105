"""A tiny network, a sphere in the place of the body, and examples of every task."""

import dataclasses
import pathlib
import sys
import types

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.experiments.interactvlm import overfit
from hoijax.experiments.interactvlm.data import Example, Group, Mixture
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.geometry import Mesh
from hoijax.language import WordTokenizer
from hoijax.nets import clip, llama, sam
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import OWN

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interactvlm_toy import CUBE


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module")
def tiny():
    """Tokenizer, network, surfaces, examples by task."""
    # Here too: a fixture of a wider scope is made before the one above begins.
    with jax.enable_x64(False):
        return make_tiny()


def make_tiny():
    texts = [text.format(label="", token="", parts="", affordance="") for text in OWN.texts()]
    words = WordTokenizer.of_texts(
        [*texts, *overfit.SAID, "left right hand hips nothing sit red colour is the"], overfit.SPECIAL
    )
    segmenter = sam.Config(
        64, 8, 16, 1, 2, 32, 3, (), channels=16, mask_channels=4, decoder_layers=1, decoder_heads=2, decoder_hidden=32,
        masks=1,
    )  # fmt: skip
    vision = clip.VisionConfig(16, 8, 16, 32, 2, 2, "quick_gelu", None)
    sizes = nets.Config(llama.Config(len(words), 16, 32, 1, 2), vision, segmenter, 16, contact=words.id_of("[SEG]"))
    graph = nnx.split(nnx.eval_shape(lambda: nets.Model(sizes, nnx.Rngs(0))))[0]
    network = nnx.merge(graph, jax.jit(lambda: nnx.state(nets.Model(sizes, nnx.Rngs(0))))())
    views = overfit.sphere()
    surfaces = Surfaces(network, views, capacity=(10, 14))
    pairs = [
        dataclasses.replace(pair, image=pair.image[:16, :16])
        for pair in overfit.make_pairs(overfit.Config(pairs=4, labels=2), views)
    ]
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (20, 18, 3)).astype(np.uint8)
    cubes = [Example(f"o{i}", image, "box", np.eye(8, dtype=np.float32)[i], CUBE, "cube") for i in range(4)]
    cloud = Mesh(vertices=rng.normal(size=(12, 3)).astype(np.float32), faces=np.zeros((0, 3), np.int32))
    points = [Example("p", image, "cup", rng.random(12).astype(np.float32), cloud, "cloud", affordance="sit")]
    talk = [Example("q", image, turns=(("What colour is the cup?", "red"), ("Is it the cup?", "the cup")))]
    examples = {"human": pairs, "object": cubes, "affordance": points, "vqa": talk}

    def encoder(config, body=None):
        return Encoder(words, sizes, config, surfaces, body)

    def mixture(*tasks, weights=(1.0,) * 4):
        return Mixture([Group(task, (examples[task],), weight) for task, weight in zip(tasks, weights)])

    return types.SimpleNamespace(
        words=words, network=network, sizes=sizes, surfaces=surfaces, views=views, examples=examples, encoder=encoder,
        mixture=mixture,
    )  # fmt: skip
