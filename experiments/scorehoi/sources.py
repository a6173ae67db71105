"""Where the pictures of ScoreHOI's trainings come from: settings that both stages share, and the samples they name."""

import dataclasses
import pathlib
from typing import Any

from hoijax.data.augmentation import AugmentConfig
from hoijax.data.loading import Source
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.common.trainer import FREE as FREE_RUN
from hoijax.experiments.common.trainer import RunConfig
from hoijax.experiments.scorehoi.augmentation import PLAIN
from hoijax.experiments.scorehoi.made_up import MadeUp
from hoijax.experiments.scorehoi.real import VIEWS, RealInteractions
from hoijax.experiments.scorehoi.samples import SynthInteractions
from hoijax.experiments.scorehoi.stages import layout_of
from hoijax.experiments.scorehoi.views import Views
from hoijax.systems.scorehoi.networks import SIZES, BodyConfig

FREE = (*FREE_RUN, "root", "views", "body_model", "networks_body", "half", "first")
"""Settings that may change when a run goes on."""
MARGIN = 1.5
"""Side of the pictures that augmentation cuts from over that of the crops."""
AUGMENTATION = AugmentConfig()
"""CONTHO's and ScoreHOI's ranges."""


@dataclasses.dataclass(frozen=True)
class PictureConfig(RunConfig):
    """What both stages are told: data, sizes, and the rate. Defaults are the paper's where it states them."""

    dataset: str = "made_up"
    """"made_up", "synth_hoi", "views", "behave", "intercap" or "imhd"."""
    root: pathlib.Path | None = None
    """Root of the data set: a built SynthHOI, or a published one (`hoijax.experiments.scorehoi.real`)."""
    split: str = "train"
    """Of the data set."""
    body_model: pathlib.Path | None = None
    """File or folder of the body that a published data set's parameters belong to."""
    networks_body: pathlib.Path | None = None
    """File of SMPL-H, or folder with its neutral file, that the networks see with published data; `body_model`
    where None."""
    views: tuple[pathlib.Path, ...] = ()
    """Folders of `hoijax.experiments.scorehoi.views`."""
    size: str = "small"
    """Of the networks: "tiny", "small" or "full"."""
    level: str = "default"
    """Level of detail of the free body; SynthHOI's labels need "default"."""
    vertices: int = 431
    """How many of its vertices the networks see."""
    steps: int = 20_000
    batch: int = 32
    """Samples per step; the paper's second stage has 256."""
    rate: float = 1e-4
    """Of Adam."""
    cosine: bool = False
    """Let the rate rise and fall along a cosine, for runs much shorter than the paper's."""
    augment: bool = True
    """Scale, turn and colour the crops at random, as published."""
    half: bool = False
    """Write the weights as float16, half as large."""

    def __post_init__(self):
        for name, known in (("dataset", ("made_up", "synth_hoi", "views", *VIEWS)), ("size", tuple(SIZES))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        self.check("vertices")
        if self.dataset == "synth_hoi" and self.root is None:
            raise InputError("--dataset synth_hoi needs --root, the folder that `hoijax data build synth_hoi` filled")
        if self.dataset in VIEWS and (self.root is None or self.body_model is None):
            raise InputError(
                f"--dataset {self.dataset} needs --root, where it lies, and --body-model, its licensed body"
            )
        if self.dataset == "views" and not self.views:
            raise InputError("--dataset views needs --views, folders that hoijax.experiments.scorehoi.views filled")
        if self.dataset != "made_up" and self.level != "default":
            raise InputError(f"SynthHOI's contact labels are of the level 'default', got --level {self.level}")

    def body(self) -> BodyConfig:
        """The body that the networks see."""
        given = (self.networks_body or self.body_model) if self.dataset in VIEWS else None
        return BodyConfig(self.level, self.vertices, given)


def augmentation(config: PictureConfig) -> AugmentConfig:
    """How the crops of a run are changed at random."""
    return AUGMENTATION if config.augment else PLAIN


@dataclasses.dataclass(frozen=True)
class Joined:
    """Several sources, one after the other."""

    parts: tuple[Source, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Any:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def make_source(config: PictureConfig) -> Source:
    """The samples that a configuration asks for.

    Raises:
      InputError: data are missing.
    """
    margin = MARGIN if config.augment else 1.0
    layout = layout_of(config.size, config.body(), margin)
    if config.dataset == "made_up":
        return MadeUp(layout, seed=config.seed)
    if config.dataset == "views":
        return Joined(tuple(Views(folder) for folder in config.views))
    if config.dataset in VIEWS:
        return RealInteractions(config.dataset, config.root, config.split, config.body_model, layout)
    return SynthInteractions(open_split(config.root, config.split), layout)
