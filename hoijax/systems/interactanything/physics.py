"""Physics as judge: a candidate is let go for two seconds in MuJoCo (extra `[physics]`).

What is judged depends on what the contacts are for. Something that is held, worn or touched is free, and the person
stands like a statue: does it stay? Where the object bears the person, the person is let go as one rigid figure: does
the figure stay where it sits, lies or stands? Meshes collide as convex pieces: the body's segments as their hulls, the
object as CoACD cuts it (or, where that is not installed, as boxes of its distance grid).
"""

import dataclasses
import importlib.util
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid, build_solid_sdf, closest_on_mesh_host, position_ids
from hoijax.geometry.cutting import is_watertight
from hoijax.geometry.isosurface import isosurface
from hoijax.systems.interactanything.relations import Relations
from hoijax.systems.interactanything.system import Candidate, Prepared

SECONDS, STEP = 2.0, 0.002
"""How long a candidate is let go, and a step, seconds."""
MOVED, TILT = 0.06, np.radians(20.0)
"""How far what was let go may settle, metres, and turn, radians: a handle sinks into the hand that hooks it."""
REST = 0.005
"""How far it may move in the last tenth of the time, metres: it has come to rest."""
SQUEEZE = 0.004
"""How far off the skin a held object is already felt, metres: muscles press where a surface only touches."""
PRESS, SOFT = (0.01, 1.0), (0.02, 1.0)
"""MuJoCo's time constant and damping of contacts, of a grasp and of others. Pressed by `SQUEEZE`, a grasp pushes with
some four times the object's weight."""
FRICTION = 1.0
DENSITY, BODY_DENSITY = 300.0, 985.0
"""Kilograms per cubic metre; objects are mostly hollow."""
MOST_MASS = 12.0
"""Of what a person holds, kilograms: solid pieces weigh more than the things they stand for."""
PIECES = 24
"""Most convex pieces of a part that hangs together."""
MOST_PARTS = 80
"""An object in more parts than this is cut as a whole."""
CONVEX = 0.9
"""Share of its hull's volume from which a part counts as convex."""
SMALL = 0.15
"""A part shorter than this share of the whole object stays whole: its hull."""
HEAVY, SAMPLES = 1500, 28
"""CoACD remeshes what is open with some hundred thousand faces, and its time grows with them: an open part, and one of
more than this many faces, is cut as the surface of its distance grid, of so many samples a side."""
SLIM, SHEET = 1e-4, 0.008
"""A part whose hull has less than this times its length squared (metres) is a sheet, and how thick it is made."""


@dataclasses.dataclass(frozen=True)
class Physics:
    """What became of a candidate in two seconds."""

    holds: bool
    displacement: float
    """Of the middle of what was let go, metres."""
    turn: float
    """Of what was let go, radians."""
    touching: bool
    """Whether body and object touch at the end."""
    balance: float | None
    """How far the person's centre of mass is within what the feet stand on, metres; None: the feet bear nothing."""
    test: str
    """"grasp", "support" or "steady"."""

    @property
    def words(self) -> str:
        """One phrase."""
        kind = {"grasp": "the grasp", "support": "the support", "steady": "the object"}[self.test]
        if self.holds:
            return f"{kind} holds in physics ({100 * self.displacement:.1f} cm in 2 s)"
        why = (
            "loses touch" if not self.touching and self.test != "steady" else f"moves {100 * self.displacement:.0f} cm"
        )
        return f"{kind} does not hold in physics ({why}, turns {np.degrees(self.turn):.0f} degrees)"


def available() -> bool:
    """Whether MuJoCo is installed."""
    return importlib.util.find_spec("mujoco") is not None


