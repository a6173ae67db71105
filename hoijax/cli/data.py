"""Looks at, checks and builds datasets: SynthHOI and the field's own (docs/data.md).

`show` writes a contact sheet, `check` names what is missing or inconsistent without reading images, `build` writes a
TFDS build (array_record, no TensorFlow).
"""

import dataclasses
import functools
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hoijax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoijax.data.synth import SynthConfig

SYNTH = "synth_hoi"


@dataclasses.dataclass(frozen=True)
class Show:
    """Writes a contact sheet: images with their labels, or rendered bodies and objects where there are no images."""

    name: Annotated[str, tyro.conf.Positional]
    """The dataset: synth_hoi, behave, intercap, ..."""
    root: pathlib.Path
    """Where it lies."""
    out: pathlib.Path
    """The sheet, .png."""
    split: str = "test"
    """Split to take samples from, spread over all of it."""
    n: int = 24
    """How many samples."""
    body_model: pathlib.Path | None = None
    """File or folder of the body that the dataset's parameters belong to; SynthHOI needs none."""
    up: Literal["auto", "+y", "-y"] = "auto"
    """Which way is up in the dataset's frame; auto: down for camera frames, up for IMHD."""
    cell: int = 256
    """Side of each picture, pixels."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Says what is there, what is missing, what is inconsistent; images are not read."""

    name: Annotated[str, tyro.conf.Positional]
    """The dataset."""
    root: pathlib.Path
    """Where it lies."""
    quick: bool = False
    """Only look for files; do not read every sample's parameters."""
    most: int = 50
    """Problems to print; the rest is counted."""


@dataclasses.dataclass(frozen=True)
class Build:
    """Writes a TFDS build: parameters and labels of the field's datasets, or a generated SynthHOI."""

    name: Annotated[str, tyro.conf.Positional]
    """The dataset."""
    root: pathlib.Path
    """Where the dataset was unpacked; for synth_hoi, the folder to build in."""
    out: pathlib.Path | None = None
    """Folder of TFDS datasets; for synth_hoi ROOT will do."""
    set: tuple[str, ...] = ()
    """For synth_hoi: fields of its configuration, such as train=2000 seed=1 workers=2."""
    runner: str = "local"
    """For synth_hoi, where shards are made: local, in this process or its workers; or on Apache Beam (extra [beam]):
    direct, on this machine; flink, spark, dataflow or any other runner that Beam knows."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline: --beam-options direct_num_workers=2 region=europe-west1 ..."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax data`."""

    command: (
        Annotated[Show, tyro.conf.subcommand("show", prefix_name=False)]
        | Annotated[Check, tyro.conf.subcommand("check", prefix_name=False)]
        | Annotated[Build, tyro.conf.subcommand("build", prefix_name=False)]
    )


def run(options: Options) -> int:
    """Shows, checks or builds.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if something about the dataset is missing or inconsistent.

    Raises:
      InputError: unknown dataset, nothing usable, options that do not fit.
    """
    from hoijax.data.real import DATASETS

    command = options.command
    names = (SYNTH, *DATASETS)
    if command.name not in names:
        raise InputError(f"no dataset is called {command.name!r}; there are {', '.join(names)}")
    if isinstance(command, Show):
        from hoijax.jobs.sheets import SheetRequest, write_sheet

        return 1 if write_sheet(SheetRequest(**vars(command))) else 0
    return _check(command) if isinstance(command, Check) else _build(command)


def _check(options: Check) -> int:
    problems, counts = _synth_state(options) if options.name == SYNTH else _real_state(options)
    for split, number in sorted(counts.items()):
        print(f"{split}: {number:,} samples")
    if not counts:
        shown = "; ".join(problems[:3])
        raise InputError(f"nothing usable in {options.root}{': ' if shown else ''}{shown}")
    for text in problems[: options.most]:
        print(f"problem: {text}", file=sys.stderr)
    if len(problems) > options.most:
        print(f"problem: {len(problems) - options.most:,} more", file=sys.stderr)
    print(f"{len(problems):,} problem{'s' * (len(problems) != 1)}")
    return 1 if problems else 0


