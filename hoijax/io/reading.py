"""What every reader of a stranger's file shares: one kind of error, and limits that are checked before memory is taken.

A file may be damaged, hostile, or something else than its name says. Whatever a parser below makes of that, the caller
gets an `InputError` that names the file.
"""

import contextlib
import json
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Any

from hoijax.errors import InputError

PathLike = str | os.PathLike[str]

LARGEST_JSON = 256 << 20
"""Bytes; parsed JSON takes about ten times as much memory."""

_LONGEST_REASON = 200


@contextlib.contextmanager
def reading(path: PathLike, what: str) -> Iterator[None]:
    """Turns everything that goes wrong in the block into an `InputError` that names the file.

    Args:
      path: the file.
      what: what it was to be, with its article: "an .npz archive".

    Raises:
      InputError: whatever the block raises, Ctrl-C and the like apart; those of the block as they are.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {shown(path)}: {error.strerror or reason(error)}") from error
    except MemoryError as error:
        raise InputError(f"{shown(path)} asks for more memory than there is; it is damaged, or too large") from error
    except Exception as error:  # the parsers below raise anything: zlib.error, TokenError, RecursionError, struct.error
        raise InputError(f"{shown(path)} cannot be read as {what} ({reason(error)}); is it damaged?") from error


def reason(error: BaseException) -> str:
    """An exception in one short line of printable text."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_REASON])


def shown(path: PathLike) -> str:
    """A path as messages print it: in one line, and of a bearable length."""
    text = "".join(c if c.isprintable() else "?" for c in os.fspath(path))
    return text if len(text) <= 300 else f"{text[:200]}...{text[-60:]}"


def is_file(path: pathlib.Path) -> bool:
    """Whether there is such a file; not, of what can be no name of one."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file
        return False


def existing_file(path: PathLike, what: str) -> pathlib.Path:
    """The path of a regular file that is there.

    Args:
      path: the file.
      what: what it was to be, without an article: "parameter file".

    Raises:
      InputError: nothing there, a folder, a device or pipe (which may never end), or a name no file can have.
    """
    path = pathlib.Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(f"there is no {what} {shown(path)}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read the {what} {shown(path)}: {text}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown(path)} is a folder, wanted a {what}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{shown(path)} is not a file but a device or pipe, wanted a {what}")
    return path


def refuse_substitute(start: bytes, path: PathLike) -> None:
    """Names what often lies where a file should be.

    Args:
      start: the file's first bytes, 64 will do.
      path: the file.

    Raises:
      InputError: a pointer of Git LFS, or a web page.
    """
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{shown(path)} is a pointer of Git LFS, not the file itself; run `git lfs pull` in its folder"
        )
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(
            f"{shown(path)} is a web page: the download wanted a login or a confirmation. Fetch it again with a browser"
        )


def read_json(path: PathLike, *, kind: type | tuple[type, ...] = dict, limit: int = LARGEST_JSON) -> Any:
    """A JSON object or list.

    Args:
      path: the file, UTF-8.
      kind: `dict`, `list` or both, what it must hold.
      limit: largest file to read, bytes.

    Raises:
      InputError: the file is missing, too large, damaged, or holds something else.
    """
    path = pathlib.Path(path)
    try:
        with open(existing_file(path, "JSON file"), "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise InputError(f"{shown(path)} has more than the {limit:,} bytes that are read of a JSON file")
            text = file.read()
        refuse_substitute(text[:64], path)
        value = json.loads(text)
    except InputError as error:
        raise InputError(f"cannot read {shown(path.name)}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {shown(path.name)}: {error.strerror or reason(error)}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{shown(path)} is damaged: no JSON ({reason(error)})") from error
    if not isinstance(value, kind):
        wanted = {dict: "object", list: "list"}.get(kind, "object or list")
        raise InputError(f"{shown(path)} holds a {type(value).__name__}, wanted a JSON {wanted}")
    return value
