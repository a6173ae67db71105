"""A body fitted to a surface of its own, such as the person cut out of a generated mesh: similarity, pose and shape.

Seven unknowns place the body (turn, translation, one scale), the others are its joints and betas in standard deviations
of the prior. Points are matched both ways by place and normal, residuals are the distances along the normal and, less
weighted, in space, under a robust loss that tightens (Geman and McClure), so that hair, what covers the person and what
is missing pull little. Where a fit begins decides where it ends: every pose of the bank, upright and lying, is tried in
many directions by its Chamfer distance, the best are fitted coarsely, of these the best finely. Scale needs no start: a
person's surface has about the same area in every pose.

    body = prepare_surface_body(free_body())
    target = surface_target(vertices, faces)
    fit = fit_surface(body, target)           # fit_surfaces for many, by one program
    pose_body(model, fit.params).vertices * fit.scale
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel, BodyParams, pose_body, subset
from hoijax.errors import InputError
from hoijax.geometry import axis_angle_from_rotation, einsum, rotation_from_axis_angle, safe_normalize, vertex_normals
from hoijax.optim.fitting.least_squares import levenberg_marquardt
from hoijax.optim.fitting.prior import PosePrior, pose_bank, pose_prior
from hoijax.optim.fitting.unknowns import MOST_BETAS
from hoijax.optim.programs import Program

ArrayLike = jax.Array | np.ndarray

_NORMAL_STEP = 0.01  # metres from a vertex to the tip of its normal
_COARSE, _FINE = 300, 1400  # vertices of the body that are matched
_FACE_JOINTS = {"jaw", "left_eye_smplhf", "right_eye_smplhf"}


@dataclasses.dataclass(frozen=True)
class SurfaceFitConfig:
    """How a body is fitted to a surface."""

    yaws: int = 16
    """Directions in which each pose is tried, upright; half as many lying on either side."""
    lying: bool = True
    """Whether lying bodies are tried."""
    bent: float = 0.7
    """Angle by which bodies that lean forward are tried too, in as many directions as upright ones, radians; 0: none.
    Who lifts something from the floor turns the pelvis, which no pose of the bank does."""
    kept: tuple[int, int] = (6, 2)
    """Starts that are fitted coarsely, and of these finely."""
    steps: tuple[int, int] = (18, 30)
    """Evaluations of the coarse and of the fine fit."""
    sigma: float = 0.01
    """Distance that counts as one, metres of the body."""
    evidence: float = 400.0
    """Independent distances that the points of either direction are worth, against the prior's standard deviations."""
    tangent: float = 0.3
    """Weight of distances in space against those along the normal."""
    backward: float = 0.5
    """Weight of the body's points against the surface's: parts of the body may not be in the surface."""
    reach: tuple[float, float] = (0.3, 0.03)
    """Scale of the robust loss at first and at last, metres."""
    normal: float = 0.08
    """Metres that two opposite normals are apart by half, when points are matched."""
    pose: bool = True
    """False: the pose and the shape of the start stay, seven unknowns (the paper's)."""


@struct.dataclass
class SurfaceTarget:
    """Points of a surface with unit normals that point out of it."""

    points: Float[ArrayLike, "N 3"] | Any
    normals: Float[ArrayLike, "N 3"] | Any
    area: Float[ArrayLike, ""] | Any
    """Of the whole surface, in its own unit squared."""


@struct.dataclass
class SurfaceBody:
    """A body made ready for fits to surfaces."""

    coarse: BodyModel
    """Few vertices, then the tips of their normals."""
    fine: BodyModel
    """More of them."""
    prior: PosePrior
    bank: Float[ArrayLike, "P J 3"] | Any
    """Poses to begin with, rotation vectors."""
    area: Float[ArrayLike, ""] | Any
    """Of the mean shape's surface, square metres."""
    joints: tuple[int, ...] = struct.field(pytree_node=False)
    """Joints that are fitted."""
    num_betas: int = struct.field(pytree_node=False)


