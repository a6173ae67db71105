"""Shows the scenes of a folder in the browser, live (extra [viewer])."""

import dataclasses
import pathlib

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax view`."""

    path: tyro.conf.Positional[pathlib.Path]
    """A folder with scenes in the formats of docs/files.md, its sub-folders searched too, or one such file."""
    port: int = 8080
    """Port of the page on this machine."""


def run(options: Options) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    import time

    from hoijax.errors import InputError
    from hoijax.viz.viewer import Viewer, find_scenes

    if not 1 <= options.port <= 65535:
        raise InputError(f"--port must be from 1 to 65535, got {options.port}")
    files = find_scenes(options.path)
    viewer = Viewer(files, port=options.port)
    print(f"{len(files)} scene(s) at {viewer.address}; Ctrl-C ends")
    try:
        while True:
            time.sleep(0.5)
    finally:
        viewer.stop()
