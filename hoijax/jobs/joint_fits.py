"""`hoijax fit` as a job: photographs, an object or a folder of them, contacts or none -> body and object together."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel, BodyParams, free_body
from hoijax.errors import InputError
from hoijax.io import file_digest, read_mesh, read_npz, read_parameters, value_digest, write_json
from hoijax.io.sources.contacts import ContactFile, read_contacts
from hoijax.jobs.bodies import BodyChoice, load_body, start_of
from hoijax.jobs.engine import Item, Job, Outcome, Watch
from hoijax.jobs.estimates import settle
from hoijax.jobs.joint_fit import (
    JointFitted,
    contact_of_file,
    evidence_of,
    fit_by_itself,
    fit_together,
    picture_digest,
    save_contacts,
)
from hoijax.jobs.objects import ObjectAsset, mesh_digest
from hoijax.jobs.photo_fit import UPRIGHT_COST, PhotoFitter, make_fitter
from hoijax.jobs.photo_fit_files import FILES, closeness, page_case, write_fit
from hoijax.jobs.photograph_files import MaskFiles, look_at_photographs
from hoijax.jobs.photograph_jobs import photograph_items, run_photographs
from hoijax.jobs.photographs import Photograph
from hoijax.jobs.record import plain_options
from hoijax.jobs.screen import tell
from hoijax.nets import clip
from hoijax.optim.fitting import (
    ObjectFitConfig,
    choose_intrinsics,
    object_scene,
    object_shape,
    object_target,
    preset,
)
from hoijax.systems.interactvlm import Candidate, find_meshes, object_views, rank_by_likeness, rank_by_silhouette
from hoijax.systems.interactvlm.retrieval import MOST
from hoijax.viz import write_page

RULE = 2
"""Version of the method; another one makes finished pictures anew."""


@dataclasses.dataclass(frozen=True)
class JointRequest:
    """Which photographs, and how; plain values."""

    image: pathlib.Path
    """A picture, or a folder of them."""
    object: pathlib.Path
    """The object's mesh, or a folder of meshes."""
    out: pathlib.Path
    """Folder for the results."""
    preset: str = "joint"
    """Of `hoijax.optim.fitting.PRESETS`."""
    label: str | None = None
    """What the object is, for a folder of meshes."""
    contacts: pathlib.Path | None = None
    """File of contacts, or a folder of such; None: by distances."""
    contacts_of: str | None = None
    """Which object of it."""
    body: pathlib.Path | None = None
    """Estimate of the body in the camera's frame, or a folder of such; None: the person of the picture is fitted."""
    body_model: pathlib.Path | None = None
    """SMPL, SMPL-H or SMPL-X file that a given body belongs to."""
    focal: float | None = None
    """Focal length, pixels."""
    human_mask: pathlib.Path | None = None
    """See `jobs.photograph_files.MaskFiles`."""
    object_mask: pathlib.Path | None = None
    """Likewise."""
    instances: pathlib.Path | None = None
    """Likewise."""
    units: str | None = None
    """Unit of the mesh."""
    clip: pathlib.Path | None = None
    """Weights of CLIP, by which meshes of a folder are ranked too."""
    size_std: float = 0.1
    """How well the mesh's size is known: in the fit by its mask, and by `preset` in the joint one."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """One picture and what is known beside it."""

    photograph: Photograph
    contacts: ContactFile | None
    given: tuple[BodyParams, np.ndarray | None] | None
    notes: tuple[str, ...]


class _Fitters:
    """One fitter per mesh, made when it is needed."""

    def __init__(self, request: JointRequest, model: BodyModel | None):
        self._request, self.model = request, model
        self._made: dict[pathlib.Path, PhotoFitter] = {}
        self._shapes: dict[pathlib.Path, Any] = {}
        self._tower = None if request.clip is None else clip.load(request.clip).vision

    def of(self, path: pathlib.Path) -> PhotoFitter:
        """The fitter of a mesh."""
        if path not in self._made:
            asset = ObjectAsset.of(read_mesh(path, units=self._request.units), self._request.cache)
            fitter = make_fitter(asset, ObjectFitConfig(size_std=self._request.size_std, upright=UPRIGHT_COST))
            if self.model is not None:
                fitter = dataclasses.replace(fitter, model=self.model, surface=self.model)
            self._made[path] = fitter
        return self._made[path]

    def choose(self, photograph: Photograph, candidates: Sequence[Candidate], focal: float | None) -> list[Candidate]:
        """Candidates by how well their silhouettes cover the mask."""
        matrix = choose_intrinsics(photograph.image.shape[:2], focal=focal, path=photograph.path).matrix
        target = object_target(photograph.object, np.asarray(matrix), person=photograph.human)
        usable, shapes = [], []
        for candidate in candidates:
            try:
                if candidate.path not in self._shapes:
                    self._shapes[candidate.path] = object_shape(read_mesh(candidate.path, units=self._request.units))
            except InputError as error:
                tell(f"not used: {candidate.path.name}: {error}")
                continue
            usable.append(candidate)
            shapes.append(self._shapes[candidate.path])
        if not usable:
            raise InputError(f"no mesh of {self._request.object} can be used")
        ranked = rank_by_silhouette(usable, shapes, target, object_scene(target))
        return ranked if self._tower is None else self._by_likeness(ranked, photograph)

    def _by_likeness(self, candidates: Sequence[Candidate], photograph: Photograph) -> list[Candidate]:
        """Candidates by the user's CLIP too: their canonical views against the object's part of the picture."""
        size = self._tower.config.image
        views = []
        for candidate in candidates:
            mesh = read_mesh(candidate.path, units=self._request.units)
            colors = np.full((len(mesh.vertices), 3), 0.7, np.float32) if mesh.colors is None else mesh.colors
            views.append(object_views(mesh.vertices, mesh.faces, size, colors=colors).images)
        rows, columns = (np.flatnonzero(photograph.object.any(axis=axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        alone = np.where(photograph.object[box][..., None], photograph.image[box], 255).astype(np.uint8)
        side = max(alone.shape[:2])
        square = np.full((side, side, 3), 255, np.uint8)
        top, left = (side - alone.shape[0]) // 2, (side - alone.shape[1]) // 2
        square[top : top + alone.shape[0], left : left + alone.shape[1]] = alone
        embed = lambda images: self._tower(clip.normalise(np.asarray(images, np.float32))).projected  # noqa: E731
        return rank_by_likeness(candidates, views, clip.crop(square, size), embed)


def prepare_joint_fits(request: JointRequest) -> tuple[Job, dict[str, str], tuple[str, ...]]:
    """Reads and checks everything.

    Returns:
      The job; name to message of pictures that cannot be used; notes.

    Raises:
      InputError: nothing can be fitted.
    """
    several = request.object.is_dir()
    candidates = find_meshes(request.object, request.label) if several else [Candidate(request.object, 1.0)]
    if len(candidates) > MOST:
        raise InputError(
            f"{len(candidates)} meshes of {request.object} are called alike; wanted at most {MOST}: name the object "
            "with --label, or give a folder of fewer"
        )
    mesh = None if several else read_mesh(request.object, units=request.units)
    own = {} if mesh is None else {"mesh": mesh_digest(request.object, mesh)}
    model, digest = (
        (None, "") if request.body is None else load_body(BodyChoice(request.body_model), _files(request.body))
    )
    common = {
        "rule": RULE, "meshes": [file_digest(c.path) for c in candidates], "units": request.units, "model": digest,
        "preset": dataclasses.asdict(preset(request.preset, request.size_std)),
        "size": request.size_std, "focal": request.focal,
        "clip": None if request.clip is None else file_digest(request.clip),
    } | own  # fmt: skip

    fitters = _Fitters(request, model)
    answered = free_body() if model is None else model

    def look(photograph: Photograph) -> str:
        beside = _read_beside(request, photograph, model)
        contact = beside.contacts
        if contact is not None and mesh is not None:
            contact_of_file(contact, answered, mesh)
        told = None if contact is None else [contact.body, contact.object, contact.points]
        given = None if beside.given is None else [
            *(np.asarray(getattr(beside.given[0], name)) for name in ("rotations", "betas", "translation")),
            beside.given[1],
        ]  # fmt: skip
        return value_digest(common | {"seen": picture_digest(photograph), "contact": told, "given": given})

    masks = MaskFiles(request.human_mask, request.object_mask, request.instances)
    seen, failures = look_at_photographs(request.image, masks, look, find_person=True)
    job = Job(
        photograph_items(seen, request.image, request.out, (*FILES, "contacts.npz")),
        functools.partial(_compute, request, fitters, candidates),
        functools.partial(_write, request, fitters),
        units="pictures",
    )
    notes = [f"{len(candidates)} meshes of {request.object} to choose from"] if several else []
    return job, failures, tuple(notes)


WRITTEN = {"contacts": "contact.npz", "body": "reconstruction.npz"}
"""What `hoijax contact` and `hoijax reconstruct` call the files of a picture, in a folder of its name."""


def _beside(path: pathlib.Path | None, photograph: Photograph, what: str) -> pathlib.Path | None:
    """The file of a picture: the one given, or of a folder that of the picture's name, or what another verb wrote."""
    if path is None or not path.is_dir():
        return path
    found = sorted(p for p in path.iterdir() if p.stem == photograph.name and p.is_file())
    found = found or [p for p in [path / photograph.name / WRITTEN[what]] if p.is_file()]
    if len(found) != 1:
        raise InputError(
            f"{path} has {len(found)} files called {photograph.name} with its {what}; wanted one, or {WRITTEN[what]} "
            f"in a folder {photograph.name}"
        )
    return found[0]


