"""Programs that compile fast: the same answers, only where XLA knows how, only where little is run."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.optim import programs
from hoijax.optim.gradient import RefineConfig
from hoijax.optim.gradient.refiner import _is_small
from hoijax.optim.programs import PLAIN, QUICK, Ahead, Program, plain_options, quick_options


@pytest.fixture(autouse=True)
def asked_anew():
    for options in (quick_options, plain_options):
        options.cache_clear()
    yield
    for options in (quick_options, plain_options):
        options.cache_clear()


@pytest.mark.parametrize("quick", [False, True])
def test_both_kinds_give_the_functions_answer_and_compile_once(quick):
    traces = []

    @lambda f: Program(f, static_argnums=(1,))
    def power(x, number):
        traces.append(number)
        return x**number

    x = jnp.linspace(-1, 2, 5)
    for _ in range(2):
        np.testing.assert_allclose(power(x, 3, quick=quick), np.asarray(x) ** 3, rtol=1e-6)
    assert traces == [3]


def test_the_installed_xla_knows_the_options():
    assert jax.default_backend() != "cpu" or (quick_options(), plain_options()) == (QUICK, PLAIN)


def test_options_reach_the_compiler(monkeypatch):
    asked = []
    real = jax.jit
    monkeypatch.setattr(
        jax, "jit", lambda f, **options: asked.append(options.get("compiler_options")) or real(f, **options)
    )
    monkeypatch.setattr(programs, "quick_options", lambda: QUICK)
    program = Program(lambda x: x + 1)
    assert (program(1.0), program(1.0, quick=True)) == (2.0, 2.0)
    assert asked == [None, QUICK]
    monkeypatch.setattr(programs, "plain_options", lambda: PLAIN)
    program = Program(lambda x: x + 2, plain=True)
    assert (program(1.0), program(1.0, quick=True)) == (3.0, 3.0)
    assert asked[2:] == [PLAIN, QUICK]


def test_an_xla_without_the_options_compiles_as_ever(monkeypatch):
    monkeypatch.setattr(programs, "QUICK", {"xla_no_such_option": 0})
    assert quick_options() is None
    traces = []
    program = Program(lambda x: traces.append(0) or x + 1)
    assert program(1.0, quick=True) == program(1.0) == 2.0
    assert len(program._kinds) == 1


def test_other_devices_compile_as_ever(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert quick_options() is None and plain_options() is None


def test_few_steps_of_few_interactions_are_compiled_fast():
    config = RefineConfig()
    assert not _is_small(config, 1)
    assert _is_small(config.with_steps(5), 8) and not _is_small(config.with_steps(5), 9)
    assert not _is_small(config.with_steps(0), 1)  # measures alone, whose digits are those of a whole run


def test_a_program_is_compiled_ahead_and_once():
    """For the shapes that were announced; for others, and for what cannot be compiled, as ever."""
    traces = []

    @functools.partial(jax.jit, static_argnames="power")
    def program(x, power, more=None):
        traces.append(threading.current_thread() is threading.main_thread())
        return x**power if more is None else x**power + jnp.sum(more)

    announced = jax.ShapeDtypeStruct((3,), np.float32)
    ahead = Ahead(program, {"power": 2}, announced, more=announced)
    x = np.arange(3, dtype=np.float32)
    for _ in range(2):
        np.testing.assert_allclose(ahead(x, more=x), x**2 + 3)
    assert traces == [False]
    np.testing.assert_allclose(ahead(np.arange(2, dtype=np.float32), more=x), np.arange(2) ** 2 + 3)
    np.testing.assert_allclose(ahead(x, more=x), x**2 + 3)
    assert traces[:2] == [False, True]
    broken = Ahead(program, {"power": 2}, announced, more="nothing that can be added")
    np.testing.assert_allclose(broken(x), x**2)
    with pytest.raises(TypeError):
        Ahead(program, {"power": "two"}, announced)(x)
