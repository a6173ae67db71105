"""InteractVLM's Table S.4: equally long trainings that differ in one thing each, scored beside the paper's changes.

    python -m hoijax.experiments.interactvlm.ablations --out runs/ablations --synth data/synth

By default a small network from random weights learns SynthHOI's contact; with `--weights`, `--tokenizer`,
`--body-model` and `--data.damon` it is the paper's own table. Rows are scored on dev unless told `--split test`. A
stopped table goes on where it was; `--steps 2 --count 2` tries whether it runs. Writes `interactvlm_ablations.json` and
`.md` to `results`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from flax import nnx

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.ablate import Variant, changes_table, scores_of, select_variants
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.experiments.common.recipes import change_settings
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.interactvlm import train as training
from hoijax.experiments.interactvlm.data import Example, Group, Mixture, Source
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.evaluate import contact_rows, predict
from hoijax.experiments.interactvlm.settings import Config as TrainConfig
from hoijax.experiments.interactvlm.settings import LossWeights
from hoijax.experiments.interactvlm.small import SIZES, small_network, vocabulary
from hoijax.experiments.interactvlm.small_data import view_features, view_source, with_features
from hoijax.experiments.interactvlm.sources import DataConfig, Setting, groups, human_sources, synth
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.io import output_directory
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm.crops import Scale

NO_SURFACE = {"train.weights.surface": 0.0}
ROWS = (
    Variant("whole", "everything", paper=(75.6, 75.2, 76.0)),
    Variant("half the pixels", "views of half the side", {"pixels": 0.5}, (70.7, 70.1, 71.4)),
    Variant("no camera", "the token of all views is one", {"gate": "none"}, (69.4, 68.0, 71.1)),
    Variant("concatenated camera", "a layer of token and camera", {"gate": "concat"}, (71.9, 72.0, 71.8)),
    Variant("no views", "a perceptron from token to vertices", {"train.without": "views"}, (62.3, 60.8, 63.9)),
    Variant("whole mask", "losses on all pixels, none on vertices", {"train.valid": False, **NO_SURFACE},
            (69.3, 68.7, 70.0)),
    Variant("valid mask", "no loss on vertices", NO_SURFACE, (72.6, 71.2, 74.0)),
    Variant("contact data alone", "no parts in words, no conversations", {"train.parts": "none", "data.vqa": ()},
            (65.9, 64.8, 67.0)),
    Variant("parts in words", "no conversations", {"data.vqa": ()}, (74.8, 74.5, 75.1)),
    Variant("no language", "the mean patch is the token", {"train.without": "language"}, (32.3, 30.8, 43.0)),
    Variant("image alone", "a question without words", {"train.without": "question"}, (67.2, 68.5, 66.0)),
    Variant("decoder as it was", "no low-rank products", {"tuned": False}, (64.8, 65.3, 64.2)),
    Variant("smaller decoder", "7 B for 13 B; here half the layers", {"smaller": True}, (73.3, 76.8, 73.5)),
    Variant("coarse parts", "six parts in words", {"train.parts": "coarse", "data.vqa": ()}, (68.4, 69.0, 67.8)),
    Variant("no object's name", "questions do not say what", {"train.label": False}, (71.5, 72.1, 70.9)),
)  # fmt: skip
"""Rows (b, e, i, l), (a), (c), (d), (f), (g), (h), (j), (k, q), (m), (n), (o), (p), (r), (s) of the paper's table:
binary F1, precision and recall on DAMON in percent, scored with parts of the true answer in the input."""
COLUMNS = (("binary_f1", "F1", 1), ("binary_precision", "precision", 1), ("binary_recall", "recall", 1))


@dataclasses.dataclass(frozen=True)
class Row:
    """What rows change."""

    train: TrainConfig
    data: DataConfig
    gate: str = "vi_v1"
    """Of the network."""
    pixels: float = 1.0
    """Side of the views over the whole method's."""
    smaller: bool = False
    """Half the decoder's layers, or `smaller_weights`."""
    tuned: bool = True
    """Whether the decoder's layers learn."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the table."""

    out: pathlib.Path
    """Folder of the trainings."""
    synth: pathlib.Path | None = None
    """A built SynthHOI, which a small network learns."""
    weights: pathlib.Path | None = None
    """A converted network to begin with instead; then `tokenizer` and `data` too. Rows "no camera" and "concatenated
    camera" get a gate of their own, "half the pixels" needs weights of that size and is left out."""
    smaller_weights: pathlib.Path | None = None
    """Of the row "smaller decoder", with `weights`."""
    vision: pathlib.Path | None = None
    tokenizer: pathlib.Path | None = None
    body_model: pathlib.Path | None = None
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """Data sets."""
    rows: tuple[str, ...] = tuple(row.name for row in ROWS)
    """Which rows, by name; the first must be there."""
    steps: int = 2000
    """Of each training."""
    batch: int = 8
    split: Split = "dev"
    """Whose samples are scored: "dev" to choose on, "test" for the page."""
    count: int = 100
    """Samples that are scored."""
    seed: int = 0
    results: pathlib.Path = RESULTS

    def __post_init__(self):
        select_variants(ROWS, self.rows)
        if self.synth is None and self.weights is None:
            raise InputError("give --synth ROOT, for a small network on SynthHOI, or --weights of a converted one")
        if self.weights is not None and self.tokenizer is None:
            raise InputError("--weights want the --tokenizer of their language model")


