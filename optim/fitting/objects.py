"""An object's pose and size from its mask, its mesh and the camera: hypotheses in one batch, the best ones refined.

Every hypothesis is a turn of the object; its place follows from the mask's area and middle, or from the body's
distance. All are drawn at half the target's side and judged; the best of different turns descend the energy below, a
few steps at half, then at the full side; the answers are judged without blur, and those that show the same surface
(symmetries) are merged.

Edges inside of the mask are judged, not followed: they tell which of two turns with one outline it is, but where a
picture's edges are those of shadows and patterns they would draw what the mask has placed off it.

The energy is in shares of the mask's area. Pixels that are the object must be covered, those that are neither the
object nor the person must not. On the person's pixels the object may be hidden, which costs a little, but not in front
of the body; where the object is seen, the body must not be in front of it. Size has a prior; the body's floor and the
body itself draw what is near them. A mask says what is across the line of sight; along it size, floor, touch and the
order in depth decide.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, einsum, face_normals, rotation_from_axis_angle, safe_norm
from hoijax.optim.fitting.object_starts import Hypotheses, choose_apart, hypothesis_rotations
from hoijax.optim.fitting.object_target import BODY_POINTS, SIDE, ObjectScene, ObjectShape, ObjectTarget
from hoijax.optim.programs import Ahead, plain_options
from hoijax.render import blur_images, rasterize

ArrayLike = jax.Array | np.ndarray

EDGE_BLUR = 0.02
"""Blur under which edges are compared, a share of the target's side."""
STEP = 0.05
"""Step in depth between two pixels that is an edge, a share of the object's diagonal."""
COARSE = 60
"""Pixels of a side beyond which differences are pooled before they are blurred: pixels are finer than the blur."""
MOSTLY_INSIDE = 0.3
"""Share of the mask that must lie off its outline for edges to count in full."""


@dataclasses.dataclass(frozen=True)
class ObjectFitConfig:
    """How an object is searched for; static."""

    hypotheses: Hypotheses = dataclasses.field(default_factory=Hypotheses)
    """The turns."""
    placings: int = 3
    """Rounds of putting each hypothesis where the mask's area and middle want it."""
    kept: tuple[int, int] = (64, 10)
    """Hypotheses that descend at half the target's side, and then at the full one."""
    steps: tuple[int, int] = (5, 14)
    """Steps of Levenberg-Marquardt of each."""
    blur: tuple[float, float, float] = (0.035, 0.025, 0.008)
    """Of the masks, shares of the target's side: at the first step, where the full side begins, at the last one."""
    size_std: float = 0.1
    """Standard deviation of the logarithm of the object's size about its mesh's."""
    size_weight: float = 0.02
    """Cost of a size that is off by one of them."""
    hiding: float = 0.07
    """Cost of what is hidden behind the person."""
    order: float = 1.0
    """Cost of standing before the person where the person is seen, or behind where the object is."""
    depth_slack: float = 0.1
    """Metres by which depths may be in the wrong order without a cost: hands reach around things, bodies are fitted."""
    floor: float = 0.05
    """Cost of not standing on the floor; it ends to grow about a decimetre above `floor_slack`."""
    touch: float = 0.05
    """Cost of not touching the body, likewise beyond `touch_slack`."""
    floor_slack: float = 0.1
    """Metres about the floor that cost nothing: upwards is a guess, and large things reach far from the body's feet."""
    touch_slack: float = 0.02
    """Metres from the body that cost nothing, beside what the surfaces' points are apart."""
    edges: float = 0.04
    """Cost of edges inside of the mask that are not at all where the mesh has creases and steps."""
    upright: float = 0.0
    """Cost of lying on a side, half that of being upside down: decides between nearly equal answers."""
    same: float = 0.03
    """Answers whose surfaces are nearer to each other than this, in diagonals, are one."""

    def __post_init__(self):
        if min(self.kept) < 1 or min(self.steps) < 1 or self.placings < 1 or self.kept[0] > self.hypotheses.count:
            raise InputError(f"an object fit needs at least one hypothesis, placing and step, got {self}")
        if not min(self.size_std, self.depth_slack, self.same, *self.blur) > 0:
            raise InputError(f"blur, standard deviations and `same` must be above zero, got {self}")
        if min(self.size_weight, self.hiding, self.order, self.floor, self.touch, self.edges, self.upright) < 0:
            raise InputError(f"costs must not be negative, got {self}")


