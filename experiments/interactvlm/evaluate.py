"""Scores InteractVLM: contact by object and by image, affordances by PIAD's protocol, with bootstrap intervals.

    python -m hoijax.experiments.interactvlm.evaluate --weights interactvlm.safetensors --tokenizer published/ \
        --body-model data/smplh --data.damon data/damon --split test

Always autoregressive: the network gets a question and writes its answer; nothing of a true answer goes in. (The
released evaluator was fed true answers: 75.6 F1 where 70.3 was true.) A sample whose answer has no contact token has no
contact.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, interval, page, settings_of, table, write_page
from hoijax.experiments.interactvlm.data import Example, Task
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.settings import LIFTS, Config
from hoijax.experiments.interactvlm.sources import DataConfig, Setting, eval_sources
from hoijax.experiments.interactvlm.variants import images_alone, predict_flat
from hoijax.metrics import affordance_scores_host, bootstrap_mean, geodesic_error_host, vertex_scores_host
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import RunConfig, ask, lift_masks
from hoijax.systems.interactvlm.system import localise

TOUCHING = 0.5
"""Probability from which a vertex touches."""
CONTACT = ("f1", "precision", "recall")
AFFORDANCE = ("auc", "aiou", "sim", "mae")


@functools.partial(jax.jit, static_argnames=("graph", "task", "config", "without", "body_each"))
def _answer(
    graph: nnx.GraphDef, state: Any, batch: Any, body: Any, *, task: Task, config: RunConfig, without: str | None,
    body_each: bool,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Probabilities of vertices, and whether a contact token was said."""
    network = nnx.merge(graph, state)
    patches = network.see(batch.images)
    surface = batch.canvas.surface if body_each else body.surface
    kind = nets.HUMAN if task == "human" else nets.OBJECT
    if without in ("views", "language"):
        if without == "language":
            contact = images_alone(network, patches, task)
        else:
            contact = network.write(patches, batch.prompts, stop=config.stop, steps=config.steps)[1]
        if without == "views":
            scores = predict_flat(network, contact)
        else:
            logits = localise(network, contact, surface, kind, each=body_each)
            scores = lift_masks(logits, surface.lift, LIFTS[task], each=body_each)
        said = contact.found.astype(scores.dtype)
        return scores * said[:, None], contact.found
    scores, stages = ask(
        network, patches, batch.prompts, surface, kind=kind, mode=LIFTS[task], config=config, each=body_each
    )  # fmt: skip
    return scores, stages.contact.found


def predict(
    network: nets.Model, encoder: Encoder, task: Task, examples: Sequence[Example], *, batch: int = 8, steps: int = 64
) -> list[np.ndarray]:
    """Probabilities of contact (V,) for each example, from answers that the network writes itself.

    Args:
      network: in evaluation mode.
      encoder: examples to batches; its templates' first questions are asked.
      task: of the examples.
      examples: whatever they hold of true answers is not looked at, but for the object's mesh.
      batch: how many are asked at a time.
      steps: most tokens of an answer.
    """
    graph, state = nnx.split(network)
    config = RunConfig(stop=encoder.tokenizer.id_of("</s>"), steps=steps)
    found: list[np.ndarray] = []
    for first in range(0, len(examples), batch):
        rows = [examples[i] for i in range(first, min(first + batch, len(examples)))]
        full = rows + [rows[-1]] * (batch - len(rows))  # the last batch is filled up: one program for all
        asked = encoder.batch(task, full)
        each = task != "human"
        scores, _ = _answer(
            graph, state, asked.replace(contact=None), None if each else encoder.surfaces.body, task=task,
            config=config, without=encoder.config.without, body_each=each,
        )  # fmt: skip
        for example, score in zip(rows, np.asarray(scores)):
            found.append(score[: len(example.mesh.vertices)] if each else score)
    return found


