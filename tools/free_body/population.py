"""Samples adults, T-poses them and fits the shape space: the slow half of the build, cached between runs."""

import dataclasses
import pathlib

import numpy as np

from . import skeleton, source
from .people import Population
from .shape_space import ShapeSpace, fit_shape_space
from .surface import triangulate
from .tpose import to_tpose


@dataclasses.dataclass(frozen=True)
class BaseMesh:
    """Constant tables of MakeHuman's body mesh."""

    faces: np.ndarray
    """Triangles of the body, (26756, 3)."""
    mirror: np.ndarray
    """(13380,)."""
    weights: np.ndarray
    """(13380, 52)."""
    eye_faces: np.ndarray
    """Triangles of both eyeballs, into the rows of ShapeSpace.eyes."""
    male: np.ndarray
    """Mean betas of the sampled men; women are the negative."""


def build_population(src, samples, seed, progress, cache=None):
    """Base mesh tables and the shape space fitted to `samples` random adults."""
    base, groups = source.load_base(src)
    mirror = source.load_mirror(src)
    body_mirror = mirror[: source.BODY_VERTICES]
    vertex_groups = source.load_vertex_groups(src)
    weights = skeleton.merged_weights(*source.load_rig(src), body_mirror)
    cubes, tip_cubes = skeleton.joint_cubes(vertex_groups)
    faces = triangulate(groups["body"])
    eye_quads = np.concatenate([groups["helper-l-eye"], groups["helper-r-eye"]])
    eyes = np.unique(eye_quads)
    eye_faces = np.searchsorted(eyes, triangulate(eye_quads))

    path = None if cache is None else pathlib.Path(cache) / f"population_{samples}_{seed}.npz"
    if path is not None and path.exists():
        with np.load(path) as data:
            male = data["male"]
            space = ShapeSpace(**{f.name: data[f.name] for f in dataclasses.fields(ShapeSpace)})
    else:
        population = Population(src, base, progress)
        rng = np.random.default_rng(seed)
        bodies, joints, balls, men = [], [], [], []
        for i in progress(range(samples), "people"):
            mesh, person = population.draw(rng, i)
            body, joint, ball = to_tpose(mesh, weights, cubes, tip_cubes, eyes)
            bodies.append(body.astype(np.float32))
            joints.append(joint)
            balls.append(ball)
            men.append(person["gender"] > 0.5)
        eye_mirror = np.searchsorted(eyes, mirror[eyes])
        space = fit_shape_space(np.stack(bodies), np.stack(joints), np.stack(balls), faces, body_mirror, eye_mirror)
        male = space.betas[np.array(men)].mean(0)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, male=male, **{f.name: getattr(space, f.name) for f in dataclasses.fields(ShapeSpace)})
    return BaseMesh(faces, body_mirror, weights, eye_faces, male), space
