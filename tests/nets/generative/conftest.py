"""The folder's own modules, loaded by path: tests import nothing from each other."""

import importlib.util
import pathlib
import sys

import jax
import numpy as np
import pytest
from flax import nnx

HERE = pathlib.Path(__file__).parent


def load(name):
    """A module of this folder under its bare name, as `references.py` imports `cases`."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


known_cases = load("cases")


@pytest.fixture(scope="session")
def cases():
    """The module of this folder."""
    return known_cases


def evaluate(network, method, inputs, more):
    """A network's answer, compiled in a hurry."""
    graph, state = nnx.split(network)
    program = jax.jit(lambda state, inputs: getattr(nnx.merge(graph, state), method)(**inputs, **more))
    # What is several arrays is one behind the other.
    return np.concatenate([np.asarray(x) for x in jax.tree.leaves(program(state, inputs))], axis=-1)


@pytest.fixture(scope="session")
def ours():
    """hoijax's answer on a case, computed once."""
    known = {}

    def call(name):
        if name not in known:
            case = known_cases.CASES[name]
            known[name] = evaluate(case.network, case.method, case.inputs, case.more)
        return known[name]

    return call


@pytest.fixture(scope="session")
def answers():
    """What the references answered."""
    with np.load(HERE / "answers.npz") as file:
        return dict(file)


def pytest_generate_tests(metafunc):
    if "case_name" in metafunc.fixturenames:
        metafunc.parametrize("case_name", sorted(known_cases.CASES))
