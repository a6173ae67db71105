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
from scipy.spatial import ConvexHull, QhullError

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid
from hoijax.systems.interactanything.relations import Relations
from hoijax.systems.interactanything.system import Candidate, Prepared

SECONDS, STEP = 2.0, 0.002
"""How long a candidate is let go, and a step, seconds."""
HELD, BORNE, TILT = 0.03, 0.06, np.radians(20.0)
"""How far what is held may move, how far who is borne, metres, and how far either may turn, radians."""
SQUEEZE = 0.004
"""How far off the skin a held object is already felt, metres: muscles press where a surface only touches."""
FRICTION = 1.0
DENSITY, BODY_DENSITY = 300.0, 985.0
"""Kilograms per cubic metre; objects are mostly hollow."""
MOST_MASS = 12.0
"""Of what a person holds, kilograms: solid pieces weigh more than the things they stand for."""
PIECES = 32
"""Most convex pieces of an object."""


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

    Args:
      mesh: the object.
      grid: its distance grid, for when CoACD is not installed or fails.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    if importlib.util.find_spec("coacd") is not None:
        import coacd

        coacd.set_log_level("error")
        try:
            parts = coacd.run_coacd(
                coacd.Mesh(vertices, faces), threshold=0.06, max_convex_hull=PIECES, preprocess_mode="auto",
                preprocess_resolution=40, resolution=800, mcts_iterations=40, mcts_nodes=10, mcts_max_depth=2, seed=1,
            )  # fmt: skip
            pieces = [np.asarray(p[0], np.float64) for p in parts]
            pieces = [p for p in pieces if _solid(p)]
            if pieces:
                return pieces
        except RuntimeError:
            pass
    return grid_boxes(grid) if grid is not None else [vertices]


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
      InputError: MuJoCo is not installed, or an unknown test.
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
        half = [(high[0] - low[0]) / 2, 0.02, (high[2] - low[2]) / 2]
        middle = [(high[0] + low[0]) / 2, low[1] - 0.02, (high[2] + low[2]) / 2]
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=middle, contype=8, conaffinity=4)
    sim = spec.compile()
    data = mujoco.MjData(sim)
    mujoco.mj_forward(sim, data)
    watched = sim.body("person" if free_body else "thing").id
    start, turned = data.xipos[watched].copy(), data.xmat[watched].reshape(3, 3).copy()
    for _ in range(round(seconds / STEP)):
        mujoco.mj_step(sim, data)
        if np.linalg.norm(data.xipos[watched] - start) > 0.5:
            break
    move = float(np.linalg.norm(data.xipos[watched] - start))
    angle = np.arccos(np.clip((np.trace(turned.T @ data.xmat[watched].reshape(3, 3)) - 1) / 2, -1, 1))
    touching = _touching(sim, data)
    limit = BORNE if test == "support" else HELD
    stays = bool(np.isfinite(move) and move < limit and angle < TILT)
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
            condim=4, margin=margin,
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

    "grasp" where something is carried, held between arms or worn; "support" where the object bears the person;
    "steady" where it stands by itself; None where it is in the air and only touched.
    """
    if relations.standing in ("carried", "worn") and relations.contacts:
        touched = relations.contact_kind == "touch" and len(relations.contacts) < 3
        return None if touched else "grasp"
    if any(c.kind == "support" for c in relations.contacts):
        return "support"
    return "steady"