@struct.dataclass
class SurfaceFit:
    """A body on a surface: `scale` times the body of `params` lies in the surface's frame."""

    params: BodyParams
    scale: Float[ArrayLike, ""] | Any
    cost: Float[ArrayLike, ""] | Any
    """Of the fine fit; infinite where nothing could be fitted."""
    start: Int[ArrayLike, ""] | Any
    """Which start it came from."""

    @property
    def similarity(self) -> Float[jax.Array, "4 4"]:
        """The body's frame to the surface's."""
        return jnp.diag(jnp.stack([self.scale] * 3 + [jnp.ones_like(self.scale)]))


def surface_target(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], *, count: int = 1400, seed: int = 0
) -> SurfaceTarget:
    """Samples a surface evenly by area; on the host.

    Raises:
      InputError: no area, or numbers that are not finite.
    """
    corners = np.asarray(vertices, np.float64)[np.asarray(faces)]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double = np.linalg.norm(cross, axis=1)
    if not len(corners) or not np.isfinite(double).all() or double.sum() <= 0:
        raise InputError(f"a surface of {len(corners)} faces has no area to fit a body to, or is not finite")
    rng = np.random.default_rng(seed)
    places = (np.arange(count) + rng.random(count)) / count
    face = np.searchsorted(np.cumsum(double) / double.sum(), places).clip(0, len(double) - 1)
    u, v = np.sqrt(rng.random(count)), rng.random(count)
    share = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    points = np.einsum("nk,nkc->nc", share, corners[face])
    order = rng.permutation(count)  # so that the first few are spread over all of the surface
    normals = cross[face] / double[face, None]
    return SurfaceTarget(
        points[order].astype(np.float32), normals[order].astype(np.float32), np.float32(0.5 * double.sum())
    )


