"""GRAFT's Fig. 6: how quality and time grow with the number of steps.

    python -m hoijax.experiments.graft.iterations                                        # the shipped weights
    python -m hoijax.experiments.graft.iterations --weights runs/graft/graft.safetensors --most 8

The made-up rooms and starts of `evaluate`. Times are of one person in a room, compiled before, in interleaved rounds,
and told as shares of one step's. Writes `graft_iterations.json` and `.md` to `out`.
"""

import dataclasses
import functools
import pathlib
import statistics
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from hoijax.errors import InputError
from hoijax.experiments.benchmarks.timing import compare
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import environment
from hoijax.experiments.common.pages import RESULTS, page, table, write_page
from hoijax.experiments.common.splits import Split, note_of
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft.bodies import body_of
from hoijax.experiments.graft.pages import training_chain
from hoijax.experiments.graft.queries import imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import sample_points
from hoijax.io import output_directory
from hoijax.metrics import contact_set_weights
from hoijax.nets.graft import load_graft
from hoijax.systems.graft import GraftState, RolloutOptions, body_spec, pose_graft_state, rollout, trained_probes


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    weights: pathlib.Path | None = None
    """Of `save_graft`; None: those that hoijax ships."""
    out: pathlib.Path = RESULTS
    """Folder of the table."""
    split: Split = "dev"
    """Whose rooms: "dev" to choose on, "test" for the page."""
    most: int = 6
    """Steps; the networks are trained with three."""
    rooms: int = 100
    """Held-out rooms."""
    rounds: int = 5
    """Of timing."""

    def __post_init__(self):
        if self.most < 1 or self.rooms < 4 or self.rounds < 1:
            raise InputError("most and rounds must be at least 1, rooms at least 4")


def run(config: Config) -> None:
    """Scores, times and writes."""
    output_directory(config.out)
    rows, facts = measure(config)
    record = {
        "rooms": config.rooms,
        "split": config.split,
        "training": training_chain(facts),
        "environment": environment("jax", "hoijax"),
    }
    write_page(config.out, "graft_iterations", {**record, "rows": rows}, markdown(config, training_chain(facts), rows))


def measure(config: Config) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Scores and times after 0, 1, ... steps, and what the weights say of themselves."""
    asked = evaluation.Config(weights=config.weights, rooms=config.rooms, split=config.split)
    network, facts = load_graft(evaluation.weights_of(asked))
    model = body_of(asked.body, None)
    spec = body_spec(model, trained_probes(model, facts))
    graph, weights = nnx.split(network)
    rooms = Rooms(model, spec, count=config.rooms, points=asked.points, seed=asked.room_seed)
    chosen = np.asarray(spec.contact_vertices)
    area = np.asarray(contact_set_weights(model.v_template, model.faces, chosen))

    @functools.partial(jax.jit, static_argnames="steps")
    def refine(weights: Any, scene: Any, state: GraftState, steps: int) -> GraftState:
        return rollout(nnx.merge(graph, weights), spec, scene, state, options=RolloutOptions(steps=steps)).steps

    @jax.jit
    def bodies(weights: Any, sample: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Of the start, each step, and the truth."""
        start = GraftState.of(imitate_estimate(key, spec, sample.truth, asked.queries))
        steps = refine(weights, sample.scene, start, config.most)
        ends = [jax.tree.map(lambda x: jnp.asarray(x)[None], x) for x in (start, GraftState.of(sample.truth))]
        states = jax.tree.map(lambda *x: jnp.concatenate(x), ends[0], steps, ends[1])
        posed = jax.vmap(lambda state: pose_graft_state(model, state))(states)
        return posed.vertices, posed.joints[:, :22]

    scored = []
    for index in tqdm(range(config.rooms), desc="rooms", disable=None):
        sample, key = rooms[index], jax.random.fold_in(jax.random.key(asked.room_seed), index)
        vertices = [np.asarray(x) for x in bodies(weights, sample, key)]
        scored.append(evaluation.scores_of(*vertices, *sample_points(sample), chosen, area, true=config.most + 1))
    table = jax.tree.map(lambda *x: np.stack(x), *scored)
    room = jax.device_put(rooms[0])
    start = jax.jit(lambda key: GraftState.of(imitate_estimate(key, spec, room.truth, asked.queries)))(key)

    def call(steps: int) -> Any:
        return lambda: jax.block_until_ready(refine(weights, room.scene, start, steps))

    times = compare({str(t): call(t) for t in range(1, config.most + 1)}, rounds=config.rounds).samples
    walls = {name: statistics.median(s.wall for s in samples) for name, samples in times.items()}
    rows = []
    for steps in range(config.most + 1):
        row = evaluation.summary_of(table, steps)
        rows.append({"steps": steps, **row, "time": walls[str(steps)] / walls["1"] if steps else 0.0})
    return rows, facts


def markdown(config: Config, training: str, rows: list[dict[str, Any]]) -> str:
    """The table."""

    def cells(r: dict[str, Any]) -> list[str]:
        contact = [f"{r[name]:.3f}" for name in ("f1", "precision", "recall")]
        lengths = [f"{r[name]:.1f}" for name in ("v2s", "v2s_median", "pa_mpjpe")]
        return [str(r["steps"]), *contact, *lengths, f"{r['penetration']:.0f}", f"{r['time']:.1f}"]

    return page(
        "GRAFT: quality and time by the number of steps",
        "Made by `python -m hoijax.experiments.graft.iterations`; what the paper's Fig. 6 shows, on "
        f"{config.rooms} made-up rooms that training did not see. The network was trained for {training}; its "
        "trainings roll out three steps. Times are of one person on a CPU, as multiples of one step's."
        + note_of(dataclasses.asdict(config)),
        table(
            ["steps", "contact F1", "precision", "recall", "V2S, mm", "median", "PA-MPJPE, mm", "deepest point, mm",
             "time"],
            map(cells, rows),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    run_command(run, Config)
