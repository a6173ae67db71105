"""What a file of contacts asks of a body model and an object: parts with a confidence each, and places on the object.

Labels of one body come to another by the nearest vertex in four poses (`hoijax.body_models.mhr`). They are gathered by
parts: a part is asked to touch as far as more of it is labelled than of a typical part, so labels that are scattered at
random ask for nothing, and a part far from the object is asked for softly.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, contact_regions, require_vertex_values
from hoijax.body_models.mhr import vertices_from
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import ObjectRegion, region_of_vertices
from hoijax.io import LoadedMesh
from hoijax.io.sources import NAMES, VERTICES
from hoijax.io.sources.contacts import ContactFile
from hoijax.jobs.contacts import Asked, parse_contact

PARTS: tuple[str, ...] = (
    "left_hand", "right_hand", "left_forearm", "right_forearm", "buttocks", "left_thigh_back", "right_thigh_back",
    "left_thigh_front", "right_thigh_front", "left_calf", "right_calf", "left_shin", "right_shin", "left_sole",
    "right_sole", "left_foot", "right_foot", "lower_back", "upper_back", "back", "chest", "belly", "neck", "head",
    "left_shoulder", "right_shoulder", "left_arm", "right_arm", "left_thigh", "right_thigh",
)  # fmt: skip
"""Parts that labels are gathered by; a vertex counts to the first that has it."""
MOST_PARTS = 6
"""So many parts are asked for at most, those of the highest confidence."""
_INNER = {f"{side}_hand": (f"{side}_finger_pads", f"{side}_palm") for side in ("left", "right")}
_NOISE, _SURE, _LEAST, _SPREADS = 0.06, 0.3, 0.15, 2.0


@dataclasses.dataclass(frozen=True)
class SoftContacts:
    """What a file asks for."""

    parts: Mapping[str, np.ndarray]
    """Part to the weight of each vertex of the model in [0, 1], `(V,)`: its confidence times the probability."""
    region: ObjectRegion | None
    """Where on the object, in the frame of the mesh's file; None: anywhere."""
    notes: tuple[str, ...]
    """What a person should know."""


def with_file(asked: Asked, file: ContactFile, model: BodyModel, mesh: LoadedMesh) -> tuple[Asked, SoftContacts | None]:
    """What is asked with what a file says: its parts take the place of proposed ones, and join those that are named.

    Args:
      asked: by the command line.
      file: of contacts.
      model: the body.
      mesh: the object, not turned.

    Raises:
      InputError: it does not fit body or object, or has labels of the object and no part is named that touches there.
    """
    if file.words:
        own = parse_contact(file.words, model)
        both = {**own.regions, **asked.regions}
        return Asked(tuple(dict.fromkeys((*(asked.parts or ()), *own.parts))), both), None
    soft = soft_contacts(file, model, mesh)
    parts = tuple(dict.fromkeys((*(asked.parts or ()), *soft.parts)))
    if not parts:
        raise InputError(
            f"{file.path} has labels of the object alone; name the parts of the body that touch there with --contact"
        )
    return Asked(parts, asked.regions), soft


def soft_contacts(file: ContactFile, model: BodyModel, mesh: LoadedMesh) -> SoftContacts:
    """Gathers a file's labels.

    Args:
      file: with probabilities.
      model: the body.
      mesh: the object.

    Raises:
      InputError: labels of a body or a mesh that this is not, or of which no part stands out.
    """
    parts, notes = {}, []
    if file.body is not None:
        values = labels_on_body(file, model)
        confidence = part_confidence(model, values)
        kept = sorted(confidence, key=confidence.get, reverse=True)[:MOST_PARTS]
        kept = [name for name in kept if confidence[name] >= _LEAST]
        if not kept:
            raise InputError(
                f"{file.path}: no part of the body stands out among its labels ({values.mean():.1%} of the body is "
                "labelled); name the parts with --contact"
            )
        members = _members(model)
        parts = {name: np.where(members[name], values * confidence[name], 0.0).astype(np.float32) for name in kept}
        told = ", ".join(f"{name} {confidence[name]:.2f}" for name in kept)
        notes.append(f"{file.path.name} asks for {told} (confidence)")
        weak = [name for name, value in confidence.items() if value > 0 and name not in kept]
        if weak:
            notes.append(f"labels on {', '.join(weak[:8])} are too few, or of too many parts, to be asked for")
    region = None if file.object is None else _on_object(file, mesh)
    return SoftContacts(parts, region, tuple(notes))


