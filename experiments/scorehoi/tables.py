"""ScoreHOI's tables on a data set with the evaluation harness: tables 1 to 4 and A of the paper.

    python -m hoijax.experiments.scorehoi.tables --table 3 --dataset synth_hoi --root DIR --split test \\
        --regressor runs/regressor/weights.safetensors --denoiser runs/denoiser/weights.safetensors

Several `--regressor` and `--denoiser`, in the same order, are several seeds: every row is the mean over seeds of each
sample's numbers, with a bootstrap interval over samples (whole object instances, which are alike, are drawn). Each row
of each seed is predicted and scored into its own folder below `--work`, and a stopped run goes on where it was.

| table | rows |
|---|---|
| 1 | regressor alone, gradient refiner in as much time, ScoreHOI; each split |
| 2, A | N = 2 and N = 10 with images per second; the paper's own rows are on BEHAVE and an RTX 4090 and stand apart |
| 3 | what is left out: diffusion, repeated contact, conditions, guidance, each loss |
| 4 | N, tau and Delta t |

Writes `scorehoi_tableT.md` and `.json` to `--out`.
"""

import dataclasses
import pathlib
from typing import Any, Literal

import numpy as np

from hoijax.data.evaluation import EvaluateConfig, open_truth
from hoijax.data.evaluation.table import rows_of
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, settings_of, write_page
from hoijax.experiments.common.splits import Split, synth_splits
from hoijax.experiments.scorehoi.predictors import (
    PictureSource,
    Predictor,
    RealPictures,
    SynthPictures,
    write_predictions,
)
from hoijax.experiments.scorehoi.real import RealInteractions
from hoijax.experiments.scorehoi.score_tables import markdown_table, mean_over_seeds, score_rows
from hoijax.experiments.scorehoi.variants import TABLES, GuidanceVariant
from hoijax.io import check_output_directory, file_digest
from hoijax.systems.scorehoi.networks import Networks, load_networks

