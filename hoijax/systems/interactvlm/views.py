"""What InteractVLM's localisation sees: a surface in four canonical views, and the way between pixels and vertices.

Bodies of any model, meshes and their labels; made anew from the surface itself, so nothing of a licensed file is kept.
A body's views never change, so neither does what an image encoder says of them: `cached_embedding`.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import face_areas
from hoijax.geometry.safe import ArrayLike
from hoijax.io import output_directory, read_npz, value_digest, write_npz
from hoijax.render import (
    Fragments,
    interactvlm_body_rig,
    interactvlm_object_rig,
    nocs_colors,
    project_labels,
    render_canonical,
    unit_extent,
    vitruvian_rotations,
)
from hoijax.render.rigs import CameraRig
from hoijax.systems.interactvlm.lifting import LiftOperator, lift_operator

SIZE = 1024
"""Pixels of a view's side, as published."""


@struct.dataclass
class Views:
    """A surface of V vertices in N views of S x S pixels."""

    images: Float[ArrayLike, "N S S 3"] | Any
    """Colours in [0, 1] on white; `hoijax.render.render_canonical`."""
    fragments: Fragments
    """What the pixels show."""
    cameras: Float[ArrayLike, "N 5"] | Any
    """What the camera gate takes: `CameraRig.network_vector`."""
    lift: LiftOperator
    """From pixels to vertices."""
    vertices: Float[ArrayLike, "V 3"] | Any
    """As they are seen: the canonical pose, or `unit_extent`."""
    faces: Int[ArrayLike, "F 3"] | Any
    """Of the surface."""
    names: tuple[str, ...] = struct.field(pytree_node=False)
    """Of the views, in the networks' order."""

    @property
    def valid(self) -> Bool[jax.Array, "N S S"]:
        """Pixels that show the surface: those that losses count."""
        return jnp.asarray(self.fragments.face_id) >= 0

    def masks(self, labels: Bool[ArrayLike, "V"], min_vertices: int = 2) -> Bool[jax.Array, "N S S"]:
        """The true masks of a set of vertices: faces with at least so many of them.

        Args:
          labels: vertices in contact.
          min_vertices: 3 in the paper; 2 goes with the soft lift read at 0.5.
        """
        return project_labels(labels, self.fragments, self.faces, min_vertices=min_vertices)

    def coverage(self) -> tuple[float, float]:
        """Shares of the vertices, and of the area (faces that some pixel shows), that the views see."""
        shown = np.unique(np.asarray(self.fragments.face_id))
        areas = np.asarray(face_areas(self.vertices, self.faces))
        return float(np.mean(self.lift.visible)), float(areas[shown[shown >= 0]].sum() / areas.sum())


def body_views(model: BodyModel, size: int = SIZE) -> Views:
    """The four views of a body: mean shape, legs spread, coloured by its normals.

    Args:
      model: SMPL and its kin or the free body.
      size: S.

    Raises:
      InputError: a body without hips.
    """
    return _views(canonical_body(model), np.asarray(model.faces), interactvlm_body_rig(size), colors=None)


def canonical_body(model: BodyModel) -> Float[np.ndarray, "V 3"]:
    """Vertices of the mean shape with its legs spread, as the views show it, metres.

    Raises:
      InputError: a body without hips.
    """
    if model.joint_names[1:3] != ("left_hip", "right_hip"):
        raise InputError(f"the canonical views spread the legs of a whole body; a {model.kind} model has none")
    rotations = vitruvian_rotations(model.num_joints)
    params = BodyParams(rotations, jnp.zeros(model.num_betas, jnp.float32), jnp.zeros(3, jnp.float32))
    return np.asarray(pose_body_compiled(model, params).vertices, np.float32)


def object_views(
    vertices: Float[ArrayLike, "V 3"],
    faces: Int[ArrayLike, "F 3"],
    size: int = SIZE,
    *,
    distance: float = 1.5,
    colors: Float[ArrayLike, "V 3"] | None = None,
    capacity: tuple[int, int] | None = None,
) -> Views:
    """The four views of an object's mesh.

    Args:
      vertices: in any unit, y up.
      faces: of the mesh.
      size: S.
      distance: of the cameras, in longest sides of the mesh's box. The released code renders meshes at 1.5 and tells
        the network 2; here `Views.cameras` is what was rendered.
      colors: of the vertices, in [0, 1]; None: by their places, as InteractVLM has them.
      capacity: vertices and faces that the mesh is filled up to, so that meshes share a program; the vertices that are
        added are never seen.

    Raises:
      InputError: no faces, no extent, or numbers that are not finite.
    """
    vertices, faces = np.asarray(vertices, np.float32), np.asarray(faces)
    if len(vertices) == 0 or len(faces) == 0:
        raise InputError(f"a mesh of {len(vertices)} vertices and {len(faces)} faces has no surface to look at")
    if not np.isfinite(vertices).all() or not np.ptp(vertices, axis=0).max() > 0:
        raise InputError("the mesh's vertices are not finite, or all at one place")
    vertices = np.asarray(unit_extent(vertices))
    rig = interactvlm_object_rig(size, distance)
    colors = np.asarray(nocs_colors(jnp.asarray(vertices))) if colors is None else np.asarray(colors, np.float32)
    if capacity is not None:
        more, more_faces = capacity[0] - len(vertices), capacity[1] - len(faces)
        if more < 0 or more_faces < 0:
            raise InputError(
                f"a mesh of {len(vertices)} vertices and {len(faces)} faces does not fit into {capacity[0]} and "
                f"{capacity[1]}; give more capacity"
            )
        vertices, colors = (np.concatenate([x, np.repeat(x[:1], more, axis=0)]) for x in (vertices, colors))
        faces = np.concatenate([faces, np.zeros((more_faces, 3), faces.dtype)])
    return _views(vertices, faces, rig, colors)


_render = jax.jit(render_canonical)


def _views(vertices: np.ndarray, faces: np.ndarray, rig: CameraRig, colors: np.ndarray | None) -> Views:
    faces = np.asarray(faces, np.int32)
    seen = jax.tree.map(np.asarray, _render(vertices, faces, rig, colors))
    operator = lift_operator(seen.fragments, faces, len(vertices))
    return Views(seen.images, seen.fragments, np.asarray(rig.network_vector()), operator, vertices, faces, rig.names)


def cached_embedding(
    encode: Callable[[jax.Array], jax.Array], views: Views, encoder: str, folder: pathlib.Path | None
) -> np.ndarray:
    """What an image encoder says of a surface's views, computed once and kept.

    Args:
      encode: one picture (S, S, 3) in [0, 1] to its embedding; called view by view, which bounds the memory.
      views: the surface.
      encoder: digest of its weights and settings; another one is another embedding.
      folder: where embeddings are kept; None: nowhere.

    Returns:
      `(N, ...)`.
    """
    name = value_digest({"encoder": encoder, "images": np.asarray(views.images)})
    path = None if folder is None else folder / f"embedding-{name}.npz"
    if path is not None and path.is_file():
        try:
            return read_npz(path)["embedding"]
        except (InputError, KeyError, OSError):
            path.unlink(missing_ok=True)  # damaged: made anew
    made = np.stack([np.asarray(encode(jnp.asarray(image))) for image in np.asarray(views.images)])
    if path is not None:
        write_npz(output_directory(path.parent) / path.name, {"embedding": made})
    return made