def convex_pieces(mesh: Mesh, grid: SDFGrid | None = None) -> list[Float[np.ndarray, "N 3"]]:
    """An object as convex pieces, each by its corners.

    Parts that hang together are cut one by one, so that a handle stays open above a large case; those that are convex
    stay whole, as do small ones; flat ones get a thickness.

    Args:
      mesh: the object.
      grid: its distance grid, for when CoACD is not installed or fails.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    pieces: list[np.ndarray] = []
    small = SMALL * np.ptp(vertices[np.unique(faces)], axis=0).max()
    for part in _components(vertices, faces):
        corners = vertices[np.unique(part)]
        hull = _hull_volume(corners)
        if hull <= SLIM * np.ptp(corners, axis=0).max() ** 2:
            pieces.append(_thickened(corners))
        elif np.ptp(corners, axis=0).max() < small or _volume(vertices, part) > CONVEX * hull:
            pieces.append(corners)
        else:
            cut = _cut(vertices, part)
            if cut is None:
                return (grid_boxes(grid) if grid is not None else []) or [vertices]
            pieces += cut
    return pieces


def _components(vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """Faces of each part that hangs together; the whole where there are more than `MOST_PARTS`."""
    _, same = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    joined = same.reshape(-1)[faces]
    edges = np.concatenate([joined[:, [0, 1]], joined[:, [1, 2]]])
    size = int(joined.max()) + 1
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    label = connected_components(graph, directed=False)[1][joined[:, 0]]
    names = np.unique(label)
    return [faces] if len(names) > MOST_PARTS else [faces[label == n] for n in names]


def _hull_volume(points: np.ndarray) -> float:
    try:
        return float(ConvexHull(points).volume) if len(points) > 3 else 0.0
    except QhullError:
        return 0.0


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """What faces enclose if they are closed, whichever way they wind."""
    a, b, c = np.moveaxis(vertices[faces] - vertices[faces].mean(axis=(0, 1)), 1, 0)
    return abs(float(np.einsum("fc,fc->", a, np.cross(b, c)))) / 6


def _thickened(points: np.ndarray) -> np.ndarray:
    """Points of something flat, moved apart across it by `SHEET`."""
    centred = points - points.mean(axis=0)
    across = np.linalg.svd(centred, full_matrices=True)[2][-1]
    grown = np.concatenate([points + SHEET / 2 * across, points - SHEET / 2 * across])
    if _solid(grown):
        return grown
    return points.mean(axis=0) + SHEET / 2 * np.stack(np.meshgrid(*[[-1, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)


def _cut(vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray] | None:
    """A part cut into convex pieces; None without CoACD, or where it fails."""
    if importlib.util.find_spec("coacd") is None:
        return None
    import coacd

    coacd.set_log_level("error")
    try:
        *light, reach = _light(vertices, faces)
        parts = coacd.run_coacd(
            coacd.Mesh(*light), threshold=0.06, max_convex_hull=PIECES,
            preprocess_mode="auto", preprocess_resolution=40, resolution=800, mcts_iterations=40, mcts_nodes=10,
            mcts_max_depth=2, seed=1,
        )  # fmt: skip
    except (RuntimeError, InputError):
        return None
    found = [np.asarray(part[0], np.float64) for part in parts]
    if reach:
        found = [_drawn(points, vertices, faces, reach) for points in found]
        found = [p if _solid(p) else _thickened(p) for p in found if len(p) > 2]
    return [p for p in found if _solid(p)] or None


def _drawn(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, reach: float) -> np.ndarray:
    """Points moved to a surface that they are near to: on a grid sheets and boards are as thick as its cells."""
    nearest = closest_on_mesh_host(points.astype(np.float32), Mesh(vertices.astype(np.float32), faces))
    near = np.asarray(nearest.distance) < reach
    return np.where(near[:, None], np.asarray(nearest.point, np.float64), points)


def _light(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """A part as CoACD cuts it quickly, closed and of few faces (`HEAVY`), and how far that may be from the part."""
    kept, index = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[kept], index.reshape(faces.shape)
    ids = position_ids(vertices.astype(np.float32))
    if len(faces) <= HEAVY and is_watertight(ids[faces]):
        return vertices, faces, 0.0
    part = Mesh(vertices.astype(np.float32), faces.astype(np.int32))
    grid = build_solid_sdf(part, resolution=SAMPLES)[0]
    surface = isosurface(grid)
    return np.asarray(surface.vertices, np.float64), np.asarray(surface.faces), 1.5 * float(np.asarray(grid.spacing))


def _solid(points: np.ndarray) -> bool:
    """Whether points span a volume."""
    if len(points) < 4:
        return False
    try:
        return ConvexHull(points).volume > 1e-9
    except QhullError:
        return False


def grid_boxes(grid: SDFGrid, cells: int = 28) -> list[Float[np.ndarray, "8 3"]]:
    """The inside of a distance grid as boxes, grown greedily along x, y, z; at most `cells` cells a side."""
    values = np.asarray(grid.values)
    step = max(1, int(np.ceil(max(values.shape) / cells)))
    coarse = values[step // 2 :: step, step // 2 :: step, step // 2 :: step]
    inside = coarse < 0.25 * step * float(grid.spacing)
    size, origin = step * float(grid.spacing), np.asarray(grid.origin, np.float64) + (step // 2) * float(grid.spacing)
    boxes, taken = [], np.zeros_like(inside)
    for i, j, k in np.argwhere(inside):
        if taken[i, j, k]:
            continue
        a, b, c = i + 1, j + 1, k + 1
        while c < inside.shape[2] and inside[i, j, c] and not taken[i, j, c]:
            c += 1
        while b < inside.shape[1] and inside[i, b, k:c].all() and not taken[i, b, k:c].any():
            b += 1
        while a < inside.shape[0] and inside[a, j:b, k:c].all() and not taken[a, j:b, k:c].any():
            a += 1
        taken[i:a, j:b, k:c] = True
        low, high = origin + (np.array([i, j, k]) - 0.5) * size, origin + (np.array([a, b, c]) - 0.5) * size
        boxes.append(np.stack(np.meshgrid(*zip(low, high), indexing="ij"), -1).reshape(-1, 3))
    return boxes


def body_pieces(model: BodyModel, vertices: Float[np.ndarray, "V 3"]) -> list[Float[np.ndarray, "N 3"]]:
    """The body's segments, one per joint that bends something, as points whose hulls are the pieces."""
    label = np.asarray(model.skin_weights).argmax(axis=1)
    pieces = [vertices[label == j] for j in range(model.num_joints)]
    return [p for p in pieces if _solid(p)]


