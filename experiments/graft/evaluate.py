"""Scores of GRAFT on held-out made-up rooms: the start, baselines without learning, and T = 1, 2, 3 steps.

    python -m hoijax.experiments.graft.evaluate --weights runs/graft/graft.safetensors   # on rooms to choose on
    python -m hoijax.experiments.graft.evaluate --split test --synth data/synth          # the page: shipped weights

Rooms come from another seed than those of training: other people, furniture, layouts and cameras, but of the same
families; then rooms with kinds of furniture that training has none of (`Rooms.furniture`), rooms as one noisy depth
camera sees them, and with `--synth` SynthHOI's scenes, seen by one depth camera too. The start imitates a
body estimate after head alignment (`queries.imitate_estimate`). The scene is the same cloud for prediction and truth,
so the scores speak of the body alone. Heavy-tailed starts (`HEAVY`) have rows of their own. `--against` scores other
weights too, on the same starts. Writes `graft.json` and `.md` to `--out`.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from hoijax.body_models import BodyModel
from hoijax.data.sheet import spread_indices
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.pages import RESULTS, settings_of, write_page
from hoijax.experiments.common.splits import DEV_SEEDS, Split, scene_split
from hoijax.experiments.graft.bodies import body_of
from hoijax.experiments.graft.networks import features_of
from hoijax.experiments.graft.pages import BASES, METHODS, markdown, record_of
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import GraftSample, Some, SynthScenes, sample_points
from hoijax.experiments.graft.scans import ScannedScenes, check_scans
from hoijax.experiments.graft.variants import leave_out
from hoijax.geometry import nearest_host
from hoijax.metrics import (
    bootstrap_mean,
    contact_counts,
    contact_set_weights,
    d2s_deg,
    pa_mpjpe_mm,
    summarize_contact,
    touches_scene,
    v2s_mm,
)
from hoijax.metrics.scene import BEHIND
from hoijax.nets.graft import GraftWithEncoder, load_graft, shipped_graft
from hoijax.systems.graft import (
    BodySpec,
    GraftState,
    Rollout,
    RolloutOptions,
    body_spec,
    contact_model,
    pose_graft_state,
    rollout,
    similarity_icp,
    trained_probes,
)
from hoijax.systems.graft.gradient import gradient_refine

HEAVY = {"swapped": 0.5, "far": 0.5}
"""What heavy-tailed starts have besides: half of them legs or arms exchanged, half of them 20 cm (one standard
deviation) off along their rays; see `QueryConfig`."""
SAME = 0.05
"""Mean V2S of the same starts differs by less between two machines, millimetres."""
MOVED = 20.0
"""A body whose vertices are farther than this from the true ones, in the mean, counts as moved; millimetres."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written next to the results."""

    weights: pathlib.Path | None = None
    """GRAFT's weights, a file of `save_graft`; None: those that hoijax ships."""
    against: pathlib.Path | None = None
    """Other weights, scored on the same samples and starts."""
    synth: pathlib.Path | None = None
    """Root of a built SynthHOI, for its scenes; None leaves them out."""
    scans: str | None = None
    """"prox" or "rich_scenes": people of its "val" or "test" split too, a hundred of them spread over all of it."""
    root: pathlib.Path | None = None
    """Where that data set lies."""
    body_model: pathlib.Path | None = None
    """SMPL-X or SMPL-H, a file or a folder, instead of the free body; scans want SMPL-X."""
    out: pathlib.Path = RESULTS
    """Folder for `graft.json` and `graft.md`."""
    rooms: int = 200
    """Held-out rooms; half as many with other furniture, and as one camera sees them."""
    others: bool = True
    """Rooms with other furniture, and one camera's, too."""
    gradient: bool = True
    """The gradient prior too, which takes most of the time."""
    known: pathlib.Path | None = None
    """A `graft.json` of the same rooms and starts: the gradient prior's scores, which no weights change, are its."""
    points: int = 32768
    """Scene points of a room; training sees fewer."""
    body: str = "light"
    """Level of detail of the free body."""
    seed: int = 1000
    """Of the rooms and of the starts of the test split; see `room_seed`."""
    queries: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    """Errors of the starts."""
    split: Split = "dev"
    """"dev": rooms and scenes to choose on; "test": those of the page, scored once (`experiments.common.splits`)."""

    @property
    def room_seed(self) -> int:
        """Of the rooms and of the starts; dev's are others than test's."""
        return self.seed + (DEV_SEEDS if self.split == "dev" else 0)


