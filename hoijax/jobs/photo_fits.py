"""`reconstruct --method fit` as a job: photographs of one object go in; meshes, parameters, a page come out."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import read_mesh, value_digest, write_json
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch
from hoijax.jobs.objects import ObjectAsset, mesh_digest
from hoijax.jobs.photo_fit import PhotoFit, PhotoFitter, fit_photograph, make_fitter
from hoijax.jobs.photo_fit_files import FILES, page_case, write_fit
from hoijax.jobs.photograph_jobs import photograph_items, run_photographs
from hoijax.jobs.photographs import Photograph, read_photographs
from hoijax.jobs.screen import tell
from hoijax.optim.fitting import ObjectFitConfig, choose_intrinsics
from hoijax.viz import write_page

RULE = 1
"""Version of the method; another one makes finished pictures anew."""


@dataclasses.dataclass(frozen=True)
class FitRequest:
    """Which photographs are to be fitted, and how; plain values, so that another machine can be asked."""

    image: pathlib.Path
    """A picture, or a folder of them."""
    object: pathlib.Path
    """The object's mesh."""
    out: pathlib.Path
    """Folder for the results."""
    config: ObjectFitConfig
    """Of the object's fit."""
    focal: float | None = None
    """Focal length, pixels of the pictures; None: EXIF entries, or an estimate."""
    human_mask: pathlib.Path | None = None
    """Mask of the person, or the folder of masks; None: the networks'."""
    object_mask: pathlib.Path | None = None
    """Mask of the object, likewise."""
    instances: pathlib.Path | None = None
    """Picture of numbers, person 1 and object 2, or the folder of them."""
    units: str | None = None
    """Unit of the mesh; None: metres."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


def prepare_fits(request: FitRequest) -> tuple[Job, dict[str, str], tuple[str, ...]]:
    """Reads and checks everything.

    Returns:
      The job; name to message of pictures that cannot be used; notes on the object.

    Raises:
      InputError: nothing can be fitted.
    """
    photographs, failures = read_photographs(
        request.image, request.human_mask, request.object_mask, request.instances, find_person=True
    )
    asset = ObjectAsset.of(read_mesh(request.object, units=request.units), request.cache)
    fitter = make_fitter(asset, request.config)
    common = {"rule": RULE, "object": mesh_digest(request.object, asset.mesh), "units": request.units,
              "config": dataclasses.asdict(request.config)}  # fmt: skip

    def key(photograph: Photograph) -> str:
        seen = {"image": photograph.image, "human": photograph.human, "object_mask": photograph.object}
        return value_digest(common | seen | {"camera": _camera(photograph, request.focal)})

    job = Job(
        photograph_items(photographs, request.image, request.out, FILES, key),
        functools.partial(_compute, fitter, request.focal),
        functools.partial(_write, fitter, request),
        units="pictures",
    )
    return job, failures, tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())


def _camera(photograph: Photograph, focal: float | None) -> list[Any] | None:
    """What is known of a picture's camera: EXIF entries may change where the pixels do not."""
    try:
        found = choose_intrinsics(photograph.image.shape[:2], focal=focal, path=photograph.path)
    except InputError:
        return None  # it is named when the picture is fitted
    return [found.source, np.asarray(found.matrix)]


def prepare_job(request: FitRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_fits(request)[0]


def fit_photographs(
    request: FitRequest, *, pictures: int, redo: bool = False, execute: Executor | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Fits what is not finished and writes everything.

    Args:
      request: what to do.
      pictures: how many pictures get a section of the page.
      redo: also what is finished.
      execute: where; None: in this process.

    Returns:
      Name to message of every picture that could not be used, and name to verdict of every poor answer.

    Raises:
      InputError: none could be used.
    """
    job, outcome, failures = run_photographs(
        functools.partial(prepare_fits, request), request.out, verb="fit", phase="fitting", redo=redo, execute=execute
    )
    return failures, _write_summary(request, job, outcome, failures, pictures)


def _compute(
    fitter: PhotoFitter, focal: float | None, batch: Sequence[Item], watch: Watch
) -> list[PhotoFit | InputError]:
    answers: list[PhotoFit | InputError] = []
    for item in batch:
        watch(0.0, f"fitting {item.name}")
        began = time.perf_counter()
        try:
            answers.append(fit_photograph(fitter, item.inputs, focal))
        except InputError as error:
            answers.append(error)
        tell(f"{item.name}: {time.perf_counter() - began:.1f} s")
    return answers


def _write(fitter: PhotoFitter, request: FitRequest, item: Item, found: PhotoFit) -> dict[str, Any]:
    return write_fit(item.folder, found, fitter, request.options)


def _write_summary(
    request: FitRequest, job: Job, outcome: Outcome, failures: Mapping[str, str], pictures: int
) -> dict[str, str]:
    """Table, page and summary; name to verdict of the poor ones."""
    records = outcome.records()
    if request.image.is_dir():
        write_json(request.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    cases = [page_case(i.folder, i.name, records[i.name], i.inputs) for i in outcome.finished[:pictures]]
    if cases:
        write_page(request.out / "report.html", "hoijax reconstruct", cases)
    for name, record in list(records.items())[:20]:
        shown = ", ".join(f"{part} {value:.2f}" for part, value in record["overlap"].items())
        tell(f"{name}: {record['verdict']}; overlap with the masks: {shown}; confidence {record['confidence']:.2f}")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return {name: record["verdict"] for name, record in records.items() if not record["good"]}
