"""What InteractVLM learns from: examples of published datasets, of SynthHOI and of conversations about images.

An example is a picture and what is to be said about it. A source is a sequence of examples of one kind; `Mixture` draws
a group of sources by its weight for every step, then a source of it and an example, each alike likely, as the released
training does for every sample: a batch here is of one group, so that its shapes are static, and the mean over steps is
the same.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from hoijax.data.loading import Source
from hoijax.data.real import contact_sets
from hoijax.data.real.schema import Index
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_json
from hoijax.io.pickles import read_object_npz

Task = Literal["human", "object", "affordance", "vqa"]
TASKS: tuple[Task, ...] = ("human", "object", "affordance", "vqa")
"""Contact on a body, on a mesh, likelihoods on a cloud, and text alone."""
SUPPORT = "supporting"
"""DAMON's key of the ground and other supports."""
SCENE = "scene"
"""What such contact is asked for with."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture and what is to be said about it."""

    key: str
    """Unique in its source."""
    image: np.ndarray
    """(H, W, 3) bytes; or (P, C) features of patches that another network found."""
    label: str = ""
    """What is touched; underscores stay."""
    contact: np.ndarray | None = None
    """(V,) in [0, 1]: contact of vertices, or likelihood of points."""
    mesh: Mesh | None = None
    """The object; of an affordance its points as vertices, without faces."""
    surface: str = ""
    """Names the object's surface, so that its views are drawn once."""
    affordance: str = ""
    """What an object is used for."""
    turns: tuple[tuple[str, str], ...] = ()
    """Questions and answers, where text alone is learned."""
    group: str = ""
    """Image that samples of several labels share: binary contact is the union over them."""


def read_picture(path: pathlib.Path) -> np.ndarray:
    """A picture as bytes (H, W, 3), turned as its EXIF says; grey and CMYK ones become colours.

    Raises:
      InputError: no such file, or no picture.
    """
    if not path.is_file():
        raise InputError(f"there is no picture {path}; give the folder that the names in the labels are below")
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"cannot read the picture {path}: {error}") from error


def whole(index: Index) -> Index:
    """An index without problems.

    Raises:
      InputError: something is missing or inconsistent; training on the rest would go unnoticed.
    """
    if index.problems:
        more = f" and {len(index.problems) - 1} more" if len(index.problems) > 1 else ""
        raise InputError(f"{index.root} is not whole: {index.problems[0]}{more}")
    return index


class Rows(Sequence):
    """Examples that are read as they are asked for.

    Args:
      rows: what `read` takes.
      read: makes an example.
      name: of the source, for messages.

    Raises:
      InputError: no rows.
    """

    def __init__(self, rows: Sequence[Any], read: Callable[[Any], Example], name: str):
        if not len(rows):
            raise InputError(f"{name} holds no examples of this split")
        self.rows, self.read, self.name = rows, read, name

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        return self.read(self.rows[index])


def damon(
    root: pathlib.Path, split: str = "train", images: pathlib.Path | None = None, *, fraction: float = 1.0,
    support: bool = True,
) -> Source:  # fmt: skip
    """DAMON's contact by object (`hot_dca_trainval.npz`, `hot_dca_test.npz`): an example for each thing of each image.

    Args:
      root: folder of the files.
      split: "train" or "test".
      images: folder that the pictures' names are below; None: root.
      fraction: share of the images, drawn with the seed of the release (42).
      support: whether contact with the ground is there too, asked for as "scene".

    Raises:
      InputError: files are missing or inconsistent, or vertices that SMPL does not have.
    """
    root = pathlib.Path(root)
    index = contact_sets.scan_damon(root)
    other = [p for p in index.problems if contact_sets.DAMON_FILES[split] in str(p)]
    index = whole(dataclasses.replace(index, problems=tuple(other)))
    items = [item for item in index.items if item.split == split]
    if not items:
        raise InputError(f"{root} holds no {contact_sets.DAMON_FILES[split]}")
    data = read_object_npz(root / items[0].files[0])
    if "contact_label_objectwise" not in data:
        raise InputError(f"{root / items[0].files[0]} has no contact_label_objectwise: contact by object is not there")
    tables = [dict(table) for table in data["contact_label_objectwise"]]
    if len(tables) != len(items):
        raise InputError(f"{items[0].files[0]}: {len(tables)} tables of objects for {len(items)} images")
    chosen = _fraction(len(items), fraction)
    rows = [(i, str(name)) for i in chosen for name in tables[i] if support or str(name) != SUPPORT]

    def read(row: tuple[int, str]) -> Example:
        i, name = row
        contact = vertices_of(tables[i][name], f"{items[i].key}, {name}")
        label = SCENE if name == SUPPORT else name
        picture = read_picture((images or root) / str(data["imgname"][i]))
        return Example(f"{items[i].key}/{name}", picture, label, contact, group=items[i].key)

    return Rows(rows, read, "DAMON")