@struct.dataclass
class ObjectFit:
    """K answers, the best first; camera frame, metres."""

    pose: RigidPose
    """From the mesh's own frame, (K)."""
    cost: Float[ArrayLike, "K"] | Any
    """Energy without blur, shares of the mask's area."""
    overlap: Float[ArrayLike, "K"] | Any
    """Intersection over union of what is drawn and the mask, where something is known."""
    same: Bool[ArrayLike, "K"] | Any
    """Which show the surface of the best one: symmetric answers."""
    margin: Float[ArrayLike, ""] | Any
    """How much more the best of the others costs; infinite if there is none, negative where one costs less."""

    @property
    def confidence(self) -> jax.Array:
        """Overlap of the best, times how clearly it is the best, in [0, 1]."""
        # Who is best by more than cost, as in a joint fit, may cost more than another: then it is not clear at all.
        return self.overlap[0] * (0.5 + 0.5 * (1 - jnp.exp(-jnp.maximum(self.margin, 0.0) / 0.05)))

    @property
    def best(self) -> RigidPose:
        """The first answer's pose."""
        return jax.tree.map(lambda x: x[0], self.pose)


@struct.dataclass
class _Place:
    """Hypotheses: orientation and middle of the object."""

    rotation: Any  # (N, 3, 3)
    middle: Any  # (N, 3)
    size: Any  # (N,)


def fit_object(
    shape: ObjectShape,
    target: ObjectTarget,
    scene: ObjectScene,
    config: ObjectFitConfig = ObjectFitConfig(),
    more: Float[ArrayLike, "M 3 3"] | None = None,
) -> ObjectFit:
    """An object's pose from its mask. Pure: for `jit` (with `config` static) and `vmap`.

    Args:
      shape: of `object_shape`.
      target: of `object_target`.
      scene: of `object_scene`.
      config: how to search.
      more: further turns to try, camera frame, such as a box network's; None: none.
    """
    shape, target, scene = (jax.tree.map(jnp.asarray, x) for x in (shape, target, scene))
    turns = hypothesis_rotations(scene.up, config.hypotheses)
    if more is not None:
        turns = jnp.concatenate([jnp.asarray(more, turns.dtype), turns])
    half, near = _halved(target, scene)
    start, cost = _place_all(shape, half, near, turns, config)
    first, second, last = config.blur
    start = _take(start, choose_apart(cost, start.rotation, config.kept[0], np.radians(14.0)))
    start, cost = _descend(start, shape, half, near, config, config.steps[0], (first, second))
    start = _take(start, choose_apart(cost, start.rotation, config.kept[1], np.radians(10.0)))
    start = _slide(start, shape, half, near, config)
    start, _ = _descend(start, shape, target, scene, config, config.steps[1], (second, last))
    cost, overlap = _judge(start, shape, target, scene, config)
    order = jnp.argsort(jnp.where(jnp.isfinite(cost), cost, jnp.inf))
    place, cost, overlap = _take(start, order), cost[order], overlap[order]
    same = _same(place, shape) < config.same
    rest = jnp.where(same, jnp.inf, cost)
    offset = einsum("nij,j->ni", place.rotation, shape.centre) * place.size[:, None]
    pose = RigidPose(rotation=place.rotation, translation=place.middle - offset, scale=place.size)
    return ObjectFit(pose, cost, overlap, same, jnp.min(rest) - cost[0])