def make_refine(
    network: Any,
    spec: BodySpec,
    model: BodyModel,
    queries: QueryConfig,
    *,
    part: str | None = None,
    gradient: bool = True,
    baselines: bool = True,
) -> Any:
    """A compiled function from a sample and a key to surfaces `(M, V, 3)` and joints `(M, 22, 3)` of `METHODS`.

    Args:
      network: `Graft`, or `GraftWithEncoder`, which looks at the sample's pictures.
      spec: of the body.
      model: the body.
      queries: errors of the starts.
      part: what the network was trained without (`train.Config`).
      gradient: False: the row of the gradient prior repeats the start's.
      baselines: False: so does that of similarity ICP.
    """
    contacts = contact_model(spec, model)

    @jax.jit
    def refine(weights: Any, sample: GraftSample, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        merged, image = nnx.merge(graph, weights), None
        if isinstance(merged, GraftWithEncoder):
            merged, image = merged.graft, features_of(merged, sample.pictures)
        net, update = leave_out(merged, part)
        scene, truth = sample.scene, sample.truth
        start, true = GraftState.of(imitate_estimate(key, spec, truth, queries)), GraftState.of(truth)
        heavy = GraftState.of(imitate_estimate(key, spec, truth, dataclasses.replace(queries, **HEAVY)))

        def refine(begin: GraftState, update: Any) -> Rollout:
            return rollout(net, spec, scene, begin, options=RolloutOptions(steps=3, update=update), image=image)

        full = jax.vmap(lambda begin: refine(begin, update))(_stack([start, true, heavy]))
        whole = refine(start, "similarity")
        icp = similarity_icp(spec, contacts, scene, start) if baselines else start
        by_gradient = gradient_refine(spec, contacts, scene, start) if gradient else start
        steps = [jax.tree.map(lambda x, t=t: x[0, t], full.steps) for t in range(3)]
        still, recovered = (jax.tree.map(lambda x, i=i: x[i], full.final) for i in (1, 2))
        states = [start, icp, by_gradient, *steps, whole.final, true, still, heavy, recovered]
        posed = jax.vmap(lambda state: pose_graft_state(model, state))(_stack(states))
        return posed.vertices, posed.joints[:, :22]

    graph, weights = nnx.split(network)
    return lambda sample, key: refine(weights, sample.replace(touch=None), key)


def _stack(states: list[GraftState]) -> GraftState:
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *states)


def make_sources(config: Config, model: BodyModel, spec: BodySpec) -> dict[str, Any]:
    """The sets of held-out samples by name."""
    rooms = Rooms(model, spec, count=config.rooms, points=config.points, seed=config.room_seed)
    sources: dict[str, Any] = {"made-up rooms": rooms}
    if config.others:
        sources["other furniture"] = dataclasses.replace(
            rooms, count=config.rooms // 2, seed=config.room_seed + 1, furniture="other"
        )
        sources["one camera"] = dataclasses.replace(
            rooms, count=config.rooms // 2, seed=config.room_seed + 2, views=1.0
        )
    if config.synth is not None:
        split = open_split(config.synth, scene_split(config.split))
        sources["SynthHOI scenes"] = SynthScenes(split, model, spec, points=config.points, seed=config.room_seed)
    if config.scans is not None:
        scans = ScannedScenes(
            config.scans, config.root, "val" if config.split == "dev" else "test", config.body_model, model, spec,
            points=config.points, seed=config.room_seed,
            views=1.0,
        )  # fmt: skip
        sources[config.scans] = Some(scans, spread_indices(len(scans), 100))
    return sources