def _files(path: pathlib.Path) -> list[Any]:
    several = [*path.glob("*.npz"), *path.glob(f"*/{WRITTEN['body']}")] if path.is_dir() else [path]
    return [read_parameters(p) for p in sorted(several)]


def _read_beside(request: JointRequest, photograph: Photograph, model: BodyModel | None) -> _Inputs:
    contacts = _beside(request.contacts, photograph, "contacts")
    file = None if contacts is None else read_contacts(contacts, request.contacts_of)
    if file is not None and file.words:
        raise InputError(f"{file.path} names parts in words; a fit takes probabilities of vertices (hoijax contact)")
    body, notes = _beside(request.body, photograph, "body"), ()
    if body is None or model is None:
        return _Inputs(photograph, file, None, ())
    parameters = settle(model, read_parameters(body))
    if parameters.count != 1:
        raise InputError(f"{body} holds {parameters.count} bodies; wanted the one of {photograph.name}")
    start = start_of(model, parameters.item(0), str(body))
    notes = (*parameters.notes, *start.notes)
    return _Inputs(photograph, file, (start.params, _intrinsics(body)), notes)


def _intrinsics(path: pathlib.Path) -> np.ndarray | None:
    """Of a file that has them, such as those of `hoijax reconstruct`."""
    if path.suffix != ".npz":
        return None
    matrix = read_npz(path, keys={"intrinsics"}).get("intrinsics")
    return np.asarray(matrix, np.float32) if np.shape(matrix) == (3, 3) else None


