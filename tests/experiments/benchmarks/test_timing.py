import json

import jax.numpy as jnp
import pytest

from hoijax.experiments.benchmarks import timing


class Clock:
    """A clock that stands still but for what a call adds, so that no busy machine is measured."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def process_time(self):
        return 0.0

    def sleep(self, seconds):
        self.now += seconds


def test_ratio_of_two_calls_is_the_ratio_of_their_lengths(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(timing, "probe_cores", lambda: 2.0)
    calls = {"slow": lambda: clock.sleep(0.02), "fast": lambda: clock.sleep(0.005)}
    result = timing.compare(calls, rounds=3, min_seconds=0.04, settle=1.0)
    assert result.ratios("slow", "fast") == pytest.approx([4.0] * 3)
    assert result.samples["fast"][0].wall == pytest.approx(0.005)
    assert result.clean_rounds() == []  # a process that uses no core


def test_clean_rounds_need_the_cores_on_both_sides():
    good, bad = timing.Sample(1.0, 1.9), timing.Sample(1.0, 0.96)
    result = timing.Comparison({"a": (good, good, bad), "b": (good, bad, good)}, probe=(2.0, 2.0, 2.0), cores=2)
    assert result.clean_rounds("a", "b") == [0]
    assert result.clean_rounds("a") == [0, 1]


def test_summary_holds_what_a_result_file_needs():
    samples = {
        "rival": (timing.Sample(0.004, 1.9), timing.Sample(0.006, 1.0)),
        "ours": (timing.Sample(0.002, 1.9),) * 2,
    }
    row = timing.Comparison(samples, probe=(2.0, 1.0), cores=2).summary("rival", "ours")
    assert row["ratio_all"] == {"median": 2.5, "min": 2.0, "max": 3.0}
    assert row["ratio_clean"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert row["ours"]["min_ms"] == pytest.approx(2.0)
    json.dumps(row)


def test_summary_without_a_clean_round_says_none():
    samples = {"rival": (timing.Sample(0.004, 1.0),), "ours": (timing.Sample(0.002, 1.0),)}
    assert timing.Comparison(samples, probe=(1.0,), cores=2).summary("rival", "ours")["ratio_clean"] is None


def test_compile_is_timed_apart_and_runs():
    compiled = timing.compile_timed(lambda x: x * 2.0, jnp.ones(3))
    assert compiled.compile_seconds > 0.0
    assert compiled.call(jnp.ones(3)).tolist() == [2.0, 2.0, 2.0]


def test_results_are_written_whole(tmp_path):
    path = tmp_path / "deep" / "body.json"
    timing.write_results(path, {"environment": timing.environment("no-such-package")})
    read = json.loads(path.read_text())
    assert read["environment"]["versions"]["no-such-package"] is None
    assert [p.name for p in path.parent.iterdir()] == ["body.json"]