def evaluate(config: Config) -> dict[str, dict[str, Any]]:
    """Scores of every method on every set; see `pages.record_of`.

    Raises:
      InputError: no such weights, or too few rooms for an interval.
    """
    if config.rooms < 4:
        raise InputError(f"rooms must be at least 4, got {config.rooms}")
    check_scans(config.scans, config.root, config.body_model, config.synth)
    model = body_of(config.body, config.body_model)

    def refiner(path: pathlib.Path, **options: bool) -> tuple[Any, BodySpec]:
        network, facts = load_graft(path)
        spec = body_spec(model, trained_probes(model, facts))
        return make_refine(network, spec, model, config.queries, part=facts.get("without"), **options), spec

    refine, spec = refiner(weights_of(config), gradient=config.gradient)
    other = None if config.against is None else refiner(config.against, gradient=False, baselines=False)[0]
    sources = make_sources(config, model, spec)
    return {name: score(config, name, source, refine, model, spec, other) for name, source in sources.items()}


def score(
    config: Config, name: str, source: Any, refine: Any, model: BodyModel, spec: BodySpec, other: Any = None
) -> dict[str, Any]:
    """Scores of every method on one set of samples, by the name of the method.

    Args:
      config: of the evaluation.
      name: of the set, for the bar.
      source: the samples.
      refine: of `make_refine`.
      model: the body.
      spec: of the body.
      other: of `make_refine` with other weights: its scores are then in "against".
    """
    area = np.asarray(contact_set_weights(model.v_template, model.faces, spec.contact_vertices))
    chosen, true = np.asarray(spec.contact_vertices), METHODS.index("truth")
    rows = []
    for index in tqdm(range(len(source)), desc=name, disable=None):
        sample = source[index]
        key = jax.random.fold_in(jax.random.key(config.room_seed), index)
        bodies = [np.asarray(x) for x in refine(sample, key)]
        if other is not None:
            more = other(sample, key)
            bodies = [np.concatenate([x, np.asarray(y)]) for x, y in zip(bodies, more)]
        rows.append(scores_of(*bodies, *sample_points(sample), chosen, area, true=true))
    table = jax.tree.map(lambda *x: np.stack(x), *rows)
    shown = {m: number for number, m in enumerate(METHODS) if config.gradient or m != "gradient"}
    out = {"samples": len(rows)} | {m: summary_of(table, n, *_compared(m, 0)) for m, n in shown.items()}
    if other is not None:
        first = len(METHODS)
        names = [m for m in METHODS if m not in ("gradient", "similarity ICP", "truth")]
        out["against"] = {m: summary_of(table, first + METHODS.index(m), *_compared(m, first)) for m in names}
    return out


def _compared(method: str, first: int) -> tuple[int, int | None]:
    """The rows of a method's start and of the step before it, of one network's rows from `first` on."""
    before = {"T = 2": "T = 1", "T = 3": "T = 2"}.get(method)
    start = first + METHODS.index(BASES.get(method, "start"))
    return start, None if before is None else first + METHODS.index(before)


def weights_of(config: Config) -> pathlib.Path:
    """The file that is scored."""
    return shipped_graft() if config.weights is None else config.weights


def scores_of(
    vertices: np.ndarray,
    joints: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    chosen: np.ndarray,
    area: np.ndarray,
    *,
    true: int,
) -> dict[str, Any]:
    """Each score of some bodies in one room, `(M,)`; millimetres, degrees, counts of contact.

    Args:
      vertices: `(M, V, 3)`.
      joints: `(M, 22, 3)`.
      points: of the scene, `(P, 3)`.
      normals: theirs.
      chosen: vertices that may touch, `(K,)`.
      area: their weights.
      true: which body is the truth.
    """
    nearest = nearest_host(vertices.reshape(-1, 3), points)
    index, distance = (np.asarray(x).reshape(vertices.shape[:2]) for x in (nearest.index, nearest.distance))
    offset = points[index] - vertices
    height = -np.sum(offset * normals[index], axis=-1)
    inside = np.where(distance <= BEHIND, np.maximum(-height, 0), 0)
    touches = touches_scene(distance, height)[:, chosen]
    offset = offset[:, chosen]
    truth = np.broadcast_to(offset[true], offset.shape)
    counts = contact_counts(touches, np.broadcast_to(touches[true], touches.shape))
    return {
        "v2s": np.asarray(v2s_mm(offset, truth, area)),
        "d2s": np.asarray(d2s_deg(offset, truth, area).degrees),
        "pa_mpjpe": np.asarray(pa_mpjpe_mm(joints, np.broadcast_to(joints[true], joints.shape))),
        "off": 1000 * np.linalg.norm(vertices - vertices[true], axis=-1).mean(axis=1),
        "penetration": 1000 * inside.max(axis=1),
        "counts": jax.tree.map(np.asarray, counts),
    }


