"""What images add to GRAFT: the full mode with its own encoder against geometry alone, trained alike on SynthHOI.

    python -m hoijax.experiments.graft.visual --out runs/visual --synth data/synth --split test  # the page
    python -m hoijax.experiments.graft.visual --out runs/visual --synth data/synth --steps 2     # does it run

Both begin with geometry-only weights and go on for as many steps with the same samples, noise and settings, once
without and once with images; both are scored on SynthHOI's scenes. A stopped run goes on where it was.
Writes `graft_visual.json` and `.md` to `results`.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np

from hoijax.body_models import free_body
from hoijax.data.synth import open_split
from hoijax.experiments.command import run_command
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, scene_split
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.losses import LossWeights
from hoijax.experiments.graft.networks import SIDE, with_encoder
from hoijax.experiments.graft.pages import SURFACE, surface_cells, training_chain
from hoijax.experiments.graft.queries import QueryConfig
from hoijax.experiments.graft.samples import Kept, SynthScenes
from hoijax.io import output_directory
from hoijax.nets.graft import load_encoder, load_graft, shipped_graft
from hoijax.systems.graft import body_spec

BEGUN = "weights that both begin with"
"""The trainings, and how they are called in the table."""
ARMS = {"geometry": "trained on without images", "full": "trained on with images"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path
    """Folder of the trainings."""
    synth: pathlib.Path
    """Root of a built SynthHOI."""
    results: pathlib.Path = RESULTS
    """Folder of the table."""
    split: Split = "dev"
    """Whose scenes are scored: "dev" to choose on, "test" for the page."""
    start: pathlib.Path | None = None
    """Geometry-only weights that both begin with; None: those that hoijax ships."""
    steps: int = 300
    """Of each training."""
    batch: int = 8
    """Samples per step."""
    rate: float = 3e-4
    """Largest step size of Adam."""
    seed: int = 1


def start_of(config: Config) -> pathlib.Path:
    """The weights that both trainings begin with."""
    return shipped_graft() if config.start is None else config.start


def training_of(config: Config, arm: str) -> training.Config:
    """The training of one arm."""
    return training.Config(
        out=config.out / arm, synth=config.synth, start=start_of(config), visual=arm == "full", steps=config.steps,
        batch=config.batch, points=8192, loss_vertices=512, contact_share=0.5, single=0.0, warmup=0.03,
        rate=config.rate, average=0.998, seed=config.seed, detach=True, fold=False,
        queries=QueryConfig(estimated=0.6, clean=0.25, near=0.3, scaled=0.2),
        weights=LossWeights(rounding=0.002, heights=15.0),
    )  # fmt: skip


def run(config: Config) -> None:
    """Trains, scores and writes the table."""
    output_directory(config.results)
    asked = evaluation.Config(synth=config.synth, gradient=False, split=config.split)
    model, facts = free_body(asked.body), load_graft(start_of(config))[1]
    spec = body_spec(model, np.asarray(facts["probe_vertices"]))
    split = open_split(config.synth, scene_split(config.split))
    source = Kept(SynthScenes(split, model, spec, points=asked.points, seed=asked.room_seed, pictures=SIDE))
    scores: dict[str, Any] = {}

    def score_arm(name: str, network: Any) -> None:
        refine = evaluation.make_refine(network, spec, model, asked.queries, gradient=False)
        scores[name] = evaluation.score(asked, name, source, refine, model, spec)
        jax.clear_caches()

    score_arm(BEGUN, load_graft(start_of(config))[0])
    sizes, full = {}, training_of(config, "full")
    # Made once for both; without images they are not looked at.
    samples = training.make_source(full, training.training_bodies(full))
    for arm, name in ARMS.items():
        one = training_of(config, arm)
        training.train(one, samples)
        network = load_graft(one.out / "graft.safetensors")[0]
        files = [one.out / "graft.safetensors"]
        if one.visual:
            files.append(one.out / "encoder.safetensors")
            network = with_encoder(network, load_encoder(files[-1]))
        sizes[name] = round(sum(file.stat().st_size for file in files) / 1e6, 2)
        score_arm(name, network)
    train = len(open_split(config.synth, "scenes_train"))
    record = settings_of(config, ("out", "results", "synth", "start"))
    record |= {"scenes_train": train, "scenes_test": len(split), "begun": training_chain(facts)}
    whole = {"config": record, "megabytes": sizes, "scores": json.loads(json.dumps(scores))}
    write_page(config.results, "graft_visual", whole, markdown(record, sizes, whole["scores"]))


def markdown(record: dict[str, Any], sizes: dict[str, float], scores: dict[str, Any]) -> str:
    """The table."""
    rows = [["start", *surface_cells(scores[BEGUN]["start"]), ""]]
    rows += [[name, *surface_cells(s["T = 3"]), f"{s['truth, T = 3']['v2s']:.1f}"] for name, s in scores.items()]
    return page(
        "GRAFT with images and without",
        "Made by `python -m hoijax.experiments.graft.visual`, whose docstring says how. Both trainings begin with "
        f"geometry-only weights ({record['begun']}) and take {record['steps']:,} steps of {record['batch']} of "
        f"SynthHOI's {record['scenes_train']} training scenes; scores are on its {record['scenes_test']} test scenes, "
        "with other people, furniture and rooms. The encoder is hoijax's own (two levels, images of "
        f"{SIDE} x {SIDE} pixels), trained along from random weights; the image without the person is the original "
        "with the person painted over. These are drawn images: nothing here speaks of photographs, or of what "
        "MapAnything's features would add." + note_of(record),
        table(["", *SURFACE, "true start's V2S, mm"], rows),
        "Weights: " + ", ".join(f"{name} {size} MB" for name, size in sizes.items()) + ".",
    )


if __name__ == "__main__":
    run_command(run, Config)
