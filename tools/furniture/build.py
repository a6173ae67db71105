"""Makes `hoijax/assets/furniture`: some of a CC0 furniture catalogue with fewer faces.

    apt-get download sweethome3d-furniture && dpkg -x sweethome3d-furniture_1.8-1_all.deb x
    python -m tools.furniture.build --archive x/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f

Which models, and which of them are for training, is what `split.csv` there says; this script reads it and never writes
it. Corners in one place are merged, faces taken away by quadric edge collapse, as many as every patch of the surface
can lose without moving, and corners kept to 1/65535 of the box. `README.md` says what was lost of each. Two minutes.
"""

import argparse
import dataclasses
import pathlib

import fast_simplification
import numpy as np
import trimesh
from PIL import Image

from hoijax.data.objects.real import DIGEST, FURNITURE, Furniture, load_furniture, read_catalogue, read_split, shipped
from hoijax.data.sheet import contact_sheet
from hoijax.geometry import Mesh, closest_on_mesh_host, position_ids
from hoijax.geometry.orientation import face_outward, wind_consistently
from hoijax.io.meshes import collapsed_faces, duplicate_faces, thin_faces
from hoijax.render.framing import frame_points
from hoijax.viz import NamedMesh, render_views

ASSETS = pathlib.Path(__file__).resolve().parents[2] / "hoijax" / "assets" / "furniture"
SHARES, NEAR = (0.06, 0.1, 0.16, 0.25, 0.4, 0.63), 0.004
"""Shares of a patch's faces that are tried, and how far the farthest of its points may end up from its new surface, in
diagonals of the whole shape's box."""
SMALL, PROBES = 40, 1000
"""Patches of fewer faces stay as they are. Points of a patch that are looked up, besides its corners."""
CELL = 112
"""Side of a picture on the sheet, pixels."""


@dataclasses.dataclass(frozen=True)
class Made:
    """A model with fewer faces."""

    mesh: Mesh
    before: int
    """Faces of the model."""
    moved: float
    """Farthest that a point of the model is from the new surface, metres."""
    closed: float
    """Share of the surface that belongs to closed patches."""


def lighten(mesh: Mesh) -> Made:
    """A mesh with as few faces as keep its shape, of one winding within each patch and outward where it is closed.

    Patches are taken by themselves: where they touch, edge collapse would tear them, and flat sheets it takes away
    altogether, since nothing is lost by the planes of their faces; such a patch keeps its faces.
    """
    ids = position_ids(mesh.vertices)
    used, faces = np.unique(ids[mesh.faces], return_inverse=True)
    whole = _tidy(mesh.vertices[used], faces.reshape(-1, 3))
    patches = wind_consistently(whole.vertices, whole.faces)
    turn = face_outward(whole.vertices, patches)[patches.patch]
    faces = np.where(turn[:, None], patches.faces[:, ::-1], patches.faces)
    near = NEAR * float(np.linalg.norm(np.ptp(whole.vertices, axis=0)))
    vertices, corners, moved, closed = [], [], 0.0, 0.0
    for i in range(len(patches.closed)):
        part, away = _lighten_patch(_tidy(whole.vertices, faces[patches.patch == i]), near)
        corners.append(part.faces + sum(map(len, vertices)))
        vertices.append(part.vertices)
        moved = max(moved, away)
        closed += _surface(part).area * bool(patches.closed[i])
    found = Mesh(vertices=np.concatenate(vertices), faces=np.concatenate(corners).astype(np.int32))
    return Made(found, len(mesh.faces), moved, float(closed / _surface(found).area))


def _lighten_patch(patch: Mesh, near: float) -> tuple[Mesh, float]:
    """A patch with fewer faces, and how far the farthest of its points is from them."""
    if len(patch.faces) >= SMALL:
        points, _ = trimesh.sample.sample_surface(_surface(patch), PROBES, seed=0)
        probes = np.concatenate([points, patch.vertices]).astype(np.float32)
        for share in SHARES:
            count = max(12, round(share * len(patch.faces)))
            part = _tidy(*fast_simplification.simplify(patch.vertices, patch.faces, target_count=count, agg=5))
            if 4 <= len(part.faces) < len(patch.faces):
                away = float(closest_on_mesh_host(probes, part).distance.max())
                if away <= near:
                    return part, away
    return patch, 0.0