def summary_of(table: dict[str, Any], number: int, start: int = 0, before: int | None = None) -> dict[str, Any]:
    """The row of one body: means over rooms, and paired intervals of V2S's difference to other bodies.

    Args:
      table: `scores_of` of all rooms, stacked.
      number: which body.
      start: the body that it began as.
      before: the body one step before it; None: there is none.
    """
    v2s, off = table["v2s"], table["off"][:, number]
    contact = summarize_contact(jax.tree.map(lambda x: x[:, number], table["counts"]))
    change = bootstrap_mean(v2s[:, number] - v2s[:, start])
    row = {
        **{name: float(table[name][:, number].mean()) for name in ("v2s", "d2s", "pa_mpjpe", "penetration", "off")},
        "v2s_median": float(np.median(v2s[:, number])),
        "off_share": float((off > MOVED).mean()),
        "v2s_change": [change.mean, change.low, change.high],
        **{name: getattr(contact, name) for name in ("precision", "recall", "f1")},
    }
    if before is None:
        return row
    step = bootstrap_mean(v2s[:, number] - v2s[:, before])
    return row | {"v2s_step": [step.mean, step.low, step.high]}


def run(config: Config) -> None:
    """Scores and writes."""
    began = time.perf_counter()
    known = None if config.known is None else _known(config)
    scores = evaluate(config if known is None else dataclasses.replace(config, gradient=False))
    if known is not None:
        scores = {name: with_gradient(known.get(name, {}), score) for name, score in scores.items()}
    other = None if config.against is None else load_graft(config.against)[1]
    record = record_of(config, load_graft(weights_of(config))[1], scores, time.perf_counter() - began, other)
    write_page(config.out, "graft", record, markdown(record))


def _known(config: Config) -> dict[str, Any]:
    """The scores of an earlier run of the same rooms and starts.

    Raises:
      InputError: no such file, or other rooms or starts.
    """
    try:
        earlier = json.loads(config.known.read_text())
        settings, scores = earlier["config"], earlier["scores"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config.known} is no graft.json of an earlier evaluation ({error})") from error
    mine = json.loads(json.dumps(settings_of(config)))
    # Settings that are younger than the file had their defaults.
    usual = json.loads(json.dumps(dataclasses.asdict(QueryConfig())))
    settings = {"split": "test", **settings, "queries": usual | settings.get("queries", {})}
    names = ("split", "rooms", "others", "points", "body", "seed", "queries", "gradient", "scans", "body_model")
    other = [name for name in names if settings.get(name) != mine[name]]
    if other or (config.synth is None) != (settings.get("synth") is None):
        raise InputError(f"{config.known} is of another {', '.join(other) or 'synth'}; leave --known out")
    return scores


def with_gradient(known: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """Scores of one set with the gradient prior's of an earlier run, in the order of `METHODS`.

    They are left out where the starts are others than then, such as those of a SynthHOI that was built elsewhere.
    """
    found = {k: v for k, v in scores.items() if k != "gradient"}
    then = known.get("start", {}).get("v2s")
    if "gradient" in known and then is not None and abs(then - scores["start"]["v2s"]) <= SAME:
        found["gradient"] = known["gradient"]
    return {k: found[k] for k in ("samples", *METHODS, "against") if k in found}


if __name__ == "__main__":
    run_command(run, Config)
