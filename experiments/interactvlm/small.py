"""A small InteractVLM on SynthHOI: image and label to contact on the body, image and mesh to contact on the object.

    hoijax data build synth_hoi --root DIR
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small    # goes on where it was stopped
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small --split test    # once, when chosen

The pictures' features come from the landmark network that hoijax ships (BlazePose, which has seen photographs), frozen:
the maps behind its last block of 16 x 16 cells, of a crop about the person, each picture once. The decoder reads
sentences of a vocabulary of whole words; SAM sees views of 256 pixels. All learns but SAM's image encoder. `--changes`
trains a row of the table: "no gate" without the camera gate, "no image" with the features zero.
"""

import dataclasses
import pathlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from hoijax.body_models import free_body, part_names
from hoijax.data.synth.actions import ACTIONS
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, interval, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.experiments.interactvlm import train as training
from hoijax.experiments.interactvlm.data import Example, Group, Kept, Mixture, Rows, Source, Task
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.evaluate import MeanMap, best_threshold, contact_rows, object_rows, predict, summary
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.sources import SPECIAL, synth
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.language import WordTokenizer
from hoijax.nets import blaze, llama, sam
from hoijax.nets import interactvlm as nets
from hoijax.nets.blaze.trunk import trunk
from hoijax.systems.interactvlm import OWN

BLOCK = 11
"""Of the landmark network's trunk: its input has 16 x 16 cells."""
CHANNELS = 88
"""Of that map."""
CELLS = 8
"""Of a side of what the decoder reads: means of 2 x 2 cells."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of the small network."""

    width: int = 96
    """Channels of the decoder."""
    layers: int = 2
    heads: int = 4
    channels: int = 64
    """Of SAM's embeddings and mask decoder."""
    views: int = 256
    """Pixels of a view's side."""
    length: int = 96
    """Tokens of a conversation."""
    learns: tuple[str, ...] = (r"^language\.layers.*(kernel|scale|bias)$", r"^language\.norm", r"^mm_projector")
    """What learns beside the paper's: nothing here was trained before."""


SIZES = Sizes()


def vocabulary() -> WordTokenizer:
    """Words of the templates, of SynthHOI's categories and actions, and of the body's parts."""
    said = [name for action in ACTIONS.values() for name in (action.name, *action.categories)]
    parts = [name.replace("_", " ") for name in part_names("15")]
    texts = [text.format(label="", parts="", affordance="", token="") for text in OWN.texts()]
    return WordTokenizer.of_texts([*texts, *said, *parts, nets.SYSTEM, "USER ASSISTANT object nothing scene"], SPECIAL)


def small_sizes(gate: str = "vi_v1", pixels: float = 1.0, smaller: bool = False) -> nets.Config:
    """Of the network."""
    words, s = vocabulary(), SIZES
    segmenter = sam.Config(
        round(s.views * pixels), 16, s.channels, 2, s.heads, 2 * s.channels, 4, (1,), channels=s.channels,
        mask_channels=8, decoder_hidden=2 * s.channels, decoder_heads=s.heads, masks=1,
    )  # fmt: skip
    language = llama.Config(len(words), s.width, 2 * s.width, s.layers // 2 if smaller else s.layers, s.heads)
    return nets.Config(
        language, None, segmenter, CHANNELS, gate=gate, contact=words.id_of("[SEG]")
    )  # fmt: skip


def small_network(gate: str = "vi_v1", pixels: float = 1.0, smaller: bool = False, seed: int = 0) -> nets.Model:
    """The network with random weights."""
    config = small_sizes(gate, pixels, smaller)
    graph = nnx.split(nnx.eval_shape(lambda: nets.Model(config, nnx.Rngs(0))))[0]
    state = jax.jit(lambda: nnx.state(nets.Model(config, nnx.Rngs(seed))), compiler_options=COMPILE_FAST)()
    return nnx.merge(graph, state)


@jax.jit
def _features(params: Any, image: jax.Array) -> jax.Array:
    inside = trunk(params, image[None], "centred")[1][BLOCK][0]
    side = inside.shape[0] // CELLS
    return jnp.mean(inside.reshape(CELLS, side, CELLS, side, -1), axis=(1, 3)).reshape(CELLS * CELLS, -1)


def features_of(image: np.ndarray) -> np.ndarray:
    """Features (64, 88) of a crop about a person.

    Args:
      image: (H, W, 3) bytes.
    """
    small = np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.BILINEAR), np.float32) / 255
    return np.asarray(_features(blaze.load("landmarks"), small))


