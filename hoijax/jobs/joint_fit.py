"""One photograph's body and object fitted together: what is known of contact, the fit, and how it is shown."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, SDFGrid, query_sdf
from hoijax.interaction import contact_probability
from hoijax.io import LoadedMesh, value_digest, write_npz
from hoijax.io.sources.contacts import ContactFile
from hoijax.jobs.contact_files import labels_on_body
from hoijax.jobs.objects import ObjectAsset, place_mesh
from hoijax.jobs.overlays import draw_view
from hoijax.jobs.photo_fit import PhotoFit, PhotoFitter, body_overlap, fit_photograph, view_box, view_intrinsics
from hoijax.jobs.photographs import Photograph
from hoijax.nets.blaze.regions import Region
from hoijax.optim.fitting import (
    BodyFit,
    ContactEvidence,
    JointConfig,
    JointFit,
    ObjectFit,
    choose_intrinsics,
    fit_joint_compiled,
    fit_object_compiled,
    joint_problem,
    object_scene,
    object_target,
)
from hoijax.render import rasterize

SIZE = 64
"""Pixels of the side of the square in which masks are compared."""
NEAR, SOFT = 0.03, 0.01
"""Metres: distance at which a vertex is as likely to touch as not, and over which that changes."""
_distance = jax.jit(query_sdf)


@dataclasses.dataclass(frozen=True)
class JointFitted:
    """One picture's answer."""

    fitted: PhotoFit
    """Body and object together, in the form of `hoijax reconstruct`."""
    before: PhotoFit
    """Each by itself: landmarks and outline, mask and mesh."""
    fit: JointFit
    """Energies."""
    contact: ContactEvidence
    """What was told of contact: on the body's vertices, on those of the object's mesh."""
    source: str
    """Where contact comes from: a file's name, or "distances"."""


def picture_digest(photograph: Photograph) -> str:
    """Of what is seen: pixels, masks, what the file says of its focal length."""
    found = choose_intrinsics(photograph.image.shape[:2], path=photograph.path)
    seen = {"image": photograph.image, "human": photograph.human, "object_mask": photograph.object}
    return value_digest(seen | {"focal": np.asarray(found.matrix)})


def contact_by_distance(
    vertices: np.ndarray, grid: SDFGrid, mesh_vertices: np.ndarray, pose: RigidPose
) -> tuple[np.ndarray, np.ndarray]:
    """Contact as distances say: probabilities of the body's vertices (V,), and of those of the object's mesh (N,).

    Args:
      vertices: of the body, (V, 3), metres.
      grid: distance to the object, its own frame.
      mesh_vertices: of the object, (N, 3), its own frame.
      pose: of the object, in the body's frame.
    """
    size, rotation, move = float(pose.scale), np.asarray(pose.rotation, np.float64), np.asarray(pose.translation)
    local = (vertices - move) @ rotation / size
    body = size * np.asarray(_distance(grid, local.astype(np.float32)))
    obj = cKDTree(vertices).query(size * mesh_vertices @ rotation.T + move)[0]
    found = (contact_probability(d.astype(np.float32), threshold=NEAR, softness=SOFT) for d in (body, obj))
    return tuple(np.asarray(x) for x in found)


def contact_of_file(file: ContactFile, model: BodyModel, mesh: LoadedMesh) -> ContactEvidence:
    """What a file says of contact on a body and a mesh.

    Raises:
      InputError: labels of a body or a mesh that this is not.
    """
    if file.body is None:
        raise InputError(f"{file.path} says nothing of the body's vertices; wanted probabilities of those that touch")
    body = np.asarray(labels_on_body(file, model), np.float32)
    if file.object is None:
        return ContactEvidence(body)
    points = mesh.vertices if file.points is None else file.points * mesh.report.metres_per_unit
    if len(points) != len(file.object):
        raise InputError(
            f"{file.path} has labels of {len(file.object):,} vertices of an object, the mesh has {len(points):,}"
        )
    return ContactEvidence(body, np.asarray(file.object, np.float32), np.asarray(points, np.float32))


