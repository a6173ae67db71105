"""Every system has the same shape (docs/architecture.md): this walks all of them."""

import functools
import importlib
import inspect
import pkgutil

import chex
import jax
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, named_pose
from hoijax.cli import VERBS
from hoijax.geometry import Mesh
from hoijax.interaction import Interaction, make_template

SYSTEMS = {"graft": "refine", "scorehoi": "reconstruct"}
"""System to the verb that runs it."""


@functools.cache
def example(name, random_module):
    """Small networks with random weights, what is prepared, a batch of two inputs, and a cheap config."""
    model = free_body("test")
    system = importlib.import_module(f"hoijax.systems.{name}")
    nets = importlib.import_module(f"hoijax.nets.{name}")
    if name == "graft":
        grid = np.stack(np.meshgrid(np.linspace(-1, 1, 30), [1.0], np.linspace(2, 4, 30)), -1).reshape(-1, 3)
        network = random_module(lambda rngs: nets.Model(nets.Config(width=32, layers=1, heads=2), rngs))
        params = BodyParams.from_axis_angle(model, **named_pose("sit"), betas=np.zeros(10, np.float32))
        both = jax.tree.map(lambda x: np.stack([x, x]).astype(np.float32), params)
        people = system.GraftState.of(both.replace(translation=np.float32([[0.0, 0.4, 3.0], [0.3, 0.5, 3.2]])))
        return system, network, system.prepare(model, grid.astype(np.float32)), people, system.RolloutOptions(steps=2)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) / 6
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]]
    faces += [[0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    template = make_template(Mesh(vertices=corners, faces=np.asarray(faces, np.int32)), resolution=16)
    network = random_module(lambda rngs: nets.Model(nets.Config.of_size("tiny"), rngs))
    prepared = system.prepare(model, [template] * 2, vertices=13, features=8)
    images = np.random.default_rng(0).random((2, 128, 128, 5)).astype(np.float32)
    return system, network, prepared, images, system.GuidedConfig(iterations=1, step=25)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_names_of_the_table(name):
    nets, system = (importlib.import_module(f"hoijax.{folder}.{name}") for folder in ("nets", "systems"))
    assert {"Config", "Model", "load"} <= set(nets.__all__)
    assert {"Prepared", "Result", "prepare", "run"} <= set(system.__all__)
    assert list(inspect.signature(system.run).parameters)[1:] == ["prepared", "inputs", "config", "key"]
    assert {"interaction", "metrics", "stages"} <= set(system.Result.__dataclass_fields__)
    assert SYSTEMS[name] in VERBS
    modules = {m.name for m in pkgutil.iter_modules(importlib.import_module(f"hoijax.experiments.{name}").__path__)}
    assert {"train", "recipes"} <= modules and modules & {"evaluate", "tables"}


@pytest.mark.parametrize("name", ["graft", pytest.param("scorehoi", marks=pytest.mark.slow)])
def test_run_is_one_pure_program_that_treats_each_of_a_batch_alone(name, random_module):
    system, network, prepared, inputs, config = example(name, random_module)
    traces = []

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster
    def run(prepared, inputs):
        traces.append(1)
        return system.run(network, prepared, inputs, config=config)

    got = run(prepared, inputs)
    assert isinstance(got, system.Result) and isinstance(got.interaction, Interaction)
    chex.assert_tree_all_finite(got)
    assert got.interaction.body.rotations.shape[0] == len(got.interaction.object.scale) == 2
    assert got.metrics and all(value.shape == (2,) for value in got.metrics.values())
    chex.assert_trees_all_equal(run(prepared, inputs), got)
    swapped = run(prepared, jax.tree.map(lambda x: x[::-1], inputs))
    back = jax.tree.map(lambda x: x[::-1], (swapped.interaction, swapped.metrics))
    chex.assert_trees_all_close(back, (got.interaction, got.metrics), atol=1e-4)
    assert len(traces) == 1
    assert np.any(np.asarray(got.interaction.body.translation[0]) != np.asarray(got.interaction.body.translation[1]))


@pytest.mark.parametrize("name", SYSTEMS)
def test_load_reads_what_is_shipped(name):
    nets = importlib.import_module(f"hoijax.nets.{name}")
    assert isinstance(nets.load(), nets.Model)
