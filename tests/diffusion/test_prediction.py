import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax import diffusion
from hoijax.diffusion import Flow, split_state, training_target

SCHEDULE = diffusion.cosine_schedule(dtype=np.float64)
KINDS = ("noise", "x0", "v", "flow")
PROCESSES = {"schedule": (SCHEDULE, 300), "flow": (Flow(), 0.3)}


@pytest.fixture(scope="module")
def parts():
    return jax.random.normal(jax.random.key(0), (2, 3, 7), jnp.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("process", PROCESSES)
def test_the_target_splits_the_state_into_what_it_was_mixed_of(process, kind, parts):
    process, t = PROCESSES[process]
    x0, noise = parts
    x = diffusion.q_sample(process, x0, t, noise)
    got = split_state(process, x, t, training_target(process, x0, noise, t, kind), kind)
    np.testing.assert_allclose(got.x0, x0, atol=1e-12)
    np.testing.assert_allclose(got.noise, noise, atol=1e-12)


def test_targets_are_the_papers(parts):
    x0, noise = map(np.asarray, parts)
    abar = SCHEDULE.alphas_cumprod[300]
    v = np.sqrt(abar) * noise - np.sqrt(1 - abar) * x0
    np.testing.assert_allclose(training_target(SCHEDULE, x0, noise, 300, "v"), v, rtol=1e-12)
    np.testing.assert_array_equal(training_target(Flow(), x0, noise, 0.2, "flow"), noise - x0)
    # The velocity is the derivative of the flow's state by its time.
    at = [np.asarray(diffusion.q_sample(Flow(), x0, t, noise)) for t in (0.5, 0.6)]
    np.testing.assert_allclose((at[1] - at[0]) / 0.1, noise - x0, rtol=1e-9)


def test_a_pytree_is_split_leaf_by_leaf(parts):
    (x0, noise), t = parts, jnp.array([10, 20, 30])
    x = diffusion.q_sample(SCHEDULE, x0, t, noise)
    tree = {"a": x[:, :3], "b": (x[:, 3:],)}
    v = training_target(SCHEDULE, x0, noise, t, "v")
    got = split_state(SCHEDULE, tree, t, {"a": v[:, :3], "b": (v[:, 3:],)}, "v")
    chex.assert_trees_all_close(got.x0, {"a": x0[:, :3], "b": (x0[:, 3:],)}, atol=1e-12)
    chex.assert_trees_all_close(got.noise, {"a": noise[:, :3], "b": (noise[:, 3:],)}, atol=1e-12)


def test_an_unknown_prediction_is_refused(parts):
    for call in (split_state, training_target):
        with pytest.raises(Exception, match="score|Literal"):
            call(SCHEDULE, parts[0], *((3, parts[1]) if call is split_state else (parts[1], 3)), "score")


def test_flow_time_grid_is_sanas():
    # Shift 3: s = 1 - linspace(1, 1/1000, N + 1), then 3 s / (1 + 2 s).
    for steps in (2, 14, 50):
        grid = diffusion.flow_time_grid(steps, shift=3.0)
        assert grid[0] == 0 and len(grid) == steps + 1 and np.all(np.diff(grid) > 0)
        np.testing.assert_allclose(grid[-1], 0.99967, atol=4e-6)
        k = steps // 2
        s = 0.999 * k / steps
        np.testing.assert_allclose(grid[k], 3 * s / (1 + 2 * s), rtol=1e-12)


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (3, 0.0)])
def test_bad_flow_grids_are_refused(steps, shift):
    with pytest.raises(ValueError, match=f"got {steps} and {shift}"):
        diffusion.flow_time_grid(steps, shift=shift)


@pytest.mark.parametrize("times", [[0.5], [0.0, 1.1], [-0.1, 0.5], [0.5, 0.2]])
def test_bad_flow_times_are_refused(times):
    with pytest.raises(ValueError, match="times must"):
        diffusion.euler_sample(lambda x, t: x, jnp.ones(1), np.array(times))