def vertices_of(ids: Any, where: str, count: int = contact_sets.SMPL_VERTICES) -> np.ndarray:
    """A list of vertices as (V,) of 0 and 1.

    Raises:
      InputError: numbers that are none of a body's vertices.
    """
    ids = np.asarray(ids).reshape(-1)
    if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= count):
        raise InputError(f"{where}: vertices must be whole numbers from 0 to {count - 1}")
    contact = np.zeros(count, np.float32)
    contact[ids.astype(np.int64)] = 1.0
    return contact


def _fraction(count: int, fraction: float) -> Sequence[int]:
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is a share above 0, at most 1, got {fraction}")
    if fraction == 1:
        return range(count)
    return sorted(np.random.default_rng(42).permutation(count)[: max(1, round(fraction * count))].tolist())


def lemon(root: pathlib.Path, split: str = "train") -> Source:
    """Body contact of 3DIR as LEMON packs it.

    Args:
      root: with `Images/`, `txt_scripts/` and `smplh_contact_pkl/`.
      split: "train" or "val".

    Raises:
      InputError: files are missing.
    """
    index = _split_of(contact_sets.scan_lemon(root), split)

    def read(item: Any) -> Example:
        sample = contact_sets.read_lemon(index, item)
        contact = sample.body_contact.astype(np.float32)
        return Example(item.key, read_picture(index.root / item.key), sample.object_name, contact, group=item.key)

    return Rows(index.items, read, "3DIR/LEMON")


def piad(root: pathlib.Path, split: str = "train") -> Source:
    """PIAD's affordances: pictures with clouds of 2048 points, brought into the unit sphere.

    Args:
      root: with `Img_{Train,Test}.txt` and `Point_{Train,Test}.txt`.
      split: "train" or "test".

    Raises:
      InputError: files are missing, or lines that do not fit.
    """
    index = _split_of(contact_sets.scan_piad(root), split)

    def read(item: Any) -> Example:
        sample = contact_sets.read_piad(index, item)
        mesh = Mesh(vertices=sample.object_points, faces=np.zeros((0, 3), np.int32))
        return Example(
            item.key, read_picture(index.root / item.key), sample.object_name.lower(), sample.object_scores, mesh,
            surface=item.files[0], affordance=sample.affordance, group=item.key,
        )  # fmt: skip

    return Rows(index.items, read, "PIAD")


def rich(root: pathlib.Path, split: str = "train") -> Source:
    """RICH's contact with the scene, as InteractVLM packs it.

    Args:
      root: with `images/`, `img_list_train.pkl` and `contact_vertices_train.pkl`.
      split: "train", the only one of that package.

    Raises:
      InputError: files are missing, or lists of different lengths.
    """
    index = _split_of(contact_sets.scan_rich(root), split)

    def read(item: Any) -> Example:
        sample = contact_sets.read_rich(index, item)
        picture = read_picture(index.root / sample.image)
        return Example(item.key, picture, SCENE, sample.body_contact.astype(np.float32), group=item.key)

    return Rows(index.items, read, "RICH")


def _split_of(index: Index, split: str) -> Index:
    """One split of an index, and its problems: those that name another split do not matter."""
    items = tuple(item for item in index.items if item.split == split)

    def elsewhere(problem: str) -> bool:
        named = [name for name in ("train", "val", "test") if name in problem.lower()]
        return bool(named) and split not in named

    own = tuple(problem for problem in index.problems if not items or not elsewhere(str(problem)))
    return whole(dataclasses.replace(index, items=items, problems=own))


def vqa(path: pathlib.Path, images: pathlib.Path) -> Source:
    """Conversations in LLaVA's JSON: `[{"id", "image", "conversations": [{"from": "human" | "gpt", "value"}, ...]}]`.

    Args:
      path: the file.
      images: folder of the pictures.

    Raises:
      InputError: no such file, or a record that is none.
    """
    records = read_json(path, kind=list, limit=1 << 30)
    return conversations(
        [turns_of(record, f"{path}, record {i}") for i, record in enumerate(records)], images, str(path)
    )


def conversations(
    rows: Sequence[tuple[str, str, tuple[tuple[str, str], ...]]], images: pathlib.Path, name: str
) -> Source:
    """Conversations as `turns_of` has them, with their pictures.

    Args:
      rows: name, picture, and turns.
      images: folder of the pictures.
      name: of the source, for messages.
    """

    def read(row: tuple[str, str, tuple[tuple[str, str], ...]]) -> Example:
        return Example(row[0], read_picture(pathlib.Path(images) / row[1]), turns=row[2], group=row[0])

    return Rows(rows, read, name)