def contact_rows(
    examples: Sequence[Example], predicted: Sequence[np.ndarray], *, distances: np.ndarray | None = None,
    threshold: float = TOUCHING,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Scores of samples: of each (image, object), named `semantic_`, and of each image, the union of its objects,
    named `binary_`.

    Args:
      examples: with true contact.
      predicted: probabilities.
      distances: along the body's surface, metres (`geodesic_distances_host`); adds the geodesic error, cm.
      threshold: from which a vertex touches.
    """
    guess = [np.asarray(p) >= threshold for p in predicted]
    truth = [np.asarray(e.contact) > 0.5 for e in examples]
    rows = _rows(guess, truth, distances, "semantic")
    groups: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        groups.setdefault(example.group or example.key, []).append(i)
    union = [[np.any([sets[i] for i in ids], axis=0) for ids in groups.values()] for sets in (guess, truth)]
    return rows | _rows(*union, distances, "binary")


def _rows(
    guess: Sequence[np.ndarray], truth: Sequence[np.ndarray], distances: np.ndarray | None, name: str
) -> dict[str, np.ndarray]:
    scores = [vertex_scores_host(g, t) for g, t in zip(guess, truth, strict=True)]
    rows = {f"{name}_{metric}": np.array([getattr(s, metric) for s in scores]) for metric in CONTACT}
    if distances is not None:
        far = [geodesic_error_host(g, t, distances).false_positive_cm for g, t in zip(guess, truth)]
        rows[f"{name}_geodesic_cm"] = np.array(far)
    return rows


def object_rows(
    examples: Sequence[Example], predicted: Sequence[np.ndarray], *, threshold: float = TOUCHING
) -> dict[str, np.ndarray]:
    """Scores of contact on objects' vertices."""
    guess = [np.asarray(p) >= threshold for p in predicted]
    return _rows(guess, [np.asarray(e.contact) > 0.5 for e in examples], None, "object")


def affordance_rows(examples: Sequence[Example], predicted: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """PIAD's four numbers of samples."""
    scores = [affordance_scores_host(p, e.contact) for e, p in zip(examples, predicted, strict=True)]
    return {name: np.array([getattr(score, name) for score in scores]) for name in AFFORDANCE}


def summary(rows: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Means with 95 % bootstrap intervals over samples."""
    return {name: dataclasses.asdict(bootstrap_mean(values)) for name, values in rows.items()}


class MeanMap:
    """The first row of every table: a label's mean contact map in the training data, the mean over all where the label
    is not there.

    Args:
      examples: of training; pictures are not looked at.
    """

    def __init__(self, examples: Sequence[Example]):
        total: dict[str, list[Any]] = {}
        for example in examples:
            row = total.setdefault(example.label, [0.0, 0])
            row[0], row[1] = row[0] + np.asarray(example.contact, np.float64), row[1] + 1
        if not total:
            raise InputError("a mean contact map wants examples")
        self.maps = {label: value / count for label, (value, count) in total.items()}
        self.mean = sum(value for value, _ in total.values()) / sum(count for _, count in total.values())

    def predict(self, examples: Sequence[Example]) -> list[np.ndarray]:
        """The map of each example's label."""
        return [self.maps.get(example.label, self.mean) for example in examples]


def best_threshold(examples: Sequence[Example], predicted: Sequence[np.ndarray]) -> float:
    """The threshold with the best semantic F1, of twenty; choose it on dev."""
    tried = np.linspace(0.05, 0.95, 19)
    f1 = [contact_rows(examples, predicted, threshold=t)["semantic_f1"].mean() for t in tried]
    return float(tried[int(np.argmax(f1))])


@dataclasses.dataclass(frozen=True)
class EvalConfig(Setting):
    """Every number of an evaluation."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """What is scored."""
    split: str = "test"
    """Of each data set; what has no such split is left out."""
    count: int | None = None
    """Samples of each source, the first; None: all."""
    batch: int = 8
    """Samples that are asked at a time."""
    words: int = 64
    """Most tokens of an answer."""
    geodesic: bool = True
    """Whether the geodesic error is measured: a matrix of all vertices."""
    results: pathlib.Path = RESULTS
    """Folder of the table."""


def run(config: EvalConfig) -> dict[str, Any]:
    """Scores a network and writes `interactvlm_scores.json` and `.md`."""
    network, encoder = config.open(Config(out=config.results, parts="fine", part_dropout=0.0))
    scores: dict[str, Any] = {}
    for name, (task, source) in eval_sources(config.data, config.split).items():
        examples = [source[i] for i in range(len(source) if config.count is None else min(config.count, len(source)))]
        predicted = predict(network, encoder, task, examples, batch=config.batch, steps=config.words)
        if task == "human":
            rows = contact_rows(
                examples, predicted, distances=encoder.surfaces.distances() if config.geodesic else None
            )
        else:
            rows = affordance_rows(examples, predicted)
        scores[name] = summary(rows)
    record = {"config": settings_of(config, ("results",)), "scores": scores, **software()}
    write_page(config.results, "interactvlm_scores", record, markdown(config, scores))
    return scores


def markdown(config: EvalConfig, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of scores."""
    rows = [
        [name, metric.replace("_", " "), interval(row, 1 if metric.endswith("cm") else 3), str(row["count"])]
        for name, metrics in scores.items()
        for metric, row in metrics.items()
    ]
    return page(
        "InteractVLM: contact and affordances",
        f"Made by `python -m hoijax.experiments.interactvlm.evaluate` on the split {config.split}. Autoregressive: the "
        "network writes its own answers. F1 of each sample, then the mean, with 95 % bootstrap intervals over samples.",
        table(["data", "metric", "mean (95 %)", "samples"], rows),
    )


if __name__ == "__main__":
    run_command(run, EvalConfig)
