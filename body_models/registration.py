"""A body fitted to places of its points: posed vertices of its own mesh, joints, landmarks. NumPy, float64, seconds.

Rotations start joint by joint from the orthogonal Procrustes problem (Kabsch 1976) with a pull towards the parent's
orientation, which decides what the points leave open; Gauss-Newton with Levenberg's damping then moves everything at
once. The derivative of a point by a turn of joint j about its place P_j is, by linear blend skinning, that of the sum
of its parts that hang on j: `-[sum_k w_k (p_k - P_j)]x`, k over j and what follows it. That of pose correctives is left
out; they are millimetres, and steps still end where the residuals do.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from hoijax.body_models.host import host_joints
from hoijax.body_models.model import BodyModel
from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class BodyPoints:
    """Points that move with a body, in its rest pose."""

    rest: Float[np.ndarray, "N 3"]
    """Places, mean shape, metres."""
    shape_dirs: Float[np.ndarray, "N 3 S"]
    """Displacement per unit of each shape coefficient."""
    weights: Float[np.ndarray, "N J"]
    """Skinning weights."""
    pose_basis: Float[np.ndarray, "P 3 N"] | None = None
    """Displacement per unit of each pose feature."""

    @classmethod
    def of_vertices(cls, model: BodyModel) -> "BodyPoints":
        """All vertices of a body."""
        basis = None if model.pose_basis is None else np.asarray(model.pose_basis, np.float64)
        return cls(
            np.asarray(model.v_template, np.float64), np.asarray(model.shape_dirs, np.float64),
            np.asarray(model.skin_weights, np.float64), basis,
        )  # fmt: skip

    @classmethod
    def of_names(cls, model: BodyModel, names: tuple[str, ...]) -> tuple["BodyPoints", Bool[np.ndarray, "N"]]:
        """Joints and landmarks by name, and which of the names the body has; only those are points."""
        landmarks, joints = dict(model.landmarks), model.joint_names
        rest, dirs, weights, known = [], [], [], []
        for name in names:
            known.append(name in joints or name in landmarks)
            if name in joints:
                j = joints.index(name)
                rest.append(model.joint_template[j])
                dirs.append(model.joint_shape_dirs[j])
                weights.append(np.eye(len(joints))[j])
            elif name in landmarks:
                v = landmarks[name]
                rest.append(model.v_template[v])
                dirs.append(model.shape_dirs[v])
                weights.append(np.asarray(model.skin_weights)[v])
        stack = [np.asarray(part, np.float64) for part in (rest, dirs, weights)]
        return cls(*stack), np.asarray(known, bool)


@dataclasses.dataclass(frozen=True)
class Registration:
    """A fitted body."""

    rotations: Float[np.ndarray, "J 3 3"]
    """Of each joint relative to its parent."""
    betas: Float[np.ndarray, "S"]
    """Shape coefficients."""
    translation: Float[np.ndarray, "3"]
    """Metres."""
    points: Float[np.ndarray, "N 3"]
    """The points as fitted."""
    error: float
    """Root of the mean squared distance of the points that count, metres."""


def register(
    model: BodyModel,
    points: BodyPoints,
    targets: Float[np.ndarray, "N 3"],
    *,
    stay: float = 1e-6,
    shape: float = 1e-6,
    free: Bool[np.ndarray, "J"] | None = None,
    steps: int = 40,
) -> Registration:
    """Fits a body to where its points are.

    Args:
      model: the body.
      points: which points.
      targets: where they are, metres.
      stay: weight of a radian of each joint squared, against the squared metres of the points' mean: what points leave
        open stays at rest.
      shape: that of a unit of each shape coefficient.
      free: joints that may turn; None: all.
      steps: most steps.

    Raises:
      InputError: another number of targets, or some that are not finite.
    """
    targets = np.asarray(targets, np.float64)
    if targets.shape != points.rest.shape or not np.isfinite(targets).all():
        raise InputError(f"targets have the shape {targets.shape}, wanted {points.rest.shape} finite numbers")
    free = np.ones(model.num_joints, bool) if free is None else free
    size = model.shape_dirs.shape[-1]
    betas = np.zeros(size)
    turns = _starts(model, points, targets, free)
    move = (targets - _pose(model, points, turns, betas, np.zeros(3))[0]).mean(0)
    damping, cost = 1e-3, np.inf
    state = turns, betas, move
    for _ in range(steps):
        residual, jacobian, parents = _linearise(model, points, targets, *state)
        local = _vectors(state[0])
        now = _cost(residual, local, state[1], stay, shape)
        count = len(targets)
        j = model.num_joints
        active = np.r_[np.repeat(free, 3), np.ones(size + 3, bool)]
        normal = jacobian.T @ jacobian / count
        gradient = jacobian.T @ residual.ravel() / count
        # A turn in the world's frame is the joint's own rotation vector in its parent's, to first order.
        normal[np.arange(3 * j), np.arange(3 * j)] += stay
        gradient[: 3 * j] += stay * np.einsum("jab,jb->ja", parents, local).ravel()
        normal[np.arange(3 * j, 3 * j + size), np.arange(3 * j, 3 * j + size)] += shape
        gradient[3 * j : 3 * j + size] += shape * state[1]
        for _ in range(8):
            lifted = normal[np.ix_(active, active)] + damping * np.diag(np.diag(normal)[active] + 1e-6)
            step = np.zeros(len(gradient))
            step[active] = -np.linalg.solve(lifted, gradient[active])
            tried = _move(state, step, parents)
            after = _pose(model, points, *tried)[0] - targets
            new = _cost(after, _vectors(tried[0]), tried[1], stay, shape)
            if new <= now:
                break
            damping = min(damping * 4, 1e3)
        else:
            break
        state, damping = tried, max(damping / 5, 1e-9)
        if np.abs(step).max() < 1e-7 or (cost - new < 1e-14 and cost - new < 1e-9 * cost):
            break
        cost = new
    placed = _pose(model, points, *state)[0]
    error = float(np.sqrt(((placed - targets) ** 2).sum(1).mean()))
    return Registration(*state, placed, error)


def _vectors(turns: np.ndarray) -> np.ndarray:
    """Axis-angles of the joints after the root, which nothing holds at rest; its own is zero."""
    vectors = Rotation.from_matrix(turns).as_rotvec()
    vectors[0] = 0.0
    return vectors


def _cost(residual: np.ndarray, vectors: np.ndarray, betas: np.ndarray, stay: float, shape: float) -> float:
    return float((residual**2).sum(1).mean() + stay * (vectors**2).sum() + shape * (betas**2).sum())


def _move(state: tuple[np.ndarray, ...], step: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, ...]:
    """The state after a step whose turns are about the world's axes."""
    turns, betas, move = state
    j = len(turns)
    vectors = step[: 3 * j].reshape(-1, 3)
    world = Rotation.from_rotvec(vectors).as_matrix()
    local = np.einsum("jba,jbc,jcd->jad", parents, world, parents) @ turns
    local = Rotation.from_matrix(local).as_matrix()  # products of many steps would cease to be rotations
    still = (vectors == 0).all(axis=1)[:, None, None]
    return np.where(still, turns, local), betas + step[3 * j : -3], move + step[-3:]


