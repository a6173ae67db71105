"""The trainer: closed forms of a step, what learns and what does not, resuming, many devices, many processes."""

import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.common import runs
from hoijax.experiments.common.parameters import LORA, Trainable, merge, named_leaves, running_mean
from hoijax.experiments.common.placement import Devices
from hoijax.experiments.common.trainer import Trainer, take_steps

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import toy  # noqa: E402

sys.path.pop(0)


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


def config(out=pathlib.Path("nowhere"), **changes):
    return toy.Config(out=out, **{"steps": 6} | changes)


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_two_steps_are_adams_with_the_steps_own_noise():
    """Against a loop written out here: gradient by autodiff of a plain loss, update by optax, mean by its formula."""
    settings = config(noise=0.2, average=0.5)
    task = toy.task(settings)
    batches = [{"x": x} for x in np.random.default_rng(0).normal(size=(2, 8, 64)).astype(np.float32)]
    state, numbers = take_steps(Trainer(task, settings), iter(batches), 2)
    weights = task.initial(settings.seed).parameters
    average, adam = weights, optax.adam(settings.rate)
    memory, statistics = adam.init(weights), np.zeros(64)
    for step, batch in enumerate(batches):
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(settings.seed), step), (8, 64), jnp.float32)

        def loss(w, x=batch["x"], noise=noise):
            inner = jnp.tanh((x + 0.2 * noise) @ w["inner"]["kernel"] + w["inner"]["bias"][None])
            return jnp.mean((inner @ w["outer"]["kernel"] - x @ task.teacher) ** 2)

        value, gradient = jax.value_and_grad(loss)(weights)
        np.testing.assert_allclose(numbers[step]["total"], value, rtol=1e-5)
        np.testing.assert_allclose(numbers[step]["gradient"], optax.global_norm(gradient), rtol=1e-5)
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = adam.update(gradient, memory)
        weights = optax.apply_updates(weights, updates)
        kept = min(0.5, (1 + step) / (10 + step))
        average = jax.tree.map(lambda a, w, k=kept: k * a + (1 - k) * w, average, weights)
        statistics = 0.9 * statistics + 0.1 * batch["x"].mean(axis=0)
    for got, want in ((state.variables.parameters, weights), (state.average, average)):
        for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.variables.statistics["mean"], statistics, rtol=1e-5, atol=1e-6)
    assert int(state.step) == 2


def test_the_mean_forgets_the_first_steps_and_then_decays():
    first, after = {"w": jnp.full(2, 5.0, jnp.float32)}, {"w": jnp.full(2, 1.0, jnp.float32)}
    early = running_mean(first, after, jnp.int32(0), 0.999)
    np.testing.assert_allclose(early["w"], 0.1 * 5 + 0.9 * 1, rtol=1e-6)
    late = running_mean(first, after, jnp.int32(10**6), 0.9)
    np.testing.assert_allclose(late["w"], 0.9 * 5 + 0.1 * 1, rtol=1e-6)


def test_phases_are_programs_of_their_own():
    settings = config()
    trainer, batch = Trainer(toy.task(settings), settings), {"x": np.ones((8, 64), np.float32)}
    early, late = (float(trainer.step(trainer.start(), batch, phase)[1]["total"]) for phase in ("early", "late"))
    assert late == pytest.approx(2 * early, rel=1e-6)


@pytest.mark.parametrize("choice", [Trainable(freeze=("inner",)), Trainable(only=(r"^outer\.",))])
def test_frozen_parameters_stay_and_carry_nothing(choice):
    settings = config(trainable=choice)
    task = toy.task(settings)
    trainer = Trainer(task, settings)
    before = trainer.start()
    batches = iter([{"x": np.ones((8, 64), np.float32)}] * 3)
    state, _ = take_steps(trainer, batches, 3)
    assert_equal(state.variables.parameters["inner"], before.variables.parameters["inner"])
    moved = np.abs(
        np.asarray(state.variables.parameters["outer"]["kernel"] - before.variables.parameters["outer"]["kernel"])
    )
    assert moved.max() > 1e-3
    names = [name for name, _ in named_leaves((state.average, state.optimiser))]
    assert any("outer.kernel" in name for name in names) and not any("inner" in name for name in names)
    kept = state.mean_variables()
    assert_equal(kept.parameters["inner"], state.variables.parameters["inner"])
    assert_equal(kept.parameters["outer"], state.average["outer"])


