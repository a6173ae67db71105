"""A small InteractVLM on SynthHOI: image and label to contact on the body, image and mesh to contact on the object.

    hoijax data build synth_hoi --root DIR
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small    # goes on where it was stopped
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small --split test    # once, when chosen

The pictures' features come from the landmark network that hoijax ships (BlazePose, which has seen photographs), frozen,
of a crop about the person (`crops`). Contact of bodies is learned from `scripts` starts before their fit, each
drawn once, and from the build's samples, each drawn `views` times more, by other cameras, lights and rooms
(`small_data`); contact of objects from the build's alone. The decoder reads sentences of a vocabulary of whole words;
SAM sees views of 256 pixels. All learns but SAM's image encoder. `--changes` trains a row of the table: "no gate"
without the camera gate, "no image" with the features zero. Thresholds of every row are chosen on val, at the last step
or, of a training that was stopped (`--until`), at that one.
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
from hoijax.experiments.interactvlm.light_data import WORDS
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.settings import LossWeights
from hoijax.experiments.interactvlm.small_data import (
    Scripted,
    scripted,
    scripted_source,
    view_features,
    view_source,
    with_features,
)
from hoijax.experiments.interactvlm.small_views import teach_encoder
from hoijax.experiments.interactvlm.sources import SPECIAL, synth
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.experiments.interactvlm.variants import Whole
from hoijax.language import WordTokenizer
from hoijax.nets import interactvlm as nets
from hoijax.nets import llama, sam
from hoijax.systems.interactvlm import OWN
from hoijax.systems.interactvlm.crops import CHANNELS, Scale


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of the small network."""

    width: int = 96
    """Channels of the decoder."""
    layers: int = 2
    heads: int = 4
    channels: int = 48
    """Of SAM's embeddings and mask decoder."""
    views: int = 256
    """Pixels of a view's side."""
    length: int = 84
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
    token_steps: int = 2400
    """Of each training without views, on words and on vertices straight from the token: a third of the cost."""
    token_batch: int = 16
    """Samples of such a step."""
    steps: int = 1200
    """Of each training with views, which goes on from there."""
    batch: int = 8
    """Samples of a step."""
    rate: float = 1.2e-3
    """Largest step size."""
    scripts: int = 1500
    """Starts before their fit, beside the build's samples."""
    scripts_seed: int = 9
    """Of SynthHOI's draws for them; not the build's."""
    views: int = 2
    """Further pictures of each sample of the build."""
    flat: float = 1.0
    """Weight of the loss on vertices straight from the token."""
    objects: float = 0.1
    """How often a step is about objects, against once about bodies."""
    until: int | None = None
    """Stop after this step with views, to go on another time."""
    split: Split = "dev"
    """Whose samples are scored."""
    count: int = 1000
    """Of each split, at most."""
    asked: tuple[Literal["human", "object"], ...] = ("human", "object")
    """What is scored: contact on bodies, on objects."""
    changes: tuple[Literal["no gate", "no image"], ...] = ("no gate", "no image")
    """Further trainings of the table."""
    seed: int = 0
    ship: pathlib.Path | None = None
    """With the split "dev": the whole network is written here, with the thresholds that were chosen."""
    results: pathlib.Path = RESULTS


