"""How shipped weights are made: named, frozen configurations in a chain, with what they cost and what to expect.

A recipe is data. Its parts are functions of one config each; relative paths in a config are below the recipe's folder,
so that a part finds what an earlier one made. Parts that are finished are not run again, and a part that is a training
goes on where it was stopped.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from hoijax.data.synth import SynthConfig, build
from hoijax.errors import InputError
from hoijax.experiments.common.pages import settings_of
from hoijax.io import output_directory, write_json


@dataclasses.dataclass(frozen=True)
class SynthBuild:
    """A build of SynthHOI as a part of a recipe."""

    root: pathlib.Path
    """Where it goes."""
    synth: SynthConfig
    """What is made."""


def build_synth(config: SynthBuild) -> None:
    """Makes SynthHOI."""
    build(config.synth, config.root)


@dataclasses.dataclass(frozen=True)
class Part:
    """One command of a recipe."""

    name: str
    """In the recipe."""
    module: str
    """Whose command line does the same by hand."""
    run: Callable[[Any], Any]
    """What the command runs."""
    config: Any
    """Its settings, a frozen dataclass."""
    made: pathlib.Path
    """File that is there once the part is finished."""
    smoke: Mapping[str, Any]
    """Changes, by dotted name, that make a trial of seconds of it; `steps` is set by whoever tries."""
    minutes: float | None = None
    """That it took; None where nobody wrote it down."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """A number that weights made anew should come near to."""

    what: str
    """The number and its unit."""
    value: float
    """Of the shipped weights."""
    page: str
    """File of `docs/results` that it stands in."""
    path: tuple[str | int, ...]
    """Where in that file."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one file of weights is made."""

    name: str
    """On the command line."""
    ships: str
    """The file, below `hoijax/assets`."""
    weights: pathlib.Path
    """What the last part makes, below the recipe's folder."""
    hardware: str
    """That the minutes are of."""
    parts: tuple[Part, ...]
    """In order."""
    expected: tuple[Expected, ...]
    """How good the shipped weights are."""
    command: str = dataclasses.field(default="python -m hoijax.experiments.recipes {name} --out DIR")
    """That runs the whole."""

    @property
    def hours(self) -> float:
        """Of all parts whose time is known."""
        return sum(part.minutes or 0.0 for part in self.parts) / 60


def change_settings(config: Any, changes: Mapping[str, Any]) -> Any:
    """A frozen dataclass with other values, by dotted names such as `queries.clean`.

    Raises:
      InputError: no such setting.
    """
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if head not in {field.name for field in dataclasses.fields(config)}:
            raise InputError(f"{type(config).__name__} has no setting {head!r}")
        value = change_settings(getattr(config, head), {rest: value}) if rest else value
        config = dataclasses.replace(config, **{head: value})
    return config


def place_under(config: Any, folder: pathlib.Path) -> Any:
    """A config whose relative paths, also those in tuples, lie below a folder."""

    def place(value: Any) -> Any:
        if isinstance(value, pathlib.Path):
            return folder / value
        return tuple(map(place, value)) if isinstance(value, tuple) else value

    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.init}
    return dataclasses.replace(config, **{k: place(v) for k, v in values.items() if place(v) != v})


def run_recipe(
    recipe: Recipe, out: pathlib.Path, *, steps: int | None = None, have: Mapping[str, pathlib.Path] | None = None
) -> pathlib.Path:
    """Runs what is not finished of a recipe.

    Args:
      recipe: what is made.
      out: its folder.
      steps: of every training, on little data and with tiny networks: does it run. None: the recipe itself.
      have: parts by name that lie elsewhere already, such as a built SynthHOI: the folder that takes their place.

    Returns:
      The weights.

    Raises:
      InputError: no part has a name in `have`, or the folder holds another recipe's runs.
    """
    have = dict(have or {})
    unknown = have.keys() - {part.name for part in recipe.parts}
    if unknown:
        names = ", ".join(part.name for part in recipe.parts)
        raise InputError(f"recipe {recipe.name} has no part {', '.join(sorted(unknown))}; its parts are {names}")
    output_directory(out)
    for part in recipe.parts:
        if part.name in have:
            continue
        config = part.config if steps is None else trial(part, steps)
        _check_same_part(out, part, config)
        if not (out / part.made).exists():
            print(f"{recipe.name}: {part.name}", flush=True)
            part.run(place_under(elsewhere(recipe, config, have), out))
    return out / recipe.weights


def _check_same_part(out: pathlib.Path, part: Part, config: Any) -> None:
    """Notes the settings of a part in the folder's `recipe.json`; what others made there is not taken for it.

    Raises:
      InputError: the folder holds a part of the same name with other settings, such as a trial's.
    """
    path, settings = out / "recipe.json", settings_of(config)
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.setdefault(part.name, settings) != settings:
        other = ", ".join(name for name in settings if known[part.name].get(name) != settings[name])
        raise InputError(f"{out} holds a {part.name!r} with another {other}; choose another --out or remove it")
    write_json(path, known)


def trial(part: Part, steps: int) -> Any:
    """The config of a part, small enough to be run in seconds."""
    fields = {field.name for field in dataclasses.fields(part.config)}
    return change_settings(part.config, {**part.smoke, **({"steps": steps} if "steps" in fields else {})})


def elsewhere(recipe: Recipe, config: Any, have: Mapping[str, pathlib.Path]) -> Any:
    """A config whose paths lead to where finished parts lie."""
    places = {_folder(part.config): have[part.name].resolve() for part in recipe.parts if part.name in have}

    def move(value: Any) -> Any:
        if isinstance(value, pathlib.Path):
            return places.get(value, value)
        return tuple(map(move, value)) if isinstance(value, tuple) else value

    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.init}
    return dataclasses.replace(config, **{k: move(v) for k, v in values.items() if move(v) != v})


def _folder(config: Any) -> pathlib.Path:
    """Where a part writes: what it calls its root, or where a config has none, or a data set's, its `out`."""
    return config.root if getattr(config, "root", None) is not None else config.out


def command_of(part: Part) -> str:
    """The command line that does what a part does, with the paths of its config."""
    if isinstance(part.config, SynthBuild):
        synth = " ".join(_changed_settings(part.config.synth, "{name}={value}"))
        return f"hoijax data build synth_hoi --root {part.config.root}" + (f" --set {synth}" if synth else "")
    return " ".join([f"python -m {part.module}", *_changed_settings(part.config, "--{name} {value}")])


def _changed_settings(config: Any, form: str, prefix: str = "") -> list[str]:
    """Settings that are not their defaults."""
    words = []
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name.replace("_", "-" if form[0] == "-" else "_")
        usual = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if not field.init or value == usual:
            continue
        if dataclasses.is_dataclass(value):
            words += _changed_settings(value, form, f"{name}.")
        elif isinstance(value, bool) and form[0] == "-":
            head, _, tail = name.rpartition(".")
            words.append(f"--{name}" if value else f"--{head + '.' if head else ''}no-{tail}")
        else:
            many = value if isinstance(value, tuple) else (value,)
            words.append(form.format(name=name, value=" ".join(map(str, many))))
    return words
