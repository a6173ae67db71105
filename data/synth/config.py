"""What a build of SynthHOI is made of: counts, sizes, the pools of instances and body shapes."""

import dataclasses

from hoijax.errors import InputError

#: Splits of the interactions, in the order they are built.
SPLITS: tuple[str, ...] = ("train", "val", "test", "test_unseen_category")
#: Splits of the scenes.
SCENE_SPLITS: tuple[str, ...] = ("scenes_train", "scenes_test")
#: Categories that only `test_unseen_category` has.
UNSEEN: tuple[str, ...] = ("laptop", "racket", "stool", "suitcase")


@dataclasses.dataclass(frozen=True)
class SynthConfig:
    """One build; two builds with equal values, but for `workers`, have the same bytes on the same machine."""

    #: Everything random is drawn from it.
    seed: int = 0
    #: Interactions per split.
    train: int = 1600
    val: int = 100
    test: int = 200
    test_unseen_category: int = 100
    #: Human-scene samples in all, a fifth of them for test.
    scenes: int = 200
    #: Side of the images, pixels.
    image_size: int = 512
    #: Level of detail of the free body that is solved with; labels are always those of "default".
    lod: str = "test"
    #: Actions that are made, by name; empty: all.
    actions: tuple[str, ...] = ()
    #: Object instances per category and body shapes: of train; val and test have a fourth of each, of their own.
    instances: int = 32
    shapes: int = 256
    #: Gradient steps of the contact fitting.
    steps: int = 150
    #: Processes, which change nothing but the time; 0 works in this one, with its threads, which may round differently.
    workers: int = 2

    def __post_init__(self):
        for name in (*SPLITS, "scenes", "workers", "steps"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        for name, least in (("image_size", 64), ("instances", 4), ("shapes", 4)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def count(self, split: str) -> int:
        """Samples of a split of interactions or of scenes.

        Raises:
          InputError: no such split.
        """
        if split in SPLITS:
            return getattr(self, split)
        if split in SCENE_SPLITS:
            test = self.scenes // 5
            return test if split == "scenes_test" else self.scenes - test
        raise InputError(f"no split {split!r}; there are {', '.join(SPLITS + SCENE_SPLITS)}")
