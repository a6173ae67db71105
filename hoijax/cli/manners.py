"""What every verb takes: how much is said, and in which form.

| option | what it does |
|---|---|
| `-q`, `--quiet` | nothing but errors and warnings, no progress bars |
| `-v`, `--verbose` | first versions, device and cache; the traceback behind an error |
| `--json` | one JSON object on standard output when the verb has ended, all else on standard error |
| `--no-cache` | keeps no compiled programs and distance grids |
"""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_WORDS = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose", "--json": "json"}
NO_CACHE = "--no-cache"
"""Switches off what `hoijax.cli.cache` keeps."""
LARGEST_RECORD = 64 << 20
"""Of the results' own JSON that `--json` repeats, bytes."""


@dataclasses.dataclass(frozen=True)
class Manners:
    """The options that are the same for every verb."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    cache: bool = True

    @classmethod
    def take(cls, args: Sequence[str]) -> tuple["Manners", list[str]]:
        """Parts the options of every verb from those of one.

        Args:
          args: what stands after `hoijax`.

        Returns:
          The manners, and the rest in its order. What follows `--` is left alone.
        """
        end = list(args).index("--") if "--" in args else len(args)
        head, tail = args[:end], list(args[end:])
        chosen = {_WORDS[word]: True for word in head if word in _WORDS}
        rest = [word for word in head if word not in _WORDS and word != NO_CACHE]
        return cls(**chosen, cache=NO_CACHE not in head), rest + tail

    @contextlib.contextmanager
    def screen(self) -> Iterator[Any]:
        """Sends what verbs print where these manners want it.

        Yields:
          The real standard output.
        """
        out = sys.stdout
        if self.quiet:
            os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is first imported, which no verb has done yet
        if not (self.quiet or self.json):
            yield out
            return
        with contextlib.redirect_stdout(io.StringIO() if self.quiet else sys.stderr):
            yield out


def report(run: Callable[[], int], options: Any, verb: str, out: Any) -> int:
    """Runs a verb and writes `--json`'s object; an error's is written where the error is told (`hoijax.cli.main`).

    The object holds `verb`, `exit_code`, `seconds`, `out` (the verb's `--out`, or null) and `results` (its
    `metrics.json`, or null where it writes none).

    Args:
      run: does the work and returns the exit code.
      options: of the verb.
      verb: its name.
      out: where the object goes.

    Returns:
      The exit code.
    """
    began = time.perf_counter()
    code = run()
    place = getattr(options, "out", None)
    record = {
        "verb": verb,
        "exit_code": code,
        "seconds": round(time.perf_counter() - began, 3),
        "out": None if place is None else str(place),
        "results": None if place is None else _results(pathlib.Path(place)),
    }
    print(json.dumps(record, ensure_ascii=False), file=out, flush=True)
    return code


def _results(folder: pathlib.Path) -> Any:
    """What the verb wrote about its results: the folder's `metrics.json`; None where there is none."""
    path = folder / "metrics.json"
    if not path.is_file() or path.stat().st_size > LARGEST_RECORD:
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def surroundings() -> str:
    """One line: versions of hoijax, JAX and Python, the devices, the cache."""
    import importlib.metadata
    import platform

    import jax

    devices = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    cache = jax.config.jax_compilation_cache_dir or "off"
    return (
        f"hoijax {importlib.metadata.version('hoijax')}, jax {jax.__version__}, Python {platform.python_version()}, "
        f"{len(jax.devices())} x {devices}, cache: {cache}"
    )