fit_object_compiled = functools.partial(jax.jit, static_argnames="config")(fit_object)


@functools.cache
def _fit_object_plain() -> Callable[..., ObjectFit]:
    """`fit_object_compiled` of which less is to be compiled."""
    return jax.jit(fit_object, static_argnames="config", compiler_options=plain_options())


def fit_object_ahead(shape: ObjectShape, config: ObjectFitConfig, turns: int = 0) -> Ahead:
    """`fit_object` of one object, being compiled from now on: call it with shape, target, scene and `more=`.

    Args:
      shape: the object's.
      config: how to search.
      turns: how many further turns will be given; 0: None is.
    """
    number = functools.partial(jax.ShapeDtypeStruct, dtype=np.float32)
    square = number((SIDE, SIDE))
    target = ObjectTarget(square, square, square, square, square, number((4,)), number((3, 3)))
    scene = ObjectScene(square, number((BODY_POINTS, 3)), number(()), number((3,)), number(()))
    more = number((turns, 3, 3)) if turns else None
    return Ahead(_fit_object_plain(), {"config": config}, shape, target, scene, more=more)


def _halved(target: ObjectTarget, scene: ObjectScene) -> tuple[ObjectTarget, ObjectScene]:
    """Both at half the side; a pixel's depth of the body is the nearest of four."""
    size = target.covered.shape[0] // 2

    def fours(x):
        return x.reshape(size, 2, size, 2).transpose(0, 2, 1, 3).reshape(size, size, 4)

    known = fours(target.valid)
    covered = jnp.sum(fours(target.covered) * known, axis=-1) / jnp.maximum(jnp.sum(known, axis=-1), 1e-3)
    matrix = target.matrix * jnp.asarray([[0.5], [0.5], [1.0]], target.matrix.dtype)
    means = {name: jnp.mean(fours(getattr(target, name)), axis=-1) for name in ("hidden", "edges", "inside")}
    small = target.replace(covered=covered, valid=jnp.mean(known, -1), matrix=matrix, **means)
    return small, scene.replace(depth=jnp.min(fours(scene.depth), axis=-1))


def _take(place: _Place, index: jax.Array) -> _Place:
    return jax.tree.map(lambda x: x[index], place)


def _camera(target: ObjectTarget) -> Camera:
    size = target.covered.shape
    return Camera(target.matrix, jnp.eye(4, dtype=target.matrix.dtype), (int(size[0]), int(size[1])))


@struct.dataclass
class _Drawing:
    """What hypotheses look like, (N, S, S)."""

    mask: Any
    depth: Any
    edges: Any
    """0 to 1: creases by their angle, steps in depth."""


def _draw(place: _Place, shape: ObjectShape, target: ObjectTarget) -> _Drawing:
    camera = _camera(target)

    def one(rotation, middle, size):
        moved = size * einsum("ij,vj->vi", rotation, shape.vertices)
        moved = moved + jnp.broadcast_to(middle, moved.shape)
        seen = rasterize(moved, shape.faces, camera)
        normals = face_normals(moved, shape.faces)
        return seen.depth, normals[jnp.maximum(seen.face_id, 0)]

    depth, normals = jax.vmap(one)(place.rotation, place.middle, place.size)
    seen = jnp.isfinite(depth)
    step = STEP * shape.diagonal * place.size[:, None, None]
    return _Drawing(seen.astype(depth.dtype), depth, _find_edges(jnp.where(seen, depth, 0.0), normals, seen, step))