def judge(
    model: BodyModel,
    body: Float[np.ndarray, "V 3"],
    pieces: Sequence[Float[np.ndarray, "N 3"]],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, "3"],
    *,
    test: str,
    standing: str,
    feet: bool = True,
    seconds: float = SECONDS,
) -> Physics:
    """Lets a candidate go and looks what happens.

    Args:
      model: the body.
      body: its vertices, world y up, floor y = 0.
      pieces: of the object, its own frame (`convex_pieces`).
      rotation: of the object.
      translation: of the object.
      test: "grasp": the object must stay in the body's hands (or on its back); "support": the body must stay on the
        object; "steady": the object must stay where it is.
      standing: "floor", "raised" (an unseen table is put under it), "carried" or "worn".
      feet: whether the feet stand on the floor, for the balance.
      seconds: how long.

    Raises:
      InputError: MuJoCo is not installed or refuses a piece, or an unknown test.
    """
    if test not in ("grasp", "support", "steady"):
        raise InputError(f"a test is grasp, support or steady; got {test!r}")
    if not available():
        raise InputError("the physics judge needs MuJoCo: pip install 'hoijax[physics]'")
    import mujoco

    place = [np.asarray(p) @ np.asarray(rotation, np.float64).T + translation for p in pieces]
    spec = mujoco.MjSpec()
    spec.option.timestep, spec.option.gravity = STEP, [0, -9.81, 0]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 5
    # One point a pair of pieces lets what lies flat creep away. MuJoCo 4 has no such flag: several are its default.
    spec.option.enableflags |= getattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD", 0)
    # Bits: 1 floor, 2 body, 4 object, 8 unseen table.
    floor = spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[20, 20, 0.1], quat=_quarter(), contype=1, conaffinity=6
    )
    floor.friction = [FRICTION, 0.005, 0.0001]
    free_body = test == "support"
    person = spec.worldbody.add_body(name="person")
    thing = spec.worldbody.add_body(name="thing")
    if free_body:
        person.add_freejoint()
    thing.add_freejoint()
    held = test == "grasp"
    _add_pieces(
        spec,
        person,
        "person",
        body_pieces(model, np.asarray(body, np.float64)),
        BODY_DENSITY,
        2,
        4 | (1 if free_body else 0),
        SQUEEZE if held else 0.0,
    )
    volume = sum(ConvexHull(p).volume for p in place)
    density = min(DENSITY, MOST_MASS / max(volume, 1e-9)) if standing in ("carried", "worn") else DENSITY
    _add_pieces(spec, thing, "thing", place, density, 4, 1 | 2 | 8, SQUEEZE if held else 0.0)
    if standing == "raised":
        every = np.concatenate(place)
        low, high = every.min(axis=0), every.max(axis=0)
        half = [(high[0] - low[0]) / 2 + 0.05, 0.02, (high[2] - low[2]) / 2 + 0.05]
        middle = [(high[0] + low[0]) / 2, low[1] - 0.02, (high[2] + low[2]) / 2]
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=middle, contype=8, conaffinity=4)
    try:
        sim = spec.compile()
    except ValueError as error:
        raise InputError(f"MuJoCo cannot judge these pieces: {error}") from error
    data = mujoco.MjData(sim)
    mujoco.mj_forward(sim, data)
    watched = sim.body("person" if free_body else "thing").id
    start, turned = data.xipos[watched].copy(), data.xmat[watched].reshape(3, 3).copy()
    steps, late = round(seconds / STEP), start
    for k in range(steps):
        if k == steps - steps // 10:
            late = data.xipos[watched].copy()
        mujoco.mj_step(sim, data)
        if np.linalg.norm(data.xipos[watched] - start) > 0.5:
            break
    move = float(np.linalg.norm(data.xipos[watched] - start))
    angle = np.arccos(np.clip((np.trace(turned.T @ data.xmat[watched].reshape(3, 3)) - 1) / 2, -1, 1))
    touching = _touching(sim, data)
    creeps = float(np.linalg.norm(data.xipos[watched] - late))
    stays = bool(np.isfinite(move) and move < MOVED and angle < TILT and creeps < REST)
    return Physics(
        holds=stays and (touching or test == "steady"),
        displacement=move if np.isfinite(move) else 1.0,
        turn=float(angle),
        touching=touching,
        balance=balance(body) if feet else None,
        test=test,
    )


