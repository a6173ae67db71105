"""What a command keeps for the next one: compiled programs and distance grids, in the user's cache folder.

Nothing here runs on import of the library: `main` calls `keep_all` in the process of a command alone.
"""

import os
import pathlib
import sys
from collections.abc import MutableMapping

VARIABLE = "HOIJAX_CACHE"
"""Environment variable: a folder, or `off`."""
LIMIT = 2 * 1024**3
"""Bytes of compiled programs; those unused for longest go first."""
_OFF = ("off", "no", "none", "0")


def cache_folder(environment: MutableMapping[str, str]) -> pathlib.Path | None:
    """Where this user's commands keep what they made.

    Args:
      environment: `HOIJAX_CACHE` names the folder or switches it off; without it the system's folder for caches.

    Returns:
      The folder, which may not exist yet; None if it is switched off.
    """
    given = environment.get(VARIABLE, "")
    if given.lower() in _OFF:
        return None
    if given:
        return pathlib.Path(given).expanduser()
    home = pathlib.Path("~").expanduser()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hoijax"
    if sys.platform == "win32":
        return pathlib.Path(environment.get("LOCALAPPDATA", home / "AppData" / "Local")) / "hoijax" / "Cache"
    return pathlib.Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "hoijax"


def keep_programs(environment: MutableMapping[str, str]) -> pathlib.Path | None:
    """Sets JAX's persistent compilation cache for this process and those it starts; call it before jax is imported.

    What the user has set for JAX stays.

    Args:
      environment: of the process.

    Returns:
      The folder of `cache_folder`; None if it is switched off or cannot be written to.
    """
    folder = cache_folder(environment)
    if folder is None:
        return None
    try:
        (folder / "programs").mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder / "programs", os.W_OK):
        return None
    # A user's own cache keeps its own rules.
    if "JAX_COMPILATION_CACHE_DIR" not in environment:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(folder / "programs")
        # Small programs too: there are hundreds, and each costs more to make than to read.
        environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        environment.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        environment.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(LIMIT))
    return folder


_kept: list[pathlib.Path] = []


def keep_all() -> None:
    """Keeps programs and distance grids from here to the end of this process, which is a command."""
    folder = keep_programs(os.environ)
    _kept[:] = [] if folder is None else [folder]


def grid_folder() -> pathlib.Path | None:
    """Where distance grids are kept; None in a process that has not called `keep_all`."""
    return _kept[-1] / "grids" if _kept else None
