"""Trains ScoreHOI: the regressor with contact predictor and mesh refiner (stage 1), then the denoiser (stage 2).

    python -m hoijax.experiments.scorehoi.train --stage 1 --dataset synth_hoi --root DIR --out runs/regressor
    python -m hoijax.experiments.scorehoi.train --stage 2 --dataset synth_hoi --root DIR --out runs/denoiser \
        --first runs/regressor/weights.safetensors
    python -m hoijax.experiments.scorehoi.train --stage 1 --dataset views --views runs/views/scripted runs/views/solved
    python -m hoijax.experiments.scorehoi.train --size tiny --level test --vertices 48 --steps 4 --out runs/try

Without `--dataset` it trains on made-up pictures (`made_up.MadeUp`): a check of the machinery; `--dataset views` is
pictures that `hoijax.experiments.scorehoi.views` drew. A stopped run goes on
where its last checkpoint was and ends with the same numbers, bit for bit, as one that was never stopped: batches and
noise are functions of the step. Writes `config.json`, `metrics.jsonl`, checkpoints, and in the end
`weights.safetensors` with the averaged parameters.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from hoijax.data.augmentation import AugmentConfig
from hoijax.data.loading import POSITION, Loader, LoaderConfig, Source
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.scorehoi.augmenting import PLAIN, augment_batch
from hoijax.experiments.scorehoi.encoding import encoded
from hoijax.experiments.scorehoi.made_up import MadeUp
from hoijax.experiments.scorehoi.real import VIEWS, RealInteractions
from hoijax.experiments.scorehoi.samples import SynthInteractions
from hoijax.experiments.scorehoi.stages import DenoiserStage, RegressorStage, Stage, Variables, layout_of
from hoijax.experiments.scorehoi.views import Views
from hoijax.experiments.training import Advance, check_same_run, run_steps, running_mean
from hoijax.io import output_directory
from hoijax.systems.scorehoi.networks import SIZES, BodyConfig, sizes_of
from hoijax.systems.scorehoi.weights import save_network

FREE = ("out", "root", "views", "body_model", "networks_body", "half", "first", "log_every", "save_every", "until")
"""Settings that may change when a run goes on."""
MARGIN = 1.5
"""Side of the pictures that augmentation cuts from over that of the crops."""
AUGMENTATION = AugmentConfig()
"""CONTHO's and ScoreHOI's ranges."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results. Defaults are the paper's where it states them."""

    out: pathlib.Path
    """Folder of the run."""
    stage: int = 1
    """1: regressor, contact predictor and mesh refiner; 2: denoiser."""
    dataset: str = "made_up"
    """"made_up", "synth_hoi", "views", "behave", "intercap" or "imhd"."""
    root: pathlib.Path | None = None
    """Root of the data set: a built SynthHOI, or a published one (`hoijax.experiments.scorehoi.real`)."""
    split: str = "train"
    """Of the data set."""
    body_model: pathlib.Path | None = None
    """File or folder of the body that a published data set's parameters belong to."""
    networks_body: pathlib.Path | None = None
    """File of SMPL-H, or folder with its neutral file, that the networks see with published data; `body_model`
    where None."""
    views: tuple[pathlib.Path, ...] = ()
    """Folders of `hoijax.experiments.scorehoi.views`."""
    first: pathlib.Path | None = None
    """Weights of stage 1, for stage 2."""
    size: str = "small"
    """Of the networks: "tiny", "small" or "full"."""
    attention: str = "ip_adapter"
    """Of the denoiser: "ip_adapter", "pooled" (trained in minutes) or "released" (the authors', which sees nothing)."""
    level: str = "default"
    """Level of detail of the free body; SynthHOI's labels need "default"."""
    vertices: int = 431
    """How many of its vertices the networks see."""
    steps: int = 20_000
    batch: int = 32
    """Samples per step; the paper's second stage has 256."""
    rate: float = 1e-4
    """Of Adam."""
    cosine: bool = False
    """Let the rate rise and fall along a cosine, for runs much shorter than the paper's."""
    share: float = 1.0
    """Of each batch of stage 1 that contact predictor and mesh refiner learn from."""
    levels: int | None = None
    """How many time indices stage 2 trains, from 0; refinement never leaves the lowest. All where None."""
    passes: int = 0
    """Stage 2 looks at every picture so many times before it begins, each time augmented anew, and learns from what the
    frozen backbone saw; 0: the backbone runs in every step."""
    average: float = 0.999
    """Decay of the running mean of the parameters, which is what is kept; not in the paper."""
    drop: float = 0.1
    """How often each condition of the denoiser is dropped; not in the paper."""
    augment: bool = True
    """Scale, turn and colour the crops at random, as published."""
    seed: int = 0
    save_every: int = 1000
    log_every: int = 50
    half: bool = False
    """Write the weights as float16, half as large."""
    until: int | None = None
    """Stop after this step, to go on another time."""

    def __post_init__(self):
        for name, known in (
            ("stage", (1, 2)),
            ("dataset", ("made_up", "synth_hoi", "views", *VIEWS)),
            ("size", tuple(SIZES)),
        ):
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(map(str, known))}, got {getattr(self, name)!r}")
        for name in ("steps", "batch", "vertices", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.dataset == "synth_hoi" and self.root is None:
            raise InputError("--dataset synth_hoi needs --root, the folder that `hoijax data build synth_hoi` filled")
        if self.dataset in VIEWS and (self.root is None or self.body_model is None):
            raise InputError(
                f"--dataset {self.dataset} needs --root, where it lies, and --body-model, its licensed body"
            )
        if self.dataset == "views" and not self.views:
            raise InputError("--dataset views needs --views, folders that hoijax.experiments.scorehoi.views filled")
        if not 0 < self.share <= 1:
            raise InputError(f"share is a fraction of the batch, got {self.share}")
        if self.dataset != "made_up" and self.level != "default":
            raise InputError(f"SynthHOI's contact labels are of the level 'default', got --level {self.level}")
        if self.stage == 2 and self.first is None:
            raise InputError("--stage 2 needs --first, the weights.safetensors of a run of stage 1")

    def body(self) -> BodyConfig:
        """The body that the networks see."""
        given = (self.networks_body or self.body_model) if self.dataset in VIEWS else None
        return BodyConfig(self.level, self.vertices, given)


@struct.dataclass
class TrainState:
    """All that a run carries from step to step."""

    step: Any
    variables: Variables
    average: Any
    """Running mean of the parameters."""
    optimiser: Any


def make_stage(config: Config) -> Stage:
    """What a configuration trains."""
    if config.stage == 1:
        return RegressorStage(config.size, config.body(), config.share, config.cosine)
    return DenoiserStage(config.size, config.first, config.drop, config.attention, config.levels, config.cosine)


def make_source(config: Config) -> Source:
    """The samples that a configuration asks for."""
    margin = MARGIN if config.augment else 1.0
    layout = layout_of(config.size, config.body(), margin)
    if config.dataset == "made_up":
        return MadeUp(layout, seed=config.seed)
    if config.dataset == "views":
        return Joined(tuple(Views(folder) for folder in config.views))
    if config.dataset in VIEWS:
        return RealInteractions(config.dataset, config.root, config.split, config.body_model, layout)
    return SynthInteractions(open_split(config.root, config.split), layout)


def augmentation(config: Config) -> AugmentConfig:
    """How the crops of a run are changed at random."""
    return AUGMENTATION if config.augment else PLAIN


def initial_state(stage: Stage, config: Config) -> TrainState:
    """Before the first step."""
    variables = stage.initial(config.seed)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        average=jax.tree.map(jnp.copy, variables.parameters),
        optimiser=stage.optimiser(config.rate, config.steps).init(variables.parameters),
    )