def turns_of(record: Any, where: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """A record's name, picture, and questions with answers.

    Raises:
      InputError: it is no such record.
    """
    try:
        said = [(part["from"], part["value"]) for part in record["conversations"]]
        name, image = str(record["id"]), str(record["image"])
    except (TypeError, KeyError) as error:
        raise InputError(f"{where}: wanted id, image and conversations of from and value ({error})") from error
    speakers = [speaker for speaker, _ in said]
    if not said or len(said) % 2 or speakers != ["human", "gpt"] * (len(said) // 2):
        raise InputError(f"{where}: turns must be of human and gpt, one after the other; got {', '.join(speakers)}")
    texts = [value.replace("<image>\n", "").replace("\n<image>", "").replace("<image>", "") for _, value in said]
    return name, image, tuple(zip(texts[::2], texts[1::2]))


HOI_FIELDS = {
    "HVisual": "What does the person look like?", "HContact": "Which part of the body touches the {label}?",
    "Interaction": "What is the person doing with the {label}?", "OVisual": "What does the {label} look like?",
    "OContact": "Which part of the {label} is touched?",
}  # fmt: skip
"""Fields of a line of HOI-VQA's raw files, and what they answer."""


def hoi_vqa(path: pathlib.Path) -> list[dict[str, Any]]:
    r"""The raw lines of HOI-VQA as LLaVA's JSON: `image,object-HVisual: ..\nHContact: ..`, with the two letters \n.

    Args:
      path: a text file; lines that lack one of the five fields are left out, as upstream does.

    Raises:
      InputError: no such file, or no line of it is whole.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    records = []
    for number, line in enumerate(path.read_text().splitlines()):
        head, _, rest = line.partition("-HVisual:")
        image, _, label = head.rpartition(",")
        given = {}
        for part in ("HVisual:" + rest).split("\\n"):
            name, _, value = part.partition(":")
            given[name.strip()] = value.strip()
        if not image or not label or not all(given.get(name) for name in HOI_FIELDS):
            continue
        turns: list[dict[str, str]] = []
        for name, question in HOI_FIELDS.items():
            start = "" if turns else "<image>\n"
            turns += [
                {"from": "human", "value": start + question.format(label=label.strip())},
                {"from": "gpt", "value": given[name]},
            ]
        records.append({"id": f"{path.stem}-{number}", "image": image.strip(), "conversations": turns})
    if not records:
        raise InputError(f"{path} holds no line of {', '.join(HOI_FIELDS)}")
    return records


def write_vqa(records: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Writes conversations as `vqa` reads them."""
    path.write_text(json.dumps(list(records)))


@dataclasses.dataclass(frozen=True)
class Group:
    """Sources that are drawn alike often."""

    task: Task
    """What their examples teach."""
    sources: tuple[Source, ...]
    """Each alike likely, whatever its size."""
    weight: float = 1.0
    """Of the group among all."""

    def __post_init__(self):
        if self.task not in TASKS:
            raise InputError(f"a task is one of {', '.join(TASKS)}, got {self.task!r}")
        if not self.sources or not self.weight > 0:
            raise InputError(
                f"a group wants sources and a weight above zero, got {len(self.sources)} and {self.weight}"
            )


class Mixture:
    """Which examples a step sees: a function of seed and step alone.

    Args:
      groups: with their weights.
      seed: of the order.

    Raises:
      InputError: no groups.
    """

    def __init__(self, groups: Sequence[Group], seed: int = 0):
        if not groups:
            raise InputError("nothing to learn from: no group of sources")
        self.groups, self.seed = tuple(groups), seed
        weights = np.array([group.weight for group in groups], np.float64)
        self._ends = np.cumsum(weights / weights.sum())

    def group(self, step: int) -> Group:
        """Of a step."""
        drawn = np.random.default_rng([self.seed, 1, step]).random()
        return self.groups[min(int(np.searchsorted(self._ends, drawn, side="right")), len(self.groups) - 1)]

    def examples(self, step: int, batch: int, first: int = 0, count: int | None = None) -> list[Example]:
        """Examples of a step's batch.

        Args:
          step: which.
          batch: samples of all processes.
          first: of those of this process.
          count: how many these are; None: all.
        """
        group = self.group(step)
        rows = range(first, first + (batch if count is None else count))
        return [self._draw(group, step, row) for row in rows]

    def _draw(self, group: Group, step: int, row: int) -> Example:
        rng = self.random(step, row)
        source = group.sources[int(rng.integers(len(group.sources)))]
        return source[int(rng.integers(len(source)))]

    def random(self, step: int, row: int, use: int = 2) -> np.random.Generator:
        """The source of chance of one sample."""
        return np.random.default_rng([self.seed, use, step, row])


class Kept(Sequence):
    """A source whose examples stay in memory once they were read."""

    def __init__(self, source: Source):
        self._source, self._read = source, functools.cache(lambda index: source[index])

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._read(index % len(self))