def _surface(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def _tidy(points: np.ndarray, faces: np.ndarray) -> Mesh:
    points, faces = np.asarray(points, np.float32), np.asarray(faces, np.int64)
    faces = faces[~collapsed_faces(faces) & ~thin_faces(points, faces) & ~duplicate_faces(faces)]
    used, faces = np.unique(faces, return_inverse=True)
    return Mesh(vertices=points[used], faces=faces.reshape(-1, 3).astype(np.int32))


def pack(mesh: Mesh) -> dict[str, np.ndarray]:
    """Arrays of a mesh that compress well: corners counted in the box, faces in order of their first corner."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    span = np.where(high > low, high - low, 1)
    corners = np.round((mesh.vertices - low) / span * 65535).astype(np.uint16)
    faces = np.asarray(mesh.faces)
    first = np.argmin(faces, axis=1)
    faces = np.stack([faces[np.arange(len(faces)), (first + k) % 3] for k in range(3)], axis=1)
    faces = faces[np.lexsort(faces.T[::-1])]
    return {"box": np.stack([low, low + span]).astype(np.float32), "corners": corners, "faces": faces.astype(np.uint16)}


def describe(rows: list[tuple[str, Furniture, str, Made]]) -> str:
    """The page beside the shapes."""
    table = "".join(
        f"| {name} | {item.name} | {split} | {' x '.join(f'{100 * side:.0f}' for side in item.size)} | {made.before} | "
        f"{len(made.mesh.faces)} | {1000 * made.moved:.1f} | {made.closed:.2f} |\n"
        for name, item, split, made in rows
    )
    return f"""# Furniture and things

{len(rows)} shapes that nobody of hoijax drew, from the furniture catalogue "Blend Swap CC-0" of Sweet Home 3D: Debian's
package `sweethome3d-furniture` 1.8-1, file `BlendSwap-CC-0.sh3f` (SHA-256 `{DIGEST}`).
Every model of the catalogue is dedicated to the public domain under CC0 1.0 by its author on blendswap.com; nothing has
to be named, and textures are not carried over. `hoijax.data.objects.real.shipped` reads them: metres, y up, on the
floor, the back of seats towards -z.

`split.csv` is the one place that says which shapes are here and which are for training; made by hand, consistent with
`hoijax.experiments.real_objects`: what choices are made on there is `train` here. `shapes.npz` is written by
`python -m tools.furniture.build`, this page too.

| shape | name in the catalogue | split | width x height x depth, cm | faces before | faces | moved, mm | closed |
|---|---|---|---|---|---|---|---|
{table}
"Moved": the farthest that a point of the old surface is from the new one. "Closed": share of the surface in closed
patches, which face outward; the rest are open shells and sheets, as people model them, which
`hoijax.geometry.build_solid_sdf` gives an inside.
"""


def sheet() -> Image.Image:
    """All shipped shapes, by name; training's have a `+`."""
    shapes = shipped()
    most = [max(len(array) for array in arrays) for arrays in zip(*((s.mesh.vertices, s.mesh.faces) for s in shapes))]
    turn, rise = (np.float32([np.radians(degrees)]) for degrees in (35, 18))
    cells = []
    for shape in shapes:
        # Filled up to one size, so that one program draws them all.
        vertices, faces = (
            np.concatenate([array, np.repeat(array[:1] if k == 0 else [[0, 0, 0]], n - len(array), axis=0)])
            for k, (array, n) in enumerate(zip((shape.mesh.vertices, shape.mesh.faces), most))
        )
        camera = frame_points(vertices, azimuth=turn, elevation=rise, image_size=(CELL, CELL))
        picture = render_views([NamedMesh("object", vertices, faces.astype(np.int32))], camera)[0]
        cells.append((picture, f"{shape.name}{' +' * (shape.split == 'train')}"))
    return Image.fromarray(contact_sheet(cells, cell=CELL, columns=12))


def main() -> None:
    """Reads the archive, writes the shapes and their page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=pathlib.Path, default=FURNITURE, help="BlendSwap-CC-0.sh3f")
    parser.add_argument("--sheet", type=pathlib.Path, help="only draw what is shipped into this JPEG")
    options = parser.parse_args()
    if options.sheet:
        sheet().save(options.sheet, quality=80)
        return
    archive = options.archive
    catalogue = read_catalogue(archive)
    rows, arrays = [], {}
    for name, (number, split) in read_split().items():
        made = lighten(load_furniture(catalogue[number], archive))
        rows.append((name, catalogue[number], split, made))
        arrays |= {f"{name}/{key}": value for key, value in pack(made.mesh).items()}
        print(name, made.before, len(made.mesh.faces), f"{1000 * made.moved:.1f} mm", f"{made.closed:.2f}", flush=True)
    np.savez_compressed(ASSETS / "shapes.npz", **arrays)
    (ASSETS / "README.md").write_text(describe(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
