"""Which data choices are made on, and which a page shows.

The rule: whatever is chosen (weights, seeds, settings, the length of a training) is chosen on `dev`. `test` is scored
once, for the page, when everything is chosen; what it says changes nothing any more. So every script that scores takes
`dev` unless it is told `--split test`. `dev` has people, objects, rooms and starts of its own:

| data | dev | test |
|---|---|---|
| SynthHOI's interactions | `val` | `test`, and `test_unseen_category`, of which there is no dev |
| SynthHOI's scenes | `scenes_dev` | `scenes_test` |
| made-up rooms | seeds from 2000 | seeds from 1000; trainings have seeds below 1000 |
"""

from collections.abc import Mapping
from typing import Any, Literal

from hoijax.data.synth import DEV_SPLITS

Split = Literal["dev", "test"]
DEV_SEEDS = 1000
"""What dev's seeds of made-up rooms are above those of test."""


def synth_splits(split: Split) -> tuple[str, ...]:
    """SynthHOI's interactions of dev or test."""
    return (DEV_SPLITS["test"],) if split == "dev" else ("test", "test_unseen_category")


def scene_split(split: Split) -> str:
    """SynthHOI's scenes of dev or test."""
    return DEV_SPLITS["scenes_test"] if split == "dev" else "scenes_test"


def note_of(settings: Mapping[str, Any]) -> str:
    """What a page says of its split; pages of test, and those that were made before there was a dev, say nothing."""
    return " These are samples of dev, to choose on: no result." if settings.get("split") == "dev" else ""
