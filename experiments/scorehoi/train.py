"""Trains ScoreHOI: the regressor with contact predictor and mesh refiner (stage 1), then the denoiser (stage 2).

    python -m hoijax.experiments.scorehoi.train --stage 1 --dataset synth_hoi --root DIR --out runs/regressor
    python -m hoijax.experiments.scorehoi.train --stage 2 --dataset synth_hoi --root DIR --out runs/denoiser \
        --first runs/regressor/weights.safetensors
    python -m hoijax.experiments.scorehoi.train --stage 1 --dataset views --views runs/views/scripted runs/views/solved
    python -m hoijax.experiments.scorehoi.train --size tiny --level test --vertices 48 --steps 4 --out runs/try

Without `--dataset` it trains on made-up pictures (`made_up.MadeUp`): a check of the machinery; `--dataset views` is
pictures that `hoijax.experiments.scorehoi.views` drew. A stopped run goes on where its last checkpoint was, and many
devices or processes may share it (docs/training.md). Writes `config.json`, `metrics.jsonl`, checkpoints, and in the end
`weights.safetensors` with the averaged parameters. How the shipped weights were trained: `recipes`.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from hoijax.data.augmentation import AugmentConfig
from hoijax.data.loading import POSITION, Loader, LoaderConfig, Source
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.placement import gather, is_first_process, join_processes
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import Trainer, TrainState, Variables
from hoijax.experiments.scorehoi.augmentation import augment_batch
from hoijax.experiments.scorehoi.backbone_features import load_or_encode
from hoijax.experiments.scorehoi.real import VIEWS
from hoijax.experiments.scorehoi.sources import FREE, PictureConfig, augmentation, make_source
from hoijax.experiments.scorehoi.stages import DenoiserStage, RegressorStage
from hoijax.io import output_directory
from hoijax.nets.weights import save_network
from hoijax.systems.scorehoi.networks import sizes_of


@dataclasses.dataclass(frozen=True)
class RegressorTraining(PictureConfig):
    """Every number of a run of stage 1; written whole next to the results."""

    share: float = 1.0
    """Of each batch that contact predictor and mesh refiner learn from."""

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise InputError(f"share is a fraction of the batch, got {self.share}")


@dataclasses.dataclass(frozen=True)
class DenoiserTraining(PictureConfig):
    """Every number of a run of stage 2; written whole next to the results."""

    first: pathlib.Path | None = None
    """Weights of stage 1."""
    attention: str = "ip_adapter"
    """Of the denoiser: "ip_adapter", "pooled" (trained in minutes) or "released" (the authors', which sees nothing)."""
    levels: int | None = None
    """How many time indices are trained, from 0; refinement never leaves the lowest. All where None."""
    passes: int = 0
    """Look at every picture so many times before the first step, each time augmented anew, and learn from what the
    frozen backbone saw; 0: the backbone runs in every step."""
    drop: float = 0.1
    """How often each condition is dropped; not in the paper."""

    def __post_init__(self):
        super().__post_init__()
        if self.first is None:
            raise InputError("--stage 2 needs --first, the weights.safetensors of a run of stage 1")


Config = RegressorTraining | DenoiserTraining
CONFIGS: dict[int, type[PictureConfig]] = {1: RegressorTraining, 2: DenoiserTraining}
"""By stage."""


def configure(stage: int = 1, **settings: Any) -> Config:
    """The configuration of a stage.

    Raises:
      InputError: no such stage, or settings that cannot be.
    """
    if stage not in CONFIGS:
        raise InputError(f"stage must be one of {', '.join(map(str, CONFIGS))}, got {stage!r}")
    return CONFIGS[stage](**settings)


def stage_of(config: Config) -> int:
    """1 or 2."""
    return next(stage for stage, kind in CONFIGS.items() if isinstance(config, kind))


def make_stage(config: Config) -> RegressorStage | DenoiserStage:
    """What a configuration trains."""
    if isinstance(config, RegressorTraining):
        return RegressorStage(config.size, config.body(), config.share, config.cosine)
    return DenoiserStage(config.size, config.first, config.drop, config.attention, config.levels, config.cosine)


@struct.dataclass
class StageTask:
    """A stage with the settings of its training (`hoijax.experiments.common.trainer.Task`)."""

    stage: RegressorStage | DenoiserStage = struct.field(pytree_node=False)
    """Network and loss; its body and frozen backbone are constants of the program."""
    crop: int = struct.field(pytree_node=False)
    """Pixels of a side that the network takes."""
    augmentation: AugmentConfig = struct.field(pytree_node=False)
    """Ranges of random changes of the pictures."""
    rate: float = struct.field(pytree_node=False)
    """Of Adam."""
    steps: int = struct.field(pytree_node=False)
    """Of the run, for the schedule."""

    def initial(self, seed: int) -> Variables:
        """The network's random weights."""
        return self.stage.initial(seed)

    def optimiser(self) -> optax.GradientTransformation:
        """The stage's, as published."""
        return self.stage.optimiser(self.rate, self.steps)

    def examples(self, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
        """The pictures, augmented; what was seen before is taken as it is."""
        if "image" not in batch:
            return batch
        return augment_batch(jax.random.fold_in(key, 1), batch, self.crop, self.augmentation)

    def loss(
        self, variables: Variables, examples: dict[str, jax.Array], key: jax.Array, phase: None
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """The stage's."""
        return self.stage.loss(variables, examples, key)


def make_task(config: Config) -> StageTask:
    """The task of a configuration.

    Raises:
      InputError: weights of stage 1 are missing or are of another network.
    """
    crop = sizes_of(config.size)[0].hand4whole.crop
    return StageTask(make_stage(config), crop, augmentation(config), config.rate, config.steps)


def make_trainer(config: Config, compiler_options: dict[str, Any] | None = None) -> Trainer:
    """The task of a configuration and its compiled step."""
    return Trainer(make_task(config), config, compiler_options)


def train(config: Config, source: Source | None = None, *, trainer: Trainer | None = None) -> TrainState:
    """Runs or goes on with a training run.

    Args:
      config: the run.
      source: samples instead of those that `config` names.
      trainer: of another run with the same settings, to save the compilation.

    Returns:
      The last state.

    Raises:
      InputError: the folder holds a run with another configuration, or data or weights are missing.
    """
    join_processes(config.devices)
    source = make_source(config) if source is None else source
    trainer = make_trainer(config) if trainer is None else trainer

    def batches(first: int) -> Iterator[dict[str, Any]]:
        seen = source
        if isinstance(config, DenoiserTraining) and config.passes:
            path = output_directory(config.out) / "seen.npz"
            seen = load_or_encode(path, trainer.task.stage, source, config.passes, config.seed, augmentation(config))
        loader = Loader(seen, LoaderConfig(batch_size=config.batch, seed=config.seed))
        for batch in loader.batches(first):
            yield {name: value for name, value in batch.items() if name != POSITION}

    state = run(trainer, config, batches, free=FREE, title=f"ScoreHOI stage {stage_of(config)}")
    if int(state.step) == config.steps:
        save(config, trainer.task.stage, state)
    return state


def save(config: Config, stage: RegressorStage | DenoiserStage, state: TrainState) -> None:
    """Writes the averaged weights with what they are of."""
    kept = gather(state.mean_variables())
    if config.half:
        kept = jax.tree.map(lambda x: x.astype(jnp.float16) if x.dtype == jnp.float32 else x, kept)
    if is_first_process():
        save_network(config.out / "weights.safetensors", stage.network(kept), facts_of(config))


def facts_of(config: Config) -> dict[str, Any]:
    """What is kept beside the weights: what builds the network, what it was trained on."""
    kept = ("dataset", "split", "size", "attention", "level", "vertices", "steps", "batch", "rate", "cosine", "share",
            "levels", "passes", "seed", "augment")  # fmt: skip
    facts = {"stage": stage_of(config)} | {name: getattr(config, name) for name in kept if hasattr(config, name)}
    return facts | {"body": "smplh" if config.dataset in VIEWS else "free", **software()}


def main() -> None:
    """The command line: `--stage` decides which settings there are."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stage", type=int, default=1)
    chosen, rest = parser.parse_known_args()
    if chosen.stage not in CONFIGS:
        print(f"error: stage must be one of {', '.join(map(str, CONFIGS))}, got {chosen.stage}", file=sys.stderr)
        raise SystemExit(2)
    run_command(train, CONFIGS[chosen.stage], rest)


if __name__ == "__main__":
    main()
