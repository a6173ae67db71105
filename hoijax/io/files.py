"""Files that are either whole or absent: every writer fills a temporary name and renames it."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import PathLike, shown

_LONGEST_PART, _LONGEST_PATH = 255, 4096


@contextlib.contextmanager
def atomic_file(path: PathLike) -> Iterator[IO[bytes]]:
    """Opens a file for writing that appears under its name only when the block ends well.

    The temporary file lies in the same folder, so that the last step is one rename, and its name starts with a dot
    and ends in `.part`. An error or Ctrl-C inside the block removes it and leaves what was at `path` before.

    Args:
      path: the file to write; its folder must exist.

    Yields:
      A binary file.

    Raises:
      InputError: the folder does not take new files, or the disk is full.
    """
    path = pathlib.Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"cannot write {shown(path)}: {getattr(error, 'strerror', None) or error}") from error
    try:
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files only their owner can read
            os.replace(name, path)
        except OSError as error:
            raise InputError(f"cannot write {shown(path)}: {error.strerror or error}{_advice(error)}") from error
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_bytes(path: PathLike, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: PathLike, value: Any) -> None:
    """Writes JSON that any reader accepts: NumPy numbers and arrays as numbers and lists, nan and infinity as null."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def write_npz(path: PathLike, arrays: Mapping[str, Any]) -> None:
    """Writes an `.npz` of plain arrays, whole or not at all."""
    with atomic_file(path) as file:
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})


def output_directory(path: PathLike) -> pathlib.Path:
    """Makes the folder that results go to, with its parents.

    Raises:
      InputError: the name belongs to a file, or the folder cannot be made or written to.
    """
    path = pathlib.Path(path)
    check_output_directory(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the output folder {shown(path)}: {error.strerror or error}") from error
    return path


def check_output_directory(path: PathLike) -> None:
    """Says whether `output_directory` would work, without leaving anything: for checks before long work.

    The nearest folder that exists is asked by making a folder in it, which is removed at once: permissions alone do not
    show a disk that is full or read-only, nor places such as /proc.

    Raises:
      InputError: the name or one of its parents belongs to a file or to a link that leads nowhere, cannot be a name, or
        the folder takes no new ones.
    """
    path = pathlib.Path(path)
    check_name(path)
    for place in (path, *path.absolute().parents):
        try:
            if place.is_dir():
                os.rmdir(tempfile.mkdtemp(dir=place, prefix=".hoijax."))
                return
            if os.path.lexists(place):
                kind = "a link that leads nowhere" if place.is_symlink() and not place.exists() else "a file"
                raise InputError(
                    f"the output folder {shown(path)} cannot be made: {shown(place)} is {kind}; name another folder"
                )
        except OSError as error:
            said = "permission denied" if isinstance(error, PermissionError) else error.strerror or error
            raise InputError(f"cannot write to the folder {shown(place)}: {said}") from error


def check_output_file(path: PathLike) -> None:
    """Says whether a file can be written under that name, without leaving anything: for checks before long work.

    Raises:
      InputError: the name belongs to a folder, its folder is not there or takes no new files, or it cannot be a name.
    """
    path = pathlib.Path(path)
    check_name(path)
    if path.is_dir():
        raise InputError(f"cannot write {shown(path)}: it is a folder; name a file in it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InputError(f"cannot write {shown(path)}: the folder {shown(parent)} is not there; make it first")
    check_output_directory(parent)


def check_name(path: PathLike) -> None:
    """Refuses what no file system takes as a name.

    Raises:
      InputError: a NUL in it, a part of more than 255 bytes, or more than 4,096 bytes in all.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise InputError(f"{shown(name)!r} is no name of a file: it has a NUL in it")
    parts = pathlib.PurePath(name).parts
    if len(os.fsencode(name)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_PART for part in parts):
        raise InputError(f"the name {shown(name)} is too long for a file: wanted at most {_LONGEST_PART} bytes a part")


def remove_partial_files(folder: PathLike) -> None:
    """Removes the temporary files that a killed run left in `folder` (not in its sub-folders)."""
    for part in pathlib.Path(folder).glob(".*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def file_digest(path: PathLike) -> str:
    """SHA-256 of a file's contents, in hexadecimal.

    Raises:
      InputError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def value_digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of a nest of dicts, lists, numbers, strings and arrays.

    Arrays count with their dtype, shape and bytes; dicts without their order.
    """
    state = hashlib.sha256()

    def add(item):
        if isinstance(item, Mapping):
            state.update(b"{%d" % len(item))
            for key in sorted(item):
                add(key)
                add(item[key])
        elif isinstance(item, (list, tuple)):
            state.update(b"[%d" % len(item))
            for entry in item:
                add(entry)
        elif isinstance(item, (np.ndarray, np.generic)):
            array = np.asarray(item)
            state.update(f"{array.dtype.str}{array.shape}".encode())
            state.update(np.ascontiguousarray(array).tobytes())
        elif isinstance(item, (str, int, float, bool, type(None))):
            state.update(f"{type(item).__name__}:{item!r};".encode())
        else:
            raise TypeError(f"a {type(item).__name__} has no digest")

    add(value)
    return state.hexdigest()


def _advice(error: OSError) -> str:
    """What to do about a full disk."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "; what was finished before is whole: make room, and the same command goes on from there" if full else ""


def _plain(value: Any) -> Any:
    """`value` in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return _plain(np.asarray(value).tolist())


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