def judge_candidate(
    prepared: Prepared, candidate: Candidate, pieces: Sequence[Float[np.ndarray, "N 3"]]
) -> Physics | None:
    """`judge` of a candidate by the test that its relations want; None where nothing rests: a ball that is dribbled."""
    test = test_of(prepared.relations)
    if test is None:
        return None
    return judge(
        prepared.model,
        candidate.body,
        pieces,
        np.asarray(candidate.pose.rotation),
        np.asarray(candidate.pose.translation),
        test=test,
        standing=prepared.relations.standing,
        feet=candidate.start.feet,
    )


def _quarter() -> list[float]:
    """The quaternion that turns a plane's normal from z to y."""
    return [np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0]


def _add_pieces(spec, body, name: str, pieces, density: float, own: int, others: int, margin: float) -> None:
    import mujoco

    for k, points in enumerate(pieces):
        mesh = spec.add_mesh(name=f"{name}{k}")
        hull = points[ConvexHull(points).vertices]
        mesh.uservert = hull.astype(np.float32).reshape(-1)
        geom = body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}{k}", density=density, contype=own, conaffinity=others,
            condim=4, margin=margin, solref=PRESS if margin else SOFT,
        )  # fmt: skip
        geom.friction = [FRICTION, 0.01, 0.0001]


def _touching(sim, data) -> bool:
    """Whether a piece of the person touches one of the thing."""
    bodies = {sim.body("person").id, sim.body("thing").id}
    return any(
        {sim.geom_bodyid[data.contact.geom1[c]], sim.geom_bodyid[data.contact.geom2[c]]} == bodies
        for c in range(data.ncon)
    )


def balance(body: Float[np.ndarray, "V 3"], height: float = 0.03) -> float | None:
    """How far the middle of the body's vertices lies within the hull of what stands on the floor, metres; negative
    outside, None where nothing stands on it."""
    low = body[body[:, 1] < body[:, 1].min() + height]
    if body[:, 1].min() > 0.1 or len(low) < 3:
        return None
    try:
        hull = ConvexHull(low[:, [0, 2]])
    except QhullError:
        return None
    middle = body.mean(axis=0)[[0, 2]]
    return float(-(hull.equations[:, :2] @ middle + hull.equations[:, 2]).max())


def test_of(relations: Relations) -> str | None:
    """Which test suits relations.

    "grasp" where something is carried or held between arms; "support" where the object bears the person; "steady" where
    it stands by itself; None where it is in the air and only touched, or worn: straps and cloth are no rigid pieces.
    """
    if relations.standing == "worn":
        return None
    if relations.standing == "carried" and relations.contacts:
        touched = relations.contact_kind == "touch" and len(relations.contacts) < 3
        return None if touched else "grasp"
    bearing = [c for c in relations.contacts if c.kind == "support"]
    # A single foot or hand that is put on something does not bear the person.
    if len(bearing) > 1 or any(c.body_part.partition("_")[0] not in ("left", "right") for c in bearing):
        return "support"
    return "steady"
