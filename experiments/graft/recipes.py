"""How GRAFT's shipped weights were trained: nine trainings, each beginning with the weights of the one before.

    python -m hoijax.experiments.recipes graft --out runs/graft

Four and a half hours on one to two shared CPU cores, two builds of SynthHOI and two of views of its solved scenes.
Expected on the held-out rooms of `evaluate --split test`: V2S 61 mm after three steps, from 85 mm; contact F1 0.84,
from 0.61; 4.3 mm from a true start.
"""

import dataclasses
import pathlib
from typing import Any

from hoijax.data.synth import SynthConfig
from hoijax.data.synth.reviews import ReviewConfig
from hoijax.experiments.common.recipes import Expected, Part, Recipe, SynthBuild, build_synth
from hoijax.experiments.graft.losses import LossWeights
from hoijax.experiments.graft.queries import QueryConfig
from hoijax.experiments.graft.reviews import Config as Views
from hoijax.experiments.graft.reviews import run as build_views
from hoijax.experiments.graft.train import Config, train

FILE = "graft.safetensors"
TINY_SYNTH = {
    "synth.scenes": 5, "synth.image_size": 96, "synth.actions": ("carry_two_hands", "kick"), "synth.instances": 4,
    "synth.shapes": 4, "synth.steps": 60, "synth.workers": 0,
}  # fmt: skip
"""Changes that make a trial of a build of scenes."""
TINY_VIEWS = {"build.scenes": 2, "build.views": 2, "build.image_size": 64, "build.steps": 60}
"""The same of views."""

FIRST = Config(
    out=pathlib.Path("1"), steps=10_000, batch=16, points=8192, rooms=4096, loss_vertices=512, contact_share=0.5,
    single=0.0, warmup=0.03, rate=1e-3, average=0.999, seed=1, detach=True, fold=False,
    weights=LossWeights(rounding=0.002, heights=15.0),
    queries=QueryConfig(estimated=0.6, clean=0.25, near=0.3, scaled=0.2),
)  # fmt: skip
"""On whole made-up rooms, from random weights."""
TINY = {
    "size": "tiny", "batch": 2, "points": 256, "rooms": 4, "body": "test", "loss_vertices": 64, "horizon": 2,
    "log_every": 1, "seed": FIRST.seed, "rate": FIRST.rate, "warmup": FIRST.warmup, "average": FIRST.average,
    "held": FIRST.held, "queries": FIRST.queries, "weights": FIRST.weights,
}  # fmt: skip
"""Changes that make a trial of a training; all of them then share one program, compiled once."""


def _later(number: int, **changes: Any) -> Config:
    """A training that begins with the one before; all else is as in the first."""
    start = pathlib.Path(str(number - 1)) / FILE
    return dataclasses.replace(FIRST, **{"out": pathlib.Path(str(number)), "start": start, "views": 0.4} | changes)


def _refined(
    number: int, views: pathlib.Path, *, estimated: float, clean: float, errors: float, scaled: float, gate: float,
    **changes: Any,
) -> Config:  # fmt: skip
    """One of the last trainings: scales about the pelvis, a gate with a target of its own, views of solved scenes and
    rooms with furniture of meshes, clouds of any density, and some starts that are badly wrong.

    Args:
      number: which training.
      views: to train on.
      estimated: share of the estimates among the starts.
      clean: share that is left as it is of the others.
      errors: share of the estimates whose limbs are exchanged, and of those that lie far off.
      scaled: share of the starts that are scaled.
      gate: weight of the gate's target.
      changes: what else is its own.
    """
    queries = dataclasses.replace(
        FIRST.queries, estimated=estimated, clean=clean, near=0.35, swapped=errors, far=errors,
        scaled=scaled,
    )  # fmt: skip
    weights = dataclasses.replace(FIRST.weights, far=0.1, gate=gate)
    return _later(
        number, reviews=views, size="pelvis", furniture="meshes", distances=(2.0, 6.0), views=0.5, density=0.1,
        warmup=0.1, average=0.998, log_every=25, queries=queries, weights=weights, **changes,
    )  # fmt: skip


