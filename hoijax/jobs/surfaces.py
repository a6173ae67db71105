"""Bodies given by their surface as parameters of a model, and SAM 3D Objects' results in the body's camera."""

import dataclasses
import pathlib

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel
from hoijax.body_models.mhr import from_mhr, mhr_keypoints
from hoijax.body_models.registration import BodyPoints, register
from hoijax.errors import InputError
from hoijax.io import output_directory, value_digest, write_npz
from hoijax.io.archives import read_npz
from hoijax.io.sources import NAMES, SourceEstimate
from hoijax.jobs.bodies import joint_ranges
from hoijax.optim.fitting.layouts import MHR_70

MISFIT = 0.02
"""Pixels over the picture's focal length that keypoints and their pixels may disagree by."""
_MOST_POINTS = 1500
_SPREAD = 0.15
_FLIPS = {
    "y and z negated (OpenGL's camera)": (1, -1, -1), "x and y negated (PyTorch3D's camera)": (-1, -1, 1),
    "y negated": (1, -1, 1), "z negated": (1, 1, -1), "x negated": (-1, 1, 1),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SurfaceFit:
    """Parameters of a model that were fitted to a surface."""

    values: dict[str, np.ndarray]
    """Quantity to `(T, N)`, as in `hoijax.io.ParameterFile`."""
    error: float
    """Largest root mean squared distance of a frame's points, metres."""
    points: str
    """What was fitted to."""


def fit_surface(model: BodyModel, estimate: SourceEstimate) -> SurfaceFit:
    """Fits a model to the surface of an estimate.

    Vertex by vertex where the model is the surface's own or a map is published (MHR to SMPL and SMPL-X), otherwise by
    70 keypoints on the surface.

    Args:
      model: any whole body.
      estimate: with vertices.

    Raises:
      InputError: the model is no whole body.
    """
    ranges, kind = joint_ranges(model), estimate.body
    vertices = _for(model, kind, estimate.vertices)
    if vertices is not None:
        points, targets, what = BodyPoints.of_vertices(model), vertices, f"{model.num_vertices:,} vertices"
        chosen = np.arange(0, model.num_vertices, max(1, model.num_vertices // _MOST_POINTS))
        basis = None if points.pose_basis is None else points.pose_basis[..., chosen]
        points = BodyPoints(points.rest[chosen], points.shape_dirs[chosen], points.weights[chosen], basis)
        targets, weights = targets[:, chosen], {"stay": 1e-10, "shape": 1e-10}
    else:
        points, known = BodyPoints.of_names(model, MHR_70)
        places = estimate.keypoints if estimate.keypoints is not None else mhr_keypoints(kind, estimate.vertices)
        targets, what, weights = places[:, known], f"{known.sum()} keypoints", {"stay": 1e-5, "shape": 1e-5}
    fits = [register(model, points, target, **weights) for target in targets]
    angles = np.stack([Rotation.from_matrix(fit.rotations).as_rotvec() for fit in fits])
    values = {name: angles[:, a:b].reshape(len(fits), -1) for name, (a, b) in ranges.items()}
    betas = np.stack([fit.betas for fit in fits])
    values["betas"] = betas[:, : betas.shape[1] - model.num_expression]
    if model.num_expression:
        values["expression"] = betas[:, betas.shape[1] - model.num_expression :]
    values["transl"] = np.stack([fit.translation for fit in fits])
    return SurfaceFit(values, max(fit.error for fit in fits), what)


RULE = 1
"""Version of how surfaces are fitted; another one fits those of a cache anew."""


def kept_fit(model: BodyModel, estimate: SourceEstimate, cache: pathlib.Path | None) -> SurfaceFit:
    """`fit_surface`, or what an earlier call with the same surface and model has left in the cache.

    Args:
      model: any whole body.
      estimate: with vertices.
      cache: the folder; None: nothing is kept. One that cannot be read or written is done without.

    Raises:
      InputError: see `fit_surface`.
    """
    if cache is None:
        return fit_surface(model, estimate)
    parts = [model.kind, model.v_template, model.shape_dirs, model.skin_weights, model.num_expression]
    digest = value_digest([RULE, *parts, estimate.body, estimate.vertices, estimate.keypoints])
    path = cache / "fits" / f"{digest}.npz"
    try:
        arrays = dict(read_npz(path)) if path.is_file() else {}
        error, points = float(arrays.pop("error")), str(bytes(arrays.pop("points")).decode())
        if arrays and all(value.ndim == 2 and np.isfinite(value).all() for value in arrays.values()):
            return SurfaceFit(arrays, error, points)
    except (InputError, KeyError, OSError, TypeError, ValueError):
        pass
    found = fit_surface(model, estimate)
    try:
        told = np.frombuffer(found.points.encode(), np.uint8)
        write_npz(
            output_directory(path.parent) / path.name,
            {**found.values, "error": np.asarray(found.error), "points": told},
        )
    except (InputError, OSError):
        pass
    return found


def _for(model: BodyModel, kind: str | None, vertices: np.ndarray) -> np.ndarray | None:
    """The surface as the model's own vertices, or None."""
    if model.kind in NAMES and kind == "mhr":
        mapped = from_mhr(model.kind, vertices)
        return mapped if mapped.shape[1] == model.num_vertices else None
    same = kind == model.kind or {kind, model.kind} == {"smpl", "smplh"}
    return vertices if same and vertices.shape[1] == model.num_vertices else None


@dataclasses.dataclass(frozen=True)
class Pinhole:
    """A camera that was found by least squares."""

    intrinsics: Float[np.ndarray, "3 3"]
    """Pixels."""
    error: float
    """Largest distance of a point from its pixel, pixels."""


def find_camera(points: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]) -> Pinhole:
    """The pinhole (one focal length, a centre) that projects points to their pixels best.

    Args:
      points: x right, y down, z forward.
      pixels: of the same.
    """
    ratio = points[:, :2] / points[:, 2:]
    count = len(points)
    system = np.zeros((2 * count, 3))
    system[:count, 0], system[:count, 1] = ratio[:, 0], 1
    system[count:, 0], system[count:, 2] = ratio[:, 1], 1
    (focal, cx, cy), *_ = np.linalg.lstsq(system, pixels.T.ravel(), rcond=None)
    error = np.linalg.norm(focal * ratio + [cx, cy] - pixels, axis=1).max()
    return Pinhole(np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1.0]]), float(error))