@dataclasses.dataclass(frozen=True)
class Joined:
    """Several sources, one after the other."""

    parts: tuple[Source, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Any:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def make_step(stage: Stage, config: Config, compiler_options: dict[str, Any] | None = None) -> Any:
    """The compiled step: `(state, batch) -> (state, parts of the loss, norm of the gradient)`."""
    optimiser = stage.optimiser(config.rate, config.steps)
    crop = sizes_of(config.size)[0].hand4whole.crop

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array], jax.Array]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        if "image" in batch:
            batch = augment_batch(jax.random.fold_in(key, 1), batch, crop, augmentation(config))

        def loss(parameters):
            return stage.loss(state.variables.replace(parameters=parameters), batch, key)

        parameters = state.variables.parameters
        gradient, (parts, statistics) = jax.grad(loss, has_aux=True)(parameters)
        updates, optimiser_state = optimiser.update(gradient, state.optimiser, parameters)
        parameters = optax.apply_updates(parameters, updates)
        average = running_mean(state.average, parameters, state.step, config.average)
        new = TrainState(state.step + 1, Variables(parameters, statistics), average, optimiser_state)
        return new, parts | {"total": sum(parts.values())}, optax.global_norm(gradient)

    return jax.jit(step, donate_argnums=0, compiler_options=compiler_options)


class Trainer:
    """The compiled programs of a run; runs that differ in nothing but where they lie may share one."""

    def __init__(self, config: Config, compiler_options: dict[str, Any] | None = None):
        self.stage = make_stage(config)
        self.step = make_step(self.stage, config, compiler_options)
        # Run once: not worth optimising.
        hurry = {"xla_backend_optimization_level": 0}
        self.start = jax.jit(lambda: initial_state(self.stage, config), compiler_options=hurry)


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
    source = make_source(config) if source is None else source
    trainer = Trainer(config) if trainer is None else trainer
    out = output_directory(config.out)
    check_same_run(out, config, FREE)
    if config.stage == 2 and config.passes:
        changes = augmentation(config)
        source = encoded(out / "seen.npz", trainer.stage, source, config.passes, config.seed, changes)

    def begin(first: int) -> Advance:
        batches = Loader(source, LoaderConfig(batch_size=config.batch, seed=config.seed)).batches(first)

        def advance(state: TrainState, _: int) -> tuple[TrainState, dict[str, Any]]:
            batch = {name: value for name, value in next(batches).items() if name != POSITION}
            state, parts, norm = trainer.step(state, batch)
            return state, {"gradient": norm} | parts

        return advance

    state = run_steps(
        out, trainer.start(), begin, steps=config.steps, last=min(config.steps, config.until or config.steps),
        log_every=config.log_every, save_every=config.save_every, title=f"ScoreHOI stage {config.stage}",
    )  # fmt: skip
    if int(state.step) == config.steps:
        kept = state.variables.replace(parameters=state.average)
        if config.half:
            kept = jax.tree.map(lambda x: x.astype(jnp.float16) if x.dtype == jnp.float32 else x, kept)
        averaged = trainer.stage.network(kept)
        save_network(out / "weights.safetensors", averaged, _facts(config))
    return state


def _facts(config: Config) -> dict[str, Any]:
    kept = ("stage", "dataset", "split", "size", "attention", "level", "vertices", "steps", "batch", "rate", "cosine",
            "share", "levels", "passes", "seed", "augment")  # fmt: skip
    facts = {name: getattr(config, name) for name in kept}
    facts["body"] = "smplh" if config.dataset in VIEWS else "free"
    return facts | {"jax": jax.__version__, "device": jax.devices()[0].device_kind}


def main() -> None:
    """The command line."""
    run_command(train, Config)


if __name__ == "__main__":
    main()
