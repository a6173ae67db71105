"""Can InteractVLM learn a few pairs by heart, and say them again by itself? (specs/interactvlm.md 15.12)

    python -m hoijax.experiments.interactvlm.overfit --pairs 64

Sixteen random pictures, each with four labels; a pair's contact is a cap on a sphere of 642 vertices in the place of
the body. Decoder, SAM and image tower have 64 channels; all learns but the two image encoders. Every loss of the
training is there, words included, and the score is of answers that the network writes itself. Some minutes of a core.
Writes `interactvlm_overfit.json` to `results`.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
import trimesh
from flax import nnx
from tqdm import tqdm

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, settings_of
from hoijax.experiments.interactvlm.data import Example, Group, Mixture
from hoijax.experiments.interactvlm.encoding import Encoder, batches
from hoijax.experiments.interactvlm.evaluate import contact_rows, predict
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.experiments.interactvlm.train import finished, make_trainer
from hoijax.io import output_directory, write_json
from hoijax.language import WordTokenizer
from hoijax.nets import clip, llama, sam
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import OWN, Questions, Views, object_views

LABELS = ("chair", "cup", "ball", "door", "box", "bat", "bed", "sofa")
"""Of the pairs."""
SPECIAL = ("[SEG]", "<im_start>", "<im_end>")
SIDE = 64
"""Pixels of a view's side."""
ONCE = Questions(*({"human_simple": kinds["human_simple"][:1]} for kinds in (OWN.questions, OWN.answers)))
"""One question and one answer: which of several is said could not be learned."""
SAID = ("USER ASSISTANT", nets.SYSTEM, *LABELS)


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    pairs: int = 64
    """Pictures with a label each."""
    labels: int = 4
    """That share a picture."""
    steps: int = 1500
    """Of training."""
    batch: int = 16
    """Pairs of a step."""
    rate: float = 3e-3
    """Largest step size."""
    width: int = 64
    """Channels of decoder, image tower and SAM."""
    seed: int = 0
    results: pathlib.Path = RESULTS

    def __post_init__(self):
        if self.pairs < 1 or not 1 <= self.labels <= len(LABELS) or self.pairs % self.labels:
            raise InputError(f"pairs must be a multiple of the labels, at most {len(LABELS)}; got {self.pairs}")


def words() -> WordTokenizer:
    """Of all sentences here."""
    return WordTokenizer.of_texts([*(text.format(label="", token="") for text in ONCE.texts()), *SAID], SPECIAL)


def sizes(width: int, vocabulary: int, contact: int) -> nets.Config:
    """Of the network."""
    heads = 4
    segmenter = sam.Config(
        SIDE, 8, width, 1, heads, 2 * width, 3, (), channels=width, mask_channels=8, decoder_hidden=2 * width,
        decoder_heads=heads, masks=1,
    )  # fmt: skip
    vision = clip.VisionConfig(32, 8, width, 2 * width, 2, heads, "quick_gelu", None)
    language = llama.Config(vocabulary, width, 2 * width, 2, heads)
    return nets.Config(language, vision, segmenter, width, contact=contact)


def sphere() -> Views:
    """The surface."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    return object_views(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces), SIDE)


def make_pairs(config: Config, views: Views) -> list[Example]:
    """Pictures of coloured squares, and caps of 30 to 60 degrees."""
    rng = np.random.default_rng(config.seed)
    pictures = rng.integers(0, 255, (config.pairs // config.labels, 4, 4, 3)).astype(np.uint8)
    direction = np.asarray(views.vertices) / np.linalg.norm(views.vertices, axis=1, keepdims=True)
    pairs = []
    for i in range(config.pairs):
        centre = rng.normal(size=3)
        cosine = np.cos(np.deg2rad(rng.uniform(30, 60)))
        contact = (direction @ (centre / np.linalg.norm(centre)) > cosine) & np.asarray(views.lift.visible)
        picture = np.kron(pictures[i // config.labels], np.ones((8, 8, 1), np.uint8))
        pairs.append(Example(str(i), picture, LABELS[i % config.labels], contact.astype(np.float32)))
    return pairs


def run(config: Config, **how: Any) -> dict[str, Any]:
    """Trains, asks, and writes the result.

    Args:
      config: of the run.
      **how: `compiler_options` of the step.
    """
    tokenizer, views = words(), sphere()
    network = sizes(config.width, len(tokenizer), tokenizer.id_of("[SEG]"))
    settings = TrainConfig(
        out=config.results, steps=config.steps, batch=config.batch, rate=config.rate, warmup=20, dropout=0.0,
        compute="float32", remat=False, length=56, average=0.9, loss_at="masks", parts="none", seed=config.seed,
        more=(r"^language\.layers", r"^mm_projector"), adapted="",
    )  # fmt: skip
    start = jax.jit(lambda: nnx.state(nets.Model(network, nnx.Rngs(config.seed))))()
    model = nnx.merge(nnx.split(nnx.eval_shape(lambda: nets.Model(network, nnx.Rngs(0))))[0], start)
    encoder = Encoder(tokenizer, network, settings, Surfaces(model, views), questions=ONCE)
    pairs = make_pairs(config, views)
    mixture = Mixture([Group("human", (pairs,))], config.seed)
    trainer, settings = make_trainer(settings, model, encoder.surfaces.body, **how)
    stream, state, losses = batches(mixture, encoder, config.batch)(0), trainer.start(), []
    for _ in tqdm(range(config.steps), desc="pairs", disable=None):
        state, numbers = trainer.step(state, next(stream), "human")
        losses.append(float(numbers["total"]))
    learnt = finished(state, network, settings)
    scores = contact_rows(pairs, predict(learnt, encoder, "human", pairs, batch=config.batch, steps=12))
    few = min(16, len(losses) // 4 or 1)
    first, last = np.mean(losses[:few]), np.mean(losses[-few:])
    result = {
        "config": settings_of(config, ("results",)), "first_loss": float(first), "last_loss": float(last),
        "falls": float(first / last), "f1": float(np.mean(scores["semantic_f1"])),
        "least_f1": float(np.min(scores["semantic_f1"])), **software(),
    }  # fmt: skip
    output_directory(config.results)
    write_json(config.results / "interactvlm_overfit.json", result)
    return result


if __name__ == "__main__":
    print(run_command(run, Config))
