"""Strict numerics for the whole suite: hidden broadcasts, hidden casts and wrong shapes fail a test.

Float64 is on, so that gradients can be checked against finite differences; the library takes its dtype from its
inputs, and tests of the float32 path pass float32 arrays.
"""

import gc
import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# A test runs what it compiles a few times at most, so that XLA's time is spent on compiling: without LLVM's
# optimisation and MLIR's emitters of fusions it takes a fifth, and programs run somewhat slower. Programs that tests
# start inherit this; `XLA_FLAGS= pytest` runs what users run, as `make test-long` does.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")

# Every annotated hoijax function checks the shapes and types it is given, where an int passes for a float as it does
# for static checkers (PEP 484). The hook takes its checker by name and must precede the first hoijax import.
sys.modules["_checker"] = types.ModuleType("_checker")
sys.modules["_checker"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))
install_import_hook("hoijax", "_checker.check")

import jax  # noqa: E402
from flax import nnx  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


# Linux gives a process 65,530 memory mappings (vm.max_map_count) and every compiled program takes several: a worker
# that has compiled thousands of them crashes inside the compiler.
MAPPINGS = Path("/proc/self/maps")
MANY_MAPPINGS = 30_000


# Half a minute of CPU and more each, dearest first: begun first, they leave short files for the end of `-n 2`.
LONG_FILES = (
    "experiments/scorehoi/test_scorehoi_training.py", "optim/gradient/test_refiner.py",
    "nets/test_scorehoi_regressor.py", "nets/interactvlm/test_model.py",
    "systems/scorehoi/test_converted.py", "cli/test_refine_whole.py",
    "cli/test_refine_scene.py", "nets/test_graft.py", "nets/test_scorehoi_authors.py", "geometry/test_mesh.py",
    "nets/blaze/test_hands_boxes.py", "experiments/scorehoi/test_scorehoi_views.py", "nets/blaze/test_networks.py",
    "experiments/scorehoi/test_scorehoi_tables.py", "jobs/test_people.py", "nets/test_scorehoi_denoiser.py",
    "optim/gradient/test_energy.py", "optim/fitting/test_objects.py", "data/synth/test_build.py",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Long files first, the others as they are."""
    here = Path(__file__).parent
    rank = {here / name: i for i, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish():
    """What was imported stays: the collector need not go through it again and again while programs are traced."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_fit():
    """Drops the compiled programs of earlier test modules when they come near the system's limit of mappings."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MANY_MAPPINGS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def random_module():
    """Makes a module in evaluation mode with random weights, without compiling its initialisers."""

    def make(build, seed=0):
        graph, state = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
        rng = np.random.default_rng(seed)

        def draw(x):
            if not np.issubdtype(x.dtype, np.floating):
                return np.zeros(x.shape, x.dtype)
            noise = rng.normal(size=x.shape)
            noise = 1 + 0.1 * noise if x.ndim < 2 else noise / np.sqrt(np.prod(x.shape[:-1]))
            return noise.astype(x.dtype)

        module = nnx.merge(graph, jax.tree.map(draw, state))
        module.eval()
        return module

    return make


@pytest.fixture(scope="session")
def every_way():
    """Checks a function of leading axes: `check(function, *samples)`, each sample a few rows of float64.

    Row by row it is the reference; the same rows as a batch that is not compiled, compiled with the axes (N, 1) before
    them, and under `vmap` must answer the same, in float64 and, to its digits, in float32, and keep the dtype.
    """

    def check(function, *samples, tolerance=1e-5):
        one = jax.jit(function)
        rows = [one(*(np.asarray(x[i]) for x in samples)) for i in range(len(samples[0]))]
        want = jax.tree.map(lambda *x: np.stack([np.asarray(v) for v in x]), *rows)
        for dtype, close in ((np.float64, 1e-12), (np.float32, tolerance)):
            flat = [np.asarray(x, dtype) for x in samples]
            ways = {
                "eager": function(*flat), "axes": one(*(x[:, None] for x in flat)),
                "vmap": jax.jit(jax.vmap(function))(*flat),
            }  # fmt: skip
            for way, got in ways.items():
                for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
                    assert a.dtype == dtype, (way, a.dtype)
                    np.testing.assert_allclose(np.asarray(a).reshape(b.shape), b, rtol=close, atol=close, err_msg=way)

    return check


@pytest.fixture(scope="session")
def chat_server():
    """`chat_server.chat_server`: a language model's server that answers what a test says."""
    spec = importlib.util.spec_from_file_location("chat_server", Path(__file__).with_name("chat_server.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.chat_server


@pytest.fixture(scope="session")
def held_box():
    """`held_box.make_world`: a person who holds a box before a camera."""
    spec = importlib.util.spec_from_file_location("held_box", Path(__file__).with_name("held_box.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["held_box"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.make_world()


@pytest.fixture(scope="session")
def ball_dataset():
    """`ball_dataset`: SynthHOI on disk, its interactions placed by hand."""
    spec = importlib.util.spec_from_file_location("ball_dataset", Path(__file__).with_name("ball_dataset.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
