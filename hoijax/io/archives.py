"""The one reader of `.npz` archives: nothing executed, declared sizes summed and checked before anything is read.

An `.npz` is a zip of `.npy` files. Both say how large they are before they come, and both may lie: eight megabytes of
zip unfold to eight gigabytes of zeros, a header of 128 bytes promises a terabyte.
"""

import contextlib
import dataclasses
import math
import pathlib
import struct
import zipfile
from collections.abc import Collection, Iterator

import numpy as np

from hoijax.errors import InputError
from hoijax.io.reading import PathLike, existing_file, reading, refuse_substitute, shown

LIMIT = 1 << 30
"""Bytes that the members of one archive may unfold to, unless a reader says otherwise."""

NUMBERS = "biuf"
"""Kinds of dtypes that are real numbers."""
PLAIN = "biufcSUMm"
"""Kinds of dtypes that are no Python objects and no raw memory."""

_MOST_MEMBERS = 100_000


@dataclasses.dataclass(frozen=True)
class Header:
    """What a `.npy` file says about itself."""

    shape: tuple[int, ...]
    """Its array's shape."""
    dtype: np.dtype
    """Its array's type."""
    fortran: bool
    """Whether the first axis runs fastest."""
    size: int
    """Bytes of the header; the numbers follow."""


class Archive:
    """An open `.npz`; every error names the file.

    Attributes:
      path: the file.
      members: key of each array, its member's name without `.npy`, to the zip entry.
      others: names of the members that are no `.npy`.
    """

    def __init__(self, path: pathlib.Path, archive: zipfile.ZipFile, limit: int):
        self.path, self._archive = path, archive
        entries = archive.infolist()
        if len(entries) > _MOST_MEMBERS:
            raise InputError(f"{shown(path)} has {len(entries):,} members, wanted at most {_MOST_MEMBERS:,}")
        for entry in entries:
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(
                    f"{shown(path)}: '{entry.filename}' is compressed in a way that .npz files are not; "
                    "save the arrays again with np.savez"
                )
        self.members = {e.filename.removesuffix(".npy"): e for e in entries if e.filename.endswith(".npy")}
        self.others = tuple(e.filename for e in entries if not e.filename.endswith(".npy"))
        self._left = limit
        self._limit = limit

    def header(self, key: str) -> Header:
        """What an array's header says, checked against the size of its member.

        Raises:
          InputError: a damaged header, or one that promises another number of bytes than there are.
        """
        entry = self.members[key]
        with self._reading(key), self._archive.open(entry) as member:
            found = _parse_header(member)
        count = math.prod(found.shape)
        if min(found.shape, default=0) < 0 or (found.dtype.itemsize == 0 and count > 1_000_000):
            raise InputError(f"{shown(self.path)}: '{key}' has the impossible shape {found.shape} of {found.dtype}")
        promised = found.size + count * found.dtype.itemsize
        if not found.dtype.hasobject and promised != entry.file_size:
            raise InputError(
                f"{shown(self.path)} is damaged: '{key}' has {entry.file_size:,} bytes, by its header {promised:,}"
            )
        return found

    def array(self, key: str, *, kinds: str = NUMBERS) -> np.ndarray:
        """One array.

        Args:
          key: one of `members`.
          kinds: kinds of dtypes that are read, as NumPy's letters.

        Raises:
          InputError: another kind of dtype, Python objects among them; a damaged member; more bytes than the limit.
        """
        found = self.header(key)
        if found.dtype.hasobject:
            raise InputError(
                f"{shown(self.path)}: '{key}' holds Python objects, which are not loaded; wanted numbers, save them "
                "as plain arrays"
            )
        if found.dtype.kind not in kinds:
            wanted = "float32 or float64" if "f" in kinds else "text"
            raise InputError(f"{shown(self.path)}: '{key}' has dtype {found.dtype}, wanted {wanted}")
        self._spend(self.members[key].file_size)
        with self._reading(key), self._archive.open(self.members[key]) as member:
            _parse_header(member)
            flat = np.empty(math.prod(found.shape), found.dtype)
            if flat.nbytes:
                _fill(member, memoryview(flat.view(np.uint8)))
            elif member.read(1):  # the member's end, where its checksum is compared
                raise InputError(f"{shown(self.path)}: '{key}' has bytes after its end")
            return flat.reshape(found.shape, order="F" if found.fortran else "C")

    def check_total(self, keys: Collection[str]) -> None:
        """Refuses, before any of them is read, arrays that together are larger than what may be read.

        Raises:
          InputError: they are.
        """
        if sum(self.members[key].file_size for key in keys) > self._left:
            self._spend(self._left + 1)

    def contents(self, name: str) -> bytes:
        """The bytes of a member by its name in the zip.

        Raises:
          InputError: a damaged member, or more bytes than the limit.
        """
        entry = self._archive.getinfo(name)
        self._spend(entry.file_size)
        with self._reading(name):
            return self._archive.read(entry)

    def memory_map(self, name: str) -> np.ndarray:
        """The bytes of a member that is not compressed, as a view of the file; nothing is read until it is used.

        Raises:
          InputError: a damaged or compressed member.
        """
        entry = self._archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise InputError(f"{shown(self.path)}: '{shown(name)}' is compressed, which no tensor of PyTorch is")
        if not entry.file_size:
            return np.zeros(0, np.uint8)
        with self._reading(name), self._archive.open(entry):  # compares the member's own header with the table's
            with open(self.path, "rb") as file:
                file.seek(entry.header_offset + 26)
                start = entry.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            return np.memmap(self.path, np.uint8, "r", start, (entry.file_size,))

    def _spend(self, size: int) -> None:
        """Counts bytes that are about to be read."""
        self._left -= size
        if self._left < 0:
            raise InputError(
                f"{shown(self.path)} unfolds to more than {self._limit >> 20:,} MiB, which no file of its kind needs; "
                "leave out what is not asked for, or split it"
            )

    def _reading(self, key: str) -> contextlib.AbstractContextManager:
        return reading(f"{self.path}: '{key}'", "an array")


