"""Samplers against the exact solution of Gaussian data, whose score is known, and against loops written out."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax import diffusion
from hoijax.diffusion import Flow, Guidance, ddim_sample, dpm_solver_sample, euler_sample, split_state

SCHEDULE = diffusion.cosine_schedule(dtype=np.float64)
S = 0.4
"""Standard deviation of the data."""


def answer(process, kind):
    """The exact answer of each kind for data N(0, S^2)."""

    def denoise(x, t):
        signal, sigma = process.coefficients(t, x.dtype)
        variance = signal**2 * S**2 + sigma**2
        x0, noise = signal * S**2 / variance * x, sigma / variance * x
        return {"noise": noise, "x0": x0, "v": signal * noise - sigma * x0, "flow": noise - x0}[kind]

    return denoise


def exact(process, times):
    """What the probability flow makes of 1: it keeps the share of the standard deviation."""
    (s0, n0), (s1, n1) = (map(float, process.coefficients(t, jnp.float64)) for t in (times[0], times[-1]))
    return np.sqrt((s0**2 * S**2 + n0**2) / (s1**2 * S**2 + n1**2))


def grids(process, steps):
    return diffusion.flow_time_grid(steps, shift=3.0) if process is not SCHEDULE else np.arange(100, 741, 640 // steps)


@pytest.mark.parametrize("process", [SCHEDULE, Flow()], ids=["schedule", "flow"])
def test_first_and_second_order(process):
    errors = {}
    for sampler in (ddim_sample, dpm_solver_sample):
        for steps in (20, 40):
            times = grids(process, steps)
            got = sampler(answer(process, "noise"), jnp.ones(()), process, times)
            got = got.xt if sampler is ddim_sample else got
            errors[sampler, steps] = abs(float(got) - exact(process, times))
    assert 1.7 < errors[ddim_sample, 20] / errors[ddim_sample, 40] < 2.3
    assert errors[dpm_solver_sample, 20] / errors[dpm_solver_sample, 40] > 2.8
    assert errors[dpm_solver_sample, 40] < 0.2 * errors[ddim_sample, 40]


@pytest.mark.parametrize("kind", ["x0", "v", "flow"])
@pytest.mark.parametrize("process", [SCHEDULE, Flow()], ids=["schedule", "flow"])
def test_what_the_network_predicts_does_not_matter(process, kind):
    times, x = grids(process, 8), jnp.array([1.0, -0.3])
    for sampler in (ddim_sample, dpm_solver_sample):
        want = sampler(answer(process, "noise"), x, process, times)
        got = sampler(answer(process, kind), x, process, times, prediction=kind)
        chex.assert_trees_all_close(got, want, rtol=1e-9)


@pytest.mark.parametrize("process", [SCHEDULE, Flow()], ids=["schedule", "flow"])
def test_dpm_solver_equals_algorithm_2_written_out(process):
    times = grids(process, 6) if process is not SCHEDULE else np.array([0, 30, 200, 410, 640, 800])

    def denoise(x, t):
        return jnp.sin(3.0 * x) * (1.0 + jnp.asarray(t, x.dtype) / float(times[-1]))

    x = np.array([0.7, -1.2])
    want, before, last_h = x, None, None
    for t, s in zip(times[:0:-1], times[-2::-1]):
        (a, b), (c, d) = (map(float, process.coefficients(u, jnp.float64)) for u in (t, s))
        clean = (want - b * np.sin(3 * want) * (1 + t / times[-1])) / a
        if d == 0:
            want = clean
            break
        h = np.log(c / d) - np.log(a / b)
        line = clean if before is None else (1 + h / (2 * last_h)) * clean - h / (2 * last_h) * before
        want = d / b * want - c * np.expm1(-h) * line
        before, last_h = clean, h
    for run in (lambda f: f, jax.jit):
        got = run(lambda x: dpm_solver_sample(denoise, x, process, times))(jnp.asarray(x))
        np.testing.assert_allclose(got, want, rtol=1e-9)


def test_euler_is_ddim_on_the_straight_line():
    times, x = diffusion.flow_time_grid(7, shift=2.0), jnp.array([0.4, 1.0])
    want = ddim_sample(answer(Flow(), "flow"), x, Flow(), times, prediction="flow").xt
    np.testing.assert_allclose(euler_sample(answer(Flow(), "flow"), x, times), want, rtol=1e-12)


def test_float32_stays_float32():
    x, times = jnp.ones(3, jnp.float32), diffusion.flow_time_grid(5)
    assert euler_sample(lambda x, t: x, x, times).dtype == jnp.float32
    assert dpm_solver_sample(lambda x, t: x, x, Flow(), times).dtype == jnp.float32
    assert ddim_sample(lambda x, t: x, x, Flow(), times, prediction="flow").xt.dtype == jnp.float32


def test_states_may_be_pytrees():
    times, x = grids(SCHEDULE, 4), jnp.linspace(-1.0, 1.0, 6)
    denoise, loss = answer(SCHEDULE, "v"), lambda x0: jnp.sum(x0**4)
    tree = {"pose": x[:4], "rest": [x[4:]]}

    def mapped(x, t):
        return jax.tree.map(lambda x: denoise(x, t), x)

    guidance = Guidance(loss=loss, scale=0.3)
    joint = Guidance(loss=lambda x0: sum(jnp.sum(leaf**4) for leaf in jax.tree.leaves(x0)), scale=0.3)
    want = ddim_sample(denoise, x, SCHEDULE, times, guidance=guidance, prediction="v").x0
    got = ddim_sample(mapped, tree, SCHEDULE, times, guidance=joint, prediction="v").x0
    chex.assert_trees_all_close(got, {"pose": want[:4], "rest": [want[4:]]}, rtol=1e-12)
    want = dpm_solver_sample(denoise, x, SCHEDULE, times, prediction="v")
    got = dpm_solver_sample(mapped, tree, SCHEDULE, times, prediction="v")
    chex.assert_trees_all_close(got, {"pose": want[:4], "rest": [want[4:]]}, rtol=1e-12)


def test_guidance_pushes_the_noise_whatever_the_network_predicts():
    x, t = jnp.array([0.3, -0.8]), jnp.array(40)
    guidance = Guidance(loss=lambda x0: jnp.sum(x0**3), scale=0.7)
    want = diffusion.guided_noise(answer(SCHEDULE, "noise"), x, t, SCHEDULE, guidance)
    for through in (False, True):
        guidance = guidance.replace(through_network=through)
        base = diffusion.guided_split(answer(SCHEDULE, "noise"), x, t, SCHEDULE, guidance)
        for kind in ("x0", "v", "flow"):
            got = diffusion.guided_split(answer(SCHEDULE, kind), x, t, SCHEDULE, guidance, kind)
            chex.assert_trees_all_close(got, base, rtol=1e-9)
    abar = SCHEDULE.alphas_cumprod[40]
    clean = split_state(SCHEDULE, x, t, answer(SCHEDULE, "noise")(x, t)).x0
    plain = answer(SCHEDULE, "noise")(x, t)
    np.testing.assert_allclose(want - plain, 0.7 * np.sqrt(1 - abar) / np.sqrt(abar) * 3 * clean**2, rtol=1e-9)


def test_the_gradient_is_computed_only_where_it_pushes():
    seen = []

    @jax.custom_vjp
    def watched(x):
        return jnp.sum(x**2)

    watched.defvjp(
        lambda x: (jnp.sum(x**2), x),
        lambda x, g: (jax.debug.callback(lambda: seen.append(1)), 2 * g * x)[1:],
    )
    times, x = np.arange(0, 101, 10), jnp.array([0.5, -1.0])
    guidance = Guidance(loss=watched, last=30)
    got = ddim_sample(answer(SCHEDULE, "noise"), x, SCHEDULE, times, guidance=guidance)
    jax.effects_barrier()
    assert len(seen) == 3  # at 30, 20 and 10
    # The same as asking for the gradient everywhere and multiplying it by nothing above.
    want, clean = x, None
    for t, n in zip(times[:0:-1], times[-2::-1]):
        parts = diffusion.guided_split(answer(SCHEDULE, "noise"), want, jnp.array(t), SCHEDULE, guidance)
        want, clean = diffusion.q_sample(SCHEDULE, parts.x0, n, parts.noise), parts.x0
    np.testing.assert_allclose(got.xt, want, rtol=1e-12)
    np.testing.assert_allclose(got.x0, clean, rtol=1e-12)


@pytest.mark.parametrize(("last", "pushes"), [(5, 0), (10, 1), (1000, 10)])
def test_every_split_of_the_two_scans(last, pushes):
    times, x = np.arange(0, 101, 10), jnp.array([0.5, -1.0])
    denoise = answer(SCHEDULE, "noise")
    got = ddim_sample(denoise, x, SCHEDULE, times, guidance=Guidance(loss=jnp.sum, last=last))
    plain = ddim_sample(denoise, x, SCHEDULE, times)
    assert bool(jnp.all(got.x0 == plain.x0)) == (pushes == 0)
    if pushes == 1:  # only the last step's clean estimate is pushed
        abar = SCHEDULE.alphas_cumprod[10]
        np.testing.assert_allclose(got.x0 - plain.x0, -(1 - abar) / abar * np.ones(2), rtol=1e-9)


def test_classifier_free_guidance_exaggerates_the_difference():
    with_it, without = (lambda x, t: {"a": 2.0 * x["a"]}), (lambda x, t: {"a": 0.5 * x["a"]})
    x = {"a": jnp.array([1.0, -2.0])}
    for strength, factor in ((0.0, 0.5), (1.0, 2.0), (4.5, 0.5 + 4.5 * 1.5)):
        got = diffusion.classifier_free(with_it, without, strength)(x, 3)
        np.testing.assert_allclose(got["a"], factor * x["a"], rtol=1e-12)
