"""`hoijax contact`: which vertices of the person and of the object touch, from a photograph; what is written of it."""

import dataclasses
import functools
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import ScenePart, file_digest, read_mesh, value_digest, write_bytes, write_glb, write_json, write_npz
from hoijax.jobs.contact_network import ContactNetwork
from hoijax.jobs.contact_vlm import ContactDialogue
from hoijax.jobs.engine import Item, Job, Outcome, Watch
from hoijax.jobs.joint_fit import contact_by_distance, picture_digest
from hoijax.jobs.objects import ObjectAsset, mesh_digest, place_mesh
from hoijax.jobs.photo_fit import UPRIGHT_COST, PhotoFitter, fit_photograph, make_fitter
from hoijax.jobs.photo_fit_files import UPRIGHT, closeness, judge_fit
from hoijax.jobs.photograph_files import MaskFiles, look_at_photographs
from hoijax.jobs.photograph_jobs import photograph_items, run_photographs
from hoijax.jobs.photographs import Photograph
from hoijax.jobs.record import plain_options
from hoijax.jobs.screen import tell
from hoijax.nets.weights import shipped_file
from hoijax.optim.fitting import ObjectFitConfig
from hoijax.render import interactvlm_body_rig, interactvlm_object_rig, render_canonical, unit_extent
from hoijax.render.rigs import CameraRig
from hoijax.systems.interactvlm import label_words, parts_in_words
from hoijax.systems.interactvlm.views import canonical_body
from hoijax.viz import Case, Metric, NamedMesh, write_page
from hoijax.viz.read import read_scene

RULE = 2
"""Version of the method; another one makes finished pictures anew."""
FILES = ("contact.npz", "contact.glb", "contact.png")
VIEW = 320
"""Pixels of a side of one of the picture's views."""
COLD, WARM = np.array([0.78, 0.78, 0.80]), np.array([0.85, 0.12, 0.10])
"""Colours of probabilities 0 and 1."""

NETWORKS = {"network": ContactNetwork, "interactvlm": ContactDialogue}
"""What says contact, by method; geometry has none."""
SHIPPED = {"network": "pair_contact", "interactvlm": "interactvlm_small"}
"""Weights that come with hoijax, by method."""
Network = ContactNetwork | ContactDialogue


@dataclasses.dataclass(frozen=True)
class ContactRequest:
    """Which photographs, and of what contact is asked; plain values."""

    image: pathlib.Path
    """A picture, or a folder of them."""
    label: str
    """What the object is."""
    object: pathlib.Path
    """Its mesh."""
    out: pathlib.Path
    """Folder for the results."""
    object_mask: pathlib.Path | None = None
    """See `jobs.photograph_files.MaskFiles`."""
    human_mask: pathlib.Path | None = None
    """Likewise."""
    instances: pathlib.Path | None = None
    """Likewise."""
    focal: float | None = None
    """Focal length, pixels."""
    size_std: float = 0.1
    """How well the mesh's size is known."""
    units: str | None = None
    """Unit of the mesh."""
    method: str = "network"
    """"geometry", or one of `NETWORKS`."""
    weights: pathlib.Path | None = None
    """Of the network; None: the shipped ones."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the records."""


@dataclasses.dataclass(frozen=True)
class ContactMap:
    """One picture's answer."""

    body: np.ndarray
    """(V,) probabilities."""
    object: np.ndarray
    """(N,) of the mesh's vertices."""
    placed: tuple[np.ndarray, np.ndarray]
    """Vertices of body and object, camera frame, metres."""
    overlap: dict[str, float]
    """Of the fit with the masks."""
    nearest: float
    """Distance of body and object, metres."""
    depth: float
    """Of the deepest point of the body in the object, metres."""
    notes: tuple[str, ...]


def contact_colors(probabilities: np.ndarray) -> np.ndarray:
    """(V, 3) sRGB, from grey at 0 to red at 1."""
    share = np.asarray(probabilities, np.float64)[:, None]
    return (1 - share) * COLD + share * WARM


def prepare_contacts(request: ContactRequest) -> tuple[Job, dict[str, str], tuple[str, ...]]:
    """Reads and checks everything.

    Raises:
      InputError: nothing can be looked at.
    """
    label = " ".join(label_words(request.label))
    masks = MaskFiles(request.human_mask, request.object_mask, request.instances)
    asset = ObjectAsset.of(read_mesh(request.object, units=request.units), request.cache)
    seen, failures = look_at_photographs(request.image, masks, picture_digest, find_person=True)
    fitter = make_fitter(asset, ObjectFitConfig(size_std=request.size_std, upright=UPRIGHT_COST))
    network = None
    if request.method in NETWORKS:
        shape = Mesh(asset.mesh.vertices, asset.mesh.faces)
        network = NETWORKS[request.method].of(request.weights, label, fitter.model, shape)
    common = {
        "rule": RULE, **_method(request), "object": mesh_digest(request.object, asset.mesh), "units": request.units,
        "label": label, "size": request.size_std, "focal": request.focal,
    }  # fmt: skip
    files = [(file, value_digest(common | {"seen": digest})) for file, digest in seen]
    job = Job(
        photograph_items(files, request.image, request.out, FILES),
        functools.partial(_compute, fitter, network, request.focal),
        functools.partial(_write, fitter, request, label),
        units="pictures",
    )
    return job, failures, tuple(f"{request.object.name}: {note}" for note in asset.light.report.notes())


def _method(request: ContactRequest) -> dict[str, Any]:
    """What of the method makes finished pictures anew."""
    if request.method == "geometry":
        return {}
    weights = shipped_file(SHIPPED[request.method]) if request.weights is None else request.weights
    return {"method": request.method, "weights": file_digest(weights)}