@contextlib.contextmanager
def open_npz(path: PathLike, *, limit: int = LIMIT, what: str = "file") -> Iterator[Archive]:
    """Opens an `.npz`.

    Args:
      path: the file.
      limit: most bytes that may be read from it, unfolded; see `Archive`.
      what: what it was to hold, for messages: "parameter file".

    Raises:
      InputError: nothing there, no zip archive, or a damaged one.
    """
    path = existing_file(path, what)
    with reading(path, "an .npz archive"):
        with open(path, "rb") as file:
            start = file.read(64)
            refuse_substitute(start, path)
            if start.startswith(b"\x93NUMPY"):
                raise InputError(f"{shown(path)} is one array and is not an .npz archive; save it with np.savez")
            file.seek(0)
            if not zipfile.is_zipfile(file):
                raise InputError(f"{shown(path)} is not an .npz archive; wanted arrays saved with np.savez")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                yield Archive(path, archive, limit)


def read_npz(
    path: PathLike,
    *,
    keys: Collection[str] | None = None,
    kinds: str = NUMBERS,
    limit: int = LIMIT,
    what: str = "file",
) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`.

    Args:
      path: the file.
      keys: read only those that are among these; None reads all.
      kinds: kinds of dtypes that are read, as NumPy's letters; others are an error.
      limit: most bytes to read, unfolded.
      what: what it was to hold, for messages.

    Returns:
      Key to array.

    Raises:
      InputError: see `open_npz` and `Archive.array`.
    """
    with open_npz(path, limit=limit, what=what) as archive:
        wanted = [key for key in archive.members if keys is None or key in keys]
        archive.check_total(wanted)
        return {key: archive.array(key, kinds=kinds) for key in wanted}


def _parse_header(member) -> Header:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the .npy format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    return Header(tuple(int(n) for n in shape), dtype, bool(fortran), member.tell())


def _fill(member, target: memoryview) -> None:
    at = 0
    while at < len(target):
        count = member.readinto(target[at : at + (1 << 20)])
        if not count:
            raise EOFError(f"{at:,} of {len(target):,} bytes")
        at += count
    if member.read(1):  # reads on to the member's end, where its checksum is compared
        raise EOFError("bytes after its end")