SCENES, MORE_SCENES = pathlib.Path("synth_200"), pathlib.Path("synth_600")
VIEWS, MORE_VIEWS = pathlib.Path("views_250"), pathlib.Path("views_450")
TRAININGS: tuple[Config, ...] = (
    FIRST,
    _later(2, steps=10_500, rooms=6144, rate=7e-4, seed=2),
    _later(3, steps=2200, rooms=2048, synth=SCENES, mixed=0.65, warmup=0.05, rate=4e-4, average=0.998, seed=3),
    _later(4, steps=9000, rooms=8192, rate=8e-4, seed=5),
    _later(
        5, steps=10_000, rooms=6144, synth=MORE_SCENES, mixed=0.6, rate=6e-4, seed=6,
        weights=dataclasses.replace(FIRST.weights, far=0.1), queries=dataclasses.replace(FIRST.queries, clean=0.3),
    ),
    _later(
        6, steps=2500, rooms=2048, synth=MORE_SCENES, mixed=0.5, rate=3e-4, average=0.998, seed=7,
        queries=dataclasses.replace(FIRST.queries, estimated=0.5, clean=0.4, near=0.35),
    ),
    _refined(
        7, VIEWS, steps=1500, rooms=512, mixed=0.35, rate=6e-4, seed=17, held=0.25, gate=0.1, scaled=0.2,
        estimated=0.5, clean=0.4, errors=0.1,
    ),
    _refined(
        8, MORE_VIEWS, steps=1100, rooms=768, mixed=0.5, rate=5e-4, seed=18, held=0.3, gate=0.2, scaled=0.15,
        estimated=0.45, clean=0.6, errors=0.07,
    ),
    _refined(
        9, MORE_VIEWS, steps=600, rooms=768, mixed=0.5, rate=2.5e-4, seed=19, held=0.3, gate=0.2, scaled=0.15,
        estimated=0.42, clean=0.65, errors=0.07,
    ),
)  # fmt: skip
"""In order; `hoijax/assets/graft/graft.json` holds what each was when it ran."""
MINUTES = (52, 33, 9, 41, 49, 14, 20, 37, 13)


def _scenes(name: str, folder: pathlib.Path, count: int) -> Part:
    synth = SynthConfig(train=0, val=0, test=0, test_unseen_category=0, scenes=count)
    return Part(
        name, "", build_synth, SynthBuild(folder, synth), folder / "synth_scene/1.0.0/dataset_info.json", TINY_SYNTH
    )


def _views(name: str, folder: pathlib.Path, count: int) -> Part:
    config = Views(folder, ReviewConfig(scenes=count))
    made = folder / f"scene-{count - 1:06d}.npz"
    return Part(name, "hoijax.experiments.graft.reviews", build_views, config, made, TINY_VIEWS)


def _training(number: int) -> Part:
    config, module = TRAININGS[number - 1], "hoijax.experiments.graft.train"
    return Part(f"training {number}", module, train, config, config.out / FILE, TINY, MINUTES[number - 1])


_ROOMS = ("scores", "made-up rooms")
RECIPES = (
    Recipe(
        name="graft",
        ships="graft/graft.safetensors",
        weights=TRAININGS[-1].out / FILE,
        hardware="one to two shared CPU cores",
        parts=(
            _training(1), _training(2), _scenes("synth_200", SCENES, 200), _training(3), _training(4),
            _scenes("synth_600", MORE_SCENES, 600), _training(5), _training(6),
            _views("views_250", VIEWS, 250), _training(7), _views("views_450", MORE_VIEWS, 450), _training(8),
            _training(9),
        ),
        expected=(
            Expected("V2S of the starts, mm", 84.7, "graft.json", (*_ROOMS, "start", "v2s")),
            Expected("V2S after three steps, mm", 60.7, "graft.json", (*_ROOMS, "T = 3", "v2s")),
            Expected("contact F1 after three steps", 0.844, "graft.json", (*_ROOMS, "T = 3", "f1")),
            Expected("V2S of a true start after three steps, mm", 4.3, "graft.json", (*_ROOMS, "truth, T = 3", "v2s")),
        ),
    ),
)  # fmt: skip
"""Of GRAFT."""
