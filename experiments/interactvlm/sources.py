"""Which data sets and networks a command opens: the settings that training, evaluation and ablations share."""

import dataclasses
import pathlib

import numpy as np

from hoijax.body_models import BodyModel, free_body, load
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.interactvlm import data
from hoijax.experiments.interactvlm.data import Example, Group, Source, Task
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.settings import Config
from hoijax.experiments.interactvlm.surfaces import Surfaces
from hoijax.language import load_tokenizer
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import OWN, read_questions
from hoijax.systems.interactvlm.crops import person_crop

SPECIAL = ("[SEG]", "<im_start>", "<im_end>")
"""Tokens that LISA adds to LLaMA's."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data sets, each where it lies; None: not there. The rates are those of InteractVLM's joint training."""

    damon: pathlib.Path | None = None
    damon_images: pathlib.Path | None = None
    """Folder that DAMON's names of pictures are below."""
    fraction: float = 1.0
    """Share of DAMON's training images."""
    lemon: pathlib.Path | None = None
    rich: pathlib.Path | None = None
    piad: pathlib.Path | None = None
    synth: pathlib.Path | None = None
    """A built SynthHOI: contact on bodies and on meshes."""
    vqa: tuple[pathlib.Path, ...] = ()
    """JSON files of conversations, or raw ones of HOI-VQA (`.txt`)."""
    vqa_images: pathlib.Path | None = None
    human_rate: float = 9.0
    object_rate: float = 9.0
    affordance_rate: float = 5.0
    vqa_rate: float = 2.0


def human_sources(config: DataConfig, split: str) -> dict[str, Source]:
    """Contact on bodies, by name."""
    found: dict[str, Source] = {}
    train = split == "train"
    if config.damon is not None and split in ("train", "test"):
        share = config.fraction if train else 1.0
        found["DAMON"] = data.damon(config.damon, split, config.damon_images, fraction=share)
    if config.lemon is not None:
        found["3DIR"] = data.lemon(config.lemon, "train" if train else "val")
    if config.rich is not None and train:
        found["RICH"] = data.rich(config.rich)
    if config.synth is not None:
        found["SynthHOI"] = synth(config.synth, split, "human")
    return found


def groups(config: DataConfig) -> list[Group]:
    """What a training draws from, by rates.

    Raises:
      InputError: no data set is given, or pictures of conversations are missing.
    """
    tables: list[tuple[Task, tuple[Source, ...], float]] = [
        ("human", tuple(human_sources(config, "train").values()), config.human_rate),
        ("object", () if config.synth is None else (synth(config.synth, "train", "object"),), config.object_rate),
        ("affordance", () if config.piad is None else (data.piad(config.piad),), config.affordance_rate),
        ("vqa", tuple(_conversations(path, config.vqa_images) for path in config.vqa), config.vqa_rate),
    ]
    found = [Group(task, sources, rate) for task, sources, rate in tables if sources and rate > 0]
    if not found:
        raise InputError("nothing to learn from: give --data.damon, .lemon, .rich, .piad, .synth or .vqa")
    return found


def _conversations(path: pathlib.Path, images: pathlib.Path | None) -> Source:
    if images is None:
        raise InputError("conversations want the folder of their pictures: --data.vqa-images")
    if path.suffix == ".txt":
        rows = [data.turns_of(record, str(path)) for record in data.hoi_vqa(path)]
        return data.conversations(rows, images, str(path))
    return data.vqa(path, images)


def eval_sources(config: DataConfig, split: str) -> dict[str, tuple[Task, Source]]:
    """What is scored, by name.

    Raises:
      InputError: no data set is given.
    """
    found: dict[str, tuple[Task, Source]] = {
        name: ("human", source) for name, source in human_sources(config, split).items()
    }
    if config.piad is not None:
        found["PIAD"] = ("affordance", data.piad(config.piad, split))
    if not found:
        raise InputError("nothing to score: give --data.damon, .lemon, .piad or .synth")
    return found


def synth(root: pathlib.Path, split: str, task: Task) -> Source:
    """SynthHOI's interactions: crops about the person, with the category as label.

    Args:
      root: of the build.
      split: of it.
      task: "human": contact of the free body's 6,890 vertices with the object; "object": of the object's mesh.

    Raises:
      InputError: no such build.
    """
    samples = open_split(root, split)

    def read(index: int) -> Example:
        sample = samples[index]
        image = person_crop(sample["image"], sample["human_mask"])
        contact, mesh, surface = sample["body_contact"], None, ""
        if task == "object":
            seed = int(sample["object_seed"])
            mesh, contact = random_object(sample["category"], seed).mesh, sample["object_contact"]
            surface = f"{sample['category']}-{seed}"
        return Example(
            sample["key"], image, sample["category"], np.asarray(contact, np.float32), mesh, surface,
            affordance=sample["action"], group=sample["key"],
        )  # fmt: skip

    return data.Rows(range(len(samples)), read, f"SynthHOI's {split}")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Files of a network and its surfaces."""

    weights: pathlib.Path
    """Of `hoijax convert interactvlm`, or of a training."""
    tokenizer: pathlib.Path
    """The language model's, a file or a folder."""
    vision: pathlib.Path | None = None
    """Of `hoijax convert clip_vision_l`, where the weights lack the image tower."""
    special: tuple[str, ...] = SPECIAL
    """Special tokens that the tokenizer's files lack, in the order of their ids."""
    body_model: pathlib.Path | None = None
    """SMPL or SMPL-H, whose 6,890 vertices the data sets label; None: the free body, for SynthHOI."""
    questions: pathlib.Path | None = None
    """Templates of sentences as JSON; None: hoijax's."""
    cache: pathlib.Path | None = None
    """Folder where embeddings of views are kept."""

    def body(self) -> BodyModel:
        """The body whose contact is meant."""
        return free_body() if self.body_model is None else load(self.body_model)

    def open(self, config: Config) -> tuple[nets.Model, Encoder]:
        """The network and what makes batches for it."""
        network, body = nets.load(self.weights, self.vision), self.body()
        tokenizer = load_tokenizer(self.tokenizer, self.special)
        questions = OWN if self.questions is None else read_questions(self.questions)
        surfaces = Surfaces(network, body, folder=self.cache)
        return network, Encoder(tokenizer, network.config, config, surfaces, body, questions)
