"""Says what a file of any method is, what of it will be used, and what not; reads it and does nothing else.

FILE is a body, an object's pose, or both, of one of the methods of docs/sources.md.
"""

import dataclasses
import pathlib

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax inspect`."""

    file: tyro.conf.Positional[pathlib.Path]
    """The file, or a folder of 4 x 4 poses as text."""
    source: str | None = None
    """The method, where its keys do not say: a name of docs/sources.md."""
    person: str | None = None
    """Who, or which object, of a file of several."""
    ignore: str = ""
    """Keys to leave out, separated by commas."""


def run(options: Options) -> int:
    """Reads the file and says what it is.

    Args:
      options: see `Options`.

    Returns:
      0.

    Raises:
      InputError: the file cannot be read, or holds a key that looks like a pose and is not understood.
    """
    from hoijax.jobs.estimates import inspect_file, keys_of

    for line in inspect_file(options.file, options.source, options.person, keys_of(options.ignore)):
        print(line)
    return 0
