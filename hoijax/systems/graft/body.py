"""Everything GRAFT must know about a body: one `BodySpec` for SMPL-X, SMPL-H and the free body (specs/graft.md 2)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel, free_body, scene_contact_vertices, subset
from hoijax.errors import InputError
from hoijax.geometry import farthest_points, nearest_host
from hoijax.nets.graft import NUM_BETAS, NUM_BODY, NUM_SURFACE

ArrayLike = jax.Array | np.ndarray

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_SIDES = ("left", "right")


@struct.dataclass
class BodySpec:
    """Where GRAFT's 52 rotations and 58 probes are on one body model, and how that body scales."""

    probe_model: BodyModel
    """The body with the 27 probe vertices alone: all that a refinement step poses."""
    probe_vertices: Int[ArrayLike, "27"] | Any
    """Ids of these vertices on the whole body."""
    scale_center: Float[ArrayLike, "S"] | Any
    """c of the scale update: shape coefficients whose displacement comes nearest to the template itself."""
    contact_vertices: Int[ArrayLike, "K"] | Any
    """Vertices that may touch a scene, for metrics and the baseline (specs/graft.md section 11)."""
    rotations: tuple[int, ...] = struct.field(pytree_node=False)
    """Joints of the 52 rotations: the root, 21 of the body, 15 of each hand."""
    distal: tuple[int, ...] = struct.field(pytree_node=False)
    """The last joints of the five fingers of the left hand, then of the right one."""
    head: int = struct.field(pytree_node=False)
    """The head's joint."""


def body_spec(model: BodyModel, probe_vertices: Int[ArrayLike, "27"] | None = None) -> BodySpec:
    """What GRAFT must know about a body model.

    The paper's 27 vertices are "uniformly sampled on the template" and unpublished; ours come from farthest point
    sampling on the template, beginning at the crown. Weights belong to the vertices they were trained with: give those
    of the weights' file.

    Args:
      model: SMPL-X, SMPL-H or the free body, with at least 10 shape coefficients.
      probe_vertices: ids of the 27 surface probes; chosen as above if None.

    Raises:
      InputError: a body without finger joints, with fewer than 10 shape coefficients, or ids that do not fit it.
    """
    names = model.joint_names
    wanted = [f"{side}_{finger}{i}" for side in _SIDES for finger in _FINGERS for i in (1, 2, 3)]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(
            f"GRAFT needs a body with finger joints, SMPL-X, SMPL-H or the free body; this {model.kind} body has no "
            f"{missing[0]}"
        )
    shape = model.num_betas - model.num_expression
    if shape < NUM_BETAS:
        raise InputError(f"GRAFT changes {NUM_BETAS} shape coefficients; this {model.kind} body has {shape}")
    if probe_vertices is None:
        probe_vertices = default_probe_vertices(model)
    ids = np.asarray(probe_vertices)
    if ids.shape != (NUM_SURFACE,) or ids.min() < 0 or ids.max() >= model.num_vertices:
        raise InputError(
            f"the surface probes are {NUM_SURFACE} vertex ids below {model.num_vertices}; got {ids.size} from "
            f"{ids.min()} to {ids.max()}"
        )
    return BodySpec(
        probe_model=subset(model.replace(colors=None, landmarks=()), ids),
        probe_vertices=ids.astype(np.int32),
        scale_center=scale_center(model),
        contact_vertices=np.asarray(scene_contact_vertices(model), np.int32),
        rotations=(*range(1 + NUM_BODY), *(names.index(name) for name in wanted)),
        distal=tuple(names.index(f"{side}_{finger}3") for side in _SIDES for finger in _FINGERS),
        head=names.index("head"),
    )


def default_probe_vertices(model: BodyModel) -> Int[np.ndarray, "27"]:
    """27 vertices spread over the template: farthest point sampling from the highest vertex (of these the first)."""
    template = np.asarray(model.v_template, np.float32)
    crown = int(np.argmax(template[:, 1]))
    return np.asarray(farthest_points(template, NUM_SURFACE, start=crown), np.int32)


def trained_probes(model: BodyModel, facts: Mapping[str, Any]) -> Int[np.ndarray, "27"] | None:
    """The surface probes of some weights on a body: the weights' own, or the nearest on another template.

    Args:
      model: the body to be refined.
      facts: what `hoijax.nets.graft.load_graft` says of the weights.

    Returns:
      Vertex ids; None where the weights do not say on which body they were trained.
    """
    ids, kind = np.asarray(facts.get("probe_vertices", ())), facts.get("body")
    if not ids.size:
        return None
    if kind != "free":
        return ids if kind == model.kind else None
    template, own = np.asarray(free_body(facts["level"]).v_template), np.asarray(model.v_template)
    trained = template[ids]
    if model.kind != "free":
        # Other templates have another size and origin.
        (low, high), (own_low, own_high) = ((x.min(axis=0), x.max(axis=0)) for x in (template, own))
        trained = (trained - low) / (high - low) * (own_high - own_low) + own_low
    return np.asarray(nearest_host(trained.astype(own.dtype), own).index)


def scale_center(model: BodyModel) -> Float[np.ndarray, "S"]:
    """c = (S S^T)^-1 S T (GRAFT eq. S3): the shape that comes nearest to the template T itself.

    Least squares over the first ten coefficients, the ones GRAFT changes; zero for those after them, which then scale
    as what they are, displacements. Float64 inside.
    """
    directions = np.asarray(model.shape_dirs, np.float64)[..., :NUM_BETAS].reshape(-1, NUM_BETAS)
    center = np.linalg.lstsq(directions, np.asarray(model.v_template, np.float64).reshape(-1), rcond=None)[0]
    return np.concatenate([center, np.zeros(model.num_betas - NUM_BETAS)]).astype(model.v_template.dtype)