def with_features(source: Source, *, blind: bool = False) -> Source:
    """A source whose pictures are features, each found once; `blind`: zeros."""

    def read(index: int) -> Example:
        example = source[index]
        found = np.zeros((CELLS * CELLS, CHANNELS), np.float32) if blind else features_of(example.image)
        return dataclasses.replace(example, image=found)

    return Kept(Rows(range(len(source)), read, "SynthHOI"))


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """A built SynthHOI."""
    out: pathlib.Path
    """Folder of the trainings."""
    steps: int = 4000
    batch: int = 16
    rate: float = 2e-3
    until: int | None = None
    """Stop after this step, to go on another time."""
    split: Split = "dev"
    """Whose samples are scored."""
    count: int = 1000
    """Of each split, at most."""
    changes: tuple[Literal["no gate", "no image"], ...] = ("no gate", "no image")
    """Further trainings of the table."""
    seed: int = 0
    results: pathlib.Path = RESULTS


def settings(config: Config, name: str) -> TrainConfig:
    """Of one training."""
    return TrainConfig(
        out=config.out / name.replace(" ", "_"), steps=config.steps, batch=config.batch, rate=config.rate, adapted="",
        more=SIZES.learns, length=SIZES.length, compute="float32", remat=False, loss_at="masks", average=0.998,
        seed=config.seed, until=config.until, save_every=200, warmup=min(100, max(config.steps // 10, 1)),
    )  # fmt: skip


def train_one(config: Config, name: str) -> tuple[nets.Model, Encoder]:
    """One training, from its last checkpoint where there is one."""
    start = small_network(gate="none" if name == "no gate" else "vi_v1", seed=config.seed)
    body, own = free_body(), settings(config, name)
    surfaces = Surfaces(start, body, folder=config.out / "views")
    encoder = Encoder(vocabulary(), start.config, own, surfaces, body)
    tasks: tuple[Task, ...] = ("human", "object")
    groups = [Group(t, (with_features(synth(config.root, "train", t), blind=name == "no image"),)) for t in tasks]
    state = training.train(own, start, Mixture(groups, config.seed), encoder)
    network = training.finished(state, start.config, own)
    facts = {"training": settings_of(own, ("out",)), "words": list(vocabulary().words), "special": list(SPECIAL)}
    training.save(own.out / "interactvlm.safetensors", network, facts)
    return network, encoder


def run(config: Config) -> dict[str, Any]:
    """Trains, scores, and writes `interactvlm_small.json` and `.md`."""
    train = synth(config.root, "train", "human")
    mean = MeanMap([train[i] for i in range(len(train))])
    dev = _some(synth(config.root, "val", "human"), config.count)
    threshold = best_threshold(dev, mean.predict(dev))
    rows = {name: train_one(config, name) for name in ("whole", *config.changes)}
    scores: dict[str, Any] = {}
    for split in synth_splits(config.split):
        asked = _some(synth(config.root, split, "human"), config.count)
        scores[split] = {"mean map": summary(contact_rows(asked, mean.predict(asked), threshold=threshold))}
        for name, (network, encoder) in rows.items():
            found = {}
            for task in ("human", "object"):
                source = with_features(synth(config.root, split, task), blind=name == "no image")
                examples = _some(source, config.count)
                predicted = predict(network, encoder, task, examples, batch=config.batch, steps=24)
                found |= (contact_rows if task == "human" else object_rows)(examples, predicted)
            scores[split][name] = summary(found)
    record = {"config": settings_of(config, ("out", "results")), "scores": scores, **software()}
    write_page(config.results, "interactvlm_small", record, markdown(config, scores))
    return scores


def _some(source: Source, count: int) -> list[Example]:
    return [source[i] for i in range(min(count, len(source)))]


def markdown(config: Config, scores: dict[str, Any]) -> str:
    """The page."""
    metrics = ("semantic_f1", "semantic_precision", "semantic_recall", "object_f1")
    rows = [
        [split, name, *(interval(found.get(metric), 3) for metric in metrics)]
        for split, table_ in scores.items()
        for name, found in table_.items()
    ]
    return page(
        "A small InteractVLM on SynthHOI",
        f"Made by `python -m hoijax.experiments.interactvlm.small`, one seed, {config.steps:,} steps of "
        f"{config.batch}. "
        "Autoregressive. An image of SynthHOI has one object, so binary and semantic contact are the same. The "
        "mean map's threshold was chosen on val." + note_of(dataclasses.asdict(config)),
        table(["split", "", "F1", "precision", "recall", "object F1"], rows),
    )


if __name__ == "__main__":
    run_command(run, Config)
