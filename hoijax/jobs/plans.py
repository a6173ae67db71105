"""From parameter files to interactions that can be refined, with everything checked that can be before long work."""

import dataclasses
import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.interaction import ObjectRegion
from hoijax.io import ParameterFile, read_parameters, single, value_digest
from hoijax.io.sources import SourceEstimate, people_of
from hoijax.jobs.bodies import RefinerStart, start_of
from hoijax.jobs.directions import AXES, Direction
from hoijax.jobs.engine import Item
from hoijax.jobs.estimates import BY_KEYS, Reading, doubtful_up, files_of, settle
from hoijax.jobs.floors import FloorRule
from hoijax.jobs.folders import join_frames
from hoijax.jobs.objects import ObjectAsset, StoredAsset
from hoijax.jobs.refinement import Interaction
from hoijax.jobs.seen import Seen
from hoijax.optim.gradient import RefineConfig

RECORD = 3
"""Version of what is recorded of an interaction; what an earlier one has finished is refined again."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done with one parameter file."""

    name: str
    """What messages call it; "" for the only file of a job."""
    folder: pathlib.Path
    """Where its results go."""
    source: ParameterFile
    """The file."""
    starts: dict[int, RefinerStart]
    """Row to estimate, for the rows that can be used."""
    config: RefineConfig
    """The refiner's settings."""
    contacts: tuple[str, ...] | None
    """Parts that must touch; None: proposed."""
    floor: FloorRule | None
    """The floor."""
    up: Direction = AXES["+y"]
    """Against gravity."""
    regions: Mapping[str, ObjectRegion] = dataclasses.field(default_factory=dict)
    """Part to where on the object it must touch, as the object is computed with; of other parts anywhere."""
    soft: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Part to the weights of the body's vertices `(V,)`; other parts as they are."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What a record tells otherwise than the command's options: of a pair its own."""
    seen: Seen | None = None
    """What a photograph shows of the only row; None: there is none."""
    items: dict[int, Item] = dataclasses.field(default_factory=dict)
    """Row to interaction, once the object is known."""

    def with_object(self, asset: ObjectAsset | StoredAsset, inputs: Mapping[str, Any]) -> "Plan":
        """The plan with its items.

        Args:
          asset: the object of all rows.
          inputs: digests of the files that the results depend on.
        """
        return dataclasses.replace(self, items={row: self._item(row, asset, inputs) for row in self.starts})

    def with_soft(self, soft: Mapping[str, np.ndarray], notes: tuple[str, ...]) -> "Plan":
        """The plan with weights of the body's vertices, and what is to be told about them."""
        starts = {row: dataclasses.replace(s, notes=(*notes, *s.notes)) for row, s in self.starts.items()}
        return dataclasses.replace(self, soft=soft, starts=starts)

    def _item(self, row: int, asset: ObjectAsset | StoredAsset, inputs: Mapping[str, Any]) -> Item:
        start, alone = self.starts[row], self.source.count == 1
        config = dataclasses.replace(self.config, freeze=tuple(dict.fromkeys((*self.config.freeze, *start.freeze))))
        key = value_digest(
            {
                "version": importlib.metadata.version("hoijax"),
                "record": RECORD,
                "values": self.source.item(row),
                "inputs": dict(inputs),
                "contacts": self.contacts,
                "floor": None if self.floor is None else [self.floor.gravity, self.floor.level],
                "config": dataclasses.asdict(config),
                "up": self.up,
                "regions": {part: region.points for part, region in self.regions.items()},
            }
            | ({"soft": dict(self.soft)} if self.soft else {})
        )
        return Item(
            name=row_name(self.name, self.source, row),
            folder=self.folder if alone else self.folder / f"{row:06d}",
            key=key,
            files=("interaction.glb", "refined.npz"),
            inputs=Interaction(
                source=self.source if alone else single(self.source, row),
                start=start,
                object=asset,
                contacts=self.contacts,
                floor=self.floor,
                config=config,
                up=self.up,
                regions=self.regions,
                soft=self.soft,
                options=self.options,
                seen=self.seen,
            ),
        )


def row_name(name: str, source: ParameterFile, row: int) -> str:
    """What messages call one row of a file."""
    if source.count == 1:
        return name or source.path.stem
    return f"{name}/{row:06d}" if name else f"{row:06d}"


def read_body(path: pathlib.Path, reading: Reading = BY_KEYS) -> ParameterFile:
    """One file of parameters; rows of it that are broken are told in it.

    Raises:
      InputError: it cannot be used.
    """
    return read_parameters(
        path, source=reading.source, person=reading.person, ignore=reading.ignore, keep_broken=True
    )  # fmt: skip


