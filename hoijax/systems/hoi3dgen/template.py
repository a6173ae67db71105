"""Pictures to a mesh without a network of shapes: a body and the object's own mesh, placed as the front picture shows.

    lift = TemplateMesh(model, mesh, parts_by_color("... a red shirt ... a blue box ..."), body=body_of_front)
    lift.lift(pictures, cameras)              # one surface, as other backends
    lift.lift_parts(pictures, cameras)        # with the part of each vertex, the body and the object's pose

The body is the one that a landmark network finds in the front picture (`hoijax.jobs.front_body`), or one that is given,
which is then moved to where its outline is. The object's mesh is searched for in its mask, with the body before and
behind it (`optim.fitting.fit_object`). Both are fused into one closed surface, coloured by the pictures part by part,
and scaled about the front camera to the size that the pictures' cameras look at.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.camera import Camera, project
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose
from hoijax.optim.fitting import (
    ObjectFitConfig,
    fit_object_compiled,
    object_scene,
    object_shape,
    object_target,
)
from hoijax.systems.hoi3dgen.fusing import FuseConfig, fuse_meshes
from hoijax.systems.hoi3dgen.hull import project_colors
from hoijax.systems.hoi3dgen.image_to_mesh import Pictures, checked_pictures
from hoijax.systems.hoi3dgen.segmentation import masks_from_colors
from hoijax.systems.hoi3dgen.views import SurfaceViews, camera_at
from hoijax.viz.scene import NamedMesh

FrontBody = Callable[[UInt8[np.ndarray, "H W 4"], Camera, BodyModel], BodyParams | None]
"""What says which body a front picture shows, in the camera's world, metres; None where nobody is found in it."""
Parts = Callable[[UInt8[np.ndarray, "N H W 3"]], Bool[np.ndarray, "N H W"]]
"""Which pixels of pictures on white are the object's."""
FIT = ObjectFitConfig(upright=0.04)
"""How the object is searched for: among nearly equal answers the upright one."""
_LEAST = 30  # pixels of a person


@dataclasses.dataclass(frozen=True)
class LabelledSurface:
    """A surface of which is known what belongs to whom."""

    surface: NamedMesh
    """In the cameras' world, with a colour for each vertex."""
    labels: Int[np.ndarray, "V"]
    """0 person, 1 object."""
    body: BodyParams
    """The person's, metres, in the front camera's world."""
    pose: RigidPose
    """The object's mesh to that world, with its scale."""
    scale: float
    """The surface's unit over a metre: `eye + scale * (metres - eye)`, from the front camera's eye."""
    overlap: float
    """Intersection over union of the object as placed and its mask, where something is known."""


