"""From parameters to surface: shape, pose correctives, kinematics and linear blend skinning.

Coordinates are kept in planes, (3, V), until the last step: products then run along contiguous memory. Skinning blends
(V, 12) transforms with the dense weights, never (V, J, 4) points; on a CPU that beats the four largest weights of each
vertex by more than two. Large batches skin a few bodies at a time there, and form the blended transforms again in the
backward pass: they are what fills the memory, and fresh pages cost a third of the gradient's time.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models.model import ArrayLike, BodyModel, PosedBody
from hoijax.body_models.params import BodyParams
from hoijax.body_models.skeleton import forward_kinematics

_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

# Blended transforms above the first number of bytes are made in blocks of about the second (CPU only).
_BLOCK_ABOVE, _BLOCK_BYTES = 16_000_000, 6_000_000


@struct.dataclass
class PosedJoints:
    """Result of `pose_joints`, in the frame of the parameters."""

    joints: Float[ArrayLike, "*B J 3"] | Any
    """Positions, metres."""
    rotations: Float[ArrayLike, "*B J 3 3"] | Any
    """Rotation of each joint from the rest pose to the world."""


def pose_body(model: BodyModel, params: BodyParams) -> PosedBody:
    """Poses a body by linear blend skinning. Any leading axes.

    SMPL: Loper et al. 2015, eq. 2-12; hands: Romero et al. 2017; SMPL-X: Pavlakos et al. 2019. Under `jit`, pass the
    model as an argument: closed over, its tables become constants of the program and slow its compilation.

    Args:
      model: the body's constant tables.
      params: rotations, shape and translation; all three have the same leading axes and the model's dtype.

    Returns:
      Vertices and joints in metres.

    Raises:
      ValueError: `params` has another number of joints or shape coefficients, or another dtype, than the model, or its
        leading axes disagree.
    """
    batch = _check(model, params)
    betas, rotations = jnp.asarray(params.betas), jnp.asarray(params.rotations)
    rest, world, joints = _skeleton(model, rotations, betas)
    offset = joints - _einsum("...ij,...j->...i", world, rest)
    transforms = jnp.moveaxis(jnp.concatenate([world, offset[..., None]], axis=-1), -3, -1)  # (*B, 3, 4, J)
    # Matrices, not three axes: the backward pass would copy the whole table to bring its axes in order.
    shaped = _einsum("ns,...s->...n", model.shape_dirs.reshape(-1, model.num_betas), betas)
    surface = jnp.swapaxes(shaped.reshape((*batch, -1, 3)), -1, -2) + _spread(jnp.asarray(model.v_template).T, batch)
    if model.pose_basis is not None:
        eye = _spread(jnp.eye(3, dtype=rotations.dtype), (*batch, model.num_joints - 1))
        feature = (rotations[..., 1:, :, :] - eye).reshape((*batch, -1))
        basis = model.pose_basis.reshape(feature.shape[-1], -1)
        surface = surface + _einsum("pn,...p->...n", basis, feature).reshape(surface.shape)
    move = jnp.asarray(params.translation)
    vertices = _skin(jnp.asarray(model.skin_weights), surface, transforms, move)
    return PosedBody(vertices=vertices, joints=joints + jnp.broadcast_to(move[..., None, :], joints.shape))


pose_body_compiled = jax.jit(pose_body)
"""`pose_body` as one compiled program for code on the host, which all of a process shares."""


def pose_joints(model: BodyModel, params: BodyParams) -> PosedJoints:
    """Positions and world rotations of the joints alone; touches no vertex. Any leading axes.

    Args:
      model: the body's constant tables.
      params: as for `pose_body`.

    Returns:
      The joints of `pose_body`, and their rotations.

    Raises:
      ValueError: as `pose_body`.
    """
    _check(model, params)
    _, world, joints = _skeleton(model, jnp.asarray(params.rotations), jnp.asarray(params.betas))
    move = jnp.broadcast_to(jnp.asarray(params.translation)[..., None, :], joints.shape)
    return PosedJoints(joints=joints + move, rotations=world)


def subset(model: BodyModel, vertex_ids: Int[ArrayLike, "N"]) -> BodyModel:
    """A model of chosen vertices only, for when a loss looks at few of them; its joints are the same.

    Args:
      model: any model.
      vertex_ids: which vertices, in the order wanted; may be traced.

    Returns:
      A model with N vertices. Faces with all three corners chosen and landmarks on chosen vertices are kept; with
      traced ids there are none.

    Raises:
      ValueError: an id is not a vertex of the model, or is there twice.
    """
    faces, landmarks = np.zeros((0, 3), np.int32), ()
    if not isinstance(vertex_ids, jax.core.Tracer):
        vertex_ids, count = np.asarray(vertex_ids), model.num_vertices
        if vertex_ids.size and not (vertex_ids.min() >= 0 and vertex_ids.max() < count):
            raise ValueError(f"vertex ids run to {vertex_ids.max()}, from {vertex_ids.min()}; the model has {count}")
        if len(np.unique(vertex_ids)) != len(vertex_ids):
            raise ValueError(f"{len(vertex_ids)} vertex ids, but only {len(np.unique(vertex_ids))} different ones")
        place = np.full(count, -1)
        place[vertex_ids] = np.arange(len(vertex_ids))
        landmarks = tuple((name, int(place[i])) for name, i in model.landmarks if place[i] >= 0)
        if not isinstance(model.faces, jax.core.Tracer):
            faces = place[np.asarray(model.faces)].astype(np.int32)
            faces = faces[(faces >= 0).all(axis=1)]
    return model.replace(
        v_template=jnp.asarray(model.v_template)[vertex_ids],
        shape_dirs=jnp.asarray(model.shape_dirs)[vertex_ids],
        pose_basis=None if model.pose_basis is None else jnp.asarray(model.pose_basis)[..., vertex_ids],
        skin_weights=jnp.asarray(model.skin_weights)[vertex_ids],
        colors=None if model.colors is None else jnp.asarray(model.colors)[vertex_ids],
        faces=jnp.asarray(faces),
        landmarks=landmarks,
    )


def _skeleton(model: BodyModel, rotations: jax.Array, betas: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rest joints of the shape, and world rotation and position of the posed joints without the translation."""
    rest = _spread(model.joint_template, betas.shape[:-1]) + _einsum("jcs,...s->...jc", model.joint_shape_dirs, betas)
    return rest, *forward_kinematics(rotations, rest, model.parents)


