"""Makes `hoijax/assets/mhr/mhr.npz` from a checkout of facebookresearch/MHR (Apache-2.0).

    python tools/mhr/build.py /path/to/MHR/tools/mhr_smpl_conversion hoijax/assets/mhr/mhr.npz

It keeps the published maps from MHR's 18,439 vertices to those of SMPL and SMPL-X as three vertices and their weights
each, MHR's triangles, and tables that place SAM 3D Body's 70 keypoints by vertices of MHR, SMPL or SMPL-X. The latter
are made here: of each keypoint the 64 nearest vertices over the repository's four samples of SAM 3D Body, with weights
that sum to one and reproduce it in all of them (ridge of 1e-2 of the mean squared distance). Left out in turn, a
sample's keypoints are met to about 1 mm on average; the run prints it. `A_from_B` names for each vertex of body A the
vertex of body B (the free body at its finest level, SMPL, SMPL-X) that is nearest over the four samples together.
"""

import pathlib
import sys

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoijax.body_models import free_body
from hoijax.body_models.host import host_vertices
from hoijax.body_models.registration import BodyPoints, register
from hoijax.optim.fitting.layouts import MHR_70

COUNT, RIDGE = 64, 1e-2


def regressors(surfaces, points):
    """Vertices (K, COUNT) and weights that place points (S, K, 3) by surfaces (S, V, 3)."""
    ids, weights = [], []
    for k in range(points.shape[1]):
        away = sum(np.linalg.norm(surface - point[k], axis=1) for surface, point in zip(surfaces, points))
        near = np.sort(np.argsort(away, kind="stable")[:COUNT])
        offset = np.concatenate([(surface[near] - point[k]).T for surface, point in zip(surfaces, points)])
        gram = offset.T @ offset
        gram += RIDGE * np.trace(gram) / COUNT * np.eye(COUNT)
        weight = np.linalg.solve(gram, np.ones(COUNT))
        ids.append(near)
        weights.append(weight / weight.sum())
    return np.stack(ids), np.stack(weights)


def main(folder, out):
    assets = folder / "assets"
    faces = np.asarray(trimesh.load(assets / "mhr_face_mask.ply", process=False).faces)
    samples = [np.load(path) for path in sorted((folder / "data" / "sam3d_body_outputs").glob("*.npz"))]
    surfaces = {"mhr": np.stack([s["pred_vertices"] for s in samples]).astype(np.float64)}
    points = np.stack([s["pred_keypoints_3d"] for s in samples]).astype(np.float64)
    arrays = {"faces": faces.astype(np.uint16)}
    for kind in ("smpl", "smplx"):
        table = np.load(assets / f"mhr2{kind}_mapping.npz")
        ids, weights = faces[table["triangle_ids"]], table["baryc_coords"]
        arrays |= {f"{kind}_ids": ids.astype(np.uint16), f"{kind}_weights": weights.astype(np.float32)}
        surfaces[kind] = np.einsum("vk,svkc->svc", weights, surfaces["mhr"][:, ids])
    for kind, surface in surfaces.items():
        errors = []
        for i in range(len(samples)):
            rest = [j for j in range(len(samples)) if j != i]
            ids, weights = regressors(surface[rest], points[rest])
            errors.append(np.linalg.norm(np.einsum("kn,knc->kc", weights, surface[i][ids]) - points[i], axis=1))
        print(
            f"{kind}: left out, keypoints are met to {1e3 * np.mean(errors):.2f} mm (worst {1e3 * np.max(errors):.1f})"
        )
        ids, weights = regressors(surface, points)
        arrays |= {
            f"{kind}_keypoint_ids": ids.astype(np.uint16),
            f"{kind}_keypoint_weights": weights.astype(np.float32),
        }
    np.savez_compressed(out, **arrays, **correspondences(surfaces, points))


def correspondences(surfaces, points):
    """Nearest vertices between bodies over all samples at once: in the space of their places in every pose."""
    model = free_body("render")
    named, known = BodyPoints.of_names(model, MHR_70)
    fits = [register(model, named, place[known], stay=1e-5, shape=1e-5) for place in points]
    bodies = {"free": np.stack([host_vertices(model, f.rotations, f.betas, f.translation) for f in fits])}
    bodies |= {kind: surfaces[kind] for kind in ("smpl", "smplx")}
    flat = {kind: np.moveaxis(body, 0, 1).reshape(body.shape[1], -1) for kind, body in bodies.items()}
    return {
        f"{a}_from_{b}": cKDTree(flat[b]).query(flat[a])[1].astype(np.uint16)
        for a, b in (("free", "smpl"), ("free", "smplx"), ("smpl", "smplx"), ("smplx", "smpl"), ("smpl", "free"),
                     ("smplx", "free"))
    }  # fmt: skip


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