def prepare_surface_body(model: BodyModel, *, fingers: bool = False) -> SurfaceBody:
    """Makes a body ready; on the host, once.

    Args:
      model: free body, SMPL, SMPL-H or SMPL-X.
      fingers: whether finger joints are fitted: fused surfaces seldom have fingers.

    Raises:
      InputError: a MANO hand, or a model without the field's joint names.
    """
    if model.kind == "mano" or not {"pelvis", "left_hip", "left_shoulder"} <= set(model.joint_names):
        raise InputError(f"a {model.kind} model is no body; fit a free body, SMPL, SMPL-H or SMPL-X to a surface")
    plain = model.replace(colors=None, landmarks=())
    vertices, faces = np.asarray(model.v_template, np.float64), np.asarray(model.faces)
    corners = vertices[faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(faces.reshape(-1), np.repeat(area / 3, 3), len(vertices))
    normals = np.asarray(vertex_normals(np.asarray(model.v_template), faces))
    rng = np.random.default_rng(0)
    # Weighted sampling without replacement (Efraimidis and Spirakis 2006): even by area, hands and face no denser.
    keys = rng.exponential(size=len(vertices)) / np.maximum(share, 1e-12)
    order = np.argsort(keys)

    def points(count: int) -> BodyModel:
        """A model of some vertices and the tips of their normals, which skin like them."""
        ids = np.sort(order[: min(count, int((share > 0).sum()))])
        part = subset(plain, ids)
        tips = np.asarray(part.v_template) + _NORMAL_STEP * normals[ids]
        basis = part.pose_basis
        return part.replace(
            v_template=np.concatenate([part.v_template, tips.astype(np.float32)]),
            shape_dirs=np.concatenate([part.shape_dirs] * 2),
            skin_weights=np.concatenate([part.skin_weights] * 2),
            pose_basis=None if basis is None else np.concatenate([basis] * 2, axis=-1),
            faces=np.zeros((0, 3), np.int32),
        )

    is_finger = [name[-1] in "123" and not name.startswith("spine") for name in model.joint_names]
    joints = tuple(
        i
        for i, name in enumerate(model.joint_names)
        if i and name not in _FACE_JOINTS and (fingers or not is_finger[i])
    )
    return SurfaceBody(
        coarse=points(_COARSE), fine=points(_FINE), prior=pose_prior(model), bank=pose_bank(model),
        area=np.float32(area.sum()), joints=joints, num_betas=min(MOST_BETAS, model.num_betas - model.num_expression),
    )  # fmt: skip


def fit_surface(
    body: SurfaceBody,
    target: SurfaceTarget,
    initial: BodyParams | None = None,
    config: SurfaceFitConfig | None = None,
    *,
    quick: bool = False,
) -> SurfaceFit:
    """Fits a body to one surface; compiled once for each number of points and config.

    Args:
      body: of `prepare_surface_body`.
      target: of `surface_target`, y up.
      initial: a body to begin with, such as the photograph's fit of a rendered front view, in metres, y up; its place
        does not count, its pose, shape and orientation do. None: the bank's poses.
      config: how.
      quick: compile fast rather than well, for few surfaces.

    Raises:
      InputError: numbers that are not finite.
    """
    if not all(np.isfinite(np.asarray(x)).all() for x in (target.points, target.normals, target.area)):
        raise InputError("the surface has points that are not finite; nothing can be fitted to it")
    config = SurfaceFitConfig() if config is None else config
    fit = _fit(body, target, initial, config, quick=quick)
    if not np.isfinite(np.asarray(fit.cost)):
        raise InputError("no body could be fitted to the surface: every start ended in numbers that are not finite")
    return jax.tree.map(np.asarray, fit)


def fit_surfaces(
    body: SurfaceBody, targets: Sequence[SurfaceTarget], config: SurfaceFitConfig | None = None, *, quick: bool = False
) -> tuple[dict[int, SurfaceFit], dict[int, str]]:
    """Fits a body to each of many surfaces, one after the other by one program.

    Returns:
      Fits by the place in the list, and what was wrong with the others, which do not keep any from being fitted.
    """
    fits, failures = {}, {}
    for index, target in enumerate(targets):
        try:
            fits[index] = fit_surface(body, target, config=config, quick=quick)
        except (InputError, ValueError) as error:
            failures[index] = str(error)
    return fits, failures


def _fitted(
    body: SurfaceBody, target: SurfaceTarget, initial: BodyParams | None, config: SurfaceFitConfig
) -> SurfaceFit:
    points, normals = jnp.asarray(target.points), jnp.asarray(target.normals)
    scale = jnp.sqrt(target.area / body.area)
    poses, turns, sizes = _starts(body, initial, config)
    shape = jnp.zeros(body.num_betas, points.dtype)
    if initial is not None:
        shape = jnp.asarray(initial.betas, points.dtype)[: body.num_betas]
    center = jnp.mean(points, axis=0)
    few = slice(0, _COARSE)

    def begin(pose: jax.Array, turn: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Unknowns of a start and its Chamfer distance."""
        z = _pose_unknowns(body, pose).at[6].set(size).at[-body.num_betas :].set(shape)
        own, _ = _placed(body, body.coarse, z, turn)
        z = z.at[3:6].set((center - scale * jnp.mean(own, axis=0)) / scale)
        own, tips = _placed(body, body.coarse, z, turn)
        forth, back = _match(points[few] / scale, normals[few], own, tips, config.normal)
        return z, jnp.mean(forth[0]) + jnp.mean(back[0])

    z, far = jax.lax.map(lambda start: begin(*start), (poses, turns, sizes), batch_size=32)
    number = min(config.kept[0], len(poses))
    if initial is None:
        far = _one_of_neighbours(far, config)
    best = jnp.argsort(far)[:number]

    def fit(z: jax.Array, turn: jax.Array, model: BodyModel, count: int, steps: int, reach: tuple[float, float]):
        """A fit from a start, by the first points of the target."""
        size = len(z) if config.pose else 7
        schedule = jnp.asarray(np.geomspace(*reach, steps), z.dtype)
        residuals = functools.partial(
            _residuals, body=body, model=model, rest=z[size:], turn=turn, points=points[:count] / scale,
            normals=normals[:count], config=config,
        )  # fmt: skip
        weights = _weights(config, count, model.v_template.shape[0] // 2)
        found = levenberg_marquardt(residuals, z[:size], schedule, loss=functools.partial(_robust, weights=weights))
        return jnp.concatenate([found.unknowns, z[size:]]), found.cost

    first, last = config.reach
    middle = (first * last) ** 0.5
    coarse, cost = jax.vmap(lambda i: fit(z[i], turns[i], body.coarse, _COARSE, config.steps[0], (first, middle)))(best)
    again = jnp.argsort(jnp.where(jnp.isfinite(cost), cost, jnp.inf))[: min(config.kept[1], number)]
    fine, cost = jax.vmap(
        lambda i: fit(coarse[i], turns[best[i]], body.fine, len(points), config.steps[1], (middle, last))
    )(again)
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)
    winner = jnp.argmin(cost)
    start = best[again[winner]]
    params, size = _params(body, fine[winner], turns[start])
    return SurfaceFit(params, scale * size, cost[winner], start)


_fit = Program(_fitted, static_argnums=(3,))


def _starts(
    body: SurfaceBody, initial: BodyParams | None, config: SurfaceFitConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rotation vectors (S, J, 3), orientations of the root (S, 3, 3), unknowns of the scale (S,)."""

    def turned(count: int, tilt: float) -> np.ndarray:
        """Orientations all round, of a body that is tilted about its left-right axis first."""
        yaw = 2 * np.pi * np.arange(count) / count
        c, s = np.cos(tilt), np.sin(tilt)
        return _yaw(yaw) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])

    if initial is not None:
        pose = jax.vmap(axis_angle_from_rotation)(jnp.asarray(initial.rotations))
        turns = jnp.einsum(
            "yij,jk->yik", jnp.asarray(_yaw(np.radians([0, 45, -45]))), jnp.asarray(initial.rotations)[0]
        )
        # Where a part of the person is missing, its area makes too small a body.
        sizes = jnp.repeat(jnp.asarray([0.0, 0.5], pose.dtype), 3)
        return jnp.broadcast_to(pose, (6, *pose.shape)), jnp.concatenate([turns, turns]), sizes
    every = np.concatenate([turned(*ring) for ring in _rings(config)]).astype(np.float32)
    bank = jnp.asarray(body.bank)
    poses = jnp.repeat(bank, len(every), axis=0)
    return poses, jnp.tile(jnp.asarray(every), (bank.shape[0], 1, 1)), jnp.zeros(len(poses), poses.dtype)


