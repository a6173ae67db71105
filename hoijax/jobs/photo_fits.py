"""`reconstruct --method fit` as a job: pictures or a video of one object go in; meshes, parameters, a page come out."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.data.sheet import spread_indices
from hoijax.errors import InputError
from hoijax.io import file_digest, read_mesh, value_digest, write_json
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch
from hoijax.jobs.grown_masks import require_growing
from hoijax.jobs.objects import ObjectAsset, mesh_digest
from hoijax.jobs.photo_fit import PhotoFit, PhotoFitter, fit_photograph, make_fitter
from hoijax.jobs.photo_fit_files import FILES, frame_before, page_case, write_fit
from hoijax.jobs.photo_motion import write_motion
from hoijax.jobs.photo_objects import FrameBefore, known_kind
from hoijax.jobs.photograph_files import MaskFiles, PhotographFile, list_frames, look_at_photographs
from hoijax.jobs.photograph_jobs import photograph_items, run_photographs
from hoijax.jobs.photographs import Photograph, Spot, check_spot
from hoijax.jobs.screen import Phases, tell
from hoijax.jobs.videos import Video, is_video
from hoijax.optim.fitting import ObjectFitConfig, choose_intrinsics
from hoijax.viz import write_page

RULE = 2
"""Version of the method; another one makes finished pictures anew."""


@dataclasses.dataclass(frozen=True)
class FitRequest:
    """Which photographs are to be fitted, and how; plain values, so that another machine can be asked."""

    image: pathlib.Path
    """A picture, a folder of them, or a video."""
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
    spot: Spot | None = None
    """Where the object's mask is grown from; in a video, in its first frame."""
    who: Spot | None = None
    """Who of several people is meant; in a video, in its first frame."""
    label: str | None = None
    """What the object is called; None: as its mesh's file is."""
    every: int = 1
    """Of a video, the distance of frames that are fitted."""
    units: str | None = None
    """Unit of the mesh; None: metres."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


def prepare_fits(request: FitRequest, times: Phases) -> tuple[Job, dict[str, str], tuple[str, ...]]:
    """Looks at every picture, one at a time, and checks everything.

    Args:
      request: what to do.
      times: tells how long each picture took.

    Returns:
      The job; name to message of pictures that cannot be used; notes on the object.

    Raises:
      InputError: nothing can be fitted.
    """
    masks = MaskFiles(request.human_mask, request.object_mask, request.instances, request.spot)
    if request.spot is not None:
        require_growing()
    kind = known_kind_of(request)
    listed = _list_frames if is_video(request.image) else _list_pictures
    seen, failures = listed(request, masks, kind is not None)
    asset = ObjectAsset.of(read_mesh(request.object, units=request.units), request.cache)
    fitter = make_fitter(asset, request.config, kind)
    common = {"rule": RULE, "object": mesh_digest(request.object, asset.mesh), "units": request.units,
              "config": dataclasses.asdict(request.config), "kind": kind,
              "who": None if request.who is None else dataclasses.asdict(request.who)}  # fmt: skip
    files = [(file, value_digest(common | {"seen": digest})) for file, digest in seen]
    keys = {file.name: key for file, key in files}
    job = Job(
        photograph_items(files, request.image, request.out, FILES),
        functools.partial(_compute, fitter, request, keys, times),
        functools.partial(_write, fitter, request),
        units="frames" if is_video(request.image) else "pictures",
    )
    return job, failures, tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())


def _list_pictures(
    request: FitRequest, masks: MaskFiles, find_object: bool
) -> tuple[list[tuple[PhotographFile, str]], dict[str, str]]:
    def look(photograph: Photograph) -> str:
        _check_who(request, photograph)
        seen = {"image": photograph.image, "human": photograph.human, "object_mask": photograph.object}
        spot = None if photograph.spot is None else dataclasses.asdict(photograph.spot)
        return value_digest(seen | {"camera": _camera(photograph, request.focal), "spot": spot})

    return look_at_photographs(request.image, masks, look, find_person=True, find_object=find_object)


def _list_frames(
    request: FitRequest, masks: MaskFiles, find_object: bool
) -> tuple[list[tuple[PhotographFile, str]], dict[str, str]]:
    video = Video(request.image)
    files = list_frames(video, masks, request.every, find_object)
    told = [any((file.masks.object, file.masks.instances, file.masks.spot)) for file in files]
    if told[0] and not all(told):
        require_growing(following=True)
    _check_who(request, files[0].read())  # what cannot be used is said before anything is written
    video.close()
    spot = None if request.spot is None else dataclasses.asdict(request.spot)
    common = {"video": file_digest(request.image), "every": request.every, "focal": request.focal, "spot": spot}
    first = _mask_digests(files[0])  # all that follows depends on what was said of it

    def digest(file: PhotographFile) -> str:
        return value_digest(common | {"frame": file.frame, "first": first, "masks": _mask_digests(file)})

    return [(file, digest(file)) for file in files], {}


def _check_who(request: FitRequest, photograph: Photograph) -> None:
    if request.who is not None:
        check_spot(photograph.path, request.who, photograph.image.shape[:2], "human")


def _mask_digests(file: PhotographFile) -> dict[str, str | None]:
    return {option: None if path is None else file_digest(path) for option, path in file.masks.items().items()}


def _camera(photograph: Photograph, focal: float | None) -> list[Any] | None:
    """What is known of a picture's camera: EXIF entries may change where the pixels do not."""
    try:
        found = choose_intrinsics(photograph.image.shape[:2], focal=focal, path=photograph.path)
    except InputError:
        return None  # it is named when the picture is fitted
    return [found.source, np.asarray(found.matrix)]


