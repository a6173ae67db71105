"""A small InteractVLM on SynthHOI: image and label to contact on the body, image and mesh to contact on the object.

    hoijax data build synth_hoi --root DIR
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small    # goes on where it was stopped
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small --split test    # once, when chosen

The pictures' features come from the landmark network that hoijax ships (BlazePose, which has seen photographs), frozen:
the maps behind its last block of 16 x 16 cells, of a crop about the person (`small_data`). Each training sample is
drawn `views` times more, by other cameras, lights and rooms. The decoder reads sentences of a vocabulary of whole
words; SAM sees views of 256 pixels. All learns but SAM's image encoder. `--changes` trains a row of the table: "no
gate" without the camera gate, "no image" with the features zero. Thresholds of every row are chosen on val, at the
last step or, of a training that was stopped (`--until`), at that one.
"""

import dataclasses
import pathlib
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from hoijax.body_models import free_body, part_names
from hoijax.data.synth.actions import ACTIONS
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, interval, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.experiments.interactvlm import train as training
from hoijax.experiments.interactvlm.data import Example, Group, Mixture, Source, Task
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.evaluate import MeanMap, best_threshold, contact_rows, object_rows, predict, summary
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.small_data import CHANNELS, view_features, view_source, with_features
from hoijax.experiments.interactvlm.sources import SPECIAL, synth
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.language import WordTokenizer
from hoijax.nets import interactvlm as nets
from hoijax.nets import llama, sam
from hoijax.systems.interactvlm import OWN


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


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """A built SynthHOI."""
    out: pathlib.Path
    """Folder of the trainings."""
    steps: int = 4000
    """Of each training."""
    batch: int = 16
    """Samples of a step."""
    rate: float = 2e-3
    """Largest step size."""
    views: int = 4
    """Further pictures of each training sample."""
    objects: float = 0.25
    """How often a step is about objects, against once about bodies."""
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
    features = view_features(config.root, config.out / "features", config.views, config.seed)
    tasks: tuple[tuple[Task, float], ...] = (("human", 1.0), ("object", config.objects))
    groups = [
        Group(task, (view_source(config.root, task, features, blind=name == "no image"),), weight)
        for task, weight in tasks
        if weight > 0
    ]
    state = training.train(own, start, Mixture(groups, config.seed), encoder)
    network = training.finished(state, start.config, own)
    facts = {"training": settings_of(own, ("out",)), "words": list(vocabulary().words), "special": list(SPECIAL)}
    training.save(own.out / "interactvlm.safetensors", network, facts)
    return network, encoder


def run(config: Config) -> dict[str, Any]:
    """Trains, scores, and writes `interactvlm_small.json` and `.md`."""
    rows = {name: train_one(config, name) for name in ("whole", *config.changes)}
    maps = MeanMap(_all(synth(config.root, "train", "human")))
    scores: dict[str, Any] = {}
    chosen: dict[str, dict[str, float]] = {}
    for split in ("val", *(name for name in synth_splits(config.split) if name != "val")):
        said = {name: _answers(config, split, name, *row) for name, row in rows.items()}
        asked = _some(synth(config.root, split, "human"), config.count)
        said[MEAN] = {"human": (asked, maps.predict(asked))}
        if split == "val":
            chosen = {
                name: {task: best_threshold(*answer) for task, answer in answers.items()}
                for name, answers in said.items()
            }
        scores[split] = score(said, chosen)
    if config.split == "test":
        del scores["val"]
    record = {
        "config": settings_of(config, ("out", "results")), "thresholds": chosen, "scores": scores, **software()
    }  # fmt: skip
    write_page(config.results, "interactvlm_small", record, markdown(config, scores))
    return scores


MEAN = "mean map"
"""The row of each category's mean contact map in the training data."""


def _answers(
    config: Config, split: str, name: str, network: nets.Model, encoder: Encoder
) -> dict[str, tuple[list[Example], list[np.ndarray]]]:
    """What a network says of a split, by task."""
    found = {}
    for task in ("human", "object") if config.objects > 0 else ("human",):
        examples = _some(with_features(synth(config.root, split, task), blind=name == "no image"), config.count)
        found[task] = (examples, predict(network, encoder, task, examples, batch=config.batch, steps=24))
    return found


def score(
    said: dict[str, dict[str, tuple[list[Example], list[np.ndarray]]]], chosen: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Scores of every row, and of "whole" what it has more than each, over the same samples.

    Args:
      said: examples and answers by row and task.
      chosen: thresholds by row and task.
    """
    each: dict[str, dict[str, np.ndarray]] = {}
    for name, answers in said.items():
        each[name] = {}
        for task, (examples, predicted) in answers.items():
            rows = contact_rows if task == "human" else object_rows
            each[name] |= rows(examples, predicted, threshold=chosen[name][task])
    out: dict[str, Any] = {name: summary(found) for name, found in each.items()}
    for name, found in each.items():
        if name != "whole":
            gains = {f"gain_{metric}": each["whole"][metric] - found[metric] for metric in GAINS if metric in found}
            out[name] |= summary(gains)
    return out


GAINS = ("semantic_f1", "object_f1")
"""Metrics whose differences are given."""


def _all(source: Source) -> list[Example]:
    return _some(source, len(source))


def _some(source: Source, count: int) -> list[Example]:
    return [source[i] for i in range(min(count, len(source)))]


def markdown(config: Config, scores: dict[str, Any]) -> str:
    """The page."""
    metrics = ("semantic_f1", "semantic_precision", "semantic_recall", "gain_semantic_f1", "object_f1")
    rows = [
        [split, name, *(interval(found.get(metric), 3) for metric in metrics)]
        for split, table_ in scores.items()
        for name, found in table_.items()
    ]
    steps = config.steps if config.until is None else config.until
    stopped = "" if config.until is None else f" of a schedule of {config.steps:,}"
    return page(
        "A small InteractVLM on SynthHOI",
        f"Made by `python -m hoijax.experiments.interactvlm.small`, one seed, {steps:,} steps{stopped} of "
        f"{config.batch}, each training sample by {config.views + 1} cameras and their mirror images. "
        "Autoregressive. An image of SynthHOI has one object, so binary and semantic contact are the same. "
        "Thresholds of all rows were chosen on val." + note_of(dataclasses.asdict(config)),
        table(["split", "", "F1", "precision", "recall", "whole has more F1", "object F1"], rows),
    )


if __name__ == "__main__":
    run_command(run, Config)
