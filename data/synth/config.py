"""What a build of SynthHOI is made of: counts, sizes, the pools of instances and body shapes."""

import dataclasses
import json
from typing import Any

from hoijax.body_models import FREE_BODY_LEVELS
from hoijax.errors import InputError

SPLITS: tuple[str, ...] = ("train", "val", "test", "test_unseen_category")
"""Splits of the interactions, in the order they are built."""
SCENE_SPLITS: tuple[str, ...] = ("scenes_train", "scenes_test", "scenes_dev")
"""Splits of the scenes."""
DEV_SPLITS: dict[str, str] = {"test": "val", "scenes_test": "scenes_dev"}
"""Splits to choose on, weights, seeds and settings, by the split that a table shows. What a table shows is scored once,
when everything is chosen; of categories that nobody has seen there is nothing to choose on."""
UNSEEN: tuple[str, ...] = ("laptop", "racket", "stool", "suitcase")
"""Categories that only `test_unseen_category` has."""

_MOST = {
    **dict.fromkeys((*SPLITS, "scenes"), 10_000_000),
    "image_size": 4096,
    "instances": 1_000_000,
    "shapes": 1_000_000,
    "steps": 100_000,
    "workers": 1024,
}


@dataclasses.dataclass(frozen=True)
class SynthConfig:
    """One build; two builds with equal values, but for `workers`, have the same bytes on the same machine."""

    seed: int = 0
    """Everything random is drawn from it."""
    train: int = 1600
    """Interactions per split."""
    val: int = 100
    test: int = 200
    test_unseen_category: int = 100
    scenes: int = 200
    """Human-scene samples for training and test, a fifth of them for test; a tenth as many besides are for dev."""
    image_size: int = 512
    """Side of the images, pixels."""
    lod: str = "test"
    """Level of detail of the free body that is solved with; labels are always those of "default"."""
    actions: tuple[str, ...] = ()
    """Actions that are made, by name; empty: all."""
    instances: int = 32
    """Object instances per category and body shapes: of train; val and test have a fourth of each, of their own."""
    shapes: int = 256
    steps: int = 150
    """Gradient steps of the contact fitting."""
    real: float = 0.0
    """Share of the objects, from 0 to 1, that are shapes which nobody here drew (`hoijax.data.objects.real`), where a
    category has some: those for training in train and val, those for tests in both tests."""
    workers: int = 2
    """Processes, which change nothing but the time; 0 works in this one, with its threads, which may round
    differently."""

    def __post_init__(self):
        for name in (*SPLITS, "scenes", "workers", "steps"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        for name, least in (("image_size", 64), ("instances", 4), ("shapes", 4)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise InputError(f"{name} must be at most {most:,}, got {getattr(self, name):,}")
        if not 0 <= self.real <= 1:
            raise InputError(f"real is a share from 0 to 1, got {self.real}")
        if not 0 <= self.seed < 1 << 32:
            raise InputError(f"seed must be from 0 to 4294967295, got {self.seed}")
        if self.lod not in FREE_BODY_LEVELS:
            raise InputError(f"no level of detail {self.lod!r}; there are {', '.join(FREE_BODY_LEVELS)}")

    def stored(self) -> dict[str, Any]:
        """What is noted with a build: `workers` changes nothing of it, and builds without real shapes are those of
        versions that knew none."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in values.items() if k != "workers" and (k != "real" or v)}

    def count(self, split: str) -> int:
        """Samples of a split of interactions or of scenes.

        Raises:
          InputError: no such split.
        """
        if split in SPLITS:
            return getattr(self, split)
        if split in SCENE_SPLITS:
            test = self.scenes // 5
            return {"scenes_test": test, "scenes_train": self.scenes - test, "scenes_dev": self.scenes // 10}[split]
        raise InputError(f"no split {split!r}; there are {', '.join(SPLITS + SCENE_SPLITS)}")
