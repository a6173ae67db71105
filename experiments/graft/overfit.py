"""Can GRAFT learn a few starts by heart? The same starts in the same rooms again and again (specs/graft.md 17.19).

    python -m hoijax.experiments.graft.overfit --samples 64

The small network, hoijax's loss; the paper's squared loss is written beside it. Writes `graft_overfit.json` to
`results`.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct

from hoijax.body_models import BodyModel, free_body
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.pages import RESULTS, settings_of
from hoijax.experiments.common.placement import Devices
from hoijax.experiments.common.runs import endless_batches
from hoijax.experiments.common.trainer import COMPILE_FAST, RunConfig, Trainer, Variables, take_steps
from hoijax.experiments.graft.losses import LossWeights, rollout_loss
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import GraftSample, sample_points
from hoijax.geometry import nearest_host
from hoijax.io import output_directory, write_json
from hoijax.metrics import contact_set_weights, v2s_mm
from hoijax.nets.graft import Graft, GraftConfig
from hoijax.systems.graft import BodySpec, GraftState, RolloutOptions, body_spec, pose_graft_state, rollout


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    samples: int = 64
    """Rooms, with one start each."""
    steps: int = 1500
    """Of Adam."""
    batch: int = 16
    """Samples per step, drawn at random."""
    points: int = 1024
    """Scene points of a room."""
    horizon: int = 2
    """Steps of a rollout."""
    rate: float = 2e-3
    """Step size at the start of the cosine."""
    seed: int = 3
    """Of the rooms."""
    results: pathlib.Path = RESULTS

    def __post_init__(self):
        if not 1 <= self.batch <= self.samples:
            raise InputError(f"batch must be between 1 and the number of samples {self.samples}, got {self.batch}")


_once = functools.partial(jax.jit, compiler_options=COMPILE_FAST)
"""Compiled for a call or two: compiling is most of what these take."""
OWN, PAPERS = LossWeights(rounding=0.002), LossWeights()
"""The loss that is learned from, and the paper's."""


