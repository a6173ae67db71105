"""Can InteractVLM learn a few pairs by heart, and say them again by itself? (specs/interactvlm.md 15.12)

    python -m hoijax.experiments.interactvlm.overfit --pairs 64

Sixteen random pictures, each with four labels; a pair's contact is a cap on a sphere of 642 vertices in the place of
the body. Decoder, SAM and image tower have 64 channels; all learns but the two image encoders. Every loss of the
training is there, words included, and the score is of answers that the network writes itself. Words are
learned first, in some fifty steps; then masks are empty for a while, until pairs begin to differ. Masks are compared
at the views' pixels: where true masks are means over 2 x 2 of them, masks equal to those still have a Dice loss of
0.06. Ten minutes of a core. Writes `interactvlm_overfit.json` and `.md` to `results`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import trimesh
from flax import nnx
from tqdm import tqdm

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.experiments.interactvlm.data import Example, Group, Mixture
from hoijax.experiments.interactvlm.encoding import Encoder, batches
from hoijax.experiments.interactvlm.evaluate import MeanMap, best_threshold, contact_rows, predict
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.experiments.interactvlm.train import finished, make_trainer
from hoijax.language import WordTokenizer
from hoijax.nets import clip, llama, sam
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import OWN, Questions, Views, object_views

LABELS = ("chair", "cup", "ball", "door", "box", "bat", "bed", "sofa")
"""Of the pairs."""
SPECIAL = ("[SEG]", "<im_start>", "<im_end>")
SIDE = 64
"""Pixels of a view's side."""
TERMS = ("text", "focal", "dice", "surface", "total")
"""Of the loss, and their weighted sum."""
FEW = 16
"""Steps that a number of the page is the mean of."""
CURVE = 100
"""Steps from a row of the page to the next."""
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
    steps: int = 5000
    """Of training."""
    batch: int = 16
    """Pairs of a step."""
    rate: float = 2e-3
    """Largest step size."""
    warmup: int = 100
    """Steps over which it rises."""
    width: int = 64
    """Channels of decoder, image tower and SAM."""
    seed: int = 0
    log: int = 0
    """Steps between lines of losses; 0: none are printed."""
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
        out=config.results, steps=config.steps, batch=config.batch, rate=config.rate, warmup=config.warmup,
        dropout=0.0, compute="float32", remat=False, length=56, average=0.9, loss_at="pixels", parts="none",
        seed=config.seed, more=(r"^language\.layers", r"^mm_projector"), adapted="",
    )  # fmt: skip
    start = jax.jit(lambda: nnx.state(nets.Model(network, nnx.Rngs(config.seed))))()
    model = nnx.merge(nnx.split(nnx.eval_shape(lambda: nets.Model(network, nnx.Rngs(0))))[0], start)
    encoder = Encoder(tokenizer, network, settings, Surfaces(model, views), questions=ONCE)
    pairs = make_pairs(config, views)
    mixture = Mixture([Group("human", (pairs,))], config.seed)
    trainer, settings = make_trainer(settings, model, encoder.surfaces.body, **how)
    stream, state, rows = batches(mixture, encoder, config.batch)(0), trainer.start(), []
    for step in tqdm(range(config.steps), desc="pairs", disable=None):
        state, numbers = trainer.step(state, next(stream), "human")
        rows.append({name: float(numbers[name]) for name in TERMS})
        if config.log and step % config.log == 0:
            print(step, *(f"{name} {value:.4f}" for name, value in rows[-1].items()), flush=True)
    learnt = finished(state, network, settings)
    scores = contact_rows(pairs, predict(learnt, encoder, "human", pairs, batch=config.batch, steps=12))
    maps = MeanMap(pairs).predict(pairs)
    trivial = contact_rows(pairs, maps, threshold=best_threshold(pairs, maps))
    first, last = _mean(rows[:FEW]), _mean(rows[-FEW:])
    result = {
        "config": settings_of(config, ("results", "log")), "first": first, "last": last,
        "falls": first["total"] / last["total"], "f1": float(np.mean(scores["semantic_f1"])),
        "least_f1": float(np.min(scores["semantic_f1"])), "mean_map_f1": float(np.mean(trivial["semantic_f1"])),
        "curve": [{"step": i, **_mean(rows[i : i + FEW])} for i in range(0, config.steps, CURVE)], **software(),
    }  # fmt: skip
    write_page(config.results, "interactvlm_overfit", result, markdown(config, result))
    return result


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in TERMS}


def markdown(config: Config, result: Mapping[str, Any]) -> str:
    """The page."""
    cells = [[str(row["step"]), *(f"{row[name]:.4f}" for name in TERMS)] for row in result["curve"]]
    cells.append(["the end", *(f"{result['last'][name]:.4f}" for name in TERMS)])
    return page(
        f"InteractVLM: {config.pairs} pairs by heart",
        f"Made by `hoijax.experiments.interactvlm.overfit`: {config.steps:,} steps of {config.batch}, "
        f"{config.width} channels, random weights, image encoders frozen. From the first {FEW} steps to the last the "
        f"loss falls {result['falls']:.0f}-fold. The network then writes its own answers: F1 of its contact on the "
        f"sphere's vertices is {result['f1']:.3f} in the mean over pairs, {result['least_f1']:.3f} of the worst; "
        f"each label's mean map, at its best threshold, has {result['mean_map_f1']:.3f}. What no perfect "
        "answer could do away with is in the loss too: edges of masks, and a hundredth of the mean probability.",
        table(["step", *TERMS], cells),
    )


if __name__ == "__main__":
    print(run_command(run, Config))