def evidence_of(file: ContactFile | None, fitted: PhotoFit, model: BodyModel, asset: ObjectAsset) -> ContactEvidence:
    """What is known of contact: a file's labels, or distances between what was fitted each by itself.

    Raises:
      InputError: labels of a body or a mesh that this is not.
    """
    if file is not None:
        return contact_of_file(file, model, asset.mesh)
    body, obj = contact_by_distance(fitted.vertices, asset.template.sdf, asset.mesh.vertices, fitted.pose)
    return ContactEvidence(body.astype(np.float32), obj.astype(np.float32), asset.mesh.vertices)


def paired(contact: ContactEvidence, vertices: np.ndarray, pose: RigidPose) -> ContactEvidence:
    """Contact with pairs, for PICO's setting: each touching vertex of the body with the nearest that touches it.

    Args:
      contact: with the object's points.
      vertices: (V, 3) of the body as fitted by itself, camera frame.
      pose: of the object as fitted by itself.
    """
    body = np.flatnonzero(contact.body >= 0.5)
    points = np.asarray(contact.points)[np.asarray(contact.object) >= 0.3] if contact.object is not None else None
    if points is None or not len(points) or not len(body):
        return contact
    placed = float(pose.scale) * points @ np.asarray(pose.rotation, np.float64).T + np.asarray(pose.translation)
    nearest = cKDTree(placed).query(vertices[body])[1]
    return dataclasses.replace(contact, pairs=(body, points[nearest].astype(np.float32)))


def fit_by_itself(
    fitter: PhotoFitter, photograph: Photograph, focal: float | None, given: tuple[BodyParams, np.ndarray | None] | None
) -> PhotoFit:
    """Body and object each by itself.

    Args:
      fitter: of `make_fitter`.
      photograph: picture and masks.
      focal: focal length, pixels.
      given: a body in the camera's frame and its intrinsics, if it has any; None: the picture's person is fitted.

    Raises:
      InputError: nobody is found, a mask is too small, the body is behind the camera.
    """
    if given is None:
        return fit_photograph(fitter, photograph, focal)
    params, matrix = given
    size, notes = photograph.image.shape[:2], list(photograph.notes)
    found = choose_intrinsics(size, focal=focal, path=photograph.path)
    if matrix is None:
        matrix = np.asarray(found.matrix, np.float32)
        notes.append(f"focal length: {matrix[0, 0]:.0f} pixels ({found.source}), since the body's file has none")
    posed = pose_body_compiled(fitter.model, params)
    vertices, joints = np.asarray(posed.vertices), np.asarray(posed.joints)
    if not vertices[:, 2].min() > 0.05:
        raise InputError(
            f"{photograph.name}: the given body is not before the camera (z from {vertices[:, 2].min():.2f} m); wanted "
            "one in the camera's frame, x right, y down, z forward"
        )
    human = photograph.human
    aim = object_target(photograph.object, matrix, person=human)
    surface = np.asarray(pose_body_compiled(fitter.surface, params).vertices), np.asarray(fitter.surface.faces)
    obj = jax.tree.map(np.asarray, fit_object_compiled(fitter.shape, aim, object_scene(aim, surface), fitter.config))
    zero, none = np.zeros(len(joints), np.float32), np.zeros((0,), np.float32)
    body = BodyFit(
        params=params, intrinsics=matrix, focal_std=np.float32(0), joints=joints, joint_std=zero, joint_std_root=zero,
        evidence=zero, points=none, pixel_error=none, cost=np.float32(0), swap=np.int32(0), start_costs=none, z=none,
        root=np.asarray(params.rotations)[0], normal=none, source="given",
    )  # fmt: skip
    first = PhotoFit(
        photograph, params, vertices, body, obj, matrix, (np.zeros(2), 1.0), np.zeros((1, 1, 4), np.uint8),
        {"body": 0.0, "object": float(obj.overlap[0])}, 1, tuple(notes),
        Region(np.zeros(2, np.float32), np.float32(0), np.float32(0)),
    )  # fmt: skip
    return _shown(fitter, first)


