"""Trains GRAFT's networks: rollouts with a loss at every step (GRAFT Alg. S2).

    python -m hoijax.experiments.graft.train --out runs/graft --steps=2            # does it run: a minute
    python -m hoijax.experiments.graft.train --out runs/graft --synth data/synth   # on SynthHOI's scenes
    python -m hoijax.experiments.graft.train --out runs/graft --reviews data/views --mixed 0.5   # on views of more
    python -m hoijax.experiments.graft.train --out runs/full --synth data/synth --visual   # the full mode
    python -m hoijax.experiments.graft.train --out runs/prox --scans prox --root data/prox --body-model data/smplx

Without `--synth`, `--reviews` and `--scans` it trains on made-up rooms (`rooms.Rooms`). With `--visual` the network
also looks at SynthHOI's images, through an encoder of its own that is trained along (`hoijax.nets.graft.encoder`). A
stopped run goes on where its last checkpoint was, and many devices or processes may share it (docs/training.md). Writes
`config.json`, `metrics.jsonl`, checkpoints, and in the end `graft.safetensors` with the averaged weights, and
`encoder.safetensors` with those of the encoder. How the shipped weights were trained: `recipes`.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from tqdm import tqdm

from hoijax.data.loading import Loader, LoaderConfig, Source
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.placement import gather, is_first_process, join_processes
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import FREE, RunConfig, Trainer, TrainState, Variables, program_settings
from hoijax.experiments.graft.bodies import TrainingBodies, body_of, training_bodies
from hoijax.experiments.graft.losses import LossTerms, LossWeights, rollout_loss
from hoijax.experiments.graft.networks import (
    SIDE,
    SIZES,
    features_of,
    make_network,
    random_weights,
    sizes_of,
    start_weights,
)
from hoijax.experiments.graft.queries import QueryConfig, draw_query, scale_sample
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import (
    GraftSample,
    Kept,
    Mixed,
    SynthScenes,
    Thinned,
    WithTouch,
    fields_of,
    sample_of,
)
from hoijax.experiments.graft.scans import ScannedScenes, check_scans
from hoijax.experiments.graft.variants import PARTS, held_step, leave_out
from hoijax.nets.graft import NUM_TOKENS, load_graft, save_encoder, save_graft
from hoijax.systems.graft import RolloutOptions, rollout

KEPT = 10_000
"""Sources of at most so many samples stay in memory."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Every number of the run; written whole next to the results. Defaults are the paper's where it states them."""

    synth: pathlib.Path | None = None
    """Root of a built SynthHOI; None and no `scans`: made-up rooms."""
    split: str = "scenes_train"
    """Of SynthHOI."""
    reviews: pathlib.Path | None = None
    """Views of solved scenes instead, a folder of `hoijax.data.synth.reviews`."""
    scans: str | None = None
    """Real people in real scans instead, the training split of "prox" or "rich_scenes" (`scans.ScannedScenes`)."""
    root: pathlib.Path | None = None
    """Where that data set lies."""
    mixed: float = 0.0
    """With SynthHOI, views or scans: share of the samples that are made-up rooms all the same."""
    size: str = "small"
    """"small", "pelvis": small, its scale about the pelvis, and told where the pose is held; "full", "plain": small,
    with none of hoijax's departures from the paper's network; or "tiny"."""
    visual: bool = False
    """The full mode, with images; needs SynthHOI."""
    visual_dropout: float = 0.35
    """Share of the tokens whose view of the images is hidden."""
    start: pathlib.Path | None = None
    """Weights to begin with, of an earlier run with the same sizes; the full mode may begin with a geometry-only
    network's. None: random ones."""
    steps: int = 150_000
    batch: int = 16
    horizon: int = 3
    """T, steps of a rollout."""
    single: float = 1 / 15
    """Share of the run that supervises one step only, before full rollouts (10k of 150k)."""
    warmup: float = 1 / 75
    """Share of the run in which the rate rises (2k of 150k)."""
    rate: float = 1e-4
    """Largest step size of Adam."""
    last_rate: float = 2e-7
    """Step size at the end of the cosine."""
    clip: float = 1.0
    """Largest norm of a gradient; not in the paper."""
    without: str | None = None
    """What an ablation leaves out: "probes", where the scene is and how it faces; "scale", the scale's prediction."""
    held: float = 0.0
    """Share of the samples whose pose, hands and shape are held, as the preset "similarity" does."""
    density: float = 1.0
    """Least share of a sample's points that are kept, drawn evenly by its logarithm; 1: all."""
    detach: bool = False
    """No derivatives from one refinement step to those before."""
    fold: bool = True
    """Carry the scale inside the parameters from step to step, as the paper does; False: as inference does."""
    points: int = 16384
    """Scene points of a sample."""
    loss_vertices: int = 1024
    """Vertices that the loss compares, a random subset; 0: all."""
    contact_share: float = 0.0
    """Share of these that are drawn from the contact set alone."""
    body: str = "light"
    """Level of detail of the free body."""
    body_model: pathlib.Path | None = None
    """SMPL-H or SMPL-X instead of the free body, a file, or a folder with a neutral one; scans want SMPL-X, and in a
    folder each subject's gender."""
    rooms: int = 2048
    """Made-up rooms; they stay in memory, 28 bytes a point."""
    furniture: str = "boxes"
    """Of made-up rooms, see `rooms.Rooms`."""
    distances: tuple[float, float] = (2.0, 4.0)
    """Of the cameras of made-up rooms from the person, metres."""
    views: float = 0.0
    """Share of the made-up rooms, and of scans, of which only what one depth camera sees is there."""
    queries: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    weights: LossWeights = dataclasses.field(default_factory=LossWeights)

    def __post_init__(self):
        if self.size not in SIZES:
            raise InputError(f"size must be one of {', '.join(SIZES)}, got {self.size!r}")
        if self.without not in (None, *PARTS):
            raise InputError(f"without must be one of {', '.join(PARTS)}, got {self.without!r}")
        if self.visual and self.synth is None:
            raise InputError("made-up rooms have no images; give --synth, the root of a built SynthHOI, with --visual")
        check_scans(self.scans, self.root, self.body_model, self.synth)
        if self.reviews is not None and (self.synth is not None or self.scans is not None):
            raise InputError("--reviews are scenes of their own; leave out --synth and --scans")
        other = any(x is not None for x in (self.synth, self.scans, self.reviews))
        if not 0 <= self.mixed < 1 or (self.mixed and (self.visual or not other)):
            raise InputError(
                f"mixed is a share below 1, for --scans, --reviews or --synth without --visual; got {self.mixed}"
            )
        if not 0 <= self.held <= 1 or not 0 < self.density <= 1:
            raise InputError(f"held and density are shares, got {self.held} and {self.density}")
        self.check("horizon", "points")


