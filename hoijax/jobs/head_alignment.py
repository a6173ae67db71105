"""`refine --scene --align-heads`: people go to where a depth map of their own picture sees their heads.

An estimator's depth is off by some per cent, decimetres some metres away; a depth map with the people in it says where
a head is. GRAFT's networks are trained on people that were brought there (specs/graft.md section 10.4).
"""

import dataclasses
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.io import UNITS
from hoijax.systems.graft import BodySpec, GraftState, align_head, body_spec, fold_scale, read_scene_estimate

SKIN = 0.1
"""How much nearer than the head's joint its skin is where the body has no vertex before the joint, metres."""
_AROUND = 0.03
"""Vertices this near to the ray through the joint are before it, metres."""


@dataclasses.dataclass(frozen=True)
class AlignedPeople:
    """People after their heads were looked up."""

    params: BodyParams
    """With a leading axis; who could not be aligned is as before."""
    factors: dict[int, float]
    """Row to what body and distance were multiplied by."""
    failures: dict[int, InputError]
    """Row to why a person was not aligned."""


def align_people(
    path: pathlib.Path,
    model: BodyModel,
    people: BodyParams,
    *,
    units: str | None = None,
    intrinsics: np.ndarray | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> AlignedPeople:
    """Scales people about the camera, so that their heads are as deep as a map says and their picture stays.

    Args:
      path: an `.npz` with a depth or point map of the image with the people (`read_scene_estimate`).
      model: the body.
      people: with a leading axis, the map's camera frame.
      units: of the map; None: metres.
      intrinsics: of the map, pixels, where the file has none.
      told: called with a line for each person.

    Raises:
      InputError: no such map, no intrinsics, or no head of anybody is seen in it.
    """
    estimate = read_scene_estimate(path)
    if not estimate.is_map:
        raise InputError(f"--align-heads {path}: wanted a depth or point map of the image with the people, not a cloud")
    intrinsics = intrinsics if estimate.intrinsics is None else estimate.intrinsics
    if intrinsics is None:
        raise InputError(f"--align-heads {path}: no intrinsics in it, which say where in the map a head appears")
    points = np.asarray(estimate.points) * np.float32(1.0 if units is None else UNITS[units])
    spec = body_spec(model)
    posed = pose_body_compiled(model, people)
    rows, factors, failures = [], {}, {}
    for row in range(len(people.betas)):
        params = jax.tree.map(lambda x, i=row: np.asarray(x)[i], people)
        offset = skin_depth(np.asarray(posed.vertices[row]), np.asarray(posed.joints[row])[spec.head])
        try:
            state = align_head(spec, GraftState.of(params), points, np.asarray(intrinsics), offset=offset)
        except InputError as error:
            failures[row] = InputError(f"--align-heads {path}: {error}")
        else:
            factors[row] = float(state.scale)
            params = _folded(spec, state)
            told(f"person {row}: brought to {factors[row]:.3f} of the distance, where the map sees the head")
        rows.append(params)
    if not factors:
        raise next(iter(failures.values()))
    return AlignedPeople(jax.tree.map(lambda *x: np.stack(x), *rows), factors, failures)


def skin_depth(vertices: np.ndarray, head: np.ndarray) -> float:
    """How much nearer than a joint the body's surface is on the ray to it, metres.

    Args:
      vertices: of the body (V, 3), camera frame.
      head: the joint (3,).
    """
    ray = head / max(float(np.linalg.norm(head)), 1e-9)
    along = vertices @ ray
    aside = np.linalg.norm(vertices - along[:, None] * ray, axis=1)
    # Of the skin alone that belongs to the head: a raised hand may be before it.
    before = (aside < _AROUND) & (np.linalg.norm(vertices - head, axis=1) < 3 * SKIN)
    return float(head[2] - vertices[before, 2].min()) if before.any() else SKIN


def _folded(spec: BodySpec, state: GraftState) -> BodyParams:
    return jax.tree.map(np.asarray, _fold(spec, state))


_fold = jax.jit(fold_scale)
