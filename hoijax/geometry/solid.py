"""Distance grids of meshes as people model them: soups of closed parts, open shells, sheets, inner surfaces. Host.

What is inside is decided twice. Air is what a flood from the grid's border reaches without crossing a surface,
whatever way its faces wind; all else is inside, so inner frames, cushions within covers and layers of cloth are one
solid, the one that can be touched. Of what the flood does reach, the winding number of the oriented faces says whether
an open shell goes round it (an armchair without a bottom). A surface with air on both sides is a sheet, and given a
thickness.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

from hoijax.geometry.closest_host import closest_on_faces
from hoijax.geometry.mesh import Mesh
from hoijax.geometry.orientation import face_outward, face_vectors, wind_consistently
from hoijax.geometry.sdf import SDFGrid
from hoijax.geometry.sdf_build import grid_samples, nearest_faces, place_grid
from hoijax.geometry.winding_host import winding_number_host

AIR, SURFACE, INSIDE = 1, 0, -1
WALL = 0.55
"""A surface stops the flood within this distance, in spacings: a half, and something for rounding."""
REACH = 1.1
"""How far beyond a surface, in spacings, it is looked up what is there: near enough for bars of two spacings."""
HALF_SHEET, FADE = 0.75, 3.0
"""Half the thickness of a sheet, and the distance over which its offset fades, in spacings."""
LOOKS = 400
"""Faces of an open patch from which it is looked round."""
_ONE_WAY = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)]


@dataclasses.dataclass(frozen=True)
class SolidReport:
    """What was found of inside and outside."""

    parts: int
    """Patches of the mesh."""
    closed: int
    """Closed patches."""
    turned: int
    """Faces that were turned."""
    sheet: float
    """Share of the touchable surface that is a sheet."""
    hidden: float
    """Share of the surface that lies within the solid and cannot be touched."""
    thickness: float
    """Given to sheets, metres."""

    def notes(self) -> list[str]:
        """One sentence per thing a person should know."""
        notes = []
        if self.sheet > 0.02:
            notes.append(
                f"{100 * self.sheet:.0f} % of the surface is sheets without an inside, taken to be "
                f"{1000 * self.thickness:.0f} mm thick"
            )
        if self.hidden > 0.02:
            notes.append(f"{100 * self.hidden:.0f} % of the surface lies within the object, where nothing touches it")
        return notes


def closed_and_outward(mesh: Mesh) -> SolidReport | None:
    """The report of a mesh whose every patch is closed and faces outward, so that its winding number says what is
    inside; None of any other mesh."""
    patches = wind_consistently(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    count = len(patches.closed)
    if not patches.closed.all() or patches.turned.any() or face_outward(np.asarray(mesh.vertices), patches).any():
        return None
    return SolidReport(parts=count, closed=count, turned=0, sheet=0.0, hidden=0.0, thickness=0.0)


def build_solid_sdf(mesh: Mesh, *, resolution: int = 64, padding: float = 0.1) -> tuple[SDFGrid, SolidReport]:
    """Signed distance grid of what can be touched of a mesh, whatever its winding; shape as of `build_sdf`.

    Equal to `build_sdf` for closed surfaces that face outward, are thicker than a spacing and have no sealed cavity.

    Args:
      mesh: metres; need not be closed, consistently wound, or connected.
      resolution: samples along each axis, at least 2.
      padding: free space on each side, as a fraction of the longest side of the mesh.

    Returns:
      The grid, in the float dtype of the vertices, and what was found.

    Raises:
      InputError: no faces, broken faces, or a mesh of no extent.
      ValueError: `resolution` or `padding` out of range.
    """
    triangles, origin, spacing = place_grid(mesh, resolution, padding)
    points = grid_samples(origin, spacing, resolution)
    face = nearest_faces(triangles, origin, spacing, resolution)
    closest = closest_on_faces(triangles, points, face)
    away = points - closest
    distance = np.linalg.norm(away, axis=1)
    shape = (resolution,) * 3
    state = flood((distance > WALL * spacing).reshape(shape))
    oriented, turned, patches, closed = orient(mesh, state, origin, spacing)
    state = _with_shells(state, oriented, points)
    direction = away / np.where(distance > 0, distance, 1)[:, None]
    on = np.flatnonzero(distance <= 1e-3 * spacing)
    direction[on] = face_vectors(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))[0][face[on]]
    values = np.where(state.reshape(-1) == INSIDE, -distance, distance)
    layer = np.flatnonzero(state.reshape(-1) == SURFACE)
    wound = winding_number_host(points[layer].astype(np.float32), oriented) > 0.5 if len(layer) else np.zeros(0, bool)
    ahead = _look(state, origin, spacing, closest[layer], direction[layer])
    within = wound | (ahead == INSIDE)
    values[layer[within]] *= -1
    # Sheets: air here, and beyond the surface too.
    near = np.flatnonzero((values > 0) & (distance < (HALF_SHEET + FADE) * spacing))
    near = np.union1d(near, layer[~within])
    sheet = near[_look(state, origin, spacing, closest[near], -direction[near]) == AIR]
    fade = np.clip(1 - (distance[sheet] / spacing - HALF_SHEET) / FADE, 0, 1)
    values[sheet] -= HALF_SHEET * spacing * fade
    dtype = np.asarray(mesh.vertices).dtype
    dtype = jax.dtypes.canonicalize_dtype(dtype if np.issubdtype(dtype, np.floating) else float)
    grid = SDFGrid(
        values=jnp.asarray(values.reshape(shape), dtype),
        origin=jnp.asarray(origin, dtype),
        spacing=jnp.asarray(spacing, dtype),
    )
    shares = _shares(triangles, state, origin, spacing)
    return grid, SolidReport(
        parts=patches,
        closed=closed,
        turned=turned,
        sheet=shares[0],
        hidden=shares[1],
        thickness=2 * HALF_SHEET * spacing,
    )


def flood(free: Bool[np.ndarray, "X Y Z"]) -> Int[np.ndarray, "X Y Z"]:
    """`AIR` where free samples are joined with the border along the axes, `INSIDE` where they are not, else `SURFACE`.

    With free meaning farther than `WALL` from a surface nothing leaks: a step between two neighbours that
    crosses a surface has one of them nearer.
    """
    labels = ndimage.label(np.pad(free, 1, constant_values=True))[0]
    air = (labels == labels[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return np.where(free, np.where(air, AIR, INSIDE), SURFACE).astype(np.int8)


def orient(
    mesh: Mesh, state: Int[np.ndarray, "X Y Z"], origin: np.ndarray, spacing: float
) -> tuple[Mesh, int, int, int]:
    """Faces that wind outward as far as there is an outward.

    Winding is made consistent within each patch. Closed patches are turned by their volume, open ones by the majority
    of rays: the side from which more of them leave the grid is outside.

    Returns:
      The mesh; how many faces were turned; how many patches there are, and how many of them are closed.
    """
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    patches = wind_consistently(vertices, faces)
    flip = face_outward(vertices, patches)
    open_faces = np.flatnonzero(~patches.closed[patches.patch])
    if len(open_faces):
        normal, area = face_vectors(vertices, patches.faces[open_faces])
        owner = patches.patch[open_faces]
        # The largest faces of all open patches, and of each patch its own largest.
        order = np.argsort(-area, kind="stable")
        chosen = np.union1d(order[:LOOKS], order[np.unique(owner[order], return_index=True)[1]])
        middle = vertices[patches.faces[open_faces[chosen]]].mean(axis=1)
        seen = [
            _escapes(state, origin, spacing, middle + side * REACH * spacing * normal[chosen], side * normal[chosen])
            for side in (1.0, -1.0)
        ]
        vote = np.bincount(owner[chosen], area[chosen] * (seen[0] - seen[1]), len(patches.closed))
        flip |= vote < 0
    turned = patches.turned ^ flip[patches.patch]
    oriented = np.where(turned[:, None], faces[:, ::-1], faces)
    return Mesh(vertices, oriented), int(turned.sum()), len(patches.closed), int(patches.closed.sum())


def _with_shells(state: np.ndarray, mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """The state with air that an open shell goes round made `INSIDE`; every second sample is asked."""
    shape = state.shape
    coarse = np.stack(np.meshgrid(*(np.arange(0, n, 2) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.asarray(mesh.vertices)[np.unique(mesh.faces)]
    lower, upper = corners.min(axis=0), corners.max(axis=0)
    where = np.ravel_multi_index(tuple(coarse.T), shape)
    ask = (state.reshape(-1)[where] == AIR) & ((points[where] > lower) & (points[where] < upper)).all(axis=1)
    round_it = np.zeros(len(where), bool)
    if ask.any():
        round_it[ask] = winding_number_host(points[where[ask]].astype(np.float32), mesh) > 0.5
    wound = round_it.reshape(tuple((n + 1) // 2 for n in shape))
    full = wound[np.ix_(*(np.minimum((np.arange(n) + 1) // 2, (n - 1) // 2) for n in shape))]
    return np.where((state == AIR) & full, INSIDE, state).astype(np.int8)


def _look(
    state: np.ndarray, origin: np.ndarray, spacing: float, places: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """What is a little beyond places in a direction; where that is a surface again, what is a little farther."""
    verdicts = np.full(len(places), SURFACE, np.int8)
    for reach in (REACH, 1.6 * REACH):
        unknown = np.flatnonzero(verdicts == SURFACE)
        index = np.round((places[unknown] + reach * spacing * direction[unknown] - origin) / spacing).astype(int)
        index = np.clip(index, 0, np.array(state.shape) - 1)
        verdicts[unknown] = state[tuple(index.T)]
    return verdicts


def _escapes(state: np.ndarray, origin: np.ndarray, spacing: float, places: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Share of the rays from each place into its half space, 13 of them, that leave the grid through air alone."""
    size = np.array(state.shape)
    first = np.round((places - origin) / spacing).astype(int)
    hits, number = np.zeros(len(places)), np.zeros(len(places))
    for step in np.array(_ONE_WAY):
        use = side @ step > 1e-6
        free = use.copy()
        for n in range(1, int(size.max())):
            index = first + n * step
            left = ((index < 0) | (index >= size)).any(axis=1)
            active = np.flatnonzero(free & ~left)
            if not len(active):
                break
            free[active] = state[tuple(index[active].T)] == AIR
        hits += free
        number += use
    return hits / np.maximum(number, 1)


def _shares(triangles: np.ndarray, state: np.ndarray, origin: np.ndarray, spacing: float) -> tuple[float, float]:
    """Of the area of all faces what is sheets among what can be touched, and what is hidden."""
    normal, area = face_vectors(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))
    middle = triangles.mean(axis=1)
    sides = [_look(state, origin, spacing, middle, sign * normal) for sign in (1, -1)]
    air = (sides[0] == AIR).astype(int) + (sides[1] == AIR)
    whole = max(area.sum(), np.finfo(float).tiny)
    hidden = area[(sides[0] == INSIDE) & (sides[1] == INSIDE)].sum()
    return float(area[air == 2].sum() / max(whole - hidden, np.finfo(float).tiny)), float(hidden / whole)