def _skin(weights: jax.Array, surface: jax.Array, transforms: jax.Array, move: jax.Array) -> jax.Array:
    """Vertices (*B, V, 3) from planes (*B, 3, V), transforms (*B, 3, 4, J) and translations (*B, 3)."""
    batch = surface.shape[:-2]
    rows = tuple(x.reshape((-1, *x.shape[len(batch) :])) for x in (surface, transforms, move))
    body_bytes = 12 * surface.shape[-1] * surface.dtype.itemsize
    # A power of two divides most batches; what is left over costs one more, smaller, compiled loop body.
    block = 1 << max(0, (_BLOCK_BYTES // max(1, body_bytes)).bit_length() - 1)
    whole = functools.partial(_skin_bodies, weights)
    if rows[0].shape[0] * body_bytes <= _BLOCK_ABOVE:
        vertices = whole(*rows)
    else:
        in_blocks = functools.partial(_skin_blocks, weights, block=block)
        vertices = jax.lax.platform_dependent(*rows, cpu=in_blocks, default=jax.checkpoint(whole))
    return vertices.reshape((*batch, *vertices.shape[1:]))


def _skin_bodies(weights: jax.Array, surface: jax.Array, transforms: jax.Array, move: jax.Array) -> jax.Array:
    """Vertices (N, V, 3) of N bodies; Loper et al. 2015, eq. 2, with the transforms blended first."""
    blend = _einsum("nikj,vj->nikv", transforms, weights)
    out = blend[:, :, 3] + jnp.broadcast_to(move[..., None], surface.shape)
    for k in range(3):
        out = out + blend[:, :, k] * jnp.broadcast_to(surface[:, k, None], surface.shape)
    return jnp.swapaxes(out, 1, 2)


def _skin_blocks(
    weights: jax.Array, surface: jax.Array, transforms: jax.Array, move: jax.Array, *, block: int
) -> jax.Array:
    """The same, `block` bodies at a time; the backward pass blends the transforms of a block again."""

    @jax.checkpoint
    def one(body):
        return _skin_bodies(weights, *(x[None] for x in body))[0]

    return jax.lax.map(one, (surface, transforms, move), batch_size=min(block, surface.shape[0]))


def _spread(x: ArrayLike, batch: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(x, (*batch, *x.shape))


def _check(model: BodyModel, params: BodyParams) -> tuple[int, ...]:
    """Leading axes of the parameters."""
    joints, coefficients = params.rotations.shape[-3], params.betas.shape[-1]
    if joints != model.num_joints:
        raise ValueError(f"params has rotations of {joints} joints, the {model.kind} model has {model.num_joints}")
    if coefficients != model.num_betas:
        raise ValueError(
            f"params has {coefficients} shape coefficients, the {model.kind} model has {model.num_betas}; "
            "load the model with num_betas, or pad or cut the betas"
        )
    axes = params.rotations.shape[:-3], params.betas.shape[:-1], params.translation.shape[:-1]
    if len(set(axes)) != 1:
        raise ValueError(f"leading axes of rotations, betas and translation differ: {axes}")
    types = {str(x.dtype) for x in (params.rotations, params.betas, params.translation)}
    if types != {str(model.v_template.dtype)}:
        raise ValueError(f"params are {sorted(types)}, the model is {model.v_template.dtype}; see BodyModel.astype")
    return axes[0]
