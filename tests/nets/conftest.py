"""Modules run as programs that compile in a hurry; the authors' answers, `shared/golden` beside the repository."""

import json
import pathlib
import zlib

import jax
import numpy as np
import pytest
from flax import nnx

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "shared" / "golden"
SHORT = pathlib.Path(__file__).parent / "golden"
"""Short forms of some of them, which are part of the repository."""


def seeded_weight(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The weight that the golden files were made with, by its name."""
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    noise = rng.standard_normal(shape)
    if leaf == "running_mean":
        return (0.1 * noise).astype(np.float32)
    if len(shape) <= 1:
        return ((1.0 if leaf == "weight" else 0.0) + 0.1 * noise).astype(np.float32)
    return (noise / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


@pytest.fixture(scope="session")
def golden():
    """Loads a golden file: its arrays (half precision widened) and, unless unwanted, the state dict of its module."""

    def load(name, *, weights=True):
        path = GOLDEN / f"{name}.npz"
        path = path if path.exists() else SHORT / path.name
        if not path.exists():
            path = GOLDEN / path.name
            pytest.skip(f"golden data not present: {path}")
        data = dict(np.load(path))
        seed = int(data.pop("seed"))
        keys = json.loads(str(data.pop("state_dict_keys"))) if weights else []
        arrays = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in data.items()}
        return arrays, {key: seeded_weight(key, tuple(shape), seed) for key, shape, _ in keys}

    return load


@pytest.fixture(scope="session")
def run():
    """Runs a module or a function of arrays, compiled in a hurry: these programs run for milliseconds."""

    def call(function, *inputs, **named):
        if isinstance(function, nnx.Module):
            graph, state = nnx.split(function)
            program = jax.jit(lambda state, inputs, named: nnx.merge(graph, state)(*inputs, **named),
                              compiler_options={"xla_backend_optimization_level": 0})  # fmt: skip
            return jax.tree.map(np.asarray, program(state, inputs, named))
        program = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
        return jax.tree.map(np.asarray, program(*inputs, **named))

    return call