def _compute(
    fitter: PhotoFitter, network: Network | None, focal: float | None, batch: Sequence[Item], watch: Watch
) -> list[ContactMap | InputError]:
    answers: list[ContactMap | InputError] = []
    for item in batch:
        watch(0.0, f"looking at {item.name}")
        try:
            answers.append(_one(fitter, network, item.inputs.read(), focal))
        except InputError as error:
            answers.append(error)
    return answers


def _one(fitter: PhotoFitter, network: Network | None, photograph: Photograph, focal: float | None) -> ContactMap:
    fitted = fit_photograph(fitter, photograph, focal)
    notes = fitted.notes
    if network is None:
        sdf = fitter.asset.template.sdf
        body, obj = contact_by_distance(fitted.vertices, sdf, fitter.asset.mesh.vertices, fitted.pose)
    else:
        body, obj = network.find(fitter.networks, fitted.photograph)
        notes = notes + network.notes
    placed = fitted.vertices, place_mesh(fitter.asset.mesh, fitted.pose)
    return ContactMap(body, obj, placed, fitted.overlap, *closeness(fitted, fitter.asset), notes)


def _write(fitter: PhotoFitter, request: ContactRequest, label: str, item: Item, found: ContactMap) -> dict[str, Any]:
    model, mesh = fitter.model, fitter.asset.mesh
    write_npz(
        item.folder / "contact.npz",
        {"contact": found.body.astype(np.float32), "object_contact": found.object.astype(np.float32)},
    )
    body, obj = ((points @ UPRIGHT).astype(np.float32) for points in found.placed)
    write_glb(
        item.folder / "contact.glb",
        [
            ScenePart("body", body, np.asarray(model.faces), contact_colors(found.body)),
            ScenePart("object", obj, mesh.faces, contact_colors(found.object), smooth=False),
        ],
    )
    write_picture(item.folder / "contact.png", model, found.body, (mesh.vertices, mesh.faces, found.object))
    good, said = judge_fit(found.overlap, found.nearest, found.depth)
    parts = parts_in_words(model, found.body)
    return {
        "name": item.name,
        "label": label,
        "method": request.method,
        "good": good,
        "verdict": said,
        "parts": list(parts),
        "sentence": sentence(parts, label),
        "touching": {"body": int((found.body >= 0.5).sum()), "object": int((found.object >= 0.5).sum())},
        "overlap": found.overlap,
        "nearest": found.nearest,
        "max_penetration": found.depth,
        "notes": list(found.notes),
        "options": plain_options(request.options),
    }


def sentence(parts: Sequence[str], label: str) -> str:
    """What touches, in words."""
    if not parts:
        return f"No part of the body touches the {label}."
    named = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"The {named} {'touches' if len(parts) == 1 and not parts[0].endswith('hips') else 'touch'} the {label}."


def write_picture(
    path: pathlib.Path,
    model: BodyModel,
    body: np.ndarray,
    obj: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> None:
    """Contact in InteractVLM's four views: the body above, the object below.

    Args:
      path: a PNG.
      model: the body.
      body: (V,) probabilities.
      obj: vertices, faces and probabilities of the object.
    """
    rows = [_views(canonical_body(model), np.asarray(model.faces), body, interactvlm_body_rig(VIEW))]
    if obj is not None:
        vertices, faces, values = obj
        rows.append(_views(np.asarray(unit_extent(vertices)), faces, values, interactvlm_object_rig(VIEW)))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows, axis=0)).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def _views(vertices: np.ndarray, faces: np.ndarray, values: np.ndarray, rig: CameraRig) -> np.ndarray:
    """Four views side by side, (VIEW, 4 VIEW, 3) uint8."""
    seen = render_canonical(vertices, np.asarray(faces, np.int32), rig, contact_colors(values).astype(np.float32))
    images = np.clip(np.asarray(seen.images) * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.concatenate(list(images), axis=1)


def find_contacts(request: ContactRequest, *, pictures: int, redo: bool = False) -> tuple[dict[str, str], list[str]]:
    """Looks at what is not finished and writes everything.

    Returns:
      Name to message of every picture that could not be used, and the names of those that were fitted badly.

    Raises:
      InputError: none could be used.
    """
    _, outcome, failures = run_photographs(
        functools.partial(prepare_contacts, request), request.out, verb="look at", phase="contact", redo=redo,
        execute=None,
    )  # fmt: skip
    return failures, _summary(request, outcome, failures, pictures)


def _summary(request: ContactRequest, outcome: Outcome, failures: Mapping[str, str], pictures: int) -> list[str]:
    records = outcome.records()
    if request.image.is_dir():
        write_json(request.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    cases = []
    for item in outcome.finished[:pictures]:
        record = records[item.name]
        scene = [NamedMesh(m.name, m.vertices, m.faces, m.colors) for m in read_scene(item.folder / "contact.glb")]
        rows = {
            "body: vertices that touch": Metric(None, record["touching"]["body"]),
            "object: vertices that touch": Metric(None, record["touching"]["object"]),
            "object: overlap with its mask": Metric(None, record["overlap"]["object"]),
        }
        text = " ".join(
            [record["sentence"], *(f"{n[0].upper()}{n[1:]}." for n in [record["verdict"], *record["notes"]])]
        )
        cases.append(Case(item.name, None, scene, rows, [("contact", item.folder / "contact.png")], text))
    if cases:
        write_page(request.out / "report.html", "hoijax contact", cases)
    for name, record in list(records.items())[:20]:
        tell(f"{name}: {record['sentence']} {record['verdict']}")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {request.out}")
    return [name for name, record in records.items() if not record["good"]]