def prepare_job(request: FitRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_fits(request, Phases())[0]


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
    times = Phases()
    _, outcome, failures = run_photographs(
        functools.partial(prepare_fits, request, times), request.out,
        verb="fit", phase="fitting", redo=redo, execute=execute,
    )  # fmt: skip
    first, *rest = times.seconds.values() or [0.0]
    if rest:
        tell(f"first picture {first:.1f} s, the next ones {sum(rest) / len(rest):.1f} s each")
    return failures, _write_summary(request, outcome, failures, pictures)


def _compute(
    fitter: PhotoFitter,
    request: FitRequest,
    keys: Mapping[str, str],
    times: Phases,
    batch: Sequence[Item],
    watch: Watch,
) -> list[PhotoFit | InputError]:
    answers: list[PhotoFit | InputError] = []
    for item in batch:
        watch(0.0, f"fitting {item.name}")
        with times(item.name):
            try:
                before = None if item.inputs.video is None else _frame_before(request, item.inputs, keys)
                who = request.who if before is None else None
                answers.append(fit_photograph(fitter, item.inputs.read(), request.focal, before, who))
            except InputError as error:
                answers.append(error)
    return answers


def _frame_before(request: FitRequest, file: PhotographFile, keys: Mapping[str, str]) -> FrameBefore | None:
    """The nearest frame before this one that this job has fitted, from its files, so that one that was stopped goes on.

    Raises:
      InputError: there is none, and nothing says where the object is in this frame.
    """
    for frame in range(file.frame - request.every, -1, -request.every):
        found = frame_before(request.out / f"{frame:06d}", keys[f"{frame:06d}"])
        if found is not None:
            return found
    if file.frame and file.masks.object is None and file.masks.instances is None and not known_kind_of(request):
        raise InputError(f"{file.name}: no frame before this one was fitted, so the object is lost")
    return None


def known_kind_of(request: FitRequest) -> str | None:
    """What is looked for where nobody says where the object is."""
    return known_kind(request.label or request.object.stem)


def _write(fitter: PhotoFitter, request: FitRequest, item: Item, found: PhotoFit) -> dict[str, Any]:
    return write_fit(item.folder, found, fitter, request.options)


def _write_summary(request: FitRequest, outcome: Outcome, failures: Mapping[str, str], pictures: int) -> dict[str, str]:
    """Table, page and summary; name to verdict of the poor ones."""
    records = outcome.records()
    if request.image.is_dir() or is_video(request.image):
        write_json(request.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    shown = [outcome.finished[i] for i in spread_indices(len(outcome.finished), pictures)]
    cases = [page_case(i.folder, i.name, records[i.name], i.inputs.read()) for i in shown]
    if is_video(request.image):
        folders = [item.folder for item in outcome.finished]
        fps = outcome.finished[0].inputs.video.fps
        write_motion(request.out, folders, fps, request.every, request.object, request.units)
    if cases:
        write_page(request.out / "report.html", "hoijax reconstruct", cases)
    for name, record in list(records.items())[:20]:
        told = ", ".join(f"{part} {value:.2f}" for part, value in record["overlap"].items())
        tell(f"{name}: {record['verdict']}; overlap with the masks: {told}; confidence {record['confidence']:.2f}")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return {name: record["verdict"] for name, record in records.items() if not record["good"]}
