"""The body that a picture shows, for a registration to begin with: landmarks, and the photograph's fit to them."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from hoijax.body_models import BodyModel, BodyParams
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import einsum
from hoijax.jobs.photo_people import find_person
from hoijax.jobs.photographs import Photograph
from hoijax.nets.blaze import load
from hoijax.nets.blaze.layers import Params
from hoijax.optim.fitting import fit_people, given_intrinsics, observe_mediapipe, prepare_body
from hoijax.systems.hoi3dgen.image_to_mesh import over_white


def body_of_front(picture: UInt8[np.ndarray, "H W 4"], camera: Camera, model: BodyModel) -> BodyParams | None:
    """The body that a cut-out shows, as `hoijax.systems.hoi3dgen.chain.FrontBody`.

    Args:
      picture: with its alpha channel, which is laid over white.
      camera: of the picture, y up in its world.
      model: of the body.

    Returns:
      The body in the camera's world, metres from the camera; None where the landmark network finds nobody or what it
      finds can be no body.
    """
    image = over_white(picture)
    nothing = np.zeros(image.shape[:2], bool)
    photograph = Photograph("the front picture", pathlib.Path(), image, nothing, nothing)
    try:
        person, _ = find_person(_networks(), photograph)
    except InputError:
        return None
    observation = observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=image.shape[:2])
    intrinsics = given_intrinsics(float(np.asarray(camera.intrinsics)[0, 0]), image.shape[:2])
    fit = fit_people(prepare_body(model, observation.names), observation, intrinsics, quick=True)
    params = jax.tree.map(np.asarray, fit.params)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(params)):
        return None
    turn = jnp.asarray(camera.T_camera_world)[:3, :3].T
    root = einsum("ij,jk->ik", turn, jnp.asarray(params.rotations)[0])
    pelvis = np.asarray(fit.joints)[0]
    # Turned about the pelvis, then from the camera's frame to the world.
    away = pelvis - params.translation
    eye = -np.asarray(turn) @ np.asarray(camera.T_camera_world)[:3, 3]
    rotations = np.concatenate([np.asarray(root)[None], params.rotations[1:]])
    return params.replace(rotations=rotations, translation=np.asarray(turn) @ pelvis + eye - away)


@functools.cache
def _networks() -> dict[str, Params]:
    return {name: load(name) for name in ("detector", "landmarks")}
