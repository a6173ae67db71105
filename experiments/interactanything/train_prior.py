"""Trains the diffusion prior of poses on the rows of `poses`.

    python -m hoijax.experiments.interactanything.train_prior --data FOLDER --out FOLDER

Some ten minutes of one CPU core. The loss is that of the clean state and of where the joints then are in the object's
frame, in metres. Every row is also seen in the mirror. Conditions are forgotten now and then, for guidance without a
classifier, and verbs alone, for verbs that nobody knows.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_joints
from hoijax.diffusion import q_sample
from hoijax.errors import InputError
from hoijax.experiments.interactanything.poses import read_poses
from hoijax.geometry import rotation_from_6d
from hoijax.nets.interactanything import Condition, PosePrior, PriorConfig, State, pack, save_prior, unpack
from hoijax.systems.interactanything.prior import OPTIONS, SCHEDULE
from hoijax.systems.interactanything.relations.schema import BODY_PARTS, FACES, SIDES

FILE = "weights.safetensors"
FLOOR = 0.1
"""Least spread that a number of the state is divided by."""
MIRRORED_6D = np.array([1, -1, -1, 1, -1, 1], np.float32)
"""Signs of a 6D rotation's numbers in the mirror image in the plane x = 0."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One training."""

    data: pathlib.Path
    """Folder of `poses`."""
    out: pathlib.Path
    """Folder of the weights."""
    sizes: PriorConfig = dataclasses.field(default_factory=lambda: PriorConfig(options=OPTIONS, parts=len(BODY_PARTS)))
    steps: int = 2500
    batch: int = 128
    rate: float = 1.5e-3
    decay: float = 0.01
    places: float = 20.0
    """Weight of the joints' places in the object's frame, per square metre."""
    forget: float = 0.1
    """Share of rows that are not told their condition, and of others that are not told their verb."""
    refined: float = 0.25
    """Share of a batch that is drawn from the refined rows."""
    noise: float = 0.01
    """Standard deviation of what is added to places and points, metres."""
    seed: int = 0
    log_every: int = 250


def swapped(names: tuple[str, ...]) -> np.ndarray:
    """Place of each name's mirror image: left and right change places."""
    other = {"left": "right", "right": "left"}

    def image(name: str) -> str:
        side, under, rest = name.partition("_")
        return other.get(side, side) + under + rest

    return np.array([names.index(image(name)) for name in names])


def mirrored(rows: dict[str, Any], joint_names: tuple[str, ...]) -> dict[str, Any]:
    """Rows of `read_poses` as their mirror images in the plane x = 0."""
    out = dict(rows)
    flip = np.array([-1, 1, 1], np.float32)
    out["rotations"] = rows["rotations"][:, swapped(joint_names)] * MIRRORED_6D
    out["turn"], out["middle"] = rows["turn"] * MIRRORED_6D, rows["middle"] * flip
    choices = rows["condition_choices"].copy()
    choices[:, 2] = swapped(tuple(SIDES))[choices[:, 2]]
    choices[:, 3] = swapped(tuple(FACES))[choices[:, 3]]
    out["condition_choices"] = choices
    out["condition_part"] = swapped(BODY_PARTS)[rows["condition_part"]].astype(np.int32)
    out["condition_place"] = rows["condition_place"] * np.concatenate([flip, np.ones(3, np.float32)])
    out["condition_points"] = rows["condition_points"] * np.concatenate([flip, flip])
    return out


def both(rows: dict[str, Any], joint_names: tuple[str, ...]) -> dict[str, Any]:
    """Rows and their mirror images."""
    other = mirrored(rows, joint_names)
    other["case"] = other["case"] + len(rows["condition_choices"])
    return {key: np.concatenate([rows[key], other[key]]) for key in rows}


def states(rows: dict[str, Any]) -> State:
    """The rows' states."""
    return State(rows["rotations"][:, :22], rows["rotations"][:, 22:], rows["height"], rows["turn"], rows["middle"],
                 rows["feet"])  # fmt: skip


def fit_statistics(prior: PosePrior, state: State) -> None:
    """Sets the prior's basis of hands and its means and spreads."""
    fingers = np.asarray(state.fingers, np.float64).reshape(len(state.height), -1)
    mean = fingers.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((fingers - mean).T))
    prior.hand_mean[...] = jnp.asarray(mean, jnp.float32)
    prior.hand_basis[...] = jnp.asarray(axes[:, ::-1][:, : prior.config.hands].T, jnp.float32)
    numbers = np.asarray(pack(prior, state))
    prior.mean[...] = jnp.asarray(numbers.mean(axis=0))
    prior.spread[...] = jnp.asarray(np.maximum(numbers.std(axis=0), FLOOR))


def joints_beside(model: BodyModel, state: State) -> Float[jax.Array, "B J 3"]:
    """Joints in the frame of the object, from the middle of its box, metres."""
    rotations = rotation_from_6d(jnp.concatenate([state.joints, state.fingers], axis=-2))
    batch = rotations.shape[0]
    kind = rotations.dtype
    params = BodyParams(rotations, jnp.zeros((batch, model.num_betas), kind), jnp.zeros((batch, 3), kind))
    away = pose_joints(model, params).joints - state.middle[:, None]
    return jnp.einsum("bij,bki->bkj", rotation_from_6d(state.turn), away)