def read_files(
    body: pathlib.Path, reading: Reading = BY_KEYS, *, as_frames: bool = False
) -> tuple[dict[str, ParameterFile], dict[str, str]]:
    """Reads the parameters that `--body` names.

    Args:
      body: a file, or a folder (`hoijax.jobs.estimates.files_of`).
      reading: how.
      as_frames: the files of a folder that have one row each are frames of one person.

    Returns:
      Name to file, the name being "" outside a folder; and name to message for what cannot be used.

    Raises:
      InputError: nothing can be used.
    """
    if not body.is_dir() and reading.person == EVERYONE:
        return _read_everyone(body, reading)
    if not body.is_dir():
        source = read_body(body, reading)
        return {"": source}, {row_name("", source, row): text for row, text in source.broken.items()}
    paths = files_of(body)
    if not paths:
        raise InputError(
            f"the folder {body} holds no .npz files, nor others of docs/sources.md; wanted body parameters"
        )
    files, failures = {}, {}
    for path in paths:
        try:
            source = read_body(path, reading)
        except InputError as error:
            failures[path.stem] = str(error)
            continue
        files[path.stem] = source
        failures |= {row_name(path.stem, source, row): text for row, text in source.broken.items()}
    if not files:
        raise InputError(
            f"none of the {len(paths)} {paths[0].suffix} files of {body} can be used; the first: "
            f"{failures[paths[0].stem]}"
        )
    if as_frames and len(files) > 1 and all(file.count == 1 for file in files.values()):
        files = {"": join_frames(body, files)}
    return files, failures


EVERYONE = "all"
"""Instead of a person's name: all of a file's people."""


def _read_everyone(body: pathlib.Path, reading: Reading) -> tuple[dict[str, ParameterFile], dict[str, str]]:
    """The people of a file, each under a name of their own."""
    files, failures = {}, {}
    for person in people_of(body, reading.source):
        name = f"person_{person or 0}"
        try:
            files[name] = read_body(body, dataclasses.replace(reading, person=person or None))
        except InputError as error:
            failures[name] = str(error)
            continue
        failures |= {row_name(name, files[name], row): text for row, text in files[name].broken.items()}
    if not files:
        raise InputError(next(iter(failures.values()), f"{body} holds nobody"))
    return files, failures


def plan_files(
    files: Mapping[str, ParameterFile],
    out: pathlib.Path,
    model: BodyModel,
    config: RefineConfig,
    contacts: tuple[str, ...] | None,
    floor: FloorRule | None,
    failures: dict[str, str],
    reading: Reading = BY_KEYS,
    object: SourceEstimate | None = None,
    *,
    up: Direction = AXES["+y"],
    regions: Mapping[str, ObjectRegion] | None = None,
) -> list[Plan]:
    """Fits parameter files to a body model.

    Args:
      files: name to file.
      out: where results go.
      model: the body.
      config: the refiner's settings.
      contacts: parts that must touch; None: proposed.
      floor: the floor.
      failures: name to message; files and rows that do not fit the model are added.
      reading: how the files are read.
      object: the object's pose, if it comes from another file.
      up: against gravity.
      regions: see `Plan.regions`.

    Returns:
      One plan per file that can be used.

    Raises:
      InputError: nothing can be used.
    """
    plans, own = [], {}
    for name, source in files.items():
        try:
            source = settle(model, source, reading, object)
        except InputError as error:
            own[row_name(name, source, 0)] = str(error)
            continue
        starts, doubt = {}, tuple(filter(None, [doubtful_up(source, up)]))
        for row in range(source.count):
            if row in source.broken:
                continue
            try:
                start = start_of(model, source.item(row), str(source.path))
            except InputError as error:
                own[row_name(name, source, row)] = str(error)
                continue
            # Shape that all rows share has one place in the file, so it cannot differ between them afterwards.
            shared = ("betas",) if "betas" in source.shared else ()
            freeze = tuple(dict.fromkeys((*start.freeze, *shared)))
            starts[row] = dataclasses.replace(start, freeze=freeze, notes=(*source.notes, *doubt, *start.notes))
        if starts:
            plans.append(Plan(name, out / name, source, starts, config, contacts, floor, up, regions or {}))
    failures |= own
    if not plans:
        # `failures` may start with those of other files.
        raise InputError(next(iter((own or failures).values())))
    return plans