def settings(config: Config, name: str, *, token: bool = False) -> TrainConfig:
    """Of one training; `token`: without views."""
    steps = config.token_steps if token else config.steps
    return TrainConfig(
        out=config.out / name.replace(" ", "_"), steps=steps, batch=config.token_batch if token else config.batch,
        rate=config.rate, adapted="", more=SIZES.learns, length=SIZES.length, compute="float32", remat=False,
        loss_at="masks", average=0.998 if token else 0.99, seed=config.seed,
        until=None if token else config.until, save_every=200,
        warmup=min(100, max(steps // 10, 1)), weights=LossWeights(flat=config.flat), without="views" if token else None,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Data:
    """What is learned from."""

    views: list[np.ndarray]
    """Features of the build's samples."""
    scripts: Scripted | None
    scale: Scale

    @classmethod
    def of(cls, config: Config) -> "Data":
        """Features of a configuration, found once and kept in its folder."""
        folder = config.out / "features"
        views = view_features(config.root, folder, config.views, config.seed)
        scripts = scripted(folder, config.scripts, config.scripts_seed) if config.scripts else None
        shown = [own[0, 0] for own in views] + ([] if scripts is None else list(scripts.features[:_SCALED, 0]))
        return cls(views, scripts, Scale.of(shown[: 2 * _SCALED]))

    def sources(self, config: Config, task: Task, *, blind: bool = False) -> tuple[Source, ...]:
        """Examples of a task: of the build, of scripts; `blind`: features of zeros."""
        own = view_source(config.root, task, self.views, self.scale, blind=blind)
        if task != "human" or self.scripts is None:
            return (own,)
        return own, scripted_source(self.scripts, self.scale, blind=blind)


_SCALED = 500
"""Crops that the scale is of, at most, of samples and of scripts."""


def train_one(config: Config, data: Data, name: str) -> tuple[nets.Model, Encoder]:
    """One training, from its last checkpoint where there is one."""
    blind, body = name == "no image", free_body()
    begin = small_network(seed=config.seed)
    start = small_network(gate="none", seed=config.seed) if name == "no gate" else nnx.clone(begin)
    objects = synth(config.root, "train", "object")
    meshes = [objects[i].mesh for i in range(0, len(objects), max(1, len(objects) // _TAUGHT))]
    for network in (begin, start):
        teach_encoder(network, body, meshes, config.out / "encoder.safetensors")
    surfaces = Surfaces(start, body, folder=config.out / "views")
    # A gate changes nothing before there are views, so both networks with pictures have this part in common.
    first = settings(config, "blind token" if blind else "token", token=True)
    human = Group("human", data.sources(config, "human", blind=blind))
    encoder = Encoder(vocabulary(), begin.config, first, surfaces, body)
    state = training.train(first, begin, Mixture([human], config.seed), encoder)
    taught = training.finished(state, begin.config, first, body.num_vertices)
    start = Whole.of(start, body.num_vertices, nnx.Rngs(config.seed))
    for part in ("language", "mm_projector", "text_hidden_fcs", "flat"):
        nnx.update(getattr(start, part), nnx.state(getattr(taught, part)))
    own = settings(config, name)
    encoder = Encoder(vocabulary(), start.config, own, surfaces, body)
    groups = [human]
    if config.objects > 0:
        groups.append(Group("object", data.sources(config, "object", blind=blind), config.objects))
    state = training.train(own, start, Mixture(groups, config.seed), encoder)
    network = training.finished(state, start.config, own, body.num_vertices)
    training.save(own.out / "interactvlm.safetensors", network, facts_of(own, data))
    return network, encoder


_TAUGHT = 25
"""Objects whose places the views' encoder is taught."""


def facts_of(own: TrainConfig, data: Data) -> dict[str, Any]:
    """What a file of weights keeps beside them: what a picture and a question are made of (`jobs.contact_vlm`)."""
    return {
        "training": settings_of(own, ("out",)), "words": list(vocabulary().words), "special": list(SPECIAL),
        "labels": list(WORDS), **data.scale.facts(),
    }  # fmt: skip


def run(config: Config) -> dict[str, Any]:
    """Trains, scores, and writes `interactvlm_small.json` and `.md`."""
    data = Data.of(config)
    rows = {name: train_one(config, data, name) for name in ("whole", *config.changes)}
    maps = {MEAN: MeanMap(_all(synth(config.root, "train", "human")))}
    if data.scripts is not None:
        maps[MORE] = MeanMap([e for source in data.sources(config, "human", blind=True) for e in _all(source)])
    scores: dict[str, Any] = {}
    chosen: dict[str, dict[str, float]] = {}
    for split in ("val", *(name for name in synth_splits(config.split) if name != "val")):
        said = {name: _answers(config, data, split, name, *row) for name, row in rows.items()}
        asked = _some(synth(config.root, split, "human"), config.count)
        said |= {name: {"human": (asked, means.predict(asked))} for name, means in maps.items()}
        if split == "val":
            chosen = {
                name: {task: best_threshold(*answer) for task, answer in answers.items()}
                for name, answers in said.items()
            }
            if config.ship is not None and config.split == "dev":
                facts = facts_of(settings(config, "whole"), data) | {"thresholds": chosen["whole"]}
                training.save(config.ship, rows["whole"][0], facts)
        scores[split] = score(said, chosen)
    if config.split == "test":
        del scores["val"]
    record = {
        "config": settings_of(config, ("out", "results")), "thresholds": chosen, "scores": scores, **software()
    }  # fmt: skip
    write_page(config.results, "interactvlm_small", record, markdown(config, scores))
    return scores


MEAN = "mean map"
"""The row of each category's mean contact map in the build's training samples."""
MORE = "mean map, scripts too"
"""That of all that the network learns from, mirror images too."""


def _answers(
    config: Config, data: Data, split: str, name: str, network: nets.Model, encoder: Encoder
) -> dict[str, tuple[list[Example], list[np.ndarray]]]:
    """What a network says of a split, by task."""
    found = {}
    for task in config.asked:
        examples = _some(
            with_features(synth(config.root, split, task), data.scale, blind=name == "no image"), config.count
        )
        found[task] = (examples, predict(network, encoder, task, examples, batch=config.batch, steps=48))
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
        f"{config.batch}, from {config.scripts:,} scripts before their fit, drawn once each, and the build's training "
        f"samples by {config.views + 1} cameras, with mirror images of all. "
        "Autoregressive. An image of SynthHOI has one object, so binary and semantic contact are the same. "
        "Thresholds of all rows were chosen on val." + note_of(dataclasses.asdict(config)),
        table(["split", "", "F1", "precision", "recall", "whole has more F1", "object F1"], rows),
    )


if __name__ == "__main__":
    run_command(run, Config)
