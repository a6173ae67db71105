"""`reconstruct` as a job: pictures with masks of one object go in, meshes, parameters, a table and a page come out."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import read_mesh, value_digest, write_json
from hoijax.jobs import reconstruction
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch
from hoijax.jobs.objects import ObjectAsset, mesh_digest
from hoijax.jobs.photograph_files import MaskFiles, look_at_photographs
from hoijax.jobs.photograph_jobs import photograph_items, run_photographs
from hoijax.jobs.photographs import Photograph
from hoijax.jobs.reconstruction import WEIGHTS, Reconstructed, Reconstructor, reconstruct_batch, weights_path
from hoijax.jobs.reconstruction_files import FILES, page_case, write_reconstruction
from hoijax.jobs.screen import tell
from hoijax.systems.scorehoi import GuidedConfig
from hoijax.viz import write_page


@dataclasses.dataclass(frozen=True)
class ReconstructRequest:
    """Which pictures are to be reconstructed, and how; plain values, so that another machine can be asked."""

    image: pathlib.Path
    """A picture, or a folder of them."""
    object: pathlib.Path
    """The object's mesh."""
    out: pathlib.Path
    """Folder for the results."""
    config: GuidedConfig
    """Of the guided refinement."""
    human_mask: pathlib.Path | None = None
    """Mask of the person, or the folder of masks."""
    object_mask: pathlib.Path | None = None
    """Mask of the object, likewise."""
    instances: pathlib.Path | None = None
    """Picture of numbers, person 1 and object 2, or the folder of them."""
    regressor: pathlib.Path | None = None
    """Weights; None: those that are shipped."""
    denoiser: pathlib.Path | None = None
    """Weights, likewise."""
    body_model: pathlib.Path | None = None
    """File or folder of SMPL-H, for networks that were trained on it."""
    units: str | None = None
    """Unit of the mesh; None: metres."""
    show: str = "guided"
    """The stage that the GLB and the overlay show."""
    batch_size: int = 4
    """Most pictures at a time."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


def prepare_pictures(request: ReconstructRequest) -> tuple[Job, dict[str, str], tuple[str, ...]]:
    """Reads and checks everything.

    Returns:
      The job; name to message of pictures that cannot be used; notes on the object.

    Raises:
      InputError: nothing can be reconstructed.
    """
    masks = MaskFiles(request.human_mask, request.object_mask, request.instances)
    seen, failures = look_at_photographs(request.image, masks, _seen)
    mesh = read_mesh(request.object, units=request.units)
    paths = [weights_path(request.regressor, request.denoiser, name) for name in WEIGHTS]
    reconstructor = reconstruction.make_reconstructor(*paths, request.config, request.body_model)
    asset = ObjectAsset.of(mesh, request.cache)
    common = dict(reconstructor.facts) | {
        "object": mesh_digest(request.object, mesh), "units": request.units, "show": request.show,
    }  # fmt: skip

    job = Job(
        photograph_items([(f, value_digest(common | {"seen": d})) for f, d in seen], request.image, request.out, FILES),
        functools.partial(_compute, reconstructor, asset),
        functools.partial(_write, reconstructor, asset, request),
        batch_size=request.batch_size,
        units="pictures",
    )
    notes = tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())
    return job, failures, notes


def _seen(photograph: Photograph) -> str:
    return value_digest({"image": photograph.image, "human": photograph.human, "thing": photograph.object})


def prepare_job(request: ReconstructRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_pictures(request)[0]


def reconstruct_pictures(
    request: ReconstructRequest, *, pictures: int, redo: bool = False, execute: Executor | None = None
) -> dict[str, str]:
    """Reconstructs what is not finished and writes everything.

    Args:
      request: what to do.
      pictures: how many pictures get a section of the page.
      redo: also what is finished.
      execute: where; None: in this process.

    Returns:
      Name to message of every picture that could not be used.

    Raises:
      InputError: none could be used.
    """
    _, outcome, failures = run_photographs(
        functools.partial(prepare_pictures, request), request.out,
        verb="reconstruct", phase="reconstruction", redo=redo, execute=execute,
    )  # fmt: skip
    _write_summary(request, outcome, failures, pictures)
    return failures


def _compute(
    reconstructor: Reconstructor, asset: ObjectAsset, batch: Sequence[Item], watch: Watch
) -> list[Reconstructed | InputError]:
    """The networks' answers; an `InputError` in the place of one that is not finite."""
    watch(0.0, "reconstructing")
    answers: list[Reconstructed | InputError] = []
    photographs: list[Photograph] = [item.inputs.read() for item in batch]
    for reconstructed in reconstruct_batch(reconstructor, asset.template, photographs):
        if all(np.isfinite(stage.vertices).all() for stage in reconstructed.stages.values()):
            answers.append(reconstructed)
        else:
            name = reconstructed.photograph.name
            answers.append(InputError(f"{name}: the networks' answer is not finite; are these weights trained?"))
    return answers


def _write(
    reconstructor: Reconstructor,
    asset: ObjectAsset,
    request: ReconstructRequest,
    item: Item,
    reconstructed: Reconstructed,
) -> dict[str, Any]:
    return write_reconstruction(
        item.folder, reconstructed, reconstructor, asset.light, asset.template, request.show, request.options
    )


def _write_summary(request: ReconstructRequest, outcome: Outcome, failures: Mapping[str, str], pictures: int) -> None:
    """Table, page and summary."""
    records = outcome.records()
    if request.image.is_dir():
        write_json(request.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    cases = [page_case(item.folder, item.name, records[item.name]) for item in outcome.finished[:pictures]]
    if cases:
        write_page(request.out / "report.html", "hoijax reconstruct", cases)
    for name, record in list(records.items())[:20]:
        agreement = record["stages"][record["shown"]]["mask_iou"]
        shown = ", ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in agreement.items())
        depth = 1000 * record["stages"][record["shown"]]["max_penetration"]
        tell(f"{name}: overlap with the masks: {shown}; deepest penetration {depth:.1f} mm")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
