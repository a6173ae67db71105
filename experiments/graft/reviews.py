"""Builds views of solved scenes to train GRAFT on (`hoijax.data.synth.reviews`).

    python -m hoijax.experiments.graft.reviews --out data/views                  # 600 people x 10 views
    python -m hoijax.experiments.graft.reviews --out data/views --build.scenes 250

Two thirds of a CPU second a person and 30 ms a view; a stopped build goes on where it was.
"""

import dataclasses
import pathlib

from hoijax.data.synth.reviews import ReviewConfig, build_reviews
from hoijax.experiments.command import run_command


@dataclasses.dataclass(frozen=True)
class Config:
    """What is made, and where to."""

    out: pathlib.Path
    """Folder of the views."""
    build: ReviewConfig = dataclasses.field(default_factory=ReviewConfig)


def run(config: Config) -> None:
    """Makes the views."""
    build_reviews(config.build, config.out)


if __name__ == "__main__":
    run_command(run, Config)