def condition_rows(rows: dict[str, Any], index: np.ndarray) -> Condition:
    """The conditions of some rows."""
    case = rows["case"][index]
    told = {f.name: rows[f"condition_{f.name}"][case] for f in dataclasses.fields(Condition) if f.name != "refined"}
    return Condition(**told, refined=rows["refined"][index].astype(np.float32))


def draw(rows: dict[str, Any], config: Config, step: int) -> tuple[np.ndarray, Condition, np.ndarray]:
    """Rows of a step, their conditions, and which of these are forgotten."""
    rng = np.random.default_rng([config.seed, step])
    index = rng.integers(len(rows["height"]), size=config.batch)
    fine = np.flatnonzero(rows["refined"])
    if len(fine):
        index = np.where(rng.random(config.batch) < config.refined, rng.choice(fine, config.batch), index)
    condition = condition_rows(rows, index)
    choices = condition.choices.copy()
    choices[rng.random(config.batch) < config.forget, 0] = 0
    place = condition.place + config.noise * rng.normal(size=condition.place.shape).astype(np.float32)
    points = condition.points + config.noise * rng.normal(size=condition.points.shape).astype(np.float32)
    return (
        index,
        condition.replace(choices=choices, place=place, points=points),
        rng.random(config.batch) < config.forget,
    )


def main(config: Config) -> None:
    """Trains and writes the weights.

    Raises:
      InputError: no rows.
    """
    model = free_body("test")
    rows, held = (read_poses(config.data, split) for split in ("train", "val"))
    if not rows:
        raise InputError(f"{config.data} has no rows for training; make them with {__package__}.poses")
    count = len(rows["height"])
    rows = both(rows, model.joint_names)
    prior = PosePrior(config.sizes, nnx.Rngs(config.seed))
    everything = states(rows)
    fit_statistics(prior, everything)
    clean = np.asarray(prior.normalised(pack(prior, everything)))
    graph, weights, still = nnx.split(prior, nnx.Param, ...)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.steps // 20 + 1, config.steps)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=config.decay))

    def loss_of(weights: Any, x: jax.Array, condition: Condition, lost: jax.Array, key: jax.Array) -> jax.Array:
        prior = nnx.merge(graph, weights, still)
        time_key, noise_key = jax.random.split(key)
        t = jax.random.randint(time_key, x.shape[:1], 0, SCHEDULE.num_steps)
        noisy = jax.vmap(lambda x, t, n: q_sample(SCHEDULE, x, t, n))(x, t, jax.random.normal(noise_key, x.shape))
        c = jnp.where(lost[:, None], prior.unconditional(len(x)), prior.encode(condition))
        guess = prior(noisy, t / SCHEDULE.num_steps, c)
        both = unpack(prior, prior.unnormalised(jnp.concatenate([guess, x])))
        first, second = jnp.split(joints_beside(model, both), 2)
        places = jnp.mean(jnp.sum((first - second) ** 2, axis=-1))
        return jnp.mean((guess - x) ** 2) + config.places * places

    @jax.jit
    def step(weights: Any, moments: Any, x: jax.Array, condition: Condition, lost: jax.Array, key: jax.Array):
        loss, slope = jax.value_and_grad(loss_of)(weights, x, condition, lost, key)
        update, moments = optimiser.update(slope, moments, weights)
        return optax.apply_updates(weights, update), moments, loss

    look = jax.jit(loss_of)
    if held:
        held_clean = np.asarray(prior.normalised(pack(prior, states(held))))
        some = np.random.default_rng(0).permutation(len(held_clean))[:512]
        beside = held_clean[some], condition_rows(held, some), np.zeros(len(some), bool), jax.random.key(1)
    moments, losses, began = optimiser.init(weights), [], time.process_time()
    mean, key = weights, jax.random.key(config.seed)
    for k in range(config.steps):
        index, condition, lost = draw(rows, config, k)
        weights, moments, loss = step(weights, moments, clean[index], condition, lost, jax.random.fold_in(key, k))
        share = min(0.999, (k + 1) / (k + 10))
        mean = jax.tree.map(lambda m, s, share=share: share * m + (1 - share) * s, mean, weights)
        losses.append(float(loss))
        if (k + 1) % config.log_every == 0 or k + 1 == config.steps:
            told = {"step": k + 1, "loss": float(np.mean(losses[-config.log_every :]))}
            told |= {"held_out": float(look(mean, *beside))} if held else {}
            print(json.dumps(told | {"cpu_seconds": round(time.process_time() - began)}), flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    plain = {k: v for k, v in dataclasses.asdict(config).items() if k not in ("data", "out", "sizes", "log_every")}
    facts = {"rows": count, "refined_rows": int(rows["refined"].sum()) // 2, "training": plain,
             "loss": float(np.mean(losses[-50:]))}  # fmt: skip
    save_prior(config.out / FILE, nnx.merge(graph, mean, still), facts)


if __name__ == "__main__":
    main(tyro.cli(Config))