def check_projection(estimate: SourceEstimate) -> Pinhole | None:
    """The camera of a frame whose keypoints and their pixels are known; None without them.

    Raises:
      InputError: they do not belong together; the message names the flip of axes under which they do.
    """
    if estimate.keypoints is None or estimate.pixels is None:
        return None
    points, pixels = estimate.keypoints[0], estimate.pixels[0]
    found = find_camera(points, pixels)
    focal = found.intrinsics[0, 0]
    if focal > 0 and points[:, 2].min() > 0 and found.error <= MISFIT * focal:
        return found
    likely = ""
    for name, signs in _FLIPS.items():
        turned = points * np.asarray(signs, np.float64)
        camera = find_camera(turned, pixels)
        if turned[:, 2].min() > 0 and camera.intrinsics[0, 0] > 0 and camera.error <= MISFIT * camera.intrinsics[0, 0]:
            likely = f"; they do with {name}"
            break
    raise InputError(
        f"{estimate.path}: the keypoints do not fall on their pixels (off by {found.error:.0f} at a focal length of "
        f"{focal:.0f}){likely}; give the points in OpenCV's camera (x right, y down, z forward)"
    )


@dataclasses.dataclass(frozen=True)
class Alignment:
    """SAM 3D Objects' object in the camera of a body."""

    translation: Float[np.ndarray, "3"]
    """Metres, OpenCV's axes."""
    scale: float
    """Of the mesh."""
    ratio: float
    """The body's depth over that of the point map."""
    spread: float
    """Its median absolute deviation, as a share."""
    cells: int
    """Places of the picture that were compared."""
    focal: float
    """Of the point map, its pixels."""
    body_focal: float
    """Of the body's camera, in the same pixels."""