def test_adapters_learn_alone():
    """`nnx.LoRA` in a network: its two factors, and nothing of the layer below."""
    network = nnx.eval_shape(
        lambda: nnx.Dict(base=nnx.Linear(4, 4, rngs=nnx.Rngs(0)), adapter=nnx.LoRA(4, 2, 4, rngs=nnx.Rngs(0)))
    )
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), nnx.split(network)[1])
    trained, frozen = Trainable(only=(LORA,)).split(state)
    assert [name for name, _ in named_leaves(trained)] == ["adapter.lora_a", "adapter.lora_b"]
    assert [name for name, _ in named_leaves(frozen)] == ["base.bias", "base.kernel"]
    assert jax.tree.structure(merge(trained, frozen)) == jax.tree.structure(state)


def test_patterns_that_find_nothing_are_refused():
    parameters = {"inner": jnp.zeros(1), "outer": jnp.zeros(1)}
    for choice, message in (
        (Trainable(only=("lora",)), "no parameter is called like 'lora'; they are called like inner, outer"),
        (Trainable(freeze=("inner", "outer")), "of 2 parameters none would learn"),
    ):
        with pytest.raises(InputError, match=message):
            choice.split(parameters)
    with pytest.raises(InputError, match="is no regular expression"):
        Trainable(only=("(",))


def test_a_stopped_run_ends_the_same(tmp_path):
    whole = toy.train(config(tmp_path / "whole"))
    assert toy.train(config(tmp_path / "halves", until=3)).step == 3
    (tmp_path / "halves" / "metrics.jsonl").open("a").write(json.dumps({"step": 4, "total": 0.0}) + "\n")
    assert_equal(whole, toy.train(config(tmp_path / "halves")))
    assert rows(tmp_path / "whole") == rows(tmp_path / "halves") and len(rows(tmp_path / "whole")) == 6
    with pytest.raises(InputError, match="another rate"):
        toy.train(config(tmp_path / "whole", rate=1e-4))
    # What a run is spread over is no part of what it learns.
    assert toy.train(config(tmp_path / "whole", devices=Devices(use=1), log_every=3)).step == 6


def test_a_run_that_goes_on_takes_the_missing_steps_alone(tmp_path):
    settings = config(tmp_path, until=4, save_every=3)
    toy.train(settings)
    trainer, taken = Trainer(toy.task(settings), settings), []
    genuine = trainer.step
    trainer.step = lambda state, *rest: taken.append(int(state.step)) or genuine(state, *rest)
    toy.train(dataclasses.replace(settings, until=None), trainer)
    assert taken == [4, 5]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()) == ["4", "6"]


