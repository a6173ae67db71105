"""What `hoijax refine` was asked for when it made a result, by the result's record."""

import dataclasses
import pathlib
import typing
from typing import TYPE_CHECKING, Any

from hoijax.errors import InputError

if TYPE_CHECKING:
    from hoijax.jobs.requests import RefineRequest
    from hoijax.viz.results import Found


def request_of(found: "Found") -> "RefineRequest":
    """The request of a result of `hoijax refine`.

    Args:
      found: the result.

    Raises:
      InputError: its record does not hold the command's options, its files are not there, or it is of people in a room.
    """
    from hoijax.cli.refine import request_of as request_of_options
    from hoijax.jobs.bodies import BodyChoice
    from hoijax.jobs.directions import parse_direction

    options = options_of(found.options)
    if options.scene is not None:
        raise InputError("it is of people in a room")
    for name in ("body", "object"):
        path = getattr(options, name)
        if path is None:
            raise InputError(f"its record does not tell the command's --{name}")
        if not path.exists():
            raise InputError(f"--{name} {path} of its command is not there; start from the folder where that ran")
    choice = BodyChoice(options.body_model, options.hands == "flat", options.lod)
    up = parse_direction(options.up or "+y", "--up")
    options = dataclasses.replace(options, pairs=None, up=options.up or "+y")
    return request_of_options(options, choice, up, dict(found.options))


def options_of(recorded: Any) -> Any:
    """The options of a record as the command has them.

    Raises:
      InputError: the record has others, or values of another kind.
    """
    from hoijax.cli.refine import Options

    hints = typing.get_type_hints(Options)
    if not recorded or "out" not in recorded:
        raise InputError("its record does not hold the options of a `hoijax refine`")
    values = {}
    for name, value in recorded.items():
        if name not in hints:
            raise InputError(f"its record has an option {name} that `hoijax refine` does not know")
        values[name] = _value(name, value, hints[name])
    return Options(**values)


def _value(name: str, value: Any, hint: Any) -> Any:
    """A value of JSON as the option's type has it."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        return tuple(str(v) for v in value) if isinstance(value, list) else ()
    if typing.get_origin(hint) is typing.Literal:
        good = value in kinds
    elif value is None:
        good = type(None) in kinds
    elif isinstance(value, bool):
        good = bool in kinds
    elif isinstance(value, str):
        if pathlib.Path in kinds:
            return pathlib.Path(value)
        words = [word for kind in kinds if typing.get_origin(kind) is typing.Literal for word in typing.get_args(kind)]
        good = str in kinds or value in (words or kinds)
    else:
        good = isinstance(value, int | float) and (float in kinds or (int in kinds and isinstance(value, int)))
    if not good:
        raise InputError(f"its record has {name} = {value!r}, which is no value of that option")
    return value