def _pose(
    model: BodyModel, points: BodyPoints, turns: np.ndarray, betas: np.ndarray, move: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The points; their rest places of this shape; joints, their world rotations and rest places."""
    place, world, rest = host_joints(model, turns, betas)
    own = points.rest + points.shape_dirs @ betas
    if points.pose_basis is not None:
        own = own + np.tensordot((turns[1:] - np.eye(3)).reshape(-1), points.pose_basis, axes=1).T
    offset = place - np.einsum("jab,jb->ja", world, rest)
    blend = (points.weights @ world.reshape(-1, 9)).reshape(-1, 3, 3)
    placed = np.einsum("nab,nb->na", blend, own) + points.weights @ offset + move
    return placed, own, place, world, offset


def _linearise(
    model: BodyModel, points: BodyPoints, targets: np.ndarray, turns: np.ndarray, betas: np.ndarray, move: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (N, 3), their Jacobian (3 N, 3 J + S + 3), and the world rotations of the joints' parents."""
    placed, own, place, world, offset = _pose(model, points, turns, betas, move)
    n, j, size = len(own), len(turns), len(betas)
    below = np.zeros((j, j))
    for k in range(j):
        at = k
        while at >= 0:
            below[at, k] = 1.0
            at = model.parents[at]
    parts = np.einsum("kab,nb->nka", world, own) + offset
    hang = np.einsum("jk,nk,nka->nja", below, points.weights, parts, optimize=True)
    arm = hang - (points.weights @ below.T)[..., None] * place
    jacobian = np.zeros((n, 3, 3 * j + size + 3))
    turn = jacobian[:, :, : 3 * j].reshape(n, 3, j, 3)
    x, y, z = (arm[..., axis] for axis in range(3))
    turn[:, 0, :, 1], turn[:, 0, :, 2] = z, -y
    turn[:, 1, :, 0], turn[:, 1, :, 2] = -z, x
    turn[:, 2, :, 0], turn[:, 2, :, 1] = y, -x
    jacobian[:, :, : 3 * j] = turn.reshape(n, 3, 3 * j)
    rest_dirs = np.asarray(model.joint_shape_dirs, np.float64)
    place_dirs = np.zeros_like(rest_dirs)
    for k, parent in enumerate(model.parents):
        if parent < 0:
            place_dirs[k] = rest_dirs[k]
        else:
            place_dirs[k] = place_dirs[parent] + world[parent] @ (rest_dirs[k] - rest_dirs[parent])
    blend = (points.weights @ world.reshape(-1, 9)).reshape(-1, 3, 3)
    offset_dirs = place_dirs - np.einsum("jab,jbs->jas", world, rest_dirs)
    jacobian[:, :, 3 * j : -3] = blend @ points.shape_dirs + np.tensordot(points.weights, offset_dirs, axes=1)
    jacobian[:, :, -3:] = np.eye(3)
    parents = np.stack([np.eye(3) if p < 0 else world[p] for p in model.parents])
    return placed - targets, jacobian.reshape(3 * n, -1), parents


def _starts(model: BodyModel, points: BodyPoints, targets: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Rotations joint by joint from the root: each turns its own points, and those where its children are."""
    owner = np.argmax(points.weights, axis=1)
    rest = np.asarray(model.joint_template, np.float64)
    own_place = np.linalg.norm(points.rest[:, None] - rest[None], axis=-1).argmin(1)
    at_joint = np.linalg.norm(points.rest - rest[own_place], axis=-1) < 1e-6
    j = model.num_joints
    world, place, turns = np.empty((j, 3, 3)), np.empty((j, 3)), np.tile(np.eye(3), (j, 1, 1))
    torso = [k for k, name in enumerate(model.joint_names)
             if name in ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_collar",
                         "right_collar", "left_shoulder", "right_shoulder")]  # fmt: skip
    for k, parent in enumerate(model.parents):
        if parent < 0:
            mine = np.isin(owner, torso) if np.isin(owner, torso).sum() >= 3 else np.ones(len(owner), bool)
            middle, aim = points.rest[mine].mean(0), targets[mine].mean(0)
            world[k] = _kabsch(points.rest[mine] - middle, targets[mine] - aim, np.eye(3), 0.0)
            place[k] = world[k] @ (rest[k] - middle) + aim
            turns[k] = world[k]
            continue
        place[k] = place[parent] + world[parent] @ (rest[k] - rest[parent])
        children = [c for c, p in enumerate(model.parents) if p == k]
        mine = ((owner == k) & ~at_joint) | (at_joint & np.isin(own_place, children))
        here = at_joint & (own_place == k)
        world[k] = world[parent]
        if free[k] and mine.any():
            aim = targets[here][0] if here.any() else place[k]
            arms = points.rest[mine] - rest[k]
            world[k] = _kabsch(arms, targets[mine] - aim, world[parent], 0.05)
        turns[k] = world[parent].T @ world[k]
    return turns


def _kabsch(arms: np.ndarray, aims: np.ndarray, near: np.ndarray, pull: float) -> np.ndarray:
    """The rotation that brings arms to aims, as near to another as the points leave open."""
    spread = (arms**2).sum() + 1e-12
    u, _, vt = np.linalg.svd(aims.T @ arms / spread + pull * near)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return u @ sign @ vt