def test_frozen_parameters_survive_a_checkpoint(tmp_path):
    choice = Trainable(freeze=("inner",))
    whole = toy.train(config(tmp_path / "whole", trainable=choice))
    toy.train(config(tmp_path / "halves", trainable=choice, until=2))
    assert_equal(whole, toy.train(config(tmp_path / "halves", trainable=choice)))


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    settings = config(tmp_path)
    broken = Trainer(toy.task(settings).replace(teacher=np.full((64, 3), np.nan, np.float32)), settings)
    with pytest.raises(FloatingPointError, match="at step 1"):
        toy.train(settings, broken)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("error", [
    OSError(28, "No space left on device"),
    ValueError("RESOURCE_EXHAUSTED: Error writing 'checkpoints/2/d/x': No space left on device [OS error 28]"),
])  # fmt: skip
@pytest.mark.parametrize("when", ["save", "wait_until_finished"])
def test_a_full_disk_is_one_message(tmp_path, monkeypatch, error, when):
    def fail(self, *args, **options):
        raise RuntimeError("in a thread of Orbax") from error

    monkeypatch.setattr(runs.ocp.CheckpointManager, when, fail)
    with pytest.raises(InputError, match="the disk of .* is full.*goes on from the last one"):
        toy.train(config(tmp_path))
    monkeypatch.setattr(runs.ocp.CheckpointManager, when, lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # other faults keep their own place
        toy.train(config(tmp_path))


def test_settings_that_cannot_be_met_are_refused():
    for changes, message in (
        ({"devices": Devices(use=3)}, "there are 1"),
        ({"devices": Devices(use=1, divide=2)}, "a batch of 8 on 1 devices, parameters divided among 2"),
    ):
        with pytest.raises(InputError, match=message):
            Trainer(toy.task(config()), config(**changes))
    with pytest.raises(InputError, match=r"needs --devices\.processes"):
        Devices(coordinator="localhost:1")
    with pytest.raises(InputError, match="average is a decay"):
        config(average=1.0).check()


def test_one_run_compiles_its_step_once(tmp_path, monkeypatch):
    traced = []
    genuine = toy.Regression.loss
    monkeypatch.setattr(toy.Regression, "loss", lambda self, *a: traced.append(1) or genuine(self, *a))
    settings = config(tmp_path / "a", rate=1.2345e-3)
    toy.train(settings)
    toy.train(dataclasses.replace(settings, out=tmp_path / "b", until=3))
    toy.train(dataclasses.replace(settings, out=tmp_path / "b"))
    assert len(traced) == 1


EIGHT = """
import sys, json, pathlib, jax, numpy as np
sys.path.insert(0, {here!r})
import toy
from hoijax.experiments.common.placement import Devices
from hoijax.experiments.common.parameters import named_leaves
out = pathlib.Path({out!r})
assert len(jax.devices()) == 8
for name, devices in (("one", Devices(use=1)), ("eight", Devices()), ("divided", Devices(divide=4))):
    state = toy.train(toy.Config(out=out / name, steps=6, devices=devices))
    kernel = state.variables.parameters["inner"]["kernel"]
    shards = {{str(s.index) for s in kernel.addressable_shards}}
    print(json.dumps({{"name": name, "devices": len(kernel.sharding.device_set), "parts": len(shards)}}))
again = toy.train(toy.Config(out=out / "moved", steps=6, until=3))
again = toy.train(toy.Config(out=out / "moved", steps=6, devices=Devices(use=2, divide=2)))
print(json.dumps({{"name": "moved", "devices": len(again.step.sharding.device_set), "parts": 2}}))
"""


def environment(devices):
    return os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }  # fmt: skip


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one(tmp_path):
    """Batches divided, parameters copied or divided, and a run that goes on with other devices."""
    script = EIGHT.format(here=str(HERE), out=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(8), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(f["devices"], f["parts"]) for f in found] == [(1, 1), (8, 1), (8, 4), (2, 2)]
    one = rows(tmp_path / "one")
    for name in ("eight", "divided", "moved"):
        for a, b in zip(one, rows(tmp_path / name), strict=True):
            assert a.keys() == b.keys()
            np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5, err_msg=name)


def start_processes(out, *more, steps=8):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = [
        sys.executable, str(HERE / "toy.py"), f"--out={out}", f"--steps={steps}", "--devices.processes=2",
        f"--devices.coordinator=localhost:{port}", "--devices.patience=10",
    ]  # fmt: skip
    return [
        subprocess.Popen(
            [*common, f"--devices.process={i}", *(more if i else ())], env=environment(1), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for i in range(2)
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_one_is_killed_and_both_go_on(tmp_path):
    with jax.enable_x64(False):
        alone = toy.train(config(tmp_path / "alone", steps=8))
    del alone
    killed = start_processes(tmp_path / "two", "--die-at=5")
    try:
        assert killed[1].wait(timeout=240) == -signal.SIGKILL
        assert killed[0].wait(timeout=120) != 0  # it cannot go on alone, and does not wait for ever
    finally:
        for process in killed:
            process.kill()
    done = json.loads((tmp_path / "two" / "config.json").read_text())["steps"]
    assert done == 8 and 3 <= len(rows(tmp_path / "two")) <= 5
    both = start_processes(tmp_path / "two")
    errors = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    for a, b in zip(rows(tmp_path / "alone"), rows(tmp_path / "two"), strict=True):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