def _real_state(options: Check) -> tuple[list[str], dict[str, int]]:
    from hoijax.data.real import DATASETS
    from hoijax.data.real.builder import check

    _, counts, problems = check(DATASETS[options.name], options.root, read=not options.quick)
    return [str(problem) for problem in problems], counts


def _synth_state(options: Check) -> tuple[list[str], dict[str, int]]:
    """Samples per split, and what a build lacks: splits, records that cannot be read."""
    from hoijax.data.synth import SCENE_SPLITS, SPLITS, open_split, read_config

    problems, counts = [], {}
    config = read_config(options.root)
    for split in (*SPLITS, *SCENE_SPLITS):
        if config is not None and not config.count(split):
            continue  # was never asked for
        try:
            samples = open_split(options.root, split)
            counts[split] = len(samples)
        except InputError as error:
            problems.append(f"{split}: {error}")
            continue
        for i in () if options.quick else range(len(samples)):
            try:
                samples[i]
            except Exception as error:  # whatever a damaged record does to the readers below
                problems.append(f"{split}: sample {i} cannot be read: {error}")
    return problems, counts


def _build(options: Build) -> int:
    import json

    from hoijax.io import check_output_directory

    out = options.root if options.out is None and options.name == SYNTH else options.out
    if out is None:
        raise InputError("--out is missing: the folder of TFDS datasets to write to")
    check_output_directory(out)
    if options.name == SYNTH:
        from hoijax.data.synth import SynthConfig, build
        from hoijax.jobs.datasets import BuildRequest, build_synth, prepare_job
        from hoijax.jobs.runners import LOCAL, executor

        request = BuildRequest(_settings(SynthConfig(), options.set), out)
        execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), out)
        if options.runner == LOCAL and request.config.workers:
            report = build(request.config, out)
        else:
            report = build_synth(request, execute)
        for split, number in report.samples.items():
            print(f"{split}: {number:,} samples")
        for action in report.attempts:
            print(f"{action}: {100 * report.rate(action):.0f} % of {report.attempts[action]} accepted")
        print(f"{report.made:,} made in {report.seconds:.0f} s: {out}")
        return 0
    if options.runner != "local":
        raise InputError(f"--runner is for synth_hoi; {options.name} is read in one pass")
    if options.set:
        raise InputError(f"--set is for synth_hoi; {options.name} has no settings")
    from hoijax.data.real.builder import tfds_builder

    builder = tfds_builder(options.name, root=options.root, data_dir=out)
    builder.download_and_prepare()
    for split, info in builder.info.splits.items():
        print(f"{split}: {info.num_examples:,} samples")
    problems = json.loads((pathlib.Path(builder.data_dir) / "problems.json").read_text())
    for problem in problems[:50]:
        print(f"left out: {problem['where']}: {problem['what']}", file=sys.stderr)
    if len(problems) > 50:
        print(f"left out: {len(problems) - 50:,} more, see problems.json", file=sys.stderr)
    print(f"results: {builder.data_dir}")
    return 1 if problems else 0


def _settings(config: "SynthConfig", settings: "Sequence[str]") -> "SynthConfig":
    """The configuration with `name=value` texts applied."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changes = {}
    for text in settings:
        name, given, value = text.partition("=")
        if name not in fields or not given:
            raise InputError(f"--set {text}: wanted name=value with one of the names {', '.join(fields)}")
        kind = type(fields[name])
        try:
            changes[name] = tuple(filter(None, value.split(","))) if kind is tuple else kind(value)
        except ValueError:
            raise InputError(f"--set {text}: {name} is a {'whole ' * (kind is int)}number, got {value!r}") from None
    return dataclasses.replace(config, **changes)
