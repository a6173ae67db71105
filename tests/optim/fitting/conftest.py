"""Bodies of each kind with human proportions: the free body in the joints and tables of SMPL, SMPL-H and SMPL-X."""

import functools

import numpy as np
import pytest

from hoijax.body_models import JOINT_NAMES, PARENTS, free_body

_EXTRA = {"jaw": (0.0, -0.04, 0.06), "left_eye_smplhf": (0.03, 0.02, 0.08), "right_eye_smplhf": (-0.03, 0.02, 0.08)}


def recast(kind):
    """A body of a kind made from the free body's "test" level: nothing in it comes from a licensed file."""
    source = free_body("test")
    if kind == "free":
        return source
    names, known = JOINT_NAMES[kind], source.joint_names
    count = source.num_vertices
    rows = [known.index(_source(name)) for name in names]
    place = np.asarray(source.joint_template)[rows].copy()
    for name, offset in _EXTRA.items():
        if name in names:
            place[names.index(name)] += offset
    weights = np.zeros((count, len(names)), np.float32)
    for joint, name in enumerate(known):
        owner = name if name in names else f"{name.split('_')[0]}_hand"  # SMPL's hands are of one piece
        weights[:, names.index(owner)] += np.asarray(source.skin_weights)[:, joint]
    rng = np.random.default_rng(0)
    dirs, joint_dirs, expression = np.asarray(source.shape_dirs), np.asarray(source.joint_shape_dirs)[rows], 0
    basis = None
    if kind == "smplx":
        expression = 10
        dirs = np.concatenate([dirs, 1e-3 * rng.normal(size=(count, 3, 10)).astype(np.float32)], axis=-1)
        joint_dirs = np.concatenate([joint_dirs, np.zeros((len(names), 3, 10), np.float32)], axis=-1)
        basis = (2e-4 * rng.normal(size=(9 * (len(names) - 1), 3, count))).astype(np.float32)
    tips = [(name, vertex) for name, vertex in source.landmarks if name != "head_top"]
    return source.replace(
        joint_template=place, joint_shape_dirs=joint_dirs, shape_dirs=dirs, skin_weights=weights, pose_basis=basis,
        parents=PARENTS[kind], joint_names=names, kind=kind, num_expression=expression, landmarks=tuple(tips),
    )  # fmt: skip


def _source(name):
    if name in _EXTRA:
        return "head"
    return f"{name.split('_')[0]}_middle1" if name.endswith("_hand") else name


@pytest.fixture(scope="session")
def body_of():
    return functools.cache(recast)