DATASETS = ("synth_hoi", "behave", "imhd")
"""Those with pictures and the networks' own kind of body."""
PLACES = ("root", "body_model", "regressor", "denoiser", "work", "out")
"""Settings that say where on this machine, not what; left out of the results."""
Table = Literal["1", "2", "3", "4", "A"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    root: pathlib.Path
    """Where the data set lies."""
    regressor: tuple[pathlib.Path, ...]
    """Weights of stage 1, one per seed."""
    denoiser: tuple[pathlib.Path, ...]
    """Weights of stage 2, in the order of the regressors they were trained under."""
    table: Table = "1"
    dataset: str = "synth_hoi"
    """"synth_hoi", or "behave" or "imhd" with the networks trained on them."""
    body_model: pathlib.Path | None = None
    """File or folder of SMPL-H, for the published data sets."""
    split: Split = "dev"
    """"dev" to choose on, "test" for the page (`hoijax.data.synth.config`)."""
    splits: tuple[str, ...] = ()
    """The data set's own splits; where none are named SynthHOI's that `split` means, of others "val" or "test". Table 1
    has them all, the others the first."""
    rows: tuple[str, ...] = ()
    """Only these rows, by name; empty: all."""
    samples: int | None = None
    """Only so many samples of each split, the first."""
    batch: int = 16
    """Pictures at a time."""
    steps: int = 2
    """Delta t of every row that does not say its own; the paper's is 2."""
    metrics: tuple[str, ...] = ("surface", "contact")
    """Groups of metrics; `penetration` takes seconds a sample."""
    resamples: int = 1000
    """Of the bootstrap."""
    work: pathlib.Path = pathlib.Path("runs/scorehoi_tables")
    """Where predictions and scores of each row are kept."""
    out: pathlib.Path = RESULTS

    def __post_init__(self):
        if len(self.regressor) != len(self.denoiser) or not self.regressor:
            raise InputError(
                f"wanted as many --denoiser as --regressor, one of each per seed; got {len(self.denoiser)} and "
                f"{len(self.regressor)}"
            )
        known = [variant.name for variant in TABLES[self.table]]
        unknown = [name for name in self.rows if name not in known]
        if unknown:
            raise InputError(f"table {self.table} has no row {', '.join(unknown)}; its rows are {', '.join(known)}")
        if self.dataset not in DATASETS:
            raise InputError(
                f"wanted --dataset {' or '.join(DATASETS)}, got {self.dataset}: bodies of other kinds than the "
                "networks' are predicted with `hoijax reconstruct` and scored with `hoijax evaluate`"
            )
        if (self.dataset == "synth_hoi") != (self.body_model is None):
            wanted = "no --body-model" if self.body_model else "--body-model, the file or folder of SMPL-H"
            raise InputError(f"--dataset {self.dataset} needs {wanted}")


def run(config: Config) -> dict[str, Any]:
    """Predicts and scores every row of a table.

    Returns:
      What is written as JSON: split to row to `metrics` (see `hoijax.data.evaluation`) and `images_per_second`.

    Raises:
      InputError: data or weights are missing; nothing is written then.
    """
    check_output_directory(config.out)
    named = config.splits or splits_of(config.dataset, config.split)
    splits = named if config.table == "1" else named[:1]
    chosen = [v for v in TABLES[config.table] if not config.rows or v.name in config.rows]
    sources = {
        split: open_truth(config.dataset, root=config.root, split=split, body_model=config.body_model)
        for split in splits
    }
    networks = [load_networks(*pair, config.body_model) for pair in zip(config.regressor, config.denoiser)]
    pictures = {split: open_pictures(config, split, networks[0]) for split in splits}
    evaluation = EvaluateConfig(metrics=config.metrics, resamples=config.resamples)
    scores: dict[str, dict[str, Any]] = {}
    predictors: dict[Any, Predictor] = {}
    for variant in chosen:
        program = Predictor.program(variant, config.steps)
        if program not in predictors:
            predictors[program] = Predictor(networks[0], variant, config.steps, config.batch)
        predictor = predictors[program]
        predictor.show(variant)
        for split, source in sources.items():
            ids = [key for key in source.ids if pictures[split].has(key)][: config.samples]
            scored, speeds = [], []
            for seed, nets in enumerate(networks):
                folder = config.work / config.dataset / split / _folder(variant, config, seed)
                predictor.use(nets)
                speeds.append(write_predictions(folder, predictor, pictures[split], ids))
                scored.append(score_rows(folder, source, ids, evaluation))
            samples, groups = mean_over_seeds(scored)
            scores.setdefault(split, {})[variant.name] = {
                "metrics": rows_of(samples, groups, evaluation),
                "seeds": [rows_of(*one, evaluation) for one in scored] if len(scored) > 1 else [],
                "images_per_second": float(np.mean(speeds)),
            }
    result = {
        "table": config.table,
        "dataset": config.dataset,
        "config": settings_of(config, PLACES),
        "settings": {variant.name: dataclasses.asdict(variant.guidance(config.steps)) for variant in chosen},
        "weights": [{n: _provenance(p) for n, p in zip(("regressor", "denoiser"), pair)}
                    for pair in zip(config.regressor, config.denoiser)],
        "splits": scores,
        **software(),
    }  # fmt: skip
    write_page(config.out, f"scorehoi_table{config.table}", result, markdown_table(result, chosen))
    return result


def splits_of(dataset: str, split: Split) -> tuple[str, ...]:
    """A data set's splits for choosing, or for the page."""
    return synth_splits(split) if dataset == "synth_hoi" else ("val" if split == "dev" else "test",)


def open_pictures(config: Config, split: str, networks: Networks) -> PictureSource:
    """The pictures of a split.

    Raises:
      InputError: they are missing.
    """
    if config.dataset == "synth_hoi":
        return SynthPictures(config.root, split, networks.layout)
    return RealPictures(RealInteractions(config.dataset, config.root, split, config.body_model, networks.layout))


def _provenance(path: pathlib.Path) -> dict[str, Any]:
    from hoijax.nets.weights import read_facts

    return {"sha256": file_digest(path), **read_facts(path)}


def _folder(variant: GuidanceVariant, config: Config, seed: int) -> str:
    """Named by what the predictions depend on: rows of several tables may share them."""
    used = (config.regressor[seed], config.denoiser[seed])
    # What does not see the denoiser is the same for all of a regressor's denoisers.
    digests = "".join(file_digest(path)[:8] for path in used[: 1 + (variant.method == "scorehoi")])
    return f"{variant.slug(config.steps)}-{digests}"


def main() -> None:
    """The command line."""
    result = run_command(run, Config)
    print(markdown_table(result, TABLES[result["table"]]))


if __name__ == "__main__":
    main()
