"""Modules filled at random, run as programs that compile in a hurry."""

import jax
import numpy as np
import pytest
from flax import nnx


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