def part_confidence(model: BodyModel, values: np.ndarray) -> dict[str, float]:
    """How sure it is that each part touches, in [0, 1], from the share of it that is labelled.

    Of labels that are moved or turned at random every part has about the same share; the median over parts is taken for
    that, and that and what so small a part has by chance count as nothing.

    Args:
      model: the body.
      values: `(V,)` probabilities.
    """
    members, regions = _members(model), contact_regions(model)
    noise = float(np.median([values[mask].mean() for mask in members.values()]))

    def excess(inside: np.ndarray, spreads: float) -> float:
        count = inside.sum() if inside.dtype == bool else len(inside)
        chance = spreads * np.sqrt(noise * (1 - noise) / count)
        return float(np.clip((values[inside].mean() - noise - chance - _NOISE) / _SURE, 0.0, 1.0))

    found = {name: excess(mask, _SPREADS) for name, mask in members.items()}
    for name, inner in _INNER.items():  # a grip shows on the pads of the fingers and hardly on the whole hand
        ids = [regions[part] for part in inner if len(regions.get(part, ())) >= 4]
        if name in found and ids:
            found[name] = max(found[name], *(excess(np.asarray(part), _SPREADS + 1) for part in ids))
    return found


def _members(model: BodyModel) -> dict[str, np.ndarray]:
    """Which vertices belong to each part; of no two parts the same."""
    regions, left = contact_regions(model), np.ones(model.num_vertices, bool)
    out = {}
    for name in PARTS:
        mask = np.zeros(model.num_vertices, bool)
        mask[np.asarray(regions.get(name, ()), np.int64)] = True
        mask &= left
        if mask.sum() >= 4:
            out[name] = mask
            left &= ~mask
    return out


def labels_on_body(file: ContactFile, model: BodyModel) -> np.ndarray:
    """The labels of a file on the vertices of a model, `(V,)`.

    Raises:
      InputError: labels of a body that do not come to this one.
    """
    kind = VERTICES.get(len(file.body))
    own = {"smplh": "smpl"}.get(model.kind, model.kind)
    if len(file.body) == model.num_vertices and kind in (None, own):
        return file.body
    if kind in ("smpl", "smplx") and own in ("free", "smpl", "smplx") and own != kind:
        return file.body[vertices_from(own, kind)[: model.num_vertices]]
    if kind is None or own not in NAMES:
        require_vertex_values(model, file.body, f"{file.path}: labels")
    raise InputError(f"{file.path} has labels of {NAMES.get(kind, kind)}, which do not come to the {model.kind} body")


def _on_object(file: ContactFile, mesh: LoadedMesh) -> ObjectRegion:
    """The part of the object whose labels are more likely than not, or the likeliest of them."""
    points = mesh.vertices if file.points is None else file.points * mesh.report.metres_per_unit
    if len(points) != len(file.object):
        raise InputError(
            f"{file.path} has labels of {len(file.object):,} vertices of an object, the mesh has {len(points):,}; give "
            "the mesh that they were made for, or points (N, 3) beside them"
        )
    values = file.object
    if file.points is not None:
        values = values[cKDTree(points).query(mesh.vertices)[1]]
    likely = np.flatnonzero(values >= min(0.5, 0.9 * float(values.max())))
    if not values.max() > 0.05:
        raise InputError(f"{file.path}: no vertex of the object is labelled (at most {values.max():.2g})")
    shape = Mesh(vertices=mesh.vertices, faces=mesh.faces)
    return region_of_vertices(file.path.stem[:40], shape, likely)
