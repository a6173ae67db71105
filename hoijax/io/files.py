"""Files that are either whole or absent: every writer fills a temporary name and renames it."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from hoijax.errors import InputError

PathLike = str | os.PathLike[str]


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
      InputError: the folder does not take new files.
    """
    path = pathlib.Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files only their owner can read
        os.replace(name, path)
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
        raise InputError(f"cannot make the output folder {path}: {error.strerror or error}") from error
    return path


def check_output_directory(path: PathLike) -> None:
    """Says whether `output_directory` would work, without making anything: for checks before long work.

    Raises:
      InputError: the name or one of its parents belongs to a file, or the folder is not writable.
    """
    path = pathlib.Path(path)
    for place in (path, *path.parents):
        if place.is_dir():
            if not os.access(place, os.W_OK | os.X_OK):
                raise InputError(f"cannot write to the folder {place}: permission denied")
            return
        if place.exists():
            raise InputError(f"the output folder {path} cannot be made: {place} is a file; name another folder")


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