def row_of(config: Config, variant: Variant) -> Row:
    """The settings of one row's training."""
    small = config.weights is None
    data = dataclasses.replace(config.data, synth=config.synth if small else config.data.synth, object_rate=0.0)
    rate = 2e-3 if small else 3e-4
    own = {"more": SIZES.learns, "compute": "float32", "remat": False, "length": SIZES.length} if small else {}
    train = TrainConfig(
        out=config.out / variant.folder, steps=config.steps, batch=config.batch, rate=rate, seed=config.seed,
        warmup=min(100, max(config.steps // 10, 1)), weights=LossWeights(), **own,
    )  # fmt: skip
    row = change_settings(Row(train, data), variant.changes)
    if row.tuned:
        return row
    more = tuple(pattern for pattern in row.train.more if not pattern.startswith("^language"))
    return dataclasses.replace(row, train=dataclasses.replace(row.train, adapted="", more=more))


def opened(config: Config, row: Row) -> tuple[nets.Model, Encoder]:
    """The network that a row begins with, and what makes its batches."""
    if config.weights is None:
        network = small_network(gate=row.gate, pixels=row.pixels, smaller=row.smaller, seed=config.seed)
        body = free_body()
        encoder = Encoder(
            vocabulary(), network.config, row.train, Surfaces(network, body, folder=config.out / "views"), body
        )  # fmt: skip
        return network, encoder
    if row.pixels != 1:
        raise InputError("half the pixels want a network of that size; leave the row out: --rows")
    path = config.smaller_weights if row.smaller else config.weights
    if path is None:
        raise InputError("the row of the smaller decoder wants --smaller-weights; or leave it out: --rows")
    files = Setting(path, config.tokenizer, config.vision, body_model=config.body_model, cache=config.out / "views")
    network, encoder = files.open(row.train)
    if row.gate != network.config.gate:
        network = regated(network, row.gate, config.seed)
        encoder.network = network.config
    return network, encoder


def regated(network: nets.Model, gate: str, seed: int) -> nets.Model:
    """The network with another camera gate, from random weights."""
    network.config = dataclasses.replace(network.config, gate=gate)
    channels = network.config.segmenter.channels
    network.cam_pose_encoder = nets.CameraGate(gate, channels, network.config.views, nnx.Rngs(seed))
    return network


def features_of_build(config: Config) -> tuple[Source, Scale]:
    """SynthHOI's training samples as the small network reads them, found once and kept, and their scale."""
    own = view_features(config.synth, config.out / "features", 0, config.seed)
    scale = Scale.of(row[0, 0] for row in own)
    return view_source(config.synth, "human", own, scale), scale


def score_row(config: Config, variant: Variant, examples: Sequence[Example]) -> dict[str, float]:
    """Trains a row and scores it, in percent."""
    row = row_of(config, variant)
    start, encoder = opened(config, row)
    learned = [Group("human", (features_of_build(config)[0],))] if config.weights is None else groups(row.data)
    state = training.train(row.train, start, Mixture(learned, config.seed), encoder)
    vertices = len(encoder.surfaces.body.surface.lift.visible)
    network = training.finished(state, start.config, row.train, vertices)
    predicted = predict(network, encoder, "human", examples, batch=config.batch, steps=32)
    rows = contact_rows(examples, predicted)
    jax.clear_caches()
    return {name: 100 * float(np.mean(values)) for name, values in rows.items()}


def run(config: Config) -> dict[str, dict[str, float]]:
    """Trains and scores what is not there yet, and writes the page."""
    output_directory(config.out)
    split = synth_splits(config.split)[0] if config.weights is None else ("test" if config.split == "test" else "train")
    if config.weights is None:
        sources = [with_features(synth(config.synth, split, "human"), features_of_build(config)[1])]
    else:
        sources = list(human_sources(row_of(config, ROWS[0]).data, split).values())
    examples = [source[i] for source in sources for i in range(min(config.count, len(source)))]
    if not examples:
        raise InputError(f"nothing to score: no data set given has a split {split!r}")
    variants = select_variants(ROWS, config.rows)
    scores = scores_of(variants, config.out, lambda variant: score_row(config, variant, examples))
    record = {"config": settings_of(config, ("out", "results")), "scores": scores}
    write_page(config.results, "interactvlm_ablations", record, markdown(config, scores))
    return scores


def markdown(config: Config, scores: Mapping[str, Mapping[str, float]]) -> str:
    """The table, and the changes beside the paper's."""
    rows = [row for row in ROWS if row.name in scores]
    left = [row.name for row in ROWS if row.name not in scores]
    where = "SynthHOI, a small network from random weights" if config.weights is None else "the data sets given"
    return page(
        "InteractVLM: what each part is for",
        f"Made by `python -m hoijax.experiments.interactvlm.ablations` on {where}: one training of {config.steps:,} "
        f"steps of {config.batch} samples for each row, one seed; autoregressive scores of {config.count} samples at "
        "most." + (f" Not trained: {', '.join(left)}." if left else "") + note_of(dataclasses.asdict(config)),
        table(
            ["", "", *(title for _, title, _ in COLUMNS)],
            [[r.name, r.what, *(f"{scores[r.name][m]:.{d}f}" for m, _, d in COLUMNS)] for r in rows],
        ),
        "Change against the whole method in percent points, here and in the paper (Table S.4, DAMON, scored with true "
        "parts in the input, so that its gains of words are inflated):",
        changes_table(rows, scores, COLUMNS),
    )


if __name__ == "__main__":
    run_command(run, Config)
