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
from flax import nnx

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.graft.evaluate import RESULTS
from hoijax.experiments.graft.losses import LossWeights, rollout_loss
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import sample_points
from hoijax.geometry import nearest_host
from hoijax.io import output_directory, write_json
from hoijax.metrics import contact_set_weights, v2s_mm
from hoijax.nets.graft import Graft, GraftConfig
from hoijax.systems.graft import GraftState, RolloutOptions, body_spec, pose_state, rollout


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


#: Compiled for a call or two: compiling is most of what these take.
_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def overfit(config: Config, network: GraftConfig) -> dict[str, Any]:
    """Learns, and says how far it came: losses over all samples and V2S (mm) of each, before and after."""
    model = free_body("test")
    spec = body_spec(model)
    rooms = Rooms(model, spec, count=config.samples, points=config.points, seed=config.seed)
    samples = [rooms[i] for i in range(config.samples)]
    every = jax.tree.map(lambda *x: jnp.stack(x), *samples)
    graph, weights = nnx.split(Graft(network, nnx.Rngs(0)))
    optimiser = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
    options = RolloutOptions(steps=config.horizon, detach=True)

    own, papers = LossWeights(rounding=0.002), LossWeights()

    def losses(weights: Any, batch: Any, start: Any, *of: LossWeights) -> tuple[jax.Array, Any]:
        """The mean of each loss, and the last states."""

        def one(sample: Any, start: Any) -> Any:
            went = rollout(nnx.merge(graph, weights), spec, sample.scene, start, options=options)
            costs = [rollout_loss(spec, spec.probe_model, went.steps, sample.truth, x).total for x in of]
            return jnp.stack(costs), went.final

        costs, final = jax.vmap(one)(batch, start)
        return jnp.mean(costs, axis=0), final

    @_once
    def begin(key: jax.Array) -> GraftState:
        keys = jax.random.split(key, config.samples)
        return jax.vmap(lambda k, x: GraftState.of(imitate_estimate(k, spec, x, QueryConfig())))(keys, every.truth)

    @jax.jit
    def learn(weights: Any, start: GraftState) -> Any:
        def once(carry: Any, key: jax.Array) -> Any:
            weights, memory = carry
            chosen = jax.random.permutation(key, config.samples)[: config.batch]
            batch, at = jax.tree.map(lambda x: x[chosen], (every, start))
            value, gradient = jax.value_and_grad(lambda w: losses(w, batch, at, own)[0][0])(weights)
            with jax.numpy_dtype_promotion("standard"):
                updates, memory = optimiser.update(gradient, memory)
            return (optax.apply_updates(weights, updates), memory), value

        keys = jax.random.split(jax.random.key(2), config.steps)
        (learned, _), curve = jax.lax.scan(once, (weights, optimiser.init(weights)), keys)
        return learned, curve

    @_once
    def judge(weights: Any, start: GraftState) -> tuple[jax.Array, jax.Array]:
        """Both losses over all samples, and the surfaces that come out."""
        table, final = losses(weights, every, start, own, papers)
        return table, jax.vmap(lambda state: pose_state(model, state).vertices)(final)

    start = begin(jax.random.key(1))
    learned, curve = learn(weights, start)
    # An untrained network changes nothing: what comes out is what went in.
    (first, before), (last, after) = (jax.tree.map(np.asarray, judge(w, start)) for w in (weights, learned))
    truth = np.asarray(judge(weights, jax.vmap(GraftState.of)(every.truth))[1])
    table, surfaces = np.stack([first, last]), (before, after, truth)
    chosen = np.asarray(spec.contact_vertices)
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
        "curve": np.asarray(curve)[:: max(1, config.steps // 50)].tolist(),
    }


def run(config: Config) -> None:
    """Learns and writes."""
    output_directory(config.results)
    found = overfit(config, GraftConfig.small())
    means = [float(np.mean(x)) for x in found.pop("v2s")]
    record = {name: value for name, value in dataclasses.asdict(config).items() if name != "results"}
    falls = {name: found[name][0] / found[name][1] for name in ("loss", "paper's loss")}
    result = {"config": record, **found, "falls by a factor of": falls, "mean V2S, mm": means}
    write_json(config.results / "graft_overfit.json", result)


if __name__ == "__main__":
    run_command(run, Config)
