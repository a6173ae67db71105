"""A small InteractVLM on SynthHOI: image and label to contact on the body, image and mesh to contact on the object.

    hoijax data build synth_hoi --root DIR
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small    # goes on where it was stopped
    python -m hoijax.experiments.interactvlm.small --root DIR --out runs/small --split test    # once, when chosen

The pictures' features come from the landmark network that hoijax ships (BlazePose, which has seen photographs), frozen,
of a crop about the person (`crops`). Contact is learned from the build's samples, each drawn `views` times more, by
other cameras, lights and rooms (`small_data`), of bodies with mirror images; `--scripts` adds starts before their fit,
each drawn once, whose contact is not quite that of fitted samples. The decoder reads sentences of a vocabulary of whole
words; SAM sees views of 256 pixels. All learns but SAM's encoders. `--changes` trains a row of the table: "no
gate" without the camera gate, "no image" with the features zero. A row is trained from each of `--seeds` (`--changed`:
of the first ones); a sample's score is the mean over them, so that intervals over samples are of what a seed gives on
average. Thresholds of every row and seed are chosen on val, at the last step or, of a training that was stopped
(`--until`), at that one.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from hoijax.body_models import free_body, part_names
from hoijax.data.synth.actions import ACTIONS
from hoijax.errors import InputError
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
    channels: int = 96
    """Of SAM's embeddings and mask decoder. A mask is a product of an eighth of them, and with six no mask shows what
    the contact token knows."""
    views: int = 256
    """Pixels of a view's side."""
    length: int = 84
    """Tokens of a conversation."""
    learns: tuple[str, ...] = (r"^language\.layers", r"^language\.norm", r"^mm_projector")
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
    scripts: int = 0
    """Starts before their fit, beside the build's samples."""
    scripts_seed: int = 9
    """Of SynthHOI's draws for them; not the build's."""
    views: int = 2
    """Further pictures of each sample of the build."""
    views_seed: int = 0
    """Of their cameras and lights."""
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
    seeds: tuple[int, ...] = (0,)
    """Of first weights and of the order of examples."""
    changed: int | None = None
    """With how many of them, the first ones, rows of `changes` are trained; None: with all."""
    ship: pathlib.Path | None = None
    """With the split "dev": the first seed's whole network is written here, with the thresholds that were chosen."""
    results: pathlib.Path = RESULTS

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds must be one number or more, each once; got {self.seeds}")
        if self.changed is not None and not 1 <= self.changed <= len(self.seeds):
            raise InputError(f"changed must be from 1 to the {len(self.seeds)} seeds; got {self.changed}")