@struct.dataclass
class OverfitTask:
    """The same starts again and again (`hoijax.experiments.common.trainer.Task`); a batch names its step."""

    spec: BodySpec
    """Of the body."""
    every: GraftSample
    """All samples (N, ...)."""
    start: GraftState
    """Their starts (N, ...)."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    network: GraftConfig = struct.field(pytree_node=False)
    """Its sizes."""
    config: Config = struct.field(pytree_node=False)
    """The run's."""

    def initial(self, seed: int) -> Variables:
        """Random weights."""
        return Variables(nnx.split(Graft(self.network, nnx.Rngs(seed)))[1])

    def optimiser(self) -> optax.GradientTransformation:
        """Adam; the rate falls to nothing along a cosine."""
        return optax.adam(optax.cosine_decay_schedule(self.config.rate, self.config.steps))

    def examples(self, batch: dict[str, jax.Array], key: jax.Array) -> tuple[GraftSample, GraftState]:
        """Samples of the step, drawn without repetition."""
        config = self.config
        own = jax.random.split(jax.random.key(2), config.steps)[batch["step"]]
        chosen = jax.random.permutation(own, config.samples)[: config.batch]
        return jax.tree.map(lambda x: x[chosen], (self.every, self.start))

    def losses(self, weights: Any, batch: GraftSample, start: GraftState, *of: LossWeights) -> tuple[jax.Array, Any]:
        """The mean of each loss, and the last states."""
        options = RolloutOptions(steps=self.config.horizon, detach=True)

        def one(sample: GraftSample, start: GraftState) -> Any:
            went = rollout(nnx.merge(self.graph, weights), self.spec, sample.scene, start, options=options)
            model = self.spec.probe_model
            costs = [rollout_loss(self.spec, model, went.steps, sample.truth, x).total for x in of]
            return jnp.stack(costs), went.final

        costs, final = jax.vmap(one)(batch, start)
        return jnp.mean(costs, axis=0), final

    def loss(
        self, variables: Variables, examples: Any, key: jax.Array, phase: None
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """hoijax's loss."""
        return self.losses(variables.parameters, *examples, OWN)[0][0], ({}, None)


def make_task(config: Config, network: GraftConfig) -> tuple[OverfitTask, BodyModel, list[GraftSample]]:
    """The task, the body, and the samples on the host."""
    model = free_body("test")
    spec = body_spec(model)
    rooms = Rooms(model, spec, count=config.samples, points=config.points, seed=config.seed)
    samples = [rooms[i] for i in range(config.samples)]
    every = jax.tree.map(lambda *x: np.stack(x), *samples)

    @_once
    def begin(key: jax.Array, truth: Any) -> GraftState:
        keys = jax.random.split(key, config.samples)
        return jax.vmap(lambda k, x: GraftState.of(imitate_estimate(k, spec, x, QueryConfig())))(keys, truth)

    start = begin(jax.random.key(1), every.truth)
    graph = nnx.split(nnx.eval_shape(lambda: Graft(network, nnx.Rngs(0))))[0]
    return OverfitTask(spec, every, start, graph, network, config), model, samples


def overfit(config: Config, network: GraftConfig) -> dict[str, Any]:
    """Learns, and says how far it came: losses over all samples and V2S (mm) of each, before and after."""
    task, model, samples = make_task(config, network)
    settings = RunConfig(out=pathlib.Path(), steps=config.steps, batch=config.batch, devices=Devices(use=1))
    trainer = Trainer(task, settings)
    # The step takes its state's memory; what was there before is asked for now.
    weights = jax.tree.map(np.asarray, trainer.start().variables.parameters)
    state, rows = take_steps(trainer, endless_batches()(0), config.steps)

    @_once
    def judge(weights: Any, start: GraftState) -> tuple[jax.Array, jax.Array]:
        """Both losses over all samples, and the surfaces that come out."""
        table, final = task.losses(weights, task.every, start, OWN, PAPERS)
        return table, jax.vmap(lambda state: pose_graft_state(model, state).vertices)(final)

    # An untrained network changes nothing: what comes out is what went in.
    judged = [judge(w, task.start) for w in (weights, state.variables.parameters)]
    (first, before), (last, after) = (jax.tree.map(np.asarray, x) for x in judged)
    truth = np.asarray(judge(weights, jax.vmap(GraftState.of)(task.every.truth))[1])
    table, surfaces = np.stack([first, last]), (before, after, truth)
    chosen = np.asarray(task.spec.contact_vertices)
    area = np.asarray(contact_set_weights(model.v_template, model.faces, chosen))
    errors = []
    for index, sample in enumerate(samples):
        points, _ = sample_points(sample)
        bodies = [x[index][chosen] for x in surfaces]
        offsets = [points[np.asarray(nearest_host(x, points).index)] - x for x in bodies]
        errors.append([float(v2s_mm(x, offsets[2], area)) for x in offsets[:2]])
    return {
        "loss": table[:, 0].tolist(),
        "paper's loss": table[:, 1].tolist(),
        "v2s": np.asarray(errors).T.tolist(),
        "curve": [float(row["total"]) for row in rows[:: max(1, config.steps // 50)]],
    }


def run(config: Config) -> None:
    """Learns and writes."""
    output_directory(config.results)
    errors = overfit(config, GraftConfig.small())
    means = [float(np.mean(x)) for x in errors.pop("v2s")]
    falls = {name: errors[name][0] / errors[name][1] for name in ("loss", "paper's loss")}
    result = {
        "config": settings_of(config, ("results",)),
        **errors,
        "falls by a factor of": falls,
        "mean V2S, mm": means,
    }
    write_json(config.results / "graft_overfit.json", result)


if __name__ == "__main__":
    run_command(run, Config)
