"""How the scripts of the experiments answer bad input."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from hoijax.errors import InputError

C, R = TypeVar("C"), TypeVar("R")


def run_command(run: Callable[[C], R], config: type[C], arguments: Sequence[str] | None = None) -> R:
    """Calls `run` with the command line's configuration; input that is refused is told and ends with exit code 2.

    Args:
      run: the script.
      config: a dataclass, whose checks count as input too.
      arguments: instead of the command line's.
    """
    try:
        return run(tyro.cli(config, args=arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