def settings(config: Config, name: str, seed: int, *, token: bool = False) -> TrainConfig:
    """Of one training; `token`: without views."""
    steps = config.token_steps if token else config.steps
    batch = config.token_batch if token else config.batch
    return TrainConfig(
        out=config.out / f"seed{seed}" / name.replace(" ", "_"), steps=steps, batch=batch,
        rate=config.rate, adapted="", more=SIZES.learns, length=SIZES.length, compute="float32", remat=False,
        loss_at="masks", average=0.998 if token else 0.99, seed=seed,
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
        views = view_features(config.root, folder, config.views, config.views_seed)
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


def train_one(config: Config, data: Data, name: str, seed: int) -> tuple[nets.Model, Encoder]:
    """One training, from its last checkpoint where there is one."""
    blind, body = name == "no image", free_body()
    begin = small_network(seed=seed)
    start = small_network(gate="none", seed=seed) if name == "no gate" else nnx.clone(begin)
    objects = synth(config.root, "train", "object")
    meshes = [objects[i].mesh for i in range(0, len(objects), max(1, len(objects) // _TAUGHT))]
    for network in (begin, start):
        teach_encoder(network, body, meshes, config.out / "encoder.safetensors")
    surfaces = Surfaces(start, body, folder=config.out / "views")
    # A gate changes nothing before there are views, so both networks with pictures have this part in common.
    first = settings(config, "blind token" if blind else "token", seed, token=True)
    human = Group("human", data.sources(config, "human", blind=blind))
    encoder = Encoder(vocabulary(), begin.config, first, surfaces, body)
    state = training.train(first, begin, Mixture([human], seed), encoder)
    taught = training.finished(state, begin.config, first, body.num_vertices)
    start = Whole.of(start, body.num_vertices, nnx.Rngs(seed))
    for part in ("language", "mm_projector", "text_hidden_fcs", "flat"):
        nnx.update(getattr(start, part), nnx.state(getattr(taught, part)))
    own = settings(config, name, seed)
    encoder = Encoder(vocabulary(), start.config, own, surfaces, body)
    groups = [human]
    if config.objects > 0:
        groups.append(Group("object", data.sources(config, "object", blind=blind), config.objects))
    state = training.train(own, start, Mixture(groups, seed), encoder)
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
    runs = [("whole", seed) for seed in config.seeds]
    runs += [(name, seed) for name in config.changes for seed in config.seeds[: config.changed]]
    rows = {run: train_one(config, data, *run) for run in runs}
    maps = {MEAN: MeanMap(_all(synth(config.root, "train", "human")))}
    if data.scripts is not None:
        maps[MORE] = MeanMap([e for source in data.sources(config, "human", blind=True) for e in _all(source)])
    scores: dict[str, Any] = {}
    chosen: dict[str, list[dict[str, float]]] = {}
    for split in ("val", *(name for name in synth_splits(config.split) if name != "val")):
        said: Said = {}
        for (name, _), row in rows.items():
            said.setdefault(name, []).append(_answers(config, data, split, name, *row))
        asked = _some(synth(config.root, split, "human"), config.count)
        said |= {name: [{"human": (asked, means.predict(asked))}] for name, means in maps.items()}
        if split == "val":
            chosen = {
                name: [{task: best_threshold(*answer) for task, answer in answers.items()} for answers in by_seed]
                for name, by_seed in said.items()
            }
            if config.ship is not None and config.split == "dev":
                facts = facts_of(settings(config, "whole", config.seeds[0]), data) | {"thresholds": chosen["whole"][0]}
                training.save(config.ship, rows["whole", config.seeds[0]][0], facts)
        scores[split] = score(said, chosen)
    if config.split == "test":
        del scores["val"]
    record = {
        "config": settings_of(config, ("root", "out", "ship", "results")), "samples": len(data.views),
        "thresholds": chosen, "scores": scores, **software(),
    }  # fmt: skip
    write_page(config.results, "interactvlm_small", record, markdown(record))
    return scores


Said = dict[str, list[dict[str, tuple[list[Example], list[np.ndarray]]]]]
"""Examples and answers by row, seed and task."""
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


def score(said: Said, chosen: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Scores of every row, means over its seeds, and of "whole" what it has more than each, over the same samples and,
    where a row is trained, seeds.

    Args:
      said: examples and answers.
      chosen: thresholds by row, seed and task.
    """
    each: dict[str, list[dict[str, np.ndarray]]] = {}
    for name, seeds in said.items():
        each[name] = []
        for answers, thresholds in zip(seeds, chosen[name], strict=True):
            each[name].append({})
            for task, (examples, predicted) in answers.items():
                rows = contact_rows if task == "human" else object_rows
                each[name][-1] |= rows(examples, predicted, threshold=thresholds[task])
    out: dict[str, Any] = {}
    for name, found in each.items():
        by_seed = {metric: [float(one[metric].mean()) for one in found] for metric in GAINS if metric in found[0]}
        means = _mean(found)
        out[name] = summary(means) | {"by_seed": by_seed}
        if name != "whole":
            whole = _mean(each["whole"][: None if name in (MEAN, MORE) else len(found)])
            gains = {f"gain_{metric}": whole[metric] - means[metric] for metric in GAINS if metric in means}
            out[name] |= summary(gains)
    return out


def _mean(found: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Each sample's metrics over seeds."""
    return {metric: np.mean([one[metric] for one in found], axis=0) for metric in found[0]}


GAINS = ("semantic_f1", "object_f1")
"""Metrics whose differences are given."""


def _all(source: Source) -> list[Example]:
    return _some(source, len(source))


def _some(source: Source, count: int) -> list[Example]:
    return [source[i] for i in range(min(count, len(source)))]


def markdown(record: Mapping[str, Any]) -> str:
    """The page of a record."""
    config, scores = record["config"], record["scores"]
    metrics = ("semantic_f1", "semantic_precision", "semantic_recall", "gain_semantic_f1", "object_f1")
    rows = [
        [split, name, *(interval(found.get(metric), 3) for metric in metrics)]
        for split, table_ in scores.items()
        for name, found in table_.items()
    ]
    stopped = "" if config["until"] is None else f" of a schedule of {config['steps']:,}"
    steps, seeds = config["until"] or config["steps"], len(config["seeds"])
    by_seed = "; ".join(
        f"{split}, {name}, " + ", ".join(f"{value:.3f}" for value in table_[name]["by_seed"]["semantic_f1"])
        for split, table_ in scores.items()
        for name in ("whole", *config["changes"])
    )
    first = "" if config["changed"] in (None, seeds) else f" (rows without a part: {config['changed']})"
    scripts = f"{config['scripts']:,} scripts before their fit and " if config["scripts"] else ""
    return page(
        "A small InteractVLM on SynthHOI",
        "Made by `python -m hoijax.experiments.interactvlm.small`, "
        f"{'one seed' if seeds == 1 else f'{seeds} seeds, means over them'}{first}: {config['token_steps']:,} steps of "
        f"{config['token_batch']} without views, then {steps:,} steps{stopped} of {config['batch']} with them, from "
        f"{scripts}{record['samples']:,} training samples by {config['views'] + 1} cameras, with mirror images. "
        "Autoregressive. An image of SynthHOI has one object, so binary and semantic contact are the same. "
        "Thresholds of all rows were chosen on val." + note_of(config),
        table(["split", "", "F1", "precision", "recall", "whole has more F1", "object F1"], rows),
        f"F1 by seed: {by_seed}.",
    )


if __name__ == "__main__":
    run_command(run, Config)
