"""Which interaction a sample tries: body, object instance, script, all from (seed, split, index, attempt)."""

import dataclasses
import functools

import numpy as np

from hoijax.data.objects import ProceduralObject, random_object, real_numbers
from hoijax.data.synth.actions import ACTIONS, Action
from hoijax.data.synth.config import SCENE_SPLITS, SPLITS, UNSEEN, SynthConfig
from hoijax.data.synth.rig import Puppet
from hoijax.data.synth.start import ScriptedStart

PATIENCE = 6
"""Attempts after which a sample takes up the next action."""
_ALL_SPLITS = SPLITS + SCENE_SPLITS
"""A split's place here decides what is drawn for it: new ones go to the end."""
_POOLS = {
    "train": 0, "val": 1, "test": 2, "test_unseen_category": 3, "scenes_train": 0, "scenes_test": 2, "scenes_dev": 1,
}  # fmt: skip
"""Pools of instances and shapes by split: scenes share the pools of train, val and test."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One attempt at a sample."""

    index: int
    attempt: int
    action: Action
    category: str
    object_seed: int
    shape_seed: int
    text: str
    start: ScriptedStart


def source(config: SynthConfig, split: str, index: int, attempt: int, use: int = 0) -> np.random.Generator:
    """The source of chance of one attempt, for one use."""
    return np.random.default_rng([config.seed, _ALL_SPLITS.index(split), index, attempt, use])


@functools.lru_cache(maxsize=512)
def instance(category: str, seed: int) -> ProceduralObject:
    """`random_object`, remembered."""
    return random_object(category, seed)


def pool_seed(config: SynthConfig, split: str, kind: str, number: int) -> int:
    """The seed of an instance ("object") or a body shape ("shape") of a split: pools of different splits share none."""
    pool, size = _POOLS[split], config.instances if kind == "object" else config.shapes
    return config.seed * 1_000_000 + pool * 100_000 + number % (size if pool == 0 else max(1, size // 4))


def body_betas(shape_seed: int) -> np.ndarray:
    """The body shape of a seed: betas of standard deviation 0.9, cut at 2."""
    return np.clip(np.random.default_rng([shape_seed, 20210]).normal(0, 0.9, 10), -2.0, 2.0)


def category_weights(action: Action, split: str) -> dict[str, float]:
    """The categories of an action that a split has, with their weights."""
    unseen = split == "test_unseen_category"
    return {name: weight for name, weight in action.categories.items() if (name in UNSEEN) == unseen}


def action_names(config: SynthConfig, split: str) -> tuple[str, ...]:
    """The actions that a split has, in turn."""
    wanted = config.actions or tuple(ACTIONS)
    return tuple(name for name in wanted if category_weights(ACTIONS[name], split))


def draw(config: SynthConfig, split: str, index: int, attempt: int) -> Candidate:
    """One attempt at one sample, the same on every machine."""
    rng = source(config, split, index, attempt)
    names = action_names(config, split)
    # Samples take the actions in turn; one that fails again and again takes the next.
    action = ACTIONS[names[(index + attempt // PATIENCE) % len(names)]]
    weights = category_weights(action, split)
    category = str(rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values())))

    def pick(category: str) -> tuple[int, ProceduralObject]:
        if config.real and rng.random() < config.real:
            numbers = real_numbers(category, "test" if _POOLS[split] in (2, 3) else "train")
            if numbers:
                seed = -int(rng.choice(numbers))
                return seed, instance(category, seed)
        seed = pool_seed(config, split, "object", int(rng.integers(0, 1 << 30)))
        return seed, instance(category, seed)

    seed, obj = pick(category)
    for _ in range(200):
        if action.suits(obj):
            break
        seed, obj = pick(category)
    shape_seed = pool_seed(config, split, "shape", int(rng.integers(0, 1 << 30)))
    puppet = Puppet(body_betas(shape_seed))
    start = action.script(rng, puppet, obj, pick) if action.furnished else action.script(rng, puppet, obj)
    text = action.text(rng, category, start.manner)
    return Candidate(index, attempt, action, category, seed, shape_seed, text, start)