def prepare_job(request: JointRequest) -> Job:
    """The job of a request, as the machine of an executor makes it."""
    return prepare_joint_fits(request)[0]


def fit_jointly(request: JointRequest, *, pictures: int, redo: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """Fits what is not finished and writes everything.

    Args:
      request: what to do.
      pictures: how many pictures get a section of the page.
      redo: also what is finished.

    Returns:
      Name to message of every picture that could not be used, and name to verdict of every poor answer.

    Raises:
      InputError: none could be used.
    """
    _, outcome, failures = run_photographs(
        functools.partial(prepare_joint_fits, request),
        request.out,
        verb="fit",
        phase="fitting",
        redo=redo,
        execute=None,
    )
    return failures, _summary(request, outcome, failures, pictures)


@dataclasses.dataclass(frozen=True)
class _Answer:
    found: JointFitted
    fitter: PhotoFitter
    ranked: tuple[Candidate, ...]


def _compute(
    request: JointRequest, fitters: _Fitters, candidates: Sequence[Candidate], batch: Sequence[Item], watch: Watch
) -> list[_Answer | InputError]:
    answers: list[_Answer | InputError] = []
    for item in batch:
        watch(0.0, f"fitting {item.name}")
        began = time.perf_counter()
        try:
            answers.append(_one(request, fitters, candidates, item.inputs.read()))
        except InputError as error:
            answers.append(error)
        tell(f"{item.name}: {time.perf_counter() - began:.1f} s")
    return answers


def _one(request: JointRequest, fitters: _Fitters, candidates: Sequence[Candidate], photograph: Photograph) -> _Answer:
    inputs = _read_beside(request, photograph, fitters.model)
    ranked = list(candidates)
    if len(ranked) > 1:
        ranked = fitters.choose(inputs.photograph, ranked, request.focal)
    fitter = fitters.of(ranked[0].path)
    before = fit_by_itself(fitter, inputs.photograph, request.focal, inputs.given)
    before = dataclasses.replace(before, notes=(*before.notes, *inputs.notes))
    contact = evidence_of(inputs.contacts, before, fitter.model, fitter.asset)
    source = "distances" if inputs.contacts is None else inputs.contacts.path.name
    return _Answer(
        fit_together(fitter, before, contact, source, preset(request.preset, request.size_std)), fitter, tuple(ranked)
    )


def _write(request: JointRequest, fitters: _Fitters, item: Item, answer: _Answer) -> dict[str, Any]:
    found, fitter = answer.found, answer.fitter
    record = write_fit(item.folder, found.fitted, fitter, request.options)
    touching = save_contacts(item.folder / "contacts.npz", found.contact, fitter.asset.mesh.vertices)
    nearest, depth = closeness(found.before, fitter.asset)
    moved = np.linalg.norm(found.fitted.vertices - found.before.vertices, axis=1)
    record |= {
        "method": "joint",
        "preset": request.preset,
        "object": str(answer.ranked[0].path),
        "contacts": {"from": found.source, "touching": touching},
        "before": {"overlap": found.before.overlap, "nearest": nearest, "max_penetration": depth},
        "energy": {name: float(value[0]) for name, value in found.fit.costs.items()},
        "body_moved": float(moved.mean()),
        "options": plain_options(request.options),
    }  # fmt: skip
    if len(answer.ranked) > 1:
        record["retrieved"] = [
            {"file": str(c.path), "name": c.name, "overlap": c.overlap, "likeness": c.likeness, "score": c.score}
            for c in answer.ranked[:10]
        ]
    return record


def _summary(request: JointRequest, outcome: Outcome, failures: Mapping[str, str], pictures: int) -> dict[str, str]:
    """Table, page and summary; name to verdict of the poor ones."""
    records = outcome.records()
    if request.image.is_dir():
        write_json(request.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    cases = [page_case(i.folder, i.name, records[i.name], i.inputs.read()) for i in outcome.finished[:pictures]]
    if cases:
        write_page(request.out / "report.html", "hoijax fit", cases)
    for name, record in list(records.items())[:20]:
        told = f"{name}: {record['verdict']}; object over its mask {record['before']['overlap']['object']:.2f} -> "
        told += f"{record['overlap']['object']:.2f}, deepest point {1000 * record['before']['max_penetration']:.0f} -> "
        tell(told + f"{1000 * record['max_penetration']:.0f} mm, contact from {record['contacts']['from']}")
        if "retrieved" in record:
            first = record["retrieved"][0]
            tell(f"{name}: {first['file']} of {len(record['retrieved'])}, overlap {first['overlap']:.2f}")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return {name: record["verdict"] for name, record in records.items() if not record["good"]}