def fit_together(
    fitter: PhotoFitter, before: PhotoFit, contact: ContactEvidence, source: str, config: JointConfig
) -> JointFitted:
    """Body and object together.

    Args:
      fitter: what `before` was made with.
      before: each by itself.
      contact: what is known of contact.
      source: where that comes from.
      config: starts and stages.

    Raises:
      InputError: nothing touches.
    """
    photograph, asset = before.photograph, fitter.asset
    if not (np.asarray(contact.body) > 0.05).any():
        raise InputError(f"{photograph.name}: {source} say that no vertex of the body touches the object")
    if config.needs_pairs and contact.pairs is None:
        contact = paired(contact, before.vertices, before.pose)
        if contact.pairs is None:
            raise InputError(
                f"{photograph.name}: {source} have no contact on the object, without which pairs cannot be made"
            )
    target = object_target(photograph.object, before.intrinsics, person=photograph.human, size=SIZE)
    problem = joint_problem(
        fitter.model, before.params, asset.template.mesh, asset.template.sdf, contact, target,
        picture=photograph.image.shape[:2], matrix=before.intrinsics,
        person=photograph.human if photograph.human.any() else None, hidden=photograph.object & ~photograph.human,
        surface=fitter.surface,
    )  # fmt: skip
    more = jax.tree.map(jnp.asarray, before.object.pose) if config.start == "contacts" else None
    fit = jax.tree.map(np.asarray, fit_joint_compiled(problem, config, more))
    overlap, same = 1 - fit.costs.get("mask", np.zeros_like(fit.cost)), np.zeros(len(fit.cost), bool)
    same[0] = True
    others = fit.cost[1:]
    answer = ObjectFit(
        fit.pose,
        fit.cost,
        overlap.astype(np.float32),
        same,
        np.float32(others.min() - fit.cost[0] if len(others) else 0),
    )
    params = fit.body
    notes = list(before.notes)
    if not fit.aligned:
        notes.append("too little contact to align by: the object was placed by its mask")
    if not fit.finite:
        notes.append("the joint fit came to no numbers: this is where it began")
    vertices = np.asarray(pose_body_compiled(fitter.model, params).vertices)
    moved = dataclasses.replace(before, params=params, vertices=vertices, object=answer, notes=tuple(notes))
    return JointFitted(_shown(fitter, moved), before, fit, contact, source)


def _shown(fitter: PhotoFitter, fitted: PhotoFit) -> PhotoFit:
    """With its picture, and overlaps with the masks where nothing hides."""
    photograph = fitted.photograph
    low, side = view_box(photograph)
    mesh = place_mesh(fitter.asset.light, fitted.pose), fitter.asset.light.faces
    matrix = view_intrinsics(fitted.intrinsics, low, side)
    label, drawn = draw_view((fitted.vertices, np.asarray(fitter.model.faces)), mesh, matrix)
    body = body_overlap(label, photograph, low, side) if photograph.human.any() else 1.0
    return dataclasses.replace(
        fitted, box=(low, side), drawn=drawn, overlap={"body": body, "object": object_overlap(fitter, fitted)}
    )


def object_overlap(fitter: PhotoFitter, fitted: PhotoFit) -> float:
    """Intersection over union of the drawn object and its mask, where the person does not hide it."""
    photograph = fitted.photograph
    target = object_target(photograph.object, fitted.intrinsics, person=photograph.human)
    vertices = place_mesh(fitter.asset.light, fitted.pose)
    drawn = np.asarray(_mask(vertices, np.asarray(fitter.asset.light.faces, np.int32), target.matrix, target.covered))
    ours, theirs = target.valid * drawn, target.valid * target.covered
    return float(np.minimum(ours, theirs).sum() / max(np.maximum(ours, theirs).sum(), 1.0))


@jax.jit
def _mask(vertices: jax.Array, faces: jax.Array, matrix: jax.Array, like: jax.Array) -> jax.Array:
    camera = Camera(matrix, jnp.eye(4, dtype=vertices.dtype), (int(like.shape[0]), int(like.shape[1])))
    return rasterize(vertices, faces, camera).face_id >= 0


def save_contacts(path: pathlib.Path, contact: ContactEvidence, mesh_vertices: np.ndarray) -> dict[str, Any]:
    """Writes contact as `hoijax refine --contacts` reads it; returns how many vertices touch."""
    arrays = {"contact": np.asarray(contact.body, np.float32)}
    if contact.object is not None:
        arrays["object_contact"] = np.asarray(contact.object, np.float32)
        if contact.points is not None and not np.array_equal(contact.points, mesh_vertices):
            arrays["points"] = np.asarray(contact.points, np.float32)
    write_npz(path, arrays)
    return {name: int((values >= 0.5).sum()) for name, values in arrays.items() if name != "points"}
