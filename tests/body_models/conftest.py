"""Small made-up bodies, and the textbook definition to compare with."""

import functools
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams
from hoijax.experiments.benchmarks.made_up import made_up_tables


def make_toy(num_vertices=40, num_betas=4, parents=(-1, 0, 0, 1, 3, 2), correctives=True, dtype=np.float64):
    rng = np.random.default_rng(0)
    joints = len(parents)
    regressor = rng.dirichlet(np.ones(num_vertices), size=joints)
    template = rng.normal(size=(num_vertices, 3))
    shape = 0.03 * rng.normal(size=(num_vertices, 3, num_betas))
    model = BodyModel(
        v_template=template,
        shape_dirs=shape,
        pose_basis=0.01 * rng.normal(size=(9 * (joints - 1), 3, num_vertices)) if correctives else None,
        joint_template=regressor @ template,
        joint_shape_dirs=np.einsum("jv,vcs->jcs", regressor, shape),
        skin_weights=rng.dirichlet(np.ones(joints), size=num_vertices),
        faces=rng.integers(0, num_vertices, (60, 3)),
        parents=parents,
        joint_names=tuple(f"joint{i}" for i in range(joints)),
        kind="toy",
        landmarks=(("tip", 7), ("nose", 3)),
    )
    return model.astype(dtype)


def make_params(model, batch=(), scale=0.7, seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    vectors = scale * rng.normal(size=(*batch, model.num_joints, 3))
    return BodyParams(
        rotations=Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape((*vectors.shape, 3)).astype(dtype),
        betas=rng.normal(size=(*batch, model.num_betas)).astype(dtype),
        translation=rng.normal(size=(*batch, 3)).astype(dtype),
    )


def textbook(model, rotations, betas, translation):
    """SMPL for one body as in Loper et al. 2015: loops over homogeneous matrices, float64. Vertices, joints, turns."""
    rest_v = np.asarray(model.v_template) + np.asarray(model.shape_dirs) @ betas
    rest_j = np.asarray(model.joint_template) + np.asarray(model.joint_shape_dirs) @ betas
    world = []
    for i, parent in enumerate(model.parents):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotations[i], rest_j[i] - (rest_j[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    if model.pose_dirs is not None:
        rest_v = rest_v + np.asarray(model.pose_dirs) @ (rotations[1:] - np.eye(3)).ravel()
    vertices = np.zeros_like(rest_v)
    for i, transform in enumerate(world):
        bind = np.eye(4)
        bind[:3, 3] = -rest_j[i]
        moved = (np.c_[rest_v, np.ones(len(rest_v))] @ (transform @ bind).T)[:, :3]
        vertices += np.asarray(model.skin_weights)[:, i, None] * moved
    world = np.stack(world)
    return vertices + translation, world[:, :3, 3] + translation, world[:, :3, :3]


@pytest.fixture(scope="session")
def toy():
    return functools.cache(make_toy)


@pytest.fixture(scope="session")
def params():
    return make_params


@pytest.fixture(scope="session")
def reference():
    return textbook


@functools.cache
def tables(kind, num_shapes=None, num_vertices=None):
    """Keys and arrays of a made-up body file; the two large tables in float32."""
    raw = made_up_tables(kind, num_shapes=num_shapes, num_vertices=num_vertices)
    return {key: value.astype(np.float32) if key in ("posedirs", "shapedirs") else value for key, value in raw.items()}


@pytest.fixture(scope="session")
def made_up():
    return tables


class FakeChumpy:
    """Modules with chumpy's names while a file is written: pickles then carry the bytes that chumpy's objects write.

    The state is what chumpy's `__getstate__` keeps: everything but its caches.
    """

    def __enter__(self):
        self.modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
        self.ch = self.modules["chumpy.ch"].Ch = type("Ch", (), {"__module__": "chumpy.ch"})
        self.select = self.modules["chumpy.reordering"].Select = type("Select", (), {"__module__": "chumpy.reordering"})
        sys.modules.update(self.modules)
        return self

    def __exit__(self, *args):
        for name in self.modules:
            del sys.modules[name]

    def array(self, value):
        new = self.ch()
        new.__dict__ = {
            "x": np.asarray(value, np.float64), "_dirty_vars": {"x"}, "_itr": None, "_make_dense": False,
            "_make_sparse": False, "_depends_on_deps": {},
        }  # fmt: skip
        return new

    def first(self, value, count):
        """`value[..., :count]` as chumpy pickles a slice: the whole array and flat indices into it."""
        new, index = self.select(), np.arange(value.size).reshape(value.shape)[..., :count]
        new.__dict__ = {"a": self.array(value), "idxs": index.ravel(), "preferred_shape": index.shape}
        return new


def write_official(path, raw, *, spare_shapes=0, protocol=2):
    """A pickle as the official sites give it out: chumpy arrays, a sparse regressor, keys that nobody reads."""
    with FakeChumpy() as chumpy:
        shapes = np.concatenate([raw["shapedirs"], np.ones((*raw["shapedirs"].shape[:2], spare_shapes))], axis=-1)
        content = dict(raw) | {
            "shapedirs": chumpy.first(shapes, raw["shapedirs"].shape[-1]) if spare_shapes else chumpy.array(shapes),
            "v_template": chumpy.array(raw["v_template"]),
            "J_regressor": scipy.sparse.csc_matrix(raw["J_regressor"]),
            "bs_style": "lbs",
            "bs_type": "lrotmin",
        }
        path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.fixture(scope="session")
def official():
    return write_official