def _rings(config: SurfaceFitConfig) -> list[tuple[int, float]]:
    """How many directions all round are tried of each tilt."""
    lying = [(max(config.yaws // 2, 1), angle) for angle in (-np.pi / 2, np.pi / 2)] if config.lying else []
    return [(config.yaws, 0.0), *([(config.yaws, config.bent)] if config.bent else []), *lying]


def _one_of_neighbours(far: jax.Array, config: SurfaceFitConfig) -> jax.Array:
    """Distances of the starts, infinite where the next direction of the same pose and tilt is nearer: they would end in
    the same place, and other poses would not be tried."""
    counts = [count for count, _ in _rings(config)]
    rows = far.reshape(-1, sum(counts))
    rings = jnp.split(rows, np.cumsum(counts)[:-1], axis=1)
    kept = [
        jnp.where((x > jnp.roll(x, 1, axis=1)) | (x > jnp.roll(x, -1, axis=1)), jnp.inf, x) if x.shape[1] > 2 else x
        for x in rings
    ]
    return jnp.concatenate(kept, axis=1).reshape(-1)


def _yaw(angles: np.ndarray) -> np.ndarray:
    c, s, o, i = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    return np.stack([c, o, s, o, i, o, -s, o, c], axis=-1).reshape(-1, 3, 3).astype(np.float32)


def _pose_unknowns(body: SurfaceBody, pose: jax.Array) -> jax.Array:
    """Turn (3), translation in metres of the body (3), logarithm of the scale over its start, joints, betas."""
    chosen = np.asarray(body.joints)
    z = (pose[chosen] - jnp.asarray(body.prior.mean)[chosen]) / jnp.asarray(body.prior.std)[chosen]
    return jnp.concatenate([jnp.zeros(7, z.dtype), z.reshape(-1), jnp.zeros(body.num_betas, z.dtype)])


def _params(body: SurfaceBody, z: jax.Array, turn: jax.Array) -> tuple[BodyParams, jax.Array]:
    """Parameters, and the factor on the start's scale: a point of the surface is at `factor * start * body`."""
    model = body.coarse
    chosen = np.asarray(body.joints)
    mean, std = jnp.asarray(body.prior.mean), jnp.asarray(body.prior.std)
    last = 7 + 3 * len(chosen)
    vectors = mean.at[chosen].set(mean[chosen] + std[chosen] * z[7:last].reshape(-1, 3))
    root = einsum("ij,jk->ik", rotation_from_axis_angle(z[:3]), turn)
    rotations = jnp.concatenate([root[None], rotation_from_axis_angle(vectors[1:])])
    betas = jnp.zeros(model.num_betas, z.dtype).at[: body.num_betas].set(z[last:])
    factor = jnp.exp(0.3 * z[6])
    return BodyParams(rotations, betas, z[3:6] / factor), factor


def _placed(body: SurfaceBody, model: BodyModel, z: jax.Array, turn: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The body's points and their unit normals in the surface's frame over the start's scale."""
    params, factor = _params(body, z, turn)
    both = factor * pose_body(model, params).vertices
    count = both.shape[0] // 2
    return both[:count], jax.lax.stop_gradient(safe_normalize(both[count:] - both[:count]))


def _match(points, normals, own, tips, weight):
    """Nearest pairs both ways by place and normal: distance in space and index."""
    difference = points[:, None] - own[None]
    square = jnp.sum(difference * difference, axis=-1)
    metric = square + 0.5 * weight**2 * (1 - jnp.matmul(normals, tips.T, precision="highest"))
    forth, back = jnp.argmin(metric, axis=1), jnp.argmin(metric, axis=0)
    near = [jnp.take_along_axis(square, forth[:, None], 1)[:, 0], jnp.take_along_axis(square, back[None], 0)[0]]
    return (jnp.sqrt(near[0]), forth), (jnp.sqrt(near[1]), back)


def _weights(config: SurfaceFitConfig, count: int, own: int) -> np.ndarray:
    """What distances in metres are multiplied with, along the normal and three in space for each point."""
    shares = [(number, share) for number, share in ((count, 1.0), (own, config.backward))]
    row = np.array([1.0, *[config.tangent] * 3]) / config.sigma
    return np.concatenate([np.tile((share * config.evidence / n) ** 0.5 * row, n) for n, share in shares]).astype(
        np.float32
    )


def _residuals(z, *, body, model, rest, turn, points, normals, config):
    """Distances of both directions, then the unknowns that have a prior."""
    full = jnp.concatenate([z, rest])
    own, tips = _placed(body, model, full, turn)
    (_, forth), (_, back) = jax.lax.stop_gradient(_match(points, normals, own, tips, config.normal))
    rows = []
    for difference, normal in ((points - own[forth], tips[forth]), (own - points[back], normals[back])):
        plane = jnp.sum(difference * normal, axis=-1, keepdims=True)
        rows.append(jnp.concatenate([plane, difference], axis=1).reshape(-1))
    return jnp.concatenate([_weights(config, len(points), len(own)) * jnp.concatenate(rows), z[6:]])


def _robust(residuals, reach, *, weights):
    """Geman and McClure's loss of the distances, squares of the rest, which come last; `reach` in metres."""
    count = len(weights)
    square = jnp.square(residuals)
    ratio = reach * reach / (reach * reach + square[:count] / np.square(weights))
    value = jnp.sum(square[:count] * ratio) + jnp.sum(square[count:])
    return value, jnp.concatenate([ratio * ratio, jnp.ones_like(square[count:])])