def align_object(
    estimate: SourceEstimate,
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    mask: np.ndarray | None = None,
) -> Alignment:
    """Puts an object of another depth scale and focal length into the camera of a body.

    The scale is the median, over the pixels that show the body, of its depth over that of the object's point map. The
    object's origin goes to so much of its depth on the ray of its own pixel, and its size follows so that it covers
    the same pixels. Where something hides a part of the body the map shows that instead; the median bears up to half.

    Args:
      estimate: of SAM 3D Objects, with its point map.
      vertices: of the body, in its camera.
      faces: of the same.
      intrinsics: of that camera, for a picture of any size with its centre at `(cx, cy)`.
      mask: `(H, W)` of the human, as large as the point map or in proportion to it; None: where the body falls.

    Raises:
      InputError: no point map, a mask of other proportions, or body and map have no place in common.
    """
    if estimate.pointmap is None or estimate.pointmap.ndim != 3 or estimate.pointmap.shape[2] != 3:
        raise InputError(f"{estimate.path} has no pointmap (H, W, 3), which the object's scale is found by")
    height, width = estimate.pointmap.shape[:2]
    camera = np.asarray(intrinsics, np.float64).copy()
    if camera[0, 2] <= 0:  # a focal length alone: the centre is the picture's
        camera[:2, 2] = width / 2, height / 2
    camera[:2] *= width / (2 * camera[0, 2])
    depth, rows, columns = _visible(vertices, faces, camera, (height, width))
    points = estimate.pointmap[rows, columns]
    good = np.isfinite(points).all(axis=1) & (points[:, 2] > 1e-3)
    if mask is not None:
        tall, wide = mask.shape
        if abs(tall * width - wide * height) > 0.02 * tall * width:
            raise InputError(
                f"{estimate.path}: its point map is {width} x {height}, the person's mask {wide} x {tall}; wanted are "
                "both of the whole picture (--ignore mask leaves the mask out)"
            )
        good &= mask[rows * tall // height, columns * wide // width] > 0
    if good.sum() < 20:
        raise InputError(
            f"{estimate.path}: the body covers {int(good.sum())} places of the point map, wanted 20 or more; are both "
            "of one picture?"
        )
    ratios = depth[good] / points[good, 2]
    ratio = float(np.median(ratios))
    spread = float(np.median(np.abs(ratios - ratio)) / ratio)
    every = max(1, height * width // 20_000)
    v, u = np.divmod(np.arange(0, height * width, every), width)
    sample = estimate.pointmap[v, u]
    whole = np.isfinite(sample).all(axis=1) & (sample[:, 2] > 1e-3)
    moge = find_camera(sample[whole], np.stack([u, v], axis=1)[whole] + 0.5).intrinsics
    place = np.asarray(estimate.arrays["obj_trans"], np.float64).reshape(-1)
    if place[2] <= 0:
        raise InputError(f"{estimate.path}: the object is behind the camera, at a depth of {place[2]:.3g}")
    pixel = moge @ (place / place[2])
    moved = ratio * place[2] * np.linalg.solve(camera, np.array([pixel[0], pixel[1], 1.0]))
    scale = float(np.asarray(estimate.arrays["obj_scale"])) * ratio * moge[0, 0] / camera[0, 0]
    return Alignment(moved, scale, ratio, spread, int(good.sum()), float(moge[0, 0]), float(camera[0, 0]))


def _visible(
    vertices: np.ndarray, faces: np.ndarray, camera: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, row and column of the front of a surface, one place per cell of some pixels."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    front = corners[np.einsum("fc,fc->f", normal, corners[:, 0]) < 0]
    mixes = np.array([[1, 1, 1], [2, 2, 0], [0, 2, 2], [2, 0, 2], [4, 1, 1], [1, 4, 1], [1, 1, 4]], np.float64)
    mixes /= mixes.sum(1, keepdims=True)
    points = np.einsum("mk,fkc->fmc", mixes, front).reshape(-1, 3)
    points = points[points[:, 2] > 1e-3]
    pixels = (points @ camera.T)[:, :2] / points[:, 2:]
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < size[1]) & (pixels[:, 1] < size[0])
    pixels, depth = pixels[inside], points[inside, 2]
    if not len(depth):
        return np.zeros(0), np.zeros(0, int), np.zeros(0, int)
    cell = max(1.0, float(np.sqrt(np.prod(np.ptp(pixels, axis=0)) / len(depth))) * 1.5)
    keys = np.floor(pixels / cell).astype(np.int64)
    order = np.lexsort((depth, keys[:, 0], keys[:, 1]))
    keys, depth, pixels = keys[order], depth[order], pixels[order]
    first = np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)]
    return depth[first], pixels[first, 1].astype(int), pixels[first, 0].astype(int)


def told_alignment(found: Alignment) -> str:
    """What a person should know of it."""
    doubt = "; the spread is large: is the person hidden, or of another picture?" if found.spread > _SPREAD else ""
    return (
        f"the object was put into the body's camera: depth ratio {found.ratio:.3f} (spread {100 * found.spread:.1f} % "
        f"over {found.cells:,} places), focal lengths {found.focal:.0f} (map) and "
        f"{found.body_focal:.0f} pixels (body){doubt}"
    )
