"""Shows the results and scenes of a folder in the browser, live (extra [viewer]).

Candidates with score and verdict, before and after, contact colours, a film of a sequence; the object of a result of
`hoijax refine` can be moved and refined again from there. Nothing in the folder is changed.
"""

import dataclasses
import functools
import pathlib

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax view`."""

    path: tyro.conf.Positional[pathlib.Path]
    """A folder with results of refine, reconstruct, synthesize or generate, or with scenes in the formats of
    docs/files.md, its sub-folders searched too, or one such file."""
    port: int = 8080
    """Port of the page on this machine."""


def run(options: Options) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    import time

    from hoijax.cli.asked_before import request_of
    from hoijax.errors import InputError
    from hoijax.jobs.refine_again import PageRefiner
    from hoijax.jobs.shown_results import load_candidate
    from hoijax.viz.results import find_results
    from hoijax.viz.viewer import Viewer

    if not 1 <= options.port <= 65535:
        raise InputError(f"--port must be from 1 to 65535, got {options.port}")
    found = find_results(options.path)
    refiner = PageRefiner(options.path, request_of)
    load = functools.partial(load_candidate, request_of=request_of)
    try:
        viewer = Viewer(found, load=load, refiner=refiner, port=options.port)
        results = sum(one.kind != "scene" for one in found)
        print(f"{results} result(s) and {len(found) - results} scene(s) at {viewer.address}; Ctrl-C ends", flush=True)
        try:
            while True:
                time.sleep(0.5)
        finally:
            viewer.stop()
    finally:
        refiner.close()