@struct.dataclass
class GraftTask:
    """What a configuration learns (`hoijax.experiments.common.trainer.Task`); the phase is the length of rollouts."""

    bodies: TrainingBodies
    """The bodies that are posed and compared."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    config: Config = struct.field(pytree_node=False)
    """The run's, without the settings that change no program."""

    def initial(self, seed: int) -> Variables:
        """Random weights."""
        return Variables(random_weights(sizes_of(self.config.size, self.config.visual), seed))

    def optimiser(self) -> optax.GradientTransformation:
        """See `make_optimiser`."""
        return make_optimiser(self.config)

    def examples(self, batch: GraftSample, key: jax.Array) -> GraftSample:
        """The batch itself."""
        return batch

    def loss(
        self, variables: Variables, examples: GraftSample, key: jax.Array, phase: int
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """Mean loss of rollouts of `phase` steps, and its parts."""
        total, terms = batch_loss(
            self.graph, variables.parameters, self.bodies, examples, key, self.config, phase
        )  # fmt: skip
        return total, (vars(terms), None)


DATA = (
    "synth", "split", "reviews", "scans", "root", "mixed", "start", "points", "body", "body_model", "rooms", "views",
    "density", "furniture", "distances",
)  # fmt: skip
"""Settings that decide about samples and first weights, not about the program."""


def make_task(config: Config, bodies: TrainingBodies | None = None) -> GraftTask:
    """The task of a configuration."""
    sizes = sizes_of(config.size, config.visual)
    graph = nnx.split(nnx.eval_shape(lambda: make_network(sizes, nnx.Rngs(0))))[0]
    usual = {field.name: field.default for field in dataclasses.fields(Config) if field.name in DATA}
    # The full mode is not there without its data.
    program = program_settings(config if config.visual else dataclasses.replace(config, **usual))
    return GraftTask(training_bodies(config) if bodies is None else bodies, graph, program)


def make_trainer(config: Config, compiler_options: dict[str, Any] | None = None) -> Trainer:
    """The task of a configuration and its compiled step; begins with the weights of `start` where they are given.

    Raises:
      InputError: those weights are of another network.
    """
    task = make_task(config)

    def begin(seed: int) -> Variables:
        sizes = sizes_of(config.size, config.visual)
        return Variables(start_weights(task.initial(seed).parameters, config.start, sizes))

    return Trainer(task, config, compiler_options, None if config.start is None else begin)


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam with clipping; the rate rises linearly, then falls along a cosine."""
    warmup = max(1, round(config.warmup * config.steps))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.rate, warmup, max(config.steps, warmup + 1), end_value=config.last_rate
    )
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(schedule))


def batch_loss(
    graph: Any, weights: Any, bodies: TrainingBodies, batch: GraftSample, key: jax.Array, config: Config, steps: int
) -> tuple[jax.Array, LossTerms]:
    """Mean loss of a batch and its parts.

    Args:
      graph: the network's structure.
      weights: its parameters.
      bodies: those that are posed and compared.
      batch: samples (B, ...).
      key: of the starts, scales and what is hidden.
      config: of the run.
      steps: of a rollout.
    """
    spec, network = bodies.spec, nnx.merge(graph, weights)
    step, update = leave_out(network.graft if config.visual else network, config.without)
    options = RolloutOptions(steps=steps, fold=config.fold, detach=config.detach, update=update)

    def one(sample: GraftSample, key: jax.Array) -> LossTerms:
        query_key, scale_key, look_key = jax.random.split(key, 3) if config.visual else (*jax.random.split(key), None)
        scene, truth = sample.scene, jax.tree.map(jnp.asarray, sample.truth)
        if config.queries.scale_what == "sample":
            factor = jax.random.uniform(scale_key, (), jnp.float32, *config.queries.scale)
            scene, truth = scale_sample(spec, scene, truth, factor)
        start = jax.lax.stop_gradient(draw_query(query_key, spec, truth, config.queries))
        image = seen = None
        if config.visual:
            image = features_of(network, sample.pictures)
            seen = jax.random.bernoulli(look_key, 1.0 - config.visual_dropout, (steps, NUM_TOKENS))
        moved = step
        if config.held:
            moved = held_step(step, jax.random.bernoulli(jax.random.fold_in(query_key, 1), config.held))
        result = rollout(moved, spec, scene, start, options=options, image=image, context_mask=seen)
        return rollout_loss(spec, bodies.model, result.steps, truth, config.weights, sample.touch, result.gates, start)

    keys = jax.random.split(key, batch.truth.betas.shape[0])
    terms = jax.tree.map(jnp.mean, jax.vmap(one)(batch, keys))
    return terms.total, terms


def rollout_steps(config: Config, step: int) -> int:
    """R of Alg. S2: one step first, the whole horizon after."""
    return 1 if step < round(config.single * config.steps) else config.horizon


def make_source(config: Config, bodies: TrainingBodies) -> Source:
    """The samples that a configuration asks for."""
    model, spec = body_of(config.body, config.body_model), bodies.spec

    def ready(source: Source) -> Source:
        source = Thinned(source, config.density, config.seed) if config.density < 1 else source
        source = WithTouch(source, bodies.model) if config.weights.heights else source
        return Kept(source) if len(source) <= KEPT else source

    rooms = Rooms(
        model, spec, count=config.rooms, points=config.points, seed=config.seed, views=config.views,
        furniture=config.furniture, distances=config.distances,
    )  # fmt: skip
    rooms = ready(rooms)
    if config.scans is not None:
        scenes = ScannedScenes(
            config.scans, config.root, "train", config.body_model, model, spec, points=config.points, seed=config.seed,
            views=config.views,
        )  # fmt: skip
        if scenes.problems:
            tqdm.write(f"{len(scenes.problems)} things of {config.scans} were left out, first: {scenes.problems[0]}")
    elif config.reviews is not None:
        from hoijax.data.synth.reviews import Reviews

        scenes = SynthScenes(Reviews(config.reviews), model, spec, points=config.points, seed=config.seed)
    elif config.synth is not None:
        split, pictures = open_split(config.synth, config.split), SIDE if config.visual else 0
        scenes = SynthScenes(split, model, spec, points=config.points, seed=config.seed, pictures=pictures)
    else:
        return rooms
    scenes = ready(scenes)
    return Mixed(rooms, scenes, config.mixed) if config.mixed else scenes


def train(config: Config, source: Source | None = None, *, trainer: Trainer | None = None) -> TrainState:
    """Runs or goes on with a training run.

    Args:
      config: the run.
      source: samples instead of those that `config` names.
      trainer: of another run with the same settings, with its own options of the compiler.

    Returns:
      The last state.

    Raises:
      InputError: the folder holds a run with another configuration.
    """
    join_processes(config.devices)
    trainer = make_trainer(config) if trainer is None else trainer
    source = make_source(config, trainer.task.bodies) if source is None else source
    loader = Loader(source, LoaderConfig(batch_size=config.batch, seed=config.seed), transform=fields_of)

    def batches(first: int) -> Iterator[GraftSample]:
        return map(sample_of, loader.batches(first))

    state = run(
        trainer, config, batches, free=FREE, title="GRAFT",
        phase=lambda step: rollout_steps(config, step), more=lambda step: {"rollout": rollout_steps(config, step)},
    )  # fmt: skip
    if int(state.step) == config.steps:
        save(config, trainer.task, state)
    return state


def save(config: Config, task: GraftTask, state: TrainState) -> None:
    """Writes the averaged weights with what they are of."""
    network = nnx.merge(task.graph, gather(state.mean_variables().parameters))
    if not is_first_process():
        return
    if config.visual:
        save_encoder(config.out / "encoder.safetensors", network.encoder)
        network = network.graft
    save_graft(config.out / "graft.safetensors", network, facts_of(config, task.bodies))


def facts_of(config: Config, bodies: TrainingBodies) -> dict[str, Any]:
    """What is kept beside the weights: what they were trained on, and what came before."""
    facts = {} if config.start is None else {"before": load_graft(config.start)[1]}
    return facts | {
        "body": bodies.spec.probe_model.kind,
        "level": config.body,
        "probe_vertices": np.asarray(bodies.spec.probe_vertices).tolist(),
        "steps": config.steps,
        "batch": config.batch,
        "without": config.without,
        "seed": config.seed,
        "data": _data(config),
        "views": 1.0 if (config.synth or config.reviews) is not None and not config.mixed else config.views,
        **software(),
    }


def _data(config: Config) -> str:
    if all(x is None for x in (config.synth, config.scans, config.reviews)):
        return "made-up rooms"
    scenes = f"SynthHOI {config.split}" if config.scans is None else config.scans
    if config.reviews is not None:
        from hoijax.data.synth.reviews import Reviews

        built = Reviews(config.reviews).config
        scenes = f"{built.scenes:,} x {built.views} views of SynthHOI's people ({built.split})"
    return f"{100 * config.mixed:.0f} % made-up rooms, else {scenes}" if config.mixed else scenes


if __name__ == "__main__":
    run_command(train, Config)