def _find_edges(depth: jax.Array, normals: jax.Array, seen: jax.Array, step: jax.Array) -> jax.Array:
    """Between neighbours that both see the object: how much it turns, up to sixty degrees, or 1 for a step in depth."""
    edges = jnp.zeros_like(depth)
    for axis in (1, 2):
        here, there = (
            lambda x, k=k, axis=axis: jax.lax.slice_in_dim(x, k, x.shape[axis] - 1 + k, axis=axis) for k in (0, 1)
        )
        # Faces may wind either way: a crease turns by less than a right angle or is seen as one.
        turn = 2.0 * (1.0 - jnp.abs(jnp.sum(here(normals) * there(normals), axis=-1)))
        far = jnp.abs(here(depth) - there(depth)) > step
        strength = jnp.where(here(seen) & there(seen), jnp.where(far, 1.0, jnp.clip(turn, 0.0, 1.0)), 0.0)
        for before in (0, 1):
            pads = [(0, 0)] * 3
            pads[axis] = (before, 1 - before)
            edges = jnp.maximum(edges, jnp.pad(strength, pads))
    return edges


def _moments(weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum (N,) and mean pixel (N, 2) of images (N, S, S)."""
    size = weights.shape[-1]
    centres = jnp.arange(size, dtype=weights.dtype) + 0.5
    total = jnp.sum(weights, axis=(-2, -1))
    x, y = einsum("...ij,j->...", weights, centres), einsum("...ij,i->...", weights, centres)
    return total, jnp.stack([x, y], axis=-1) / jnp.maximum(total, 1e-6)[..., None]


def _place_all(
    shape: ObjectShape, target: ObjectTarget, scene: ObjectScene, turns: jax.Array, config: ObjectFitConfig
) -> tuple[_Place, jax.Array]:
    """Every turn where its mask has the target's middle, and the energy there.

    Of two distances the cheaper: that at which the seen part of the mask has the target's area, and the body's, which
    is better for objects that the picture cuts off.
    """
    matrix, side = target.matrix, target.covered.shape[0]
    area, middle = _moments((target.valid * target.covered)[None])
    area, middle = jnp.maximum(area[0], 1.0), middle[0]
    guess = 0.5 * matrix[0, 0] * shape.diagonal / jnp.sqrt(area)
    body = jnp.where(scene.present > 0, jnp.mean(scene.points[:, 2]), guess)

    def place(at, depth):
        x = (at[:, 0] - matrix[0, 2]) / matrix[0, 0]
        y = (at[:, 1] - matrix[1, 2]) / matrix[1, 1]
        return _Place(turns, depth[:, None] * jnp.stack([x, y, jnp.ones_like(x)], axis=1), jnp.ones_like(depth))

    def settle(best, run):
        first, by_area = run

        def step(carry, _):
            at, depth = carry
            mask = _draw(place(at, depth), shape, target).mask
            seen, mean = _moments(mask * target.valid[None])
            shift = jnp.where((seen > 0.5)[:, None], middle[None] - mean, 0.0)
            factor = jnp.clip(jnp.sqrt(jnp.maximum(seen, 0.25) / area), 0.6, 1.6)
            return (at + jnp.clip(shift, -0.5 * side, 0.5 * side), depth * jnp.where(by_area, factor, 1.0)), None

        start = jnp.broadcast_to(middle, (*turns.shape[:1], 2)), jnp.broadcast_to(first, turns.shape[:1])
        (at, depth), _ = jax.lax.scan(step, start, None, config.placings)
        found = place(at, depth)
        cost = _energy(found, shape, target, scene, config, config.blur[0])
        better = cost < best[1]
        middle_of = jnp.where(better[:, None], found.middle, best[0].middle)
        return (found.replace(middle=middle_of), jnp.minimum(cost, best[1])), None

    nowhere = place(jnp.broadcast_to(middle, (*turns.shape[:1], 2)), jnp.broadcast_to(guess, turns.shape[:1]))
    runs = jnp.stack([guess, body]), jnp.asarray([True, False])
    return jax.lax.scan(settle, (nowhere, jnp.full(turns.shape[0], jnp.inf, guess.dtype)), runs)[0]


def _slide(
    start: _Place, shape: ObjectShape, target: ObjectTarget, scene: ObjectScene, config: ObjectFitConfig
) -> _Place:
    """Each hypothesis at the best of several sizes, moved along its ray so that the picture stays.

    Floor, touch and order in depth reach a decimetre; a size that is known to a fifth leaves more than that open.
    """
    logs = jnp.asarray(config.size_std * np.linspace(-2.0, 2.0, 13), start.size.dtype)

    def at(log):
        factor = jnp.exp(log)
        place = start.replace(middle=start.middle * factor, size=start.size * factor)
        return place, _judge(place, shape, target, scene, config)[0]

    places, costs = jax.lax.map(at, logs)
    best = jnp.argmin(costs, axis=0)
    return jax.tree.map(lambda x: x[best, jnp.arange(best.shape[0])], places)


def _moved(change: jax.Array, place: _Place) -> _Place:
    """Changes (N, 7): turn, direction of the middle, logarithms of distance at one size and of size at one picture."""
    rotation = einsum("nij,njk->nik", rotation_from_axis_angle(change[:, :3]), place.rotation)
    depth = place.middle[:, 2] * jnp.exp(change[:, 5] + change[:, 6])
    slope = place.middle[:, :2] / place.middle[:, 2:] + change[:, 3:5]
    middle = depth[:, None] * jnp.concatenate([slope, jnp.ones_like(slope[:, :1])], axis=1)
    return _Place(rotation, middle, place.size * jnp.exp(change[:, 6]))


def _residuals(
    place: _Place,
    shape: ObjectShape,
    target: ObjectTarget,
    scene: ObjectScene,
    config: ObjectFitConfig,
    blur: float | jax.Array,
) -> jax.Array:
    """Residuals (N, M) whose squared sum is the energy."""
    drawn = _draw(place, shape, target)
    mask, depth, side = drawn.mask, drawn.depth, target.covered.shape[0]
    area = jnp.sqrt(jnp.maximum(jnp.sum(target.valid * target.covered), 1.0))
    hidden, behind = _order_costs(mask, depth, target, scene, config)
    wrong = jnp.stack([target.valid[None] * (mask - target.covered[None]), jnp.sqrt(hidden), jnp.sqrt(behind)])
    wrong = _pool(wrong) if side > COARSE else wrong
    images = blur_images(wrong[:2], blur * wrong.shape[-1]) + jnp.stack([jnp.zeros_like(wrong[2]), wrong[2]])
    # As many squares as pixels: a pooled one stands for four.
    images = jnp.moveaxis(images, 0, 1).reshape(mask.shape[0], -1) * (side / wrong.shape[-1]) / area
    size = math.sqrt(config.size_weight) / config.size_std * jnp.log(place.size)
    floor, touch = _distances(place, shape, scene, config)
    near = [math.sqrt(w) * x / jnp.sqrt(1 + x * x) for w, x in ((config.floor, floor), (config.touch, touch))]
    rest = jnp.stack([size, *(scene.present * x for x in near)], axis=1)
    return jnp.concatenate([images, rest], axis=1)


def _energy(place, shape, target, scene, config, blur) -> jax.Array:
    return jnp.sum(jnp.square(_residuals(place, shape, target, scene, config, blur)), axis=1)


def _judge(
    place: _Place, shape: ObjectShape, target: ObjectTarget, scene: ObjectScene, config: ObjectFitConfig
) -> tuple[jax.Array, jax.Array]:
    """Energy without blur (N,), in which the masks' difference counts as 1 - overlap, and overlap (N,)."""
    drawn = _draw(place, shape, target)
    mask, depth = drawn.mask, drawn.depth
    area = jnp.maximum(jnp.sum(target.valid * target.covered), 1.0)
    both = jnp.sum(target.valid[None] * jnp.minimum(mask, target.covered[None]), axis=(1, 2))
    either = jnp.sum(target.valid[None] * jnp.maximum(mask, target.covered[None]), axis=(1, 2))
    overlap = both / jnp.maximum(either, 1.0)
    cost = 1 - overlap + sum(jnp.sum(x, axis=(1, 2)) for x in _order_costs(mask, depth, target, scene, config)) / area
    cost += config.size_weight * jnp.square(jnp.log(place.size) / config.size_std)
    cost += _edge_cost(drawn.edges, target, config)
    cost += config.upright * (1 - einsum("ni,i->n", place.rotation[:, :, 1], scene.up))
    near = [
        w * x * x / (1 + x * x) for w, x in zip((config.floor, config.touch), _distances(place, shape, scene, config))
    ]
    return cost + scene.present * (near[0] + near[1]), overlap


def _edge_cost(edges: jax.Array, target: ObjectTarget, config: ObjectFitConfig) -> jax.Array:
    """Cost of edges (N,), times 1 less their correlation with the picture's.

    Both are seen inside of the mask alone, under a blur. An object of thin parts has little inside, which says little.
    """
    inside, seen = target.inside[None], target.edges[None]
    if inside.shape[-1] > COARSE:
        inside, seen, edges = _pool(inside), _pool(inside * seen), _pool(inside * edges)
    blur = EDGE_BLUR * inside.shape[-1]

    def normal(images):
        images = blur_images(inside * images, blur)
        mean = jnp.sum(inside * images, axis=(1, 2), keepdims=True) / jnp.maximum(jnp.sum(inside), 1.0)
        images = (jnp.sqrt(inside) * (images - mean)).reshape(images.shape[0], -1)
        return images / jnp.maximum(safe_norm(images)[:, None], 1e-6)

    area = jnp.maximum(jnp.sum(target.valid * target.covered), 1.0)
    weight = config.edges * jnp.clip(jnp.sum(target.inside) / area / MOSTLY_INSIDE, 0.0, 1.0)
    return 0.5 * weight * jnp.sum(jnp.square(normal(edges) - normal(seen)), axis=1)


def _pool(images: jax.Array) -> jax.Array:
    """Means of two by two pixels."""
    size = images.shape[-1] // 2
    return jnp.mean(images.reshape(*images.shape[:-2], size, 2, size, 2), axis=(-3, -1))


def _order_costs(mask, depth, target, scene, config):
    """Costs (N, S, S) of what the person hides, and of what is seen although the body is before it."""
    both = (mask > 0) & jnp.isfinite(scene.depth)[None]
    gap = (jnp.where(both, scene.depth[None], 0.0) - jnp.where(both, depth, 0.0)) / config.depth_slack
    ahead, behind = (jnp.where(both, jax.nn.sigmoid(3.0 * (x - 1.0)), 0.0) for x in (gap, -gap))
    hidden = target.hidden[None] * mask * (config.hiding + (config.order - config.hiding) * ahead)
    return hidden, (target.valid * target.covered)[None] * behind * config.order


def _distances(place, shape, scene, config):
    """Height (N,) of the lowest point over the floor and distance (N,) of the nearest one from the body, 8 cm units,
    both less their slack.

    Nothing forbids to be far below the floor: people lie and sit on things, and then their lowest point is no floor.
    """
    points = place.size[:, None, None] * einsum("nij,pj->npi", place.rotation, shape.points)
    points = points + jnp.broadcast_to(place.middle[:, None], points.shape)
    height = jnp.min(einsum("npi,i->np", points, scene.up), axis=1) - scene.floor
    gap = points[:, :, None] - jnp.broadcast_to(scene.points[None, None], (*points.shape[:2], *scene.points.shape))
    touch = jnp.min(safe_norm(gap), axis=(1, 2)) - shape.spacing - config.touch_slack
    return jax.nn.relu(jnp.abs(height) - config.floor_slack) / 0.08, jax.nn.relu(touch) / 0.08


def _descend(
    start: _Place,
    shape: ObjectShape,
    target: ObjectTarget,
    scene: ObjectScene,
    config: ObjectFitConfig,
    steps: int,
    blur: tuple[float, float],
) -> tuple[_Place, jax.Array]:
    """Levenberg-Marquardt from every hypothesis at once; where each came to, and its energy without blur.

    Derivatives are central differences over about a pixel: masks are drawn by one hard pass each, and a mask's true
    derivative at one place says less about where it goes than what becomes of it a pixel farther.
    """
    count, dtype = start.size.shape[0], start.size.dtype
    # A radian's worth of the other unknowns: half the object's angle seen, a share of its distance and of its size.
    angle = 0.5 * shape.diagonal / start.middle[:, 2]
    share = jnp.broadcast_to(jnp.asarray([1.0, 1.0], dtype), (count, 2))
    unit = jnp.concatenate([jnp.ones((count, 3), dtype), angle[:, None], angle[:, None], share], axis=1)
    around = np.concatenate([np.zeros((1, 7)), np.eye(7), -np.eye(7)]).astype(np.float32)

    def residuals(u, blur):
        rows = u.shape[0] // count
        many = jax.tree.map(lambda x: jnp.tile(x, (rows, *[1] * (x.ndim - 1))), start)
        return _residuals(_moved(u * jnp.tile(unit, (rows, 1)), many), shape, target, scene, config, blur)

    def step(carry, blur):
        u, damping = carry
        width = jnp.maximum(0.7 * blur, 5.0 / target.covered.shape[0])  # a pixel at the object's rim at least
        probes = u[None] + width * jnp.broadcast_to(jnp.asarray(around)[:, None], (15, *u.shape))
        r = residuals(probes.reshape(-1, 7), blur).reshape(15, count, -1)
        jacobian = (r[1:8] - r[8:]) / (2 * width)
        normal = einsum("inm,jnm->nij", jacobian, jacobian)
        slope = einsum("inm,nm->ni", jacobian, r[0])
        lift = damping[:, None] * (einsum("nii->ni", normal) + 1e-2)
        change = jnp.linalg.solve(normal + lift[:, :, None] * jnp.eye(7, dtype=dtype)[None], -slope[..., None])[..., 0]
        change = jnp.clip(jnp.where(jnp.isfinite(change), change, 0.0), -0.4, 0.4)
        before, after = (jnp.sum(jnp.square(x), axis=-1) for x in (r[0], residuals(u + change, blur)))
        better = after < before
        damping = jnp.clip(damping * jnp.where(better, 0.3, 5.0), 1e-3, 1e3)
        return (jnp.where(better[:, None], u + change, u), damping), None

    blurs = jnp.asarray(np.geomspace(*blur, steps), dtype)
    carry = jnp.zeros((count, 7), dtype), jnp.full(count, 0.05, dtype)
    (u, _), _ = jax.lax.scan(step, carry, blurs)
    place = _moved(u * unit, start)
    return place, _judge(place, shape, target, scene, config)[0]


def _same(place: _Place, shape: ObjectShape) -> jax.Array:
    """How far (K,) each answer's surface is from the best one's, in diagonals: the 95 % point of the distances of both
    surfaces' points to the other's, less what sampling makes of it.

    Directions and sizes alone: a place that differs is the same answer.
    """
    points = place.size[:, None, None] * einsum("nij,pj->npi", place.rotation, shape.points)
    gap = safe_norm(points[:, :, None] - jnp.broadcast_to(points[:1, None], (points.shape[0], 1, *points.shape[1:])))
    nearest = jnp.concatenate([jnp.min(gap, axis=1), jnp.min(gap, axis=2)], axis=1)
    far = jnp.sort(nearest, axis=1)[:, int(0.95 * nearest.shape[1])]
    spacing = jnp.max(jnp.min(gap[0] + jnp.where(jnp.eye(gap.shape[1], dtype=bool), jnp.inf, 0.0), axis=1))
    return jnp.maximum(far - spacing, 0.0) / shape.diagonal