@runtime_checkable
class LabelledLift(Protocol):
    """A backend from pictures to a mesh that knows the parts of what it makes."""

    def lift_parts(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> LabelledSurface:
        """See `ImageToMesh.lift`."""
        ...


@dataclasses.dataclass(frozen=True)
class TemplateMesh:
    """A body and a mesh of the object, placed as the front picture shows; needs cameras."""

    model: BodyModel
    """Of the body."""
    thing: Mesh
    """The object's: metres, y up."""
    parts: Parts
    """Which pixels are the object's."""
    body: FrontBody | BodyParams
    """Who finds the body in the front picture; or the body, which is moved to its outline there."""
    fit: ObjectFitConfig = FIT
    """How the object is searched for."""
    fuse: FuseConfig = dataclasses.field(default_factory=FuseConfig)
    """How fine the surface is."""

    def lift(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> NamedMesh:
        """See `ImageToMesh.lift`.

        Raises:
          InputError: see `lift_parts`.
        """
        return self.lift_parts(pictures, cameras, seed=seed).surface

    def lift_parts(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> LabelledSurface:
        """The surface with what is known of it.

        Raises:
          InputError: no cameras, nobody in the front picture, or no object in it.
        """
        pictures = checked_pictures(pictures)
        if cameras is None:
            raise InputError("a body and an object are placed by the pictures' cameras, and none were given")
        views = Camera(*(np.asarray(x).reshape(-1, *np.shape(x)[-2:]) for x in (cameras.intrinsics,
                       cameras.T_camera_world)), cameras.image_size)  # fmt: skip
        if len(views.intrinsics) != len(pictures) or views.image_size != pictures.shape[1:3]:
            raise InputError(
                f"{len(pictures)} pictures of {pictures.shape[1:3]} pixels do not fit {len(views.intrinsics)} cameras "
                f"of {views.image_size}"
            )
        thing = np.asarray(self.parts(pictures[..., :3]), bool) & (pictures[..., 3] > 127)
        masks = np.stack([(pictures[..., 3] > 127) & ~thing, thing])
        front = camera_at(views, 0)
        params = self._body(pictures[0], masks[0, 0], front)
        faces = np.asarray(self.model.faces)
        person = np.asarray(pose_body_compiled(self.model, params).vertices)
        pose, overlap = self._object(pictures[0, ..., :3], masks[:, 0], front, person)
        moved = np.asarray(self.thing.vertices, np.float64) @ (pose.scale * pose.rotation).T + pose.translation
        fused = fuse_meshes(
            Mesh(person, faces), Mesh(moved.astype(np.float32), np.asarray(self.thing.faces)), self.fuse
        )
        vertices, scale = _to_size(np.asarray(fused.mesh.vertices), front)
        mesh = Mesh(vertices, np.asarray(fused.mesh.faces))
        colors = project_colors(mesh, views, pictures[..., :3], masks, fused.labels)
        surface = NamedMesh("surface", mesh.vertices, mesh.faces, colors)
        return LabelledSurface(surface, fused.labels, params, pose, scale, overlap)

    def _body(self, picture: np.ndarray, person: np.ndarray, camera: Camera) -> BodyParams:
        if isinstance(self.body, BodyParams):
            return move_to_outline(self.model, self.body, person, camera)
        found = self.body(picture, camera, self.model)
        if found is None:
            raise InputError(
                "nobody is found in the front picture, so no body can be placed; give a body to begin with, or make "
                "the mesh another way (the visual hull, a server)"
            )
        return found

    def _object(
        self, image: np.ndarray, masks: np.ndarray, camera: Camera, person: np.ndarray
    ) -> tuple[RigidPose, float]:
        """The object's pose in the world, and how well its mask is covered."""
        turn, move = (np.asarray(camera.T_camera_world, np.float64)[:3, k] for k in (slice(3), 3))
        matrix = np.asarray(camera.intrinsics)
        target = object_target(masks[1], matrix, person=masks[0], image=image)
        seen = (person @ turn.T + move).astype(np.float32)
        scene = object_scene(target, (seen, np.asarray(self.model.faces)), up=turn[:, 1])
        found = fit_object_compiled(object_shape(self.thing), target, scene, self.fit)
        best = found.best
        rotation = turn.T @ np.asarray(best.rotation, np.float64)
        place = turn.T @ (np.asarray(best.translation, np.float64) - move)
        if not np.isfinite(place).all():
            raise InputError("the object's mesh could not be placed in the front picture's mask")
        pose = RigidPose(np.float32(rotation), np.float32(place), np.float32(best.scale))
        return pose, float(found.overlap[0])


def parts_by_color(human: list[tuple[float, float, float]], thing: list[tuple[float, float, float]]) -> Parts:
    """Tells the object's pixels by known colours, as `masks_from_colors`."""
    return lambda images: masks_from_colors(images, human, thing)[1]


def move_to_outline(model: BodyModel, params: BodyParams, mask: Bool[np.ndarray, "H W"], camera: Camera) -> BodyParams:
    """A body moved, not turned, to where its box in the picture is as high as a mask's and has its middle.

    Args:
      model: of the body.
      params: whose pose, shape and orientation are right; y up in the camera's world.
      mask: of the person.
      camera: of the picture.

    Raises:
      InputError: hardly a pixel is the person's.
    """
    if mask.sum() < _LEAST:
        raise InputError(f"the person has {int(mask.sum())} pixels in the front picture; wanted at least {_LEAST}")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height = rows[-1] + 1 - rows[0]
    aim = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    vertices = np.asarray(pose_body_compiled(model, params).vertices, np.float64)
    turn, move = (np.asarray(camera.T_camera_world, np.float64)[:3, k] for k in (slice(3), 3))
    matrix = np.asarray(camera.intrinsics, np.float64)
    local = (vertices - vertices.mean(axis=0)) @ turn.T
    place = np.array([0.0, 0.0, matrix[1, 1] * np.ptp(local[:, 1]) / height + np.ptp(local[:, 2])])
    still = Camera(matrix, np.eye(4), camera.image_size)
    for _ in range(20):
        seen = np.asarray(project(still, (local + place).astype(np.float32))[0], np.float64)
        low, high = seen.min(axis=0), seen.max(axis=0)
        place[:2] += (aim - (low + high) / 2) * place[2] / np.diag(matrix)[:2]
        place *= (high - low)[1] / height
    wanted = turn.T @ (place - move)
    return params.replace(
        translation=np.asarray(params.translation) + (wanted - vertices.mean(axis=0)).astype(np.float32)
    )


def label_masks(
    views: SurfaceViews, faces: Int[np.ndarray, "F 3"], labels: Int[np.ndarray, "V"]
) -> Bool[np.ndarray, "2 N H W"]:
    """What views see of each part of a surface whose labels are known.

    Args:
      views: of `render_surface`, which knows the face of each pixel.
      faces: of the surface.
      labels: of its vertices; a face has that of two of its corners.
    """
    if views.face_id is None:
        raise InputError("views that were read from files do not know the face of each pixel; render the surface")
    part = np.asarray(labels)[np.asarray(faces)].sum(axis=1) >= 2
    seen = np.asarray(views.face_id)
    thing = part[np.maximum(seen, 0)]
    return np.stack([(seen >= 0) & ~thing, (seen >= 0) & thing])


def _to_size(vertices: Float[np.ndarray, "V 3"], camera: Camera) -> tuple[np.ndarray, float]:
    """Vertices scaled about a camera's eye, so that the middle of their box is as far along its axis as the world's
    origin: they look the same from there, and other cameras see them where they look."""
    turn, move = (np.asarray(camera.T_camera_world, np.float64)[:3, k] for k in (slice(3), 3))
    eye = -turn.T @ move
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    depth = float((turn @ middle + move)[2])
    if not (depth > 0 and move[2] > 0):
        raise InputError("person and object lie behind the front camera, or it does not look at the origin")
    scale = float(move[2]) / depth
    return (eye + scale * (vertices - eye)).astype(np.float32), scale
