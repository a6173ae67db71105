"""Body files of true size with made-up contents, in the keys of the official ones; for benchmarks and tests.

Nothing in them comes from a licensed file: only the sizes and the kinematic trees, which are public, are the same.
"""

import numpy as np

from hoijax.body_models import PARENTS

SIZES: dict[str, tuple[int, int, int]] = {
    "smpl": (6890, 13776, 10),
    "smplh": (6890, 13776, 10),
    "smplx": (10475, 20908, 400),
    "mano": (778, 1538, 10),
}
"""Vertices, faces and shape directions of the official meshes."""


def made_up_tables(
    kind: str, *, seed: int = 0, num_shapes: int | None = None, num_vertices: int | None = None
) -> dict[str, np.ndarray]:
    """Keys and arrays of a body file, float64; skinning weights have four entries per vertex, the regressor twenty.

    Args:
      kind: "smpl", "smplh", "smplx" or "mano".
      seed: of everything in it.
      num_shapes: number of shape directions; None takes that of the official file.
      num_vertices: None takes that of the official file; at least ten per joint.
    """
    rng = np.random.default_rng(seed)
    vertices, faces, shapes = SIZES[kind]
    shapes, vertices = num_shapes or shapes, num_vertices or vertices
    parents = np.array(PARENTS[kind])
    joints = len(parents)
    at = np.zeros((joints, 3))
    for j, parent in enumerate(parents[1:], start=1):
        at[j] = at[parent] + rng.normal(scale=0.15, size=3)
    owner = rng.permutation(np.arange(vertices) % joints)
    columns = np.concatenate([owner[:, None], rng.integers(0, joints, (vertices, 3))], axis=1)
    weights = np.zeros((vertices, joints))
    np.add.at(weights, (np.arange(vertices)[:, None], columns), rng.dirichlet(np.ones(4), vertices))
    regressor = np.zeros((joints, vertices))
    for j in range(joints):
        near = rng.choice(np.flatnonzero(owner == j), 20, replace=True)
        np.add.at(regressor[j], near, rng.dirichlet(np.ones(20)))
    tables = {
        "v_template": at[owner] + rng.normal(scale=0.05, size=(vertices, 3)),
        "shapedirs": rng.normal(scale=0.01, size=(vertices, 3, shapes)),
        "posedirs": rng.normal(scale=0.002, size=(vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)]).astype(np.uint32),
        "f": rng.integers(0, vertices, (faces, 3)).astype(np.uint32),
    }
    for end in {"smplh": ("l", "r"), "smplx": ("l", "r"), "mano": ("",)}.get(kind, ()):
        tables[f"hands_mean{end}"] = rng.normal(scale=0.3, size=45)
        tables[f"hands_components{end}"] = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    return tables
