"""The body as data: one pytree for SMPL, SMPL-H, SMPL-X, MANO and the free body.

Fields are annotated `Float[...] | Any`: the shape documents the array, and `Any` lets `jax.tree.map`, `eval_shape`,
`in_axes` and shardings put something else in its place while run-time type checks are on.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class BodyModel:
    """Constant tables of one body; metres, y up, the body's left on +x, facing +z.

    V vertices, F faces, J joints, S shape coefficients, P = 9 (J - 1) pose features, H hands (left, right; MANO: one).
    """

    v_template: Float[ArrayLike, "V 3"] | Any
    """Vertices of the mean shape in the rest pose."""
    shape_dirs: Float[ArrayLike, "V 3 S"] | Any
    """Displacement of each vertex per unit of each shape coefficient, betas first, then expression."""
    pose_basis: Float[ArrayLike, "P 3 V"] | Any | None
    """Displacement per unit of each pose feature, `R - I` of the joints after the root, row-major; None: no such work.
    Laid out for one matrix product, most of the work of a body; `pose_dirs` shows it as (V, 3, P)."""
    joint_template: Float[ArrayLike, "J 3"] | Any
    """Joints of the mean shape (regressor times template)."""
    joint_shape_dirs: Float[ArrayLike, "J 3 S"] | Any
    """Displacement of each joint per unit of each shape coefficient (regressor times shape directions)."""
    skin_weights: Float[ArrayLike, "V J"] | Any
    """Skinning weights; rows sum to one."""
    faces: Int[ArrayLike, "F 3"] | Any
    """Vertex indices of the triangles, counter-clockwise from outside."""
    parents: tuple[int, ...] = struct.field(pytree_node=False)
    """Index of each joint's parent, -1 for the root; parents come first."""
    joint_names: tuple[str, ...] = struct.field(pytree_node=False)
    """Name of each joint."""
    kind: str = struct.field(pytree_node=False)
    """"smpl", "smplh", "smplx", "mano" or "free"."""
    hand_mean: Float[ArrayLike, "H 45"] | Any | None = None
    """Mean hand pose, axis-angle of 15 joints per hand, radians; None where the file has none."""
    hand_components: Float[ArrayLike, "H C 45"] | Any | None = None
    """Principal components of the hand pose, one per row; None where the file has none."""
    colors: Float[ArrayLike, "V 3"] | Any | None = None
    """RGB of each vertex in [0, 1] (clothing of the free body), or None."""
    num_expression: int = struct.field(pytree_node=False, default=0)
    """How many of the last shape coefficients are expression (SMPL-X)."""
    flat_hand_mean: bool = struct.field(pytree_node=False, default=True)
    """True: a hand pose of zero is the flat rest hand. False: `hand_mean` is added to hand poses, as smplx does."""
    hand_pca: int | None = struct.field(pytree_node=False, default=None)
    """Number of principal components that make a hand pose; None: hand poses are axis-angle."""
    landmarks: tuple[tuple[str, int], ...] = struct.field(pytree_node=False, default=())
    """Named surface points beyond the joints: (name, vertex index)."""

    @property
    def pose_dirs(self) -> Float[ArrayLike, "V 3 P"] | None:
        """Pose correctives as displacement of each vertex per unit of each pose feature, or None."""
        return None if self.pose_basis is None else self.pose_basis.transpose(2, 1, 0)

    @property
    def num_vertices(self) -> int:
        """Number of vertices, V."""
        return self.v_template.shape[0]

    @property
    def num_joints(self) -> int:
        """Number of joints, J."""
        return len(self.parents)

    @property
    def num_betas(self) -> int:
        """Number of shape coefficients S, the length of `BodyParams.betas`; expression included."""
        return self.shape_dirs.shape[-1]

    def astype(self, dtype) -> "BodyModel":
        """The same model with floating-point tables in `dtype`; its parameters must be in that dtype too."""
        return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, self)


@struct.dataclass
class PosedBody:
    """Result of `pose_body`, in metres, in the frame of the parameters."""

    vertices: Float[ArrayLike, "*B V 3"] | Any
    joints: Float[ArrayLike, "*B J 3"] | Any
