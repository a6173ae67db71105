"""Refining a result again from where its object has been put, for the live page; kept only when that is asked for."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io import read_parameters, write_json, write_parameters
from hoijax.jobs.engine import Batch, finish_batch
from hoijax.jobs.estimates import Reading
from hoijax.jobs.record import read_record
from hoijax.jobs.requests import RefineRequest, prepare_refinement
from hoijax.jobs.shown_results import RequestOf
from hoijax.viz.results import Candidate, Found, find_results
from hoijax.viz.shown import Drag, Shown

ESTIMATE, RESULT = "estimate.npz", "result"
MOST_SAVED = 1000
"""Results of one folder that are saved at most."""


class PageRefiner:
    """`hoijax.viz.refine_panel.Refiner`: the refiner of `hoijax refine` with the options of the result's record.

    Args:
      root: folder that the page shows; what is saved goes beside it.
      request_of: tells what a result's command asked for.
    """

    def __init__(self, root: pathlib.Path, request_of: RequestOf):
        self._root, self._request_of = root, request_of
        self._scratch = tempfile.TemporaryDirectory(prefix="hoijax-view-", ignore_cleanup_errors=True)
        self._made = 0

    def refuses(self, found: Found, candidate: Candidate) -> str:
        """Why a candidate cannot be refined again; empty if it can."""
        if found.kind != "refine":
            what = {
                "sequence": "frames of a sequence hang together",
                "scene": "a scene by itself says nothing of its body",
            }
            why = what.get(found.kind, f"`hoijax {found.kind}` makes its results otherwise")
            return f"Only results of `hoijax refine` of single poses are refined again: {why}."
        try:
            self._request_of(found)
        except InputError as error:
            return f"It cannot be refined again: {error}."
        return ""

    def refine(
        self, found: Found, candidate: Candidate, shown: Shown, drag: Drag, steps: int,
        watch: Callable[[float, str], None],
    ) -> Found:  # fmt: skip
        """Refines the candidate from where its object has been dragged.

        Args:
          found: its result.
          candidate: of it.
          shown: how the page shows it.
          drag: of its object, in the page's coordinates.
          steps: gradient steps.
          watch: called with the share that is done and the stage.

        Returns:
          The result, in a folder that is gone when the page closes.

        Raises:
          InputError: files that the command had named are not there any more, or cannot be used.
        """
        self._made += 1
        work = pathlib.Path(self._scratch.name) / f"{self._made:03d}"
        work.mkdir()
        write_dragged(candidate.parameters, work / ESTIMATE, drag, shown.turn)
        request = request_again(self._request_of(found), work, steps)
        made = prepare_refinement(request)
        item = made.job.items[0]
        for _, message in finish_batch(made.job, Batch((item,), 1), watch):
            if message is not None:
                raise InputError(message)
        result = find_results(work / RESULT)[0]
        name = f"again {self._made}"
        return dataclasses.replace(
            result, name=name, candidates=(dataclasses.replace(result.candidates[0], name=name),),
            notes=(f"{steps} steps from where the object was put", *result.notes),
        )  # fmt: skip

    def save(self, found: Found) -> pathlib.Path:
        """Copies a result into a new folder beside the one that the page shows, its record last.

        Raises:
          InputError: there are too many such folders already.
          OSError: it cannot be written.
        """
        root = self._root.resolve()
        root = root if root.is_dir() else root.parent
        with new_folder(root.parent, f"{root.name}-again") as folder:
            shutil.copyfile(found.folder.parent / ESTIMATE, folder / ESTIMATE)
            for path in sorted(found.folder.iterdir()):
                if path.is_file() and path.name != "metrics.json":
                    shutil.copyfile(path, folder / path.name)
            record = read_record(found.folder / "metrics.json")
            record["options"] = {**record["options"], "body": str(folder / ESTIMATE), "out": str(folder)}
            write_json(folder / "metrics.json", record)
        return folder

    def close(self) -> None:
        """Removes what nobody has asked to keep."""
        self._scratch.cleanup()


@contextlib.contextmanager
def new_folder(parent: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """A folder that was not there before, `name-1`, `name-2`, ...; gone again if what is to fill it fails.

    Raises:
      InputError: all of them are taken.
    """
    for number in range(1, MOST_SAVED + 1):
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return
    raise InputError(f"{parent} has {name}-1 to {name}-{MOST_SAVED} already; move some of them away")


def write_dragged(parameters: pathlib.Path, out: pathlib.Path, drag: Drag, turn: np.ndarray) -> None:
    """Writes the numbers of a result with its object where it has been dragged.

    Args:
      parameters: of the result.
      out: the `.npz` to write.
      drag: in the page's coordinates.
      turn: `(3, 3)` from the result's coordinates to the page's.
    """
    file = read_parameters(parameters, source="hoijax")
    values = file.item(0)
    was = Rotation.from_rotvec(values.get("obj_rot", np.zeros(3))).as_matrix()
    rotation, translation = drag.pose(was, values.get("obj_trans", np.zeros(3)), turn)
    vector = Rotation.from_matrix(rotation).as_rotvec()
    write_parameters(out, file, {"obj_rot": vector[None], "obj_trans": translation[None]} if drag.moved else {})


def request_again(request: RefineRequest, work: pathlib.Path, steps: int) -> RefineRequest:
    """The request of a result, for its own numbers with another place of the object, and other steps.

    Args:
      request: of the result's command.
      work: folder that holds the numbers and is to hold the result.
      steps: gradient steps.
    """
    body, out = work / ESTIMATE, work / RESULT
    options = {**request.options, "body": str(body), "out": str(out), "steps": steps, "pairs": None}
    options |= {name: None for name in ("source", "person", "object_pose", "object_name")} | {
        "ignore": "",
        "betas": "keep",
    }
    return dataclasses.replace(
        request,
        body=body,
        out=out,
        pairs=None,
        config=request.config.with_steps(steps),
        sequence=False,
        whole=False,
        reading=Reading(source="hoijax", betas="keep", cache=request.cache),
        options=json.loads(json.dumps(options, default=str)),
    )
